# SPDX-License-Identifier: LGPL-2.1-or-later
"""A throw-away cluster of real systemd nodes on this machine: the interface of the lab.

Each node is a systemd-nspawn(1) container with its own disk, network namespace and control group, joined
by a bridge that nothing else is connected to. Decides the order of the steps; what a step does is in the
other modules.
"""

import contextlib
import os
import signal
import subprocess
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from synod.base.errors import NoSuchObjectError, TimedOutError, UsageError
from synod.lab import cgroup, inotify, machine, network, remains, rootfs, state
from synod.lab.process import Identity, LabError, require_programs, require_root, wait_until
from synod.lab.state import OUTSIDE

DIRECTORY = Path("/var/lib/synod-lab")
BOOT_SEC = 60.0
_STATE_SEC = 5.0
_WRITE_SEC = 30.0
_SETTLE_SEC = 10.0
_BOOT_POLL_SEC = 0.1
_WRITE = 'mkdir -p "$(dirname "$1")" && cat >"$1"'
_BOOTED = ("running", "degraded")


class Lab:
    """One lab, by its name; as a context manager it goes down with its block, or with the process.

    Every method raises SynodError with one line of text, and waits for a bounded time only.
    """

    def __init__(self, name: str = "synod", *, directory: Path = DIRECTORY) -> None:
        require_root()
        self.name = state.check_name(name)
        self._directory = directory
        self._owner: Identity | None = None
        self._is_ours = False
        """Whether up() of this object made the lab: only then may leaving the context take it down."""

    @classmethod
    def attach(cls, name: str = "synod") -> Self:
        """Return the lab of that name that is up; another process may have made it."""
        lab = cls(name)
        lab._directory = Path(lab.state.directory)
        return lab

    def __enter__(self) -> Self:
        self._owner = Identity.of(os.getpid())
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None,
                 trace: TracebackType | None) -> None:
        if self._is_ours:
            self.down()

    @property
    def state(self) -> state.LabState:
        """What is on record: node names, addresses, cuts."""
        return state.load(self.name)

    def up(self, nodes: int = 3, release: str = "bookworm", packages: Sequence[str] = (),
           deb: Path | None = None, on_reset: str = "stay") -> None:
        """Make ``node1`` to ``nodeN`` and wait until all have booted; on failure nothing is left.

        ``packages`` are Debian packages to have in the nodes, ``deb`` a package file of ours; ``on_reset``
        says whether a node that resets itself does ``boot`` again or ``stay`` down. What a crashed lab of
        the same name has left is removed first.
        """
        if not 1 <= nodes <= state.NODES_MAX:
            raise UsageError(f"a lab has 1 to {state.NODES_MAX} nodes, not {nodes}")
        if on_reset not in ("boot", "stay"):
            raise UsageError(f"on_reset is 'boot' or 'stay', not '{on_reset}'")
        require_programs("systemd-nspawn", "nft", "unshare", "nsenter", "setsid")
        if self.name in remains.orphans():
            self.down()
        layers = rootfs.prepare(release, packages, deb)
        state.create(state.LabState(
            name=self.name, directory=str(self._directory), layers=layers, on_reset=on_reset,
            nodes=tuple(f"node{number}" for number in range(1, nodes + 1)),
            owner=self._owner or Identity.of(os.getpid())))
        self._is_ours = True
        try:
            self._build()
        except BaseException:
            self.down()
            raise

    def exec(self, node: str, argv: Sequence[str], *, timeout: float = 60.0, check: bool = True,
             stdin: str = "") -> subprocess.CompletedProcess[str]:
        """Run a program as root in a node and return its output; ``timeout`` is in seconds.

        With ``check`` an exit status other than 0 is an error that shows the last line of standard error.
        """
        return _communicate(self.command(node, argv), f"{node}: {argv[0]}", timeout, stdin, check=check)

    def popen(self, node: str, argv: Sequence[str], **options: Any) -> subprocess.Popen[Any]:
        """Start a program as root in a node; it ends with the node at the latest."""
        return subprocess.Popen(self.command(node, argv), **options)

    def command(self, node: str, argv: Sequence[str]) -> tuple[str, ...]:
        """Return the command line that runs ``argv`` in a node, or ``outside``, for exec(3) and the like."""
        if node == OUTSIDE:
            return machine.outside_command(self.state, argv)
        return machine.enter_command(self.pid(node), argv)

    def outside(self, argv: Sequence[str], *, timeout: float = 60.0, check: bool = True,
                stdin: str = "") -> subprocess.CompletedProcess[str]:
        """Run a program of this machine as a client on the lab's network, at the address ``outside``."""
        return self.exec(OUTSIDE, argv, timeout=timeout, check=check, stdin=stdin)

    def outside_popen(self, argv: Sequence[str], **options: Any) -> subprocess.Popen[Any]:
        """Start a program of this machine as a client on the lab's network; it is the caller's to end."""
        return self.popen(OUTSIDE, argv, **options)

    def write(self, node: str, path: str, text: str) -> None:
        """Write a file in a node, whether it is on or off; missing directories are made."""
        leader = self._leader(node)
        argv, what = ("sh", "-c", _WRITE, "sh", path), f"write {path} on {node}"
        if leader is not None:
            _communicate(machine.enter_command(leader, argv), what, _WRITE_SEC, text, check=True)
        else:
            rootfs.in_overlay(self.state.layers, machine.disk(self.state, node), ("chroot", ".", *argv),
                              what=what, timeout=_WRITE_SEC, stdin=text)

    def pid(self, node: str) -> int:
        """Return the pid, on this machine, of the node's init process."""
        leader = self._leader(node)
        if leader is None:
            raise LabError(f"{node} is off; try: synodctl lab boot {node}")
        return leader

    def is_on(self, node: str) -> bool:
        """Return whether the node's init process runs."""
        return self._leader(node) is not None

    def status(self, node: str) -> str:
        """Return what ``systemctl is-system-running`` says in the node, ``off`` when it is off."""
        leader = self._leader(node)
        if leader is None:
            return "off"
        try:
            done = _communicate(machine.enter_command(leader, ("systemctl", "is-system-running")), node,
                                _STATE_SEC, "", check=False)
        except TimedOutError:
            return "unknown"
        return done.stdout.strip() or "booting"

    def kill(self, node: str) -> None:
        """Cut the node's power: its link goes down first, so that no FIN or RST leaves; then all dies."""
        self._check(node)
        network.cut_power_of(self.name, node)
        cgroup.destroy(machine.group(self.name, node))

    def boot(self, node: str, *, wait: bool = True) -> None:
        """Switch the node on, unless it is on already; with ``wait``, wait until it has booted."""
        # A node that has just reset itself still has a runner, which ends or boots it again.
        wait_until(lambda: self.is_on(node) or not self._is_powered(node), timeout=_SETTLE_SEC)
        if not self._is_powered(node):
            network.plug(self.state, node)
            machine.start_runner(self.state, node)
        if wait:
            self.wait_booted(node)

    def wait_booted(self, node: str, *, timeout: float = BOOT_SEC) -> None:
        """Wait at most ``timeout`` seconds until systemd in the node says that it is up, degraded or not."""
        log = machine.disk(self.state, node) / "console.log"
        if not wait_until(lambda: self.status(node) in _BOOTED or not self._is_powered(node),
                          timeout=timeout, poll=_BOOT_POLL_SEC):
            status = self.status(node)
            raise TimedOutError(f"{node} has not booted within {timeout:g} s: it is '{status}'; see {log}")
        if not self._is_powered(node):
            raise LabError(f"{node} went off while it booted; see {log}")

    def cut(self, source: str, target: str, *, one_way: bool = False) -> None:
        """Drop all that goes from one node, or ``outside``, to another, and back unless ``one_way``."""
        for name in (source, target):
            if name != OUTSIDE:
                self._check(name)
        pairs = ((source, target),) if one_way else ((source, target), (target, source))
        with state.changed(self.name, lambda old: replace(old, cuts=old.cuts + pairs)) as new:
            network.apply_cuts(new)

    def heal(self) -> None:
        """Undo every cut."""
        with state.changed(self.name, lambda old: replace(old, cuts=())) as new:
            network.apply_cuts(new)

    def down(self) -> None:
        """Remove all there is of the lab, whatever state it is in; a lab that does not exist is fine."""
        remains.remove(self.name, self._directory)

    def _build(self) -> None:
        made = self.state
        inotify.make_room(len(made.nodes))
        network.make_lan(self.name)
        network.plug(made, OUTSIDE)
        for node in made.nodes:
            machine.format_disk(made, node)
            network.plug(made, node)
            machine.start_runner(made, node)
        for node in made.nodes:
            self.wait_booted(node)
        with state.changed(self.name, lambda old: replace(old, complete=True, owner=self._owner)):
            pass

    def _is_powered(self, node: str) -> bool:
        """Return whether the node has a runner; while it resets itself it has one, but no init."""
        self._check(node)
        return bool(cgroup.members(machine.group(self.name, node)))

    def _leader(self, node: str) -> int | None:
        self._check(node)
        return machine.leader(self.name, node)

    def _check(self, node: str) -> None:
        if node not in (nodes := self.state.nodes):
            raise NoSuchObjectError(f"lab '{self.name}' has no node '{node}'; it has {', '.join(nodes)}")


def _communicate(argv: Sequence[str], what: str, timeout: float, stdin: str, *,
                 check: bool) -> subprocess.CompletedProcess[str]:
    """Run a program to its end; one that takes too long is killed with its children."""
    with subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                          text=True, errors="replace", start_new_session=True) as process:
        try:
            stdout, stderr = process.communicate(stdin, timeout=timeout)
        except BaseException as error:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            if isinstance(error, subprocess.TimeoutExpired):
                raise TimedOutError(f"{what} did not end within {timeout:g} s") from error
            raise
    if check and process.returncode != 0:
        last = (stderr.strip() or stdout.strip() or "no output").splitlines()[-1]
        raise LabError(f"{what} exited with {process.returncode}: {last}")
    return subprocess.CompletedProcess(argv, process.returncode, stdout, stderr)
