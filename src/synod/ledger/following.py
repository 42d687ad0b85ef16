# SPDX-License-Identifier: LGPL-2.1-or-later
"""The receiving side of replication. Ongaro's dissertation, section 3.5.

What was verified against the leader of a term and what is durable are two numbers; an acknowledgement never
exceeds either. A heartbeat is answered at once even while the disk is busy, so a slow disk costs throughput,
not leaders.
"""

from synod.base.ids import Index, NodeName, Term
from synod.base.usec import Usec
from synod.ledger.effects import Role
from synod.ledger.election import Election
from synod.ledger.entries import Entry
from synod.ledger.messages import AppendAccepted, AppendEntries, AppendRefused, StaleTerm
from synod.ledger.state import State


class Following:
    """How far this node's log agrees with the leader's."""

    def __init__(self, state: State, election: Election) -> None:
        self._state = state
        self._election = election
        self._term = Term(0)  # the term that the rest belongs to
        self._round = 0
        self._verified = Index(0)  # the log agrees with the leader's up to here
        self._acknowledged = Index(0)

    def receive(self, peer: NodeName, message: AppendEntries) -> None:
        """Digest a leader's message."""
        state = self._state
        if message.term < state.term:
            state.send(peer, StaleTerm(term=state.term))
            return
        if not self._accept_leader(peer, message.term):
            return
        if message.quorum_age <= state.timing.election_max:
            state.contact = max(state.contact or Usec(0), Usec(state.now - message.quorum_age))
        state.horizon = max(state.horizon, message.commit)
        if message.term != self._term:
            self._term, self._round = message.term, 0
            self._verified = self._acknowledged = Index(0)
        self._round = max(self._round, message.round)
        if state.log.term_at(message.prev_index) != message.prev_term:
            self._refuse(peer, message)
        elif self.merge(message.entries):
            self._verified = max(self._verified, Index(message.prev_index + len(message.entries)))
            state.commit_to(min(message.commit, self._verified))
            if not message.entries or self._verified <= state.log.stable:
                self._acknowledge(peer)  # else once they are durable

    def persisted(self) -> None:
        """Acknowledge what has become durable."""
        state = self._state
        if (state.posture is Role.FOLLOWER and state.leader is not None and state.term == self._term
                and min(self._verified, state.log.stable) > self._acknowledged):
            self._acknowledge(state.leader)

    def _accept_leader(self, peer: NodeName, term: Term) -> bool:
        state = self._state
        if state.posture is Role.LEADER and term == state.term:
            return False  # two leaders in a term: the peer broke the protocol
        if term == state.term and state.leader not in (None, peer):
            return False
        state.become_follower(term, peer)
        self._election.heard_leader()
        return True

    def merge(self, entries: tuple[Entry, ...]) -> bool:
        """Make the log agree with the leader's entries; return False if they contradict what is committed.

        Only a real disagreement truncates: a late message that repeats a part of the log must not take back
        what was acknowledged after it.
        """
        state = self._state
        conflict = state.log.first_conflict(entries)
        if conflict is not None:
            if conflict <= state.commit:
                return False  # what is committed never changes: the peer broke the protocol
            state.truncate(conflict)
        for entry in entries:
            if entry.index > state.log.last_index:
                state.append(entry)
        return True

    def _acknowledge(self, peer: NodeName) -> None:
        state = self._state
        state.confirmed_at = state.now
        self._acknowledged = min(self._verified, state.log.stable)
        state.send(peer, AppendAccepted(term=state.term, round=self._round, match=self._acknowledged))

    def _refuse(self, peer: NodeName, message: AppendEntries) -> None:
        state = self._state
        state.confirmed_at = state.now
        limit = state.log.agreement_limit(message.prev_index, message.prev_term)
        state.send(peer, AppendRefused(term=state.term, round=self._round, prev_index=message.prev_index,
                                       hint_index=limit, hint_term=state.log.term_at(limit) or Term(0)))
