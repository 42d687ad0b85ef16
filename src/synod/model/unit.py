# SPDX-License-Identifier: LGPL-2.1-or-later
"""What a node sees of a unit, in systemd's words, and the names of the template units around it."""

from dataclasses import dataclass
from typing import Final

from synod.base.ids import UnitName

UP_STATES: Final = ("active", "reloading", "refreshing")
"""ActiveState values under which a unit does its work (systemctl(1), "is-active")."""
DOWN_STATES: Final = ("inactive", "failed")
"""Those under which it does nothing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LocalUnit:
    """One unit as PID 1 of this node reports it."""

    unit: UnitName
    load: str = "loaded"
    """LoadState: loaded, not-found, masked, bad-setting, error."""
    active: str = "inactive"
    sub: str = "dead"
    job: str = ""
    """Type of the queued or running job, such as start, stop, restart; empty when there is none."""
    result: str = "success"
    """Result of the last run, such as exit-code or timeout; says why a unit failed."""
    is_populated: bool = False
    """Whether the unit's cgroup still holds a process."""

    @property
    def is_up(self) -> bool:
        """Whether the unit does its work and no job is about to change that."""
        return self.active in UP_STATES and self.job not in ("stop", "restart", "try-restart")

    @property
    def is_down(self) -> bool:
        """Whether it does nothing now; a job may be about to change that, and processes may be left."""
        return self.active in DOWN_STATES

    @property
    def is_still(self) -> bool:
        """Whether nothing of the unit runs; a job may wait to start it."""
        return self.is_down and not self.is_populated

    @property
    def is_gone(self) -> bool:
        """Whether nothing of the unit runs and nothing will: the clean stop of safety rule 2.2."""
        return self.is_still and not self.job


def mirror_of(unit: UnitName) -> UnitName:
    """Name the target that stands for a provider while it is exported anywhere."""
    return UnitName(f"synod-mirror@{unit}.target")


def bound_of(unit: UnitName) -> UnitName:
    """Name the target that follows a provider for BindsTo= dependants."""
    return UnitName(f"synod-bound@{unit}.target")


def hold_of(unit: UnitName) -> UnitName:
    """Name the service whose stop job delays that of the unit until its dependants are down."""
    return UnitName(f"synod-hold@{unit}.service")
