#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""Plays the storms of many seeds in the simulator, on every processor (``make soak``).

It ends with 0 when all of them held, and with 1 at the first that did not: then it says what did not hold,
and the command that plays this seed again. What else is under way at that moment is dropped.
"""

import argparse
import multiprocessing
import os
import sys
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Final, TextIO

from synod.sim.storms import make_storm, play

CHUNK: Final = 20
"""Seeds that a process plays before it says how far it is."""
REPORT_SEC: Final = 60.0
"""Between two lines of progress where nobody watches; a terminal sees every chunk."""


@dataclass(frozen=True, slots=True)
class Played:
    """How a chunk went."""

    seeds: int
    steps: int
    failed: int | None = None
    """The seed that failed; those after it were not played."""
    why: str = ""


def play_chunk(seeds: range) -> Played:
    """Play some seeds, in order, to the first that fails."""
    steps = 0
    for place, seed in enumerate(seeds):
        try:
            steps += play(make_storm(seed)).steps
        except AssertionError as error:
            notes = "; ".join(getattr(error, "__notes__", ()))
            return Played(place + 1, steps, seed, f"{error}\n{notes}")
    return Played(len(seeds), steps)


def chunks(first: int, count: int) -> Iterator[range]:
    """Cut a range of seeds into chunks."""
    for begin in range(first, first + count, CHUNK):
        yield range(begin, min(begin + CHUNK, first + count))


class Progress:
    """One line that says how far it is, and how long the rest will take."""

    def __init__(self, total: int, out: TextIO) -> None:
        self._total = total
        self._out = out
        self._begun = self._told = time.monotonic()
        self.seeds = 0
        self.steps = 0

    def add(self, played: Played) -> None:
        """Count a chunk, and tell when it is time."""
        self.seeds += played.seeds
        self.steps += played.steps
        if self._out.isatty():
            self._out.write(f"\r\033[K{self}")
            self._out.flush()
        elif time.monotonic() - self._told >= REPORT_SEC:
            self._told = time.monotonic()
            self._out.write(f"{self}\n")
            self._out.flush()

    def __str__(self) -> str:
        """Say how far it is."""
        spent = max(time.monotonic() - self._begun, 0.001)
        left = int((self._total - self.seeds) * spent / max(self.seeds, 1))
        clock = f"{left // 3600}:{left // 60 % 60:02}:{left % 60:02}"
        return (
            f"{self.seeds} of {self._total} seeds, {self.steps} steps, "
            f"{self.seeds / spent:.1f} seeds/s, {clock} left"
        )


def follow(results: Iterable[Played], progress: Progress, out: TextIO) -> int:
    """Tell of results until one of them is a failure; return the exit status."""
    for played in results:
        progress.add(played)
        if played.failed is not None:
            out.write(f"\n{played.why}\nseed {played.failed} failed, after {progress.seeds} seeds\n")
            out.write(f"play it again: PYTHONPATH=src python3 -B -m synod.sim {played.failed}\n")
            return 1
    out.write(f"\nall of {progress.seeds} seeds held, {progress.steps} steps\n")
    return 0


def soak(first: int, count: int, jobs: int, out: TextIO) -> int:
    """Play the seeds; return the exit status."""
    with multiprocessing.get_context("spawn").Pool(jobs) as pool:
        results = pool.imap_unordered(play_chunk, chunks(first, count))
        return follow(results, Progress(count, out), out)


def main(arguments: list[str]) -> int:
    """Parse and soak."""
    parser = argparse.ArgumentParser(prog="soak", description=__doc__.partition("\n")[0])
    parser.add_argument("--from", dest="first", type=int, default=0, metavar="SEED", help="the first seed")
    parser.add_argument("--seeds", type=int, default=100_000, metavar="COUNT", help="how many")
    processors = len(os.sched_getaffinity(0))
    parser.add_argument("--jobs", type=int, default=processors, metavar="COUNT", help="processes")
    options = parser.parse_args(arguments)
    if options.seeds < 1 or options.jobs < 1 or options.first < 0:
        parser.error("a seed is not negative; seeds and jobs are at least 1")
    return soak(options.first, options.seeds, options.jobs, sys.stdout)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
