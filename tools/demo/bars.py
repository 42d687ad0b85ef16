# SPDX-License-Identifier: LGPL-2.1-or-later
"""What a lane of the picture holds: commands, turns of its node, states of units, requests.

Whatever has words is a label; labels of one lane are stacked, so that none covers another. Pure.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from demo import lanes, svg
from demo.lanes import Segment, Span
from demo.palette import BOLD, FONT, LEFT, RIGHT, UNITS
from demo.record import Command, Mark, Moment, Step, Turn, Visit
from witness.silence import Silence

ROW: Final = 19.0
UNIT: Final = 22.0
_LABEL_MAX: Final = 64
_TURNS: Final = {
    Turn.POWER_LOST: ("power lost", "bad"),
    Turn.POWER_BACK: ("power back", "good"),
    Turn.OFF: ("off", "turn"),
    Turn.LOST: ("counted as lost", "turn"),
    Turn.FENCED: ("fenced: proved to be off", "turn"),
    Turn.ONLINE: ("online again", "good"),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Window:
    """A stretch of time and where it lies on the page."""

    begin: int
    end: int

    def x(self, usec: int) -> float:
        """Return where a moment is; what lies outside is at the edge."""
        share = (usec - self.begin) / (self.end - self.begin)
        return LEFT + min(max(share, 0.0), 1.0) * (RIGHT - LEFT)

    def has(self, usec: int) -> bool:
        """Return whether a moment is within."""
        return self.begin <= usec <= self.end


@dataclass(frozen=True, slots=True, kw_only=True)
class Label:
    """Words at a bar or a tick from ``left`` to ``right``: within it, else after it, else before it."""

    left: float
    right: float
    words: str
    kind: str = "label"
    """The class of the words."""
    bar: bool = False
    tick: str = ""
    """The class of a line that goes down from here."""
    title: str = ""

    @property
    def text(self) -> tuple[float, float]:
        """From where to where the words go."""
        wide = svg.width(self.words, BOLD if self.kind == "alarm" else FONT)
        if self.left + 6 + wide + 2 <= self.right:
            return self.left + 6, self.left + 6 + wide
        if self.right + 5 + wide <= RIGHT:
            return self.right + 5, self.right + 5 + wide
        return self.left - 6 - wide, self.left - 6

    @property
    def box(self) -> lanes.Box:
        """What nothing else may cover."""
        begin, end = self.text
        return lanes.Box(left=min(self.left, begin) - 2, right=max(self.right, end) + 8,
                         stem=self.left if self.tick else None)

    def draw(self, y: float) -> list[str]:
        """Return the elements; ``y`` is the top of the row."""
        begin, end = self.text
        # The font's true width is not known: words before a bar end there.
        text = (svg.text(begin, y + 12, self.words, self.kind) if begin > self.left
                else svg.text(end, y + 12, self.words, f"{self.kind} right"))
        if not self.bar:
            return [text]
        return [svg.rect(self.left, y + 1, self.right - self.left, ROW - 4, "command", self.title),
                svg.rect(self.left - 1, y + 1, 3, ROW - 4, "begin"), text]


@dataclass(frozen=True, slots=True, kw_only=True)
class Stack:
    """Labels in as few rows as they need."""

    placed: list[tuple[Label, float]]
    """Each with the top of its row."""
    bottom: float

    def draw(self) -> list[str]:
        """Return the elements of the labels."""
        return [element for label, top in self.placed for element in label.draw(top)]

    def ticks(self, bottom: float) -> list[str]:
        """Return the lines that go down from the labels."""
        return [svg.line(label.left, top, label.left, bottom, label.tick)
                for label, top in self.placed if label.tick]


def stack(labels: Iterable[Label], y: float) -> Stack:
    """Put labels into rows, the first of which begins at ``y``."""
    found = sorted(labels, key=lambda label: (label.left, label.right))
    chosen = lanes.rows([label.box for label in found])
    return Stack(placed=[(label, y + row * ROW) for label, row in zip(found, chosen, strict=True)],
                 bottom=y + (max(chosen, default=-1) + 1) * ROW)


def commands(window: Window, found: Iterable[Command]) -> list[Label]:
    """Return what was typed."""
    return [Label(left=left, right=max(window.x(command.end), left + 2), words=_words(command), bar=True,
                  title=command.text) for command in found for left in (window.x(command.begin),)]


def turns(window: Window, found: Iterable[Mark]) -> list[Label]:
    """Return what became of a node."""
    return [_tick(window.x(mark.usec), *_TURNS[mark.turn]) for mark in found]


def skips(window: Window, found: Iterable[Moment], names: dict[str, str]) -> list[Label]:
    """Return where systemd found that a unit is not to be started on the node."""
    return [_tick(window.x(moment.usec), f"{names.get(moment.unit, moment.unit)} not started here", "turn")
            for moment in found if moment.step is Step.SKIPPED]


def silences(window: Window, found: Iterable[Silence]) -> list[Label]:
    """Return how long there was no answer, as words above the stretch of time."""
    return [Label(left=window.x(silence.begin), right=window.x(silence.end), kind="alarm",
                  words=f"no answer for {silence.seconds:.2f} s") for silence in found]


def units(window: Window, states: Sequence[Segment], labels: dict[str, str],
          y: float) -> tuple[list[str], float]:
    """Draw the states of a node's units, a row for each; return where the rows end."""
    elements = []
    rows = sorted({segment.unit for segment in states})
    for segment in states:
        top = y + rows.index(segment.unit) * UNIT + 3
        left, right = window.x(segment.begin), window.x(segment.end)
        name = labels.get(segment.unit, segment.unit)
        seconds = (segment.end - segment.begin) / 1e6
        title = f"{segment.unit} on {segment.node}: {segment.step.value}, {seconds:.3f} s"
        elements.append(svg.rect(left, top, max(right - left, 1.5), UNIT - 6, _kind(segment, name), title))
        words = {Step.STARTED: name, Step.FAILED: f"{name} failed"}.get(segment.step, "")
        if words and right - left > svg.width(words, BOLD) + 12:
            elements.append(svg.text(left + 6, top + 12, words, "in"))
    return elements, y + len(rows) * UNIT


def darkness(window: Window, found: Iterable[Span], top: float, bottom: float) -> list[str]:
    """Draw when a node was off."""
    return [svg.rect(left, top, window.x(span.end) - left, bottom - top, "off", f"{span.node} is off")
            for span in found for left in (window.x(span.begin),)]


def requests(window: Window, visits: Iterable[Visit], missed: Iterable[Silence], y: float,
             radius: float) -> list[str]:
    """Draw the requests of the client outside, over the time without an answer."""
    elements = [svg.rect(window.x(silence.begin), y - 8, window.x(silence.end) - window.x(silence.begin), 16,
                         "silence", f"no answer for {silence.seconds:.3f} s") for silence in missed]
    elements += [svg.circle(window.x(visit.usec), y, radius, "answered" if visit.is_answered else "refused")
                 for visit in visits if window.has(visit.usec)]
    return elements


def _tick(x: float, words: str, kind: str) -> Label:
    return Label(left=x, right=x, words=words, kind="label halo", tick=kind)


def _words(command: Command) -> str:
    words = command.text if len(command.text) <= _LABEL_MAX else f"{command.text[:_LABEL_MAX - 1]}…"
    return words if command.status == 0 else f"{words}  → exit status {command.status}"


def _kind(segment: Segment, name: str) -> str:
    if segment.step is Step.FAILED:
        return "failed"
    colour = name if name in UNITS else "other"
    return colour if segment.step is Step.STARTED else f"{colour}-passing"
