# SPDX-License-Identifier: LGPL-2.1-or-later
"""From moments to what a picture shows: which state lasted how long, where a label fits.

Pure functions; the drawing is ``demo.timeline``.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from demo.record import Moment, Step


@dataclass(frozen=True, slots=True, kw_only=True)
class Segment:
    """A stretch of time that a unit spent in one state on one node."""

    node: str
    unit: str
    step: Step
    """The moment that began it: STARTED means active, STOPPING that it is being stopped."""
    begin: int
    end: int


def segments(moments: Iterable[Moment], end: int) -> list[Segment]:
    """Return the states that lie between the moments, in order of their begin; a stopped unit has none."""
    found = []
    lasting: dict[tuple[str, str], Moment] = {}
    for moment in sorted(moments, key=lambda moment: moment.usec):
        if moment.step in (Step.REFUSED, Step.SKIPPED):
            continue
        before = lasting.pop((moment.node, moment.unit), None)
        if before is not None:
            found.append(_segment(before, moment.usec))
        if moment.step is not Step.STOPPED:
            lasting[moment.node, moment.unit] = moment
    found.extend(_segment(moment, max(end, moment.usec)) for moment in lasting.values())
    return sorted(found, key=lambda segment: (segment.begin, segment.node, segment.unit))


def clip(found: Iterable[Segment], begin: int, end: int) -> list[Segment]:
    """Return what of the segments lies within a window."""
    return [Segment(node=segment.node, unit=segment.unit, step=segment.step, begin=max(segment.begin, begin),
                    end=min(segment.end, end))
            for segment in found if segment.begin < end and segment.end > begin]


def rows(boxes: Sequence[tuple[float, float]]) -> list[int]:
    """Return for each box (left, right) the first row where it overlaps none of the boxes before it."""
    used: list[list[tuple[float, float]]] = []
    chosen = []
    for left, right in boxes:
        row = next((number for number, others in enumerate(used)
                    if all(right <= other[0] or left >= other[1] for other in others)), len(used))
        if row == len(used):
            used.append([])
        used[row].append((left, right))
        chosen.append(row)
    return chosen


def ticks(seconds: float, most: int) -> list[float]:
    """Return round numbers of seconds from 0 up to ``seconds``: at least one, at most ``most``."""
    step: float = next(size for size in _STEPS if seconds / size < most)
    return [round(number * step, 3) for number in range(int(seconds / step) + 1)]


_STEPS: Final = tuple(mantissa * 10.0**exponent for exponent in range(-3, 6) for mantissa in (1, 2, 5))


def _segment(begin: Moment, end: int) -> Segment:
    return Segment(node=begin.node, unit=begin.unit, step=begin.step, begin=begin.usec, end=end)
