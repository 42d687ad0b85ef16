# SPDX-License-Identifier: LGPL-2.1-or-later
"""How far this node should trust its own senses (Lifeguard, section IV.A).

A node that is short of CPU or cut off sees everybody else fail. Whatever hints at that slows its probes, so
that it accuses less: helpers that do not even report failure, accusations against itself, own delays.
"""

from synod.base.usec import Usec
from synod.gossip.timing import HEALTH_SCORE_MAX


class Health:
    """A score from 0, well, to HEALTH_SCORE_MAX."""

    def __init__(self) -> None:
        self.score = 0

    def worsen(self, hints: int) -> None:
        """Note hints that the trouble is here."""
        self.score = min(HEALTH_SCORE_MAX, self.score + hints)

    def improve(self) -> None:
        """Note that something worked."""
        self.score = max(0, self.score - 1)

    def scaled(self, span: Usec) -> Usec:
        """Return how long to wait instead of ``span``."""
        return Usec(span * (self.score + 1))
