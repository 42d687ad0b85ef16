# SPDX-License-Identifier: LGPL-2.1-or-later
"""Draws a story as one SVG: the whole run on top, then each act on a time scale of its own.

A lane for each node shows what was typed there and in which state the units were; the last lane shows which
requests of the client outside were answered. Yellow marks the evidence for an order. Needs nothing but the
story.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from demo import lanes, svg
from demo.lanes import Segment
from demo.record import OUTSIDE, Act, Command, Gap, Step, Story, Visit

WIDTH: Final = 1180.0
LEFT: Final = 96.0
RIGHT: Final = WIDTH - 28.0

_FONT: Final = 11.0
_BOLD: Final = 13.0
"""Bold characters of 11 pixels are as wide as others of this size."""
_COMMAND: Final = 19.0
_UNIT: Final = 22.0
_PAD: Final = 4.0
_LABEL_MAX: Final = 64
_TICKS_MAX: Final = 12
_TITLE: Final = "Synod: systemd's dependencies across three nodes"
_LEGEND: Final = (("starting", "starting or stopping"), ("db", "db active"), ("web", "web active"),
                  ("failed", "failed"), ("gap", "evidence for an order"))
_STYLE: Final = """
text { font: 11px 'DejaVu Sans', 'Segoe UI', Helvetica, Arial, sans-serif; fill: #1f2933 }
.title { font-size: 20px; font-weight: bold } .heading { font-size: 14px; font-weight: bold }
.axis, .quiet { fill: #616e7c } .axis, .middle, .number { text-anchor: middle } .right { text-anchor: end }
.number { fill: #fff; font-weight: bold } .disc { fill: #323f4b }
.kept { fill: #1c6b3c } .broken { fill: #b42318 }
.page { fill: #fff } .band { fill: #f2f4f7 } .lane { fill: #fafbfc } .grid { stroke: #dde2e8 }
.edge { stroke: #9aa5b1; stroke-dasharray: 2 3 }
.command { fill: #323f4b; fill-opacity: .13; stroke: #52606d }
.begin { fill: #323f4b } .in { fill: #fff; font-weight: bold }
.db { fill: #2563a8 } .web { fill: #c2620c } .other { fill: #6b5b95 }
.db-passing, .starting { fill: #9dc1e8 } .web-passing { fill: #f3c08f } .other-passing { fill: #c8bfe0 }
.failed { fill: #d92d20 } .gap { fill: #fac515; fill-opacity: .75 }
.answered { fill: #2f9e5f } .refused { fill: #d7dce2 }
"""


def render(story: Story) -> str:
    """Return the picture of a story, as a document that stands alone."""
    begin = min((act.begin for act in story.acts), default=0)
    end = max((act.end for act in story.acts), default=begin)
    states = lanes.segments(story.moments, end)
    page = [svg.text(24, 36, _TITLE, "title"), svg.text(24, 56, story.subtitle, "quiet"), *_legend(24, 80)]
    elements, y = _overview(story, states, begin, max(end, begin + 1), 114)
    page += elements
    for act in story.acts:
        elements, y = _act(story, states, act, y + 34)
        page += elements
    height = y + 20
    return svg.document(WIDTH, height, _TITLE, _STYLE, [svg.rect(0, 0, WIDTH, height, "page"), *page])


@dataclass(frozen=True, slots=True, kw_only=True)
class _Window:
    """A stretch of time and where it lies on the page."""

    begin: int
    end: int

    def x(self, usec: int) -> float:
        share = (usec - self.begin) / (self.end - self.begin)
        return LEFT + min(max(share, 0.0), 1.0) * (RIGHT - LEFT)

    def has(self, usec: int) -> bool:
        return self.begin <= usec <= self.end


def _overview(story: Story, states: Sequence[Segment], begin: int, end: int,
              y: float) -> tuple[list[str], float]:
    window = _Window(begin=begin, end=end)
    elements, bottom = _panel(story, states, window, None, begin, y + 16)
    free = 0.0
    for act in story.acts:
        x = window.x(act.begin)
        free = max(free, x) + 20
        elements += [svg.line(x, y + 10, x, bottom, "edge"), *_number(free - 11, y + 3, act.number)]
    return elements, bottom + 18


def _act(story: Story, states: Sequence[Segment], act: Act, y: float) -> tuple[list[str], float]:
    window = _window_of(story, act)
    elements = [*_number(34, y, act.number), svg.text(52, y + 5, act.title, "heading")]
    captions = [svg.text(52 + column * (WIDTH - 80) / 2, y + 24 + row * 16, words, kind)
                for (row, column), words, kind in _captions(act)]
    elements += captions
    y += 18 + (len(captions) + 1) // 2 * 16 + (14 if act.gaps else 0)
    origin = min((command.begin for command in act.commands), default=act.begin)
    drawn, bottom = _panel(story, states, window, act, origin, y)
    return [*elements, *drawn], bottom + 18


def _window_of(story: Story, act: Act) -> _Window:
    """From just before the first command to just after the last thing that happened."""
    times = [usec for command in act.commands for usec in (command.begin, command.end)]
    times += [moment.usec for moment in story.moments if act.begin <= moment.usec <= act.end]
    begin, end = min(times, default=act.begin), max(times, default=act.end)
    margin = max((end - begin) // 40, 1000)
    return _Window(begin=begin - margin, end=end + margin)


def _captions(act: Act) -> list[tuple[tuple[int, int], str, str]]:
    """Return the verdicts in two columns, read like lines: (row, column), words, class."""
    verdicts = [(f"✓ {text}", "kept") for text in act.kept]
    verdicts += [(f"✗ {text}", "broken") for text in act.broken]
    return [(divmod(number, 2), words, kind) for number, (words, kind) in enumerate(verdicts)]


def _panel(story: Story, states: Sequence[Segment], window: _Window, act: Act | None, origin: int,
           y: float) -> tuple[list[str], float]:
    """Draw all lanes, over a grid whose zero is at ``origin``; commands and evidence only for an act."""
    commands, gaps = (act.commands, act.gaps) if act is not None else ([], [])
    seen = lanes.clip(states, window.begin, window.end)
    bands, elements, upper = [], [], y
    for number, node in enumerate((*story.nodes, OUTSIDE)):
        top = y
        inside, y = _commands(window, [command for command in commands if command.node == node], top + _PAD)
        if node == OUTSIDE:
            inside += _visits(window, story.visits, y + _UNIT / 2)
            y += _UNIT
        else:
            drawn, y = _units(story, window, [segment for segment in seen if segment.node == node], y)
            inside += drawn
        y += _PAD
        name = "client" if node == OUTSIDE else node
        bands += [svg.rect(LEFT, top, RIGHT - LEFT, y - top, "lane" if number % 2 else "band"),
                  svg.text(LEFT - 10, (top + y) / 2 + 4, name, "right")]
        elements += inside
    return [*bands, *_grid(window, origin, upper, y), *_evidence(window, gaps, upper, y), *elements], y


def _commands(window: _Window, commands: Sequence[Command], y: float) -> tuple[list[str], float]:
    labels = [_label(command) for command in commands]
    starts = [_text_start(window, command, label) for command, label in zip(commands, labels, strict=True)]
    boxes = [(min(start, window.x(command.begin)),
              max(start + svg.width(label, _FONT), window.x(command.end)) + 10)
             for command, label, start in zip(commands, labels, starts, strict=True)]
    chosen = lanes.rows(boxes)
    elements = []
    for command, label, start, row in zip(commands, labels, starts, chosen, strict=True):
        top, left = y + row * _COMMAND, window.x(command.begin)
        wide = max(window.x(command.end) - left, 2.0)
        elements += [svg.rect(left, top + 1, wide, _COMMAND - 4, "command", command.text),
                     svg.rect(left - 1, top + 1, 3, _COMMAND - 4, "begin"),
                     svg.text(start, top + 12, label, "label")]
    return elements, y + (max(chosen, default=-1) + 1) * _COMMAND


def _label(command: Command) -> str:
    words = command.text if len(command.text) <= _LABEL_MAX else f"{command.text[:_LABEL_MAX - 1]}…"
    return words if command.status == 0 else f"{words}  → exit status {command.status}"


def _text_start(window: _Window, command: Command, label: str) -> float:
    """Right of the command's begin, unless the words would leave the page."""
    begin, wide = window.x(command.begin), svg.width(label, _FONT)
    return begin + 6 if begin + 6 + wide <= RIGHT else begin - 6 - wide


def _units(story: Story, window: _Window, states: Sequence[Segment], y: float) -> tuple[list[str], float]:
    elements = []
    units = sorted({segment.unit for segment in states})
    for segment in states:
        top = y + units.index(segment.unit) * _UNIT + 3
        left, right = window.x(segment.begin), window.x(segment.end)
        name = story.labels.get(segment.unit, segment.unit)
        seconds = (segment.end - segment.begin) / 1e6
        title = f"{segment.unit} on {segment.node}: {segment.step.value}, {seconds:.3f} s"
        elements.append(svg.rect(left, top, max(right - left, 1.5), _UNIT - 6, _kind(segment, name), title))
        words = {Step.STARTED: name, Step.FAILED: f"{name} failed"}.get(segment.step, "")
        if words and right - left > svg.width(words, _BOLD) + 8:
            elements.append(svg.text(left + 6, top + 12, words, "in"))
    return elements, y + max(len(units), 1) * _UNIT


def _kind(segment: Segment, name: str) -> str:
    if segment.step is Step.FAILED:
        return "failed"
    colour = name if name in ("db", "web") else "other"
    return colour if segment.step is Step.STARTED else f"{colour}-passing"


def _visits(window: _Window, visits: Sequence[Visit], y: float) -> list[str]:
    return [svg.circle(window.x(visit.usec), y, 2.2, "answered" if visit.is_answered else "refused")
            for visit in visits if window.has(visit.usec)]


def _evidence(window: _Window, gaps: Sequence[Gap], top: float, bottom: float) -> list[str]:
    elements = []
    for gap in gaps:
        left, right = sorted((window.x(gap.first.usec), window.x(gap.then.usec)))
        elements += [svg.rect(left, top, max(right - left, 1.5), bottom - top, "gap", gap.text),
                     svg.line(left, top, left, bottom, "edge"), svg.line(right, top, right, bottom, "edge"),
                     svg.text((left + right) / 2, top - 4, f"{gap.usec / 1000:.1f} ms", "middle")]
    return elements


def _grid(window: _Window, origin: int, top: float, bottom: float) -> list[str]:
    elements = []
    for seconds in lanes.ticks((window.end - origin) / 1e6, _TICKS_MAX):
        x = window.x(origin + round(seconds * 1e6))
        elements += [svg.line(x, top, x, bottom + 3, "grid"),
                     svg.text(x, bottom + 15, f"{seconds:g} s", "axis")]
    return elements


def _number(x: float, y: float, number: int) -> list[str]:
    return [svg.circle(x, y, 9, "disc"), svg.text(x, y + 4, str(number), "number")]


def _legend(x: float, y: float) -> list[str]:
    elements = []
    for kind, words in _LEGEND:
        elements += [svg.rect(x, y - 9, 22, 11, kind), svg.text(x + 28, y, words, "quiet")]
        x += 28 + svg.width(words, _FONT) + 22
    for kind, words in (("answered", "request answered"), ("refused", "not answered")):
        elements += [svg.circle(x + 4, y - 4, 3, kind), svg.text(x + 13, y, words, "quiet")]
        x += 13 + svg.width(words, _FONT) + 22
    return elements
