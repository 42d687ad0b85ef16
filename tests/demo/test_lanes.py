# SPDX-License-Identifier: LGPL-2.1-or-later
from hypothesis import given
from hypothesis import strategies as st

from demo import lanes
from demo.lanes import Box, Segment
from demo.record import Mark, Moment, Step, Turn


def moment(usec: int, step: Step, node: str = "node1", unit: str = "db.service") -> Moment:
    return Moment(usec=usec, node=node, unit=unit, step=step)


def mark(usec: int, turn: Turn, node: str = "node1") -> Mark:
    return Mark(usec=usec, node=node, turn=turn)


def states(found: list[Segment]) -> list[tuple[Step, int, int]]:
    return [(segment.step, segment.begin, segment.end) for segment in found]


def test_a_unit_that_starts_and_stops_is_drawn_until_it_has_stopped() -> None:
    found = lanes.segments([moment(10, Step.STARTING), moment(20, Step.STARTED), moment(50, Step.STOPPING),
                            moment(60, Step.STOPPED)], end=100)

    assert states(found) == [(Step.STARTING, 10, 20), (Step.STARTED, 20, 50), (Step.STOPPING, 50, 60)]


def test_what_lasts_is_drawn_to_the_end() -> None:
    assert states(lanes.segments([moment(10, Step.FAILED)], end=100)) == [(Step.FAILED, 10, 100)]


def test_a_job_that_did_not_touch_the_unit_is_not_drawn() -> None:
    found = lanes.segments([moment(10, Step.STARTED), moment(20, Step.SKIPPED),
                            moment(30, Step.REFUSED)], end=40)

    assert states(found) == [(Step.STARTED, 10, 40)]


def test_nodes_and_units_do_not_mix() -> None:
    found = lanes.segments([moment(10, Step.STARTED), moment(20, Step.STARTED, node="node2"),
                            moment(30, Step.STOPPED, node="node2"),
                            moment(40, Step.STOPPED, unit="web.service")], end=50)

    assert [(segment.node, segment.unit, segment.begin, segment.end) for segment in found] == [
        ("node1", "db.service", 10, 50), ("node2", "db.service", 20, 30)]


def test_the_order_in_which_moments_are_read_does_not_matter() -> None:
    moments = [moment(10, Step.STARTING), moment(20, Step.STARTED), moment(60, Step.STOPPED)]

    assert lanes.segments(reversed(moments), end=100) == lanes.segments(moments, end=100)


def test_clip_cuts_at_the_window_and_drops_what_lies_outside() -> None:
    found = lanes.segments([moment(0, Step.STARTING), moment(10, Step.STARTED),
                            moment(90, Step.STOPPING)], end=100)

    assert states(lanes.clip(found, 20, 50)) == [(Step.STARTED, 20, 50)]


def test_a_loss_of_power_ends_what_runs_on_the_node_and_nothing_else() -> None:
    moments = [moment(10, Step.STARTED), moment(20, Step.STARTED, node="node2"), moment(70, Step.STARTED)]
    found = lanes.segments(moments, end=100, marks=[mark(50, Turn.POWER_LOST), mark(55, Turn.LOST, "node2")])

    assert [(segment.node, segment.begin, segment.end) for segment in found] == [
        ("node1", 10, 50), ("node2", 20, 100), ("node1", 70, 100)]


def test_a_node_is_dark_until_its_power_is_back() -> None:
    marks = [mark(90, Turn.OFF), mark(10, Turn.POWER_LOST), mark(20, Turn.FENCED), mark(60, Turn.POWER_BACK),
             mark(30, Turn.POWER_LOST, "node2"), mark(95, Turn.POWER_BACK, "node3")]

    assert [(span.node, span.begin, span.end) for span in lanes.darkness(marks, end=100)] == [
        ("node1", 10, 60), ("node2", 30, 100), ("node1", 90, 100)]


@given(st.lists(st.tuples(st.integers(0, 100), st.integers(1, 40))))
def test_boxes_of_one_row_never_overlap(pairs: list[tuple[int, int]]) -> None:
    boxes = [Box(left=left, right=left + wide) for left, wide in pairs]
    chosen = lanes.rows(boxes)

    for first, box in enumerate(boxes):
        for second in range(first):
            if chosen[first] == chosen[second]:
                assert box.right <= boxes[second].left or box.left >= boxes[second].right
    assert sorted(set(chosen)) == list(range(max(chosen, default=-1) + 1))


@given(st.lists(st.tuples(st.integers(0, 100), st.integers(1, 40), st.booleans())))
def test_no_stem_crosses_the_words_of_another(rows: list[tuple[int, int, bool]]) -> None:
    boxes = [Box(left=left, right=left + wide, stem=left if is_tick else None)
             for left, wide, is_tick in sorted(rows)]
    chosen = lanes.rows(boxes)

    for box, row in zip(boxes, chosen, strict=True):
        stems = [other.stem for other, above in zip(boxes, chosen, strict=True)
                 if above < row and other.stem is not None]
        assert not [stem for stem in stems if box.left < stem < box.right]


@given(st.floats(0.001, 10_000), st.integers(2, 20))
def test_ticks_are_few_and_within(seconds: float, most: int) -> None:
    found = lanes.ticks(seconds, most)

    assert found[0] == 0
    assert 1 <= len(found) <= most
    assert found[-1] <= seconds + 1e-3


def test_ticks_are_round() -> None:
    assert lanes.ticks(2.4, 6) == [0, 0.5, 1, 1.5, 2]
