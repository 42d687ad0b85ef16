# SPDX-License-Identifier: LGPL-2.1-or-later
"""What the nodes' own journals say, read from outside: the evidence survives the node that wrote it.

PID 1 stamps its messages itself, hence the order of two moments does not depend on when journald got to
them. The identifiers are systemd's (sd-messages.h); nothing here knows what ought to have happened.
"""

import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Final

from demo.record import Gap, Moment, Step

_STEPS: Final = {
    "7d4958e842da4a758f6c1cdc7b36dcc5": Step.STARTING,
    "39f53479d3a045ac8e11786248231fbf": Step.STARTED,
    "de5b426a63be47a7b6ac3eaac82e2f6f": Step.STOPPING,
    "9d1aaa27d60140bd96365438aad20286": Step.STOPPED,
    "be02cf6855d2428ba40df7e9d022f03d": Step.FAILED,
}
_SKIPPED: Final = " was skipped because "


def moments_command(directory: Path, units: Sequence[str], since: int) -> tuple[str, ...]:
    """Return the program that prints what systemd did to the units, from ``since`` (microseconds) on."""
    matches = (*(f"UNIT={unit}" for unit in units), *(f"MESSAGE_ID={step}" for step in _STEPS), "_PID=1")
    return (*_reader(directory, since), *matches)


def messages_command(directory: Path, unit: str, since: int) -> tuple[str, ...]:
    """Return the program that prints what a unit, and systemd and Synod about it, wrote."""
    return (*_reader(directory, since), f"--unit={unit}")


def moments(node: str, text: str) -> list[Moment]:
    """Read what ``moments_command`` printed on behalf of a node."""
    return [Moment(usec=_usec(entry), node=node, unit=entry["UNIT"], step=_step(entry))
            for entry in _entries(text)]


def messages(text: str, since: int) -> list[str]:
    """Read the texts that ``messages_command`` printed, from ``since`` on."""
    return [str(entry.get("MESSAGE", "")) for entry in _entries(text) if _usec(entry) >= since]


def gap(found: Iterable[Moment], first: tuple[str, Step], then: tuple[str, Step], text: str) -> Gap | None:
    """Return how long after the last moment of one kind the first of another came, if there are both."""
    found = sorted(found, key=lambda moment: moment.usec)
    before = [moment for moment in found if (moment.unit, moment.step) == first]
    after = [moment for moment in found if (moment.unit, moment.step) == then]
    return Gap(first=before[-1], then=after[0], text=text) if before and after else None


def _reader(directory: Path, since: int) -> tuple[str, ...]:
    return ("journalctl", f"--directory={directory}", "--output=json", "--no-pager", "--quiet",
            f"--since=@{since // 1_000_000}")


def _entries(text: str) -> list[dict[str, str]]:
    return [json.loads(line) for line in text.splitlines() if line.startswith("{")]


def _step(entry: dict[str, str]) -> Step:
    step = _STEPS[entry["MESSAGE_ID"]]
    if step is Step.FAILED and entry.get("JOB_RESULT") == "dependency":
        return Step.REFUSED
    # Only the text tells it from a unit that was started.
    return Step.SKIPPED if step is Step.STARTED and _SKIPPED in entry["MESSAGE"] else step


def _usec(entry: dict[str, str]) -> int:
    return int(entry.get("_SOURCE_REALTIME_TIMESTAMP") or entry["__REALTIME_TIMESTAMP"])
