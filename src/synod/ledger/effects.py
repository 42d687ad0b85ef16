# SPDX-License-Identifier: LGPL-2.1-or-later
"""Everything a log can ask of its host, or tell it. Effects are carried out in the order returned.

The host's duties: write every Persist completely and in order, answer with Persisted once it is durable
(one answer may cover several), or with PersistFailed, once; deliver Sends at most once and, per stream, in
order. The core itself withholds what must not leave before a write is durable, so no effect has to wait for
another.
"""

from dataclasses import dataclass
from enum import Enum

from synod.base.ids import Index, NodeName, Term
from synod.base.usec import Usec
from synod.ledger.entries import Entry, HardState, ReqId
from synod.ledger.membership import Operation
from synod.ledger.messages import Message


class Role(Enum):
    """What a node is in its term."""

    LEARNER = "learner"
    """Not a voter, as far as it knows: never campaigns, never counts."""

    FOLLOWER = "follower"
    PRE_CANDIDATE = "pre-candidate"
    CANDIDATE = "candidate"
    LEADER = "leader"


@dataclass(frozen=True, slots=True, kw_only=True)
class Persist:
    """Make durable, as one unit: first the hard state, then the truncation, then the entries."""

    seq: int
    """From 1, growing by one."""

    hard_state: HardState | None
    """None: unchanged."""

    truncate_from: Index | None
    """Remove the entries at this index and later; None: remove nothing."""

    entries: tuple[Entry, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Send:
    """Send a message to a peer, or drop it when there is no stream to the peer."""

    peer: NodeName
    message: Message


@dataclass(frozen=True, slots=True, kw_only=True)
class Committed:
    """The next payload of the one order."""

    index: Index
    term: Term
    req: ReqId
    payload: bytes
    duplicate: bool
    """An earlier entry carried the same ``req``; the payload must not be applied again."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ViewChange:
    """The members changed at this place of the order."""

    index: Index
    term: Term
    voters: tuple[NodeName, ...]
    learners: tuple[NodeName, ...]
    added: tuple[NodeName, ...]
    """Members that were not members in the view before."""

    removed: tuple[NodeName, ...]
    """Members of the view before that are none any more."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RoleChanged:
    """Role, term or known leader changed."""

    role: Role
    term: Term
    leader: NodeName | None
    confirmed_at: Usec
    """On a new leader: no majority has confirmed any earlier leader after this time."""


@dataclass(frozen=True, slots=True, kw_only=True)
class QuorumLost:
    """This node is cut off from any majority, see Raft.quorate."""


@dataclass(frozen=True, slots=True, kw_only=True)
class QuorumRegained:
    """This node is, or hears, a leader that a majority answers."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadReady:
    """What was acknowledged anywhere before the request is applied here by the effects up to this one."""

    token: int
    index: Index


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadFailed:
    """No barrier could be had; ask again."""

    token: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ProposalRejected:
    """No more is known about a proposal."""

    req: ReqId
    reason: str
    definite: bool
    """True: this attempt is not in the log and never will be.

    False: Committed may still follow; retrying with the same ``req`` is safe.
    """


@dataclass(frozen=True, slots=True, kw_only=True)
class ChangeRejected:
    """Definite: the membership was not changed."""

    operation: Operation
    node: NodeName
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class TransferRejected:
    """Leadership stays here."""

    to: NodeName
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class StorageFailed:
    """A write failed: this node neither votes, leads nor acknowledges anything until it is started anew."""


Effect = (Persist | Send | Committed | ViewChange | RoleChanged | QuorumLost | QuorumRegained | ReadReady
          | ReadFailed | ProposalRejected | ChangeRejected | TransferRejected | StorageFailed)
