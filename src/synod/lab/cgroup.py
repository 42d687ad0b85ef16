# SPDX-License-Identifier: LGPL-2.1-or-later
"""One control group per node, synod-lab/LAB/NODE: by it everything that a node runs is found and killed.

It survives a crash of the lab, and a process cannot leave it unnoticed. ``machine`` below it holds the
node proper, ``runner`` the process that watches it. Works on the unified and on the hybrid layout of
cgroups(7); sets no limits.
"""

import contextlib
import os
import signal
from pathlib import Path

from synod.lab.process import LabError, wait_until

_HIERARCHIES = (Path("/sys/fs/cgroup/systemd"), Path("/sys/fs/cgroup/unified"), Path("/sys/fs/cgroup"))
_ROOT = "synod-lab"
_KILL_SEC = 10.0
"""A process in the kernel's uninterruptible sleep outlives SIGKILL; nothing else takes this long."""


def _mounted() -> tuple[Path, ...]:
    return tuple(path / _ROOT for path in _HIERARCHIES if (path / "cgroup.procs").exists())


def make(group: str) -> tuple[Path, ...]:
    """Create the group in each hierarchy; a process joins it by writing its pid to the files returned."""
    files = tuple(root / group / "cgroup.procs" for root in _mounted())
    for file in files:
        file.parent.mkdir(parents=True, exist_ok=True)
    return files


def names() -> tuple[str, ...]:
    """Return the labs that have a control group, sorted."""
    return tuple(sorted({path.name for root in _mounted() if root.is_dir() for path in root.iterdir()
                         if path.is_dir()}))


def members(group: str) -> tuple[int, ...]:
    """Return the host's pids of everything in the group and below it, sorted."""
    return tuple(sorted({int(pid) for root in _mounted() for directory in _tree(root / group)
                         for pid in _read(directory / "cgroup.procs").split()}))


def destroy(group: str) -> None:
    """Kill everything in the group and below it at once, then remove the group; absent groups are fine."""
    # Both in one loop: until the group is removed, a process that is just starting may still join it.
    if not wait_until(lambda: not _kill(group) and _remove(group), timeout=_KILL_SEC):
        raise LabError(f"cannot end the processes {members(group)} of '{group}'; see their state in ps")


def remove_root() -> None:
    """Remove the common parent when no lab is left."""
    for root in _mounted():
        with contextlib.suppress(OSError):
            root.rmdir()


def _kill(group: str) -> tuple[int, ...]:
    for root in _mounted():
        # One write that no fork can outrun (Linux 5.14); the signals below serve the v1 hierarchy.
        with contextlib.suppress(OSError):
            (root / group / "cgroup.kill").write_text("1", encoding="ascii")
    remaining = members(group)
    for pid in remaining:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    return remaining


def _remove(group: str) -> bool:
    for root in _mounted():
        for directory in _tree(root / group):
            with contextlib.suppress(OSError):
                directory.rmdir()
    return not any((root / group).exists() for root in _mounted())


def _tree(top: Path) -> list[Path]:
    """Return the directories below and including ``top``, the deepest first."""
    return [Path(path) for path, _, _ in os.walk(top, topdown=False)]


def _read(path: Path) -> str:
    # The process or the group may end at any moment.
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""
