# SPDX-License-Identifier: LGPL-2.1-or-later
"""A stage for plans: a cluster in words, then what happens to it, and after each event what is decided.

    nodes a b c                     nodes that are online
    unit db.service                 a unit that all of them have, and below it, indented, its [X-Synod] keys
    > start db.service              an event; then, as explain() says it, what follows from it

Events: start U, stop U, move U N, drain N, undrain N, lost N, online N, set N ATTRIBUTE=VALUE, up U N (the
agent saw it), failed U N, ended U N, stopped U N (what their agents prove), forget U N, nothing.
"""

from collections.abc import Callable

from synod.base.ids import Epoch, NodeName, UnitName
from synod.config.annotation import parse_annotation
from synod.config.ini import parse
from synod.config.specifiers import Host
from synod.model.command import (
    AddToken,
    Command,
    Desired,
    DrainNode,
    Ending,
    ForgetFailures,
    Found,
    Join,
    MoveUnit,
    NodeState,
    Observation,
    Observe,
    Release,
    ReportSpecs,
    RoleWish,
    SetAttribute,
    SetNode,
    SpecReport,
    Wish,
)
from synod.model.spec import UnitSpec
from synod.model.state import ClusterState
from synod.planner.explain import explain
from synod.planner.plan import decide, plan


class Stage:
    """One cluster and its log."""

    def __init__(self) -> None:
        self.state = ClusterState()
        self._index = 0

    def add(self, command: Command) -> None:
        self._index += 1
        change = self.state.apply(command, self._index)
        assert not change.refusal, change.refusal

    def node(self, name: NodeName) -> None:
        keys = {"node": name, "address": name, "port": 1, "fingerprint": name}
        if not self.state.nodes:
            self.add(Found(cluster="c", cluster_id="i", **keys))  # type: ignore[arg-type]
        else:
            self.add(AddToken(token=name, secret_hash=b"s"))
            join = Join(token=name, secret_hash=b"s", role=RoleWish.AUTOMATIC, **keys)  # type: ignore[arg-type]
            self.add(join)
        self.add(SetNode(node=name, state=NodeState.ONLINE, boot="1"))

    def unit(self, spec: UnitSpec) -> None:
        for name in self.state.nodes:
            self.add(ReportSpecs(node=name, reports=(SpecReport(unit=spec.unit, spec=spec),)))

    def happen(self, words: list[str]) -> list[str]:
        """Let something happen, and return what is decided until nothing is left to decide."""
        command = EVENTS[words[0]](self, *words[1:])
        if command is not None:
            self.add(command)
        return self.settle()

    def settle(self) -> list[str]:
        said: list[str] = []
        units = list(self.state.rows)
        for _ in range(10):
            said += [line for line in explain(decide(self.state, units)) if line not in said]
            found = plan(self.state, units)
            if found is None:
                return said
            self.add(found)
        raise AssertionError("planning does not come to rest")

    def release(self, unit: str, node: str, ending: Ending) -> Release:
        grant = self.state.rows[UnitName(unit)].grant_on(NodeName(node))
        assert grant is not None, f"{unit} has no grant on {node}"
        return Release(
            unit=UnitName(unit), node=NodeName(node), epoch=Epoch(grant.epoch), ending=ending, reason=ending
        )


def _wish(desired: Desired) -> Callable[..., Command]:
    return lambda stage, unit: Wish(unit=unit, desired=desired, node=next(iter(stage.state.nodes)))


def _set(stage: Stage, node: str, word: str) -> Command:
    name, _, value = word.partition("=")
    return SetAttribute(node=NodeName(node), name=name, value=value)


def _forget(stage: Stage, unit: str, node: str) -> Command:
    count = stage.state.rows[UnitName(unit)].setbacks[NodeName(node)].count
    return ForgetFailures(unit=UnitName(unit), node=NodeName(node), count=count)


EVENTS: dict[str, Callable[..., Command | None]] = {
    "start": _wish(Desired.STARTED),
    "stop": _wish(Desired.STOPPED),
    "move": lambda stage, unit, node: MoveUnit(unit=unit, node=node),
    "drain": lambda stage, node: DrainNode(node=node, is_drained=True),
    "undrain": lambda stage, node: DrainNode(node=node, is_drained=False),
    "lost": lambda stage, node: SetNode(node=node, state=NodeState.LOST),
    "online": lambda stage, node: SetNode(node=node, state=NodeState.ONLINE, boot="2"),
    "set": _set,
    "up": lambda stage, unit, node: Observe(
        node=node, observations=(Observation(unit=unit, active="active"),)
    ),
    "failed": lambda stage, unit, node: stage.release(unit, node, Ending.FAILED),
    "ended": lambda stage, unit, node: stage.release(unit, node, Ending.FINISHED),
    "stopped": lambda stage, unit, node: stage.release(unit, node, Ending.STOPPED),
    "forget": _forget,
    "nothing": lambda stage: None,
}


def annotate(unit: str, lines: list[str]) -> UnitSpec:
    """Read an annotation as an agent does."""
    text = "\n".join(["[X-Synod]", *lines, ""])
    annotation = parse_annotation(UnitName(unit), [parse(text.encode(), unit)], Host())
    assert annotation is not None
    assert annotation.spec is not None, [str(found) for found in annotation.findings]
    return annotation.spec


def replay(lines: list[str]) -> list[str]:
    """Play a script and return it with the decisions that follow from each event."""
    stage, out, keys = Stage(), list[str](), list[str]()
    unit = ""
    for line in [*lines, ""]:
        if unit and not line.startswith("  "):
            stage.unit(annotate(unit, keys))
            unit, keys = "", []
        if line.startswith("> "):
            out += ["", line, *stage.happen(line.removeprefix("> ").split())]
        elif line.startswith("nodes "):
            for name in line.split()[1:]:
                stage.node(NodeName(name))
            out.append(line)
        elif line.startswith("unit "):
            unit = line.split()[1]
            out.append(line)
        elif line.startswith("#") or (unit and line.startswith("  ")):
            keys += [line.strip()] if unit else []
            out.append(line)
    return out
