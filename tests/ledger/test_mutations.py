# SPDX-License-Identifier: LGPL-2.1-or-later
"""Known ways to get Raft wrong, most of them found in software that was shipped; the judge must notice each.

A mutation replaces one decision of the core or of its host, then the golden scripts are played and storms
rage. If they no longer find it, they have become too mild.
"""

from collections.abc import Callable
from dataclasses import replace

import pytest
from ledger_judge import ViolationError
from ledger_world import Dice, Host, Storm

from synod.base.ids import Index, NodeName
from synod.ledger.delivery import Delivery
from synod.ledger.effects import Persist, Role
from synod.ledger.election import Election
from synod.ledger.entries import Entry, Log
from synod.ledger.events import Persisted
from synod.ledger.following import Following
from synod.ledger.leadership import Leadership
from synod.ledger.machine import Raft
from synod.ledger.messages import AppendAccepted, PreVoteReply, Reply, VoteReply
from synod.ledger.quorum import reached
from synod.ledger.replication import Replication
from synod.ledger.requests import EffectiveRequests
from synod.ledger.timing import Timing

from .test_machine import SCRIPTS, play
from .test_storms import weather

Mutate = Callable[[pytest.MonkeyPatch], None]
_MUTATIONS: dict[str, tuple[Mutate, str]] = {}
SEEDS = range(300)


def caught_by(*properties: str) -> Callable[[Mutate], Mutate]:
    """Register a mutation with the properties of which one must be seen broken."""
    def register(mutate: Mutate) -> Mutate:
        _MUTATIONS[mutate.__name__] = (mutate, "|".join(properties))
        return mutate
    return register


@caught_by("one vote per term")
def vote_is_forgotten_by_a_crash(patch: pytest.MonkeyPatch) -> None:
    start = Host.start

    def amnesic(self: Host, entropy: Dice, timing: Timing) -> None:
        self.durable_hard = replace(self.durable_hard, vote=None)
        start(self, entropy, timing)
    patch.setattr(Host, "start", amnesic)


@caught_by("election safety")
def repeated_vote_counts_twice(patch: pytest.MonkeyPatch) -> None:
    count = Election.count_vote

    def careless(self: Election, peer: NodeName, reply: VoteReply) -> None:
        if reply.granted and self._votes.get(peer):
            others = [name for name in self._state.voters if name != self._state.name]
            peer = next((name for name in others if name not in self._votes), peer)
        count(self, peer, reply)
    patch.setattr(Election, "count_vote", careless)


@caught_by("quiet")
def vote_forgets_whom_it_confirmed(patch: pytest.MonkeyPatch) -> None:
    acknowledge = Following._acknowledge

    def careless(self: Following, peer: NodeName) -> None:
        before = self._state.confirmed_at
        acknowledge(self, peer)
        self._state.confirmed_at = before
    patch.setattr(Following, "_acknowledge", careless)


@caught_by("leader completeness", "state machine safety")
def vote_for_a_shorter_log(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(Log, "is_up_to_date", lambda self, last_term, last_index: True)


@caught_by("pre-vote")
def late_pre_vote_counts(patch: pytest.MonkeyPatch) -> None:
    def careless(self: Election, peer: NodeName, reply: PreVoteReply) -> None:
        if self._state.posture is Role.PRE_CANDIDATE:
            self._votes[peer] = reply.granted
    patch.setattr(Election, "count_pre_vote", careless)


@caught_by("leader completeness", "state machine safety")
def entry_of_an_older_term_is_committed_by_counting(patch: pytest.MonkeyPatch) -> None:
    def careless(self: Replication) -> Index:
        matches: dict[NodeName, int] = {peer: progress.match for peer, progress in self._peers.items()}
        matches[self._state.name] = self._state.log.stable
        return Index(reached(self._state.voters, matches))
    patch.setattr(Replication, "committable", careless)


@caught_by("durability")
def leader_counts_its_own_copy_before_it_is_durable(patch: pytest.MonkeyPatch) -> None:
    def careless(self: Replication) -> Index:
        matches: dict[NodeName, int] = {peer: progress.match for peer, progress in self._peers.items()}
        matches[self._state.name] = self._state.log.last_index
        index = Index(reached(self._state.voters, matches))
        return index if self._state.log.term_at(index) == self._state.term else Index(0)
    patch.setattr(Replication, "committable", careless)


@caught_by("acknowledged before durable", "durability", "leader completeness", "state machine safety")
def overlapping_entries_truncate_without_a_conflict(patch: pytest.MonkeyPatch) -> None:
    def careless(self: Following, entries: tuple[Entry, ...]) -> bool:
        state = self._state
        if entries and entries[0].index <= state.log.last_index:
            state.log.truncate(entries[0].index)
            state.views.truncate(entries[0].index)
        for entry in entries:
            state.append(entry)
        return True
    patch.setattr(Following, "merge", careless)


@caught_by("acknowledged before durable")
def entries_are_acknowledged_before_persisted(patch: pytest.MonkeyPatch) -> None:
    def careless(self: Following, peer: NodeName) -> None:
        term = self._state.term
        self._state.send(peer, AppendAccepted(term=term, round=self._round, match=self._verified))
    patch.setattr(Following, "_acknowledge", careless)


@caught_by("acknowledged before durable", "voted before durable", "durability")
def host_reports_persisted_before_the_sync(patch: pytest.MonkeyPatch) -> None:
    later = Storm.written_later

    def careless(self: Storm, host: Host, persist: Persist) -> None:
        boot = host.boot

        def lie() -> None:
            if host.is_up and host.boot == boot:
                self.step(host, Persisted(seq=persist.seq))
        self.at(0, lie)
        later(self, host, persist)
    patch.setattr(Storm, "written_later", careless)


@caught_by("voted before durable", "one vote per term")
def vote_leaves_before_it_is_durable(patch: pytest.MonkeyPatch) -> None:
    patch.setattr("synod.ledger.state.State.is_vote_durable", True)


@caught_by("durability", "state machine safety", "leader completeness")
def acknowledgement_of_an_older_term_counts(patch: pytest.MonkeyPatch) -> None:
    receive = Raft._receive_reply

    def careless(self: Raft, peer: NodeName, message: Reply) -> None:
        if isinstance(message, AppendAccepted) and self._leading is not None:
            message = replace(message, term=self._state.term)
        receive(self, peer, message)
    patch.setattr(Raft, "_receive_reply", careless)


@caught_by("exactly once")
def repeated_request_takes_effect_again(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(EffectiveRequests, "take", lambda self, req: True)


@caught_by("exactly once", "one order")
def requests_are_forgotten_at_a_new_term(patch: pytest.MonkeyPatch) -> None:
    deliver = Delivery.deliver

    def careless(self: Delivery, entry: Entry) -> object:
        if entry.configuration is not None:
            self._requests = EffectiveRequests()
        return deliver(self, entry)
    patch.setattr(Delivery, "deliver", careless)


@caught_by("quiet", "linearizable read")
def leader_answers_reads_without_asking_a_majority(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(Replication, "answered_round", lambda self: self.round)


@caught_by("linearizable read")
def new_leader_answers_reads_before_its_first_commit(patch: pytest.MonkeyPatch) -> None:
    begin = Leadership.__init__

    def careless(self: Leadership, state: object) -> None:
        begin(self, state)  # type: ignore[arg-type]
        self._first_index = Index(0)
    patch.setattr(Leadership, "__init__", careless)


def hunt() -> ViolationError:
    for path in SCRIPTS:
        try:
            play(path.read_text())
        except ViolationError as violation:
            return violation
        except (IndexError, AssertionError):
            pass  # the mutation led the script astray
    for seed in SEEDS:
        try:
            weather(seed, troubles=100)
        except ViolationError as violation:
            return violation
        except AssertionError as stalled:
            if not str(stalled).startswith("liveness"):
                raise
    raise AssertionError(f"no script and no storm of {len(SEEDS)} broke a property")


@pytest.mark.parametrize("name", sorted(_MUTATIONS))
def test_the_judge_notices(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    mutate, properties = _MUTATIONS[name]
    mutate(monkeypatch)
    violation = hunt()
    assert str(violation).split(":")[0] in properties.split("|"), str(violation)
