# SPDX-License-Identifier: LGPL-2.1-or-later
"""Which rumours ride on the next packet (SWIM, section 4.1).

Decides the order and when a rumour has been told often enough. Refuses to know whether it is true: of two
about the same thing the one given last is told. So the queue never holds more than two for each member.
"""

from dataclasses import dataclass

from synod.base.ids import NodeName
from synod.gossip.messages import Profile, Rumour, bytes_max


@dataclass(slots=True, kw_only=True)
class _Item:
    rumour: Rumour
    size: int
    number: int
    """Grows with every rumour."""
    sent: int = 0

    @property
    def turn(self) -> tuple[int, int, int]:
        """Least told first, then the longer, which find room more seldom, then the newer."""
        return self.sent, -self.size, -self.number


class Queue:
    """Rumours that are still told."""

    def __init__(self) -> None:
        self._items: dict[tuple[NodeName, bool], _Item] = {}
        self._count = 0

    def __len__(self) -> int:
        return len(self._items)

    def add(self, rumour: Rumour) -> None:
        """Tell a rumour from now on, instead of what was told about the same."""
        self._count += 1
        subject = (rumour.node, isinstance(rumour, Profile))
        self._items[subject] = _Item(rumour=rumour, size=bytes_max(rumour), number=self._count)

    def take(self, room: int, limit: int) -> list[Rumour]:
        """Return what fits into ``room`` bytes; what was taken ``limit`` times is told no more."""
        taken = []
        for subject, item in sorted(self._items.items(), key=lambda pair: pair[1].turn):
            if item.size > room:
                continue
            room -= item.size
            item.sent += 1
            taken.append(item.rumour)
            if item.sent >= limit:
                del self._items[subject]
        return taken

    def forget(self, node: NodeName) -> None:
        """Tell nothing about a node any more."""
        self._items.pop((node, False), None)
        self._items.pop((node, True), None)
