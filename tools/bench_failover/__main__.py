# SPDX-License-Identifier: LGPL-2.1-or-later
"""``make bench-failover``: Synod and Pacemaker lose nodes and services in turn, on the same kind of nodes.

Prints a table and, as the last line, one JSON object; the chart goes to build/bench/. Exit status 0 when
everything could be measured and Synod never ran a copy too many, 1 otherwise, those of synodctl(1) when it
could not begin. Where Debian's packages of Pacemaker cannot be had, it says so and measures Synod alone. The
labs go down whatever happens, also on SIGTERM and Ctrl-C; what a SIGKILL leaves is removed by the next run.
"""

import argparse
import signal
import sys
import tempfile
import textwrap
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from bench_failover import chart, trial
from bench_failover.figures import (
    CRASH,
    FENCED,
    FENCED_ADDRESS,
    PLAIN,
    UNFENCED,
    UNFENCED_ADDRESS,
    Figures,
    Measure,
    result,
    table,
)
from bench_failover.ours import PLAIN_UNIT, Ours
from bench_failover.pacemaker import MONITOR_SEC, PACKAGES, Pacemaker
from bench_failover.rig import NODES, RELEASE, Rig
from synod.base.errors import SynodError
from synod.lab import remains, rootfs
from synod.lab.cluster import Lab
from witness.copies import Overlap, overlaps

_REASON_CHARACTERS_MAX: Final = 160
_NOTES: Final = """\
Runs alternate on one machine. The clock starts when the node's link goes down or the process is killed; a
unit is active when PID 1 of its node says so. The client asks for the address every 10 ms."""
_NOTES_OF_PACEMAKER: Final = f"""\
Without a fence device Pacemaker runs with stonith-enabled=false: it has no proof that a silent node is dead,
and one that is only cut off keeps its copy. Synod waits until the node's fuse must have ended the copy.
Pacemaker turns Restart= off and looks after a service every {MONITOR_SEC} s; kills are spread over that.
With the fence device it runs with stonith-action=off, as Synod does. All else are the packages' defaults."""


@dataclass(slots=True, kw_only=True)
class Bench:
    """A run: who takes part, and what was seen."""

    rigs: list[Rig]
    replies: dict[str, Path]
    rounds: int
    figures: Figures = field(default_factory=Figures)
    led: dict[str, int] = field(default_factory=dict)
    """How many of the nodes that died were the one that decides for the others, by system."""
    trouble: str = ""
    """Why the other system dropped out."""

    def power_losses(self, measure: Measure, address: Measure) -> None:
        """Let each system lose the pair's node, in turn."""

        def lose_power(rig: Rig, number: int) -> None:
            outage = trial.lose_power(rig, self.replies[rig.system])
            self.figures.add(measure, rig.system, outage.pair)
            self.figures.add(address, rig.system, outage.address)
            self.led[rig.system] = self.led.get(rig.system, 0) + outage.led
            self._tell(number, measure, rig.system, outage.pair, "it led" if outage.led else "")

        self.in_turn(lose_power)

    def crashes(self) -> None:
        """Let each system lose db's process, in turn; and systemd alone one of a service of its own."""
        # Pacemaker finds out at its next look, hence its kills are spread over the time between two.
        spread = [(number + 0.5) / self.rounds * MONITOR_SEC for number in range(self.rounds)]
        phases = {Pacemaker.system: spread}

        def kill_process(rig: Rig, number: int) -> None:
            seconds = trial.kill_process(rig, phases.get(rig.system, []), float(MONITOR_SEC))
            self.figures.add(CRASH, rig.system, seconds)
            self._tell(number, CRASH, rig.system, seconds)
            if isinstance(rig, Ours):
                holder = rig.holder()
                rig.run(holder, "systemctl", "start", PLAIN_UNIT)
                self.figures.add(CRASH, PLAIN, trial.kill_alone(rig, holder, PLAIN_UNIT))

        self.in_turn(kill_process)

    def in_turn(self, act: Callable[[Rig, int], None], rounds: int | None = None) -> None:
        """Do the same with each system, round after round; whoever Synod is compared with may drop out."""
        for number in range(self.rounds if rounds is None else rounds):
            for rig in tuple(self.rigs):
                try:
                    act(rig, number)
                except SynodError as error:
                    print(*rig.last_words(), sep="\n", flush=True)
                    if isinstance(rig, Ours):
                        raise
                    self.rigs.remove(rig)
                    self.trouble = str(error)
                    print(f"{rig.system} drops out: {error}", flush=True)

    def _tell(self, number: int, measure: Measure, system: str, seconds: float, note: str = "") -> None:
        text = f"round {number + 1} of {self.rounds}: {measure.name:<8} {system:<10} {seconds:7.3f} s"
        print(f"{text}  {note}".rstrip(), flush=True)


def main() -> int:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(prog="make bench-failover", description="How long failover takes.")
    parser.add_argument("--rounds", type=_positive, default=5, help="runs of each kind (default: 5)")
    parser.add_argument("--deb", type=Path, default=None, help="package of Synod; else the newest in build/")
    parser.add_argument("--output", type=Path, default=Path("build/bench"), help="where the chart goes")
    options = parser.parse_args()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda number, frame: sys.exit(128 + number))
    try:
        return _measure(options.rounds, options.deb or _newest_deb(), options.output)
    except SynodError as error:
        print(f"bench-failover: {error}", file=sys.stderr)
        return int(error.exit_status)


def _measure(rounds: int, deb: Path, output: Path) -> int:
    begin = time.monotonic()
    with ExitStack() as stack:
        rigs: list[Rig] = [stack.enter_context(_rig(Ours, deb=deb))]
        absence = _absence_of_pacemaker()
        if absence:
            print(f"Pacemaker is not measured: {absence}", flush=True)
        else:
            rigs.append(stack.enter_context(_rig(Pacemaker, packages=PACKAGES)))
        scratch = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="synod-bench-")))
        bench = Bench(rigs=rigs, rounds=rounds, replies={rig.system: scratch / rig.system for rig in rigs})
        for path in bench.replies.values():
            path.touch()
        for rig in rigs:
            stack.callback(rig.stop_client)
        bench.in_turn(lambda rig, _: rig.set_up(), rounds=1)
        for rig in bench.rigs:
            rig.start_client(bench.replies[rig.system])
        bench.power_losses(UNFENCED, UNFENCED_ADDRESS)
        bench.crashes()
        bench.in_turn(lambda rig, _: rig.enable_fencing(), rounds=1)
        bench.power_losses(FENCED, FENCED_ADDRESS)
        doubles = {rig.system: overlaps(rig.copies()) for rig in bench.rigs}
    return _report(bench, doubles, absence, output, time.monotonic() - begin)


def _report(bench: Bench, doubles: dict[str, list[Overlap]], absence: str, output: Path, took: float) -> int:
    """Print and draw what was seen; return the exit status."""
    print()
    for line in table(bench.figures):
        print(line)
    print()
    for system, found in doubles.items():
        print(f"{system}: of the {2 * bench.rounds} nodes that died {bench.led.get(system, 0)} led; "
              f"units that ran twice at once: {len(found) or 'none'}")
        for overlap in found:
            print(f"    {overlap}")
    print(_NOTES)
    print(f"Pacemaker is not measured: {absence}" if absence else _NOTES_OF_PACEMAKER)
    output.mkdir(parents=True, exist_ok=True)
    picture = output / "failover.svg"
    picture.write_text(chart.render(bench.figures), encoding="utf-8")
    print(f"chart: {picture}; all of it took {took:.0f} s")
    more: dict[str, int | float | str] = {f"{name}_overlaps": len(found) for name, found in doubles.items()}
    more |= {f"{system}_leaders_lost": count for system, count in bench.led.items()}
    if absence:
        more["pacemaker_absent"] = absence
    broken = doubles[Ours.system]
    if bench.trouble:
        more["pacemaker_trouble"] = bench.trouble
        print(f"bench-failover: Pacemaker dropped out: {bench.trouble}", file=sys.stderr)
    if broken:
        print(f"bench-failover: Synod has broken its promise: {broken[0]}", file=sys.stderr)
    print(result(bench.figures, more), flush=True)
    return 1 if broken or bench.trouble else 0


@contextmanager
def _rig(kind: type[Rig], *, deb: Path | None = None, packages: Sequence[str] = ()) -> Iterator[Rig]:
    """Make the nodes of a system, and remove them afterwards."""
    name = kind.lab_name
    if name in remains.labs() and name not in remains.orphans():
        raise SynodError(f"another run of this benchmark has lab '{name}'; "
                         f"else try: synodctl lab down --name {name}")
    with Lab(name) as lab:
        lab.up(nodes=len(NODES), release=RELEASE, packages=packages, deb=deb)
        yield kind(lab)


def _absence_of_pacemaker() -> str:
    """Return why Pacemaker cannot be measured, nothing if it can; the first time it takes half a minute."""
    try:
        rootfs.prepare(RELEASE, PACKAGES, None)
    except SynodError as error:
        reason = textwrap.shorten(str(error), _REASON_CHARACTERS_MAX, placeholder=" ...")
        return f"no nodes with {', '.join(PACKAGES)}: {reason}"
    return ""


def _newest_deb() -> Path:
    found = max(Path("build").glob("synod_*.deb"), key=lambda path: path.stat().st_mtime, default=None)
    if found is None:
        raise SynodError("there is no package of Synod in build/; try: make deb")
    return found


def _positive(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError("at least 1")
    return number


if __name__ == "__main__":
    sys.exit(main())
