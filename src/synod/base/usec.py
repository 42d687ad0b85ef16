# SPDX-License-Identifier: LGPL-2.1-or-later
"""Time as integer microseconds of CLOCK_BOOTTIME, and time spans as systemd.time(7) writes them."""

import re
from typing import Final, NewType

Usec = NewType("Usec", int)
"""A point on CLOCK_BOOTTIME or a span, in microseconds."""

USEC_PER_MSEC: Final = 1_000
USEC_PER_SEC: Final = 1_000_000

# systemd.time(7), section "Parsing time spans"; without months and years, which no setting of ours needs.
_MINUTE: Final = 60 * USEC_PER_SEC
_HOUR: Final = 60 * _MINUTE
_DAY: Final = 24 * _HOUR
_UNITS: Final[dict[str, int]] = {
    **dict.fromkeys(("usec", "us", "µs"), 1),
    **dict.fromkeys(("msec", "ms"), USEC_PER_MSEC),
    **dict.fromkeys(("", "seconds", "second", "sec", "s"), USEC_PER_SEC),
    **dict.fromkeys(("minutes", "minute", "min", "m"), _MINUTE),
    **dict.fromkeys(("hours", "hour", "hr", "h"), _HOUR),
    **dict.fromkeys(("days", "day", "d"), _DAY),
    **dict.fromkeys(("weeks", "week", "w"), 7 * _DAY),
}
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
