# SPDX-License-Identifier: LGPL-2.1-or-later
"""The disk under one node's log: writes take time, a crash loses what was not synced, a broken one tells."""

from collections import deque
from collections.abc import Callable

from synod.base.usec import USEC_PER_MSEC
from synod.ledger.effects import Persist
from synod.ledger.entries import Entry, HardState
from synod.sim.clock import Dice, Timekeeper

Answer = Callable[[int, str], None]
"""Called with the sequence number of a write and why it failed, empty when it is durable."""


class Disk:
    """What is durable, and what is on its way."""

    def __init__(self, clock: Timekeeper, dice: Dice) -> None:
        self._clock = clock
        self._dice = dice
        self._writing: deque[Persist] = deque()
        self._life = 0
        self._has_failed = False
        self.hard_state = HardState()
        self.entries: list[Entry] = []
        self.delay_usec = 2 * USEC_PER_MSEC
        """Longest time of one write; the shortest is a tenth of it."""
        self.is_broken = False

    def write(self, persist: Persist, answer: Answer) -> None:
        """Make a write durable, some time; one sync may complete several."""
        self._writing.append(persist)
        life = self._life

        def done() -> None:
            if life != self._life or persist not in self._writing:
                return
            if self.is_broken or self._has_failed:
                # Whoever writes has to stop: what comes after a lost write is worth nothing.
                self._has_failed = True
                self._writing.remove(persist)
                answer(persist.seq, "Input/output error")
                return
            while self._complete() != persist.seq:
                pass
            answer(persist.seq, "")

        self._clock.after(self._dice.between(self.delay_usec // 10, self.delay_usec), done)

    def crash(self) -> None:
        """End the writer's life; of what was not synced some beginning happens to be there."""
        self._life += 1
        is_writable = not self.is_broken and not self._has_failed
        for _ in range(self._dice.below(len(self._writing) + 1) if is_writable else 0):
            self._complete()
        self._has_failed = False
        self._writing.clear()

    def wipe(self) -> None:
        """Forget everything: the node has left."""
        self._life += 1
        self._writing.clear()
        self.hard_state, self.entries = HardState(), []

    def holds(self, index: int, term: int) -> bool:
        """Whether an entry is durable here."""
        return len(self.entries) >= index and self.entries[index - 1].term == term

    def _complete(self) -> int:
        persist = self._writing.popleft()
        if persist.hard_state is not None:
            self.hard_state = persist.hard_state
        if persist.truncate_from is not None:
            del self.entries[persist.truncate_from - 1 :]
        for entry in persist.entries:
            assert entry.index == len(self.entries) + 1, "the log has a gap"
            self.entries.append(entry)
        return persist.seq
