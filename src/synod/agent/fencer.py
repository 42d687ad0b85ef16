# SPDX-License-Identifier: LGPL-2.1-or-later
"""Carries out fence orders with the devices that are configured on this node (synod.fence(5)).

What a device answers is reported before anything else is done with it: a node that was switched off to be
rebooted is switched on again only after the log's owner has heard that it is off.
"""

import asyncio
from collections.abc import Callable, Iterable
from pathlib import Path

from synod.base.ids import NodeName
from synod.base.messages import MessageId
from synod.config.fence import load_fence
from synod.devices.command import Confirmed
from synod.devices.register import FenceRegister
from synod.engine.events import DevicesLoaded, Event, FenceReported
from synod.systemd.journal import Journal, Priority


class Fencer:
    """The node's fence devices."""

    def __init__(self, feed: Callable[[Event], None], journal: Journal, root: Path = Path("/")) -> None:
        """Read the devices; what is wrong with a file is logged, and its device is not used."""
        self._feed = feed
        self._journal = journal
        config = load_fence(root)
        self._register = FenceRegister(config)
        self._targets: tuple[NodeName, ...] = ()
        self._tasks: set[asyncio.Task[None]] = set()
        for text in (*config.problems, *config.warnings):
            self._complain(text)

    def members_are(self, names: Iterable[NodeName]) -> None:
        """Tell the node which members it could fence, whenever that changes."""
        targets = tuple(sorted(name for name in names if self._register.covers(name)))
        if targets != self._targets:
            self._targets = targets
            self._feed(DevicesLoaded(targets=targets))

    def fence(self, order: int, target: NodeName) -> None:
        """Switch a node off; FenceReported follows."""
        task = asyncio.get_running_loop().create_task(self._fence(order, target))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _fence(self, order: int, target: NodeName) -> None:
        result = await self._register.fence(target)
        is_confirmed = isinstance(result, Confirmed)
        self._feed(FenceReported(order=order, is_confirmed=is_confirmed, text=result.reason))
        if is_confirmed and (problem := await self._register.restore(target)) not in ("", "on"):
            self._complain(f"'{target}' was fenced and is to be switched on again: {problem}")

    def _complain(self, text: str) -> None:
        self._journal.send(text, priority=Priority.WARNING, message_id=MessageId.FENCING_FAILED)
