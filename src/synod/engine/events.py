# SPDX-License-Identifier: LGPL-2.1-or-later
"""Everything that can happen to a node."""

from dataclasses import dataclass

from synod.base.ids import NodeName
from synod.base.usec import Usec
from synod.engine.messages import Direct, Relay
from synod.engine.requests import Request
from synod.gossip.members import Status
from synod.gossip.messages import Attributes
from synod.ledger.messages import Message
from synod.model.spec import UnitSpec
from synod.model.unit import LocalUnit


@dataclass(frozen=True, slots=True, kw_only=True)
class Tick:
    """The deadline came."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Received:
    """A message from an authenticated peer."""

    peer: NodeName
    message: Message | Direct | Relay


@dataclass(frozen=True, slots=True, kw_only=True)
class PeerConnected:
    """A stream to the peer is up; messages reach it from now on."""

    peer: NodeName


@dataclass(frozen=True, slots=True, kw_only=True)
class PeerLost:
    """The stream to the peer was reset, or its heartbeats stopped."""

    peer: NodeName
    is_silent: bool = False
    """Whether nothing came any more, instead of a word that the stream is over."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PeerThought:
    """What gossip thinks of a peer changed: an opinion of several nodes, never a proof."""

    peer: NodeName
    status: Status
    accusers: tuple[NodeName, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class PeerVouched:
    """A peer whose stream is lost answered a datagram that was sent since, itself or by way of another."""

    peer: NodeName


@dataclass(frozen=True, slots=True, kw_only=True)
class PeerFacts:
    """What a node says of itself by gossip, all of it; what the log says of nodes is another matter."""

    peer: NodeName
    facts: Attributes


@dataclass(frozen=True, slots=True, kw_only=True)
class StoodStill:
    """This node did not run when it should have; whom it missed meanwhile may be well."""

    span: Usec


@dataclass(frozen=True, slots=True, kw_only=True)
class OwnLinkChanged:
    """The link over which this node is reached went down or came up."""

    is_up: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Persisted:
    """A Persist effect is durable."""

    seq: int


@dataclass(frozen=True, slots=True, kw_only=True)
class PersistFailed:
    """A Persist effect could not be made durable; the text says why."""

    seq: int
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class UnitSeen:
    """A watched unit changed, or was read for the first time."""

    unit: LocalUnit


@dataclass(frozen=True, slots=True, kw_only=True)
class Looked:
    """A unit as it was read after a Look effect."""

    look: int
    unit: LocalUnit


@dataclass(frozen=True, slots=True, kw_only=True)
class JobDone:
    """A job that the node asked for ended, with the unit as it is afterwards.

    ``result`` is a job result of systemd, or ``error`` with the reason in ``text`` when there was no job,
    ``missed`` when there was one and its end was not seen, ``unknown`` when PID 1 may never have taken it.
    """

    job: int
    result: str
    unit: LocalUnit
    text: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class SpecsLoaded:
    """The effective annotations of this node's units, after start and after every daemon-reload."""

    specs: tuple[UnitSpec, ...]
    units: tuple[LocalUnit, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Forged:
    """Somebody else has written one of the agent's own files; that was undone, as the text says."""

    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class DevicesLoaded:
    """The nodes that this one could fence, after start and whenever that changes."""

    targets: tuple[NodeName, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class FenceReported:
    """A Fence effect ended; only ``is_confirmed`` says that the node is off."""

    order: int
    is_confirmed: bool
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class BootOver:
    """The boot transaction is over: default.target has no job any more."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ShutdownBegun:
    """This machine is about to power off or reboot."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """A local client asks; it is answered by exactly one Reply with its number."""

    client: int
    request: Request


@dataclass(frozen=True, slots=True, kw_only=True)
class ClientGone:
    """The client hung up before it was answered."""

    client: int


Event = (
    Tick
    | Received
    | PeerConnected
    | PeerLost
    | PeerThought
    | PeerVouched
    | PeerFacts
    | StoodStill
    | OwnLinkChanged
    | Persisted
    | PersistFailed
    | UnitSeen
    | Looked
    | JobDone
    | SpecsLoaded
    | DevicesLoaded
    | Forged
    | FenceReported
    | BootOver
    | ShutdownBegun
    | Asked
    | ClientGone
)
