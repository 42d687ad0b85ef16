# SPDX-License-Identifier: LGPL-2.1-or-later
"""generators/synod-address on two machines made of a network namespace each, with one cable between them."""

import contextlib
import os
import socket
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="needs root")

V4, V6 = "192.0.2.10-24", "2001:db8::10-64"
MACS = {"left": "02:00:00:00:00:01", "right": "02:00:00:00:00:02"}
SETUP = """
link set lo up
link set eth0 up
addr add 192.0.2.{host}/24 dev eth0
addr add 2001:db8::{host}/64 dev eth0 nodad
link add spare0 type bridge
"""
# Prints who is told, and by what, as soon as it is heard.
OVERHEAR = """import socket
ear = socket.socket(socket.AF_PACKET, socket.SOCK_RAW)
ear.bind(("eth0", 3))
ear.settimeout(10)
print("listening", flush=True)
for _ in range(10000):
    frame = ear.recv(2048)
    if frame[12:14] == b"\\x08\\x06" and frame[28:32] == frame[38:42]:
        print("arp", frame[21], socket.inet_ntoa(frame[28:32]), flush=True)
    if frame[12:14] == b"\\x86\\xdd" and frame[20] == 58 and frame[54] == 136:
        host = socket.inet_ntop(socket.AF_INET6, frame[62:78])
        print("advertisement", frame[58] >> 5 & 1, host, flush=True)
"""

Done = subprocess.CompletedProcess[str]


@dataclass(frozen=True)
class Cable:
    """Two machines; the program is run on one of them."""

    program: Path

    def name(self, side: str) -> str:
        return f"synod-address-{side}"

    def ip(self, side: str, *arguments: str, check: bool = True) -> str:
        argv = ("ip", "-n", self.name(side), *arguments)
        done = subprocess.run(argv, capture_output=True, text=True, timeout=30, check=False)
        assert done.returncode == 0 or not check, done.stderr
        return done.stdout

    def run(self, side: str, verb: str, instance: str, **environment: str) -> Done:
        return subprocess.run(
            ("ip", "netns", "exec", self.name(side), self.program, verb, instance),
            env=os.environ | environment, capture_output=True, text=True, timeout=30, check=False,
        )  # fmt: skip

    def ok(self, side: str, verb: str, instance: str, **environment: str) -> str:
        done = self.run(side, verb, instance, **environment)
        assert (done.returncode, done.stderr) == (0, "")
        return done.stdout.strip()

    def refused(self, side: str, instance: str, **environment: str) -> str:
        done = self.run(side, "start", instance, **environment)
        assert done.returncode in (1, 6)
        assert done.stderr.count("\n") == 1
        return done.stderr.strip()

    @contextlib.contextmanager
    def overhearing(self, side: str) -> Iterator[Iterator[str]]:
        argv = ("ip", "netns", "exec", self.name(side), "/usr/bin/python3", "-c", OVERHEAR)
        quiet = subprocess.DEVNULL
        with subprocess.Popen(argv, stdout=subprocess.PIPE, stderr=quiet, text=True) as listener:
            assert listener.stdout is not None
            assert listener.stdout.readline() == "listening\n"
            try:
                yield map(str.strip, listener.stdout)
            finally:
                listener.kill()


@pytest.fixture
def cable(program: Path) -> Iterator[Cable]:
    made = Cable(program)
    try:
        for side in MACS:
            subprocess.run(("ip", "netns", "add", made.name(side)), check=True, timeout=30)
        ends = [("netns", made.name(side), "address", mac) for side, mac in MACS.items()]
        pair = ("eth0", *ends[0], "type", "veth", "peer", "name", "eth0", *ends[1])
        subprocess.run(("ip", "link", "add", *pair), check=True, timeout=30)
        for host, side in enumerate(MACS, 1):
            for line in SETUP.format(host=host).strip().splitlines():
                made.ip(side, *line.split())
        yield made
    finally:
        for side in MACS:
            subprocess.run(("ip", "netns", "del", made.name(side)), check=False, timeout=30,
                           stderr=subprocess.DEVNULL)  # fmt: skip


@pytest.mark.parametrize("instance", [V4, V6])
def test_a_life_of_an_address(cable, instance):
    shown = instance.replace("-", "/")
    absent = cable.run("left", "status", instance)
    assert (absent.returncode, absent.stdout) == (3, f"{shown} is not on this node\n")
    cable.ok("left", "start", instance)
    assert cable.ok("left", "status", instance) == f"{shown} is on eth0"
    assert shown in cable.ip("left", "addr")
    # Again, as after a start that was cut short.
    cable.ok("left", "start", instance)
    cable.ok("left", "announce", instance)
    cable.ok("left", "stop", instance)
    assert shown not in cable.ip("left", "addr")
    cable.ok("left", "stop", instance)
    assert cable.run("left", "announce", instance).returncode == 1


@pytest.mark.parametrize("instance", [V4, V6])
def test_what_is_on_the_network_is_refused_until_it_is_free(cable, instance):
    host = instance.partition("-")[0]
    cable.ok("left", "start", instance)
    complaint = cable.refused("right", instance)
    taken = f"{host} is in use on the network already: {MACS['left']} answers for it on eth0;"
    assert complaint.startswith(taken)
    assert host not in cable.ip("right", "addr")
    # The old holder is dead: nobody answers.
    cable.ip("left", "link", "set", "eth0", "down")
    assert "has no carrier" in cable.refused("right", instance)
    cable.ip("left", "addr", "flush", "dev", "eth0")
    cable.ip("left", "link", "set", "eth0", "up")
    cable.ok("right", "start", instance)


def test_the_probe_can_be_left_out(cable):
    cable.ok("left", "start", V4)
    cable.ok("right", "start", V4, SYNOD_PROBE_MSEC="0")


@pytest.mark.parametrize(
    ("instance", "expected"),
    [(V4, ["arp 1 192.0.2.10", "arp 2 192.0.2.10"]), (V6, ["advertisement 1 2001:db8::10"])],
)
def test_neighbours_are_told_and_learn_it(cable, instance, expected):
    host = instance.partition("-")[0]
    cable.ip("right", "neigh", "add", host, "lladdr", "02:00:00:00:00:99", "dev", "eth0", "nud", "stale")
    with cable.overhearing("right") as heard:
        cable.ok("left", "start", instance)
        assert [next(heard) for _ in expected] == expected
    assert MACS["left"] in cable.ip("right", "neigh", "show", host)


def test_it_is_ready_first_and_tells_the_neighbours_twice_more(cable, tmp_path):
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager, cable.overhearing("right") as heard:
        manager.bind(str(tmp_path / "notify"))
        manager.settimeout(10)
        argv = ("ip", "netns", "exec", cable.name("left"), cable.program, "start", V4)
        with subprocess.Popen(argv, env=os.environ | {"NOTIFY_SOCKET": str(tmp_path / "notify")}) as process:
            assert manager.recv(1000) == b"READY=1\nSTATUS=192.0.2.10/24 is on eth0"
            assert process.poll() is None
            assert [next(heard) for _ in range(6)].count("arp 1 192.0.2.10") == 3
            assert process.wait(10) == 0


def test_a_refusal_is_put_to_systemd_as_well(cable, tmp_path):
    cable.ok("left", "start", V4)
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(str(tmp_path / "notify"))
        manager.settimeout(10)
        complaint = cable.refused("right", V4, NOTIFY_SOCKET=str(tmp_path / "notify"))
        assert manager.recv(1000).decode() == f"STATUS={complaint}"


def test_the_nodes_own_address_is_never_touched(cable):
    assert "192.0.2.1 is an address of this node's own, on eth0;" in cable.refused("left", "192.0.2.1-24")
    cable.ok("left", "stop", "192.0.2.1-24")
    cable.ok("left", "stop", "2001:db8::1-64")
    addresses = cable.ip("left", "addr")
    assert "192.0.2.1/24" in addresses
    assert "2001:db8::1/64" in addresses


def test_one_address_with_two_prefixes_is_refused(cable):
    cable.ok("left", "start", V4)
    complaint = cable.refused("left", "192.0.2.10-32")
    assert "192.0.2.10 is on eth0 already, by synod-address@192.0.2.10-24.service;" in complaint
    cable.ok("left", "stop", "192.0.2.10-32")
    assert "192.0.2.10/24" in cable.ip("left", "addr")


def test_the_node_does_not_speak_from_it(cable):
    for instance, other in ((V4, "192.0.2.2"), (V6, "2001:db8::2")):
        cable.ok("left", "start", instance)
        assert instance.partition("-")[0] not in cable.ip("left", "route", "get", other)


def test_routes_are_those_of_before(cable):
    before = [cable.ip("left", family, "route") for family in ("-4", "-6")]
    for instance in (V4, V6):
        cable.ok("left", "start", instance)
        cable.ok("left", "stop", instance)
    assert [cable.ip("left", family, "route") for family in ("-4", "-6")] == before


@pytest.mark.parametrize(
    ("instance", "network"), [("198.51.100.7-24", "198.51.100.0/24"), ("fd00::7-64", "fd00::/64")]
)
def test_a_network_of_its_own_needs_a_word_and_gets_a_route(cable, instance, network):
    assert "no interface of this node is in a network with" in cable.refused("left", instance)
    cable.ok("left", "start", instance, SYNOD_INTERFACE="eth0")
    family = "-6" if ":" in network else "-4"
    assert network in cable.ip("left", family, "route")
    cable.ok("left", "stop", instance)
    assert network not in cable.ip("left", family, "route")


def test_an_interface_that_is_down_or_missing_is_named(cable):
    assert "spare0 is down; see: ip link show spare0" in cable.refused("left", V4, SYNOD_INTERFACE="spare0")
    assert "this node has no interface 'eth7'" in cable.refused("left", V4, SYNOD_INTERFACE="eth7")


def test_an_address_stays_where_it_is_until_it_is_stopped(cable):
    cable.ok("left", "start", V4)
    cable.ip("left", "link", "set", "spare0", "up")
    assert "is on eth0 already, not on spare0" in cable.refused("left", V4, SYNOD_INTERFACE="spare0")


def test_a_loopback_address_asks_nobody(cable):
    cable.ok("right", "start", V4)
    cable.ok("left", "start", V4, SYNOD_INTERFACE="lo")
    assert "192.0.2.10/24" in cable.ip("left", "addr", "show", "lo")


def test_what_the_kernel_refuses_is_one_line(cable):
    bare = ("setpriv", "--bounding-set=-net_admin,-net_raw", "--inh-caps=-all")
    done = subprocess.run(
        ("nsenter", f"--net=/run/netns/{cable.name('left')}", *bare, cable.program, "start", V4),
        capture_output=True, text=True, timeout=30, check=False,
    )  # fmt: skip
    assert done.returncode == 4
    assert done.stderr == "cannot start 192.0.2.10-24: Operation not permitted; run it as root\n"
