# SPDX-License-Identifier: LGPL-2.1-or-later
"""From moments to what a picture shows: which state lasted how long, where a label fits.

Pure functions; the drawing is ``demo.timeline``.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Final, TypeVar

from demo.record import Mark, Moment, Step, Turn


@dataclass(frozen=True, slots=True, kw_only=True)
class Span:
    """A stretch of time on a node."""

    node: str
    begin: int
    end: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Segment(Span):
    """A stretch of time that a unit spent in one state on one node."""

    unit: str
    step: Step
    """The moment that began it: STARTED means active, STOPPING that it is being stopped."""


_AnySpan = TypeVar("_AnySpan", bound=Span)


def segments(moments: Iterable[Moment], end: int, marks: Iterable[Mark] = ()) -> list[Segment]:
    """Return the states that lie between the moments, in order of their begin; a stopped unit has none.

    A loss of power ends whatever lasts on the node.
    """
    found = []
    lasting: dict[tuple[str, str], Moment] = {}
    events: list[Moment | Mark] = [*moments, *(mark for mark in marks if mark.turn is Turn.POWER_LOST)]
    for moment in sorted(events, key=lambda event: event.usec):
        if isinstance(moment, Mark):
            ended = [key for key in lasting if key[0] == moment.node]
            found += [_segment(lasting.pop(key), moment.usec) for key in ended]
            continue
        if moment.step in (Step.REFUSED, Step.SKIPPED):
            continue
        before = lasting.pop((moment.node, moment.unit), None)
        if before is not None:
            found.append(_segment(before, moment.usec))
        if moment.step is not Step.STOPPED:
            lasting[moment.node, moment.unit] = moment
    found.extend(_segment(moment, max(end, moment.usec)) for moment in lasting.values())
    return sorted(found, key=lambda segment: (segment.begin, segment.node, segment.unit))


def darkness(marks: Iterable[Mark], end: int) -> list[Span]:
    """Return when nodes were off, in order of the begin."""
    found = []
    since: dict[str, int] = {}
    for mark in sorted(marks, key=lambda mark: mark.usec):
        if mark.turn in (Turn.POWER_LOST, Turn.OFF):
            since.setdefault(mark.node, mark.usec)
        elif mark.turn is Turn.POWER_BACK and mark.node in since:
            found.append(Span(node=mark.node, begin=since.pop(mark.node), end=mark.usec))
    found += [Span(node=node, begin=begin, end=max(end, begin)) for node, begin in since.items()]
    return sorted(found, key=lambda span: span.begin)


def clip(found: Iterable[_AnySpan], begin: int, end: int) -> list[_AnySpan]:
    """Return what of the spans lies within a window."""
    return [replace(span, begin=max(span.begin, begin), end=min(span.end, end))
            for span in found if span.begin < end and span.end > begin]


@dataclass(frozen=True, slots=True, kw_only=True)
class Box:
    """Something with words, in a row; if it has a stem, that goes down from there to the last row."""

    left: float
    right: float
    stem: float | None = None

    def overlaps(self, other: "Box") -> bool:
        """Return whether both cannot be in one row."""
        return self.left < other.right and other.left < self.right

    def is_crossed_by(self, stem: float | None) -> bool:
        """Return whether a stem from above goes through the words."""
        return stem is not None and self.left < stem < self.right


def rows(boxes: Sequence[Box]) -> list[int]:
    """Return for each box the first row where it overlaps none of the boxes before it.

    Nor does a stem cross a box, as long as boxes are given from left to right and begin at their stems.
    """
    chosen: list[int] = []
    for box in boxes:
        before = list(zip(boxes, chosen, strict=False))
        last = max(chosen, default=-1) + 1
        chosen.append(next((row for row in range(last) if _is_free(row, box, before)), last))
    return chosen


def _is_free(row: int, box: Box, before: Iterable[tuple[Box, int]]) -> bool:
    for other, place in before:
        if place == row and box.overlaps(other):
            return False
        if place < row and box.is_crossed_by(other.stem):
            return False
        if place > row and other.is_crossed_by(box.stem):
            return False
    return True


def ticks(seconds: float, most: int) -> list[float]:
    """Return round numbers of seconds from 0 up to ``seconds``: at least one, at most ``most``."""
    step: float = next(size for size in _STEPS if seconds / size < most)
    return [round(number * step, 3) for number in range(int(seconds / step) + 1)]


_STEPS: Final = tuple(mantissa * 10.0**exponent for exponent in range(-3, 6) for mantissa in (1, 2, 5))


def _segment(begin: Moment, end: int) -> Segment:
    return Segment(node=begin.node, unit=begin.unit, step=begin.step, begin=begin.usec, end=end)
