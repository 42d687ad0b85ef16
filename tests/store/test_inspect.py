# SPDX-License-Identifier: LGPL-2.1-or-later
from pathlib import Path

import pytest
from store_samples import MINE, NAMES, write

from synod.base.errors import StorageError
from synod.base.ids import Index, Term
from synod.ledger.effects import Persist
from synod.ledger.entries import Entry, HardState
from synod.ledger.membership import Configuration
from synod.store.inspect import check, dump
from synod.store.wal import Wal, create


@pytest.fixture
def log(tmp_path: Path) -> Path:
    path = tmp_path / "log"
    create(path, MINE)
    wal, _ = Wal.open(path, MINE)
    founded = Configuration.of(voters=NAMES[:1], learners=NAMES[1:2])
    members = Entry(index=Index(1), term=Term(1), configuration=founded)
    wal.append([Persist(seq=1, hard_state=HardState(term=Term(1)), truncate_from=None, entries=(members,))])
    wal.append([write(2), write(2, term=2, cut=2)])
    wal.close()
    return path


def test_check_sums_up(log: Path) -> None:
    summary = check(log)
    assert (summary.identity, summary.frames, summary.entries) == (MINE, 2, 2)
    assert summary.hard_state.term == 2
    assert summary.last is not None
    assert summary.last.term == 2
    assert summary.bytes == log.stat().st_size
    assert summary.torn_bytes == 0


def test_dump_tells_all(log: Path) -> None:
    log.write_bytes(log.read_bytes() + b"torn")
    lines = list(dump(log))
    assert lines == [
        "log of node 'n1' of cluster 'testbed'",
        lines[1],
        "  term 1, vote -, committed 0, committed elsewhere 0",
        "  entry 1 of term 1: voters n1, learners n2",
        lines[4],
        "  term 1, vote n2, committed 0, committed elsewhere 0",
        "  entry 2 of term 1: 7 bytes from n1 (boot, 2)",
        "  term 2, vote n2, committed 0, committed elsewhere 0",
        "  cut from 2",
        "  entry 2 of term 2: 7 bytes from n1 (boot, 2)",
        f"4 bytes of an incomplete write at {log.stat().st_size - 4}",
    ]
    assert lines[1].startswith("frame 1 at ")
    assert lines[4].startswith("frame 2 at ")


def test_looking_changes_nothing_and_needs_no_lock(log: Path) -> None:
    wal, _ = Wal.open(log, MINE)
    with log.open("ab") as stream:
        stream.write(b"torn")
    before = log.read_bytes()
    assert check(log).torn_bytes == 4
    list(dump(log))
    wal.close()
    assert log.read_bytes() == before


def test_dump_shows_what_is_whole_and_then_where_the_damage_is(log: Path) -> None:
    data = bytearray(log.read_bytes())
    data[-20] ^= 1
    log.write_bytes(data)
    lines = dump(log)
    assert next(lines).startswith("log of")
    assert next(lines).startswith("frame 1")
    with pytest.raises(StorageError, match="is damaged at offset"):
        list(lines)
    with pytest.raises(StorageError, match="is damaged at offset"):
        check(log)


def test_an_absent_log_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(StorageError, match="No such file"):
        check(tmp_path / "log")
