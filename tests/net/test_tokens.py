# SPDX-License-Identifier: LGPL-2.1-or-later
"""Join tokens are one word, survive copying, and do not betray their secret."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from synod.base.errors import UsageError
from synod.net.tokens import Token, hash_secret, matches, new_token, parse_token

FINGERPRINT = "0123456789abcdef" * 4


def counting(count: int) -> bytes:
    return bytes(range(count))


def test_a_token_is_one_lower_case_word_safe_in_urls_and_shells() -> None:
    text = new_token(FINGERPRINT).text
    assert re.fullmatch(r"[a-z0-9.]+", text)
    assert len(text) == 68


def test_the_token_is_made_of_the_entropy_given() -> None:
    token = new_token(FINGERPRINT, counting)
    assert token.text == "aaaqeaye.aaaqeayeaudaocajbifqydiob4.0123456789abcdef0123456789abcdef"
    assert new_token(FINGERPRINT).text != new_token(FINGERPRINT).text


@given(st.binary(min_size=16, max_size=16))
def test_every_token_is_read_back(seed: bytes) -> None:
    token = new_token(FINGERPRINT, lambda count: seed[:count])
    assert parse_token(token.text) == token
    assert parse_token(f"  {token.text.upper()}\n") == token


@given(st.text(max_size=80))
def test_any_other_text_is_refused_in_one_line(text: str) -> None:
    with pytest.raises(UsageError) as caught:
        parse_token(text)
    assert "\n" not in str(caught.value)


def test_a_token_cut_or_extended_by_a_character_is_refused() -> None:
    text = new_token(FINGERPRINT).text
    for damaged in (text[:-1], text[1:], text + "0", text.replace(".", "-"), text + "." + text):
        with pytest.raises(UsageError, match="synodctl token"):
            parse_token(damaged)


def test_a_token_names_the_cluster_that_made_it() -> None:
    token = new_token(FINGERPRINT)
    assert token.is_for(FINGERPRINT)
    assert not token.is_for("f" * 64)
    assert not token.is_for("")


def test_only_the_secret_matches_its_hash() -> None:
    token = new_token(FINGERPRINT)
    stored = hash_secret(token.secret)
    assert matches(stored, token.secret)
    assert not matches(stored, token.secret[:-1])
    assert not matches(stored, "é")
    assert len(stored) == 32
    assert token.secret.encode() not in stored


def test_the_secret_does_not_show_when_a_token_is_logged() -> None:
    token = new_token(FINGERPRINT)
    assert token.secret not in repr(token)
    assert isinstance(token, Token)
    assert token.id in repr(token)
