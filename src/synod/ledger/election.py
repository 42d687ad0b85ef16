# SPDX-License-Identifier: LGPL-2.1-or-later
"""Who leads: timeouts, pre-votes, votes. Ongaro's dissertation, sections 3.4, 3.6.1, 4.2.3 and 9.6.

A voter that hears no leader first asks whether it would be elected (pre-vote) and only then begins a new
term, so that a node which cannot win never disturbs those who have a leader. Whoever hears a live leader
grants neither.
"""

from typing import Final

from synod.base.ids import NodeName, Term
from synod.base.usec import Usec
from synod.ledger.effects import Role
from synod.ledger.messages import PreVoteReply, PreVoteRequest, VoteReply, VoteRequest
from synod.ledger.quorum import Outcome, tally
from synod.ledger.state import State

_HASTY_TRIES: Final = 10
"""Quick pre-votes after a reset stream: about one second in all, for peers that notice the reset later."""


class Election:
    """The timer of a node that does not lead, and the votes cast for it in its present campaign."""

    def __init__(self, state: State) -> None:
        self._state = state
        self._votes: dict[NodeName, bool] = {}
        self._confirmed_at = Usec(0)
        self._heard: Usec | None = None  # when the leader last spoke; None: its stream is lost
        self._hasty_tries = 0
        self.deadline = Usec(0)

    @property
    def has_live_leader(self) -> bool:
        """Whether an election is needless as far as this node can tell."""
        state = self._state
        if state.posture is Role.LEADER:
            return True
        return (state.leader is not None and self._heard is not None
                and state.now - self._heard < state.timing.election_min)

    @property
    def is_won(self) -> bool:
        """Whether the present campaign is won; the own vote counts once it is durable."""
        state = self._state
        votes = dict(self._votes)
        if state.posture is Role.PRE_CANDIDATE or state.is_vote_durable:
            votes[state.name] = True
        return tally(state.voters, votes) is Outcome.WON

    @property
    def confirmed_at(self) -> Usec:
        """Latest time at which one of those who voted for this node can have confirmed another leader.

        No earlier leader was confirmed by a majority later than that: the voters' majority shares a member
        with each such majority, and who votes confirms no leader of an earlier term any more.
        """
        return max(self._confirmed_at, self._state.confirmed_at)

    # Timer

    def arm(self) -> None:
        """Wait for a randomised election timeout from now."""
        timing = self._state.timing
        self._arm_between(timing.election_min, timing.election_max)

    def arm_hasty(self) -> None:
        """Wait for the short randomised delay after a reset stream from now."""
        timing = self._state.timing
        self._arm_between(timing.stream_loss_min, timing.stream_loss_max)

    def _arm_between(self, low: Usec, high: Usec) -> None:
        if self._state.is_reluctant:
            low, high = high, Usec(2 * high - low)
        self.deadline = Usec(self._state.now + low + self._state.entropy.below(high - low))

    def heard_leader(self) -> None:
        """Note a sign of life of this term's leader."""
        self._heard = self._state.now
        self._hasty_tries = 0
        self.arm()

    def lost_stream(self) -> None:
        """The leader's stream was reset: it counts as dead until heard again; campaign soon."""
        self._heard = None
        self._hasty_tries = _HASTY_TRIES
        self.arm_hasty()

    def timed_out(self) -> None:
        """Ask for pre-votes, or elect oneself where nobody else votes."""
        state = self._state
        if self._hasty_tries > 0:
            self._hasty_tries -= 1
            self.arm_hasty()
        else:
            self.arm()
        if not state.may_campaign or state.lacks_committed_entries:
            state.become_follower(state.term, None)
        elif state.voters == (state.name,):
            self.campaign()
        else:
            self._ask_first()

    # Candidate

    def _ask_first(self) -> None:
        state = self._state
        state.posture, state.leader = Role.PRE_CANDIDATE, None
        self._votes.clear()
        for peer in state.voters:
            if peer != state.name:
                state.send(peer, PreVoteRequest(term=Term(state.term + 1), last_index=state.log.last_index,
                                                last_term=state.log.last_term))

    def campaign(self, *, transfer: bool = False) -> None:
        """Begin a new term, vote for oneself and ask the others to."""
        state = self._state
        state.term, state.vote = Term(state.term + 1), state.name
        state.posture, state.leader = Role.CANDIDATE, None
        self._votes.clear()
        self._confirmed_at = Usec(0)
        self.arm()
        for peer in state.voters:
            if peer != state.name:
                state.send(peer, VoteRequest(term=state.term, last_index=state.log.last_index,
                                             last_term=state.log.last_term, transfer=transfer))

    def count_pre_vote(self, peer: NodeName, reply: PreVoteReply) -> None:
        """Count an answer to the present question; one about another term says nothing."""
        state = self._state
        asked = Term(state.term + 1)
        if state.posture is Role.PRE_CANDIDATE and reply.term == (asked if reply.granted else state.term):
            self._votes[peer] = reply.granted

    def count_vote(self, peer: NodeName, reply: VoteReply) -> None:
        """Count a vote cast in this term; a voter has one, however often its answer arrives."""
        if self._state.posture is Role.CANDIDATE and reply.term == self._state.term:
            self._votes[peer] = reply.granted
            if reply.granted:
                self._confirmed_at = max(self._confirmed_at, Usec(self._state.now - reply.quiet))

    # Voter

    def answer_pre_vote(self, peer: NodeName, request: PreVoteRequest) -> None:
        """Say whether a campaign of ``peer`` would get this node's vote; promises nothing."""
        state = self._state
        granted = (request.term > state.term and not self.has_live_leader
                   and state.log.is_up_to_date(request.last_term, request.last_index))
        state.send(peer, PreVoteReply(term=request.term if granted else state.term, granted=granted))

    def answer_vote(self, peer: NodeName, request: VoteRequest) -> None:
        """Vote at most once per term, for a log that holds all that this one does."""
        state = self._state
        if request.term >= state.term and self.has_live_leader and not request.transfer:
            return  # not even the newer term is taken over: its owner may be a node that was removed
        if request.term > state.term:
            state.become_follower(request.term, None)
        granted = (request.term == state.term and state.vote in (None, peer)
                   and state.log.is_up_to_date(request.last_term, request.last_index))
        if granted:
            state.vote = peer
            state.become_follower(state.term, state.leader)
            self.arm()
        state.send(peer, VoteReply(term=state.term, granted=granted,
                                   quiet=Usec(state.now - state.confirmed_at)))
