# SPDX-License-Identifier: LGPL-2.1-or-later
"""Failover with a fence device on real nodes: its word is a proof, its failure is none."""

import os
import time
from collections.abc import Iterator

import pytest

from synod.lab import fence
from synod.lab.cluster import Lab
from witness.stamps import copies, install, overlaps

from .conftest import LABS, NODES, Cluster, deb, join_all
from .test_failover import BOUND_SEC, DB, WEB, holder, newest, took_over

pytestmark = pytest.mark.system

QUICK = "TimeoutSec=6s"
"""A device that hangs is given up after this."""
FENCED_SEC = 4.0
"""Detection, the agent's two calls and the start, on a shared machine; the benchmark has the figure."""


@pytest.fixture(scope="module")
def booted() -> Iterator[Cluster]:
    """Three nodes that can fence each other."""
    lab = Lab(f"{LABS}d{os.getpid()}")
    lab.up(nodes=3, release="bookworm", deb=deb(), on_reset="boot")
    try:
        cluster = Cluster(lab)
        fence.install(lab, QUICK)
        join_all(cluster)
        for node in NODES:
            install(lab, node)
        cluster.install(db_service=DB.format(stop=0), web_service=WEB)
        yield cluster
    finally:
        lab.down()


@pytest.fixture
def pair(booted: Cluster) -> Iterator[Cluster]:
    """Both units running without a fuse; whatever a test did, never two copies of either."""
    fence.set_fault(booted.lab.name, None)
    booted.lab.heal()
    for node in NODES:
        if not booted.lab.is_on(node):
            booted.lab.boot(node)
    booted.settle()
    booted.ok("node1", "synodctl", "start", "--wait", "web.service", timeout=60)
    booted.wait(lambda: fuses(booted) == [], "no node needs its fuse: each can be fenced", timeout=40)
    yield booted
    for unit in ("db", "web"):
        assert overlaps(copies(booted.lab, unit)) == []


def fuses(cluster: Cluster) -> list[str]:
    return cluster.active("synod-fuse.service")


def test_power_loss_is_proved_by_the_device(pair: Cluster) -> None:
    victim, since = holder(pair), time.time()
    pair.lab.kill(victim)
    assert took_over(pair, victim, since) <= FENCED_SEC


def test_a_holder_that_is_cut_off_is_switched_off(pair: Cluster) -> None:
    victim, since = holder(pair), time.time()
    for other in NODES:
        if other != victim:
            pair.lab.cut(victim, other)
    assert took_over(pair, victim, since) <= FENCED_SEC + 1
    assert not pair.lab.is_on(victim)


@pytest.mark.parametrize("fault", list(fence.Fault))
def test_a_device_that_does_not_work_proves_nothing(pair: Cluster, fault: fence.Fault) -> None:
    fence.set_fault(pair.lab.name, fault)
    victim, since = holder(pair), time.time()
    for node in NODES:
        if node != victim:
            pair.lab.cut(victim, node)
    pair.wait(lambda: _tells(pair), "the failure is told", timeout=30)
    other = next(node for node in NODES if node != victim)
    pair.wait(lambda: tells_why(pair, other, victim), "the status says why", timeout=10)
    (instance,) = pair.rows(other)["web.service"]["instances"]
    assert (instance["node"], instance["state"]) == (victim, "unknown")
    assert newest(pair, "web").node == victim
    fence.set_fault(pair.lab.name, None)
    assert took_over(pair, victim, since) > 0


def tells_why(cluster: Cluster, node: str, victim: str) -> bool:
    """Return whether a node says why a unit is not taken over, and what can be done."""
    told = [cluster.ok(node, "synodctl", *verb) for verb in (("status",), ("why", "web.service"))]
    told.append(str(cluster.rows(node)["web.service"]["reason"]))
    trouble, cure = f"'{victim}' cannot be fenced: ", f"confirm-off {victim} --yes"
    return all(trouble in text and cure in text for text in told)


def test_an_administrator_confirms_what_no_device_can(pair: Cluster) -> None:
    victim, since = holder(pair), time.time()
    other = next(node for node in NODES if node != victim)
    refused = pair.run(other, "synodctl", "confirm-off", victim, "--yes")
    assert (refused.returncode, refused.stderr.count("\n")) == (12, 1)
    assert "this node hears it" in refused.stderr
    fence.set_fault(pair.lab.name, fence.Fault.FAIL)
    pair.lab.kill(victim)
    pair.wait(lambda: tells_why(pair, other, victim), "the status says why", timeout=30)
    assert newest(pair, "web").node == victim
    careful = pair.run(other, "synodctl", "confirm-off", victim)
    assert careful.returncode == 12
    assert "its units will run twice" in careful.stderr
    pair.ok(other, "synodctl", "confirm-off", victim, "--yes")
    assert took_over(pair, victim, since) > 0
    assert pair.states(other)[victim] == "fenced"


def test_a_device_without_its_program_is_none(pair: Cluster) -> None:
    for node in NODES:
        pair.ok(node, "sed", "-i", "s/^Agent=.*/Agent=fence_nowhere/", fence.DEVICE)
        pair.ok(node, "systemctl", "restart", "synod.service")
    try:
        pair.settle()
        victim = holder(pair)
        pair.wait(lambda: victim in fuses(pair), "the holder burns a fuse instead", timeout=30)
        assert "there is no program 'fence_nowhere'" in pair.journal(victim, "-u", "synod.service")
        since = time.time()
        pair.lab.kill(victim)
        assert took_over(pair, victim, since) <= BOUND_SEC
        pair.lab.boot(victim)
    finally:
        for node in NODES:
            pair.ok(node, "sed", "-i", "s/^Agent=.*/Agent=fence_synod_lab/", fence.DEVICE)
            pair.ok(node, "systemctl", "restart", "synod.service")


def _tells(cluster: Cluster) -> bool:
    near = [node for node in NODES if cluster.lab.is_on(node)]
    return any("Fencing" in cluster.journal(node, "-u", "synod.service") for node in near)
