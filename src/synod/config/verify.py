# SPDX-License-Identifier: LGPL-2.1-or-later
"""``synodctl verify``: what is wrong with the annotations on this machine, without an agent or systemd.

Decides which combinations of annotations and of systemd's own settings cannot work, or would work only
sometimes; the reasons are in ``finding.CODES``. Refuses to know what other nodes have: a dependency that is
not here may well be there, hence a warning. Sources: systemd.unit(5), systemd.kill(5), systemd.service(5).
"""

import difflib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from synod.base.ids import UnitName, is_unit_name
from synod.config import graph
from synod.config.annotation import SECTION, Annotation, Mention, is_own_unit
from synod.config.dropins import UnitIndex, scan
from synod.config.finding import Finding, Severity, finding
from synod.config.ini import IniFile
from synod.config.load import LoadedUnit, host_below, load_unit, parse_unit
from synod.config.specifiers import Host, split_name
from synod.model.attributes import NAME, Operator
from synod.model.spec import UnitSpec

DROPIN: Final = "zzzz-synod.conf"
SAMPLE_INSTANCE: Final = "instance"
"""Stands for the instances of a template that nothing names."""

_NO_TYPE: Final = ("simple", "exec", "idle")
_NEEDS: Final = {"Requires": "requires-without-after", "BindsTo": "binds-to-without-after"}
_EXCLUSIVE_KEYS: Final = (
    "Prefer", "Stickiness", "Priority", "ColocateWith", "SeparateFrom", "FailureLimit", "FailureExpireSec",
)  # fmt: skip
"""Keys about where an instance goes: those of Instances=all are everywhere."""
_EDGES: Final = ("Requires", "BindsTo", "Wants", "After", "Before", "ColocateWith", "SeparateFrom")


def verify(
    root: Path = Path("/"), files: Sequence[Path] | None = None, *, virtualization: str = ""
) -> list[Finding]:
    """Check all units below a root, or the given unit files and drop-ins in the midst of those.

    With files, findings about others are left out, unless a circle goes through a unit of theirs.
    ``virtualization`` is what systemd-detect-virt --vm says, empty when unknown. Sorted by file and line.
    """
    host = host_below(root)
    index = scan(root)
    units = _load_all(index, host)
    subjects = dict.fromkeys(units)
    findings: list[Finding] = []
    if files is not None:
        subjects = dict.fromkeys(
            name for path in files for name in _insert(path, index, units, host, findings)
        )
    view = _View(units=units, index=index, host=host, virtualization=virtualization)
    for name in subjects:
        findings += view.check(units[name])
    findings += view.check_cycles(subjects)
    findings += _type_wide(index) if files is None else ()
    return sorted(
        dict.fromkeys(findings), key=lambda found: (found.file, found.line, found.unit, found.code)
    )


def _load_all(index: UnitIndex, host: Host) -> dict[UnitName, LoadedUnit]:
    names = dict.fromkeys(index.unit_names())
    for name in tuple(names):
        parts = split_name(name)
        if parts.instance == "":
            del names[name]
            begin, end = f"{parts.prefix}@", f".{parts.suffix}"
            if not any(other.startswith(begin) and other.endswith(end) and other != name for other in names):
                names[f"{parts.prefix}@{SAMPLE_INSTANCE}.{parts.suffix}"] = None
    loaded = (load_unit(index, name, host) for name in sorted(names))
    units = {unit.name: unit for unit in loaded}
    while named := [name for name in _instances_named_by(units.values(), index) if name not in units]:
        units |= {name: load_unit(index, name, host) for name in named}
    return units


def _instances_named_by(units: Iterable[LoadedUnit], index: UnitIndex) -> Iterator[UnitName]:
    """Instances that exist because an annotation names them, and a template makes them."""
    annotations = [unit.annotation for unit in units if unit.annotation is not None]
    mentions = (mention for found in annotations for key in _EDGES for mention in found.of(key))
    for name in dict.fromkeys(mention.value for mention in mentions):
        if split_name(name).instance and index.resolve(name) == name and index.find(name).fragment:
            yield UnitName(name)


def _insert(
    path: Path, index: UnitIndex, units: dict[UnitName, LoadedUnit], host: Host, findings: list[Finding]
) -> Iterator[UnitName]:
    """Put a file into the view, in place of what is installed of that name; yield the unit it is part of."""
    path = path.absolute()
    if not path.is_file():
        findings.append(finding("unreadable", "no such file", file=str(path)))
        return
    is_dropin = path.suffix == ".conf" and path.parent.suffix == ".d"
    stem = path.parent.name.removesuffix(".d") if is_dropin else path.name
    if not is_unit_name(stem):
        findings.append(finding("unreadable", "neither a unit file nor a drop-in of a unit", file=str(path)))
        return
    parts = split_name(stem)
    name = f"{parts.prefix}@{SAMPLE_INSTANCE}.{parts.suffix}" if parts.instance == "" else stem
    installed = index.find(name)
    if is_dropin:
        fragment = installed.fragment
        others = [dropin for dropin in installed.dropins if dropin.name != path.name]
        dropins = sorted([*others, path], key=lambda dropin: dropin.name)
    else:
        fragment, dropins = path, list(installed.dropins)
    unit = parse_unit(fragment, dropins, unit=UnitName(name), host=host)
    units[unit.name] = unit
    yield unit.name


def _type_wide(index: UnitIndex) -> Iterator[Finding]:
    """Drop-ins for all units of a type: no unit is annotated by them, so they are told here."""
    for directory, stem in index.dropin_files:
        if is_unit_name(stem):
            continue
        paths = [directory / f"{stem}.d" / file for file in index.dropin_files[directory, stem]]
        for file in parse_unit(None, paths, unit=UnitName(f"all.{stem}")).files:
            for header in file.headers:
                if header.name == SECTION:
                    message = f"[X-Synod] cannot be given to all units of type {stem}"
                    hint = "use a drop-in of each unit"
                    yield finding("type-wide", message, file=file.path, line=header.line, hint=hint)


@dataclass(frozen=True, slots=True, kw_only=True)
class _View:
    """All units, against which each one is checked."""

    units: Mapping[UnitName, LoadedUnit]
    index: UnitIndex
    host: Host
    virtualization: str

    def check(self, unit: LoadedUnit) -> Iterator[Finding]:
        """Yield everything about one unit but circles."""
        yield from unit.findings
        yield from _section_typos(unit)
        annotation = unit.annotation
        if annotation is None:
            yield from self.local_requires(unit)
            return
        yield from annotation.findings
        if unit.fragment is None and not unit.is_masked:
            message = "annotated by a drop-in, but no unit file of that name is here"
            yield finding("no-fragment", message, file=annotation.file, line=annotation.line, unit=unit.name)
        yield from self.edges(unit, annotation)
        yield from self.placement(unit, annotation)
        yield from self.settings(unit, annotation)
        yield from self.provider(unit)
        yield from self.local_requires(unit)

    def edges(self, unit: LoadedUnit, annotation: Annotation) -> Iterator[Finding]:
        """Dependencies that lead nowhere, or that do not wait."""
        ordered = dict.fromkeys(mention.value for mention in annotation.of("After"))
        seen: dict[str, bool] = {}
        for key in _EDGES:
            for mention in annotation.of(key):
                name = mention.value
                if name not in seen:
                    seen[name] = True
                    yield from self.target(unit, mention)
                if key in _NEEDS and name not in ordered:
                    yield _said(
                        mention, unit, _NEEDS[key], f"{key}={name} does not wait for it", f"add After={name}"
                    )

    def target(self, unit: LoadedUnit, mention: Mention) -> Iterator[Finding]:
        """A dependency whose other end the cluster does not know, as far as this node can tell."""
        key, name = mention.key, mention.value
        target = self.index.resolve(name)
        other = self.units.get(UnitName(target))
        if target != name:
            message = f"{key}={name} is another name of {target}"
            yield _said(mention, unit, "alias", message, f"write {key}={target}")
        elif (other is None or other.annotation is None) and not is_own_unit(name):
            what = "has no [X-Synod] section" if other else "is not known"
            yield _said(mention, unit, "unannotated-dependency", f"{key}={name} {what} on this node")

    def placement(self, unit: LoadedUnit, annotation: Annotation) -> Iterator[Finding]:
        """Wishes that no placement can fulfil."""
        apart = dict.fromkeys(mention.value for mention in annotation.of("SeparateFrom"))
        nodes = dict.fromkeys(mention.value for mention in annotation.of("Nodes"))
        for mention in annotation.of("ColocateWith"):
            if mention.value in apart:
                yield _said(mention, unit, "contradiction", f"both with and apart from {mention.value}")
            other = self.units.get(UnitName(mention.value))
            theirs = [m.value for m in other.annotation.of("Nodes")] if other and other.annotation else []
            if nodes and theirs and not any(node in nodes for node in theirs):
                message = f"ColocateWith={mention.value}, which may run on none of the same nodes"
                yield _said(mention, unit, "disjoint-nodes", message)
        if annotation.spec:
            yield from _eligibility(unit, annotation, annotation.spec)
            yield from _idle_wishes(unit, annotation, annotation.spec)

    def settings(self, unit: LoadedUnit, annotation: Annotation) -> Iterator[Finding]:
        """Settings of systemd's that break what the cluster promises for the unit."""
        if annotation.spec and annotation.spec.is_exclusive:
            yield from self.exclusive(unit, annotation)
        for key in ("RefuseManualStart", "RefuseManualStop"):
            if unit.is_true("Unit", key):
                yield _at(unit, "refuse-manual", "Unit", key, "the agent's jobs would be refused")
        if unit.is_true("Unit", "StopWhenUnneeded"):
            message = "units of other nodes that need it do not count"
            yield _at(unit, "stop-when-unneeded", "Unit", "StopWhenUnneeded", message)
        yield from _gate_removed(unit)
        socket = self.accepting_socket(unit)
        if socket:
            message = f"{socket} starts an instance for each connection; those cannot be placed"
            yield finding(
                "accept-socket", message, file=annotation.file, line=annotation.line, unit=unit.name
            )

    def exclusive(self, unit: LoadedUnit, annotation: Annotation) -> Iterator[Finding]:
        """Settings that may leave a process of a stopped unit behind."""
        section = split_name(unit.name).suffix.title()
        if unit.value(section, "KillMode") in ("process", "none"):
            yield _at(unit, "kill-mode", section, "KillMode", "processes may outlive a stop of the unit")
        if unit.last(section, "SendSIGKILL") and not unit.is_true(section, "SendSIGKILL"):
            yield _at(
                unit, "send-sigkill", section, "SendSIGKILL", "processes may outlive a stop of the unit"
            )
        if self.virtualization not in ("", "none"):
            message = (
                f"this node is a virtual machine ({self.virtualization}), whose pauses no lease can see"
            )
            hint = "give the node a fence device"
            yield finding(
                "pausable-node",
                message,
                file=annotation.file,
                line=annotation.line,
                unit=unit.name,
                hint=hint,
            )

    def accepting_socket(self, unit: LoadedUnit) -> str:
        """Return the socket that starts instances of the unit's template for each connection, if any."""
        parts = split_name(unit.name)
        name = UnitName(f"{parts.prefix}.socket")
        socket = self.units.get(name)
        is_started = parts.instance is not None and parts.suffix == "service" and socket is not None
        return name if is_started and socket and socket.is_true("Socket", "Accept") else ""

    def provider(self, unit: LoadedUnit) -> Iterator[Finding]:
        """Services that others wait for, and that do not say when they are ready, or do not stay up."""
        if not unit.name.endswith(".service") or unit.fragment is None:
            return
        kind = unit.value("Service", "Type") or ("dbus" if unit.value("Service", "BusName") else "simple")
        is_oneshot = kind == "oneshot" or (not unit.value("Service", "ExecStart") and kind == "simple")
        needing = self.dependants(unit.name, ("Requires", "BindsTo"))
        waiting = self.dependants(unit.name, ("After",))
        if needing and is_oneshot and not unit.is_true("Service", "RemainAfterExit"):
            message = f"{needing[0]} needs it, and it is not active once its commands have ended"
            yield _at(unit, "oneshot-provider", "Service", "Type", message, hint="add RemainAfterExit=yes")
        elif waiting and not is_oneshot and kind in _NO_TYPE:
            message = f"{waiting[0]} waits for it, and Type={kind} does not say when it is ready"
            yield _at(unit, "no-readiness", "Service", "Type", message, hint="use Type=notify")

    def dependants(self, name: UnitName, keys: Iterable[str]) -> list[str]:
        """Return the annotated units that name a unit under one of the keys."""
        return [
            other.name
            for other in self.units.values()
            if other.annotation
            and any(mention.value == name for key in keys for mention in other.annotation.of(key))
        ]

    def local_requires(self, unit: LoadedUnit) -> Iterator[Finding]:
        """Local requirements of annotated units: a skipped start counts as done, on any node."""
        for key in ("Requires", "Requisite"):
            for name, file, assignment in unit.names("Unit", key, self.host):
                yield from self.local_requirement(unit, key, name, file, assignment.line)
        for kind, name in unit.pulled_in:
            if kind == "Requires":
                yield from self.local_requirement(unit, kind, name, None, 0)

    def local_requirement(
        self, unit: LoadedUnit, key: str, name: str, file: IniFile | None, line: int
    ) -> Iterator[Finding]:
        """Check one of them."""
        other = self.units.get(UnitName(self.index.resolve(name)))
        if other is None or other.annotation is None or is_own_unit(unit.name):
            return
        message = f"[Unit] {key}={name} is fulfilled also where {name} is not placed and does not run"
        hint = f"move it to [{SECTION}]" if unit.annotation else f"use BindsTo={name} and After={name}"
        path = file.path if file else f"{unit.name}.requires/{name}"
        yield finding("local-requires", message, file=path, line=line, unit=unit.name, hint=hint)

    def check_cycles(self, subjects: Iterable[UnitName]) -> Iterator[Finding]:
        """Circles of waiting, told once each, at the annotation that closes it."""
        asked = dict.fromkeys(subjects)
        for circle in graph.cycles(graph.order(self.units, self.host)):
            members = [edge.later for edge in circle]
            if not any(member in asked for member in members):
                continue
            edge = circle[0]
            told = " after ".join([*members, members[0]])
            local = [
                f"{step.file}:{step.line}" for step in circle[1:] if step.file and not step.is_annotated
            ]
            hint = f"local ordering in {', '.join(local)}" if local else ""
            yield finding("cycle", told, file=edge.file, line=edge.line, unit=edge.later, hint=hint)


def _eligibility(unit: LoadedUnit, annotation: Annotation, spec: UnitSpec) -> Iterator[Finding]:
    """Nodes=, AvoidNodes= and Where= that leave too few nodes, or none."""
    if spec.nodes:
        left = [node for node in spec.nodes if node not in spec.avoid_nodes]
        mention = next(annotation.of("AvoidNodes" if spec.avoid_nodes else "Nodes"))
        if not left:
            yield _said(mention, unit, "contradiction", "AvoidNodes= names all of Nodes=")
        elif (spec.instances or 0) > len(left):
            message = f"Instances={spec.instances}, and Nodes= leaves {len(left)}"
            yield _said(next(annotation.of("Nodes")), unit, "too-few-nodes", message)
    needed: dict[str, str] = {}
    for mention, condition in zip(annotation.of("Where"), spec.where, strict=True):
        if condition.operator is Operator.EQUAL:
            value = needed.setdefault(condition.attribute, condition.value)
            if value != condition.value:
                message = f"Where={condition} and {condition.attribute}={value} cannot both hold"
                yield _said(mention, unit, "contradiction", message)


def _idle_wishes(unit: LoadedUnit, annotation: Annotation, spec: UnitSpec) -> Iterator[Finding]:
    """Wishes that change nothing."""
    if not spec.is_exclusive:
        for key in _EXCLUSIVE_KEYS:
            for mention in annotation.of(key):
                yield _said(mention, unit, "no-effect", f"{key}= means nothing with Instances=all")
        return
    for mention, preference in zip(annotation.of("Prefer"), spec.prefer, strict=True):
        if preference.attribute != NAME:
            continue
        if spec.nodes and preference.value not in spec.nodes:
            yield _said(mention, unit, "no-effect", f"Prefer={preference}, and Nodes= leaves it out")
        elif preference.value in spec.avoid_nodes:
            yield _said(mention, unit, "no-effect", f"Prefer={preference}, and AvoidNodes= names it")


def _at(unit: LoadedUnit, code: str, section: str, key: str, message: str, *, hint: str = "") -> Finding:
    """Make a finding at the assignment that decides a key, or at the annotation when there is none."""
    found = unit.last(section, key)
    if found:
        file, assignment = found
        path, line, text = file.path, assignment.line, f"{key}={assignment.value[:80]}: {message}"
    else:
        path = unit.annotation.file if unit.annotation else ""
        line = unit.annotation.line if unit.annotation else 0
        text = message
    return finding(code, text, file=path, line=line, unit=unit.name, hint=hint)


def _said(mention: Mention, unit: LoadedUnit, code: str, message: str, hint: str = "") -> Finding:
    """Make a finding at the line that says something."""
    return finding(code, message, file=mention.file, line=mention.line, unit=unit.name, hint=hint)


def _gate_removed(unit: LoadedUnit) -> Iterator[Finding]:
    for file in unit.dropins:
        path = Path(file.path)
        if path.name == DROPIN and "run" not in path.parts[-5:-4]:
            message = "a drop-in of this name takes the place of the one that the generator makes"
            yield finding(
                "gate-removed", message, file=file.path, unit=unit.name, hint="rename or remove it"
            )
        if path.name <= DROPIN:
            continue
        for assignment in file.assignments:
            if (
                assignment.section == "Unit"
                and assignment.key.startswith("Condition")
                and not assignment.value
            ):
                message = f"the empty {assignment.key}= also removes the conditions of {DROPIN}"
                hint = "give the drop-in a name that sorts before it"
                yield finding(
                    "gate-removed", message, file=file.path, line=assignment.line, unit=unit.name, hint=hint
                )


def _section_typos(unit: LoadedUnit) -> Iterator[Finding]:
    for file in unit.files:
        for header in file.headers:
            if is_section_typo(header.name):
                message = f"[{header.name[:80]}] is ignored"
                yield finding(
                    "section-typo",
                    message,
                    file=file.path,
                    line=header.line,
                    unit=unit.name,
                    hint=f"did you mean [{SECTION}]?",
                )


def is_section_typo(name: str) -> bool:
    """Return whether a section name was probably meant to be X-Synod."""
    if name == SECTION:
        return False
    bare = name.strip().casefold().replace("_", "-")
    if bare in ("x-synod", "synod", "xsynod", "x-synodd", "x-synod-unit"):
        return True
    return len(name) <= len(SECTION) + 2 and difflib.SequenceMatcher(None, bare, "x-synod").ratio() > 0.8


def has_errors(findings: Iterable[Finding]) -> bool:
    """Return whether one of the findings keeps a unit from being placed."""
    return any(found.severity is Severity.ERROR for found in findings)
