# SPDX-License-Identifier: LGPL-2.1-or-later
"""Joining: the node proves the cluster before it tells its secret, and every failure is one clear line."""

import asyncio
import contextlib
import dataclasses
import datetime
import ssl
import time
from collections.abc import AsyncIterator

import pytest

from synod.base.errors import IndefiniteError, NotQuorateError, RefusedError, SynodError
from synod.base.exits import ExitStatus
from synod.base.ids import NodeName
from synod.base.usec import USEC_PER_MSEC, Usec
from synod.net.authority import Authority, create_authority, create_key, create_request, fingerprint, issue
from synod.net.join import JoinService, Wish, join
from synod.net.keys import TlsIdentity
from synod.net.settings import StreamSettings
from synod.net.streams import StreamPool
from synod.net.tls import joining_context, server_context
from synod.net.tokens import Token, hash_secret, matches, new_token
from synod.wire.frames import encode_frame
from synod.wire.join import JOIN_KIND, MEMBER_CODEC, Greeting, JoinReply, JoinRequest, Member

from .conftest import AUTHORITY, FOREIGN, LOOPBACK, WAIT_SEC, Cluster, Log, Node, new_identity

FIRST = Member(name=NodeName("a"), address=LOOPBACK, port=1, role="voter", certificate_fingerprint="f")
SHORT = Usec(300 * USEC_PER_MSEC)


class Ledger:
    """Spends tokens the way the agent does through the log, in memory."""

    def __init__(self, authority: Authority = AUTHORITY) -> None:
        self.authority = authority
        self.tokens: dict[str, bytes] = {}
        self.asked: list[JoinRequest] = []
        self.members: dict[str, str] = {}

    def new_token(self) -> Token:
        token = new_token(fingerprint(self.authority.certificate_pem))
        self.tokens[token.id] = hash_secret(token.secret)
        return token

    async def authorize(self, request: JoinRequest) -> JoinReply:
        self.asked.append(request)
        stored = self.tokens.get(request.token_id)
        if stored is None or not matches(stored, request.secret):
            raise RefusedError("the token is not valid; it may have been used already")
        if request.node in self.members:
            raise RefusedError(f"there is a node '{request.node}' already; remove it first")
        certificate = issue(self.authority, request.node, request.request_pem, [request.address])
        del self.tokens[request.token_id]
        self.members[request.node] = fingerprint(certificate)
        return JoinReply(
            certificate_pem=certificate,
            authority_pem=self.authority.certificate_pem,
            authority_key_pem=self.authority.key_pem,
            role="voter",
            members=(FIRST,),
        )


class Member1(Node):
    """A member named ``a`` that takes joining nodes."""

    def __init__(self, service: JoinService, ledger: Ledger, settings: StreamSettings) -> None:
        identity = new_identity("a", ledger.authority)
        ledger.members["a"] = fingerprint(identity.certificate_pem)
        super().__init__(identity, settings, ledger.members)
        self.pool = StreamPool(identity, self, self.is_member, settings, service.serve)


def start_member(cluster: Cluster, ledger: Ledger, service: JoinService | None = None) -> Node:
    settings = StreamSettings(join_usec=Usec(600_000))
    service = service or JoinService(ledger.authority.certificate_pem, ledger.authorize)
    return cluster.start(Member1(service, ledger, settings))


def new_wish(token: Token, node: str = "b") -> Wish:
    key = create_key()
    request = JoinRequest(
        token_id=token.id, secret=token.secret, node=NodeName(node), address="",
        request_pem=create_request(NodeName(node), key), port=4711,
    )  # fmt: skip
    return Wish(token=token, request=request, key_pem=key)


async def failure(member: Node, wish: Wish, *, patience: Usec = SHORT) -> SynodError:
    with pytest.raises(SynodError) as caught:
        await join(LOOPBACK, member.pool.server.port, wish, reach=Usec(2_000_000), patience=patience)
    assert "\n" not in str(caught.value)
    return caught.value


async def test_a_node_joins_and_is_a_member(cluster: Cluster) -> None:
    ledger = Ledger()
    member = start_member(cluster, ledger)
    wish = new_wish(ledger.new_token())
    reply = await join(LOOPBACK, member.pool.server.port, wish)
    assert ledger.asked == [dataclasses.replace(wish.request, address=LOOPBACK)]
    assert (reply.role, reply.authority_key_pem) == ("voter", AUTHORITY.key_pem)
    identity = TlsIdentity(
        authority_pem=reply.authority_pem, certificate_pem=reply.certificate_pem, key_pem=wish.key_pem
    )
    joined = cluster.start(Node(identity, StreamSettings(), ledger.members))
    assert joined.name == "b"
    member.knows(joined)
    await joined.log.has("connected a")
    await member.log.has("connected b")
    assert member.pool.server.admission.open_total == 0


async def test_a_used_token_is_refused_in_the_clusters_words(cluster: Cluster) -> None:
    ledger = Ledger()
    member = start_member(cluster, ledger)
    token = ledger.new_token()
    await join(LOOPBACK, member.pool.server.port, new_wish(token))
    error = await failure(member, new_wish(token, "c"))
    assert str(error) == "the token is not valid; it may have been used already"
    assert error.exit_status is ExitStatus.REFUSED


async def test_a_wrong_secret_is_refused(cluster: Cluster) -> None:
    ledger = Ledger()
    token = dataclasses.replace(ledger.new_token(), secret="a" * 26)
    error = await failure(start_member(cluster, ledger), new_wish(token))
    assert str(error) == "the token is not valid; it may have been used already"


async def test_a_name_that_is_taken_is_refused_in_the_clusters_words(cluster: Cluster) -> None:
    ledger = Ledger()
    error = await failure(start_member(cluster, ledger), new_wish(ledger.new_token(), "a"))
    assert str(error) == "there is a node 'a' already; remove it first"


async def test_the_exit_status_travels_with_the_words(cluster: Cluster) -> None:
    async def no_quorum(request: JoinRequest) -> JoinReply:
        raise NotQuorateError(f"no quorum, so '{request.node}' cannot join now; try again later")

    ledger = Ledger()
    member = start_member(cluster, ledger, JoinService(AUTHORITY.certificate_pem, no_quorum))
    error = await failure(member, new_wish(ledger.new_token()))
    assert isinstance(error, NotQuorateError)
    assert str(error) == "no quorum, so 'b' cannot join now; try again later"


@pytest.mark.parametrize(
    ("changes", "words"),
    [({"node": NodeName("../etc")}, "is no name for a node"), ({"port": 0}, "is no port number")],
)
async def test_nonsense_is_refused_before_the_agent_is_asked(
    cluster: Cluster, changes: dict[str, object], words: str
) -> None:
    ledger = Ledger()
    wish = new_wish(ledger.new_token())
    request = dataclasses.replace(wish.request, **changes)  # type: ignore[arg-type]
    error = await failure(start_member(cluster, ledger), dataclasses.replace(wish, request=request))
    assert words in str(error)
    assert ledger.asked == []


async def test_a_token_of_another_cluster_is_called_that_and_not_told(cluster: Cluster) -> None:
    ledger = Ledger()
    member = start_member(cluster, ledger)
    error = await failure(member, new_wish(new_token(fingerprint(FOREIGN.certificate_pem))))
    assert str(error).startswith("the token is for another cluster than 'prod' at 127.0.0.1 port")
    assert isinstance(error, RefusedError)
    await member.log.has("refused 127.0.0.1: joining failed")
    assert ledger.asked == []


async def test_a_man_in_the_middle_hears_no_secret() -> None:
    """It knows our authority's certificate, which is public, and has one of its own."""
    heard = Log()
    theirs = server_context(new_identity("a", FOREIGN))
    greeting = MEMBER_CODEC.encode(Greeting(authority_pem=AUTHORITY.certificate_pem))

    async def impersonate(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(encode_frame(JOIN_KIND, greeting))
        with contextlib.suppress(OSError):
            heard.note(f"heard {await reader.read()!r}")
        writer.transport.abort()

    async with await asyncio.start_server(impersonate, LOOPBACK, 0, ssl=theirs) as server:
        port = server.sockets[0].getsockname()[1]
        with pytest.raises(RefusedError, match="does not prove that it belongs to 'prod'"):
            await join(LOOPBACK, port, new_wish(Ledger().new_token()))
        await heard.until(lambda: len(heard.lines) == 1)
    assert heard.lines == ["heard b''"]


async def test_an_expired_certificate_is_explained_with_the_clock(cluster: Cluster) -> None:
    ledger = Ledger()
    member = start_member(cluster, ledger)
    late = datetime.datetime(2100, 1, 1, tzinfo=datetime.UTC)
    with pytest.raises(RefusedError, match="the clock here says 2100-01-01"):
        await join(LOOPBACK, member.pool.server.port, new_wish(ledger.new_token()), now=late)


async def test_a_closed_port_is_one_clear_line() -> None:
    with pytest.raises(SynodError, match=r"cannot reach 127\.0\.0\.1 port 1: connection refused; is synod"):
        await join(LOOPBACK, 1, new_wish(Ledger().new_token()))


async def test_a_name_that_does_not_resolve_is_one_clear_line() -> None:
    with pytest.raises(SynodError, match=r"cannot reach nowhere\.invalid port 1: "):
        await join("nowhere.invalid", 1, new_wish(Ledger().new_token()))


@contextlib.asynccontextmanager
async def stranger(words: bytes | None, context: ssl.SSLContext | None = None) -> AsyncIterator[int]:
    """Serve something that is not Synod: it says ``words`` and hangs up, or None and waits."""
    over = asyncio.Event()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if words is None:
            await over.wait()
        else:
            writer.write(words)
            with contextlib.suppress(OSError):
                await writer.drain()
                await reader.read(1)
        writer.transport.abort()

    async with await asyncio.start_server(serve, LOOPBACK, 0, ssl=context) as server:
        try:
            yield server.sockets[0].getsockname()[1]
        finally:
            over.set()


@pytest.mark.parametrize("words", [b"SSH-2.0-OpenSSH_9.2\r\n", b"HTTP/1.1 400 Bad Request\r\n\r\n"])
async def test_a_server_in_clear_is_no_synod_node(words: bytes) -> None:
    async with stranger(words) as port:
        with pytest.raises(SynodError, match="is not a Synod node; check address and port"):
            await join(LOOPBACK, port, new_wish(Ledger().new_token()), reach=Usec(2_000_000))


async def test_a_server_that_hangs_up_is_one_clear_line() -> None:
    async with stranger(b"") as port:
        with pytest.raises(SynodError, match=r"127\.0\.0\.1 port \d+ hung up; check address and port"):
            await join(LOOPBACK, port, new_wish(Ledger().new_token()))


@pytest.mark.parametrize("protocols", [[], ["h2"], ["synod-join/1"]])
async def test_another_tls_server_is_no_synod_node(protocols: list[str]) -> None:
    context = server_context(new_identity("a", create_authority("web")))
    context.set_alpn_protocols(protocols)
    async with stranger(b"HTTP/1.1 400 Bad Request\r\n\r\n", context) as port:
        with pytest.raises(SynodError, match="is not a Synod node; check address and port"):
            await join(LOOPBACK, port, new_wish(Ledger().new_token()), reach=Usec(2_000_000))


async def test_a_server_that_says_nothing_is_given_up_in_time() -> None:
    async with stranger(None) as port:
        begin = time.monotonic()
        with pytest.raises(SynodError, match=r"no answer from 127\.0\.0\.1 port"):
            await join(LOOPBACK, port, new_wish(Ledger().new_token()), reach=SHORT)
        assert time.monotonic() - begin < 2


async def test_no_answer_after_the_secret_was_told_is_an_unknown_outcome(cluster: Cluster) -> None:
    ledger, asked = Ledger(), Log()

    async def think(request: JoinRequest) -> JoinReply:
        asked.note("asked")
        await asyncio.Event().wait()
        raise AssertionError

    member = start_member(cluster, ledger, JoinService(AUTHORITY.certificate_pem, think))
    error = await failure(member, new_wish(ledger.new_token()))
    assert isinstance(error, IndefiniteError)
    assert str(error).endswith("may have agreed; run the same command again")
    await asked.has("asked")
    await member.log.has("refused 127.0.0.1: joining took too long")


async def test_a_certificate_for_another_key_is_not_accepted(cluster: Cluster) -> None:
    ledger = Ledger()
    wish = new_wish(ledger.new_token())
    error = await failure(start_member(cluster, ledger), dataclasses.replace(wish, key_pem=create_key()))
    assert "sent a certificate that is not for this node" in str(error)


@pytest.mark.parametrize(
    "words",
    [b"\0" * 64, b"\xff" * 64, encode_frame(9, b"x"), encode_frame(JOIN_KIND, b"\xc1"), b"\0\1\0\0", b""],
)
async def test_rubbish_from_a_joining_node_ends_its_connection(cluster: Cluster, words: bytes) -> None:
    ledger = Ledger()
    member = start_member(cluster, ledger)
    reader, writer = await asyncio.open_connection(
        LOOPBACK, member.pool.server.port, ssl=joining_context(), server_hostname="synod"
    )
    writer.write(words)
    writer.close()
    async with asyncio.timeout(WAIT_SEC):
        with contextlib.suppress(OSError):
            await reader.read()
    await member.log.has("refused 127.0.0.1: joining failed")
    assert ledger.asked == []
    assert member.pool.server.admission.open_total == 0
