# SPDX-License-Identifier: LGPL-2.1-or-later
"""The ordered log of one node: Raft (Ongaro's dissertation) as a state machine without I/O.

Laws

1. Nothing that a node says depends on what a crash could make it forget. ``State.send`` holds messages back
   until the term and vote are durable; acknowledgements and the leader's own count stop at ``log.stable``.
2. A node votes once per term, and only for a log that holds all that its own holds.
3. A leader commits by counting only entries of its own term, and never removes an entry of its own log.
4. A follower removes an entry only for a real disagreement, and a committed one never.
5. Members change by one server at a time, only after the leader has committed an entry of its term, and take
   effect when appended.
6. Whoever hears a live leader helps no one to replace it, and who knows that it lacks committed entries does
   not try.
7. What a peer sends may be late, repeated, lost or senseless. It is ignored then, and never raises.
8. A node whose disk failed falls silent for good.

Theory of operation

``step`` hands one event to the part concerned (Election, Following, Leadership, Clients), then ``_settle``
draws the conclusions that do not depend on which event it was: campaigns won, entries committed, what has to
be written, what changed as seen from outside. A node campaigns after a silence of ``election_min`` to
``election_max``, or soon after its leader's stream was reset. The term of office of a leader is one
Leadership object, dropped with the office.
"""

from collections.abc import Iterable

from synod.base.ids import Index, NodeName, Term
from synod.base.machine import Entropy
from synod.base.usec import Usec
from synod.ledger.clients import Clients
from synod.ledger.effects import (
    ChangeRejected,
    Effect,
    QuorumLost,
    QuorumRegained,
    ReadFailed,
    Role,
    RoleChanged,
    StorageFailed,
    TransferRejected,
)
from synod.ledger.election import Election
from synod.ledger.entries import Entry, HardState, Log
from synod.ledger.events import (
    ChangeMembership,
    Event,
    PeerLost,
    Persisted,
    PersistFailed,
    Propose,
    ReadIndexRequest,
    Receive,
    Tick,
    TransferLeadership,
)
from synod.ledger.following import Following
from synod.ledger.leadership import Leadership
from synod.ledger.membership import Configuration
from synod.ledger.messages import (
    AppendAccepted,
    AppendEntries,
    AppendRefused,
    Forward,
    ForwardRefused,
    Message,
    PreVoteReply,
    PreVoteRequest,
    ReadReply,
    ReadRequest,
    Reply,
    StaleTerm,
    TimeoutNow,
    VoteReply,
    VoteRequest,
    is_sensible,
)
from synod.ledger.state import State
from synod.ledger.timing import Timing


class Raft:
    """One node's log. Give it every event in order; carry out the effects in order."""

    def __init__(self, *, name: NodeName, entropy: Entropy, timing: Timing | None = None,
                 hard_state: HardState | None = None, entries: Iterable[Entry] = (),
                 initial: Configuration | None = None) -> None:
        """Start as ``name``, or start again from the last hard state and all entries that are durable.

        ``initial`` are the members before the first entry: on the founder itself alone, at every start; on a
        joiner nobody, for it only listens until the log makes it a member.
        """
        hard = hard_state if hard_state is not None else HardState()
        self._state = State(name=name, timing=timing if timing is not None else Timing(), entropy=entropy,
                            hard_state=hard, log=Log(entries),
                            base=initial if initial is not None else Configuration())
        self._known_commit = hard.commit
        self._election = Election(self._state)
        self._following = Following(self._state, self._election)
        self._leading: Leadership | None = None
        self._clients = Clients(self._state)
        self._is_started = False
        self._has_failed = False
        self._was_late = False
        self._excused_until = Usec(0)
        self._quorate = False
        self._seen = self._outward

    # Read-only facts

    @property
    def role(self) -> Role:
        """Role now."""
        return self._state.role

    @property
    def is_reluctant(self) -> bool:
        """Whether this node lets the others campaign first."""
        return self._state.is_reluctant

    @is_reluctant.setter
    def is_reluctant(self, value: bool) -> None:
        self._state.is_reluctant = value

    @property
    def term(self) -> Term:
        """Present term, durable or not."""
        return self._state.term

    @property
    def leader(self) -> NodeName | None:
        """Leader of the present term, as far as known."""
        return self._state.leader

    @property
    def commit_index(self) -> Index:
        """Everything up to here was emitted."""
        return self._state.commit

    @property
    def last_index(self) -> Index:
        """Newest entry in this node's log, committed or not."""
        return self._state.log.last_index

    @property
    def voters(self) -> tuple[NodeName, ...]:
        """Voters in effect; a change is in effect before it is committed."""
        return self._state.voters

    @property
    def learners(self) -> tuple[NodeName, ...]:
        """Learners in effect."""
        return self._state.views.current.learners

    @property
    def quorate(self) -> bool:
        """Whether a majority answered a leader lately, as far as known here.

        On a leader: something it sent within ``election_min`` was answered by a majority, or it was just
        elected. On any other node: a leader's message arrived whose sender's youngest answer by a majority,
        dated back from the arrival by the age it states, is at most ``election_max`` ago. False before the
        first such message. Transit time is not subtracted, and a node that itself stood still gets a
        heartbeat more to read its messages: this is news, not a lease.
        """
        return self._quorate

    def match_index(self, peer: NodeName) -> Index | None:
        """Return how far ``peer`` is known to agree durably; None if this node does not replicate to it."""
        if self._leading is None:
            return None
        if peer == self._state.name:
            return self._state.log.stable
        return self._leading.replication.match(peer) if peer in self._leading.replication.peers else None

    @property
    def deadline(self) -> Usec | None:
        """Earliest time at which step() wants a Tick, or None for never."""
        if not self._is_started:
            return Usec(0)
        state = self._state
        times: list[Usec] = []
        if self._clients.deadline is not None:
            times.append(self._clients.deadline)
        if self._leading is not None:
            times.append(self._leading.deadline)
        else:
            if state.contact is not None:
                times.append(self._contact_due(state.contact))
            if state.may_campaign and not self._has_failed:
                times.append(self._election.deadline)
        return min(times, default=None)

    # Events

    def step(self, event: Event, now: Usec) -> tuple[Effect, ...]:
        """Digest one event at time ``now``, which never decreases."""
        state = self._state
        deadline = self.deadline
        state.now = max(state.now, now)
        if not self._is_started:
            self._start()
        match event:
            case Tick():
                self._tick(deadline)
            case Propose() | ReadIndexRequest() | ChangeMembership() | TransferLeadership():
                self._ask(event)
            case Receive() | PeerLost() | Persisted() | PersistFailed():
                if not self._has_failed:
                    self._take(event)
        self._settle()
        effects, state.effects = tuple(state.effects), []
        return effects

    def _start(self) -> None:
        self._is_started = True
        self._state.confirmed_at = self._state.now
        self._state.commit_to(self._known_commit)
        if self._state.voters == (self._state.name,):
            self._election.timed_out()
        else:
            self._election.arm()

    def _ask(self, event: Propose | ReadIndexRequest | ChangeMembership | TransferLeadership) -> None:
        """Digest the wish of a caller on this node."""
        state, reason = self._state, "this node is not the leader"
        match event:
            case Propose() if self._has_failed:
                self._clients.refuse(event.req, "this node can not write its log")
            case Propose():
                self._clients.propose(event, self._leading)
            case ReadIndexRequest() if self._has_failed:
                state.effects.append(ReadFailed(token=event.token))
            case ReadIndexRequest():
                self._clients.read(event.token, self._leading)
            case ChangeMembership(operation=operation, node=node):
                refusal = self._leading.change(operation, node) if self._leading is not None else reason
                if refusal is not None:
                    state.effects.append(ChangeRejected(operation=operation, node=node, reason=refusal))
            case TransferLeadership(to=to):
                refusal = self._leading.transfer(to) if self._leading is not None else reason
                if refusal is not None:
                    state.effects.append(TransferRejected(to=to, reason=refusal))

    def _take(self, event: Receive | PeerLost | Persisted | PersistFailed) -> None:
        """Digest news from a peer or the disk."""
        match event:
            case Receive(peer=peer, message=message):
                if peer != self._state.name and is_sensible(message):
                    self._receive(peer, message)
            case PeerLost(peer=peer) if self._leading is not None:
                self._leading.replication.lost_stream(peer)
            case PeerLost(peer=peer) if peer == self._state.leader:
                self._election.lost_stream()
                self._clients.lose_leader()
            case Persisted(seq=seq):
                self._state.persisted(seq)
                self._following.persisted()
            case PersistFailed():
                self._has_failed = True
                self._state.mute()
                self._state.effects.append(StorageFailed())
                self._state.become_follower(self._state.term, None)

    def _tick(self, deadline: Usec | None) -> None:
        """Do what is due.

        A tick that comes much too late means that the whole node stood still, not that the others were
        silent: their messages wait to be read. So it is given a moment to read them, once.
        """
        state = self._state
        self._clients.expire()
        if deadline is None or state.now < deadline:
            return
        is_late = state.now - deadline > 2 * state.timing.heartbeat and deadline > 0
        has_grace, self._was_late = is_late and not self._was_late, is_late
        if self._leading is not None:
            self._tick_leader(self._leading, has_grace=has_grace)
            return
        if has_grace:
            self._excused_until = Usec(state.now + state.timing.heartbeat)
        if state.contact is not None and state.now >= self._contact_due(state.contact):
            state.contact = None
        if state.now >= self._election.deadline and state.may_campaign and not self._has_failed:
            if has_grace:
                self._election.arm_hasty()
            else:
                self._election.timed_out()

    def _tick_leader(self, leading: Leadership, *, has_grace: bool) -> None:
        if has_grace:
            leading.excuse()
        self._state.effects.extend(leading.tick())
        if leading.has_lost_quorum:
            self._state.contact = None
            self._state.become_follower(self._state.term, None)

    def _contact_due(self, contact: Usec) -> Usec:
        return max(Usec(contact + self._state.timing.election_max + 1), self._excused_until)

    # Conclusions

    def _settle(self) -> None:
        """Draw the conclusions that any event may have made possible."""
        state = self._state
        if state.posture is Role.PRE_CANDIDATE and self._election.is_won:
            self._election.campaign()
        if state.posture is Role.CANDIDATE and self._election.is_won:
            state.posture = Role.LEADER
            self._leading = Leadership(state)
        if self._leading is not None:
            self._settle_leader(self._leading)
        state.flush()
        self._settle_outward()
        self._clients.settle()

    def _settle_leader(self, leading: Leadership) -> None:
        state = self._state
        if state.posture is Role.LEADER:
            self._clients.release(leading)
            leading.forget_removed()
            if leading.is_over:
                leading.retire()
                state.become_follower(state.term, None)
        if state.posture is not Role.LEADER:
            self._leading = None
            self._election.arm()
            leading.abandon_reads()

    @property
    def _outward(self) -> tuple[Role, Term, NodeName | None]:
        return self._state.role, self._state.term, self._state.leader

    def _settle_outward(self) -> None:
        """Tell what changed as seen from outside."""
        state = self._state
        if self._outward != self._seen:
            _, term, leader = self._seen
            self._seen = self._outward
            state.effects.append(RoleChanged(role=state.role, term=state.term, leader=state.leader,
                                             confirmed_at=self._election.confirmed_at))
            if leader is not None and (term, leader) != (state.term, state.leader):
                self._clients.lose_leader()
        quorate = state.contact is not None
        if quorate is not self._quorate:
            self._quorate = quorate
            state.effects.append(QuorumRegained() if quorate else QuorumLost())

    # Peers

    def _receive(self, peer: NodeName, message: Message) -> None:
        match message:
            case AppendEntries():
                self._following.receive(peer, message)
            case AppendAccepted() | AppendRefused() | VoteReply() | PreVoteReply() | StaleTerm():
                self._receive_reply(peer, message)
            case PreVoteRequest():
                self._election.answer_pre_vote(peer, message)
            case VoteRequest():
                self._election.answer_vote(peer, message)
            case TimeoutNow():
                self._take_over(peer, message)
            case Forward() | ForwardRefused() | ReadRequest() | ReadReply():
                self._receive_request(peer, message)

    def _receive_reply(self, peer: NodeName, message: Reply) -> None:
        state = self._state
        is_prospective = isinstance(message, PreVoteReply) and message.granted
        if message.term > state.term and not is_prospective:
            if peer in state.views.current.members:  # a removed node cannot depose anyone
                state.become_follower(message.term, None)
            return
        match message:
            case PreVoteReply():
                self._election.count_pre_vote(peer, message)
            case VoteReply():
                self._election.count_vote(peer, message)
            case AppendAccepted() if self._leading is not None and message.term == state.term:
                self._leading.accepted(peer, message)
            case AppendRefused() if self._leading is not None and message.term == state.term:
                self._leading.refused(peer, message)

    def _receive_request(self, peer: NodeName, message: Forward | ForwardRefused | ReadRequest
                         | ReadReply) -> None:
        match message:
            case Forward():
                self._clients.take_forwarded(peer, message, self._leading)
            case ForwardRefused():
                self._clients.forward_refused(peer, message)
            case ReadRequest():
                self._clients.read_for(peer, message, self._leading)
            case ReadReply():
                self._clients.read_answered(message)

    def _take_over(self, peer: NodeName, message: TimeoutNow) -> None:
        state = self._state
        if (message.term == state.term and state.leader == peer and state.may_campaign
                and state.posture is Role.FOLLOWER and not state.lacks_committed_entries):
            self._election.campaign(transfer=True)
