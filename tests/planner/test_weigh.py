# SPDX-License-Identifier: LGPL-2.1-or-later
"""synod.planner.weigh: the table of a unit, with the wishes of those that follow it."""

from plan_stage import Stage, annotate

from synod.base.ids import NodeName, UnitName
from synod.model.attributes import INFINITY
from synod.model.command import Desired, NodeState
from synod.model.rows import Row, Setback
from synod.planner.weigh import followers, weigh

A, B, C = NodeName("a"), NodeName("b"), NodeName("c")


def stage(**units: str) -> Stage:
    """Three nodes with these units, keys separated by semicolons, all of them wanted."""
    found = Stage()
    for name in (A, B, C):
        found.node(name)
    for unit, keys in units.items():
        found.unit(annotate(f"{unit}.service", keys.split(";")))
        row_of(found, unit).desired = Desired.STARTED
    return found


def row_of(found: Stage, unit: str) -> Row:
    return found.state.rows[UnitName(f"{unit}.service")]


def table(found: Stage, unit: str, **placed: str) -> dict[NodeName, int]:
    where = {UnitName(f"{name}.service"): tuple(map(NodeName, nodes)) for name, nodes in placed.items()}
    return {node: score.points for node, score in weigh(found.state, row_of(found, unit), where).items()}


def texts(found: Stage, unit: str, node: NodeName) -> list[str]:
    return [reason.text for reason in weigh(found.state, row_of(found, unit), {})[node].reasons]


def test_preferences_add_up() -> None:
    found = stage(db="Prefer=a:5 rack=r1:7")
    found.state.nodes[A].attributes["rack"] = "r1"
    assert table(found, "db") == {A: 12, B: 0, C: 0}
    assert texts(found, "db", A) == ["Prefer=a:5", "Prefer=rack=r1:7"]


def test_stickiness_is_for_where_it_ran_last() -> None:
    found = stage(db="Stickiness=50", web="Stickiness=0")
    for unit in ("db", "web"):
        row_of(found, unit).homes = {0: B}
    assert table(found, "db") == {A: 0, B: 50, C: 0}
    assert texts(found, "db", B) == ["Stickiness=50, it ran last there"]
    assert table(found, "web") == {A: 0, B: 0, C: 0}


def test_a_node_that_has_left_is_not_listed() -> None:
    found = stage(db="")
    found.state.nodes[C].state = NodeState.LEFT
    assert list(table(found, "db")) == [A, B]


def test_followers_add_their_wishes() -> None:
    found = stage(address="Prefer=a:1", web="ColocateWith=address.service;Prefer=b:5;AvoidNodes=c")
    assert table(found, "address") == {A: 1, B: 5, C: -INFINITY}
    assert texts(found, "address", C) == ["web.service goes with it: AvoidNodes= names it"]


def test_followers_of_followers_count_and_circles_end() -> None:
    found = stage(
        address="ColocateWith=web.service",
        db="ColocateWith=address.service;Prefer=b:5",
        web="ColocateWith=db.service;Prefer=b:7",
    )
    assert table(found, "address", web="b", db="b")[B] == 12


def test_a_follower_that_would_leave_no_node_has_no_say_nor_has_who_follows_it() -> None:
    found = stage(
        address="Nodes=a b",
        lost="ColocateWith=address.service;Nodes=c",
        late="ColocateWith=lost.service;Prefer=a:9",
        web="ColocateWith=address.service;Prefer=b:5",
    )
    assert table(found, "address") == {A: 0, B: 5, C: -INFINITY}


def test_the_more_important_follower_is_heard_first() -> None:
    keys = "ColocateWith=address.service;Nodes="
    found = stage(address="", one=f"{keys}a", two=f"{keys}b;Priority=1")
    assert table(found, "address") == {A: -INFINITY, B: 0, C: -INFINITY}
    assert [row.unit for row in followers(found.state, UnitName("address.service"))] == [
        "two.service",
        "one.service",
    ]


def test_only_wanted_and_exclusive_followers_are_heard() -> None:
    keys = "ColocateWith=address.service;AvoidNodes=a"
    found = stage(address="", one=keys, every=f"{keys};Instances=all", gone=keys)
    assert table(found, "address")[A] == -INFINITY
    row_of(found, "one").desired = row_of(found, "gone").desired = Desired.STOPPED
    assert table(found, "address") == {A: 0, B: 0, C: 0}


def test_a_follower_s_partner_that_is_nowhere_yet_is_no_obstacle_and_one_that_is_somewhere_is() -> None:
    found = stage(address="", disk="", web="ColocateWith=address.service disk.service;AvoidNodes=c")
    assert table(found, "address") == {A: 0, B: 0, C: -INFINITY}
    assert table(found, "address", disk="b") == {A: -INFINITY, B: 0, C: -INFINITY}


def test_a_follower_that_failed_keeps_its_leader_away() -> None:
    found = stage(address="", web="ColocateWith=address.service;FailureLimit=1")
    row_of(found, "web").setbacks = {B: Setback(count=1, reason="r")}
    assert table(found, "address", web="b") == {A: 0, B: -INFINITY, C: 0}


def test_a_follower_sends_nobody_away() -> None:
    found = stage(
        address="Nodes=a b",
        batch="Nodes=a",
        web="ColocateWith=address.service;Priority=1;SeparateFrom=batch.service",
    )
    assert table(found, "address", batch="a") == {A: -INFINITY, B: 0, C: -INFINITY}
    row = row_of(found, "address")
    score = weigh(found.state, row, {UnitName("batch.service"): (A,)})[A]
    assert not score.can_be_cleared


def test_a_follower_on_two_ways_is_heard_once_and_circles_beside_the_unit_end() -> None:
    found = stage(
        address="",
        db="ColocateWith=address.service web.service;Prefer=b:3",
        web="ColocateWith=address.service db.service;Prefer=b:5",
    )
    assert table(found, "address") == {A: 0, B: 8, C: 0}
