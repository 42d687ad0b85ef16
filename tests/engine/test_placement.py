# SPDX-License-Identifier: LGPL-2.1-or-later
"""Where units go: drain, move, leave, join, Instances=, partners, differing annotations."""

from scenario import (
    DB,
    MSEC,
    SEC,
    WEB,
    Order,
    becomes,
    behave,
    cluster,
    gate_text,
    on,
    row,
    said,
    spec,
    synodctl,
    systemctl,
    u,
    where,
)

from synod.base.ids import NodeName
from synod.base.messages import MessageId
from synod.engine.requests import (
    Adopt,
    Drain,
    Leave,
    MoveTo,
    Remove,
    RestartUnits,
    StartUnits,
    StopUnits,
)
from synod.model.command import Desired, NodeState, RoleWish
from synod.sim.world import World


def drain(world: World, node: str, *, is_drained: bool = True) -> int | None:
    other = "abc".replace(node, "")[0]
    return synodctl(world, other, Drain(node=NodeName(node), is_drained=is_drained)).status


def test_a_drain_moves_units_in_order() -> None:
    world = cluster(DB, on("web", "c", requires="db", after="db"))
    systemctl(world, "c", "start", "web")
    home = where(world, "db")
    order = Order(world)
    assert drain(world, home) == 0
    becomes(world, lambda: where(world, "db") not in ("", home) and where(world, "web") == "c", "both run")
    assert order.index("web inactive c") < order.index(f"db deactivating {home}")
    assert order.index("db active") < order.index("web activating c")
    assert row(world, "db").desired is Desired.STARTED


def test_a_drained_node_gets_nothing_and_an_undrained_one_does() -> None:
    world = cluster(on("db", "a"))
    drain(world, "a")
    call = systemctl(world, "b", "start", "db")
    assert call.status == 1
    assert any("a: the node is drained" in text for text in gate_text(world["b"], "db"))
    assert drain(world, "a", is_drained=False) == 0
    becomes(world, lambda: where(world, "db") == "a", "db starts once it may")


def test_a_move() -> None:
    world = cluster(DB, on("web", "c", requires="db", after="db"))
    systemctl(world, "c", "start", "web")
    home = where(world, "db")
    target = "abc".replace(home, "")[0]
    order = Order(world)
    assert synodctl(world, "a", MoveTo(unit=u("db"), node=NodeName(target))).status == 0
    becomes(world, lambda: where(world, "db") == target and where(world, "web") == "c", "both run")
    assert order.index("web inactive c") < order.index(f"db deactivating {home}")
    assert synodctl(world, "a", MoveTo(unit=u("db"), node=NodeName("z"))).status == 12


def test_a_start_typed_while_a_move_is_under_way() -> None:
    world = cluster(DB)
    behave(world, "db", stop_usec=800 * MSEC)
    systemctl(world, "a", "start", "db")
    home = where(world, "db")
    target = "abc".replace(home, "")[0]
    synodctl(world, "a", MoveTo(unit=u("db"), node=NodeName(target)))
    world.run(100 * MSEC)
    start = world.systemctl(home, "start", u("db"))
    becomes(world, lambda: where(world, "db") == target, "db has moved")
    assert start.status is not None


def test_leave_stops_the_units_and_others_take_over() -> None:
    world = cluster(DB)
    systemctl(world, "a", "start", "db")
    home = where(world, "db")
    assert synodctl(world, home, Leave()).status == 0
    becomes(world, lambda: where(world, "db") not in ("", home), "db runs elsewhere")
    rest = "abc".replace(home, "")
    assert synodctl(world, rest[0], Remove(node=NodeName(home))).status == 0
    leader = world.leader()
    assert leader is not None
    assert leader.agent is not None
    assert NodeName(home) not in leader.agent.node.state.nodes


def test_the_leader_leaves() -> None:
    world = cluster(DB)
    systemctl(world, "a", "start", "db")
    leader = world.leader()
    assert leader is not None
    assert synodctl(world, leader.name, Leave()).status == 0
    world.run_until(lambda: world.leader() not in (None, leader), "somebody else leads")
    assert systemctl(world, "abc".replace(leader.name, "")[0], "stop", "db").status == 0


def test_remove_is_refused_while_a_node_is_in() -> None:
    world = cluster()
    call = synodctl(world, "a", Remove(node=NodeName("b")))
    assert call.status == 12
    assert "synodctl leave" in call.answer


def test_a_node_joins_later_and_is_used() -> None:
    world = World(0, "abcd", [DB, on("web", "d")])
    world.form("bc")
    call = systemctl(world, "a", "start", "web")
    assert call.status == 1
    assert world.join("d", "b").status == 0
    becomes(world, lambda: where(world, "web") == "d" or row(world, "web").desired is None, "d is in")
    assert systemctl(world, "a", "start", "web").status == 0
    assert where(world, "web") == "d"


def test_a_name_that_is_taken_and_a_token_that_was_used() -> None:
    world = World(0, "abc", [DB])
    world.form("bc")
    assert world.join("b", "a").status == 12


def test_a_node_that_left_joins_again() -> None:
    world = cluster(on("db", "c"))
    assert synodctl(world, "c", Leave()).status == 0
    world.run(SEC)
    assert synodctl(world, "a", Remove(node=NodeName("c"))).status == 0
    assert world.join("c", "a").status == 0
    world.run_until(lambda: world.is_settled(NodeName("c")), "c is back")
    world.run(SEC)
    assert systemctl(world, "a", "start", "db").status == 0
    assert where(world, "db") == "c"


def test_a_witness_runs_nothing() -> None:
    world = World(0, "abc", [on("db", "c")])
    world.form("b")
    world.join("c", "a", RoleWish.WITNESS)
    world.run_until(lambda: world.is_settled(NodeName("c")), "c is in")
    world.run(SEC)
    assert systemctl(world, "a", "start", "db").status == 1
    assert any("a witness runs no units" in text for text in gate_text(world["a"], "db"))


def test_two_instances() -> None:
    world = cluster(spec("db", instances=2), on("web", "a", requires="db", after="db"))
    assert systemctl(world, "a", "start", "web").status == 0
    becomes(world, lambda: len(where(world, "db")) == 2, "two copies run")
    order = Order(world)
    first = where(world, "db")[0]
    world[first].services.crash(u("db"))
    world.run(3 * SEC)
    assert "web inactive a" not in order.lines


def test_the_dependant_stays_while_another_instance_carries_it() -> None:
    world = cluster(spec("db", instances=2), on("web", "a", requires="db", after="db"))
    systemctl(world, "a", "start", "web")
    becomes(world, lambda: len(where(world, "db")) == 2, "two copies run")
    order = Order(world)
    drain(world, where(world, "db")[1])
    becomes(world, lambda: len(where(world, "db")) == 2, "two copies run again")
    assert "web deactivating a" not in order.lines
    assert synodctl(world, "a", StopUnits(unit=u("db"), is_waiting=True)).status == 0
    assert where(world, "db") == ""
    assert where(world, "web") == ""


def test_instances_on_every_node() -> None:
    world = cluster(spec("db", instances=None), on("web", "b", requires="db", after="db"))
    assert systemctl(world, "a", "start", "web").status == 0
    becomes(world, lambda: where(world, "db") == "abc", "db runs everywhere")
    assert systemctl(world, "c", "stop", "db").status == 0
    world.run(2 * SEC)
    assert where(world, "db") == "ab"
    assert where(world, "web") == "b"
    assert systemctl(world, "c", "start", "db").status == 0
    assert where(world, "db") == "abc"
    assert synodctl(world, "a", StopUnits(unit=u("db"), is_waiting=True)).status == 0
    becomes(world, lambda: (where(world, "db"), where(world, "web")) == ("", ""), "all is down")


def test_colocation_and_separation() -> None:
    world = cluster(
        spec("address"),
        spec("web", colocate_with="address", requires="address", after="address"),
        spec("spare", separate_from="web"),
    )
    systemctl(world, "a", "start", "web")
    systemctl(world, "a", "start", "spare")
    assert where(world, "web") == where(world, "address")
    assert where(world, "spare") not in ("", where(world, "web"))


def test_a_unit_is_placed_when_the_one_that_shuns_it_has_gone() -> None:
    world = cluster(on("db", "a"), on("web", "a", separate_from="db"))
    assert systemctl(world, "b", "start", "web").status == 0
    call = systemctl(world, "b", "start", "db")
    assert call.status == 1
    (text,) = gate_text(world["b"], "db")
    assert "a: web.service is placed there and has SeparateFrom=db.service" in text
    assert systemctl(world, "a", "stop", "web").status == 0
    becomes(world, lambda: where(world, "db") == "a", "db takes its place")


def test_a_partner_that_is_not_placed_is_the_reason() -> None:
    world = cluster(spec("address"), spec("web", colocate_with="address"))
    call = systemctl(world, "a", "start", "web")
    assert call.status == 1
    (text,) = gate_text(world["a"], "web")
    assert "a: ColocateWith=address.service, which is not placed there" in text


def test_differing_annotations_get_no_grant_until_one_is_adopted() -> None:
    world = cluster(DB)
    world["b"].reload({u("db"): spec("db", instances=2)})
    world["c"].reload({u("db"): spec("db", instances=3)})
    world.run(SEC)
    drain(world, "a")
    call = systemctl(world, "b", "start", "db")
    assert call.status == 1
    assert any("its annotation differs from the adopted one" in t for t in gate_text(world["b"], "db"))
    assert synodctl(world, "a", Adopt(unit=u("db"), node=NodeName("b"))).status == 0
    assert systemctl(world, "b", "start", "db").status == 0
    assert where(world, "db") == "b"


def test_annotations_that_differ_from_the_start() -> None:
    world = World(0, "abc", [])
    for place, name in enumerate("abc"):
        world[name].files.load({u("db"): spec("db", instances=place + 1)})
    world.form()
    world.run(SEC)
    call = systemctl(world, "c", "start", "db")
    # The first report is adopted; the others differ from it.
    assert call.status in (0, 1)
    assert len(where(world, "db")) <= 1


def test_a_new_annotation_is_adopted_when_all_nodes_have_it() -> None:
    world = cluster(DB)
    systemctl(world, "a", "start", "db")
    home = where(world, "db")
    order = Order(world)
    for name in "abc":
        world[name].reload({u("db"): spec("db", instances=2)})
    becomes(world, lambda: len(where(world, "db")) == 2, "the second copy starts")
    assert f"db deactivating {home}" not in order.lines


def test_commands_of_synodctl() -> None:
    world = cluster(on("db", "a"), on("web", "b", requires="db", after="db"))
    assert synodctl(world, "c", StartUnits(unit=u("web"), is_waiting=True)).status == 0
    assert (where(world, "db"), where(world, "web")) == ("a", "b")
    order = Order(world)
    assert synodctl(world, "c", RestartUnits(unit=u("db"))).status == 0
    becomes(world, lambda: where(world, "web") == "b", "web is back")
    assert order.index("web inactive b") < order.index("db deactivating a")
    assert synodctl(world, "b", StopUnits(unit=u("db"), is_waiting=True)).status == 0
    assert (where(world, "db"), where(world, "web")) == ("", "")
    assert synodctl(world, "b", StartUnits(unit=u("ghost"), is_waiting=True)).status == 5


def test_a_start_that_is_not_waited_for() -> None:
    world = cluster(DB, WEB)
    behave(world, "db", start_usec=2 * SEC)
    call = synodctl(world, "c", StartUnits(unit=u("web"), is_waiting=False))
    assert call.status == 0
    assert where(world, "web") == ""
    becomes(world, lambda: where(world, "web") != "", "web is up")


def test_a_unit_that_is_masked_moves_and_is_not_taken_for_one_that_ended() -> None:
    world = cluster(on("db", "a", "b"))
    systemctl(world, "c", "start", "db")
    home = where(world, "db")
    agent = world[home].agent
    assert agent is not None
    world[home].mask(u("db"))
    systemctl(world, home, "stop", "db")
    world.run(500 * MSEC)  # the agent has not read the annotations yet
    assert row(world, "db").grant_on(NodeName(home)) is not None
    agent.load_specs()
    becomes(world, lambda: where(world, "db") == "ab".replace(home, ""), "db has moved")
    assert row(world, "db").desired is Desired.STARTED
    assert not row(world, "db").setbacks


def test_a_rogue_copy_is_alarmed_and_stopped() -> None:
    world = cluster(DB)
    systemctl(world, "a", "start", "db")
    home = where(world, "db")
    other = "abc".replace(home, "")[0]
    # Somebody forces the files that gate the start: the checkers have to look away.
    world._checkers = ()
    world[other].run[f"grant/{u('db')}"] = 1
    world[other].services.run("start", u("db"), lambda _: None)
    becomes(world, lambda: where(world, "db") == home, "the rogue is stopped")
    assert said(world[other], MessageId.ROGUE_COPY, "db")


def test_a_node_s_state_is_shown() -> None:
    world = cluster()
    leader = world.leader()
    assert leader is not None
    assert leader.agent is not None
    assert {node.state for node in leader.agent.node.state.nodes.values()} == {NodeState.ONLINE}
