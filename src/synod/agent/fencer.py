# SPDX-License-Identifier: LGPL-2.1-or-later
"""Carries out fence orders with the devices that are configured on this node (synod.fence(5)).

What a device answers is reported before anything else is done with it: a node that was switched off to be
rebooted is switched on again only after the log's owner has heard that it is off.

A device counts once it has told the state of the node that it is for: on its word that node goes without a
fuse (safety rule 3.4), so a missing program or a wrong password must not be found out when it is needed.
"""

import asyncio
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final

from synod.base.ids import NodeName
from synod.base.messages import MessageId
from synod.config.fence import load_fence
from synod.devices.command import Confirmed
from synod.devices.register import FenceRegister
from synod.engine.events import DevicesLoaded, Event, FenceReported
from synod.systemd.journal import Journal, Priority

CHECK_SEC: Final = 300.0
"""Between questions to a device that works: passwords and cables change rarely."""
RECHECK_SEC: Final = 15.0
"""The same after it failed."""


class Fencer:
    """The node's fence devices."""

    def __init__(self, feed: Callable[[Event], None], journal: Journal, root: Path = Path("/")) -> None:
        """Read the devices; what is wrong with a file is logged, and its device is not used."""
        self._feed = feed
        self._journal = journal
        config = load_fence(root)
        self._register = FenceRegister(config)
        self._targets: tuple[NodeName, ...] | None = None
        self._verdicts: dict[NodeName, str] = {}
        """What keeps a node from being fenced, as its device last said; empty when nothing does."""
        self._due: dict[NodeName, float] = {}
        self._checks: dict[NodeName, asyncio.Task[None]] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        for text in (*config.problems, *config.warnings):
            self._complain(text)

    def members_are(self, members: Mapping[NodeName, bool]) -> None:
        """Tell the node which members it could fence, whenever that changes.

        ``members`` says which of them are online: only those are asked about, since a device that takes a
        node for off that is off would prove nothing.
        """
        now = asyncio.get_running_loop().time()
        covered = sorted(name for name in members if self._register.covers(name))
        online = [name for name in covered if members[name]]
        for name in online:
            if name not in self._checks and self._due.get(name, now) <= now:
                self._checks[name] = asyncio.get_running_loop().create_task(self._check(name))
        if any(name not in self._verdicts for name in online):
            return  # the first answers are awaited
        targets = tuple(name for name in covered if not self._verdicts.get(name))
        if targets != self._targets:
            self._targets = targets
            self._feed(DevicesLoaded(targets=targets))

    @property
    def questions(self) -> tuple[asyncio.Task[None], ...]:
        """The devices that are being asked."""
        return tuple(self._checks.values())

    async def _check(self, name: NodeName) -> None:
        try:
            problem = await self._register.problem(name)
        finally:
            del self._checks[name]
        if problem and problem != self._verdicts.get(name):
            self._complain(f"'{name}' cannot be fenced from here, so that it needs its fuse: {problem}")
        self._verdicts[name] = problem
        pause = RECHECK_SEC if problem else CHECK_SEC
        self._due[name] = asyncio.get_running_loop().time() + pause

    def fence(self, order: int, target: NodeName) -> None:
        """Switch a node off; FenceReported follows. It does not wait for a question that hangs."""
        for check in self._checks.values():
            check.cancel()
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
