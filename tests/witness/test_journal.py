# SPDX-License-Identifier: LGPL-2.1-or-later
"""What is read from the journals of nodes."""

import json
from pathlib import Path

from witness import journal
from witness.copies import Step

STARTED = "39f53479d3a045ac8e11786248231fbf"
FAILURE = "d9b373ed55a64feb8242e02dbe79a49c"


def line(message_id: str, message: str = "Started db.", **fields: str) -> str:
    return json.dumps({"MESSAGE_ID": message_id, "MESSAGE": message, "UNIT": "db.service", "_BOOT_ID": "b",
                       "__REALTIME_TIMESTAMP": "70", **fields})


def test_the_stamp_of_pid_1_counts_where_there_is_one():
    text = "\n".join((line(STARTED, _SOURCE_REALTIME_TIMESTAMP="42"), "", line(FAILURE)))
    assert [(found.usec, found.node, found.boot, found.unit, found.step)
            for found in journal.events("node1", text)] == [
        (42, "node1", "b", "db.service", Step.ACTIVE), (70, "node1", "b", "db.service", Step.GONE)]


def test_a_start_job_that_was_skipped_has_started_nothing():
    text = line(STARTED, "db was skipped because of an unmet condition check (ConditionPathExists=/run/x).")
    assert journal.events("node1", text) == []


def test_the_program_asks_for_whole_seconds_and_both_units():
    argv = journal.command(Path("/j"), ("db.service", "app.service"), 12_900_000)
    assert {"--since=@12", "UNIT=db.service", "UNIT=app.service", "--directory=/j", "_PID=1"} <= {*argv}


def test_the_last_words_are_those_of_all_units_asked_for():
    argv = journal.last_command(Path("/j"), ("db.service", "app.service"))
    assert {"--unit=db.service", "--unit=app.service", "--directory=/j"} <= {*argv}
