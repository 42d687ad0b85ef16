# SPDX-License-Identifier: LGPL-2.1-or-later
"""A stand-in for PID 1 of one node: units that take time, fail, crash, restart and go down in order.

It knows units, jobs, conditions, waiters and cgroups, and nothing of clusters. What it leaves out: start
limits, job modes other than replace, and unit types whose life differs from a target's, a oneshot's or a
notifying service's.
"""

from collections.abc import Callable
from dataclasses import replace
from typing import Final

from synod.base.ids import UnitName
from synod.model.unit import LocalUnit
from synod.sim.clock import Timekeeper
from synod.sim.definitions import DRAIN, Behaviour, UnitFile, UnitFiles
from synod.sim.jobs import Job, Listener, blockers, is_conflicting, merge, pull_in
from synod.sim.surroundings import Surroundings, Unit, Waiter

_DOWN: Final = ("inactive", "failed")
_UP: Final = ("active", "activating")


class ServiceManager:
    """One boot of PID 1."""

    def __init__(
        self,
        clock: Timekeeper,
        files: UnitFiles,
        behaviours: dict[UnitName, Behaviour],
        around: Surroundings,
    ) -> None:
        self._clock = clock
        self._files = files
        self._behaviours = behaviours
        self._around = around
        self._units: dict[UnitName, Unit] = {}
        self._jobs: dict[UnitName, Job] = {}
        self._bound: dict[UnitName, None] = {}
        """Units to be stopped because one that they are bound to went down by itself."""
        self._is_settling = False
        self._is_dead = False
        self._powered_down: Callable[[], None] | None = None

    # What others see

    def show(self, unit: UnitName) -> LocalUnit:
        """Return a unit as D-Bus would show it."""
        known = self._units.get(unit)
        if known is None:
            load = "loaded" if self._files.get(unit) is not None else "not-found"
            return LocalUnit(unit=unit, load=load)
        shown = known.show(self.job_of(unit))
        return replace(shown, load="masked") if unit in self._files.masked else shown

    def runs(self, unit: UnitName) -> int:
        """Return how often a unit's process was started in this boot."""
        known = self._units.get(unit)
        return known.runs if known is not None else 0

    def loaded(self) -> tuple[UnitName, ...]:
        """List the units that were ever used in this boot, and all annotated ones."""
        return tuple(dict.fromkeys((*self._files.specs, *self._units)))

    def job_of(self, unit: UnitName) -> str:
        """Return the type of a unit's job, empty when there is none."""
        return self._jobs[unit].verb if unit in self._jobs else ""

    def is_busy(self) -> bool:
        """Whether anything is queued or under way that does not wait for the cluster's word."""
        waiting = {
            unit.waiter.subject
            for unit in self._units.values()
            if unit.waiter is not None and unit.waiter.verb in ("place", "want")
        }
        return any(not name.startswith("synod-") and name not in waiting for name in self._jobs)

    # Requests

    def run(self, verb: str, unit: UnitName, listener: Listener) -> None:
        """Enqueue a job, mode replace; ``error`` when there is no such unit or the machine goes down."""
        if self._files.get(unit) is None or (self._powered_down is not None and verb != "stop"):
            listener("error")
        elif verb == "reload":
            listener("done" if self._unit(unit).active == "active" else "failed")
        else:
            self._enqueue({unit: verb}, listener)

    def boot(self, units: list[UnitName], listener: Listener) -> None:
        """Start what is enabled, in one transaction, and say when its last job is done."""
        left = dict.fromkeys((DRAIN, *units), "start")

        def done(unit: UnitName) -> None:
            left.pop(unit, None)
            if not left:
                listener("done")

        self._enqueue(dict(left), *(lambda _, unit=unit: done(unit) for unit in list(left)))

    def shut_down(self, listener: Callable[[], None]) -> None:
        """Stop everything in order; nothing is started any more."""
        self._powered_down = listener
        for job in list(self._jobs.values()):
            if job.verb != "stop":
                self._finish(job, "canceled", is_recursive=False)
        for name, unit in list(self._units.items()):
            if unit.active not in _DOWN and not unit.file.outlives_shutdown:
                self._install(name, "stop")
        self._settle()

    def die(self) -> None:
        """Lose power: no timer of this boot does anything any more."""
        self._is_dead = True
        for name, unit in list(self._units.items()):
            unit.life += 1
            if unit.waiter is not None:
                unit.waiter.is_alive = False
            self._populate(name, is_populated=False)

    def crash(self, unit: UnitName) -> None:
        """Let a service's main process die, if it runs."""
        known = self._unit(unit)
        if known.active == "active" and known.is_populated:
            self._fail(unit)
            self._settle()

    def exited(self, waiter: Waiter, status: int) -> None:
        """Note that a waiter's process ended."""
        known = self._unit(waiter.unit)
        if not waiter.is_alive or known.waiter is not waiter or self._is_dead:
            return
        waiter.is_alive = False
        known.waiter = None
        known.result = "success" if status == 0 else "exit-code"
        self._move(waiter.unit, "inactive" if status == 0 else "failed", "dead" if status == 0 else "failed")
        self._settle()

    def reload(self) -> None:
        """Take in files that changed."""
        for name, unit in self._units.items():
            unit.file = self._files.get(name) or unit.file
        self._settle()

    # Transactions

    def _enqueue(self, anchors: dict[UnitName, str], *listeners: Listener) -> None:
        plan: dict[UnitName, str] = {}
        for unit, verb in anchors.items():
            pull_in(plan, self._files, self._is_active, unit, verb)
            plan.setdefault(unit, verb)  # of a unit whose file is gone, the one that is loaded counts
        for unit, verb in plan.items():
            job = self._jobs.get(unit)
            is_redundant = self._is_redundant(unit, verb) and not (job and is_conflicting(job.verb, verb))
            if unit in anchors or not is_redundant:
                self._install(unit, verb)
        for unit, listener in zip(anchors, listeners, strict=True):
            self._jobs[unit].listeners.append(listener)
        self._settle()

    def _is_active(self, unit: UnitName) -> bool:
        return self._unit(unit).active in _UP

    def _is_redundant(self, unit: UnitName, verb: str) -> bool:
        active = self._unit(unit).active
        return (verb == "start" and active == "active") or (verb == "stop" and active in _DOWN)

    def _install(self, unit: UnitName, verb: str) -> None:
        job = self._jobs.get(unit)
        if job is not None and is_conflicting(job.verb, verb):
            self._finish(job, "canceled", is_recursive=False)
            job = None
        if job is None:
            self._jobs[unit] = Job(unit, verb)
        else:
            merged = merge(job.verb, verb)
            if merged != job.verb:
                job.verb, job.is_running, job.is_put_off = merged, False, False
        self._around.changed(unit)

    def _settle(self) -> None:
        """Begin whatever can begin, until nothing can."""
        if self._is_settling or self._is_dead:
            return
        self._is_settling = True
        while not self._is_dead:
            job = next((job for job in self._jobs.values() if self._is_runnable(job)), None)
            if job is not None:
                self._perform(job)
            elif not self._stop_bound():
                break
        self._is_settling = False
        if self._powered_down is not None and not self._jobs and not self._is_dead:
            done, self._powered_down = self._powered_down, lambda: None
            done()

    def _is_runnable(self, job: Job) -> bool:
        if job.is_running or job.is_put_off:
            return False
        return next(blockers(self._files, self._jobs, job), None) is None

    def _stop_bound(self) -> bool:
        """Stop one unit that is bound to one that is down; return whether there was any."""
        for name, unit in self._units.items():
            is_due = name in self._bound and unit.active not in _DOWN
            if not is_due and unit.active == "active" and name not in self._jobs:
                is_due = any(
                    self._unit(other).active in _DOWN and other not in self._jobs
                    for other in unit.file.binds_to
                )
            if is_due:
                self._bound.pop(name, None)
                plan: dict[UnitName, str] = {}
                pull_in(plan, self._files, self._is_active, name, "stop")
                for other in plan:
                    if not self._is_redundant(other, "stop") or other in self._jobs:
                        self._install(other, "stop")
                return True
        self._bound.clear()
        return False

    def _finish(self, job: Job, result: str, *, is_recursive: bool = True) -> None:
        if job.verb == "restart" and result == "done":
            job.verb, job.is_running, job.is_put_off = "start", False, False
            self._around.changed(job.unit)
            return
        if self._jobs.get(job.unit) is not job:
            return
        del self._jobs[job.unit]
        self._around.changed(job.unit)
        for listener in job.listeners:
            listener(result)
        if result != "done" and is_recursive and job.verb == "start":
            back = self._files.reverse(job.unit)
            for name in (*back.required_by, *back.bound_by):
                if name in self._jobs and self._jobs[name].verb == "start":
                    self._finish(self._jobs[name], "dependency")

    # One job

    def _perform(self, job: Job) -> None:
        job.is_running = True
        verdict = self._start(job.unit) if job.verb == "start" else self._stop(job.unit)
        if verdict == "again":
            job.is_running, job.is_put_off = False, True
        elif verdict:
            self._finish(job, verdict)

    def _start(self, name: UnitName) -> str:
        unit = self._unit(name)
        if unit.active == "active":
            return "done"
        if unit.active == "deactivating" or unit.sub == "auto-restart":
            return "again"
        if unit.active == "activating":
            return ""
        if not all(map(self._around.exists, unit.file.needs)):
            return "done"
        if unit.file.needs_not and all(map(self._around.exists, unit.file.needs_not)):
            return "done"
        # Only with After= (unit_verify_deps() of systemd): without it both start at once, in any order.
        ordered = (other for other in unit.file.binds_to if other in unit.file.after)
        if any(self._unit(other).active != "active" for other in ordered):
            return "dependency"
        unit.life += 1
        unit.result = "success"
        if unit.file.asks_at_start:
            self._move(name, "activating", "start")
            self._wait(name, unit.file.asks_at_start)
        elif name.startswith("synod-"):
            self._move(name, "active", "active")
        else:
            self._move(name, "activating", "start")
            unit.runs += 1
            self._populate(name, is_populated=True)
            self._later(name, unit.behaviour.start_usec, lambda: self._started(name))
        return ""

    def _stop(self, name: UnitName) -> str:
        unit = self._unit(name)
        if unit.active in _DOWN:
            return "done"
        if unit.active == "deactivating":
            return ""
        unit.life += 1
        if unit.waiter is not None:
            self._kill(unit)
        if unit.file.asks_at_stop:
            self._move(name, "deactivating", "stop")
            self._wait(name, unit.file.asks_at_stop)
        elif not unit.is_populated or unit.sub == "auto-restart":
            self._move(name, "inactive", "dead")
        else:
            self._move(name, "deactivating", "stop-sigterm")
            self._later(name, unit.behaviour.stop_usec, lambda: self._stopped(name))
        return ""

    # Processes

    def _started(self, name: UnitName) -> None:
        unit = self._unit(name)
        if unit.behaviour.failures > 0:
            unit.behaviour.failures -= 1
            self._fail(name)
        else:
            self._move(name, "active", "running")

    def _stopped(self, name: UnitName) -> None:
        self._end_processes(name)
        self._move(name, "inactive", "dead")

    def _fail(self, name: UnitName) -> None:
        unit = self._unit(name)
        unit.life += 1
        unit.result = "exit-code"
        self._end_processes(name)
        restart_usec = unit.behaviour.restart_usec
        self._move(name, "failed", "failed")
        if restart_usec is not None and self.job_of(name) != "stop" and self._powered_down is None:
            self._move(name, "activating", "auto-restart")
            self._later(name, restart_usec, lambda: self._enqueue({name: "restart"}, lambda _: None))

    def _end_processes(self, name: UnitName) -> None:
        unit = self._unit(name)
        if unit.behaviour.linger_usec:
            run = unit.runs

            def gone() -> None:
                if unit.runs == run and not self._is_dead:
                    self._populate(name, is_populated=False)
                    self._settle()

            self._clock.after(unit.behaviour.linger_usec, gone)
        else:
            self._populate(name, is_populated=False)

    def _populate(self, name: UnitName, *, is_populated: bool) -> None:
        unit = self._unit(name)
        if unit.is_populated != is_populated:
            unit.is_populated = is_populated
            self._around.populated(name, is_populated=is_populated)
            self._around.changed(name)

    def _wait(self, name: UnitName, verb: str) -> None:
        unit = self._unit(name)
        deadline = self._clock.now + unit.file.timeout_usec
        waiter = unit.waiter = Waiter(name, verb, unit.file.subject, deadline)
        self._watch(waiter)
        self._around.ask(waiter)

    def _watch(self, waiter: Waiter) -> None:
        def look() -> None:
            if not waiter.is_alive or self._is_dead:
                return
            if waiter.deadline > self._clock.now:
                self._watch(waiter)
                return
            unit = self._unit(waiter.unit)
            self._kill(unit)
            unit.result = "timeout"
            self._move(waiter.unit, "failed", "failed")
            self._settle()

        self._clock.after(waiter.deadline - self._clock.now, look)

    def _kill(self, unit: Unit) -> None:
        waiter, unit.waiter = unit.waiter, None
        if waiter is not None and waiter.is_alive:
            waiter.is_alive = False
            self._around.hang_up(waiter)

    def _later(self, name: UnitName, delay: int, action: Callable[[], None]) -> None:
        unit = self._unit(name)
        life = unit.life

        def due() -> None:
            if unit.life == life and not self._is_dead:
                action()
                self._settle()

        self._clock.after(delay, due)

    # States

    def _unit(self, name: UnitName) -> Unit:
        known = self._units.get(name)
        if known is None:
            file = self._files.get(name) or UnitFile(unit=name)
            behaviour = self._behaviours.setdefault(name, Behaviour())
            known = self._units[name] = Unit(file, behaviour=behaviour)
        return known

    def _move(self, name: UnitName, active: str, sub: str) -> None:
        """Enter a state, and draw the conclusions for the unit's job and for what is bound to it."""
        unit = self._unit(name)
        old, unit.active, unit.sub = unit.active, active, sub
        self._around.moved(name, old, active)
        self._around.changed(name)
        job = self._jobs.get(name)
        is_expected = False
        if job is not None:
            job.is_put_off = False
            is_expected = self._judge(job, active)
        if not is_expected and old in _UP and active not in _UP:
            self._bound |= dict.fromkeys(self._files.reverse(name).bound_by)

    def _judge(self, job: Job, active: str) -> bool:
        """Finish a job that the new state finishes; return whether the job explains the state."""
        if job.verb == "start":
            if active == "active":
                self._finish(job, "done")
            elif job.is_running and active != "activating":
                if active in _DOWN:
                    self._finish(job, "failed" if active == "failed" else "done")
                return False
        elif active in _DOWN:
            self._finish(job, "done")
        elif job.is_running and active != "deactivating":
            self._finish(job, "failed")
            return False
        return True
