# SPDX-License-Identifier: LGPL-2.1-or-later
"""Streams between members: proved, ordered, quick to notice a loss, and closed to everybody else."""

import asyncio
import contextlib
import dataclasses
import datetime
import gc
import random
import resource
import socket
import ssl
import time

import pytest

from synod.base.codec import TooLargeError
from synod.base.errors import SynodError
from synod.base.ids import NodeName
from synod.base.usec import USEC_PER_MSEC, Usec
from synod.net.authority import create_authority, fingerprint
from synod.net.settings import StreamSettings
from synod.net.streams import PeerAddress
from synod.net.tls import ALPN_PEER, client_context
from synod.wire.frames import encode_frame

from .conftest import FOREIGN, LOOPBACK, QUICK, WAIT_SEC, Cluster, Node, new_identity

A, B = NodeName("a"), NodeName("b")


async def test_two_members_connect_once_and_exchange_messages_in_order(cluster: Cluster) -> None:
    a, b = await cluster.pair()
    for number in range(200):
        assert a.pool.send(B, 1 + number % 255, b"%d" % number)
        assert b.pool.send(A, 1, b"%d" % number)
    await b.log.until(lambda: len(b.received) == 200)
    await a.log.until(lambda: len(a.received) == 200)
    assert b.received == [("a", 1 + number % 255, b"%d" % number) for number in range(200)]
    assert a.received == [("b", 1, b"%d" % number) for number in range(200)]
    assert (a.pool.connected, b.pool.connected) == (("b",), ("a",))
    assert a.log.lines.count("connected b") == b.log.lines.count("connected a") == 1


async def test_a_full_mesh_of_five_comes_up(cluster: Cluster) -> None:
    nodes = [cluster.add(name) for name in "abcde"]
    for node in nodes:
        node.knows(*nodes)
    for node in nodes:
        await node.log.until(lambda node=node: len(node.pool.connected) == 4)  # type: ignore[misc]


async def test_the_larger_name_is_called_back_when_it_knocks(cluster: Cluster) -> None:
    slow = StreamSettings(backoff_usec_min=Usec(60_000_000), backoff_usec_max=Usec(60_000_000))
    a = cluster.add("a", slow)
    with socket.create_server((LOOPBACK, 0)) as reserved:
        port = reserved.getsockname()[1]
    a.pool.set_peers({B: PeerAddress(host=LOOPBACK, port=port)})
    await asyncio.wait_for(until(lambda: a.pool.problem(B) != "not tried yet"), WAIT_SEC)
    assert a.pool.problem(B) == f"127.0.0.1 port {port}: connection refused"
    b = cluster.add("b", port=port)  # a would not call again for half a minute at least
    b.knows(a)
    await a.log.has("connected b")
    await b.log.has("connected a")
    assert a.pool.problem(B) is None


async def until(condition: "object") -> None:
    """Let the loop run until the condition holds; the caller bounds it."""
    assert callable(condition)
    while not condition():
        await asyncio.get_running_loop().run_in_executor(None, lambda: None)


async def test_a_large_message_passes_and_a_too_large_one_is_never_sent(cluster: Cluster) -> None:
    a, b = await cluster.pair()
    data = bytes(8 << 20)
    assert a.pool.send(B, 1, data)
    await b.log.until(lambda: len(b.received) == 1)
    assert b.received[0][2] == data
    with pytest.raises(TooLargeError):
        a.pool.send(B, 1, bytes(QUICK.frame_bytes_max))
    assert a.pool.connected == ("b",)


async def test_nothing_is_sent_to_whom_is_not_connected(cluster: Cluster) -> None:
    a, _ = await cluster.pair()
    assert not a.pool.send(NodeName("c"), 1, b"x")


async def test_a_killed_peer_is_lost_within_100_ms_and_reconnected(cluster: Cluster) -> None:
    a, b = cluster.add("a", StreamSettings()), cluster.add("b", StreamSettings())
    wire = await cluster.wire(b)
    a.knows(wire)
    await b.log.has("connected a")
    await a.log.has("connected b")
    begin = time.monotonic()
    wire.reset()
    await a.log.has("lost b")
    await b.log.has("lost a")
    assert time.monotonic() - begin < 0.1
    await a.log.has("connected b", 2)
    await b.log.has("connected a", 2)


@pytest.mark.parametrize("is_caller", [True, False])
async def test_a_half_open_connection_is_lost_by_both_sides(cluster: Cluster, is_caller: bool) -> None:
    a, b = cluster.add("a"), cluster.add("b")
    wire = await cluster.wire(b)
    a.knows(wire)
    await b.log.has("connected a")
    await a.log.has("connected b")
    begin = time.monotonic()
    wire.cut()
    await (a.log.has("lost b: no sign of life") if is_caller else b.log.has("lost a: no sign of life"))
    assert 0.15 < time.monotonic() - begin < 1.0  # five intervals of 50 ms, and room for a busy machine
    wire.heal()
    await a.log.has("connected b", 2)


async def test_an_idle_connection_stays(cluster: Cluster) -> None:
    a, b = await cluster.pair()
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.6):
            await a.log.has("lost")
    assert b.pool.connected == ("a",)


async def test_a_stalled_loop_does_not_take_its_own_sleep_for_its_peers_silence(cluster: Cluster) -> None:
    a, b = await cluster.pair()
    time.sleep(0.6)  # noqa: ASYNC251  far beyond what a silent peer is given
    assert a.pool.send(B, 1, b"after")
    await b.log.has("message a 1 b'after'")
    assert not any(line.startswith("lost") for line in (*a.log.lines, *b.log.lines))


async def test_a_restarted_peer_is_lost_and_connected_again_whichever_side_it_is(cluster: Cluster) -> None:
    for name, other in (("a", "b"), ("b", "a")):
        one = Cluster()
        identity = new_identity(name)
        restarted, staying = one.add(name, identity=identity), one.add(other)
        port = restarted.pool.server.port
        restarted.knows(staying)
        staying.knows(restarted)
        await staying.log.has(f"connected {name}")
        await restarted.pool.stop()
        await staying.log.has(f"lost {name}: it closed the connection")
        again = one.add(name, identity=identity, port=port)
        again.knows(staying)
        await staying.log.has(f"connected {name}", 2)
        await again.log.has(f"connected {other}")
        await again.pool.stop()
        await staying.pool.stop()
    assert cluster.nodes == []


async def test_a_newer_connection_replaces_one_that_is_half_open(cluster: Cluster) -> None:
    patient = StreamSettings(heartbeat_usec=Usec(60_000_000))  # never notices silence by itself
    a_identity = new_identity("a")
    a, b = cluster.add("a", identity=a_identity), cluster.add("b", patient)
    wire = await cluster.wire(b)
    a.knows(wire)
    await b.log.has("connected a")
    wire.cut()
    again = cluster.add("a", identity=a_identity)
    again.knows(b)
    await b.log.has("connected a", 2)
    assert b.log.lines == ["connected a", "lost a: a newer connection replaces it", "connected a"]


async def test_a_peer_that_does_not_read_is_reset_instead_of_missing_messages(cluster: Cluster) -> None:
    settings = StreamSettings(queue_bytes_max=1 << 20, frame_bytes_max=1 << 20)
    a, b = cluster.add("a", settings), cluster.add("b", settings)
    wire = await cluster.wire(b)
    a.knows(wire)
    await a.log.has("connected b")
    await b.log.has("connected a")
    wire.cut()
    sent = 0
    while a.pool.send(B, 1, bytes(1 << 16)):
        sent += 1
        assert sent < 200, "the queue has no limit"
        await asyncio.get_running_loop().run_in_executor(None, lambda: None)
    assert a.log.lines[-1].startswith("lost b: it does not read")
    assert a.pool.connected == ()
    wire.heal()
    await a.log.has("connected b", 2)
    assert a.pool.send(B, 2, b"afresh")
    await b.log.has("message a 2 b'afresh'")


async def test_a_removed_node_is_cut_off_and_refused(cluster: Cluster) -> None:
    a, b = await cluster.pair()
    del cluster.members["b"]
    a.knows()
    await a.log.has("lost b: it is not a peer any more")
    await a.log.has("refused 127.0.0.1: 'b' with this certificate is not a member")
    assert a.pool.connected == ()
    await b.log.has("lost a")


async def test_an_old_certificate_of_a_node_that_joined_again_is_refused(cluster: Cluster) -> None:
    a, b = await cluster.pair()
    cluster.members["b"] = fingerprint(new_identity("b").certificate_pem)
    a.knows(b)
    await a.log.has("lost b: it is not a member any more")
    await a.log.has("refused")


async def test_another_cluster_is_refused_by_both_sides(cluster: Cluster) -> None:
    ours, theirs = cluster.add("a"), cluster.add("b", identity=new_identity("b", FOREIGN))
    ours.knows(theirs)
    theirs.knows(ours)
    await ours.log.has("refused 127.0.0.1: the handshake failed")
    await asyncio.wait_for(until(lambda: "certificate verify failed" in str(ours.pool.problem(B))), WAIT_SEC)
    assert ours.pool.connected == theirs.pool.connected == ()


async def test_only_the_first_of_several_authorities_in_one_file_is_trusted(cluster: Cluster) -> None:
    identity = new_identity("a")
    both = dataclasses.replace(identity, authority_pem=identity.authority_pem + FOREIGN.certificate_pem)
    ours, theirs = cluster.add("a", identity=both), new_identity("b", FOREIGN)
    trusting = dataclasses.replace(theirs, authority_pem=identity.authority_pem)
    _, writer = await call(ours, client_context(trusting))
    await ours.log.has("refused 127.0.0.1: the handshake failed: certificate verify failed")
    writer.transport.abort()


async def test_a_clock_far_off_does_not_keep_members_apart(cluster: Cluster) -> None:
    long_ago = datetime.datetime(2000, 1, 1, tzinfo=datetime.UTC)
    expired = create_authority("prod", now=long_ago)
    a, b = (cluster.add(name, identity=new_identity(name, expired, long_ago)) for name in "ab")
    a.knows(b)
    await a.log.has("connected b")
    await b.log.has("connected a")


async def test_a_node_at_the_address_of_another_is_not_taken_for_it(cluster: Cluster) -> None:
    a, c = cluster.add("a"), cluster.add("c")
    cluster.members["b"] = "0" * 64
    a.pool.set_peers({B: c.address})
    await asyncio.wait_for(until(lambda: a.pool.problem(B) == "it is 'c', expected 'b'"), WAIT_SEC)
    assert a.pool.connected == ()


async def test_this_nodes_own_name_is_refused(cluster: Cluster) -> None:
    identity = new_identity("b")
    one = cluster.add("b", identity=identity)
    _, writer = await call(one, client_context(identity))
    await one.log.has("refused 127.0.0.1: 'b' with this certificate is not a member")
    writer.transport.abort()


async def call(node: Node, context: ssl.SSLContext) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    return await asyncio.open_connection(
        LOOPBACK, node.pool.server.port, ssl=context, server_hostname="synod"
    )


def nameless_context(*protocols: str) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    if protocols:
        context.set_alpn_protocols(list(protocols))
    return context


@pytest.mark.parametrize(
    ("protocols", "reason"),
    [
        (["synod/1"], "it showed no certificate"),
        ([], "it asked for no protocol spoken here"),
        (["h2"], "it asked for no protocol spoken here"),
        (["synod-join/1"], "it asked for no protocol spoken here"),
    ],
)
async def test_who_shows_no_certificate_is_refused_before_a_byte_is_read(
    cluster: Cluster, protocols: list[str], reason: str
) -> None:
    node = cluster.add("b")
    reader, writer = await call(node, nameless_context(*protocols))
    writer.write(encode_frame(1, b"hello"))
    await node.log.has(f"refused 127.0.0.1: {reason}")
    async with asyncio.timeout(WAIT_SEC):
        with contextlib.suppress(ConnectionError):
            assert await reader.read() == b""
    writer.transport.abort()
    assert node.received == []


async def test_an_older_tls_is_refused(cluster: Cluster) -> None:
    node = cluster.add("b")
    context = nameless_context("synod/1")
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    with pytest.raises(OSError):
        await call(node, context)
    await node.log.has("refused 127.0.0.1: the handshake failed")


@pytest.mark.parametrize(
    "data", [b"GET / HTTP/1.1\r\n\r\n", b"SSH-2.0-x\r\n", bytes(512), b"\x16\x03\x01\xff\xff"]
)
async def test_a_client_in_clear_learns_nothing_and_is_hung_up_on(cluster: Cluster, data: bytes) -> None:
    node = cluster.add("b")
    reader, writer = await asyncio.open_connection(LOOPBACK, node.pool.server.port)
    writer.write(data)
    async with asyncio.timeout(WAIT_SEC):
        try:
            answer = await reader.read()
        except ConnectionError:
            answer = b""
    writer.transport.abort()
    assert len(answer) <= 7  # nothing, or a TLS alert
    await node.log.has("refused 127.0.0.1: the handshake failed")
    assert node.pool.server.admission.open_total == 0


async def test_a_caller_that_says_nothing_is_hung_up_on(cluster: Cluster) -> None:
    node = cluster.add("b")
    reader, writer = await asyncio.open_connection(LOOPBACK, node.pool.server.port)
    begin = time.monotonic()
    async with asyncio.timeout(WAIT_SEC):
        assert await reader.read() == b""
    assert 0.3 < time.monotonic() - begin < 2.0
    writer.close()


async def test_silent_callers_are_bounded_and_do_not_keep_members_out(cluster: Cluster) -> None:
    settings = StreamSettings(strangers_max=8, strangers_per_address_max=5)
    b, a = cluster.add("b", settings), cluster.add("a")
    # 127.0.0.2 and so on are other machines as far as the server can tell.
    silent = [
        await asyncio.open_connection(LOOPBACK, b.address.port, local_addr=(f"127.0.0.{2 + number % 3}", 0))
        for number in range(20)
    ]
    await b.log.has("refused 127.0.0.", 12)
    assert b.pool.server.admission.open_total == 8
    b.knows(a)
    a.knows(b)
    await b.log.has("connected a")
    for _, writer in silent:
        writer.transport.abort()


async def test_random_bytes_inside_tls_end_the_connection_and_nothing_else(cluster: Cluster) -> None:
    b, a = cluster.add("b"), new_identity("a")
    cluster.members["a"] = fingerprint(a.certificate_pem)
    for data in (b"\xff" * 64, bytes(4), encode_frame(0, b"") + b"\xff" * 8, b"\0\0\0\0"):
        reader, writer = await call(b, client_context(a))
        writer.write(data)
        async with asyncio.timeout(WAIT_SEC):
            with contextlib.suppress(ConnectionError):
                while await reader.read(1 << 16):
                    pass
        writer.transport.abort()
    assert b.received == []
    other = cluster.add("a", identity=a)
    other.knows(b)
    await b.log.until(lambda: b.log.lines[-1:] == ["connected a"])


async def test_an_oversized_frame_ends_the_connection_before_it_is_buffered(cluster: Cluster) -> None:
    settings = StreamSettings(frame_bytes_max=1000, queue_bytes_max=2000)
    b, a = cluster.add("b", settings), cluster.add("a")
    a.knows(b)
    await b.log.has("connected a")
    await a.log.has("connected b")
    a.pool.send(B, 1, bytes(1000))
    await b.log.has("lost a: it broke the protocol: a frame of 1001 bytes, the limit is 1000")
    assert b.received == []


async def test_a_renewed_certificate_is_used_for_the_next_connection(cluster: Cluster) -> None:
    a, b = await cluster.pair()
    renewed = new_identity("a")
    a.pool.replace_identity(renewed)
    cluster.members["a"] = fingerprint(renewed.certificate_pem)
    b.knows(a)
    await b.log.has("lost a: it is not a member any more")
    await b.log.has("connected a", 2)
    await a.log.has("connected b", 2)


async def test_no_session_is_resumed(cluster: Cluster) -> None:
    b, a = cluster.add("b"), new_identity("a")
    cluster.members["a"] = fingerprint(a.certificate_pem)
    _, writer = await call(b, client_context(a))
    stream = writer.get_extra_info("ssl_object")
    writer.write(encode_frame(0, b""))
    await b.log.has("connected a")
    assert b.pool.server.admission.open_total == 0
    assert stream.version() == "TLSv1.3"
    assert stream.selected_alpn_protocol() == ALPN_PEER
    assert stream.session is None or not stream.session.has_ticket
    writer.transport.abort()


async def test_what_is_queued_when_stopping_is_still_sent(cluster: Cluster) -> None:
    a, b = await cluster.pair()
    for number in range(50):
        a.pool.send(B, 1, bytes([number]) * 10_000)
    await a.pool.stop()
    await b.log.has("lost a")
    assert len(b.received) == 50


async def test_a_port_in_use_is_one_clear_line(cluster: Cluster) -> None:
    a, b = cluster.add("a"), Node(new_identity("b"), QUICK, {})
    with pytest.raises(SynodError, match="cannot listen on 'localhost' port"):
        b.pool.start("localhost", a.pool.server.port)


async def test_listening_everywhere_takes_both_families(cluster: Cluster) -> None:
    node = Node(new_identity("b"), QUICK, {})
    node.pool.start("", 0)
    cluster.nodes.append(node)
    families = [LOOPBACK] + (["::1"] if socket.has_dualstack_ipv6() else [])
    for number, address in enumerate(families, 1):
        _, writer = await asyncio.open_connection(address, node.pool.server.port)
        writer.write(b"x" * 100)
        await node.log.has("refused", number)
        assert node.log.lines[-1].startswith(f"refused {address}: the handshake failed")
        writer.transport.abort()


def test_the_default_times_fit_the_lease() -> None:
    settings = StreamSettings()
    silence = settings.heartbeat_usec * settings.heartbeats_missed_max + settings.check_usec
    assert silence <= 2000 * USEC_PER_MSEC  # below 40 % of LeaseSec=5: a stream is lost before units stop
    assert settings.queue_bytes_max >= settings.frame_bytes_max + 5


async def test_random_bytes_in_clear_never_reach_a_handler(cluster: Cluster) -> None:
    node, entropy = cluster.add("b"), random.Random(7)
    hello = ssl_hello()
    for number in range(60):
        data = bytearray(hello if number % 2 else entropy.randbytes(entropy.randrange(1, 400)))
        for _ in range(entropy.randrange(1, 6)):
            data[entropy.randrange(len(data))] = entropy.randrange(256)
        reader, writer = await asyncio.open_connection(LOOPBACK, node.address.port)
        writer.write(data)
        writer.write_eof()
        async with asyncio.timeout(WAIT_SEC):
            with contextlib.suppress(ConnectionError):
                await reader.read()
        writer.transport.abort()
    await node.log.has("refused", 60)
    assert all(line.startswith("refused 127.0.0.1: the handshake failed") for line in node.log.lines)
    assert node.pool.server.admission.open_total == 0


def ssl_hello() -> bytes:
    """Return the first flight of a real handshake."""
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    stream = nameless_context("synod/1").wrap_bio(incoming, outgoing)
    with contextlib.suppress(ssl.SSLWantReadError):
        stream.do_handshake()
    return outgoing.read()


async def test_running_out_of_descriptors_delays_callers_and_ends_nothing(cluster: Cluster) -> None:
    a, b = await cluster.pair()
    caller = socket.socket()
    caller.setblocking(False)
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    gc.collect()  # or it might close what an earlier test forgot, just when no descriptor is to be left
    spare = [socket.socket()]
    resource.setrlimit(resource.RLIMIT_NOFILE, (spare[0].fileno() + 64, before[1]))
    try:
        with contextlib.suppress(OSError):
            spare.extend(socket.socket() for _ in range(128))
        await asyncio.get_running_loop().sock_connect(caller, (LOOPBACK, b.address.port))
        await b.log.has("refused -: cannot accept connections: too many open files")
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, before)
        for one in spare:
            one.close()
    caller.send(b"in clear")
    await b.log.has("refused 127.0.0.1: the handshake failed")
    caller.close()
    assert a.pool.connected == ("b",)


async def test_whoever_is_refused_after_the_handshake_comes_back_more_slowly(cluster: Cluster) -> None:
    a, b = cluster.add("a"), cluster.add("b")
    del cluster.members["a"]
    begin = time.monotonic()
    a.knows(b)
    await b.log.has("refused 127.0.0.1: 'a' with this certificate is not a member", 10)
    elapsed = time.monotonic() - begin
    assert elapsed > 0.13  # at least half of 5, 10, 20 and six times 40 ms
    assert a.log.lines == []  # it was never told that it is connected
