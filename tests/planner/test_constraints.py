# SPDX-License-Identifier: LGPL-2.1-or-later
"""synod.planner.constraints: every reason why a node may not run a unit, in words."""

from dataclasses import replace

import pytest

from synod.base.ids import NodeName, UnitName
from synod.model.attributes import INFINITY, Condition, Operator, Preference
from synod.model.command import Desired, Ending, NodeState, RoleWish
from synod.model.rows import Failure, NodeRow, Row, Setback
from synod.model.spec import UnitSpec, digest
from synod.model.state import ClusterState
from synod.planner.constraints import obstacles, refusal, stands_in_the_way

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


def test_nodes_that_the_annotation_rules_out() -> None:
    found = state(UnitSpec(unit=DB, avoid_nodes=(A,)))
    assert say(found) == "AvoidNodes= names it"
    assert say(found, B) == ""
    where = (Condition(attribute="rack", operator=Operator.EQUAL, value="r1"),)
    found = state(UnitSpec(unit=DB, where=where))
    assert say(found) == "Where=rack=r1, and the node has no such attribute"
    found.nodes[A].attributes["rack"] = "r2"
    assert say(found) == "Where=rack=r1, and the node has rack=r2"
    found.nodes[A].attributes["rack"] = "r1"
    assert say(found) == ""
    never = (Preference(attribute="name", value="a", score=-INFINITY),)
    assert say(state(UnitSpec(unit=DB, prefer=never))) == "Prefer=a:-INFINITY"


def test_a_node_on_which_it_failed_too_often() -> None:
    found = state(UnitSpec(unit=DB))
    found.rows[DB].setbacks[A] = Setback(count=2, reason="result 'exit-code'")
    assert say(found) == ""
    found.rows[DB].setbacks[A] = Setback(count=3, reason="result 'exit-code'")
    assert say(found) == "it failed there 3 times, FailureLimit=3: result 'exit-code'"
    assert say(found, B) == ""


@pytest.mark.parametrize(("mine", "theirs", "is_yielding"), [(1, 0, True), (0, 0, False), (0, 1, False)])
def test_who_makes_room(mine: int, theirs: int, is_yielding: bool) -> None:
    for specs in (
        (UnitSpec(unit=DB, priority=mine, separate_from=(WEB,)), UnitSpec(unit=WEB, priority=theirs)),
        (UnitSpec(unit=DB, priority=mine), UnitSpec(unit=WEB, priority=theirs, separate_from=(DB,))),
    ):
        found = state(*specs)
        (reason,) = obstacles(found, found.rows[DB], found.nodes[A], {WEB: (A,)})
        assert reason.yielding == (WEB if is_yielding else None)
        assert (say(found, web="a") == "") is is_yielding


def test_every_obstacle_is_told() -> None:
    found = state(UnitSpec(unit=DB, avoid_nodes=(A,), colocate_with=(WEB,)))
    found.nodes[A].is_drained = True
    assert [reason.text for reason in obstacles(found, found.rows[DB], found.nodes[A], {})] == [
        "the node is drained",
        "AvoidNodes= names it",
        "ColocateWith=web.service, which is not placed there",
    ]


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
    row.setbacks = {A: Setback(count=3, reason="r"), B: Setback(count=4, reason="r")}
    assert stands_in_the_way(found, DB).endswith("result 'exit-code'; FailureLimit=3 is reached on a, b")
    row.setbacks = {}
    row.failure = replace(row.failure, ending=Ending.FINISHED, reason="gone")
    assert stands_in_the_way(found, DB) == "db.service ended on b: gone"
    row.failure, row.desired = None, Desired.STOPPED
    assert "start it with: systemctl start db.service" in stands_in_the_way(found, DB)
    assert "no node of the cluster" in stands_in_the_way(found, WEB)
