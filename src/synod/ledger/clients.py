# SPDX-License-Identifier: LGPL-2.1-or-later
"""Proposals and reads of this node's own callers, from the question to the answer.

A node that does not lead forwards them to the leader it knows, naming the term, so that no other leader
takes them. It never forwards again by itself: once the leader may be gone, the outcome is reported as open,
and the caller may retry with the same ``req``. The outcome of a proposal is seen in the log like everyone
else's.
"""

from synod.base.ids import NodeName
from synod.base.usec import Usec
from synod.ledger.effects import Committed, ProposalRejected, ReadFailed
from synod.ledger.entries import ReqId
from synod.ledger.events import Propose
from synod.ledger.leadership import Leadership
from synod.ledger.messages import Forward, ForwardRefused, ReadReply, ReadRequest
from synod.ledger.reads import Readers
from synod.ledger.state import State
from synod.ledger.timing import PAYLOAD_BYTES_MAX, PENDING_PROPOSALS_MAX

_NONCE_LIMIT = 1 << 63


class Clients:
    """What callers on this node wait for, and what other nodes ask of this one as leader."""

    def __init__(self, state: State) -> None:
        self._state = state
        self._nonce = state.entropy.below(_NONCE_LIMIT)
        self._pending: dict[ReqId, None] = {}
        self._readers = Readers()

    @property
    def deadline(self) -> Usec | None:
        """When expire() wants to be called."""
        return self._readers.deadline

    def expire(self) -> None:
        """Give up reads that nobody answered."""
        self._state.effects.extend(self._readers.expire(self._state.now))

    def settle(self) -> None:
        """Note the outcomes among the effects of this step, and release reads that may now go on."""
        for effect in self._state.effects:
            if isinstance(effect, Committed):
                self._pending.pop(effect.req, None)
        self._state.effects.extend(self._readers.ready(self._state.commit))

    def lose_leader(self) -> None:
        """The leader that had the requests is gone: their outcome is open."""
        for req in self._pending:
            self._reject(req, "the leader changed before the outcome was known", definite=False)
        self._pending.clear()
        self._state.effects.extend(self._readers.abandon())

    # Proposals

    def propose(self, event: Propose, leading: Leadership | None) -> None:
        """Take a proposal of a caller here."""
        if event.req in self._pending:
            return  # one outcome answers both
        state = self._state
        reason = self._refusal(event, leading)
        if reason is not None:
            self._reject(event.req, reason, definite=True)
            return
        self._pending[event.req] = None
        if leading is not None:
            leading.propose(event.req, event.payload)
        elif state.leader is not None:
            state.send(state.leader, Forward(term=state.term, req=event.req, payload=event.payload))

    def refuse(self, req: ReqId, reason: str) -> None:
        """Reject a proposal that this node can not even forward."""
        self._reject(req, reason, definite=True)

    def _refusal(self, event: Propose, leading: Leadership | None) -> str | None:
        if not event.req.is_valid:
            return f"the request id {event.req} is not within its limits"
        if len(event.payload) > PAYLOAD_BYTES_MAX:
            return f"the payload has {len(event.payload)} bytes, at most {PAYLOAD_BYTES_MAX} are possible"
        if len(self._pending) >= PENDING_PROPOSALS_MAX:
            return "too many proposals of this node are open; try again later"
        if leading is not None:
            return leading.refusal(len(event.payload))
        return None if self._state.leader is not None else "no leader is known"

    def take_forwarded(self, peer: NodeName, message: Forward, leading: Leadership | None) -> None:
        """Take a proposal of a caller elsewhere, if this node leads in the term that the message names."""
        reason: str | None = "not the leader"
        if leading is not None and message.term == self._state.term:
            reason = leading.refusal(len(message.payload))
            if reason is None:
                leading.propose(message.req, message.payload)
        if reason is not None:
            self._state.send(peer, ForwardRefused(term=message.term, req=message.req, reason=reason))

    def forward_refused(self, peer: NodeName, message: ForwardRefused) -> None:
        """Pass on a refusal; one by an earlier leader says nothing about a later attempt."""
        state = self._state
        if peer == state.leader and message.term == state.term and message.req in self._pending:
            del self._pending[message.req]
            self._reject(message.req, message.reason, definite=True)

    def _reject(self, req: ReqId, reason: str, *, definite: bool) -> None:
        self._state.effects.append(ProposalRejected(req=req, reason=reason, definite=definite))

    # Reads

    def read(self, token: int, leading: Leadership | None) -> None:
        """Take a read of a caller here."""
        state = self._state
        if state.leader is None or self._readers.is_full:
            state.effects.append(ReadFailed(token=token))
            return
        self._readers.ask(token, Usec(state.now + state.timing.election_max))
        if leading is None:
            state.send(state.leader, ReadRequest(term=state.term, nonce=self._nonce, token=token))
        elif not leading.read(None, self._nonce, token):
            state.effects.extend(self._readers.answered(token, None))

    def read_for(self, peer: NodeName, message: ReadRequest, leading: Leadership | None) -> None:
        """Take a read of a caller elsewhere, if this node leads in the term that the message names."""
        if (leading is None or message.term != self._state.term
                or not leading.read(peer, message.nonce, message.token)):
            self._state.send(peer, ReadReply(nonce=message.nonce, token=message.token, index=None))

    def read_answered(self, message: ReadReply) -> None:
        """Note an answer, unless it was meant for this node's earlier life."""
        if message.nonce == self._nonce:
            self._state.effects.extend(self._readers.answered(message.token, message.index))

    def release(self, leading: Leadership) -> None:
        """Answer the reads that the leader's heartbeats have confirmed, and commit what a majority holds."""
        for barrier in leading.advance():
            if barrier.asker is None:
                self._state.effects.extend(self._readers.answered(barrier.token, barrier.index))
            else:
                self._state.send(barrier.asker, barrier.reply(barrier.index))
