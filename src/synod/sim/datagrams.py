# SPDX-License-Identifier: LGPL-2.1-or-later
"""Datagrams between nodes as synod.net gives them: each may be lost, repeated, or overtaken by a later one.

A cut link swallows them as it swallows streams. Sealing is left out: packets say who sent them. So is the
replay window, which drops repeated packets; here they arrive, for the core must bear them.
"""

from collections.abc import Callable
from typing import Final

from synod.base.ids import NodeName
from synod.sim.clock import Clock, Dice

SLOWEST: Final = 4
"""How many times longer than the longest message of a stream a datagram may take."""

Receive = Callable[[NodeName, bytes], None]


class Datagrams:
    """The UDP half of all nodes' ports."""

    def __init__(self, clock: Clock, dice: Dice, is_cut: Callable[[NodeName, NodeName], bool]) -> None:
        self._clock = clock
        self._dice = dice
        self._is_cut = is_cut
        self._ends: dict[NodeName, Receive] = {}
        self.loss_chance = 0.01
        """Probability that one is lost."""
        self.repeat_chance = 0.01
        """Probability that one arrives twice."""

    def attach(self, name: NodeName, receive: Receive) -> None:
        """Begin to listen."""
        self._ends[name] = receive

    def detach(self, name: NodeName) -> None:
        """Listen no more."""
        self._ends.pop(name, None)

    def send(self, source: NodeName, target: NodeName, data: bytes, delay_usec: int) -> None:
        """Send one; ``delay_usec`` is the longest time of a message on a stream."""
        if source not in self._ends or self._is_cut(source, target) or self._dice.chance(self.loss_chance):
            return
        for _ in range(2 if self._dice.chance(self.repeat_chance) else 1):
            delay = self._dice.between(delay_usec // 10, SLOWEST * delay_usec)
            self._clock.after(delay, lambda: self._arrive(source, target, data))

    def _arrive(self, source: NodeName, target: NodeName, data: bytes) -> None:
        if target in self._ends and not self._is_cut(source, target):
            self._ends[target](source, data)
