# SPDX-License-Identifier: LGPL-2.1-or-later
"""``make faults``: real nodes lose power, links, agents and time, again and again, and a witness records it.

Every run ends with a look at all stamps: no unit may ever have run twice at once, what must not move has not
moved, and the pair is active again within the bound that ``synodctl bounds`` gave before. The runs go to
build/faults/runs.jsonl; prints a table and, as the last line, one JSON object. Exit status 0 when all runs
were good, 1 when one was not.
"""

import argparse
import itertools
import signal
import sys
import tempfile
import time
from pathlib import Path
from typing import Final

from bench_failover.rig import APP, NODES, clock
from bench_failover.trial import read_replies
from faults.kinds import DEB, KINDS, Kind, Then, others
from faults.record import Run, result, table
from faults.stage import PAIR, Stage
from synod.base.errors import SynodError
from synod.lab.cluster import Lab
from witness import silence
from witness.stamps import overlaps

RUNS: Final = 104
PLANNED_SEC: Final = 10.0
"""What an orderly move may take: stop and start of both units, a few commits; it waits for no proof."""
_SLACK_SEC: Final = 60.0
"""How long a run is watched beyond its bound before it counts as lost."""
_SERVED_SEC: Final = 5.0


class Recorder:
    """Makes things happen to one stage, and writes down what came of it."""

    def __init__(self, stage: Stage, replies: Path, output: Path) -> None:
        self._stage = stage
        self._replies = replies
        self._output = output
        self.runs: list[Run] = []

    def record(self, kind: Kind, *, is_fenced: bool) -> None:
        """Do one run."""
        stage = self._stage
        self._prepare(kind)
        stage.clear_stamps()
        holder, leader, before = stage.holder(), stage.leader(), stage.newest(APP)
        bound = PLANNED_SEC if kind.is_planned else stage.bound(led=holder == leader) + kind.boot_sec
        begin = clock()
        wrong, home, away = "", "", bound + _SLACK_SEC
        try:
            kind.act(stage, holder)
            stage.wait(lambda: self._is_over(kind, holder), f"{kind.text}: the pair is active",
                       timeout=bound + _SLACK_SEC)
            now = stage.newest(APP)
            home, away = now.node, max(0.0, now.since - begin / 1e6) if now.run != before.run else 0.0
            wrong = kind.fault(away, bound)
        except SynodError as error:
            wrong = str(error)
        address = self._missed(begin)
        self._mend(kind)
        found = tuple(str(pair) for unit in PAIR for pair in overlaps(stage.copies(unit)))
        run = Run(number=len(self.runs) + 1, kind=kind.name, text=kind.text, is_fenced=is_fenced,
                  holder=holder, leader=leader, home=home, away_sec=round(away, 3), address_sec=address,
                  bound_sec=bound, overlaps=found, wrong=wrong)
        self._keep(run)

    def _prepare(self, kind: Kind) -> None:
        stage = self._stage
        stage.settle()
        if kind.stop_sec:
            stage.let_stop_take(kind.stop_sec)
        if kind.leads is not None:
            holder = stage.holder()
            stage.lead_from(*([holder] if kind.leads else others(holder)))
            stage.settle()

    def _is_over(self, kind: Kind, holder: str) -> bool:
        if not all(map(self._stage.runs, PAIR)):
            return False
        return kind.then is not Then.MOVES or self._stage.newest(APP).node != holder

    def _missed(self, begin: int) -> float | None:
        """Return how long the client outside went without a reply, once it gets one again."""
        deadline = time.monotonic() + _SERVED_SEC
        while time.monotonic() < deadline:
            replies = read_replies(self._replies)
            if replies and clock() - replies[-1] < 100_000:
                missed = silence.longest(replies, begin)
                return round(missed.seconds, 3) if missed is not None else None
            time.sleep(0.05)
        return None

    def _mend(self, kind: Kind) -> None:
        stage = self._stage
        stage.lab.heal()
        stage.settle()
        if kind.stop_sec:
            stage.let_stop_take(0)

    def _keep(self, run: Run) -> None:
        self.runs.append(run)
        with self._output.open("a", encoding="utf-8") as file:
            file.write(run.line() + "\n")
        verdict = "" if run.is_good else f"  BAD: {run.wrong} {' '.join(run.overlaps)}"
        fenced = "fenced" if run.is_fenced else ""
        figures = f"{run.away_sec:>7.3f} s of {run.bound_sec:.2f}"
        print(f"{run.number:>4} {run.text:<40} {fenced:<6} {figures}{verdict}", flush=True)
        if not run.is_good:
            print(*self._stage.last_words(), sep="\n", flush=True)


def main() -> int:
    """Run them."""
    parser = argparse.ArgumentParser(prog="make faults", description="Recorded fault runs on real nodes.")
    parser.add_argument("--runs", type=int, default=RUNS, help=f"how many (default: {RUNS})")
    parser.add_argument("--kinds", default="", help="only these, by name and separated by commas")
    parser.add_argument("--release", default="trixie", help="of the nodes (default: trixie)")
    parser.add_argument("--deb", type=Path, required=True, help="package of Synod")
    parser.add_argument("--output", type=Path, default=Path("build/faults"), help="where the record goes")
    options = parser.parse_args()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda number, frame: sys.exit(128 + number))
    names = [kind.name for kind in KINDS]
    wanted = options.kinds.split(",") if options.kinds else names
    for name in wanted:
        if name not in names:
            parser.error(f"no kind '{name}'; there are {', '.join(names)}")
    kinds = [kind for kind in KINDS if kind.name in wanted and kind.release in ("", options.release)]
    try:
        return _record(kinds, options.runs, options.release, options.deb, options.output)
    except SynodError as error:
        print(f"faults: {error}", file=sys.stderr)
        return int(error.exit_status)


def _record(kinds: list[Kind], runs: int, release: str, deb: Path, output: Path) -> int:
    begin = time.monotonic()
    output.mkdir(parents=True, exist_ok=True)
    record = output / "runs.jsonl"
    record.unlink(missing_ok=True)
    with Lab(Stage.lab_name) as lab, tempfile.TemporaryDirectory(prefix="synod-faults-") as scratch:
        lab.up(nodes=len(NODES), release=release, deb=deb, on_reset="boot")
        stage, replies = Stage(lab), Path(scratch, "replies")
        replies.touch()
        stage.put(deb, DEB)
        recorder = Recorder(stage, replies, record)
        try:
            stage.set_up()
            stage.start_client(replies)
            for is_fenced, half in ((False, runs - runs // 2), (True, runs // 2)):
                if is_fenced and half:
                    stage.settle()
                    stage.enable_fencing()
                for kind in itertools.islice(itertools.cycle(kinds), half):
                    recorder.record(kind, is_fenced=is_fenced)
        finally:
            stage.stop_client()
            _report(recorder.runs, record, time.monotonic() - begin)
    return 0 if recorder.runs and all(run.is_good for run in recorder.runs) else 1


def _report(runs: list[Run], record: Path, took: float) -> None:
    print(*table(runs), sep="\n")
    print(f"record: {record}; all of it took {took:.0f} s")
    print(result(runs), flush=True)


if __name__ == "__main__":
    sys.exit(main())
