# SPDX-License-Identifier: LGPL-2.1-or-later
"""What PID 1 of the simulated machine touches outside of itself: files, waiters, and whoever watches."""

from dataclasses import dataclass
from typing import Protocol

from synod.base.ids import UnitName


@dataclass(slots=True, eq=False)
class Waiter:
    """A process of a template unit that asks the agent and exits with the answer."""

    unit: UnitName
    verb: str
    """place, want, release or leave."""
    subject: UnitName
    deadline: int
    is_alive: bool = True
    shown: str = ""


class Surroundings(Protocol):
    """What PID 1 touches outside of itself."""

    def exists(self, path: str) -> bool:
        """Whether a file below /run/synod exists."""

    def changed(self, unit: UnitName) -> None:
        """Take note of a signal: a unit's state, job or cgroup changed."""

    def ask(self, waiter: Waiter) -> None:
        """Let a waiter's process run."""

    def hang_up(self, waiter: Waiter) -> None:
        """Note that a waiter was killed."""

    def moved(self, unit: UnitName, old: str, new: str) -> None:
        """Take note of a change of ActiveState, at the moment at which it happens."""

    def populated(self, unit: UnitName, *, is_populated: bool) -> None:
        """Take note that the first process of a unit was started, or the last one ended."""
