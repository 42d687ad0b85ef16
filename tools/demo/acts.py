# SPDX-License-Identifier: LGPL-2.1-or-later
"""Acts in which units start and stop as somebody asked: order, places, data, reasons.

Each types what an administrator types and holds the nodes' journals to what Synod promises. The order of
things is never taken from what was waited for here, only from the time stamps that PID 1 of each node has
given.
"""

from dataclasses import replace

from demo import journal, setup
from demo.play import START_SEC, STOP_SEC, Play, milliseconds, seconds
from demo.record import Step, Turn
from demo.stage import DB, NODES, VIP, WEB

_BROKEN_SETTING = "shared_buffers = plenty\n"
_RETURN_SEC = 30.0
_GO_ON_SEC = 30.0
_POWEROFF_SEC = 90.0
_ITEM = "lantern"


def start_elsewhere(play: Play) -> None:
    """Start web on a node where neither unit belongs."""
    done = play.type("node3", "systemctl", "start", WEB)
    play.promise_status(done)
    found = play.stage.moments(done.begin)
    gap = play.promise_order(found, (DB, Step.STARTED), (WEB, Step.STARTING),
                             "db is up on node1 before web begins to start on node2")
    beside = journal.gap(found, (VIP, Step.STARTED), (WEB, Step.STARTING), "the address is there before web")
    play.narrator.promise(beside is not None and beside.usec > 0, "so is web's address, on node2")
    play.promise_places()
    here = [line for line in play.stage.messages("node3", WEB, done.begin) if "node2" in line]
    play.narrator.quote(f"node3, in the log of {WEB}: {line}" for line in here[:1])
    play.narrator.promise(bool(here), "node3 tells where web runs")
    play.figures.append(("systemctl start web on node3: started elsewhere, db first", seconds(done)))
    play.figures.append(("  of which PostgreSQL's own start", milliseconds(
        journal.gap(found, (DB, Step.STARTING), (DB, Step.STARTED), "db starts"))))
    play.figures.append(("  of which between db's readiness and web's start", milliseconds(gap)))


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
    play.figures.append(("an HTTP request, answered from PostgreSQL", f"{answer.seconds * 1000:.0f} ms"))


def stop_provider(play: Play) -> None:
    """Stop db where it runs; then start it again."""
    done = play.type("node1", "systemctl", "stop", DB, timeout=STOP_SEC)
    play.promise_status(done)
    gap = play.promise_web_stopped_first(done.begin)
    play.figures.append(("systemctl stop db on node1, web stopped first on node2", seconds(done)))
    play.figures.append(("  of which between web's end and db's stop", milliseconds(gap)))
    again = play.narrator.command(play.stage.run("node1", ("systemctl", "start", DB), timeout=START_SEC))
    waited = play.stage.wait(lambda: play.stage.curl().status == 0, "web answers again", timeout=_RETURN_SEC)
    found = play.stage.moments(again.begin)
    play.narrator.happened(found, again.begin)
    play.promise_status(again)
    play.promise_order(found, (DB, Step.STARTED), (WEB, Step.STARTING), "web comes back by itself, after db")
    play.figures.append(("web answers again after systemctl start db", f"{again.seconds + waited:.2f} s"))


def refuse_with_reason(play: Play) -> None:
    """Let the provider fail, then repair it."""
    play.promise_status(play.type("node1", "systemctl", "stop", DB, timeout=STOP_SEC))
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
    play.promise_places()
    play.figures.append(("systemctl start web refused with the reason, db failing", seconds(refused)))


def power_off(play: Play) -> None:
    """Switch the provider's node off in the orderly way."""
    done = play.type("node1", "systemctl", "poweroff")
    play.stage.wait(lambda: not play.stage.is_on("node1"), "node1 is off", timeout=_POWEROFF_SEC)
    off = (play.stage.note("node1", Turn.OFF).usec - done.begin) / 1e6
    play.narrator.happened(play.stage.moments(done.begin), done.begin)
    gap = play.promise_web_stopped_first(done.begin)
    play.narrator.promise(True, f"node1 is off {off:.2f} s after the command")
    others = tuple(node for node in NODES if node != "node1")
    play.stage.wait(lambda: play.is_quorate(others) and play.leader() in others,
                    "node2 and node3 go on without node1", timeout=_GO_ON_SEC)
    play.narrator.promise(True, f"node2 and node3 go on: quorate, led by {play.leader()}")
    play.ask_why("node3", WEB)
    play.figures.append(("poweroff of node1, web stopped first elsewhere, until it is off", f"{off:.2f} s"))
    play.figures.append(("  of which between web's end and db's stop", milliseconds(gap)))
