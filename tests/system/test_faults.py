# SPDX-License-Identifier: LGPL-2.1-or-later
"""Agents die, links break, power fails: units keep running where they may, and the order is kept."""

import time

import pytest

from .conftest import NODES, ONE_RELEASE, STARTED, STOPPED, STOPPING, Cluster

pytestmark = pytest.mark.system

SLOW_START = "[Service]\nExecStartPre=/bin/sleep 1.5\n"
SLOW_STOP = "[Service]\nExecStop=/bin/sleep 1.5\n"
SOLO = "[X-Synod]\nNodes=node1\nDependencyTimeoutSec=2\n[Service]\nExecStart=/bin/sleep infinity\n"
OTHER = "[X-Synod]\nDependencyTimeoutSec=2\n[Service]\nExecStart=/bin/sleep infinity\n"
BOUND = """[X-Synod]
BindsTo=db.service
After=db.service
Nodes=node3
[Service]
ExecStart=/bin/sleep infinity
"""
HOLD_LIMIT_SEC = 3


def lives(cluster: Cluster) -> tuple[str, str]:
    return cluster.invocation("node1", "db.service"), cluster.invocation("node2", "web.service")


def check_stop_and_start(cluster: Cluster) -> None:
    """Stop the provider and start the dependant, each in order."""
    cluster.ok("node1", "systemctl", "stop", "db.service")
    assert cluster.active("db.service") == cluster.active("web.service") == []
    assert cluster.last("node2", "web.service", STOPPED) <= cluster.last("node1", "db.service", STOPPING)
    cluster.ok("node3", "systemctl", "start", "web.service")
    assert (cluster.active("db.service"), cluster.active("web.service")) == (["node1"], ["node2"])
    assert cluster.last("node1", "db.service", STARTED) <= cluster.last("node2", "web.service", STARTED)


# Agents


def test_agents_killed_one_by_one_touch_no_unit(running: Cluster) -> None:
    before = lives(running)
    for node in NODES:
        running.kill_agent(node)
        running.settle()
        assert lives(running) == before
    check_stop_and_start(running)


@ONE_RELEASE
def test_all_agents_killed_at_once_touch_no_unit(running: Cluster) -> None:
    before = lives(running)
    for node in NODES:
        running.kill_agent(node)
    running.settle()
    assert lives(running) == before
    check_stop_and_start(running)


@ONE_RELEASE
def test_the_leader_is_killed_and_the_next_start_works(cluster: Cluster) -> None:
    leader = cluster.leader()
    asking = next(node for node in NODES if node != leader)
    cluster.kill_agent(leader)
    begun = time.monotonic()
    cluster.ok(asking, "systemctl", "start", "web.service")
    assert time.monotonic() - begun < 5
    assert (cluster.active("db.service"), cluster.active("web.service")) == (["node1"], ["node2"])


@pytest.mark.parametrize("victim", NODES)
def test_an_agent_is_killed_while_a_gate_waits(cluster: Cluster, victim: str) -> None:
    with cluster.drop_in("node1", "db.service", SLOW_START):
        start = cluster.begin("node3", "systemctl", "start", "web.service")
        cluster.wait(
            lambda: cluster.property("node1", "db.service", "ActiveState") == "activating", "db is starting"
        )
        cluster.kill_agent(victim)
        assert cluster.finish(start) == (0, "")
    assert (cluster.active("db.service"), cluster.active("web.service")) == (["node1"], ["node2"])
    assert cluster.last("node1", "db.service", STARTED) <= cluster.last("node2", "web.service", STARTED)


@pytest.mark.parametrize("victim", NODES[:2])
def test_an_agent_is_killed_in_the_middle_of_a_barrier(running: Cluster, victim: str) -> None:
    with running.drop_in("node2", "web.service", SLOW_STOP):
        stop = running.begin("node1", "systemctl", "stop", "db.service")
        running.wait(
            lambda: running.property("node2", "web.service", "ActiveState") == "deactivating",
            "web is stopping",
        )
        running.kill_agent(victim)
        assert running.finish(stop) == (0, "")
    assert running.active("db.service") == running.active("web.service") == []
    assert running.last("node2", "web.service", STOPPED) <= running.last("node1", "db.service", STOPPING)
    running.settle()
    assert running.show("web.service")["desired"] == "started"
    assert running.show("db.service")["desired"] == "stopped"
    running.ok("node3", "systemctl", "start", "db.service")
    running.wait(lambda: running.active("web.service") == ["node2"], "web is back")


def test_a_hung_agent_is_restarted_and_touches_no_unit(running: Cluster) -> None:
    with running.drop_in("node2", "synod.service", "[Service]\nWatchdogSec=1\n"):
        running.ok("node2", "systemctl", "restart", "synod.service")
        running.settle()
        before, old = lives(running), running.agent("node2")
        running.kill_agent("node2", "-STOP")
        running.wait(lambda: running.agent("node2") not in (0, old), "the agent is another one")
        running.settle()
        assert lives(running) == before
        check_stop_and_start(running)
    running.ok("node2", "systemctl", "restart", "synod.service")


def test_a_stopped_agent_is_unmanaged_and_its_units_run_on(running: Cluster) -> None:
    before = lives(running)
    running.ok("node2", "systemctl", "stop", "synod.service")
    assert running.states("node1")["node2"] == "unmanaged"
    assert lives(running) == before
    assert running.active("web.service") == ["node2"]
    running.ok("node2", "systemctl", "start", "synod.service")
    running.settle()
    assert lives(running) == before
    check_stop_and_start(running)


# PID 1


@pytest.mark.parametrize("verb", ["daemon-reload", "daemon-reexec"])
def test_the_manager_reloads_with_everything_up(running: Cluster, verb: str) -> None:
    before = lives(running)
    for node in NODES:
        running.ok(node, "systemctl", verb)
    assert lives(running) == before
    running.settle()
    assert lives(running) == before
    check_stop_and_start(running)


@pytest.mark.parametrize("verb", ["daemon-reload", "daemon-reexec"])
def test_the_manager_reloads_while_a_start_waits(cluster: Cluster, verb: str) -> None:
    with cluster.drop_in("node1", "db.service", SLOW_START):
        # Not in the foreground: systemctl itself loses its connection when PID 1 executes itself anew.
        cluster.ok("node3", "systemctl", "start", "--no-block", "web.service")
        cluster.wait(
            lambda: cluster.property("node1", "db.service", "ActiveState") == "activating", "db is starting"
        )
        for node in NODES:
            cluster.ok(node, "systemctl", verb)
        cluster.wait(lambda: cluster.active("web.service") == ["node2"], "web is up")
    assert cluster.last("node1", "db.service", STARTED) <= cluster.last("node2", "web.service", STARTED)
    cluster.wait(
        lambda: "runs on node2, not here" in cluster.journal("node3", "-u", "web.service"), "the gate's end"
    )


# Links and power


@ONE_RELEASE
@pytest.mark.parametrize("leader", NODES)
def test_a_cut_link_is_gone_around(running: Cluster, leader: str) -> None:
    running.elect(leader)
    before = lives(running)
    running.lab.cut("node1", "node2")
    running.wait(lambda: running.states("node1")["node2"] != "online", "node1 has lost node2", timeout=10)
    assert lives(running) == before
    running.ok("node1", "systemctl", "stop", "db.service")
    assert running.active("db.service") == running.active("web.service") == []
    assert running.last("node2", "web.service", STOPPED) <= running.last("node1", "db.service", STOPPING)
    running.lab.heal()
    running.settle()
    assert running.show("web.service")["desired"] == "started"
    check_stop_and_start(running)


@ONE_RELEASE
def test_power_loss_of_the_dependant_bounds_the_stop_of_its_provider(running: Cluster) -> None:
    limit = f"[Service]\nTimeoutStopSec={HOLD_LIMIT_SEC}\n"
    with running.drop_in("node1", "synod-hold@db.service.service", limit):
        running.lab.kill("node2")
        running.wait(lambda: running.states("node1")["node2"] == "lost", "node2 is lost", timeout=10)
        begun = time.monotonic()
        running.systemctl("node1", "stop", "db.service")
        took = time.monotonic() - begun
        assert HOLD_LIMIT_SEC - 0.5 < took < HOLD_LIMIT_SEC + 5
        assert running.active("db.service") == []
        text = "'db.service' is stopped before what depends on it on other nodes was down."
        assert text in running.journal("node1", "-u", "db.service")
        running.wait(
            lambda: text in [alarm["text"] for alarm in running.status("node3")["alarms"]],
            "the alarm is in the log",
        )
    running.lab.boot("node2")
    running.settle()
    assert running.active("web.service") == []
    check_stop_and_start(running)


@ONE_RELEASE
def test_power_loss_of_the_provider_stops_what_is_bound_to_it(running: Cluster) -> None:
    with running.units({"bound.service": BOUND}):
        running.ok("node3", "systemctl", "start", "bound.service")
        before = running.invocation("node2", "web.service")
        running.lab.kill("node1")
        begun = time.monotonic()
        running.wait(lambda: running.active("bound.service") == [], "bound is stopped", timeout=10)
        assert time.monotonic() - begun < 7
        assert running.states("node3")["node1"] == "lost"
        assert running.invocation("node2", "web.service") == before
        assert running.active("web.service") == ["node2"]
        running.lab.boot("node1")
        running.wait(lambda: running.active("db.service") == ["node1"], "db is back")
        running.wait(lambda: running.active("bound.service") == ["node3"], "bound is back")
        assert running.invocation("node2", "web.service") == before


# Quorum


def isolate(cluster: Cluster, node: str) -> None:
    for other in NODES:
        if other != node:
            cluster.lab.cut(node, other)
    cluster.wait(lambda: not cluster.is_quorate(node), f"{node} has no quorum", timeout=10)


@ONE_RELEASE
def test_a_minority_starts_nothing_and_says_why(running: Cluster) -> None:
    boot = running.ok("node1", "cat", "/proc/sys/kernel/random/boot_id")
    with running.units({"solo.service": SOLO}):
        isolate(running, "node1")
        running.wait(lambda: not running.active("db.service"), "node1 gives up what others might run")
        assert running.systemctl("node1", "start", "solo.service") != 0
        assert running.property("node1", "solo.service", "ActiveState") == "inactive"
        reason = "waiting for the cluster's log to accept the wish"
        assert reason in running.journal("node1", "-u", "solo.service")
        refused = running.run("node1", "synodctl", "start", "solo.service")
        assert (refused.returncode, refused.stdout) == (8, "")
        assert refused.stderr == "synodctl: no majority of voters answers; nothing was changed\n"
        assert running.run("node1", "synodctl", "status").returncode == 8
        running.lab.heal()
        running.settle()
        running.wait(lambda: running.active("db.service") == ["node1"], "db is back")
        running.wait(lambda: running.active("web.service") == ["node2"], "web is back")
        assert running.show("solo.service")["desired"] != "started"
    # The orderly stop came before the fuse: the machine went on.
    assert running.ok("node1", "cat", "/proc/sys/kernel/random/boot_id") == boot


@ONE_RELEASE
def test_two_dead_nodes_leave_the_third_without_a_word_to_say(running: Cluster) -> None:
    for node in NODES[1:]:
        running.lab.kill(node)
    running.wait(lambda: not running.is_quorate("node1"), "node1 has no quorum", timeout=10)
    refused = running.run("node1", "synodctl", "start", "web.service")
    assert (refused.returncode, refused.stderr.count("\n")) == (8, 1)
    running.wait(lambda: not running.active("db.service"), "node1 gives up what others might run")
    running.mend()
    running.wait(lambda: running.active("db.service") == ["node1"], "db is back")
    running.wait(lambda: running.active("web.service") == ["node2"], "web is back after its node's reboot")


@ONE_RELEASE
def test_a_stop_without_quorum_is_local_and_takes_effect_when_healed(cluster: Cluster) -> None:
    with cluster.units({"solo.service": SOLO}):
        cluster.ok("node1", "systemctl", "start", "solo.service")
        isolate(cluster, "node1")
        begun = time.monotonic()
        cluster.ok("node1", "systemctl", "stop", "solo.service")
        assert time.monotonic() - begun < 4
        assert "Stopping 'solo.service' on this node only" in cluster.journal("node1", "-u", "solo.service")
        assert cluster.show("solo.service", "node3")["desired"] == "started"
        cluster.lab.heal()
        cluster.wait(lambda: cluster.show("solo.service")["desired"] == "stopped", "the wish is in the log")
        cluster.settle()
        assert cluster.active("solo.service") == []


@ONE_RELEASE
def test_a_stop_without_quorum_gives_way_to_a_later_word(cluster: Cluster) -> None:
    with cluster.units({"solo.service": SOLO}):
        cluster.ok("node1", "systemctl", "start", "solo.service")
        isolate(cluster, "node1")
        cluster.ok("node1", "systemctl", "stop", "solo.service")
        assert cluster.property("node1", "solo.service", "ActiveState") == "inactive"
        cluster.wait(lambda: cluster.is_quorate("node3"), "the others have a leader")
        cluster.ok("node3", "synodctl", "stop", "solo.service")
        cluster.ok("node3", "synodctl", "start", "solo.service")
        cluster.lab.heal()
        cluster.wait(lambda: cluster.active("solo.service") == ["node1"], "solo is back")
        assert cluster.show("solo.service")["desired"] == "started"
        assert "The stop of 'solo.service' was dropped" in cluster.journal("node1", "-u", "solo.service")
