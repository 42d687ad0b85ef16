# SPDX-License-Identifier: LGPL-2.1-or-later
"""Everything that can happen to gossip."""

from dataclasses import dataclass

from synod.base.ids import NodeName
from synod.base.usec import Usec
from synod.gossip.messages import Message


@dataclass(frozen=True, slots=True, kw_only=True)
class Tick:
    """The deadline has passed, or nothing happened; always allowed.

    Packets that have arrived are to be handed over first: they may hold the answer that is waited for.
    """


@dataclass(frozen=True, slots=True, kw_only=True)
class PacketReceived:
    """A packet arrived whose seal proves that ``peer`` sent it to this node, once."""

    peer: NodeName
    messages: tuple[Message, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class StreamHeard:
    """Anything arrived on the stream of ``peer``, were it a heartbeat: it lives.

    Need be told only of those who are awaited, before a Tick, and of a new stream.
    """

    peer: NodeName
    at: Usec | None = None
    """When, by the clock of the steps; None: just now."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StreamLost:
    """The stream of ``peer`` broke or fell silent: a reason to ask it next."""

    peer: NodeName


@dataclass(frozen=True, slots=True, kw_only=True)
class OwnLink:
    """This node's own link went down, or came up again; it is up until something else is said."""

    is_up: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class MemberAdded:
    """The log made ``name`` a member; it counts as alive until somebody misses it."""

    name: NodeName


@dataclass(frozen=True, slots=True, kw_only=True)
class MemberRemoved:
    """The log says that ``name`` is no member any more; what is known of it is forgotten."""

    name: NodeName


@dataclass(frozen=True, slots=True, kw_only=True)
class SetAttribute:
    """Tell everyone a fact about this node; None takes it back. A bad one yields AttributeRejected."""

    name: str
    value: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Leave:
    """This node is about to fall silent on purpose: say farewell. Done once the deadline is None."""


Event = (Tick | PacketReceived | StreamHeard | StreamLost | OwnLink | MemberAdded | MemberRemoved
         | SetAttribute | Leave)
