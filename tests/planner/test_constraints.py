# SPDX-License-Identifier: LGPL-2.1-or-later
"""synod.planner.constraints: every reason why a node may not run a unit, in words."""

from dataclasses import replace

import pytest

from synod.base.ids import NodeName, UnitName
from synod.model.command import Desired, Ending, NodeState, RoleWish
from synod.model.rows import Failure, NodeRow, Row
from synod.model.spec import UnitSpec, digest
from synod.model.state import ClusterState
from synod.planner.constraints import refusal, stands_in_the_way

A, B = NodeName("a"), NodeName("b")
DB, WEB = UnitName("db.service"), UnitName("web.service")


def node(name: NodeName, **keys: object) -> NodeRow:
    row = NodeRow(name=name, address=name, port=1, fingerprint="f", state=NodeState.ONLINE)
    for key, value in keys.items():
        setattr(row, key, value)
    return row


def state(*specs: UnitSpec) -> ClusterState:
    """Two nodes online that have all these units, which are wanted."""
    found = ClusterState(cluster="c", cluster_id="i", nodes={A: node(A), B: node(B)})
    for spec in specs:
        reports = dict.fromkeys((A, B), found.specs.add(spec))
        found.rows[spec.unit] = Row(unit=spec.unit, spec=spec, reports=reports, desired=Desired.STARTED)
        found.edges.replace(None, spec)
    return found


def say(found: ClusterState, name: NodeName = A, **placed: str) -> str:
    where = {UnitName(f"{unit}.service"): tuple(map(NodeName, nodes)) for unit, nodes in placed.items()}
    return refusal(found, found.rows[DB], found.nodes[name], where)


def test_a_node_that_is_fit() -> None:
    assert say(state(UnitSpec(unit=DB))) == ""


@pytest.mark.parametrize(
    ("keys", "text"),
    [
        ({"role": RoleWish.WITNESS}, "a witness runs no units"),
        ({"state": NodeState.LOST}, "the node is lost"),
        ({"state": NodeState.LEAVING}, "the node is leaving"),
        ({"state": NodeState.UNMANAGED}, "the node is unmanaged"),
        ({"is_drained": True}, "the node is drained"),
    ],
)
def test_a_node_that_is_unfit_for_all_units(keys: dict[str, object], text: str) -> None:
    found = state(UnitSpec(unit=DB))
    found.nodes[A] = node(A, **keys)
    assert say(found) == text
    assert say(found, B) == ""


def test_a_node_that_the_annotation_does_not_name() -> None:
    found = state(UnitSpec(unit=DB, nodes=(B,)))
    assert say(found) == "not in Nodes=b"
    assert say(found, B) == ""


def test_a_node_without_the_unit_or_with_another_annotation() -> None:
    found = state(UnitSpec(unit=DB))
    found.rows[DB].reports[A] = digest(UnitSpec(unit=DB, instances=2))
    assert say(found) == "its annotation differs from the adopted one"
    del found.rows[DB].reports[A]
    assert "no such unit" in say(found)


def test_a_unit_that_was_moved_elsewhere() -> None:
    found = state(UnitSpec(unit=DB))
    found.rows[DB].pin = B
    assert say(found) == "moved to b"
    assert say(found, B) == ""


def test_one_instance_per_node() -> None:
    found = state(UnitSpec(unit=DB, instances=2))
    assert say(found, db="a") == "an instance is there already"
    assert say(found, B, db="a") == ""


def test_partners() -> None:
    found = state(UnitSpec(unit=DB, colocate_with=(WEB,)))
    assert say(found, web="b") == "ColocateWith=web.service, which is not placed there"
    assert say(found, web="ab") == ""
    found = state(UnitSpec(unit=DB, separate_from=(WEB,)))
    assert say(found, web="a") == "SeparateFrom=web.service, which is placed there"
    assert say(found, web="b") == ""


def test_separation_holds_both_ways() -> None:
    found = state(UnitSpec(unit=DB), UnitSpec(unit=WEB, separate_from=(DB,)))
    assert say(found, web="a") == "web.service is placed there and has SeparateFrom=db.service"
    assert say(found, web="b") == ""


def test_a_unit_that_nobody_has() -> None:
    found = state(UnitSpec(unit=DB))
    found.rows[DB].spec, found.rows[DB].reports = None, {}
    assert "no node of the cluster has an annotated unit 'db.service'" in say(found)


def test_what_stands_in_the_way_of_a_wanted_unit() -> None:
    found = state(UnitSpec(unit=DB))
    row = found.rows[DB]
    assert stands_in_the_way(found, DB) == ""
    row.failure = Failure(node=B, ending=Ending.FAILED, reason="result 'exit-code'")
    assert stands_in_the_way(found, DB) == "db.service failed on b: result 'exit-code'"
    row.failure = replace(row.failure, ending=Ending.FINISHED, reason="gone")
    assert stands_in_the_way(found, DB) == "db.service ended on b: gone"
    row.failure, row.desired = None, Desired.STOPPED
    assert "start it with: systemctl start db.service" in stands_in_the_way(found, DB)
    assert "no node of the cluster" in stands_in_the_way(found, WEB)
