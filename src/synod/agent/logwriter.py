# SPDX-License-Identifier: LGPL-2.1-or-later
"""The node's write-ahead log behind a thread: the loop goes on while the disk works.

Writes that come while one is under way are made durable together by the next one (group commit). After a
failure nothing is written any more; the node is told, and says so.
"""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Final

from synod.agent.membership import Membership
from synod.base.errors import StorageError
from synod.engine.events import Event, Persisted, PersistFailed
from synod.ledger.effects import Persist
from synod.ledger.entries import Entry, HardState
from synod.store.frames import Identity
from synod.store.wal import Wal, create

FILE: Final = "wal"


def create_log(directory: Path, membership: Membership) -> None:
    """Make the empty log of a new member; raise StorageError."""
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    create(directory / FILE, _identity(membership))


class LogWriter:
    """Writes in order, one batch at a time."""

    def __init__(self, directory: Path, membership: Membership, feed: Callable[[Event], None]) -> None:
        """Read the log; raise StorageError when it is absent, damaged, or somebody else's."""
        self._wal, recovered = Wal.open(directory / FILE, _identity(membership))
        self.hard_state: HardState = recovered.hard_state
        self.entries: tuple[Entry, ...] = recovered.entries
        self._feed = feed
        self._queue: list[Persist] = []
        self._has_failed = False
        self._writing: asyncio.Task[None] | None = None
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="log")

    def put(self, effect: Persist) -> None:
        """Queue a write; Persisted or PersistFailed follows."""
        self._queue.append(effect)
        if self._writing is None:
            self._writing = asyncio.get_running_loop().create_task(self._write())

    async def _write(self) -> None:
        loop = asyncio.get_running_loop()
        while self._queue:
            batch, self._queue = self._queue, []
            seq = batch[-1].seq
            try:
                await loop.run_in_executor(self._thread, self._wal.append, batch)
            except StorageError as error:
                self._fail(seq, str(error))
            else:
                self._feed(Persisted(seq=seq))
        self._writing = None

    def _fail(self, seq: int, reason: str) -> None:
        if not self._has_failed:
            self._has_failed = True
            self._feed(PersistFailed(seq=seq, reason=reason))

    async def close(self) -> None:
        """Write what is queued, then close."""
        if self._writing is not None:
            await self._writing
        self._thread.shutdown()
        self._wal.close()


def _identity(membership: Membership) -> Identity:
    return Identity(cluster=membership.cluster_id, node=membership.node)
