# SPDX-License-Identifier: LGPL-2.1-or-later
"""Two nodes, and a third that only votes; machines that nobody can prove to be off."""

from scenario import SEC, becomes, on, said, synodctl, systemctl, u, where

from synod.base.ids import NodeName
from synod.base.messages import MessageId
from synod.engine import views
from synod.engine.events import DevicesLoaded
from synod.engine.node import Node
from synod.engine.requests import ConfirmOff, Leave, Remove, StartUnits
from synod.model.command import NodeState, RoleWish
from synod.sim.world import World

B = NodeName("b")


def pair_and_witness(seed: int = 0) -> World:
    world = World(seed, "abw", [on("db", "a", "b")])
    world.form(["b"])
    world.run(2 * SEC)
    assert world.join("w", "a", RoleWish.WITNESS).status == 0
    world.run_until(lambda: world.is_settled(NodeName("w")), "the witness is there")
    world.run_until(lambda: voters(world) == ("a", "b", "w"), "three vote")
    world.run(2 * SEC)
    return world


def node_of(world: World, name: str) -> Node:
    agent = world[name].agent
    assert agent is not None
    return agent.node


def voters(world: World) -> tuple[str, ...]:
    leader = world.leader()
    return tuple(sorted(node_of(world, leader.name).ledger.voters)) if leader is not None else ()


def take_over(world: World, node: str) -> None:
    becomes(world, lambda: where(world, "db") == node, f"{node} takes it over")


def test_two_nodes_are_no_failover_pair_and_say_so() -> None:
    world = World(0, "ab", [on("db", "a", "b")])
    world.form()
    world.run(3 * SEC)
    assert voters(world) == ("a",)
    (warning,) = views.status(node_of(world, "b"))["warnings"]  # type: ignore[misc, union-attr]
    assert str(warning).startswith("a and b are no failover pair: without a no majority of voters is left")
    assert "--role witness" in str(warning)
    (bound,) = views.list_bounds(node_of(world, "b"))
    assert bound["lease_of_leader_usec"] is None  # type: ignore[index, call-overload]


def test_a_witness_makes_either_of_two_nodes_expendable() -> None:
    for seed in range(6):
        world = pair_and_witness(seed)
        assert views.status(node_of(world, "b"))["warnings"] == []
        assert synodctl(world, "w", StartUnits(unit=u("db"), is_waiting=True)).status == 0
        home = where(world, "db")
        other = "b" if home == "a" else "a"
        world[home].power_cut()
        take_over(world, other)
        leader = world.leader()
        assert leader is not None
        assert leader.name == other


def test_a_witness_leads_only_when_nobody_else_can() -> None:
    world = pair_and_witness()
    for victim in "ab":
        machine = world[victim]
        machine.kill_agent()
        machine.start_agent_later(3 * SEC)
        world.run(12 * SEC)
        leader = world.leader()
        assert leader is not None
        assert leader.name != "w"


def test_a_witness_alone_with_one_node_does_not_vote() -> None:
    world = World(0, "aw", [on("db", "a")])
    world.form([])
    assert world.join("w", "a", RoleWish.WITNESS).status == 0
    world.run(5 * SEC)
    assert voters(world) == ("a",)


def test_a_node_that_was_removed_forgets_its_cluster_by_force() -> None:
    world = World(0, "abc", [on("db", "b", "c")])
    world.form()
    world.run(3 * SEC)
    systemctl(world, "a", "start", "db")
    world.network.isolate(lambda name: name == "b", tuple(world.machines))
    world.run(10 * SEC)
    assert synodctl(world, "a", Remove(node=B)).status == 0
    assert synodctl(world, "b", Leave(is_forced=True)).status == 0
    world.run(SEC)
    assert world["b"].agent is None
    assert where(world, "db") == "c"
    # Where a majority answers, force is the ordinary way.
    assert synodctl(world, "c", Leave(is_forced=True)).status == 0
    assert node_of(world, "a").state.nodes[NodeName("c")].state is NodeState.LEFT


def without_any_proof() -> World:
    """Lose b, whose only fence device fails, and which therefore has no fuse."""
    world = World(0, "abc", [on("db", "b", "c")])
    world.form()
    world.run(3 * SEC)
    world["a"].devices[B] = "fails"
    agent = world["a"].agent
    assert agent is not None
    agent.step(DevicesLoaded(targets=(B,)))
    world.run(2 * SEC)
    systemctl(world, "a", "start", "db")
    assert where(world, "db") == "b"
    world["b"].power_cut()
    world.run(20 * SEC)
    return world


def test_an_operator_s_word_is_a_proof_where_there_is_no_other() -> None:
    world = without_any_proof()
    assert where(world, "db") == ""
    for name in "ac":
        (row,) = views.list_units(node_of(world, name))
        reason = str(row["reason"])  # type: ignore[index, call-overload]
        assert reason.startswith("db.service is held by b, which is lost")
        assert "'b' cannot be fenced: " in reason
        assert reason.endswith("synodctl confirm-off b --yes")
    assert synodctl(world, "c", ConfirmOff(node=B)).status == 0
    becomes(world, lambda: where(world, "db") == "c", "it is taken over")
    # The machine was off; when it is back it is another incarnation, and nothing of it runs.
    world["b"].power_on()
    world.run_until(lambda: node_of(world, "c").state.nodes[B].state is NodeState.ONLINE, "b is back")
    assert where(world, "db") == "c"


def test_an_operator_s_word_against_a_node_that_lives_is_refused() -> None:
    world = World(0, "abc", [on("db", "b", "c")])
    world.form()
    world.run(3 * SEC)
    systemctl(world, "a", "start", "db")
    call = synodctl(world, "a", ConfirmOff(node=B))
    assert (call.status, call.answer) == (12, "'b' is not off: this node hears it")
    assert synodctl(world, "a", ConfirmOff(node=NodeName("z"))).status == 5
    world.network.cut(NodeName("a"), B)
    world.run(2 * SEC)
    call = synodctl(world, "a", ConfirmOff(node=B))
    assert call.status == 12
    assert where(world, "db") == "b"


def test_an_alarm_about_a_node_is_raised_once_for_each_reason() -> None:
    world = without_any_proof()
    world.run(60 * SEC)
    leader = world.leader()
    assert leader is not None
    alarms = [alarm for _, alarm in node_of(world, leader.name).state.alarms]
    assert [alarm.node for alarm in alarms] == [B]
    assert len([t for t in said(leader, MessageId.FENCING_FAILED) if "cannot be fenced" in t]) == 1
