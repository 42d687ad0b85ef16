# SPDX-License-Identifier: LGPL-2.1-or-later
"""The switchboard: each message of a peer to the part that it is for, and what new peers are told first."""

from typing import assert_never

from synod.base.ids import NodeName
from synod.engine.desk import Desk
from synod.engine.effects import Send
from synod.engine.logside import LogSide
from synod.engine.messages import (
    Announce,
    Barrier,
    BarrierDone,
    Direct,
    FenceDone,
    FenceOrder,
    Hearing,
    LeaseReply,
    LeaseRequest,
    Order,
    OrderDone,
    Ready,
    Relay,
)
from synod.engine.parts import Parts
from synod.ledger import events
from synod.ledger.messages import Message


class Switchboard:
    """What comes over streams, and what their coming and going means."""

    def __init__(self, desk: Desk, parts: Parts, log: LogSide) -> None:
        self._desk = desk
        self._parts = parts
        self._log = log
        self._greeted: dict[NodeName, None] = {}

    def connected(self, peer: NodeName) -> None:
        """Note a new stream."""
        self._desk.connected[peer] = None
        self._greeted.pop(peer, None)
        self._parts.vigil.heard(peer)

    def lost(self, peer: NodeName, *, is_silent: bool) -> None:
        """Note that a stream is gone."""
        self._desk.connected.pop(peer, None)
        self._greeted.pop(peer, None)
        self._parts.vigil.lost(peer, is_silent=is_silent)
        self._parts.lease.forget(peer)
        self._parts.readiness.lost(peer)
        self._parts.links.look()
        self._log.post(events.PeerLost(peer=peer))

    def greet(self) -> None:
        """Speak to new peers once this node's units are known: silence beats a false "nothing"."""
        if len(self._greeted) == len(self._desk.connected) or not self._parts.reporter.is_complete:
            return
        for peer in self._desk.connected:
            if peer not in self._greeted:
                self._greeted[peer] = None
                self._parts.readiness.greet(peer)

    def greet_anew(self) -> None:
        """Speak to every peer again: this node is another incarnation."""
        self._greeted.clear()

    def hear(self, peer: NodeName, message: Message | Direct | Relay) -> None:
        """Take a message."""
        match message:
            case Relay(source=source, target=target, message=inner):
                if target == self._desk.me:
                    self._hear_direct(source, inner)
                elif target in self._desk.connected and source == peer:
                    self._desk.put(Send(peer=target, message=message))
            case _ if isinstance(message, Message):
                self._log.post(events.Receive(peer=peer, message=message))
            case _:
                self._hear_direct(peer, message)

    def _hear_direct(self, peer: NodeName, message: Direct) -> None:
        parts = self._parts
        match message:
            case Announce():
                parts.readiness.hear_announce(peer, message)
                parts.barriers.announced(peer)
            case Ready():
                if parts.readiness.hear(peer, message) and message.is_stopping and not message.is_up:
                    parts.mirrors.stopping(message.unit)
            case Barrier():
                # Before it knows what runs here this node must not say that nothing does; it is asked again.
                if parts.reporter.is_complete:
                    parts.barriers.serve(peer, message)
            case BarrierDone():
                parts.barriers.hear_done(peer, message)
            case Order():
                parts.orders.take(peer, message)
            case OrderDone():
                parts.orders.hear_done(peer, message)
            case _:
                self._hear_of_safety(peer, message)

    def _hear_of_safety(
        self, peer: NodeName, message: LeaseRequest | LeaseReply | Hearing | FenceOrder | FenceDone
    ) -> None:
        parts = self._parts
        match message:
            case LeaseRequest():
                parts.lease.hear_request(peer, message)
            case LeaseReply():
                self.renewed(message)
            case Hearing():
                parts.vigil.hear(peer, message)
            case FenceOrder():
                parts.fencing.take(peer, message)
            case FenceDone():
                parts.fencing.hear_done(message)
            case _:
                assert_never(message)

    def renewed(self, reply: LeaseReply) -> None:
        """Take an answer to this node's own request, from whoever leads."""
        if self._parts.lease.hear_reply(reply):
            self._parts.guard.renewed()
