# SPDX-License-Identifier: LGPL-2.1-or-later
"""Files are replaced whole, private from the first byte, and errors are one line."""

import os
from pathlib import Path

import pytest

from synod.base.errors import NotConfiguredError, StorageError
from synod.net.files import read_file, remove_file, write_file


def test_a_file_is_written_private_whatever_the_umask(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        write_file(tmp_path / "tls" / "key", b"one")
    finally:
        os.umask(before)
    assert (tmp_path / "tls" / "key").read_bytes() == b"one"
    assert (tmp_path / "tls" / "key").stat().st_mode & 0o777 == 0o600
    assert (tmp_path / "tls").stat().st_mode & 0o777 == 0o700


def test_a_file_is_replaced_and_nothing_else_remains(tmp_path: Path) -> None:
    write_file(tmp_path / "key", b"one")
    write_file(tmp_path / "key", b"two", mode=0o644)
    assert [path.name for path in tmp_path.iterdir()] == ["key"]
    assert (tmp_path / "key").read_bytes() == b"two"
    assert (tmp_path / "key").stat().st_mode & 0o777 == 0o644


def test_the_rest_of_an_interrupted_write_is_in_nobodys_way(tmp_path: Path) -> None:
    (tmp_path / "key.new").write_bytes(b"half")
    write_file(tmp_path / "key", b"whole")
    assert [path.name for path in tmp_path.iterdir()] == ["key"]


def test_a_write_that_fails_leaves_the_old_content(tmp_path: Path) -> None:
    write_file(tmp_path / "key", b"old")
    (tmp_path / "key.new").mkdir()  # cannot be opened for writing, not even by root
    with pytest.raises(StorageError, match="cannot write"):
        write_file(tmp_path / "key", b"new")
    assert (tmp_path / "key").read_bytes() == b"old"


def test_the_content_is_on_the_disk_before_its_name_and_the_name_before_the_return(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    synced: list[tuple[str, list[str]]] = []

    def note(descriptor: int) -> None:
        target = str(Path(f"/proc/self/fd/{descriptor}").readlink())
        synced.append((target, sorted(path.name for path in tmp_path.iterdir())))

    monkeypatch.setattr(os, "fsync", note)
    write_file(tmp_path / "key", b"one")
    assert synced == [(f"{tmp_path}/key.new", ["key.new"]), (f"{tmp_path}", ["key"])]


def test_reading_tells_absent_from_unreadable_from_too_long(tmp_path: Path) -> None:
    with pytest.raises(NotConfiguredError, match="synodctl join"):
        read_file(tmp_path / "absent", 10)
    with pytest.raises(StorageError, match="cannot read"):
        read_file(tmp_path, 10)
    (tmp_path / "long").write_bytes(b"x" * 11)
    with pytest.raises(StorageError, match="longer than 10 bytes"):
        read_file(tmp_path / "long", 10)


def test_removing_is_idempotent(tmp_path: Path) -> None:
    write_file(tmp_path / "key", b"one")
    remove_file(tmp_path / "key")
    remove_file(tmp_path / "key")
    remove_file(tmp_path / "nowhere" / "key")
    assert list(tmp_path.iterdir()) == []
    (tmp_path / "key").mkdir()
    with pytest.raises(StorageError, match="cannot remove"):
        remove_file(tmp_path / "key")
