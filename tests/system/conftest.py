# SPDX-License-Identifier: LGPL-2.1-or-later
"""Real nodes of each release, a cluster on three of them, and how to look at what systemd did.

Two more machines of the lab are no members: tests of joining and leaving use them. A test may leave the
shared cluster in any state; the next one's fixture heals it.
"""

import contextlib
import json
import os
import socket
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import pytest

from synod.base.errors import TimedOutError
from synod.lab import remains
from synod.lab.cluster import DIRECTORY, Lab

ROOT = Path(__file__).parent.parent.parent
NODES = ("node1", "node2", "node3")
SPARES = ("node4", "node5")
"""Machines with the package that are no members of the shared cluster."""
RELEASES = ("bookworm", "trixie")
LABS: Final = "sys"

ONE_RELEASE: Final = pytest.mark.parametrize("booted", ["trixie"], indirect=True)
"""For what no release of systemd has a part in, to save time."""

STARTING = "7d4958e842da4a758f6c1cdc7b36dcc5"
STARTED = "39f53479d3a045ac8e11786248231fbf"
STOPPING = "de5b426a63be47a7b6ac3eaac82e2f6f"
STOPPED = "9d1aaa27d60140bd96365438aad20286"
"""Message ids of systemd (sd-messages.h)."""

ASK_SEC: Final = 10.0


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Run all tests of one release before those of the next, so that each lab is made once."""

    def rank(item: pytest.Item) -> int:
        call = getattr(item, "callspec", None)
        release = call.params.get("booted") if call is not None else None
        return RELEASES.index(release) if release in RELEASES else -1

    items.sort(key=rank)


def deb() -> Path:
    """Return the package of the working tree; ``make check`` builds it first."""
    found = sorted((ROOT / "build").glob("synod_*_all.deb"))
    assert len(found) == 1, "run: make deb"
    return found[0]


@dataclass
class Cluster:
    """A lab with a cluster on it."""

    lab: Lab
    members: tuple[str, ...] = NODES
    dirty: list[tuple[str, str]] = field(default_factory=list)
    """Files, by node, that the next test must not find."""

    def run(self, node: str, *argv: str, timeout: float = 60) -> subprocess.CompletedProcess[str]:
        try:
            return self.lab.exec(node, argv, check=False, timeout=timeout)
        except TimedOutError as hung:
            pytest.fail(f"{node}: {' '.join(argv)}: {hung}\n{self.autopsy()}")

    def autopsy(self) -> str:
        """Return what every node says and last said, for a failure that cannot be had again."""
        questions = (
            ("systemctl", "list-jobs", "--no-pager"),
            ("synodctl", "status"),
            ("synodctl", "list-units"),
            ("sh", "-c", "ls -l /run/synod /run/synod/gates"),
            ("journalctl", "-n", "150", "-o", "short-precise", "--no-pager"),
        )
        told = []
        for node in self.on():
            for argv in questions:
                with contextlib.suppress(TimedOutError):
                    said = self.lab.exec(node, argv, check=False, timeout=ASK_SEC)
                    told.append(f"--- {node}: {' '.join(argv)}\n{said.stdout}{said.stderr}")
        return "\n".join(told)

    def ok(self, node: str, *argv: str, timeout: float = 60) -> str:
        result = self.run(node, *argv, timeout=timeout)
        assert result.returncode == 0, (
            f"{node}: {' '.join(argv)}: {result.returncode}\n{result.stdout}{result.stderr}{self.autopsy()}"
        )
        return result.stdout.strip()

    def systemctl(self, node: str, *argv: str, timeout: float = 60) -> int:
        return self.run(node, "systemctl", *argv, timeout=timeout).returncode

    def begin(self, node: str, *argv: str) -> subprocess.Popen[str]:
        """Start a program that a test does something meanwhile to; ``finish`` waits for it."""
        return self.lab.popen(node, argv, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)

    def finish(self, process: subprocess.Popen[str], timeout: float = 30) -> tuple[int, str]:
        """Return exit status and output of what ``begin`` started."""
        try:
            output, _ = process.communicate(timeout=timeout)
        except subprocess.TimeoutExpired:
            process.kill()
            process.communicate()
            raise
        return process.returncode, output

    def on(self) -> list[str]:
        """Return the members that are switched on."""
        return [node for node in self.members if self.lab.is_on(node)]

    def active(self, unit: str) -> list[str]:
        """Return the nodes on which a unit is active."""
        return [node for node in self.on() if self.systemctl(node, "is-active", "-q", unit) == 0]

    def property(self, node: str, unit: str, name: str) -> str:
        return self.ok(node, "systemctl", "show", "-p", name, "--value", unit)

    def invocation(self, node: str, unit: str) -> str:
        return self.property(node, unit, "InvocationID")

    # Unit files

    def install(self, nodes: tuple[str, ...] = NODES, **units: str) -> None:
        """Write units, named by keyword with ``_`` for the dot before the suffix, and reload."""
        named = {}
        for name, text in units.items():
            stem, _, suffix = name.rpartition("_")
            named[f"{stem.replace('_', '-')}.{suffix}"] = text
        self.place(named, nodes)

    def place(self, units: Mapping[str, str], nodes: tuple[str, ...] = NODES) -> None:
        """Write unit files, reload, and wait until the annotated ones are reported by all these nodes."""
        for node in nodes:
            for name, text in units.items():
                self.lab.write(node, f"/etc/systemd/system/{name}", text)
            self.ok(node, "systemctl", "daemon-reload")
        annotated = [name for name, text in units.items() if "[X-Synod]" in text and "@." not in name]
        self.wait(
            lambda: all(self.is_reported(name, nodes) for name in annotated), f"reports of {annotated}"
        )

    def is_reported(self, unit: str, nodes: tuple[str, ...] = NODES) -> bool:
        """Return whether the log knows that these nodes have a unit."""
        return set(nodes) <= set(self.show(unit).get("reports", {}))

    @contextlib.contextmanager
    def units(self, units: Mapping[str, str], nodes: tuple[str, ...] = NODES) -> Iterator[None]:
        """Have units for the time of a block; afterwards they are stopped and gone."""
        self.place(units, nodes)
        try:
            yield
        finally:
            self.mend()
            for name in [name for name in units if name in self.rows()]:
                self.ok("node3", "synodctl", "stop", "--wait", name)
            for node in nodes:
                for name in units:
                    if "@." not in name:
                        self.run(node, "systemctl", "stop", name)
                    self.ok(
                        node, "rm", "-rf", f"/etc/systemd/system/{name}", f"/etc/systemd/system/{name}.d"
                    )
                self.ok(node, "systemctl", "daemon-reload")
                self.run(node, "systemctl", "reset-failed")

    @contextlib.contextmanager
    def drop_in(self, node: str, unit: str, text: str) -> Iterator[None]:
        """Have a drop-in of a unit on one node for the time of a block."""
        path = f"/etc/systemd/system/{unit}.d/test.conf"
        self.dirty.append((node, path))
        self.lab.write(node, path, text)
        self.ok(node, "systemctl", "daemon-reload")
        try:
            yield
        finally:
            self.wash()

    def wash(self) -> None:
        """Remove the files of a test that did not come to its end."""
        for node, path in self.dirty:
            if not self.lab.is_on(node):
                self.lab.boot(node)
            self.ok(node, "rm", "-f", path)
            self.ok(node, "systemctl", "daemon-reload")
        self.dirty.clear()

    # What the cluster says: over the agent's socket, since a test asks much more often than a user

    def ask(self, node: str, method: str, **params: object) -> tuple[int, Any]:
        """Ask the agent of a node as synodctl does; exit status 7 when there is none."""
        path = f"/proc/{self.lab.pid(node)}/root/run/synod/agent.sock"
        with socket.socket(socket.AF_UNIX) as connection:
            connection.settimeout(ASK_SEC)
            try:
                connection.connect(path)
                connection.sendall(json.dumps({"method": method, "params": params}).encode() + b"\n")
                with connection.makefile() as lines:
                    for line in lines:
                        answer = json.loads(line)
                        if "exit" in answer:
                            return answer["exit"], answer["data"]
            except OSError:
                return 7, None
        return 7, None

    def show(self, unit: str, node: str = "node3") -> dict[str, Any]:
        return self.ask(node, "show", unit=unit)[1] or {}

    def status(self, node: str = "node3") -> dict[str, Any]:
        return self.ask(node, "status")[1] or {}

    def states(self, node: str = "node3") -> dict[str, str]:
        return {row["name"]: row["state"] for row in self.ask(node, "list-nodes")[1] or []}

    def rows(self, node: str = "node3") -> dict[str, dict[str, Any]]:
        return {row["unit"]: row for row in self.ask(node, "list-units")[1] or []}

    def is_quorate(self, node: str) -> bool:
        return self.ask(node, "status")[0] == 0

    def leader(self) -> str:
        """Return the leader that all members agree on."""
        found: set[str] = set()

        def agreed() -> bool:
            found.clear()
            found.update(self.status(node).get("leader", "") for node in self.on())
            return len(found) == 1 and "" not in found

        self.wait(agreed, "one leader")
        return found.pop()

    def elect(self, node: str) -> None:
        """Make a node the leader: whoever leads is killed until chance has it."""
        for _ in range(20):
            leader = self.leader()
            if leader == node:
                return
            self.kill_agent(leader)
            self.settle()
        raise AssertionError(f"{node} does not come to lead")

    # What systemd and the journal say

    def moments(self, node: str, unit: str, message: str) -> list[float]:
        """Return when systemd said something of a unit, in seconds of the one clock of all nodes."""
        match = (f"MESSAGE_ID={message}", f"UNIT={unit}")
        fields = "--output-fields=__REALTIME_TIMESTAMP,UNIT"
        lines = self.ok(node, "journalctl", "-o", "json", fields, "--no-pager", *match)
        return [int(json.loads(line)["__REALTIME_TIMESTAMP"]) / 1e6 for line in lines.splitlines() if line]

    def last(self, node: str, unit: str, message: str) -> float:
        return self.moments(node, unit, message)[-1]

    def journal(self, node: str, *match: str) -> str:
        return self.ok(node, "journalctl", "-b", "-o", "cat", "--no-pager", *match)

    def cursor(self, node: str) -> str:
        """Return a place in the journal for ``since``."""
        shown = self.ok(node, "journalctl", "-n1", "-o", "cat", "--show-cursor", "--no-pager")
        return shown.rpartition("cursor: ")[2]

    def since(self, node: str, cursor: str) -> str:
        """Return what the agent wrote to the journal after a place."""
        argv = ("journalctl", "-u", "synod.service", "-o", "cat", "--no-pager", f"--after-cursor={cursor}")
        return self.ok(node, *argv)

    def wait(self, condition: Callable[[], object], what: str, timeout: float = 20) -> None:
        """Wait until a condition holds; fail with what was waited for."""
        deadline = time.monotonic() + timeout
        while not condition():
            assert time.monotonic() < deadline, f"after {timeout} s not yet: {what}\n{self.autopsy()}"
            time.sleep(0.05)

    # Agents

    def agent(self, node: str) -> int:
        return int(self.property(node, "synod.service", "MainPID"))

    def kill_agent(self, node: str, signal: str = "-9") -> None:
        self.ok(node, "kill", signal, str(self.agent(node)))

    def settle(self) -> None:
        """Wait until all nodes are members, online and know a leader."""
        self.wait(
            lambda: all(
                self.is_quorate(node) and [self.states(node).get(name) for name in self.members]
                == ["online"] * len(self.members)
                for node in self.members
            ),
            "all nodes online",
            timeout=40,
        )  # fmt: skip

    def mend(self) -> None:
        """Undo what a test did to links, power and agents."""
        if self.lab.state.cuts:
            self.lab.heal()
        off = [node for node in self.members if not self.lab.is_on(node)]
        for node in off:
            self.lab.boot(node, wait=False)
        for node in off:
            self.lab.wait_booted(node)
        self.wash()
        for node in self.members:
            if self.ask(node, "list-nodes")[0] != 0:
                self.ok(node, "systemctl", "start", "synod.service")
        self.settle()


def join_all(cluster: Cluster) -> None:
    cluster.ok("node1", "synodctl", "init", "--name", "test", "--address", "10.77.0.1")
    for node in NODES[1:]:
        token = cluster.ok("node1", "synodctl", "token")
        cluster.ok(node, "synodctl", "join", "node1", "--token", token)
    cluster.wait(lambda: len(cluster.status()["voters"]) == 3, "three voters")


@pytest.fixture(scope="session", params=RELEASES)
def booted(request: pytest.FixtureRequest) -> Iterator[Cluster]:
    """Nodes of a release, three of them with a cluster, shared by the tests of a session."""
    release = request.param
    for name in remains.orphans():
        if name.startswith(LABS):
            remains.remove(name, DIRECTORY)
    # A name of its own: sessions on one machine do not disturb each other.
    with Lab(f"{LABS}{release[0]}{os.getpid()}") as lab:
        lab.up(nodes=len(NODES) + len(SPARES), release=release, deb=deb())
        cluster = Cluster(lab)
        join_all(cluster)
        yield cluster
        for node in filter(lab.is_on, (*NODES, *SPARES)):
            said = cluster.ok(node, "journalctl", "-u", "synod.service", "-o", "cat", "--no-pager")
            assert "Traceback" not in said, node


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
def cluster(booted: Cluster) -> Cluster:
    """The shared cluster with db on node1 and web on node2, both stopped."""
    booted.mend()
    if not all(booted.show(unit).get("reports") for unit in ("web.service", "db.service")):
        booted.install(db_service=DB, web_service=WEB)
    for unit in ("web.service", "db.service"):
        if booted.show(unit)["desired"] != "stopped" or booted.active(unit):
            booted.ok("node3", "synodctl", "stop", "--wait", unit)
    return booted


@pytest.fixture
def running(cluster: Cluster) -> Cluster:
    """The same with both running."""
    cluster.ok("node3", "systemctl", "start", "web.service")
    return cluster
