# SPDX-License-Identifier: LGPL-2.1-or-later
"""What all parts of gossip share: members, rumours, health, and the one way out."""

from collections.abc import Sequence
from typing import Final, TypeVar

from synod.base.ids import NodeName
from synod.base.machine import Entropy
from synod.base.usec import Usec
from synod.gossip.dissemination import Queue
from synod.gossip.effects import Effect, SendPacket
from synod.gossip.health import Health
from synod.gossip.members import Members
from synod.gossip.messages import COMPOUND_OVERHEAD_BYTES, Message, bytes_max
from synod.gossip.timing import COMPOUND_BYTES_MAX, Timing

ROOM: Final = COMPOUND_BYTES_MAX - COMPOUND_OVERHEAD_BYTES
"""Bytes for the messages of one packet."""

_T = TypeVar("_T")


class State:
    """Mutable state of one node's gossip."""

    def __init__(self, *, name: NodeName, timing: Timing, entropy: Entropy) -> None:
        self.name = name
        self.timing = timing
        self.entropy = entropy
        self.members = Members()
        self.queue = Queue()
        self.health = Health()
        self.now = Usec(0)
        self.deaf_since: Usec | None = None
        """Since when this node's own link is down: whoever is missed then is missed because of that."""
        self.effects: list[Effect] = []

    def send(self, peer: NodeName, *messages: Message) -> None:
        """Send a packet with these messages and as many rumours as fit."""
        room = ROOM - sum(bytes_max(message) for message in messages)
        assert room >= 0
        taken = self.queue.take(room, self.timing.retransmits(self.members.nodes))
        rumours = [rumour for rumour in taken if rumour not in messages]
        if messages or rumours:
            self.effects.append(SendPacket(peer=peer, messages=(*messages, *rumours)))

    def some(self, items: Sequence[_T], count: int) -> list[_T]:
        """Return up to ``count`` different ones, drawn at random."""
        rest = list(items)
        drawn = min(count, len(rest))
        for place in range(drawn):
            other = place + self.entropy.below(len(rest) - place)
            rest[place], rest[other] = rest[other], rest[place]
        return rest[:drawn]
