# SPDX-License-Identifier: LGPL-2.1-or-later
"""The arithmetic of majorities, and nothing else. Ongaro's dissertation, sections 3.4 and 3.6."""

from collections.abc import Mapping, Sequence
from enum import Enum

from synod.base.ids import NodeName


class Outcome(Enum):
    """What the votes cast so far decide."""

    OPEN = "open"
    WON = "won"
    LOST = "lost"


def majority(count: int) -> int:
    """Return how many of ``count`` voters are a majority; 1 of 0, which nobody can reach."""
    return count // 2 + 1


def reached(voters: Sequence[NodeName], values: Mapping[NodeName, int]) -> int:
    """Return the highest value that a majority of the voters has reached; one without a value has 0."""
    if not voters:
        return 0
    ranked = sorted((values.get(voter, 0) for voter in voters), reverse=True)
    return ranked[majority(len(voters)) - 1]


def tally(voters: Sequence[NodeName], votes: Mapping[NodeName, bool]) -> Outcome:
    """Return the outcome; votes of nodes that are not voters do not count."""
    needed = majority(len(voters))
    granted = sum(1 for voter in voters if votes.get(voter, False))
    refused = sum(1 for voter in voters if not votes.get(voter, True))
    if granted >= needed:
        return Outcome.WON
    return Outcome.LOST if len(voters) - refused < needed else Outcome.OPEN
