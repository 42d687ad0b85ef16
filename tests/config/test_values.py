# SPDX-License-Identifier: LGPL-2.1-or-later
"""synod.config.values: single values and the sentences about wrong ones."""

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from synod.config.values import choice, parse_address, parse_boolean, parse_port, parse_timeout, words


def test_booleans_are_systemds():
    assert [parse_boolean(text) for text in ("yes", "On", "1", "TRUE")] == [True] * 4
    assert [parse_boolean(text) for text in ("no", "Off", "0", "f")] == [False] * 4
    assert [parse_boolean(text) for text in ("", "maybe", "2")] == [None] * 3


def test_timeouts_are_finite_and_positive():
    assert parse_timeout("1min 30s") == 90_000_000
    assert parse_timeout("1w") == 7 * 86400 * 1_000_000
    for text in ("0", "8d", "infinity", "", "-1"):
        with pytest.raises(ValueError, match="time span"):
            parse_timeout(text)


def test_ports():
    assert parse_port("8470") == 8470
    for text in ("0", "65536", "x", "", "+1", "1 2", "\u0663"):
        with pytest.raises(ValueError, match="port"):
            parse_port(text)


def test_addresses_are_made_canonical():
    assert parse_address("192.0.2.1") == "192.0.2.1"
    assert parse_address("2001:DB8:0::1") == "2001:db8::1"
    for text in ("", "example.org", "192.0.2.1/24", "1.2.3"):
        with pytest.raises(ValueError, match="not an IP address"):
            parse_address(text)


def test_choices_are_exact():
    assert choice("a", "b")("a") == "a"
    with pytest.raises(ValueError, match="not one of a, b"):
        choice("a", "b")("A")


def test_words_are_parted_by_blanks_only():
    assert words(" a\tb  c ") == ["a", "b", "c"]
    assert words("a\u00a0b\x0bc") == ["a\u00a0b\x0bc"]


@given(st.text(max_size=40), st.sampled_from([parse_timeout, parse_port, parse_address, choice("x")]))
def test_any_text_gives_a_value_or_a_reason(text, parser):
    with contextlib.suppress(ValueError):  # any other exception would be a traceback for the user
        parser(text)
