# SPDX-License-Identifier: LGPL-2.1-or-later
"""Who votes, who only listens, and which single-server changes are allowed.

Ongaro's dissertation, chapter 4: one server at a time, because two majorities of configurations that differ
in one voter always overlap. A configuration takes effect when its entry is appended, hence truncation takes
it back. Every configuration entry carries the whole result, never a difference: a node with only part of the
log can not compute a configuration that never existed.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from enum import Enum

from synod.base.ids import Index, NodeName
from synod.ledger.timing import VOTERS_MAX


class Operation(Enum):
    """A change by one server."""

    ADD_LEARNER = "add-learner"
    PROMOTE = "promote"
    DEMOTE = "demote"
    REMOVE = "remove"


@dataclass(frozen=True, slots=True, kw_only=True)
class Configuration:
    """The members of the log; build it with of(), which sorts the names."""

    voters: tuple[NodeName, ...] = ()
    """Sorted; they elect and their copies count."""

    learners: tuple[NodeName, ...] = ()
    """Sorted, no voter among them; they receive entries and count for nothing."""

    @classmethod
    def of(cls, *, voters: Iterable[NodeName] = (), learners: Iterable[NodeName] = ()) -> "Configuration":
        """Build a configuration from names in any order."""
        return cls(voters=tuple(sorted(voters)), learners=tuple(sorted(learners)))

    @property
    def members(self) -> tuple[NodeName, ...]:
        """Voters, then learners."""
        return self.voters + self.learners

    @property
    def is_valid(self) -> bool:
        """Whether it is sorted, without a name twice, and within VOTERS_MAX."""
        names = self.members
        is_sorted = self == Configuration.of(voters=self.voters, learners=self.learners)
        return is_sorted and len(set(names)) == len(names) and len(self.voters) <= VOTERS_MAX

    def refusal(self, operation: Operation, node: NodeName) -> str | None:
        """Return why the change is impossible, or None."""
        match operation:
            case Operation.ADD_LEARNER if node in self.members:
                return f"'{node}' is a member already"
            case Operation.PROMOTE if node not in self.learners:
                return f"'{node}' is not a learner"
            case Operation.PROMOTE if len(self.voters) >= VOTERS_MAX:
                return f"there are {VOTERS_MAX} voters already; demote one first"
            case Operation.DEMOTE if node not in self.voters:
                return f"'{node}' is not a voter"
            case Operation.REMOVE if node not in self.members:
                return f"'{node}' is not a member"
            case (Operation.DEMOTE | Operation.REMOVE) if self.voters == (node,):
                return f"'{node}' is the last voter"
        return None

    def changed(self, operation: Operation, node: NodeName) -> "Configuration":
        """Return the configuration after a change for which refusal() is None."""
        voters = [name for name in self.voters if name != node]
        learners = [name for name in self.learners if name != node]
        match operation:
            case Operation.ADD_LEARNER | Operation.DEMOTE:
                learners.append(node)
            case Operation.PROMOTE:
                voters.append(node)
            case Operation.REMOVE:
                pass
        return Configuration.of(voters=voters, learners=learners)


class Views:
    """The different configurations in the log, each with the index of its entry; the newest is in effect."""

    def __init__(self, base: Configuration, base_index: Index) -> None:
        self._views: list[tuple[Index, Configuration]] = [(base_index, base)]

    @property
    def current(self) -> Configuration:
        """The configuration in effect, committed or not."""
        return self._views[-1][1]

    @property
    def changed_at(self) -> Index:
        """Index of the newest entry that altered the members, rather than repeated them."""
        return self._views[-1][0]

    def at(self, index: Index) -> Configuration:
        """Return the configuration that the log up to ``index`` ends with."""
        return next((view for begin, view in reversed(self._views) if begin <= index), self._views[0][1])

    def append(self, index: Index, configuration: Configuration) -> None:
        """Put a configuration into effect; one that repeats the last is none."""
        if configuration != self.current:
            self._views.append((index, configuration))

    def truncate(self, index: Index) -> None:
        """Take back every configuration at ``index`` or later."""
        while self._views[-1][0] >= index and len(self._views) > 1:
            self._views.pop()
