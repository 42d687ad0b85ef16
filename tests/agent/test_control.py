# SPDX-License-Identifier: LGPL-2.1-or-later
"""The agent's socket: both dialects, answers, and clients that misbehave."""

import asyncio
import json
import stat
from collections.abc import AsyncIterator, Mapping
from pathlib import Path

import pytest

from synod.agent.control import LINE_BYTES_MAX, Client, ControlServer, Json
from synod.base.usec import Usec


class Desk:
    """Answers every question by what it says."""

    def __init__(self, path: Path) -> None:
        self.gone: list[int] = []
        self.asked: list[str] = []
        self.has_asked = asyncio.Event()
        self.server = ControlServer(path, self.waiter, self.method, self.gone.append)

    async def waiter(self, client: Client, verb: str, unit: str) -> None:
        self.asked.append(f"{verb} {unit}")
        self.has_asked.set()
        if verb == "place":
            client.status("waiting\nfor db.service")
            client.extend(Usec(5_000_000))
            client.answer(1, "no node may run it")
            client.answer(0, "said too late")

    async def method(self, client: Client, method: str, params: Mapping[str, Json]) -> None:
        client.status("one moment")
        client.answer(8, "not quorate", {"method": method, "params": params})


@pytest.fixture
async def desk(tmp_path: Path) -> AsyncIterator[Desk]:
    desk = Desk(tmp_path / "agent.sock")
    await desk.server.start()
    yield desk
    await desk.server.stop()


async def talk(path: Path, line: bytes) -> str:
    reader, writer = await asyncio.open_unix_connection(path)
    writer.write(line)
    async with asyncio.timeout(5):
        answer = await reader.read()
    writer.close()
    return answer.decode()


async def test_a_waiter_is_told_and_answered(desk: Desk, tmp_path: Path) -> None:
    answer = await talk(tmp_path / "agent.sock", b"place web.service\n")
    assert answer == "status waiting for db.service\nextend 5000000\nexit 1 no node may run it\n"
    assert desk.asked == ["place web.service"]
    assert desk.gone == []


async def test_synodctl_is_told_and_answered(desk: Desk, tmp_path: Path) -> None:
    answer = await talk(tmp_path / "agent.sock", b'{"method": "status", "params": {"a": 1}}\n')
    lines = [json.loads(line) for line in answer.splitlines()]
    assert lines == [
        {"status": "one moment"},
        {"exit": 8, "text": "not quorate", "data": {"method": "status", "params": {"a": 1}}},
    ]


@pytest.mark.parametrize(
    "line", [b"{not json\n", b"\xff\xfe\n", b"x" * (LINE_BYTES_MAX + 2) + b"\n", b"", b"[1]\n{\n"]
)
async def test_nonsense_ends_the_conversation_and_nothing_else(
    desk: Desk, tmp_path: Path, line: bytes
) -> None:
    reader, writer = await asyncio.open_unix_connection(tmp_path / "agent.sock")
    writer.write(line)
    writer.write_eof()
    async with asyncio.timeout(5):
        await reader.read()
    writer.close()
    assert "exit 1" in await talk(tmp_path / "agent.sock", b"place web.service\n")


async def test_malformed_requests_are_usage_errors(desk: Desk, tmp_path: Path) -> None:
    answer = await talk(tmp_path / "agent.sock", b'{"method": 1}\n')
    assert json.loads(answer)["exit"] == 2


async def test_a_client_that_hangs_up_is_noticed(desk: Desk, tmp_path: Path) -> None:
    _, writer = await asyncio.open_unix_connection(tmp_path / "agent.sock")
    writer.write(b"want db.service\n")
    async with asyncio.timeout(5):
        await desk.has_asked.wait()
        assert desk.gone == []
        writer.close()
        while not desk.gone:
            await asyncio.wait([asyncio.ensure_future(writer.wait_closed())], timeout=0.01)
    assert len(desk.gone) == 1
    assert desk.server.clients == {}


async def test_the_socket_is_roots_alone_and_replaces_an_old_one(desk: Desk, tmp_path: Path) -> None:
    path = tmp_path / "agent.sock"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    again = Desk(path)
    await again.server.start()
    assert "exit 1" in await talk(path, b"place web.service\n")
    assert again.asked
    assert not desk.asked
    await again.server.stop()
