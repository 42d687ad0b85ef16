# SPDX-License-Identifier: LGPL-2.1-or-later
"""How long an accusation waits for its refutation.

Decides one thing: the moment at which a suspected member counts as faulty. Refuses to know who accuses, why,
and what follows. The more nodes say independently that a member does not answer, the less it is the fault of
the one who said so first; hence the wait shrinks from the longest towards the shortest with the logarithm of
the number of accusers (Lifeguard, section IV.B).
"""

from dataclasses import dataclass, replace
from math import log

from synod.base.ids import NodeName
from synod.base.usec import Usec


@dataclass(frozen=True, slots=True, kw_only=True)
class Suspicion:
    """An accusation, and who shares it."""

    began: Usec
    shortest: Usec
    """Wait once ``confirmations`` others have joined the first accuser."""

    longest: Usec
    """Wait while nobody has."""

    confirmations: int
    """0: nobody else could, so the wait is the shortest from the beginning."""

    accusers: tuple[NodeName, ...]
    """In the order in which they were heard; never empty."""

    @property
    def patience(self) -> Usec:
        """From the beginning to the deadline."""
        if self.confirmations == 0:
            return self.shortest
        share = log(len(self.accusers)) / log(self.confirmations + 1)
        return Usec(self.longest - int((self.longest - self.shortest) * share))

    @property
    def deadline(self) -> Usec:
        """When the member counts as faulty, unless it has refuted."""
        return Usec(self.began + self.patience)

    def joined_by(self, accuser: NodeName) -> "Suspicion":
        """Return it with one accuser more, or as it is when that says nothing new."""
        if accuser in self.accusers or len(self.accusers) > self.confirmations:
            return self
        return replace(self, accusers=(*self.accusers, accuser))

    def postponed(self, span: Usec) -> "Suspicion":
        """Return it with a deadline later by time that does not count."""
        return replace(self, began=Usec(self.began + span))
