# SPDX-License-Identifier: LGPL-2.1-or-later
"""How long a client went without an answer. Pure; all times are microseconds of one clock."""

import itertools
from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Silence:
    """A stretch of time from one answer to the next."""

    begin: int
    end: int

    @property
    def seconds(self) -> float:
        """How long it was."""
        return (self.end - self.begin) / 1e6


def longest(replies: Sequence[int], begin: int) -> Silence | None:
    """Return the longest time without a reply around or after ``begin``; None if it goes on.

    ``replies`` are in order. The silence is counted from the last reply before ``begin``: what the client
    saw, not what we know.
    """
    before = [usec for usec in replies if usec <= begin]
    seen = [*before[-1:], *(usec for usec in replies if usec > begin)]
    found = [Silence(begin=earlier, end=later) for earlier, later in itertools.pairwise(seen)]
    return max(found, key=lambda silence: silence.end - silence.begin) if before and found else None
