# SPDX-License-Identifier: LGPL-2.1-or-later
"""Fencing of real nodes by the lab's power switch, and by what it may do wrong."""

import os
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from synod.lab import cgroup, fence, machine, remains, state
from synod.lab.cluster import Lab
from synod.lab.fence import Fault

pytestmark = [pytest.mark.system, pytest.mark.skipif(os.geteuid() != 0, reason="needs root")]

NAME = "testfence"
TOP = Path(__file__).parents[2]
SERVE = """import socket, time
server = socket.create_server(("", 7000))
print("up", flush=True)
connection = server.accept()
time.sleep(60)
"""
PROBE = """import socket, sys
with socket.create_connection((sys.argv[1], 7000), timeout=10) as stream:
    print("connected", flush=True)
    stream.settimeout(3)
    try:
        print("end of file" if stream.recv(1) == b"" else "data")
    except TimeoutError:
        print("silence")
    except OSError as error:
        print(error.strerror)
"""
# What the agent of a node will do: read the files, fence, say what came of it.
FENCE = """import asyncio, sys
from synod.config.fence import load_fence
from synod.devices.register import FenceRegister
result = asyncio.run(FenceRegister(load_fence()).fence(sys.argv[1]))
print(type(result).__name__, result.reason)
"""


@pytest.fixture(scope="module")
def booted() -> Iterator[Lab]:
    subprocess.run((TOP / "packaging/build-deb", TOP / "build"), check=True, timeout=300)
    (deb,) = (TOP / "build").glob("synod_*_all.deb")
    with Lab(NAME) as made:
        made.up(nodes=3, deb=deb)
        yield made
    assert NAME not in remains.labs()


@pytest.fixture
def lab(booted: Lab) -> Lab:
    """Three nodes that are on and can fence each other."""
    booted.heal()
    fence.set_fault(NAME, None)
    for node in booted.state.nodes:
        booted.boot(node)
    fence.install(booted, "TimeoutSec=5")
    return booted


def agent(lab: Lab, node: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    switch = fence.start(lab.name)
    return lab.exec(node, ("fence_synod_lab", "-p", switch.token, *arguments), check=False)


def attempt(lab: Lab, node: str, target: str) -> str:
    return lab.exec(node, ("/usr/bin/python3", "-c", FENCE, target)).stdout.strip()


def wait(condition: Callable[[], object]) -> None:
    deadline = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < deadline


def test_a_node_switches_another_one_off_and_on(lab):
    assert agent(lab, "node1", "-o", "list-status").stdout.splitlines() == [
        f"{node},{node},ON" for node in ("node1", "node2", "node3")
    ]
    assert agent(lab, "node1", "-o", "off", "-n", "node2").returncode == 0
    assert not lab.is_on("node2")
    assert agent(lab, "node1", "-o", "status", "-n", "node2").returncode == 2
    assert agent(lab, "node1", "-o", "off", "-n", "node2").returncode == 0
    assert agent(lab, "node1", "-o", "on", "-n", "node2").returncode == 0
    lab.wait_booted("node2")
    assert agent(lab, "node1", "-o", "status", "-n", "node2").returncode == 0
    assert agent(lab, "node1", "-o", "monitor").returncode == 0


def test_a_reboot_is_another_life(lab):
    read = ("cat", "/proc/sys/kernel/random/boot_id")
    before = lab.exec("node2", read).stdout
    assert agent(lab, "node1", "-o", "reboot", "-n", "node2").returncode == 0
    wait(lambda: lab.is_on("node2"))
    lab.wait_booted("node2")
    assert lab.exec("node2", read).stdout != before


def test_a_fenced_node_falls_silent_as_in_a_power_loss(lab):
    pipes = {"stdout": subprocess.PIPE, "text": True}
    with lab.popen("node2", ("python3", "-c", SERVE), **pipes) as server:
        assert server.stdout.readline() == "up\n"
        with lab.popen("node1", ("python3", "-c", PROBE, "node2"), **pipes) as probe:
            assert probe.stdout.readline() == "connected\n"
            assert attempt(lab, "node3", "node2").startswith("Confirmed ")
            assert probe.stdout.readline() == "silence\n"


def test_the_proof_is_a_proof(lab):
    start = time.monotonic()
    assert attempt(lab, "node1", "node2") == (
        "Confirmed fence device 'lab' (fence_synod_lab) reports 'node2' as off"
    )
    print(f"fencing took {time.monotonic() - start:.2f} s, with the start of an interpreter")
    assert not cgroup.members(machine.group(NAME, "node2"))
    assert attempt(lab, "node3", "node2").startswith("Confirmed ")


@pytest.mark.parametrize(
    ("fault", "said"),
    [
        (
            Fault.LIE,
            "Failed fence device 'lab' (fence_synod_lab) claims to have switched 'node2' off but reports",
        ),
        (
            Fault.FAIL,
            "Failed fence device 'lab' (fence_synod_lab): 'off' of 'node2' exited with 1: the switch is out",
        ),
        (Fault.HANG, "Unknown fence device 'lab' (fence_synod_lab): 'off' of 'node2' did not end within 5s"),
    ],
)
def test_a_switch_that_misbehaves_proves_nothing(lab, fault, said):
    fence.set_fault(NAME, fault)
    assert attempt(lab, "node1", "node2").startswith(said)
    assert lab.is_on("node2")
    fence.set_fault(NAME, None)
    assert attempt(lab, "node1", "node2").startswith("Confirmed ")


def test_a_switch_that_is_cut_off_proves_nothing(lab):
    lab.cut("node1", "outside")
    assert attempt(lab, "node1", "node2").split()[0] in ("Failed", "Unknown")
    assert lab.is_on("node2")
    assert attempt(lab, "node3", "node2").startswith("Confirmed ")


def test_strangers_and_mistakes_are_refused(lab):
    lab_exec = ("fence_synod_lab", "-o", "off", "-n", "node2", "-p", "guess")
    done = lab.exec("node1", lab_exec, check=False)
    assert (done.returncode, done.stderr) == (1, "wrong password\n")
    done = agent(lab, "node1", "-o", "off", "-n", "node9")
    assert (done.returncode, done.stderr) == (
        1,
        f"lab '{NAME}' has no node 'node9'; it has node1, node2, node3\n",
    )
    assert lab.is_on("node2")
    assert lab.exec("node1", ("stat", "-c", "%a", fence.DEVICE)).stdout == "600\n"
    assert (state.RUN / NAME / "switch.json").stat().st_mode & 0o777 == 0o600


def test_starting_it_twice_gives_one_switch(lab):
    before = fence.start(NAME)
    members = cgroup.members(machine.group(NAME, "switch"))
    assert fence.start(NAME) == before
    assert cgroup.members(machine.group(NAME, "switch")) == members
