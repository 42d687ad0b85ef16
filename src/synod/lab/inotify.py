# SPDX-License-Identifier: LGPL-2.1-or-later
"""The one setting of the host that the lab changes: fs.inotify.max_user_instances (inotify(7)).

All nodes share root's instances, and each systemd takes a dozen; the default of 128 ends at about ten
nodes. The value from before is put back when the last lab goes down.
"""

from pathlib import Path
from typing import Final

from synod.lab.state import RUN

_SETTING: Final = Path("/proc/sys/fs/inotify/max_user_instances")
_SAVED: Final = RUN / "max_user_instances"
_PER_NODE: Final = 64
_RESERVE: Final = 1024


def make_room(nodes: int) -> None:
    """Raise the limit so that this many more nodes fit; never lower it."""
    before = int(_SETTING.read_text(encoding="ascii"))
    wanted = _RESERVE + _PER_NODE * nodes
    if before < wanted:
        if not _SAVED.exists():
            _SAVED.write_text(str(before), encoding="ascii")
        _SETTING.write_text(str(wanted), encoding="ascii")


def restore() -> None:
    """Put the limit back as it was before the first lab."""
    if _SAVED.exists():
        _SETTING.write_text(_SAVED.read_text(encoding="ascii"), encoding="ascii")
        _SAVED.unlink()
