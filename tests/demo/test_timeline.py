# SPDX-License-Identifier: LGPL-2.1-or-later
from collections.abc import Iterator
from itertools import combinations
from xml.etree import ElementTree

import pytest

from demo import palette, svg, timeline
from demo.record import OUTSIDE, Act, Command, Gap, Mark, Moment, Step, Story, Turn, Visit
from witness.silence import Silence

SPACE = "{http://www.w3.org/2000/svg}"
SECOND = 1_000_000


def moment(usec: int, node: str, unit: str, step: Step) -> Moment:
    return Moment(usec=usec, node=node, unit=unit, step=step)


def story() -> Story:
    moments = [moment(1 * SECOND, "node1", "db.service", Step.STARTING),
               moment(2 * SECOND, "node1", "db.service", Step.STARTED),
               moment(2 * SECOND + 40_000, "node2", "web.service", Step.STARTING),
               moment(3 * SECOND, "node2", "web.service", Step.STARTED),
               moment(4 * SECOND, "node2", "web.service", Step.FAILED)]
    start = Command(node="node3", text="systemctl start web", begin=SECOND, end=3 * SECOND, status=0)
    first = Act(number=1, title="A & B <start>", begin=SECOND // 2, end=3 * SECOND, kept=["db is first"],
                commands=[start],
                gaps=[Gap(first=moments[1], then=moments[2], text="db before web")])
    late = [Command(node=OUTSIDE, text=f"curl {'x' * 90}", begin=usec, end=usec + 1000, status=22)
            for usec in (4 * SECOND, 4 * SECOND + 500_000)]
    second = Act(number=2, title="Failure", begin=4 * SECOND, end=5 * SECOND, broken=["web runs"],
                 commands=late)
    return Story(nodes=("node1", "node2", "node3"), subtitle="A subtitle",
                 labels={"db.service": "db", "web.service": "web"}, acts=[first, second], moments=moments,
                 visits=[visit(3 * SECOND, is_answered=True), visit(SECOND, is_answered=False)])


def visit(usec: int, *, is_answered: bool) -> Visit:
    return Visit(usec=usec, end=usec + 1000, is_answered=is_answered)


def loss() -> Story:
    """node2 loses its power at 10 s, comes back at 12 s; web answers again from node3."""
    moments = [moment(9 * SECOND, "node2", "vip.service", Step.STARTED),
               moment(9 * SECOND, "node2", "web.service", Step.STARTED),
               moment(10 * SECOND + 700_000, "node3", "vip.service", Step.STARTING),
               moment(10 * SECOND + 750_000, "node3", "vip.service", Step.STARTED),
               moment(10 * SECOND + 770_000, "node3", "web.service", Step.STARTING),
               moment(10 * SECOND + 820_000, "node3", "web.service", Step.STARTED),
               moment(13 * SECOND, "node2", "web.service", Step.SKIPPED)]
    marks = [Mark(usec=10 * SECOND, node="node2", turn=Turn.POWER_LOST),
             Mark(usec=10 * SECOND + 600_000, node="node2", turn=Turn.LOST, reason="silent"),
             Mark(usec=10 * SECOND + 650_000, node="node2", turn=Turn.FENCED, reason="a device"),
             Mark(usec=12 * SECOND, node="node2", turn=Turn.POWER_BACK),
             Mark(usec=13 * SECOND + 50_000, node="node2", turn=Turn.ONLINE)]
    why = Command(node="node3", text="synodctl why web.service", begin=11 * SECOND + 100_000,
                  end=11 * SECOND + 150_000, status=0)
    curl = Command(node=OUTSIDE, text="curl http://10.77.0.10:8080/", begin=11 * SECOND,
                   end=11 * SECOND + 40_000, status=0)
    gaps = [Gap(first=marks[2], then=moments[2], text="proof"),
            Gap(first=moments[3], then=moments[4], text="order")]
    kept = ["node2 is proved to be off before anything starts elsewhere, by 50.0 ms", "db was not touched",
            "a promise so long that it does not fit into one of two columns " * 2, "short", "short again"]
    acts = [Act(number=1, title="Loss", begin=9_900_000, end=11 * SECOND + 200_000, commands=[curl, why],
                gaps=gaps, kept=kept),
            Act(number=2, title="Return", begin=11_900_000, end=14 * SECOND)]
    visits = [visit(9_950_000 + number * 50_000, is_answered=not 0 < number < 18) for number in range(80)]
    return Story(nodes=("node1", "node2", "node3"), subtitle="", acts=acts, moments=moments, marks=marks,
                 labels={"vip.service": "address", "web.service": "web"}, visits=visits,
                 silences=[Silence(begin=9_950_000, end=10_850_000)])


def drawn(found: Story) -> ElementTree.Element:
    return ElementTree.fromstring(timeline.render(found))


def texts(page: ElementTree.Element) -> list[str]:
    return [element.text or "" for element in page.iter(f"{SPACE}text")]


def classes(page: ElementTree.Element, tag: str) -> list[str]:
    return [element.get("class", "") for element in page.iter(SPACE + tag)]


def boxes(page: ElementTree.Element) -> Iterator[tuple[str, float, float, float, float]]:
    """Words with left, right, top and bottom of where they are, by the generous measure of the drawing."""
    for text in page.iter(f"{SPACE}text"):
        words, kinds = text.text or "", (text.get("class") or "").split()
        size = next((size for kind, size in (("title", 20.0), ("heading", 14.0), ("alarm", 13.0))
                     if kind in kinds), 11.0)
        wide, x, y = svg.width(words, size), float(text.get("x", 0)), float(text.get("y", 0))
        if "right" in kinds:
            x -= wide
        elif {"axis", "middle", "number"} & set(kinds):
            x -= wide / 2
        yield words, x, x + wide, y - 0.75 * size, y + 0.2 * size


def test_the_picture_tells_the_acts_the_verdicts_and_the_evidence() -> None:
    found = texts(drawn(story()))

    assert {"A & B <start>", "Failure", "✓ db is first", "✗ web runs", "40.0 ms"} <= set(found)
    assert "systemctl start web" in found
    assert any(text.endswith("→ exit status 22") and "…" in text for text in found)


def test_every_node_and_the_client_have_a_lane_in_every_panel() -> None:
    found = texts(drawn(story()))

    assert [found.count(name) for name in ("node1", "node2", "node3", "client")] == [3, 3, 3, 3]


def test_states_are_told_apart() -> None:
    found = classes(drawn(story()), "rect")

    assert {"db", "db-passing", "web", "web-passing", "failed", "gap", "command"} <= set(found)


def test_requests_are_drawn_where_they_happened() -> None:
    page = drawn(story())
    answered = [circle for circle in page.iter(f"{SPACE}circle") if circle.get("class") == "answered"]

    # One in the legend, one in the overview, one in the first act.
    assert len(answered) == 3
    assert all(palette.LEFT <= float(circle.get("cx", 0)) <= palette.RIGHT for circle in answered[1:])


def test_a_power_loss_is_seen_in_the_lane_of_its_node() -> None:
    page = drawn(loss())
    found = texts(page)

    assert {"power lost", "counted as lost", "fenced: proved to be off", "power back", "online again",
            "web not started here", "no answer for 0.90 s"} <= set(found)
    # The legend, the overview and both acts.
    assert classes(page, "rect").count("off") == 4
    assert classes(page, "rect").count("silence") == 3


def test_what_ran_on_the_node_ends_with_its_power() -> None:
    page = drawn(loss())
    titles = [title.text or "" for title in page.iter(f"{SPACE}title")]

    assert "web.service on node2: started, 0.100 s" in titles


@pytest.mark.parametrize("found", [story(), loss()], ids=["start", "loss"])
def test_no_words_cover_others(found: Story) -> None:
    for (one, *first), (other, *second) in combinations(boxes(drawn(found)), 2):
        is_beside = first[1] <= second[0] or second[1] <= first[0]
        is_apart = first[3] <= second[2] or second[3] <= first[2]
        assert is_beside or is_apart, (one, other)


@pytest.mark.parametrize("found", [story(), loss()], ids=["start", "loss"])
def test_nothing_leaves_the_page(found: Story) -> None:
    page = drawn(found)
    height = float(page.get("height", 0))

    for rect in page.findall(f"{SPACE}rect"):
        left, top = float(rect.get("x", 0)), float(rect.get("y", 0))
        assert 0 <= left <= left + float(rect.get("width", 0)) <= palette.WIDTH
        assert 0 <= top <= top + float(rect.get("height", 0)) <= height
    for words, left, right, top, bottom in boxes(page):
        if not words.startswith("✓ a promise so long"):
            assert 0 <= left <= right <= palette.WIDTH, words
        assert 0 <= top <= bottom <= height


def test_a_story_that_ended_before_its_first_act_is_a_picture_too() -> None:
    page = drawn(Story(nodes=("node1",), subtitle="", labels={}))

    assert "node1" in texts(page)


def test_an_act_in_which_nothing_happened_is_drawn() -> None:
    quiet = Act(number=1, title="Quiet", begin=5, end=5)

    assert "Quiet" in texts(drawn(Story(nodes=("node1",), subtitle="", labels={}, acts=[quiet])))
