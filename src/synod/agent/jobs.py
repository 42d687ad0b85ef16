# SPDX-License-Identifier: LGPL-2.1-or-later
"""Jobs for PID 1, and units as the node wants to see them.

A job whose end was missed is reported as ``missed``, one that PID 1 may never have taken as ``unknown``,
with the unit as it is now, never as failed.
"""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Final

from synod.base.errors import IndefiniteError, SynodError
from synod.base.ids import UnitName
from synod.engine.effects import Look, RunJob
from synod.engine.events import Event, JobDone, Looked, UnitSeen
from synod.model.unit import LocalUnit
from synod.systemd.bus import NotConnectedError
from synod.systemd.cgroup import is_populated
from synod.systemd.jobs import JobMissedError
from synod.systemd.manager import Manager
from synod.systemd.unitstate import UnitState

RECHECK_SEC: Final = 0.05
"""Between looks at the cgroup of a unit that is down but whose processes are not: no signal tells."""
_URGENT: Final = ("synod-mirror@", "synod-bound@", "synod-hold@")


def local_unit(state: UnitState) -> LocalUnit:
    """Translate what PID 1 says of a unit, with a look at its cgroup when the unit is down."""
    populated = False
    if state.active_state in ("inactive", "failed"):
        try:
            populated = is_populated(state.control_group)
        except IndefiniteError:
            populated = True  # what cannot be proved gone still counts as running
    return LocalUnit(
        unit=state.unit,
        load=state.load_state,
        active=state.active_state,
        sub=state.sub_state,
        job=state.job_type or ("unknown" if state.job_id else ""),
        result=state.result,
        is_populated=populated,
    )


class JobRunner:
    """Carries out RunJob effects and keeps looking at units that are down but not gone."""

    def __init__(self, manager: Manager, feed: Callable[[Event], None]) -> None:
        self._manager = manager
        self._feed = feed
        self._tasks: set[asyncio.Task[None]] = set()
        self._lingering: dict[UnitName, None] = {}

    def run(self, effect: RunJob) -> None:
        """Start a job; JobDone follows."""
        self._spawn(self._run(effect))

    def look(self, effect: Look) -> None:
        """Read a unit, from now on; Looked follows, however long PID 1 cannot be asked."""
        self._spawn(self._look(effect))

    async def _look(self, effect: Look) -> None:
        unit = await self.read(effect.unit)
        if unit.active != "unknown":
            self._feed(Looked(look=effect.look, unit=unit))
        else:
            await asyncio.sleep(RECHECK_SEC)
            self.look(effect)

    def _spawn(self, work: Coroutine[object, object, None]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _run(self, effect: RunJob) -> None:
        result, text = await self._outcome(effect)
        unit = await self.read(effect.unit)
        self._feed(JobDone(job=effect.job, result=result, unit=unit, text=text))

    async def _outcome(self, effect: RunJob) -> tuple[str, str]:
        call = {
            "start": self._manager.start_unit,
            "stop": self._manager.stop_unit,
            "restart": self._manager.restart_unit,
            "reload": self._manager.reload_unit,
        }[effect.verb]
        is_urgent = effect.verb == "stop" or effect.unit.startswith(_URGENT)
        try:
            job = await call(effect.unit, urgent=is_urgent)
        except JobMissedError as error:
            return "missed", str(error)
        except (IndefiniteError, NotConnectedError) as error:
            return "unknown", str(error)
        except SynodError as error:
            return "error", str(error)
        return job.result, ""

    async def read(self, unit: UnitName) -> LocalUnit:
        """Read a unit; one that PID 1 does not know is inactive, one that cannot be asked for is unclear."""
        try:
            seen = local_unit(await self._manager.fresh_state(unit))
        except (IndefiniteError, NotConnectedError):
            return LocalUnit(unit=unit, active="unknown", sub="unknown", job="unknown")
        except SynodError:
            return LocalUnit(unit=unit, load="not-found")
        self.linger(seen)
        return seen

    def latest(self, unit: LocalUnit) -> LocalUnit:
        """Return what has been reported of a unit since it was read, or the unit as it was read."""
        state = self._manager.last_state(unit.unit)
        return unit if state is None or unit.active == "unknown" else local_unit(state)

    def seen(self, state: UnitState) -> None:
        """Pass on what a signal brought."""
        unit = local_unit(state)
        self.linger(unit)
        self._feed(UnitSeen(unit=unit))

    def linger(self, unit: LocalUnit) -> None:
        """Look again until the processes of a unit that is down are gone."""
        if unit.is_populated and unit.unit not in self._lingering:
            self._lingering[unit.unit] = None
            self._spawn(self._linger(unit.unit))

    async def _linger(self, unit: UnitName) -> None:
        await asyncio.sleep(RECHECK_SEC)
        del self._lingering[unit]
        self._feed(UnitSeen(unit=await self.read(unit)))
