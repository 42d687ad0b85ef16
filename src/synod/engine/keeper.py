# SPDX-License-Identifier: LGPL-2.1-or-later
"""The keeper of this node's units: what the log allows and wants against what PID 1 shows.

Law 1: the gate of an exclusive unit is open only while this node holds its grant and the unit may start now.
Law 2: a grant is given back only after its gate is closed and nothing of the unit runs (safety rule 2.2).
Law 3: what a unit did by itself, or an administrator by a job, is never fought: it ends the grant, with the
       reason.
"""

from dataclasses import dataclass
from typing import Final

from synod.base.ids import Epoch, UnitName
from synod.base.messages import MessageId
from synod.engine.barriers import Barriers
from synod.engine.desk import EPOCH_NONE, Desk
from synod.engine.effects import WriteGrant
from synod.engine.proposals import Proposals
from synod.engine.readiness import Readiness
from synod.engine.strays import Strays
from synod.engine.verdict import Judge
from synod.model import adoption
from synod.model.command import Desired, Ending, Release
from synod.model.rows import Grant, barred
from synod.model.unit import LocalUnit, hold_of

PRIORITY_WARNING: Final = 4
PRIORITY_NOTICE: Final = 5
_DOWN_JOBS: Final = ("stop", "restart", "try-restart")


@dataclass(slots=True)
class _Course:
    """One unit's way through its present grant, or through its present wish when it needs none."""

    epoch: Epoch
    was_tried: bool = False
    """Whether the gate was opened for it: from then on, being down means that it ended."""
    job: int | None = None
    """The start or stop job under way that the keeper asked for."""
    is_being_stopped: bool = False
    """Whether that job is a stop: what follows from it is nobody else's doing."""
    was_shut: bool = False
    """Whether the gate was closed, for the want of something, over a unit that runs or starts: PID 1 may
    have skipped a start since. Closed behind a stop job it has skipped nothing.
    """
    was_up: bool = False
    is_released: bool = False
    failure: str = ""


class Keeper:
    """Starts, stops, exports and gives back."""

    def __init__(
        self,
        desk: Desk,
        readiness: Readiness,
        barriers: Barriers,
        judge: Judge,
        proposals: Proposals,
        strays: Strays,
        tried: dict[UnitName, Epoch],
    ) -> None:
        self._desk = desk
        self._readiness = readiness
        self._barriers = barriers
        self._judge = judge
        self._proposals = proposals
        self._strays = strays
        self._courses = {unit: _Course(epoch, was_tried=True) for unit, epoch in tried.items()}
        self._open = desk.gates
        self._open.update(tried)
        self._holds: dict[UnitName, int] = {}
        self._wishes: dict[UnitName, int] = {}
        """Revision of the last wish carried out, of units without grants."""
        self._at_boot: dict[UnitName, None] = {}
        self.only_here: dict[UnitName, int] = {}
        """Stops that could not be committed in time, with the revision they were said against."""

    def look(self, unit: UnitName) -> None:
        """Bring one unit of this node nearer to what is wanted."""
        spec = self._desk.spec(unit)
        if spec is None or unit not in self._desk.specs:
            self._part(unit)
        elif spec.is_exclusive:
            self._look_exclusive(unit)
        else:
            self._look_everywhere(unit)
        self._export(unit)

    def _part(self, unit: UnitName) -> None:
        """Let go of a unit that is masked, or not annotated here any more, once nothing of it runs."""
        if not self._desk.are_units_read:
            return
        self._close(unit)
        grant = self._desk.grant(unit)
        if grant is not None and unit in self._desk.local and self._desk.seen(unit).is_gone:
            course = self._course(unit, grant.epoch)
            if not course.is_released and course.job is None:
                self._release(unit, course, Ending.STOPPED, "not annotated here any more")

    # Units that need a grant

    def _look_exclusive(self, unit: UnitName) -> None:
        grant, seen = self._desk.grant(unit), self._desk.seen(unit)
        if grant is None:
            self._close(unit)
            self._courses.pop(unit, None)
            self._strays.look(unit, seen)
            return
        self._strays.forget(unit)
        course = self._course(unit, grant.epoch)
        if course.is_released:
            return
        if self._is_unwanted(unit, grant):
            self._take_down(unit, course, seen)
        elif self._desk.must_yield:
            # The grant is kept: the lease may come back before somebody else may have it.
            self._stop(unit, course, seen)
        elif not seen.is_gone or course.job is not None:
            self._accompany(unit, grant, course, seen)
        elif seen.load == "masked":
            self._close(unit)  # its annotation is gone at the next reading, and the grant goes with it
        elif course.was_tried or course.failure:
            self._ended(unit, course, seen)
        elif self._is_in_conflict(unit):
            # The limit was lowered while the grant was on its way: of two grants one is not used.
            self._release(unit, course, Ending.STOPPED, "more copies have been granted than may run")
        elif self._judge.may_start(unit):
            self._start(unit, grant, course)
        else:
            self._close(unit)

    def _is_in_conflict(self, unit: UnitName) -> bool:
        state = self._desk.state
        return bool(adoption.conflict(self._desk.row(unit), state.nodes, state.specs))

    def _course(self, unit: UnitName, epoch: Epoch) -> _Course:
        course = self._courses.get(unit)
        if course is None or course.epoch != epoch:
            course = self._courses[unit] = _Course(epoch)
        return course

    def _is_unwanted(self, unit: UnitName, grant: Grant) -> bool:
        row = self._desk.row(unit)
        is_going = self._desk.is_leaving or self._desk.is_stopping
        return grant.is_revoked or row.desired is not Desired.STARTED or is_going

    def _start(self, unit: UnitName, grant: Grant, course: _Course) -> None:
        if not self._desk.may_open:
            self._close(unit)
            return
        self._barriers.paused.pop(unit, None)
        self._set_gate(unit, grant, is_open=True)
        if unit in self.only_here:
            return
        course.was_tried, course.was_shut = True, False
        course.job = self._desk.run("start", unit)
        self._desk.report(
            MessageId.UNIT_STARTED, PRIORITY_NOTICE, f"Starting '{unit}', granted by the cluster.", unit
        )

    def _accompany(self, unit: UnitName, grant: Grant, course: _Course, seen: LocalUnit) -> None:
        """Keep the gate of a unit that is up, on its way up, or on its way down.

        PID 1 may not have told yet of a job that this node asked for.
        """
        is_ending = seen.job == "stop" or (seen.is_down and not seen.job and course.job is None)
        if is_ending or course.is_being_stopped:
            # The next start waits at the gate until nothing is left of this one.
            self._close(unit)
        else:
            is_running = unit in self._open
            self._set_gate(unit, grant, is_open=self._judge.may_start(unit, is_running=is_running))
            if unit not in self._open:
                course.was_shut = True
            elif seen.is_up or seen.is_populated:
                course.was_shut = False
            course.was_tried = course.was_tried or seen.is_up or unit in self._open
            course.was_up = course.was_up or seen.is_up

    def _take_down(self, unit: UnitName, course: _Course, seen: LocalUnit) -> None:
        self._stop(unit, course, seen)
        if seen.is_gone and course.job is None:
            self._release(unit, course, Ending.STOPPED, "stopped")

    def _stop(self, unit: UnitName, course: _Course, seen: LocalUnit) -> None:
        self._close(unit)
        course.was_tried, course.failure = False, ""
        if seen.is_gone:
            return
        if seen.is_down and seen.job not in _DOWN_JOBS:
            pass  # a start job waits at the gate, where it says what is wanted; leftovers heed no job
        elif course.job is None and seen.job not in _DOWN_JOBS and not self._desk.is_stopping:
            # In a shutdown PID 1 has stop jobs of its own, ordered behind the drain: ours would wait for it.
            course.job, course.is_being_stopped = self._desk.stop(unit), True

    def _ended(self, unit: UnitName, course: _Course, seen: LocalUnit) -> None:
        """Draw the conclusion from a unit that was tried and is down, though it is wanted."""
        self._close(unit)
        if unit in self.only_here:
            return
        if unit in self._barriers.paused:
            # Also a start that failed while its provider was going down: it is made again with the provider.
            course.was_tried, course.failure = False, ""
            self._desk.touch([unit])
        elif self._was_skipped(unit, course, seen):
            course.was_tried = course.was_shut = False
            self._desk.touch([unit])
        elif seen.active == "failed" or course.failure:
            self._release(unit, course, Ending.FAILED, course.failure or f"result '{seen.result}'")
        else:
            self._release(
                unit, course, Ending.FINISHED, "it is not running any more and nobody stopped it here"
            )

    def _was_skipped(self, unit: UnitName, course: _Course, seen: LocalUnit) -> bool:
        """Whether an automatic restart may have met a gate that was closed for the want of a provider.

        Or of a lease, which may be back meanwhile.
        """
        is_clean = seen.active == "inactive" and not course.failure
        return is_clean and (course.was_shut or not self._judge.may_start(unit, is_running=True))

    def _release(self, unit: UnitName, course: _Course, ending: Ending, reason: str) -> None:
        is_going = self._desk.is_leaving or self._desk.is_stopping
        if is_going and not self._desk.is_known_to_go:
            return  # given back now, the grant would come again
        if self._desk.is_in_doubt(unit):
            return  # it is looked at again when it was read
        course.is_released = True
        self._barriers.paused.pop(unit, None)
        self._desk.report(
            MessageId.UNIT_STOPPED, PRIORITY_NOTICE, f"'{unit}' is down ({ending}: {reason}).", unit
        )
        command = Release(
            unit=unit,
            node=self._desk.me,
            epoch=course.epoch,
            ending=ending,
            reason=reason,
            was_up=course.was_up,
        )

        def settled(change: object) -> None:
            if change is None:
                course.is_released = False
                self._desk.touch([unit])

        self._proposals.put(command, settled)

    # Units that run everywhere

    def _look_everywhere(self, unit: UnitName) -> None:
        row, seen = self._desk.row(unit), self._desk.seen(unit)
        spec = self._desk.spec(unit)
        here = self._desk.state.nodes.get(self._desk.me)
        is_eligible = spec is not None and here is not None and not barred(spec, here)
        may_be_here = is_eligible and self._desk.is_settled
        is_open = may_be_here and self._judge.may_start(unit, is_running=unit in self._open)
        own = self._desk.specs[unit]
        if own.is_exclusive or (seen.is_down and self._is_limited_elsewhere(unit)):
            # With a number in this node's own annotation even an automatic restart waits for a grant.
            is_open = False
        self._set_gate(unit, Grant(instance=0, node=self._desk.me, epoch=EPOCH_NONE), is_open=is_open)
        if not self._desk.is_settled:
            return
        may_start = is_open and self._judge.may_start(unit)
        if unit in self._at_boot and may_start:
            del self._at_boot[unit]
            self._desk.run("start", unit)
            return
        is_paused = unit in self._barriers.paused
        handled = self._wishes.setdefault(unit, 0 if self._desk.is_fresh else row.revision)
        if row.revision <= handled and not is_paused:
            return
        if row.desired is Desired.STOPPED:
            self._wishes[unit] = row.revision
            self._barriers.paused.pop(unit, None)
            if not seen.is_gone and seen.job not in _DOWN_JOBS:
                self._desk.stop(unit)
        elif may_start and seen.is_gone:
            self._wishes[unit] = row.revision
            self._barriers.paused.pop(unit, None)
            self._desk.run("start", unit)
        elif seen.is_up:
            self._wishes[unit] = row.revision

    def _is_limited_elsewhere(self, unit: UnitName) -> bool:
        """Whether a node that annotates the unit anew allows a number of copies only (safety rule 7.1)."""
        state = self._desk.state
        return adoption.limit(self._desk.row(unit), state.nodes, state.specs) is not None

    # Gates and exports

    @property
    def has_grants(self) -> bool:
        """Whether a gate may have to open at any moment."""
        return any(not course.is_released for course in self._courses.values())

    @property
    def is_holding(self) -> bool:
        """Whether an exclusive unit may be running here, whoever started it."""
        if any(epoch != EPOCH_NONE for epoch in self._open.values()):
            return True
        specs = self._desk.specs
        units = [unit for unit, spec in specs.items() if spec.is_exclusive]
        units += [unit for unit in self._courses if unit not in specs]
        desk = self._desk
        return any(not desk.seen(unit).is_still or desk.is_in_doubt(unit) for unit in units)

    def close_all(self) -> bool:
        """Close every gate; return whether a start may have passed one that has not shown yet."""
        for unit in list(self._open):
            self._close(unit)
        return self._desk.has_doubts

    def _set_gate(self, unit: UnitName, grant: Grant, *, is_open: bool) -> None:
        if is_open and grant.epoch != EPOCH_NONE and not self._desk.may_open:
            is_open = False
        if not is_open:
            self._close(unit)
        elif self._open.get(unit) != grant.epoch:
            self._open[unit] = grant.epoch
            self._desk.put(WriteGrant(unit=unit, instance=grant.instance, epoch=grant.epoch))

    def _close(self, unit: UnitName) -> None:
        if self._open.pop(unit, None) is not None:
            self._desk.close(unit)

    def is_open(self, unit: UnitName) -> bool:
        """Whether the gate of a unit is open."""
        return unit in self._open

    def is_starting(self, unit: UnitName) -> bool:
        """Whether a start of an exclusive unit is under way that nobody asked for but the keeper."""
        course = self._courses.get(unit)
        return course is not None and course.job is not None and not course.is_being_stopped

    def _export(self, unit: UnitName) -> None:
        desk, seen, hold = self._desk, self._desk.seen(unit), self._desk.seen(hold_of(unit))
        spec = desk.spec(unit)
        grant = desk.grant(unit)
        is_ours = desk.is_settled and spec is not None and (grant is not None or not spec.is_exclusive)
        is_held = hold.active == "active" and hold.job not in _DOWN_JOBS
        if is_ours and seen.is_up and hold.active in ("inactive", "failed") and not hold.job:
            if unit not in self._holds and unit in self._open and not desk.is_stopping:
                self._holds[unit] = desk.run("start", hold_of(unit))
        elif is_held or not seen.is_up:
            self._holds.pop(unit, None)  # a start that was skipped is not repeated before something changes
        if is_held and seen.is_up:
            self._barriers.lower(unit)
        is_up = is_ours and is_held and seen.is_up and not self._barriers.is_raised(unit)
        if is_up != self._readiness.exported(unit):
            epoch = grant.epoch if grant is not None else EPOCH_NONE
            is_stopping = self._barriers.is_raised(unit) or seen.job in _DOWN_JOBS
            self._readiness.publish(unit, epoch, is_up=is_up, is_stopping=is_stopping)
        if seen.is_gone:
            self._barriers.lower(unit)

    def wanted_at_boot(self, unit: UnitName) -> None:
        """Remember that PID 1 wanted a unit before the cluster could answer."""
        self._at_boot[unit] = None

    def forgive(self, unit: UnitName) -> None:
        """Forget a stop that somebody else's later word has overtaken."""
        self.only_here.pop(unit, None)
        course = self._courses.get(unit)
        if course is not None:
            course.was_tried = False
        self._desk.touch([unit])

    def job_done(self, job: int, result: str, text: str, unit: UnitName) -> None:
        """Note that a job of the keeper ended."""
        course = self._courses.get(unit)
        if course is None or course.job != job:
            return
        course.job, course.is_being_stopped = None, False
        if result == "unknown" and self._desk.seen(unit).is_gone:
            course.was_tried = False  # PID 1 never took it, or there would be a job or a unit that is up
        elif result in ("failed", "timeout", "dependency", "error") and self._desk.seen(unit).is_gone:
            course.failure = text or f"its start job ended with result '{result}'"
            if self._desk.seen(unit).active == "failed":
                course.failure = f"result '{self._desk.seen(unit).result}'"
