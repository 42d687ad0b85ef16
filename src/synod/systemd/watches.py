# SPDX-License-Identifier: LGPL-2.1-or-later
"""Which units are watched, and the newest state of each, in order.

A signal only marks a unit as changed; its state is then read in one piece, so that a burst of signals costs
one read and no state that PID 1 merely passed through is reported. Per unit there is one read at a time,
hence the states arrive in the order in which they were true. Whoever needs a state by himself asks for it
here as well (fresh()): a read beside this queue could bring older news after newer ones. It refuses to know
what a state means.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Final

from synod.base.errors import SynodError
from synod.base.ids import UnitName
from synod.systemd.bus import CallError, NotConnectedError
from synod.systemd.unitstate import UnitState, unit_path

READERS: Final = 8
"""Reads under way at a time. PID 1 serves one after the other; more would only delay jobs."""

_logger = logging.getLogger(__name__)


@dataclass(slots=True)
class _Watch:
    unit: UnitName
    is_queued: bool = False
    is_read: bool = False
    last: UnitState | None = None
    is_told: bool = False
    """Whether ``last`` is what the observer was told last."""
    askers: list[asyncio.Future[None]] = field(default_factory=list)
    """Who waits for a read that has not begun."""


class Watches:
    """Watched units; ``report`` is called with the name that was given to watch()."""

    def __init__(
        self, read: Callable[[UnitName], Awaitable[UnitState]], report: Callable[[UnitName, UnitState], None]
    ) -> None:
        self._read = read
        self._report = report
        self._watches: dict[UnitName, _Watch] = {}
        self._units_by_path: dict[str, list[UnitName]] = {}
        self._queue: asyncio.Queue[_Watch] = asyncio.Queue()

    def add(self, unit: UnitName) -> None:
        """Watch a unit, loaded or not, and report its state soon; an alias follows the unit behind it."""
        if unit not in self._watches:
            self._watches[unit] = watch = _Watch(unit)
            self._units_by_path.setdefault(unit_path(unit), []).append(unit)
            self._enqueue(watch)

    async def fresh(self, unit: UnitName) -> UnitState | None:
        """Return the state of a watched unit, read after this call began and reported if it differs.

        None when the unit is not watched (any more). Raises what the read raises.
        """
        watch = self._watches.get(unit)
        if watch is None:
            return None
        asker = asyncio.get_running_loop().create_future()
        watch.askers.append(asker)
        self._enqueue(watch)
        await asker
        # Not what that read brought: a later one may have been reported before this line runs.
        return self.last(unit)

    def remove(self, unit: UnitName) -> None:
        """Stop watching; a read under way is not reported any more."""
        watch = self._watches.pop(unit, None)
        if watch is not None:
            _answer(watch.askers, None)
            for path in [path for path, units in self._units_by_path.items() if unit in units]:
                self._units_by_path[path].remove(unit)
                if not self._units_by_path[path]:
                    del self._units_by_path[path]

    def last(self, unit: UnitName) -> UnitState | None:
        """Return the state reported last, or None."""
        watch = self._watches.get(unit)
        return watch.last if watch else None

    def changed(self, path: str) -> None:
        """Note that the object at this path changed."""
        for unit in self._units_by_path.get(path, ()):
            self._enqueue(self._watches[unit])

    def resync(self) -> None:
        """Read and report everything again: signals were missed."""
        for watch in self._watches.values():
            watch.is_told = False
            self._enqueue(watch)

    def _enqueue(self, watch: _Watch) -> None:
        if not watch.is_queued:
            watch.is_queued = True
            if not watch.is_read:
                self._queue.put_nowait(watch)

    async def run(self) -> None:
        """Read what changed until cancelled; an error in ``report`` ends it."""
        async with asyncio.TaskGroup() as tasks:
            for number in range(READERS):
                tasks.create_task(self._reader(), name=f"unit-reader-{number}")

    async def _reader(self) -> None:
        while True:
            watch = await self._queue.get()
            watch.is_queued, watch.is_read = False, True
            askers, watch.askers = watch.askers, []
            failure: SynodError | None = None
            try:
                await self._refresh(watch)
            except SynodError as error:
                failure = error
                self._failed(watch, error)
            finally:
                _answer(askers, failure)
                watch.is_read = False
                if watch.is_queued:
                    self._queue.put_nowait(watch)

    def _failed(self, watch: _Watch, error: SynodError) -> None:
        watch.is_told = False  # whoever asked has an error for an answer: the next state is news, old or new
        if isinstance(error, NotConnectedError):
            return  # resync() follows
        if isinstance(error, CallError):
            _logger.warning("Cannot read the state of '%s', ignoring: %s", watch.unit, error)
        else:
            _logger.warning("Cannot read the state of '%s', retrying: %s", watch.unit, error)
            watch.is_queued = True

    async def _refresh(self, watch: _Watch) -> None:
        if self._watches.get(watch.unit) is not watch:
            return
        state = await self._read(watch.unit)
        if self._watches.get(watch.unit) is not watch:
            return
        if state.unit and state.unit != watch.unit:
            self._follow(watch.unit, unit_path(state.unit))
        if state != watch.last or not watch.is_told:
            watch.last, watch.is_told = state, True
            self._report(watch.unit, state)

    def _follow(self, unit: UnitName, path: str) -> None:
        units = self._units_by_path.setdefault(path, [])
        if unit not in units:
            units.append(unit)


def _answer(askers: list[asyncio.Future[None]], failure: SynodError | None) -> None:
    for asker in askers:
        if asker.done():
            continue  # its owner gave up
        if failure is not None:
            asker.set_exception(failure)
        else:
            asker.set_result(None)
