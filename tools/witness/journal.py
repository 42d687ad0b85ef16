# SPDX-License-Identifier: LGPL-2.1-or-later
"""What the nodes' own journals say about units, read from outside: it survives the node that wrote it.

PID 1 stamps its messages itself, hence the order of two of them does not depend on when journald got to
them. The identifiers are systemd's (sd-messages.h). Knows nothing of clusters.
"""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from synod.lab import machine
from synod.lab.state import LabState
from witness.copies import Event, Step

STARTING: Final = "7d4958e842da4a758f6c1cdc7b36dcc5"
STARTED: Final = "39f53479d3a045ac8e11786248231fbf"
STOPPING: Final = "de5b426a63be47a7b6ac3eaac82e2f6f"
STOPPED: Final = "9d1aaa27d60140bd96365438aad20286"
FAILED: Final = "be02cf6855d2428ba40df7e9d022f03d"
INACTIVE: Final = "7ad2d189f7e94e70a38c781354912448"
"""With success; no job asked for it."""
ENDED: Final = "d9b373ed55a64feb8242e02dbe79a49c"
"""Inactive or failed, with a result."""

_STEPS: Final = {STARTING: Step.STARTING, STARTED: Step.ACTIVE, STOPPED: Step.GONE, INACTIVE: Step.GONE,
                 ENDED: Step.GONE}
_SKIPPED: Final = " was skipped because "
_LAST_LINES: Final = 20


def directory(lab: LabState, node: str) -> Path:
    """Return where the journal of a node is on this machine, also while the node is off."""
    return machine.disk(lab, node) / "upper/var/log/journal"


def reader(place: Path, since: int, *matches: str) -> tuple[str, ...]:
    """Return the program that prints, for programs, what was written from ``since`` (microseconds) on."""
    return ("journalctl", f"--directory={place}", "--output=json", "--no-pager", "--quiet",
            f"--since=@{since // 1_000_000}", *matches)


def command(place: Path, units: Sequence[str], since: int) -> tuple[str, ...]:
    """Return the program that prints what PID 1 wrote on the units, from ``since`` (microseconds) on."""
    matches = (*(f"UNIT={unit}" for unit in units), *(f"MESSAGE_ID={step}" for step in _STEPS), "_PID=1")
    fields = "MESSAGE,MESSAGE_ID,UNIT,_BOOT_ID,_SOURCE_REALTIME_TIMESTAMP"
    return reader(place, since, f"--output-fields={fields}", *matches)


def last_command(place: Path, units: Sequence[str]) -> tuple[str, ...]:
    """Return the program that prints, for people, the last lines of and on the units."""
    return ("journalctl", f"--directory={place}", f"--lines={_LAST_LINES}", "--output=short-precise",
            "--no-hostname", "--no-pager", "--quiet", *(f"--unit={unit}" for unit in units))


def events(node: str, text: str) -> list[Event]:
    """Read what ``command`` printed on behalf of a node."""
    return [Event(usec=stamp(entry), node=node, boot=entry["_BOOT_ID"], unit=entry["UNIT"],
                  step=_STEPS[entry["MESSAGE_ID"]])
            for entry in entries(text) if not is_skipped(entry)]


def entries(text: str) -> list[dict[str, str]]:
    """Read what a ``reader`` printed."""
    return [json.loads(line) for line in text.splitlines() if line.startswith("{")]


def stamp(entry: dict[str, str]) -> int:
    """Return when a message was written, by its writer's own word if there is one."""
    return int(entry.get("_SOURCE_REALTIME_TIMESTAMP") or entry["__REALTIME_TIMESTAMP"])


def is_skipped(entry: dict[str, str]) -> bool:
    """Return whether a start job found its conditions unmet: only the text tells it from a start."""
    return entry["MESSAGE_ID"] == STARTED and _SKIPPED in entry["MESSAGE"]
