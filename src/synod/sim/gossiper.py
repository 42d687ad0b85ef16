# SPDX-License-Identifier: LGPL-2.1-or-later
"""One agent's gossip: drives the core as synod.agent.gossiper does, over the world's datagrams."""

from collections.abc import Callable
from typing import Final

from synod.base.ids import NodeName
from synod.base.usec import Usec
from synod.engine import events as node_events
from synod.engine.hearsay import event_of
from synod.gossip import effects, events
from synod.gossip.machine import Gossip
from synod.gossip.timing import Timing
from synod.sim.clock import Dice, Timekeeper
from synod.sim.network import Network
from synod.wire.gossip import decode_gossip, encode_gossip

TICKS_MAX: Final = 200
"""Ticks in a row without any time passing; more is a defect of the core's deadline."""
SET_BACK_CHANCE: Final = 0.05
"""How often a machine's time of day was set back, so that its agent begins with an incarnation too low."""

Later = Callable[[int, Callable[[], None]], None]


class Gossiper:
    """From the start of an agent to its end."""

    def __init__(
        self,
        name: NodeName,
        clock: Timekeeper,
        dice: Dice,
        network: Network,
        feed: Callable[[node_events.Event], None],
        later: Later,
        timing: Timing | None = None,
    ) -> None:
        incarnation = 1 if dice.chance(SET_BACK_CHANCE) else int(clock.now)
        self.core = Gossip(name=name, entropy=dice, incarnation=incarnation, timing=timing)
        self._name = name
        self._clock = clock
        self._network = network
        self._feed = feed
        self._later = later
        self._timer: int | None = None
        self._ticks = (0, 0)

    def step(self, event: events.Event) -> None:
        """Let the core digest an event and carry out what it asks for."""
        for effect in self.core.step(event, self._clock.now):
            word = event_of(effect)
            if word is not None:
                self._feed(word)
            if isinstance(effect, effects.SendPacket):
                self._network.send_datagram(self._name, effect.peer, encode_gossip(effect.messages))
        self._arm()

    def receive(self, peer: NodeName, data: bytes) -> None:
        """Hand a packet over."""
        self.step(events.PacketReceived(peer=peer, messages=decode_gossip(data)))

    def _arm(self) -> None:
        deadline = self.core.deadline
        if deadline is None or (self._timer is not None and self._timer <= deadline):
            return
        self._timer = max(deadline, self._clock.now)
        due = self._timer

        def ring() -> None:
            if self._timer != due:
                return
            self._timer = None
            deadline = self.core.deadline
            if deadline is not None and deadline <= self._clock.now:
                self._tick()
            else:
                self._arm()

        self._later(due - self._clock.now, ring)

    def _tick(self) -> None:
        time, count = self._ticks
        self._ticks = (self._clock.now, count + 1 if time == self._clock.now else 0)
        assert self._ticks[1] < TICKS_MAX, f"{self._name}: gossip's deadline does not move"
        for peer in self.core.awaited:
            if self._network.is_heard(self._name, peer):
                self.step(events.StreamHeard(peer=peer, at=Usec(self._clock.now)))
        self.step(events.Tick())
