# SPDX-License-Identifier: LGPL-2.1-or-later
"""Acts in which something is lost without a goodbye: agents, and the power of a node.

What the client outside saw is counted from its own words; what ran where, from journals and from what was
seen of the nodes' processes and addresses, never from what the cluster says of itself.
"""

from collections.abc import Sequence

from demo import setup
from demo.lookout import Sight
from demo.play import STOP_SEC, Play, seconds
from demo.record import Gap, Mark, Moment, Step, Turn
from demo.stage import DB, NODES, VIP, WEB, clock
from synod.base.errors import SynodError
from witness import silence

_AGENT_SEC = 30.0
_SERVED_SEC = 10.0
_TAKEOVER_SEC = 30.0
_SILENCE_SEC = 4.0
"""Far below the seven seconds that it takes without a fence device; on a machine that others use as well."""
_BOOT_SEC = 60.0
_LOOKS = 15
"""How often all nodes are looked at after the lost one has come back, before it counts as settled."""
_KILL = ("systemctl", "kill", "--kill-whom=main", "--signal=SIGKILL", "synod.service")
_ITEM = "mirror"


def kill_agents(play: Play) -> None:
    """Kill the agent beside web and the leader's, without a chance to say goodbye."""
    stage, narrator = play.stage, play.narrator
    leader = play.leader()
    narrator.promise(leader != "", f"the cluster has a leader: {leader}")
    victims = tuple(dict.fromkeys(("node2", leader if leader != "node2" else "node1")))
    before, agents = _running(play), _agents(play)
    begin = clock()
    for victim in victims:
        role = "the leader's agent" if victim == leader else "the agent"
        narrator.command(stage.run(victim, _KILL))
        narrator.quote((f"{role} on {victim} is gone",))
    back = stage.wait(lambda: _are_replaced(play, victims, agents) and play.is_quorate(),
                      "new agents run and the cluster is quorate", timeout=_AGENT_SEC)
    narrator.promise(_running(play) == before, "no unit was touched: same InvocationIDs, same processes")
    touched = stage.moments(begin)
    narrator.happened(touched, begin)
    narrator.promise(not touched, "systemd started and stopped nothing")
    play.promise_answers(begin)
    narrator.promise(True, f"the cluster is quorate again, {back:.2f} s after the kill")
    play.figures.append(("agent and leader killed with -9: quorate again", f"{back:.2f} s"))
    play.promise_status(play.type("node2", "systemctl", "stop", WEB, timeout=STOP_SEC))
    started = play.type("node3", "systemctl", "start", WEB)
    play.promise_status(started)
    play.promise_places()
    play.figures.append(("the next systemctl start web on node3", seconds(started)))


def lose_power(play: Play) -> None:
    """Cut the power of web's node."""
    stage, narrator, victim = play.stage, play.narrator, play.home
    play.lookout.start()
    stage.wait(lambda: _is_served(play, clock() - 1_000_000), "the client is served", timeout=_SERVED_SEC)
    narrator.quote((f"{play.leader()} leads; now: synodctl lab kill {victim}",))
    loss = stage.cut_power(victim)
    # A request that was made when the node was dead cannot have been answered by it.
    dead = clock()
    stage.wait(lambda: _is_served(play, dead), "the client is served again", timeout=_TAKEOVER_SEC)
    play.home = "node3"
    moments, marks = stage.moments(loss.usec), stage.marks(loss.usec)
    narrator.happened(sorted((*moments, *marks), key=lambda event: event.usec), loss.usec)
    _promise_proof(play, marks, moments)
    play.promise_order(moments, (VIP, Step.STARTED), (WEB, Step.STARTING),
                       "the address is on node3 before web begins to start there")
    play.promise_places()
    narrator.promise(all(moment.unit != DB for moment in moments), "db was not touched")
    missed = _silence(play, loss)
    text = f"the client outside had no answer for {missed.seconds:.2f} s; {_SILENCE_SEC:g} s are allowed"
    narrator.promise(missed.seconds < _SILENCE_SEC, text)
    play.figures.append(("node2 loses its power: no answer over HTTP for", f"{missed.seconds:.2f} s"))
    _promise_data(play)
    said = play.ask_why("node3", WEB)
    narrator.promise(f"{WEB} runs on node3" in said and f"{victim} " in said and "fenced" in said,
                     f"why tells where web runs, and what keeps it from {victim}")


def come_back(play: Play) -> None:
    """Give the node its power again."""
    stage, narrator, victim = play.stage, play.narrator, "node2"
    before = _running(play)
    power = stage.restore_power(victim)
    stage.wait(lambda: all(_online(play, node) == len(NODES) for node in NODES),
               f"{victim} is a member again", timeout=_BOOT_SEC)
    online = stage.note(victim, Turn.ONLINE)
    took = (online.usec - power.usec) / 1e6
    stage.wait(lambda: bool(_skipped(play, victim, power)), f"the boot of {victim} comes to web",
               timeout=_BOOT_SEC)
    sights = play.lookout.sights
    enough = len(sights) + _LOOKS
    stage.wait(lambda: len(sights) >= enough, "all nodes are looked at", timeout=_BOOT_SEC)
    play.lookout.stop()
    happened: list[Moment | Mark] = [*stage.moments(power.usec), *stage.marks(power.usec)]
    narrator.happened(sorted(happened, key=lambda event: event.usec), power.usec)
    narrator.promise(True, f"{victim} has booted and is a member again after {took:.2f} s")
    narrator.promise(True, f"web is enabled there; the boot of {victim} came to it and started nothing")
    _promise_one_copy(play, sights)
    narrator.promise(_running(play) == before, "no unit was touched: same InvocationIDs, same processes")
    play.promise_answers(power.usec)
    # Web follows its address.
    said = play.ask_why(victim, VIP)
    narrator.promise(f"{VIP} runs on node3" in said and "100 Prefer=node2:100" in said,
                     f"why tells that {victim} is preferred; what runs is not moved for it")
    play.figures.append(("power back until node2 is a member again", f"{took:.2f} s"))


def _promise_proof(play: Play, marks: Sequence[Mark], moments: Sequence[Moment]) -> None:
    """Hold the takeover to the proof by the device: nothing starts before it."""
    proof = next((mark for mark in marks
                  if mark.turn is Turn.FENCED and "fence device" in mark.reason), None)
    first = next((moment for moment in moments if moment.step is Step.STARTING), None)
    text = "node2 is proved to be off before anything starts elsewhere"
    play.narrator.order(Gap(first=proof, then=first, text=text) if proof and first else None, text)


def _promise_data(play: Play) -> None:
    """Hold web in its new place to what the database says now."""
    sql = f"INSERT INTO item VALUES ('{_ITEM}', 1)"
    written = play.stage.run("node1", setup.psql("--dbname=shop", f"--command={sql}"))
    answer = play.narrator.command(play.stage.curl())
    play.narrator.quote(answer.stdout.expandtabs(12).splitlines())
    play.narrator.promise(written.status == 0 and answer.status == 0 and f"{_ITEM}\t1\n" in answer.stdout,
                          f"web answers from PostgreSQL as ever, with the row '{_ITEM}' that is new")


def _promise_one_copy(play: Play, sights: Sequence[Sight]) -> None:
    """Hold the cluster to one copy, by what was seen and by what the journals say."""
    places = [place for sight in sights for place in (sight.runs_on, sight.is_address_of)]
    is_moved = bool(sights) and (sights[0].runs_on, sights[-1].runs_on) == (("node2",), ("node3",))
    play.narrator.promise(is_moved and all(len(nodes) < 2 for nodes in places),
                          f"{len(sights)} looks at all nodes since the power loss: never a second copy")
    doubles = play.stage.doubles(play.begin)
    play.narrator.quote(str(double) for double in doubles)
    play.narrator.promise(not doubles, "nor do the nodes' journals tell of one since the first act")


def _silence(play: Play, loss: Mark) -> silence.Silence:
    """Return, and remember for the picture, how long the client had no answer."""
    replies = sorted(visit.end for visit in play.visits(0) if visit.is_answered)
    found = silence.longest(replies, loss.usec)
    if found is None:
        raise SynodError("the client outside had no answer before the power loss")
    play.narrator.silence(found)
    return found


def _is_served(play: Play, since: int) -> bool:
    return any(visit.is_answered for visit in play.visits(since))


def _skipped(play: Play, node: str, since: Mark) -> list[Moment]:
    return [moment for moment in play.stage.moments(since.usec)
            if (moment.node, moment.unit, moment.step) == (node, WEB, Step.SKIPPED)]


def _online(play: Play, node: str) -> int:
    return sum(row.get("state") == "online" for row in play.stage.query(node, "list-nodes"))


def _running(play: Play) -> dict[str, tuple[str, ...]]:
    # The address needs no process: what announces it ends by itself after a second.
    places = ((DB, "node1", ("InvocationID", "MainPID")), (VIP, play.home, ("InvocationID",)),
              (WEB, play.home, ("InvocationID", "MainPID")))
    return {f"{node} {unit}": tuple(play.stage.show(node, unit, name) for name in names)
            for unit, node, names in places}


def _agents(play: Play) -> dict[str, str]:
    return {node: play.stage.show(node, "synod.service", "InvocationID") for node in NODES}


def _are_replaced(play: Play, victims: tuple[str, ...], before: dict[str, str]) -> bool:
    now = _agents(play)
    active = play.stage.states("synod.service")
    return (all(state == "active" for state in active.values())
            and all(now[victim] != before[victim] for victim in victims))
