# SPDX-License-Identifier: LGPL-2.1-or-later
"""The ``[X-Synod]`` sections of a unit's files -> a UnitSpec, or findings that say why there is none.

Decides the grammar of synod-unit(5): case-sensitive keys, lists that grow with each mention and are emptied
by an empty assignment, numbers where the last mention wins, specifiers. Any error leaves the unit without a
spec, and so without a grant: half an annotation would start a unit without what it needs. Refuses to know
whether the units that it names exist.
"""

import difflib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import PurePath
from typing import Any, Final

from synod.base.ids import UNIT_NAME_LENGTH_MAX, UNIT_TYPES, UnitName, is_node_name, is_unit_name
from synod.config.finding import Finding, Severity, finding
from synod.config.ini import Assignment, IniFile
from synod.config.specifiers import Host, expand, split_name
from synod.config.terms import (
    parse_condition,
    parse_failure_limit,
    parse_instances,
    parse_preference,
    parse_rogue_copy,
    parse_score,
    parse_stickiness,
)
from synod.config.values import parse_boolean, parse_timeout, words
from synod.model.attributes import Condition, Preference
from synod.model.spec import NAMES_MAX, UnitSpec

SECTION: Final = "X-Synod"

LIST_KEYS: Final[dict[str, str]] = {
    "After": "after", "Before": "before", "Requires": "requires", "Wants": "wants", "BindsTo": "binds_to",
    "ColocateWith": "colocate_with", "SeparateFrom": "separate_from", "Nodes": "nodes",
    "AvoidNodes": "avoid_nodes",
}  # fmt: skip
"""Key -> field of UnitSpec, for the keys that take a list of names."""

NODE_KEYS: Final = ("Nodes", "AvoidNodes")
"""Those that name nodes instead of units."""

TERM_KEYS: Final[dict[str, tuple[str, Callable[[str], Condition | Preference]]]] = {
    "Where": ("where", parse_condition), "Prefer": ("prefer", parse_preference),
}  # fmt: skip
"""Key -> (field of UnitSpec, parser of one word), for the keys that list attributes of nodes."""

SCALAR_KEYS: Final[dict[str, tuple[str, Callable[[str], int | None]]]] = {
    "Instances": ("instances", parse_instances),
    "Stickiness": ("stickiness", parse_stickiness),
    "Priority": ("priority", parse_score),
    "FailureLimit": ("failure_limit", parse_failure_limit),
    "FailureExpireSec": ("failure_expire_usec", parse_timeout),
    "RogueCopy": ("stops_rogue_copies", parse_rogue_copy),
    "DependencyTimeoutSec": ("dependency_timeout_usec", parse_timeout),
}
"""Key -> (field of UnitSpec, parser), for the keys of which the last mention counts."""

KEYS: Final = (*LIST_KEYS, *TERM_KEYS, *SCALAR_KEYS)

SYSTEMD_KEYS: Final = (
    "Requisite", "PartOf", "Upholds", "Conflicts", "OnFailure", "OnSuccess", "PropagatesReloadTo",
    "ReloadPropagatedFrom", "PropagatesStopTo", "StopPropagatedFrom", "StopWhenUnneeded", "JoinsNamespaceOf",
    "RequiresMountsFor",
)  # fmt: skip
"""Dependencies of systemd.unit(5) that [X-Synod] does not carry across nodes yet."""

OWN_UNITS: Final = (
    "synod.service", "synod.target", "synod-mirror@", "synod-bound@", "synod-await@", "synod-gate@",
    "synod-hold@", "synod-drain.", "synod-fuse.",
)  # fmt: skip
"""How the names of Synod's own units begin; synod-address@ is none of them, it is placed like any other."""

NAME_LENGTH_MAX: Final = UNIT_NAME_LENGTH_MAX - len("synod-mirror@.target")
"""The longest name that still leaves room for the names of a unit's guards and mirrors."""

UNSTARTABLE: Final = ("scope", "device")

_SHOWN_MAX: Final = 80


@dataclass(frozen=True, slots=True, kw_only=True)
class Mention:
    """Where the annotation names something: the value after expansion, and the line that says it."""

    key: str
    value: str
    file: str
    line: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Annotation:
    """What a unit's [X-Synod] sections amount to.

    ``spec`` is None when a finding is an error. ``mentions`` are those in effect: what an empty assignment
    took back is gone.
    """

    unit: UnitName
    spec: UnitSpec | None
    mentions: tuple[Mention, ...]
    findings: tuple[Finding, ...]
    file: str
    line: int
    """The first [X-Synod] header."""

    def of(self, key: str) -> Iterator[Mention]:
        """Yield the mentions of one key, in order."""
        return (mention for mention in self.mentions if mention.key == key)


def is_own_unit(name: str) -> bool:
    """Return whether the unit is one of Synod's own, which cannot wait for themselves."""
    return name.startswith(OWN_UNITS)


def is_type_wide(path: str) -> bool:
    """Return whether a drop-in is for every unit of a type, as in ``service.d/x.conf``."""
    return PurePath(path).parent.name.removesuffix(".d") in UNIT_TYPES


def parse_annotation(unit: UnitName, files: Sequence[IniFile], host: Host) -> Annotation | None:
    """Read the annotation of a unit from its fragment and drop-ins, in the order systemd reads them.

    Returns None when no file has an [X-Synod] section that counts. Never raises on what files say.
    """
    reader = _Reader(unit=unit, host=host)
    for file in files:
        reader.read(file)
    return reader.result(implicit_after=_has_implicit_after(unit, files))


@dataclass(slots=True, kw_only=True)
class _Reader:
    unit: UnitName
    host: Host
    lists: dict[str, dict[str, Mention]] = field(default_factory=dict)
    terms: dict[str, dict[str, Condition | Preference]] = field(default_factory=dict)
    values: dict[str, int | None] = field(default_factory=dict)
    scalars: dict[str, Mention] = field(default_factory=dict)
    findings: list[Finding] = field(default_factory=list)
    origin: tuple[str, int] | None = None

    def read(self, file: IniFile) -> None:
        line = next((header.line for header in file.headers if header.name == SECTION), 0)
        # The generator gates a unit whose file names the section beyond what can be read; so it is
        # annotated.
        line = line or (file.problems[-1].line if f"[{SECTION}]" in file.unread else 0)
        if not line or is_type_wide(file.path):
            return
        self.origin = self.origin or (file.path, line)
        for problem in file.problems:
            if problem.is_fatal or problem.section == SECTION:
                self.complain("syntax", file.path, problem.line, problem.message)
        for assignment in file.assignments:
            if assignment.section == SECTION:
                self.assign(assignment, file.path)

    def complain(self, code: str, file: str, line: int, message: str, *, hint: str = "") -> None:
        self.findings.append(finding(code, message, file=file, line=line, unit=self.unit, hint=hint))

    def assign(self, assignment: Assignment, file: str) -> None:
        key = assignment.key
        if key in LIST_KEYS:
            self.extend(assignment, file)
        elif key in TERM_KEYS:
            self.extend_terms(assignment, file)
        elif key in SCALAR_KEYS:
            self.scalar(assignment, file)
        elif key in SYSTEMD_KEYS:
            self.complain(
                "unsupported-key",
                file,
                assignment.line,
                f"{key}= is not supported in [X-Synod] yet",
                hint="it keeps working in [Unit], on one node",
            )
        elif not key.startswith("X-"):
            self.complain(
                "unknown-key",
                file,
                assignment.line,
                f"'{key[:_SHOWN_MAX]}=' is not a key of [X-Synod]",
                hint=_suggest(key),
            )

    def extend(self, assignment: Assignment, file: str) -> None:
        key = assignment.key
        names = self.lists.setdefault(key, {})
        if not assignment.value:
            names.clear()
        check = _node_problem if key in NODE_KEYS else self.unit_problem
        for word in words(assignment.value):
            try:
                name = expand(word, self.unit, self.host)
                problem = check(name)
            except ValueError as error:
                name, problem = word, str(error)
            if problem:
                self.complain_of_value(file, assignment, word, problem)
                continue
            if name == self.unit:
                self.complain("self-dependency", file, assignment.line, f"{key}={name} is the unit itself")
                continue
            names.setdefault(name, Mention(key=key, value=name, file=file, line=assignment.line))
            if is_own_unit(name) and key not in NODE_KEYS:
                self.complain(
                    "own-unit", file, assignment.line, f"{key}={name} names one of Synod's own units"
                )
        if len(names) > NAMES_MAX:
            self.complain("bad-value", file, assignment.line, f"{key}= lists more than {NAMES_MAX} names")
            names.clear()

    def extend_terms(self, assignment: Assignment, file: str) -> None:
        """Add conditions or preferences; of two preferences for the same the later one counts."""
        key, parse = assignment.key, TERM_KEYS[assignment.key][1]
        terms, names = self.terms.setdefault(key, {}), self.lists.setdefault(key, {})
        if not assignment.value:
            terms.clear()
            names.clear()
        for word in words(assignment.value):
            try:
                term = parse(expand(word, self.unit, self.host))
            except ValueError as error:
                self.complain_of_value(file, assignment, word, str(error))
                continue
            name = term.term if isinstance(term, Preference) else str(term)
            terms[name] = term
            names[name] = Mention(key=key, value=str(term), file=file, line=assignment.line)
        if len(terms) > NAMES_MAX:
            self.complain("bad-value", file, assignment.line, f"{key}= lists more than {NAMES_MAX} terms")
            terms.clear()

    def scalar(self, assignment: Assignment, file: str) -> None:
        key, value = assignment.key, assignment.value
        name, parse = SCALAR_KEYS[key]
        self.scalars[key] = Mention(key=key, value=value, file=file, line=assignment.line)
        self.values.pop(name, None)
        if value:
            try:
                self.values[name] = parse(value)
            except ValueError as error:
                self.complain_of_value(file, assignment, value, str(error))

    def complain_of_value(self, file: str, assignment: Assignment, word: str, problem: str) -> None:
        text = f"{assignment.key}={word[:_SHOWN_MAX]}: {problem}"
        self.complain("bad-value", file, assignment.line, text)

    def unit_problem(self, name: str) -> str:
        """Return what keeps a word from naming a unit, or an empty string."""
        if not is_unit_name(name):
            return _unit_name_problem(name)
        if split_name(name).instance == "":
            return f"'{name}' is a template; name one of its instances"
        if len(name) > NAME_LENGTH_MAX:
            return f"the name has {len(name)} characters, more than {NAME_LENGTH_MAX}"
        return ""

    def result(self, *, implicit_after: bool) -> Annotation | None:
        if self.origin is None:
            return None
        file, line = self.origin
        if is_own_unit(self.unit):
            self.complain("own-unit", file, line, "Synod's own units cannot be annotated")
        if split_name(self.unit).suffix in UNSTARTABLE:
            self.complain("unit-type", file, line, "units of this type cannot be started, nor placed")
        if len(self.unit) > NAME_LENGTH_MAX:
            message = f"the name has {len(self.unit)} characters, more than {NAME_LENGTH_MAX}"
            self.complain("name-too-long", file, line, message)
        mentions = [mention for names in self.lists.values() for mention in names.values()]
        if implicit_after:
            mentions += self.implicit_after()
        is_broken = any(found.severity is Severity.ERROR for found in self.findings)
        spec = None if is_broken else self.spec(mentions)
        return Annotation(
            unit=self.unit,
            spec=spec,
            mentions=(*mentions, *self.scalars.values()),
            findings=tuple(self.findings),
            file=file,
            line=line,
        )

    def spec(self, mentions: Sequence[Mention]) -> UnitSpec:
        """Put the fields together; their parsers have let nothing pass that UnitSpec refuses."""
        fields: dict[str, Any] = {"dependency_timeout_usec": self.host.dependency_timeout_usec}
        for key, name in LIST_KEYS.items():
            fields[name] = tuple(mention.value for mention in mentions if mention.key == key)
        for key, (name, _) in TERM_KEYS.items():
            fields[name] = tuple(self.terms.get(key, {}).values())
        return UnitSpec(unit=self.unit, **fields | self.values)

    def implicit_after(self) -> list[Mention]:
        """Targets come after what they pull in, as systemd orders them, unless they say Before=."""
        ordered = {**self.lists.get("Before", {}), **self.lists.get("After", {})}
        pulled = [m for key in ("Requires", "BindsTo", "Wants") for m in self.lists.get(key, {}).values()]
        implied = {m.value: Mention(key="After", value=m.value, file=m.file, line=m.line) for m in pulled}
        return [mention for name, mention in implied.items() if name not in ordered]


def _has_implicit_after(unit: UnitName, files: Sequence[IniFile]) -> bool:
    """Return whether systemd would give the unit the default ordering of a target."""
    if not unit.endswith(".target"):
        return False
    has_defaults = True
    for file in files:
        for assignment in file.assignments:
            if (assignment.section, assignment.key) == ("Unit", "DefaultDependencies"):
                has_defaults = parse_boolean(assignment.value) is not False
    return has_defaults


def _node_problem(name: str) -> str:
    return (
        ""
        if is_node_name(name)
        else f"'{name[:_SHOWN_MAX]}' is not a node name: the first label of a host name"
    )


def _unit_name_problem(name: str) -> str:
    shown = name[:_SHOWN_MAX]
    if is_unit_name(f"{name}.service"):
        return f"'{shown}' is not a unit name; did you mean '{shown}.service'?"
    return f"'{shown}' is not a unit name"


def _suggest(key: str) -> str:
    folded = {known.casefold(): known for known in KEYS}
    close = difflib.get_close_matches(key[:_SHOWN_MAX].casefold(), folded, n=1, cutoff=0.6)
    return f"did you mean {folded[close[0]]}=?" if close else "see synod-unit(5) for those it has"
