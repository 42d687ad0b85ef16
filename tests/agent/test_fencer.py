# SPDX-License-Identifier: LGPL-2.1-or-later
"""Which nodes an agent says that it could fence: those whose device has told their state."""

import asyncio
from pathlib import Path

from synod.agent.fencer import Fencer
from synod.base.ids import NodeName
from synod.engine.events import DevicesLoaded, Event
from synod.systemd.journal import Journal

A, B = NodeName("a"), NodeName("b")
DEVICE = "[Device]\nAgent={}\nNodes=a b\nTimeoutSec=5s\n[Options]\n"
AGENT = "#!/bin/sh\ncat >/dev/null\nexit {}\n"
ON, OFF = 0, 2


class Bench:
    """An agent's devices, and what it was told of them."""

    def __init__(self, root: Path, status: int | None) -> None:
        self.told: list[Event] = []
        self.program = root / "fence_bench"
        if status is not None:
            self.answer(status)
        directory = root / "etc/synod/fence.d"
        directory.mkdir(parents=True)
        (directory / "x.fence").write_text(DEVICE.format(self.program))
        (directory / "x.fence").chmod(0o600)
        self.fencer = Fencer(self.told.append, Journal(root / "journal"), root)

    def answer(self, status: int) -> None:
        self.program.write_text(AGENT.format(status))
        self.program.chmod(0o755)

    async def look(self, members: dict[NodeName, bool]) -> None:
        self.fencer.members_are(members)
        await asyncio.gather(*self.fencer.questions)
        self.fencer.members_are(members)


async def test_a_device_counts_once_it_has_answered(tmp_path: Path) -> None:
    bench = Bench(tmp_path, ON)
    bench.fencer.members_are({A: True, B: True})
    assert bench.told == []
    await bench.look({A: True, B: True})
    assert bench.told == [DevicesLoaded(targets=(A, B))]


async def test_a_program_that_is_missing_is_no_device(tmp_path: Path) -> None:
    bench = Bench(tmp_path, None)
    await bench.look({A: True, B: True})
    assert bench.told == [DevicesLoaded(targets=())]


async def test_a_device_that_takes_a_node_for_off_that_is_on_does_not_count(tmp_path: Path) -> None:
    bench = Bench(tmp_path, OFF)
    await bench.look({A: True})
    assert bench.told == [DevicesLoaded(targets=())]


async def test_nobody_is_asked_about_a_node_that_is_away(tmp_path: Path) -> None:
    bench = Bench(tmp_path, OFF)
    await bench.look({A: False})
    assert bench.told == [DevicesLoaded(targets=(A,))]
