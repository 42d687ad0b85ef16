# SPDX-License-Identifier: LGPL-2.1-or-later
"""Two copies at once: seen when they are there, and only then."""

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from witness.copies import Event, Interval, Loss, Step, intervals, overlaps

END = 1000


def event(usec: int, step: Step, node: str = "a", boot: str = "1", unit: str = "db.service") -> Event:
    return Event(usec=usec, node=node, boot=boot, unit=unit, step=step)


def spans(events: list[Event], *losses: Loss) -> list[tuple[str, int, int]]:
    return [(copy.node, copy.begin, copy.end) for copy in intervals(events, losses, END)]


def test_a_copy_exists_from_its_start_until_it_is_gone():
    assert spans([event(10, Step.STARTING), event(20, Step.ACTIVE), event(30, Step.GONE)]) == [("a", 10, 30)]


def test_a_copy_that_nothing_ended_still_exists():
    assert spans([event(10, Step.STARTING), event(20, Step.ACTIVE)]) == [("a", 10, END)]


def test_power_loss_ends_it_and_a_loss_elsewhere_does_not():
    events = [event(10, Step.STARTING)]
    assert spans(events, Loss(usec=25, node="a")) == [("a", 10, 25)]
    assert spans(events, Loss(usec=25, node="b"), Loss(usec=5, node="a")) == [("a", 10, END)]


def test_it_ends_with_the_first_loss_after_it_began():
    events = [event(10, Step.ACTIVE), event(60, Step.ACTIVE, boot="2")]
    losses = (Loss(usec=25, node="a"), Loss(usec=90, node="a"))
    assert spans(events, *losses) == [("a", 10, 25), ("a", 60, 90)]


def test_a_reset_that_nobody_noted_counts_as_late_as_it_can_have_been():
    events = [event(10, Step.ACTIVE), event(60, Step.STARTING, boot="2")]
    assert spans(events) == [("a", 10, 60), ("a", 60, END)]


def test_a_restart_is_a_copy_of_its_own():
    steps = (Step.STARTING, Step.ACTIVE, Step.GONE, Step.GONE, Step.STARTING, Step.ACTIVE)
    assert spans([event(usec, step) for usec, step in enumerate(steps)]) == [("a", 0, 2), ("a", 4, END)]


def test_the_end_of_what_never_began_is_nothing():
    assert spans([event(10, Step.GONE)]) == []


def test_units_and_nodes_are_told_apart():
    events = [event(10, Step.ACTIVE), event(20, Step.ACTIVE, node="b"),
              event(30, Step.ACTIVE, unit="app.service"), event(40, Step.GONE)]
    assert [(copy.unit, copy.node, copy.end) for copy in intervals(events, (), END)] == [
        ("app.service", "a", END), ("db.service", "a", 40), ("db.service", "b", END)]


def test_an_overlap_is_found_and_told():
    events = [event(10, Step.STARTING), event(500_010, Step.STARTING, node="b")]
    (found,) = overlaps(intervals(events, (), 2_000_010))
    assert (found.nodes, found.begin, found.end) == (("a", "b"), 500_010, 2_000_010)
    assert str(found) == "db.service ran on a and b at once for 1.500 s"


def test_a_move_is_no_overlap():
    events = [event(10, Step.ACTIVE), event(50, Step.GONE), event(50, Step.STARTING, node="b")]
    assert overlaps(intervals(events, (), END)) == []
    assert overlaps(intervals([event(10, Step.ACTIVE), event(50, Step.ACTIVE, node="b")],
                              [Loss(usec=50, node="a")], END)) == []


def test_different_units_may_run_at_once():
    assert overlaps(intervals([event(10, Step.ACTIVE), event(10, Step.ACTIVE, node="b", unit="app.service")],
                              (), END)) == []


@st.composite
def copy_of_db(draw: st.DrawFn) -> Interval:
    begin, length = draw(st.integers(0, 30)), draw(st.integers(1, 10))
    return Interval(unit="db.service", node=draw(st.sampled_from("abc")), begin=begin, end=begin + length)


@given(st.lists(copy_of_db(), max_size=6))
def test_overlaps_agree_with_looking_at_every_moment(copies):
    holders = [{copy.node for copy in copies if copy.begin <= moment < copy.end} for moment in range(41)]
    assert bool(overlaps(copies)) == any(len(nodes) > 1 for nodes in holders)


@given(st.lists(st.tuples(st.integers(0, 50), st.sampled_from(Step), st.sampled_from("12")), max_size=8),
       st.lists(st.integers(0, 50), max_size=3))
def test_the_copies_on_one_node_follow_each_other(steps, losses):
    steps.sort(key=lambda step: (step[2], step[0]))
    found = intervals([event(usec, step, boot=boot) for usec, step, boot in steps],
                      [Loss(usec=usec, node="a") for usec in losses], END)
    assert all(copy.begin <= copy.end for copy in found)
    assert all(one.end <= other.begin for one, other in pairwise(found))
