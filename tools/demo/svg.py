# SPDX-License-Identifier: LGPL-2.1-or-later
"""The few elements of SVG 1.1 that a timeline needs, as text; everything is escaped, numbers are short."""

from html import escape
from typing import Final

CHARACTER: Final = 0.58
"""Width of an average character in ems: generous, since the viewer's font is not known."""


def rect(x: float, y: float, width: float, height: float, kind: str, title: str = "") -> str:
    """Return a rectangle; ``kind`` is its class, ``title`` what a viewer shows when pointed at it."""
    place = f'x="{_number(x)}" y="{_number(y)}" width="{_number(width)}" height="{_number(height)}"'
    inside = f"<title>{escape(title)}</title>" if title else ""
    return f'<rect class="{kind}" {place}>{inside}</rect>' if inside else f'<rect class="{kind}" {place}/>'


def line(x1: float, y1: float, x2: float, y2: float, kind: str) -> str:
    """Return a line."""
    ends = f'x1="{_number(x1)}" y1="{_number(y1)}" x2="{_number(x2)}" y2="{_number(y2)}"'
    return f'<line class="{kind}" {ends}/>'


def circle(x: float, y: float, radius: float, kind: str) -> str:
    """Return a circle."""
    return f'<circle class="{kind}" cx="{_number(x)}" cy="{_number(y)}" r="{_number(radius)}"/>'


def text(x: float, y: float, words: str, kind: str) -> str:
    """Return a line of text whose baseline is at ``y``."""
    return f'<text class="{kind}" x="{_number(x)}" y="{_number(y)}">{escape(words)}</text>'


def width(words: str, size: float) -> float:
    """Return about how wide a line of text is."""
    return len(words) * size * CHARACTER


def document(page_width: float, page_height: float, title: str, style: str, elements: list[str]) -> str:
    """Return the whole picture."""
    size = f'width="{_number(page_width)}" height="{_number(page_height)}"'
    box = f'viewBox="0 0 {_number(page_width)} {_number(page_height)}"'
    head = f'<svg xmlns="http://www.w3.org/2000/svg" {size} {box} role="img">'
    head += f"\n<title>{escape(title)}</title>\n<style>{style}</style>"
    return "\n".join((head, *elements, "</svg>", ""))


def _number(value: float) -> str:
    return f"{value:.1f}".removesuffix(".0")
