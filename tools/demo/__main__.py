# SPDX-License-Identifier: LGPL-2.1-or-later
"""``make demo``: sets the stage, lets the acts happen, draws the picture, leaves nothing behind.

Exit status 0 when every promise was kept, 1 when one was broken or a step failed, those of synodctl(1) when
it could not begin. The lab goes down whatever happens, also on SIGTERM and Ctrl-C; what a SIGKILL leaves is
removed by the next run.
"""

import argparse
import signal
import sys
import tempfile
import time
from pathlib import Path
from typing import Final

from demo import setup, stage, timeline
from demo.narrator import BrokenPromiseError, Narrator
from demo.play import Play
from demo.programme import PROGRAMME
from demo.record import Story
from demo.stage import ADDRESS, DB, NODES, PACKAGES, UNITS, VIP, WEB, Stage, clock
from synod.base.errors import SynodError
from synod.lab import remains, rootfs
from synod.lab.cluster import Lab

_LAB: Final = "demo"
_RELEASE: Final = "bookworm"
_LIMIT_SEC: Final = 90.0
_LAST_LINES: Final = 12
_SUBTITLE: Final = (f"db is Debian's own {DB}, on node1; web is a small HTTP service that queries it, on "
                    f"node2 or else node3, beside its address {ADDRESS}. Times are systemd's own.")


def main() -> int:
    """Run the demo."""
    parser = argparse.ArgumentParser(prog="make demo", description="A cluster keeps its promises, live.")
    parser.add_argument("--output", type=Path, default=Path("build/demo"), help="where the picture goes")
    parser.add_argument("--deb", type=Path, default=None, help="package of Synod; else the newest in build/")
    options = parser.parse_args()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda number, frame: sys.exit(128 + number))
    story = Story(nodes=NODES, subtitle=_SUBTITLE, labels={DB: "db", VIP: "address", WEB: "web"})
    narrator = Narrator(story, sys.stdout, is_terminal=sys.stdout.isatty())
    try:
        return _perform(story, narrator, options.deb or _newest_deb(), options.output)
    except SynodError as error:
        narrator.failure(str(error))
        return int(error.exit_status)
    except SystemExit:
        narrator.failure("interrupted; the nodes are gone")
        raise


def _perform(story: Story, narrator: Narrator, deb: Path, output: Path) -> int:
    lab = Lab(_LAB)
    if _LAB in remains.labs() and _LAB not in remains.orphans():
        raise SynodError(f"another demo is running; else try: synodctl lab down --name {_LAB}")
    output.mkdir(parents=True, exist_ok=True)
    narrator.heading("Synod: systemd's dependencies across three nodes")
    narrator.quote(("The nodes' Debian is built the first time, which takes a minute or two.",))
    begin = time.monotonic()
    rootfs.prepare(_RELEASE, PACKAGES, deb)
    narrator.step(f"Debian with PostgreSQL and {deb.name} for the nodes", time.monotonic() - begin)
    begin = time.monotonic()
    with lab, tempfile.TemporaryDirectory(prefix="synod-demo-") as scratch:
        lab.up(nodes=len(NODES), release=_RELEASE, packages=PACKAGES, deb=deb)
        narrator.step(f"{', '.join(NODES)}: three systemd machines have booted", time.monotonic() - begin)
        scene = Stage(lab)
        play = Play(stage=scene, narrator=narrator, output=Path(scratch, "visits"), lookout=scene.lookout())
        failure = _play(play, story)
        if story.acts:
            story.moments = scene.moments(story.acts[0].begin)
            story.marks = scene.marks(story.acts[0].begin)
            story.visits = stage.read_visits(play.output)
    picture = output / "timeline.svg"
    picture.write_text(timeline.render(story), encoding="utf-8")
    took = time.monotonic() - begin
    if not failure and took >= _LIMIT_SEC:
        failure = f"the demo took longer than {_LIMIT_SEC:g} s"
    narrator.summary((*play.figures, ("all of it, from the boot to the clean-up", f"{took:.1f} s"),
                      ("timeline", str(picture))))
    if failure:
        narrator.failure(failure)
        return 1
    narrator.success(f"{sum(len(act.kept) for act in story.acts)} promises, all kept")
    return 0


def _play(play: Play, story: Story) -> str:
    """Return what failed, or nothing; on a failure show what the nodes' journals say last."""
    since = clock()
    try:
        setup.found_cluster(play.stage, play.narrator)
        setup.fill_database(play.stage, play.narrator)
        setup.annotate(play.stage, play.narrator)
        play.stage.start_visitor(play.output)
        play.begin = clock()
        for title, act in PROGRAMME:
            since = clock()
            play.narrator.begin(title, since)
            act(play)
            play.narrator.end(clock())
    except SynodError as error:
        if story.acts:
            play.narrator.end(clock())
        _show_journals(play, since)
        kind = "a promise was broken" if isinstance(error, BrokenPromiseError) else "the demo cannot go on"
        return f"{kind}: {error}"
    finally:
        play.lookout.stop()
        play.stage.stop_visitor()
    return ""


def _show_journals(play: Play, since: int) -> None:
    for node in NODES:
        for unit in (*UNITS, "synod.service"):
            lines = play.stage.messages(node, unit, since)
            play.narrator.quote(f"{node} {unit}: {line}" for line in lines[-_LAST_LINES:])


def _newest_deb() -> Path:
    found = max(Path("build").glob("synod_*.deb"), key=lambda path: path.stat().st_mtime, default=None)
    if found is None:
        raise SynodError("there is no package of Synod in build/; try: make deb")
    return found


if __name__ == "__main__":
    sys.exit(main())
