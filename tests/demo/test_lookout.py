# SPDX-License-Identifier: LGPL-2.1-or-later
import os
import subprocess
from pathlib import Path

from demo import lookout


def test_a_program_is_known_by_a_whole_word_of_its_command_line() -> None:
    program = Path("/proc/self/cmdline").read_text().split("\0")[0]

    assert lookout.runs(os.getpid(), program)
    assert not lookout.runs(os.getpid(), program[:-1])


def test_a_process_that_has_ended_runs_nothing_and_has_no_address() -> None:
    with subprocess.Popen(("true",)) as ended:
        ended.wait()

    assert not lookout.runs(ended.pid, "true")
    assert not lookout.has_address(ended.pid, "127.0.0.1")


def test_an_address_is_seen_where_it_is() -> None:
    assert lookout.has_address(os.getpid(), "127.0.0.1")
    assert not lookout.has_address(os.getpid(), "127.0.0.2")
    # A network is not an address.
    assert not lookout.has_address(os.getpid(), "127.0.0.0")
