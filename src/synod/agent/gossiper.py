# SPDX-License-Identifier: LGPL-2.1-or-later
"""Gossip over sealed datagrams on the node's own port: drives the core, passes its opinions on to the node.

Decides nothing. Members are those to whom the node keeps a stream, so they come from the log; streams are
looked at when the core is about to conclude something, and only those it is waiting for, because their
heartbeats come far more often than they matter. What the kernel has received already is handed over before
the time is: it may hold the answer that is waited for.
"""

import asyncio
import logging
from collections import Counter, deque
from collections.abc import Callable, Mapping
from typing import Final

from synod import __version__
from synod.agent.clock import SystemEntropy, now, wall_clock
from synod.agent.keybearer import KeyBearer
from synod.base.codec import MalformedError
from synod.base.ids import NodeName
from synod.base.messages import MessageId
from synod.base.usec import USEC_PER_SEC, Usec
from synod.engine.events import Event as NodeEvent
from synod.engine.events import OwnLinkChanged, PeerFacts
from synod.engine.hearsay import VERSION, event_of
from synod.gossip import effects, events
from synod.gossip.machine import Gossip
from synod.net.datagram import DatagramEndpoint
from synod.net.streams import PeerAddress
from synod.systemd.journal import Journal, Priority
from synod.wire.gossip import decode_gossip, encode_gossip

TICK_SEC_MIN: Final = 0.001
"""A deadline that is already due is met in the next turn of the loop, not in this one."""

_logger = logging.getLogger(__name__)


Heard = Callable[[NodeName], float | None]
"""Says when a peer's stream last showed a sign of life, by the loop's clock; None without a stream."""


class Gossiper:
    """One node's gossip, from start() to stop()."""

    def __init__(
        self,
        *,
        node: NodeName,
        keys: KeyBearer,
        heard: Heard,
        feed: Callable[[NodeEvent], None],
        journal: Journal,
    ) -> None:
        """Prepare, without I/O."""
        self._node = node
        self._keys = keys
        self._heard = heard
        self._feed = feed
        self._journal = journal
        self._gossip = Gossip(name=node, entropy=SystemEntropy(), incarnation=wall_clock())
        self._endpoint = DatagramEndpoint(keys.sealer, keys.opener, self._receive)
        self._members: dict[NodeName, None] = {}
        self._events: deque[events.Event] = deque()
        self._is_stepping = False
        self._is_running = False
        self._timer: asyncio.TimerHandle | None = None
        self.malformed = 0
        """Packets of members that say nothing this version understands."""

    def start(self, address: str, port: int) -> None:
        """Begin, on "" meaning everywhere; raise SynodError when the port is taken."""
        self._endpoint.start(address, port)
        self._is_running = True
        self._feed(PeerFacts(peer=self._node, facts=((VERSION, __version__),)))
        self._step(events.SetAttribute(name=VERSION, value=__version__))

    def stop(self) -> None:
        """Say farewell to a few, who pass it on, and stop; harmless when not started."""
        if self._is_running:
            self._step(events.Leave())
            self._step(events.Tick())
        self._is_running = False
        if self._timer is not None:
            self._timer.cancel()
        self._endpoint.stop()

    @property
    def port(self) -> int:
        """The port in use; meaningful once started."""
        return self._endpoint.port

    @property
    def figures(self) -> dict[str, int | dict[str, int]]:
        """What was dropped, and how far this node mistrusts itself: for admins, who look for a cause."""
        rejected: Counter[str] = Counter({kind.value: n for kind, n in self._endpoint.rejected.items()})
        rejected["not understood"] = self.malformed
        return {
            "health": self._gossip.health_score,
            "unsent": self._endpoint.dropped,
            "rejected": {kind: count for kind, count in sorted(rejected.items()) if count},
        }

    # What the streams tell

    def members_are(self, peers: Mapping[NodeName, PeerAddress]) -> None:
        """Gossip with exactly these from now on."""
        others = {name: peer for name, peer in peers.items() if name != self._node}
        self._endpoint.set_peers(others)
        for name in [name for name in self._members if name not in others]:
            del self._members[name]
            self._step(events.MemberRemoved(name=name))
        for name in others:
            if name not in self._members:
                self._members[name] = None
                self._step(events.MemberAdded(name=name))

    def stream_began(self, peer: NodeName) -> None:
        """Note a proved stream."""
        self._keys.stream_began(peer)
        self._step(events.StreamHeard(peer=peer))

    def stream_ended(self, peer: NodeName) -> None:
        """Note a loss: the peer is asked at once."""
        self._step(events.StreamLost(peer=peer))

    def keys_offered(self, peer: NodeName, data: bytes) -> None:
        """Take the keys that a peer has."""
        self._keys.offered(peer, data)

    def own_link_changed(self, is_up: bool) -> None:
        """Accuse nobody while this node's own link is down."""
        self._step(events.OwnLink(is_up=is_up))
        self._feed(OwnLinkChanged(is_up=is_up))

    # The core

    def _receive(self, peer: NodeName, payload: bytes) -> None:
        try:
            messages = decode_gossip(payload)
        except MalformedError:
            self.malformed += 1
            return
        self._step(events.PacketReceived(peer=peer, messages=messages))

    def _step(self, event: events.Event) -> None:
        self._events.append(event)
        if self._is_stepping or not self._is_running:
            return
        self._is_stepping = True
        try:
            while self._events:
                for effect in self._gossip.step(self._events.popleft(), now()):
                    self._perform(effect)
        finally:
            self._is_stepping = False
        self._rearm()

    def _rearm(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        deadline = self._gossip.deadline
        if deadline is not None and self._is_running:
            delay = max((deadline - now()) / USEC_PER_SEC, TICK_SEC_MIN)
            self._timer = asyncio.get_running_loop().call_later(delay, self._tick)

    def _tick(self) -> None:
        self._endpoint.drain()
        loop_now, present = asyncio.get_running_loop().time(), now()
        for peer in self._gossip.awaited:
            heard = self._heard(peer)
            if heard is not None:
                age = int((loop_now - heard) * USEC_PER_SEC)
                self._step(events.StreamHeard(peer=peer, at=Usec(present - age)))
        self._step(events.Tick())

    def _perform(self, effect: effects.Effect) -> None:
        word = event_of(effect)
        if word is not None:
            self._feed(word)
        match effect:
            case effects.SendPacket(peer=peer, messages=messages):
                self._endpoint.send(peer, encode_gossip(messages))
            case effects.StatusChanged(peer=peer, status=status, accusers=accusers):
                said = f" by {', '.join(accusers)}" if accusers else ""
                _logger.info("Gossip holds '%s' %s%s.", peer, status.value, said)
            case effects.Refuted(accuser=accuser):
                _logger.info("'%s' missed this node, and is told that it is there.", accuser)
            case effects.StoodStill(span=span):
                _logger.info("This agent stood still for %.1f s.", span / USEC_PER_SEC)
            case effects.DatagramsBlocked(peer=peer, is_blocked=is_blocked):
                self._report_blocked(peer, is_blocked=is_blocked)
            case _:
                pass  # the node's business, or nobody's

    def _report_blocked(self, peer: NodeName, *, is_blocked: bool) -> None:
        text = (
            f"Datagrams (UDP) do not pass between this node and '{peer}', although its stream does; "
            "look at firewalls."
            if is_blocked
            else f"Datagrams (UDP) pass between this node and '{peer}' again."
        )
        self._journal.send(
            text,
            priority=Priority.WARNING if is_blocked else Priority.NOTICE,
            message_id=MessageId.DATAGRAMS_BLOCKED if is_blocked else None,
            SYNOD_NODE=self._node,
            SYNOD_PEER=peer,
        )
