# SPDX-License-Identifier: LGPL-2.1-or-later
"""Sockets are tuned, and failures are words without numbers."""

import asyncio
import contextlib
import errno
import socket
import ssl
from pathlib import Path

import pytest

from synod.base.usec import USEC_PER_SEC, Usec
from synod.net.sockets import connect, explain, plain_address

from .conftest import LOOPBACK


async def test_a_connected_socket_is_tuned_against_delay_and_vanished_peers() -> None:
    with socket.create_server((LOOPBACK, 0)) as listener:
        connection = await connect(LOOPBACK, listener.getsockname()[1], Usec(3 * USEC_PER_SEC))
        assert connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY) != 0
        assert connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT) == 3000
        assert not connection.getblocking()
        connection.close()


async def test_giving_up_leaves_no_descriptor_behind() -> None:
    with socket.socket() as full:
        full.bind((LOOPBACK, 0))
        full.listen(0)
        waiting = [await attempt(full) for _ in range(2)]  # a backlog of 0 takes one; SYNs are dropped then
        before = descriptors()
        assert await attempt(full) is None
        assert descriptors() == before
        for connection in waiting:
            if connection is not None:
                connection.close()


def descriptors() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


async def attempt(listener: socket.socket) -> socket.socket | None:
    """Return a connection, or None when there is none within 100 ms."""
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(0.1):
            return await connect(LOOPBACK, listener.getsockname()[1], Usec(USEC_PER_SEC))
    return None


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (ConnectionRefusedError(errno.ECONNREFUSED, "('192.0.2.1', 1)"), "connection refused"),
        (ConnectionResetError(), "the connection broke"),
        (ConnectionAbortedError("SSL handshake is taking longer"), "SSL handshake is taking longer"),
        (socket.gaierror(socket.EAI_NONAME, "Name or service not known"), "name or service not known"),
        (ssl.SSLError(1, "the handshake was cut short"), "the handshake was cut short"),
    ],
)
def test_a_failure_is_words(error: OSError, words: str) -> None:
    assert explain(error) == words


def test_an_address_mapped_into_the_other_family_is_shown_as_users_write_it() -> None:
    assert plain_address("::ffff:192.0.2.1") == "192.0.2.1"
    assert plain_address("192.0.2.1") == "192.0.2.1"
    assert plain_address("2001:db8::1") == "2001:db8::1"
