# SPDX-License-Identifier: LGPL-2.1-or-later
"""Plan: which grants to make and which to take back, from the replicated state alone.

Units stay where they are: a grant is taken back only for a drain or a move. Ties go to the node with the
fewest exclusive units, then to the first name, so that the same state gives the same plan on any leader.
"""

from collections.abc import Iterable

from synod.base.ids import NodeName, UnitName
from synod.model.command import GrantOrder, Plan, RevokeOrder
from synod.model.rows import Row
from synod.model.state import ClusterState
from synod.planner.constraints import refusal


def plan(state: ClusterState, units: Iterable[UnitName]) -> Plan | None:
    """Decide for the units named; None when nothing is to change."""
    draft = _Draft(state)
    for unit in units:
        draft.consider(unit)
    if not draft.grants and not draft.revokes:
        return None
    return Plan(revision=state.revision, grants=tuple(draft.grants), revokes=tuple(draft.revokes))


class _Draft:
    """One plan in the making: what is placed, counting what was just decided."""

    def __init__(self, state: ClusterState) -> None:
        self._state = state
        self.grants: list[GrantOrder] = []
        self.revokes: list[RevokeOrder] = []
        self._seen: dict[UnitName, None] = {}
        self.placed: dict[UnitName, tuple[NodeName, ...]] = {}
        self._load: dict[NodeName, int] = dict.fromkeys(state.nodes, 0)
        for unit, row in state.rows.items():
            if row.grants:
                self.placed[unit] = tuple(grant.node for grant in row.grants.values())
                for grant in row.grants.values():
                    self._load[grant.node] = self._load.get(grant.node, 0) + 1

    def consider(self, unit: UnitName) -> None:
        row = self._state.rows.get(unit)
        if row is None or row.spec is None or not row.spec.is_exclusive or unit in self._seen:
            return
        self._seen[unit] = None
        for partner in row.spec.colocate_with:
            self.consider(partner)
        self._revoke(row)
        if row.is_wanted:
            self._grant(row, row.spec.instances or 0)

    def _revoke(self, row: Row) -> None:
        for grant in row.grants.values():
            node = self._state.nodes.get(grant.node)
            is_moved = (
                row.pin is not None and row.pin != grant.node and row.spec is not None and row.is_wanted
            )
            if not grant.is_revoked and ((node is not None and node.is_drained) or is_moved):
                self.revokes.append(RevokeOrder(unit=row.unit, instance=grant.instance, epoch=grant.epoch))

    def _grant(self, row: Row, instances: int) -> None:
        for instance in range(instances):
            if instance in row.grants:
                continue
            node = self._best(row)
            if node is None:
                return
            self.grants.append(GrantOrder(unit=row.unit, instance=instance, node=node))
            self.placed[row.unit] = (*self.placed.get(row.unit, ()), node)
            self._load[node] += 1

    def _best(self, row: Row) -> NodeName | None:
        fit = [
            name
            for name, node in sorted(self._state.nodes.items())
            if not refusal(self._state, row, node, self.placed)
        ]
        return min(fit, key=lambda name: (self._load[name], name), default=None)
