# SPDX-License-Identifier: LGPL-2.1-or-later
"""Three real nodes with a dependent pair and an address, whatever keeps them up; a thin layer over the lab.

The pair is one unit file each, the same for both systems: ``[X-Synod]`` is a section that systemd passes
over. Everything is waited for within a limit. Decides nothing about what ought to happen.
"""

import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import ClassVar, Final

from synod.base.errors import SynodError, TimedOutError
from synod.lab import process
from synod.lab.cluster import Lab
from witness import journal
from witness.copies import Event, Interval, Loss, intervals
from witness.outside import Client

NODES: Final = ("node1", "node2", "node3")
RELEASE: Final = "bookworm"
DB: Final = "db.service"
APP: Final = "app.service"
ADDRESS: Final = "10.77.0.150"
PREFIX_LENGTH: Final = 24

_TEXT: Final = """# SPDX-License-Identifier: LGPL-2.1-or-later
[Unit]
Description={name} of the benchmark
# It is killed more often than an honest service fails.
StartLimitIntervalSec=0
{section}
[Service]
Type=notify
NotifyAccess=all
ExecStart=/bin/sh -c 'systemd-notify --ready; exec sleep infinity'
Restart=always
"""
# Says when it kills, since that is when the clock starts.
_KILL: Final = "import os, sys, time; print(time.time_ns() // 1000); os.kill(int(sys.argv[1]), 9)"
_INVOCATIONS: Final = "run/systemd/units"
"""systemd keeps a link invocation:UNIT there while the unit is not inactive: to look costs no process."""

_POLL_SEC: Final = 0.05
_SETTLE_POLL_SEC: Final = 0.5
_COMMAND_SEC: Final = 30.0
_SETTLE_SEC: Final = 90.0
"""Pacemaker takes up to half a minute until a node that has come back takes part."""


def unit_file(name: str, section: str) -> str:
    """Return the text of a service that does nothing, and says at once that it is ready to."""
    return _TEXT.format(name=name, section=section)


UNITS: Final = {
    DB: unit_file("db", "\n[X-Synod]\nInstances=1\n"),
    APP: unit_file("app", f"\n[X-Synod]\nRequires={DB}\nAfter={DB}\nColocateWith={DB}\n"),
}


def clock() -> int:
    """Return the time in microseconds, as the journals have it."""
    return time.time_ns() // 1000


class Rig(ABC):
    """A lab and the system on it that keeps the pair up."""

    system: ClassVar[str]
    """As in the table."""
    lab_name: ClassVar[str]
    daemons: ClassVar[tuple[str, ...]]
    """The system's own units, whose words matter when something goes wrong."""

    def __init__(self, lab: Lab) -> None:
        self.lab = lab
        self.losses: list[Loss] = []
        self._begin = clock()
        self._client: Client | None = None

    @abstractmethod
    def set_up(self) -> None:
        """Make a cluster of the nodes, which are on, and start the pair and the address."""

    @abstractmethod
    def enable_fencing(self) -> None:
        """Let the nodes switch each other off by the lab's power switch from now on."""

    @abstractmethod
    def is_whole(self) -> bool:
        """Return whether all nodes take part and nothing is left to be done."""

    @abstractmethod
    def leader(self) -> str:
        """Return the node that decides for the others, empty if they do not say."""

    # Nodes

    def run(self, node: str, *argv: str, stdin: str = "", timeout: float = _COMMAND_SEC) -> str:
        """Run a program on a node; return its output. A failure is an error."""
        return self.lab.exec(node, argv, stdin=stdin, timeout=timeout).stdout.strip()

    def succeeds(self, node: str, *argv: str) -> bool:
        """Return whether a program on a node does."""
        return self.lab.exec(node, argv, check=False, timeout=_COMMAND_SEC).returncode == 0

    def run_everywhere(self, *argv: str, stdin: str = "") -> None:
        """Run a program on all nodes at once."""
        with ThreadPoolExecutor(len(NODES)) as pool:
            list(pool.map(lambda node: self.run(node, *argv, stdin=stdin), NODES))

    def install_units(self) -> None:
        """Write the pair's unit files on all nodes; a reload is left to the caller."""
        for node in NODES:
            for name, text in UNITS.items():
                self.lab.write(node, f"/etc/systemd/system/{name}", text)

    def lose_power(self, node: str) -> int:
        """Cut a node's power; return when it began."""
        begin = clock()
        self.lab.kill(node)
        self.losses.append(Loss(usec=clock(), node=node))
        return begin

    def settle(self) -> None:
        """Switch on what is off, and wait until all is as it was before anything happened."""
        for node in NODES:
            self.lab.boot(node)
        self.wait(lambda: self.is_whole() and bool(self.holder()), "all nodes take part, the pair is active",
                  timeout=_SETTLE_SEC, poll=_SETTLE_POLL_SEC)

    def wait(self, condition: Callable[[], bool], what: str, *, timeout: float,
             poll: float = _POLL_SEC) -> None:
        """Wait until the condition is true, at most ``timeout`` seconds."""
        if not process.wait_until(condition, timeout=timeout, poll=poll):
            raise TimedOutError(f"{self.system}: not within {timeout:g} s: {what}")

    # Units

    def holder(self) -> str:
        """Return the node on which the pair is active, empty if there is none."""
        for node in NODES:
            if all(self.invocation(node, unit) for unit in (DB, APP)) and self.are_active(node, DB, APP):
                return node
        return ""

    def are_active(self, node: str, *units: str) -> bool:
        """Return whether systemd on a node calls all of these units active."""
        return all(self.succeeds(node, "systemctl", "is-active", "--quiet", unit) for unit in units)

    def invocation(self, node: str, unit: str) -> str:
        """Return which start of a unit on a node it is that has not ended yet; empty if there is none."""
        try:
            link = Path(f"/proc/{self.lab.pid(node)}/root/{_INVOCATIONS}/invocation:{unit}")
            return link.readlink().name
        except (SynodError, OSError):
            return ""

    def kill_main_process(self, node: str, unit: str) -> int:
        """Send SIGKILL to the main process of a unit; return when."""
        pid = self.run(node, "systemctl", "show", "--property=MainPID", "--value", unit)
        return int(self.run(node, "/usr/bin/python3", "-ISc", _KILL, pid))

    def events(self, units: Sequence[str] = (DB, APP)) -> list[Event]:
        """Return what systemd did to units on any node since the beginning, in order."""
        found = []
        for node in NODES:
            if self.lab.is_on(node):
                self.run(node, "journalctl", "--sync")
            text = self._read(node, journal.command(self._journal(node), units, self._begin))
            found += journal.events(node, text)
        return sorted((event for event in found if event.usec >= self._begin), key=lambda event: event.usec)

    def last_words(self) -> list[str]:
        """Return what the system and the pair said last on each node, on or off."""
        lines = []
        for node in NODES:
            command = journal.last_command(self._journal(node), (*self.daemons, DB, APP))
            lines += [node, *(f"    {line}" for line in self._read(node, command).splitlines())]
        return lines

    def copies(self) -> list[Interval]:
        """Return every copy of the pair's units that there was."""
        return intervals(self.events(), self.losses, clock())

    # The client outside

    def start_client(self, output: Path) -> None:
        """Let the client ask for the address until the lab ends; it writes to ``output``."""
        program = Path(__file__).with_name("client.py")
        self._client = Client(self.lab, program, ADDRESS, output=output)

    def stop_client(self) -> None:
        """End the client."""
        if self._client is not None:
            self._client.end()
            self._client = None

    def _journal(self, node: str) -> Path:
        return journal.directory(self.lab.state, node)

    def _read(self, node: str, command: Sequence[str]) -> str:
        return process.run(command, timeout=_COMMAND_SEC, what=f"read the journal of {node}")
