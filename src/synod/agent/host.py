# SPDX-License-Identifier: LGPL-2.1-or-later
"""The host of one node: feed events, carry out effects in order, re-arm one timer.

Everything slow is answered by an event, so that the loop never waits: writes go to a thread, jobs and
streams to tasks. An event that arrives while effects are carried out waits its turn.
"""

import asyncio
from collections import deque
from collections.abc import Callable
from typing import Final

from synod.agent.clock import now
from synod.engine.effects import Effect
from synod.engine.events import Event, Tick
from synod.engine.node import Node

TICK_SEC_MIN: Final = 0.001
"""A deadline that is already due is met in the next turn of the loop, not in this one."""


class Host:
    """Drives a node with asyncio."""

    def __init__(self, node: Node, perform: Callable[[Effect], None]) -> None:
        self.node = node
        self._perform = perform
        self._events: deque[Event] = deque()
        self._is_stepping = False
        self._timer: asyncio.TimerHandle | None = None
        self._is_closed = False

    def feed(self, event: Event) -> None:
        """Let the node digest an event, after those that came before."""
        if self._is_closed:
            return
        self._events.append(event)
        if self._is_stepping:
            return
        self._is_stepping = True
        try:
            while self._events and not self._is_closed:
                for effect in self.node.step(self._events.popleft(), now()):
                    self._perform(effect)
        finally:
            self._is_stepping = False
        self._rearm()

    def close(self) -> None:
        """Feed nothing any more."""
        self._is_closed = True
        if self._timer is not None:
            self._timer.cancel()

    def _rearm(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        deadline = self.node.deadline
        if deadline is not None and not self._is_closed:
            delay = max((deadline - now()) / 1e6, TICK_SEC_MIN)
            self._timer = asyncio.get_running_loop().call_later(delay, self._tick)

    def _tick(self) -> None:
        self._timer = None
        self.feed(Tick())
