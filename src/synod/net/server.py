# SPDX-License-Identifier: LGPL-2.1-or-later
"""The listening socket: takes callers through the handshake and hands them on.

Decides who may take how long to prove who it is. Refuses to know members: whoever shows a certificate of the
authority goes to ``accept_peer``, whoever asks to join goes to ``accept_join``; nobody else is read one byte
beyond the handshake, and nothing in clear is ever understood.
"""

import asyncio
import socket
from collections.abc import Awaitable, Callable
from typing import Final, Protocol, cast

from synod.base.errors import PeerError, SynodError
from synod.base.ids import NodeName
from synod.base.usec import USEC_PER_SEC
from synod.net.admission import Admission
from synod.net.keys import TlsIdentity
from synod.net.settings import StreamSettings
from synod.net.sockets import explain, plain_address, tune
from synod.net.tls import ALPN_JOIN, ALPN_PEER, peer_of, server_context

_BACKLOG: Final = 256
_PAUSE_SEC: Final = 0.1
"""Wait when the process has no descriptor left."""
_SHUTDOWN_SEC: Final = 1.0

_JOIN_BUFFER_BYTES: Final = 64 << 10


class Acceptor(Protocol):
    """Who takes over the connections."""

    def accept_peer(
        self, peer: NodeName, certificate_fingerprint: str, transport: asyncio.Transport
    ) -> asyncio.Protocol:
        """Return the protocol that goes on with a proved peer; raise PeerError to refuse it."""

    def refused(self, address: str, reason: str) -> None:
        """Note that a caller was turned away."""


Joining = tuple[asyncio.StreamReader, asyncio.StreamWriter]
JoinHandler = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]
"""Serves one joining node; may raise OSError when the connection breaks."""


class StreamServer:
    """Listens on one address and port until stopped."""

    def __init__(
        self,
        identity: TlsIdentity,
        acceptor: Acceptor,
        settings: StreamSettings,
        serve_join: JoinHandler | None = None,
    ) -> None:
        """Prepare; ``serve_join`` None turns joining nodes away. Raises PeerError for a broken identity."""
        self.admission = Admission(
            total_max=settings.strangers_max, per_address_max=settings.strangers_per_address_max
        )
        self._acceptor = acceptor
        self._settings = settings
        self._serve_join = serve_join
        self._authority_pem = identity.authority_pem
        self._context = server_context(identity)
        self._socket: socket.socket | None = None
        self._welcoming: set[asyncio.Task[None]] = set()

    @property
    def port(self) -> int:
        """The port that is listened on; meaningful once started."""
        assert self._socket is not None
        return int(self._socket.getsockname()[1])

    def replace_identity(self, identity: TlsIdentity) -> None:
        """Use another certificate for the connections to come; raise PeerError for a broken one."""
        self._context = server_context(identity)
        self._authority_pem = identity.authority_pem

    def start(self, address: str, port: int) -> None:
        """Listen, "" meaning everywhere; raise SynodError when that is not possible."""
        is_dual = address in ("", "::") and socket.has_dualstack_ipv6()
        family = socket.AF_INET6 if is_dual or ":" in address else socket.AF_INET
        try:
            self._socket = socket.create_server(
                ("" if is_dual else address, port), family=family, backlog=_BACKLOG, dualstack_ipv6=is_dual
            )
        except OSError as error:
            raise SynodError(f"cannot listen on '{address}' port {port}: {error.strerror}") from None
        self._socket.setblocking(False)
        self._resume()

    async def stop(self) -> None:
        """Stop listening and end the handshakes under way; connections handed on are not touched."""
        if self._socket is not None:
            asyncio.get_running_loop().remove_reader(self._socket)
            self._socket.close()
            self._socket = None
        tasks = list(self._welcoming)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _resume(self) -> None:
        if self._socket is not None:
            asyncio.get_running_loop().add_reader(self._socket, self._accept, self._socket)

    def _accept(self, listener: socket.socket) -> None:
        """Take one caller per iteration of the loop, so that a flood of them leaves room for the rest."""
        loop = asyncio.get_running_loop()
        try:
            connection, source = listener.accept()
        except (BlockingIOError, ConnectionAbortedError):
            return
        except OSError as error:
            # No descriptor or memory left: accept(2) would fail again at once, for as long as that lasts.
            loop.remove_reader(listener)
            loop.call_later(_PAUSE_SEC, self._resume)
            self._acceptor.refused("-", f"cannot accept connections: {explain(error)}")
            return
        address = plain_address(source[0])
        if not self.admission.admit(address):
            connection.close()
            self._acceptor.refused(address, "too many connections have not proved who they are")
            return
        connection.setblocking(False)
        task = loop.create_task(self._welcome(connection, address))
        self._welcoming.add(task)
        task.add_done_callback(self._welcoming.discard)

    async def _welcome(self, connection: socket.socket, address: str) -> None:
        """Take one caller through the handshake and, when it joins, through all of its stay."""
        inbound = _Inbound(self)  # kept here, because uvloop returns its own protocol instead
        try:
            tune(connection, self._settings.user_timeout_usec)
            await asyncio.get_running_loop().connect_accepted_socket(
                lambda: inbound,
                connection,
                ssl=self._context,
                ssl_handshake_timeout=self._settings.handshake_usec / USEC_PER_SEC,
                ssl_shutdown_timeout=_SHUTDOWN_SEC,
            )
        except OSError as error:
            self._acceptor.refused(address, f"the handshake failed: {explain(error)}")
        else:
            if inbound.refusal is not None:
                self._acceptor.refused(address, inbound.refusal)
            if inbound.joining is not None and self._serve_join is not None:
                await self._join(self._serve_join, inbound.joining, address)
        finally:
            self.admission.release(address)

    async def _join(self, serve: JoinHandler, joining: Joining, address: str) -> None:
        try:
            async with asyncio.timeout(self._settings.join_usec / USEC_PER_SEC):
                await serve(*joining)
        except TimeoutError:
            self._acceptor.refused(address, "joining took too long")
        except OSError as error:
            self._acceptor.refused(address, f"joining failed: {explain(error)}")

    def take(self, transport: asyncio.Transport) -> "Joining | None":
        """Hand over a connection whose handshake is done; raise PeerError for one that nobody wants."""
        stream = transport.get_extra_info("ssl_object")
        protocol = stream.selected_alpn_protocol()
        if protocol == ALPN_PEER:
            peer, certificate_fingerprint = peer_of(stream, self._authority_pem)
            transport.set_protocol(self._acceptor.accept_peer(peer, certificate_fingerprint, transport))
            return None
        if protocol == ALPN_JOIN and self._serve_join is not None:
            return _as_streams(transport)
        raise PeerError("it asked for no protocol spoken here")


class _Inbound(asyncio.Protocol):
    """Stands in until the handshake says who called."""

    def __init__(self, server: StreamServer) -> None:
        self.joining: Joining | None = None
        self.refusal: str | None = None
        self._server = server

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # Here and not after the await in _welcome: what arrives in between would be lost.
        stream = cast(asyncio.Transport, transport)  # uvloop's has no class in common with it
        try:
            self.joining = self._server.take(stream)
        except PeerError as error:
            self.refusal = str(error)
            stream.abort()


def _as_streams(stream: asyncio.Transport) -> Joining:
    loop = asyncio.get_running_loop()
    reader = asyncio.StreamReader(limit=_JOIN_BUFFER_BYTES, loop=loop)
    protocol = asyncio.StreamReaderProtocol(reader, loop=loop)
    stream.set_protocol(protocol)
    protocol.connection_made(stream)
    return reader, asyncio.StreamWriter(stream, protocol, reader, loop)
