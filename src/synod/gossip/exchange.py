# SPDX-License-Identifier: LGPL-2.1-or-later
"""Two nodes compare all they know and give each other what is newer; it repairs what rumours missed.

Three kinds of packets, each meaningful alone, so that a lost one costs no more than a period: checksums of
buckets of members; versions of the members in buckets that differ; rumours. A fault is told as a suspicion,
and counts as the same in a checksum: a confused node must not bury others by comparing notes, and whoever
hears of a fault so gives the accused its own time to refute.
"""

from collections.abc import Callable, Iterable, Iterator
from typing import Final, TypeVar
from zlib import crc32

from synod.base.ids import NodeName
from synod.base.usec import Usec
from synod.gossip.members import Status
from synod.gossip.messages import Digest, Profile, Rumour, Version, Versions, bytes_max, row_bytes_max
from synod.gossip.myself import Myself
from synod.gossip.state import ROOM, State
from synod.gossip.timing import BUCKETS, EXCHANGE_PACKETS_MAX

_ROWS_ROOM: Final = ROOM - bytes_max(Versions(rows=(), is_answer=False))

_T = TypeVar("_T")


class Exchange:
    """This node's side of all comparisons."""

    def __init__(self, state: State, myself: Myself) -> None:
        self._state = state
        self._myself = myself
        self._due: Usec | None = None
        self._partner: NodeName | None = None

    @property
    def deadline(self) -> Usec | None:
        """When this node begins the next one."""
        return self._due

    def hasten(self, partner: NodeName) -> None:
        """Compare soon, with that member."""
        state = self._state
        soon = Usec(state.now + 1 + state.entropy.below(state.timing.exchange_soon))
        self._due = soon if self._due is None else min(self._due, soon)
        self._partner = partner

    def tick(self) -> None:
        """Begin one when it is due: with whom it was hastened, else with anybody."""
        state = self._state
        if self._due is None or state.now < self._due:
            return
        if not len(state.members):
            self._due = None
            return
        self._due = Usec(state.now + state.timing.exchange_period(state.members.nodes))
        names = [member.name for member in state.some(state.members.reachable(), 1)]
        if self._partner is not None and state.members.get(self._partner) is not None:
            names = [self._partner]
        self._partner = None
        for name in names:
            state.send(name, Digest(checksums=self._checksums()))

    def compare(self, peer: NodeName, digest: Digest) -> None:
        """Answer checksums with versions, from a random bucket on, as far as the packets reach."""
        state, mine = self._state, self._checksums()
        first = state.entropy.below(BUCKETS)
        differing = [bucket for bucket in (*range(first, BUCKETS), *range(first))
                     if mine[bucket] != digest.checksums[bucket]]
        if differing:
            rows: dict[int, list[Version]] = {bucket: [] for bucket in differing}
            for row in self._rows():
                rows.get(_bucket(row.node), []).append(row)
            self._send_rows(peer, (row for bucket in differing for row in rows[bucket]), is_answer=False)

    def settle(self, peer: NodeName, versions: Versions) -> None:
        """Send what is newer here; name what is newer there, unless the peer has been told already."""
        rumours: list[Rumour] = []
        wanted = []
        for theirs in versions.rows:
            mine = self._row(theirs.node)
            if mine is None:
                continue
            if _life(mine) > _life(theirs):
                rumours.append(self._rumour(theirs.node))
            if _profile(mine) > _profile(theirs):
                rumours.append(self._profile(theirs.node))
            if _life(theirs) > _life(mine) or _profile(theirs) > _profile(mine):
                wanted.append(mine)
        if wanted:
            self.hasten(peer)  # it may know more than it has said
            if not versions.is_answer:
                self._send_rows(peer, wanted, is_answer=True)
        self._send_rumours(peer, rumours)

    # What is known

    def _rows(self) -> Iterable[Version]:
        names = [member.name for member in self._state.members]
        return [row for row in map(self._row, [self._state.name, *names]) if row is not None]

    def _row(self, node: NodeName) -> Version | None:
        if node == self._state.name:
            status = Status.LEFT if self._myself.is_leaving else Status.ALIVE
            return _version(node, self._myself.incarnation, status, self._myself.profile)
        member = self._state.members.get(node)
        if member is None:
            return None
        status = Status.SUSPECT if member.status is Status.FAULTY else member.status
        return _version(node, member.incarnation, status, member.profile)

    def _rumour(self, node: NodeName) -> Rumour:
        member = self._state.members.get(node)
        return self._myself.rumour if member is None else member.rumour

    def _profile(self, node: NodeName) -> Profile:
        member = self._state.members.get(node)
        return self._myself.profile if member is None else member.profile

    def _checksums(self) -> tuple[int, ...]:
        sums = [0] * BUCKETS
        for row in self._rows():
            text = f"{row.node} {_life(row)} {_profile(row)}"
            sums[_bucket(row.node)] ^= crc32(text.encode())
        return tuple(sums)

    # Packets

    def _send_rows(self, peer: NodeName, rows: Iterable[Version], *, is_answer: bool) -> None:
        for part in _packets(rows, row_bytes_max, _ROWS_ROOM):
            self._state.send(peer, Versions(rows=tuple(part), is_answer=is_answer))

    def _send_rumours(self, peer: NodeName, rumours: Iterable[Rumour]) -> None:
        for part in _packets(rumours, bytes_max, ROOM):
            self._state.send(peer, *part)


def _bucket(node: NodeName) -> int:
    return crc32(node.encode()) % BUCKETS


def _version(node: NodeName, incarnation: int, status: Status, profile: Profile) -> Version:
    return Version(node=node, incarnation=incarnation, rank=status.rank,
                   profile_incarnation=profile.incarnation, profile_sequence=profile.sequence)


def _life(row: Version) -> tuple[int, int]:
    return row.incarnation, row.rank


def _profile(row: Version) -> tuple[int, int]:
    return row.profile_incarnation, row.profile_sequence


def _packets(items: Iterable[_T], size: Callable[[_T], int], room: int) -> Iterator[list[_T]]:
    """Cut items into parts that fit, no more than one answer may have."""
    part: list[_T] = []
    free, parts = room, 0
    for item in items:
        if size(item) > free:
            yield part
            part, free, parts = [], room, parts + 1
            if parts == EXCHANGE_PACKETS_MAX:
                return
        part.append(item)
        free -= size(item)
    if part:
        yield part
