# SPDX-License-Identifier: LGPL-2.1-or-later
"""Sealed packets between real sockets on loopback."""

import asyncio
import socket
from collections.abc import AsyncIterator, Callable

import pytest

from synod.base.errors import SynodError
from synod.base.ids import NodeName
from synod.net.datagram import READS_MAX, DatagramEndpoint
from synod.net.sealed import PAYLOAD_BYTES_MAX, GossipKey, Keyring, Opener, Rejection, Sealer, new_session
from synod.net.streams import PeerAddress

WAIT_SEC = 5.0
LOOPBACK = "127.0.0.1"
RING = Keyring(label="prod", keys=(GossipKey(id=1, secret=bytes(32)),))
A, B = NodeName("a"), NodeName("b")


class Node:
    """An endpoint that keeps what it receives, and lets a test wait for it."""

    def __init__(self, name: NodeName, address: str = LOOPBACK, keyring: Keyring = RING) -> None:
        self.name = name
        self.received: list[tuple[str, bytes]] = []
        self._changed = asyncio.Event()
        sealer, opener = Sealer(keyring, name, new_session()), Opener(keyring, name)
        self.endpoint = DatagramEndpoint(sealer, opener, self._receive)
        self.endpoint.start(address, 0)

    def address(self, host: str = LOOPBACK) -> PeerAddress:
        return PeerAddress(host=host, port=self.endpoint.port)

    def _receive(self, sender: NodeName, payload: bytes) -> None:
        self.received.append((sender, payload))
        self._changed.set()

    async def has(self, count: int) -> None:
        async with asyncio.timeout(WAIT_SEC):
            while len(self.received) < count:
                self._changed.clear()
                await self._changed.wait()


@pytest.fixture
async def make() -> AsyncIterator[Callable[..., Node]]:
    made: list[Node] = []

    def make_one(*arguments: str, **options: Keyring) -> Node:
        made.append(Node(*arguments, **options))  # type: ignore[arg-type]
        return made[-1]
    yield make_one
    for node in made:
        node.endpoint.stop()


def introduce(one: Node, other: Node, host: str = LOOPBACK) -> None:
    one.endpoint.set_peers({other.name: other.address(host)})
    other.endpoint.set_peers({one.name: one.address(host)})


async def test_packets_arrive_with_their_senders_name(make: Callable[..., Node]) -> None:
    a, b = make(A), make(B)
    introduce(a, b)
    assert a.endpoint.send(B, b"ping")
    await b.has(1)
    assert b.endpoint.send(A, b"pong")
    await a.has(1)
    assert (a.received, b.received) == ([("b", b"pong")], [("a", b"ping")])


async def test_the_largest_packet_passes(make: Callable[..., Node]) -> None:
    a, b = make(A), make(B)
    introduce(a, b)
    a.endpoint.send(B, bytes(PAYLOAD_BYTES_MAX))
    await b.has(1)


async def test_an_endpoint_on_all_addresses_is_reached_by_both_families(make: Callable[..., Node]) -> None:
    a, b = make(A, ""), make(B, "")
    for count, host in enumerate([LOOPBACK, "::1"], 1):
        if host == "::1" and not has_ipv6():
            continue
        introduce(a, b, host)
        assert a.endpoint.send(B, b"x")
        await b.has(count)


def has_ipv6() -> bool:
    try:
        with socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as probe:
            probe.bind(("::1", 0))
    except OSError:
        return False
    return True


async def test_strangers_and_noise_are_counted_and_nothing_else(make: Callable[..., Node]) -> None:
    a, b = make(A), make(B)
    introduce(a, b)
    stranger = make(NodeName("c"))
    stranger.endpoint.set_peers({B: b.address()})
    stranger.endpoint.send(B, b"let me in")
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as noise:
        for data in (b"", b"GET / HTTP/1.1", bytes(1400), bytes(9000)):
            noise.sendto(data, (LOOPBACK, b.endpoint.port))
    a.endpoint.send(B, b"known")
    await b.has(1)
    assert b.received == [("a", b"known")]
    assert b.endpoint.rejected == {Rejection.UNKNOWN_SENDER: 1, Rejection.MALFORMED: 4}


async def test_a_captured_packet_sent_again_is_not_believed(make: Callable[..., Node]) -> None:
    a, b = make(A), make(B)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as thief:
        thief.bind((LOOPBACK, 0))
        thief.settimeout(WAIT_SEC)
        a.endpoint.set_peers({B: PeerAddress(host=LOOPBACK, port=thief.getsockname()[1])})
        b.endpoint.set_peers({A: a.address()})
        a.endpoint.send(B, b"once")
        packet = thief.recv(2000)
        for _ in range(3):
            thief.sendto(packet, (LOOPBACK, b.endpoint.port))
    a.endpoint.set_peers({B: b.address()})
    a.endpoint.send(B, b"end")
    await b.has(2)
    assert b.received == [("a", b"once"), ("a", b"end")]
    assert b.endpoint.rejected == {Rejection.REPLAYED: 2}


async def test_who_is_nowhere_costs_a_packet(make: Callable[..., Node]) -> None:
    a = make(A)
    c = NodeName("c")
    a.endpoint.set_peers({B: PeerAddress(host="::1", port=1), c: PeerAddress(host="name", port=1)})
    assert not a.endpoint.send(B, b"x")  # of another family
    assert not a.endpoint.send(c, b"x")  # names are never looked up: that would block
    assert not a.endpoint.send(NodeName("d"), b"x")
    assert a.endpoint.dropped == 3


async def test_a_closed_port_does_not_disturb_others(make: Callable[..., Node]) -> None:
    a, b, gone = make(A), make(B), make(NodeName("gone"))
    address = gone.address()
    gone.endpoint.stop()
    introduce(a, b)
    a.endpoint.set_peers({B: b.address(), gone.name: address})
    for _ in range(3):
        a.endpoint.send(gone.name, b"x")
        a.endpoint.drain()
    assert a.endpoint.send(B, b"x")
    await b.has(1)


async def test_draining_reads_at_once_what_has_arrived(make: Callable[..., Node]) -> None:
    a, b = make(A), make(B)
    introduce(a, b)
    for number in range(5):
        a.endpoint.send(B, bytes([number]))
    b.endpoint.drain()
    assert [payload for _, payload in b.received] == [bytes([number]) for number in range(5)]


async def test_one_wakeup_reads_a_bounded_number(make: Callable[..., Node]) -> None:
    a, b = make(A), make(B)
    introduce(a, b)
    batches: list[int] = []
    done = asyncio.Event()

    def look() -> None:
        batches.append(len(b.received))
        if batches[-1] >= READS_MAX + 20:
            done.set()
        else:
            asyncio.get_running_loop().call_soon(look)
    for number in range(READS_MAX + 20):
        assert a.endpoint.send(B, bytes([number]))
    asyncio.get_running_loop().call_soon(look)
    async with asyncio.timeout(WAIT_SEC):
        await done.wait()
    assert max(after - before for before, after in zip([0, *batches], batches, strict=False)) <= READS_MAX


async def test_a_receiver_may_stop_the_endpoint(make: Callable[..., Node]) -> None:
    a, b = make(A), make(B)
    introduce(a, b)
    a.endpoint.send(B, b"1")
    a.endpoint.send(B, b"2")
    b._receive = lambda *_: b.endpoint.stop()  # type: ignore[method-assign]
    b.endpoint._receive = b._receive
    b.endpoint.drain()
    b.endpoint.drain()
    assert not b.endpoint.send(A, b"x")


async def test_a_port_in_use_is_one_line(make: Callable[..., Node]) -> None:
    taken = make(A).endpoint.port
    other = DatagramEndpoint(Sealer(RING, B, new_session()), Opener(RING, B), lambda *_: None)
    with pytest.raises(SynodError) as caught:
        other.start(LOOPBACK, taken)
    assert str(caught.value) == f"cannot use UDP on '127.0.0.1' port {taken}: Address already in use"
    other.stop()
