# SPDX-License-Identifier: LGPL-2.1-or-later
"""The completion script as bash runs it, with the words that bash would hand to it."""

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from cli_agent import ScriptedAgent, final

from synod.cli.main import GROUPS

TREE = Path(__file__).parent.parent.parent / "packaging/tree"
SCRIPT = TREE / "usr/share/bash-completion/completions/synodctl"
# Outside of readline compopt fails; what matters is that it is asked for.
DRIVER = """
set -u
compopt() { printf 'compopt %s\\n' "$*"; }
complete() { :; }
source "$1"
COMP_LINE=$2 COMP_POINT=${#2}
_synodctl
printf '%s\\n' ${COMPREPLY[@]+"${COMPREPLY[@]}"}
"""

pytestmark = pytest.mark.skipif(shutil.which("bash") is None, reason="needs bash")
Complete = Callable[[str], list[str]]


@pytest.fixture
def complete(tmp_path: Path, root: Path) -> Complete:
    programs = tmp_path / "bin"
    programs.mkdir()
    (programs / "synodctl").write_text(f'#!/bin/sh\nexec {sys.executable} -m synod "$@"\n')
    (programs / "synodctl").chmod(0o755)
    environment = {**os.environ, "PATH": f"{programs}:{os.environ['PATH']}",
                   "PYTHONPATH": os.pathsep.join(sys.path)}  # fmt: skip

    def call(line: str) -> list[str]:
        done = subprocess.run(("bash", "-c", DRIVER, "bash", str(SCRIPT), line), env=environment, text=True,
                              capture_output=True, timeout=30, check=True)
        assert done.stderr == ""
        return done.stdout.split("\n")[:-1]

    return call


def test_every_verb_is_offered(complete: Complete) -> None:
    assert sorted(complete("synodctl ")) == sorted(name for _, names in GROUPS for name in names)
    assert complete("synodctl list-") == ["list-nodes", "list-units"]


def test_options_and_their_values_are_offered(complete: Complete) -> None:
    assert complete("synodctl start --w") == ["--wait"]
    assert complete("synodctl list-units --json ") == ["short", "pretty", "off"]
    assert complete("synodctl list-units --json=s") == ["short"]
    assert complete("synodctl join h --role s") == ["satellite"]


def test_units_and_nodes_are_those_of_the_cluster(complete: Complete, agent: ScriptedAgent) -> None:
    names = ("db.service", "job@b.service", "job@a.service", "bad name\nplain,x")
    agent.answers(final(data=[{"unit": name} for name in names]))
    assert complete("synodctl start d") == ["db.service"]
    assert complete("synodctl start ") == ["db.service", "job@b.service", "job@a.service"]
    assert complete("synodctl start job@a") == ["a.service"]  # bash replaces what follows the "@"
    agent.answers(final(data=[{"name": "node1"}, {"name": "node2"}]))
    assert complete("synodctl move db.service ") == ["node1", "node2"]
    assert complete("synodctl drain node2") == ["node2"]
    assert complete("synodctl adopt db --from ") == ["node1", "node2"]


def test_without_an_agent_nothing_is_offered(complete: Complete) -> None:
    assert complete("synodctl start d") == [""]


def test_files_are_left_to_bash(complete: Complete) -> None:
    assert complete("synodctl verify x")[0] == "compopt -o default"
