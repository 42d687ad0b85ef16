# SPDX-License-Identifier: LGPL-2.1-or-later
"""Scripts whose names are sentences about gossip; SYNOD_REWRITE=1 writes what happened into them.

Commit a rewritten script only if you understand every line that changed.
"""

import os
from pathlib import Path

import pytest
from gossip_stage import Stage

SCRIPTS = sorted((Path(__file__).parent.parent / "golden" / "gossip").glob("*.txt"))


def play(script: str) -> str:
    """Carry out a script; return it with what happened."""
    stage, blocks = Stage(), []
    for block in script.strip().split("\n\n"):
        asked = block.split("\n----")[0].splitlines()
        commands = [line for line in asked if not line.startswith("#")]
        happened = [line for command in commands for line in stage.perform(command)]
        blocks.append("\n".join([*asked, "----", *happened]))
    return "\n\n".join(blocks) + "\n"


@pytest.mark.parametrize("path", SCRIPTS, ids=lambda path: path.stem)
def test_script(path: Path) -> None:
    expected = path.read_text()
    happened = play(expected)
    if os.environ.get("SYNOD_REWRITE"):
        path.write_text(happened)
    else:
        assert happened == expected


def test_there_are_scripts() -> None:
    assert len(SCRIPTS) >= 15
