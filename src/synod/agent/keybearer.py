# SPDX-License-Identifier: LGPL-2.1-or-later
"""Carries the ring of gossip keys between peers, on proved streams, and puts the newest one to use.

A ring is told when a stream begins, in both directions, and when it changes. The leader replaces the key
when a member was removed, which may have kept it, and drops the old one once nobody can be sealing with it.
"""

import asyncio
import logging
from collections.abc import Callable, Iterable
from typing import Final

from synod.base.codec import MalformedError
from synod.base.ids import NodeName
from synod.net.keychain import Keychain
from synod.net.sealed import Opener, Sealer, new_session

OLD_KEY_SEC: Final = 60.0
"""How long a key is accepted that seals no more: longer than a stream takes to come back."""

_logger = logging.getLogger(__name__)

Offer = Callable[[NodeName, bytes], None]
"""Hands bytes to a peer on its stream, or drops them."""


class KeyBearer:
    """What seals and opens this node's packets."""

    def __init__(self, node: NodeName, keys: Keychain, offer: Offer) -> None:
        self.sealer: Final = Sealer(keys.keyring, node, new_session())
        self.opener: Final = Opener(keys.keyring, node)
        self._keys = keys
        self._offer = offer
        self._since: float | None = None
        """Since when the present ring is in use here, by the loop's clock; None before the first look."""

    def stream_began(self, peer: NodeName) -> None:
        """Tell a peer that is proved to be there; its clock may have been set back, its ring be older."""
        self.opener.forget(peer)
        self._offer(peer, self._keys.offer)

    def offered(self, peer: NodeName, data: bytes) -> None:
        """Take a newer ring; whoever told it tells the others as well."""
        try:
            is_news = self._keys.take(data)
        except MalformedError as error:
            _logger.warning("Keys of '%s' not understood, ignoring: %s", peer, error)
            return
        if is_news:
            self._use()

    def renew(self, peers: Iterable[NodeName]) -> None:
        """Replace the key: somebody has it who is no member any more."""
        self._keys.renew()
        self._spread(peers)

    def retire(self, peers: Iterable[NodeName]) -> None:
        """Drop the key before this one when it is time; called now and then."""
        now = asyncio.get_running_loop().time()
        self._since = now if self._since is None else self._since
        if self._keys.has_old_key and now - self._since >= OLD_KEY_SEC:
            self._keys.retire()
            self._spread(peers)

    def _spread(self, peers: Iterable[NodeName]) -> None:
        self._use()
        for peer in peers:
            self._offer(peer, self._keys.offer)

    def _use(self) -> None:
        self._since = asyncio.get_running_loop().time()
        self.sealer.set_keyring(self._keys.keyring)
        self.opener.set_keyring(self._keys.keyring)
