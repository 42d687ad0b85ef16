# SPDX-License-Identifier: LGPL-2.1-or-later
"""Parsers of single values: text in, value out, ValueError with one sentence for the user otherwise.

Decides the notations that unit annotations and synod.conf(5) share, all of them systemd's own. Refuses to
know keys.
"""

import ipaddress
from collections.abc import Callable
from typing import Final

from synod.base.usec import Usec, format_span, parse_span

TIMEOUT_MAX: Final = parse_span("1w")
"""Longer waits are typing errors; the number also fits every encoding with room to spare."""

_TRUE: Final = ("1", "yes", "y", "true", "t", "on")
_FALSE: Final = ("0", "no", "n", "false", "f", "off")
_SHOWN_MAX: Final = 80


def words(value: str) -> list[str]:
    """Split a list as systemd does, at blanks only: other white space of Unicode belongs to a (bad) name."""
    return [word for word in value.replace("\t", " ").split(" ") if word]


def parse_boolean(text: str) -> bool | None:
    """Return the boolean of systemd.syntax(7), or None for any other word."""
    folded = text.lower()
    return True if folded in _TRUE else False if folded in _FALSE else None


def parse_timeout(text: str) -> Usec:
    """Read a positive time span of at most a week; it is finite because everything that waits must end."""
    span = parse_span(text)
    if not 0 < span <= TIMEOUT_MAX:
        raise ValueError(f"a time span above 0 and up to {format_span(TIMEOUT_MAX)} is needed")
    return span


def parse_port(text: str) -> int:
    """Read a port number, 1 to 65535."""
    if text.isascii() and text.isdecimal() and len(text) <= 5 and 1 <= int(text) <= 65535:
        return int(text)
    raise ValueError(f"'{text[:_SHOWN_MAX]}' is not a port number from 1 to 65535")


def parse_address(text: str) -> str:
    """Read an IPv4 or IPv6 address and return it in its canonical form."""
    try:
        return str(ipaddress.ip_address(text))
    except ValueError:
        raise ValueError(f"'{text[:_SHOWN_MAX]}' is not an IP address") from None


def choice(*words: str) -> Callable[[str], str]:
    """Return a parser that takes exactly these words."""

    def parse(text: str) -> str:
        if text in words:
            return text
        raise ValueError(f"'{text[:_SHOWN_MAX]}' is not one of {', '.join(words)}")

    return parse
