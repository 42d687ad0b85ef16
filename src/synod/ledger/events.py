# SPDX-License-Identifier: LGPL-2.1-or-later
"""Everything that can happen to a log."""

from dataclasses import dataclass

from synod.base.ids import NodeName
from synod.ledger.entries import ReqId
from synod.ledger.membership import Operation
from synod.ledger.messages import Message


@dataclass(frozen=True, slots=True, kw_only=True)
class Tick:
    """The deadline has passed, or nothing happened; always allowed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Receive:
    """A message arrived on the authenticated stream of ``peer``."""

    peer: NodeName
    message: Message


@dataclass(frozen=True, slots=True, kw_only=True)
class PeerLost:
    """The stream of ``peer`` was reset: messages in flight either way may be gone."""

    peer: NodeName


@dataclass(frozen=True, slots=True, kw_only=True)
class Persisted:
    """Every Persist up to and with ``seq`` is durable."""

    seq: int


@dataclass(frozen=True, slots=True, kw_only=True)
class PersistFailed:
    """The Persist ``seq`` failed; whether its bytes are on the disk is unknown. Final."""

    seq: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Propose:
    """Put a payload into the log; answered by Committed with the same ``req`` or by ProposalRejected."""

    req: ReqId
    payload: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class ChangeMembership:
    """Change the members by one, on the leader; answered by ViewChange or ChangeRejected."""

    operation: Operation
    node: NodeName


@dataclass(frozen=True, slots=True, kw_only=True)
class TransferLeadership:
    """Hand leadership to a voter, on the leader; answered by RoleChanged or TransferRejected."""

    to: NodeName


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadIndexRequest:
    """Ask for a read barrier; answered by ReadReady or ReadFailed."""

    token: int
    """Chosen by the caller; unique among the requests that are open."""


Event = (Tick | Receive | PeerLost | Persisted | PersistFailed | Propose | ChangeMembership
         | TransferLeadership | ReadIndexRequest)
