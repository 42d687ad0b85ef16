# SPDX-License-Identifier: LGPL-2.1-or-later
"""Everything a node can ask its host for.

The host carries effects out in the order in which they came. File effects and sends take place at once;
Persist is answered by Persisted or PersistFailed and jobs by JobDone, whenever they are done.
"""

from dataclasses import dataclass

from synod.base.ids import Epoch, NodeName, UnitName
from synod.base.messages import MessageId
from synod.base.usec import Usec
from synod.engine.messages import Direct, Relay
from synod.ledger.effects import Persist
from synod.ledger.messages import Message


@dataclass(frozen=True, slots=True, kw_only=True)
class Send:
    """Send a message to a peer, or drop it when there is no stream."""

    peer: NodeName
    message: Message | Direct | Relay


@dataclass(frozen=True, slots=True, kw_only=True)
class Connect:
    """Keep a stream to a member of the cluster; accept its streams with this certificate only."""

    peer: NodeName
    address: str
    port: int
    fingerprint: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Disconnect:
    """Drop the streams of a node that is no member any more."""

    peer: NodeName


@dataclass(frozen=True, slots=True, kw_only=True)
class RunJob:
    """Enqueue a job for a unit, mode ``replace``; ``verb`` is start, stop, restart or reload."""

    job: int
    verb: str
    unit: UnitName


@dataclass(frozen=True, slots=True, kw_only=True)
class Look:
    """Read a unit, after the effects before this one and in order with its news; Looked follows."""

    look: int
    unit: UnitName


@dataclass(frozen=True, slots=True, kw_only=True)
class WriteGrant:
    """Open the gate of a unit (safety rule 2.1)."""

    unit: UnitName
    instance: int
    epoch: Epoch


@dataclass(frozen=True, slots=True, kw_only=True)
class RemoveGrant:
    """Close the gate of a unit; starts and automatic restarts are skipped from now on."""

    unit: UnitName


@dataclass(frozen=True, slots=True, kw_only=True)
class WriteUp:
    """Let waiters for this provider be skipped."""

    unit: UnitName


@dataclass(frozen=True, slots=True, kw_only=True)
class RemoveUp:
    """Let the next start that needs this provider wait for it."""

    unit: UnitName


@dataclass(frozen=True, slots=True, kw_only=True)
class MarkStop:
    """Remember, over a restart of the agent, that the stop job that follows is the cluster's own."""

    unit: UnitName


@dataclass(frozen=True, slots=True, kw_only=True)
class UnmarkStop:
    """Take the next stop job of this unit for somebody's wish again."""

    unit: UnitName


@dataclass(frozen=True, slots=True, kw_only=True)
class WriteLease:
    """Let exclusive units start on this node at all."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RemoveLease:
    """Let no exclusive unit start on this node."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """Answer a client: exit status and a line of text, which may be empty."""

    client: int
    status: int
    text: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class ShowStatus:
    """Tell a waiting client what it waits for."""

    client: int
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Extend:
    """Give a waiting hold more time: there is progress."""

    client: int
    span: Usec


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """One journal record; ``unit`` puts it into that unit's own log."""

    message_id: MessageId
    priority: int
    text: str
    unit: UnitName | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class FeedFuse:
    """Put off the reset of this machine: its lease was renewed.

    Not after ``until``: the fuse counts from the moment at which it is fed, the lease from an earlier one.
    """

    until: Usec


@dataclass(frozen=True, slots=True, kw_only=True)
class Reincarnated:
    """Remember, until the next boot, which incarnation this node is."""

    boot: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Fence:
    """Switch a node off by a fence device; FenceReported follows."""

    order: int
    target: NodeName


@dataclass(frozen=True, slots=True, kw_only=True)
class Left:
    """This node is a member no more: forget the log and the keys."""


Effect = (
    Persist
    | Send
    | Connect
    | Disconnect
    | RunJob
    | Look
    | WriteGrant
    | RemoveGrant
    | WriteUp
    | RemoveUp
    | MarkStop
    | UnmarkStop
    | WriteLease
    | RemoveLease
    | Reply
    | ShowStatus
    | Extend
    | Report
    | FeedFuse
    | Reincarnated
    | Fence
    | Left
)
