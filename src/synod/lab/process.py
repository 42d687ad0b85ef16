# SPDX-License-Identifier: LGPL-2.1-or-later
"""Programs that the lab runs on the host, and processes it must recognize again after a crash of its own.

A process is identified by its pid and its start time, field 22 of proc_pid_stat(5): a recycled pid is
someone else. Knows nothing of nodes.
"""

import os
import shutil
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from synod.base.errors import NotConfiguredError, NotPermittedError, SynodError, TimedOutError
from synod.base.exits import ExitStatus

_PACKAGES: Mapping[str, str] = {
    "systemd-nspawn": "systemd-container", "mmdebstrap": "mmdebstrap", "nft": "nftables",
    "nsenter": "util-linux", "unshare": "util-linux", "setsid": "util-linux",
}  # fmt: skip


class LabError(SynodError):
    """A step of the lab failed; the text names the step and the node."""

    exit_status: ClassVar[ExitStatus] = ExitStatus.FAILURE


@dataclass(frozen=True, slots=True, kw_only=True)
class Identity:
    """One process, distinct from any later process with the same pid."""

    pid: int
    started: int
    """Clock ticks between boot and the start of the process."""

    @classmethod
    def of(cls, pid: int) -> "Identity | None":
        """Return the identity of a live process; None when there is none or only its zombie is left."""
        try:
            text = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
        except OSError:
            return None
        state, *rest = text.rpartition(")")[2].split()
        # Field 3 is the state, and field 22 the start time.
        return None if state in "ZX" else cls(pid=pid, started=int(rest[18]))

    def is_alive(self) -> bool:
        """Return whether this very process still runs."""
        return Identity.of(self.pid) == self


def require_root() -> None:
    """Refuse to go on without the privilege that namespaces, mounts and cgroups need."""
    if os.geteuid() != 0:
        raise NotPermittedError("the lab makes namespaces, mounts and cgroups: run it as root")


def require_programs(*names: str) -> None:
    """Refuse to go on when a program is missing; the error names the Debian packages to install."""
    missing = sorted({_PACKAGES[name] for name in names if shutil.which(name) is None})
    if missing:
        raise NotConfiguredError(f"programs are missing here; try: apt install {' '.join(missing)}")


def run(argv: Sequence[str], *, what: str, timeout: float, stdin: str = "") -> str:
    """Run a program to its end and return its standard output.

    ``what`` completes "cannot ..." in the error; ``timeout`` is in seconds. A failure is definite, a
    timeout is not.
    """
    try:
        done = subprocess.run(argv, input=stdin, capture_output=True, text=True, errors="replace",
                              timeout=timeout, check=False)
    except subprocess.TimeoutExpired as error:
        raise TimedOutError(f"cannot {what}: {argv[0]} did not end within {timeout:g} s") from error
    except OSError as error:
        raise LabError(f"cannot {what}: {argv[0]}: {error.strerror}") from error
    if done.returncode != 0:
        reason = _reason(done.stderr) or f"{argv[0]} exited with {done.returncode}"
        raise LabError(f"cannot {what}: {reason}")
    return done.stdout


def wait_until(condition: Callable[[], bool], *, timeout: float, poll: float = 0.02) -> bool:
    """Return whether the condition came true within ``timeout`` seconds, looking every ``poll`` seconds."""
    deadline = time.monotonic() + timeout
    while not condition():
        if time.monotonic() >= deadline:
            return False
        time.sleep(poll)
    return True


def _reason(text: str) -> str:
    """Return the line of a program's complaints that is most likely the cause."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    errors = [line for line in lines if "error" in line.lower() or line.startswith("E:")]
    return next(iter(errors or lines[-1:]), "")
