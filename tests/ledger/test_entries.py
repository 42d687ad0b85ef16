# SPDX-License-Identifier: LGPL-2.1-or-later
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from synod.base.ids import Index, NodeName, Term
from synod.ledger.entries import Entry, Log, ReqId
from synod.ledger.timing import BATCH_BYTES_MAX, BATCH_ENTRIES_MAX


def entry(index: int, term: int = 1, size: int = 0) -> Entry:
    return Entry(index=Index(index), term=Term(term), payload=b"x" * size,
                 req=ReqId(client=NodeName("n1"), boot="b", seq=index))


def log_of(*terms: int) -> Log:
    return Log([entry(index, term) for index, term in enumerate(terms, 1)])


class SavedLog(RuleBasedStateMachine):
    """A log and a disk that gets, in order, exactly what the log hands over."""

    def __init__(self) -> None:
        super().__init__()
        self.log = Log()
        self.model: list[Entry] = []
        self.disk: list[Entry] = []
        self.under_way: list[tuple[int, Index | None, tuple[Entry, ...]]] = []
        self.seq = 0

    @rule(more=st.integers(0, 2))
    def append(self, more: int) -> None:
        new = entry(len(self.model) + 1, self.log.last_term + more)
        self.log.append(new)
        self.model.append(new)

    @precondition(lambda self: self.model)
    @rule(data=st.data())
    def truncate(self, data: st.DataObject) -> None:
        index = data.draw(st.integers(1, len(self.model)))
        self.log.truncate(Index(index))
        del self.model[index - 1:]

    @rule()
    def hand_over(self) -> None:
        assert self.log.has_unsaved is (self.log._cut is not None or self.log._handed < len(self.model))
        if self.log.has_unsaved:
            self.seq += 1
            self.under_way.append((self.seq, *self.log.take_unsaved(self.seq)))

    @precondition(lambda self: self.under_way)
    @rule(data=st.data())
    def write(self, data: st.DataObject) -> None:
        for _ in range(data.draw(st.integers(1, len(self.under_way)))):
            seq, cut, entries = self.under_way.pop(0)
            if cut is not None:
                assert cut <= len(self.disk)
                del self.disk[cut - 1:]
            for item in entries:
                assert item.index == len(self.disk) + 1
                self.disk.append(item)
        self.log.saved(seq)

    @invariant()
    def what_is_called_stable_is_on_the_disk(self) -> None:
        stable = self.log.stable
        assert self.disk[:stable] == self.model[:stable]
        assert len(self.disk) >= stable

    @invariant()
    def everything_is_stable_once_nothing_is_under_way(self) -> None:
        assert list(self.log.between(Index(1), self.log.last_index)) == self.model
        if not self.under_way and not self.log.has_unsaved:
            assert self.disk == self.model
            assert self.log.stable == len(self.model)


TestSavedLog = SavedLog.TestCase


terms = st.lists(st.integers(1, 5), max_size=8).map(sorted)


@given(terms, terms)
def test_hints_never_skip_what_agrees(ours: list[int], theirs: list[int]) -> None:
    """Two logs find their last common entry by hints from both sides, in few rounds."""
    leader, follower = log_of(*ours), log_of(*theirs)
    agreed = 0
    while agreed < min(len(ours), len(theirs)) and ours[agreed] == theirs[agreed]:
        agreed += 1
    previous, rounds = leader.last_index, 0
    while follower.term_at(previous) != leader.term_at(previous):
        hint = follower.agreement_limit(previous, leader.term_at(previous) or Term(0))
        limit = leader.agreement_limit(hint, follower.term_at(hint) or Term(0))
        assert limit < previous
        assert limit >= min(agreed, previous)
        previous, rounds = limit, rounds + 1
    assert rounds <= len({*ours, *theirs}) + 1


def test_batches_are_bounded_by_count_and_bytes() -> None:
    many = Log([entry(index) for index in range(1, 3 * BATCH_ENTRIES_MAX)])
    assert len(many.batch(Index(5))) == BATCH_ENTRIES_MAX
    assert many.batch(Index(5))[0].index == 5
    large = Log([entry(1), entry(2, size=BATCH_BYTES_MAX), entry(3, size=BATCH_BYTES_MAX), entry(4)])
    assert [item.index for item in large.batch(Index(1))] == [1, 2]
    assert [item.index for item in large.batch(Index(3))] == [3, 4]
    assert large.batch(Index(5)) == ()


def test_a_longer_log_is_not_newer_than_a_later_term() -> None:
    log = log_of(1, 1, 2)
    assert log.is_up_to_date(Term(3), Index(1))
    assert log.is_up_to_date(Term(2), Index(3))
    assert not log.is_up_to_date(Term(2), Index(2))
    assert not log.is_up_to_date(Term(1), Index(9))


def test_a_log_may_begin_after_its_base() -> None:
    log = Log([entry(8, 3), entry(9, 4)], base_index=Index(7), base_term=Term(2))
    assert [log.term_at(Index(index)) for index in (6, 7, 8, 9, 10)] == [None, 2, 3, 4, None]
    assert [item.index for item in log.between(Index(1), Index(8))] == [8]
    log.append(entry(10, 4))
    assert (log.last_index, log.stable) == (10, 9)
    assert log.agreement_limit(Index(20), Term(1)) == 7
