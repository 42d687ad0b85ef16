# SPDX-License-Identifier: LGPL-2.1-or-later
"""The life of nodes and units: power, boots, placement, leaving, packages, other types of units."""

import shutil
import time
from collections.abc import Iterator

import pytest

from .conftest import NODES, ONE_RELEASE, STARTED, STOPPED, STOPPING, Cluster, deb

pytestmark = pytest.mark.system

SERVICE = "[Service]\nExecStart=/bin/sleep infinity\n"
ONESHOT = "[Service]\nType=oneshot\nRemainAfterExit=yes\nExecStart=/bin/true\n"
INSTALL = "[Install]\nWantedBy=multi-user.target\n"
BOOT_SEC_MAX = 30


def power_off(cluster: Cluster, *nodes: str, verb: str = "poweroff") -> None:
    for node in nodes:
        cluster.run(node, "systemctl", verb)
    cluster.wait(lambda: not any(map(cluster.lab.is_on, nodes)), f"{nodes} are off", timeout=30)


def boot(cluster: Cluster, *nodes: str) -> None:
    """Boot nodes at once; none may wait for the cluster."""
    begun = time.monotonic()
    for node in nodes:
        cluster.lab.boot(node, wait=False)
    for node in nodes:
        cluster.lab.wait_booted(node, timeout=BOOT_SEC_MAX)
        cluster.ok(node, "systemctl", "is-active", "-q", "multi-user.target")
    assert time.monotonic() - begun < BOOT_SEC_MAX


# Power


def test_poweroff_of_the_provider_stops_the_dependant_first(running: Cluster) -> None:
    power_off(running, "node1")
    assert running.active("web.service") == []
    assert running.states("node3")["node1"] == "leaving"
    rows = running.rows()
    assert (rows["db.service"]["desired"], rows["web.service"]["desired"]) == ("started", "started")
    boot(running, "node1")
    running.wait(lambda: running.active("web.service") == ["node2"], "web is back")
    assert running.active("db.service") == ["node1"]
    stopped, stopping = (
        running.last("node2", "web.service", STOPPED),
        running.last("node1", "db.service", STOPPING),
    )
    assert stopped <= stopping
    assert running.last("node1", "db.service", STARTED) <= running.last("node2", "web.service", STARTED)


@ONE_RELEASE
def test_reboot_of_the_dependant_leaves_the_provider_alone(running: Cluster) -> None:
    before = running.invocation("node1", "db.service")
    power_off(running, "node2", verb="reboot")
    assert running.invocation("node1", "db.service") == before
    boot(running, "node2")
    running.wait(lambda: running.active("web.service") == ["node2"], "web is back")
    assert running.invocation("node1", "db.service") == before


def test_all_nodes_go_down_and_come_up_at_once(running: Cluster) -> None:
    power_off(running, *NODES)
    boot(running, *NODES)
    running.wait(lambda: running.active("web.service") == ["node2"], "web is back", timeout=30)
    assert running.active("db.service") == ["node1"]
    assert running.last("node1", "db.service", STARTED) <= running.last("node2", "web.service", STARTED)


def test_a_node_alone_boots_and_starts_its_units_when_the_others_are_back(cluster: Cluster) -> None:
    with cluster.units({"early.service": f"[X-Synod]\nNodes=node1\n{SERVICE}{INSTALL}"}):
        cluster.ok("node1", "systemctl", "enable", "early.service")
        for node in NODES:
            cluster.lab.kill(node)
        boot(cluster, "node1")
        assert cluster.property("node1", "early.service", "ActiveState") == "inactive"
        assert cluster.property("node1", "early.service", "ConditionResult") == "no"
        assert cluster.run("node1", "synodctl", "status", "-q").returncode == 8
        boot(cluster, "node2", "node3")
        cluster.wait(lambda: cluster.active("early.service") == ["node1"], "early is started")
        assert cluster.show("early.service")["desired"] == "started"
        # A boot establishes the wish only where there is none.
        cluster.settle()
        cluster.ok("node3", "synodctl", "stop", "--wait", "early.service")
        cluster.lab.kill("node1")
        boot(cluster, "node1")
        cluster.settle()
        assert cluster.show("early.service")["desired"] == "stopped"
        assert cluster.active("early.service") == []


@ONE_RELEASE
def test_a_boot_without_an_agent_ends_and_starts_nothing(cluster: Cluster) -> None:
    with cluster.units({"early.service": f"[X-Synod]\nNodes=node2\n{SERVICE}{INSTALL}"}):
        cluster.ok("node2", "systemctl", "enable", "early.service")
        cluster.ok("node2", "systemctl", "mask", "synod.service")
        try:
            cluster.lab.kill("node2")
            boot(cluster, "node2")
            assert cluster.property("node2", "early.service", "ActiveState") == "inactive"
            assert cluster.property("node2", "early.service", "ConditionResult") == "no"
        finally:
            cluster.ok("node2", "systemctl", "unmask", "synod.service")
        cluster.ok("node2", "systemctl", "start", "synod.service")
        cluster.settle()
        cluster.ok("node3", "systemctl", "start", "early.service")
        assert cluster.active("early.service") == ["node2"]


# Placement


def where(cluster: Cluster, unit: str) -> list[str]:
    """Return where a unit is placed, once it is up wherever that is."""
    cluster.wait(
        lambda: (placed := cluster.show(unit)["placed_on"]) and cluster.active(unit) == placed,
        f"{unit} is up",
    )
    return list(cluster.show(unit)["placed_on"])


@ONE_RELEASE
def test_drain_and_move(cluster: Cluster) -> None:
    with cluster.units({"roam.service": f"[X-Synod]\nNodes=node1 node2\n{SERVICE}"}):
        cluster.ok("node3", "systemctl", "start", "roam.service")
        (first,) = where(cluster, "roam.service")
        other = "node2" if first == "node1" else "node1"
        try:
            cluster.ok("node3", "synodctl", "drain", first)
            assert cluster.states()[first] == "drained"
            cluster.wait(lambda: cluster.active("roam.service") == [other], "roam has moved")
        finally:
            cluster.ok("node3", "synodctl", "undrain", first)
        gone = cluster.last(first, "roam.service", STOPPED)
        assert gone <= cluster.last(other, "roam.service", STARTED)
        assert where(cluster, "roam.service") == [other]
        cluster.ok("node3", "synodctl", "move", "roam.service", first)
        cluster.wait(lambda: cluster.active("roam.service") == [first], "roam has moved back")
        refused = cluster.run("node3", "synodctl", "move", "roam.service", "node9")
        assert (refused.returncode, refused.stderr) == (12, "synodctl: 'node9' has no unit 'roam.service'\n")


@ONE_RELEASE
def test_two_instances_and_instances_everywhere(cluster: Cluster) -> None:
    units = {
        "pair.service": f"[X-Synod]\nInstances=2\n{SERVICE}",
        "each.service": f"[X-Synod]\nInstances=all\n{SERVICE}",
    }
    with cluster.units(units):
        cluster.ok("node3", "synodctl", "start", "--wait", "pair.service")
        cluster.wait(lambda: len(cluster.active("pair.service")) == 2, "two are up")
        placed = where(cluster, "pair.service")
        (third,) = [node for node in NODES if node not in placed]
        try:
            cluster.ok("node3", "synodctl", "drain", placed[0])
            cluster.wait(
                lambda: cluster.active("pair.service") == sorted([placed[1], third]), "one has moved"
            )
        finally:
            cluster.ok("node3", "synodctl", "undrain", placed[0])
        cluster.ok("node3", "synodctl", "stop", "--wait", "pair.service")
        assert cluster.active("pair.service") == []

        cluster.ok("node2", "systemctl", "start", "each.service")
        assert cluster.active("each.service") == ["node2"]
        cluster.ok("node3", "synodctl", "start", "--wait", "each.service")
        cluster.wait(lambda: cluster.active("each.service") == list(NODES), "one runs on each node")
        cluster.ok("node1", "systemctl", "stop", "each.service")
        assert cluster.active("each.service") == ["node2", "node3"]
        cluster.ok("node3", "synodctl", "stop", "--wait", "each.service")
        assert cluster.active("each.service") == []


@ONE_RELEASE
def test_together_and_apart(cluster: Cluster) -> None:
    units = {
        "base.service": f"[X-Synod]\nNodes=node2 node3\n{SERVICE}",
        "near.service": f"[X-Synod]\nColocateWith=base.service\nRequires=base.service\n{SERVICE}",
        "away.service": f"[X-Synod]\nSeparateFrom=base.service\nNodes=node2 node3\n{SERVICE}",
    }
    with cluster.units(units):
        cluster.ok("node1", "systemctl", "start", "near.service", "away.service")
        (base,) = where(cluster, "base.service")
        assert where(cluster, "near.service") == [base]
        (away,) = where(cluster, "away.service")
        assert away != base


# Members


@pytest.fixture
def guest(cluster: Cluster) -> Iterator[Cluster]:
    """The shared cluster with node4 as one more member, and a unit that runs there only."""
    token = cluster.ok("node1", "synodctl", "token")
    cluster.ok("node4", "synodctl", "join", "node2", "--token", token)
    cluster.members = (*NODES, "node4")
    try:
        cluster.settle()
        cluster.place({"seat.service": f"[X-Synod]\nNodes=node4\n{SERVICE}"}, cluster.members)
        yield cluster
    finally:
        if cluster.ask("node4", "status")[0] != 6:
            cluster.mend()
            cluster.ok("node4", "synodctl", "leave")
        cluster.members = NODES
        cluster.wait(
            lambda: "node4" not in cluster.states() or remove(cluster, "node4"), "node4 is forgotten"
        )
        for node in (*NODES, "node4"):
            cluster.ok(node, "rm", "-f", "/etc/systemd/system/seat.service")
            cluster.ok(node, "systemctl", "daemon-reload")


def remove(cluster: Cluster, node: str) -> bool:
    return cluster.run("node1", "synodctl", "remove", node).returncode == 0


def drop_ins(cluster: Cluster, node: str) -> str:
    return cluster.ok(node, "sh", "-c", "find /run/systemd -name 'zzzz-synod*.conf'")


@ONE_RELEASE
def test_a_node_leaves_is_removed_and_joins_again(guest: Cluster) -> None:
    assert guest.systemctl("node1", "start", "seat.service") == 0
    assert guest.active("seat.service") == ["node4"]
    assert "seat.service.d" in drop_ins(guest, "node4")
    guest.ok("node4", "synodctl", "leave")
    assert guest.systemctl("node4", "is-active", "-q", "seat.service") != 0
    assert guest.states("node1")["node4"] == "left"
    guest.wait(lambda: drop_ins(guest, "node4") == "", "no unit is gated any more")
    assert guest.run("node4", "synodctl", "status").returncode == 6
    assert guest.systemctl("node4", "start", "seat.service") == 0  # an ordinary unit again
    assert guest.systemctl("node4", "is-active", "-q", "seat.service") == 0
    guest.ok("node4", "systemctl", "stop", "seat.service")

    again = guest.run(
        "node4", "synodctl", "join", "node1", "--token", guest.ok("node1", "synodctl", "token")
    )
    assert again.returncode == 12
    assert "the name 'node4' is taken" in again.stderr
    guest.wait(lambda: remove(guest, "node4"), "node4 is forgotten")
    assert "node4" not in guest.states("node1")
    guest.ok("node4", "synodctl", "join", "node1", "--token", guest.ok("node1", "synodctl", "token"))
    guest.settle()
    guest.wait(lambda: "node4" in guest.show("seat.service")["reports"], "node4 has its unit")
    assert guest.systemctl("node1", "start", "seat.service") == 0
    assert guest.active("seat.service") == ["node4"]


@ONE_RELEASE
def test_a_voter_leaves_and_another_votes_in_its_place(guest: Cluster) -> None:
    assert sorted(guest.status()["voters"]) == list(NODES)
    leader = guest.leader()
    assert guest.systemctl("node1", "start", "web.service") == 0
    before = guest.invocation("node1", "db.service"), guest.invocation("node2", "web.service")
    leaver = "node3"
    guest.ok(leaver, "synodctl", "leave", timeout=30)
    guest.members = ("node1", "node2", "node4")
    guest.wait(
        lambda: guest.status("node1")["voters"] == ["node1", "node2", "node4"], f"node4 votes ({leader=})"
    )
    assert before == (guest.invocation("node1", "db.service"), guest.invocation("node2", "web.service"))
    guest.wait(lambda: remove(guest, leaver), f"{leaver} is forgotten")
    guest.ok(leaver, "synodctl", "join", "node4", "--token", guest.ok("node4", "synodctl", "token"))
    guest.members = (*NODES, "node4")
    guest.settle()
    assert guest.systemctl("node3", "start", "seat.service") == 0
    guest.ok("node4", "synodctl", "leave", timeout=30)
    guest.members = NODES
    guest.wait(lambda: sorted(guest.status("node1")["voters"]) == list(NODES), "node3 votes again")
    guest.wait(lambda: remove(guest, "node4"), "node4 is forgotten")
    # Whoever joins now replays that node3 left, and has its new certificate, while node3 leads.
    guest.elect("node3")
    guest.ok("node4", "synodctl", "join", "node1", "--token", guest.ok("node1", "synodctl", "token"))
    guest.members = (*NODES, "node4")
    guest.settle()


# The package


def put_deb(cluster: Cluster, node: str) -> None:
    shutil.copy(deb(), f"/proc/{cluster.lab.pid(node)}/root/root/synod.deb")


def test_an_upgrade_of_the_package_touches_no_unit(running: Cluster) -> None:
    before = running.invocation("node1", "db.service"), running.invocation("node2", "web.service")
    for node in NODES[:2]:
        put_deb(running, node)
        agent = running.agent(node)
        running.ok(node, "dpkg", "--install", "/root/synod.deb")
        running.settle()
        assert running.agent(node) != agent
        assert before == (
            running.invocation("node1", "db.service"),
            running.invocation("node2", "web.service"),
        )
    running.ok("node1", "systemctl", "stop", "db.service")
    assert running.last("node2", "web.service", STOPPED) <= running.last("node1", "db.service", STOPPING)


@ONE_RELEASE
def test_removal_of_the_package_leaves_the_cluster_or_is_refused(guest: Cluster) -> None:
    assert guest.systemctl("node1", "start", "seat.service") == 0
    put_deb(guest, "node4")
    guest.ok("node4", "sh", "-c", "mv /usr/bin/synodctl /usr/bin/synodctl.away")
    refused = guest.run("node4", "dpkg", "--remove", "synod")
    guest.ok("node4", "sh", "-c", "mv /usr/bin/synodctl.away /usr/bin/synodctl")
    assert refused.returncode != 0
    assert "synod: not removed: this node cannot leave its cluster" in refused.stderr
    assert guest.active("seat.service") == ["node4"]
    guest.settle()
    guest.ok("node4", "dpkg", "--remove", "synod")
    assert guest.states("node1")["node4"] == "left"
    assert guest.systemctl("node4", "is-active", "-q", "seat.service") != 0
    guest.ok("node4", "dpkg", "--install", "/root/synod.deb")
    assert guest.run("node4", "synodctl", "status").returncode == 6


# What an administrator does to units


def test_isolate_keeps_the_agent_and_the_order(running: Cluster) -> None:
    agent = running.agent("node1")
    running.systemctl("node1", "isolate", "multi-user.target")
    running.wait(lambda: not running.active("db.service"), "db is stopped")
    assert running.active("web.service") == []
    assert running.last("node2", "web.service", STOPPED) <= running.last("node1", "db.service", STOPPING)
    assert running.agent("node1") == agent
    running.ok("node3", "systemctl", "start", "web.service")
    assert running.active("web.service") == ["node2"]


@ONE_RELEASE
def test_a_masked_unit_runs_elsewhere(cluster: Cluster) -> None:
    with cluster.units({"roam.service": f"[X-Synod]\nNodes=node1 node2\n{SERVICE}"}):
        cluster.ok("node3", "systemctl", "start", "roam.service")
        (first,) = where(cluster, "roam.service")
        other = "node2" if first == "node1" else "node1"
        cluster.ok(first, "rm", "/etc/systemd/system/roam.service")  # a file in /etc cannot be masked
        cluster.lab.write(
            first, "/usr/lib/systemd/system/roam.service", f"[X-Synod]\nNodes=node1 node2\n{SERVICE}"
        )
        cluster.ok(first, "systemctl", "daemon-reload")
        try:
            cluster.ok(first, "systemctl", "mask", "--now", "roam.service")
            cluster.wait(lambda: cluster.active("roam.service") == [other], "roam runs elsewhere")
            assert cluster.show("roam.service")["desired"] == "started"
        finally:
            cluster.ok(first, "systemctl", "unmask", "roam.service")
            cluster.ok(first, "rm", "-f", "/usr/lib/systemd/system/roam.service")


# Two nodes


@ONE_RELEASE
def test_of_two_nodes_the_second_does_not_vote(booted: Cluster) -> None:
    token = booted.ok("node4", "synodctl", "init", "--name", "two", "--address", "10.77.0.4").split()[-1]
    booted.ok("node5", "synodctl", "join", "node4", "--token", token)
    rows = booted.ok("node5", "synodctl", "list-nodes", "--no-legend").splitlines()
    assert [row.split()[0] for row in rows] == ["node4", "node5"]
    roles = {row["name"]: row["role"] for row in booted.ask("node5", "list-nodes")[1]}
    assert roles == {"node4": "voter", "node5": "satellite"}
    booted.ok("node5", "synodctl", "leave")
    booted.ok("node4", "synodctl", "leave")
    assert booted.ask("node4", "status")[0] == booted.ask("node5", "status")[0] == 6


# Templates and other types


def test_instances_of_a_template(cluster: Cluster) -> None:
    with cluster.units(
        {"worker@.service": f"[X-Synod]\nNodes=node2\nRequires=db.service\nAfter=db.service\n{SERVICE}"}
    ):
        cluster.ok("node3", "systemctl", "start", "worker@a.service", "worker@b.service")
        assert cluster.active("worker@a.service") == cluster.active("worker@b.service") == ["node2"]
        assert cluster.last("node1", "db.service", STARTED) <= cluster.last(
            "node2", "worker@a.service", STARTED
        )
        cluster.ok("node1", "synodctl", "stop", "--wait", "worker@a.service")
        assert cluster.active("worker@b.service") == ["node2"]
        cluster.ok("node1", "systemctl", "stop", "db.service")
        assert cluster.active("worker@b.service") == []
        cluster.ok("node1", "synodctl", "stop", "--wait", "worker@b.service")


def test_targets_mounts_and_timers(cluster: Cluster) -> None:
    units = {
        "app.target": "[X-Synod]\nRequires=web.service\nNodes=node3\n",
        "mnt-data.mount": "[X-Synod]\nNodes=node2\n[Mount]\nWhat=tmpfs\nType=tmpfs\nWhere=/mnt/data\n",
        "user.service": f"[X-Synod]\nRequires=mnt-data.mount\nAfter=mnt-data.mount\nNodes=node1\n{SERVICE}",
        "tick.service": f"[X-Synod]\nNodes=node1\n{ONESHOT}",
        "tick.timer": "[Timer]\nOnCalendar=*-*-* *:*:0/1\nAccuracySec=100ms\n",
    }
    with cluster.units(units):
        cluster.ok("node1", "systemctl", "start", "app.target")
        assert cluster.active("app.target") == ["node3"]
        assert cluster.active("web.service") == ["node2"]
        cluster.ok("node1", "systemctl", "stop", "db.service")
        assert cluster.active("web.service") == cluster.active("app.target") == []

        cluster.ok("node3", "systemctl", "start", "user.service")
        assert (cluster.active("mnt-data.mount"), cluster.active("user.service")) == (["node2"], ["node1"])
        cluster.ok("node2", "systemctl", "stop", "mnt-data.mount")
        assert cluster.active("user.service") == cluster.active("mnt-data.mount") == []

        for node in NODES:
            cluster.ok(node, "systemctl", "start", "tick.timer")
        assert cluster.active("tick.timer") == []
        cluster.ok("node3", "systemctl", "start", "tick.service")
        for node in NODES:
            cluster.ok(node, "systemctl", "start", "tick.timer")
        assert cluster.active("tick.timer") == ["node1"]
        for node in NODES:
            cluster.ok(node, "systemctl", "stop", "tick.timer")
