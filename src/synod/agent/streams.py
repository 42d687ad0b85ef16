# SPDX-License-Identifier: LGPL-2.1-or-later
"""The node's messages over the pool of TLS streams, and who may connect.

Until the log has been read the members known at the last start are allowed; from then on only the log's.
"""

import logging
from collections.abc import Callable, Iterable, Mapping
from typing import Protocol

from synod.agent.membership import Member
from synod.base.codec import MalformedError
from synod.base.ids import NodeName
from synod.engine.effects import Connect
from synod.engine.events import Event, PeerConnected, PeerLost, Received
from synod.engine.messages import Direct, Relay
from synod.ledger.messages import Message
from synod.net.join import JoinService
from synod.net.keys import TlsIdentity
from synod.net.link import SILENCE
from synod.net.streams import PeerAddress, StreamPool
from synod.wire.messages import decode_message, encode_message

MESSAGE_KIND = 1
"""Frame kind of all messages between agents."""
KEYS_KIND = 2
"""Frame kind of gossip keys: a secret that passes no core."""
REFUSALS_LOGGED_MAX = 20
"""Callers turned away that are named in the journal at the most: anybody can cause such a line."""

_logger = logging.getLogger(__name__)


class Watch(Protocol):
    """Whoever else wants to know of the streams."""

    def members_are(self, peers: Mapping[NodeName, PeerAddress]) -> None:
        """Note to whom streams are kept."""

    def stream_began(self, peer: NodeName) -> None:
        """Note a new stream."""

    def stream_ended(self, peer: NodeName) -> None:
        """Note that a stream is gone."""

    def keys_offered(self, peer: NodeName, data: bytes) -> None:
        """Take the gossip keys that a peer has."""


class Streams:
    """The pool's owner."""

    def __init__(
        self, identity: TlsIdentity, members: tuple[Member, ...], join: JoinService | None,
        feed: Callable[[Event], None], is_replaying: Callable[[], bool],
    ) -> None:  # fmt: skip
        self._feed = feed
        self._is_replaying = is_replaying
        self._members = {member.name: member for member in members}
        self._refusals = 0
        self.watch: Watch | None = None
        self._pool = StreamPool(
            identity, self, self._is_allowed, serve_join=join.serve if join is not None else None
        )

    @property
    def members(self) -> tuple[Member, ...]:
        """The other members, as far as known."""
        return tuple(self._members.values())

    def start(self, address: str, port: int) -> None:
        """Listen, and call the members; raise SynodError when the port is taken."""
        self._pool.start(address, port)
        self._announce()

    async def stop(self) -> None:
        """Close every stream."""
        await self._pool.stop()

    def send(self, peer: NodeName, message: Message | Direct | Relay) -> None:
        """Send, or drop when there is no stream."""
        self._pool.send(peer, MESSAGE_KIND, encode_message(message))

    def connect(self, effect: Connect) -> None:
        """Keep a stream to a member; what was known at the last start beats a replay of the past."""
        if effect.peer in self._members and self._is_replaying():
            return
        self._members[effect.peer] = Member(
            name=effect.peer, address=effect.address, port=effect.port, fingerprint=effect.fingerprint
        )
        self._announce()

    def disconnect(self, peer: NodeName) -> None:
        """Keep no stream to a node that is no member any more."""
        self._members.pop(peer, None)
        self._announce()

    def keep_only(self, names: Iterable[NodeName]) -> None:
        """Drop whoever is known from the last start but not from the log."""
        kept = frozenset(names)
        for name in [name for name in self._members if name not in kept]:
            del self._members[name]
        self._announce()

    def offer_keys(self, peer: NodeName, data: bytes) -> None:
        """Hand gossip keys to a peer, or drop them when there is no stream."""
        self._pool.send(peer, KEYS_KIND, data)

    def heard(self, peer: NodeName) -> float | None:
        """Return the loop time at which a peer last showed a sign of life; None without a stream."""
        return self._pool.heard(peer)

    def problem(self, peer: NodeName) -> str | None:
        """Say why there is no stream to a member."""
        return self._pool.problem(peer)

    def _announce(self) -> None:
        peers = {name: PeerAddress(host=one.address, port=one.port) for name, one in self._members.items()}
        self._pool.set_peers(peers)
        if self.watch is not None:
            self.watch.members_are(peers)

    def _is_allowed(self, name: NodeName, fingerprint: str) -> bool:
        member = self._members.get(name)
        return member is not None and member.fingerprint == fingerprint

    # What the pool tells

    def on_connected(self, peer: NodeName) -> None:
        """Pass on."""
        if self.watch is not None:
            self.watch.stream_began(peer)
        self._feed(PeerConnected(peer=peer))

    def on_message(self, peer: NodeName, kind: int, data: bytes) -> None:
        """Pass on what can be read; a newer peer may say more than this agent understands."""
        if kind == KEYS_KIND and self.watch is not None:
            self.watch.keys_offered(peer, data)
        if kind != MESSAGE_KIND:
            return
        try:
            message = decode_message(data)
        except MalformedError as error:
            _logger.warning("Message of '%s' not understood, ignoring: %s", peer, error)
            return
        self._feed(Received(peer=peer, message=message))

    def on_lost(self, peer: NodeName, reason: str) -> None:
        """Pass on."""
        _logger.info("Stream to '%s' lost: %s", peer, reason)
        self._feed(PeerLost(peer=peer, is_silent=reason.startswith(SILENCE)))
        if self.watch is not None:
            self.watch.stream_ended(peer)

    def on_refused(self, address: str, reason: str) -> None:
        """Log the first callers that were turned away."""
        self._refusals += 1
        if self._refusals <= REFUSALS_LOGGED_MAX:
            _logger.warning("Turned away %s: %s", address, reason)
