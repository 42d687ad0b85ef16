# SPDX-License-Identifier: LGPL-2.1-or-later
"""Every node's score for one more instance of a unit: what rules it out, what is preferred, who goes along.

A unit that others name in ColocateWith= decides where they run, so their wishes count with its own. Those of
one that would leave no node at all do not count, nor those of who follows it in turn. Source: synod-unit(5).
"""

from collections import ChainMap
from collections.abc import Iterator

from synod.base.ids import NodeName, UnitName
from synod.model.attributes import INFINITY, format_score
from synod.model.command import NodeState
from synod.model.rows import NodeRow, Row
from synod.model.state import ClusterState
from synod.planner.constraints import Placed, obstacles
from synod.planner.score import Reason, Score, Table


def weigh(state: ClusterState, row: Row, placed: Placed) -> Table:
    """Return the score of every node that has not left, by name."""
    table = {
        name: Score((*obstacles(state, row, node, placed), *_preferences(row, node)))
        for name, node in sorted(state.nodes.items())
        if node.state is not NodeState.LEFT
    }
    return _bend(state, table, row.unit, placed, {row.unit: None})


def _preferences(row: Row, node: NodeRow) -> Iterator[Reason]:
    if row.spec is None:
        return
    for preference in row.spec.prefer:
        if preference.score != -INFINITY and node.attribute(preference.attribute) == preference.value:
            yield Reason(preference.score, f"Prefer={preference}")
    if row.spec.stickiness and node.name in row.homes.values():
        when = "runs" if row.grant_on(node.name) is not None else "ran last"
        yield Reason(row.spec.stickiness, f"Stickiness={format_score(row.spec.stickiness)}, it {when} there")


def _bend(
    state: ClusterState, table: Table, unit: UnitName, placed: Placed, seen: dict[UnitName, None]
) -> Table:
    """Add the wishes of those that follow a unit, the most important first."""
    for row in followers(state, unit):
        if row.unit in seen:
            continue
        seen[row.unit] = None
        bent = {
            name: Score((*score.reasons, *_wishes(state, row, state.nodes[name], unit, placed)))
            for name, score in table.items()
        }
        if _leaves_a_choice(table, bent):
            table = _bend(state, bent, row.unit, placed, seen)
    return table


def followers(state: ClusterState, unit: UnitName) -> list[Row]:
    """List the wanted units that are placed where a unit is, by priority and name."""
    rows = [state.rows[name] for name in state.edges.followed_by.get(unit, ()) if name in state.rows]
    wanted = [row for row in rows if row.is_wanted and row.spec is not None and row.spec.is_exclusive]
    return sorted(wanted, key=importance)


def importance(row: Row) -> tuple[int, UnitName]:
    """Sort by Priority=, then by name."""
    return (-row.spec.priority if row.spec is not None else 0, row.unit)


def _wishes(
    state: ClusterState, row: Row, node: NodeRow, leader: UnitName, placed: Placed
) -> Iterator[Reason]:
    """Yield what a follower has to say of a node, were its leader there, and partners that are nowhere."""
    imagined: dict[UnitName, tuple[NodeName, ...]] = {row.unit: (), leader: (node.name,)}
    for partner in row.spec.colocate_with if row.spec is not None else ():
        if not placed.get(partner):
            imagined[partner] = (node.name,)
    supposed = ChainMap(imagined, placed)
    for reason in (*obstacles(state, row, node, supposed), *_preferences(row, node)):
        yield Reason(reason.points, f"{row.unit} goes with it: {reason.text}")


def _leaves_a_choice(before: Table, after: Table) -> bool:
    if any(score.is_open for score in before.values()):
        return any(score.is_open for score in after.values())
    return any(score.can_be_cleared for score in after.values())
