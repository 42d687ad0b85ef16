# SPDX-License-Identifier: LGPL-2.1-or-later
"""Everything gossip can ask of its host, or tell it. Effects are carried out in the order returned."""

from dataclasses import dataclass

from synod.base.ids import NodeName
from synod.base.usec import Usec
from synod.gossip.members import Status
from synod.gossip.messages import Attributes, Message


@dataclass(frozen=True, slots=True, kw_only=True)
class SendPacket:
    """Send one packet, or drop it: nothing depends on a single one."""

    peer: NodeName
    messages: tuple[Message, ...]
    """Together within COMPOUND_BYTES_MAX."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StatusChanged:
    """What is thought of a peer changed. An opinion: nothing may be started because of it."""

    peer: NodeName
    status: Status
    incarnation: int
    accusers: tuple[NodeName, ...]
    """Who said so, as far as known here; nobody when alive."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Vouched:
    """A peer whose stream is lost answered a question that was asked since: it lived then."""

    peer: NodeName


@dataclass(frozen=True, slots=True, kw_only=True)
class AttributesChanged:
    """A peer's attributes are now these, all of them."""

    peer: NodeName
    attributes: Attributes


@dataclass(frozen=True, slots=True, kw_only=True)
class AttributeRejected:
    """Definite: the attribute of this node was not changed."""

    name: str
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Refuted:
    """Somebody said that this node is gone; it has said otherwise."""

    accuser: NodeName
    incarnation: int
    """Of this node from now on."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DatagramsBlocked:
    """A peer is heard on its stream but not by datagrams, or is again: for an admin, not a sign of death."""

    peer: NodeName
    is_blocked: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class StoodStill:
    """This node did not run when it should have; what it missed meanwhile is held against nobody."""

    span: Usec
    """By how much it was late."""


Effect = (SendPacket | StatusChanged | Vouched | AttributesChanged | AttributeRejected | Refuted
          | DatagramsBlocked | StoodStill)
