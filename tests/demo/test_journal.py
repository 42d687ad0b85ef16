# SPDX-License-Identifier: LGPL-2.1-or-later
import json
from pathlib import Path

from demo import journal
from demo.record import Step, Turn
from synod.base.messages import MessageId

STARTING = "7d4958e842da4a758f6c1cdc7b36dcc5"
DONE = "39f53479d3a045ac8e11786248231fbf"
STOPPED = "9d1aaa27d60140bd96365438aad20286"
FAILED = "be02cf6855d2428ba40df7e9d022f03d"


def entry(usec: int, unit: str, message_id: str, message: str = "", **fields: str) -> str:
    return json.dumps({"__REALTIME_TIMESTAMP": str(usec + 999), "_SOURCE_REALTIME_TIMESTAMP": str(usec),
                       "UNIT": unit, "MESSAGE_ID": message_id, "MESSAGE": message, **fields})


def test_pid_1_s_own_time_counts() -> None:
    [found] = journal.moments("node1", entry(1000, "db.service", STARTING))

    assert (found.usec, found.node, found.unit, found.step) == (1000, "node1", "db.service", Step.STARTING)


def test_the_time_of_journald_serves_when_there_is_no_other() -> None:
    text = json.dumps({"__REALTIME_TIMESTAMP": "7", "UNIT": "x", "MESSAGE_ID": STOPPED, "MESSAGE": ""})

    assert journal.moments("node1", text)[0].usec == 7


def test_a_start_that_was_skipped_is_no_start() -> None:
    text = entry(1, "web.service", DONE, "web.service - Web was skipped because of an unmet condition (x).")

    assert journal.moments("node3", text)[0].step is Step.SKIPPED


def test_a_job_whose_dependency_failed_is_no_failure_of_the_unit() -> None:
    text = "\n".join((entry(1, "web.service", FAILED, JOB_RESULT="dependency"),
                      entry(2, "db.service", FAILED, JOB_RESULT="failed")))

    assert [found.step for found in journal.moments("node3", text)] == [Step.REFUSED, Step.FAILED]


def test_messages_from_before_the_same_second_s_command_are_left_out() -> None:
    text = "\n".join((entry(1_000_100, "x", DONE, "old"), entry(1_000_300, "x", DONE, "new")))

    assert journal.messages(text, 1_000_200) == ["new"]


def test_the_gap_counts_from_the_last_end_to_the_first_begin() -> None:
    found = journal.moments("n", "\n".join((
        entry(10, "web.service", STOPPED), entry(30, "web.service", STOPPED),
        entry(50, "db.service", STARTING), entry(90, "db.service", STARTING))))
    gap = journal.gap(found, ("web.service", Step.STOPPED), ("db.service", Step.STARTING), "order")

    assert gap is not None
    assert gap.usec == 20


def test_the_gap_of_a_wrong_order_is_negative() -> None:
    found = journal.moments("n", "\n".join((
        entry(50, "web.service", STOPPED), entry(20, "db.service", STARTING))))
    gap = journal.gap(found, ("web.service", Step.STOPPED), ("db.service", Step.STARTING), "order")

    assert gap is not None
    assert gap.usec == -30


def test_there_is_no_gap_when_one_side_did_not_happen() -> None:
    found = journal.moments("n", entry(50, "web.service", STOPPED))

    assert journal.gap(found, ("web.service", Step.STOPPED), ("db.service", Step.STARTING), "order") is None


def test_only_what_pid_1_wrote_about_the_units_is_read() -> None:
    command = journal.moments_command(Path("/x"), ("a.service", "b.service"), 2_500_000)

    assert {"--directory=/x", "--since=@2", "UNIT=a.service", "UNIT=b.service", "_PID=1"} <= set(command)
    assert f"MESSAGE_ID={STARTING}" in command


def test_what_the_agent_says_of_a_node_becomes_a_mark() -> None:
    lost, fenced = MessageId.NODE_LOST.value, MessageId.NODE_FENCED.value
    text = "\n".join((
        entry(5, "", lost, "'node2' is lost: its stream fell silent."),
        entry(9, "", fenced, "'node2' runs nothing any more: a fence device confirmed it ('lab': off)."),
        entry(9, "", fenced, "a text that nobody expected")))

    assert [(found.usec, found.node, found.turn, found.reason) for found in journal.marks(text)] == [
        (5, "node2", Turn.LOST, "its stream fell silent"),
        (9, "node2", Turn.FENCED, "a fence device confirmed it ('lab': off)")]


def test_marks_are_the_agent_s_own_words() -> None:
    command = journal.marks_command(Path("/x"), 2_500_000)

    assert {"--directory=/x", "--since=@2", "_SYSTEMD_UNIT=synod.service"} <= set(command)
