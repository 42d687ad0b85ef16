# SPDX-License-Identifier: LGPL-2.1-or-later
"""The messages of gossip in one packet, and their bytes.

Tags are the protocol: a tag is never used again, new fields go last with a default (architecture, decision
16). The core fills packets by an upper bound of each message's length; that the bound holds is a test.
"""

from dataclasses import dataclass
from typing import Final

from synod.base.codec import Codec, MalformedError
from synod.gossip.messages import (
    Ack,
    Alive,
    Digest,
    Faulty,
    Message,
    Nack,
    Ping,
    PingRequest,
    Profile,
    Suspect,
    Versions,
)
from synod.gossip.timing import COMPOUND_BYTES_MAX, MESSAGES_MAX


@dataclass(frozen=True, slots=True, kw_only=True)
class Compound:
    """All that one packet says."""

    messages: tuple[Message, ...]


_CODEC: Final = Codec(
    {
        1: Compound,
        2: Ping,
        3: PingRequest,
        4: Ack,
        5: Nack,
        6: Alive,
        7: Suspect,
        8: Faulty,
        9: Profile,
        10: Digest,
        11: Versions,
    },
    max_bytes=COMPOUND_BYTES_MAX,
    max_items=MESSAGES_MAX,
)


def encode_gossip(messages: tuple[Message, ...]) -> bytes:
    """Return the bytes of a packet; raise TooLargeError beyond COMPOUND_BYTES_MAX."""
    return _CODEC.encode(Compound(messages=messages))


def decode_gossip(data: bytes) -> tuple[Message, ...]:
    """Read a packet; raise MalformedError for anything else."""
    compound = _CODEC.decode(data)
    if not isinstance(compound, Compound):
        raise MalformedError(f"a {type(compound).__name__} is no packet")
    return compound.messages
