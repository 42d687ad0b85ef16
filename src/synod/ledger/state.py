# SPDX-License-Identifier: LGPL-2.1-or-later
"""What all parts of one log share: term, vote, role, entries, and the gate before all that leaves.

The gate is the one place that enforces "durable before it is said" (dissertation, section 3.8): a message
leaves only when the term and vote under which it was made are durable. What a message says about entries is
limited to durable ones by those who write it, with ``log.stable``.
"""

from collections import deque
from typing import Final

from synod.base.ids import Index, NodeName, Term
from synod.base.machine import Entropy
from synod.base.usec import Usec
from synod.ledger.delivery import Delivery
from synod.ledger.effects import Effect, Persist, Role, Send
from synod.ledger.entries import Entry, HardState, Log
from synod.ledger.membership import Configuration, Views
from synod.ledger.messages import Message
from synod.ledger.timing import Timing

_WITHHELD_MAX: Final = 1024
"""Messages that wait for the disk, a minute of heartbeats; beyond it the oldest is dropped as if lost."""


class State:
    """Mutable state of one log; every part reads it, and changes it through a method where there is one."""

    def __init__(self, *, name: NodeName, timing: Timing, entropy: Entropy, hard_state: HardState, log: Log,
                 base: Configuration) -> None:
        self.name = name
        self.timing = timing
        self.entropy = entropy
        self.log = log
        self.views = Views(base, log.base_index)
        for entry in log.between(Index(0), log.last_index):
            self._note_configuration(entry)
        self.term: Term = hard_state.term
        self.vote: NodeName | None = hard_state.vote
        self.commit: Index = log.base_index
        self.horizon: Index = hard_state.horizon
        self.posture = Role.FOLLOWER
        """The role, apart from being a learner, which follows from the configuration."""

        self.leader: NodeName | None = None
        self.is_reluctant = False
        """Whether this node lets the others campaign first: it leads only when nobody else can."""

        self.contact: Usec | None = None
        """When, as far as known here, a majority last answered a leader; None: too long ago, or never."""

        self.confirmed_at = Usec(0)
        """When this node last answered a leader, or was one; what it did before its start counts as done at
        the start.
        """

        self.now = Usec(0)
        self.effects: list[Effect] = []
        self._delivery = Delivery()
        self._written = hard_state
        self._seq = 0
        self._durable_seq = 0
        self._barrier = 0  # the Persist that carries the present term and vote
        self._withheld: deque[tuple[int, Send]] = deque(maxlen=_WITHHELD_MAX)

    @property
    def role(self) -> Role:
        """Role as seen from outside."""
        if self.posture is Role.FOLLOWER and not self.may_campaign:
            return Role.LEARNER
        return self.posture

    @property
    def voters(self) -> tuple[NodeName, ...]:
        """Voters of the configuration in effect."""
        return self.views.current.voters

    @property
    def is_voter(self) -> bool:
        """Whether this node votes in the configuration in effect."""
        return self.name in self.voters

    @property
    def may_campaign(self) -> bool:
        """Whether this node is a voter, or was one and its removal is not known to be committed.

        In the second case it may be the only one whose log is long enough to be elected (section 4.2.2); it
        then needs the votes of the others and counts for nothing itself.
        """
        return self.is_voter or self.name in self.views.at(self.commit).voters

    @property
    def lacks_committed_entries(self) -> bool:
        """Whether the cluster is known to have committed more than this log holds."""
        return self.horizon > self.log.last_index

    # Term and role

    def become_follower(self, term: Term, leader: NodeName | None) -> None:
        """Follow; a newer term forgets the vote."""
        assert term >= self.term
        if self.posture is Role.LEADER:
            self.confirmed_at = self.now
        if term > self.term:
            self.term, self.vote = term, None
        self.posture, self.leader = Role.FOLLOWER, leader

    # Entries

    def append(self, entry: Entry) -> None:
        """Add an entry; a configuration takes effect now."""
        self.log.append(entry)
        self._note_configuration(entry)

    def truncate(self, index: Index) -> None:
        """Remove the entries from ``index``, none of them committed, and their configurations."""
        assert index > self.commit
        self.log.truncate(index)
        self.views.truncate(index)

    def commit_to(self, index: Index) -> None:
        """Emit what is committed up to ``index``, as far as this log holds it."""
        for entry in self.log.between(Index(self.commit + 1), index):
            self.commit = entry.index
            effect = self._delivery.deliver(entry)
            if effect is not None:
                self.effects.append(effect)
        self.horizon = max(self.horizon, self.commit)

    def _note_configuration(self, entry: Entry) -> None:
        if entry.configuration is not None:
            self.views.append(entry.index, entry.configuration)

    # The gate

    @property
    def is_vote_durable(self) -> bool:
        """Whether the present term and vote are durable."""
        return not self._is_vote_unsaved and self._durable_seq >= self._barrier

    @property
    def _is_vote_unsaved(self) -> bool:
        return (self.term, self.vote) != (self._written.term, self._written.vote)

    def send(self, peer: NodeName, message: Message) -> None:
        """Send now, or as soon as the present term and vote are durable."""
        effect = Send(peer=peer, message=message)
        if self.is_vote_durable:
            self.effects.append(effect)
        else:
            self._withheld.append((self._seq + 1 if self._is_vote_unsaved else self._barrier, effect))

    def flush(self) -> None:
        """Hand over what has to be written, ahead of the other effects so that the disk starts first.

        Commit index and horizon are written along, never on their own account: the horizon must be durable
        no later than the entries that came with it, and that is all.
        """
        is_vote_unsaved = self._is_vote_unsaved
        if not is_vote_unsaved and not self.log.has_unsaved:
            return
        self._seq += 1
        if is_vote_unsaved:
            self._barrier = self._seq
        hard_state = HardState(term=self.term, vote=self.vote, commit=self.commit, horizon=self.horizon)
        cut, entries = self.log.take_unsaved(self._seq)
        self.effects.insert(0, Persist(seq=self._seq, truncate_from=cut, entries=entries,
                                       hard_state=hard_state if hard_state != self._written else None))
        self._written = hard_state

    def persisted(self, seq: int) -> None:
        """Note what is durable and let go what waited for it."""
        assert seq <= self._seq
        self._durable_seq = max(self._durable_seq, seq)
        self.log.saved(seq)
        while self._withheld and self._withheld[0][0] <= self._durable_seq:
            self.effects.append(self._withheld.popleft()[1])

    def mute(self) -> None:
        """Drop what waited for the disk: it will never be durable."""
        self._withheld.clear()
