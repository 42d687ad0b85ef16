# SPDX-License-Identifier: LGPL-2.1-or-later
"""Packets that only members can write and read, each accepted once, by the one it was meant for.

Decides who is believed to have sent a packet. Refuses to know what is in it, and where keys come from.

AES-256-GCM (NIST SP 800-38D) fails when a key meets a nonce twice, and one key of a whole cluster with
random nonces comes near that within days. Hence every sender derives a key of its own (HKDF, RFC 5869) from
the cluster's key, its name and its session, and counts: no pair ever repeats. A session is the life of one
Sealer, not of a boot, because an agent that restarts counts from the beginning again.

Layout, integers big-endian: version (1), key (4), sequence (8), session (16), length of the name (1), name,
ciphertext with its tag (16). All before the ciphertext is authenticated, and so are two things that do not
travel: the receiver's name, or a packet to one could be replayed to another, and the cluster's name.
"""

import os
import struct
import time
from collections.abc import Iterable
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from synod.base.codec import TooLargeError
from synod.base.ids import NodeName, is_node_name

SECRET_BYTES: Final = 32
"""Of the cluster's key: as many as AES-256 takes."""

SESSION_BYTES: Final = 16
KEYS_MAX: Final = 2
"""The one in use, and the one before it or after it."""

WINDOW: Final = 1024
"""How far below the highest sequence number one may still arrive: packets overtake by far less."""

_VERSION: Final = 1
_HEADER = struct.Struct(f">BIQ{SESSION_BYTES}sB")
_TAG_BYTES: Final = 16
_NAME_BYTES_MAX: Final = 63
_PURPOSE: Final = b"synod gossip 1\0"

OVERHEAD_BYTES_MAX: Final = _HEADER.size + _NAME_BYTES_MAX + _TAG_BYTES
"""What sealing adds, for the longest name."""

PACKET_BYTES_MAX: Final = 1400
"""Largest sealed packet: with all headers still below any usual MTU, so it never travels in pieces."""

PAYLOAD_BYTES_MAX: Final = PACKET_BYTES_MAX - OVERHEAD_BYTES_MAX
"""Largest payload, whatever the sender's name."""


@dataclass(frozen=True, slots=True, kw_only=True)
class GossipKey:
    """A key of the cluster, known to its members only."""

    id: int
    """Names it in packets, 32 bits; a new key has a new one."""
    secret: bytes = field(repr=False)

    def __post_init__(self) -> None:
        if not 0 <= self.id < 1 << 32 or len(self.secret) != SECRET_BYTES:
            raise ValueError(f"a gossip key has an id of 32 bits and {SECRET_BYTES} secret bytes")


@dataclass(frozen=True, slots=True, kw_only=True)
class Keyring:
    """The keys of one cluster.

    To rotate: add the new key behind the present one everywhere, then put it first everywhere, then drop the
    old one. At each step every packet is understood by all who are at most one step away.
    """

    label: str
    """Name of the cluster."""
    keys: tuple[GossipKey, ...]
    """The first seals, all open."""

    def __post_init__(self) -> None:
        ids = [key.id for key in self.keys]
        if not 1 <= len(ids) <= KEYS_MAX or len(set(ids)) != len(ids):
            raise ValueError(f"a keyring holds 1 to {KEYS_MAX} keys with different ids")

    def key(self, number: int) -> GossipKey | None:
        """Return the key of an id, or None."""
        return next((key for key in self.keys if key.id == number), None)


class Rejection(StrEnum):
    """Why a packet is not believed."""

    MALFORMED = "malformed"
    UNKNOWN_SENDER = "unknown sender"
    UNKNOWN_KEY = "unknown key"
    OLD_SESSION = "old session"
    REPLAYED = "replayed"
    """Or so late that it cannot be told from that."""
    FORGED = "forged"
    """Or of another cluster, or meant for another receiver."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Opened:
    """What a member said."""

    sender: NodeName
    payload: bytes


def new_session() -> bytes:
    """Return a session that is newer than all before on this machine, and never that of another sender.

    The time comes first, so that bytes compare like ages; see ``Opener.forget`` for clocks set back.
    """
    return struct.pack(">Q", time.time_ns() // 1000) + os.urandom(SESSION_BYTES - 8)


class Sealer:
    """Seals what this node sends, from one session."""

    def __init__(self, keyring: Keyring, node: NodeName, session: bytes) -> None:
        """``session`` comes from ``new_session`` and is used for nothing else, ever."""
        if not is_node_name(node) or len(session) != SESSION_BYTES:
            raise ValueError(f"a sealer has a node's name and {SESSION_BYTES} bytes of session")
        self._node = node
        self._session = session
        self._sequence = 0
        self.set_keyring(keyring)

    def set_keyring(self, keyring: Keyring) -> None:
        """Seal with another key from now on; the count goes on."""
        self._keyring = keyring
        self._cipher = _cipher(keyring.keys[0], self._node, self._session)

    def seal(self, receiver: NodeName, payload: bytes) -> bytes:
        """Return a packet for a receiver; raise TooLargeError beyond PAYLOAD_BYTES_MAX."""
        if len(payload) > PAYLOAD_BYTES_MAX:
            raise TooLargeError(f"a payload of {len(payload)} bytes, the limit is {PAYLOAD_BYTES_MAX}")
        self._sequence += 1
        name = self._node.encode()
        key = self._keyring.keys[0].id
        header = _HEADER.pack(_VERSION, key, self._sequence, self._session, len(name)) + name
        bound = _bound(header, receiver, self._keyring.label)
        return header + self._cipher.encrypt(_nonce(self._sequence), payload, bound)


class Opener:
    """Opens what others sent to this node; total: any bytes yield Opened or a Rejection."""

    def __init__(self, keyring: Keyring, node: NodeName) -> None:
        self._keyring = keyring
        self._node = node
        self._senders: dict[NodeName, _Session | None] = {}

    def set_keyring(self, keyring: Keyring) -> None:
        """Accept these keys from now on; what was received stays received."""
        self._keyring = keyring
        for session in self._senders.values():
            if session is not None:
                session.ciphers.clear()

    def set_senders(self, names: Iterable[NodeName]) -> None:
        """Believe exactly these nodes from now on; this node itself is skipped."""
        self._senders = {name: self._senders.get(name) for name in names if name != self._node}

    def forget(self, sender: NodeName) -> None:
        """Accept any session of a sender next, also an older one.

        For when the sender is proved to be there by other means, as by a new stream: its clock may have been
        set back between two starts.
        """
        if sender in self._senders:
            self._senders[sender] = None

    def open(self, packet: bytes) -> Opened | Rejection:
        """Return what a packet says and who says it, or why not."""
        parsed = _parse(packet)
        if parsed is None:
            return Rejection.MALFORMED
        name, key_id, sequence, session_id, body = parsed
        if name not in self._senders:
            return Rejection.UNKNOWN_SENDER
        key = self._keyring.key(key_id)
        if key is None:
            return Rejection.UNKNOWN_KEY
        session = self._senders[name]
        if session is None or session.id < session_id:
            session = _Session(session_id)
        if session.id > session_id:
            return Rejection.OLD_SESSION
        if not session.window.is_fresh(sequence):
            return Rejection.REPLAYED
        cipher = session.ciphers.get(key_id) or _cipher(key, name, session_id)
        bound = _bound(packet[:body], self._node, self._keyring.label)
        try:
            payload = cipher.decrypt(_nonce(sequence), packet[body:], bound)
        except InvalidTag:
            return Rejection.FORGED
        # Only now: nothing that is not proved may change what is remembered.
        session.ciphers[key_id] = cipher
        session.window.mark(sequence)
        self._senders[name] = session
        return Opened(sender=name, payload=payload)


class ReplayWindow:
    """Which sequence numbers were seen, as RFC 4303 (3.4.3) does it."""

    def __init__(self) -> None:
        self._highest = 0
        self._seen = 0  # bit n: highest - n

    def is_fresh(self, sequence: int) -> bool:
        """Return whether a number was not seen, and is not too old to tell."""
        age = self._highest - sequence
        return age < 0 or (age < WINDOW and not self._seen >> age & 1)

    def mark(self, sequence: int) -> None:
        """Note a fresh number as seen."""
        ahead = sequence - self._highest
        if ahead > 0:
            # A jump beyond the window forgets all of it; shifting that far would only take memory.
            self._seen = (self._seen << ahead if ahead < WINDOW else 0) & ((1 << WINDOW) - 1)
            self._highest = sequence
        self._seen |= 1 << self._highest - sequence


class _Session:
    """What is remembered of one life of a sender."""

    def __init__(self, session_id: bytes) -> None:
        self.id = session_id
        self.window = ReplayWindow()
        self.ciphers: dict[int, AESGCM] = {}


def _parse(packet: bytes) -> tuple[NodeName, int, int, bytes, int] | None:
    """Return sender, key, sequence, session and where the ciphertext begins; None for what is no packet."""
    if not _HEADER.size < len(packet) <= PACKET_BYTES_MAX:
        return None
    version, key_id, sequence, session_id, length = _HEADER.unpack_from(packet)
    body = _HEADER.size + length
    if version != _VERSION or sequence == 0 or len(packet) < body + _TAG_BYTES:
        return None
    name = packet[_HEADER.size : body].decode("latin-1")
    return (NodeName(name), key_id, sequence, session_id, body) if is_node_name(name) else None


def _cipher(key: GossipKey, node: NodeName, session_id: bytes) -> AESGCM:
    derivation = HKDF(algorithm=SHA256(), length=32, salt=session_id, info=_PURPOSE + node.encode())
    return AESGCM(derivation.derive(key.secret))


def _nonce(sequence: int) -> bytes:
    return sequence.to_bytes(12, "big")


def _bound(header: bytes, receiver: NodeName, label: str) -> bytes:
    """Return what is authenticated beside the payload; a name holds no NUL, so its end is known."""
    return header + receiver.encode() + b"\0" + label.encode()
