# SPDX-License-Identifier: LGPL-2.1-or-later
"""Which units are watched, and the newest state of each, in order.

A signal only marks a unit as changed; its state is then read in one piece, so that a burst of signals costs
one read and no state that PID 1 merely passed through is reported. Per unit there is one read at a time,
hence the states arrive in the order in which they were true. It refuses to know what a state means.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
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

    def remove(self, unit: UnitName) -> None:
        """Stop watching; a read under way is not reported any more."""
        if self._watches.pop(unit, None) is not None:
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
            watch.last = None
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
            try:
                await self._refresh(watch)
            finally:
                watch.is_read = False
                if watch.is_queued:
                    self._queue.put_nowait(watch)

    async def _refresh(self, watch: _Watch) -> None:
        if self._watches.get(watch.unit) is not watch:
            return
        try:
            state = await self._read(watch.unit)
        except NotConnectedError:
            return  # resync() follows
        except CallError as error:
            _logger.warning("Cannot read the state of '%s', ignoring: %s", watch.unit, error)
            return
        except SynodError as error:
            _logger.warning("Cannot read the state of '%s', retrying: %s", watch.unit, error)
            watch.is_queued = True
            return
        if self._watches.get(watch.unit) is not watch:
            return
        if state.unit and state.unit != watch.unit:
            self._follow(watch.unit, unit_path(state.unit))
        if state != watch.last:
            watch.last = state
            self._report(watch.unit, state)

    def _follow(self, unit: UnitName, path: str) -> None:
        units = self._units_by_path.setdefault(path, [])
        if unit not in units:
            units.append(unit)
