# SPDX-License-Identifier: LGPL-2.1-or-later
"""The three nodes, and what can be done to them and seen of them; a thin layer over the lab.

Everything is waited for within a limit. Decides nothing about what ought to happen: that is the acts'.
"""

import json
import shlex
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import IO, Final

from demo import journal
from demo.record import OUTSIDE, Command, Moment, Visit
from synod.base.errors import TimedOutError
from synod.lab import machine, process
from synod.lab.cluster import Lab

NODES: Final = ("node1", "node2", "node3")
DB: Final = "postgresql@15-main.service"
WEB: Final = "web.service"
PORT: Final = 8080
PACKAGES: Final = ("postgresql-15", "python3-psycopg2")

_HERE: Final = Path(__file__).parent
_TREE: Final = _HERE / "nodes"
_JOURNAL: Final = "upper/var/log/journal"
_READ_SEC: Final = 20.0
_SYNC_SEC: Final = 10.0


def clock() -> int:
    """Return the time in microseconds, as the journals have it."""
    return time.time_ns() // 1000


class Stage:
    """A lab that is up."""

    def __init__(self, lab: Lab) -> None:
        self._lab = lab
        self._visitor: subprocess.Popen[str] | None = None

    def run(self, node: str, argv: Sequence[str], *, timeout: float = 60.0) -> Command:
        """Run a program on a node, or ``outside``, to its end."""
        begin = clock()
        done = self._lab.exec(node, argv, timeout=timeout, check=False)
        return Command(node=node, text=shlex.join(argv), begin=begin, end=clock(), status=done.returncode,
                       stdout=done.stdout, stderr=done.stderr)

    def run_everywhere(self, argv: Sequence[str], *, timeout: float = 60.0) -> list[Command]:
        """Run a program on all nodes at once."""
        with ThreadPoolExecutor(len(NODES)) as pool:
            return list(pool.map(lambda node: self.run(node, argv, timeout=timeout), NODES))

    def install_files(self) -> list[Path]:
        """Put the demo's files on every node; return them."""
        files = [path.relative_to(_TREE) for path in sorted(_TREE.rglob("*")) if path.is_file()]
        for file in files:
            for node in NODES:
                self.write(node, f"/{file}", (_TREE / file).read_text(encoding="utf-8"))
        return files

    def write(self, node: str, path: str, text: str) -> None:
        """Write a file on a node."""
        self._lab.write(node, path, text)

    def is_on(self, node: str) -> bool:
        """Return whether the node runs."""
        return self._lab.is_on(node)

    def show(self, node: str, unit: str, name: str) -> str:
        """Return what ``systemctl show`` says."""
        return self.run(node, ("systemctl", "show", f"--property={name}", "--value", unit)).stdout.strip()

    def states(self, unit: str) -> dict[str, str]:
        """Return what ``systemctl is-active`` says on each node that is on."""
        return {node: self.run(node, ("systemctl", "is-active", unit)).stdout.strip()
                for node in NODES if self.is_on(node)}

    def query(self, node: str, verb: str) -> list[dict[str, object]]:
        """Return the rows that ``synodctl VERB`` prints on a node; none when it does not answer."""
        done = self.run(node, ("synodctl", verb, "--json=short"))
        rows = json.loads(done.stdout) if done.status == 0 else []
        return [row for row in rows if isinstance(row, dict)]

    def wait(self, condition: Callable[[], bool], what: str, *, timeout: float) -> float:
        """Wait until the condition is true, at most ``timeout`` seconds; return how long it took."""
        begin = time.monotonic()
        if not process.wait_until(condition, timeout=timeout, poll=0.05):
            raise TimedOutError(f"{what}: not within {timeout:g} s")
        return time.monotonic() - begin

    def moments(self, since: int) -> list[Moment]:
        """Return what systemd did to the demo's units on any node from ``since`` on, in order."""
        found = [moment for node in NODES for moment in journal.moments(
            node, self._read(node, journal.moments_command(self._directory(node), (DB, WEB), since)))]
        return sorted((moment for moment in found if moment.usec >= since), key=lambda moment: moment.usec)

    def messages(self, node: str, unit: str, since: int) -> list[str]:
        """Return what was written by and about a unit on a node from ``since`` on."""
        command = journal.messages_command(self._directory(node), unit, since)
        return journal.messages(self._read(node, command), since)

    def start_visitor(self, output: IO[str]) -> None:
        """Let the client outside ask for the page again and again; it writes to ``output``."""
        self._visitor = self._lab.outside_popen(
            (sys.executable, "-I", str(_HERE / "visitor.py"), self.url), stdout=output, text=True)

    def stop_visitor(self) -> None:
        """End the client outside."""
        if self._visitor is not None:
            self._visitor.terminate()
            self._visitor.wait(timeout=_SYNC_SEC)
            self._visitor = None

    @property
    def url(self) -> str:
        """Where web answers."""
        return f"http://{self._lab.state.address('node2')}:{PORT}/"

    def curl(self) -> Command:
        """Ask for the page once."""
        return self.run(OUTSIDE, ("curl", "-fsS", "-m", "5", "--noproxy", "*", self.url))

    def _directory(self, node: str) -> Path:
        return machine.disk(self._lab.state, node) / _JOURNAL

    def _read(self, node: str, command: Sequence[str]) -> str:
        if self.is_on(node):
            self.run(node, ("journalctl", "--sync"), timeout=_SYNC_SEC)
        return process.run(command, what=f"read the journal of {node}", timeout=_READ_SEC)


def read_visits(path: Path) -> list[Visit]:
    """Read what the client outside wrote; its last line may be half a line."""
    lines = path.read_text(encoding="utf-8").splitlines(keepends=True)
    rows = [json.loads(line) for line in lines if line.endswith("\n")]
    return [Visit(usec=int(row["usec"]), is_answered=bool(row["ok"])) for row in rows]
