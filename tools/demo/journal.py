# SPDX-License-Identifier: LGPL-2.1-or-later
"""The demo's reading of the nodes' journals: what systemd did to its units, what Synod said of a node.

Nothing here knows what ought to have happened.
"""

import re
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Final

from demo.record import Gap, Mark, Moment, Step, Turn
from synod.base.messages import MessageId
from witness import journal

_STEPS: Final = {
    journal.STARTING: Step.STARTING,
    journal.STARTED: Step.STARTED,
    journal.STOPPING: Step.STOPPING,
    journal.STOPPED: Step.STOPPED,
    journal.FAILED: Step.FAILED,
}
_TURNS: Final = {
    MessageId.NODE_LOST.value: Turn.LOST,
    MessageId.NODE_FENCED.value: Turn.FENCED,
}
_ON_A_NODE: Final = re.compile(r"'(?P<node>[^']+)' [^:]*: (?P<reason>.*)\.")
_AGENT: Final = "synod.service"


def moments_command(place: Path, units: Sequence[str], since: int) -> tuple[str, ...]:
    """Return the program that prints what systemd did to the units, from ``since`` (microseconds) on."""
    matches = (*(f"UNIT={unit}" for unit in units), *(f"MESSAGE_ID={step}" for step in _STEPS), "_PID=1")
    return journal.reader(place, since, *matches)


def messages_command(place: Path, unit: str, since: int) -> tuple[str, ...]:
    """Return the program that prints what a unit, and systemd and Synod about it, wrote."""
    return journal.reader(place, since, f"--unit={unit}")


def marks_command(place: Path, since: int) -> tuple[str, ...]:
    """Return the program that prints what the agent of a node said of other nodes."""
    turns = (f"MESSAGE_ID={turn}" for turn in _TURNS)
    return journal.reader(place, since, f"_SYSTEMD_UNIT={_AGENT}", *turns)


def moments(node: str, text: str) -> list[Moment]:
    """Read what ``moments_command`` printed on behalf of a node."""
    return [Moment(usec=journal.stamp(entry), node=node, unit=entry["UNIT"], step=_step(entry))
            for entry in journal.entries(text)]


def messages(text: str, since: int) -> list[str]:
    """Read the texts that ``messages_command`` printed, from ``since`` on."""
    return [str(entry.get("MESSAGE", "")) for entry in journal.entries(text)
            if journal.stamp(entry) >= since]


def marks(text: str) -> list[Mark]:
    """Read what ``marks_command`` printed on behalf of any node."""
    found = [(entry, _ON_A_NODE.fullmatch(entry["MESSAGE"])) for entry in journal.entries(text)]
    return [Mark(usec=journal.stamp(entry), node=said["node"], turn=_TURNS[entry["MESSAGE_ID"]],
                 reason=said["reason"])
            for entry, said in found if said is not None]


def gap(found: Iterable[Moment], first: tuple[str, Step], then: tuple[str, Step], text: str) -> Gap | None:
    """Return how long after the last moment of one kind the first of another came, if there are both."""
    found = sorted(found, key=lambda moment: moment.usec)
    before = [moment for moment in found if (moment.unit, moment.step) == first]
    after = [moment for moment in found if (moment.unit, moment.step) == then]
    return Gap(first=before[-1], then=after[0], text=text) if before and after else None


def _step(entry: dict[str, str]) -> Step:
    step = _STEPS[entry["MESSAGE_ID"]]
    if step is Step.FAILED and entry.get("JOB_RESULT") == "dependency":
        return Step.REFUSED
    return Step.SKIPPED if journal.is_skipped(entry) else step
