# SPDX-License-Identifier: LGPL-2.1-or-later
"""The settings of synod.conf(5): one row each.

Decides names, notations and defaults; the man page and the shipped file are made from these rows. Refuses to
know where files are found; that is ``settings``'s.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from synod.base.usec import Usec, format_span
from synod.config.values import choice, parse_address, parse_port, parse_timeout
from synod.ledger.timing import Timing
from synod.model.spec import DEPENDENCY_TIMEOUT_DEFAULT

Value = str | int | Usec

LOG_LEVELS: Final = ("debug", "info", "notice", "warning", "err")

_TIMING: Final = Timing()


@dataclass(frozen=True, slots=True, kw_only=True)
class Setting:
    """One row: ``[section] key=``, the field of Settings that it sets, and what the man page says.

    Spans are microseconds. An empty assignment brings the default back.
    """

    section: str
    key: str
    field: str
    parse: Callable[[str], Value]
    default: Value
    help: str
    version: str = "0.1"

    @property
    def default_text(self) -> str:
        """The default as one would write it in the file."""
        return format_span(Usec(int(self.default))) if self.key.endswith("Sec") else str(self.default)


SETTINGS: Final[tuple[Setting, ...]] = (
    Setting(
        section="Cluster",
        key="Address",
        field="address",
        parse=parse_address,
        default="",
        help="Takes an IP address of this node, at which the others reach it. Defaults to that of the route"
        " to them.",
    ),
    Setting(
        section="Cluster",
        key="Port",
        field="port",
        parse=parse_port,
        default=8470,
        help="Takes a port number, on which this node listens, TCP and UDP.",
    ),
    Setting(
        section="Log",
        key="HeartbeatSec",
        field="heartbeat_usec",
        parse=parse_timeout,
        default=_TIMING.heartbeat,
        help="Takes a time span: how often the leader is heard by the other voters.",
    ),
    Setting(
        section="Log",
        key="ElectionTimeoutSec",
        field="election_timeout_usec",
        parse=parse_timeout,
        default=_TIMING.election_min,
        help="Takes a time span: a voter that has not heard the leader for so long, and up to half as long"
        " again, asks for votes. At least twice HeartbeatSec=, and 150ms.",
    ),
    Setting(
        section="Agent",
        key="LogLevel",
        field="log_level",
        parse=choice(*LOG_LEVELS),
        default="info",
        help=f"Takes one of {', '.join(LOG_LEVELS)}: less important messages are dropped.",
    ),
    Setting(
        section="Defaults",
        key="DependencyTimeoutSec",
        field="dependency_timeout_usec",
        parse=parse_timeout,
        default=DEPENDENCY_TIMEOUT_DEFAULT,
        help="Takes a time span: how long a start waits for dependencies on other nodes, unless the unit"
        " says it. To be the same on all nodes.",
    ),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """What synod.conf(5) amounts to; a field for each row of ``SETTINGS``."""

    address: str
    port: int
    heartbeat_usec: Usec
    election_timeout_usec: Usec
    log_level: str
    dependency_timeout_usec: Usec

    def timing(self) -> Timing:
        """Return the periods of the log; raise ValueError when they do not go together."""
        start = self.election_timeout_usec
        return Timing(heartbeat=self.heartbeat_usec, election_min=start, election_max=Usec(start * 3 // 2))


def render_defaults() -> str:
    """Return the text of the shipped synod.conf: every setting as a comment, with its default."""
    lines = ["# SPDX-License-Identifier: LGPL-2.1-or-later", "# See synod.conf(5); these are the defaults."]
    section = ""
    for setting in SETTINGS:
        if setting.section != section:
            section = setting.section
            lines += ["", f"[{section}]"]
        lines.append(f"#{setting.key}={setting.default_text}")
    return "\n".join(lines) + "\n"
