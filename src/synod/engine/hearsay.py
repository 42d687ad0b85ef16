# SPDX-License-Identifier: LGPL-2.1-or-later
"""Hearsay: what gossip thinks of the peers, and whether this node may trust its own ears.

Decides what counts as a contradiction to a silence. Refuses to prove anything: a suspicion is shown, and
takes back what was said in somebody's favour, but nobody is lost, fenced or succeeded because of it (safety
section 1 lists the proofs). It can only make this node wait, and never longer than a lease.
"""

from dataclasses import dataclass
from typing import Final

from synod.base.ids import NodeName
from synod.base.usec import USEC_PER_SEC, Usec
from synod.engine import events
from synod.engine.desk import Desk
from synod.gossip import effects
from synod.gossip.members import Status

BLIND_USEC: Final = Usec(1 * USEC_PER_SEC)
"""After this node stood still, or its link was down: longer than a stream takes to fall silent."""

VERSION: Final = "version"
"""Fact of every node: the version of its agent."""

Event = (
    events.PeerThought | events.PeerVouched | events.PeerFacts | events.StoodStill | events.OwnLinkChanged
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Thought:
    """What is thought of a peer that seems not to be well."""

    status: Status
    accusers: tuple[NodeName, ...]


def event_of(effect: effects.Effect) -> events.Event | None:
    """Return what the node has to know of an effect of gossip; the rest is the host's business."""
    match effect:
        case effects.StatusChanged(peer=peer, status=status, accusers=accusers):
            return events.PeerThought(peer=peer, status=status, accusers=accusers)
        case effects.Vouched(peer=peer):
            return events.PeerVouched(peer=peer)
        case effects.AttributesChanged(peer=peer, attributes=attributes):
            return events.PeerFacts(peer=peer, facts=attributes)
        case effects.StoodStill(span=span):
            return events.StoodStill(span=span)
        case _:
            return None


class Hearsay:
    """The latest word on each peer."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self._thoughts: dict[NodeName, Thought] = {}
        self._vouched: dict[NodeName, Usec] = {}
        self._facts: dict[NodeName, dict[str, str]] = {}
        self._is_link_up = True
        self._blind_until = Usec(0)

    def take(self, event: Event) -> None:
        """Note a word."""
        match event:
            case events.PeerThought(peer=peer, status=status, accusers=accusers):
                self._thoughts.pop(peer, None)
                if status in (Status.SUSPECT, Status.FAULTY):
                    self._thoughts[peer] = Thought(status=status, accusers=accusers)
                    self._vouched.pop(peer, None)
            case events.PeerVouched(peer=peer):
                self._vouched[peer] = self._desk.now
            case events.PeerFacts(peer=peer, facts=facts):
                self._facts[peer] = dict(facts)
            case events.StoodStill():
                self._blind_until = Usec(self._desk.now + BLIND_USEC)
            case events.OwnLinkChanged(is_up=is_up):
                self._is_link_up = is_up
                self._blind_until = Usec(self._desk.now + BLIND_USEC)

    def forget(self, peer: NodeName) -> None:
        """Forget who is no member any more: one of the same name is another node."""
        for known in (self._thoughts, self._vouched, self._facts):
            known.pop(peer, None)

    @property
    def deadline(self) -> Usec | None:
        """When this node may trust its ears again."""
        return self._blind_until if self._is_link_up and self._blind_until > self._desk.now else None

    @property
    def is_blind(self) -> bool:
        """Whether this node would hear nobody, whoever lives: then it accuses nobody."""
        return not self._is_link_up or self._blind_until > self._desk.now

    def is_vouched_for(self, peer: NodeName, since: Usec) -> bool:
        """Whether a peer has answered since a moment, and nobody has missed it after that."""
        return self._vouched.get(peer, Usec(-1)) >= since

    def accusers(self, peer: NodeName) -> tuple[NodeName, ...]:
        """Return who suspects a peer; nobody when it is thought to be well."""
        thought = self._thoughts.get(peer)
        return () if thought is None else thought.accusers

    def fact(self, peer: NodeName, name: str) -> str:
        """Return what a node says of itself; empty when it has not said it."""
        return self._facts.get(peer, {}).get(name, "")
