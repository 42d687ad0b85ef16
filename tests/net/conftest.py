# SPDX-License-Identifier: LGPL-2.1-or-later
"""Nodes with real TLS on loopback, and a wire between them that can be cut in unkind ways."""

import asyncio
import contextlib
import datetime
import importlib
import importlib.util
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass, field

import pytest

from synod.base.ids import NodeName
from synod.base.usec import USEC_PER_MSEC, Usec
from synod.net.authority import Authority, create_authority, create_key, create_request, fingerprint, issue
from synod.net.keys import TlsIdentity
from synod.net.settings import StreamSettings
from synod.net.streams import PeerAddress, StreamPool

LOOPBACK = "127.0.0.1"
WAIT_SEC = 5.0
AUTHORITY = create_authority("prod")
FOREIGN = create_authority("prod")
QUICK = StreamSettings(
    heartbeat_usec=Usec(50 * USEC_PER_MSEC), check_usec=Usec(10 * USEC_PER_MSEC),
    backoff_usec_min=Usec(5 * USEC_PER_MSEC),
    backoff_usec_max=Usec(40 * USEC_PER_MSEC), handshake_usec=Usec(400 * USEC_PER_MSEC),
    dial_usec=Usec(1000 * USEC_PER_MSEC),
)  # fmt: skip


def new_identity(
    name: str, authority: Authority = AUTHORITY, now: datetime.datetime | None = None
) -> TlsIdentity:
    key = create_key()
    certificate = issue(authority, NodeName(name), create_request(NodeName(name), key), [LOOPBACK], now=now)
    return TlsIdentity(authority_pem=authority.certificate_pem, certificate_pem=certificate, key_pem=key)


class Log:
    """Notes what happens, and lets a test wait for it."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self._changed = asyncio.Event()

    def note(self, line: str) -> None:
        self.lines.append(line)
        self._changed.set()

    async def until(self, condition: Callable[[], bool]) -> None:
        """Return once the condition holds; it is looked at after every line."""
        async with asyncio.timeout(WAIT_SEC):
            while not condition():
                self._changed.clear()
                await self._changed.wait()

    async def has(self, line: str, count: int = 1) -> None:
        await self.until(lambda: sum(known.startswith(line) for known in self.lines) >= count)


class Node:
    """A stream pool that notes everything it is told."""

    def __init__(self, identity: TlsIdentity, settings: StreamSettings, members: dict[str, str]) -> None:
        self.log = Log()
        self.members = members
        self.received: list[tuple[str, int, bytes]] = []
        self.pool = StreamPool(identity, self, self.is_member, settings)

    @property
    def name(self) -> NodeName:
        return self.pool.node

    @property
    def address(self) -> PeerAddress:
        return PeerAddress(host=LOOPBACK, port=self.pool.server.port)

    def is_member(self, name: NodeName, certificate_fingerprint: str) -> bool:
        return self.members.get(name) == certificate_fingerprint

    def knows(self, *others: "Node | Wire") -> None:
        self.pool.set_peers({other.name: other.address for other in others})

    def on_connected(self, peer: NodeName) -> None:
        self.log.note(f"connected {peer}")

    def on_message(self, peer: NodeName, kind: int, data: bytes) -> None:
        self.received.append((peer, kind, data))
        self.log.note(f"message {peer} {kind} {data[:20]!r}")

    def on_lost(self, peer: NodeName, reason: str) -> None:
        self.log.note(f"lost {peer}: {reason}")

    def on_refused(self, address: str, reason: str) -> None:
        self.log.note(f"refused {address}: {reason}")


class Wire:
    """A relay in front of a node that can stop relaying without closing anything, as a cut cable does."""

    def __init__(self, behind: Node) -> None:
        self.name = behind.name
        self.accepted = 0
        self._behind = behind
        self._writers: list[asyncio.StreamWriter] = []
        self._intact = asyncio.Event()
        self._intact.set()
        self._server: asyncio.Server | None = None

    @property
    def address(self) -> PeerAddress:
        assert self._server is not None
        return PeerAddress(host=LOOPBACK, port=self._server.sockets[0].getsockname()[1])

    async def start(self) -> None:
        self._server = await asyncio.start_server(self._relay, LOOPBACK, 0)

    def cut(self) -> None:
        self._intact.clear()

    def heal(self) -> None:
        self._intact.set()

    def reset(self) -> None:
        """Break all connections with RST, as the kernel of a killed process does."""
        for writer in self._writers:
            writer.transport.abort()
        self._writers.clear()

    async def stop(self) -> None:
        assert self._server is not None
        self._server.close()
        self.heal()
        self.reset()

    async def _relay(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.accepted += 1
        await self._intact.wait()
        address = self._behind.address
        with contextlib.suppress(OSError):
            far_reader, far_writer = await asyncio.open_connection(address.host, address.port)
            self._writers += [writer, far_writer]
            await asyncio.gather(self._copy(reader, far_writer), self._copy(far_reader, writer))

    async def _copy(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(1 << 16):
            await self._intact.wait()
            writer.write(data)
            await writer.drain()
        writer.close()


@dataclass
class Cluster:
    """Makes nodes of one cluster and ends them."""

    nodes: list[Node] = field(default_factory=list)
    wires: list[Wire] = field(default_factory=list)
    members: dict[str, str] = field(default_factory=dict)

    def add(
        self, name: str, settings: StreamSettings = QUICK, identity: TlsIdentity | None = None, port: int = 0
    ) -> Node:
        identity = identity or new_identity(name)
        self.members[name] = fingerprint(identity.certificate_pem)
        return self.start(Node(identity, settings, self.members), port)

    def start(self, node: Node, port: int = 0) -> Node:
        node.pool.start(LOOPBACK, port)
        self.nodes.append(node)
        return node

    async def wire(self, behind: Node) -> Wire:
        wire = Wire(behind)
        await wire.start()
        self.wires.append(wire)
        return wire

    async def pair(self, settings: StreamSettings = QUICK) -> tuple[Node, Node]:
        """Return two connected nodes."""
        a, b = self.add("a", settings), self.add("b", settings)
        a.knows(b)
        b.knows(a)
        await a.log.has("connected b")
        await b.log.has("connected a")
        return a, b


@pytest.hookimpl(optionalhook=True)
def pytest_asyncio_loop_factories() -> dict[str, Callable[[], asyncio.AbstractEventLoop]]:
    """Run every test on both loops: the agent takes uvloop's where it is installed."""
    factories: dict[str, Callable[[], asyncio.AbstractEventLoop]] = {"asyncio": asyncio.new_event_loop}
    if importlib.util.find_spec("uvloop") is not None:
        factories["uvloop"] = importlib.import_module("uvloop").new_event_loop
    return factories


@pytest.fixture
async def cluster() -> AsyncIterator[Cluster]:
    made = Cluster()
    async with asyncio.timeout(30):
        yield made
        for node in made.nodes:
            await node.pool.stop()
        for wire in made.wires:
            await wire.stop()


@pytest.fixture(autouse=True)
def _no_unhandled_errors(caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    """Fail a test after which asyncio complains of an exception nobody took."""
    yield
    assert [record.getMessage() for record in caplog.get_records("call") if record.name == "asyncio"] == []
