# SPDX-License-Identifier: LGPL-2.1-or-later
"""One node as a machine: its disk, how systemd-nspawn(1) boots it, how a program gets into it.

The overlay is mounted in a mount namespace that ends with the node, hence nothing has to be unmounted.
Decides nothing about when a node runs: that is synod.lab.runner's.
"""

import os
import re
import subprocess
import sys
import uuid
from collections.abc import Sequence
from pathlib import Path

from synod.lab import cgroup
from synod.lab.state import OUTSIDE, LabState, namespace_file

_PATH = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

_JOIN = 'set -eu; while [ "$1" != -- ]; do echo $$ >"$1"; shift; done; shift; '

# Joins the control group, mounts the disk, and becomes systemd-nspawn. The tmpfs keeps its bookkeeping,
# which it would leave behind when killed, inside the namespace.
_BOOT = """disk=$1 layers=$2
shift 2
""" + _JOIN + """
mount -t overlay overlay -o "lowerdir=$layers,upperdir=$disk/upper,workdir=$disk/work" "$disk/root"
mkdir -p /run/systemd/nspawn
mount -t tmpfs tmpfs /run/systemd/nspawn
exec "$@"
"""


def group(lab: str, node: str) -> str:
    """Return the control group of a node."""
    return f"{lab}/{node}"


def disk(state: LabState, node: str) -> Path:
    """Return the directory with the node's part of the file system and its console log."""
    return Path(state.directory, state.name, node)


def format_disk(state: LabState, node: str) -> None:
    """Give the node an identity of its own: name, machine ID, and the addresses of all nodes."""
    etc = disk(state, node) / "upper/etc"
    etc.mkdir(parents=True)
    for name in ("work", "root"):
        (disk(state, node) / name).mkdir()
    hosts = "".join(f"{state.address(other)} {other}\n" for other in (*state.nodes, OUTSIDE))
    (etc / "hosts").write_text(f"127.0.0.1 localhost\n{hosts}", encoding="utf-8")
    (etc / "hostname").write_text(f"{node}\n", encoding="utf-8")
    # Not "uninitialized", which would make each first boot enable every unit there is (machine-id(5)).
    (etc / "machine-id").write_text(f"{uuid.uuid4().hex}\n", encoding="utf-8")


def boot_command(state: LabState, node: str) -> tuple[str, ...]:
    """Return the program that boots the node and ends with it, with status 0 after a poweroff."""
    files = (str(file) for file in cgroup.make(f"{group(state.name, node)}/machine"))
    place = disk(state, node)
    return ("unshare", "--mount", "--propagation", "private", "--", "sh", "-c", _BOOT, "sh", str(place),
            ":".join(state.layers), *files, "--",
            "systemd-nspawn", "--quiet", f"--directory={place}/root", f"--machine={state.name}-{node}",
            f"--hostname={node}", "--boot", f"--network-namespace-path={namespace_file(state.name, node)}",
            "--register=no", "--keep-unit", "--capability=CAP_NET_ADMIN,CAP_IPC_LOCK", "--resolv-conf=off",
            "--timezone=off", "--link-journal=no", "--console=pipe")


def enter_command(leader: int, argv: Sequence[str]) -> tuple[str, ...]:
    """Return the program that runs ``argv`` as root in the node whose init has this pid on the host."""
    return ("nsenter", f"--target={leader}", "--mount", "--uts", "--ipc", "--net", "--pid", "--cgroup",
            "--root", "--wd", "--", "env", "-i", _PATH, "HOME=/root", "LANG=C.UTF-8",
            f"TERM={os.environ.get('TERM', 'dumb')}", *argv)


def outside_command(state: LabState, argv: Sequence[str]) -> tuple[str, ...]:
    """Return the program that runs ``argv``, a program of the host, with the lab's network only."""
    files = (str(file) for file in cgroup.make(group(state.name, OUTSIDE)))
    return ("sh", "-c", _JOIN + 'exec "$@"', "sh", *files, "--",
            "nsenter", f"--net={namespace_file(state.name, OUTSIDE)}", "--", *argv)


def start_runner(state: LabState, node: str) -> None:
    """Start the process that boots and watches the node; it is in the node's control group at once."""
    files = (str(file) for file in cgroup.make(f"{group(state.name, node)}/runner"))
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
    with (disk(state, node) / "console.log").open("ab") as log:
        runner = (sys.executable, "-P", "-m", "synod.lab.runner", state.name, node)
        subprocess.run(("sh", "-c", _JOIN + 'exec setsid --fork "$@"', "sh", *files, "--", *runner),
                       env=environment, stdin=subprocess.DEVNULL,
                       stdout=log, stderr=log, check=True)


def leader(lab: str, node: str) -> int | None:
    """Return the host's pid of the node's init process, or None when the node is off or not yet that far."""
    for pid in cgroup.members(f"{group(lab, node)}/machine"):
        try:
            status = Path(f"/proc/{pid}/status").read_text(encoding="utf-8", errors="replace")
            program = Path(f"/proc/{pid}/exe").readlink().name
        except OSError:
            continue
        # Before it becomes the node's init, the process still is systemd-nspawn and sees the host's files.
        if re.search(r"^NSpid:\t\d+\t1$", status, re.MULTILINE) and program != "systemd-nspawn":
            return pid
    return None
