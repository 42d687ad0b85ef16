# SPDX-License-Identifier: LGPL-2.1-or-later
"""Which nodes may run a unit, and why the others may not."""

from collections.abc import Mapping

from synod.base.ids import NodeName, UnitName
from synod.model.command import Desired, NodeState, RoleWish
from synod.model.rows import NodeRow, Row
from synod.model.spec import UnitSpec, digest
from synod.model.state import ClusterState

Placed = Mapping[UnitName, tuple[NodeName, ...]]
"""Where units are, counting decisions of the plan being made."""


def refusal(state: ClusterState, row: Row, node: NodeRow, placed: Placed) -> str:
    """Say why a node may not run one more instance of a unit; empty when it may."""
    spec = row.spec
    if spec is None:
        return state.absence(row.unit)
    return _unfit(row, spec, node) or _crowded(state, spec, node.name, placed)


def _unfit(row: Row, spec: UnitSpec, node: NodeRow) -> str:
    if node.role is RoleWish.WITNESS:
        return "a witness runs no units"
    if node.state is not NodeState.ONLINE:
        return f"the node is {node.state}"
    if node.is_drained:
        return "the node is drained"
    if spec.nodes and node.name not in spec.nodes:
        return f"not in Nodes={' '.join(spec.nodes)}"
    if node.name not in row.reports:
        return "the node has no such unit, or no [X-Synod] section in it"
    if row.reports[node.name] != digest(spec):
        return "its annotation differs from the adopted one"
    if row.pin is not None and row.pin != node.name:
        return f"moved to {row.pin}"
    return ""


def _crowded(state: ClusterState, spec: UnitSpec, node: NodeName, placed: Placed) -> str:
    if node in placed.get(spec.unit, ()):
        return "an instance is there already"
    for other in spec.colocate_with:
        if node not in placed.get(other, ()):
            return f"ColocateWith={other}, which is not placed there"
    for other in spec.separate_from:
        if node in placed.get(other, ()):
            return f"SeparateFrom={other}, which is placed there"
    for other, nodes in placed.items():
        if node in nodes:
            row = state.rows.get(other)
            if row is not None and row.spec is not None and spec.unit in row.spec.separate_from:
                return f"{other} is placed there and has SeparateFrom={spec.unit}"
    return ""


def stands_in_the_way(state: ClusterState, unit: UnitName) -> str:
    """Say why no plan will ever place a wanted unit as things are; empty when one might."""
    row = state.rows.get(unit)
    if row is None or row.spec is None:
        return state.absence(unit)
    if row.failure is not None:
        where = f"on {row.failure.node}"
        return (
            f"{unit} {'failed' if row.failure.ending == 'failed' else 'ended'} {where}: {row.failure.reason}"
        )
    if row.desired is Desired.STOPPED:
        return f"{unit} is stopped by an administrator; start it with: systemctl start {unit}"
    return ""
