# SPDX-License-Identifier: LGPL-2.1-or-later
"""Every number that streams depend on, in one place; the defaults suit a local network."""

from dataclasses import dataclass
from typing import Final

from synod.base.usec import USEC_PER_MSEC, USEC_PER_SEC, Usec
from synod.wire.frames import FRAME_BYTES_MAX

HEARTBEAT_USEC: Final = Usec(125 * USEC_PER_MSEC)
HEARTBEATS_MISSED_MAX: Final = 5
"""With the interval: a silent peer is lost after 0.63 s, so that a fenced failover ends within a second.
Less would take a machine for dead whose scheduler or disk stalls.
"""
CHECK_USEC: Final = Usec(25 * USEC_PER_MSEC)
"""Between two looks at all streams: what a silence may last longer than it should."""
DIAL_USEC: Final = Usec(2 * USEC_PER_SEC)
"""Room for one lost SYN, which Linux repeats after 1 s."""
HANDSHAKE_USEC: Final = Usec(5 * USEC_PER_SEC)
JOIN_USEC: Final = Usec(30 * USEC_PER_SEC)
"""A join waits for a commit, and may have to wait for an election first."""
BACKOFF_USEC_MIN: Final = Usec(50 * USEC_PER_MSEC)
BACKOFF_USEC_MAX: Final = Usec(1 * USEC_PER_SEC)
USER_TIMEOUT_USEC: Final = Usec(3 * USEC_PER_SEC)


@dataclass(frozen=True, slots=True, kw_only=True)
class StreamSettings:
    """Limits and times of streams."""

    heartbeat_usec: Usec = HEARTBEAT_USEC
    """A side that sent nothing for that long, to the nearest check, sends a heartbeat."""
    heartbeats_missed_max: int = HEARTBEATS_MISSED_MAX
    """A peer silent for that many intervals is lost; noticed at the next check."""
    check_usec: Usec = CHECK_USEC
    """Between two looks at all streams."""
    dial_usec: Usec = DIAL_USEC
    """Limit of connecting and the handshake together."""
    handshake_usec: Usec = HANDSHAKE_USEC
    """What a caller may take to prove who it is."""
    join_usec: Usec = JOIN_USEC
    """What a join may take in all."""
    backoff_usec_min: Usec = BACKOFF_USEC_MIN
    """Wait before the second attempt to connect; every failure doubles it."""
    backoff_usec_max: Usec = BACKOFF_USEC_MAX
    """Where doubling ends. A random part of up to half is taken off, so that nodes do not align."""
    user_timeout_usec: Usec = USER_TIMEOUT_USEC
    """TCP_USER_TIMEOUT of tcp(7): data not acknowledged for that long ends the connection."""
    frame_bytes_max: int = FRAME_BYTES_MAX
    """Kind and payload of the largest frame, sent or received."""
    queue_bytes_max: int = 2 * FRAME_BYTES_MAX
    """What may wait for one peer; at least one frame, or the largest could never be sent."""
    strangers_max: int = 64
    """Connections from unknown addresses that have not proved who they are."""
    strangers_per_address_max: int = 16
    """Such connections from any single address."""
