# SPDX-License-Identifier: LGPL-2.1-or-later
"""Time spans are read and written as systemd.time(7) says."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from synod.base.usec import USEC_PER_SEC, Usec, format_span, parse_span


@pytest.mark.parametrize(
    ("text", "usec"),
    [
        ("0", 0), ("90", 90 * USEC_PER_SEC), ("1min 30s", 90 * USEC_PER_SEC), ("1min30s", 90 * USEC_PER_SEC),
        ("500ms", 500_000), ("2 h", 7200 * USEC_PER_SEC), ("1.5s", 1_500_000), ("0.000001", 1), ("3us", 3),
        ("3µs", 3), ("1d", 86400 * USEC_PER_SEC), (" 1w ", 604800 * USEC_PER_SEC), ("55s500ms", 55_500_000),
        ("300ms20s 5day", (5 * 86400 + 20) * USEC_PER_SEC + 300_000),
    ],
)  # fmt: skip
def test_a_span_is_read_as_systemd_reads_it(text: str, usec: int) -> None:
    assert parse_span(text) == usec


@pytest.mark.parametrize(
    "text", ["", " ", "s", "-1", "1 parsec", "1..5s", "1.s", "1s,", "infinity", "1" * 101]
)
def test_what_is_no_span_is_refused_with_an_example(text: str) -> None:
    with pytest.raises(ValueError, match="is not a time span; write for example 90s"):
        parse_span(text)


@pytest.mark.parametrize(
    ("usec", "text"),
    [(0, "0"), (1, "1us"), (90 * USEC_PER_SEC, "1min 30s"), (500_000, "500ms"),
     (86400 * USEC_PER_SEC, "1d")],
)  # fmt: skip
def test_a_span_is_written_as_systemctl_writes_it(usec: int, text: str) -> None:
    assert format_span(Usec(usec)) == text


@given(st.integers(0, 10**15))
def test_what_is_written_is_read_back(usec: int) -> None:
    assert parse_span(format_span(Usec(usec))) == usec


@given(st.text(max_size=20))
def test_any_text_is_a_span_or_a_value_error(text: str) -> None:
    try:
        span = parse_span(text)
    except ValueError:
        return
    assert span >= 0
