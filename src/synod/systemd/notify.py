# SPDX-License-Identifier: LGPL-2.1-or-later
"""Messages to the service manager about this process.

Without ``NOTIFY_SOCKET`` every method does nothing, so that a daemon run by hand behaves the same. It
decides nothing: when the watchdog deserves a ping is the caller's judgement. Source: sd_notify(3),
sd_watchdog_enabled(3).
"""

import logging
import os
import socket
from collections.abc import Mapping

from synod.base.usec import Usec

_logger = logging.getLogger(__name__)


class Notifier:
    """One notification socket."""

    def __init__(self, environ: Mapping[str, str] = os.environ) -> None:
        path = environ.get("NOTIFY_SOCKET", "")
        # A leading "@" stands for the abstract namespace; vsock is for virtual machines' own PID 1.
        self._address = "\0" + path[1:] if path.startswith("@") else path if path.startswith("/") else ""
        self._watchdog_usec = _watchdog_usec(environ)

    @property
    def is_enabled(self) -> bool:
        """Whether somebody listens."""
        return bool(self._address)

    @property
    def watchdog_usec(self) -> Usec | None:
        """Time within which PID 1 wants a ping, or None; send one at half of it."""
        return self._watchdog_usec

    def send(self, *lines: str) -> bool:
        """Send assignments such as ``READY=1`` in one datagram; return whether they were handed over."""
        if not self._address:
            return False
        try:
            with socket.socket(
                socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC | socket.SOCK_NONBLOCK
            ) as sender:
                sender.sendto("\n".join(lines).encode(), self._address)
        except OSError as error:
            _logger.warning("Cannot notify the service manager, ignoring: %s", error)
            return False
        return True

    def ready(self, status: str = "") -> bool:
        """Say that startup, or a reload, is finished."""
        return self.send("READY=1", *_status(status))

    def status(self, text: str) -> bool:
        """Set the one line that ``systemctl status`` shows."""
        return self.send(*_status(text))

    def stopping(self, status: str = "") -> bool:
        """Say that shutdown has begun."""
        return self.send("STOPPING=1", *_status(status))

    def watchdog(self) -> bool:
        """Say that this process is alive and well."""
        return self.send("WATCHDOG=1")

    def extend_timeout(self, span: Usec) -> bool:
        """Ask for at least ``span`` more, from now on, for the start or stop under way."""
        return self.send(f"EXTEND_TIMEOUT_USEC={int(span)}")

    def main_pid(self, pid: int) -> bool:
        """Name the process to supervise."""
        return self.send(f"MAINPID={pid}")


def _status(text: str) -> tuple[str, ...]:
    return (f"STATUS={' '.join(text.splitlines())}",) if text else ()


def _watchdog_usec(environ: Mapping[str, str]) -> Usec | None:
    text, pid = environ.get("WATCHDOG_USEC", ""), environ.get("WATCHDOG_PID", "")
    if not text.isdecimal() or int(text) == 0 or (pid and pid != str(os.getpid())):
        return None
    return Usec(int(text))
