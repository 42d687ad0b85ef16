# SPDX-License-Identifier: LGPL-2.1-or-later
"""The messages between agents and their bytes.

Tags are the protocol: a tag is never used again, new fields go last with a default (architecture,
decision 16).
"""

from typing import Final

from synod.base.codec import Codec, MalformedError
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
from synod.ledger.messages import (
    AppendAccepted,
    AppendEntries,
    AppendRefused,
    Forward,
    ForwardRefused,
    Message,
    PreVoteReply,
    PreVoteRequest,
    ReadReply,
    ReadRequest,
    StaleTerm,
    TimeoutNow,
    VoteReply,
    VoteRequest,
)

MESSAGE_BYTES_MAX: Final = 4 << 20
"""Largest message: one full batch of entries with one oversized payload."""

_CODEC: Final = Codec(
    {
        1: PreVoteRequest,
        2: PreVoteReply,
        3: VoteRequest,
        4: VoteReply,
        5: AppendEntries,
        6: AppendAccepted,
        7: AppendRefused,
        8: StaleTerm,
        9: TimeoutNow,
        10: Forward,
        11: ForwardRefused,
        12: ReadRequest,
        13: ReadReply,
        32: Announce,
        33: Ready,
        34: Barrier,
        35: BarrierDone,
        36: Order,
        37: OrderDone,
        38: Relay,
        39: LeaseRequest,
        40: LeaseReply,
        41: Hearing,
        42: FenceOrder,
        43: FenceDone,
    },
    max_bytes=MESSAGE_BYTES_MAX,
)


def encode_message(message: Message | Direct | Relay) -> bytes:
    """Return the bytes of a message."""
    return _CODEC.encode(message)


def decode_message(data: bytes) -> Message | Direct | Relay:
    """Read a message from a peer; raise MalformedError for anything else."""
    message = _CODEC.decode(data)
    if not isinstance(message, Message | Direct | Relay):
        raise MalformedError(f"a {type(message).__name__} is no message")
    return message
