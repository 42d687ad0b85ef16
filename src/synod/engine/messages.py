# SPDX-License-Identifier: LGPL-2.1-or-later
"""What agents tell each other directly: readiness, barriers and orders (safety section 5).

None of it is a decision. Readiness travels past the ordered log, so that no commit lies between a provider's
being up and its dependant's start; the log hears of it afterwards.
"""

from dataclasses import dataclass

from synod.base.ids import Epoch, NodeName, UnitName


@dataclass(frozen=True, slots=True, kw_only=True)
class Export:
    """One unit that is up and may be depended upon; epoch 0 for a unit without grants."""

    unit: UnitName
    epoch: Epoch


@dataclass(frozen=True, slots=True, kw_only=True)
class Announce:
    """All that the sender exports: the first message on a new stream, replacing what was known."""

    boot: str
    agent: int
    """Incarnation of the agent: grows with every restart within one boot."""
    exports: tuple[Export, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Ready:
    """One export changed."""

    boot: str
    agent: int
    sequence: int
    unit: UnitName
    epoch: Epoch
    is_up: bool
    is_stopping: bool
    """Whether it goes down by a stop or restart job, which Requires= dependants follow; else it crashed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Barrier:
    """The sender is about to stop a provider: stop what depends on it, then answer."""

    barrier: int
    unit: UnitName
    epoch: Epoch


@dataclass(frozen=True, slots=True, kw_only=True)
class BarrierDone:
    """Nothing that depends on the provider runs here any more."""

    barrier: int
    unit: UnitName


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """Restart or reload a unit that runs on the receiver."""

    order: int
    unit: UnitName
    verb: str


@dataclass(frozen=True, slots=True, kw_only=True)
class OrderDone:
    """What became of an order: a job result of systemd, or why there was no job."""

    order: int
    result: str


@dataclass(frozen=True, slots=True, kw_only=True)
class LeaseRequest:
    """Ask the leader to confirm that it leads; the lease counts from the moment this was sent."""

    nonce: int


@dataclass(frozen=True, slots=True, kw_only=True)
class LeaseReply:
    """A majority has followed the sender since the request came."""

    nonce: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Hearing:
    """Whether the sender hears a node: the leader believes no silence that somebody contradicts."""

    node: NodeName
    is_heard: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class FenceOrder:
    """Fence a node: the receiver has a device for it."""

    order: int
    target: NodeName
    boot: str


@dataclass(frozen=True, slots=True, kw_only=True)
class FenceDone:
    """What came of it; only ``is_confirmed`` proves anything."""

    order: int
    target: NodeName
    boot: str
    is_confirmed: bool
    text: str


Direct = (
    Announce
    | Ready
    | Barrier
    | BarrierDone
    | Order
    | OrderDone
    | LeaseRequest
    | LeaseReply
    | Hearing
    | FenceOrder
    | FenceDone
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Relay:
    """A message for a node to which the sender has no stream, by way of one that both have."""

    source: NodeName
    target: NodeName
    message: Barrier | BarrierDone | Order | OrderDone
