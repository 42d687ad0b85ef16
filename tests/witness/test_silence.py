# SPDX-License-Identifier: LGPL-2.1-or-later
"""What a client went without."""

import pytest

from witness import silence


@pytest.mark.parametrize(("replies", "begin", "seconds"), [
    ([0, 1_000_000, 2_000_000, 5_500_000, 5_600_000], 2_500_000, 3.5),
    ([0, 1_000_000, 2_000_000, 5_500_000, 5_600_000], 2_000_000, 3.5),
    ([0, 9_000_000, 9_100_000, 9_300_000], 9_050_000, 0.2),
])  # fmt: skip
def test_a_silence_counts_from_the_last_reply_before(replies, begin, seconds):
    found = silence.longest(replies, begin)
    assert found is not None
    assert found.seconds == pytest.approx(seconds)


@pytest.mark.parametrize("replies", [[], [1], [8, 9]])
def test_a_silence_without_both_ends_is_none(replies):
    assert silence.longest(replies, 5) is None
