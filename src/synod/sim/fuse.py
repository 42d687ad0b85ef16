# SPDX-License-Identifier: LGPL-2.1-or-later
"""The fuse of a machine: PID 1 resets it when synod-fuse.service was not fed for WatchdogSec=.

A timer of PID 1 is up to 250 ms late (sd_event_add_time(3), "accuracy"), and the last process ends a moment
after the reset has begun.
"""

from collections.abc import Callable
from typing import Final

from synod.base.usec import USEC_PER_MSEC
from synod.sim.clock import Dice, Timekeeper

FUSE_USEC: Final = 4750 * USEC_PER_MSEC
"""WatchdogSec= of synod-fuse.service."""
LATE_USEC: Final = 250 * USEC_PER_MSEC
RESET_USEC: Final = 100 * USEC_PER_MSEC


class Fuse:
    """The watchdog of one boot."""

    def __init__(self, clock: Timekeeper, dice: Dice, reset: Callable[[], None]) -> None:
        self._clock = clock
        self._dice = dice
        self._reset = reset
        self._until: int | None = None
        self._end: int | None = None
        self._lives = 0

    @property
    def left(self) -> int:
        """How much is left of it, when PID 1 is punctual."""
        return 0 if self._end is None else max(0, self._end - self._clock.now)

    def light(self) -> None:
        """Begin to burn."""
        self._lives += 1
        life = self._lives
        self._put_off()

        def look() -> None:
            if self._until is None or life != self._lives:
                return
            if self._clock.now < self._until:
                self._clock.after(self._until - self._clock.now, look)
            else:
                self._clock.after(self._dice.below(RESET_USEC), self._reset)

        self._clock.after(FUSE_USEC, look)

    def put_out(self) -> None:
        """End without a reset."""
        self._until = self._end = None

    def feed(self) -> None:
        """Take a keep-alive message."""
        if self._until is not None:
            self._put_off()

    def _put_off(self) -> None:
        self._end = self._clock.now + FUSE_USEC
        self._until = self._end + self._dice.below(LATE_USEC)
