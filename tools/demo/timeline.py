# SPDX-License-Identifier: LGPL-2.1-or-later
"""Draws a story as one SVG: the whole run on top, then each act on a time scale of its own.

A lane for each node shows what was typed there, in which state the units were, and when the node was off;
the last lane shows which requests of the client outside were answered. Yellow marks the evidence for an
order. Needs nothing but the story.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from demo import bars, lanes, svg
from demo.bars import Window
from demo.lanes import Segment, Span
from demo.palette import DEFINITIONS, FONT, LEFT, LINE, MARGIN, RIGHT, STYLE, WIDTH, legend
from demo.record import OUTSIDE, Act, Gap, Mark, Moment, Story, Turn

_PAD: Final = 4.0
_TICKS_MAX: Final = 12
_DOT: Final = 2.2
_SMALL_DOT: Final = 1.3
_CAPTION: Final = 52.0
_COLUMN: Final = (WIDTH - 80) / 2
_TITLE: Final = "Synod: systemd's dependencies across three nodes"


def render(story: Story) -> str:
    """Return the picture of a story, as a document that stands alone."""
    begin = min((act.begin for act in story.acts), default=0)
    end = max((act.end for act in story.acts), default=begin)
    last = max((_window_of(story, act).end for act in story.acts), default=end)
    canvas = _Canvas(story=story, states=lanes.segments(story.moments, last, story.marks),
                     darkness=lanes.darkness(story.marks, last))
    page = [svg.text(MARGIN, 36, _TITLE, "title"), svg.text(MARGIN, 56, story.subtitle, "quiet")]
    elements, y = legend(MARGIN, 80)
    page += elements
    elements, y = canvas.overview(begin, max(end, begin + 1), y + 34)
    page += elements
    for act in story.acts:
        elements, y = canvas.act(act, y + 34)
        page += elements
    height = y + 20
    inside = [DEFINITIONS, svg.rect(0, 0, WIDTH, height, "page"), *page]
    return svg.document(WIDTH, height, _TITLE, STYLE, inside)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Canvas:
    """A story, and what is derived from it once."""

    story: Story
    states: Sequence[Segment]
    darkness: Sequence[Span]

    def overview(self, begin: int, end: int, y: float) -> tuple[list[str], float]:
        window = Window(begin=begin, end=end)
        elements, bottom = self._panel(window, None, begin, y + 16)
        free = 0.0
        for act in self.story.acts:
            x = window.x(act.begin)
            free = max(free, x) + 20
            elements += [svg.line(x, y + 10, x, bottom, "edge"), *_number(free - 11, y + 3, act.number)]
        return elements, bottom + 18

    def act(self, act: Act, y: float) -> tuple[list[str], float]:
        window = _window_of(self.story, act)
        elements = [*_number(34, y, act.number), svg.text(_CAPTION, y + 5, act.title, "heading")]
        verdicts, y = _captions(act, y + 24)
        distances, y = _distances(window, act.gaps, y - 6)
        origin = _origin_of(self.story, act)
        drawn, bottom = self._panel(window, act, origin, y)
        return [*elements, *verdicts, *distances, *drawn], bottom + 18

    def _panel(self, window: Window, act: Act | None, origin: int, y: float) -> tuple[list[str], float]:
        """Draw all lanes, over a grid whose zero is at ``origin``; words and evidence only for an act."""
        back, front, upper = [], [], y
        for number, node in enumerate((*self.story.nodes, OUTSIDE)):
            top = y
            drawn, behind, y = (self._client(window, act, top) if node == OUTSIDE
                                else self._node(window, act, node, top))
            name = "client" if node == OUTSIDE else node
            back += [svg.rect(LEFT, top, RIGHT - LEFT, y - top, "lane" if number % 2 else "band"),
                     svg.text(LEFT - 10, (top + y) / 2 + 4, name, "right"), *behind]
            front += drawn
        gaps = act.gaps if act is not None else []
        return [*back, *_grid(window, origin, upper, y), *_evidence(window, gaps, upper, y), *front], y

    def _node(self, window: Window, act: Act | None, node: str,
              top: float) -> tuple[list[str], list[str], float]:
        """Draw a node's lane: what is in it, what is behind that, and where it ends."""
        marks = [mark for mark in self.story.marks if mark.node == node and window.has(mark.usec)]
        moments = [moment for moment in self.story.moments
                   if moment.node == node and window.has(moment.usec)]
        labels = [] if act is None else [
            *bars.turns(window, marks),
            *bars.commands(window, [command for command in act.commands if command.node == node]),
            *bars.skips(window, moments, self.story.labels)]
        words = bars.stack(labels, top + _PAD)
        states = [segment for segment in lanes.clip(self.states, window.begin, window.end)
                  if segment.node == node]
        off = [span for span in lanes.clip(self.darkness, window.begin, window.end) if span.node == node]
        drawn, bottom = bars.units(window, states, self.story.labels, words.bottom)
        if off or not (labels or states):
            bottom = max(bottom, words.bottom + bars.UNIT)
        bottom += _PAD
        dark = bars.darkness(window, off, words.bottom, bottom)
        return [*drawn, *words.draw()], [*dark, *words.ticks(bottom)], bottom

    def _client(self, window: Window, act: Act | None, top: float) -> tuple[list[str], list[str], float]:
        """Draw the lane of the client outside, likewise."""
        missed = [silence for silence in self.story.silences
                  if silence.begin < window.end and silence.end > window.begin]
        labels = [] if act is None else [
            *bars.silences(window, missed),
            *bars.commands(window, [command for command in act.commands if command.node == OUTSIDE])]
        words = bars.stack(labels, top + _PAD)
        requests = bars.requests(window, self.story.visits, missed, words.bottom + bars.UNIT / 2,
                                 _DOT if act is not None else _SMALL_DOT)
        return [*words.draw(), *requests], [], words.bottom + bars.UNIT + _PAD


def _happenings(story: Story, act: Act) -> list[tuple[int, int]]:
    """Begin and end of all that happened in an act."""
    found = [(command.begin, command.end) for command in act.commands]
    found += [(silence.begin, silence.end) for silence in story.silences
              if act.begin <= silence.end <= act.end]
    events: list[Moment | Mark] = [*story.moments, *story.marks]
    return found + [(event.usec, event.usec) for event in events if act.begin <= event.usec <= act.end]


def _window_of(story: Story, act: Act) -> Window:
    """From just before the first thing that happened to just after the last."""
    found = _happenings(story, act)
    begin = min((begin for begin, _ in found), default=act.begin)
    end = max((end for _, end in found), default=act.end)
    margin = max((end - begin) // 40, 1000)
    return Window(begin=begin - margin, end=end + margin)


def _origin_of(story: Story, act: Act) -> int:
    """The first thing that somebody did: typed a command, or switched a node off or on."""
    deeds = [command.begin for command in act.commands]
    deeds += [mark.usec for mark in story.marks
              if act.begin <= mark.usec <= act.end and mark.turn in (Turn.POWER_LOST, Turn.POWER_BACK)]
    return min(deeds, default=act.begin)


def _captions(act: Act, y: float) -> tuple[list[str], float]:
    """Return the verdicts in two columns, read like lines; one that is too long has a line of its own."""
    verdicts = [(f"✓ {text}", "kept") for text in act.kept]
    verdicts += [(f"✗ {text}", "broken") for text in act.broken]
    elements, column = [], 0
    for words, kind in verdicts:
        is_long = svg.width(words, FONT) > _COLUMN - 10
        if is_long and column:
            column, y = 0, y + LINE
        elements.append(svg.text(_CAPTION + column * _COLUMN, y, words, kind))
        column = 0 if is_long else 1 - column
        y += LINE if column == 0 else 0
    return elements, y + (LINE if column else 0)


def _distances(window: Window, gaps: Sequence[Gap], y: float) -> tuple[list[str], float]:
    """Return how far apart the two sides of each evidence are, above the panel, and where that begins."""
    words = [f"{gap.usec / 1000:.1f} ms" for gap in gaps]
    middles = [(window.x(gap.first.usec) + window.x(gap.then.usec)) / 2 for gap in gaps]
    halves = [svg.width(word, FONT) / 2 + 3 for word in words]
    middles = [min(max(x, LEFT + half), RIGHT - half) for x, half in zip(middles, halves, strict=True)]
    chosen = lanes.rows([lanes.Box(left=x - half, right=x + half)
                         for x, half in zip(middles, halves, strict=True)])
    top = y + (max(chosen, default=-1) + 1) * (LINE - 2)
    return [svg.text(x, top - 4 - row * (LINE - 2), word, "middle")
            for x, word, row in zip(middles, words, chosen, strict=True)], top


def _evidence(window: Window, gaps: Sequence[Gap], top: float, bottom: float) -> list[str]:
    elements = []
    for gap in gaps:
        left, right = sorted((window.x(gap.first.usec), window.x(gap.then.usec)))
        elements += [svg.rect(left, top, max(right - left, 1.5), bottom - top, "gap", gap.text),
                     svg.line(left, top, left, bottom, "edge"), svg.line(right, top, right, bottom, "edge")]
    return elements


def _grid(window: Window, origin: int, top: float, bottom: float) -> list[str]:
    elements = []
    for seconds in lanes.ticks((window.end - origin) / 1e6, _TICKS_MAX):
        x = window.x(origin + round(seconds * 1e6))
        elements += [svg.line(x, top, x, bottom + 3, "grid"),
                     svg.text(x, bottom + 15, f"{seconds:g} s", "axis")]
    return elements


def _number(x: float, y: float, number: int) -> list[str]:
    return [svg.circle(x, y, 9, "disc"), svg.text(x, y + 4, str(number), "number")]
