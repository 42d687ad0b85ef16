# SPDX-License-Identifier: LGPL-2.1-or-later
"""Jobs and transactions of PID 1: what one request pulls in, what merges, what waits for what.

The rules are those of systemd(1) and systemd.unit(5) ("Requires=", "BindsTo=", "PartOf=", "After=");
of two ordered units a stop goes first, whatever their order.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Final

from synod.base.ids import UnitName
from synod.sim.definitions import UnitFiles

Listener = Callable[[str], None]
"""Told the result of a job, in systemd's words."""

FIRST: Final = ("stop", "restart")
"""Of two ordered units with jobs the later one goes first when its job is one of these."""


@dataclass(slots=True, eq=False)
class Job:
    """One unit's job."""

    unit: UnitName
    verb: str
    is_running: bool = False
    is_put_off: bool = False
    """It could not be begun as the unit is; tried again when that changes."""
    listeners: list[Listener] = field(default_factory=list)


def merge(known: str | None, verb: str) -> str:
    """Return the verb that does both; a stop and a start cannot be merged, the newer one wins."""
    if known is not None and "stop" not in (known, verb) and known != verb:
        return "restart"
    return verb


def is_conflicting(known: str, verb: str) -> bool:
    """Whether a new job cancels the one that there is."""
    return known != verb and "stop" in (known, verb)


def pull_in(
    plan: dict[UnitName, str],
    files: UnitFiles,
    is_active: Callable[[UnitName], bool],
    unit: UnitName,
    verb: str,
) -> None:
    """Add a job and all that it brings along to a transaction."""
    merged = merge(plan.get(unit), verb)
    file = files.get(unit)
    if file is None or plan.get(unit) == merged:
        return
    plan[unit] = merged
    if merged != "stop":
        for name in (*file.requires, *file.binds_to, *file.wants):
            pull_in(plan, files, is_active, name, "start")
    if merged != "start":
        back = files.reverse(unit)
        for name in (*back.required_by, *back.bound_by, *back.consists_of):
            # A restart reaches only what runs, a stop whatever there is.
            if merged == "stop" or is_active(name):
                pull_in(plan, files, is_active, name, merged)


def blockers(files: UnitFiles, jobs: dict[UnitName, Job], job: Job) -> Iterator[Job]:
    """Yield the jobs that a job has to wait for."""
    file, back = files.get(job.unit), files.reverse(job.unit)
    for name in (*(file.after if file is not None else ()), *back.after):
        if name in jobs and job.verb not in FIRST:
            yield jobs[name]
    for name in (*(file.before if file is not None else ()), *back.before):
        if name in jobs and jobs[name].verb in FIRST:
            yield jobs[name]
