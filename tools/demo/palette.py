# SPDX-License-Identifier: LGPL-2.1-or-later
"""What the picture looks like: sizes, colours, and the legend that explains them."""

from typing import Final

from demo import svg

WIDTH: Final = 1180.0
LEFT: Final = 96.0
RIGHT: Final = WIDTH - 28.0
MARGIN: Final = 24.0

FONT: Final = 11.0
BOLD: Final = 13.0
"""Bold characters of 11 pixels are as wide as others of this size."""
LINE: Final = 16.0

UNITS: Final = ("db", "address", "web")
"""The names that have a colour of their own."""
STYLE: Final = """
text { font: 11px 'DejaVu Sans', 'Segoe UI', Helvetica, Arial, sans-serif; fill: #1f2933 }
.title { font-size: 20px; font-weight: bold } .heading { font-size: 14px; font-weight: bold }
.axis, .quiet { fill: #616e7c } .axis, .middle, .number { text-anchor: middle } .right { text-anchor: end }
.number { fill: #fff; font-weight: bold } .disc { fill: #323f4b }
.kept { fill: #1c6b3c } .broken { fill: #b42318 }
.page { fill: #fff } .band { fill: #f2f4f7 } .lane { fill: #fafbfc } .grid { stroke: #dde2e8 }
.edge { stroke: #9aa5b1; stroke-dasharray: 2 3 }
.command { fill: #323f4b; fill-opacity: .13; stroke: #52606d }
.begin { fill: #323f4b } .in { fill: #fff; font-weight: bold }
.db { fill: #2563a8 } .web { fill: #c2620c } .address { fill: #6b5b95 } .other { fill: #52606d }
.db-passing, .passing { fill: #9dc1e8 } .web-passing { fill: #f3c08f } .address-passing { fill: #c8bfe0 }
.other-passing { fill: #b8c1cc }
.failed { fill: #d92d20 } .gap { fill: #fac515; fill-opacity: .75 }
.answered { fill: #2f9e5f } .refused { fill: #c3cad2 }
.off { fill: url(#hatch) } .hatch { stroke: #7b8794; stroke-width: 1.6 } .hatched { fill: #d5dae1 }
.bad { stroke: #b42318; stroke-width: 2 } .good { stroke: #2f9e5f; stroke-width: 2 }
.turn { stroke: #323f4b; stroke-width: 2 }
.halo { paint-order: stroke; stroke: #fff; stroke-width: 3px; stroke-linejoin: round }
.silence { fill: #d92d20; fill-opacity: .16; stroke: #b42318 } .alarm { fill: #b42318; font-weight: bold }
"""
DEFINITIONS: Final = ('<defs><pattern id="hatch" width="7" height="7" patternUnits="userSpaceOnUse" '
                      'patternTransform="rotate(45)"><rect class="hatched" width="7" height="7"/>'
                      '<line class="hatch" x1="0" y1="0" x2="0" y2="7"/></pattern></defs>')

_BARS: Final = (("passing", "starting or stopping"), ("db", "db active"), ("address", "address active"),
                ("web", "web active"), ("failed", "failed"), ("off", "node is off"),
                ("gap", "evidence for an order"), ("silence", "client without an answer"))
_DOTS: Final = (("answered", "request answered"), ("refused", "not answered"))


def legend(x: float, y: float) -> tuple[list[str], float]:
    """Return what explains the colours, in as many lines as it takes, and where it ends."""
    entries = [*((*entry, True) for entry in _BARS), *((*entry, False) for entry in _DOTS)]
    elements, left = [], x
    for kind, words, is_bar in entries:
        wide = (28 if is_bar else 13) + svg.width(words, FONT)
        if left + wide > RIGHT:
            left, y = x, y + LINE + 2
        if is_bar:
            elements += [svg.rect(left, y - 9, 22, 11, kind), svg.text(left + 28, y, words, "quiet")]
        else:
            elements += [svg.circle(left + 4, y - 4, 3, kind), svg.text(left + 13, y, words, "quiet")]
        left += wide + 22
    return elements, y
