# SPDX-License-Identifier: LGPL-2.1-or-later
"""synod.model.attributes: when conditions hold, and what names, values and scores may be."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from synod.model.attributes import (
    INFINITY,
    Condition,
    Operator,
    Preference,
    format_score,
    is_attribute_name,
    is_attribute_value,
    is_number,
)


def holds(operator: str, value: str, found: str | None) -> bool:
    return Condition(attribute="x", operator=Operator(operator), value=value).holds(found)


@pytest.mark.parametrize(
    ("operator", "value", "found", "expected"),
    [
        ("=", "r1", "r1", True),
        ("=", "r1", "R1", False),
        ("=", "1", "1.0", False),
        ("=", "r1", None, False),
        ("!=", "r1", "r2", True),
        ("!=", "r1", "r1", False),
        ("!=", "r1", None, True),
        ("<", "10", "9", True),
        ("<", "10", "10", False),
        ("<", "10", None, False),
        ("<", "10", "many", False),
        ("<=", "10", "10.0", True),
        (">", "1.5", "1.6", True),
        (">", "-2", "-1", True),
        (">=", "64", "64", True),
        (">=", "64", "63.999999999", False),
    ],
)
def test_conditions(operator: str, value: str, found: str | None, expected: bool) -> None:
    assert holds(operator, value, found) is expected


def test_an_order_needs_a_number() -> None:
    with pytest.raises(ValueError, match="'<' compares numbers, and 'r1' is none"):
        Condition(attribute="x", operator=Operator.LESS, value="r1")


@given(st.integers(-(10**9), 10**9), st.integers(-(10**9), 10**9))
def test_numbers_are_compared_as_numbers(value: int, found: int) -> None:
    assert holds("<", str(value), str(found)) == (found < value)
    assert holds(">", str(value), str(found)) == (found > value)
    assert holds("<=", str(value), str(found)) != holds(">", str(value), str(found))
    assert holds(">=", str(value), str(found)) != holds("<", str(value), str(found))


def test_names_values_and_numbers() -> None:
    assert is_attribute_name("rack")
    assert not any(map(is_attribute_name, ("", "1rack", "a b", "a=b", "a:b", "x" * 64)))
    assert is_attribute_value("r1:2/3+4@5~6-7_8.9")
    assert not any(map(is_attribute_value, ("", "a b", "a=b", "a<b", "\u00e4", "x" * 129)))
    assert all(map(is_number, ("0", "-1", "1.5", "9" * 18)))
    assert not any(map(is_number, ("", "1e9", "0x1", "1.", ".5", "+1", "9" * 19, "\u0661", "nan")))


def test_words() -> None:
    assert str(Condition(attribute="ram", operator=Operator.AT_LEAST, value="64")) == "ram>=64"
    assert str(Preference(attribute="name", value="a", score=100)) == "a:100"
    assert str(Preference(attribute="rack", value="r1", score=-INFINITY)) == "rack=r1:-INFINITY"
    assert (format_score(INFINITY), format_score(-7)) == ("INFINITY", "-7")


@pytest.mark.parametrize(
    ("keys", "text"),
    [
        ({"attribute": "a b"}, "'a b' is not the name of an attribute"),
        ({"value": ""}, "'' is not the value of an attribute"),
        ({"score": INFINITY + 1}, "the score 1000001 is not within -1000000..1000000"),
    ],
)
def test_preferences_are_checked(keys: dict[str, object], text: str) -> None:
    with pytest.raises(ValueError, match=text):
        Preference(**{"attribute": "name", "value": "a", "score": 1} | keys)  # type: ignore[arg-type]
