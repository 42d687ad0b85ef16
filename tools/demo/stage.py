# SPDX-License-Identifier: LGPL-2.1-or-later
"""The three nodes, and what can be done to them and seen of them; a thin layer over the lab.

Everything is waited for within a limit. Decides nothing about what ought to happen: that is the acts'.
"""

import json
import shlex
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Final

from demo import journal
from demo.lookout import Lookout
from demo.record import OUTSIDE, Command, Mark, Moment, Turn, Visit
from synod.base.errors import TimedOutError
from synod.lab import fence, process
from synod.lab.cluster import Lab
from witness import journal as nodes_journal
from witness import outside
from witness.copies import Loss, Overlap, intervals, overlaps

NODES: Final = ("node1", "node2", "node3")
DB: Final = "postgresql@15-main.service"
WEB: Final = "web.service"
ADDRESS: Final = "10.77.0.10"
VIP: Final = f"synod-address@{ADDRESS}-24.service"
UNITS: Final = (DB, VIP, WEB)
URL: Final = f"http://{ADDRESS}:8080/"
"""Where web answers, on whatever node it is."""
PACKAGES: Final = ("postgresql-15", "python3-psycopg2")

_HERE: Final = Path(__file__).parent
_TREE: Final = _HERE / "nodes"
_PROGRAM: Final = "/usr/local/lib/web.py"
_READ_SEC: Final = 20.0
_SYNC_SEC: Final = 10.0


def clock() -> int:
    """Return the time in microseconds, as the journals have it."""
    return time.time_ns() // 1000


class Stage:
    """A lab that is up."""

    def __init__(self, lab: Lab) -> None:
        self._lab = lab
        self._marks: list[Mark] = []
        self._losses: list[Loss] = []
        self._visitor: outside.Client | None = None

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

    def install_fence_device(self) -> str:
        """Let every node switch the others off by the lab's power switch; return the device's file."""
        fence.install(self._lab)
        return fence.DEVICE

    def is_on(self, node: str) -> bool:
        """Return whether the node runs."""
        return self._lab.is_on(node)

    def cut_power(self, node: str) -> Mark:
        """Let a node lose its power: not a packet leaves it any more, and all of its processes are dead."""
        mark = self.note(node, Turn.POWER_LOST)
        self._lab.kill(node)
        self._losses.append(Loss(usec=clock(), node=node))
        return mark

    def restore_power(self, node: str) -> Mark:
        """Switch a node on; it boots."""
        mark = self.note(node, Turn.POWER_BACK)
        self._lab.boot(node, wait=False)
        return mark

    def note(self, node: str, turn: Turn) -> Mark:
        """Remember that a node takes a turn now."""
        self._marks.append(Mark(usec=clock(), node=node, turn=turn))
        return self._marks[-1]

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
            node, self._read(node, journal.moments_command(self._journal(node), UNITS, since)))]
        return sorted((moment for moment in found if moment.usec >= since), key=lambda moment: moment.usec)

    def marks(self, since: int) -> list[Mark]:
        """Return which turns the nodes took from ``since`` on, in order."""
        said = [mark for node in NODES for mark in journal.marks(
            self._read(node, journal.marks_command(self._journal(node), since)))]
        # A leader may say the same again until the log has it.
        told = {(mark.node, mark.turn, mark.reason): mark for mark in reversed(said) if mark.usec >= since}
        done = [mark for mark in self._marks if mark.usec >= since]
        return sorted((*done, *told.values()), key=lambda mark: mark.usec)

    def doubles(self, since: int) -> list[Overlap]:
        """Return where a unit ran on two nodes at once, by what the journals tell from ``since`` on."""
        events = [event for node in NODES for event in nodes_journal.events(
            node, self._read(node, nodes_journal.command(self._journal(node), UNITS, since)))]
        events = [event for event in events if event.usec >= since]
        return overlaps(intervals(events, self._losses, clock()))

    def lookout(self) -> Lookout:
        """Return somebody who looks where web's program runs and who has its address."""
        return Lookout(self._lab.name, NODES, _PROGRAM, ADDRESS)

    def messages(self, node: str, unit: str, since: int) -> list[str]:
        """Return what was written by and about a unit on a node from ``since`` on."""
        command = journal.messages_command(self._journal(node), unit, since)
        return journal.messages(self._read(node, command), since)

    def start_visitor(self, output: Path) -> None:
        """Let the client outside ask for the page again and again; it writes to ``output``."""
        self._visitor = outside.Client(self._lab, _HERE / "visitor.py", URL, output=output)

    def stop_visitor(self) -> None:
        """End the client outside."""
        if self._visitor is not None:
            self._visitor.end()

    def curl(self) -> Command:
        """Ask for the page once."""
        return self.run(OUTSIDE, ("curl", "-fsS", "-m", "5", "--noproxy", "*", URL))

    def _journal(self, node: str) -> Path:
        return nodes_journal.directory(self._lab.state, node)

    def _read(self, node: str, command: Sequence[str]) -> str:
        if self.is_on(node):
            self.run(node, ("journalctl", "--sync"), timeout=_SYNC_SEC)
        return process.run(command, what=f"read the journal of {node}", timeout=_READ_SEC)


def read_visits(output: Path) -> list[Visit]:
    """Read what the client outside wrote, in the order in which it asked."""
    rows = [json.loads(line) for line in outside.lines(output)]
    found = [Visit(usec=int(row["usec"]), end=int(row["end"]), is_answered=bool(row["ok"])) for row in rows]
    return sorted(found, key=lambda visit: visit.usec)
