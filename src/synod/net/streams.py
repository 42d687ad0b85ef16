# SPDX-License-Identifier: LGPL-2.1-or-later
"""Streams to all peers: one connection for every pair of nodes, kept up for as long as both are members.

Decides who connects to whom, when again, and which connection is the one. Refuses to know what is said.

Laws
- Of two nodes the one with the smaller name opens the connection, so that there is never a second one to
choose
  from. The other knocks when it misses the connection: it proves who it is, hangs up, and is called back at
  once. A restarted node is therefore in touch after two handshakes, whichever of the two it is.
- ``on_connected`` and ``on_lost`` of a peer alternate; ``on_message`` comes between them only. A loss is
told at
  once and exactly once; everything queued is lost with it. After ``on_connected`` both sides start afresh.
- Frames arrive in the order sent, or the connection is lost: none is dropped alone.
- A connection counts when the first frame of the other side has arrived. In TLS 1.3 the caller has finished
its
  handshake before the called has looked at its certificate.
- A newer proved connection of the same peer replaces the older one, which is half open at best.
- Only who ``is_allowed`` by name and certificate gets a connection; ``set_peers`` asks again for all of
them.
"""

import asyncio
import contextlib
import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Protocol, cast

from synod.base.errors import PeerError
from synod.base.ids import NodeName
from synod.base.usec import USEC_PER_SEC
from synod.net.keys import TlsIdentity
from synod.net.link import HEARTBEAT, PeerLink
from synod.net.server import JoinHandler, StreamServer
from synod.net.settings import StreamSettings
from synod.net.sockets import connect, explain
from synod.net.tls import ALPN_PEER, SERVER_NAME, client_context, peer_of

IsAllowed = Callable[[NodeName, str], bool]
"""Whether the ledger lists this node with a certificate of this fingerprint."""


class StreamEvents(Protocol):
    """What the owner of a pool is told; called from the event loop, and must not block."""

    def on_connected(self, peer: NodeName) -> None:
        """Note that messages can be exchanged, from nothing."""

    def on_message(self, peer: NodeName, kind: int, data: bytes) -> None:
        """Take a message of a connected peer, in order; kind is 1 to 255."""

    def on_lost(self, peer: NodeName, reason: str) -> None:
        """Note that a connected peer is not any more."""

    def on_refused(self, address: str, reason: str) -> None:
        """Note that a caller was turned away; anyone can cause it, so limit the rate of what is logged."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PeerAddress:
    """Where a peer listens."""

    host: str
    port: int


class StreamPool:
    """All streams of one node."""

    def __init__(
        self,
        identity: TlsIdentity,
        events: StreamEvents,
        is_allowed: IsAllowed,
        settings: StreamSettings | None = None,
        serve_join: JoinHandler | None = None,
    ) -> None:
        """Prepare, without I/O; raise PeerError for a broken identity."""
        self.node = identity.node
        self.settings = settings or StreamSettings()
        self.server = StreamServer(identity, self, self.settings, serve_join)
        self._events = events
        self._is_allowed = is_allowed
        self._authority_pem = identity.authority_pem
        self._context = client_context(identity)
        self._links: dict[NodeName, PeerLink] = {}
        self._unconfirmed: list[PeerLink] = []
        self._dialers: dict[NodeName, _Dialer] = {}
        self._checking: asyncio.TimerHandle | None = None

    def start(self, address: str, port: int) -> None:
        """Listen and keep time; port 0 takes a free one. Raises SynodError when it cannot listen."""
        self.server.start(address, port)
        self._check()

    async def stop(self) -> None:
        """Close everything; what is queued is sent first where the peer reads it soon. Tells no loss."""
        if self._checking is not None:
            self._checking.cancel()
        dialers, self._dialers = list(self._dialers.values()), {}
        links, self._links = list(self._links.values()), {}
        unconfirmed, self._unconfirmed = self._unconfirmed, []
        for link in (*links, *unconfirmed):
            link.close_when_sent()
        await asyncio.gather(*(dialer.stop() for dialer in dialers))
        await self.server.stop()

    def set_peers(self, peers: Mapping[NodeName, PeerAddress]) -> None:
        """Call exactly these peers from now on; this node itself is skipped.

        Closes the connections of peers that are not among them any more, and of all whom ``is_allowed``
        refuses when asked again. Others that called before their address was known here stay.
        """
        wanted = {name: address for name, address in peers.items() if name != self.node}
        self.server.admission.set_known(address.host for address in wanted.values())
        for name, dialer in list(self._dialers.items()):
            if wanted.get(name) != dialer.address:
                del self._dialers[name]
                dialer.cancel()
            if name not in wanted and name in self._links:
                self._links[name].close("it is not a peer any more")
        for name, address in wanted.items():
            if name not in self._dialers:
                self._dialers[name] = _Dialer(self, name, address)
        for link in (*self._links.values(), *self._unconfirmed):
            if not self._is_allowed(link.peer, link.certificate_fingerprint):
                link.close("it is not a member any more")

    def replace_identity(self, identity: TlsIdentity) -> None:
        """Use a renewed certificate for connections to come; raise PeerError for a broken one."""
        self._context = client_context(identity)
        self.server.replace_identity(identity)

    def send(self, peer: NodeName, kind: int, data: bytes) -> bool:
        """Queue a message of kind 1 to 255; return whether the peer is connected.

        Never blocks. True promises no arrival: the connection may be lost before. A full queue resets the
        connection (see PeerLink.send): ``on_lost`` is told before False is returned. Raises TooLargeError.
        """
        assert kind != HEARTBEAT
        link = self._links.get(peer)
        return link is not None and link.send(kind, data)

    @property
    def connected(self) -> tuple[NodeName, ...]:
        """Peers that messages can be exchanged with, by name."""
        return tuple(sorted(self._links))

    def heard(self, peer: NodeName) -> float | None:
        """Return the loop time at which a connected peer last showed a sign of life; None for any other."""
        link = self._links.get(peer)
        return None if link is None else link.heard

    def problem(self, peer: NodeName) -> str | None:
        """Return why there is no connection to a peer of ``set_peers``, in words; None when there is one."""
        dialer = self._dialers.get(peer)
        return None if dialer is None or peer in self._links else dialer.problem

    # What links, the server and the dialers tell.

    def accept_peer(
        self, peer: NodeName, certificate_fingerprint: str, transport: asyncio.Transport
    ) -> asyncio.Protocol:
        """Take a proved caller; raise PeerError to refuse it."""
        if peer == self.node or not self._is_allowed(peer, certificate_fingerprint):
            raise PeerError(f"'{peer}' with this certificate is not a member")
        if peer > self.node:
            dialer = self._dialers.get(peer)
            if dialer is not None:
                dialer.call_now()
            transport.close()
            return asyncio.Protocol()
        return self._open(peer, certificate_fingerprint, transport)

    def refused(self, address: str, reason: str) -> None:
        """Pass on that a caller was turned away."""
        self._events.on_refused(address, reason)

    def link_confirmed(self, link: PeerLink) -> None:
        """Make it the connection to its peer."""
        self._unconfirmed.remove(link)
        older = self._links.get(link.peer)
        if older is not None:
            older.close("a newer connection replaces it")
        self._links[link.peer] = link
        self._events.on_connected(link.peer)

    def link_received(self, link: PeerLink, kind: int, data: bytes) -> None:
        """Pass on a message."""
        self._events.on_message(link.peer, kind, data)

    def link_closed(self, link: PeerLink, reason: str) -> None:
        """Tell the loss, once, and begin to reconnect."""
        dialer = self._dialers.get(link.peer)
        if dialer is not None:
            dialer.lost(reason, was_confirmed=link.is_confirmed)
        if link in self._unconfirmed:
            self._unconfirmed.remove(link)
        elif self._links.get(link.peer) is link:
            del self._links[link.peer]
            self._events.on_lost(link.peer, reason)

    def is_connected(self, peer: NodeName) -> bool:
        """Return whether there is a connection, also one that is not confirmed yet."""
        return peer in self._links or any(link.peer == peer for link in self._unconfirmed)

    async def dial(self, peer: NodeName, address: PeerAddress) -> None:
        """Connect once, or knock where the peer is to call; raise OSError or PeerError with the reason."""
        async with asyncio.timeout(self.settings.dial_usec / USEC_PER_SEC):
            connection = await connect(address.host, address.port, self.settings.user_timeout_usec)
            outbound = _Outbound(self, peer)
            transport, _ = await asyncio.get_running_loop().create_connection(
                lambda: outbound,
                sock=connection,
                ssl=self._context,
                server_hostname=SERVER_NAME,
                ssl_handshake_timeout=self.settings.dial_usec / USEC_PER_SEC,
                ssl_shutdown_timeout=1.0,
            )
            if outbound.refusal is not None:
                raise PeerError(outbound.refusal)
            if peer < self.node:
                try:
                    await outbound.over
                finally:
                    transport.abort()

    def take(self, peer: NodeName, transport: asyncio.Transport) -> asyncio.Protocol | None:
        """Identify whom this node has called; raise PeerError unless it is ``peer``."""
        stream = transport.get_extra_info("ssl_object")
        if stream.selected_alpn_protocol() != ALPN_PEER:
            raise PeerError("it does not speak Synod's protocol")
        name, certificate_fingerprint = peer_of(stream, self._authority_pem)
        if name != peer:
            raise PeerError(f"it is '{name}', expected '{peer}'")
        if not self._is_allowed(name, certificate_fingerprint):
            raise PeerError(f"'{name}' with this certificate is not a member")
        return self._open(peer, certificate_fingerprint, transport) if peer > self.node else None

    def _open(self, peer: NodeName, certificate_fingerprint: str, transport: asyncio.Transport) -> PeerLink:
        for other in [link for link in self._unconfirmed if link.peer == peer]:
            other.close("a newer connection replaces it")
        link = PeerLink(peer, certificate_fingerprint, transport, self, self.settings)
        self._unconfirmed.append(link)
        link.send(HEARTBEAT, b"")
        return link

    def _check(self) -> None:
        loop = asyncio.get_running_loop()
        self._checking = loop.call_later(self.settings.check_usec / USEC_PER_SEC, self._check)
        for link in (*self._links.values(), *self._unconfirmed):
            link.check()


class _Outbound(asyncio.Protocol):
    """Stands in until the handshake says who was called."""

    def __init__(self, pool: StreamPool, peer: NodeName) -> None:
        self.refusal: str | None = None
        self.over: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._pool = pool
        self._peer = peer

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        stream = cast(asyncio.Transport, transport)  # uvloop's has no class in common with it
        try:
            link = self._pool.take(self._peer, stream)
        except PeerError as error:
            self.refusal = str(error)
            stream.abort()
            return
        if link is not None:
            stream.set_protocol(link)

    def connection_lost(self, exc: Exception | None) -> None:
        if not self.over.done():
            self.over.set_result(None)


class _Dialer:
    """Keeps calling, or knocking at, one peer while there is no connection."""

    def __init__(self, pool: StreamPool, peer: NodeName, address: PeerAddress) -> None:
        self.address = address
        self.problem = "not tried yet"
        self._pool = pool
        self._peer = peer
        self._knocked = asyncio.Event()
        self._closed = asyncio.Event()
        self._was_confirmed = False
        self._task = asyncio.get_running_loop().create_task(self._run())

    def call_now(self) -> None:
        """Wait no longer: the peer is there. Its own waits limit how often that happens."""
        self._knocked.set()

    def lost(self, reason: str, *, was_confirmed: bool) -> None:
        """Note that a connection to the peer is over."""
        self.problem = reason
        self._was_confirmed = was_confirmed
        self._closed.set()

    def cancel(self) -> None:
        self._task.cancel()

    async def stop(self) -> None:
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)

    async def _run(self) -> None:
        shortest = self._pool.settings.backoff_usec_min / USEC_PER_SEC
        longest = self._pool.settings.backoff_usec_max / USEC_PER_SEC
        delay = shortest
        if self._peer < self._pool.node:
            await self._wait(delay)  # it probably calls by itself
        while True:
            self._knocked.clear()
            if not self._pool.is_connected(self._peer):
                await self._attempt()
            if self._pool.is_connected(self._peer):
                self._closed.clear()
                await self._closed.wait()
                if self._was_confirmed:
                    delay = shortest
            await self._wait(delay)
            delay = min(2 * delay, longest)

    async def _wait(self, delay: float) -> None:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(delay * (1 - secrets.randbelow(500) / 1000)):
                await self._knocked.wait()

    async def _attempt(self) -> None:
        try:
            await self._pool.dial(self._peer, self.address)
        except TimeoutError:
            self.problem = f"no answer from {self.address.host} port {self.address.port}"
        except OSError as error:
            self.problem = f"{self.address.host} port {self.address.port}: {explain(error)}"
        except PeerError as error:
            self.problem = str(error)
        else:
            self.problem = "waiting for its connection"
