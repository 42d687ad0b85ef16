# SPDX-License-Identifier: LGPL-2.1-or-later
"""Decides from what systemd wrote, and from when nodes lost power, whether a unit ever ran twice at once.

A copy counts from the moment systemd begins to start it, since from then on it may touch data, until systemd
says that it is gone or its node has lost power. All times are microseconds of the one clock that the nodes
share. Refuses to know who was right to start what.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import Enum
from itertools import combinations, groupby


class Step(Enum):
    """What systemd wrote about a unit."""

    STARTING = "starting"
    ACTIVE = "active"
    GONE = "gone"


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """One line of systemd in the journal of a node."""

    usec: int
    node: str
    boot: str
    """Boot id: what ran in an earlier life of the node is gone."""
    unit: str
    step: Step


@dataclass(frozen=True, slots=True, kw_only=True)
class Loss:
    """A node lost power; at that moment the last of its processes was dead."""

    usec: int
    node: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Interval:
    """A copy of a unit on a node, from ``begin`` until just before ``end``."""

    unit: str
    node: str
    begin: int
    end: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Overlap:
    """Two copies of a unit that existed at once."""

    unit: str
    nodes: tuple[str, str]
    begin: int
    end: int

    def __str__(self) -> str:
        seconds = (self.end - self.begin) / 1e6
        return f"{self.unit} ran on {self.nodes[0]} and {self.nodes[1]} at once for {seconds:.3f} s"


def intervals(events: Iterable[Event], losses: Sequence[Loss], until: int) -> list[Interval]:
    """Return every copy there was; one that nothing ended still exists at ``until``."""

    def place(event: Event) -> tuple[str, str]:
        return event.unit, event.node

    found = []
    for (unit, node), group in groupby(sorted(events, key=lambda event: (*place(event), event.usec)), place):
        ends = sorted(loss.usec for loss in losses if loss.node == node)
        found += [Interval(unit=unit, node=node, begin=begin, end=end)
                  for begin, end in _lives(list(group), ends, until)]
    return found


def _lives(events: Sequence[Event], losses: Sequence[int], until: int) -> list[tuple[int, int]]:
    """Return when the copies of one unit on one node began and ended; ``events`` are in order."""
    lives: list[tuple[int, int]] = []
    first: Event | None = None
    for event in events:
        if first is not None and (end := _end(first, event, losses)) is not None:
            lives.append((first.usec, end))
            first = None
        if first is None and event.step is not Step.GONE:
            first = event
    if first is not None:
        lives.append((first.usec, min((usec for usec in losses if usec >= first.usec), default=until)))
    return lives


def _end(first: Event, event: Event, losses: Sequence[int]) -> int | None:
    """Return when a copy that began with ``first`` ended, if it was at ``event`` at the latest."""
    lost = next((usec for usec in losses if first.usec <= usec <= event.usec), None)
    if lost is not None:
        return lost
    return event.usec if event.step is Step.GONE or event.boot != first.boot else None


def overlaps(found: Iterable[Interval]) -> list[Overlap]:
    """Return where copies of the same unit on different nodes existed at once."""
    return [Overlap(unit=one.unit, nodes=(one.node, other.node), begin=max(one.begin, other.begin),
                    end=min(one.end, other.end))
            for one, other in combinations(sorted(found, key=lambda copy: (copy.begin, copy.node)), 2)
            if one.unit == other.unit and one.node != other.node
            and max(one.begin, other.begin) < min(one.end, other.end)]
