# SPDX-License-Identifier: LGPL-2.1-or-later
import asyncio
import os

import pytest

from synod.systemd.bus import Bus, CallError
from synod.systemd.logind import MANAGER, NAME, PATH, Inhibitor, Logind
from synod.systemd.shim import Connection, Message, MessageType


class FakeLogind:
    """Hands out one end of a pipe for each lock, as logind does; the other end tells of its release."""

    def __init__(self):
        self.locks = []
        self.ends = []

    async def connect(self, address):
        self.connection = Connection(address, needs_unix_fds=True)
        await self.connection.connect()
        self.connection.add_message_handler(self.handle)
        await self.connection.request_name(NAME)

    def handle(self, message):
        if message.message_type is MessageType.METHOD_CALL and message.member == "Inhibit":
            read_end, write_end = os.pipe2(os.O_NONBLOCK)
            self.locks.append(list(message.body))
            self.ends.append(read_end)
            reply = Message.new_method_return(message, "h", [0], unix_fds=[write_end])
            sent = self.connection.send(reply)
            sent.add_done_callback(lambda _: os.close(write_end))
            return True
        return None

    def is_released(self, number):
        try:
            return os.read(self.ends[number], 1) == b""
        except BlockingIOError:
            return False

    def announce(self, is_active):
        self.connection.send(
            Message(
                message_type=MessageType.SIGNAL, path=PATH, interface=MANAGER, member="PrepareForShutdown",
                signature="b", body=[is_active],
            )
        )  # fmt: skip

    def close(self):
        for end in self.ends:
            os.close(end)
        self.connection.close()


@pytest.fixture
async def announced():
    return asyncio.Queue()


@pytest.fixture
async def logind(daemon, announced):
    bus = Bus(address=daemon.address, needs_unix_fds=True)
    logind = Logind(bus, announced.put_nowait)
    running = asyncio.create_task(bus.run())
    async with asyncio.timeout(10):
        await bus.wait_connected()
    yield logind
    running.cancel()
    await asyncio.wait((running,))


@pytest.fixture
async def fake(daemon):
    fake = FakeLogind()
    await fake.connect(daemon.address)
    yield fake
    fake.close()


async def test_a_shutdown_is_announced_and_called_off(fake, logind, announced):
    assert logind.is_available
    for is_active in (True, False):
        fake.announce(is_active)
        async with asyncio.timeout(5):
            assert await announced.get() is is_active


async def test_a_lock_is_held_until_released(fake, logind, eventually):
    lock = await logind.inhibit("shutdown", "units are being moved", "delay")
    assert fake.locks == [["shutdown", "Synod", "units are being moved", "delay"]]
    await eventually(lambda: len(fake.ends) == 1)
    assert lock.is_held
    assert not fake.is_released(0)
    lock.release()
    lock.release()
    assert not lock.is_held
    await eventually(lambda: fake.is_released(0))


async def test_a_node_without_logind_has_no_locks(logind):
    assert not logind.is_available
    with pytest.raises(CallError) as caught:
        await logind.inhibit("sleep", "units run here", "block")
    assert caught.value.name == "org.freedesktop.DBus.Error.ServiceUnknown"


async def test_logind_may_come_later(logind, daemon, announced, eventually):
    fake = FakeLogind()
    await fake.connect(daemon.address)
    await eventually(lambda: logind.is_available)
    fake.announce(True)
    async with asyncio.timeout(5):
        assert await announced.get() is True
    fake.close()
    await eventually(lambda: not logind.is_available)


async def test_a_forged_announcement_is_ignored(fake, logind, announced, daemon):
    forger = Connection(daemon.address, needs_unix_fds=False)
    await forger.connect()
    for number in range(8):
        await forger.send(
            Message(
                message_type=MessageType.SIGNAL, destination=f":1.{number}", path=PATH, interface=MANAGER,
                member="PrepareForShutdown", signature="b", body=[True],
            )
        )  # fmt: skip
    await logind.inhibit("shutdown", "a round trip", "delay")
    assert announced.empty()
    forger.close()


def test_an_inhibitor_closes_its_descriptor():
    read_end, write_end = os.pipe()
    Inhibitor(write_end).release()
    assert os.read(read_end, 1) == b""
    os.close(read_end)
