# SPDX-License-Identifier: LGPL-2.1-or-later
"""What all acts share: the stage, the narrator, and promises that are made more than once."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

from demo import journal
from demo.lookout import Lookout
from demo.narrator import Narrator
from demo.record import Command, Gap, Moment, Step, Visit
from demo.stage import DB, NODES, VIP, WEB, Stage, read_visits

START_SEC = 60.0
STOP_SEC = 90.0


@dataclass(slots=True, kw_only=True)
class Play:
    """A performance that is on."""

    stage: Stage
    narrator: Narrator
    output: Path
    """What the client outside writes."""
    lookout: Lookout
    begin: int = 0
    """When the first act began."""
    home: str = "node2"
    """Where web and its address are."""
    figures: list[tuple[str, str]] = field(default_factory=list)

    def type(self, node: str, *words: str, timeout: float = START_SEC) -> Command:
        """Run a command and tell of it, and of what systemd did meanwhile on any node."""
        done = self.stage.run(node, words, timeout=timeout)
        self.narrator.command(done)
        self.narrator.happened(self.stage.moments(done.begin), done.begin)
        return done

    def ask_why(self, node: str, unit: str) -> str:
        """Ask on a node why a unit runs where it does, or not; show and return the answer."""
        said = self.narrator.command(self.stage.run(node, ("synodctl", "why", unit)))
        lines = said.stdout.splitlines()
        self.narrator.quote(line for line in lines if line and not line.endswith("nodes listed."))
        return said.stdout

    def visits(self, since: int) -> list[Visit]:
        """Return the requests of the client outside from ``since`` on."""
        return [visit for visit in read_visits(self.output) if visit.usec >= since]

    def promise_status(self, done: Command) -> None:
        """Hold a command to its success."""
        if done.status != 0:
            self.narrator.quote((done.stderr or done.stdout).strip().splitlines())
        self.narrator.promise(done.status == 0, f"{done.text} succeeds")

    def promise_order(self, found: Iterable[Moment], first: tuple[str, Step], then: tuple[str, Step],
                      text: str) -> Gap | None:
        """Hold two moments to their order."""
        gap = journal.gap(found, first, then, text)
        self.narrator.order(gap, text)
        return gap

    def promise_places(self) -> None:
        """Hold every unit to its place, on all nodes that are on."""
        wanted = {DB: "node1", VIP: self.home, WEB: self.home}
        states = {unit: self.stage.states(unit) for unit in wanted}
        right = all((state == "active") == (node == wanted[unit])
                    for unit, found in states.items() for node, state in found.items())
        text = "; ".join(f"{unit}: {', '.join(f'{node} {state}' for node, state in found.items())}"
                         for unit, found in states.items())
        kept = f"db is active on node1 only, web and its address on {self.home} only"
        self.narrator.promise(right, kept if right else text)

    def promise_answers(self, since: int) -> None:
        """Hold web to having answered every request of the client outside from ``since`` on."""
        visits = self.visits(since)
        missed = sum(not visit.is_answered for visit in visits)
        self.narrator.promise(bool(visits) and not missed,
                              f"{len(visits) - missed} of {len(visits)} requests were answered")

    def promise_web_stopped_first(self, since: int) -> Gap | None:
        """Hold web to its stop, and the database to what it owes web until then."""
        gap = self.promise_order(self.stage.moments(since), (WEB, Step.STOPPED), (DB, Step.STOPPING),
                                 f"web has stopped on {self.home} before db begins to stop on node1")
        lines = self.stage.messages(self.home, WEB, since)
        goodbye = [line for line in lines if "last query" in line]
        self.narrator.quote(f"{self.home}, {WEB}: {line}" for line in goodbye)
        self.narrator.promise(bool(goodbye), "web's last query, asked while it stopped, was still answered")
        return gap

    def leader(self) -> str:
        """Return the leader as a node that is never lost knows it, or nothing."""
        rows = self.stage.query("node3", "list-nodes")
        return next((str(row["name"]) for row in rows if row.get("leader") is True), "")

    def is_quorate(self, nodes: Iterable[str] = NODES) -> bool:
        """Return whether all of these nodes say so."""
        return all(self.stage.run(node, ("synodctl", "status")).status == 0 for node in nodes)


def seconds(done: Command) -> str:
    """Write how long a command took."""
    return f"{done.seconds:.2f} s"


def milliseconds(gap: Gap | None) -> str:
    """Write how far apart two things were."""
    return f"{gap.usec / 1000:.1f} ms" if gap is not None else "-"
