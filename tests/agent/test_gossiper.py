# SPDX-License-Identifier: LGPL-2.1-or-later
"""Agents' gossip on loopback with real sockets; streams are named stand-ins that a test speaks for."""

import asyncio
import io
import random
import socket
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from synod import __version__
from synod.agent.gossiper import Gossiper
from synod.agent.keybearer import KeyBearer
from synod.base.errors import SynodError
from synod.base.ids import NodeName
from synod.engine.events import (
    Event,
    OwnLinkChanged,
    PeerFacts,
    PeerThought,
    PeerVouched,
)
from synod.gossip.members import Status
from synod.net.keychain import Keychain, found_keys
from synod.net.sealed import PACKET_BYTES_MAX, Sealer, new_session
from synod.net.streams import PeerAddress
from synod.systemd.journal import Journal

LOOPBACK = "127.0.0.1"
WAIT_SEC = 20.0
A, B, C = NodeName("a"), NodeName("b"), NodeName("c")


class Node:
    """A gossiper, what it told its node, and the streams that it believes to have."""

    def __init__(self, name: NodeName, root: Path) -> None:
        self.name = name
        self.journal = io.StringIO()
        self.told: list[Event] = []
        self.streams: dict[NodeName, float] = {}
        self.offers: list[tuple[NodeName, bytes]] = []
        self.keychain = Keychain(root / name, "prod.1")
        self.keys = KeyBearer(name, self.keychain, lambda peer, data: self.offers.append((peer, data)))
        self.gossiper = Gossiper(
            node=name,
            keys=self.keys,
            heard=self.streams.get,
            feed=self._feed,
            journal=Journal(root / "no-journal", fallback=self.journal),
        )
        self._changed = asyncio.Event()
        self.gossiper.start(LOOPBACK, 0)

    def _feed(self, event: Event) -> None:
        self.told.append(event)
        self.look()

    def look(self) -> None:
        """Let whoever waits for something look again."""
        self._changed.set()

    @property
    def address(self) -> PeerAddress:
        return PeerAddress(host=LOOPBACK, port=self.gossiper.port)

    async def until(self, condition: Callable[[], bool]) -> None:
        async with asyncio.timeout(WAIT_SEC):
            while not condition():
                self._changed.clear()
                await self._changed.wait()

    async def hears(self, event: Event) -> None:
        await self.until(lambda: event in self.told)

    def thinks(self, peer: NodeName) -> Status:
        words = [event for event in self.told if isinstance(event, PeerThought) and event.peer == peer]
        return words[-1].status if words else Status.ALIVE


Make = Callable[..., list[Node]]


@pytest.fixture
async def make(tmp_path: Path) -> AsyncIterator[Make]:
    made: list[Node] = []

    def make_all(*names: NodeName, is_introduced: bool = True) -> list[Node]:
        found_keys(tmp_path / names[0])
        made.extend(Node(name, tmp_path) for name in names)
        for node in made if is_introduced else ():
            node.keychain.take(made[0].keychain.offer)
            node.keys.offered(made[0].name, made[0].keychain.offer)
            node.keys.sealer.set_keyring(node.keychain.keyring)
            node.keys.opener.set_keyring(node.keychain.keyring)
        introduce(made)
        return made

    yield make_all
    for node in made:
        node.gossiper.stop()


def introduce(nodes: list[Node]) -> None:
    for node in nodes:
        node.gossiper.members_are({one.name: one.address for one in nodes})


async def test_what_a_node_says_of_itself_reaches_everyone(make: Make) -> None:
    nodes = make(A, B, C)
    for node in nodes:
        for other in nodes:
            await node.hears(PeerFacts(peer=other.name, facts=(("version", __version__),)))


async def test_who_falls_silent_is_suspected_by_all_and_refutes_when_it_is_back(make: Make) -> None:
    a, b, c = make(A, B, C)
    for node in (a, b):
        await node.hears(PeerFacts(peer=C, facts=(("version", __version__),)))
    port = c.gossiper.port
    c.gossiper._endpoint.stop()
    for node in (a, b):
        await node.until(lambda node=node: node.thinks(C) is Status.SUSPECT)  # type: ignore[misc]
    c.gossiper._endpoint.start(LOOPBACK, port)
    for node in (a, b):
        await node.until(lambda node=node: node.thinks(C) is Status.ALIVE)  # type: ignore[misc]


async def test_a_farewell_is_no_silence(make: Make) -> None:
    a, b, c = make(A, B, C)
    await a.hears(PeerFacts(peer=C, facts=(("version", __version__),)))
    c.gossiper.stop()
    for node in (a, b):
        await node.until(lambda node=node: node.thinks(C) is Status.LEFT)  # type: ignore[misc]


async def test_a_node_whose_stream_is_lost_is_vouched_for_at_once(make: Make) -> None:
    a, *_ = make(A, B, C)
    await a.hears(PeerFacts(peer=B, facts=(("version", __version__),)))
    before = asyncio.get_running_loop().time()
    a.gossiper.stream_ended(B)
    await a.hears(PeerVouched(peer=B))
    # Below the vigil's SILENT_USEC with room for a loaded machine; the first period alone takes a second.
    assert asyncio.get_running_loop().time() - before < 0.9


async def test_a_stream_that_is_heard_keeps_its_peer_from_being_accused(make: Make) -> None:
    a, b = make(A, B)
    b.gossiper._endpoint.stop()

    def beat() -> None:
        a.streams[B] = asyncio.get_running_loop().time()
        a.look()
        asyncio.get_running_loop().call_later(0.2, beat)

    beat()
    # After three questions that only the stream answered the admin is told, and nobody is suspected.
    await a.until(lambda: "do not pass between this node and 'b'" in a.journal.getvalue())
    assert a.thinks(B) is Status.ALIVE


async def test_a_node_whose_own_link_is_down_accuses_nobody(make: Make) -> None:
    a, b, c = make(A, B, C)
    b.gossiper._endpoint.stop()
    a.gossiper.own_link_changed(is_up=False)
    await c.until(lambda: c.thinks(B) is Status.SUSPECT)
    assert OwnLinkChanged(is_up=False) in a.told
    said = [event for event in (*a.told, *c.told) if isinstance(event, PeerThought) and event.peer == B]
    assert all(A not in event.accusers for event in said)


async def test_who_was_removed_is_not_heard_any_more(make: Make) -> None:
    a, b, c = make(A, B, C)
    await a.hears(PeerFacts(peer=C, facts=(("version", __version__),)))
    a.gossiper.members_are({B: b.address})
    c.gossiper.stream_ended(A)
    await c.until(lambda: PeerVouched(peer=A) in c.told or c.thinks(A) is Status.SUSPECT)
    assert figure(a, "unknown sender") > 0


def figure(node: Node, name: str) -> int:
    rejected = node.gossiper.figures["rejected"]
    assert isinstance(rejected, dict)
    return rejected.get(name, 0)


async def test_a_port_that_is_taken_is_one_line(make: Make, tmp_path: Path) -> None:
    (a,) = make(A)
    other = Gossiper(node=B, keys=KeyBearer(B, Keychain(tmp_path / "b", "prod.1"), lambda *_: None),
                     heard=lambda _: None, feed=lambda _: None, journal=Journal(tmp_path))  # fmt: skip
    with pytest.raises(SynodError, match="cannot use UDP"):
        other.start(LOOPBACK, a.gossiper.port)
    other.stop()


# Keys


async def test_keys_travel_when_a_stream_begins_and_only_forwards(make: Make) -> None:
    a, b = make(A, B, is_introduced=False)
    a.gossiper.stream_began(B)
    b.gossiper.stream_began(A)
    (to_b,), (to_a,) = a.offers, b.offers
    a.gossiper.keys_offered(B, to_a[1])
    b.gossiper.keys_offered(A, to_b[1])
    assert a.keychain.offer == b.keychain.offer == to_b[1]
    await a.hears(PeerFacts(peer=B, facts=(("version", __version__),)))


async def test_a_renewed_key_is_told_to_all_and_gossip_goes_on(make: Make) -> None:
    a, b = make(A, B)
    a.keys.renew([B])
    a.keys.retire([B])
    assert a.keychain.has_old_key, "it is not time"
    (offer,) = a.offers
    b.gossiper.keys_offered(A, offer[1])
    a.gossiper.stream_ended(B)
    await a.hears(PeerVouched(peer=B))


async def test_nonsense_for_keys_changes_nothing(make: Make) -> None:
    a, _ = make(A, B)
    before = a.keychain.offer
    for data in (b"", b"\xff" * 40, bytes(5000)):
        a.gossiper.keys_offered(B, data)
    assert a.keychain.offer == before


# The entry


async def test_no_datagram_does_more_than_be_counted(make: Make, tmp_path: Path) -> None:
    """Garbage, truncated, damaged, repeated, sealed with a wrong key, sealed but senseless: 2000 of them."""
    a, b = make(A, B)
    dice = random.Random(7)
    stranger = Sealer(Keychain(tmp_path / "stranger", "prod.1").keyring, B, new_session())
    elsewhere = Sealer(Keychain(tmp_path / "a", "other.2").keyring, B, new_session())
    insider = Sealer(b.keychain.keyring, B, new_session())
    good = insider.seal(A, b"\x92\x01\x91\x92\x02\x05")
    makers: tuple[Callable[[], bytes], ...] = (
        lambda: dice.randbytes(dice.randrange(PACKET_BYTES_MAX + 200)),
        lambda: good[: dice.randrange(len(good))],
        lambda: good,
        lambda: flipped(good, dice),
        lambda: stranger.seal(A, dice.randbytes(50)),
        lambda: elsewhere.seal(A, dice.randbytes(50)),
        lambda: insider.seal(C, dice.randbytes(50)),
        lambda: insider.seal(A, dice.randbytes(dice.randrange(200))),
    )
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as noise:
        for number in range(2000):
            noise.sendto(makers[number % len(makers)](), (LOOPBACK, a.gossiper.port))
            if number % 50 == 0:
                a.gossiper._endpoint.drain()
    a.gossiper._endpoint.drain()
    figures = a.gossiper.figures["rejected"]
    assert isinstance(figures, dict)
    assert {"malformed", "unknown key", "forged", "replayed", "not understood"} <= figures.keys()
    # One of the same session was believed, and what garbage decodes to by chance is a message like another.
    assert sum(figures.values()) >= 1900
    assert a.thinks(B) is Status.ALIVE
    a.gossiper.stream_began(B)  # or the insider's session, which is newer, would count
    b.gossiper.stream_ended(A)
    await b.hears(PeerVouched(peer=A))


def flipped(packet: bytes, dice: random.Random) -> bytes:
    place = dice.randrange(len(packet))
    return packet[:place] + bytes([packet[place] ^ 1 << dice.randrange(8)]) + packet[place + 1 :]
