# SPDX-License-Identifier: LGPL-2.1-or-later
"""synod-address@.service under real managers, seen by a client on the same network."""

import os
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from synod.lab.cluster import Lab

pytestmark = [pytest.mark.system, pytest.mark.skipif(os.geteuid() != 0, reason="needs root")]

TOP = Path(__file__).resolve().parents[2]
V4, V6 = "10.77.0.100-24", "2001:db8:77::100-64"
MACS = {"node1": "02:00:0a:4d:00:01", "node2": "02:00:0a:4d:00:02"}
# Much above what is promised: it must hold on any machine, and the figures are printed.
GAP_SEC_MAX = START_SEC_MAX = 3.0

# Asks every 10 ms and says "answered" once; when told to end it prints the longest time without an answer,
# in milliseconds.
PINGER = """import select, socket, struct, sys, time
host = sys.argv[1]
if ":" in host:
    ping = socket.socket(socket.AF_INET6, socket.SOCK_RAW, socket.IPPROTO_ICMPV6)
    ask, answer, skip = 128, 129, 0
else:
    ping = socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_ICMP)
    ask, answer, skip = 8, 0, 20
ping.setblocking(False)
last, longest, number, closing, deadline = None, 0, 0, None, time.monotonic() + 60
while time.monotonic() < deadline:
    number += 1
    try:
        ping.sendto(struct.pack("!BBHHH", ask, 0, 0xFFFF - (ask << 8) - number, 0, number), (host, 0))
    except OSError:
        pass  # no neighbour answers
    until = time.monotonic() + 0.01
    while (rest := until - time.monotonic()) > 0:
        if ping not in select.select([ping], [], [], rest)[0]:
            continue
        reply, sender = ping.recvfrom(100)
        if sender[0] == host and reply[skip] == answer:
            if last is None:
                print("answered", flush=True)
            longest, last = max(longest, time.monotonic() - (last or time.monotonic())), time.monotonic()
            if closing and struct.unpack_from("!H", reply, skip + 6)[0] > closing:
                sys.exit(f"{longest * 1000:.0f}")
    if not closing and select.select([sys.stdin], [], [], 0)[0]:
        closing = number
"""
TIMER = """import subprocess, sys, time
for _ in range(10):
    start = time.monotonic()
    subprocess.run(("systemctl", "start", sys.argv[1]), check=True)
    print((time.monotonic() - start) * 1000)
    subprocess.run(("systemctl", "stop", sys.argv[1]), check=True)
"""


def unit(instance: str) -> str:
    return f"synod-address@{instance}.service"


@pytest.fixture(scope="module", params=["bookworm", "trixie"])
def booted(request: pytest.FixtureRequest) -> Iterator[Lab]:
    subprocess.run((TOP / "packaging/build-deb", TOP / "build"), check=True, timeout=300)
    (deb,) = (TOP / "build").glob("synod_*_all.deb")
    with Lab(f"addr{request.param[0]}") as lab:
        lab.up(nodes=2, release=request.param, deb=deb)
        yield lab


@pytest.fixture
def lab(booted: Lab) -> Lab:
    """Two nodes that are on, without virtual addresses."""
    for node in booted.state.nodes:
        booted.boot(node)
        for instance in (V4, V6):
            booted.exec(node, ("systemctl", "stop", unit(instance)))
        booted.exec(node, ("systemctl", "reset-failed"))
    for host, place in ((1, "node1"), (2, "node2"), (254, "outside")):
        argv = ("ip", "addr", "replace", f"2001:db8:77::{host}/64", "dev", "eth0", "nodad")
        booted.exec(place, argv)
    return booted


def wait(condition: Callable[[], object]) -> None:
    deadline = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < deadline


def is_active(lab: Lab, node: str, instance: str) -> bool:
    return lab.exec(node, ("systemctl", "is-active", unit(instance)), check=False).returncode == 0


def addresses(lab: Lab, node: str) -> str:
    return lab.exec(node, ("ip", "-brief", "addr")).stdout


def property_of(lab: Lab, node: str, instance: str, name: str) -> str:
    return lab.exec(node, ("systemctl", "show", "-P", name, unit(instance))).stdout.strip()


@pytest.mark.parametrize("way", ["stopped", "powered off"])
@pytest.mark.parametrize("instance", [V4, V6])
def test_a_client_follows_it_to_another_node(lab, instance, way):
    host = instance.partition("-")[0]
    lab.exec("node1", ("systemctl", "start", unit(instance)))
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    with lab.outside_popen(("/usr/bin/python3", "-c", PINGER, host), **pipes) as pinger:
        try:
            assert pinger.stdout.readline() == "answered\n"
            assert MACS["node1"] in lab.outside(("ip", "neigh", "show", host)).stdout
            if way == "stopped":
                lab.exec("node1", ("systemctl", "stop", unit(instance)))
            else:
                lab.kill("node1")
            lab.exec("node2", ("systemctl", "start", unit(instance)))
            # No packet but the announcement can have told it.
            assert MACS["node2"] in lab.outside(("ip", "neigh", "show", host)).stdout
            gap = float(pinger.communicate("", timeout=30)[1])
        finally:
            pinger.kill()
    print(f"{host} {way} on node1: no answer for {gap:.0f} ms")
    assert gap < GAP_SEC_MAX * 1000


@pytest.mark.parametrize("instance", [V4, V6])
def test_an_address_on_the_network_is_refused_and_the_status_says_so(lab, instance):
    lab.exec("node1", ("systemctl", "start", unit(instance)))
    host = instance.partition("-")[0]
    assert lab.exec("node2", ("systemctl", "start", unit(instance)), check=False).returncode == 1
    status = lab.exec("node2", ("systemctl", "status", unit(instance)), check=False)
    taken = f"{host} is in use on the network already: {MACS['node1']} answers for it on eth0;"
    assert taken in status.stdout
    assert property_of(lab, "node2", instance, "ActiveState") == "failed"
    assert host not in addresses(lab, "node2")
    assert is_active(lab, "node1", instance)
    lab.exec("node1", ("systemctl", "stop", unit(instance)))
    lab.exec("node2", ("systemctl", "start", unit(instance)))


@pytest.mark.parametrize("instance", [V4, V6])
def test_how_long_a_start_takes(lab, instance):
    done = lab.exec("node1", ("python3", "-c", TIMER, unit(instance)))
    times = sorted(float(line) for line in done.stdout.splitlines())
    print(f"systemctl start {unit(instance)}: {times[0]:.0f}, {times[5]:.0f}, {times[-1]:.0f} ms (of 10)")
    assert times[0] < START_SEC_MAX * 1000


def test_no_process_stays(lab):
    lab.exec("node1", ("systemctl", "start", unit(V4)))
    assert property_of(lab, "node1", V4, "StatusText") == "10.77.0.100/24 is on eth0"
    wait(lambda: property_of(lab, "node1", V4, "SubState") == "exited")
    assert property_of(lab, "node1", V4, "Result") == "success"
    assert "10.77.0.100/24" in addresses(lab, "node1")
    lab.exec("node1", ("systemctl", "reload", unit(V4)))
    lab.exec("node1", ("systemctl", "stop", unit(V4)))
    assert "10.77.0.100" not in addresses(lab, "node1")


def test_a_start_that_is_cut_short_leaves_nothing(lab):
    lab.exec("node1", ("systemctl", "start", unit(V4)))
    lab.exec("node1", ("systemctl", "kill", "-s", "KILL", unit(V4)))
    wait(lambda: property_of(lab, "node1", V4, "ActiveState") == "failed")
    assert "10.77.0.100" not in addresses(lab, "node1")


def test_bad_instances_fail_with_one_line(lab):
    for instance, reason in (
        ("10.77.0.1-24", "10.77.0.1 is an address of this node's own, on eth0;"),
        ("10.77.0.100", "'10.77.0.100' is not ADDRESS-PREFIXLEN"),
        ("192.0.2.1-24", "no interface of this node is in a network with 192.0.2.1;"),
    ):
        assert lab.exec("node1", ("systemctl", "start", unit(instance)), check=False).returncode == 1
        assert reason in property_of(lab, "node1", instance, "StatusText")
    assert "10.77.0.1/24" in addresses(lab, "node1")


def test_the_interface_can_be_named(lab):
    drop_in = f"/run/systemd/system/{unit('198.51.100.7-24')}.d/interface.conf"
    lab.write("node1", drop_in, "[Service]\nEnvironment=SYNOD_INTERFACE=eth0\n")
    lab.exec("node1", ("systemctl", "daemon-reload"))
    lab.exec("node1", ("systemctl", "start", unit("198.51.100.7-24")))
    assert "198.51.100.7/24" in addresses(lab, "node1")
    lab.exec("node1", ("systemctl", "stop", unit("198.51.100.7-24")))
    assert "198.51.100.7" not in addresses(lab, "node1")
