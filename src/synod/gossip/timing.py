# SPDX-License-Identifier: LGPL-2.1-or-later
"""How often gossip asks, how long it waits, and how much it says: every number, each with its reason.

SWIM is Das, Gupta and Motivala, "SWIM: Scalable Weakly-consistent Infection-style Process Group Membership
Protocol" (2002); Lifeguard is Dadgar, Phillips and Currey, "Lifeguard: Local Health Awareness for More
Accurate Failure Detection" (2018). The defaults are those with which memberlist runs on local networks: they
were measured, and gossip is not what a takeover waits for (architecture, decision 13).
"""

from dataclasses import dataclass
from math import ceil, log2, log10
from typing import Final

from synod.base.usec import USEC_PER_MSEC, USEC_PER_SEC, Usec

COMPOUND_BYTES_MAX: Final = 1280
"""All messages of one packet: what remains of 1400 bytes once it is sealed, see net/sealed.py."""

MESSAGES_MAX: Final = 255
"""Messages in one packet."""

ATTRIBUTES_MAX: Final = 32
"""Attributes of one node: they are for placement, not for monitoring."""

ATTRIBUTES_BYTES_MAX: Final = 900
"""All names and values of one node, three bytes extra for each: with a ping they fit into one packet."""

ATTRIBUTE_NAME_LENGTH_MAX: Final = 64
"""Characters of an attribute's name."""

COUNT_MAX: Final = 1 << 62
"""Incarnations and sequences stay below: out of reach, and any encoding carries them."""

HEALTH_SCORE_MAX: Final = 7
"""Worst local health: probes then take eight times as long (Lifeguard, section IV.A)."""

FAULTY_PINGS_MAX: Final = 3
"""Faulty members told so in one period: a healed partition is noticed soon, a dead rack costs little."""

RELAYS_MAX: Final = 64
"""Probes under way on behalf of others; a cluster in which more are needed has other worries."""

REFUTATIONS_MAX: Final = 10
"""Accusations in one packet that are answered with what refutes them: in any case they fit into one."""

BLOCKED_PROBES: Final = 3
"""Probes in a row that only a stream saved before datagrams count as blocked: 5 % loss does not do that."""

BUCKETS: Final = 64
"""Checksums in a digest: 5000 members make 78 each, so that one difference costs two packets to find."""

EXCHANGE_PACKETS_MAX: Final = 8
"""Packets in answer to one of an exchange: 10 kB; what is left over waits for the next."""

_PROBE_INTERVAL: Final = Usec(1 * USEC_PER_SEC)
_PROBE_TIMEOUT: Final = Usec(500 * USEC_PER_MSEC)
_NACK_TIMEOUT: Final = Usec(400 * USEC_PER_MSEC)
_GOSSIP_INTERVAL: Final = Usec(200 * USEC_PER_MSEC)
_EXCHANGE_INTERVAL: Final = Usec(30 * USEC_PER_SEC)
_EXCHANGE_SOON: Final = Usec(1 * USEC_PER_SEC)
_STREAM_FRESH: Final = Usec(2 * USEC_PER_SEC)
_STALL: Final = Usec(250 * USEC_PER_MSEC)


@dataclass(frozen=True, slots=True, kw_only=True)
class Timing:
    """Periods, timeouts and multipliers; all nodes of a cluster should use the same."""

    probe_interval: Usec = _PROBE_INTERVAL
    """One member is probed in each: the load does not depend on the size of the cluster."""

    probe_timeout: Usec = _PROBE_TIMEOUT
    """Silence after which others are asked to try; half the interval leaves them the other half."""

    nack_timeout: Usec = _NACK_TIMEOUT
    """Silence after which a helper says that it got no answer: before the asker's period ends."""

    helpers: int = 3
    """Others asked to try: at 5 % loss a living member is missed once in 10000 probes."""

    suspicion_mult: int = 4
    """Least wait for a refutation in probe intervals, times the logarithm of the size."""

    suspicion_max_mult: int = 6
    """How much longer a lonely accuser waits: it may be the one in trouble (Lifeguard, section IV.B)."""

    gossip_interval: Usec = _GOSSIP_INTERVAL
    """Between two rounds of rumours, only while there are any."""

    gossip_nodes: int = 3
    """Members told in one round."""

    retransmit_mult: int = 4
    """Times a rumour is sent by each who knows it, times the logarithm of the size (SWIM, section 4.1)."""

    exchange_interval: Usec = _EXCHANGE_INTERVAL
    """Between two comparisons with a random member; they repair what rumours missed."""

    exchange_soon: Usec = _EXCHANGE_SOON
    """The same after a member was added or a comparison brought news."""

    stream_fresh: Usec = _STREAM_FRESH
    """A stream heard so lately proves life; three times what streams take to notice a loss."""

    stall: Usec = _STALL
    """Delay of a step from which this node counts as having stood still: half the probe's timeout."""

    def __post_init__(self) -> None:
        if not 0 < self.nack_timeout < self.probe_timeout < self.probe_interval:
            raise ValueError("need 0 < nack_timeout < probe_timeout < probe_interval")
        if not 0 < self.stall < self.probe_interval - self.probe_timeout + 1:
            raise ValueError("need 0 < stall <= probe_interval - probe_timeout")
        if min(self.gossip_interval, self.exchange_soon, self.exchange_interval) <= 0:
            raise ValueError("need intervals > 0")

    def suspicion_shortest(self, nodes: int) -> Usec:
        """Return how long an accusation waits once enough others share it."""
        return Usec(int(self.suspicion_mult * max(1.0, log10(nodes)) * self.probe_interval))

    def confirmations(self, nodes: int) -> int:
        """Return how many accusers beside the first are enough; 0 where there could not be as many."""
        wanted = self.suspicion_mult - 2
        return wanted if nodes - 2 >= wanted else 0

    def retransmits(self, nodes: int) -> int:
        """Return how often one node sends one rumour."""
        return self.retransmit_mult * ceil(log10(nodes + 1))

    def exchange_period(self, nodes: int) -> Usec:
        """Return the time between two exchanges: above 32 nodes it grows with every doubling."""
        return Usec(self.exchange_interval * (1 + max(0, ceil(log2(nodes / 32)))))
