# SPDX-License-Identifier: LGPL-2.1-or-later
"""How long the log waits, and how much it holds: every number the core depends on, each with its reason.

The election timeout follows Ongaro's rule (dissertation, section 3.9): broadcast time << election timeout.
It is long because a cluster may live on slow, shared machines where a disk or a scheduler stalls for
hundreds of milliseconds; speed after a crash comes from the reset stream instead (``stream_loss_min``).
"""

from dataclasses import dataclass
from typing import Final

from synod.base.usec import USEC_PER_MSEC, Usec

PAYLOAD_BYTES_MAX: Final = 1 << 20
"""Largest payload of one entry: a plan for thousands of units fits, a mistake that logs a file does not."""

BATCH_BYTES_MAX: Final = 256 << 10
"""Payload bytes after which a batch is full: 2 ms of a 1 Gbit/s link, so that heartbeats are not delayed."""

BATCH_ENTRIES_MAX: Final = 128
"""Entries in one AppendEntries: bounds the work of one step() for small entries."""

INFLIGHT_MAX: Final = 16
"""Batches sent to a peer and not acknowledged; bounds the memory that a slow peer costs."""

UNCOMMITTED_ENTRIES_MAX: Final = 4096
"""Uncommitted entries with which a leader refuses proposals: backpressure instead of growth."""

UNCOMMITTED_BYTES_MAX: Final = 16 << 20
"""Payload bytes of the same."""

PENDING_PROPOSALS_MAX: Final = 1024
"""Proposals of this node whose outcome is open; equals the window in which a retry is recognised."""

PENDING_READS_MAX: Final = 1024
"""Read barriers that are under way, on the asking node and on the leader."""

BOOT_LENGTH_MAX: Final = 64
"""Characters of a client's incarnation: a boot id and some more."""

COUNT_MAX: Final = 1 << 62
"""Terms, indices, rounds and sequence numbers stay below: out of reach, and any encoding carries them."""

VOTERS_MAX: Final = 9
"""A tenth voter makes every commit slower and tolerates no further loss."""

CLIENTS_MAX: Final = 4096
"""Proposers remembered for recognising retries; the one longest silent is forgotten first."""


_HEARTBEAT: Final = Usec(100 * USEC_PER_MSEC)
_ELECTION_MIN: Final = Usec(1000 * USEC_PER_MSEC)
_ELECTION_MAX: Final = Usec(1500 * USEC_PER_MSEC)
_STREAM_LOSS_MIN: Final = Usec(50 * USEC_PER_MSEC)
_STREAM_LOSS_MAX: Final = Usec(150 * USEC_PER_MSEC)


@dataclass(frozen=True, slots=True, kw_only=True)
class Timing:
    """Periods and timeouts of one node; all voters of a cluster should use the same."""

    heartbeat: Usec = _HEARTBEAT
    """Between two heartbeats of a leader: ten must be lost in a row before an election."""

    election_min: Usec = _ELECTION_MIN
    """Silence after which a leader counts as dead, and after which it steps down itself."""

    election_max: Usec = _ELECTION_MAX
    """Latest start of an election; the spread keeps voters from campaigning at the same moment."""

    stream_loss_min: Usec = _STREAM_LOSS_MIN
    """Earliest campaign after the leader's stream was reset: the others get time to notice the same."""

    stream_loss_max: Usec = _STREAM_LOSS_MAX
    """Latest campaign after that; pre-vote makes a needless one harmless."""

    def __post_init__(self) -> None:
        if not 0 < self.heartbeat * 2 <= self.election_min < self.election_max:
            raise ValueError("need 0 < 2 * heartbeat <= election_min < election_max")
        if not 0 <= self.stream_loss_min < self.stream_loss_max <= self.election_min:
            raise ValueError("need 0 <= stream_loss_min < stream_loss_max <= election_min")
