# SPDX-License-Identifier: LGPL-2.1-or-later
"""What the runs showed: a line of JSON for each, a table for people, one JSON object at the end. Pure."""

import json
import statistics
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from typing import Final

_FIGURES: Final = ("power", "power-both")


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """One thing that happened to one cluster."""

    number: int
    kind: str
    text: str
    is_fenced: bool
    holder: str
    leader: str
    home: str
    """Where app runs afterwards; empty if it does not."""
    away_sec: float
    """From the beginning of the deed to the first stamp of app's new run; 0 when it was not restarted."""
    address_sec: float | None
    """The longest time that the client outside went without a reply; None: it never got one again."""
    bound_sec: float
    overlaps: tuple[str, ...] = ()
    wrong: str = ""
    """What ought not to be, apart from overlaps; empty if nothing."""

    @property
    def is_good(self) -> bool:
        """Whether everything was as promised."""
        return not self.overlaps and not self.wrong

    def line(self) -> str:
        """Return the run as a line of JSON."""
        return json.dumps(asdict(self))


def table(runs: Sequence[Run]) -> list[str]:
    """Return the lines of the table: medians and maxima in seconds, by kind."""
    head = (f"{'what happened':<40} {'fence':<5} {'runs':>4} {'away':>7} {'max':>7} {'bound':>7}"
            f" {'address':>8} {'max':>7}")
    lines = [head, "-" * len(head)]
    for name, is_fenced in dict.fromkeys((run.kind, run.is_fenced) for run in runs):
        group = [run for run in runs if (run.kind, run.is_fenced) == (name, is_fenced)]
        away = [run.away_sec for run in group]
        address = [run.address_sec for run in group if run.address_sec is not None]
        shown = f"{statistics.median(address):>8.3f} {max(address):>7.3f}" if address else ""
        lines.append(f"{group[0].text:<40} {'yes' if is_fenced else 'no':<5} {len(group):>4} "
                     f"{statistics.median(away):>7.3f} {max(away):>7.3f} "
                     f"{max(run.bound_sec for run in group):>7.2f} {shown}")
    return lines


def result(runs: Sequence[Run]) -> str:
    """Return the last line."""
    figures: dict[str, float | int] = {
        "runs": len(runs),
        "bad_runs": sum(not run.is_good for run in runs),
        "overlaps": sum(len(run.overlaps) for run in runs),
    }
    for kind in _FIGURES:
        for is_fenced in (False, True):
            away = _away(runs, kind, is_fenced=is_fenced)
            if away:
                name = f"{kind.replace('-', '_')}_{'fenced' if is_fenced else 'unfenced'}"
                figures[f"{name}_median_s"] = round(statistics.median(away), 3)
                figures[f"{name}_max_s"] = round(max(away), 3)
    nearest = max((run.away_sec / run.bound_sec for run in runs if run.bound_sec), default=0.0)
    ratios = {"worst_of_bound": round(nearest, 3)}
    return json.dumps({"bench": "faults", "ratios": ratios, "figures": figures})


def _away(runs: Iterable[Run], kind: str, *, is_fenced: bool) -> list[float]:
    return [run.away_sec for run in runs if run.kind == kind and run.is_fenced is is_fenced]
