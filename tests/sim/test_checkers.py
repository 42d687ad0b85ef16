# SPDX-License-Identifier: LGPL-2.1-or-later
"""The checkers are proved by engines that are wrong on purpose: each must be caught by its name."""

from collections.abc import Callable

import pytest
from scenario import MSEC, SEC, behave, cluster, on, spec, systemctl, u, where

from synod.base.ids import NodeName, UnitName
from synod.base.usec import Usec
from synod.engine.barriers import Barriers
from synod.engine.desk import Desk
from synod.engine.keeper import Keeper
from synod.engine.mirrors import Mirrors
from synod.engine.readiness import Readiness
from synod.engine.requests import Drain
from synod.engine.verdict import Judge
from synod.engine.vigil import Vigil
from synod.ledger.effects import Persist
from synod.model.command import NodeState, Plan, Proof
from synod.model.rows import Grant, NodeRow
from synod.model.state import Change, ClusterState
from synod.model.unit import LocalUnit, hold_of
from synod.sim.checkers import ViolationError
from synod.sim.disk import Answer, Disk
from synod.sim.faults import make_storm, play
from synod.sim.machine import Machine
from synod.sim.world import StuckError, World

Patch = pytest.MonkeyPatch


def web_on_b_and_db_on_a(key: str = "requires", seed: int = 0) -> World:
    db = on("db", "a", failure_limit=0)
    world = cluster(db, on("web", "b", **{key: "db", "after": "db"}), seed=seed)
    world.run(3 * SEC)
    return world


def start_and_stop() -> None:
    world = web_on_b_and_db_on_a()
    behave(world, "db", start_usec=300 * MSEC)
    systemctl(world, "c", "start", "web")
    systemctl(world, "a", "stop", "db")


def stops_while_the_agent_starts() -> None:
    """The hold has to ask in the few milliseconds before the agent knows the cluster and its units."""
    for seed in range(15):
        for delay in (5, 20, 100):
            world = web_on_b_and_db_on_a(seed=seed)
            systemctl(world, "c", "start", "web")
            world["a"].kill_agent()
            world.run(delay * MSEC)
            systemctl(world, "a", "stop", "db")


def stop_with_processes_left() -> None:
    world = cluster(spec("db"))
    behave(world, "db", linger_usec=3 * SEC)
    systemctl(world, "a", "start", "db")
    world.synodctl("b", Drain(node=NodeName(where(world, "db")), is_drained=True))
    world.run(10 * SEC)


def start_after_a_crash() -> None:
    """The mirror of a crashed provider stays up: only the gate is left to hold a dependant back."""
    world = web_on_b_and_db_on_a()
    behave(world, "db", start_usec=300 * MSEC)
    systemctl(world, "c", "start", "web")
    world["a"].services.crash(u("db"))
    world.run(15 * SEC)
    world["b"].services.crash(u("web"))
    world.run(SEC)
    systemctl(world, "b", "start", "web")


def reboots_of_a_node_that_lost_its_unit() -> None:
    for seed in range(8):
        reboot_of_a_node_that_lost_its_unit(seed)


def reboot_of_a_node_that_lost_its_unit(seed: int) -> None:
    world = cluster(spec("db"), seed=seed)
    world.run(3 * SEC)
    systemctl(world, "a", "start", "db")
    home = where(world, "db")
    world[home].enabled = [u("db")]
    world[home].power_cut()
    world.synodctl("b" if home != "b" else "c", Drain(node=NodeName(home), is_drained=True))
    world.run(5 * SEC)
    world[home].power_on()
    world.run(10 * SEC)


def a_holder_whose_agent_is_frozen() -> None:
    """Its units run on until its fuse resets it; everybody suspects it long before."""
    for seed in range(6):
        world = cluster(spec("db"), seed=seed)
        world.run(3 * SEC)
        systemctl(world, "a", "start", "db")
        world[where(world, "db")].freeze_agent(9 * SEC)
        world.run(15 * SEC)


def crash_of_a_provider() -> None:
    world = web_on_b_and_db_on_a("binds_to")
    systemctl(world, "c", "start", "web")
    world["a"].services.crash(u("db"))
    world.run(30 * SEC)


def storms(*seeds: int) -> Callable[[], None]:
    def run() -> None:
        for seed in seeds:
            play(make_storm(seed))

    return run


# Mutations


def answers_barriers_at_once(patch: Patch) -> None:
    patch.setattr(Barriers, "_missing", lambda self, own: [])


def serves_barriers_without_waiting(patch: Patch) -> None:
    patch.setattr(Barriers, "_is_in_the_way", lambda self, provider, unit: False)
    patch.setattr(Barriers, "job_done", lambda self, job: None)
    serve = Barriers._serve_further

    def serve_further(self: Barriers, served: object) -> None:
        served.jobs.clear()  # type: ignore[attr-defined]
        serve(self, served)  # type: ignore[arg-type]

    patch.setattr(Barriers, "_serve_further", serve_further)


def opens_gates_before_providers_are_up(patch: Patch) -> None:
    patch.setattr(Judge, "may_start", lambda self, unit, is_running=False: True)


def takes_providers_for_up(patch: Patch) -> None:
    patch.setattr(Readiness, "is_up", lambda self, unit: True)
    patch.setattr(Readiness, "is_confirmed", lambda self, unit: True)


def exports_before_the_unit_is_up(patch: Patch) -> None:
    export = Keeper._export

    def too_early(self: Keeper, unit: UnitName) -> None:
        seen, hold = self._desk.seen(unit), self._desk.seen(hold_of(unit))
        if seen.active == "activating":
            self._desk.local[unit] = LocalUnit(unit=unit, active="active", is_populated=True)
            self._desk.local[hold.unit] = LocalUnit(unit=hold.unit, active="active")
        export(self, unit)
        self._desk.local[unit], self._desk.local[hold.unit] = seen, hold

    patch.setattr(Keeper, "_export", too_early)


def judges_before_it_knows(patch: Patch) -> None:
    patch.setattr(Desk, "may_judge", True)


def releases_before_the_cgroup_is_empty(patch: Patch) -> None:
    patch.setattr(LocalUnit, "is_gone", property(lambda self: self.is_down and not self.job))


def keeps_grants_over_a_reboot(patch: Patch) -> None:
    class Sticky(dict[str, int]):
        def clear(self) -> None:
            del self["booted"]

    make = Machine.__init__

    def init(self: Machine, *arguments: object) -> None:
        make(self, *arguments)  # type: ignore[arg-type]
        self.run = Sticky()
        self.run["booted"] = 0

    patch.setattr(Machine, "__init__", init)


def forgets_that_a_grant_exists(patch: Patch) -> None:
    apply = ClusterState._plan

    def plan(self: ClusterState, command: Plan, index: int) -> Change:
        for revoke in command.revokes:
            self.rows[revoke.unit].grants.pop(revoke.instance, None)
        return apply(self, command, index)

    patch.setattr(ClusterState, "_plan", plan)


def acts_on_the_replay(patch: Patch) -> None:
    def is_settled(self: Desk) -> bool:
        row = self.state.nodes.get(self.me)
        return row is not None and row.state in (NodeState.ONLINE, NodeState.LEAVING)

    def grant(self: Desk, unit: UnitName) -> Grant | None:
        return self.row(unit).grant_on(self.me)

    patch.setattr(Desk, "is_settled", property(is_settled))
    patch.setattr(Desk, "grant", grant)


def never_stops_bound_units(patch: Patch) -> None:
    patch.setattr(Mirrors, "_pause_bound", lambda self, provider: None)
    run = Mirrors._run

    def starts_only(self: Mirrors, verb: str, provider: UnitName, unit: UnitName) -> None:
        if verb == "start":
            run(self, verb, provider, unit)

    patch.setattr(Mirrors, "_run", starts_only)


def syncs_nothing(patch: Patch) -> None:
    def write(self: Disk, persist: Persist, answer: Answer) -> None:
        self._clock.after(MSEC, lambda: answer(persist.seq, ""))

    patch.setattr(Disk, "write", write)


def takes_suspicion_for_a_proof(patch: Patch) -> None:
    prove = Vigil._prove

    def too_early(self: Vigil, name: NodeName, row: NodeRow) -> None:
        if self._hearsay.accusers(name):
            self._fencing.proved(name, row, Proof.LEASE, "gossip says so")
        prove(self, name, row)

    patch.setattr(Vigil, "_prove", too_early)


def starts_nothing(patch: Patch) -> None:
    patch.setattr(Keeper, "_start", lambda self, unit, grant, course: None)


@pytest.mark.parametrize(
    ("mutate", "run", "found"),
    [
        (answers_barriers_at_once, start_and_stop, "I3 stop"),
        (serves_barriers_without_waiting, start_and_stop, "I3 stop"),
        (opens_gates_before_providers_are_up, start_after_a_crash, "I3 start"),
        (takes_providers_for_up, start_and_stop, "I3 start"),
        (exports_before_the_unit_is_up, start_and_stop, "I3 start"),
        (judges_before_it_knows, stops_while_the_agent_starts, "I3 stop"),
        (releases_before_the_cgroup_is_empty, stop_with_processes_left, "I[12] "),
        (keeps_grants_over_a_reboot, reboots_of_a_node_that_lost_its_unit, "I[12] "),
        (forgets_that_a_grant_exists, stop_with_processes_left, "I[12] "),
        (never_stops_bound_units, crash_of_a_provider, "I8 bound"),
        (syncs_nothing, start_and_stop, "I7 minority"),
        (takes_suspicion_for_a_proof, a_holder_whose_agent_is_frozen, "I[12] "),
    ],
)
def test_a_wrong_engine_is_caught(
    monkeypatch: Patch, mutate: Callable[[Patch], None], run: Callable[[], None], found: str
) -> None:
    run()  # the right engine breaks nothing
    mutate(monkeypatch)
    with pytest.raises(ViolationError, match=f"^{found}"):
        run()


def test_an_engine_that_acts_on_the_replay_is_caught(monkeypatch: Patch) -> None:
    acts_on_the_replay(monkeypatch)
    with pytest.raises(AssertionError, match=r"^I\d|runs on .* granted to"):
        storms(*range(40))()


def test_an_engine_that_does_nothing_is_caught(monkeypatch: Patch) -> None:
    starts_nothing(monkeypatch)
    world = web_on_b_and_db_on_a()
    with pytest.raises(StuckError):
        world.wait(world.systemctl("c", "start", u("web")), Usec(60 * SEC))
