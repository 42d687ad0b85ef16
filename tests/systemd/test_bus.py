# SPDX-License-Identifier: LGPL-2.1-or-later
import asyncio
from pathlib import Path
from typing import Any

import pytest

from synod.base.errors import IndefiniteError, NoSuchObjectError, NotPermittedError, TimedOutError
from synod.base.usec import USEC_PER_MSEC, Usec
from synod.systemd.bus import (
    CALLS_IN_FLIGHT_MAX,
    Bus,
    CallError,
    NoSuchUnitError,
    NotConnectedError,
    OverloadedError,
    Signal,
)
from synod.systemd.manager import MANAGER, NAME, PATH


class Counter:
    """A listener that counts."""

    def __init__(self) -> None:
        self.resyncs = 0
        self.losses = 0
        self.resynced = asyncio.Event()

    async def resync(self) -> None:
        self.resyncs += 1
        self.resynced.set()

    def lost(self) -> None:
        self.losses += 1
        self.resynced.clear()

    def received(self, signal: Signal) -> None:
        pass


async def ask(bus: Bus, member: str, *body: Any, timeout_msec: int | None = None) -> str:
    reply = await bus.call(
        destination=NAME, path=PATH, interface=MANAGER, member=member, signature="s" * len(body), body=body,
        timeout_usec=None if timeout_msec is None else Usec(timeout_msec * USEC_PER_MSEC),
    )  # fmt: skip
    return str(reply.body[0])


async def test_a_call_returns_its_reply(bus, systemd):
    assert await ask(bus, "Echo", "hello") == "hello"


async def test_an_error_is_definite_and_keeps_its_name(bus, systemd):
    with pytest.raises(CallError, match="it failed") as caught:
        await ask(bus, "Fail", "org.freedesktop.systemd1.UnitMasked")
    assert caught.value.name == "org.freedesktop.systemd1.UnitMasked"
    assert caught.value.is_definite


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("org.freedesktop.systemd1.NoSuchUnit", NoSuchUnitError),
        ("org.freedesktop.systemd1.NoSuchUnit", NoSuchObjectError),
        ("org.freedesktop.DBus.Error.AccessDenied", NotPermittedError),
        ("org.freedesktop.DBus.Error.NoReply", IndefiniteError),
        ("org.freedesktop.DBus.Error.Disconnected", IndefiniteError),
    ],
)
async def test_error_names_have_types(bus, systemd, name, kind):
    with pytest.raises(kind):
        await ask(bus, "Fail", name)


async def test_a_name_without_owner_is_a_definite_error(bus):
    with pytest.raises(CallError) as caught:
        await ask(bus, "Echo", "x")
    assert caught.value.name == "org.freedesktop.DBus.Error.ServiceUnknown"
    assert await bus.name_owner(NAME) is None


async def test_no_answer_is_unknown(bus, systemd):
    systemd.silent.add("Echo")
    with pytest.raises(TimedOutError) as caught:
        await ask(bus, "Echo", "x", timeout_msec=100)
    assert not caught.value.is_definite
    systemd.silent.clear()
    assert await ask(bus, "Echo", "still usable") == "still usable"


async def test_a_peer_that_leaves_without_an_answer_is_unknown(bus, systemd, eventually):
    systemd.silent.add("Echo")
    call = asyncio.ensure_future(ask(bus, "Echo", "x"))
    await eventually(lambda: systemd.count("Echo") == 1)
    systemd.leave()
    with pytest.raises(IndefiniteError):
        await call
    assert bus.is_connected


async def test_4000_quick_calls_keep_the_connection(bus, systemd):
    answers = await asyncio.gather(*(ask(bus, "Echo", str(number)) for number in range(4000)))
    assert answers == [str(number) for number in range(4000)]
    assert [body[0] for _, body in systemd.calls] == answers  # sent in the order of the calls


async def test_no_more_calls_are_in_flight_than_the_daemon_bears(bus, systemd):
    systemd.silent.add("Echo")
    limits = [1000] * CALLS_IN_FLIGHT_MAX + [300] * 200
    calls = [asyncio.ensure_future(ask(bus, "Echo", "x", timeout_msec=limit)) for limit in limits]
    results = await asyncio.gather(*calls, return_exceptions=True)
    assert systemd.count("Echo") == CALLS_IN_FLIGHT_MAX
    assert [type(result) for result in results[:CALLS_IN_FLIGHT_MAX]] == [
        TimedOutError
    ] * CALLS_IN_FLIGHT_MAX
    # What was never sent is known not to have happened.
    assert {type(result) for result in results[CALLS_IN_FLIGHT_MAX:]} == {OverloadedError}
    assert OverloadedError.is_definite


async def test_a_killed_bus_leaves_sent_calls_unknown_and_queued_ones_undone(
    bus, systemd, daemon, eventually
):
    systemd.silent.add("Echo")
    calls = [asyncio.ensure_future(ask(bus, "Echo", str(number))) for number in range(50)]
    await eventually(lambda: systemd.count("Echo") == CALLS_IN_FLIGHT_MAX)
    daemon.kill()
    async with asyncio.timeout(1):  # at once, not after the calls' own timeout
        results = await asyncio.gather(*calls, return_exceptions=True)
    assert {type(result) for result in results[:CALLS_IN_FLIGHT_MAX]} == {IndefiniteError}
    assert {type(result) for result in results[CALLS_IN_FLIGHT_MAX:]} == {NotConnectedError}
    with pytest.raises(NotConnectedError):
        await ask(bus, "Echo", "after")


async def test_a_lost_bus_is_found_again_and_everyone_resynced(daemon, systemd, eventually):
    bus, listener = Bus(address=daemon.address), Counter()
    bus.add_listener(listener)
    running = asyncio.create_task(bus.run())
    async with asyncio.timeout(10):
        await bus.wait_connected()
        daemon.kill()
        await eventually(lambda: not bus.is_connected)
        systemd.leave()
        daemon.start()
        await systemd.connect()
        await bus.wait_connected()
    assert (listener.resyncs, listener.losses) == (2, 1)
    assert await ask(bus, "Echo", "again") == "again"
    running.cancel()
    await asyncio.wait((running,))


async def test_a_bus_that_does_not_exist_yet_is_waited_for(daemon):
    daemon.kill()
    bus = Bus(address=daemon.address)
    running = asyncio.create_task(bus.run())
    with pytest.raises(NotConnectedError):
        await ask(bus, "Echo", "too early")
    daemon.start()
    async with asyncio.timeout(10):
        await bus.wait_connected()
    running.cancel()
    await asyncio.wait((running,))


async def test_a_bus_that_closes_during_authentication_does_not_stop_the_loop(tmp_path: Path, eventually):
    accepted = 0

    async def close(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal accepted
        accepted += 1
        await reader.read(1)
        writer.close()

    server = await asyncio.start_unix_server(close, tmp_path / "bus")
    bus = Bus(address=f"unix:path={tmp_path}/bus")
    running = asyncio.create_task(bus.run())
    await eventually(lambda: accepted >= 2)
    assert not running.done()
    running.cancel()
    await asyncio.wait((running,))
    server.close()


async def test_cancelling_run_fails_pending_calls(daemon, systemd, eventually):
    bus = Bus(address=daemon.address)
    running = asyncio.create_task(bus.run())
    async with asyncio.timeout(10):
        await bus.wait_connected()
    systemd.silent.add("Echo")
    call = asyncio.ensure_future(ask(bus, "Echo", "x"))
    await eventually(lambda: systemd.count("Echo") == 1)
    running.cancel()
    with pytest.raises(IndefiniteError):
        await call
    assert not bus.is_connected
