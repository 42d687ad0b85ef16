# SPDX-License-Identifier: LGPL-2.1-or-later
"""The log of one node in memory: what it holds, and how much of that is durable.

It knows nothing of roles, peers or disks. ``base`` is where the log begins: (0, 0) until snapshots exist;
entries up to base_index are gone, and only the term of base_index itself is still known. Ongaro's
dissertation, section 3.5.
"""

from collections import deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from synod.base.ids import Index, NodeName, Term
from synod.ledger.membership import Configuration
from synod.ledger.timing import BATCH_BYTES_MAX, BATCH_ENTRIES_MAX, BOOT_LENGTH_MAX, COUNT_MAX

_NO_TERM: Final = Term(0)
_NO_INDEX: Final = Index(0)


@dataclass(frozen=True, slots=True, kw_only=True, order=True)
class ReqId:
    """Names one proposal for ever, so that a retry is recognised."""

    client: NodeName
    boot: str
    """Incarnation of the client; a client that forgot its ``seq`` must use a new one."""

    seq: int
    """From 1, growing by one per proposal."""

    @property
    def is_valid(self) -> bool:
        """Whether its parts are within their limits."""
        return 0 < self.seq < COUNT_MAX and len(self.boot) <= BOOT_LENGTH_MAX


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One position of the log."""

    index: Index
    term: Term
    payload: bytes = b""
    req: ReqId | None = None
    configuration: Configuration | None = None
    """Not None: this entry sets the members (a term's first entry repeats them) and carries no payload."""


@dataclass(frozen=True, slots=True, kw_only=True)
class HardState:
    """What a node must remember across a crash, besides its entries."""

    term: Term = _NO_TERM
    vote: NodeName | None = None
    """Who got this node's vote in ``term``; never changes within a term."""

    commit: Index = _NO_INDEX
    """This node's entries up to here are committed. A hint, written along with other things: may lag."""

    horizon: Index = _NO_INDEX
    """The cluster has committed up to here, as a leader said; a node whose log ends before it must not
    campaign.

    It keeps a wiped and re-added founder from electing itself with the founding configuration at index 1.
    """


class Log:
    """Entries after the base, with a durable and a not yet durable part.

    Invariants: indices are consecutive, terms never decrease, base_index <= stable <= last_index.
    """

    def __init__(self, entries: Iterable[Entry] = (), *, base_index: Index = _NO_INDEX,
                 base_term: Term = _NO_TERM) -> None:
        self.base_index = base_index
        self.base_term = base_term
        self._entries = list(entries)
        self.stable = self.last_index
        """Highest index that is durable here."""

        self._handed = self.last_index  # highest index handed over to be written
        self._cut: Index | None = None  # truncation not yet handed over
        self._writes: deque[tuple[int, Index]] = deque()  # (seq, last index) handed over, not yet confirmed
        for previous, entry in zip(self._entries, self._entries[1:], strict=False):
            assert entry.index == previous.index + 1
            assert entry.term >= previous.term
        assert not self._entries or self._entries[0].index == base_index + 1

    @property
    def last_index(self) -> Index:
        """Index of the newest entry, durable or not; the base's when there is none."""
        return Index(self.base_index + len(self._entries))

    @property
    def last_term(self) -> Term:
        """Term of the newest entry."""
        return self._entries[-1].term if self._entries else self.base_term

    def term_at(self, index: Index) -> Term | None:
        """Return the term of an entry or of the base; None outside of the log."""
        if index == self.base_index:
            return self.base_term
        if self.base_index < index <= self.last_index:
            return self._entries[index - self.base_index - 1].term
        return None

    def between(self, first: Index, last: Index) -> Sequence[Entry]:
        """Return the entries from ``first`` to ``last``, both included, as far as they exist."""
        return self._entries[max(0, first - self.base_index - 1):max(0, last - self.base_index)]

    def batch(self, first: Index) -> tuple[Entry, ...]:
        """Return entries from ``first``, at most a batch by count and bytes, at least one if it exists."""
        taken: list[Entry] = []
        size = 0
        for entry in self.between(first, Index(first + BATCH_ENTRIES_MAX - 1)):
            size += len(entry.payload)
            if taken and size > BATCH_BYTES_MAX:
                break
            taken.append(entry)
        return tuple(taken)

    def is_up_to_date(self, last_term: Term, last_index: Index) -> bool:
        """Whether a log that ends so holds at least what this one holds (section 3.6.1)."""
        return (last_term, last_index) >= (self.last_term, self.last_index)

    def append(self, entry: Entry) -> None:
        """Add the next entry."""
        assert entry.index == self.last_index + 1
        assert entry.term >= self.last_term
        self._entries.append(entry)

    def first_conflict(self, entries: Sequence[Entry]) -> Index | None:
        """Return the first index at which this log holds an entry of another term, or None."""
        for entry in entries:
            term = self.term_at(entry.index)
            if term is None:
                return None
            if term != entry.term:
                return entry.index
        return None

    def truncate(self, index: Index) -> None:
        """Remove the entries at ``index`` and later; they stop being durable at once."""
        assert self.base_index < index <= self.last_index
        del self._entries[index - self.base_index - 1:]
        last = Index(index - 1)
        if self._handed > last:  # something to be removed has been written or is on its way
            self._cut = index if self._cut is None else min(self._cut, index)
            self._handed = last
        self.stable = min(self.stable, last)
        self._writes = deque((seq, min(end, last)) for seq, end in self._writes)

    def agreement_limit(self, index: Index, term: Term) -> Index:
        """Return the highest index <= ``index`` that holds a term <= ``term``.

        Nothing above it can agree with a log that holds ``term`` at ``index``: the hint that lets a leader
        skip a whole term per round trip (section 3.5, last paragraphs; applied on both sides).
        """
        limit = min(index, self.last_index)
        while limit > self.base_index:
            found = self.term_at(limit)
            if found is None or found <= term:
                break
            limit = Index(limit - 1)
        return limit

    @property
    def has_unsaved(self) -> bool:
        """Whether something has to be written that was not yet handed over."""
        return self._cut is not None or self._handed < self.last_index

    def take_unsaved(self, seq: int) -> tuple[Index | None, tuple[Entry, ...]]:
        """Hand over, as write ``seq``, where to truncate and what to append after that."""
        cut, entries = self._cut, tuple(self.between(Index(self._handed + 1), self.last_index))
        self._cut, self._handed = None, self.last_index
        self._writes.append((seq, self.last_index))
        return cut, entries

    def saved(self, seq: int) -> None:
        """Note that every write up to ``seq`` is durable."""
        while self._writes and self._writes[0][0] <= seq:
            self.stable = max(self.stable, self._writes.popleft()[1])
