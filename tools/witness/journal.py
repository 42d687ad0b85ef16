# SPDX-License-Identifier: LGPL-2.1-or-later
"""What the nodes' own journals say about units, read from outside: it survives the node that wrote it.

PID 1 stamps its messages itself. The identifiers are systemd's (sd-messages.h). Knows nothing of clusters.
"""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from witness.copies import Event, Step

_STEPS: Final = {
    "7d4958e842da4a758f6c1cdc7b36dcc5": Step.STARTING,
    "39f53479d3a045ac8e11786248231fbf": Step.ACTIVE,
    "9d1aaa27d60140bd96365438aad20286": Step.GONE,  # a stop job is done
    "7ad2d189f7e94e70a38c781354912448": Step.GONE,  # inactive, with success
    "d9b373ed55a64feb8242e02dbe79a49c": Step.GONE,  # inactive or failed, with a result
}  # fmt: skip
# Only the text tells a start job that found its conditions unmet from one that started the unit.
_SKIPPED: Final = " was skipped because "
_LAST_LINES: Final = 20


def command(directory: Path, units: Sequence[str], since: int) -> tuple[str, ...]:
    """Return the program that prints what PID 1 wrote on the units, from ``since`` (microseconds) on."""
    matches = (*(f"UNIT={unit}" for unit in units), *(f"MESSAGE_ID={step}" for step in _STEPS), "_PID=1")
    fields = "MESSAGE,MESSAGE_ID,UNIT,_BOOT_ID,_SOURCE_REALTIME_TIMESTAMP"
    return ("journalctl", f"--directory={directory}", "--output=json", f"--output-fields={fields}",
            "--no-pager", "--quiet", f"--since=@{since // 1_000_000}", *matches)


def last_command(directory: Path, units: Sequence[str]) -> tuple[str, ...]:
    """Return the program that prints, for people, the last lines of and on the units."""
    return ("journalctl", f"--directory={directory}", f"--lines={_LAST_LINES}", "--output=short-precise",
            "--no-hostname", "--no-pager", "--quiet", *(f"--unit={unit}" for unit in units))


def events(node: str, text: str) -> list[Event]:
    """Read what ``command`` printed on behalf of a node."""
    entries = [json.loads(line) for line in text.splitlines() if line.startswith("{")]
    return [Event(usec=int(entry.get("_SOURCE_REALTIME_TIMESTAMP") or entry["__REALTIME_TIMESTAMP"]),
                  node=node, boot=entry["_BOOT_ID"], unit=entry["UNIT"], step=_STEPS[entry["MESSAGE_ID"]])
            for entry in entries if _SKIPPED not in entry["MESSAGE"]]
