# SPDX-License-Identifier: LGPL-2.1-or-later
"""What users type for units, nodes, addresses and times, checked before anything is asked.

Decides the notations; refuses to know which units and nodes there are, except to complete a word on a
terminal. Source: systemctl(1) for unit names without a suffix.
"""

import ipaddress
import re
from collections.abc import Iterable
from typing import Final

import click
from click.shell_completion import CompletionItem

from synod.base.errors import SynodError
from synod.base.ids import UNIT_TYPES, is_node_name, is_unit_name
from synod.base.usec import USEC_PER_SEC, Usec, parse_span
from synod.cli.client import Question, ask

PORT_MAX: Final = 65535
COMPLETION_USEC: Final = Usec(2 * USEC_PER_SEC)
"""Longer is not worth a word."""
TIMEOUT_MAX: Final = parse_span("4w")

_HOST = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9.-]{0,251}[A-Za-z0-9])?\.?")
_BRACKETED = re.compile(r"\[([^\[\]]*)\](?::([0-9]+))?")


class Unit(click.ParamType):
    """A unit name; ``.service`` is added to one without a type."""

    name = "unit"

    def convert(self, value: str, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """Return the full name."""
        unit = value if value.rpartition(".")[2] in UNIT_TYPES else f"{value}.service"
        if not is_unit_name(unit):
            self.fail(f"'{value[:80]}' is not a unit name", param, ctx)
        return unit

    def shell_complete(
        self, ctx: click.Context, param: click.Parameter, incomplete: str
    ) -> list[CompletionItem]:
        """Offer the units of the cluster."""
        return _offer("list-units", "unit", incomplete)


class Node(click.ParamType):
    """A node name: the first label of a host name."""

    name = "node"

    def convert(self, value: str, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """Return the name as it is."""
        if not is_node_name(value):
            self.fail(f"'{value[:80]}' is not a node name: the first label of a host name", param, ctx)
        return value

    def shell_complete(
        self, ctx: click.Context, param: click.Parameter, incomplete: str
    ) -> list[CompletionItem]:
        """Offer the nodes of the cluster."""
        return _offer("list-nodes", "name", incomplete)


class Address(click.ParamType):
    """``HOST``, ``HOST:PORT``, an IPv6 address, or ``[IPv6]:PORT``; becomes (host, port or None)."""

    name = "address"

    def convert(
        self, value: str | tuple[str, int | None], param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[str, int | None]:
        """Return host and port."""
        if isinstance(value, tuple):
            return value
        try:
            return parse_address(value)
        except ValueError as error:
            self.fail(str(error), param, ctx)


class Span(click.ParamType):
    """A time span of systemd.time(7), above zero; becomes microseconds."""

    name = "span"

    def convert(self, value: str | int, param: click.Parameter | None, ctx: click.Context | None) -> Usec:
        """Return the span."""
        if isinstance(value, int):
            return Usec(value)
        try:
            span = parse_span(value)
        except ValueError as error:
            self.fail(str(error), param, ctx)
        if not 0 < span <= TIMEOUT_MAX:
            self.fail(f"'{value}' is not a time span above 0 and up to 4 weeks", param, ctx)
        return span


def parse_address(text: str) -> tuple[str, int | None]:
    """Take an address apart; raise ValueError with the reason."""
    host, port = text, ""
    bracketed = _BRACKETED.fullmatch(text)
    if bracketed is not None:
        host, port = bracketed[1], bracketed[2] or ""
        is_valid = ":" in host and _is_ip(host)
    elif text.count(":") > 1:
        is_valid = _is_ip(text)
    else:
        host, colon, port = text.partition(":")
        is_number = port.isascii() and port.isdecimal()
        is_valid = _HOST.fullmatch(host) is not None and (is_number or not colon)
    if not is_valid:
        raise ValueError(f"'{text[:80]}' is not an address; write HOST, HOST:PORT, or [IPv6]:PORT")
    if port and not (len(port) <= len(str(PORT_MAX)) and 1 <= int(port) <= PORT_MAX):
        raise ValueError(f"'{port[:80]}' is not a port number from 1 to {PORT_MAX}")
    return host, int(port) if port else None


def _is_ip(text: str) -> bool:
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return True


def _offer(method: str, field: str, incomplete: str) -> list[CompletionItem]:
    """Ask the agent for names; without one there is nothing to offer, and no place for an error either."""
    question = Question(method=method, params={}, timeout_usec=COMPLETION_USEC, is_query=True)
    try:
        data = ask(question, lambda _: None).data
    except SynodError:
        return []
    rows: Iterable[object] = data if isinstance(data, list) else ()
    names = (row.get(field) for row in rows if isinstance(row, dict))
    found = (name for name in names if isinstance(name, str) and name.startswith(incomplete))
    # The shell reads one word per line.
    return [CompletionItem(name) for name in found if is_unit_name(name) or is_node_name(name)]
