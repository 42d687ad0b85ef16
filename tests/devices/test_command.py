# SPDX-License-Identifier: LGPL-2.1-or-later
import asyncio
import time

import pytest

from synod.base.ids import NodeName
from synod.devices.command import REASON_LENGTH_MAX, Confirmed, Failed, FenceCommand, Unknown

NODE1, NODE2 = NodeName("node1"), NodeName("node2")
HONEST = """[ $action = off ] && touch $0.off
[ $action = on ] && rm -f $0.off
[ $action = status ] || exit 0
[ -e $0.off ] && exit 2
exit 0"""
FAILING = (
    "echo some talk; echo more >&2; echo 'Unable to connect/login to fencing device' >&2; echo >&2; exit 1"
)
WHO = "fence device 'rack' (fence_test)"


def command(agents, device, *arguments, **keywords) -> FenceCommand:
    return FenceCommand(device(*arguments, **keywords), path=f"{agents.directory}:/usr/bin:/bin")


async def test_an_honest_agent_is_a_proof(agents, device):
    agents.make(HONEST)
    result = await command(agents, device).fence(NODE1)
    assert result == Confirmed(node=NODE1, reason=f"{WHO} reports 'node1' as off")
    assert agents.asked() == ["off node1", "status node1"]


async def test_what_an_agent_is_told(agents, device):
    agents.make(HONEST)
    await command(agents, device, "PortMap=node1:rack/7", "ip=192.0.2.7\npasswd=a b=c").fence(NODE1)
    assert agents.told()[:5] == [
        "action=off",
        "port=rack/7",
        "nodename=node1",
        "ip=192.0.2.7",
        "passwd=a b=c",
    ]


async def test_a_failure_is_no_proof_and_says_why(agents, device):
    agents.make(FAILING)
    result = await command(agents, device).fence(NODE1)
    assert result == Failed(
        node=NODE1,
        reason=f"{WHO}: 'off' of 'node1' exited with 1: Unable to connect/login to fencing device",
    )
    assert agents.asked() == ["off node1"]


@pytest.mark.parametrize("status", [2, 3, 126, 255])
async def test_no_other_status_is_a_success(agents, device, status):
    agents.make(f"exit {status}")
    result = await command(agents, device).fence(NODE1)
    assert result == Failed(node=NODE1, reason=f"{WHO}: 'off' of 'node1' exited with {status}")


async def test_an_agent_that_dies_is_no_proof(agents, device):
    agents.make("kill -SEGV $$")
    result = await command(agents, device).fence(NODE1)
    assert result == Failed(node=NODE1, reason=f"{WHO}: 'off' of 'node1' died of signal 11")


async def test_a_lie_is_found_out(agents, device):
    agents.make("exit 0")
    result = await command(agents, device).fence(NODE1)
    assert isinstance(result, Failed)
    assert result.reason.startswith(f"{WHO} claims to have switched 'node1' off but reports it as on;")


async def test_a_device_that_cannot_tell_is_no_proof(agents, device):
    agents.make("[ $action = off ] || { echo 'status: no such action' >&2; exit 1; }")
    result = await command(agents, device).fence(NODE1)
    reason = f"{WHO}: 'status' of 'node1' exited with 1: status: no such action"
    assert result == Failed(node=NODE1, reason=reason)


async def test_without_verification_the_word_of_the_agent_counts(agents, device):
    agents.make("[ $action = off ]")
    result = await command(agents, device, "Verify=no").fence(NODE1)
    assert result == Confirmed(node=NODE1, reason=f"{WHO} says that 'node1' is off (Verify=no)")


@pytest.mark.parametrize("action", ["off", "status"])
async def test_what_hangs_is_unknown_and_never_a_proof(agents, device, action):
    agents.make(f"[ $action = {action} ] && {{ trap '' TERM; sleep 987; }}; exit 0")
    start = time.monotonic()
    result = await command(agents, device, "TimeoutSec=500ms").fence(NODE1)
    how = "did not end within 500ms and was killed; see whether the device answers"
    assert result == Unknown(node=NODE1, reason=f"{WHO}: '{action}' of 'node1' {how}")
    assert time.monotonic() - start < 5


async def test_one_time_is_for_all_of_it(agents, device):
    agents.make("[ $action = off ] && sleep 0.4 && exit 0; sleep 987")
    start = time.monotonic()
    assert isinstance(await command(agents, device, "TimeoutSec=600ms").fence(NODE1), Unknown)
    assert time.monotonic() - start < 5


async def test_endless_talk_is_no_proof(agents, device):
    agents.make("exec yes talk >&2")
    assert isinstance(await command(agents, device, "TimeoutSec=300ms").fence(NODE1), Unknown)


async def test_reasons_are_short_and_printable(agents, device):
    agents.make("printf 'bad\\007%01000d' 7 >&2; exit 1")
    result = await command(agents, device).fence(NODE1)
    assert result.reason.isprintable()
    assert len(result.reason) < REASON_LENGTH_MAX + 100
    assert ": bad?000" in result.reason


async def test_a_missing_agent_is_named(agents, device):
    result = await command(agents, device).fence(NODE1)
    reason = f"{WHO}: there is no program 'fence_test'; try: apt install fence-agents"
    assert result == Failed(node=NODE1, reason=reason)
    result = await command(agents, device, agent="/nowhere/fence").fence(NODE1)
    assert result.reason.endswith("there is no program '/nowhere/fence'; is it executable?")


async def test_a_script_without_interpreter_is_named(agents, device):
    agents.make(HONEST)
    path = agents.directory / "fence_test"
    path.write_text("#!/nowhere/interpreter\n")
    result = await command(agents, device).fence(NODE1)
    assert result.reason.endswith(f"'{path}' cannot be started: No such file or directory")


async def test_reboot_is_off_with_a_proof_and_then_on(agents, device):
    agents.make(HONEST)
    rack = command(agents, device, "Action=reboot")
    assert isinstance(await rack.fence(NODE1), Confirmed)
    assert agents.asked() == ["off node1", "status node1"]
    assert await rack.restore(NODE1) == ""
    assert agents.asked()[2:] == ["on node1"]


async def test_a_node_that_cannot_be_switched_on_again_was_off_all_the_same(agents, device):
    agents.make(HONEST.replace("[ $action = on ]", "[ $action = on ] && echo broken >&2 && exit 1"))
    rack = command(agents, device, "Action=reboot")
    assert isinstance(await rack.fence(NODE1), Confirmed)
    assert await rack.restore(NODE1) == f"{WHO}: 'on' of 'node1' exited with 1: broken"


async def test_off_stays_off(agents, device):
    agents.make(HONEST)
    assert await command(agents, device).restore(NODE1) == ""
    assert agents.asked() == []


async def test_an_agents_own_reboot_counts_without_verification(agents, device):
    agents.make("[ $action = reboot ]")
    rack = command(agents, device, "Action=reboot\nVerify=no")
    assert isinstance(await rack.fence(NODE1), Confirmed)
    assert await rack.restore(NODE1) == ""
    assert agents.asked() == ["reboot node1"]


async def test_a_device_is_asked_for_one_node_after_the_other(agents, device):
    agents.make("mkdir $0.busy || exit 9; sleep 0.1; rmdir $0.busy; [ $action = off ] || exit 2")
    rack = command(agents, device)
    results = await asyncio.gather(rack.fence(NODE1), rack.fence(NODE2))
    assert [type(result) for result in results] == [Confirmed, Confirmed]


async def test_a_cancelled_request_leaves_the_device_free(agents, device):
    agents.make("[ $port = node1 ] && sleep 987; [ $action = off ] || exit 2")
    rack = command(agents, device)
    first = asyncio.create_task(rack.fence(NODE1))
    second = asyncio.create_task(rack.fence(NODE2))
    while not agents.asked():
        await asyncio.wait([first], timeout=0.01)
    first.cancel()
    assert isinstance(await asyncio.wait_for(second, 10), Confirmed)


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        ("exit 0", ""),
        ("exit 2", "reports 'node1' as off although it runs; set PortMap= in /etc/synod/fence.d/rack.fence"),
        ("echo wrong password >&2; exit 1", "'status' of 'node1' exited with 1: wrong password"),
    ],
)
async def test_a_device_can_be_tried_without_harm(agents, device, body, reason):
    agents.make(body)
    found = await command(agents, device).problem(NODE1)
    assert bool(found) is bool(reason)
    assert reason in found
    assert agents.asked() == ["status node1"]
