# SPDX-License-Identifier: LGPL-2.1-or-later
"""make soak: every seed is played once, and the first failure is told with the command that repeats it."""

import io
import os
import subprocess
import sys
from pathlib import Path

from soak import CHUNK, Played, Progress, chunks, follow, play_chunk

TOOL = Path(__file__).parents[2] / "tools/soak.py"


def soak(*arguments: str) -> "subprocess.CompletedProcess[str]":
    path = os.pathsep.join(filter(None, sys.path))
    return subprocess.run(
        [sys.executable, "-B", TOOL, *arguments],
        env={**os.environ, "PYTHONPATH": path},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def test_every_seed_is_in_one_chunk() -> None:
    assert [seed for seeds in chunks(7, 2 * CHUNK + 3) for seed in seeds] == list(range(7, 2 * CHUNK + 10))


def test_some_seeds() -> None:
    result = soak("--from", "3", "--seeds", "2", "--jobs", "1")
    assert result.returncode == 0, result.stdout
    assert "all of 2 seeds held" in result.stdout
    assert play_chunk(range(3, 5)).seeds == 2


def test_the_first_failure_ends_it() -> None:
    out = io.StringIO()
    results = iter([Played(20, 1000), Played(3, 90, 22, "I1 copies: two of them"), Played(20, 1000)])
    assert follow(results, Progress(60, out), out) == 1
    assert "I1 copies: two of them" in out.getvalue()
    assert "python3 -B -m synod.sim 22\n" in out.getvalue()
    assert next(results).seeds == 20


def test_a_wrong_call_is_a_usage_error() -> None:
    assert soak("--seeds", "0").returncode == 2
