# SPDX-License-Identifier: LGPL-2.1-or-later
"""Rights claimed by hand, wrong clocks, addresses that are taken: nothing runs twice, and it is said.

What cannot be had in a container is simulated: the machines share one clock, so that a step of the wall
clock is a library under the agent that adds to CLOCK_REALTIME and to nothing else.
"""

import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from .conftest import NODES, ONE_RELEASE, Cluster

pytestmark = pytest.mark.system

SEAT = "[X-Synod]\nNodes=node1 node2\nPrefer=node1:100\n[Service]\nExecStart=/bin/sleep infinity\n"
SAFE_SEC = 15.0
"""How long a copy that nobody granted may live on a shared machine: its report, an entry, and a stop."""


@pytest.fixture
def seat(cluster: Cluster) -> Iterator[Cluster]:
    """The shared cluster with seat.service on node1; node2 may run it."""
    with cluster.units({"seat.service": SEAT}):
        cluster.ok("node3", "systemctl", "start", "seat.service")
        assert cluster.active("seat.service") == ["node1"]
        yield cluster


def alarms(cluster: Cluster) -> str:
    return "\n".join(alarm["text"] for alarm in cluster.status()["alarms"])


def incarnation(cluster: Cluster, node: str) -> str:
    """Return what a grant of this boot would say."""
    return cluster.ok(node, "cat", "/proc/sys/kernel/random/boot_id") + ".0"


# Two holders


def test_a_forged_grant_is_removed_and_its_copy_stopped(seat: Cluster) -> None:
    before = seat.invocation("node1", "seat.service")
    text = f"epoch=99\\ninstance=0\\nincarnation={incarnation(seat, 'node2')}\\n"
    # One command, so that the agent cannot come in between: the files, then the start past the gate.
    forge = f"printf '{text}' > /run/synod/grant/seat.service && touch /run/synod/lease"
    start = "systemctl start --no-block seat.service"
    seat.ok("node2", "sh", "-c", f"{forge} && {start}")
    seat.wait(lambda: seat.active("seat.service") == ["node1"], "only node1 runs it", timeout=SAFE_SEC)
    seat.wait(lambda: is_removed(seat), "the forged grant is gone")
    assert seat.invocation("node1", "seat.service") == before
    assert seat.show("seat.service")["desired"] == "started"
    told = "'/run/synod/grant/seat.service' was not written by the agent; removed"
    seat.wait(lambda: told in alarms(seat), "the alarm is in the log")
    assert "was not written by the agent" in seat.journal("node2", "-u", "synod.service")


def is_removed(cluster: Cluster) -> bool:
    return cluster.run("node2", "test", "-e", "/run/synod/grant/seat.service").returncode != 0


def test_a_copy_past_the_gate_is_stopped_or_only_told(seat: Cluster) -> None:
    before = seat.invocation("node1", "seat.service")
    with seat.drop_in("node2", "seat.service", "[Unit]\nConditionPathExists=\n"):
        # An administrator's drop-in of a lower name changes nothing: the gate's comes after it.
        seat.ok("node2", "mkdir", "-p", "/run/systemd/system/seat.service.d")
        past = "[Unit]\nConditionPathExists=\n"
        seat.lab.write("node2", "/run/systemd/system/seat.service.d/zzzzz.conf", past)
        try:
            seat.run("node2", "systemctl", "daemon-reload")
            seat.run("node2", "systemctl", "start", "--job-mode=ignore-dependencies", "seat.service")
            seat.wait(
                lambda: "'seat.service' runs on node2 without a grant, and node1 holds it" in alarms(seat),
                "the rogue copy is told",
            )
            seat.wait(lambda: seat.active("seat.service") == ["node1"], "it is stopped", timeout=SAFE_SEC)
        finally:
            seat.ok("node2", "rm", "-f", "/run/systemd/system/seat.service.d/zzzzz.conf")
            seat.ok("node2", "systemctl", "daemon-reload")
    assert seat.invocation("node1", "seat.service") == before


@ONE_RELEASE
@pytest.mark.parametrize("is_running", [True, False], ids=["agent running", "agent stopped"])
def test_the_files_of_another_node_are_no_rights(seat: Cluster, is_running: bool) -> None:
    before = seat.invocation("node1", "seat.service")
    files = "grant up env stop lease booted"
    pack = ("tar", "-C", "/run/synod", "--ignore-failed-read", "-cf", "/root/run.tar")
    seat.ok("node1", *pack, *files.split())
    archive = Path(f"/proc/{seat.lab.pid('node1')}/root/root/run.tar").read_bytes()
    if not is_running:
        seat.ok("node2", "systemctl", "stop", "synod.service")
    Path(f"/proc/{seat.lab.pid('node2')}/root/root/run.tar").write_bytes(archive)
    seat.ok("node2", "tar", "-C", "/run/synod", "-xf", "/root/run.tar")
    if not is_running:
        seat.ok("node2", "systemctl", "start", "--no-block", "seat.service")
        seat.ok("node2", "systemctl", "start", "synod.service")
    seat.settle()
    seat.wait(lambda: is_removed(seat), "the copied grant is gone")
    seat.wait(lambda: seat.active("seat.service") == ["node1"], "only node1 runs it", timeout=SAFE_SEC)
    assert seat.systemctl("node2", "start", "seat.service") == 0  # which finds it on node1
    assert seat.active("seat.service") == ["node1"]
    assert seat.invocation("node1", "seat.service") == before


# Clocks

STEP = """
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdio.h>
#include <sys/time.h>
#include <time.h>
static long step(void) {
    long value = 0;
    FILE *file = fopen("/run/step", "re");
    if (file) { if (fscanf(file, "%ld", &value) != 1) value = 0; fclose(file); }
    return value;
}
int clock_gettime(clockid_t clock, struct timespec *out) {
    static int (*real)(clockid_t, struct timespec *);
    if (!real) real = (int (*)(clockid_t, struct timespec *)) dlsym(RTLD_NEXT, "clock_gettime");
    int result = real(clock, out);
    if (!result && clock == CLOCK_REALTIME) out->tv_sec += step();
    return result;
}
time_t time(time_t *out) {
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    if (out) *out = now.tv_sec;
    return now.tv_sec;
}
int gettimeofday(struct timeval *restrict out, void *restrict zone) {
    struct timespec now;
    (void) zone;
    clock_gettime(CLOCK_REALTIME, &now);
    out->tv_sec = now.tv_sec;
    out->tv_usec = now.tv_nsec / 1000;
    return 0;
}
"""
"""Moves the wall clock of one process: by as many seconds as /run/step says."""
STEP_SEC = 400 * 86400
"""Beyond the validity of every certificate, on either side."""


@pytest.fixture
def stepped(cluster: Cluster, tmp_path: Path) -> Iterator[Cluster]:
    """Agents whose wall clock a test can move; all other clocks, and PID 1, are the machine's."""
    source, library = tmp_path / "step.c", tmp_path / "step.so"
    source.write_text(STEP)
    subprocess.run(["gcc", "-shared", "-fPIC", "-O1", "-o", library, source, "-ldl"], check=True)
    for node in NODES:
        Path(f"/proc/{cluster.lab.pid(node)}/root/usr/local/lib/step.so").write_bytes(library.read_bytes())
        cluster.lab.write(
            node,
            "/etc/systemd/system/synod.service.d/step.conf",
            "[Service]\nEnvironment=LD_PRELOAD=/usr/local/lib/step.so\n",
        )
        cluster.ok(node, "systemctl", "daemon-reload")
        cluster.ok(node, "systemctl", "restart", "synod.service")
    cluster.settle()
    try:
        yield cluster
    finally:
        cluster.mend()
        for node in NODES:
            cluster.ok(node, "rm", "-rf", "/run/step", "/etc/systemd/system/synod.service.d/step.conf")
            cluster.ok(node, "systemctl", "daemon-reload")
            cluster.ok(node, "systemctl", "restart", "synod.service")
        cluster.settle()


def set_clock(cluster: Cluster, node: str, step: int) -> None:
    cluster.ok(node, "sh", "-c", f"echo {step} > /run/step.new && mv /run/step.new /run/step")


@ONE_RELEASE
def test_a_wall_clock_that_is_set_back_or_forth_moves_nothing(stepped: Cluster) -> None:
    with stepped.units({"seat.service": SEAT}):
        stepped.ok("node3", "systemctl", "start", "seat.service")
        before = stepped.invocation("node1", "seat.service")
        cursors = {node: stepped.cursor(node) for node in NODES}
        # Longer than a lease each, back and forth, on the holder and on the leader.
        for node in dict.fromkeys(("node1", stepped.leader())):
            for step in (-STEP_SEC, STEP_SEC, 0):
                set_clock(stepped, node, step)
                stepped.kill_agent(node)  # every stream begins anew under the wrong clock
                stepped.settle()
                begun = time.monotonic()
                stepped.wait(lambda begun=begun: time.monotonic() - begun > 6, "a lease has passed")
                assert stepped.active("seat.service") == ["node1"]
        assert stepped.invocation("node1", "seat.service") == before
        for node in NODES:
            said = stepped.since(node, cursors[node])
            assert "is lost: " not in said
            assert "lease could not be renewed" not in said
        # The proof of a lost node is counted by no wall clock either: not sooner, and not much later.
        survivors = NODES[1:]
        for node in survivors:
            set_clock(stepped, node, STEP_SEC)
        stepped.lab.kill("node1")
        begun = time.monotonic()
        stepped.wait(lambda: stepped.active("seat.service") == ["node2"], "node2 takes over", timeout=20)
        assert 4 < time.monotonic() - begun < 12


# Addresses


@ONE_RELEASE
def test_an_address_that_somebody_has_is_given_up_with_the_reason(cluster: Cluster) -> None:
    taken = cluster.lab.state.address("outside")
    unit = f"synod-address@{taken}-24.service"
    try:
        cursor = {node: cluster.cursor(node) for node in NODES}
        assert cluster.systemctl("node3", "start", unit) != 0
        assert cluster.active(unit) == []
        said = [
            line
            for node in NODES
            for line in cluster.ok(
                node, "journalctl", "-u", unit, "-o", "cat", "--no-pager", f"--after-cursor={cursor[node]}"
            ).splitlines()
            if taken in line and "use" in line
        ]
        assert said, "one line says who has it"
        why = cluster.ok("node3", "synodctl", "why", unit)
        assert "failed on node" in why
        for node in NODES:
            assert taken not in cluster.ok(node, "ip", "-o", "-4", "address")
    finally:
        cluster.ask("node3", "stop", unit=unit, wait=True)
        for node in NODES:
            cluster.run(node, "systemctl", "reset-failed", unit)
