# SPDX-License-Identifier: LGPL-2.1-or-later
"""Mistakes of users and broken machines: one clear line, the promised exit status, and nothing changed."""

import contextlib
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from synod.base.exits import ExitStatus
from synod.base.ids import NodeName
from synod.net.authority import create_authority, create_key, create_request, issue

from .conftest import NODES, ONE_RELEASE, Cluster

# None of this depends on the release of systemd.
pytestmark = [pytest.mark.system, ONE_RELEASE]

SERVICE = "[Service]\nExecStart=/bin/sleep infinity\n"
LOG = "/var/lib/synod/log"
COMMITS = 60
"""Enough for more than the page that a full disk has left to the end of the log."""


def refused(cluster: Cluster, node: str, status: ExitStatus, *argv: str) -> str:
    """Run what must fail with this status and one line on standard error, and return the line."""
    result = cluster.run(node, "synodctl", *argv)
    assert (result.returncode, result.stdout) == (status, ""), result.stderr
    assert result.stderr.startswith("synodctl: ")
    assert result.stderr.count("\n") == 1
    return result.stderr.removeprefix("synodctl: ").rstrip("\n")


# Unit files


def test_a_malformed_annotation_is_named_and_the_unit_is_not_placed(cluster: Cluster) -> None:
    text = f"[X-Synod]\nInstances=many\nRequires=no unit\n{SERVICE}"
    path = "/etc/systemd/system/odd.service"
    try:
        for node in NODES:
            cluster.lab.write(node, path, text)
            cluster.ok(node, "systemctl", "daemon-reload")
        cluster.wait(
            lambda: f"{path}:2: " in cluster.journal("node1", "-u", "synod.service"), "the agent's word"
        )
        verdict = cluster.run("node1", "synodctl", "verify", path)
        assert verdict.returncode == ExitStatus.FAILURE
        lines = verdict.stdout.splitlines()
        assert [line.split(": ")[0] for line in lines] == [f"{path}:2", f"{path}:3", f"{path}:3"]
        assert all(": error: " in line and "odd.service" in line for line in lines)
        assert cluster.systemctl("node1", "start", "odd.service") != 0
        assert cluster.active("odd.service") == []
    finally:
        for node in NODES:
            cluster.ok(node, "rm", "-f", path)
            cluster.ok(node, "systemctl", "daemon-reload")


def test_a_circle_across_nodes_is_refused_and_shown(cluster: Cluster) -> None:
    units = {
        "left.service": f"[X-Synod]\nRequires=right.service\nAfter=right.service\nNodes=node1\n{SERVICE}",
        "right.service": f"[X-Synod]\nRequires=left.service\nAfter=left.service\nNodes=node2\n{SERVICE}",
    }
    with cluster.units(units):
        begun = time.monotonic()
        assert cluster.systemctl("node3", "start", "left.service") != 0
        assert time.monotonic() - begun < 5
        circle = "the units wait for each other: left.service -> right.service -> left.service"
        assert circle in cluster.journal("node3", "-u", "left.service")
        assert cluster.active("left.service") == cluster.active("right.service") == []
        verdict = cluster.run("node1", "synodctl", "verify")
        assert verdict.returncode == ExitStatus.FAILURE
        assert "left.service" in verdict.stdout
        assert "right.service" in verdict.stdout


def test_a_provider_that_exists_nowhere(cluster: Cluster) -> None:
    with cluster.units({"orphan.service": f"[X-Synod]\nRequires=ghost.service\n{SERVICE}"}):
        assert cluster.systemctl("node3", "start", "orphan.service") != 0
        reason = "no node of the cluster has an annotated unit 'ghost.service'"
        assert reason in cluster.journal("node3", "-u", "orphan.service")
        assert reason in cluster.ok("node3", "synodctl", "why", "orphan.service")
        assert cluster.active("orphan.service") == []
    line = refused(cluster, "node3", ExitStatus.NO_SUCH_UNIT, "start", "ghost.service")
    assert line.startswith(reason)
    refused(cluster, "node3", ExitStatus.NO_SUCH_UNIT, "show", "ghost.service")
    refused(cluster, "node3", ExitStatus.USAGE, "start", "not a unit")


# Tokens and joining


@pytest.fixture
def other(cluster: Cluster) -> Iterator[str]:
    """A cluster of another name on node5; yields one of its tokens."""
    cluster.ok("node5", "synodctl", "init", "--name", "other", "--address", "10.77.0.5")
    try:
        yield cluster.ok("node5", "synodctl", "token")
    finally:
        cluster.ok("node5", "synodctl", "leave")


def join(cluster: Cluster, node: str, status: ExitStatus, address: str, token: str) -> str:
    before = cluster.states()
    line = refused(cluster, node, status, "join", address, "--token", token)
    assert cluster.states() == before
    return line


def test_tokens_that_do_not_open(cluster: Cluster, other: str) -> None:
    token = cluster.ok("node1", "synodctl", "token")
    name, secret, authority = token.split(".")
    wrong = ".".join((name, secret[::-1], authority))
    assert "unknown or was used already" in join(cluster, "node4", ExitStatus.REFUSED, "node1", wrong)
    assert "token" in join(cluster, "node4", ExitStatus.USAGE, "node1", "garbage")
    assert "another cluster" in join(cluster, "node4", ExitStatus.REFUSED, "node1", other)
    # A member of another cluster, and a founder over its own.
    assert "in cluster 'other'" in join(cluster, "node5", ExitStatus.REFUSED, "node1", token)
    line = refused(cluster, "node1", ExitStatus.REFUSED, "init", "--name", "other")
    assert line == "this node is a member of cluster 'test'; leave it first with: synodctl leave"
    assert cluster.ask("node4", "status")[0] == ExitStatus.NOT_CONFIGURED
    # None of this has used it up; afterwards it is.
    cluster.ok("node4", "synodctl", "join", "node1", "--token", token)
    cluster.ok("node4", "synodctl", "join", "node1", "--token", token)  # the same again is harmless
    cluster.ok("node4", "synodctl", "leave")
    assert "unknown or was used already" in join(cluster, "node4", ExitStatus.REFUSED, "node1", token)
    cluster.wait(
        lambda: cluster.run("node1", "synodctl", "remove", "node4").returncode == 0, "node4 is forgotten"
    )


def test_a_name_that_is_taken(cluster: Cluster) -> None:
    token = cluster.ok("node1", "synodctl", "token")
    cluster.ok("node4", "hostname", "node2")
    try:
        line = join(cluster, "node4", ExitStatus.REFUSED, "node1", token)
        assert line.startswith("the name 'node2' is taken by another node of the cluster")
    finally:
        cluster.ok("node4", "hostname", "node4")
    assert cluster.states()["node2"] == "online"


SSH_LIKE = """
import socket, sys
server = socket.create_server((sys.argv[1], 22))
print("ready", flush=True)
while True:
    connection, _ = server.accept()
    connection.sendall(b"SSH-2.0-OpenSSH_9.2p1 Debian-2\\r\\n")
"""
TLS = """
import contextlib, socket, ssl, sys
context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
context.load_cert_chain(sys.argv[2], sys.argv[3])
server = socket.create_server((sys.argv[1], 443))
print("ready", flush=True)
while True:
    connection, _ = server.accept()
    with contextlib.suppress(OSError):
        context.wrap_socket(connection, server_side=True)
"""


@contextlib.contextmanager
def server(cluster: Cluster, program: str, *argv: str) -> Iterator[str]:
    """Run something else than Synod on the lab's network; yield its address."""
    address = cluster.lab.state.address("outside")
    process = cluster.lab.outside_popen(
        ["/usr/bin/python3", "-c", program, address, *argv], stdout=subprocess.PIPE, text=True
    )
    try:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        yield address
    finally:
        process.terminate()
        process.communicate(timeout=10)


def test_addresses_where_no_member_is(cluster: Cluster, tmp_path: Path) -> None:
    token = cluster.ok("node1", "synodctl", "token")
    begun = time.monotonic()
    assert "10.77.0.99" in join(cluster, "node4", ExitStatus.FAILURE, "10.77.0.99", token)
    assert time.monotonic() - begun < 10
    assert "refused" in join(cluster, "node4", ExitStatus.FAILURE, "10.77.0.5:9", token)
    with server(cluster, SSH_LIKE) as address:
        line = join(cluster, "node4", ExitStatus.FAILURE, f"{address}:22", token)
        assert line == f"{address} port 22 is not a Synod node; check address and port"
    authority, key, name = create_authority("elsewhere"), create_key(), NodeName("node1")
    certificate, key_file = tmp_path / "certificate", tmp_path / "key"
    certificate.write_bytes(issue(authority, name, create_request(name, key), ()))
    key_file.write_bytes(key)
    with server(cluster, TLS, str(certificate), str(key_file)) as address:
        line = join(cluster, "node4", ExitStatus.FAILURE, f"{address}:443", token)
        assert line == f"{address} port 443 is not a Synod node; check address and port"


# Who may ask, and whom


def test_without_an_agent_and_without_privilege(booted: Cluster) -> None:
    denied = booted.run("node4", "runuser", "-u", "nobody", "--", "synodctl", "status")
    assert (denied.returncode, denied.stdout, denied.stderr.count("\n")) == (ExitStatus.NO_PRIVILEGE, "", 1)
    refused(booted, "node4", ExitStatus.NOT_CONFIGURED, "status")
    refused(booted, "node4", ExitStatus.NOT_CONFIGURED, "start", "db.service")
    booted.ok("node4", "systemctl", "stop", "synod.service")
    try:
        line = refused(booted, "node4", ExitStatus.NO_AGENT, "status")
        assert "systemctl start synod.service" in line
    finally:
        booted.ok("node4", "systemctl", "start", "synod.service")


# Disks


@contextlib.contextmanager
def stopped_agent(cluster: Cluster, node: str) -> Iterator[None]:
    cluster.ok(node, "systemctl", "stop", "synod.service")
    yield
    cluster.ok(node, "systemctl", "start", "synod.service")


def test_a_full_disk_ends_a_vote_and_nothing_else(running: Cluster) -> None:
    before = running.invocation("node1", "db.service"), running.invocation("node2", "web.service")
    with stopped_agent(running, "node3"):
        running.ok("node3", "sh", "-c", f"mkdir /root/log && cp -a {LOG}/. /root/log")
        running.ok("node3", "mount", "-t", "tmpfs", "-o", "size=4m,mode=700", "tmpfs", LOG)
        running.ok("node3", "cp", "-a", "/root/log/.", LOG)
    try:
        running.settle()
        cursor = running.cursor("node3")
        running.run("node3", "dd", "if=/dev/zero", f"of={LOG}/fill", "bs=4k")
        running.ok("node1", "systemctl", "stop", "db.service")
        running.ok("node1", "systemctl", "start", "web.service")
        assert running.active("web.service") == ["node2"]
        complaint = "this node votes no more"
        for _ in range(COMMITS):
            assert running.ask("node1", "token")[0] == 0
        running.wait(lambda: complaint in running.since("node3", cursor), "node3's complaint")
        assert running.status("node1")["leader"] in ("node1", "node2")
        running.ok("node2", "systemctl", "restart", "web.service")
        assert running.since("node3", cursor).count(complaint) == 1
        running.ok("node3", "rm", f"{LOG}/fill")
        running.ok("node3", "systemctl", "restart", "synod.service")
        running.settle()
        # Now its vote counts: the third one is needed for nothing.
        running.lab.cut("node1", "node2")
        running.lab.cut("node2", "node3")
        running.wait(lambda: not running.is_quorate("node2"), "node2 is alone", timeout=10)
        running.wait(lambda: running.is_quorate("node1"), "two of three are enough", timeout=10)
        running.ok("node1", "systemctl", "stop", "--no-block", "db.service")
        running.wait(lambda: running.show("db.service", "node1")["desired"] == "stopped", "a commit")
    finally:
        running.lab.heal()
        with stopped_agent(running, "node3"):
            running.ok("node3", "sh", "-c", f"rm -rf /root/log && cp -a {LOG} /root/log && umount {LOG}")
            running.ok(
                "node3", "sh", "-c", f"rm -f {LOG}/* && cp -a /root/log/wal {LOG} && rm -rf /root/log"
            )
    running.settle()
    assert before[0] != running.invocation("node1", "db.service")


def test_a_damaged_log_stops_the_agent_and_no_unit(cluster: Cluster) -> None:
    with cluster.units({"seat.service": f"[X-Synod]\nNodes=node3\n{SERVICE}"}):
        cluster.ok("node1", "systemctl", "start", "seat.service")
        before = cluster.invocation("node3", "seat.service")
        cursor = cluster.cursor("node3")
        with stopped_agent(cluster, "node3"):
            cluster.ok("node3", "cp", "-a", f"{LOG}/wal", "/root/wal")
            size = int(cluster.ok("node3", "stat", "-c", "%s", f"{LOG}/wal"))
            write = f"printf BROKEN | dd of={LOG}/wal bs=1 seek={size // 2} conv=notrunc"
            cluster.ok("node3", "sh", "-c", write)
            cluster.run("node3", "systemctl", "start", "synod.service")
            cluster.wait(
                lambda: cluster.property("node3", "synod.service", "ActiveState") == "failed", "failed"
            )
            assert cluster.property("node3", "synod.service", "ExecMainStatus") == "6"
            lines = [line for line in cluster.since("node3", cursor).splitlines() if "damaged" in line]
            assert len(lines) == 1
            assert lines[0].startswith(f"'{LOG}/wal' is damaged at offset ")
            refused(cluster, "node3", ExitStatus.NO_AGENT, "status")
            assert cluster.invocation("node3", "seat.service") == before
            cluster.ok("node3", "systemctl", "is-active", "-q", "seat.service")
            cluster.ok("node3", "mv", "/root/wal", f"{LOG}/wal")
        cluster.settle()
        assert cluster.invocation("node3", "seat.service") == before
        cluster.ok("node1", "systemctl", "stop", "seat.service")
