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
from synod.sim.alarm import Alarm, Later
from synod.sim.clock import Dice, Timekeeper
from synod.sim.network import Network
from synod.wire.gossip import decode_gossip, encode_gossip

SET_BACK_CHANCE: Final = 0.05
"""How often a machine's time of day was set back, so that its agent begins with an incarnation too low."""


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
        self._alarm = Alarm(f"gossip of {name}", clock, later, lambda: self.core.deadline, self._tick)

    def step(self, event: events.Event) -> None:
        """Let the core digest an event and carry out what it asks for."""
        for effect in self.core.step(event, self._clock.now):
            word = event_of(effect)
            if word is not None:
                self._feed(word)
            if isinstance(effect, effects.SendPacket):
                self._network.send_datagram(self._name, effect.peer, encode_gossip(effect.messages))
        self._alarm.set()

    def receive(self, peer: NodeName, data: bytes) -> None:
        """Hand a packet over."""
        self.step(events.PacketReceived(peer=peer, messages=decode_gossip(data)))

    def _tick(self) -> None:
        for peer in self.core.awaited:
            if self._network.is_heard(self._name, peer):
                self.step(events.StreamHeard(peer=peer, at=Usec(self._clock.now)))
        self.step(events.Tick())
