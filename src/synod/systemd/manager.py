# SPDX-License-Identifier: LGPL-2.1-or-later
"""Client of this host's service manager: jobs, unit states, and what happens to it.

It translates; it decides nothing about units. A call's D-Bus errors are raised, a job's bad end is a
JobResult. After a lost connection, or when PID 1 re-executed itself, everything that is watched is read
anew and only then on_connected() is called. Source: org.freedesktop.systemd1(5).

Signals count only when they come from the owner of the name: any local user can send ours a forged one.
"""

import asyncio
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Protocol

from synod.base.errors import SynodError
from synod.base.ids import UnitName
from synod.base.usec import USEC_PER_SEC, Usec
from synod.systemd.bus import DAEMON_NAME, PROPERTIES, Bus, CallError, NoSuchUnitError, Reply, Signal
from synod.systemd.jobs import JobResult, Jobs
from synod.systemd.shim import plain
from synod.systemd.unitstate import UnitState, inactive_state, job_of, unit_state
from synod.systemd.unitstate import unit_path as path_of
from synod.systemd.watches import Watches

NAME: Final = "org.freedesktop.systemd1"
PATH: Final = "/org/freedesktop/systemd1"
MANAGER: Final = NAME + ".Manager"
UNIT: Final = NAME + ".Unit"
JOB: Final = NAME + ".Job"

RELOAD_TIMEOUT_USEC: Final = Usec(90 * USEC_PER_SEC)
"""daemon-reload blocks PID 1 for about 0.5 ms for each loaded unit, and generators may take their 90 s."""

JOB_READS_MAX: Final = 3
"""Reads of a unit whose job ends in between, before the last one is believed without its type."""

SHUTDOWN_TARGET: Final = UnitName("shutdown.target")
DEFAULT_TARGET: Final = UnitName("default.target")

_MATCHES: Final = (
    f"type='signal',sender='{DAEMON_NAME}',interface='{DAEMON_NAME}',member='NameOwnerChanged',arg0='{NAME}'",
    # One rule instead of one per unit: dbus-daemon allows 512. This interface is two thirds of the signals.
    f"type='signal',sender='{NAME}',interface='{PROPERTIES}',member='PropertiesChanged',arg0='{UNIT}'",
    *(f"type='signal',sender='{NAME}',interface='{MANAGER}',member='{member}'"
      for member in ("JobNew", "JobRemoved", "Reloading", "StartupFinished")),
)  # fmt: skip

_logger = logging.getLogger(__name__)


class Observer(Protocol):
    """Who is told. Nothing here may wait; an exception from on_unit_changed() ends run()."""

    def on_connected(self) -> None:
        """Take note: signals flow from now on, and every watched unit will be reported anew."""

    def on_disconnected(self) -> None:
        """Take note: PID 1 is out of sight, jobs that were waited for end as unknown."""

    def on_unit_changed(self, unit: UnitName, state: UnitState) -> None:
        """Take the state of a watched unit, the first one and every different one."""

    def on_job_removed(self, job: JobResult) -> None:
        """Take the end of any job on this host."""

    def on_reloading(self, is_reloading: bool) -> None:
        """Note that daemon-reload began (True) or ended (False)."""

    def on_boot_over(self) -> None:
        """Note that the boot transaction is done, once."""

    def on_stopping(self) -> None:
        """Note that this host shuts down, once."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ListedUnit:
    """One row of ListUnits: less than a UnitState, for many units at once."""

    unit: UnitName
    load_state: str
    active_state: str
    sub_state: str
    job_id: int
    job_type: str


class Manager:
    """The client. run() must be running for anything else to work."""

    def __init__(self, bus: Bus, observer: Observer) -> None:
        self._bus = bus
        self._observer = observer
        self._jobs = Jobs()
        self._watches = Watches(self._watched_state, observer.on_unit_changed)
        self._owner = ""
        self._recheck = asyncio.Event()
        self._needs_resync = False
        self._is_boot_over = False
        self._is_stopping = False
        bus.add_listener(self, _MATCHES)

    async def run(self) -> None:
        """Serve until cancelled. The bus is run by its owner."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._watches.run(), name="unit-watches")
            tasks.create_task(self._keep_checked(), name="manager-checks")

    # Calls

    async def start_unit(self, unit: UnitName, mode: str = "replace", *, urgent: bool = False) -> JobResult:
        """Start a unit and wait for the job.

        At most 200 jobs are waited for at a time; an ``urgent`` one, which others wait for in PID 1 (a
        mirror, a barrier's stop), does not queue behind them. Raises as Bus.call() does, NoSuchUnitError
        included; IndefiniteError when the job's end was missed. A job has no time limit but the unit's own.
        """
        return await self._run_job("StartUnit", unit, mode, urgent=urgent)

    async def stop_unit(self, unit: UnitName, mode: str = "replace", *, urgent: bool = False) -> JobResult:
        """Stop a unit and wait for the job; see start_unit()."""
        return await self._run_job("StopUnit", unit, mode, urgent=urgent)

    async def restart_unit(
        self, unit: UnitName, mode: str = "replace", *, urgent: bool = False
    ) -> JobResult:
        """Restart a unit, or start it, and wait for the job; see start_unit()."""
        return await self._run_job("RestartUnit", unit, mode, urgent=urgent)

    async def reload_unit(self, unit: UnitName, mode: str = "replace", *, urgent: bool = False) -> JobResult:
        """Reload a unit and wait for the job; CallError JobTypeNotApplicable when it cannot be reloaded."""
        return await self._run_job("ReloadUnit", unit, mode, urgent=urgent)

    async def _run_job(self, member: str, unit: UnitName, mode: str, *, urgent: bool) -> JobResult:
        async def enqueue() -> str:
            return str((await self._call(member, "ss", unit, mode)).body[0])

        return await self._jobs.run(enqueue, urgent=urgent)

    async def cancel_job(self, job_id: int) -> None:
        """Cancel a queued job; NoSuchJob is a CallError."""
        await self._call("CancelJob", "u", job_id)

    async def reset_failed(self, unit: UnitName) -> None:
        """Forget a failure and the start counter; NoSuchUnitError when the unit is not loaded."""
        await self._call("ResetFailedUnit", "s", unit)

    async def load_unit(self, unit: UnitName) -> str:
        """Load a unit, which succeeds even when it has no file, and return its object path."""
        return str((await self._call("LoadUnit", "s", unit)).body[0])

    async def properties(self, unit: UnitName) -> Mapping[str, Any]:
        """Return all properties of a unit in one snapshot (0.5 ms), Variants stripped."""
        stripped: Mapping[str, Any] = plain(await self._properties(path_of(unit)))
        return stripped

    async def unit_state(self, unit: UnitName) -> UnitState:
        """Return the state of a unit, loading it when needed; ``load_state`` tells whether it exists."""
        path = path_of(unit)
        for _ in range(JOB_READS_MAX):
            properties = await self._properties(path)
            job_id, job_path = job_of(properties)
            if job_id == 0:
                return unit_state(properties)
            try:
                return unit_state(properties, job_type=await self._job_type(job_path))
            except NoSuchUnitError:
                continue  # the job ended in between: the snapshot is old
        return unit_state(properties)

    async def fresh_state(self, unit: UnitName) -> UnitState:
        """Return the state of a unit, as unit_state() does; of a watched one in order with its reports."""
        watched = await self._watches.fresh(unit)
        return watched if watched is not None else await self.unit_state(unit)

    async def list_units(self, patterns: Sequence[str]) -> tuple[ListedUnit, ...]:
        """Return the loaded units whose names match one of the globs."""
        reply = await self._call("ListUnitsByPatterns", "asas", [], list(patterns))
        return tuple(_listed(row) for row in reply.body[0])

    async def ping(self, timeout_usec: Usec | None = None) -> None:
        """Return when PID 1 itself answered."""
        await self._bus.call(
            destination=NAME,
            path=PATH,
            interface="org.freedesktop.DBus.Peer",
            member="Ping",
            timeout_usec=timeout_usec,
        )

    async def daemon_reload(self) -> None:
        """Reload all unit files and run the generators; blocks PID 1 meanwhile."""
        await self._call("Reload", "", timeout_usec=RELOAD_TIMEOUT_USEC)

    async def soft_reboots(self) -> int:
        """Return how often user space was restarted since the kernel booted; 0 before systemd 254."""
        try:
            return int(await self._property(PATH, MANAGER, "SoftRebootsCount"))
        except CallError:
            return 0

    async def is_stopping(self) -> bool:
        """Whether a shutdown, of any kind, was requested or is under way."""
        state = await self.unit_state(SHUTDOWN_TARGET)
        return state.active_state in ("active", "activating") or state.job_type == "start"

    async def boot_is_over(self) -> bool:
        """Whether the boot transaction is done: once over, it stays over.

        It is when default.target has no job any more (our own jobs may keep SystemState at ``starting``),
        or when startup once finished, because then its job belongs to a later ``isolate``.
        """
        if not self._is_boot_over:
            finished = await self._property(PATH, MANAGER, "FinishTimestampMonotonic")
            is_over = finished or (await self.unit_state(DEFAULT_TARGET)).job_id == 0
            if is_over and not self._is_boot_over:
                self._is_boot_over = True
                self._observer.on_boot_over()
        return self._is_boot_over

    def watch(self, unit: UnitName) -> None:
        """Report this unit's state now and whenever it changes; an alias is followed.

        What is reported of an inactive unit without a job is its name, the three states and its last
        cgroup, where processes may be left.
        """
        self._watches.add(unit)

    def unwatch(self, unit: UnitName) -> None:
        """Undo watch()."""
        self._watches.remove(unit)

    def last_state(self, unit: UnitName) -> UnitState | None:
        """Return what was reported last of a watched unit, or None."""
        return self._watches.last(unit)

    async def _watched_state(self, unit: UnitName) -> UnitState:
        """Read an inactive unit's state without its UnitFileState.

        PID 1 forgets such a unit between two reads and searches all unit directories for that property each
        time (2.5 ms and more, 0.3 ms without).
        """
        row = _listed((await self._call("ListUnitsByNames", "as", [unit])).body[0][0])
        last = self._watches.last(unit)
        group = last.control_group if last is not None else ""
        if row.active_state == "inactive" and row.job_id == 0:
            return inactive_state(
                row.unit, load_state=row.load_state, sub_state=row.sub_state, control_group=group
            )
        state = await self.unit_state(unit)
        if state.active_state == "inactive" and state.job_id == 0:
            return inactive_state(
                state.unit,
                load_state=state.load_state,
                sub_state=state.sub_state,
                control_group=state.control_group or group,
            )
        return state

    async def _call(
        self, member: str, signature: str, *body: Any, timeout_usec: Usec | None = None
    ) -> Reply:
        return await self._bus.call(
            destination=NAME,
            path=PATH,
            interface=MANAGER,
            member=member,
            signature=signature,
            body=body,
            timeout_usec=timeout_usec,
        )

    async def _properties(self, path: str) -> Mapping[str, Any]:
        # The empty interface stands for all: one snapshot of Unit and of the type's own properties.
        reply = await self._bus.call(
            destination=NAME, path=path, interface=PROPERTIES, member="GetAll", signature="s", body=("",)
        )
        properties: Mapping[str, Any] = reply.body[0]
        return properties

    async def _property(self, path: str, interface: str, name: str) -> Any:
        reply = await self._bus.call(
            destination=NAME,
            path=path,
            interface=PROPERTIES,
            member="Get",
            signature="ss",
            body=(interface, name),
        )
        return plain(reply.body[0])

    async def _job_type(self, path: str) -> str:
        return str(await self._property(path, JOB, "JobType"))

    async def _job_paths(self) -> frozenset[str]:
        return frozenset(row[4] for row in (await self._call("ListJobs", "")).body[0])

    # Listener

    async def resync(self) -> None:
        """Subscribe, and look at everything again."""
        self._owner = await self._bus.name_owner(NAME) or ""
        if not self._owner:
            return  # NameOwnerChanged will tell
        try:
            await self._call("Subscribe", "")
        except CallError as error:
            if error.name != NAME + ".AlreadySubscribed":
                raise
        if self._jobs.waiting:
            self._jobs.keep_only(
                await self._job_paths(), "the service manager restarted and the end of the job was missed"
            )
        await self._check()
        self._watches.resync()
        self._observer.on_connected()

    def lost(self) -> None:
        """Give up all jobs."""
        was_known, self._owner = bool(self._owner), ""
        self._jobs.keep_only((), "the connection to the service manager was lost before the job ended")
        if was_known:
            self._observer.on_disconnected()

    def received(self, signal: Signal) -> None:
        """Handle one signal."""
        if signal.sender == DAEMON_NAME and signal.member == "NameOwnerChanged" and signal.body[0] == NAME:
            self._owner_changed(str(signal.body[2]))
        elif signal.sender != self._owner:
            return
        elif signal.interface == PROPERTIES:
            self._watches.changed(signal.path)
        elif signal.interface == MANAGER:
            self._manager_signal(signal.member, signal.body)

    def _owner_changed(self, owner: str) -> None:
        if owner == self._owner:
            return
        if self._owner:
            self._observer.on_disconnected()
        self._owner = owner
        if owner:
            self._needs_resync = True
            self._recheck.set()

    def _manager_signal(self, member: str, body: Sequence[Any]) -> None:
        if member == "JobRemoved":
            job = JobResult(job_id=body[0], unit=UnitName(body[2]), result=body[3])
            self._jobs.removed(body[1], job)
            self._observer.on_job_removed(job)
            if not self._is_boot_over and job.unit.endswith(".target"):
                self._recheck.set()  # the default target goes by any name, and few targets end before it
        elif member == "Reloading":
            self._observer.on_reloading(bool(body[0]))
        elif member == "StartupFinished" or (member == "JobNew" and body[2] == SHUTDOWN_TARGET):
            self._recheck.set()

    async def _keep_checked(self) -> None:
        while True:
            await self._recheck.wait()
            self._recheck.clear()
            try:
                if self._needs_resync:
                    self._needs_resync = False
                    await self.resync()
                else:
                    await self._check()
            except SynodError as error:
                _logger.warning("Cannot ask the service manager, retrying: %s", error)
                await asyncio.sleep(1)
                if self._bus.is_connected:
                    self._needs_resync = True
                    self._recheck.set()

    async def _check(self) -> None:
        await self.boot_is_over()
        if not self._is_stopping and await self.is_stopping():
            self._is_stopping = True
            self._observer.on_stopping()


def _listed(row: Sequence[Any]) -> ListedUnit:
    name, _, load_state, active_state, sub_state, _, _, job_id, job_type, _ = row
    return ListedUnit(
        unit=UnitName(name),
        load_state=load_state,
        active_state=active_state,
        sub_state=sub_state,
        job_id=job_id,
        job_type=job_type,
    )
