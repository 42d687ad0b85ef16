# SPDX-License-Identifier: LGPL-2.1-or-later
"""Which of the service manager's jobs we wait for, and how they ended.

It pairs the job path that a call returns with the JobRemoved signal that may come before or after that
reply, and keeps the number of outstanding jobs below what PID 1 can bear. It sends nothing itself. Source:
org.freedesktop.systemd1(5), "Signals".
"""

import asyncio
from collections.abc import Awaitable, Callable, Collection
from dataclasses import dataclass
from typing import Final

from synod.base.errors import IndefiniteError
from synod.base.ids import UnitName

JOBS_OUTSTANDING_MAX: Final = 200
"""Per lane. systemd 252 adds a match rule for each job of a bus client and loses its bus at the 513th; two
lanes of 200 stay below (400 were fine)."""


class JobMissedError(IndefiniteError):
    """A job was there and is not any more; how it ended nobody saw."""


@dataclass(frozen=True, slots=True, kw_only=True)
class JobResult:
    """How a job ended."""

    job_id: int
    unit: UnitName
    result: str
    """``done``, ``canceled``, ``timeout``, ``failed``, ``dependency``, ``skipped``, ``invalid``, ``assert``,
    ``unsupported``, ``collected``, ``once``, ... ``done`` includes a start that a condition skipped."""

    @property
    def is_done(self) -> bool:
        """Whether the job did what it was for."""
        return self.result == "done"


class Jobs:
    """The jobs that somebody waits for."""

    def __init__(self, outstanding_max: int = JOBS_OUTSTANDING_MAX) -> None:
        self._lanes = {urgent: asyncio.Semaphore(outstanding_max) for urgent in (False, True)}
        self._waiting: dict[str, asyncio.Future[JobResult]] = {}
        self._early: dict[str, JobResult] = {}
        self._asking = 0

    @property
    def waiting(self) -> int:
        """Number of jobs that are waited for."""
        return len(self._waiting)

    async def run(self, enqueue: Callable[[], Awaitable[str]], *, urgent: bool = False) -> JobResult:
        """Enqueue a job by a call that returns its path, and wait for its end.

        Urgent jobs have a lane of their own, because ordinary ones may wait for them in PID 1: a full lane
        would otherwise be a deadlock. Raises what the call raises, and IndefiniteError when the job is lost
        from view.
        """
        lane = self._lanes[urgent]
        await lane.acquire()
        self._asking += 1
        ended: asyncio.Future[JobResult] | None = None
        try:
            path = await enqueue()
            # A signal read together with the reply was handled before this line: JobRemoved is in _early,
            # or still to come.
            if (early := self._early.get(path)) is not None:
                return early
            shared = self._waiting.get(path)
            if shared is None:
                shared = ended = self._waiting[path] = asyncio.get_running_loop().create_future()
                ended.add_done_callback(lambda future: _release(lane, future))
        finally:
            self._asking -= 1
            if self._asking == 0:
                self._early.clear()
            if ended is None:
                lane.release()
        # Shielded: PID 1 may have merged the jobs of two callers, and one of them may give up.
        return await asyncio.shield(shared)

    def removed(self, path: str, result: JobResult) -> None:
        """Take note of a JobRemoved signal."""
        future = self._waiting.pop(path, None)
        if future is not None:
            future.set_result(result)
        if self._asking:
            # Also when somebody waited: PID 1 merges jobs, so another caller's reply may name this one, too.
            self._early[path] = result

    def keep_only(self, paths: Collection[str], reason: str) -> None:
        """Give up every job that PID 1 does not have any more: its JobRemoved was missed."""
        for path in [path for path in self._waiting if path not in paths]:
            self._waiting.pop(path).set_exception(JobMissedError(reason))


def _release(lane: asyncio.Semaphore, future: "asyncio.Future[JobResult]") -> None:
    lane.release()
    if not future.cancelled():
        future.exception()
