# SPDX-License-Identifier: LGPL-2.1-or-later
"""One run of a program that may hang, lie in wait, or talk without end.

Decides that it ends: after a time it is killed with all of its process group. Its output is read for as
long as it talks, so that it cannot block, and only the last of it is kept. The exit is waited for by
pidfd_open(2) and not by the end of the output, which a child that was left behind may hold open. Knows
nothing of fencing.
"""

import asyncio
import contextlib
import os
import signal
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

OUTPUT_BYTES_MAX: Final = 4096
"""Of each stream, the last ones: the reason of a failure stands at the end."""

_READ_BYTES: Final = 65536
_DRAIN_READS_MAX: Final = 32
_REAP_SEC: Final = 1.0
"""A process in the kernel's uninterruptible sleep outlives SIGKILL; nothing else takes this long."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Ended:
    """The program has ended by itself; a negative status is the signal that killed it."""

    status: int
    stdout: str
    stderr: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Killed:
    """It has not ended in time and was killed; ``is_gone`` is false when even that did not end it."""

    is_gone: bool


async def run(argv: Sequence[str], *, stdin: str, environment: Mapping[str, str],
              seconds: float) -> Ended | Killed:
    """Run a program for at most so many seconds.

    Cancelling kills the program. Raises OSError when it cannot be started.
    """
    process = _start(argv, stdin, environment)
    assert process.stdout is not None
    assert process.stderr is not None
    outputs = (_Tail(process.stdout.fileno()), _Tail(process.stderr.fileno()))
    watch = os.pidfd_open(process.pid)
    try:
        for output in outputs:
            output.follow()
        if not await _readable(watch, seconds):
            os.killpg(process.pid, signal.SIGKILL)
            return Killed(is_gone=await _readable(watch, _REAP_SEC))
        # It is a zombie still, so its group cannot be anyone else's.
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        status = process.wait()
        return Ended(status=status, stdout=outputs[0].drain(), stderr=outputs[1].drain())
    finally:
        if process.returncode is None:
            os.killpg(process.pid, signal.SIGKILL)
            process.poll()
        for output in outputs:
            output.close()
        process.stdout.close()
        process.stderr.close()
        os.close(watch)


class _Tail:
    """The last bytes of a stream."""

    def __init__(self, descriptor: int) -> None:
        os.set_blocking(descriptor, False)
        self._descriptor = descriptor
        self._bytes = b""

    def follow(self) -> None:
        asyncio.get_running_loop().add_reader(self._descriptor, self._read)

    def drain(self) -> str:
        """Return what is there, also of a child that still talks."""
        for _ in range(_DRAIN_READS_MAX):
            if not self._read():
                break
        return self._bytes.decode("utf-8", "replace")

    def close(self) -> None:
        asyncio.get_running_loop().remove_reader(self._descriptor)

    def _read(self) -> bool:
        try:
            data = os.read(self._descriptor, _READ_BYTES)
        except BlockingIOError:
            return False
        self._bytes = (self._bytes + data)[-OUTPUT_BYTES_MAX:]
        if not data:
            self.close()
        return bool(data)


def _start(argv: Sequence[str], stdin: str, environment: Mapping[str, str]) -> subprocess.Popen[bytes]:
    """Start a program in a session of its own; blocks for the instant of a fork and an exec."""
    with _file_of(stdin) as source:
        return subprocess.Popen(argv, stdin=source, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                                cwd="/", env=dict(environment), start_new_session=True)


async def _readable(descriptor: int, seconds: float) -> bool:
    """Return whether a descriptor became readable within so many seconds."""
    loop = asyncio.get_running_loop()
    ready = asyncio.Event()
    loop.add_reader(descriptor, ready.set)
    try:
        await asyncio.wait_for(ready.wait(), seconds)
    except TimeoutError:
        return False
    finally:
        loop.remove_reader(descriptor)
    return True


@contextlib.contextmanager
def _file_of(text: str) -> Iterator[int]:
    """Yield a descriptor to read a text from; in memory, since there may be passwords in it."""
    descriptor = os.memfd_create("options", os.MFD_CLOEXEC)
    try:
        with open(descriptor, "wb", closefd=False) as file:
            file.write(text.encode())
        os.lseek(descriptor, 0, os.SEEK_SET)
        yield descriptor
    finally:
        os.close(descriptor)
