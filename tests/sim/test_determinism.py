# SPDX-License-Identifier: LGPL-2.1-or-later
"""One seed is one run: in this process, in another one, and under another hash seed."""

import os
import subprocess
import sys

from synod.sim.storms import make_storm, play

SEED = 7


def run(argument: str, **environment: str) -> "subprocess.CompletedProcess[str]":
    path = os.pathsep.join(filter(None, sys.path))
    return subprocess.run(
        [sys.executable, "-m", "synod.sim", argument],
        env={**os.environ, "PYTHONPATH": path, **environment},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def trace_of(hash_seed: str) -> str:
    result = run(str(SEED), PYTHONHASHSEED=hash_seed)
    assert result.returncode == 0, result.stdout[-1000:]
    return result.stdout.rpartition("trace=")[2].strip()


def test_a_seed_gives_the_same_run_again() -> None:
    first, second = play(make_storm(SEED)), play(make_storm(SEED))
    assert first.trace == second.trace
    assert first.steps == second.steps > 500


def test_the_hash_seed_of_the_interpreter_changes_nothing() -> None:
    assert trace_of("1") == trace_of("4242") == play(make_storm(SEED)).trace


def test_another_seed_is_another_run() -> None:
    assert play(make_storm(SEED)).trace != play(make_storm(SEED + 1)).trace


def test_a_wrong_call_is_a_usage_error() -> None:
    result = run("x")
    assert result.returncode == 2
    assert result.stderr == "usage: python -m synod.sim SEED [DEEDS]\n"
