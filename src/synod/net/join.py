# SPDX-License-Identifier: LGPL-2.1-or-later
"""How a node becomes a member: it proves the cluster to itself, then itself to the cluster.

Decides the order of the conversation; refuses to know who may join: that is ``authorize``'s, which the agent
gives and which spends the token through the log.

1. The node calls a member's port and asks, by ALPN, for ``synod-join/1``. It has no certificate and cannot
   verify any, so all it has is a channel to somebody.
2. The member sends the certificate of its authority. The node compares its SHA-256 with the token's, and
   checks that the certificate shown in the handshake is issued by it. From here on the channel is known to
   end at a member: whoever sits in between has no key for such a certificate.
3. Only now does the node send the token's secret, its name and the key it wants a certificate for.
4. The member answers with the certificate and all members, or says why not.

A node that loses the connection after step 3 cannot know whether the token is spent; it asks again with the
same key. ``authorize`` must answer the same request of the same key as it did the first time.

Not covered: a removed node that sits in between still has its certificate, and a node that is just joining
cannot ask the ledger. Tokens are therefore short-lived, and spent by their first use.
"""

import asyncio
import contextlib
import dataclasses
import datetime
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Final

from synod.base import errors
from synod.base.codec import Codec, MalformedError
from synod.base.errors import IndefiniteError, PeerError, RefusedError, SynodError
from synod.base.ids import is_node_name
from synod.base.usec import USEC_PER_SEC, Usec
from synod.net.authority import cluster_of, fingerprint, matches_key, verify_peer
from synod.net.settings import JOIN_USEC, USER_TIMEOUT_USEC
from synod.net.sockets import connect, explain, plain_address
from synod.net.tls import ALPN_JOIN, SERVER_NAME, joining_context
from synod.net.tokens import Token
from synod.wire.frames import HEADER_BYTES, encode_frame, frame_length
from synod.wire.join import (
    JOIN_BYTES_MAX,
    JOIN_KIND,
    MEMBER_CODEC,
    NODE_CODEC,
    REQUEST_BYTES_MAX,
    Greeting,
    JoinRefusal,
    JoinReply,
    JoinRequest,
)

Authorize = Callable[[JoinRequest], Awaitable[JoinReply]]
"""Makes a node a member, durably, or raises SynodError with the reason, which the user reads verbatim."""

REACH_USEC: Final = Usec(5 * USEC_PER_SEC)
"""Limit of getting hold of a member, up to its greeting."""

_HINT: Final = "; is synod.service running there, and the port open?"
_REASONS: Final[dict[int, type[SynodError]]] = {
    kind.exit_status: kind
    for kind in (
        errors.SynodError, errors.UsageError, errors.NotPermittedError, errors.NoSuchObjectError,
        errors.NotConfiguredError, errors.NotQuorateError, errors.UnsatisfiableError, errors.RefusedError,
        errors.IndefiniteError, errors.TimedOutError,
    )
}  # fmt: skip


class JoinService:
    """A member's side; ``serve`` goes to the stream server."""

    def __init__(self, authority_pem: bytes, authorize: Authorize) -> None:
        self._greeting = _frame(MEMBER_CODEC, Greeting(authority_pem=authority_pem))
        self._authorize = authorize

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Serve one node; the caller limits the time. Raises OSError when the connection breaks."""
        try:
            writer.write(self._greeting)
            async with asyncio.timeout(REACH_USEC / USEC_PER_SEC):
                payload = await _read_frame(reader, REQUEST_BYTES_MAX + 1)
            caller = plain_address(writer.get_extra_info("peername")[0])
            answer: JoinReply | JoinRefusal
            try:
                answer = await self._answer(NODE_CODEC.decode(payload), caller)
            except SynodError as error:
                answer = JoinRefusal(text=str(error), exit_status=error.exit_status)
            writer.write(_frame(MEMBER_CODEC, answer))
            await writer.drain()
            writer.close()
            with contextlib.suppress(OSError):  # the node hangs up as soon as it has read the answer
                await writer.wait_closed()
        except (MalformedError, EOFError) as error:
            raise ConnectionAbortedError(f"it broke the protocol: {error}") from None
        finally:
            writer.transport.abort()

    async def _answer(self, request: object, caller: str) -> JoinReply:
        assert isinstance(request, JoinRequest)  # the codec knows nothing else
        if not is_node_name(request.node):
            raise RefusedError(f"'{request.node:.80}' is no name for a node; use the host name, one label")
        if not 1 <= request.port <= 0xFFFF:
            raise RefusedError(f"{request.port} is no port number")
        return await self._authorize(dataclasses.replace(request, address=request.address or caller))


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Wish:
    """What a node asks for when it joins."""

    token: Token
    request: JoinRequest
    key_pem: bytes = dataclasses.field(repr=False)
    """The key that ``request.request_pem`` was made with."""


async def join(
    host: str,
    port: int,
    wish: Wish,
    *,
    reach: Usec = REACH_USEC,
    patience: Usec = JOIN_USEC,
    now: datetime.datetime | None = None,
) -> JoinReply:
    """Return what makes this node a member of the cluster that the member at ``host`` belongs to.

    Raises SynodError with one line: when nobody is reached within ``reach``, when it is somebody else than a
    member of the token's cluster, when the cluster refuses (with its words and exit status), and
    IndefiniteError when it does not answer within ``patience`` although it may have agreed.
    """
    place = f"{host} port {port}"
    async with contextlib.AsyncExitStack() as stack:
        try:
            async with asyncio.timeout(reach / USEC_PER_SEC):
                reader, writer = await stack.enter_async_context(_call(host, port, place))
                greeting = await _hear_greeting(reader, place)
        except TimeoutError:
            raise SynodError(f"no answer from {place}{_HINT}") from None
        _check_cluster(greeting, wish.token, writer.get_extra_info("ssl_object"), place, now)
        answer = await _ask(reader, writer, wish.request, patience, place)
    if isinstance(answer, JoinRefusal):
        kind = _REASONS.get(answer.exit_status, RefusedError)
        raise kind(answer.text)
    _check_reply(answer, greeting, wish, place)
    return answer


@contextlib.asynccontextmanager
async def _call(
    host: str, port: int, place: str
) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    try:
        connection = await connect(host, port, USER_TIMEOUT_USEC)
    except OSError as error:
        raise SynodError(f"cannot reach {place}: {explain(error)}{_HINT}") from None
    try:
        reader, writer = await asyncio.open_connection(
            sock=connection, ssl=joining_context(), server_hostname=SERVER_NAME, limit=JOIN_BYTES_MAX
        )
    except ssl.SSLError:
        raise _no_member(place) from None
    except OSError:  # also a member that has too many callers
        raise SynodError(f"{place} hung up; check address and port, and try again") from None
    try:
        if writer.get_extra_info("ssl_object").selected_alpn_protocol() != ALPN_JOIN:
            raise _no_member(place)
        yield reader, writer
    finally:
        writer.transport.abort()


async def _hear_greeting(reader: asyncio.StreamReader, place: str) -> Greeting:
    try:
        greeting = MEMBER_CODEC.decode(await _read_frame(reader, JOIN_BYTES_MAX))
    except (MalformedError, EOFError, OSError):
        raise _no_member(place) from None
    if not isinstance(greeting, Greeting):
        raise _no_member(place)
    return greeting


def _check_cluster(
    greeting: Greeting, token: Token, stream: ssl.SSLObject, place: str, now: datetime.datetime | None
) -> None:
    """Raise unless the other end is a member of the cluster that made the token."""
    try:
        is_ours = token.is_for(fingerprint(greeting.authority_pem))
        cluster = cluster_of(greeting.authority_pem)
    except PeerError:
        raise _no_member(place) from None
    if not is_ours:
        raise RefusedError(
            f"the token is for another cluster than '{cluster.name}' at {place}; "
            "run 'synodctl token' on a node of the cluster to join"
        )
    try:
        verify_peer(
            stream.getpeercert(binary_form=True) or b"",
            greeting.authority_pem,
            at=now or datetime.datetime.now(datetime.UTC),
        )
    except PeerError as error:
        raise RefusedError(f"{place} does not prove that it belongs to '{cluster.name}': {error}") from None


async def _ask(
    reader: asyncio.StreamReader,
    writer: asyncio.StreamWriter,
    request: JoinRequest,
    patience: Usec,
    place: str,
) -> JoinReply | JoinRefusal:
    unknown = IndefiniteError(f"{place} did not answer, but may have agreed; run the same command again")
    try:
        async with asyncio.timeout(patience / USEC_PER_SEC):
            writer.write(_frame(NODE_CODEC, request))
            await writer.drain()
            answer = MEMBER_CODEC.decode(await _read_frame(reader, JOIN_BYTES_MAX))
    except (TimeoutError, MalformedError, EOFError, OSError):
        raise unknown from None
    if not isinstance(answer, (JoinReply, JoinRefusal)):
        raise unknown
    return answer


def _check_reply(reply: JoinReply, greeting: Greeting, wish: Wish, place: str) -> None:
    try:
        verify_peer(reply.certificate_pem, greeting.authority_pem, expected=wish.request.node)
        is_whole = reply.authority_pem == greeting.authority_pem and matches_key(
            reply.certificate_pem, wish.key_pem
        )
    except PeerError:
        is_whole = False
    if not is_whole:
        raise RefusedError(f"{place} sent a certificate that is not for this node; see the journal there")


def _no_member(place: str) -> SynodError:
    return SynodError(f"{place} is not a Synod node; check address and port")


def _frame(codec: Codec, message: object) -> bytes:
    return encode_frame(JOIN_KIND, codec.encode(message))


async def _read_frame(reader: asyncio.StreamReader, bytes_max: int) -> bytes:
    """Return the payload of one frame; raise MalformedError, EOFError, or OSError."""
    length = frame_length(await reader.readexactly(HEADER_BYTES), bytes_max)
    frame = await reader.readexactly(length)
    if frame[0] != JOIN_KIND:
        raise MalformedError(f"a frame of kind {frame[0]}")
    return frame[1:]
