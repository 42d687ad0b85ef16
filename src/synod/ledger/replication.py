# SPDX-License-Identifier: LGPL-2.1-or-later
"""The leader's knowledge of each peer's log, and what to send it next.

A peer is probed, one batch at a time, until its log is found to agree; from then on batches are pipelined,
up to INFLIGHT_MAX ahead of the acknowledgements. A reset stream or a refusal leads back to probing.
Ongaro's dissertation, sections 3.5 and 10.2.
"""

from collections import deque
from dataclasses import dataclass, field
from typing import Final

from synod.base.ids import Index, NodeName
from synod.base.usec import Usec
from synod.ledger.entries import Entry
from synod.ledger.messages import AppendAccepted, AppendEntries, AppendRefused
from synod.ledger.quorum import reached
from synod.ledger.state import State
from synod.ledger.timing import INFLIGHT_MAX

_NOTHING: Final = Index(0)


@dataclass(slots=True, kw_only=True)
class Progress:
    """One peer. Invariant: match < next."""

    next: Index
    """First entry not yet sent."""

    match: Index = _NOTHING
    """Durable on the peer and equal to ours up to here."""

    round: int = 0
    """Youngest heartbeat that was answered."""

    is_probing: bool = True
    """Whether it is unknown that the peer holds the entry before ``next``."""

    is_waiting: bool = False
    """Whether a probe is under way; a heartbeat is one as well."""

    probe_end: Index = _NOTHING
    """Last entry that the probe under way carries; 0: it carries none."""

    commit_sent: Index = _NOTHING
    inflight: deque[Index] = field(default_factory=deque)
    """Last index of each batch sent and not acknowledged."""

    def sent_up_to(self, index: Index) -> None:
        """Note a batch under way that ends at ``index``."""
        self.next = Index(index + 1)
        self.inflight.append(index)

    def probe_from(self, index: Index) -> None:
        """Forget what is under way and find out anew what the peer holds."""
        self.next = max(Index(self.match + 1), index)
        self.is_probing, self.is_waiting = True, False
        self.probe_end = _NOTHING
        self.inflight.clear()


class Replication:
    """Progress of every peer of one leader, in the order of their names."""

    def __init__(self, state: State) -> None:
        self._state = state
        self._peers: dict[NodeName, Progress] = {}
        self.round = 0
        """The youngest heartbeat sent."""

        self.include_members()

    @property
    def peers(self) -> tuple[NodeName, ...]:
        """Who is sent entries: the other members, and a removed one until its removal is committed."""
        return tuple(self._peers)

    def progress(self, peer: NodeName) -> Progress | None:
        """Return what is known of a peer, None when it is not replicated to."""
        return self._peers.get(peer)

    def match(self, peer: NodeName) -> Index:
        """Return how far a peer is known to agree durably."""
        return self._peers[peer].match if peer in self._peers else _NOTHING

    def include_members(self) -> None:
        """Begin to replicate to new members."""
        for peer in self._state.views.current.members:
            if peer != self._state.name and peer not in self._peers:
                self._peers[peer] = Progress(next=Index(self._state.log.last_index + 1))

    def forget_others(self) -> None:
        """Stop replicating to nodes that are no members any more."""
        members = self._state.views.current.members
        self._peers = {peer: progress for peer, progress in self._peers.items() if peer in members}

    # Sending

    def heartbeat(self) -> None:
        """Begin a new round: everyone is sent something."""
        self.round += 1
        for peer in self._peers:
            self._send(peer)

    def broadcast(self) -> None:
        """Send everyone what it lacks, as far as its window allows."""
        for peer in self._peers:
            self.catch_up(peer)

    def catch_up(self, peer: NodeName) -> None:
        """Send one peer what it lacks, entries or the news of a commit."""
        progress = self._peers[peer]
        while self._has_news(progress) and self._send(peer):
            pass

    def _has_news(self, progress: Progress) -> bool:
        if progress.is_probing:
            return not progress.is_waiting
        has_entries = progress.next <= self._state.log.last_index and len(progress.inflight) < INFLIGHT_MAX
        return has_entries or progress.commit_sent < self._state.commit

    def _send(self, peer: NodeName) -> bool:
        state, progress = self._state, self._peers[peer]
        prev_index = Index(progress.next - 1)
        prev_term = state.log.term_at(prev_index)
        if prev_term is None:
            return False  # the peer needs what is no longer in the log
        entries = self._entries_for(progress)
        age = state.now - state.contact if state.contact is not None else 0
        state.send(peer, AppendEntries(term=state.term, round=self.round, prev_index=prev_index,
                                       prev_term=prev_term, commit=state.commit, quorum_age=Usec(age),
                                       entries=entries))
        progress.commit_sent = state.commit
        if progress.is_probing:
            progress.is_waiting = True
            progress.probe_end = entries[-1].index if entries else _NOTHING
        elif entries:
            progress.sent_up_to(entries[-1].index)
        return True

    def _entries_for(self, progress: Progress) -> tuple[Entry, ...]:
        """Return the next batch; nothing for a full window, nor for a probe that is repeated."""
        if len(progress.inflight) >= INFLIGHT_MAX or (progress.is_probing and progress.is_waiting):
            return ()
        return self._state.log.batch(progress.next)

    # Answers

    def accepted(self, peer: NodeName, message: AppendAccepted) -> None:
        """Note an acknowledgement; late and repeated ones change nothing."""
        progress = self._peers[peer]
        if message.match > self._state.log.last_index:
            return
        progress.round = max(progress.round, min(message.round, self.round))
        progress.match = max(progress.match, message.match)
        progress.next = max(progress.next, Index(progress.match + 1))
        if progress.is_probing:
            progress.is_probing = progress.is_waiting = False
            if progress.probe_end >= progress.next:
                progress.sent_up_to(progress.probe_end)
        while progress.inflight and progress.inflight[0] <= progress.match:
            progress.inflight.popleft()

    def refused(self, peer: NodeName, message: AppendRefused) -> None:
        """Go back to where the logs may agree; a refusal of an older message changes nothing."""
        progress, log = self._peers[peer], self._state.log
        progress.round = max(progress.round, min(message.round, self.round))
        if message.prev_index <= progress.match or message.prev_index >= progress.next:
            return
        if progress.is_probing and message.prev_index != progress.next - 1:
            return
        limit = log.agreement_limit(message.hint_index, message.hint_term)
        progress.probe_from(Index(min(message.prev_index, limit + 1)))

    def lost_stream(self, peer: NodeName) -> None:
        """What was under way to the peer may be gone."""
        if peer in self._peers:
            self._peers[peer].probe_from(_NOTHING)

    # What a majority has

    def committable(self) -> Index:
        """Return the highest index that is durable on a majority and of the present term (section 3.6.2).

        An entry of an older term commits only through a later one of ours: counting its copies proves
        nothing, as Figure 3.7 shows.
        """
        state = self._state
        matches: dict[NodeName, int] = {peer: progress.match for peer, progress in self._peers.items()}
        matches[state.name] = state.log.stable
        index = Index(reached(state.voters, matches))
        return index if state.log.term_at(index) == state.term else _NOTHING

    def answered_round(self) -> int:
        """Return the youngest round that a majority has answered; oneself answers at once."""
        rounds = {peer: progress.round for peer, progress in self._peers.items()}
        rounds[self._state.name] = self.round
        return reached(self._state.voters, rounds)
