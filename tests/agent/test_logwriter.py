# SPDX-License-Identifier: LGPL-2.1-or-later
"""The log behind its thread: order, group commit, one failure for good."""

import asyncio
import resource
from pathlib import Path

import pytest

from synod.agent.logwriter import LogWriter, create_log
from synod.base.errors import StorageError
from synod.base.ids import Index, NodeName, Term
from synod.engine.events import Event, Persisted, PersistFailed
from synod.ledger.effects import Persist
from synod.ledger.entries import Entry, HardState

from .test_membership import MEMBERSHIP


def write(seq: int, size: int = 10) -> Persist:
    return Persist(
        seq=seq,
        hard_state=HardState(term=Term(1), vote=NodeName("node1")),
        truncate_from=None,
        entries=(Entry(index=Index(seq), term=Term(1), payload=b"x" * size),),
    )


async def test_what_is_written_is_read_by_the_next(tmp_path: Path) -> None:
    create_log(tmp_path, MEMBERSHIP)
    events: list[Event] = []
    writer = LogWriter(tmp_path, MEMBERSHIP, events.append)
    for seq in range(1, 6):
        writer.put(write(seq))
    await writer.close()
    assert events[-1] == Persisted(seq=5)
    assert len(events) < 5, "writes that wait are made durable together"
    again = LogWriter(tmp_path, MEMBERSHIP, events.append)
    assert [entry.index for entry in again.entries] == [1, 2, 3, 4, 5]
    assert again.hard_state == HardState(term=Term(1), vote=NodeName("node1"))
    await again.close()


async def test_a_failed_write_is_told_once_and_is_the_last(tmp_path: Path) -> None:
    create_log(tmp_path, MEMBERSHIP)
    events: list[Event] = []
    has_ended = asyncio.Event()
    writer = LogWriter(tmp_path, MEMBERSHIP, lambda event: (events.append(event), has_ended.set())[0])
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (4096, before[1]))
    try:
        writer.put(write(1, size=100_000))
        async with asyncio.timeout(10):
            await has_ended.wait()
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    writer.put(write(2))
    await writer.close()
    assert [type(event) for event in events] == [PersistFailed]


def test_an_absent_log_is_refused(tmp_path: Path) -> None:
    with pytest.raises(StorageError):
        LogWriter(tmp_path, MEMBERSHIP, print)
