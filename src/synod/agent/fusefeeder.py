# SPDX-License-Identifier: LGPL-2.1-or-later
"""Feeds the fuse: keep-alive messages to PID 1 on behalf of the one process of synod-fuse.service.

sd_notify(3) lets a privileged process send for another one. So the fuse needs no program of ours, and a feed
is one datagram: no job, and no line in the journal. Which process it is is asked of PID 1 each time: when
the bus does not answer there is no feed either (safety rule 3.6).
"""

import asyncio
import contextlib
import os
import socket
import struct
from pathlib import Path
from typing import Final

from synod.agent.clock import now
from synod.base.errors import SynodError
from synod.base.usec import Usec
from synod.engine.guard import FUSE
from synod.systemd.manager import Manager

NOTIFY_SOCKET: Final = Path("/run/systemd/notify")


class FuseFeeder:
    """One datagram for each renewal of the lease."""

    def __init__(self, manager: Manager, path: Path = NOTIFY_SOCKET) -> None:
        self._manager = manager
        self._path = path
        self._tasks: set[asyncio.Task[None]] = set()
        self._until = Usec(0)

    def feed(self, until: Usec) -> None:
        """Put the reset off by the fuse's whole length, by ``until`` or not at all."""
        self._until = until
        if not self._tasks:  # a feed that waits for the bus becomes this one
            task = asyncio.get_running_loop().create_task(self._feed())
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _feed(self) -> None:
        with contextlib.suppress(SynodError):
            pid = (await self._manager.properties(FUSE)).get("MainPID", 0)
            if pid and now() <= self._until:
                send_watchdog(self._path, pid)


def send_watchdog(path: Path, pid: int) -> None:
    """Send WATCHDOG=1 as if it came from a process; needs CAP_SYS_ADMIN, see unix(7), SCM_CREDENTIALS."""
    credentials = struct.pack("iII", pid, os.getuid(), os.getgid())
    with (
        socket.socket(
            socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC | socket.SOCK_NONBLOCK
        ) as sender,
        contextlib.suppress(OSError),  # what is not fed burns: that is the safe side
    ):
        sender.sendmsg(
            [b"WATCHDOG=1"], [(socket.SOL_SOCKET, socket.SCM_CREDENTIALS, credentials)], 0, os.fspath(path)
        )
