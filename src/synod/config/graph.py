# SPDX-License-Identifier: LGPL-2.1-or-later
"""The orderings between all units in view, local ones and annotated ones, and the circles in them.

Decides which local orderings matter: those that are written, and the implicit ones of systemd.unit(5),
systemd.target(5), systemd.service(5) and their like, since a unit of the cluster waits for the agent, which
waits for the basic system. Reports a circle only when an annotation is part of it: the others are systemd's
own business, which breaks them. Source for the components: Tarjan, Depth-first search and linear graph
algorithms, 1972.
"""

from collections import deque
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from synod.base.ids import UnitName
from synod.config.load import LoadedUnit
from synod.config.specifiers import Host, split_name
from synod.config.values import parse_boolean

ANCHOR: Final = UnitName("synod.target")
"""Every annotated unit comes after it, and it after the agent."""

_IMPLICIT_AFTER: Final[Mapping[str, tuple[str, ...]]] = {
    "service": ("sysinit.target", "basic.target"),
    "socket": ("sysinit.target",),
    "timer": ("sysinit.target",),
    "path": ("sysinit.target",),
}
_IMPLICIT_BEFORE: Final[Mapping[str, tuple[str, ...]]] = {
    "socket": ("sockets.target",),
    "timer": ("timers.target",),
    "path": ("paths.target",),
    "swap": ("swap.target",),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Edge:
    """``later`` is not started before ``earlier`` is up; ``file`` is empty for what systemd adds itself."""

    later: str
    earlier: str
    file: str = ""
    line: int = 0
    is_annotated: bool = False


def order(units: Mapping[UnitName, LoadedUnit], host: Host) -> list[Edge]:
    """Return every ordering between the units, in order of their names."""
    found: dict[tuple[str, str], Edge] = {}
    for name in sorted(units):
        unit = units[name]
        for edge in (*_annotated(unit), *_written(unit, host), *_implicit(unit, units, host)):
            kept = found.get((edge.later, edge.earlier))
            if edge.later != edge.earlier and (
                kept is None or (edge.is_annotated and not kept.is_annotated)
            ):
                found[edge.later, edge.earlier] = edge
    return list(found.values())


def cycles(edges: list[Edge]) -> Iterator[tuple[Edge, ...]]:
    """Yield a shortest circle through each annotated ordering that is in one, each set of units once."""
    onward: dict[str, list[Edge]] = {}
    for edge in edges:
        onward.setdefault(edge.later, []).append(edge)
    component = _components(onward)
    seen: dict[tuple[str, ...], bool] = {}
    for edge in edges:
        if not edge.is_annotated or component.get(edge.later) != component.get(edge.earlier, -1):
            continue
        circle = (edge, *_path(onward, component, edge.earlier, edge.later))
        members = tuple(sorted(step.later for step in circle))
        if not seen.setdefault(members, False):
            seen[members] = True
            yield circle


def _annotated(unit: LoadedUnit) -> Iterator[Edge]:
    if unit.annotation is None:
        return
    origin = unit.annotation
    yield Edge(later=unit.name, earlier=ANCHOR, file=origin.file, line=origin.line, is_annotated=True)
    for mention in origin.of("After"):
        yield Edge(
            later=unit.name, earlier=mention.value, file=mention.file, line=mention.line, is_annotated=True
        )
    for mention in origin.of("Before"):
        yield Edge(
            later=mention.value, earlier=unit.name, file=mention.file, line=mention.line, is_annotated=True
        )


def _written(unit: LoadedUnit, host: Host) -> Iterator[Edge]:
    for name, file, assignment in unit.names("Unit", "After", host):
        yield Edge(later=unit.name, earlier=name, file=file.path, line=assignment.line)
    for name, file, assignment in unit.names("Unit", "Before", host):
        yield Edge(later=name, earlier=unit.name, file=file.path, line=assignment.line)


def _implicit(unit: LoadedUnit, units: Mapping[UnitName, LoadedUnit], host: Host) -> Iterator[Edge]:
    if not has_default_dependencies(unit):
        return
    kind = split_name(unit.name).suffix
    for name in _IMPLICIT_AFTER.get(kind, ()):
        yield Edge(later=unit.name, earlier=name)
    for name in (*_IMPLICIT_BEFORE.get(kind, ()), *_mount_target(unit, kind)):
        yield Edge(later=name, earlier=unit.name)
    if kind != "target":
        return
    pulled = [name for key in ("Wants", "Requires", "BindsTo") for name in _names(unit, key, host)]
    later = _names(unit, "Before", host)
    for name in (*pulled, *(other for _, other in unit.pulled_in)):
        other = units.get(UnitName(name))
        # As systemd: not when either side renounces it, or says the opposite.
        is_opposite = name in later or (other and unit.name in _names(other, "After", host))
        if other and not is_opposite and has_default_dependencies(other):
            yield Edge(later=unit.name, earlier=name)


def _names(unit: LoadedUnit, key: str, host: Host) -> tuple[str, ...]:
    return tuple(name for name, _, _ in unit.names("Unit", key, host))


def has_default_dependencies(unit: LoadedUnit) -> bool:
    """Return whether systemd adds its default dependencies to the unit."""
    return parse_boolean(unit.value("Unit", "DefaultDependencies")) is not False


def _mount_target(unit: LoadedUnit, kind: str) -> tuple[str, ...]:
    """Return the target that waits for a mount unit, if any."""
    if kind != "mount":
        return ()
    options = unit.value("Mount", "Options").split(",")
    if "nofail" in options:
        return ()
    is_remote = "_netdev" in options or unit.value("Mount", "Type").startswith(
        ("nfs", "cifs", "ceph", "gluster")
    )
    return ("remote-fs.target",) if is_remote else ("local-fs.target",)


def _path(
    onward: Mapping[str, list[Edge]], component: Mapping[str, int], start: str, end: str
) -> list[Edge]:
    """Return a shortest way between two units of one component; there is one, and it does not leave it."""
    came_by: dict[str, Edge] = {}
    queue = deque([start])
    while queue and end not in came_by:
        for edge in onward.get(queue.popleft(), ()):
            if (
                edge.earlier not in came_by
                and edge.earlier != start
                and component[edge.earlier] == component[start]
            ):
                came_by[edge.earlier] = edge
                queue.append(edge.earlier)
    steps: list[Edge] = []
    while end != start:
        steps.append(came_by[end])
        end = steps[-1].later
    return steps[::-1]


def _components(onward: Mapping[str, list[Edge]]) -> dict[str, int]:
    """Return the number of the strongly connected component of every unit; without recursion."""
    index: dict[str, int] = {}
    low: dict[str, int] = {}
    component: dict[str, int] = {}
    stack: list[str] = []
    for root in onward:
        if root in index:
            continue
        work = [(root, iter(onward.get(root, ())))]
        index[root] = low[root] = len(index)
        stack.append(root)
        while work:
            name, rest = work[-1]
            for edge in rest:
                other = edge.earlier
                if other not in index:
                    index[other] = low[other] = len(index)
                    stack.append(other)
                    work.append((other, iter(onward.get(other, ()))))
                    break
                if other not in component:
                    low[name] = min(low[name], index[other])
            else:
                work.pop()
                if work:
                    low[work[-1][0]] = min(low[work[-1][0]], low[name])
                if low[name] == index[name]:
                    _close(stack, component, name)
    return component


def _close(stack: list[str], component: dict[str, int], name: str) -> None:
    number = len(component)
    while True:
        member = stack.pop()
        component[member] = number
        if member == name:
            return
