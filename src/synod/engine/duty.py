# SPDX-License-Identifier: LGPL-2.1-or-later
"""What the leader owes the cluster: plans, the voters, and the word on who is lost.

Everything it decides goes through the log; a leader that is none any more can at worst propose a plan that
is void.
"""

from collections.abc import Callable
from typing import Final

from synod.base.ids import NodeName, UnitName
from synod.base.usec import USEC_PER_MSEC, USEC_PER_SEC, Usec
from synod.engine.desk import Desk
from synod.engine.proposals import Proposals
from synod.ledger.membership import Operation
from synod.model.command import ForgetFailures, NodeState, RoleWish
from synod.model.state import Change
from synod.planner.plan import plan

CHECK_USEC: Final = Usec(250 * USEC_PER_MSEC)
"""Between two looks at members and silences; nothing urgent waits for it."""
VOTERS_AUTOMATIC_MAX: Final = 5
"""Voters that a cluster gives itself: two losses are survived, and commits stay fast."""
CATCH_UP_ENTRIES: Final = 64
"""How far a learner may lag behind when it is promoted (dissertation, section 4.2.1)."""

ChangeMembers = Callable[[Operation, NodeName], None]


class Duty:
    """Work of a node while it leads."""

    def __init__(self, desk: Desk, proposals: Proposals, change: ChangeMembers) -> None:
        self._desk = desk
        self._proposals = proposals
        self._change = change
        self.is_leading = False
        self._unplanned: dict[UnitName, None] = {}
        self._is_planning = False
        self._check_at: Usec | None = None
        self._setbacks: dict[tuple[UnitName, NodeName, int], Usec] = {}
        """Failures that count, and when this leader first knew of the last one: no clock is in the log."""
        self._forgetting: dict[tuple[UnitName, NodeName, int], None] = {}

    @property
    def deadline(self) -> Usec | None:
        """When to look again."""
        return self._check_at if self.is_leading else None

    def lead(self, *, is_leading: bool) -> None:
        """Take office or leave it; everything is planned anew by a new leader."""
        if is_leading and not self.is_leading:
            self._setbacks = {}
            self._unplanned = dict.fromkeys(self._desk.state.rows)
            self._check_at = self._desk.now
        self.is_leading = is_leading

    def note(self, change: Change) -> None:
        """Note what an applied entry touched."""
        if not self.is_leading:
            return
        self._unplanned |= dict.fromkeys(self._desk.state.rows if change.nodes else change.units)

    def plan(self) -> None:
        """Propose what follows from the state; one plan at a time."""
        if not self.is_leading or self._is_planning or not self._unplanned:
            return
        units, self._unplanned = self._unplanned, {}
        draft = plan(self._desk.state, self._widen(units))
        if draft is None:
            return
        self._is_planning = True

        def settled(change: Change | None) -> None:
            self._is_planning = False
            if change is None or change.refusal:
                self._unplanned |= units

        self._proposals.put(draft, settled, patience=Usec(2 * USEC_PER_SEC))

    def _widen(self, units: dict[UnitName, None]) -> list[UnitName]:
        """Add the units whose placement hangs on the given ones."""
        found, rows, edges = dict(units), self._desk.state.rows, self._desk.state.edges
        for unit in units:
            spec = rows[unit].spec if unit in rows else None
            shunned = spec.separate_from if spec is not None else ()
            for name in (*edges.followed_by.get(unit, ()), *edges.shunned_by.get(unit, ()), *shunned):
                row = rows.get(name)
                if row is None or row.spec is None or not row.is_wanted:
                    continue
                if len(row.grants) < (row.spec.instances or 0):
                    found[name] = None
        return list(found)

    def tick(
        self, voters: tuple[NodeName, ...], learners: tuple[NodeName, ...], lag: Callable[[NodeName], int]
    ) -> None:
        """Look at members and silences when it is time."""
        if not self.is_leading or self._check_at is None or self._check_at > self._desk.now:
            return
        self._check_at = Usec(self._desk.now + CHECK_USEC)
        self._watch_setbacks()
        self._match_members(voters, learners, lag)

    def _watch_setbacks(self) -> None:
        """Let failures be forgotten that are too old."""
        present = {
            (name, node, setback.count): row.spec.failure_expire_usec
            for name, row in self._desk.state.rows.items()
            if row.spec is not None
            for node, setback in row.setbacks.items()
        }
        self._setbacks = {key: self._setbacks.get(key, self._desk.now) for key in present}
        for key, since in self._setbacks.items():
            if since + present[key] <= self._desk.now and key not in self._forgetting:
                self._forgetting[key] = None
                self._forget(*key)

    def _forget(self, unit: UnitName, node: NodeName, count: int) -> None:
        def settled(_: Change | None) -> None:
            self._forgetting.pop((unit, node, count), None)

        self._proposals.put(ForgetFailures(unit=unit, node=node, count=count), settled)

    def _match_members(
        self, voters: tuple[NodeName, ...], learners: tuple[NodeName, ...], lag: Callable[[NodeName], int]
    ) -> None:
        """Bring the log's members in line with the cluster's nodes, one server at a time."""
        nodes = self._desk.state.nodes
        for name in (*voters, *learners):
            is_heard = name == self._desk.me or name in self._desk.connected
            if name not in nodes or (nodes[name].state is NodeState.LEFT and not is_heard):
                return self._change(Operation.REMOVE, name)
        for name, node in nodes.items():
            if name not in voters and name not in learners and node.state is not NodeState.LEFT:
                return self._change(Operation.ADD_LEARNER, name)
        wanted = self._electorate(voters)
        for name in wanted:
            if name in learners and lag(name) <= CATCH_UP_ENTRIES and nodes[name].state is NodeState.ONLINE:
                return self._change(Operation.PROMOTE, name)
        for name in sorted(voters, key=lambda name: (nodes[name].state is not NodeState.LEFT, name)):
            if name not in wanted and len(voters) > len(wanted):
                return self._change(Operation.DEMOTE, name)
        return None

    def _electorate(self, voters: tuple[NodeName, ...]) -> list[NodeName]:
        """Choose who should vote: an odd number, present voters first, so that nothing changes without need.

        Two nodes have one voter: with two, the loss of either would stop both (safety rule 7.4). A witness
        votes where it makes the number odd, and never alone.
        """
        nodes = {
            name: node
            for name, node in self._desk.state.nodes.items()
            if node.role is not RoleWish.SATELLITE and node.state is not NodeState.LEFT
        }
        firm = [name for name, node in nodes.items() if node.role is RoleWish.VOTER]
        ranked = sorted(nodes, key=lambda name: (name not in firm, name not in voters, name))
        witnesses = [name for name in ranked if nodes[name].role is RoleWish.WITNESS]
        chosen = [name for name in ranked if name not in witnesses][: max(VOTERS_AUTOMATIC_MAX, len(firm))]
        if (len(chosen) + len(witnesses)) % 2:
            return [*chosen, *witnesses]
        return [*chosen, *witnesses[:-1]] if witnesses else chosen[:-1]
