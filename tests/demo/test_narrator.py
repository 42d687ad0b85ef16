# SPDX-License-Identifier: LGPL-2.1-or-later
import io

import pytest

from demo.narrator import BrokenPromiseError, Narrator
from demo.record import OUTSIDE, Command, Gap, Mark, Moment, Step, Story, Turn
from witness.silence import Silence


@pytest.fixture
def out() -> io.StringIO:
    return io.StringIO()


@pytest.fixture
def narrator(out: io.StringIO) -> Narrator:
    narrator = Narrator(Story(nodes=("node1",), subtitle="", labels={}), out, is_terminal=False)
    narrator.begin("An act", 0)
    return narrator


def gap(first: int, then: int) -> Gap:
    return Gap(first=Moment(usec=first, node="node2", unit="web.service", step=Step.STOPPED),
               then=Moment(usec=then, node="node1", unit="db.service", step=Step.STOPPING), text="order")


def test_a_promise_that_is_kept_is_remembered(narrator: Narrator, out: io.StringIO) -> None:
    narrator.promise(True, "it rains")

    assert narrator.act.kept == ["it rains"]
    assert "✓ it rains" in out.getvalue()


def test_a_promise_that_is_broken_ends_the_performance(narrator: Narrator, out: io.StringIO) -> None:
    with pytest.raises(BrokenPromiseError, match="it rains"):
        narrator.promise(False, "it rains")

    assert narrator.act.broken == ["it rains"]
    assert "✗ it rains" in out.getvalue()


def test_the_right_order_is_told_with_its_distance(narrator: Narrator, out: io.StringIO) -> None:
    narrator.order(gap(1000, 3500), "web before db")

    assert "✓ web before db, by 2.5 ms" in out.getvalue()
    assert narrator.act.gaps == [gap(1000, 3500)]


@pytest.mark.parametrize("found", [gap(3500, 1000), gap(1000, 1000), None])
def test_the_wrong_order_or_none_breaks_the_promise(narrator: Narrator, found: Gap | None) -> None:
    with pytest.raises(BrokenPromiseError):
        narrator.order(found, "web before db")


def test_a_command_is_told_with_its_place_status_and_time(narrator: Narrator, out: io.StringIO) -> None:
    narrator.command(Command(node="node1", text="systemctl start x", begin=0, end=1_500_000, status=3))
    narrator.command(Command(node=OUTSIDE, text="curl x", begin=0, end=10_000, status=0))

    failed, succeeded = out.getvalue().splitlines()[-2:]
    assert failed.startswith("  node1# systemctl start x ")
    assert failed.endswith(" exit status 3, 1.50 s")
    assert succeeded.startswith("  outside$ curl x ")
    assert succeeded.endswith(" 0.01 s")
    assert len(narrator.act.commands) == 2


def test_colours_are_for_terminals_only(out: io.StringIO) -> None:
    story = Story(nodes=(), subtitle="", labels={})
    Narrator(story, out, is_terminal=False).heading("plain")
    Narrator(story, terminal := io.StringIO(), is_terminal=True).heading("bold")

    assert "\033" not in out.getvalue()
    assert "\033[1mbold\033[0m" in terminal.getvalue()


def test_what_happens_is_told_with_the_time_since_its_cause(narrator: Narrator, out: io.StringIO) -> None:
    reason = "a fence device confirmed it (fence device 'lab' reports 'node2' as off)"
    narrator.happened([Mark(usec=1_000_000, node="node2", turn=Turn.POWER_LOST),
                       Mark(usec=1_600_000, node="node2", turn=Turn.FENCED, reason=reason),
                       Moment(usec=1_700_000, node="node3", unit="web.service", step=Step.STARTING)],
                      since=1_000_000)

    lost, fenced, starting = [line.split() for line in out.getvalue().splitlines()[-3:]]
    assert lost == ["+0.000", "s", "node2", "loses", "its", "power"]
    assert fenced[2:] == ["node2", "is", "fenced:", "a", "fence", "device", "confirmed", "it"]
    assert starting == ["+0.700", "s", "node3", "web.service", "starting"]


def test_a_silence_is_kept_for_the_picture() -> None:
    story = Story(nodes=(), subtitle="", labels={})
    found = Silence(begin=1, end=2)
    Narrator(story, io.StringIO(), is_terminal=False).silence(found)

    assert story.silences == [found]
