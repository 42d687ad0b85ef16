# SPDX-License-Identifier: LGPL-2.1-or-later
"""The only module that imports a D-Bus library: dbus-fast, or dbus-next where that is all there is.

Both offer the same low-level names; everything above uses only those re-exported here. It knows no systemd
and holds no state. ``SYNOD_DBUS=next`` selects the predecessor, for tests. Measured differences:
python-dbus-next spends ten times the CPU on signals, and neither fails a call that is made after a
disconnect (see bus.py).
"""

import contextlib
import os
import socket
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from dbus_fast import BusType, Message, MessageFlag, MessageType, Variant
    from dbus_fast.aio.message_bus import MessageBus
    from dbus_fast.errors import AuthError, InvalidAddressError
elif os.environ.get("SYNOD_DBUS") == "next":
    from dbus_next import BusType, Message, MessageFlag, MessageType, Variant
    from dbus_next.aio import MessageBus
    from dbus_next.errors import AuthError, InvalidAddressError
else:
    try:
        from dbus_fast import BusType, Message, MessageFlag, MessageType, Variant
        from dbus_fast.aio import MessageBus
        from dbus_fast.errors import AuthError, InvalidAddressError
    except ModuleNotFoundError:
        from dbus_next import BusType, Message, MessageFlag, MessageType, Variant
        from dbus_next.aio import MessageBus
        from dbus_next.errors import AuthError, InvalidAddressError

__all__ = [
    "AuthError",
    "BusType",
    "Connection",
    "InvalidAddressError",
    "Message",
    "MessageFlag",
    "MessageType",
    "Variant",
    "plain",
]

_AUTH_LINE_BYTES_MAX = 4096


class Connection(MessageBus):
    """A message bus connection that notices a bus which closes during authentication.

    Both libraries read the handshake until a line ends and take end-of-file for "nothing yet": they then
    spin without ever yielding, which stops the whole event loop. dbus-daemon closes at once when it is full
    or going down.
    """

    def __init__(self, address: str | None, *, needs_unix_fds: bool) -> None:
        """Open the socket of ``address``, by default the system bus; raises OSError."""
        library: Any = super()  # whose releases differ in what they annotate
        try:
            library.__init__(bus_address=address, bus_type=BusType.SYSTEM, negotiate_unix_fd=needs_unix_fds)
        except OSError:
            self._stream.close()
            self._sock.close()
            raise

    async def disconnected(self) -> None:
        """Wait for the end of the connection; raises what ended it, if anything in particular did."""
        library: Any = super()
        await library.wait_for_disconnect()

    async def _auth_readline(self) -> str:
        line = b""
        while not line.endswith(b"\r\n"):
            chunk = await self._loop.sock_recv(self._sock, 1024)
            if not chunk or len(line) > _AUTH_LINE_BYTES_MAX:
                raise ConnectionResetError("the bus closed the connection during authentication")
            line += chunk
        return line[:-2].decode()

    def close(self) -> None:
        """Close the socket now, in whatever state it is; the libraries leave that to garbage collection."""
        with contextlib.suppress(ValueError):  # already closed, by disconnect()
            self._loop.remove_reader(self._fd)
            self._loop.remove_writer(self._fd)
        with contextlib.suppress(OSError):
            self._sock.shutdown(socket.SHUT_RDWR)
        with contextlib.suppress(OSError):
            self._stream.close()
        self._sock.close()


def plain(value: Any) -> Any:
    """Strip every Variant from a message body, however deep."""
    if isinstance(value, Variant):
        return plain(value.value)
    if isinstance(value, list):
        return [plain(item) for item in value]
    if isinstance(value, dict):
        return {key: plain(item) for key, item in value.items()}
    return value
