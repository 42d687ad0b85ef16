# SPDX-License-Identifier: LGPL-2.1-or-later
"""Units that run before they are annotated, before their node joins, before there is a cluster; drift."""

from collections.abc import Iterator
from typing import Any

import pytest

from .conftest import NODES, ONE_RELEASE, Cluster

pytestmark = pytest.mark.system

PLAIN = "[Service]\nExecStart=/bin/sleep infinity\n"
PATH = "/etc/systemd/system/{}"


def annotated(*keys: str) -> str:
    return "\n".join(["[X-Synod]", *keys, PLAIN])


@pytest.fixture
def plain(cluster: Cluster) -> Iterator[Cluster]:
    """The shared cluster; old.service is on every node, without an annotation, and goes with the test."""
    for node in NODES:
        cluster.lab.write(node, PATH.format("old.service"), PLAIN)
        cluster.ok(node, "systemctl", "daemon-reload")
    try:
        yield cluster
    finally:
        cluster.mend()
        cluster.ask("node3", "stop", unit="old.service", wait=True)
        for node in NODES:
            cluster.run(node, "systemctl", "stop", "old.service")
            cluster.ok(node, "rm", "-rf", PATH.format("old.service"), PATH.format("old.service.d"))
            cluster.ok(node, "systemctl", "daemon-reload")
        cluster.wait(lambda: not cluster.show("old.service").get("reports"), "the unit is forgotten")


def annotate(cluster: Cluster, text: str, nodes: tuple[str, ...] = NODES) -> None:
    for node in nodes:
        cluster.lab.write(node, PATH.format("old.service"), text)
        cluster.ok(node, "systemctl", "daemon-reload")
        cluster.wait(lambda node=node: node in reports(cluster), f"{node} reports")


def reports(cluster: Cluster, node: str = "node3") -> dict[str, Any]:
    return dict(cluster.show("old.service", node).get("reports", {}))


def held(cluster: Cluster, *nodes: str, node: str = "node3") -> bool:
    grants = cluster.show("old.service", node).get("grants", [])
    return sorted(grant["node"] for grant in grants) == sorted(nodes)


# What runs already


def test_a_running_unit_that_is_annotated_is_granted_in_place(plain: Cluster) -> None:
    plain.ok("node2", "systemctl", "start", "old.service")
    before = plain.invocation("node2", "old.service")
    annotate(plain, annotated("Requires=db.service", "After=db.service"))
    plain.wait(lambda: held(plain, "node2"), "it is granted where it runs")
    assert plain.invocation("node2", "old.service") == before
    assert plain.active("old.service") == ["node2"]
    assert plain.rows()["old.service"]["desired"] == "started"
    # From now on a start on another node finds it there.
    plain.ok("node1", "systemctl", "start", "old.service")
    assert plain.invocation("node2", "old.service") == before
    # That start pulled in what the unit requires, which goes down after it.
    assert plain.active("db.service") == ["node1"]
    plain.ok("node1", "systemctl", "stop", "db.service")
    assert plain.active("old.service") == []


def test_a_running_unit_that_is_bound_to_what_runs_is_left_alone(plain: Cluster) -> None:
    plain.ok("node3", "systemctl", "start", "db.service")
    plain.ok("node2", "systemctl", "start", "old.service")
    before = plain.invocation("node2", "old.service")
    annotate(plain, annotated("BindsTo=db.service", "After=db.service"))
    plain.wait(lambda: held(plain, "node2"), "it is granted where it runs")
    assert plain.invocation("node2", "old.service") == before
    plain.ok("node1", "systemctl", "stop", "db.service")
    assert plain.active("old.service") == []


@ONE_RELEASE
def test_two_copies_of_one_are_a_conflict_until_one_is_stopped(plain: Cluster) -> None:
    for node in NODES[:2]:
        plain.ok(node, "systemctl", "start", "old.service")
    before = [plain.invocation(node, "old.service") for node in NODES[:2]]
    annotate(plain, annotated())
    plain.wait(lambda: plain.rows()["old.service"]["conflict"], "the conflict is seen")
    reason = plain.rows()["old.service"]["reason"]
    assert reason.startswith("conflict: old.service runs on node1, node2, Instances=1: ")
    assert reason.endswith("run 'systemctl stop old.service' on node2")
    assert reason in plain.ok("node3", "synodctl", "status")
    assert reason in plain.ok("node3", "synodctl", "why", "old.service")
    plain.wait(lambda: reason in [a["text"] for a in plain.status()["alarms"]], "the alarm is in the log")
    leader = plain.leader()
    assert reason in plain.journal(leader, "-u", "old.service")
    assert [plain.invocation(node, "old.service") for node in NODES[:2]] == before
    # Agents that start anew make neither a rogue nor a start of it.
    for node in NODES[:2]:
        plain.kill_agent(node)
    plain.settle()
    assert [plain.invocation(node, "old.service") for node in NODES[:2]] == before
    plain.ok("node2", "systemctl", "stop", "old.service")
    plain.wait(lambda: not plain.rows()["old.service"]["conflict"], "the conflict is over")
    assert held(plain, "node1")
    assert plain.invocation("node1", "old.service") == before[0]
    assert plain.active("old.service") == ["node1"]


@ONE_RELEASE
def test_a_node_that_joins_brings_its_running_unit(plain: Cluster) -> None:
    text = annotated("Nodes=node4")
    annotate(plain, text)
    plain.lab.write("node4", PATH.format("old.service"), text)
    plain.ok("node4", "systemctl", "daemon-reload")
    plain.ok("node4", "systemctl", "start", "old.service")
    before = plain.invocation("node4", "old.service")
    plain.ok("node4", "synodctl", "join", "node1", "--token", plain.ok("node1", "synodctl", "token"))
    try:
        plain.wait(lambda: held(plain, "node4"), "it is granted where it runs")
        assert plain.invocation("node4", "old.service") == before
        assert plain.ok("node4", "systemctl", "is-active", "old.service") == "active"
        plain.ok("node1", "synodctl", "stop", "--wait", "old.service")
        assert plain.systemctl("node4", "is-active", "-q", "old.service") == 3
    finally:
        plain.ok("node4", "synodctl", "leave")
        plain.wait(
            lambda: plain.run("node1", "synodctl", "remove", "node4").returncode == 0, "node4 is forgotten"
        )
        plain.ok("node4", "rm", PATH.format("old.service"))
        plain.ok("node4", "systemctl", "daemon-reload")


def test_a_cluster_that_is_founded_takes_over_what_runs(booted: Cluster) -> None:
    booted.lab.write("node5", PATH.format("old.service"), annotated())
    booted.ok("node5", "systemctl", "daemon-reload")
    booted.ok("node5", "systemctl", "start", "old.service")  # the package alone gates nothing
    before = booted.invocation("node5", "old.service")
    booted.ok("node5", "synodctl", "init", "--name", "other", "--address", "10.77.0.5")
    try:
        booted.wait(lambda: held(booted, "node5", node="node5"), "it is granted where it runs")
        assert booted.invocation("node5", "old.service") == before
        booted.wait(
            lambda: booted.systemctl("node5", "is-active", "-q", "synod-fuse.service") == 0, "a fuse burns"
        )
        booted.ok("node5", "systemctl", "restart", "old.service")
        assert booted.invocation("node5", "old.service") != before
    finally:
        booted.ok("node5", "synodctl", "leave")
        booted.run("node5", "systemctl", "stop", "old.service")
        booted.ok("node5", "rm", PATH.format("old.service"))
        booted.ok("node5", "systemctl", "daemon-reload")


# Annotations that differ


@ONE_RELEASE
def test_a_node_that_drifts_is_named_and_gets_nothing_new(plain: Cluster) -> None:
    annotate(plain, annotated("Nodes=node2 node3"))
    plain.ok("node1", "synodctl", "start", "--wait", "old.service")
    (home,) = plain.active("old.service")
    other = "node2" if home == "node3" else "node3"
    before = plain.invocation(home, "old.service")
    annotate(plain, annotated("Nodes=node2 node3", "Priority=7"), (other,))
    plain.wait(lambda: plain.show("old.service")["differing"] == [other], f"{other} differs")
    cure = f"synodctl adopt old.service --from {other}"
    for verb in (("status",), ("why", "old.service"), ("list-units",)):
        assert cure in plain.ok("node1", "synodctl", *verb)
    assert "its annotation differs from the adopted one" in plain.ok(
        "node1", "synodctl", "why", "old.service"
    )
    plain.wait(lambda: cure in plain.journal(other, "-u", "old.service"), f"{other} says so itself")
    plain.ok("node1", "synodctl", "drain", home)
    try:
        plain.wait(lambda: plain.active("old.service") == [], "it cannot go anywhere")
        assert plain.rows()["old.service"]["desired"] == "started"
        plain.ok("node1", "synodctl", "adopt", "old.service", "--from", other)
        plain.wait(lambda: plain.active("old.service") == [other], "it runs by the other annotation")
        assert plain.show("old.service")["differing"] == sorted({"node1", home})
    finally:
        plain.ok("node1", "synodctl", "undrain", home)
    # The rest catches up: nothing is restarted.
    before = plain.invocation(other, "old.service")
    annotate(plain, annotated("Nodes=node2 node3", "Priority=7"))
    plain.wait(lambda: plain.show("old.service")["differing"] == [], "all agree")
    assert plain.invocation(other, "old.service") == before


@ONE_RELEASE
def test_a_new_annotation_counts_when_all_have_it_and_restarts_nothing(plain: Cluster) -> None:
    annotate(plain, annotated("Instances=2"))
    plain.ok("node1", "synodctl", "start", "--wait", "old.service")
    plain.wait(lambda: len(plain.active("old.service")) == 2, "both run")
    homes = plain.active("old.service")
    before = [plain.invocation(node, "old.service") for node in homes]
    for node in NODES:
        annotate(plain, annotated("Instances=1", "Stickiness=3"), (node,))
        assert plain.active("old.service") == homes
    plain.wait(lambda: plain.show("old.service")["spec"]["stickiness"] == 3, "the new one is adopted")
    plain.wait(lambda: plain.rows()["old.service"]["conflict"], "two are too many now")
    assert [plain.invocation(node, "old.service") for node in homes] == before


# Nodes that are gone


@ONE_RELEASE
def test_a_dead_node_is_removed_once_it_is_proved_dead(cluster: Cluster) -> None:
    cluster.ok("node4", "synodctl", "join", "node1", "--token", cluster.ok("node1", "synodctl", "token"))
    cluster.members = (*NODES, "node4")
    try:
        cluster.settle()
        with cluster.units({"seat.service": annotated("Nodes=node3 node4", "Prefer=node4:9")}):
            cluster.place({"seat.service": annotated("Nodes=node3 node4", "Prefer=node4:9")}, ("node4",))
            cluster.wait(lambda: cluster.show("seat.service")["differing"] == [], "all agree")
            cluster.ok("node1", "synodctl", "start", "--wait", "seat.service")
            cluster.wait(lambda: cluster.active("seat.service") == ["node4"], "seat is on node4")
            refused = cluster.run("node1", "synodctl", "remove", "node4")
            assert refused.returncode == 12
            assert "may still run units" in refused.stderr
            cluster.lab.kill("node4")
            cluster.members = NODES
            cluster.wait(lambda: cluster.states()["node4"] == "fenced", "the proof", timeout=15)
            cluster.ok("node1", "synodctl", "remove", "node4")
            assert "node4" not in cluster.states()
            cluster.wait(lambda: cluster.active("seat.service") == ["node3"], "seat runs elsewhere")
            # The machine comes back, and is nobody any more: it starts nothing, and can start afresh.
            cluster.lab.boot("node4")
            assert cluster.run("node4", "synodctl", "status").returncode == 8
            assert "node4" not in cluster.states()
            cluster.ok("node4", "systemctl", "start", "--no-block", "seat.service")
            assert cluster.systemctl("node4", "is-active", "-q", "seat.service") != 0
            assert "synodctl leave --force" in cluster.run("node4", "synodctl", "status").stdout
            cluster.ok("node4", "synodctl", "leave", "--force")
            cluster.wait(lambda: cluster.ask("node4", "status")[0] == 6, "node4 is no member")
    finally:
        cluster.members = NODES
        cluster.ok("node4", "rm", "-f", PATH.format("seat.service"))
