# SPDX-License-Identifier: LGPL-2.1-or-later
"""The cluster's gossip keys on this node: where they come from, which are in force, how they are replaced.

Decides which of two rings is the newer. Refuses to know to whom a ring is told; that is the caller's, who
tells it on proved streams only, to every member whenever a stream begins and whenever the ring changes.

A cluster's first ring is of generation 1 and made where the cluster is founded. Every other node begins with
one of its own, of generation 0, and has the cluster's as soon as it has its first stream; until then nobody
understands it. Greater is newer: by generation, and where two nodes made rings of one generation, by the id
of the first key; so all end at the same one, in whatever order they hear of them. There is no other way for
a key to a node: none for joining, one for renewing.
"""

import secrets
from pathlib import Path
from typing import Final

from synod.base.codec import MalformedError
from synod.base.errors import NotConfiguredError
from synod.net.files import read_file, write_file
from synod.net.sealed import SECRET_BYTES, GossipKey, Keyring
from synod.wire.gossipkeys import KEYS_BYTES_MAX, KeyRing, KeyRow, decode_keys, encode_keys

FOUNDED: Final = 1
"""Generation of the ring that a cluster is founded with."""
GENERATION_MAX: Final = 1 << 62
"""Out of reach; and a ring that claims more could never be replaced."""


class Keychain:
    """The newest ring that this node has heard of, on disk and in force."""

    def __init__(self, directory: Path, cluster: str) -> None:
        """Load the ring, or make one of generation 0; ``cluster`` is authenticated with every packet.

        A damaged file is replaced: the peers have the ring. Raises StorageError when nothing can be written.
        """
        self._path = directory / "gossip.key"
        self._cluster = cluster
        try:
            ring = decode_keys(read_file(self._path, KEYS_BYTES_MAX))
            keyring = _keyring(ring, cluster)
        except (NotConfiguredError, MalformedError, ValueError):
            ring = new_ring(0)
            keyring = _keyring(ring, cluster)
            write_file(self._path, encode_keys(ring))
        self._ring = ring
        self.keyring = keyring
        """What seals and opens packets."""

    @property
    def generation(self) -> int:
        """How often the ring was changed in this cluster."""
        return self._ring.generation

    @property
    def has_old_key(self) -> bool:
        """Whether a key is accepted that seals no more."""
        return len(self._ring.keys) > 1

    @property
    def offer(self) -> bytes:
        """What peers are told, on proved streams only."""
        return encode_keys(self._ring)

    def take(self, data: bytes) -> bool:
        """Take what a peer tells; return whether it is in force now. Raises MalformedError for nonsense."""
        ring = decode_keys(data)
        try:
            _keyring(ring, self._cluster)
        except ValueError as error:
            raise MalformedError(str(error)) from None
        if _age(ring) <= _age(self._ring):
            return False
        self._put(ring)
        return True

    def renew(self) -> None:
        """Seal with a new key from now on, and accept the present one until ``retire``."""
        present, fresh = self._ring.keys[0], new_ring(self.generation + 1)
        self._put(KeyRing(generation=fresh.generation, keys=(*fresh.keys, present)))

    def retire(self) -> None:
        """Accept only the key that seals."""
        self._put(KeyRing(generation=self.generation + 1, keys=self._ring.keys[:1]))

    def _put(self, ring: KeyRing) -> None:
        write_file(self._path, encode_keys(ring))
        self._ring, self.keyring = ring, _keyring(ring, self._cluster)


def found_keys(directory: Path) -> None:
    """Store the ring of a new cluster; raise StorageError."""
    write_file(directory / "gossip.key", encode_keys(new_ring(FOUNDED)))


def new_ring(generation: int) -> KeyRing:
    """Return a ring with one new key."""
    return KeyRing(
        generation=generation,
        keys=(KeyRow(id=secrets.randbits(32), secret=secrets.token_bytes(SECRET_BYTES)),),
    )


def _age(ring: KeyRing) -> tuple[int, int]:
    return ring.generation, ring.keys[0].id


def _keyring(ring: KeyRing, cluster: str) -> Keyring:
    """Return the keys as sealing wants them; raise ValueError for a ring that no node made."""
    if not 0 <= ring.generation < GENERATION_MAX:
        raise ValueError(f"a ring of generation {ring.generation}")
    keys = tuple(GossipKey(id=key.id, secret=key.secret) for key in ring.keys)
    return Keyring(label=cluster, keys=keys)


