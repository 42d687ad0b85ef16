# SPDX-License-Identifier: LGPL-2.1-or-later
"""Looks at all nodes ten times a second, from outside: where does a program run, who has an address?

Neither Synod nor systemd is asked: processes and addresses are the kernel's (proc(5)). Decides nothing
about where they ought to be.
"""

import itertools
import threading
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from synod.lab import cgroup, machine

INTERVAL_SEC: Final = 0.1
_END_SEC: Final = 5.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Sight:
    """What one look at all nodes has shown."""

    usec: int
    runs_on: tuple[str, ...]
    is_address_of: tuple[str, ...]


class Lookout:
    """Looks until it is told to stop."""

    def __init__(self, lab: str, nodes: tuple[str, ...], program: str, address: str) -> None:
        self.sights: list[Sight] = []
        self._lab, self._nodes, self._program, self._address = lab, nodes, program, address
        self._is_over = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)

    def start(self) -> None:
        """Begin, with a look at how things are now."""
        self.sights.append(self.look())
        self._thread.start()

    def stop(self) -> None:
        """End; it may have ended, or never begun."""
        self._is_over.set()
        if self._thread.is_alive():
            self._thread.join(_END_SEC)

    def look(self) -> Sight:
        """Look at each node once."""
        group = {node: machine.group(self._lab, node) for node in self._nodes}
        runs_on = [node for node in self._nodes
                   if any(runs(pid, self._program) for pid in cgroup.members(group[node]))]
        holders = [node for node in self._nodes
                   if (leader := machine.leader(self._lab, node)) and has_address(leader, self._address)]
        return Sight(usec=time.time_ns() // 1000, runs_on=tuple(runs_on), is_address_of=tuple(holders))

    def _watch(self) -> None:
        while not self._is_over.wait(INTERVAL_SEC):
            self.sights.append(self.look())


def runs(pid: int, program: str) -> bool:
    """Return whether a process was started with this program among its words."""
    return program in _read(pid, "cmdline").split("\0")


def has_address(pid: int, address: str) -> bool:
    """Return whether the network of a process has an IPv4 address: the routing table has it as local."""
    lines = [line.strip() for line in _read(pid, "net/fib_trie").splitlines()]
    return any(line == f"|-- {address}" and below == "/32 host LOCAL"
               for line, below in itertools.pairwise(lines))


def _read(pid: int, name: str) -> str:
    # The process may end at any moment.
    try:
        return Path(f"/proc/{pid}", name).read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""
