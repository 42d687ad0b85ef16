# SPDX-License-Identifier: LGPL-2.1-or-later
"""The bounds that synodctl prints: added up from what is configured, and never exceeded in the simulator."""

import pytest
from scenario import SEC, cluster, on, spec, systemctl, u

from synod.base.ids import NodeName, UnitName
from synod.base.usec import Usec
from synod.engine.bounds import COMMIT_USEC, HEARING_USEC, Bound, bounds
from synod.engine.events import DevicesLoaded
from synod.engine.fencing import ANSWER_USEC
from synod.engine.lease import LeaseTiming
from synod.ledger.timing import Timing
from synod.model.command import Found, NodeState, ReportDevices, ReportSpecs, SetNode, SpecReport
from synod.model.spec import UnitSpec
from synod.model.state import ClusterState
from synod.net.settings import StreamSettings
from synod.sim.world import World

A, B, C = map(NodeName, "abc")
ONE = UnitName("one.service")
TIMING, LEASE = Timing(), LeaseTiming()


def state_of(*specs: UnitSpec) -> ClusterState:
    """Return a state with three nodes that have these units."""
    state = ClusterState()
    commands = [Found(cluster="c", cluster_id="i", node=A, address="10.0.0.1", port=1, fingerprint="f")]
    for index, command in enumerate(commands, 1):
        state.apply(command, index)
    for index, name in enumerate((A, B, C), 2):
        if name != A:
            state.nodes[name] = type(state.nodes[A])(name=name, address="10.0.0.2", port=1, fingerprint="g")
        state.apply(SetNode(node=name, state=NodeState.ONLINE, boot="b", has_fuse=True), index)
        reports = tuple(SpecReport(unit=one.unit, spec=one) for one in specs)
        state.apply(ReportSpecs(node=name, reports=reports), index)
    return state


def bound_of(state: ClusterState, *voters: NodeName) -> Bound:
    (bound,) = bounds(state, TIMING, LEASE, voters)
    return bound


def test_the_time_to_miss_a_stream_is_that_of_the_streams() -> None:
    settings = StreamSettings()
    assert settings.heartbeat_usec * settings.heartbeats_missed_max + settings.check_usec == HEARING_USEC


def test_the_lease_and_the_leader_s_election() -> None:
    state = state_of(UnitSpec(unit=ONE), UnitSpec(unit=UnitName("all.service"), instances=None))
    bound = bound_of(state, A, B, C)
    assert bound.unit == ONE
    assert bound.worst is not None
    assert bound.worst_of_leader is not None
    assert bound.worst == LEASE.takeover + HEARING_USEC + COMMIT_USEC
    assert bound.worst_of_leader == bound.worst  # it is elected while the lease runs out


def test_a_short_lease_waits_for_the_election() -> None:
    short = LeaseTiming(lease=Usec(1 * SEC))
    (bound,) = bounds(state_of(UnitSpec(unit=ONE)), TIMING, short, (A, B, C))
    assert bound.worst_of_leader == 2 * TIMING.election_max + COMMIT_USEC


def test_what_can_run_nowhere_else_has_no_bound() -> None:
    state = state_of(UnitSpec(unit=ONE, nodes=(A, B), avoid_nodes=(B,)))
    assert bound_of(state, A, B, C) == Bound(
        unit=ONE, worst=None, worst_of_leader=None, slowest=None, why_never="no other node may run it"
    )


def test_each_fence_device_may_have_to_be_waited_for() -> None:
    state = state_of(UnitSpec(unit=ONE))
    state.apply(ReportDevices(node=A, targets=(B,)), 10)
    state.apply(ReportDevices(node=C, targets=(B,)), 11)
    state.nodes[B].has_fuse = False
    bound = bound_of(state, A, B, C)
    assert bound.slowest == B
    assert bound.worst is not None
    assert 2 * ANSWER_USEC < bound.worst < 2 * ANSWER_USEC + 2 * SEC
    # As long as it burns a fuse, that comes first.
    state.nodes[B].has_fuse = True
    assert bound_of(state, A, B, C).worst == LEASE.takeover + HEARING_USEC + COMMIT_USEC


def test_without_a_majority_nothing_is_taken_over() -> None:
    state = state_of(UnitSpec(unit=ONE, nodes=(A, B)))
    bound = bound_of(state, A)
    assert bound.worst is not None
    assert bound.worst_of_leader is None
    assert bound.why_never == "without a no majority of voters is left: add a node, or a witness"
    assert bound_of(state, A, B, C).worst_of_leader is not None


def failover(world: World, victim: str, name: str) -> int:
    """Cut a node's power; return after how long the unit's first process lives elsewhere."""
    begun = world.clock.now
    world[victim].power_cut()
    others = [machine for machine in world.machines.values() if machine.name != victim]
    world.run_until(
        lambda: any(machine.services.runs(u(name)) for machine in others), "it runs elsewhere", 30 * SEC
    )
    return world.clock.now - begun


@pytest.mark.parametrize("is_leading", [False, True])
@pytest.mark.parametrize("has_device", [False, True])
def test_no_simulated_failover_exceeds_its_bound(*, is_leading: bool, has_device: bool) -> None:
    for seed in range(12):
        world = cluster(on("db", "b", "c"), seed=f"bounds {seed}")
        world.run(3 * SEC)
        if has_device:
            for name in "ac":
                world[name].devices[B] = "works"
                agent = world[name].agent
                assert agent is not None
                agent.step(DevicesLoaded(targets=(B,)))
            world.run(2 * SEC)
        systemctl(world, "b", "start", "db")
        for _ in range(40):
            leader = world.leader()
            if leader is not None and (leader.name == "b") is is_leading:
                break
            if leader is not None:
                leader.kill_agent()
                leader.start_agent_later(SEC)
            world.run(4 * SEC)
        leader = world.leader()
        assert leader is not None
        assert (leader.name == "b") is is_leading
        assert world.active(u("db")) == ["b"]
        world.run(Usec(seed * 137_000))
        node = world["c"].agent
        assert node is not None
        (bound,) = bounds(node.node.state, TIMING, LEASE, node.node.ledger.voters)
        most = bound.worst_of_leader if is_leading else bound.worst
        assert most is not None
        took = failover(world, "b", "db")
        assert took <= most, f"seed {seed}: {took} us, more than {most}"


def test_a_pair_that_is_colocated_fails_over_within_one_bound() -> None:
    world = cluster(spec("db", nodes="b c"), spec("web", requires="db", after="db", colocate_with="db"))
    world.run(3 * SEC)  # until all three vote
    systemctl(world, "a", "start", "web")
    (home,) = world.active(u("db"))
    other = "c" if home == "b" else "b"
    (first, second) = bounds(
        world[other].agent.node.state,  # type: ignore[union-attr]
        TIMING,
        LEASE,
        (A, B, C),
    )
    assert first.worst_of_leader is not None
    assert second.worst_of_leader is not None
    assert failover(world, home, "web") <= second.worst_of_leader + 200_000  # db's own start comes first
