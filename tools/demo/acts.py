# SPDX-License-Identifier: LGPL-2.1-or-later
"""The acts: each types what an administrator types and holds the nodes' journals to what Synod promises.

The order of things is never taken from what was waited for here, only from the time stamps that PID 1 of
each node has given.
"""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path

from demo import journal, setup
from demo.narrator import Narrator
from demo.record import Command, Gap, Moment, Step
from demo.stage import DB, NODES, WEB, Stage, clock, read_visits

_BROKEN_SETTING = "shared_buffers = plenty\n"
_START_SEC = 60.0
_STOP_SEC = 90.0
_RETURN_SEC = 30.0
_AGENT_SEC = 30.0
_POWEROFF_SEC = 90.0
_KILL = ("systemctl", "kill", "--kill-whom=main", "--signal=SIGKILL", "synod.service")
_ITEM = "lantern"


@dataclass(slots=True, kw_only=True)
class Play:
    """What all acts share."""

    stage: Stage
    narrator: Narrator
    visits: Path
    """What the client outside writes."""
    figures: list[tuple[str, str]] = field(default_factory=list)

    def type(self, node: str, *words: str, timeout: float = _START_SEC) -> Command:
        """Run a command and tell of it, and of what systemd did meanwhile on any node."""
        done = self.stage.run(node, words, timeout=timeout)
        self.narrator.command(done)
        self.narrator.moments(self.stage.moments(done.begin), done.begin)
        return done

    def promise_status(self, done: Command) -> None:
        """Hold a command to its success."""
        if done.status != 0:
            self.narrator.quote((done.stderr or done.stdout).strip().splitlines())
        self.narrator.promise(done.status == 0, f"{done.text} succeeds")

    def promise_order(self, found: list[Moment], first: tuple[str, Step], then: tuple[str, Step],
                      text: str) -> Gap | None:
        """Hold two moments to their order."""
        gap = journal.gap(found, first, then, text)
        self.narrator.order(gap, text)
        return gap


def start_elsewhere(play: Play) -> None:
    """Start web on a node where neither unit belongs."""
    done = play.type("node3", "systemctl", "start", WEB)
    play.promise_status(done)
    found = play.stage.moments(done.begin)
    gap = play.promise_order(found, (DB, Step.STARTED), (WEB, Step.STARTING),
                             "db is up on node1 before web begins to start on node2")
    _promise_places(play)
    here = [line for line in play.stage.messages("node3", WEB, done.begin) if "node2" in line]
    play.narrator.quote(f"node3, in the log of {WEB}: {line}" for line in here[:1])
    play.narrator.promise(bool(here), "node3 tells where web runs")
    play.figures.append(("systemctl start web on node3, both started elsewhere, db first", _seconds(done)))
    play.figures.append(("  of which PostgreSQL's own start", _milliseconds(
        journal.gap(found, (DB, Step.STARTING), (DB, Step.STARTED), "db starts"))))
    play.figures.append(("  of which between db's readiness and web's start", _milliseconds(gap)))


def answer_with_data(play: Play) -> None:
    """Ask web over HTTP for a row that has just been written."""
    sql = f"INSERT INTO item VALUES ('{_ITEM}', 7)"
    written = play.stage.run("node1", setup.psql("--dbname=shop", f"--command={sql}"))
    play.narrator.command(replace(written, text=f'psql shop -c "{sql}"'))
    play.narrator.promise(written.status == 0, "a new row is in the table")
    answer = play.narrator.command(play.stage.curl())
    play.narrator.quote(answer.stdout.expandtabs(12).splitlines())
    play.narrator.promise(answer.status == 0 and f"{_ITEM}\t7\n" in answer.stdout,
                          f"web answers from PostgreSQL, with the row '{_ITEM}' that is new")
    play.figures.append(("an HTTP request, answered from PostgreSQL", _milliseconds_of(answer)))


def stop_provider(play: Play) -> None:
    """Stop db where it runs; then start it again."""
    done = play.type("node1", "systemctl", "stop", DB, timeout=_STOP_SEC)
    play.promise_status(done)
    gap = _promise_web_stopped_first(play, done.begin)
    play.figures.append(("systemctl stop db on node1, web stopped first on node2", _seconds(done)))
    play.figures.append(("  of which between web's end and db's stop", _milliseconds(gap)))
    again = play.narrator.command(play.stage.run("node1", ("systemctl", "start", DB), timeout=_START_SEC))
    waited = play.stage.wait(lambda: play.stage.curl().status == 0, "web answers again", timeout=_RETURN_SEC)
    found = play.stage.moments(again.begin)
    play.narrator.moments(found, again.begin)
    play.promise_status(again)
    play.promise_order(found, (DB, Step.STARTED), (WEB, Step.STARTING), "web comes back by itself, after db")
    play.figures.append(("web answers again after systemctl start db", f"{again.seconds + waited:.2f} s"))


def refuse_with_reason(play: Play) -> None:
    """Let the provider fail, then repair it."""
    play.promise_status(play.type("node1", "systemctl", "stop", DB, timeout=_STOP_SEC))
    play.stage.write("node1", setup.DATABASE_CONF, setup.LISTENING + _BROKEN_SETTING)
    play.narrator.quote((f"node1, in {setup.DATABASE_CONF}: {_BROKEN_SETTING.strip()}",))
    refused = play.type("node3", "systemctl", "start", WEB)
    play.narrator.promise(refused.status != 0, "the start of web is refused")
    lines = play.stage.messages("node3", WEB, refused.begin)
    reason = [line for line in lines if DB in line and "node1" in line and "fail" in line]
    play.narrator.quote(f"node3, in the log of {WEB}: {line}" for line in reason[:1])
    play.narrator.promise(bool(reason), "web's log on node3 tells the reason, with db and its node")
    found = play.stage.moments(refused.begin)
    started = [moment for moment in found if moment.unit == WEB and moment.step is Step.STARTING]
    play.narrator.promise(not started, "web was not started anywhere")
    play.stage.write("node1", setup.DATABASE_CONF, setup.LISTENING)
    repaired = play.type("node3", "systemctl", "start", WEB)
    play.promise_status(repaired)
    _promise_places(play)
    play.figures.append(("systemctl start web refused with the reason, db failing", _seconds(refused)))


def kill_agents(play: Play) -> None:
    """Kill the agent beside web and the leader's, without a chance to say goodbye."""
    stage, narrator = play.stage, play.narrator
    leader = _leader(stage, "node3")
    narrator.promise(leader != "", f"the cluster has a leader: {leader}")
    victims = tuple(dict.fromkeys(("node2", leader if leader != "node2" else "node1")))
    before, agents = _running(stage), _agents(stage)
    begin = clock()
    for victim in victims:
        role = "the leader's agent" if victim == leader else "the agent"
        narrator.command(stage.run(victim, _KILL))
        narrator.quote((f"{role} on {victim} is gone",))
    back = stage.wait(lambda: _are_replaced(stage, victims, agents) and _is_quorate(stage, NODES),
                      "new agents run and the cluster is quorate", timeout=_AGENT_SEC)
    narrator.promise(_running(stage) == before, "no unit was touched: same InvocationIDs, same processes")
    touched = stage.moments(begin)
    narrator.moments(touched, begin)
    narrator.promise(not touched, "systemd started and stopped nothing")
    visits = [visit for visit in read_visits(play.visits) if visit.usec >= begin]
    missed = sum(not visit.is_answered for visit in visits)
    narrator.promise(bool(visits) and not missed,
                     f"{len(visits) - missed} of {len(visits)} requests were answered")
    narrator.promise(True, f"the cluster is quorate again, {back:.2f} s after the kill")
    play.figures.append(("agent and leader killed with -9: quorate again", f"{back:.2f} s"))
    play.promise_status(play.type("node2", "systemctl", "stop", WEB, timeout=_STOP_SEC))
    started = play.type("node3", "systemctl", "start", WEB)
    play.promise_status(started)
    _promise_places(play)
    play.figures.append(("the next systemctl start web on node3", _seconds(started)))


def power_off(play: Play) -> None:
    """Switch the provider's node off in the orderly way."""
    done = play.type("node1", "systemctl", "poweroff")
    play.stage.wait(lambda: not play.stage.is_on("node1"), "node1 is off", timeout=_POWEROFF_SEC)
    off = (clock() - done.begin) / 1e6
    play.narrator.moments(play.stage.moments(done.begin), done.begin)
    gap = _promise_web_stopped_first(play, done.begin)
    play.narrator.promise(True, f"node1 is off {off:.2f} s after the command")
    others = tuple(node for node in NODES if node != "node1")
    play.stage.wait(lambda: _is_quorate(play.stage, others) and _leader(play.stage, "node3") in others,
                    "node2 and node3 go on without node1", timeout=_AGENT_SEC)
    play.narrator.promise(True, f"node2 and node3 go on: quorate, led by {_leader(play.stage, 'node3')}")
    reason = play.narrator.command(play.stage.run("node3", ("synodctl", "why", WEB)))
    play.narrator.quote(reason.stdout.splitlines()[:1])
    play.figures.append(("poweroff of node1, web stopped first on node2, until it is off", f"{off:.2f} s"))
    play.figures.append(("  of which between web's end and db's stop", _milliseconds(gap)))


ACTS: tuple[tuple[str, Callable[[Play], None]], ...] = (
    ("systemctl start web on node3: db starts first on node1, then web on node2", start_elsewhere),
    ("An HTTP request is answered with data from PostgreSQL", answer_with_data),
    ("systemctl stop of db on node1: web stops before it", stop_provider),
    ("A provider that fails: the start of web is refused with the reason", refuse_with_reason),
    ("The agent and the leader are killed with -9: no unit is touched, the next start works", kill_agents),
    ("poweroff of node1: web stops first", power_off),
)


def _promise_web_stopped_first(play: Play, since: int) -> Gap | None:
    found = play.stage.moments(since)
    gap = play.promise_order(found, (WEB, Step.STOPPED), (DB, Step.STOPPING),
                             "web has stopped on node2 before db begins to stop on node1")
    goodbye = [line for line in play.stage.messages("node2", WEB, since) if "last query" in line]
    play.narrator.quote(f"node2, {WEB}: {line}" for line in goodbye)
    play.narrator.promise(bool(goodbye), "web's last query, asked while it stopped, was still answered")
    return gap


def _promise_places(play: Play) -> None:
    states = {unit: play.stage.states(unit) for unit in (DB, WEB)}
    wanted = {DB: "node1", WEB: "node2"}
    right = all((state == "active") == (node == wanted[unit])
                for unit, found in states.items() for node, state in found.items())
    text = "; ".join(f"{unit}: {', '.join(f'{node} {state}' for node, state in found.items())}"
                     for unit, found in states.items())
    play.narrator.promise(right, "db is active on node1 only, web on node2 only" if right else text)


def _running(stage: Stage) -> dict[str, tuple[str, str]]:
    return {f"{node} {unit}": (stage.show(node, unit, "InvocationID"), stage.show(node, unit, "MainPID"))
            for node, unit in (("node1", DB), ("node2", WEB))}


def _agents(stage: Stage) -> dict[str, str]:
    return {node: stage.show(node, "synod.service", "InvocationID") for node in NODES}


def _are_replaced(stage: Stage, victims: tuple[str, ...], before: dict[str, str]) -> bool:
    now = _agents(stage)
    active = stage.states("synod.service")
    return (all(state == "active" for state in active.values())
            and all(now[victim] != before[victim] for victim in victims))


def _is_quorate(stage: Stage, nodes: tuple[str, ...]) -> bool:
    return all(stage.run(node, ("synodctl", "status")).status == 0 for node in nodes)


def _leader(stage: Stage, node: str) -> str:
    """Return the leader as a node knows it, or nothing."""
    rows = stage.query(node, "list-nodes")
    return next((str(row["name"]) for row in rows if row.get("leader") is True), "")


def _seconds(done: Command) -> str:
    return f"{done.seconds:.2f} s"


def _milliseconds_of(done: Command) -> str:
    return f"{done.seconds * 1000:.0f} ms"


def _milliseconds(gap: Gap | None) -> str:
    return f"{gap.usec / 1000:.1f} ms" if gap is not None else "-"
