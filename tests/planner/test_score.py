# SPDX-License-Identifier: LGPL-2.1-or-later
"""synod.planner.score: sums that saturate, and the choice between nodes."""

from functools import reduce

from hypothesis import given
from hypothesis import strategies as st

from synod.base.ids import NodeName, UnitName
from synod.model.attributes import INFINITY
from synod.planner.score import Reason, Score, add, best, best_to_clear

A, B, C = NodeName("a"), NodeName("b"), NodeName("c")
V, W = UnitName("v.service"), UnitName("w.service")
points = st.integers(-INFINITY, INFINITY) | st.sampled_from([INFINITY, -INFINITY, 0])


def score(*values: int) -> Score:
    return Score(tuple(Reason(value, "x") for value in values))


def test_never_beats_always() -> None:
    assert add(INFINITY, -INFINITY) == -INFINITY
    assert add(INFINITY, -5) == INFINITY
    assert add(-INFINITY, 5) == -INFINITY
    assert add(999_999, 2) == INFINITY
    assert add(-999_999, -2) == -INFINITY
    assert add(3, -5) == -2


@given(points, points)
def test_adding_is_the_same_from_both_sides_and_stays_in_range(one: int, other: int) -> None:
    assert add(one, other) == add(other, one)
    assert -INFINITY <= add(one, other) <= INFINITY
    assert add(one, 0) == one


def test_a_sum_of_dislikes_rules_nothing_out() -> None:
    found = score(-999_999, -999_999)
    assert found.points == -INFINITY
    assert found.is_open
    assert not score(5, -INFINITY).is_open


@given(st.lists(points, max_size=6))
def test_a_score_is_the_sum_of_its_reasons(values: list[int]) -> None:
    assert score(*values).points == reduce(add, values, 0)
    assert score(*values).is_open == (-INFINITY not in values)


def test_points_then_load_then_name() -> None:
    load = {A: 2, B: 1, C: 1}
    assert best({A: score(5), B: score(4), C: score(4)}, load) == A
    assert best({A: score(4), B: score(4), C: score(4)}, load) == B
    assert best({A: score(-5), B: score(-INFINITY), C: score(5, -INFINITY)}, load) == A
    assert best({A: score(-INFINITY)}, load) is None
    assert best({}, load) is None


def test_the_node_that_is_cleared_most_easily() -> None:
    load = {A: 1, B: 1, C: 0}
    by_v, by_w = Reason(-INFINITY, "v", yielding=V), Reason(-INFINITY, "w", yielding=W)
    one, two = Score((by_v, Reason(3, "x"))), Score((by_v, by_w, Reason(9, "x")))
    firm = Score((by_v, Reason(-INFINITY, "drained")))
    assert best_to_clear({A: two, B: one, C: firm}, load) == B
    assert best_to_clear({A: Score((by_v,)), B: one}, load) == B
    assert best_to_clear({A: Score((by_v,)), B: Score((by_w,))}, load) == A
    assert best_to_clear({C: firm}, load) is None
    assert not one.is_open
    assert one.can_be_cleared
    assert one.wishes == 3
