# SPDX-License-Identifier: LGPL-2.1-or-later
"""Who is suspected, by whom, and that nothing but a proof moves a unit."""

import time

import pytest

from .conftest import NODES, ONE_RELEASE, Cluster

pytestmark = [pytest.mark.system, ONE_RELEASE]

SUSPICION_SEC = 8
"""Silence (1 s), a period and a half of gossip (1 s each), and a loaded machine; below WatchdogSec=10."""
HOGS = 8
HOG_SEC = 15
CUT_SEC = 10
NODE_LOST = "2393d78af06f47df8dbb63c489c0fd81"


def accusers(cluster: Cluster, by: str, of: str) -> list[str]:
    """Return who suspects a node, as another one shows it."""
    rows = cluster.ask(by, "list-nodes")[1] or []
    return next((list(row["suspected_by"]) for row in rows if row["name"] == of), [])


def losses(cluster: Cluster) -> int:
    """Return how often anybody was called lost."""
    return sum(
        len(cluster.run(node, "journalctl", "-b", "-o", "cat", "--no-pager", f"MESSAGE_ID={NODE_LOST}")
            .stdout.splitlines())
        for node in NODES
    )  # fmt: skip


def lives(cluster: Cluster) -> tuple[str, str]:
    return cluster.invocation("node1", "db.service"), cluster.invocation("node2", "web.service")


def test_a_frozen_agent_is_suspected_by_all_and_suspects_nobody_when_it_goes_on(cluster: Cluster) -> None:
    cluster.kill_agent("node3", "-STOP")
    try:
        for node in ("node1", "node2"):
            cluster.wait(
                lambda node=node: accusers(cluster, node, "node3"),  # type: ignore[misc]
                f"{node} knows that node3 is suspected",
                timeout=SUSPICION_SEC,
            )
            assert cluster.states(node)["node3"] in ("suspect", "lost")
    finally:
        cluster.kill_agent("node3", "-CONT")
    cluster.settle()
    assert [accusers(cluster, by, of) for by in NODES for of in NODES] == [[]] * 9
    said = cluster.ok("node3", "journalctl", "-b", "-o", "cat", "--no-pager", "-u", "synod.service")
    assert "stood still" in said


def test_a_node_that_is_short_of_cpu_is_not_lost_and_keeps_its_units(running: Cluster) -> None:
    before, lost = lives(running), losses(running)
    loops = f"for n in $(seq {HOGS}); do timeout {HOG_SEC} sh -c 'while :; do :; done' & done; wait"
    hog = running.begin("node2", "sh", "-c", loops)
    until = time.monotonic() + HOG_SEC
    running.wait(lambda: time.monotonic() >= until, "the hogs have had their time", timeout=HOG_SEC + 5)
    running.finish(hog)
    running.settle()
    assert losses(running) == lost
    assert lives(running) == before


def test_a_cut_in_one_direction_between_two_makes_nobody_suspect(running: Cluster) -> None:
    before, lost = lives(running), losses(running)
    running.lab.cut("node1", "node2", one_way=True)
    until = time.monotonic() + CUT_SEC
    seen: list[list[str]] = []

    def is_over() -> bool:
        seen.append(accusers(running, "node3", "node1") + accusers(running, "node3", "node2"))
        return time.monotonic() >= until

    running.wait(is_over, "the cut has lasted", timeout=CUT_SEC + 5)
    running.lab.heal()
    running.settle()
    assert not any(seen)
    assert losses(running) == lost
    assert lives(running) == before


def test_a_node_whose_own_link_is_down_accuses_nobody(cluster: Cluster) -> None:
    cluster.ok("node3", "ip", "link", "set", "eth0", "down")
    try:
        cluster.wait(lambda: accusers(cluster, "node1", "node3"), "node3 is missed", timeout=SUSPICION_SEC)
        cluster.wait(
            lambda: "down: nobody is accused"
            in cluster.ok("node3", "journalctl", "-b", "-o", "cat", "--no-pager", "-u", "synod.service"),
            "node3 knows why",
        )
        assert [accusers(cluster, "node3", of) for of in ("node1", "node2")] == [[], []]
    finally:
        cluster.ok("node3", "ip", "link", "set", "eth0", "up")
    cluster.settle()


def test_all_members_have_one_key_and_a_removed_one_has_an_old_one(cluster: Cluster) -> None:
    before = key(cluster, "node1")
    token = cluster.ok("node1", "synodctl", "token")
    cluster.ok("node4", "synodctl", "join", "node1", "--token", token)
    cluster.wait(lambda: key(cluster, "node4") == before, "node4 has the key")
    assert {key(cluster, node) for node in NODES} == {before}
    cluster.wait(lambda: cluster.states("node4").get("node4") == "online", "node4 knows itself")
    cluster.ok("node4", "synodctl", "leave")
    cluster.wait(
        lambda: cluster.run("node1", "synodctl", "remove", "node4").returncode == 0, "node4 is forgotten"
    )
    cluster.wait(lambda: key(cluster, "node1") != before, "the key is another one")
    cluster.wait(lambda: len({key(cluster, node) for node in NODES}) == 1, "all have it")
    assert cluster.run("node4", "test", "-e", "/var/lib/synod/tls/gossip.key").returncode != 0
    cluster.settle()


def key(cluster: Cluster, node: str) -> str:
    return cluster.run(node, "sha256sum", "/var/lib/synod/tls/gossip.key").stdout

