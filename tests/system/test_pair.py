# SPDX-License-Identifier: LGPL-2.1-or-later
"""Two nodes: no failover pair, as they say themselves, until a witness votes."""

import os
import time
from collections.abc import Iterator

import pytest

from synod.lab.cluster import Lab
from witness.stamps import copies, install, overlaps

from .conftest import LABS, Cluster, deb
from .test_failover import DB, STARTS_SEC, WEB, newest

pytestmark = pytest.mark.system

PAIR = ("node1", "node2")
WITNESS = "node3"
MEMBERS = (*PAIR, WITNESS)


@pytest.fixture(scope="module", params=["bookworm", "trixie"])
def trio(request: pytest.FixtureRequest) -> Iterator[Cluster]:
    """Three machines; the first two are a cluster, and say what they lack."""
    with Lab(f"{LABS}p{os.getpid()}") as lab:
        lab.up(nodes=3, release=request.param, deb=deb(), on_reset="boot")
        cluster = Cluster(lab, PAIR)
        first = cluster.run("node1", "synodctl", "init", "--name", "two", "--address", "10.77.0.1")
        assert first.returncode == 0
        assert "Failover needs three nodes, or two and a third with --role witness" in first.stderr
        second = cluster.run("node2", *first.stdout.split())
        assert second.returncode == 0
        assert "Two nodes are no failover pair" in second.stderr
        cluster.settle()
        yield cluster
        for unit in ("db", "web"):
            assert overlaps(copies(lab, unit)) == []


def place(cluster: Cluster, *nodes: str) -> None:
    """Write the unit files, and wait until the first node knows of them."""
    for node in nodes:
        cluster.lab.write(node, "/etc/systemd/system/db.service", DB.format(stop=0))
        cluster.lab.write(node, "/etc/systemd/system/web.service", WEB)
        cluster.ok(node, "systemctl", "daemon-reload")
        for unit in ("db.service", "web.service"):
            cluster.wait(
                lambda node=node, unit=unit: node in cluster.show(unit, "node1").get("reports", {}), unit
            )


def test_a_pair_a_witness_and_the_loss_of_either_node(trio: Cluster) -> None:
    for node in PAIR:
        install(trio.lab, node)
        install(trio.lab, WITNESS)
    place(trio, *PAIR)
    trio.ok("node1", "synodctl", "start", "--wait", "web.service")
    # Refused as a failover pair, with the reason.
    warning = "node1 and node2 are no failover pair: without node1 no majority of voters is left"
    for node in PAIR:
        assert f"Warning: {warning}" in trio.ok(node, "synodctl", "status")
        shown = trio.ok(node, "synodctl", "bounds", "--no-legend").splitlines()
        assert all("never" in line and "without node1 no majority" in line for line in shown)
    # One more, which runs nothing.
    token = trio.ok("node2", "synodctl", "token")
    trio.ok(WITNESS, "synodctl", "join", "node1", "--token", token, "--role", "witness")
    trio.members = MEMBERS
    place(trio, WITNESS)
    trio.wait(lambda: sorted(trio.status("node1")["voters"]) == list(MEMBERS), "three vote")
    trio.settle()
    roles = {row["name"]: row["role"] for row in trio.ask("node2", "list-nodes")[1]}
    assert roles == {"node1": "voter", "node2": "voter", WITNESS: "witness"}
    assert trio.status("node2")["warnings"] == []
    moved = trio.run("node1", "synodctl", "move", "web.service", WITNESS)
    assert (moved.returncode, moved.stderr) == (
        12,
        f"synodctl: 'web.service' may not run on '{WITNESS}': a witness runs no units\n",
    )
    assert "a witness runs no units" in trio.ok("node2", "synodctl", "why", "web.service")
    trio.ok("node1", "synodctl", "stop", "--wait", "db.service")
    # Each node in turn, the one that leads among them.
    for _ in range(2):
        trio.ok("node2", "synodctl", "start", "--wait", "web.service", timeout=60)
        (victim,) = trio.active("web.service")
        assert victim in PAIR
        other = PAIR[0] if victim == PAIR[1] else PAIR[1]
        bound = {row["unit"]: row for row in trio.ask(other, "bounds")[1]}["web.service"]
        promised = bound["lease_of_leader_usec"] / 1e6 + STARTS_SEC
        since = time.time()
        trio.lab.kill(victim)
        trio.wait(
            lambda other=other, since=since: newest(trio, "web").node == other
            and newest(trio, "web").since > since,
            f"{other} has taken over",
            timeout=promised + 10,
        )  # fmt: skip
        assert newest(trio, "web").since - since <= promised
        assert trio.status(other)["leader"] == other
        trio.lab.boot(victim)
        trio.settle()
    # The loss of the witness costs nothing.
    before = newest(trio, "web").run
    trio.lab.kill(WITNESS)
    trio.wait(lambda: trio.states("node1").get(WITNESS) in ("lost", "fenced"), "it is missed", timeout=15)
    assert newest(trio, "web").run == before
    assert len(trio.active("web.service")) == 1
