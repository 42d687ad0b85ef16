# SPDX-License-Identifier: LGPL-2.1-or-later
"""One thing that is wrong with a file, where, and what to do: what parsers and ``synodctl verify`` say.

Decides nothing. ``CODES`` is the table of synodctl(1), section "Findings": codes are stable, texts are not.
"""

from dataclasses import dataclass
from enum import StrEnum
from typing import Final


class Severity(StrEnum):
    """How bad it is: an error keeps the unit from being placed, a warning does not, an info is a remark."""

    ERROR = "error"
    WARNING = "warning"
    INFO = "info"


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One line for the user; ``line`` 0 and empty ``file`` or ``unit`` mean that there is none."""

    code: str
    severity: Severity
    file: str
    line: int
    unit: str
    message: str
    hint: str = ""

    def __str__(self) -> str:
        """Return ``FILE:LINE: UNIT: severity: message; hint [code]``, without the parts that are unknown."""
        place = f"{self.file}:{self.line}: " if self.line else f"{self.file}: " if self.file else ""
        unit = f"{self.unit}: " if self.unit else ""
        hint = f"; {self.hint}" if self.hint else ""
        return f"{place}{unit}{self.severity.value}: {self.message}{hint} [{self.code}]"


CODES: Final[dict[str, tuple[Severity, str]]] = {
    "unreadable": (Severity.ERROR, "A unit file or drop-in cannot be read."),
    "syntax": (Severity.ERROR, "A line that systemd.syntax(7) does not allow, in a file that is annotated."),
    "section-typo": (Severity.ERROR, "A section name close to X-Synod; systemd ignores it, so does Synod."),
    "unknown-key": (Severity.WARNING, "A key that [X-Synod] does not have; it is ignored."),
    "unsupported-key": (
        Severity.ERROR,
        "A dependency that systemd has in [Unit] and Synod does not carry across nodes yet; ignoring it"
        " would change what starts or stops.",
    ),
    "bad-value": (Severity.ERROR, "The value is not what the key takes."),
    "type-wide": (
        Severity.ERROR,
        "[X-Synod] in a drop-in for all units of a type, such as service.d/: ignored.",
    ),
    "own-unit": (Severity.ERROR, "[X-Synod] on, or a dependency on, one of Synod's own units."),
    "unit-type": (Severity.ERROR, "[X-Synod] on a unit that nobody can start, such as a .device."),
    "name-too-long": (Severity.ERROR, "The unit name leaves no room for those of the units that guard it."),
    "no-fragment": (Severity.WARNING, "Annotated by a drop-in only: no unit file of that name is here."),
    "alias": (Severity.ERROR, "A dependency names an alias; the cluster knows units by their own names."),
    "self-dependency": (Severity.ERROR, "A unit depends on itself, or is to run with or apart from itself."),
    "contradiction": (
        Severity.ERROR,
        "Keys that cannot hold together, such as ColocateWith= and SeparateFrom= of the same unit.",
    ),
    "disjoint-nodes": (Severity.ERROR, "ColocateWith= a unit that may run on none of this unit's nodes."),
    "too-few-nodes": (
        Severity.ERROR,
        "Nodes= without AvoidNodes= leaves fewer nodes than Instances= asks for.",
    ),
    "no-effect": (
        Severity.WARNING,
        "A setting that changes nothing, such as Prefer= of a node that Nodes= leaves out.",
    ),
    "cycle": (
        Severity.ERROR,
        "Units wait for each other in a circle, across nodes or through local ordering.",
    ),
    "kill-mode": (
        Severity.ERROR,
        "KillMode=process or none on an exclusive unit: processes may outlive a stop.",
    ),
    "send-sigkill": (Severity.ERROR, "SendSIGKILL=no on an exclusive unit: processes may outlive a stop."),
    "refuse-manual": (
        Severity.ERROR,
        "RefuseManualStart= or RefuseManualStop=: the agent's own jobs are refused.",
    ),
    "gate-removed": (Severity.ERROR, "A drop-in that takes the generated conditions away again."),
    "accept-socket": (
        Severity.ERROR,
        "An annotated template that a socket with Accept=yes starts per connection.",
    ),
    "pausable-node": (
        Severity.WARNING,
        "An exclusive unit on a virtual machine: no lease covers a pause; the node needs a fence device.",
    ),
    "binds-to-without-after": (Severity.WARNING, "BindsTo= without After=: the start does not wait."),
    "requires-without-after": (Severity.INFO, "Requires= without After=: both start at the same time."),
    "local-requires": (
        Severity.WARNING,
        "A local Requires= or Requisite= on an annotated unit: it holds also where that unit is skipped.",
    ),
    "unannotated-dependency": (
        Severity.WARNING,
        "A dependency on a unit that the cluster does not manage here.",
    ),
    "oneshot-provider": (
        Severity.WARNING,
        "Others need a Type=oneshot unit without RemainAfterExit=yes, which is never active for long.",
    ),
    "no-readiness": (Severity.INFO, "Others are ordered after a service whose Type= signals no readiness."),
    "stop-when-unneeded": (
        Severity.WARNING,
        "StopWhenUnneeded=: systemd does not see the units of other nodes that need it.",
    ),
}
"""Code -> (usual severity, meaning)."""


def finding(
    code: str, message: str, *, file: str = "", line: int = 0, unit: str = "", hint: str = ""
) -> Finding:
    """Make a finding with the severity that ``CODES`` gives; an unlisted code is a KeyError, hence a bug."""
    severity = CODES[code][0]
    return Finding(code=code, severity=severity, file=file, line=line, unit=unit, message=message, hint=hint)
