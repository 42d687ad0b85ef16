# SPDX-License-Identifier: LGPL-2.1-or-later
"""What is known of every other member, and which of two pieces of knowledge is the newer.

Who is a member says the log. About a member there is one order, SWIM's section 4.2 in one line: the greater
(incarnation, rank of the status) is the newer. Hence an accusation needs the incarnation that it accuses, a
refutation a greater one, and whoever hears any two rumours in any order ends at the same belief.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum
from typing import Final

from synod.base.ids import NodeName
from synod.base.usec import Usec
from synod.gossip.messages import Alive, Attributes, Faulty, Profile, Suspect
from synod.gossip.suspicion import Suspicion


class Status(Enum):
    """What is thought of a member."""

    ALIVE = "alive"
    SUSPECT = "suspect"
    """Somebody missed it; it may still refute."""

    FAULTY = "faulty"
    """It did not refute in time; only itself can change that."""

    LEFT = "left"
    """It said farewell, and is not missed."""

    @property
    def rank(self) -> int:
        """Order within one incarnation."""
        return _RANKS[self]


_RANKS: Final = {status: rank for rank, status in enumerate(Status)}


@dataclass(frozen=True, slots=True, kw_only=True)
class MemberView:
    """What is thought of a member, for those who only look."""

    name: NodeName
    status: Status
    incarnation: int
    accusers: tuple[NodeName, ...]
    attributes: Attributes


class Member:
    """One other member."""

    __slots__ = ("accusers", "deaf_probes", "incarnation", "is_blocked", "name", "profile", "status",
                 "stream_heard", "stream_lost", "suspicion", "told")

    def __init__(self, name: NodeName) -> None:
        self.name = name
        self.incarnation = 0
        """0: never heard of."""
        self.status = Status.ALIVE
        self.accusers: tuple[NodeName, ...] = ()
        self.suspicion: Suspicion | None = None
        self.profile = Profile(node=name, incarnation=0, sequence=0, attributes=())
        self.stream_heard: Usec | None = None
        self.stream_lost: Usec | None = None
        """Since when it has no stream; None while it has one, or never had."""
        self.told: Usec | None = None
        """When it was last told of an accusation because its stream proved it alive."""
        self.deaf_probes = 0
        """Probes in a row that only its stream answered."""
        self.is_blocked = False

    @property
    def is_reachable(self) -> bool:
        """Whether rumours and requests for help are worth sending to it."""
        return self.status is Status.ALIVE or self.status is Status.SUSPECT

    @property
    def rumour(self) -> Alive | Suspect | Faulty:
        """What to tell of it one by one, itself included.

        A fault is told as a suspicion: so it is up to each hearer to wait for the refutation.
        """
        match self.status:
            case Status.ALIVE:
                return Alive(node=self.name, incarnation=self.incarnation)
            case Status.LEFT:
                return Faulty(node=self.name, incarnation=self.incarnation, accuser=self.name)
            case Status.SUSPECT | Status.FAULTY:
                return Suspect(node=self.name, incarnation=self.incarnation, accuser=self.accusers[0])

    def is_older_than(self, incarnation: int, status: Status) -> bool:
        """Return whether that is news."""
        return (self.incarnation, self.status.rank) < (incarnation, status.rank)

    def has_stream(self, now: Usec, since: Usec) -> bool:
        """Return whether its stream was heard at or after a time."""
        return self.stream_heard is not None and since <= self.stream_heard <= now

    @property
    def view(self) -> MemberView:
        """The facts."""
        return MemberView(name=self.name, status=self.status, incarnation=self.incarnation,
                          accusers=self.accusers, attributes=self.profile.attributes)


class Members:
    """All members but this node, in the order in which they were added."""

    def __init__(self) -> None:
        self._all: dict[NodeName, Member] = {}
        self._suspects: dict[NodeName, Member] = {}

    def __iter__(self) -> Iterator[Member]:
        return iter(self._all.values())

    def __len__(self) -> int:
        return len(self._all)

    @property
    def nodes(self) -> int:
        """Size of the cluster, this node included."""
        return len(self._all) + 1

    @property
    def suspects(self) -> list[Member]:
        """Members whose suspicion runs."""
        return list(self._suspects.values())

    @property
    def accused(self) -> list[Member]:
        """Members that are suspected or held faulty."""
        return [member for member in self._all.values() if member.status in (Status.SUSPECT, Status.FAULTY)]

    def get(self, name: NodeName) -> Member | None:
        """Return a member, or None."""
        return self._all.get(name)

    def add(self, name: NodeName) -> Member:
        """Add a member of whom nothing is known."""
        member = self._all[name] = Member(name)
        return member

    def remove(self, name: NodeName) -> None:
        """Forget a member."""
        del self._all[name]
        self._suspects.pop(name, None)

    def reachable(self) -> list[Member]:
        """Return those worth talking to."""
        return [member for member in self._all.values() if member.is_reachable]

    def settle(self, member: Member, incarnation: int, status: Status, accusers: tuple[NodeName, ...] = (),
               suspicion: Suspicion | None = None) -> None:
        """Note newer knowledge."""
        assert member.is_older_than(incarnation, status)
        member.incarnation, member.status, member.accusers = incarnation, status, accusers
        self.suspect(member, suspicion)

    def suspect(self, member: Member, suspicion: Suspicion | None) -> None:
        """Replace a member's suspicion; None ends it."""
        member.suspicion = suspicion
        if suspicion is None:
            self._suspects.pop(member.name, None)
        else:
            member.accusers = suspicion.accusers
            self._suspects[member.name] = member
