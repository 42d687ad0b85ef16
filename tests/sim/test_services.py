# SPDX-License-Identifier: LGPL-2.1-or-later
"""synod.sim.services against what plain systemd was measured to do, and against the man pages."""

import pytest

from synod.base.ids import UnitName
from synod.base.usec import USEC_PER_MSEC, USEC_PER_SEC
from synod.sim.clock import Clock
from synod.sim.definitions import Behaviour, UnitFile, UnitFiles
from synod.sim.services import ServiceManager
from synod.sim.surroundings import Waiter

MSEC, SEC = USEC_PER_MSEC, USEC_PER_SEC
DB, WEB, APP = UnitName("db.service"), UnitName("web.service"), UnitName("app.service")
GATE, HOLD = UnitName("synod-gate@web.service.service"), UnitName("synod-hold@db.service.service")


class Bench:
    """One PID 1 with units of our choice and nothing else around it."""

    def __init__(self, *files: UnitFile) -> None:
        self.clock = Clock()
        self.files = UnitFiles()
        self.files._loaded.update({file.unit: file for file in files})
        self.behaviours = {file.unit: Behaviour() for file in files}
        self.paths: set[str] = set()
        self.waiters: list[Waiter] = []
        self.hung_up: list[Waiter] = []
        self.states: list[str] = []
        self.results: list[str] = []
        self.manager = ServiceManager(self.clock, self.files, self.behaviours, self)

    # Surroundings

    def exists(self, path: str) -> bool:
        return path in self.paths

    def changed(self, unit: UnitName) -> None:
        pass

    def ask(self, waiter: Waiter) -> None:
        self.waiters.append(waiter)

    def hang_up(self, waiter: Waiter) -> None:
        self.hung_up.append(waiter)

    def moved(self, unit: UnitName, old: str, new: str) -> None:
        self.states.append(f"{unit.partition('.')[0]} {new}")

    def populated(self, unit: UnitName, *, is_populated: bool) -> None:
        pass

    # Words

    def run(self, usec: int = SEC) -> None:
        until = self.clock.now + usec
        while self.clock.advance(until):
            pass

    def do(self, verb: str, unit: UnitName, usec: int = SEC) -> str:
        """Run a job, and return its result or an empty string."""
        self.results.clear()
        self.manager.run(verb, unit, self.results.append)
        self.run(usec)
        return self.results[0] if self.results else ""

    def active(self, unit: UnitName) -> str:
        return self.manager.show(unit).active


def unit(name: UnitName, **keys: tuple[UnitName, ...]) -> UnitFile:
    return UnitFile(unit=name, **keys)  # type: ignore[arg-type]


REQUIRES = unit(WEB, requires=(DB,), after=(DB,))
BINDS_TO = unit(WEB, binds_to=(DB,), after=(DB,))


def test_a_start_pulls_in_what_is_required_first() -> None:
    bench = Bench(unit(DB), REQUIRES)
    assert bench.do("start", WEB) == "done"
    assert bench.states == ["db activating", "db active", "web activating", "web active"]


def test_a_stop_reaches_what_requires_it_first() -> None:
    bench = Bench(unit(DB), REQUIRES)
    bench.do("start", WEB)
    bench.states.clear()
    assert bench.do("stop", DB) == "done"
    assert bench.states == ["web deactivating", "web inactive", "db deactivating", "db inactive"]


def test_a_restart_restarts_what_requires_it_around_it() -> None:
    bench = Bench(unit(DB), REQUIRES)
    bench.do("start", WEB)
    bench.states.clear()
    assert bench.do("restart", DB) == "done"
    assert bench.states == [
        "web deactivating", "web inactive", "db deactivating", "db inactive",
        "db activating", "db active", "web activating", "web active",
    ]  # fmt: skip


def test_a_restart_starts_what_does_not_run_and_leaves_others_alone() -> None:
    bench = Bench(unit(DB), REQUIRES)
    assert bench.do("restart", DB) == "done"
    assert (bench.active(DB), bench.active(WEB)) == ("active", "inactive")


def test_a_failed_start_fails_what_requires_it() -> None:
    bench = Bench(unit(DB), REQUIRES)
    bench.behaviours[DB].failures = 1
    assert bench.do("start", WEB) == "dependency"
    assert (bench.active(DB), bench.active(WEB)) == ("failed", "inactive")


def test_a_failed_start_of_what_is_only_wanted_is_no_obstacle() -> None:
    bench = Bench(unit(DB), unit(WEB, wants=(DB,), after=(DB,)))
    bench.behaviours[DB].failures = 1
    assert bench.do("start", WEB) == "done"
    assert (bench.active(DB), bench.active(WEB)) == ("failed", "active")


@pytest.mark.parametrize(("file", "state"), [(REQUIRES, "active"), (BINDS_TO, "inactive")])
def test_a_crash_stops_what_is_bound_and_nothing_else(file: UnitFile, state: str) -> None:
    bench = Bench(unit(DB), file)
    bench.do("start", WEB)
    bench.manager.crash(DB)
    bench.run()
    assert (bench.active(DB), bench.active(WEB)) == ("failed", state)


@pytest.mark.parametrize(("file", "state"), [(REQUIRES, "active"), (BINDS_TO, "inactive")])
def test_a_crash_with_restart(file: UnitFile, state: str) -> None:
    """Requires=: restarted with it; BindsTo=: left inactive (measured on 252 and 257)."""
    bench = Bench(unit(DB), file)
    bench.behaviours[DB].restart_usec = 100 * MSEC
    bench.do("start", WEB)
    bench.states.clear()
    bench.manager.crash(DB)
    bench.run()
    assert (bench.active(DB), bench.active(WEB)) == ("active", state)
    assert bench.states.index("web inactive") < bench.states.index("db activating", 2)


def test_a_crash_restarts_what_is_part_of_it() -> None:
    bench = Bench(unit(DB), unit(WEB, part_of=(DB,), after=(DB,)))
    bench.behaviours[DB].restart_usec = 100 * MSEC
    bench.do("start", DB)
    bench.do("start", WEB)
    bench.states.clear()
    bench.manager.crash(DB)
    bench.run()
    assert bench.states.count("web active") == 1
    assert bench.states.index("web inactive") < bench.states.index("db activating", 2)


def test_order_alone_holds_for_jobs_that_wait_together_and_pulls_in_nothing() -> None:
    bench = Bench(unit(DB), unit(WEB, after=(DB,)), unit(APP, wants=(DB, WEB)))
    bench.do("start", APP)
    assert bench.states.index("db active") < bench.states.index("web activating")
    alone = Bench(unit(DB), unit(WEB, after=(DB,)))
    alone.do("start", WEB)
    assert (alone.active(DB), alone.active(WEB)) == ("inactive", "active")


def test_before_is_after_said_by_the_other() -> None:
    bench = Bench(unit(DB, before=(WEB,)), unit(WEB, requires=(DB,)))
    bench.do("start", WEB)
    assert bench.states == ["db activating", "db active", "web activating", "web active"]


def test_a_stop_cancels_a_start_that_waits() -> None:
    bench = Bench(unit(DB), REQUIRES)
    bench.behaviours[DB].start_usec = 10 * SEC
    results: list[str] = []
    bench.manager.run("start", WEB, results.append)
    bench.run()
    assert bench.do("stop", WEB) == "done"
    assert results == ["canceled"]
    assert (bench.active(DB), bench.active(WEB)) == ("activating", "inactive")


def test_a_start_during_a_stop_waits_for_its_end() -> None:
    bench = Bench(unit(DB))
    bench.behaviours[DB].stop_usec = 300 * MSEC
    bench.do("start", DB)
    stopped: list[str] = []
    bench.manager.run("stop", DB, stopped.append)
    bench.run(100 * MSEC)
    assert bench.do("start", DB) == "done"
    assert stopped == ["canceled"]
    assert bench.states[-4:] == ["db deactivating", "db inactive", "db activating", "db active"]


def test_two_starts_are_one_job() -> None:
    bench = Bench(unit(DB))
    both: list[str] = []
    bench.manager.run("start", DB, both.append)
    bench.manager.run("start", DB, both.append)
    bench.run()
    assert both == ["done", "done"]
    assert bench.states == ["db activating", "db active"]


def test_a_start_that_waits_for_a_restart_is_part_of_it() -> None:
    """A unit waits for its automatic restart; a restart job that comes meanwhile is not forgotten."""
    bench = Bench(unit(DB))
    bench.behaviours[DB].restart_usec = 500 * MSEC
    bench.do("start", DB)
    bench.manager.crash(DB)
    bench.manager.run("start", DB, bench.results.append)
    assert bench.do("restart", DB) == "done"
    assert bench.active(DB) == "active"
    assert not bench.manager.is_busy()


def test_conditions_skip_and_a_skipped_start_counts_as_done() -> None:
    gated = UnitFile(unit=DB, needs=("grant/db.service", "lease"))
    bench = Bench(gated, REQUIRES)
    bench.paths.add("lease")
    assert bench.do("start", WEB) == "done"
    assert (bench.active(DB), bench.active(WEB)) == ("inactive", "active")
    bench.paths.add("grant/db.service")
    assert bench.do("start", DB) == "done"
    assert bench.active(DB) == "active"


def test_a_closed_gate_ends_automatic_restarts() -> None:
    bench = Bench(UnitFile(unit=DB, needs=("grant",)))
    bench.paths.add("grant")
    bench.behaviours[DB].restart_usec = 100 * MSEC
    bench.do("start", DB)
    bench.paths.clear()
    bench.manager.crash(DB)
    bench.run()
    assert bench.active(DB) == "inactive"


def test_a_waiter_decides_the_start_that_needs_it() -> None:
    gate = UnitFile(unit=GATE, asks_at_start="place")
    bench = Bench(gate, unit(WEB, requires=(gate.unit,), after=(gate.unit,)))
    assert bench.do("start", WEB) == ""
    (waiter,) = bench.waiters
    assert (waiter.verb, waiter.subject) == ("place", WEB)
    bench.manager.exited(waiter, 1)
    assert bench.results == ["dependency"]
    bench.do("start", WEB)
    bench.manager.exited(bench.waiters[1], 0)
    bench.run()
    assert bench.active(WEB) == "active"
    assert bench.active(gate.unit) == "inactive"


def test_a_waiter_that_takes_too_long_fails() -> None:
    gate = UnitFile(unit=GATE, asks_at_start="place", timeout_usec=5 * SEC)
    bench = Bench(gate, unit(WEB, requires=(gate.unit,), after=(gate.unit,)))
    assert bench.do("start", WEB, 6 * SEC) == "dependency"
    assert bench.hung_up == bench.waiters
    assert bench.manager.show(gate.unit).result == "timeout"


def test_a_hold_delays_the_stop_of_its_unit_and_is_asked_with_the_unit_s_own_job() -> None:
    hold = UnitFile(unit=HOLD, part_of=(DB,), after=(DB,), asks_at_stop="release")
    bench = Bench(unit(DB, wants=(hold.unit,)), hold)
    bench.do("start", DB)
    assert bench.active(hold.unit) == "active"
    assert bench.do("stop", DB) == ""
    assert (bench.active(DB), bench.active(hold.unit)) == ("active", "deactivating")
    assert bench.manager.job_of(DB) == "stop"
    bench.manager.exited(bench.waiters[0], 0)
    bench.run()
    assert bench.results == ["done"]
    assert bench.active(DB) == "inactive"


def test_a_hold_that_is_extended_does_not_time_out() -> None:
    hold = UnitFile(unit=HOLD, part_of=(DB,), after=(DB,), asks_at_stop="release", timeout_usec=5 * SEC)
    bench = Bench(unit(DB, wants=(hold.unit,)), hold)
    bench.do("start", DB)
    bench.manager.run("stop", DB, bench.results.append)
    bench.run(4 * SEC)
    bench.waiters[0].deadline = bench.clock.now + 10 * SEC
    bench.run(8 * SEC)
    assert bench.active(DB) == "active"
    bench.run(4 * SEC)
    assert bench.manager.show(hold.unit).result == "timeout"
    assert bench.active(DB) == "inactive"


def test_a_process_may_outlive_its_unit() -> None:
    bench = Bench(unit(DB))
    bench.behaviours[DB].linger_usec = 2 * SEC
    bench.do("start", DB)
    bench.do("stop", DB)
    seen = bench.manager.show(DB)
    assert (seen.active, seen.is_populated, seen.is_gone) == ("inactive", True, False)
    bench.run(2 * SEC)
    assert bench.manager.show(DB).is_gone


def test_a_shutdown_stops_in_order_and_starts_nothing_any_more() -> None:
    bench = Bench(unit(DB), REQUIRES)
    bench.do("start", WEB)
    bench.states.clear()
    down: list[str] = []
    bench.manager.shut_down(lambda: down.append("down"))
    assert bench.do("start", APP) == "error"
    assert bench.states == ["web deactivating", "web inactive", "db deactivating", "db inactive"]
    assert down == ["down"]


def test_without_power_nothing_happens_any_more() -> None:
    bench = Bench(unit(DB))
    bench.manager.run("start", DB, bench.results.append)
    bench.manager.die()
    bench.run()
    assert bench.results == []
    assert bench.states == ["db activating"]


def test_an_unknown_unit() -> None:
    bench = Bench()
    assert bench.do("start", DB) == "error"
    assert bench.manager.show(DB).load == "not-found"


def test_a_binding_without_an_order_starts_both_at_once() -> None:
    bench = Bench(unit(DB), unit(WEB, binds_to=(DB,)))
    bench.behaviours[DB].start_usec = 300 * MSEC
    assert bench.do("start", WEB) == "done"
    assert bench.states.index("web active") < bench.states.index("db active")
