# SPDX-License-Identifier: LGPL-2.1-or-later
from pathlib import Path

from synod.base.ids import NodeName
from synod.config.fence import FenceConfig, parse_device
from synod.devices.command import Confirmed, Failed
from synod.devices.register import FenceRegister

NODE1, NODE2, NODE3 = NodeName("node1"), NodeName("node2"), NodeName("node3")


def register(agents, *nodes: str, problems: tuple[str, ...] = ()) -> FenceRegister:
    devices = []
    for number, names in enumerate(nodes):
        text = f"[Device]\nAgent=fence_test\nNodes={names}\nAction=reboot\n"
        devices.append(parse_device(Path(f"/etc/synod/fence.d/d{number}.fence"), text.encode())[0])
    config = FenceConfig(devices=tuple(devices), problems=problems)
    return FenceRegister(config, path=f"{agents.directory}:/usr/bin:/bin")


async def test_each_node_has_its_device(agents):
    agents.make("[ $action = status ] && exit 2; exit 0")
    found = register(agents, "node1", "node2")
    assert [found.covers(node) for node in (NODE1, NODE2, NODE3)] == [True, True, False]
    assert await found.fence(NODE2) == Confirmed(
        node=NODE2, reason="fence device 'd1' (fence_test) reports 'node2' as off"
    )
    assert await found.restore(NODE2) == ""
    assert agents.asked() == ["off node2", "status node2", "on node2"]


async def test_a_node_without_a_device_is_not_fenced(agents):
    found = register(agents, "node1", problems=("/etc/synod/fence.d/x.fence:3: [Device] Nodes=: bad",))
    result = await found.fence(NODE3)
    assert isinstance(result, Failed)
    assert result.reason == (
        "no fence device is configured for 'node3': add a file to /etc/synod/fence.d/, see synod.fence(5);"
        " /etc/synod/fence.d/x.fence:3: [Device] Nodes=: bad"
    )
    assert await found.restore(NODE3) == ""


async def test_a_node_with_two_devices_is_not_fenced(agents):
    agents.make("exit 0")
    found = register(agents, "node*", "node1")
    assert not found.covers(NODE1)
    result = await found.fence(NODE1)
    assert isinstance(result, Failed)
    assert "both name 'node1'" in result.reason
    assert agents.asked() == []


async def test_what_would_go_wrong_is_listed_beforehand(agents):
    agents.make("[ $port = node1 ]")
    found = register(agents, "node1", "node2", problems=("broken",))
    problems = await found.problems((NODE1, NODE2, NODE3))
    assert problems[0] == "broken"
    assert [word in line for word, line in zip(("node2", "node3"), problems[1:], strict=True)] == [
        True,
        True,
    ]
