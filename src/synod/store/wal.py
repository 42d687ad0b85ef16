# SPDX-License-Identifier: LGPL-2.1-or-later
"""The write-ahead log: the one file in which a node keeps its promises.

append() returns only when the writes are on stable storage, and after one failure never writes again: once
fdatasync(2) has reported an error the kernel may have dropped the very pages, and a second call would
succeed without them. The file is created complete and durable under its final name by link(2), so that a log
without a header does not occur. An absent file is an error, never an empty log: a node that lost its log
must not vote.
"""

import errno
import fcntl
import os
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType

from synod.base.errors import StorageError
from synod.ledger.effects import Persist
from synod.ledger.entries import Entry, HardState
from synod.store.frames import BODY_BYTES_MAX, Identity, encode_frame, encode_header, encode_writes
from synod.store.replay import Replay, read_log

_MODE = 0o600  # payloads may name what an outsider should not read


@dataclass(frozen=True, slots=True, kw_only=True)
class Recovered:
    """What the log says that this node promised."""

    hard_state: HardState
    entries: tuple[Entry, ...]
    torn_bytes: int
    """Length of an incomplete last write that was cut off; it had not been acknowledged."""


def create(path: Path, identity: Identity) -> None:
    """Create an empty log; raise StorageError if there is one already or it can not be made durable."""
    temporary = path.with_name(path.name + ".new")
    with _reporting(f"creating '{path}'"):
        temporary.unlink(missing_ok=True)
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, _MODE)
        try:
            os.fchmod(descriptor, _MODE)
            _write_all(descriptor, encode_header(identity))
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
        try:
            path.hardlink_to(temporary)
        finally:
            temporary.unlink()
        _sync_directory(path.parent)


class Wal:
    """An open log, locked against other processes. Not thread-safe: one writer at a time, in any thread."""

    def __init__(self, path: Path, descriptor: int, frames: int) -> None:
        """Take over an open and locked file; use open()."""
        self._path = path
        self._descriptor = descriptor
        self._frames = frames
        self._failure: str | None = None

    @classmethod
    def open(cls, path: Path, identity: Identity) -> tuple["Wal", Recovered]:
        """Lock and read a log; raise StorageError if it is absent, in use, not this node's, or damaged."""
        with _reporting(f"opening '{path}'"):
            descriptor = os.open(path, os.O_RDWR | os.O_APPEND | os.O_CLOEXEC | os.O_NOFOLLOW)
        try:
            with _reporting(f"reading '{path}'"):
                _lock(path, descriptor)
                with open(descriptor, "rb", closefd=False) as stream:
                    replay = read_log(path, stream)
                _require(replay, identity)
                if replay.torn_bytes:
                    os.ftruncate(descriptor, replay.end)
                os.fsync(descriptor)  # what a killed predecessor wrote may not be durable yet
        except StorageError:
            os.close(descriptor)
            raise
        return cls(path, descriptor, replay.frames), Recovered(
            hard_state=replay.hard_state, entries=tuple(replay.entries), torn_bytes=replay.torn_bytes)

    def __enter__(self) -> "Wal":
        return self

    def __exit__(self, kind: type[BaseException] | None, value: BaseException | None,
                 traceback: TracebackType | None) -> None:
        self.close()

    def fileno(self) -> int:
        """Return the descriptor."""
        return self._descriptor

    @property
    def failure(self) -> str | None:
        """Why nothing can be written any more, or None."""
        return self._failure

    def append(self, writes: Iterable[Persist]) -> None:
        """Make writes durable, all of them by one sync as far as they fit into one frame.

        Blocks for as long as the disk takes. Raises StorageError if it is unknown whether they are durable;
        every later call then raises as well.
        """
        for group in _groups([encode_writes(write) for write in writes]):
            if self._failure is not None:
                raise StorageError(self._failure)
            try:
                _write_all(self._descriptor, encode_frame(self._frames + 1, group))
                os.fdatasync(self._descriptor)
            except OSError as error:
                self._failure = f"writing '{self._path}' failed: {error.strerror}; {_advice(error)}"
                raise StorageError(self._failure) from error
            self._frames += 1

    def close(self) -> None:
        """Unlock and close; nothing can be appended any more."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1
        self._failure = self._failure or f"'{self._path}' is closed"


def _groups(parts: Sequence[bytes]) -> Iterator[list[bytes]]:
    """Split encoded writes so that each group fits into one frame."""
    group: list[bytes] = []
    size = 0
    for part in parts:
        if group and size + len(part) > BODY_BYTES_MAX:
            yield group
            group, size = [], 0
        group.append(part)
        size += len(part)
    if group:
        yield group


def _write_all(descriptor: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(descriptor, view):]


def _lock(path: Path, descriptor: int) -> None:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        raise StorageError(f"'{path}' is in use by another process; is an agent running already?") from error


def _require(replay: Replay, identity: Identity) -> None:
    if replay.identity != identity:
        raise StorageError(f"'{replay.path}' belongs to node '{replay.identity.node}' of cluster "
                           f"'{replay.identity.cluster}', not to '{identity.node}' of '{identity.cluster}'")


def _sync_directory(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _advice(error: OSError) -> str:
    if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
        return "free some space, then restart synod.service"
    return "check the disk, then restart synod.service"


@contextmanager
def _reporting(what: str) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise StorageError(f"{what} failed: {error.strerror}") from error
