# SPDX-License-Identifier: LGPL-2.1-or-later
"""Client of logind: warning of a shutdown, and locks that delay or block one.

Optional: a node without logind has neither, and nothing here may be needed for safety (``--force`` and
direct jobs bypass it). Needs a Bus of its own made with ``needs_unix_fds=True``. Source:
org.freedesktop.login1(5), systemd-inhibit(1).
"""

import logging
import os
from collections.abc import Callable
from typing import Final, Literal

from synod.systemd.bus import DAEMON_NAME, Bus, Signal

NAME: Final = "org.freedesktop.login1"
PATH: Final = "/org/freedesktop/login1"
MANAGER: Final = NAME + ".Manager"

_MATCHES: Final = (
    f"type='signal',sender='{DAEMON_NAME}',interface='{DAEMON_NAME}',member='NameOwnerChanged',arg0='{NAME}'",
    f"type='signal',sender='{NAME}',interface='{MANAGER}',member='PrepareForShutdown'",
)

_logger = logging.getLogger(__name__)


class Inhibitor:
    """A lock that is held until release(), or until this process ends; it survives a restart of logind."""

    def __init__(self, fd: int) -> None:
        """Take over the descriptor."""
        self._fd = fd

    @property
    def is_held(self) -> bool:
        """Whether release() was not called yet."""
        return self._fd >= 0

    def release(self) -> None:
        """Let the operation go on; harmless when done twice."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1


class Logind:
    """The client; ``on_shutdown`` gets True when a shutdown is announced, False when it is called off."""

    def __init__(self, bus: Bus, on_shutdown: Callable[[bool], None]) -> None:
        self._bus = bus
        self._on_shutdown = on_shutdown
        self._owner = ""
        bus.add_listener(self, _MATCHES)

    @property
    def is_available(self) -> bool:
        """Whether logind runs on this node."""
        return bool(self._owner)

    async def inhibit(
        self, what: Literal["shutdown", "sleep"], why: str, mode: Literal["delay", "block"]
    ) -> Inhibitor:
        """Take a lock. Raises as Bus.call() does, CallError ServiceUnknown when there is no logind."""
        reply = await self._bus.call(
            destination=NAME,
            path=PATH,
            interface=MANAGER,
            member="Inhibit",
            signature="ssss",
            body=(what, "Synod", why, mode),
        )
        return Inhibitor(reply.unix_fds[reply.body[0]])

    async def resync(self) -> None:
        """See whether logind is there."""
        self._owner = await self._bus.name_owner(NAME) or ""
        _logger.debug("logind is %s", self._owner or "absent")

    def lost(self) -> None:
        """Note that announcements will be missed; locks stay held."""
        self._owner = ""

    def received(self, signal: Signal) -> None:
        """Handle one signal."""
        if signal.sender == DAEMON_NAME and signal.member == "NameOwnerChanged" and signal.body[0] == NAME:
            self._owner = signal.body[2]
        elif signal.sender == self._owner and signal.member == "PrepareForShutdown":
            self._on_shutdown(bool(signal.body[0]))
