# SPDX-License-Identifier: LGPL-2.1-or-later
"""Failover on real nodes: elsewhere within the bound, never two copies.

Without a fence device: a lost node's units move when its lease, and with it its fuse, has certainly run out.
"""

import os
import time
from collections.abc import Callable, Iterator

import pytest

from synod.lab.cluster import Lab
from witness.stamps import Copy, copies, install, overlaps

from .conftest import LABS, NODES, Cluster, deb, join_all

pytestmark = pytest.mark.system

BOUND_SEC = 8.0
"""LeaseSec=5 and drift, reset, detection, one election and the start itself; the machine is shared."""

STARTS_SEC = 1.0
"""What the start of both units adds to the bound that synodctl prints, on a shared machine."""

DB = """[Unit]
Description=Database
[X-Synod]
Instances=1
[Service]
Type=notify
ExecStart=/usr/local/bin/copy db {stop}
TimeoutStopSec=30
"""
WEB = """[Unit]
Description=Web
[X-Synod]
Instances=1
Requires=db.service
After=db.service
ColocateWith=db.service
[Service]
Type=notify
ExecStart=/usr/local/bin/copy web 0
"""


@pytest.fixture(scope="module")
def booted() -> Iterator[Cluster]:
    """Three nodes that boot again when they reset themselves."""
    lab = Lab(f"{LABS}f{os.getpid()}")
    lab.up(nodes=3, release="bookworm", deb=deb(), on_reset="boot")
    try:
        cluster = Cluster(lab)
        join_all(cluster)
        for node in NODES:
            install(lab, node)
        cluster.install(db_service=DB.format(stop=0), web_service=WEB)
        yield cluster
    finally:
        lab.down()


@pytest.fixture
def pair(booted: Cluster) -> Iterator[Cluster]:
    """Both units running, wherever; whatever a test did, never two copies of either."""
    booted.lab.heal()
    for node in NODES:
        if not booted.lab.is_on(node):
            booted.lab.boot(node)
    booted.settle()
    booted.ok("node1", "synodctl", "start", "--wait", "web.service", timeout=60)
    yield booted
    booted.lab.heal()
    for unit in ("db", "web"):
        assert overlaps(copies(booted.lab, unit)) == []


def holder(cluster: Cluster) -> str:
    nodes = cluster.active("web.service")
    assert len(nodes) == 1
    return nodes[0]


def leader(cluster: Cluster) -> str:
    return str(cluster.status(next(node for node in NODES if cluster.lab.is_on(node)))["leader"])


def newest(cluster: Cluster, unit: str) -> Copy:
    return copies(cluster.lab, unit)[-1]


def took_over(cluster: Cluster, victim: str, since: float) -> float:
    """Wait until both units run on another node; return how long after ``since`` the dependant did."""

    def is_elsewhere() -> bool:
        row = newest(cluster, "web")
        return row.node != victim and row.since > since and newest(cluster, "db").node != victim

    cluster.wait(is_elsewhere, f"web runs on another node than {victim}", timeout=BOUND_SEC + 10)
    return newest(cluster, "web").since - since


def lead_from(cluster: Cluster, wanted: Callable[[str], bool]) -> None:
    """Restart the leader's agent until a node leads for which the condition holds."""
    for _ in range(20):
        if wanted(leader(cluster)):
            return
        cluster.ok(leader(cluster), "systemctl", "restart", "synod.service")
        cluster.settle()
    raise AssertionError("leadership does not move")


@pytest.mark.parametrize("is_leading", [False, True])
def test_power_loss_of_the_holder(pair: Cluster, is_leading: bool) -> None:
    victim = holder(pair)
    lead_from(pair, lambda name: (name == victim) is is_leading)
    promised = promise(pair, is_leading=is_leading)
    since = time.time()
    pair.lab.kill(victim)
    took = took_over(pair, victim, since)
    assert took <= BOUND_SEC
    assert took <= promised


def promise(cluster: Cluster, *, is_leading: bool) -> float:
    """Return what synodctl bounds says of web, which starts as soon as db has."""
    rows = {row["unit"]: row for row in cluster.ask("node1", "bounds")[1]}
    key = "lease_of_leader_usec" if is_leading else "lease_usec"
    return float(rows["web.service"][key]) / 1e6 + STARTS_SEC


def test_power_loss_of_the_leader_moves_nothing(pair: Cluster) -> None:
    home = holder(pair)
    lead_from(pair, lambda name: name != home)
    victim, before = leader(pair), copies(pair.lab, "web")[-1]
    pair.lab.kill(victim)
    pair.wait(lambda: leader_of_the_rest(pair, victim) not in ("", victim), "another leader")
    pair.wait(lambda: pair.states(home).get(victim) in ("lost", "fenced"), "the node is missed")
    assert copies(pair.lab, "web")[-1].run == before.run
    assert pair.active("web.service") == [home]


def leader_of_the_rest(cluster: Cluster, victim: str) -> str:
    node = next(name for name in NODES if name != victim)
    return str(cluster.status(node)["leader"])


def test_a_holder_that_is_cut_off_stops_before_others_start(pair: Cluster) -> None:
    victim, since = holder(pair), time.time()
    for other in NODES:
        if other != victim:
            pair.lab.cut(victim, other)
    assert took_over(pair, victim, since) <= BOUND_SEC
    pair.lab.heal()
    pair.settle()


def test_a_holder_that_stops_slowly_is_reset_in_time(pair: Cluster) -> None:
    pair.install(db_service=DB.format(stop=8))
    victim = holder(pair)
    pair.ok(victim, "systemctl", "restart", "db.service", timeout=60)
    pair.wait(lambda: pair.active("web.service") == [victim], "web is back")
    since = time.time()
    for other in NODES:
        if other != victim:
            pair.lab.cut(victim, other)
    assert took_over(pair, victim, since) <= BOUND_SEC
    pair.lab.heal()
    pair.settle()
    pair.install(db_service=DB.format(stop=0))


def test_a_frozen_agent_costs_the_node_its_units(pair: Cluster) -> None:
    victim, since = holder(pair), time.time()
    pair.ok(victim, "systemctl", "kill", "--kill-whom=main", "--signal=SIGSTOP", "synod.service")
    # Its fuse resets the node; whether it is back before others may take over is a matter of its boot.
    pair.wait(lambda: newest(pair, "web").since > since, "web runs again", timeout=BOUND_SEC + 10)
    assert newest(pair, "web").since - since <= BOUND_SEC + 3
    pair.wait(lambda: pair.lab.is_on(victim), "the node is back after its reset")
    pair.settle()


def test_a_killed_agent_moves_nothing(pair: Cluster) -> None:
    home, before = holder(pair), newest(pair, "web")
    for node in NODES:
        pair.kill_agent(node)
    pair.settle()
    assert newest(pair, "web").run == before.run
    assert pair.active("web.service") == [home]


def test_an_orderly_poweroff_moves_in_order(pair: Cluster) -> None:
    victim, since = holder(pair), time.time()
    pair.lab.popen(victim, ["systemctl", "poweroff"])
    pair.wait(lambda: not pair.lab.is_on(victim), "the node is off")
    assert took_over(pair, victim, since) <= 5
    ended = [row for row in copies(pair.lab, "web") if row.node == victim][-1]
    provider = [row for row in copies(pair.lab, "db") if row.node == victim][-1]
    assert ended.until <= provider.until


def test_three_starts_at_once_make_one_copy(pair: Cluster) -> None:
    pair.ok("node1", "synodctl", "stop", "--wait", "db.service")
    starts = [pair.lab.popen(node, ["systemctl", "start", "web.service"]) for node in NODES]
    assert [start.wait(timeout=30) for start in starts] == [0, 0, 0]
    assert len(pair.active("web.service")) == len(pair.active("db.service")) == 1
