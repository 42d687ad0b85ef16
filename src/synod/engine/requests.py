# SPDX-License-Identifier: LGPL-2.1-or-later
"""What local clients ask of the agent: the waiters of the template units, and synodctl."""

from dataclasses import dataclass

from synod.base.ids import NodeName, UnitName
from synod.model.command import RoleWish


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """synod-gate@: may the unit start here? Else start it where it belongs, and wait.

    ``job`` is the type of the unit's own job at this moment: a gate outlives the start that brought it.
    """

    unit: UnitName
    job: str = "start"


@dataclass(frozen=True, slots=True, kw_only=True)
class Want:
    """synod-await@: wait until the provider is up."""

    unit: UnitName


@dataclass(frozen=True, slots=True, kw_only=True)
class ReleaseHold:
    """synod-hold@ stops: may the unit go down? ``job`` is the type of the unit's own job at this moment.

    Whoever asks has told the node of the hold before, by a read that is not older than the question.
    The stop of a masked unit says that it must not run on this node, and nothing of the other nodes.
    """

    unit: UnitName
    job: str
    is_masked: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class LeaveForShutdown:
    """synod-drain stops: this node is about to power off or reboot."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Unmanage:
    """synod.service stops while units keep running."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FoundCluster:
    """``synodctl init``."""

    cluster: str
    cluster_id: str
    address: str
    port: int
    fingerprint: str


@dataclass(frozen=True, slots=True, kw_only=True)
class KeepToken:
    """``synodctl token``."""

    token: str
    secret_hash: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Admit:
    """A node spends a token."""

    token: str
    secret_hash: bytes
    node: NodeName
    address: str
    port: int
    fingerprint: str
    role: RoleWish


@dataclass(frozen=True, slots=True, kw_only=True)
class StartUnits:
    """``synodctl start UNIT``; with ``is_waiting`` answered when it is up or cannot be."""

    unit: UnitName
    is_waiting: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class StopUnits:
    """``synodctl stop UNIT``; with ``is_waiting`` answered when no instance runs."""

    unit: UnitName
    is_waiting: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class RestartUnits:
    """``synodctl restart UNIT``, on every node that runs it."""

    unit: UnitName


@dataclass(frozen=True, slots=True, kw_only=True)
class MoveTo:
    """``synodctl move UNIT NODE``."""

    unit: UnitName
    node: NodeName


@dataclass(frozen=True, slots=True, kw_only=True)
class Drain:
    """``synodctl drain NODE`` and ``undrain``."""

    node: NodeName
    is_drained: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Adopt:
    """``synodctl adopt UNIT --from NODE``."""

    unit: UnitName
    node: NodeName


@dataclass(frozen=True, slots=True, kw_only=True)
class Leave:
    """``synodctl leave``: stop this node's exclusive units and say goodbye.

    With force nobody is asked: for a node that the others have removed, or whose cluster is gone.
    """

    is_forced: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Remove:
    """``synodctl remove NODE``."""

    node: NodeName


@dataclass(frozen=True, slots=True, kw_only=True)
class ConfirmOff:
    """``synodctl confirm-off NODE``: an administrator has seen that the machine is off."""

    node: NodeName


@dataclass(frozen=True, slots=True, kw_only=True)
class SayAttribute:
    """``synodctl set-attribute NODE NAME VALUE``; an empty value takes the attribute away."""

    node: NodeName
    name: str
    value: str


Request = (
    Place
    | Want
    | ReleaseHold
    | LeaveForShutdown
    | Unmanage
    | FoundCluster
    | KeepToken
    | Admit
    | StartUnits
    | StopUnits
    | RestartUnits
    | MoveTo
    | Drain
    | Adopt
    | Leave
    | Remove
    | ConfirmOff
    | SayAttribute
)
