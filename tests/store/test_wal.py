# SPDX-License-Identifier: LGPL-2.1-or-later
import os
import stat
import subprocess
import sys
import textwrap
from collections.abc import Sequence
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from store_samples import MINE, meaning, write, writes

from synod.base.errors import StorageError
from synod.base.ids import NodeName
from synod.ledger.effects import Persist
from synod.ledger.entries import HardState
from synod.store.frames import BODY_BYTES_MAX, Identity
from synod.store.wal import Recovered, Wal, create

HERE = str(Path(__file__).parent)
SOURCE = next(entry for entry in sys.path if entry.endswith("src"))

relaxed = settings(max_examples=60, deadline=None,
                   suppress_health_check=[HealthCheck.function_scoped_fixture])


def make(path: Path, *groups: Sequence[Persist]) -> bytes:
    """Write a log, one append per group, and return its bytes."""
    path.unlink(missing_ok=True)
    create(path, MINE)
    wal, _ = Wal.open(path, MINE)
    with wal:
        for group in groups:
            wal.append(group)
    return path.read_bytes()


def recover(path: Path) -> Recovered:
    wal, recovered = Wal.open(path, MINE)
    wal.close()
    return recovered


def test_a_new_log_is_empty_private_and_leaves_nothing_beside_it(tmp_path: Path) -> None:
    path = tmp_path / "log"
    old = os.umask(0)
    try:
        create(path, MINE)
    finally:
        os.umask(old)
    assert recover(path) == Recovered(hard_state=HardState(), entries=(), torn_bytes=0)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert list(tmp_path.iterdir()) == [path]


def test_an_existing_log_is_never_created_again(tmp_path: Path) -> None:
    before = make(tmp_path / "log", [write(1)])
    with pytest.raises(StorageError, match="File exists"):
        create(tmp_path / "log", MINE)
    assert (tmp_path / "log").read_bytes() == before
    assert len(list(tmp_path.iterdir())) == 1


def test_a_creation_that_was_interrupted_is_repeated(tmp_path: Path) -> None:
    (tmp_path / "log.new").write_bytes(b"half a hea")
    create(tmp_path / "log", MINE)
    assert recover(tmp_path / "log").entries == ()


def test_an_absent_log_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(StorageError, match="No such file"):
        Wal.open(tmp_path / "log", MINE)


@relaxed
@given(items=writes(), size=st.integers(1, 4))
def test_what_was_appended_is_recovered(tmp_path: Path, items: list[Persist], size: int) -> None:
    groups = [items[first:first + size] for first in range(0, len(items), size)]
    make(tmp_path / "log", *groups)
    recovered = recover(tmp_path / "log")
    assert (recovered.hard_state, recovered.entries) == meaning(items)
    assert recovered.torn_bytes == 0


def test_appending_goes_on_after_reopening(tmp_path: Path) -> None:
    make(tmp_path / "log", [write(1)])
    wal, _ = Wal.open(tmp_path / "log", MINE)
    wal.append([write(2)])
    wal.append([write(2, term=2, cut=2)])
    wal.close()
    assert [entry.term for entry in recover(tmp_path / "log").entries] == [1, 2]


def test_a_group_too_large_for_one_frame_is_split(tmp_path: Path) -> None:
    half = b"x" * (BODY_BYTES_MAX // 2)
    items = [write(index, payload=half) for index in range(1, 4)]
    make(tmp_path / "log", items)
    assert recover(tmp_path / "log").entries == meaning(items)[1]


# Torn and damaged logs

ITEMS = [write(1), write(2, payload=b"y" * 600), write(3, term=2, cut=3)]


def test_a_log_cut_at_any_byte_of_its_last_write_loses_that_write_only(tmp_path: Path) -> None:
    path = tmp_path / "log"
    kept = len(make(path, *[[item] for item in ITEMS[:2]]))
    whole = make(path, *[[item] for item in ITEMS])
    for length in range(kept, len(whole)):
        path.write_bytes(whole[:length])
        recovered = recover(path)
        assert (recovered.hard_state, recovered.entries) == meaning(ITEMS[:2])
        assert recovered.torn_bytes == length - kept
        assert path.stat().st_size == kept


def test_a_write_after_a_torn_one_takes_its_place(tmp_path: Path) -> None:
    path = tmp_path / "log"
    whole = make(path, *[[item] for item in ITEMS])
    path.write_bytes(whole[:-1])
    wal, _ = Wal.open(path, MINE)
    wal.append([write(3, term=5)])
    wal.close()
    assert [entry.term for entry in recover(path).entries] == [1, 1, 5]


@relaxed
@given(data=st.data())
def test_a_flipped_bit_anywhere_is_refused_with_file_and_offset(tmp_path: Path, data: st.DataObject) -> None:
    path = tmp_path / "log"
    whole = bytearray(make(path, *[[item] for item in ITEMS]))
    bit = data.draw(st.integers(0, len(whole) * 8 - 1))
    whole[bit // 8] ^= 1 << bit % 8
    path.write_bytes(whole)
    with pytest.raises(StorageError, match=r"log' (is damaged at offset \d+|can not be used)"):
        Wal.open(path, MINE)
    assert path.read_bytes() == whole


@relaxed
@given(data=st.data())
def test_missing_bytes_in_the_middle_are_refused(tmp_path: Path, data: st.DataObject) -> None:
    path = tmp_path / "log"
    first = len(make(path))
    whole = make(path, *[[item] for item in ITEMS])
    begin = data.draw(st.integers(first, len(whole) - 200))
    path.write_bytes(whole[:begin] + whole[begin + data.draw(st.integers(1, 100)):])
    with pytest.raises(StorageError, match="is damaged at offset"):
        Wal.open(path, MINE)


@pytest.mark.parametrize(("items", "reason"), [
    ([write(2)], "entry 2 of term 1 follows entry 0"),
    ([write(1, term=2), write(2, term=1)], "term 1 follows term 2"),
    ([write(1), write(2, cut=5)], "1 entries are cut at 5"),
])
def test_writes_that_contradict_are_refused(tmp_path: Path, items: list[Persist], reason: str) -> None:
    make(tmp_path / "log", *[[item] for item in items])
    with pytest.raises(StorageError, match=reason):
        Wal.open(tmp_path / "log", MINE)


def test_a_frame_that_occurs_twice_is_refused(tmp_path: Path) -> None:
    empty = len(make(tmp_path / "log"))
    whole = make(tmp_path / "log", [write(1)])
    (tmp_path / "log").write_bytes(whole + whole[empty:])
    with pytest.raises(StorageError, match="frame 1 follows frame 1"):
        Wal.open(tmp_path / "log", MINE)


@pytest.mark.parametrize("content", [b"", b"SYNOD", b"#!/bin/sh\n" * 100])
def test_another_file_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "log").write_bytes(content)
    with pytest.raises(StorageError, match="not a log of Synod"):
        Wal.open(tmp_path / "log", MINE)


@pytest.mark.parametrize("other", [Identity(cluster="testbed", node=NodeName("n2")),
                                   Identity(cluster="production", node=NodeName("n1"))])
def test_the_log_of_another_node_or_cluster_is_refused(tmp_path: Path, other: Identity) -> None:
    create(tmp_path / "log", MINE)
    with pytest.raises(StorageError, match="belongs to node 'n1' of cluster 'testbed'"):
        Wal.open(tmp_path / "log", other)


def test_a_symlink_is_not_followed(tmp_path: Path) -> None:
    create(tmp_path / "log", MINE)
    (tmp_path / "link").symlink_to("log")
    with pytest.raises(StorageError, match="opening"):
        Wal.open(tmp_path / "link", MINE)


def test_a_second_opener_is_refused_until_the_first_closes(tmp_path: Path) -> None:
    create(tmp_path / "log", MINE)
    wal, _ = Wal.open(tmp_path / "log", MINE)
    with wal, pytest.raises(StorageError, match="in use by another process"):
        Wal.open(tmp_path / "log", MINE)
    recover(tmp_path / "log")


# Disks that fail

def test_a_failed_write_is_the_last(tmp_path: Path) -> None:
    whole = make(tmp_path / "log", [write(1)])
    wal, _ = Wal.open(tmp_path / "log", MINE)
    good = os.dup(wal.fileno())
    full = os.open("/dev/full", os.O_WRONLY)
    os.dup2(full, wal.fileno())
    with pytest.raises(StorageError, match="No space left on device; free some space"):
        wal.append([write(2)])
    os.dup2(good, wal.fileno())
    with pytest.raises(StorageError, match="No space left on device"):
        wal.append([write(2)])
    assert wal.failure is not None
    wal.close()
    os.close(good)
    os.close(full)
    assert (tmp_path / "log").read_bytes() == whole


def test_a_failed_sync_is_the_last(tmp_path: Path) -> None:
    create(tmp_path / "log", MINE)
    wal, _ = Wal.open(tmp_path / "log", MINE)
    good = os.dup(wal.fileno())
    reader, writer = os.pipe()  # takes the bytes, and can not be synced
    os.dup2(writer, wal.fileno())
    with pytest.raises(StorageError, match="check the disk"):
        wal.append([write(1)])
    os.dup2(good, wal.fileno())
    with pytest.raises(StorageError, match="check the disk"):
        wal.append([write(1)])
    wal.close()
    for descriptor in (good, reader, writer):
        os.close(descriptor)


def test_a_closed_log_takes_nothing(tmp_path: Path) -> None:
    create(tmp_path / "log", MINE)
    wal, _ = Wal.open(tmp_path / "log", MINE)
    wal.close()
    with pytest.raises(StorageError, match="is closed"):
        wal.append([write(1)])
    wal.close()


FILL = textwrap.dedent("""
    import sys
    from pathlib import Path
    sys.path[:0] = sys.argv[2:]
    from store_samples import MINE, write
    from synod.base.errors import StorageError
    from synod.store.wal import Wal, create
    path = Path(sys.argv[1], "log")
    create(path, MINE)
    wal, _ = Wal.open(path, MINE)
    count = 0
    try:
        while count < 10_000:
            wal.append([write(count + 1, payload=b"z" * 1000)])
            count += 1
    except StorageError as error:
        message = str(error)
    wal.close()
    wal, recovered = Wal.open(path, MINE)
    print(count, len(recovered.entries), message)
""")


def fill(*command: str) -> tuple[int, int, str]:
    """Fill what there is; return the writes acknowledged, those recovered, and the error."""
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)
    count, recovered, message = done.stdout.split(" ", 2)
    return int(count), int(recovered), message


@pytest.mark.skipif(os.geteuid() != 0, reason="mounting needs root")
def test_a_full_file_system_loses_nothing_that_was_acknowledged(tmp_path: Path) -> None:
    script = 'mount -t tmpfs -o size=64k none "$1" && exec "$2" -c "$3" "$1" "$4" "$5"'
    count, recovered, message = fill("unshare", "--mount", "sh", "-c", script, "sh", str(tmp_path),
                                     sys.executable, FILL, HERE, SOURCE)
    assert 10 < count == recovered
    assert "No space left on device; free some space" in message


def test_a_file_size_limit_loses_nothing_that_was_acknowledged(tmp_path: Path) -> None:
    limit = "import resource\nresource.setrlimit(resource.RLIMIT_FSIZE, (65536, 65536))\n"
    count, recovered, message = fill(sys.executable, "-c", limit + FILL, str(tmp_path), HERE, SOURCE)
    assert 10 < count == recovered
    assert "File too large; free some space" in message


def test_a_killed_writer_loses_nothing_that_was_acknowledged(tmp_path: Path) -> None:
    script = FILL.replace("count += 1", "count += 1; print(count, flush=True)")
    command = [sys.executable, "-c", script, str(tmp_path), HERE, SOURCE]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as writer:
        assert writer.stdout is not None
        acknowledged = [int(writer.stdout.readline()) for _ in range(50)]
        writer.kill()
        acknowledged += [int(line) for line in writer.stdout.read().splitlines() if line.isdigit()]
    assert len(recover(tmp_path / "log").entries) >= acknowledged[-1] >= 50
