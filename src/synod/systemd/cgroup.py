# SPDX-License-Identifier: LGPL-2.1-or-later
"""Whether any process is left in a unit's control group: the last part of the proof that a unit is stopped.

It reads the kernel's files and believes nobody else: a unit can be ``failed`` with a process alive. It
decides nothing. Works on the unified hierarchy and on the hybrid one (systemd's own hierarchy of version 1,
with or without a version 2 beside it), where either one counts. Source: cgroups(7), cgroup.events;
systemd's CGROUP_DELEGATION.
"""

import errno
from pathlib import Path
from typing import Final

from synod.base.errors import IndefiniteError

CGROUP_ROOT: Final = Path("/sys/fs/cgroup")

_GONE: Final = (errno.ENOENT, errno.ENODEV, errno.ENOTDIR)
"""A group that vanishes while it is read; ENODEV is the kernel's answer for a file that was already open."""


def is_populated(control_group: str, root: Path = CGROUP_ROOT) -> bool:
    """Return whether the group, or one below it, holds a process; a group that does not exist holds none.

    ``control_group`` is UnitState.control_group, such as ``/system.slice/db.service``; empty means none.
    Raises IndefiniteError when the kernel's files cannot be read: nothing is proved then.
    """
    if not control_group:
        return False
    parts = control_group.strip("/").split("/")
    if not control_group.startswith("/") or ".." in parts:
        raise ValueError(f"'{control_group}' is not a control group")
    hierarchies = _hierarchies(root)
    if not hierarchies:
        raise IndefiniteError(
            f"cannot tell whether '{control_group}' is empty: no cgroup hierarchy in {root}"
        )
    return any(_holds_process(hierarchy.joinpath(*parts)) for hierarchy in hierarchies)


def _hierarchies(root: Path) -> tuple[Path, ...]:
    if (root / "cgroup.controllers").exists():
        return (root,)
    return tuple(path for path in (root / "unified", root / "systemd") if (path / "cgroup.procs").exists())


def _holds_process(group: Path) -> bool:
    """Ask version 2 for its own summary; version 1 has none, so look into every group below."""
    try:
        events = _read(group / "cgroup.events")
        if events is not None:
            return "populated 1" in events.splitlines()
        if (_read(group / "cgroup.procs") or "").strip():
            return True
        below = sorted(entry for entry in group.iterdir() if entry.is_dir())
    except OSError as error:
        if error.errno in _GONE:
            return False
        raise IndefiniteError(f"cannot tell whether '{group}' is empty: {error.strerror}") from None
    return any(_holds_process(entry) for entry in below)


def _read(path: Path) -> str | None:
    try:
        return path.read_text(encoding="ascii")
    except OSError as error:
        if error.errno in _GONE:
            return None
        raise
