# SPDX-License-Identifier: LGPL-2.1-or-later
"""What commands print, held in tests/golden/cli/; SYNOD_REWRITE=1 rewrites it, and the diff is the review.

A file names what the agent answers to each method, then commands, each with what it prints. ``! `` marks
standard error, ``= `` an exit status other than 0, ``| `` an empty line of output.
"""

import json
import os
import shlex
from pathlib import Path

import pytest
from cli_agent import ScriptedAgent, Synodctl, final

FILES = sorted((Path(__file__).parent.parent / "golden/cli").glob("*.txt"))


def printed(synodctl: Synodctl, words: str) -> list[str]:
    ran = synodctl(*shlex.split(words))
    return [*(line or "|" for line in ran.out.splitlines()), *(f"! {line}" for line in ran.err.splitlines()),
            *([f"= {ran.status}"] if ran.status else [])]  # fmt: skip


def replay(lines: list[str], agent: ScriptedAgent, synodctl: Synodctl) -> list[str]:
    answers: dict[str, object] = {}
    out: list[str] = []
    for line in lines:
        if line.startswith("agent "):
            _, method, text = line.split(" ", 2)
            answers[method] = json.loads(text)
        if line.startswith(("#", "agent ")):
            out.append(line)
        elif line.startswith("$ "):
            words = line.removeprefix("$ ")
            method = next(word for word in shlex.split(words) if not word.startswith("-"))
            agent.answers(final(data=answers[method]))
            out += ["", line, *printed(synodctl, words)]
    return out


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_golden(file: Path, agent: ScriptedAgent, synodctl: Synodctl) -> None:
    lines = file.read_text().splitlines()
    found = replay(lines, agent, synodctl)
    if os.environ.get("SYNOD_REWRITE"):
        file.write_text("\n".join(found) + "\n")
    assert found == file.read_text().splitlines()


def test_there_are_golden_files() -> None:
    assert FILES
