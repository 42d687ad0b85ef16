# SPDX-License-Identifier: LGPL-2.1-or-later
"""Draws the figures: a row for each measure and system, a dot for each run, a stroke for the median.

The scale is logarithmic, since what is compared differs by orders of magnitude; both ends are powers of ten.
Pure.
"""

import math
import statistics
from collections.abc import Callable, Sequence
from typing import Final

from bench_failover.figures import MEASURES, OURS, PEER, PLAIN, Figures
from demo import svg

WIDTH: Final = 980.0
_LEFT: Final = 390.0
_RIGHT: Final = 880.0
_TOP: Final = 92.0
_ROW: Final = 22.0
_SPACE: Final = 12.0
_TITLE: Final = "When a node or a service dies: Synod and Pacemaker on the same machine, in turn"
_SUBTITLE: Final = "Seconds, logarithmic. A dot is one run, the stroke is the median."
_STYLE: Final = """
text { font: 12px 'DejaVu Sans', 'Segoe UI', Helvetica, Arial, sans-serif; fill: #1f2933 }
.title { font-size: 17px; font-weight: bold } .quiet { fill: #616e7c } .right { text-anchor: end }
.axis { fill: #616e7c; text-anchor: middle } .page { fill: #fff } .grid { stroke: #dde2e8 }
.synod { fill: #2563a8; fill-opacity: .6 } .pacemaker { fill: #c2620c; fill-opacity: .6 }
.systemd { fill: #6b7785; fill-opacity: .6 }
.synod-median { fill: #17406d } .pacemaker-median { fill: #7d3f08 } .systemd-median { fill: #3e4c59 }
"""


def render(figures: Figures) -> str:
    """Return the picture, as a document that stands alone."""
    values = [value for row in figures.seconds.values() for value in row]
    low = math.floor(math.log10(min(values, default=1.0)))
    high = max(math.ceil(math.log10(max(values, default=1.0))), low + 1)

    def x(seconds: float) -> float:
        return _LEFT + (math.log10(seconds) - low) / (high - low) * (_RIGHT - _LEFT)

    rows, y = [], _TOP
    for measure in MEASURES:
        systems = [system for system in (OURS, PEER, PLAIN) if figures.of(measure, system)]
        for number, system in enumerate(systems):
            if number == 0:
                words = measure.text.strip()
                indent = 4 * (len(measure.text) - len(words))
                rows.append(svg.text(24 + indent, y + 15, words, "name"))
            rows += _row(figures.of(measure, system), system, x, y)
            y += _ROW
        y += _SPACE if systems else 0
    grid = [element for power in range(low, high + 1) for element in
            (svg.line(x(10.0 ** power), _TOP - 6, x(10.0 ** power), y, "grid"),
             svg.text(x(10.0 ** power), _TOP - 12, f"{10.0 ** power:g} s", "axis"))]
    head = [svg.rect(0, 0, WIDTH, y + 14, "page"), svg.text(24, 32, _TITLE, "title"),
            svg.text(24, 54, _SUBTITLE, "quiet")]
    return svg.document(WIDTH, y + 14, _TITLE, _STYLE, [*head, *grid, *rows])


def _row(values: Sequence[float], system: str, x: Callable[[float], float], y: float) -> list[str]:
    """Draw the runs of one system, its name on the left and its median on the right."""
    median = statistics.median(values)
    dots = [svg.circle(x(value), y + 11, 5, system) for value in values]
    return [svg.text(_LEFT - 16, y + 15, system, "right"), *dots,
            svg.rect(x(median) - 1.5, y + 2, 3, 18, f"{system}-median"),
            svg.text(_RIGHT + 16, y + 15, f"{median:.3g} s", "median")]
