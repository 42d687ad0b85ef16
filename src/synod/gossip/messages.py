# SPDX-License-Identifier: LGPL-2.1-or-later
"""What nodes say to each other in packets, which of it makes sense, and how much room it takes.

The receiver knows the sender from the seal of the packet; no message names it. A packet carries several
messages, in any order and without any promise. The codec decides how they travel; here is only known an
upper bound of their length, because packets are filled here.
"""

import re
from dataclasses import dataclass
from typing import Final

from synod.base.ids import NodeName, is_node_name
from synod.gossip.timing import (
    ATTRIBUTE_NAME_LENGTH_MAX,
    ATTRIBUTES_BYTES_MAX,
    ATTRIBUTES_MAX,
    BUCKETS,
    COUNT_MAX,
)

Attributes = tuple[tuple[str, str], ...]
"""Names and values, sorted by name, each name once."""

COMPOUND_OVERHEAD_BYTES: Final = 8
"""Around the messages of a packet."""

_ATTRIBUTE = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.:-]*")
_ARRAY_BYTES: Final = 3
_INT_BYTES: Final = 9
_TEXT_BYTES: Final = 3


# Probes


@dataclass(frozen=True, slots=True, kw_only=True)
class Ping:
    """Are you there?"""

    seq: int
    """Chosen by the asker; the answer repeats it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PingRequest:
    """Ask ``target`` for me whether it is there."""

    seq: int
    target: NodeName


@dataclass(frozen=True, slots=True, kw_only=True)
class Ack:
    """I am there; or, in answer to a PingRequest, the target is."""

    seq: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Nack:
    """I asked the target of a PingRequest and have not heard it yet; so you and I can talk."""

    seq: int


# Rumours


@dataclass(frozen=True, slots=True, kw_only=True)
class Alive:
    """``node`` says that it lives; only itself ever raises its incarnation."""

    node: NodeName
    incarnation: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Suspect:
    """``accuser`` says that ``node`` did not answer."""

    node: NodeName
    incarnation: int
    """The newest of the node that the accuser knows."""

    accuser: NodeName


@dataclass(frozen=True, slots=True, kw_only=True)
class Faulty:
    """``accuser`` waited in vain for a refutation; where it is the node itself, it says farewell."""

    node: NodeName
    incarnation: int
    accuser: NodeName


@dataclass(frozen=True, slots=True, kw_only=True)
class Profile:
    """All attributes of ``node``; the greatest (incarnation, sequence) is in force."""

    node: NodeName
    incarnation: int
    """Of the node when it said so."""

    sequence: int
    """Counts its changes, over all incarnations of one life."""

    attributes: Attributes

    @property
    def version(self) -> tuple[int, int]:
        """The greatest is in force."""
        return self.incarnation, self.sequence


# Exchange


@dataclass(frozen=True, slots=True, kw_only=True)
class Digest:
    """Checksums of all that the sender knows, to find out what differs."""

    checksums: tuple[int, ...]
    """One for each bucket of names, 32 bits."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Version:
    """How new the sender's knowledge of one node is."""

    node: NodeName
    incarnation: int
    rank: int
    """Of its status within the incarnation, see members.py."""

    profile_incarnation: int
    profile_sequence: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Versions:
    """What the sender knows of nodes in buckets that differ."""

    rows: tuple[Version, ...]
    is_answer: bool
    """Whether to send rumours only, and no versions back: an exchange ends after two of these."""


Rumour = Alive | Suspect | Faulty | Profile
Message = Ping | PingRequest | Ack | Nack | Rumour | Digest | Versions


def is_attribute_name(text: str) -> bool:
    """Return whether an attribute may be called so."""
    return len(text) <= ATTRIBUTE_NAME_LENGTH_MAX and _ATTRIBUTE.fullmatch(text) is not None


def problem_with(attributes: Attributes) -> str | None:
    """Return why a node may not have these attributes, or None."""
    if len(attributes) > ATTRIBUTES_MAX:
        return f"a node has at most {ATTRIBUTES_MAX} attributes"
    for name, value in attributes:
        if not is_attribute_name(name):
            return f"{name[:ATTRIBUTE_NAME_LENGTH_MAX]!r} is no name of an attribute"
        if not value.isprintable():
            return f"the value of '{name}' is not printable text on one line"
    if _attribute_bytes(attributes) > ATTRIBUTES_BYTES_MAX:
        return f"the attributes of a node take at most {ATTRIBUTES_BYTES_MAX} bytes together"
    return None


def is_sensible(message: Message) -> bool:
    """Whether a peer that follows the protocol could have sent it; types are the codec's concern."""
    match message:
        case Suspect():
            return _is_rumour(message) and is_node_name(message.accuser) and message.accuser != message.node
        case Faulty():
            return _is_rumour(message) and is_node_name(message.accuser)
        case Alive():
            return _is_rumour(message)
        case Profile():
            names = [name for name, _ in message.attributes]
            return (_is_rumour(message) and _are_counts(message.sequence)
                    and names == sorted(set(names)) and problem_with(message.attributes) is None)
        case Digest():
            return len(message.checksums) == BUCKETS
        case Versions():
            return all(_are_counts(row.incarnation, row.rank, row.profile_incarnation, row.profile_sequence)
                       for row in message.rows)
        case _:
            return _are_counts(message.seq)


def _are_counts(*numbers: int) -> bool:
    return all(0 <= number < COUNT_MAX for number in numbers)


def _is_rumour(message: Rumour) -> bool:
    return 1 <= message.incarnation < COUNT_MAX


def bytes_max(message: Message) -> int:
    """Return at least as many bytes as the message takes within a packet; both ends hold sensible ones."""
    match message:
        case Ping() | Ack() | Nack():
            return _ARRAY_BYTES + _INT_BYTES
        case PingRequest():
            return _ARRAY_BYTES + _INT_BYTES + _text(message.target)
        case Alive():
            return _ARRAY_BYTES + _text(message.node) + _INT_BYTES
        case Suspect() | Faulty():
            return _ARRAY_BYTES + _text(message.node) + _INT_BYTES + _text(message.accuser)
        case Profile():
            return (_ARRAY_BYTES + _text(message.node) + 2 * _INT_BYTES
                    + _ARRAY_BYTES + _attribute_bytes(message.attributes))
        case Digest():
            return 2 * _ARRAY_BYTES + 5 * len(message.checksums)
        case Versions():
            return 2 * _ARRAY_BYTES + 1 + sum(row_bytes_max(row) for row in message.rows)


def row_bytes_max(row: Version) -> int:
    """Return the same of one row."""
    return _ARRAY_BYTES + _text(row.node) + 4 * _INT_BYTES


def _attribute_bytes(attributes: Attributes) -> int:
    return sum(1 + _text(name) + _text(value) for name, value in attributes)


def _text(text: str) -> int:
    return _TEXT_BYTES + len(text.encode(errors="surrogatepass"))
