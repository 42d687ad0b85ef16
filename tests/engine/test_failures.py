# SPDX-License-Identifier: LGPL-2.1-or-later
"""Agents, nodes, links and the quorum come and go, in every phase of a start and of a stop."""

import pytest
from scenario import (
    DB,
    MSEC,
    SEC,
    Order,
    becomes,
    behave,
    cluster,
    gate_text,
    on,
    row,
    said,
    systemctl,
    u,
    where,
)

from synod.base.ids import NodeName
from synod.base.messages import MessageId
from synod.engine.events import DevicesLoaded, Tick
from synod.engine.guard import FUSE
from synod.engine.requests import StartUnits, StopUnits
from synod.ledger.entries import ReqId
from synod.model.command import Desired, NodeState, Wish, encode_command
from synod.model.state import ClusterState
from synod.sim.world import World


def web_on_b_and_db_on_a(*, web: str = "requires", seed: int = 0, nodes: str = "abc") -> World:
    keys = {web: "db", "after": "db"}
    world = cluster(on("db", "a"), on("web", "b", **keys), nodes=nodes, seed=seed)
    world.run(3 * SEC)  # until there are three voters
    return world


def leader_name(world: World) -> str:
    leader = world.leader()
    assert leader is not None
    return leader.name


def state(world: World) -> ClusterState:
    leader = world.leader()
    assert leader is not None
    assert leader.agent is not None
    return leader.agent.node.state


def state_of(world: World, node: str) -> NodeState:
    leader = world.leader()
    assert leader is not None
    assert leader.agent is not None
    return leader.agent.node.state.nodes[NodeName(node)].state


@pytest.mark.parametrize("victim", "abc")
@pytest.mark.parametrize("delay", [1, 5, 20, 60, 150, 400, 900])
def test_an_agent_killed_at_any_moment_of_a_start(victim: str, delay: int) -> None:
    world = web_on_b_and_db_on_a(seed=delay)
    behave(world, "db", start_usec=300 * MSEC)
    behave(world, "web", start_usec=300 * MSEC)
    call = world.systemctl("c", "start", u("web"))
    world.run(delay * MSEC)
    world[victim].kill_agent()
    assert world.wait(call, 30 * SEC).status == 0
    becomes(world, lambda: (where(world, "db"), where(world, "web")) == ("a", "b"), "both run")


@pytest.mark.parametrize("victim", "abc")
@pytest.mark.parametrize("delay", [1, 3, 5, 20, 60, 150, 400, 700, 900])
def test_an_agent_killed_at_any_moment_of_a_stop(victim: str, delay: int) -> None:
    world = web_on_b_and_db_on_a(seed=delay)
    behave(world, "db", stop_usec=300 * MSEC)
    behave(world, "web", stop_usec=300 * MSEC)
    systemctl(world, "c", "start", "web")
    call = world.systemctl("a", "stop", u("db"))
    world.run(delay * MSEC)
    world[victim].kill_agent()
    assert world.wait(call, 30 * SEC).status == 0
    world.run(20 * SEC)
    assert (where(world, "db"), where(world, "web")) == ("", "")
    assert row(world, "db").desired is Desired.STOPPED
    assert row(world, "web").desired is Desired.STARTED


@pytest.mark.parametrize("victim", "abc")
def test_an_agent_killed_while_all_is_up_changes_nothing(victim: str) -> None:
    world = web_on_b_and_db_on_a()
    systemctl(world, "c", "start", "web")
    order = Order(world)
    world[victim].kill_agent()
    world.run(10 * SEC)
    assert not [line for line in order.lines if not line.startswith("synod-")]
    assert systemctl(world, "a", "restart", "db").status == 0
    becomes(world, lambda: (where(world, "db"), where(world, "web")) == ("a", "b"), "both run")


@pytest.mark.parametrize("victim", "abc")
def test_a_stop_typed_right_after_the_agent_was_killed(victim: str) -> None:
    world = web_on_b_and_db_on_a()
    systemctl(world, "c", "start", "web")
    order = Order(world)
    world[victim].kill_agent()
    assert systemctl(world, "a", "stop", "db").status == 0
    assert order.index("web inactive b") < order.index("db deactivating a")
    world.run(10 * SEC)
    assert (where(world, "db"), where(world, "web")) == ("", "")
    assert row(world, "db").desired is Desired.STOPPED


def test_an_agent_that_is_stopped_leaves_its_units_alone_and_comes_back_for_a_start() -> None:
    world = web_on_b_and_db_on_a()
    systemctl(world, "c", "start", "web")
    order = Order(world)
    world["a"].stop_agent()
    world.run_until(lambda: world["a"].agent is None, "the agent is gone")
    assert state_of(world, "a") is NodeState.UNMANAGED
    world.run(10 * SEC)
    assert not [line for line in order.lines if not line.startswith("synod-")]
    assert systemctl(world, "b", "restart", "web").status == 0
    world["a"].is_agent_wanted = True
    world["a"].start_agent_later(0)
    world.run(3 * SEC)
    assert systemctl(world, "a", "stop", "db").status == 0
    assert (where(world, "db"), where(world, "web")) == ("", "")


@pytest.mark.parametrize("delay", [0, 10, 50, 200])
def test_the_leader_dies_during_a_start(delay: int) -> None:
    world = cluster(on("db", "b"), on("web", "c", requires="db", after="db"), seed=delay)
    world.run(3 * SEC)
    assert leader_name(world) == "a"
    behave(world, "db", start_usec=100 * MSEC)
    call = world.systemctl("c", "start", u("web"))
    world.run(delay * MSEC)
    world["a"].power_cut()
    assert world.wait(call, 30 * SEC).status == 0
    becomes(world, lambda: (where(world, "db"), where(world, "web")) == ("b", "c"), "both run")


def test_units_of_a_node_without_power_come_up_elsewhere_after_its_lease() -> None:
    world = cluster(DB)
    world.run(3 * SEC)
    systemctl(world, "a", "start", "db")
    home = where(world, "db")
    world[home].power_cut()
    world.run(5 * SEC)
    assert where(world, "db") == ""
    world.run(3 * SEC)
    assert state_of(world, home) is NodeState.FENCED
    new = where(world, "db")
    assert new not in ("", home)
    world[home].power_on()
    becomes(world, lambda: state_of(world, home) is NodeState.ONLINE, "it is back")
    assert where(world, "db") == new


@pytest.mark.parametrize("victims", ["a", "b", "ab"])
@pytest.mark.parametrize("seed", range(5))
def test_power_loss_of_the_leader_of_the_holder_and_of_both(victims: str, seed: int) -> None:
    world = cluster(on("db", "b", "c", "d"), nodes="abcde", seed=seed)
    world.run(5 * SEC)
    systemctl(world, "c", "start", "db")
    assert (leader_name(world), where(world, "db")) == ("a", "b")
    for victim in victims:
        world[victim].power_cut()
    if "b" in victims:
        world.run_until(lambda: where(world, "db") in ("c", "d"), "db runs elsewhere", 8_500 * MSEC)
    else:
        world.run(10 * SEC)
        assert where(world, "db") == "b"


def test_a_node_that_is_cut_off_stops_its_units_and_comes_back_as_another_incarnation() -> None:
    world = cluster(DB)
    world.run(3 * SEC)
    systemctl(world, "a", "start", "db")
    home = where(world, "db")
    world.network.isolate(lambda name: name == home, tuple(world.machines))
    world.run(3 * SEC)
    assert where(world, "db") == ""
    assert said(world[home], MessageId.LEASE_LOST)
    world.run_until(lambda: where(world, "db") not in ("", home), "db runs elsewhere", 5 * SEC)
    world.network.heal_all()
    world.run(3 * SEC)
    assert world[home].boots == 1
    assert world[home].boot == f"{home}-boot1+1"
    assert state_of(world, home) is NodeState.ONLINE
    world[home].kill_agent()
    world.run(3 * SEC)
    assert world[home].boot == f"{home}-boot1+1"
    assert state_of(world, home) is NodeState.ONLINE
    assert len(where(world, "db")) == 1


def test_a_unit_that_stops_too_slowly_is_ended_by_the_fuse() -> None:
    world = cluster(DB)
    behave(world, "db", stop_usec=8 * SEC)
    world.run(3 * SEC)
    systemctl(world, "a", "start", "db")
    home = where(world, "db")
    world.network.isolate(lambda name: name == home, tuple(world.machines))
    world.run_until(lambda: not world[home].is_on, "the fuse fires", 5_200 * MSEC)
    world.run_until(lambda: where(world, "db") not in ("", home), "db runs elsewhere", 5 * SEC)


def test_a_short_outage_restarts_the_units_where_they_were() -> None:
    world = cluster(DB)
    world.run(3 * SEC)
    systemctl(world, "a", "start", "db")
    home = where(world, "db")
    world.network.isolate(lambda name: name == home, tuple(world.machines))
    world.run(3 * SEC)
    assert where(world, "db") == ""
    world.network.heal_all()
    becomes(world, lambda: where(world, "db") == home, "db runs again", 3 * SEC)
    assert row(world, "db").desired is Desired.STARTED


@pytest.mark.parametrize("span", [1, 3, 6, 15])
def test_an_agent_that_stands_still(span: int) -> None:
    world = cluster(DB)
    world.run(3 * SEC)
    systemctl(world, "a", "start", "db")
    home = where(world, "db")
    order = Order(world)
    world[home].freeze_agent(span * SEC)
    world.run(10 * SEC)
    becomes(world, lambda: len(where(world, "db")) == 1, "db runs", 10 * SEC)
    assert bool([line for line in order.lines if line.startswith("db")]) == (span > 2)
    assert world[home].boots == (1 if span < 4 else 2)


def test_a_cut_link_between_leader_and_holder_changes_the_leader_only() -> None:
    world = cluster(on("db", "b", "c"))
    world.run(3 * SEC)
    systemctl(world, "a", "start", "db")
    assert (leader_name(world), where(world, "db")) == ("a", "b")
    order = Order(world)
    world.network.cut(NodeName("a"), NodeName("b"))
    world.run(20 * SEC)
    assert leader_name(world) == "c"
    assert not [line for line in order.lines if line.startswith("db")]


@pytest.mark.parametrize(("source", "target"), ["ab", "ba"])
def test_a_link_that_is_cut_one_way_changes_the_leader_only(source: str, target: str) -> None:
    world = cluster(on("db", "b", "c"))
    world.run(3 * SEC)
    systemctl(world, "a", "start", "db")
    order = Order(world)
    world.network.cut_one_way(NodeName(source), NodeName(target))
    world.run(20 * SEC)
    assert leader_name(world) == "c"
    assert not [line for line in order.lines if line.startswith("db")]


# Fence devices


def with_devices(world: World, target: str, behaviour: str, *fencers: str) -> None:
    """Give nodes a device for another one, as a restart of their agents would make known."""
    for name in fencers:
        world[name].devices[NodeName(target)] = behaviour
        agent = world[name].agent
        assert agent is not None
        agent.step(DevicesLoaded(targets=tuple(world[name].devices)))
    world.run(2 * SEC)
    assert not state(world).nodes[NodeName(target)].has_fuse


def test_with_a_device_units_run_on_without_a_quorum_and_move_when_it_confirms() -> None:
    world = cluster(on("db", "b", "c"))
    world.run(3 * SEC)
    with_devices(world, "b", "works", "a", "c")
    systemctl(world, "a", "start", "db")
    assert where(world, "db") == "b"
    assert world["b"].services.show(FUSE).active == "inactive"
    world.network.isolate(lambda name: name == "b", tuple(world.machines))
    world.run_until(lambda: where(world, "db") == "c", "db runs on c", 5 * SEC)
    assert state_of(world, "b") is NodeState.FENCED


def test_one_device_switches_a_node_off_and_the_others_leave_it_alone() -> None:
    world, done = cluster(on("db", "b", "c")), []
    world.run(3 * SEC)
    with_devices(world, "b", "works", "a", "c")
    systemctl(world, "a", "start", "db")
    for name in "ac":
        switch = world[name].switch_off
        world[name].switch_off = lambda target, switch=switch: (done.append(target), switch(target))[1]  # type: ignore[misc]
    world["b"].power_cut()
    world.run_until(lambda: where(world, "db") == "c", "db runs on c", 5 * SEC)
    world.run(10 * SEC)
    assert done == ["b"]


@pytest.mark.parametrize("behaviour", ["fails", "hangs"])
def test_a_device_that_does_not_confirm_proves_nothing(behaviour: str) -> None:
    world = cluster(on("db", "b", "c"))
    world.run(3 * SEC)
    with_devices(world, "b", behaviour, "a")
    systemctl(world, "a", "start", "db")
    world.network.isolate(lambda name: name == "b", tuple(world.machines))
    world.run(90 * SEC)
    assert where(world, "db") == "b"
    assert state_of(world, "b") is NodeState.LOST
    assert any(said(machine, MessageId.FENCING_FAILED) for machine in world.machines.values())
    with_devices(world, "b", "works", "c")
    world.run_until(lambda: where(world, "db") == "c", "db runs on c", 70 * SEC)


def test_a_node_whose_last_device_is_gone_lights_its_fuse_before_it_promises_it() -> None:
    world = cluster(on("db", "b", "c"))
    world.run(3 * SEC)
    with_devices(world, "b", "works", "c")
    systemctl(world, "a", "start", "db")
    world["c"].devices.clear()
    assert world["c"].agent is not None
    world["c"].agent.step(DevicesLoaded(targets=()))
    world.run(2 * SEC)
    assert state(world).nodes[NodeName("b")].has_fuse
    assert world["b"].services.show(FUSE).active == "active"
    world["b"].power_cut()
    world.run_until(lambda: where(world, "db") == "c", "db runs on c", 8 * SEC)


@pytest.mark.parametrize("key", ["requires", "binds_to"])
def test_the_provider_s_node_loses_power(key: str) -> None:
    world = web_on_b_and_db_on_a(web=key)
    systemctl(world, "c", "start", "web")
    world["a"].power_cut()
    world.run(12 * SEC)
    assert where(world, "web") == ("b" if key == "requires" else "")
    world["a"].power_on()
    becomes(world, lambda: (where(world, "db"), where(world, "web")) == ("a", "b"), "both run again")


def test_the_provider_s_node_is_powered_off() -> None:
    world = web_on_b_and_db_on_a()
    systemctl(world, "c", "start", "web")
    behave(world, "web", stop_usec=500 * MSEC)
    order = Order(world)
    world["a"].shut_down(is_reboot=False)
    world.run_until(lambda: not world["a"].is_on, "a is off", 20 * SEC)
    assert order.index("web inactive b") < order.index("db deactivating a")
    assert state_of(world, "a") is NodeState.LEAVING
    assert row(world, "db").desired is Desired.STARTED
    world["a"].power_on()
    becomes(world, lambda: (where(world, "db"), where(world, "web")) == ("a", "b"), "both run again")


def test_units_of_a_node_that_is_powered_off_move() -> None:
    world = cluster(DB, on("web", "c", requires="db", after="db"))
    world.run(3 * SEC)
    systemctl(world, "c", "start", "web")
    home = where(world, "db")
    world[home].shut_down(is_reboot=False)
    becomes(world, lambda: where(world, "db") not in ("", home), "db runs elsewhere", 20 * SEC)


@pytest.mark.parametrize("node", "abc")
def test_a_reboot_of_any_node(node: str) -> None:
    world = web_on_b_and_db_on_a()
    systemctl(world, "c", "start", "web")
    world[node].shut_down(is_reboot=True)
    world.run_until(lambda: world[node].boots == 2, "it is back", 30 * SEC)
    becomes(world, lambda: (where(world, "db"), where(world, "web")) == ("a", "b"), "both run again")


def test_everything_loses_power_and_boots() -> None:
    world = web_on_b_and_db_on_a()
    for machine in world.machines.values():
        machine.enabled = [name for name in machine.specs if machine.name in machine.specs[name].nodes]
    systemctl(world, "c", "start", "web")
    world.run(SEC)
    for machine in world.machines.values():
        machine.power_cut()
    world.run(SEC)
    order = Order(world)
    for machine in world.machines.values():
        machine.power_on()
    becomes(world, lambda: (where(world, "db"), where(world, "web")) == ("a", "b"), "both run again")
    assert order.index("db active a") < order.index("web activating b")


def test_a_boot_starts_what_is_enabled_once_and_does_not_wait() -> None:
    world = World(0, "abc", [DB])
    for machine in world.machines.values():
        machine.enabled = [u("db")]
    world.form()
    world.run(3 * SEC)
    for machine in world.machines.values():
        machine.shut_down(is_reboot=True)
    machines = world.machines.values()
    world.run_until(lambda: all(m.boots == 2 and "booted" in m.run for m in machines), "all boot")
    becomes(world, lambda: len(where(world, "db")) == 1, "db runs once")


def test_a_boot_does_not_override_a_stop() -> None:
    world = web_on_b_and_db_on_a()
    world["a"].enabled = [u("db")]
    systemctl(world, "c", "start", "web")
    systemctl(world, "a", "stop", "db")
    world["a"].shut_down(is_reboot=True)
    world.run_until(lambda: world["a"].boots == 2, "it is back", 30 * SEC)
    world.run(10 * SEC)
    assert where(world, "db") == ""


def test_without_a_quorum_a_stop_is_local_and_said_so() -> None:
    world = web_on_b_and_db_on_a()
    systemctl(world, "c", "start", "web")
    world["b"].power_cut()
    world["c"].power_cut()
    world.run(500 * MSEC)
    call = world.systemctl("a", "stop", u("db"))
    world.run(3 * SEC)
    assert call.status == 0
    assert said(world["a"], MessageId.WISH_LOCAL_ONLY, "db")


def test_without_a_quorum_exclusive_units_stop_and_come_back_with_it() -> None:
    world = web_on_b_and_db_on_a()
    systemctl(world, "c", "start", "web")
    world["b"].power_cut()
    world["c"].power_cut()
    world.run(3 * SEC)
    assert where(world, "db") == ""
    world["b"].power_on()
    world["c"].power_on()
    becomes(world, lambda: (where(world, "db"), where(world, "web")) == ("a", "b"), "both run again")
    assert world["a"].boots == 1


def test_a_local_stop_is_committed_when_the_quorum_is_back() -> None:
    world = cluster(on("db", "a"))
    world.run(3 * SEC)
    systemctl(world, "c", "start", "db")
    world.network.isolate(lambda name: name == "a", tuple(world.machines))
    world.run(300 * MSEC)
    call = world.wait(world.systemctl("a", "stop", u("db")))
    assert call.status == 0
    assert call.ended - call.begun < 3 * SEC
    world.run(SEC)
    assert where(world, "db") == ""
    world.network.heal_all()
    world.run(5 * SEC)
    assert row(world, "db").desired is Desired.STOPPED
    assert where(world, "db") == ""


def test_a_local_stop_that_somebody_overtook_is_dropped() -> None:
    world = cluster(on("db", "a", "c"))
    world.run(3 * SEC)
    systemctl(world, "c", "start", "db")
    assert where(world, "db") == "a"
    world.network.isolate(lambda name: name == "a", tuple(world.machines))
    world.run(300 * MSEC)
    world.wait(world.systemctl("a", "stop", u("db")))
    # The others want it stopped, then started: the row has another revision.
    world.wait(world.synodctl("c", StopUnits(unit=u("db"), is_waiting=False)))
    world.wait(world.synodctl("c", StartUnits(unit=u("db"), is_waiting=False)))
    world.network.heal_all()
    world.run(5 * SEC)
    assert said(world["a"], MessageId.WISH_DROPPED, "db")
    assert row(world, "db").desired is Desired.STARTED
    becomes(world, lambda: len(where(world, "db")) == 1, "db runs")


def test_a_minority_starts_nothing_and_the_majority_does() -> None:
    world = cluster(on("db", "a"), on("app", "b", "c"))
    world.run(3 * SEC)
    world.network.isolate(lambda name: name == "a", tuple(world.machines))
    world.run(3 * SEC)
    minority = world.systemctl("a", "start", u("db"))
    assert systemctl(world, "b", "start", "app").status == 0
    world.run(5 * SEC)
    assert where(world, "db") == ""
    assert minority.status is None
    world.network.heal_all()
    assert world.wait(minority, 10 * SEC).status == 0


def test_a_minority_answers_synodctl_at_once() -> None:
    world = cluster(DB)
    world.run(3 * SEC)
    world.network.isolate(lambda name: name == "a", tuple(world.machines))
    world.run(3 * SEC)
    assert world.wait(world.synodctl("a", StartUnits(unit=u("db"), is_waiting=True)), SEC).status == 8


def test_a_barrier_is_relayed_when_two_nodes_have_no_stream() -> None:
    world = web_on_b_and_db_on_a()
    systemctl(world, "c", "start", "web")
    world.network.cut(NodeName("a"), NodeName("b"))
    world.run(3 * SEC)
    assert not world.network.has_stream(NodeName("a"), NodeName("b"))
    order = Order(world)
    call = systemctl(world, "a", "stop", "db")
    assert call.status == 0
    assert call.ended - call.begun < 5 * SEC
    assert order.index("web inactive b") < order.index("db deactivating a")


def test_a_bound_unit_hears_of_a_crash_without_a_stream() -> None:
    world = cluster(on("db", "b"), on("web", "c", binds_to="db", after="db"))
    world.run(3 * SEC)
    systemctl(world, "a", "start", "web")
    assert leader_name(world) == "a"
    world.network.cut(NodeName("b"), NodeName("c"))
    world.run(3 * SEC)
    world["b"].services.crash(u("db"))
    world.run(SEC)
    assert where(world, "web") == ""


def test_a_start_between_nodes_that_have_no_stream() -> None:
    world = web_on_b_and_db_on_a()
    world.network.cut(NodeName("a"), NodeName("b"))
    world.run(3 * SEC)
    call = world.systemctl("c", "start", u("web"))
    world.run(20 * SEC)
    world.network.heal_all()
    assert world.wait(call, 30 * SEC).status == 0
    assert (where(world, "db"), where(world, "web")) == ("a", "b")


def test_a_stop_waits_for_a_node_that_is_cut_off_until_its_lease_is_over() -> None:
    world = web_on_b_and_db_on_a()
    systemctl(world, "c", "start", "web")
    world.network.isolate(lambda name: name == "b", tuple(world.machines))
    world.run(2 * SEC)
    call = world.systemctl("a", "stop", u("db"))
    world.run(2 * SEC)
    assert where(world, "db") == "a"
    assert world.wait(call, 5 * SEC).status == 0
    world.network.heal_all()
    world.run(5 * SEC)
    assert (where(world, "db"), where(world, "web")) == ("", "")


def test_a_hold_gives_up_with_an_alarm() -> None:
    world = web_on_b_and_db_on_a()
    with_devices(world, "b", "fails", "a")
    systemctl(world, "c", "start", "web")
    world.network.isolate(lambda name: name == "b", tuple(world.machines))
    world.run(2 * SEC)
    call = systemctl(world, "a", "stop", "db")
    assert call.ended - call.begun >= 60 * SEC
    assert said(world["a"], MessageId.BARRIER_TIMED_OUT, "db")
    assert u("db") in [alarm.unit for _, alarm in state(world).alarms]


def test_a_stop_that_takes_longer_than_the_hold_s_timeout_is_waited_for() -> None:
    world = web_on_b_and_db_on_a()
    behave(world, "web", stop_usec=100 * SEC)
    systemctl(world, "c", "start", "web")
    call = systemctl(world, "a", "stop", "db")
    assert call.status == 0
    assert call.ended - call.begun >= 100 * SEC


@pytest.mark.parametrize("seed", range(6))
def test_lost_messages_delay_and_no_more(seed: int) -> None:
    world = web_on_b_and_db_on_a(seed=seed)
    world.network.reset_chance = 0.02
    for _ in range(4):
        assert systemctl(world, "c", "start", "web").status == 0
        becomes(world, lambda: (where(world, "db"), where(world, "web")) == ("a", "b"), "both run")
        assert systemctl(world, "a", "stop", "db").status == 0
        world.run(SEC)
        assert (where(world, "db"), where(world, "web")) == ("", "")


def test_a_request_is_carried_out_once_however_often_it_is_in_the_log() -> None:
    world = cluster(DB)
    systemctl(world, "a", "start", "db")
    agent = world["a"].agent
    assert agent is not None
    # What a change of leader between proposal and answer does: the same request, twice in the log.
    wish = encode_command(Wish(unit=u("db"), desired=Desired.STOPPED, node=NodeName("a")))
    world.grants.words.stopped[u("db")] = None
    for _ in range(2):
        agent.node._log.propose(ReqId(client=NodeName("a"), boot="another", seq=1), wish)
        agent.step(Tick())
        world.run(SEC)
    first, second = (entry.index for entry in world.log.committed if entry.payload == wish)
    assert row(world, "db").revision == first < second
    assert world.log.replay() == state(world)


def test_a_broken_disk_takes_its_node_out_and_no_other() -> None:
    world = cluster(on("db", "b"))
    world.run(3 * SEC)
    world["a"].disk.is_broken = True
    systemctl(world, "c", "start", "db")
    world.run(5 * SEC)
    assert said(world["a"], MessageId.STORAGE_FAILED)
    assert where(world, "db") == "b"
    assert leader_name(world) != "a"


def test_a_start_gives_up_after_its_timeout_and_says_what_it_waited_for() -> None:
    web = on("web", "b", requires="db", after="db", dependency_timeout_usec=3 * SEC)
    world = cluster(on("db", "a"), web)
    behave(world, "db", start_usec=60 * SEC)
    call = systemctl(world, "c", "start", "web")
    assert call.status == 1
    assert call.ended - call.begun < 4 * SEC
    (text,) = gate_text(world["c"], "web")
    assert text.startswith("gave up waiting: web.service waits for db.service")


def test_a_promise_of_a_fuse_does_not_outlive_the_agent_that_made_it() -> None:
    world = cluster(on("db", "b"))
    world.run(3 * SEC)
    with_devices(world, "b", "works", "a")
    systemctl(world, "a", "start", "db")
    for machine in world.machines.values():
        machine.disk.delay_usec = 600 * MSEC
    agent = world["a"].agent
    assert agent is not None
    world["a"].devices.clear()
    agent.step(DevicesLoaded(targets=()))
    world.run_until(lambda: world["b"].services.show(FUSE).active == "active", "b lights its fuse")
    world["b"].stop_agent()  # the word on the fuse is said while that on the end is on its way
    world.run(10 * SEC)
    assert state_of(world, "b") is NodeState.UNMANAGED
    assert where(world, "db") == "b"
