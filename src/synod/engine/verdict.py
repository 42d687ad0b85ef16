# SPDX-License-Identifier: LGPL-2.1-or-later
"""Verdicts: may a unit start now, and if not, what is it waiting for or why will it never.

The same words answer a waiting gate, ``synodctl why`` and the status line of a waiter.
"""

from dataclasses import dataclass
from enum import Enum, auto

from synod.base.ids import NodeName, UnitName
from synod.engine.barriers import Barriers
from synod.engine.desk import NO_UNIT, Desk
from synod.engine.readiness import Readiness
from synod.model.command import Desired, NodeState
from synod.model.rows import Row, barred
from synod.model.unit import bound_of, mirror_of
from synod.planner.constraints import refusal, stands_in_the_way
from synod.planner.score import Table
from synod.planner.weigh import weigh


class Prospect(Enum):
    """What a start of a unit has before it."""

    UP = auto()
    WAITING = auto()
    HOPELESS = auto()
    """It will not come up unless somebody changes something."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """A prospect and the sentence that explains it."""

    prospect: Prospect
    text: str
    is_circle: bool = False
    """Whether the units wait for each other."""


class Judge:
    """Reads the state, the readiness and the barriers; changes nothing."""

    def __init__(self, desk: Desk, readiness: Readiness, barriers: Barriers) -> None:
        self._desk = desk
        self._readiness = readiness
        self._barriers = barriers

    # May it start on this node, now?

    def may_start(self, unit: UnitName, *, is_running: bool = False) -> bool:
        """Whether everything that the unit needs or comes after is settled.

        For a unit that runs, its Restart= included, an old word of a provider is good enough.
        """
        spec = self._desk.spec(unit)
        if spec is None or self._desk.is_leaving or self._desk.is_stopping:
            return False
        if spec.is_exclusive and self._desk.must_yield:
            return False
        providers = (*spec.requires, *spec.binds_to)
        is_up = self._readiness.is_up if is_running else self._readiness.is_confirmed
        if any(not is_up(name) or self._barriers.is_raised(name) for name in providers):
            return False
        if any(self._barriers.is_served(name) for name in providers):
            return False
        return not self.pending(unit)

    def pending(self, unit: UnitName) -> UnitName | None:
        """Name a unit that this one comes after and that is on its way up."""
        names = dict.fromkeys(self._desk.state.edges.after.get(unit, {}))
        own = self._desk.specs.get(unit)
        if own is not None:
            names |= dict.fromkeys(own.after)
        return next((name for name in names if name != unit and self._is_rising(name)), None)

    def _is_rising(self, unit: UnitName) -> bool:
        row = self._desk.row(unit)
        if row.spec is None or not row.is_wanted or self._readiness.is_up(unit):
            return False
        if self._is_doomed(unit):
            return False
        if not row.spec.is_exclusive:
            nodes = [self._desk.state.nodes[name] for name in row.reports]
            return any(node.may_be_granted and not barred(row.spec, node) for node in nodes)
        return self._has_place(unit)

    def _is_doomed(self, unit: UnitName, seen: tuple[UnitName, ...] = ()) -> bool:
        """Whether something that the unit requires will not come up: nobody waits for it then."""
        spec = self._desk.spec(unit)
        for name in (*spec.requires, *spec.binds_to) if spec is not None else ():
            if name in seen or self._readiness.is_up(name):
                continue
            if stands_in_the_way(self._desk.state, name) or not self._has_place(name):
                return True
            if self._is_doomed(name, (*seen, unit)):
                return True
        return False

    def _has_place(self, unit: UnitName) -> bool:
        """Whether some node runs, starts or might be given the unit."""
        row = self._desk.row(unit)
        is_exclusive = row.spec is not None and row.spec.is_exclusive
        return not is_exclusive or bool(row.grants) or not all(self.refusals(unit).values())

    # What becomes of it?

    def verdict(self, unit: UnitName, path: tuple[UnitName, ...] = ()) -> Verdict:
        """Say what a wanted unit's start has before it."""
        holders = self._readiness.holders(unit)
        if holders:
            return Verdict(Prospect.UP, f"{unit} runs on {', '.join(holders)}")
        if unit in path:
            circle = " -> ".join([*path[path.index(unit) :], unit])
            return Verdict(Prospect.HOPELESS, f"the units wait for each other: {circle}", is_circle=True)
        if not self._desk.state.cluster_id:
            return Verdict(Prospect.WAITING, "waiting for the cluster's log")
        obstacle = stands_in_the_way(self._desk.state, unit)
        if obstacle:
            return Verdict(Prospect.HOPELESS, obstacle)
        way = (*path, unit)
        return self._providers(unit, way) or self._company(unit, way) or self._placement(unit)

    def _providers(self, unit: UnitName, path: tuple[UnitName, ...]) -> Verdict | None:
        spec = self._desk.spec(unit)
        waiting: Verdict | None = None
        for name in (*spec.requires, *spec.binds_to) if spec is not None else ():
            below = self.verdict(name, path)
            if below.prospect is Prospect.HOPELESS:
                return Verdict(Prospect.HOPELESS, f"{unit} requires {name}: {below.text}", below.is_circle)
            if below.prospect is Prospect.WAITING and waiting is None:
                waiting = Verdict(Prospect.WAITING, f"{unit} waits for {name}: {below.text}")
        if waiting is not None:
            return waiting
        pending = self.pending(unit)
        if pending is not None:
            below = self.verdict(pending, path)
            if below.is_circle:
                return below
            return Verdict(Prospect.WAITING, f"{unit} comes after {pending}: {below.text}")
        return None

    def _company(self, unit: UnitName, path: tuple[UnitName, ...]) -> Verdict | None:
        """Say whom a unit that has no place yet waits for to have one."""
        row = self._desk.row(unit)
        for name in row.spec.colocate_with if row.spec is not None and not row.grants else ():
            partner = self._desk.row(name)
            if name in path or not partner.is_wanted or self._readiness.is_up(name):
                continue
            below = self.verdict(name, path)
            if below.prospect is Prospect.WAITING:
                return Verdict(Prospect.WAITING, f"{unit} goes where {name} goes: {below.text}")
        return None

    def _placement(self, unit: UnitName) -> Verdict:
        row = self._desk.row(unit)
        nodes = sorted(grant.node for grant in row.grants.values())
        for node in nodes:
            doubt = self._doubt(node)
            if doubt:
                return Verdict(Prospect.WAITING, f"{unit} is held by {node}, {doubt}")
        if nodes:
            return Verdict(Prospect.WAITING, f"{unit} is starting on {', '.join(nodes)}")
        if row.desired is None:
            return Verdict(Prospect.WAITING, f"nobody has asked for {unit} yet")
        if row.spec is not None and not row.spec.is_exclusive:
            return Verdict(Prospect.WAITING, f"{unit} is starting")
        refusals = self.refusals(unit)
        if all(refusals.values()):
            reasons = "; ".join(f"{node}: {text}" for node, text in refusals.items())
            return Verdict(Prospect.HOPELESS, f"no node may run {unit} ({reasons})")
        return Verdict(Prospect.WAITING, f"{unit} is being placed")

    def _doubt(self, node: NodeName) -> str:
        """Say why nothing is known of a node that holds grants; empty when its agent is there."""
        row = self._desk.state.nodes[node]
        match row.state:
            case NodeState.LOST:
                told = [alarm.text for index, alarm in self._desk.state.alarms
                        if alarm.node == node and alarm.unit == NO_UNIT and index > row.since]  # fmt: skip
                trouble = f": {told[-1]}" if told else ""
                return f"which is lost; it starts elsewhere once that is proved to be off{trouble}"
            case NodeState.UNMANAGED:
                return "whose agent was stopped; nobody takes its units over"
            case NodeState.LEAVING:
                return "which is going down"
            case _:
                return ""

    def refusals(self, unit: UnitName) -> dict[NodeName, str]:
        """Say for each node why it may not run one more instance; empty text where it may or will."""
        state = self._desk.state
        placed = self._placed(self._relevant(unit))
        return {
            name: refusal(state, self._desk.row(unit), node, placed)
            for name, node in sorted(state.nodes.items())
            if node.state is not NodeState.LEFT
        }

    def scores(self, unit: UnitName) -> Table:
        """Return what speaks for and against each node, as if the unit ran nowhere."""
        placed = self._placed(list(self._desk.state.rows.items())) | {unit: ()}
        return weigh(self._desk.state, self._desk.row(unit), placed)

    def _placed(self, rows: list[tuple[UnitName, Row]]) -> dict[UnitName, tuple[NodeName, ...]]:
        return {name: tuple(grant.node for grant in row.grants.values()) for name, row in rows}

    def _relevant(self, unit: UnitName) -> list[tuple[UnitName, Row]]:
        """List the rows that bear on a unit's placement: its own, its partners', those that shun it."""
        rows = self._desk.state.rows
        spec = self._desk.row(unit).spec
        if spec is None:
            return []
        shunners = self._desk.state.edges.shunned_by.get(unit, {})
        named = dict.fromkeys((unit, *spec.colocate_with, *spec.separate_from, *shunners))
        return [(name, rows[name]) for name in named if name in rows]

    def is_stopped_by_a_dependency(self, unit: UnitName) -> bool:
        """Whether a stop job of the unit follows from a provider, and thus is nobody's wish."""
        spec = self._desk.spec(unit)
        if unit in self._barriers.paused or spec is None:
            return unit in self._barriers.paused
        needed = (*spec.requires, *spec.binds_to)
        if any(self._barriers.is_raised(name) or self._barriers.is_served(name) for name in needed):
            return True
        mirrors = [mirror for name in needed for mirror in (mirror_of(name), bound_of(name))]
        if any(self._desk.seen(mirror).job == "stop" for mirror in mirrors):
            return True  # an earlier agent began this
        return any(not self._readiness.is_up(name) for name in spec.binds_to)

    def is_wished_down(self, unit: UnitName) -> bool:
        """Whether the cluster itself wants the unit down here."""
        row = self._desk.row(unit)
        grant = self._desk.grant(unit)
        return row.desired is Desired.STOPPED or (grant is not None and grant.is_revoked)
