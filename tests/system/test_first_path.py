# SPDX-License-Identifier: LGPL-2.1-or-later
"""The main job: systemctl on any node starts and stops in order across nodes."""

import pytest

from .conftest import NODES, STARTED, STOPPED, STOPPING, Cluster

pytestmark = pytest.mark.system

KILL = "kill -9 $(systemctl show -p MainPID --value {})"
SERVICE = "[Service]\nExecStart=/bin/sleep infinity\n"


def test_start_on_a_third_node_starts_the_provider_first(cluster: Cluster) -> None:
    cluster.ok("node3", "systemctl", "start", "web.service")
    assert (cluster.active("db.service"), cluster.active("web.service")) == (["node1"], ["node2"])
    assert cluster.last("node1", "db.service", STARTED) <= cluster.last("node2", "web.service", STARTED)


def test_start_where_it_belongs(cluster: Cluster) -> None:
    cluster.ok("node2", "systemctl", "start", "web.service")
    assert (cluster.active("db.service"), cluster.active("web.service")) == (["node1"], ["node2"])


def test_the_wrong_node_says_where_it_runs(running: Cluster) -> None:
    running.ok("node3", "systemctl", "start", "web.service")
    assert (
        "web.service runs on node2, not here"
        in running.run("node3", "systemctl", "status", "web.service").stdout
    )
    assert running.active("web.service") == ["node2"]


def test_starting_twice_restarts_nothing(running: Cluster) -> None:
    before = running.invocation("node1", "db.service"), running.invocation("node2", "web.service")
    for node in NODES:
        running.ok(node, "systemctl", "start", "web.service", "db.service")
    assert before == (running.invocation("node1", "db.service"), running.invocation("node2", "web.service"))


def test_stop_of_the_provider_stops_the_dependant_first(running: Cluster) -> None:
    running.ok("node1", "systemctl", "stop", "db.service")
    assert running.active("db.service") == running.active("web.service") == []
    assert running.last("node2", "web.service", STOPPED) <= running.last("node1", "db.service", STOPPING)


def test_a_stopped_provider_brings_its_dependant_back(running: Cluster) -> None:
    running.systemctl("node1", "stop", "db.service")
    assert running.show("web.service")["desired"] == "started"
    assert running.show("db.service")["desired"] == "stopped"
    running.ok("node1", "systemctl", "start", "db.service")
    running.wait(lambda: running.active("web.service") == ["node2"], "web is back")


def test_restart_of_the_provider(running: Cluster) -> None:
    before = running.invocation("node2", "web.service")
    running.ok("node1", "systemctl", "restart", "db.service")
    running.wait(lambda: running.active("web.service") == ["node2"], "web is back")
    assert running.invocation("node2", "web.service") != before
    assert running.last("node2", "web.service", STOPPED) <= running.last("node1", "db.service", STOPPED)
    assert running.last("node1", "db.service", STARTED) <= running.last("node2", "web.service", STARTED)


def test_stop_where_it_does_not_run_changes_nothing(running: Cluster) -> None:
    before = running.invocation("node2", "web.service")
    running.systemctl("node3", "stop", "web.service")
    assert running.invocation("node2", "web.service") == before
    assert running.show("web.service")["desired"] == "started"


def test_synodctl_stops_and_starts_from_anywhere(running: Cluster) -> None:
    running.ok("node3", "synodctl", "stop", "--wait", "db.service")
    assert running.active("db.service") == running.active("web.service") == []
    running.ok("node3", "synodctl", "start", "--wait", "web")
    assert (running.active("db.service"), running.active("web.service")) == (["node1"], ["node2"])
    before = running.invocation("node2", "web.service")
    running.ok("node1", "synodctl", "restart", "web.service")
    assert running.invocation("node2", "web.service") != before


def test_a_provider_that_fails_refuses_the_start_with_the_reason(cluster: Cluster) -> None:
    cluster.lab.write(
        "node1", "/run/systemd/system/db.service.d/broken.conf", "[Service]\nExecStartPre=/bin/false\n"
    )
    cluster.ok("node1", "systemctl", "daemon-reload")
    try:
        assert cluster.systemctl("node3", "start", "web.service") != 0
        reason = "db.service failed on node1"
        assert reason in cluster.journal("node3", "-u", "web.service")
        assert reason in cluster.ok("node3", "synodctl", "why", "web.service")
        assert cluster.active("web.service") == []
    finally:
        cluster.ok("node1", "rm", "/run/systemd/system/db.service.d/broken.conf")
        cluster.ok("node1", "systemctl", "daemon-reload")
    cluster.ok("node3", "systemctl", "start", "web.service")


def fail_over(cluster: Cluster, unit: str, node: str, after: str) -> None:
    """Kill a service without Restart=, and wait until the cluster has started it again."""
    before = cluster.invocation(node, unit)
    cluster.ok(node, "sh", "-c", KILL.format(unit))
    cluster.wait(
        lambda: cluster.invocation(after, unit) not in ("", before) and cluster.active(unit) == [after],
        f"{unit} runs on {after}",
    )


def test_a_crashed_provider_is_recovered_while_its_requires_dependant_runs_on(running: Cluster) -> None:
    web = running.invocation("node2", "web.service")
    fail_over(running, "db.service", "node1", "node1")
    assert running.show("db.service")["failures"] == {"node1": 1}
    assert running.invocation("node2", "web.service") == web
    assert running.active("web.service") == ["node2"]


def test_a_unit_that_fails_too_often_goes_elsewhere_and_is_given_up_in_the_end(cluster: Cluster) -> None:
    frail = f"[X-Synod]\nNodes=node1 node2\nPrefer=node1:10\nFailureLimit=2\n{SERVICE}"
    with cluster.units({"frail.service": frail}):
        cluster.ok("node3", "systemctl", "start", "frail.service")
        assert cluster.active("frail.service") == ["node1"]
        for node, after in (("node1", "node1"), ("node1", "node2"), ("node2", "node2")):
            fail_over(cluster, "frail.service", node, after)
        cluster.ok("node2", "sh", "-c", KILL.format("frail.service"))
        cluster.wait(lambda: cluster.show("frail.service")["failure"], "it is given up")
        assert cluster.active("frail.service") == []
        told = cluster.ok("node3", "synodctl", "why", "frail.service")
        assert "FailureLimit=2 is reached on node1, node2" in told
        cluster.ok("node3", "systemctl", "start", "frail.service")
        assert cluster.active("frail.service") == ["node1"]


def test_attributes_decide_where_a_unit_goes(cluster: Cluster) -> None:
    picky = f"[X-Synod]\nWhere=disk=fast\n{SERVICE}"
    with cluster.units({"picky.service": picky}):
        assert cluster.systemctl("node1", "start", "picky.service") != 0
        reason = "Where=disk=fast, and the node has no such attribute"
        assert reason in cluster.ok("node1", "synodctl", "why", "picky.service")
        cluster.ok("node1", "synodctl", "set-attribute", "node3", "disk", "fast")
        assert cluster.ok("node2", "synodctl", "get-attribute", "node3", "disk") == "fast"
        cluster.wait(lambda: cluster.active("picky.service") == ["node3"], "it is placed")
        cluster.ok("node1", "synodctl", "set-attribute", "node3", "disk", "")


def test_a_crashed_provider_stops_a_bound_dependant(running: Cluster) -> None:
    running.install(bound_service=f"[X-Synod]\nBindsTo=db.service\nAfter=db.service\nNodes=node3\n{SERVICE}")
    running.ok("node1", "systemctl", "start", "bound.service")
    assert running.active("bound.service") == ["node3"]
    before = running.invocation("node3", "bound.service")
    running.ok("node1", "sh", "-c", KILL.format("db.service"))
    running.wait(
        lambda: running.invocation("node3", "bound.service") not in ("", before)
        and running.active("bound.service") == ["node3"],
        "bound is back with db",
    )
    assert running.last("node3", "bound.service", STOPPED) < running.last("node1", "db.service", STARTED)
    running.ok("node1", "synodctl", "stop", "--wait", "bound.service")


def test_start_order_is_that_of_the_log_not_of_luck(cluster: Cluster) -> None:
    for _ in range(5):
        cluster.ok("node3", "systemctl", "start", "web.service")
        assert cluster.last("node1", "db.service", STARTED) <= cluster.last("node2", "web.service", STARTED)
        cluster.ok("node1", "systemctl", "stop", "db.service")
        assert cluster.last("node2", "web.service", STOPPED) <= cluster.last("node1", "db.service", STOPPING)
