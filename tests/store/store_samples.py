# SPDX-License-Identifier: LGPL-2.1-or-later
"""Writes for logs: random ones that a node could have made, and the plain meaning of a sequence of them."""

from collections.abc import Sequence

from hypothesis import strategies as st

from synod.base.ids import Index, NodeName, Term
from synod.ledger.effects import Persist
from synod.ledger.entries import Entry, HardState, ReqId
from synod.ledger.membership import Configuration
from synod.store.frames import Identity

MINE = Identity(cluster="testbed", node=NodeName("n1"))
NAMES = [NodeName(name) for name in ("n1", "n2", "n3", "a-long-host-name")]


def write(index: int, term: int = 1, payload: bytes = b"payload", cut: int | None = None) -> Persist:
    """Return a write of one entry."""
    entry = Entry(index=Index(index), term=Term(term), payload=payload,
                  req=ReqId(client=NAMES[0], boot="boot", seq=index))
    return Persist(seq=index, hard_state=HardState(term=Term(term), vote=NAMES[1]),
                   truncate_from=Index(cut) if cut is not None else None, entries=(entry,))


def meaning(writes: Sequence[Persist]) -> tuple[HardState, tuple[Entry, ...]]:
    """Return what a node must remember after these writes, computed the obvious way."""
    hard, entries = HardState(), list[Entry]()
    for item in writes:
        hard = item.hard_state or hard
        if item.truncate_from is not None:
            entries = [entry for entry in entries if entry.index < item.truncate_from]
        entries.extend(item.entries)
    return hard, tuple(entries)


@st.composite
def writes(draw: st.DrawFn) -> list[Persist]:
    """Draw writes in which terms never go back and entries follow each other."""
    made: list[Persist] = []
    term, entries = 0, list[Entry]()
    for seq in range(1, draw(st.integers(1, 8)) + 1):
        hard = None
        if draw(st.booleans()):
            term += draw(st.integers(0, 3))
            commit, horizon = draw(st.integers(0, 9)), draw(st.integers(0, 2**40))
            hard = HardState(term=Term(term), vote=draw(st.sampled_from([None, *NAMES])),
                             commit=Index(commit), horizon=Index(horizon))
        cut = draw(st.none() | st.integers(1, len(entries))) if entries else None
        if cut is not None:
            del entries[cut - 1:]
        first = len(entries) + 1
        added = [draw(entry_at(index, term)) for index in range(first, first + draw(st.integers(0, 4)))]
        entries += added
        made.append(Persist(seq=seq, hard_state=hard, truncate_from=Index(cut) if cut is not None else None,
                            entries=tuple(added)))
    return made


@st.composite
def entry_at(draw: st.DrawFn, index: int, term: int) -> Entry:
    """Draw an entry for a place."""
    if draw(st.booleans()):
        names = draw(st.lists(st.sampled_from(NAMES), unique=True))
        return Entry(index=Index(index), term=Term(term),
                     configuration=Configuration.of(voters=names[:2], learners=names[2:]))
    req = ReqId(client=draw(st.sampled_from(NAMES)), boot=draw(st.text(max_size=8)),
                seq=draw(st.integers(1, 2**61)))
    return Entry(index=Index(index), term=Term(term), payload=draw(st.binary(max_size=700)), req=req)
