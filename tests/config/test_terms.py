# SPDX-License-Identifier: LGPL-2.1-or-later
"""synod.config.terms: scores, counts, conditions and preferences as text."""

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from synod.config.terms import (
    parse_condition,
    parse_failure_limit,
    parse_instances,
    parse_preference,
    parse_score,
    parse_stickiness,
)
from synod.model.attributes import INFINITY


def test_scores():
    assert [parse_score(text) for text in ("0", "-5", "+5", "1000000")] == [0, -5, 5, INFINITY]
    assert [parse_score(f"{sign}INFINITY") for sign in ("", "+", "-")] == [INFINITY, INFINITY, -INFINITY]


@pytest.mark.parametrize("text", ["", "x", "1000001", "1e3", "infinity", "--1", "1 ", "\u0661", "9" * 5000])
def test_what_is_no_score(text):
    with pytest.raises(ValueError, match="write a number from -1000000 to 1000000, INFINITY or -INFINITY"):
        parse_score(text)


def test_counts():
    assert (parse_instances("all"), parse_instances("1024"), parse_failure_limit("0")) == (None, 1024, 0)
    assert parse_stickiness("INFINITY") == INFINITY
    with pytest.raises(ValueError, match="write 0 or more"):
        parse_stickiness("-1")
    with pytest.raises(ValueError, match="from 0 to 1000"):
        parse_failure_limit("1001")


@pytest.mark.parametrize("text", ["rack=r1", "rack!=r1", "ram<64", "ram<=64", "ram>64.5", "ram>=-1"])
def test_conditions_are_written_as_they_are_read(text):
    assert str(parse_condition(text)) == text


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("rack", "write ATTRIBUTE=VALUE"),
        ("=r1", "'' is not the name of an attribute"),
        ("rack=", "'' is not the value of an attribute"),
        ("a==b", "'=b' is not the value"),
        ("a=>1", "'>1' is not the value"),
        ("a<>1", "'>1' is not the value"),
        ("a!b", "write ATTRIBUTE=VALUE"),
        ("ram<lots", "'<' compares numbers, and 'lots' is none"),
    ],
)
def test_what_is_no_condition(text, reason):
    with pytest.raises(ValueError, match=reason):
        parse_condition(text)


@pytest.mark.parametrize("text", ["a:5", "a:-5", "a:INFINITY", "rack=r1:-INFINITY", "net=fd00::1:7"])
def test_preferences_are_written_as_they_are_read(text):
    assert str(parse_preference(text)) == text


def test_a_node_is_its_name():
    assert parse_preference("name=a:5") == parse_preference("a:5")


@pytest.mark.parametrize("text", ["a", "a:", ":5", "a.b:5", "name=a.b:5", "a=:5", "=b:5", "a:b"])
def test_what_is_no_preference(text):
    with pytest.raises(ValueError, match=r"\w"):
        parse_preference(text)


PARSERS = (parse_condition, parse_preference, parse_score, parse_instances, parse_failure_limit)


@given(st.text(max_size=40), st.sampled_from(PARSERS))
def test_any_text_is_a_value_or_refused(text, parse):
    with contextlib.suppress(ValueError):
        parse(text)
