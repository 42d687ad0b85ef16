# SPDX-License-Identifier: LGPL-2.1-or-later
"""From the bytes of a log to what the node must remember, or the reason why they can not be trusted.

A torn end is what a power cut leaves and costs nothing that was acknowledged. Anything else that does not
add up means that durable bytes were lost; then the node must not vote, for it may have forgotten what it
promised.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO

from synod.base.errors import StorageError
from synod.base.ids import Term
from synod.ledger.effects import Persist
from synod.ledger.entries import Entry, HardState
from synod.store.frames import (
    FRAME_HEADER_BYTES,
    HEADER_BYTES_MAX,
    FormatError,
    Frame,
    Identity,
    body_length,
    damage_in,
    decode_frame,
    decode_header,
)


@dataclass(slots=True, kw_only=True)
class Replay:
    """A log as far as it was read."""

    path: Path
    identity: Identity
    hard_state: HardState = field(default_factory=HardState)
    entries: list[Entry] = field(default_factory=list)
    frames: int = 0
    end: int
    """Offset after the last good frame."""

    torn_bytes: int = 0
    """Bytes after it, left by a write that never completed."""

    def apply(self, frame: Frame) -> None:
        """Add a frame; raise FormatError if it contradicts what came before."""
        if frame.number != self.frames + 1:
            raise FormatError(f"frame {frame.number} follows frame {self.frames}")
        self.frames = frame.number
        for write in frame.writes:
            self._apply_write(write)

    def _apply_write(self, write: Persist) -> None:
        if write.hard_state is not None:
            if write.hard_state.term < self.hard_state.term:
                raise FormatError(f"term {write.hard_state.term} follows term {self.hard_state.term}")
            self.hard_state = write.hard_state
        if write.truncate_from is not None:
            if not 1 <= write.truncate_from <= len(self.entries) + 1:
                raise FormatError(f"{len(self.entries)} entries are cut at {write.truncate_from}")
            del self.entries[write.truncate_from - 1:]
        for entry in write.entries:
            before = self.entries[-1].term if self.entries else Term(0)
            if entry.index != len(self.entries) + 1 or entry.term < before:
                raise FormatError(f"entry {entry.index} of term {entry.term} follows entry "
                                  f"{len(self.entries)} of term {before}")
            self.entries.append(entry)


def read_log(path: Path, stream: BinaryIO) -> Replay:
    """Read a whole log from its beginning; raise StorageError, which names the file and the offset."""
    replay, steps = begin(path, stream)
    for _ in steps:
        pass
    return replay


def begin(path: Path, stream: BinaryIO) -> tuple[Replay, Iterator[Frame]]:
    """Read the header; return what will be filled, frame by frame, while the iterator is followed."""
    try:
        identity, offset = decode_header(stream.read(HEADER_BYTES_MAX))
    except FormatError as error:
        raise StorageError(f"'{path}' can not be used: {error}") from error
    replay = Replay(path=path, identity=identity, end=offset)
    return replay, _follow(replay, stream)


def _follow(replay: Replay, stream: BinaryIO) -> Iterator[Frame]:
    while True:
        stream.seek(replay.end)
        head = stream.read(FRAME_HEADER_BYTES)
        if not head:
            return
        length = body_length(head)
        body = stream.read(length) if length is not None else b""
        try:
            frame = decode_frame(head, body) if length is not None else None
            if frame is None:
                _judge_tail(replay, stream)
                return
            replay.apply(frame)
        except FormatError as error:
            raise StorageError(f"'{replay.path}' is damaged at offset {replay.end}: {error}; restore no "
                               "backup: remove this node from the cluster and join again") from error
        replay.end += FRAME_HEADER_BYTES + len(body)
        yield frame


def _judge_tail(replay: Replay, stream: BinaryIO) -> None:
    """Accept a torn last frame, and nothing else."""
    stream.seek(replay.end)
    rest = stream.read()
    damage = damage_in(rest, replay.end, replay.frames + 1)
    if damage is not None:
        raise FormatError(damage)
    replay.torn_bytes = len(rest)
