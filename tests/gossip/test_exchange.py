# SPDX-License-Identifier: LGPL-2.1-or-later
"""Comparing notes: bounded in one go, complete in the end."""

from gossip_world import SEC, Host, World

from synod.base.ids import NodeName
from synod.base.usec import Usec
from synod.gossip.effects import SendPacket
from synod.gossip.events import MemberAdded, MemberRemoved, PacketReceived, Tick
from synod.gossip.messages import Alive, Digest, Versions
from synod.gossip.timing import BUCKETS, EXCHANGE_PACKETS_MAX

A, B = NodeName("a"), NodeName("b")
OTHERS = [NodeName(f"member-{number:03}") for number in range(600)]


def met() -> tuple[World, Host, Host]:
    """Return two nodes in a cluster of many, of which only these two exist."""
    world = World([A, B], has_streams=False)
    world.judge.see = lambda *_: None  # type: ignore[method-assign]  # the others are make-believe
    world.boot_all()
    world.run(5 * SEC)
    a, b = world.hosts.values()
    for host in (a, b):
        for name in OTHERS:
            world.step(host, MemberAdded(name=name))
    return world, a, b


def know(world: World, host: Host) -> None:
    source = B if host.name == A else A
    for name in OTHERS:
        world.receive(host, source, (Alive(node=name, incarnation=5),))


def versions(host: Host, digest: Digest, now: int) -> list[Versions]:
    effects = host.gossip.step(PacketReceived(peer=A, messages=(digest,)), Usec(now))
    return [message for effect in effects if isinstance(effect, SendPacket)
            for message in effect.messages if isinstance(message, Versions)]


def test_one_answer_is_bounded_and_begins_anywhere() -> None:
    world, _, b = met()
    strange = Digest(checksums=(-1,) * BUCKETS)
    answers = [versions(b, strange, world.now) for _ in range(6)]
    assert {len(answer) for answer in answers} == {EXCHANGE_PACKETS_MAX}
    assert len({row.node for answer in answers for part in answer for row in part.rows}) > len(OTHERS) / 2


def test_equal_knowledge_is_not_talked_about() -> None:
    world, a, b = met()
    know(world, a)
    know(world, b)
    before = a.gossip._exchange._checksums()
    assert before == b.gossip._exchange._checksums()
    assert versions(b, Digest(checksums=before), world.now) == []


def test_who_knows_nothing_learns_everything_in_several_exchanges() -> None:
    world, a, b = met()
    know(world, a)
    world.cut = {(A, B), (B, A)}
    world.run(2 * SEC)
    world.cut.clear()

    def is_known() -> bool:
        return all(view.incarnation == 5 for view in b.gossip.members if view.name != A)
    b.gossip._exchange.hasten(A)
    world.run_until(is_known, 60 * SEC)


def test_alone_there_is_nothing_to_wait_for() -> None:
    world = World([A], has_streams=False)
    world.boot_all()
    (a,) = world.hosts.values()
    world.step(a, MemberAdded(name=B))
    world.step(a, MemberRemoved(name=B))
    world.now += 2 * SEC
    world.step(a, Tick())
    assert a.gossip.deadline is None
