# SPDX-License-Identifier: LGPL-2.1-or-later
"""How many connections may exist whose other end has not proved who it is.

Decides who may begin a handshake. Strangers share a limit and none of them can take all of it; the
addresses of known nodes have room of their own, so that a flood of strangers does not keep members apart.
"""

from collections.abc import Iterable


class Admission:
    """Counts unproven connections by source address."""

    def __init__(self, *, total_max: int, per_address_max: int) -> None:
        """Allow strangers ``total_max`` connections, and every single address ``per_address_max``."""
        self._total_max = total_max
        self._per_address_max = per_address_max
        self._known: frozenset[str] = frozenset()
        self._open: dict[str, int] = {}

    def set_known(self, addresses: Iterable[str]) -> None:
        """Tell which addresses are those of nodes."""
        self._known = frozenset(addresses)

    @property
    def open_total(self) -> int:
        """Connections admitted and not released."""
        return sum(self._open.values())

    def admit(self, address: str) -> bool:
        """Return whether a connection from that address may begin its handshake; if so it counts."""
        count = self._open.get(address, 0)
        if count >= self._per_address_max:
            return False
        if address not in self._known:
            strangers = sum(open_ for known, open_ in self._open.items() if known not in self._known)
            if strangers >= self._total_max:
                return False
        self._open[address] = count + 1
        return True

    def release(self, address: str) -> None:
        """Tell that an admitted connection has proved who it is, or is gone."""
        count = self._open[address] - 1
        if count:
            self._open[address] = count
        else:
            del self._open[address]
