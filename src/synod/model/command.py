# SPDX-License-Identifier: LGPL-2.1-or-later
"""What the ordered log replicates: one frozen dataclass per command, and their encoding.

Tags and field order are the format on disk and on the wire: new fields go last, with a default; a tag is
never used again.
"""

from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from synod.base.codec import Codec, MalformedError
from synod.base.ids import Epoch, NodeName, UnitName
from synod.model.spec import UnitSpec

COMMAND_BYTES_MAX: Final = 1 << 20
"""Largest encoded command: a report of a few thousand units fits, a runaway peer does not."""


class Desired(StrEnum):
    """What the administrators want of a unit, cluster-wide."""

    STARTED = "started"
    STOPPED = "stopped"


class NodeState(StrEnum):
    """A node as list-nodes shows it."""

    ONLINE = "online"
    LOST = "lost"
    FENCED = "fenced"
    """It is proved that nothing of its incarnation runs any more."""
    LEAVING = "leaving"
    LEFT = "left"
    UNMANAGED = "unmanaged"


class RoleWish(StrEnum):
    """What ``join --role`` asked for."""

    AUTOMATIC = "automatic"
    VOTER = "voter"
    SATELLITE = "satellite"
    WITNESS = "witness"


class Ending(StrEnum):
    """How a unit came to be down on the node that held its grant."""

    STOPPED = "stopped"
    FAILED = "failed"
    FINISHED = "finished"
    """It ended by itself or its start was cancelled: nobody starts it again without a new wish."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """The first entry: the cluster and its first node."""

    cluster: str
    cluster_id: str
    node: NodeName
    address: str
    port: int
    fingerprint: str


@dataclass(frozen=True, slots=True, kw_only=True)
class AddToken:
    """A one-time join token; only the hash of its secret is kept."""

    token: str
    secret_hash: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Join:
    """A new node spends a token."""

    token: str
    secret_hash: bytes
    node: NodeName
    address: str
    port: int
    fingerprint: str
    role: RoleWish


@dataclass(frozen=True, slots=True, kw_only=True)
class SetNode:
    """A node's state; ``boot`` is its incarnation, empty when a peer reports it."""

    node: NodeName
    state: NodeState
    boot: str = ""
    has_fuse: bool | None = None
    """Whether the node resets itself when it cannot renew its lease: then its silence ends (safety section
    3). None leaves it as it is; a new incarnation has a fuse until it says otherwise.
    """
    since: int | None = None
    """Take effect only while this entry is the last one about the node's state: a promise must not come true
    after a farewell.
    """


@dataclass(frozen=True, slots=True, kw_only=True)
class DrainNode:
    """Whether units are to be kept off a node by an administrator's word."""

    node: NodeName
    is_drained: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class RemoveNode:
    """Forget a node that has left: its certificate is accepted no more."""

    node: NodeName


@dataclass(frozen=True, slots=True, kw_only=True)
class SpecReport:
    """One unit as one node annotates it; no spec when the node has it no more."""

    unit: UnitName
    spec: UnitSpec | None
    is_running: bool = False
    """Whether a copy runs on the node without a grant, since before the unit was annotated so."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ReportSpecs:
    """What changed in a node's annotations; ``is_complete`` replaces all that it reported before."""

    node: NodeName
    reports: tuple[SpecReport, ...]
    is_complete: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class AdoptSpec:
    """Take the spec that one node reports, whatever the others say."""

    unit: UnitName
    node: NodeName


@dataclass(frozen=True, slots=True, kw_only=True)
class Wish:
    """What an administrator wants of a unit.

    A start reaches the units that it requires, wants or binds to as well, as a start job does in PID 1.
    """

    unit: UnitName
    desired: Desired
    node: NodeName
    """Where it was said."""
    revision: int | None = None
    """Take effect only when the row still has this revision (a wish that could not be committed in time)."""
    only_if_absent: bool = False
    """Boot establishes a wish only where there is none."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MoveUnit:
    """Move a unit's only instance to a node, until it is stopped or moved again."""

    unit: UnitName
    node: NodeName


@dataclass(frozen=True, slots=True, kw_only=True)
class GrantOrder:
    """One instance of a unit may run on one node; the epoch is the index of the entry that says so."""

    unit: UnitName
    instance: int
    node: NodeName
    in_place: bool = False
    """It runs there already, since before it was annotated; void when it does not any more."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RevokeOrder:
    """The holder is to stop the unit and give the grant back."""

    unit: UnitName
    instance: int
    epoch: Epoch


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """The leader's decisions, void unless the state still has the revision they were computed from."""

    revision: int
    grants: tuple[GrantOrder, ...]
    revokes: tuple[RevokeOrder, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Release:
    """The holder's proof of a clean stop: the grant is free."""

    unit: UnitName
    node: NodeName
    epoch: Epoch
    ending: Ending
    reason: str = ""
    was_up: bool = False
    """Whether it was active under this grant: only what had been up is recovered when it fails."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Observation:
    """ActiveState of one unit."""

    unit: UnitName
    active: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Observe:
    """What changed on a node, reported after the fact; no grant hangs on it."""

    node: NodeName
    observations: tuple[Observation, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Alarm:
    """An order or a proof that could not be kept, for history and status."""

    node: NodeName
    unit: UnitName
    text: str


class Proof(StrEnum):
    """What shows that nothing of a node's incarnation runs any more (safety section 1)."""

    DEVICE = "device"
    """A fence device confirmed it."""
    LEASE = "lease"
    """Its lease ran out, and with it its fuse."""
    OPERATOR = "operator"
    """An administrator gave their word."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Fenced:
    """Proof that an incarnation of a node is gone: its grants are void, and it may not come back."""

    node: NodeName
    boot: str
    proof: Proof
    by: NodeName
    text: str = ""
    since: int = 0
    """Of a lease: the entry that called the node lost. A node that has been back since has a new lease."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ReportDevices:
    """Which nodes the sender could fence."""

    node: NodeName
    targets: tuple[NodeName, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class SetAttribute:
    """A node's attribute, as an administrator says; an empty value takes it away."""

    node: NodeName
    name: str
    value: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ForgetFailures:
    """A unit's failures on a node are too old to count (FailureExpireSec=), by the leader's clock."""

    unit: UnitName
    node: NodeName
    count: int
    """How many there were when the time was up; void if another one came meanwhile."""


Command = (
    Found
    | AddToken
    | Join
    | SetNode
    | DrainNode
    | RemoveNode
    | ReportSpecs
    | AdoptSpec
    | Wish
    | MoveUnit
    | Plan
    | Release
    | Observe
    | Alarm
    | Fenced
    | ReportDevices
    | SetAttribute
    | ForgetFailures
)

COMMANDS: Final = Codec(
    {
        1: Found,
        2: AddToken,
        3: Join,
        4: SetNode,
        5: DrainNode,
        6: RemoveNode,
        7: ReportSpecs,
        8: AdoptSpec,
        9: Wish,
        10: MoveUnit,
        11: Plan,
        12: Release,
        13: Observe,
        14: Alarm,
        15: Fenced,
        16: ReportDevices,
        20: SetAttribute,
        21: ForgetFailures,
        # Parts of the above.
        64: SpecReport,
        65: UnitSpec,
        66: GrantOrder,
        67: RevokeOrder,
        68: Observation,
    },
    max_bytes=COMMAND_BYTES_MAX,
)


def encode_command(command: Command) -> bytes:
    """Turn a command into the payload of a log entry."""
    return COMMANDS.encode(command)


def decode_command(payload: bytes) -> Command:
    """Read the payload of a log entry; raise MalformedError when it is none."""
    command = COMMANDS.decode(payload)
    if not isinstance(command, Command):
        raise MalformedError(f"a {type(command).__name__} is part of a command, not one")
    return command
