# SPDX-License-Identifier: LGPL-2.1-or-later
"""Join tokens: ``id.secret.fingerprint``, one word, valid once.

Decides what a token looks like. Refuses to know which tokens are valid: that is the ledger's, which stores
the id and the hash of the secret only. The fingerprint is the cluster's half: with it the joining node
knows the cluster before it tells the secret (architecture, decision 12).
"""

import base64
import hashlib
import hmac
import re
import secrets
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from synod.base.errors import UsageError

FINGERPRINT_DIGITS: Final = 32
"""Hexadecimal digits of the authority's SHA-256 that a token carries: 128 bits.

An impostor must find a certificate with the fingerprint of ours, a second preimage: 2^128 trials.
Collisions, which would take 2^64, do not help, because our authority is not of the impostor's making. The
whole fingerprint would only lengthen what people copy.
"""

ID_BYTES: Final = 5
SECRET_BYTES: Final = 16
"""128 bits from the system's entropy: not to be guessed, hence a plain hash protects it at rest."""

_TOKEN = re.compile(r"([a-z2-7]{8})\.([a-z2-7]{26})\.([0-9a-f]{32})")
_LENGTH_MAX: Final = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class Token:
    """The parts of a join token."""

    id: str
    secret: str
    fingerprint: str
    """The first FINGERPRINT_DIGITS of the authority's."""

    def __repr__(self) -> str:
        """Never show the secret: tokens end up in journals otherwise."""
        return f"Token(id={self.id!r}, fingerprint={self.fingerprint!r})"

    @property
    def text(self) -> str:
        """The one word that the user copies."""
        return f"{self.id}.{self.secret}.{self.fingerprint}"

    def is_for(self, authority_fingerprint: str) -> bool:
        """Return whether this token was made by the cluster with that authority."""
        return hmac.compare_digest(self.fingerprint, authority_fingerprint[:FINGERPRINT_DIGITS])


def new_token(authority_fingerprint: str, entropy: Callable[[int], bytes] = secrets.token_bytes) -> Token:
    """Return a new token for the cluster with that authority; ``entropy`` returns that many random bytes."""
    return Token(
        id=_word(entropy(ID_BYTES)),
        secret=_word(entropy(SECRET_BYTES)),
        fingerprint=authority_fingerprint[:FINGERPRINT_DIGITS],
    )


def parse_token(text: str) -> Token:
    """Read a token as the user pasted it; raise UsageError with one line."""
    word = text.strip()
    match = _TOKEN.fullmatch(word.lower()) if len(word) <= _LENGTH_MAX else None
    if match is None:
        raise UsageError("this is no join token; run 'synodctl token' on a member and copy the whole line")
    return Token(id=match[1], secret=match[2], fingerprint=match[3])


def hash_secret(secret: str) -> bytes:
    """Return what the ledger stores of a secret, 32 bytes."""
    return hashlib.sha256(b"synod join token\0" + secret.encode()).digest()


def matches(stored: bytes, secret: str) -> bool:
    """Return, in constant time, whether a secret is the one whose hash is stored."""
    return hmac.compare_digest(stored, hash_secret(secret))


def _word(data: bytes) -> str:
    return base64.b32encode(data).decode().rstrip("=").lower()
