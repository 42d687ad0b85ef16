# SPDX-License-Identifier: LGPL-2.1-or-later
import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from synod.cli.names import Unit, parse_address


@pytest.mark.parametrize(("text", "host", "port"), [
    ("node1", "node1", None),
    ("node1:8470", "node1", 8470),
    ("node1.example.org", "node1.example.org", None),
    ("node1.example.org.:1", "node1.example.org.", 1),
    ("192.0.2.1", "192.0.2.1", None),
    ("192.0.2.1:65535", "192.0.2.1", 65535),
    ("2001:db8::1", "2001:db8::1", None),
    ("[2001:db8::1]", "2001:db8::1", None),
    ("[2001:db8::1]:8470", "2001:db8::1", 8470),
    ("fe80::1%eth0", "fe80::1%eth0", None),
])  # fmt: skip
def test_addresses(text: str, host: str, port: int | None) -> None:
    assert parse_address(text) == (host, port)


@pytest.mark.parametrize("text", [
    "", ":", ":1", "node1:", "node1:x", "node1:0", "node1:65536", "node1:-1", "node1:\u0661", "node1: 1",
    "a b", "[]", "[]:1", "[::1", "::1]", "[::1]x", "[::1]:", "[node1]:1", "[192.0.2.1]:1", "1:2:3", "-a",
    "a-", "a/b", "node1:" + "9" * 5000, "a" * 300, "[::1]:99999", "a\n",
])  # fmt: skip
def test_what_is_no_address(text: str) -> None:
    with pytest.raises(ValueError, match=r"is not (an address; write HOST|a port number from 1)"):
        parse_address(text)


@given(text=st.text(alphabet="a1.-:[]% ", max_size=12))
def test_what_is_parsed_can_be_written_and_parsed_again(text: str) -> None:
    with contextlib.suppress(ValueError):
        host, port = parse_address(text)
        written = f"[{host}]" if ":" in host else host
        assert host in text
        assert parse_address(written if port is None else f"{written}:{port}") == (host, port)


@pytest.mark.parametrize(("text", "unit"), [
    ("db", "db.service"), ("db.service", "db.service"), ("a.target", "a.target"), ("a@b", "a@b.service"),
    ("foo.bar", "foo.bar.service"), ("a@b.c", "a@b.c.service"), ("data.mount", "data.mount"),
])  # fmt: skip
def test_unit_names_get_a_suffix_as_with_systemctl(text: str, unit: str) -> None:
    assert Unit().convert(text, None, None) == unit
