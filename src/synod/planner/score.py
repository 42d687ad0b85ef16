# SPDX-License-Identifier: LGPL-2.1-or-later
"""Scores: what speaks for a node and what against it, in points and in words.

Decides how points add up and which node is best; refuses to know where points come from. The arithmetic is
Pacemaker's: sums saturate at +-1000000, and "never" beats "always". Only "never" rules a node out: a node
that is merely disliked is better than none.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import reduce

from synod.base.ids import NodeName, UnitName
from synod.model.attributes import INFINITY


def add(one: int, other: int) -> int:
    """Add two scores."""
    if -INFINITY in (one, other):
        return -INFINITY
    if INFINITY in (one, other):
        return INFINITY
    return max(-INFINITY, min(INFINITY, one + other))


@dataclass(frozen=True, slots=True)
class Reason:
    """Points of one origin."""

    points: int
    text: str
    yielding: UnitName | None = None
    """A unit of lower priority that stands in the way, and makes room if there is no other node."""


@dataclass(frozen=True, slots=True)
class Score:
    """One node, for one more instance of a unit."""

    reasons: tuple[Reason, ...] = ()

    @property
    def points(self) -> int:
        """The sum."""
        return reduce(add, (reason.points for reason in self.reasons), 0)

    @property
    def obstacles(self) -> tuple[Reason, ...]:
        """What rules the node out."""
        return tuple(reason for reason in self.reasons if reason.points == -INFINITY)

    @property
    def is_open(self) -> bool:
        """Whether the node will do as it is."""
        return not self.obstacles

    @property
    def can_be_cleared(self) -> bool:
        """Whether nothing is in the way but units that make room."""
        return all(reason.yielding is not None for reason in self.obstacles)

    @property
    def wishes(self) -> int:
        """The sum without what rules the node out: which node to clear."""
        return reduce(add, (reason.points for reason in self.reasons if reason.points != -INFINITY), 0)


Table = Mapping[NodeName, Score]
"""Every node, for one more instance of a unit."""


def best(table: Table, load: Mapping[NodeName, int]) -> NodeName | None:
    """Choose the open node with the most points, then the fewest exclusive units, then the first name."""
    return min(
        (name for name, score in table.items() if score.is_open),
        key=lambda name: (-table[name].points, load[name], name),
        default=None,
    )


def best_to_clear(table: Table, load: Mapping[NodeName, int]) -> NodeName | None:
    """Choose the node where the fewest units make room, then as best() does."""
    return min(
        (name for name, score in table.items() if score.can_be_cleared),
        key=lambda name: (len(table[name].obstacles), -table[name].wishes, load[name], name),
        default=None,
    )
