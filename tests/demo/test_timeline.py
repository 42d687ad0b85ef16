# SPDX-License-Identifier: LGPL-2.1-or-later
from xml.etree import ElementTree

from demo import svg, timeline
from demo.record import OUTSIDE, Act, Command, Gap, Moment, Step, Story, Visit

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
                 visits=[Visit(usec=3 * SECOND, is_answered=True), Visit(usec=SECOND, is_answered=False)])


def drawn(found: Story) -> ElementTree.Element:
    return ElementTree.fromstring(timeline.render(found))


def texts(page: ElementTree.Element) -> list[str]:
    return [element.text or "" for element in page.iter(f"{SPACE}text")]


def classes(page: ElementTree.Element, tag: str) -> list[str]:
    return [element.get("class", "") for element in page.iter(SPACE + tag)]


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
    assert all(timeline.LEFT <= float(circle.get("cx", 0)) <= timeline.RIGHT for circle in answered[1:])


def test_nothing_leaves_the_page() -> None:
    page = drawn(story())
    height = float(page.get("height", 0))

    for rect in page.iter(f"{SPACE}rect"):
        left, top = float(rect.get("x", 0)), float(rect.get("y", 0))
        assert 0 <= left <= left + float(rect.get("width", 0)) <= timeline.WIDTH
        assert 0 <= top <= top + float(rect.get("height", 0)) <= height
    for text in page.iter(f"{SPACE}text"):
        assert 0 <= float(text.get("y", 0)) <= height
    for label in (text for text in page.iter(f"{SPACE}text") if text.get("class") == "label"):
        left = float(label.get("x", 0))
        assert 0 <= left <= left + svg.width(label.text or "", 11) <= timeline.WIDTH


def test_a_story_that_ended_before_its_first_act_is_a_picture_too() -> None:
    page = drawn(Story(nodes=("node1",), subtitle="", labels={}))

    assert "node1" in texts(page)


def test_an_act_in_which_nothing_happened_is_drawn() -> None:
    quiet = Act(number=1, title="Quiet", begin=5, end=5)

    assert "Quiet" in texts(drawn(Story(nodes=("node1",), subtitle="", labels={}, acts=[quiet])))
