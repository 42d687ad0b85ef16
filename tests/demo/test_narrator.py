# SPDX-License-Identifier: LGPL-2.1-or-later
import io

import pytest

from demo.narrator import BrokenPromiseError, Narrator
from demo.record import OUTSIDE, Command, Gap, Moment, Step, Story


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
