# SPDX-License-Identifier: LGPL-2.1-or-later
"""What labs leave on the machine, found by name rather than by record, and how it is removed.

Records may be missing after a crash; names of control groups, namespaces and directories are not. Hence
``remove`` works from any state and may itself be interrupted and repeated.
"""

import contextlib
import shutil
from pathlib import Path

from synod.base.errors import NoSuchObjectError
from synod.lab import cgroup, inotify, network, state


def labs() -> tuple[str, ...]:
    """Return the names of all labs of which something is left, sorted."""
    return tuple(sorted({*state.names(), *cgroup.names(), *network.labs()}))


def orphans() -> tuple[str, ...]:
    """Return the labs that nobody will miss: their making was interrupted, or their owner has ended."""
    return tuple(name for name in labs() if _is_orphan(name))


def remove(name: str, directory: Path) -> None:
    """Kill and remove everything of a lab; ``directory`` holds its disks if no record says otherwise."""
    # There is no record when the lab was interrupted before it was made, or after it was removed.
    with contextlib.suppress(NoSuchObjectError):
        directory = Path(state.load(name).directory)
    cgroup.destroy(name)
    network.remove_all(name)
    if (directory / name).is_dir():
        shutil.rmtree(directory / name)
    state.forget(name)
    if not labs():
        cgroup.remove_root()
        inotify.restore()


def _is_orphan(name: str) -> bool:
    try:
        lab = state.load(name)
    except NoSuchObjectError:
        return True
    return not lab.owner.is_alive() if lab.owner is not None else not lab.complete
