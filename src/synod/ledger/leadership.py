# SPDX-License-Identifier: LGPL-2.1-or-later
"""One term of office: what a node does only while it leads.

Check-quorum (dissertation, section 6.2): a leader that no majority has answered for an election timeout
resigns, so that its clients learn it and its followers are free to elect. Membership changes: chapter 4;
transfer: section 3.10.
"""

from synod.base.ids import Index, NodeName
from synod.base.usec import Usec
from synod.ledger.effects import Effect, TransferRejected
from synod.ledger.entries import Entry, ReqId
from synod.ledger.membership import Configuration, Operation
from synod.ledger.messages import AppendAccepted, AppendRefused, TimeoutNow
from synod.ledger.reads import Barrier, Barriers
from synod.ledger.replication import Replication
from synod.ledger.state import State
from synod.ledger.timing import UNCOMMITTED_BYTES_MAX, UNCOMMITTED_ENTRIES_MAX


class Leadership:
    """The office of leader in one term; thrown away with it."""

    def __init__(self, state: State) -> None:
        """Take office: a majority has just voted for this node."""
        self._state = state
        self.replication = Replication(state)
        self._barriers = Barriers()
        self._round_sent: dict[int, Usec] = {}
        self._heartbeat_due = state.now
        self._excused_until = state.now
        self._transfer: tuple[NodeName, Usec] | None = None  # to whom, until when
        self._is_transfer_sent = False
        self._open_bytes = sum(len(entry.payload) for entry in state.log.between(Index(state.commit + 1),
                                                                                 state.log.last_index))
        state.leader = state.name
        state.contact = state.now
        self._first_index = Index(state.log.last_index + 1)
        self._append(configuration=state.views.current)  # commits what older terms left (section 3.6.2)
        self.heartbeat()

    # Time

    @property
    def deadline(self) -> Usec:
        """When tick() wants to be called."""
        deadline = min(self._heartbeat_due, self._quorum_due)
        return min(deadline, self._transfer[1]) if self._transfer is not None else deadline

    @property
    def _quorum_due(self) -> Usec:
        state = self._state
        assert state.contact is not None
        return max(Usec(state.contact + state.timing.election_min), self._excused_until)

    def excuse(self) -> None:
        """This node itself stood still: wait a heartbeat for the answers that are there to be read."""
        self._excused_until = Usec(self._state.now + self._state.timing.heartbeat)

    @property
    def has_lost_quorum(self) -> bool:
        """Whether no majority has answered anything sent within an election timeout."""
        return self._state.now >= self._quorum_due

    def tick(self) -> list[Effect]:
        """Send the heartbeat that is due; give up a transfer that takes too long."""
        if self._state.now >= self._heartbeat_due:
            self.heartbeat()
        if self._transfer is not None and self._state.now >= self._transfer[1]:
            to, self._transfer = self._transfer[0], None
            return [TransferRejected(to=to, reason=f"'{to}' did not take over in time")]
        return []

    def heartbeat(self) -> None:
        """Begin a round."""
        state = self._state
        self._heartbeat_due = Usec(state.now + state.timing.heartbeat)
        self.replication.heartbeat()
        self._round_sent[self.replication.round] = state.now

    # Answers

    def accepted(self, peer: NodeName, message: AppendAccepted) -> None:
        """A peer holds something."""
        if self.replication.progress(peer) is None:
            return
        self.replication.accepted(peer, message)
        self._offer_transfer()
        self.replication.catch_up(peer)

    def refused(self, peer: NodeName, message: AppendRefused) -> None:
        """A peer lacks something."""
        if self.replication.progress(peer) is None:
            return
        self.replication.refused(peer, message)
        self.replication.catch_up(peer)

    def advance(self) -> list[Barrier]:
        """Commit what a majority holds; return the read barriers that are passed."""
        state = self._state
        index = self.replication.committable()
        if index > state.commit:
            newly = state.log.between(Index(state.commit + 1), index)
            self._open_bytes -= sum(len(entry.payload) for entry in newly)
            state.commit_to(index)
            self.replication.broadcast()
        answered = self.replication.answered_round()
        sent = self._round_sent.get(answered)
        if sent is not None:
            state.contact = max(state.contact or sent, sent)
        for number in [number for number in self._round_sent if number < answered]:
            del self._round_sent[number]
        return self._barriers.passed(answered) if state.commit >= self._first_index else []

    @property
    def is_over(self) -> bool:
        """Whether the removal or demotion of this node is committed."""
        state = self._state
        return not state.is_voter and state.views.changed_at <= state.commit

    def retire(self) -> None:
        """Let the voter that holds most take over at once, after this node's own removal."""
        state = self._state
        state.send(max(state.voters, key=self.replication.match), TimeoutNow(term=state.term))

    # Proposals

    def refusal(self, size: int) -> str | None:
        """Return why a payload of ``size`` bytes is not taken now, or None."""
        state = self._state
        if self._transfer is not None:
            return f"leadership is being handed to '{self._transfer[0]}'; try again"
        if (state.log.last_index - state.commit >= UNCOMMITTED_ENTRIES_MAX
                or self._open_bytes + size > UNCOMMITTED_BYTES_MAX):
            return "too many proposals wait for a majority; try again later"
        return None

    def propose(self, req: ReqId, payload: bytes) -> None:
        """Take a payload for which refusal() is None."""
        self._open_bytes += len(payload)
        self._append(payload=payload, req=req)
        self.replication.broadcast()

    def _append(self, *, payload: bytes = b"", req: ReqId | None = None,
                configuration: Configuration | None = None) -> None:
        state = self._state
        state.append(Entry(index=Index(state.log.last_index + 1), term=state.term, payload=payload, req=req,
                           configuration=configuration))

    # Members

    def change(self, operation: Operation, node: NodeName) -> str | None:
        """Append a changed configuration, or return why not."""
        state = self._state
        if state.commit < self._first_index:
            return "the leader is new and has not committed anything yet; try again"
        if state.views.changed_at > state.commit:
            return "another membership change is under way; try again"
        if self._transfer is not None:
            return f"leadership is being handed to '{self._transfer[0]}'; try again"
        reason = state.views.current.refusal(operation, node)
        if reason is None:
            self._append(configuration=state.views.current.changed(operation, node))
            self.replication.include_members()
            self.replication.broadcast()
        return reason

    def forget_removed(self) -> None:
        """Stop replicating to a removed node once its removal is committed, and it was told so."""
        if self._state.views.changed_at <= self._state.commit:
            self.replication.forget_others()

    # Transfer

    def transfer(self, to: NodeName) -> str | None:
        """Begin to hand over, or return why not."""
        state = self._state
        if self._transfer is not None:
            return f"leadership is being handed to '{self._transfer[0]}'"
        if to == state.name:
            return f"'{to}' is the leader"
        if to not in state.voters:
            return f"'{to}' is not a voter"
        self._transfer = (to, Usec(state.now + state.timing.election_min))
        self._is_transfer_sent = False
        self._offer_transfer()
        return None

    def _offer_transfer(self) -> None:
        if self._transfer is None or self._is_transfer_sent:
            return
        progress = self.replication.progress(self._transfer[0])
        if progress is not None and progress.match == self._state.log.last_index:
            self._is_transfer_sent = True
            self._state.send(self._transfer[0], TimeoutNow(term=self._state.term))

    # Reads

    def read(self, asker: NodeName | None, nonce: int, token: int) -> bool:
        """Begin a read barrier; return False when there are too many."""
        if self._barriers.is_full:
            return False
        self._barriers.add(Barrier(asker=asker, nonce=nonce, token=token, round=self.replication.round + 1,
                                   index=max(self._state.commit, self._first_index)))
        self.heartbeat()
        return True

    def abandon_reads(self) -> None:
        """Refuse the reads of other nodes that are still open, at the end of the term of office."""
        for barrier in self._barriers.abandon():
            if barrier.asker is not None:
                self._state.send(barrier.asker, barrier.reply(None))
