# SPDX-License-Identifier: LGPL-2.1-or-later
"""What must hold after every step of every node, whatever the world did. Knows nothing of faults.

The names of the properties are those of the Raft paper, Figure 3; the others say what they mean.
"""

from collections.abc import Sequence
from typing import Protocol

from synod.base.ids import Index, NodeName, Term
from synod.base.usec import Usec
from synod.ledger.effects import (
    Committed,
    Effect,
    ProposalRejected,
    ReadReady,
    Role,
    RoleChanged,
    Send,
    ViewChange,
)
from synod.ledger.entries import Entry, HardState, ReqId
from synod.ledger.events import Event, Propose, ReadIndexRequest, Receive
from synod.ledger.machine import Raft
from synod.ledger.messages import AppendAccepted, PreVoteReply, VoteReply, VoteRequest


class ViolationError(AssertionError):
    """A property does not hold; the text begins with its name."""


class Suspect(Protocol):
    """What the judge looks at: a node and its disk."""

    name: NodeName
    raft: Raft
    durable_hard: HardState
    durable_entries: list[Entry]


class _Memory:
    """What the judge remembers of one life of one node."""

    def __init__(self) -> None:
        self.log: list[Entry] = []
        self.commit = 0
        self.term = Term(0)
        self.pre_votes: dict[NodeName, Term] = {}
        self.emitted = 0


class Judge:
    """Watches all nodes of one world."""

    def __init__(self, suspects: dict[NodeName, Suspect]) -> None:
        self._suspects = suspects
        self._memories: dict[NodeName, _Memory] = {}
        self._leaders: dict[Term, NodeName] = {}
        self._votes: dict[tuple[NodeName, Term], NodeName] = {}
        self._entries: dict[tuple[Index, Term], tuple[Entry, Term]] = {}
        self.committed: list[Entry] = []
        self._stream: dict[Index, Committed | ViewChange] = {}
        self._effective: dict[ReqId, Index] = {}
        self._open: set[ReqId] = set()  # an attempt ended with its outcome unknown
        self._never: set[ReqId] = set()  # every attempt so far was rejected for good
        self._floors: dict[tuple[NodeName, int], tuple[int, Usec]] = {}
        self._confirmations: dict[Term, Usec] = {}
        """When the youngest request was made that the leader of a term has confirmed."""
        self._quiet: dict[Term, Usec] = {}
        """After when, by the word of the leader of a term, no earlier one was confirmed."""

    def forget(self, name: NodeName) -> None:
        """A node crashed: its next life begins."""
        self._memories.pop(name, None)

    def hear(self, suspect: Suspect, event: Event, now: Usec) -> None:
        """Note an event just before the node gets it."""
        memory = self._memories.setdefault(suspect.name, _Memory())
        match event:
            case Receive(peer=peer, message=PreVoteReply(granted=True, term=term)):
                memory.pre_votes[peer] = term
            case ReadIndexRequest(token=token):
                self._floors[suspect.name, token] = len(self.committed), now
            case Propose(req=req):
                self._never.discard(req)
            case _:
                pass

    def see(self, suspect: Suspect, effects: Sequence[Effect]) -> None:
        """Check everything that the step may have broken."""
        memory = self._memories.setdefault(suspect.name, _Memory())
        self._see_term(suspect, memory)
        self._see_log(suspect, memory)
        self._see_commit(suspect, memory)
        for effect in effects:
            self._see_effect(suspect, memory, effect)

    # The parts

    def _see_term(self, suspect: Suspect, memory: _Memory) -> None:
        term = suspect.raft.term
        if term < memory.term:
            raise ViolationError(f"monotone term: {suspect.name} went from {memory.term} to {term}")
        memory.term = term

    def _see_log(self, suspect: Suspect, memory: _Memory) -> None:
        log = suspect.raft._state.log
        entries = log.between(Index(1), log.last_index)
        same = min(len(entries), len(memory.log))
        while same and entries[same - 1] is not memory.log[same - 1]:
            same -= 1
        if same == len(entries) == len(memory.log):
            return
        for position in range(same, len(entries)):
            entry = entries[position]
            before = entries[position - 1].term if position else Term(0)
            known, known_before = self._entries.setdefault((entry.index, entry.term), (entry, before))
            if entry != known or before != known_before:
                raise ViolationError(f"log matching: {suspect.name} holds {entry} after term {before}, "
                                f"another held {known} after term {known_before}")
        if suspect.raft.role is Role.LEADER and same < len(memory.log):
            raise ViolationError(f"leader append-only: {suspect.name} removed entries from {same + 1}")
        memory.log = list(entries)

    def _see_commit(self, suspect: Suspect, memory: _Memory) -> None:
        commit = suspect.raft.commit_index
        if commit < memory.commit:
            raise ViolationError(f"monotone commit: {suspect.name} went from {memory.commit} to {commit}")
        for position in range(memory.commit, commit):
            entry = memory.log[position]
            if position == len(self.committed):
                self._see_durable(suspect, entry)
                self.committed.append(entry)
            elif self.committed[position] != entry:
                raise ViolationError(f"state machine safety: {suspect.name} committed {entry}, "
                                f"another {self.committed[position]}")
        memory.commit = commit

    def _see_durable(self, suspect: Suspect, entry: Entry) -> None:
        voters = suspect.raft.voters
        holders = [name for name in voters if name in self._suspects
                   and self._holds(self._suspects[name], entry.index, entry.term)]
        if len(holders) * 2 <= len(voters):
            raise ViolationError(f"durability: {suspect.name} committed {entry} of {voters}, "
                                 f"on disk at {holders}")

    @staticmethod
    def _holds(suspect: Suspect, index: Index, term: Term) -> bool:
        entries = suspect.durable_entries
        return len(entries) >= index and entries[index - 1].term == term

    def _see_effect(self, suspect: Suspect, memory: _Memory, effect: Effect) -> None:
        match effect:
            case RoleChanged(role=Role.LEADER, term=term, confirmed_at=confirmed_at):
                self._see_leader(suspect, memory, term)
                self._quiet[term] = confirmed_at
                self._see_quiet()
            case Send(peer=peer, message=message):
                self._see_message(suspect, memory, peer, message)
            case Committed() | ViewChange():
                self._see_stream(suspect, memory, effect)
            case ReadReady(token=token, index=index):
                floor, asked_at = self._floors.pop((suspect.name, token))
                if suspect.raft.role is Role.LEADER:
                    self._see_confirmation(suspect.raft.term, asked_at)
                if index < floor or suspect.raft.commit_index < index:
                    raise ViolationError(f"linearizable read: {suspect.name} got {index}, "
                                         f"{floor} was committed")
            case ProposalRejected(req=req, definite=definite):
                if not definite:
                    self._open.add(req)
                elif req not in self._open:
                    self._never.add(req)
            case _:
                pass

    def _see_confirmation(self, term: Term, asked_at: Usec) -> None:
        self._confirmations[term] = max(asked_at, self._confirmations.get(term, asked_at))
        self._see_quiet()

    def _see_quiet(self) -> None:
        for term, asked_at in self._confirmations.items():
            late = [other for other, since in self._quiet.items() if other > term and since < asked_at]
            if late:
                raise ViolationError(f"quiet: term {term} was confirmed for {asked_at}, "
                                     f"term {late[0]} counts from {self._quiet[late[0]]}")

    def _see_leader(self, suspect: Suspect, memory: _Memory, term: Term) -> None:
        if self._leaders.setdefault(term, suspect.name) != suspect.name:
            raise ViolationError(f"election safety: {self._leaders[term]} and {suspect.name} "
                                 f"lead in term {term}")
        for entry in self.committed:
            if entry.term < term and (len(memory.log) < entry.index or memory.log[entry.index - 1] != entry):
                raise ViolationError(f"leader completeness: {suspect.name} leads term {term} "
                                     f"without {entry}")

    def _see_message(self, suspect: Suspect, memory: _Memory, peer: NodeName, message: object) -> None:
        match message:
            case VoteReply(granted=True, term=term):
                self._see_vote(suspect, term, peer)
            case VoteRequest(term=term, transfer=transfer):
                self._see_vote(suspect, term, suspect.name)
                willing = [name for name in suspect.raft.voters
                           if name == suspect.name or memory.pre_votes.get(name) == term]
                if not transfer and len(willing) * 2 <= len(suspect.raft.voters):
                    raise ViolationError(f"pre-vote: {suspect.name} began term {term}, "
                                         f"only {willing} were willing")
            case AppendAccepted(match=match, term=term):
                if match > len(suspect.durable_entries):
                    raise ViolationError(f"acknowledged before durable: {suspect.name} up to {match}, "
                                    f"on disk {len(suspect.durable_entries)}")
                if term > suspect.durable_hard.term:
                    raise ViolationError(f"answered in term {term} before it was durable: {suspect.name}")

    def _see_vote(self, suspect: Suspect, term: Term, candidate: NodeName) -> None:
        if self._votes.setdefault((suspect.name, term), candidate) != candidate:
            raise ViolationError(f"one vote per term: {suspect.name} in term {term} for "
                            f"{self._votes[suspect.name, term]} and {candidate}")
        hard = suspect.durable_hard
        if hard.term < term or (hard.term == term and hard.vote != candidate):
            raise ViolationError(f"voted before durable: {suspect.name} in term {term}, on disk {hard}")

    def _see_stream(self, suspect: Suspect, memory: _Memory, effect: Committed | ViewChange) -> None:
        if effect.index <= memory.emitted:
            raise ViolationError(f"order: {suspect.name} emitted {effect.index} after {memory.emitted}")
        memory.emitted = effect.index
        if self._stream.setdefault(effect.index, effect) != effect:
            raise ViolationError(f"one order: {suspect.name} emitted {effect}, "
                                 f"another {self._stream[effect.index]}")
        if isinstance(effect, ViewChange) or effect.duplicate:
            return
        if self._effective.setdefault(effect.req, effect.index) != effect.index:
            raise ViolationError(f"exactly once: {effect.req} at {self._effective[effect.req]} "
                                 f"and {effect.index}")
        if effect.req in self._never:
            raise ViolationError(f"definite: {effect.req} was said not to be committed, then was")
