# SPDX-License-Identifier: LGPL-2.1-or-later
"""Which requests have taken effect: the replicated table that makes a retry harmless.

Every replica feeds it the same entries in the same order, so all agree on which entry of a request is
effective (dissertation, section 6.3). It remembers a window of sequence numbers per (client, boot) and not
only the last one, because a proposal that was lost with its leader may be retried after later ones have
committed.
"""

from typing import Final

from synod.base.ids import NodeName
from synod.ledger.entries import ReqId
from synod.ledger.timing import CLIENTS_MAX, PENDING_PROPOSALS_MAX

WINDOW: Final = PENDING_PROPOSALS_MAX
"""Sequence numbers below a client's highest one that are told apart; a node has no more proposals open."""

_MASK: Final = (1 << WINDOW) - 1


class EffectiveRequests:
    """Sequence numbers that took effect, for the CLIENTS_MAX clients heard last."""

    def __init__(self) -> None:
        # (client, boot) -> (highest seq, bit i set: seq - i took effect); least recently heard first
        self._seen: dict[tuple[NodeName, str], tuple[int, int]] = {}

    def take(self, req: ReqId) -> bool:
        """Note the request; return whether it is the first time.

        A request older than the window counts as a repetition: its client cannot still be waiting for it.
        """
        key = (req.client, req.boot)
        last, bits = self._seen.pop(key, (0, 0))
        ahead = req.seq - last
        if ahead > 0:
            is_new, last = True, req.seq
            bits = (bits << ahead | 1) & _MASK if ahead < WINDOW else 1
        else:
            is_new = -ahead < WINDOW and not bits >> -ahead & 1
            bits |= 1 << -ahead if is_new else 0
        self._seen[key] = (last, bits)
        if len(self._seen) > CLIENTS_MAX:
            del self._seen[next(iter(self._seen))]
        return is_new
