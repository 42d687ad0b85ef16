# SPDX-License-Identifier: LGPL-2.1-or-later
"""Committed entries to the effects that the rest of the node sees, the same on every replica.

A new term's first entry repeats the members and thus usually tells nothing; then nothing is emitted.
"""

from synod.ledger.effects import Committed, ViewChange
from synod.ledger.entries import Entry
from synod.ledger.membership import Configuration
from synod.ledger.requests import EffectiveRequests


class Delivery:
    """State after the last committed entry: the members then, and which requests were effective."""

    def __init__(self) -> None:
        self._view = Configuration()
        self._requests = EffectiveRequests()

    def deliver(self, entry: Entry) -> Committed | ViewChange | None:
        """Return what the next committed entry means."""
        if entry.req is not None:
            return Committed(index=entry.index, term=entry.term, req=entry.req, payload=entry.payload,
                             duplicate=not self._requests.take(entry.req))
        if entry.configuration is None or entry.configuration == self._view:
            return None
        before, after = self._view.members, entry.configuration.members
        self._view = entry.configuration
        return ViewChange(index=entry.index, term=entry.term,
                          voters=entry.configuration.voters, learners=entry.configuration.learners,
                          added=tuple(name for name in after if name not in before),
                          removed=tuple(name for name in before if name not in after))
