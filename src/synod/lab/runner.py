# SPDX-License-Identifier: LGPL-2.1-or-later
"""The process behind each node (``python3 -m synod.lab.runner``): boots it, and again when it resets itself.

A reset is any end but an orderly poweroff: reboot(2), a fuse that blows, a crash of PID 1. The runner ends
with the node or with the lab, whichever is first, and is itself in the node's control group, so that it
cannot be forgotten. Resets are not power losses: the kernel closes the dying processes' sockets, and peers
see that.
"""

import subprocess
import sys
import time
from typing import Final

from synod.base.errors import SynodError
from synod.lab import cgroup, machine, state

RESETS_MAX: Final = 10
RESETS_SEC: Final = 60.0
"""A node that resets itself this often within this time stays down: its disk makes it do so."""


def main(arguments: list[str]) -> int:
    """Run a node until it is off."""
    name, node = arguments
    resets: list[float] = []
    while True:
        lab = state.load(name)
        with (machine.disk(lab, node) / "console.log").open("ab") as log:
            status = subprocess.run(machine.boot_command(lab, node), stdin=subprocess.DEVNULL, stdout=log,
                                    stderr=log, check=False).returncode
            log.write(f"[lab] {node} ended with status {status}\n".encode())
        cgroup.destroy(f"{machine.group(name, node)}/machine")
        resets = [then for then in resets if then > time.monotonic() - RESETS_SEC]
        if status == 0 or lab.on_reset != "boot" or len(resets) >= RESETS_MAX:
            return 0
        resets.append(time.monotonic())
        _plug(lab, node)


def _plug(lab: state.LabState, node: str) -> None:
    # Imported only now: it takes longer than all the rest of a boot.
    from synod.lab import network

    network.plug(lab, node)


if __name__ == "__main__":
    try:
        sys.exit(main(sys.argv[1:]))
    except SynodError as error:
        sys.exit(f"lab: {error}")
