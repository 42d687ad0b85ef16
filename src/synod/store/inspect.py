# SPDX-License-Identifier: LGPL-2.1-or-later
"""Look at a log without touching it: for synodctl and for people who have to understand a failure.

Reads without the lock, so it works beside a running agent; then the last write may look torn, being under
way.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from synod.base.errors import StorageError
from synod.ledger.effects import Persist
from synod.ledger.entries import Entry, HardState
from synod.store.frames import Identity
from synod.store.replay import begin, read_log


@dataclass(frozen=True, slots=True, kw_only=True)
class Summary:
    """A log at a glance."""

    identity: Identity
    hard_state: HardState
    frames: int
    entries: int
    last: Entry | None
    bytes: int
    """Length of everything that is whole."""

    torn_bytes: int


def check(path: Path) -> Summary:
    """Read a log to its end; raise StorageError, which names the offset, if it is damaged."""
    with _opened(path) as stream:
        replay = read_log(path, stream)
    return Summary(identity=replay.identity, hard_state=replay.hard_state, frames=replay.frames,
                   entries=len(replay.entries), last=replay.entries[-1] if replay.entries else None,
                   bytes=replay.end, torn_bytes=replay.torn_bytes)


def dump(path: Path) -> Iterator[str]:
    """Yield a log in words, a line per fact; raise StorageError where it is damaged."""
    with _opened(path) as stream:
        replay, frames = begin(path, stream)
        yield f"log of node '{replay.identity.node}' of cluster '{replay.identity.cluster}'"
        offset = replay.end
        for frame in frames:
            yield f"frame {frame.number} at {offset}"
            for write in frame.writes:
                yield from _describe(write)
            offset = replay.end
        if replay.torn_bytes:
            yield f"{replay.torn_bytes} bytes of an incomplete write at {replay.end}"


def _describe(write: Persist) -> Iterator[str]:
    if write.hard_state is not None:
        hard = write.hard_state
        yield (f"  term {hard.term}, vote {hard.vote or '-'}, committed {hard.commit}, "
               f"committed elsewhere {hard.horizon}")
    if write.truncate_from is not None:
        yield f"  cut from {write.truncate_from}"
    for entry in write.entries:
        if entry.configuration is not None:
            what = (f"voters {' '.join(entry.configuration.voters) or '-'}, "
                    f"learners {' '.join(entry.configuration.learners) or '-'}")
        elif entry.req is not None:
            what = f"{len(entry.payload)} bytes from {entry.req.client} ({entry.req.boot}, {entry.req.seq})"
        else:
            what = f"{len(entry.payload)} bytes"
        yield f"  entry {entry.index} of term {entry.term}: {what}"


def _opened(path: Path) -> BinaryIO:
    try:
        return path.open("rb")
    except OSError as error:
        raise StorageError(f"opening '{path}' failed: {error.strerror}") from error
