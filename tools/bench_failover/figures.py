# SPDX-License-Identifier: LGPL-2.1-or-later
"""What was measured, as a table for people and as one line of JSON for comparison. Pure.

A ratio is Pacemaker's median by ours: above 1, ours is faster. Where there is nothing to compare with, it is
null: an absent figure must not look like a good one.
"""

import json
import statistics
from dataclasses import dataclass, field
from typing import Final

OURS: Final = "synod"
PEER: Final = "pacemaker"
PLAIN: Final = "systemd"
"""A unit that no cluster has to do with."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Measure:
    """Something that is measured several times on each system."""

    name: str
    """As in the JSON line."""
    text: str
    goal: str = ""
    """What we promise, for people."""


UNFENCED: Final = Measure(name="unfenced", text="power loss -> pair active, no fence device",
                           goal="6.0 (LeaseSec= and 1)")
UNFENCED_ADDRESS: Final = Measure(name="unfenced_address", text="    the client misses the address for")
FENCED: Final = Measure(name="fenced", text="power loss -> pair active, fence device", goal="1.0, max 1.5")
FENCED_ADDRESS: Final = Measure(name="fenced_address", text="    the client misses the address for")
CRASH: Final = Measure(name="crash", text="db killed -> db active again")

MEASURES: Final = (UNFENCED, UNFENCED_ADDRESS, FENCED, FENCED_ADDRESS, CRASH)
COMPARED: Final = (FENCED, UNFENCED, CRASH)


@dataclass(slots=True, kw_only=True)
class Figures:
    """Seconds, by measure and system, in the order in which they were measured."""

    seconds: dict[tuple[str, str], list[float]] = field(default_factory=dict)

    def add(self, measure: Measure, system: str, value: float) -> None:
        """Note one measurement."""
        self.seconds.setdefault((measure.name, system), []).append(value)

    def of(self, measure: Measure, system: str) -> list[float]:
        """Return what was measured, perhaps nothing."""
        return self.seconds.get((measure.name, system), [])

    def ratio(self, measure: Measure) -> float | None:
        """Return by how much the other system's median is longer."""
        ours, peers = self.of(measure, OURS), self.of(measure, PEER)
        return statistics.median(peers) / statistics.median(ours) if ours and peers else None


def table(figures: Figures) -> list[str]:
    """Return the lines of the table."""
    head = f"{'seconds':<45} {'system':<10} {'runs':>4} {'median':>8} {'max':>8}  {'ratio':>6}  goal"
    lines = [head, "-" * len(head)]
    for measure in MEASURES:
        for system in (OURS, PEER, PLAIN):
            values = figures.of(measure, system)
            if values:
                ratio = figures.ratio(measure) if system == PEER else None
                goal = measure.goal if system == OURS else ""
                shown = f"{ratio:.1f} x" if ratio is not None else ""
                line = (f"{measure.text:<45} {system:<10} {len(values):>4} "
                        f"{statistics.median(values):>8.3f} {max(values):>8.3f}  {shown:>6}  {goal}")
                lines.append(line.rstrip())
    return lines


def result(figures: Figures, more: dict[str, int | float | str]) -> str:
    """Return the last line: ratios, medians, maxima, and ``more`` figures."""
    ratios = {measure.name: _rounded(figures.ratio(measure)) for measure in COMPARED}
    flat: dict[str, int | float | str | None] = {}
    for (name, system), values in figures.seconds.items():
        flat[f"{name}_{system}_median_s"] = _rounded(statistics.median(values))
        flat[f"{name}_{system}_max_s"] = _rounded(max(values))
    return json.dumps({"bench": "failover", "ratios": ratios, "figures": flat | more})


def _rounded(value: float | None) -> float | None:
    return round(value, 3) if value is not None else None
