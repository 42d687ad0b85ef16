# SPDX-License-Identifier: LGPL-2.1-or-later
"""Plan: which grants to make and which to take back, from the replicated state alone.

Law 1: a unit that runs stays where it is, however good another node is. A grant is taken back for a drain,
       for a move, to make room for a unit of higher priority that has no other node, and for partners in
       ColocateWith=: a unit goes along with the one it follows, and that one goes when it keeps a follower
       on a node where the follower has failed too often.
Law 2: units are placed by Priority=, then by name, those that others follow before them; so the same state
       gives the same plan on any leader, in whatever order it came about.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import count, islice

from synod.base.ids import NodeName, UnitName
from synod.model import adoption
from synod.model.command import GrantOrder, Plan, RevokeOrder
from synod.model.rows import Grant, Row
from synod.model.state import ClusterState
from synod.planner.score import Table, best, best_to_clear
from synod.planner.weigh import followers, importance, weigh


@dataclass(frozen=True, slots=True, kw_only=True)
class Placement:
    """Where one instance goes, and why; nowhere, when every node is ruled out."""

    unit: UnitName
    instance: int
    node: NodeName | None
    table: Table
    load: Mapping[NodeName, int]
    """Exclusive units on each node, before this one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Withdrawal:
    """What is taken back, and why."""

    unit: UnitName
    grant: Grant
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class InPlace:
    """What ran before it was annotated is granted where it runs."""

    unit: UnitName
    instance: int
    node: NodeName


Decision = Placement | Withdrawal | InPlace


def plan(state: ClusterState, units: Iterable[UnitName]) -> Plan | None:
    """Decide for the units named; None when nothing is to change."""
    decisions = decide(state, units)
    grants = tuple(
        GrantOrder(unit=one.unit, instance=one.instance, node=one.node, in_place=isinstance(one, InPlace))
        for one in decisions
        if isinstance(one, Placement | InPlace) and one.node is not None
    )
    revokes = tuple(
        RevokeOrder(unit=one.unit, instance=one.grant.instance, epoch=one.grant.epoch)
        for one in decisions
        if isinstance(one, Withdrawal)
    )
    return Plan(revision=state.revision, grants=grants, revokes=revokes) if grants or revokes else None


def decide(state: ClusterState, units: Iterable[UnitName]) -> list[Decision]:
    """Return the decisions behind a plan, with their reasons, in the order in which they were taken."""
    draft = _Draft(state)
    rows = [state.rows[unit] for unit in units if unit in state.rows]
    for row in sorted(rows, key=importance):
        draft.consider(row.unit)
    return draft.decisions


def _free(row: Row) -> Iterator[int]:
    """Yield the numbers of instances that are not granted."""
    return (number for number in count() if number not in row.grants)


class _Draft:
    """One plan in the making: what is placed, counting what was just decided."""

    def __init__(self, state: ClusterState) -> None:
        self._state = state
        self.decisions: list[Decision] = []
        self._seen: dict[UnitName, None] = {}
        self._leaving: dict[tuple[UnitName, int], None] = {}
        self._placed: dict[UnitName, tuple[NodeName, ...]] = {}
        self._load: dict[NodeName, int] = dict.fromkeys(state.nodes, 0)
        for unit, row in state.rows.items():
            if row.grants:
                self._placed[unit] = tuple(grant.node for grant in row.grants.values())
                for grant in row.grants.values():
                    self._load[grant.node] = self._load.get(grant.node, 0) + 1

    def consider(self, unit: UnitName) -> None:
        row = self._state.rows.get(unit)
        if row is None or row.spec is None or not row.spec.is_exclusive or unit in self._seen:
            return
        self._seen[unit] = None
        for partner in sorted(row.spec.colocate_with):
            self.consider(partner)
        for grant in row.grants.values():
            node = self._state.nodes.get(grant.node)
            if node is not None and node.is_drained:
                self._take_back(row, grant, "the node is drained")
            elif row.is_wanted and row.pin not in (None, grant.node):
                self._take_back(row, grant, f"moved to {row.pin}")
        claimed = self._grant_in_place(row)
        if row.is_wanted:
            self._place(row, claimed)

    def _take_back(self, row: Row, grant: Grant, reason: str) -> None:
        if not grant.is_revoked and (row.unit, grant.instance) not in self._leaving:
            self._leaving[row.unit, grant.instance] = None
            self.decisions.append(Withdrawal(unit=row.unit, grant=grant, reason=reason))

    def _grant_in_place(self, row: Row) -> int:
        """Grant what was found running; return how many copies that are."""
        claims = adoption.claims(row, self._state.nodes, self._state.specs)
        for node, instance in zip(claims, _free(row), strict=False):
            self.decisions.append(InPlace(unit=row.unit, instance=instance, node=node))
            self._placed[row.unit] = (*self._placed.get(row.unit, ()), node)
            self._load[node] = self._load.get(node, 0) + 1
        return len(claims)

    def _place(self, row: Row, claimed: int) -> None:
        """Place what may run and does not: copies that were found count as running."""
        most = adoption.limit(row, self._state.nodes, self._state.specs) or 0
        if row.kept is not None:
            most = min(most, row.kept + claimed)
        room = max(most - len(row.grants) - len(row.found), 0)
        for instance in islice(_free(row), claimed, claimed + room):
            table = weigh(self._state, row, self._placed)
            node = best(table, self._load)
            self.decisions.append(
                Placement(unit=row.unit, instance=instance, node=node, table=table, load=dict(self._load))
            )
            if node is None:
                self._make_room(row, table)
                self._call_away(row)
                return
            self._placed[row.unit] = (*self._placed.get(row.unit, ()), node)
            self._load[node] += 1
            self._take_along(row, row.homes.get(instance), node)

    def _make_room(self, row: Row, table: Table) -> None:
        """Send those away that have a lower priority, where that is all that is missing."""
        node = best_to_clear(table, self._load)
        for obstacle in table[node].obstacles if node is not None else ():
            other = self._state.rows[obstacle.yielding] if obstacle.yielding is not None else None
            grant = other.grant_on(node) if other is not None and node is not None else None
            if other is not None and grant is not None:
                self._take_back(other, grant, f"{row.unit} has a higher priority and no other node")

    def _take_along(self, row: Row, home: NodeName | None, node: NodeName) -> None:
        """Let those follow that run with the unit where it was; not those that may not run where it goes."""
        for follower in followers(self._state, row.unit):
            grant = follower.grant_on(home) if home not in (None, node) and home is not None else None
            if grant is not None:
                elsewhere = self._without(follower.unit, grant.node)
                if weigh(self._state, follower, elsewhere)[node].is_open:
                    self._take_back(follower, grant, f"ColocateWith={row.unit}, which goes to {node}")

    def _call_away(self, row: Row) -> None:
        """Move what a unit follows away from a node where the unit has failed too often."""
        for home in sorted(node for node in row.setbacks if row.is_given_up_on(node)):
            group = self._group(row.unit, home)
            heads = [name for name in group if not any(p in group for p in self._partners(name))]
            if len(heads) != 1 or heads[0] == row.unit:
                continue  # two heads would have to agree on a node
            head = self._state.rows[heads[0]]
            grant, supposed = head.grant_on(home), dict(self._placed)
            for name in group:
                supposed[name] = tuple(node for node in supposed.get(name, ()) if node != home)
            table = weigh(self._state, head, supposed)
            is_better_off = not table[home].is_open and best(table, self._load) is not None
            if grant is not None and head.is_wanted and is_better_off:
                self._take_back(head, grant, f"{row.unit} goes with it and failed there too often")

    def _group(self, unit: UnitName, node: NodeName) -> dict[UnitName, None]:
        """Return a unit, what it follows on a node, what those follow there, and so on."""
        found: dict[UnitName, None] = {unit: None}
        queue = [unit]
        for current in queue:
            for name in self._partners(current):
                if name not in found and node in self._placed.get(name, ()):
                    found[name] = None
                    queue.append(name)
        return found

    def _partners(self, unit: UnitName) -> tuple[UnitName, ...]:
        row = self._state.rows.get(unit)
        return row.spec.colocate_with if row is not None and row.spec is not None else ()

    def _without(self, unit: UnitName, node: NodeName) -> dict[UnitName, tuple[NodeName, ...]]:
        """Return where units are, one instance of one unit taken away."""
        return {**self._placed, unit: tuple(name for name in self._placed.get(unit, ()) if name != node)}
