# SPDX-License-Identifier: LGPL-2.1-or-later
"""What PID 1 of the simulated machine keeps of a unit, and what it touches outside of itself."""

from dataclasses import dataclass, field
from typing import Protocol

from synod.base.ids import UnitName
from synod.model.unit import LocalUnit
from synod.sim.definitions import Behaviour, UnitFile


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


@dataclass(slots=True)
class Unit:
    """One loaded unit."""

    file: UnitFile
    active: str = "inactive"
    sub: str = "dead"
    result: str = "success"
    is_populated: bool = False
    runs: int = 0
    """How often its process was started."""
    life: int = 0
    """Grows whenever timers set earlier are void."""
    waiter: Waiter | None = None
    behaviour: Behaviour = field(default_factory=Behaviour)

    def show(self, job: str) -> LocalUnit:
        """Return the unit as D-Bus would show it, with the type of its job."""
        return LocalUnit(
            unit=self.file.unit,
            active=self.active,
            sub=self.sub,
            job=job,
            result=self.result,
            is_populated=self.is_populated,
        )
