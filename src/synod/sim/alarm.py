# SPDX-License-Identifier: LGPL-2.1-or-later
"""The timer of a core: rings at its deadline, wherever that has moved meanwhile."""

from collections.abc import Callable
from typing import Final

from synod.base.usec import Usec
from synod.sim.clock import Timekeeper

TICKS_MAX: Final = 200
"""Rings in a row without any time passing; more is a defect of the core's deadline."""

Later = Callable[[int, Callable[[], None]], None]


class Alarm:
    """Calls ``ring`` when the deadline has come; ``later`` does something after a delay."""

    def __init__(
        self,
        whose: str,
        clock: Timekeeper,
        later: Later,
        deadline: Callable[[], Usec | None],
        ring: Callable[[], None],
    ) -> None:
        self._whose = whose
        self._clock = clock
        self._later = later
        self._deadline = deadline
        self._ring = ring
        self._due: int | None = None
        self._rings = (0, 0)

    def set(self) -> None:
        """Wait for the deadline as it is now."""
        deadline = self._deadline()
        if deadline is None or (self._due is not None and self._due <= deadline):
            return
        due = self._due = max(deadline, self._clock.now)
        self._later(due - self._clock.now, lambda: self._wake(due))

    def _wake(self, due: int) -> None:
        if self._due != due:
            return
        self._due = None
        deadline = self._deadline()
        if deadline is None or deadline > self._clock.now:
            self.set()
            return
        time, count = self._rings
        self._rings = (self._clock.now, count + 1 if time == self._clock.now else 0)
        assert self._rings[1] < TICKS_MAX, f"{self._whose}: the deadline does not move"
        self._ring()
