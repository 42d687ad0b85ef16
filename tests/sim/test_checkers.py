# SPDX-License-Identifier: LGPL-2.1-or-later
"""The checkers are proved by engines that are wrong on purpose: each must be caught by its name."""

from collections.abc import Callable
from dataclasses import replace

import pytest
from scenario import MSEC, SEC, behave, cluster, on, spec, systemctl, u, where

from synod.base.ids import NodeName, UnitName
from synod.base.usec import Usec
from synod.engine.barriers import Barriers
from synod.engine.clients import Clients
from synod.engine.desk import Desk
from synod.engine.events import DevicesLoaded
from synod.engine.fencing import Fencing
from synod.engine.guard import Guard
from synod.engine.holds import Holds
from synod.engine.keeper import Keeper
from synod.engine.lease import Lease, LeaseTiming
from synod.engine.messages import LeaseReply
from synod.engine.mirrors import Mirrors
from synod.engine.readiness import Readiness
from synod.engine.requests import Drain, StartUnits, StopUnits
from synod.engine.verdict import Judge
from synod.engine.vigil import Vigil
from synod.ledger.effects import Persist
from synod.ledger.replication import Replication
from synod.model.command import NodeState, Plan, Proof, Wish
from synod.model.rows import Grant, NodeRow
from synod.model.state import Change, ClusterState
from synod.model.unit import LocalUnit, hold_of
from synod.sim.checkers import ViolationError
from synod.sim.disk import Answer, Disk
from synod.sim.machine import Machine
from synod.sim.storms import make_storm, play
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


def start_without_a_provider_that_it_requires() -> None:
    world = cluster(on("db", "a", failure_limit=0), on("web", "b", requires="db"))
    behave(world, "db", start_usec=300 * MSEC)
    systemctl(world, "c", "start", "web")


def holder_is_cut_off() -> World:
    world = cluster(spec("db"), nodes="abcde")
    world.run(5 * SEC)
    systemctl(world, "a", "start", "db")
    home = where(world, "db")
    world.network.isolate(lambda name: name == home, tuple(world.machines))
    world.run(10 * SEC)
    return world


def holder_is_cut_off_while_it_stops_slowly() -> None:
    world = cluster(spec("db"))
    world.run(3 * SEC)
    behave(world, "db", stop_usec=30 * SEC)
    systemctl(world, "a", "start", "db")
    home = where(world, "db")
    world.network.isolate(lambda name: name == home, tuple(world.machines))
    world.run(15 * SEC)


def leader_stands_still() -> None:
    world = cluster(spec("db"))
    world.run(3 * SEC)
    leader = world.leader()
    assert leader is not None
    leader.freeze_agent(4 * SEC)
    world.run(10 * SEC)


def device_fails() -> None:
    world = cluster(on("db", "b", "c"))
    world.run(3 * SEC)
    for name in "ac":
        agent = world[name].agent
        assert agent is not None
        world[name].devices[NodeName("b")] = "fails"
        agent.step(DevicesLoaded(targets=(NodeName("b"),)))
    world.run(2 * SEC)
    systemctl(world, "a", "start", "db")
    assert where(world, "db") == "b"
    world.network.isolate(lambda name: name == "b", tuple(world.machines))
    world.run(20 * SEC)


def stop_without_a_quorum_that_others_overtake() -> None:
    world = cluster(on("db", "a", "c"))
    world.run(3 * SEC)
    systemctl(world, "c", "start", "db")
    world.network.isolate(lambda name: name == "a", tuple(world.machines))
    world.run(300 * MSEC)
    world.wait(world.systemctl("a", "stop", u("db")))
    world.wait(world.synodctl("c", StopUnits(unit=u("db"), is_waiting=False)))
    world.wait(world.synodctl("c", StartUnits(unit=u("db"), is_waiting=False)))
    world.network.heal_all()
    world.run(5 * SEC)


def boot_after_a_stop() -> None:
    world = cluster(spec("db"))
    systemctl(world, "a", "start", "db")
    home = where(world, "db")
    systemctl(world, home, "stop", "db")
    world["b"].enabled = [u("db")]
    world["b"].power_cut()
    world.run(SEC)
    world["b"].power_on()
    world.run(10 * SEC)


def wish_in_a_minority() -> None:
    world = cluster(spec("db"))
    world.run(3 * SEC)
    leader = world.leader()
    assert leader is not None
    world.network.isolate(lambda name: name == leader.name, tuple(world.machines))
    world.synodctl(leader.name, StartUnits(unit=u("db"), is_waiting=False))
    world.run(3 * SEC)


def power_loss_of_a_provider() -> None:
    world = web_on_b_and_db_on_a("binds_to")
    systemctl(world, "c", "start", "web")
    world["a"].power_cut()
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


def ends_leases_early(patch: Patch) -> None:
    patch.setattr(LeaseTiming, "takeover", property(lambda self: Usec(1 * SEC)))


def counts_a_silent_node_as_stopped(patch: Patch) -> None:
    def prove(self: Vigil, name: NodeName, row: NodeRow) -> None:
        self._fencing.proved(name, row, Proof.DEVICE, "it is silent")

    patch.setattr(Vigil, "_prove", prove)


def answers_leases_unconfirmed(patch: Patch) -> None:
    def confirm(self: Lease) -> None:
        asking, self._asking = self._asking, []
        for peer, nonce in asking:
            self._answered[peer] = self._desk.now
            if peer == self._desk.me:
                self.hear_reply(LeaseReply(nonce=nonce))
            else:
                self._desk.send(peer, LeaseReply(nonce=nonce))

    patch.setattr(Lease, "_ask_for_confirmation", confirm)


def counts_leases_from_the_answer(patch: Patch) -> None:
    def hear(self: Lease, message: LeaseReply) -> bool:
        self._base = self._desk.now
        return True

    patch.setattr(Lease, "hear_reply", hear)


def lights_no_fuse(patch: Patch) -> None:
    patch.setattr(Guard, "_mind_the_fuse", lambda self, is_holding: None)
    patch.setattr(Guard, "_is_covered", True)


def feeds_a_fuse_that_is_not_lit_for_the_lease(patch: Patch) -> None:
    """A fuse that was lit just now burns longer than a lease that is older."""
    patch.setattr(Guard, "_is_covered", True)


def believes_devices_that_fail(patch: Patch) -> None:
    report = Fencing.reported

    def reported(self: Fencing, number: int, *, is_confirmed: bool, text: str) -> None:
        report(self, number, is_confirmed=True, text=text)

    patch.setattr(Fencing, "reported", reported)


def forgets_the_revision_of_a_wish(patch: Patch) -> None:
    apply = ClusterState._wish

    def wish(self: ClusterState, command: Wish, index: int) -> Change:
        revision = self.rows[command.unit].revision if command.revision is not None else None
        return apply(self, replace(command, revision=revision), index)

    patch.setattr(ClusterState, "_wish", wish)


def boots_over_what_was_said(patch: Patch) -> None:
    apply = ClusterState._wish

    def wish(self: ClusterState, command: Wish, index: int) -> Change:
        return apply(self, replace(command, only_if_absent=False), index)

    say = Clients._wish_as_booted

    def wish_as_booted(self: Clients) -> None:
        rows = self._desk.state.rows
        kept = {unit: rows[unit].desired for unit in self._at_boot if unit in rows}
        for unit in kept:
            rows[unit].desired = None
        say(self)
        for unit, desired in kept.items():
            rows[unit].desired = desired

    patch.setattr(ClusterState, "_wish", wish)
    patch.setattr(Clients, "_wish_as_booted", wish_as_booted)


def takes_every_stop_for_a_wish(patch: Patch) -> None:
    patch.setattr(Holds, "_is_said_here", lambda self, unit: True)


def commits_alone(patch: Patch) -> None:
    patch.setattr(Replication, "committable", lambda self: self._state.log.stable)


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
        (never_stops_bound_units, power_loss_of_a_provider, "I8 bound"),
        (takes_providers_for_up, start_without_a_provider_that_it_requires, "I8 start"),
        (ends_leases_early, holder_is_cut_off_while_it_stops_slowly, "I2 lease"),
        (counts_a_silent_node_as_stopped, holder_is_cut_off, "I2 grant"),
        (answers_leases_unconfirmed, leader_stands_still, "lease: . of term"),
        (counts_leases_from_the_answer, start_and_stop, "lease: that of"),
        (lights_no_fuse, start_and_stop, "I2 fuse"),
        (feeds_a_fuse_that_is_not_lit_for_the_lease, start_and_stop, "I2 fuse"),
        (believes_devices_that_fail, device_fails, "I2 grant"),
        (forgets_the_revision_of_a_wish, stop_without_a_quorum_that_others_overtake, "wish: what was"),
        (boots_over_what_was_said, boot_after_a_stop, "wish: a boot"),
        (takes_every_stop_for_a_wish, stop_with_processes_left, "wish: nobody"),
        (syncs_nothing, start_and_stop, "I7 minority"),
        (commits_alone, wish_in_a_minority, "I7 minority"),
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
