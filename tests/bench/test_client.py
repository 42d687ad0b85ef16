# SPDX-License-Identifier: LGPL-2.1-or-later
"""The packets of the client outside (RFC 792)."""

import struct

from hypothesis import given
from hypothesis import strategies as st

from bench_failover.client import is_reply, request


@given(st.integers(0, 0xFFFF))
def test_the_checksum_makes_the_sum_of_all_words_zero(number):
    words = sum(struct.unpack("!4H", request(number)))
    while words > 0xFFFF:
        words = (words & 0xFFFF) + (words >> 16)
    assert words == 0xFFFF


def test_only_an_echo_reply_of_the_address_counts():
    header = bytes([0x45, *[0] * 19])
    assert is_reply(header + b"\0" * 8, "10.0.0.1", "10.0.0.1")
    assert not is_reply(header + b"\0" * 8, "10.0.0.2", "10.0.0.1")
    assert not is_reply(header + b"\3" + b"\0" * 7, "10.0.0.1", "10.0.0.1")
    assert is_reply(bytes([0x46, *[0] * 23]) + b"\0" * 8, "10.0.0.1", "10.0.0.1")
