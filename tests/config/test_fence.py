# SPDX-License-Identifier: LGPL-2.1-or-later
import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from synod.base.errors import ConfigError
from synod.base.ids import NodeName
from synod.base.usec import Usec
from synod.config.fence import OPTIONS_BYTES_MAX, FenceAction, FenceConfig, load_fence, parse_device

PATH = Path("/etc/synod/fence.d/rack.fence")
NODE1, NODE2, NODE3 = NodeName("node1"), NodeName("node2"), NodeName("node3")
LEAST = "[Device]\nAgent=fence_apc\nNodes=node1\n"


def read(text: str):
    return parse_device(PATH, text.encode())[0]


def write(root: Path, name: str, text: str = LEAST, mode: int = 0o600) -> Path:
    path = root / "etc/synod/fence.d" / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    path.chmod(mode)
    return path


def test_the_least_that_a_file_must_say():
    device = read(LEAST)
    assert (device.name, device.agent, device.nodes) == ("rack", "fence_apc", ("node1",))
    assert (device.timeout_usec, device.action, device.is_verified) == (
        Usec(20_000_000),
        FenceAction.OFF,
        True,
    )
    assert (dict(device.ports), device.options) == ({}, ())


def test_everything_that_a_file_can_say():
    device = read("""
[Device]
Agent=/opt/fence/fence_own
Nodes=web* db?
Nodes=node9
PortMap=node1:3 node2:rack/4:left
TimeoutSec=1min 5s
Action=reboot
Verify=no
[Options]
ip=192.0.2.7
passwd=a b=c#d
ip=192.0.2.8
""")
    assert device.nodes == ("web*", "db?", "node9")
    assert [device.port(NodeName(name)) for name in ("node1", "node2", "web7")] == [
        "3",
        "rack/4:left",
        "web7",
    ]
    assert [device.covers(NodeName(name)) for name in ("web7", "db1", "db10", "node1", "node3")] == [
        True, True, False, True, False]  # fmt: skip
    assert (device.timeout_usec, device.action, device.is_verified) == (
        65_000_000,
        FenceAction.REBOOT,
        False,
    )
    assert device.options == (("ip", "192.0.2.8"), ("passwd", "a b=c#d"))
    assert "a b=c#d" not in repr(device)


def test_empty_assignments_reset():
    lines = "Nodes=\nPortMap=node2:2\nPortMap=\nPortMap=node3:3\nTimeoutSec=5\nTimeoutSec=\nVerify=\n"
    device = read(LEAST + lines)
    assert (device.nodes, dict(device.ports), device.timeout_usec) == ((), {"node3": "3"}, 20_000_000)
    assert device.is_verified


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "rack.fence: [Device] Agent= is missing"),
        ("[Device]\nAgent=fence_apc\n", "rack.fence: [Device] names no node"),
        ("[Device]\nAgent=poweroff\n", ":2: [Device] Agent=: 'poweroff' is neither the name of a"),
        ("[Device]\nAgent=fence_apc; reboot\n", ":2: [Device] Agent=: 'fence_apc; reboot' is neither"),
        (LEAST + "Nodes=no/de\n", ":4: [Device] Nodes=: 'no/de' is neither a node's name nor a pattern"),
        (LEAST + "PortMap=node1\n", ":4: [Device] PortMap=: 'node1' is not NODE:PORT"),
        (LEAST + "PortMap=node1:\n", ":4: [Device] PortMap=: 'node1:' is not NODE:PORT"),
        (LEAST + "PortMap=a_b:1\n", ":4: [Device] PortMap=: 'a_b:1' is not NODE:PORT"),
        (LEAST + "PortMap=a:1 b:1\n", ":4: [Device] PortMap=: port '1' is given to both 'a' and 'b'"),
        (LEAST + "TimeoutSec=soon\n", ":4: [Device] TimeoutSec=: 'soon' is not a time span"),
        (LEAST + "TimeoutSec=0\n", ":4: [Device] TimeoutSec=: a time span above 0"),
        (LEAST + "Action=kill\n", ":4: [Device] Action=: 'kill' is not one of off, reboot"),
        (LEAST + "Verify=maybe\n", ":4: [Device] Verify=: 'maybe' is neither yes nor no"),
        (LEAST + "[Options]\naction=on\n", ":5: [Options] action=: is set for each request"),
        (LEAST + "[Options]\nPort=3\n", ":5: [Options] Port=: is set for each request"),
        (LEAST + "[Options]\na b=3\n", ":5: [Options] a b=: an option's name has"),
        (LEAST + "[Options]\na=\x07\n", ":5: [Options] a=: an option's value is one line of printable"),
        (LEAST + "[Options]\nthe-secret\n", ":5: this is no OPTION=VALUE"),
        (LEAST + "[Dev\n", ":4: '[Dev' is not a section header"),
        ("Agent=fence_apc\n" + LEAST, ":1: 'Agent=' stands outside of any section"),
        (LEAST + "[Options]\na=" + "x" * OPTIONS_BYTES_MAX, "[Options] are longer than 16384 bytes"),
    ],
)
def test_mistakes_are_named(text, reason):
    with pytest.raises(ConfigError) as caught:
        read(text)
    assert str(caught.value).startswith(str(PATH))
    assert reason in str(caught.value)
    assert "\n" not in str(caught.value)
    assert "the-secret" not in str(caught.value)


@given(st.binary(max_size=300))
def test_any_bytes_give_a_device_or_one_line(data):
    for tail in (data, b"[Device]\n" + data, LEAST.encode() + b"[Options]\n" + data):
        try:
            shown = parse_device(PATH, tail)[0].name
        except ConfigError as error:
            shown = str(error)
        assert shown.isprintable() or "\n" not in shown


def test_unknown_settings_are_passed_over_with_a_word():
    device, warnings = parse_device(PATH, (LEAST + "Levels=2\n[Other]\nx=y\n").encode())
    assert device.agent == "fence_apc"
    assert warnings == (
        f"{PATH}:4: unknown setting [Device] Levels=, ignoring",
        f"{PATH}:6: unknown setting [Other] x=, ignoring",
    )


def test_no_directory_is_no_device(tmp_path):
    assert load_fence(tmp_path) == FenceConfig()
    assert load_fence(tmp_path).device_of(NODE1) is None


def test_files_are_read_by_name_and_others_left_alone(tmp_path):
    write(tmp_path, "b.fence", LEAST.replace("node1", "node2"))
    write(tmp_path, "a.fence")
    write(tmp_path, "c.fence.bak", "nonsense")
    write(tmp_path, ".d.fence", "nonsense")
    config = load_fence(tmp_path)
    assert [device.name for device in config.devices] == ["a", "b"]
    assert (config.problems, config.warnings) == ((), ())
    found = [config.device_of(node) for node in (NODE1, NODE2, NODE3)]
    assert [device and device.name for device in found] == ["a", "b", None]


def test_a_broken_file_does_not_take_the_others_along(tmp_path):
    write(tmp_path, "a.fence")
    path = write(tmp_path, "b.fence", "[Device]\nAgent=?\n")
    config = load_fence(tmp_path)
    assert [device.name for device in config.devices] == ["a"]
    assert [problem.partition(" ")[0] for problem in config.problems] == [f"{path}:2:"]


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o620, 0o666])
def test_what_others_can_read_or_write_is_refused(tmp_path, mode):
    path = write(tmp_path, "a.fence", mode=mode)
    config = load_fence(tmp_path)
    assert config.devices == ()
    cure = f"try: chown root {path}; chmod 600 {path}"
    assert config.problems == (f"{path}: passwords in it are not safe from others; {cure}",)


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root")
def test_what_belongs_to_someone_else_is_refused(tmp_path):
    os.chown(write(tmp_path, "a.fence"), 65534, 0)
    assert "are not safe from others" in load_fence(tmp_path).problems[0]


def test_what_is_no_file_is_refused(tmp_path):
    os.mkfifo(write(tmp_path, "x").with_name("a.fence"))
    (tmp_path / "etc/synod/fence.d/b.fence").mkdir()
    (tmp_path / "etc/synod/fence.d/c.fence").symlink_to("nowhere")
    reasons = [problem.partition(": ")[2] for problem in load_fence(tmp_path).problems]
    assert reasons == ["is not a regular file", *reasons[1:2], "cannot be read: No such file or directory"]


def test_two_devices_for_one_node_are_refused_when_it_comes_to_that(tmp_path):
    write(tmp_path, "a.fence", LEAST.replace("node1", "node*"))
    write(tmp_path, "b.fence")
    config = load_fence(tmp_path)
    with pytest.raises(ConfigError, match=r"a\.fence and .*b\.fence both name 'node1'; a node has one"):
        config.device_of(NODE1)
    device = config.device_of(NODE2)
    assert device is not None
    assert device.name == "a"
