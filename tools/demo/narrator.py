# SPDX-License-Identifier: LGPL-2.1-or-later
"""Tells the story while it happens: what was typed, what came of it, how long it took, every verdict.

The only printer of the demo. A promise that is broken ends the performance; nothing else is decided here.
"""

import textwrap
from collections.abc import Iterable, Sequence
from typing import TextIO

from demo.record import OUTSIDE, Act, Command, Gap, Mark, Moment, Story
from synod.base.errors import SynodError
from witness.silence import Silence

KEPT = "✓"
BROKEN = "✗"

_PLAIN = {"bold": "", "dim": "", "good": "", "bad": "", "off": ""}
_COLOURS = {"bold": "\033[1m", "dim": "\033[2m", "good": "\033[32m", "bad": "\033[1;31m", "off": "\033[0m"}
_WIDTH = 100
_UNIT_WIDTH = 35
_WRAPPER = textwrap.TextWrapper(_WIDTH - 6, subsequent_indent="  ", break_on_hyphens=False)


class BrokenPromiseError(SynodError):
    """What Synod promises did not happen; the text is the promise."""


class Narrator:
    """Prints to a stream, and keeps in the story what the picture will show."""

    def __init__(self, story: Story, out: TextIO, *, is_terminal: bool) -> None:
        self._story = story
        self._out = out
        self._style = _COLOURS if is_terminal else _PLAIN

    @property
    def act(self) -> Act:
        """The act that is on."""
        return self._story.acts[-1]

    def heading(self, text: str) -> None:
        """Begin a part that is no act."""
        self._line(f"\n{self._paint('bold', text)}")

    def begin(self, title: str, usec: int) -> None:
        """Begin an act."""
        self._story.acts.append(Act(number=len(self._story.acts) + 1, title=title, begin=usec))
        self.heading(f"{self.act.number}  {title}")

    def end(self, usec: int) -> None:
        """End the act that is on."""
        self.act.end = usec

    def step(self, text: str, seconds: float) -> None:
        """Tell of something done by the demo itself that took a while."""
        self._columns(f"  {KEPT} {text}", f"{seconds:7.2f} s")

    def command(self, done: Command, *, shown: str = "", where: str = "") -> Command:
        """Tell of a command that has ended; ``shown`` stands for it where the real words are long."""
        prompt = "$" if done.node == OUTSIDE else "#"
        status = "" if done.status == 0 else f"exit status {done.status}, "
        words = f"  {where or done.node}{prompt} {shown or done.text}"
        self._columns(words, f"{status}{done.seconds:.2f} s")
        if self._story.acts:
            self.act.commands.append(done)
        return done

    def happened(self, found: Iterable[Moment | Mark], since: int) -> None:
        """Tell what happened on the nodes, with the time since it was brought about."""
        for event in found:
            after = f"+{(event.usec - since) / 1e6:.3f} s"
            self._line(self._paint("dim", f"      {after:>10}  {event.node}  {_words(event)}"))

    def quote(self, lines: Iterable[str]) -> None:
        """Show what a program said."""
        for line in lines:
            for part in _WRAPPER.wrap(line) or [""]:
                self._line(self._paint("dim", f"      {part}"))

    def promise(self, is_kept: bool, text: str, gap: Gap | None = None) -> None:
        """Tell whether a promise was kept; one that was not ends the performance."""
        if not is_kept:
            self.act.broken.append(text)
            self._line(self._paint("bad", f"    {BROKEN} {text}"))
            raise BrokenPromiseError(text)
        self.act.kept.append(text)
        if gap is not None:
            self.act.gaps.append(gap)
        self._line(f"    {self._paint('good', KEPT)} {text}")

    def order(self, gap: Gap | None, text: str) -> None:
        """Tell whether two things happened in the promised order, and how far apart."""
        if gap is None:
            self.promise(False, f"{text}: the journals do not show both")
            return
        self.promise(gap.usec > 0, f"{text}, by {gap.usec / 1000:.1f} ms", gap)

    def silence(self, found: Silence) -> None:
        """Keep for the picture how long the client outside had no answer."""
        self._story.silences.append(found)

    def summary(self, rows: Sequence[tuple[str, str]]) -> None:
        """Print the figures."""
        self.heading("Summary")
        for text, figure in rows:
            self._columns(f"  {text}", figure)

    def success(self, text: str) -> None:
        """Tell that all went well."""
        self._line(f"\n{self._paint('good', KEPT)} {text}")

    def failure(self, text: str) -> None:
        """Tell what did not go well."""
        self._line(f"\n{self._paint('bad', BROKEN)} {text}")

    def _columns(self, left: str, right: str) -> None:
        self._line(f"{left:<{max(_WIDTH - len(right) - 1, 0)}} {right}")

    def _paint(self, style: str, text: str) -> str:
        return f"{self._style[style]}{text}{self._style['off']}"

    def _line(self, text: str) -> None:
        print(text, file=self._out, flush=True)


def _words(event: Moment | Mark) -> str:
    if isinstance(event, Moment):
        return f"{event.unit:<{_UNIT_WIDTH}} {event.step.value}"
    # What a device said in detail is the journal's to tell.
    reason = event.reason.partition(" (")[0]
    return f"{event.turn.value}: {reason}" if reason else event.turn.value
