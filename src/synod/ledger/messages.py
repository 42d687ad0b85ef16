# SPDX-License-Identifier: LGPL-2.1-or-later
"""What the nodes' logs say to each other, and which of it makes sense at all.

The receiver knows the sender from the authenticated stream; no message names it. The codec decides how
these travel.
"""

from dataclasses import dataclass

from synod.base.ids import Index, Term
from synod.base.usec import Usec
from synod.ledger.entries import Entry, ReqId
from synod.ledger.timing import COUNT_MAX, PAYLOAD_BYTES_MAX


@dataclass(frozen=True, slots=True, kw_only=True)
class PreVoteRequest:
    """Would you vote for me in ``term``? Changes nothing on either side (dissertation, section 9.6)."""

    term: Term
    """The term that the asker would begin: its own plus one."""

    last_index: Index
    last_term: Term


@dataclass(frozen=True, slots=True, kw_only=True)
class PreVoteReply:
    """Answer to a PreVoteRequest."""

    term: Term
    """When granted the term asked about, else the answerer's own."""

    granted: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class VoteRequest:
    """Vote for me in ``term`` (section 3.4)."""

    term: Term
    last_index: Index
    last_term: Term
    transfer: bool = False
    """The leader itself asked for this election, so a live leader is no reason to refuse (section 4.2.3)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class VoteReply:
    """Answer to a VoteRequest; leaves the node only once the vote is durable."""

    term: Term
    granted: bool
    quiet: Usec
    """How long the voter has not confirmed any leader at the least, when it answered."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AppendEntries:
    """Entries, heartbeat and commit index in one (section 3.5)."""

    term: Term
    round: int
    """Counts the leader's heartbeats within its term; the answer repeats it."""

    prev_index: Index
    prev_term: Term
    commit: Index
    quorum_age: Usec
    """How long ago the leader sent the youngest round that a majority has answered."""

    entries: tuple[Entry, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class AppendAccepted:
    """The receiver's log agrees with the leader's up to ``match``, and is durable up to there."""

    term: Term
    round: int
    match: Index


@dataclass(frozen=True, slots=True, kw_only=True)
class AppendRefused:
    """The receiver does not hold the entry that precedes the batch."""

    term: Term
    round: int
    prev_index: Index
    """As in the refused message."""

    hint_index: Index
    """No entry above this one can agree."""

    hint_term: Term


@dataclass(frozen=True, slots=True, kw_only=True)
class StaleTerm:
    """Answer to a leader of an older term."""

    term: Term


@dataclass(frozen=True, slots=True, kw_only=True)
class TimeoutNow:
    """The leader of ``term`` asks a caught-up voter to campaign at once (section 3.10)."""

    term: Term


@dataclass(frozen=True, slots=True, kw_only=True)
class Forward:
    """A proposal for the leader of ``term`` and for no other, so that it is taken at most once."""

    term: Term
    req: ReqId
    payload: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class ForwardRefused:
    """The leader did not take a forwarded proposal and never will."""

    term: Term
    """As in the Forward."""

    req: ReqId
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadRequest:
    """Ask the leader for a read barrier (section 6.4)."""

    term: Term
    nonce: int
    """Drawn by the asker at its start: an answer meant for its earlier life is recognised."""

    token: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadReply:
    """Reading is safe once the asker has applied ``index``; None: ask again."""

    nonce: int
    token: int
    index: Index | None


Reply = AppendAccepted | AppendRefused | VoteReply | PreVoteReply | StaleTerm
"""Answers that name the answerer's term; a newer one deposes whoever asked."""

Message = (PreVoteRequest | VoteRequest | AppendEntries | Reply | TimeoutNow | Forward | ForwardRefused
           | ReadRequest | ReadReply)


def is_sensible(message: Message) -> bool:
    """Whether a peer that follows the protocol could have sent it; types are the codec's concern."""
    match message:
        case PreVoteRequest() | VoteRequest():
            return _are_counts(message.term, message.last_index) and 0 <= message.last_term < message.term
        case AppendEntries():
            return _is_sensible_append(message)
        case AppendAccepted():
            return _are_counts(message.term, message.round, message.match)
        case VoteReply():
            return _are_counts(message.term, message.quiet)
        case AppendRefused():
            return (_are_counts(message.term, message.round, message.prev_index, message.hint_term)
                    and 0 <= message.hint_index <= message.prev_index)
        case Forward():
            return (_are_counts(message.term) and message.req.is_valid
                    and len(message.payload) <= PAYLOAD_BYTES_MAX)
        case ReadReply():
            return message.index is None or _are_counts(message.index)
        case _:
            return _are_counts(message.term)


def _are_counts(*numbers: int) -> bool:
    return all(0 <= number < COUNT_MAX for number in numbers)


def _is_sensible_append(message: AppendEntries) -> bool:
    index, term = message.prev_index, message.prev_term
    if not _are_counts(message.term, message.round, index, term, message.commit, message.quorum_age):
        return False
    for entry in message.entries:
        if entry.index != index + 1 or entry.term < term or not _is_sensible_entry(entry):
            return False
        index, term = entry.index, entry.term
    return term <= message.term


def _is_sensible_entry(entry: Entry) -> bool:
    if entry.configuration is not None:
        return entry.req is None and not entry.payload and entry.configuration.is_valid
    return entry.req is not None and entry.req.is_valid and len(entry.payload) <= PAYLOAD_BYTES_MAX
