# SPDX-License-Identifier: LGPL-2.1-or-later
"""Bounds: how long after a node's power loss its units have been asked to start elsewhere, at the worst.

Added up from what is configured; what the unit's own start takes, and that of what it requires, comes on
top. A slow stop costs nothing: a node that is cut off instead of dead is reset by its fuse, whatever
TimeoutStopSec= says. The leader's own loss costs an election; the leases run on meanwhile. Where the others
are no majority without the node, nobody takes anything over.
"""

from dataclasses import dataclass
from typing import Final

from synod.base.ids import NodeName, UnitName
from synod.base.usec import USEC_PER_MSEC, Usec
from synod.engine.fencing import ANSWER_USEC
from synod.engine.lease import LeaseTiming
from synod.engine.vigil import SILENT_USEC
from synod.ledger.quorum import majority
from synod.ledger.timing import Timing
from synod.model.command import RoleWish
from synod.model.recovery import refuges
from synod.model.state import ClusterState

HEARING_USEC: Final = Usec(650 * USEC_PER_MSEC)
"""Silence after which a stream is lost: StreamSettings' heartbeats, held equal by a test."""
COMMIT_USEC: Final = Usec(500 * USEC_PER_MSEC)
"""For the entries between the proof and the start: several, each with a write on a majority of disks."""
NONE: Final = Usec(0)
ELECTIONS: Final = 2
"""Elections in a row that are reckoned with: the first may split the vote."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Bound:
    """Spans from the power loss of the node that runs a unit to the start job elsewhere; None: never."""

    unit: UnitName
    worst: Usec | None
    """When another node led."""
    worst_of_leader: Usec | None
    """When the node led itself."""
    slowest: NodeName | None
    """The node whose loss takes that long."""
    why_never: str = ""


def bounds(
    state: ClusterState, timing: Timing, lease: LeaseTiming, voters: tuple[NodeName, ...]
) -> list[Bound]:
    """Reckon for every exclusive unit, by name."""
    office = _office(state, timing, voters)
    proofs = {name: Usec(_proof(state, name, lease) + COMMIT_USEC) for name in state.nodes}
    proofs_of_leader = {
        name: Usec(_proof(state, name, lease, office=office) + COMMIT_USEC) for name in state.nodes
    }
    found = []
    for unit, row in sorted(state.rows.items()):
        if row.spec is None or not row.spec.is_exclusive:
            continue
        homes = refuges(row, state.nodes, state.specs)
        if len(homes) < 2:
            found.append(_never(unit, "no other node may run it"))
            continue
        stuck = [name for name in sorted(homes) if not is_survived(name, voters)]
        slowest = max(sorted(homes), key=lambda name: proofs[name])
        worst = proofs[slowest]
        if stuck:
            text = f"without {', '.join(stuck)} no majority of voters is left: add a node, or a witness"
            is_hopeless = len(stuck) == len(homes)
            found.append(
                Bound(
                    unit=unit,
                    worst=None if is_hopeless else worst,
                    worst_of_leader=None,
                    slowest=slowest,
                    why_never=text,
                )
            )
        else:
            worst_of_leader = max(proofs_of_leader[name] for name in homes)
            found.append(Bound(unit=unit, worst=worst, worst_of_leader=worst_of_leader, slowest=slowest))
    return found


def _never(unit: UnitName, text: str) -> Bound:
    return Bound(unit=unit, worst=None, worst_of_leader=None, slowest=None, why_never=text)


def _proof(state: ClusterState, node: NodeName, lease: LeaseTiming, *, office: Usec = NONE) -> Usec:
    """Say how long the proof takes at most that a node is gone: each of its devices may be waited for.

    A node that is only deaf is answered until its own silence has ended its streams: the last answer to it
    may be as late. ``office`` is the time of an election that has to come first.
    """
    devices = sum(1 for row in state.nodes.values() if node in row.fences)
    if devices and not state.nodes[node].has_fuse:
        return Usec(max(office, HEARING_USEC) + SILENT_USEC + devices * ANSWER_USEC)
    return max(office, Usec(HEARING_USEC + lease.takeover))


def _office(state: ClusterState, timing: Timing, voters: tuple[NodeName, ...]) -> Usec:
    """Say how long it takes at most until another node leads that may go on leading."""
    latest = timing.election_max
    if any(state.nodes[name].role is RoleWish.WITNESS for name in voters if name in state.nodes):
        latest = Usec(2 * timing.election_max - timing.election_min)  # it lets the others begin
    election = max(HEARING_USEC + timing.stream_loss_max, latest)
    return Usec(election + (ELECTIONS - 1) * latest)


def is_survived(node: NodeName, voters: tuple[NodeName, ...]) -> bool:
    """Whether the others are a majority of voters without a node."""
    left = [name for name in voters if name != node]
    return len(left) >= majority(len(voters))
