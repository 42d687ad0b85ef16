# SPDX-License-Identifier: LGPL-2.1-or-later
from math import log

import pytest
from hypothesis import given
from hypothesis import strategies as st

from synod.base.ids import NodeName
from synod.base.usec import Usec
from synod.gossip.suspicion import Suspicion
from synod.gossip.timing import Timing

NAMES = [NodeName(f"n{number}") for number in range(1, 9)]


def suspicion(confirmations: int = 2) -> Suspicion:
    return Suspicion(began=Usec(100), shortest=Usec(4000), longest=Usec(24000), confirmations=confirmations,
                     accusers=(NAMES[0],))


def test_a_lonely_accuser_waits_longest_and_enough_others_make_it_short() -> None:
    alone = suspicion()
    two = alone.joined_by(NAMES[1])
    three = two.joined_by(NAMES[2])
    assert (alone.patience, two.patience, three.patience) == (24000, 11382, 4000)
    assert three.deadline == 4100


def test_more_than_enough_changes_nothing() -> None:
    enough = suspicion().joined_by(NAMES[1]).joined_by(NAMES[2])
    assert enough.joined_by(NAMES[3]) is enough


def test_an_accuser_counts_once() -> None:
    assert suspicion().joined_by(NAMES[0]).accusers == (NAMES[0],)


def test_where_nobody_could_confirm_the_wait_is_the_shortest() -> None:
    assert suspicion(confirmations=0).patience == 4000
    assert suspicion(confirmations=0).joined_by(NAMES[1]).accusers == (NAMES[0],)


def test_time_that_does_not_count_comes_on_top() -> None:
    assert suspicion().postponed(Usec(500)).deadline == suspicion().deadline + 500


@given(st.integers(1, 7), st.lists(st.sampled_from(NAMES)))
def test_each_new_accuser_shortens_and_the_bounds_hold(confirmations: int, accusers: list[NodeName]) -> None:
    present = suspicion(confirmations)
    for accuser in accusers:
        joined = present.joined_by(accuser)
        assert joined is present or joined.patience < present.patience
        present = joined
        assert present.shortest <= present.patience <= present.longest
        others = min(len({NAMES[0], *accusers}), confirmations + 1)
        assert len(present.accusers) <= others
    formula = 24000 - 20000 * log(len(present.accusers)) / log(confirmations + 1)
    assert present.patience == pytest.approx(formula, abs=1)


@pytest.mark.parametrize(("nodes", "shortest", "confirmations"), [
    (2, 4.0, 0), (3, 4.0, 0), (4, 4.0, 2), (10, 4.0, 2), (29, 5.85, 2), (100, 8.0, 2), (1000, 12.0, 2),
])
def test_the_numbers_are_those_that_were_measured(nodes: int, shortest: float, confirmations: int) -> None:
    timing = Timing()
    assert timing.suspicion_shortest(nodes) / 1_000_000 == pytest.approx(shortest, abs=0.01)
    assert timing.confirmations(nodes) == confirmations
