# SPDX-License-Identifier: LGPL-2.1-or-later
"""Time as integer microseconds of CLOCK_BOOTTIME, and time spans as systemd.time(7) writes them."""

import re
from typing import Final, NewType

Usec = NewType("Usec", int)
"""A point on CLOCK_BOOTTIME or a span, in microseconds."""

USEC_PER_MSEC: Final = 1_000
USEC_PER_SEC: Final = 1_000_000

# systemd.time(7), section "Parsing time spans"; months and years as systemd rounds them.
_UNITS: Final[dict[str, int]] = {
    "usec": 1, "us": 1, "µs": 1,
    "msec": USEC_PER_MSEC, "ms": USEC_PER_MSEC,
    "": USEC_PER_SEC, "seconds": USEC_PER_SEC, "second": USEC_PER_SEC, "sec": USEC_PER_SEC, "s": USEC_PER_SEC,
    "minutes": 60 * USEC_PER_SEC, "minute": 60 * USEC_PER_SEC, "min": 60 * USEC_PER_SEC, "m": 60 * USEC_PER_SEC,
    "hours": 3600 * USEC_PER_SEC, "hour": 3600 * USEC_PER_SEC, "hr": 3600 * USEC_PER_SEC, "h": 3600 * USEC_PER_SEC,
    "days": 86400 * USEC_PER_SEC, "day": 86400 * USEC_PER_SEC, "d": 86400 * USEC_PER_SEC,
    "weeks": 7 * 86400 * USEC_PER_SEC, "week": 7 * 86400 * USEC_PER_SEC, "w": 7 * 86400 * USEC_PER_SEC,
}  # fmt: skip
_PART = re.compile(r"\s*(\d+)(?:\.(\d{1,6}))?\s*([a-zµ]*)")
_LENGTH_MAX: Final = 100


def parse_span(text: str) -> Usec:
    """Read a time span such as ``1min 30s`` or ``90``; raise ValueError with the reason."""
    total, position, stripped = 0, 0, text.strip()
    if not stripped or len(stripped) > _LENGTH_MAX:
        raise ValueError(f"'{text[:_LENGTH_MAX]}' is not a time span; write for example 90s or 1min 30s")
    while position < len(stripped):
        part = _PART.match(stripped, position)
        if part is None or part[3] not in _UNITS:
            raise ValueError(f"'{text}' is not a time span; write for example 90s or 1min 30s")
        scale = _UNITS[part[3]]
        fraction = int((part[2] or "0").ljust(6, "0"))
        total += int(part[1]) * scale + fraction * scale // USEC_PER_SEC
        position = part.end()
    return Usec(total)


def format_span(span: Usec) -> str:
    """Write a span the way systemctl does: ``1min 30s``, ``500ms``, ``0``."""
    if span <= 0:
        return "0"
    rest, parts = int(span), []
    for name, size in (("d", 86400 * USEC_PER_SEC), ("h", 3600 * USEC_PER_SEC), ("min", 60 * USEC_PER_SEC),
                       ("s", USEC_PER_SEC), ("ms", USEC_PER_MSEC), ("us", 1)):
        count, rest = divmod(rest, size)
        if count:
            parts.append(f"{count}{name}")
    return " ".join(parts)
