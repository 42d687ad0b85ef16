# SPDX-License-Identifier: LGPL-2.1-or-later
"""The cluster's gossip keys, as they lie on a disk and as they are handed over on a proved stream.

One form for both: tags are never used again, new fields go last with a default (architecture, decision 16).
"""

from dataclasses import dataclass, field
from typing import Final

from synod.base.codec import Codec, MalformedError

KEYS_BYTES_MAX: Final = 1 << 10
"""Two keys take a tenth of it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyRow:
    """One key."""

    id: int
    secret: bytes = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyRing:
    """All keys that are accepted, the one that seals first."""

    generation: int
    """Grows with every change."""
    keys: tuple[KeyRow, ...]


_CODEC: Final = Codec({1: KeyRing}, max_bytes=KEYS_BYTES_MAX, max_items=16)


def encode_keys(ring: KeyRing) -> bytes:
    """Return the bytes of a ring."""
    return _CODEC.encode(ring)


def decode_keys(data: bytes) -> KeyRing:
    """Read a ring; raise MalformedError for anything else."""
    ring = _CODEC.decode(data)
    if not isinstance(ring, KeyRing):
        raise MalformedError(f"a {type(ring).__name__} is no ring of keys")
    return ring
