# SPDX-License-Identifier: LGPL-2.1-or-later
"""Three real nodes of each release, a cluster on them, and how to look at what systemd did."""

import json
import subprocess
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from synod.lab.cluster import Lab

ROOT = Path(__file__).parent.parent.parent
NODES = ("node1", "node2", "node3")
RELEASES = ("bookworm", "trixie")

STARTING = "7d4958e842da4a758f6c1cdc7b36dcc5"
STARTED = "39f53479d3a045ac8e11786248231fbf"
STOPPING = "de5b426a63be47a7b6ac3eaac82e2f6f"
STOPPED = "9d1aaa27d60140bd96365438aad20286"
"""Message ids of systemd (sd-messages.h)."""


def deb() -> Path:
    """Return the package of the working tree; ``make check`` builds it first."""
    found = sorted((ROOT / "build").glob("synod_*_all.deb"))
    assert len(found) == 1, "run: make deb"
    return found[0]


@dataclass
class Cluster:
    """A lab with a cluster on it."""

    lab: Lab

    def run(self, node: str, *argv: str, timeout: float = 60) -> subprocess.CompletedProcess[str]:
        return self.lab.exec(node, argv, check=False, timeout=timeout)

    def ok(self, node: str, *argv: str, timeout: float = 60) -> str:
        result = self.run(node, *argv, timeout=timeout)
        assert result.returncode == 0, f"{node}: {' '.join(argv)}: {result.returncode}\n{result.stdout}{result.stderr}"
        return result.stdout.strip()

    def systemctl(self, node: str, *argv: str, timeout: float = 60) -> int:
        return self.run(node, "systemctl", *argv, timeout=timeout).returncode

    def active(self, unit: str) -> list[str]:
        """Return the nodes on which a unit is active."""
        return [
            node for node in NODES
            if self.lab.is_on(node) and self.run(node, "systemctl", "is-active", "-q", unit).returncode == 0
        ]  # fmt: skip

    def invocation(self, node: str, unit: str) -> str:
        return self.ok(node, "systemctl", "show", "-p", "InvocationID", "--value", unit)

    def install(self, nodes: tuple[str, ...] = NODES, **units: str) -> None:
        """Write units, named by keyword with ``_`` for the dot before the suffix, and reload."""
        for node in nodes:
            for name, text in units.items():
                stem, _, suffix = name.rpartition("_")
                self.lab.write(node, f"/etc/systemd/system/{stem.replace('_', '-')}.{suffix}", text)
            self.ok(node, "systemctl", "daemon-reload")
        names = [f"{name.rpartition('_')[0].replace('_', '-')}.{name.rpartition('_')[2]}" for name in units]
        annotated = [name for name, text in zip(names, units.values(), strict=True) if "[X-Synod]" in text]
        for name in annotated:
            self.wait(lambda name=name: set(nodes) <= set(self.show(name).get("reports", {})), f"{name} is reported")

    def show(self, unit: str, node: str = "node3") -> dict[str, object]:
        result = self.run(node, "synodctl", "show", unit, "--json=short")
        found: dict[str, object] = json.loads(result.stdout) if result.returncode == 0 else {}
        return found

    def status(self, node: str = "node3") -> dict[str, object]:
        found: dict[str, object] = json.loads(self.ok(node, "synodctl", "status", "--json=short"))
        return found

    def states(self, node: str = "node3") -> dict[str, str]:
        rows = json.loads(self.ok(node, "synodctl", "list-nodes", "--json=short"))
        return {row["name"]: row["state"] for row in rows}

    def moments(self, node: str, unit: str, message: str) -> list[float]:
        """Return when systemd said something of a unit, in seconds of the one clock of all nodes."""
        lines = self.ok(
            node, "journalctl", "-b", "-o", "json", "--output-fields=__REALTIME_TIMESTAMP,UNIT", f"MESSAGE_ID={message}",
            f"UNIT={unit}", "--no-pager",
        )  # fmt: skip
        return [int(json.loads(line)["__REALTIME_TIMESTAMP"]) / 1e6 for line in lines.splitlines() if line]

    def last(self, node: str, unit: str, message: str) -> float:
        return self.moments(node, unit, message)[-1]

    def journal(self, node: str, *match: str) -> str:
        return self.ok(node, "journalctl", "-b", "-o", "cat", "--no-pager", *match)

    def wait(self, condition: Callable[[], object], what: str, timeout: float = 20) -> None:
        """Wait until a condition holds; fail with what was waited for."""
        deadline = time.monotonic() + timeout
        while not condition():
            assert time.monotonic() < deadline, f"after {timeout} s not yet: {what}"
            time.sleep(0.05)

    def kill_agent(self, node: str) -> None:
        pid = self.ok(node, "systemctl", "show", "-p", "MainPID", "--value", "synod.service")
        self.ok(node, "kill", "-9", pid)

    def settle(self) -> None:
        """Wait until all nodes are members, online and know a leader."""
        self.wait(
            lambda: all(
                self.run(node, "synodctl", "status", "-q").returncode == 0
                and set(self.states(node).values()) == {"online"}
                for node in NODES
            ),
            "all nodes online",
            timeout=40,
        )


def join_all(cluster: Cluster) -> None:
    cluster.ok("node1", "synodctl", "init", "--name", "test", "--address", "10.77.0.1")
    for node in NODES[1:]:
        token = cluster.ok("node1", "synodctl", "token")
        cluster.ok(node, "synodctl", "join", "node1", "--token", token)
    cluster.wait(lambda: len(cluster.status()["voters"]) == 3, "three voters")  # type: ignore[arg-type]


@pytest.fixture(scope="session", params=RELEASES)
def booted(request: pytest.FixtureRequest) -> Iterator[Cluster]:
    """Three nodes of a release with a cluster, shared by the tests of a session."""
    lab = Lab(f"sys{request.param[0]}")
    lab.up(nodes=3, release=request.param, deb=deb())
    try:
        cluster = Cluster(lab)
        join_all(cluster)
        yield cluster
    finally:
        lab.down()


DB = """[Unit]
Description=Database
[X-Synod]
Nodes=node1
[Service]
Type=notify
NotifyAccess=all
ExecStart=/bin/sh -c 'sleep 0.2; systemd-notify --ready; exec sleep infinity'
"""
WEB = """[Unit]
Description=Web
[X-Synod]
Requires=db.service
After=db.service
Nodes=node2
[Service]
ExecStart=/bin/sleep infinity
"""


@pytest.fixture
def cluster(booted: Cluster) -> Iterator[Cluster]:
    """The shared cluster with db on node1 and web on node2, both stopped."""
    for node in NODES:
        if not booted.lab.is_on(node):
            booted.lab.boot(node)
    booted.settle()
    if "reports" not in booted.show("web.service") or "reports" not in booted.show("db.service"):
        booted.install(db_service=DB, web_service=WEB)
    for unit in ("web.service", "db.service"):
        booted.ok("node3", "synodctl", "stop", "--wait", unit)
    yield booted


@pytest.fixture
def running(cluster: Cluster) -> Cluster:
    """The same with both running."""
    assert cluster.systemctl("node3", "start", "web.service") == 0
    return cluster
