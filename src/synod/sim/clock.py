# SPDX-License-Identifier: LGPL-2.1-or-later
"""Virtual time and seeded chance: the two things that make a run repeatable.

Actions due at the same moment run in the order in which they were asked for. Chance comes from named streams
of one seed, so that one more draw in one place does not change what happens everywhere else.
"""

import heapq
import random
from collections.abc import Callable, Sequence
from typing import Final, Protocol, TypeVar

from synod.base.usec import Usec

PPM: Final = 1_000_000
Choice = TypeVar("Choice")


class Dice:
    """Entropy of one purpose."""

    def __init__(self, *seed: object) -> None:
        self._seed = " ".join(str(part) for part in seed)
        self._random = random.Random(self._seed)  # noqa: S311 (a run has to be repeatable)

    def fork(self, *purpose: object) -> "Dice":
        """Return the dice of a purpose, whatever was drawn from these."""
        return Dice(self._seed, *purpose)

    def below(self, limit: int) -> int:
        """Return an integer in [0, limit)."""
        return self._random.randrange(limit)

    def between(self, low: int, high: int) -> int:
        """Return an integer in [low, high]."""
        return self._random.randint(low, high)

    def chance(self, probability: float) -> bool:
        """Return True with a probability."""
        return self._random.random() < probability

    def pick(self, choices: Sequence[Choice]) -> Choice:
        """Return one of several."""
        return choices[self._random.randrange(len(choices))]


class Timekeeper(Protocol):
    """A clock as a machine sees it."""

    @property
    def now(self) -> Usec:
        """The present time."""

    def after(self, delay: int, action: Callable[[], None]) -> None:
        """Do something ``delay`` microseconds from now."""


class Clock:
    """What is going to happen, in order of time."""

    def __init__(self) -> None:
        self.now = Usec(1_000_000)
        self._heap: list[tuple[int, int, Callable[[], None]]] = []
        self._count = 0

    def after(self, delay: int, action: Callable[[], None]) -> None:
        """Do something ``delay`` microseconds from now; what is overdue is done at once, in its turn."""
        self._count += 1
        heapq.heappush(self._heap, (self.now + max(0, delay), self._count, action))

    def advance(self, until: int) -> bool:
        """Do the next thing that is due by ``until``; else move the time there and return False."""
        if self._heap and self._heap[0][0] <= until:
            time, _, action = heapq.heappop(self._heap)
            self.now = Usec(time)
            action()
            return True
        self.now = Usec(max(self.now, until))
        return False


class DriftingClock:
    """One machine's clock, which runs at nearly the speed of the world's."""

    def __init__(self, world: Clock, ppm: int) -> None:
        """Run ``ppm`` parts per million faster than the world."""
        self._world = world
        self._ppm = ppm

    @property
    def now(self) -> Usec:
        """The time that this machine believes it is."""
        return Usec(self._world.now * (PPM + self._ppm) // PPM)

    def after(self, delay: int, action: Callable[[], None]) -> None:
        """Do something when this clock has gone on by ``delay``; what is due earlier is done earlier."""
        due = self.now + max(0, delay)
        self._world.after(-(-due * PPM // (PPM + self._ppm)) - self._world.now, action)
