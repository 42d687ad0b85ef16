# SPDX-License-Identifier: LGPL-2.1-or-later
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from synod.base.errors import NoSuchObjectError, SynodError, TimedOutError, UsageError
from synod.lab import cgroup, machine, network, remains, rootfs, state
from synod.lab.cluster import DIRECTORY, Lab
from synod.lab.process import LabError

pytestmark = [pytest.mark.system, pytest.mark.skipif(os.geteuid() != 0, reason="needs root")]

PROBE = """import socket, sys
host, port = sys.argv[1], 7000
with socket.create_connection((host, port), timeout=10) as stream:
    stream.settimeout(float(sys.argv[2]))
    print("connected", flush=True)
    try:
        print("end of file" if stream.recv(1) == b"" else "data")
    except TimeoutError:
        print("silence")
    except OSError as error:
        print(error.strerror)
"""
SERVE = """import socket, time
server = socket.create_server(("", 7000))
print("up", flush=True)
connection = server.accept()
time.sleep(60)
"""
LISTEN = """import socket
receiver = socket.socket(type=socket.SOCK_DGRAM)
receiver.bind(("", 7001))
receiver.settimeout(2)
print("up", flush=True)
try:
    print(receiver.recv(9).decode())
except TimeoutError:
    print("nothing")
"""
SEND = "import socket, sys; socket.socket(type=socket.SOCK_DGRAM).sendto(b'datagram', (sys.argv[1], 7001))"


@pytest.fixture(scope="module")
def lab() -> Iterator[Lab]:
    with Lab("testcluster") as made:
        made.up(nodes=3)
        yield made


def reaches(lab: Lab, source: str, target: str) -> bool:
    return lab.exec(source, ("ping", "-c1", "-W1", "-q", target), check=False).returncode == 0


def eventually(condition: Callable[[], bool], seconds: float = 20.0) -> bool:
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            return False
    return True


def command_line(process: Path) -> str:
    try:
        return (process / "cmdline").read_text(errors="replace")
    except OSError:
        return ""  # it has just ended


def leftovers(name: str) -> list[str]:
    mounts = [line for line in Path("/proc/self/mountinfo").read_text().splitlines()
              if f"/{name}/" in line or f"-{name}-" in line]
    commands = [command for pid in Path("/proc").glob("[0-9]*")
                if f"\0{name}\0" in (command := command_line(pid)) or f"={name}-node" in command]
    directories = [str(path) for path in (DIRECTORY / name, state.RUN / name) if path.exists()]
    return [*mounts, *commands, *directories, *network.remains(name), *map(str, cgroup.members(name)),
            *(group for group in cgroup.names() if group == name)]


def test_nodes_are_separate_machines_that_reach_each_other(lab: Lab) -> None:
    identity = ("sh", "-c", "hostname; cat /etc/machine-id /proc/sys/kernel/random/boot_id")
    seen = [lab.exec(node, identity).stdout for node in lab.state.nodes]
    assert [text.split()[0] for text in seen] == ["node1", "node2", "node3"]
    assert len({text.split()[1] for text in seen}) == len({text.split()[2] for text in seen}) == 3
    assert [lab.status(node) for node in lab.state.nodes] == ["running"] * 3
    assert reaches(lab, "node1", "node3")
    assert reaches(lab, "node3", "outside")


def test_exec_passes_input_output_and_status(lab: Lab) -> None:
    done = lab.exec("node1", ("sh", "-c", "cat; echo bad >&2; exit 3"), stdin="good\n", check=False)
    assert (done.stdout, done.stderr, done.returncode) == ("good\n", "bad\n", 3)
    with pytest.raises(LabError, match="node1: sh exited with 3: why not"):
        lab.exec("node1", ("sh", "-c", "echo why not >&2; exit 3"))


def test_exec_ends_what_takes_too_long(lab: Lab) -> None:
    with pytest.raises(TimedOutError, match=r"node1: sleep did not end within 0\.3 s"):
        lab.exec("node1", ("sleep", "987"), timeout=0.3)
    assert eventually(lambda: lab.exec("node1", ("pgrep", "-f", "sleep 987"), check=False).returncode == 1)


def test_the_outside_is_a_client_on_the_nodes_network(lab: Lab) -> None:
    assert "10.77.0.254/24" in lab.outside(("ip", "-brief", "address")).stdout
    assert lab.exec("node1", ("getent", "hosts", "outside")).stdout.split() == ["10.77.0.254", "outside"]


def test_a_node_that_is_killed_falls_silent_and_keeps_its_disk(lab: Lab) -> None:
    lab.write("node2", "/srv/deep/file", "before")
    lab.exec("node2", ("sync",))
    with lab.popen("node2", ("python3", "-c", SERVE), stdout=subprocess.PIPE, text=True) as server:
        assert server.stdout is not None
        assert server.stdout.readline() == "up\n"
        argv = ("python3", "-c", PROBE, "node2", "3")
        with lab.popen("node1", argv, stdout=subprocess.PIPE, text=True) as probe:
            assert probe.stdout is not None
            assert probe.stdout.readline() == "connected\n"
            lab.kill("node2")
            assert (lab.status("node2"), lab.is_on("node2")) == ("off", False)
            # Neither FIN nor RST has left the node, not even when it is plugged in again.
            lab.boot("node2")
            assert probe.stdout.readline() == "silence\n"
    assert lab.exec("node2", ("cat", "/srv/deep/file")).stdout == "before"
    assert reaches(lab, "node1", "node2")


def test_a_node_that_is_off_can_be_written_to_but_runs_nothing(lab: Lab) -> None:
    lab.kill("node3")
    with pytest.raises(LabError, match="node3 is off; try: synodctl lab boot node3"):
        lab.exec("node3", ("true",))
    assert not reaches(lab, "node1", "node3")
    lab.write("node3", "/lib/systemd/system/written.target", "[Unit]\nDescription=Written\n")
    lab.boot("node3")
    assert "Description=Written" in lab.exec("node3", ("systemctl", "cat", "written.target")).stdout
    assert lab.exec("node3", ("readlink", "/lib")).stdout.strip() == "usr/lib"


def test_cut_drops_both_directions_and_nothing_else_until_healed(lab: Lab) -> None:
    lab.cut("node1", "node2")
    try:
        assert not reaches(lab, "node1", "node2")
        assert not reaches(lab, "node2", "node1")
        assert reaches(lab, "node1", "node3")
    finally:
        lab.heal()
    assert reaches(lab, "node1", "node2")


def test_a_one_way_cut_lets_the_other_direction_pass(lab: Lab) -> None:
    assert reaches(lab, "node1", "node2"), "the neighbours must know each other's MAC before ARP is cut"
    lab.cut("node1", "node2", one_way=True)
    try:
        for source, target, expected in (("node2", "node1", "datagram"), ("node1", "node2", "nothing")):
            with lab.popen(target, ("python3", "-c", LISTEN), stdout=subprocess.PIPE, text=True) as receiver:
                assert receiver.stdout is not None
                assert receiver.stdout.readline() == "up\n"
                lab.exec(source, ("python3", "-c", SEND, target))
                assert receiver.stdout.read().strip() == expected
    finally:
        lab.heal()


def test_a_cut_outlives_the_power_loss_of_its_node(lab: Lab) -> None:
    lab.cut("node1", "node2")
    try:
        lab.kill("node2")
        lab.boot("node2")
        assert not reaches(lab, "node1", "node2")
    finally:
        lab.heal()


def test_a_node_that_resets_itself_stays_down(lab: Lab) -> None:
    lab.popen("node3", ("systemctl", "reboot", "--force", "--force"), stdout=subprocess.DEVNULL).wait()
    try:
        assert eventually(lambda: lab.status("node3") == "off")
    finally:
        lab.boot("node3")


def test_a_second_lab_of_the_same_name_is_refused_and_another_one_is_not(lab: Lab) -> None:
    with pytest.raises(LabError, match="lab 'testcluster' exists already; try: synodctl lab down"):
        Lab("testcluster").up(nodes=1)
    with Lab("testother") as other:
        other.up(nodes=1, on_reset="boot")
        assert other.exec("node1", ("ping", "-c1", "-W1", "10.77.0.2"), check=False).returncode != 0
        boot = other.exec("node1", ("cat", "/proc/sys/kernel/random/boot_id")).stdout
        other.popen("node1", ("systemctl", "reboot", "--force", "--force"), stdout=subprocess.DEVNULL).wait()
        assert eventually(lambda: other.status("node1") == "running" and boot != other.exec(
            "node1", ("cat", "/proc/sys/kernel/random/boot_id"), check=False).stdout)
        assert reaches(other, "node1", "outside")
        other.exec("node1", ("systemctl", "poweroff"), check=False)
        # Powering off is no reset.
        assert eventually(lambda: not cgroup.members(machine.group("testother", "node1")))
    assert leftovers("testother") == []
    assert reaches(lab, "node1", "node2")


def test_mistakes_are_named(lab: Lab) -> None:
    with pytest.raises(NoSuchObjectError, match="has no node 'node9'; it has node1, node2, node3"):
        lab.kill("node9")
    with pytest.raises(NoSuchObjectError, match=r"there is no lab 'absent'; try: synodctl lab list"):
        Lab.attach("absent")
    with pytest.raises(UsageError, match="'No-Name' cannot name a lab"):
        Lab("No-Name")
    with pytest.raises(UsageError, match="the lab knows no release 'sid'"):
        Lab("absent").up(release="sid")
    with pytest.raises(UsageError, match=r"'/nowhere\.deb' is not a file; try: make deb"):
        Lab("absent").up(deb=Path("/nowhere.deb"))
    assert leftovers("absent") == []


def test_trixie_boots_running() -> None:
    with Lab("testtrixie") as made:
        made.up(nodes=2, release="trixie")
        assert [made.status(node) for node in made.state.nodes] == ["running", "running"]
        assert made.exec("node1", ("systemctl", "--version")).stdout.startswith("systemd 257")
        made.kill("node1")
        made.boot("node1")
        assert made.status("node1") == "running"
    assert leftovers("testtrixie") == []


CRASH = """import os, signal, sys
from synod.lab.cluster import Lab
from synod.lab import machine
if sys.argv[1] == "in the middle":
    start = machine.start_runner
    def start_two(state, node):
        start(state, node)
        if node == "node2":
            os.kill(os.getpid(), signal.SIGKILL)
    machine.start_runner = start_two
with Lab("testcrash") as lab:
    lab.up(nodes=3)
    os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.mark.parametrize("moment", ["in the middle", "afterwards"])
def test_what_a_crash_leaves_is_found_and_removed(moment: str) -> None:
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    crashed = subprocess.run((sys.executable, "-c", CRASH, moment), env=environment, check=False, timeout=60)
    assert crashed.returncode == -signal.SIGKILL
    try:
        assert "testcrash" in remains.orphans()
        assert leftovers("testcrash") != []
    finally:
        Lab("testcrash").down()
    assert leftovers("testcrash") == []
    assert "testcrash" not in remains.labs()


def test_up_replaces_what_a_crash_has_left_even_without_a_record() -> None:
    network.make_lan("testcrash")
    cgroup.make("testcrash/node1/machine")
    (DIRECTORY / "testcrash/node1").mkdir(parents=True)
    with Lab("testcrash") as made:
        made.up(nodes=1)
        assert made.status("node1") == "running"
    assert leftovers("testcrash") == []


def test_a_failed_up_leaves_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rootfs, "prepare", lambda *_: ("/nowhere",))
    with pytest.raises(SynodError, match="node1 went off while it booted; see /var/lib/synod-lab/"):
        Lab("testfailed").up(nodes=1)
    assert leftovers("testfailed") == []
