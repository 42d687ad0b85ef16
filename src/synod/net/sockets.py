# SPDX-License-Identifier: LGPL-2.1-or-later
"""TCP sockets as streams want them, and what went wrong with them in words."""

import asyncio
import os
import socket
import ssl

from synod.base.usec import USEC_PER_MSEC, Usec


async def connect(host: str, port: int, user_timeout: Usec) -> socket.socket:
    """Return a connected socket, tuned; tries all addresses of ``host`` in turn. Raises OSError.

    Takes as long as the kernel does: the caller limits the time.
    """
    loop = asyncio.get_running_loop()
    failure = OSError("no address")
    for family, kind, protocol, _, address in await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM):
        connection = socket.socket(family, kind, protocol)
        try:
            connection.setblocking(False)
            tune(connection, user_timeout)
            await loop.sock_connect(connection, address)
        except OSError as error:
            connection.close()
            failure = error
        except asyncio.CancelledError:
            connection.close()
            raise
        else:
            return connection
    raise failure


def tune(connection: socket.socket, user_timeout: Usec) -> None:
    """Set what tcp(7) offers against delay and against peers that vanished."""
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, user_timeout // USEC_PER_MSEC)


def explain(error: OSError) -> str:
    """Return the reason of a failed connection in lower case, without numbers and addresses."""
    if isinstance(error, ssl.SSLError):
        # Those that Python raises by itself carry no reason at all.
        return str(getattr(error, "reason", None) or error).replace("_", " ").lower()
    if isinstance(error, socket.gaierror):
        return str(error.strerror).lower()
    if error.errno:
        return os.strerror(error.errno).lower()
    return str(error) or "the connection broke"


def plain_address(address: str) -> str:
    """Undo the mapping of IPv4 into a socket that listens on both families (RFC 4291, 2.5.5.2)."""
    return address.removeprefix("::ffff:") if "." in address else address
