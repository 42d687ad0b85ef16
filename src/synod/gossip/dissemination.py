# SPDX-License-Identifier: LGPL-2.1-or-later
"""Which rumours ride on the next packet (SWIM, section 4.1).

Decides the order and when a rumour has been told often enough. Refuses to know whether it is true: of two
about the same thing the one given last is told. So the queue never holds more than two for each member.

What was told least goes first. Hence a long rumour that found no room is ahead of all that did, and finds it
soon.
"""

from typing import Final

from synod.base.ids import NodeName
from synod.gossip.messages import Profile, Rumour, bytes_max

_Subject = tuple[NodeName, bool]
"""A node, and whether it is about its profile."""

_ROOM_LEAST: Final = 16
"""No rumour takes less."""


class Queue:
    """Rumours that are still told."""

    def __init__(self) -> None:
        self._tiers: list[dict[_Subject, Rumour]] = []  # by how often they were told, each in order

    @property
    def is_empty(self) -> bool:
        """Whether there is nothing to tell."""
        return not any(self._tiers)

    def add(self, rumour: Rumour) -> None:
        """Tell a rumour from now on, instead of what was told about the same."""
        subject = (rumour.node, isinstance(rumour, Profile))
        self._drop(subject)
        self._put(0, subject, rumour)

    def take(self, room: int, limit: int) -> list[Rumour]:
        """Return what fits into ``room`` bytes; what was taken ``limit`` times is told no more."""
        taken: list[tuple[int, _Subject, Rumour]] = []
        for told, tier in enumerate(self._tiers):
            for subject, rumour in tier.items():
                if room < _ROOM_LEAST:
                    break
                size = bytes_max(rumour)
                if size <= room:
                    room -= size
                    taken.append((told, subject, rumour))
        for told, subject, rumour in taken:
            del self._tiers[told][subject]
            if told + 1 < limit:
                self._put(told + 1, subject, rumour)
        return [rumour for _, _, rumour in taken]

    def forget(self, node: NodeName) -> None:
        """Tell nothing about a node any more."""
        self._drop((node, False))
        self._drop((node, True))

    def _put(self, told: int, subject: _Subject, rumour: Rumour) -> None:
        while len(self._tiers) <= told:
            self._tiers.append({})
        self._tiers[told][subject] = rumour

    def _drop(self, subject: _Subject) -> None:
        for tier in self._tiers:
            tier.pop(subject, None)
