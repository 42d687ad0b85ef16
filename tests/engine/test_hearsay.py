# SPDX-License-Identifier: LGPL-2.1-or-later
"""What gossip says of a silent node: it may put a conclusion off, and proves nothing."""

from scenario import MSEC, SEC, cluster, said, spec, systemctl, where

from synod.base.ids import NodeName
from synod.base.messages import MessageId
from synod.engine import events, views
from synod.engine.hearsay import BLIND_USEC
from synod.engine.lease import LEASE_USEC
from synod.engine.vigil import SILENT_USEC
from synod.gossip.members import Status
from synod.sim.agent import Agent
from synod.sim.world import World

A, B, C = NodeName("a"), NodeName("b"), NodeName("c")


def pair() -> World:
    """Two nodes, of which a leads: nobody else can say that it hears b."""
    world = cluster(nodes="ab")
    world.run(3 * SEC)
    assert world.leader() is world["a"]
    return world


def agent(world: World, name: str) -> Agent:
    found = world[name].agent
    assert found is not None
    return found


def is_missed(world: World) -> bool:
    """Whether the leader has drawn its conclusion; what is lost may be back soon."""
    return bool(said(world["a"], MessageId.NODE_LOST))


def fall_silent(world: World, *, datagrams: bool) -> None:
    """Let a believe that the stream of b fell silent, and its datagrams pass or not."""
    world.network.datagrams.loss_chance = 0.0 if datagrams else 1.0
    agent(world, "a").lost(B, is_silent=True)


def shown(world: World, by: str, of: str) -> tuple[str, list[str]]:
    """Return a node's state and accusers, as list-nodes says."""
    (row,) = [row for row in views.list_nodes(agent(world, by).node) if row["name"] == of]  # type: ignore[index,call-overload]
    return row["state"], row["suspected_by"]  # type: ignore[index,call-overload,return-value]


def test_a_silent_node_that_nobody_vouches_for_is_lost_at_once() -> None:
    world = pair()
    fall_silent(world, datagrams=False)
    world.run(SILENT_USEC + 100 * MSEC)
    assert is_missed(world)


def test_a_node_that_answers_datagrams_has_a_leases_time_to_come_back() -> None:
    world = pair()
    fall_silent(world, datagrams=True)
    world.run(LEASE_USEC - 100 * MSEC)
    assert not is_missed(world)
    world.run(300 * MSEC)
    assert is_missed(world), "a node that can be told nothing is of no use"


def test_a_suspicion_takes_the_word_back() -> None:
    world = pair()
    fall_silent(world, datagrams=True)
    world.run(SEC)
    assert not is_missed(world)
    agent(world, "a").step(events.PeerThought(peer=B, status=Status.SUSPECT, accusers=(A,)))
    world.run(100 * MSEC)
    assert is_missed(world)


def test_an_answer_from_before_the_loss_says_nothing() -> None:
    world = pair()
    agent(world, "a").step(events.PeerVouched(peer=B))
    world.run(1)
    fall_silent(world, datagrams=False)
    world.run(SILENT_USEC + 100 * MSEC)
    assert is_missed(world)


def test_a_leader_that_stood_still_waits_for_every_heartbeat() -> None:
    world = pair()
    agent(world, "a").step(events.StoodStill(span=SEC))
    fall_silent(world, datagrams=False)
    world.run(BLIND_USEC - 100 * MSEC)
    assert not is_missed(world)
    world.run(200 * MSEC)
    assert is_missed(world)


def test_a_leader_without_a_link_accuses_nobody() -> None:
    world = pair()
    agent(world, "a").step(events.OwnLinkChanged(is_up=False))
    fall_silent(world, datagrams=False)
    world.run(4 * SEC)
    assert not is_missed(world)
    agent(world, "a").step(events.OwnLinkChanged(is_up=True))
    world.run(BLIND_USEC + 100 * MSEC)
    assert is_missed(world)


def test_no_opinion_moves_a_unit_of_a_node_that_is_heard() -> None:
    world = cluster(spec("db"))
    world.run(3 * SEC)
    systemctl(world, "c", "start", "db")
    home = where(world, "db")
    for machine in world.machines.values():
        if machine.name != home and machine.agent is not None:
            word = events.PeerThought(peer=NodeName(home), status=Status.FAULTY, accusers=(A, B, C))
            machine.agent.step(word)
    world.run(20 * SEC)
    assert where(world, "db") == home
    assert all(not said(machine, MessageId.NODE_LOST) for machine in world.machines.values())


def test_a_frozen_agent_is_suspected_by_all_and_trusted_again() -> None:
    world = cluster()
    world.run(3 * SEC)
    world["c"].freeze_agent(8 * SEC)
    world.run(5 * SEC)
    for name in "ab":
        node_state, accusers = shown(world, name, "c")
        assert node_state in ("suspect", "lost")
        assert accusers
    world.run(10 * SEC)
    for name in "ab":
        assert shown(world, name, "c") == ("online", [])
    assert all(shown(world, "c", name) == ("online", []) for name in "ab"), "it blames nobody for its sleep"


def test_a_cut_between_two_is_no_reason_to_suspect_either() -> None:
    world = cluster()
    world.run(3 * SEC)
    world.network.cut_one_way(C, A)
    world.run(20 * SEC)
    assert [shown(world, "b", name) for name in "ac"] == [("online", [])] * 2
    assert shown(world, "a", "c")[1] == []
    assert all(not said(machine, MessageId.NODE_LOST) for machine in world.machines.values())


def test_a_node_whose_cable_is_out_blames_nobody() -> None:
    world = cluster()
    world.run(3 * SEC)
    world.network.unplug(C, (A, B, C))
    world.run(20 * SEC)
    assert [shown(world, "c", name)[1] for name in "ab"] == [[], []]
    assert shown(world, "a", "c")[1]
    world.network.heal_all()
    world.run(15 * SEC)
    assert [shown(world, by, of) for by in "abc" for of in "abc"] == [("online", [])] * 9


def test_a_member_that_left_takes_what_was_said_of_it_along() -> None:
    world = pair()
    hearsay = agent(world, "a").node.hearsay
    hearsay.take(events.PeerThought(peer=B, status=Status.SUSPECT, accusers=(A,)))
    hearsay.take(events.PeerFacts(peer=B, facts=(("version", "1"),)))
    hearsay.forget(B)
    assert (hearsay.accusers(B), hearsay.fact(B, "version")) == ((), "")
