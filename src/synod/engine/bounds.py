# SPDX-License-Identifier: LGPL-2.1-or-later
"""Bounds: how long after a node's power loss its units have been asked to start elsewhere, at the worst.

Added up from what is configured; what the unit's own start takes comes on top. The leader's own loss costs
an election, and the leases are counted from that.
"""

from dataclasses import dataclass
from typing import Final

from synod.base.ids import UnitName
from synod.base.usec import USEC_PER_MSEC, Usec
from synod.engine.lease import LeaseTiming
from synod.engine.vigil import SILENT_USEC
from synod.ledger.timing import Timing
from synod.model.state import ClusterState

HEARING_USEC: Final = Usec(650 * USEC_PER_MSEC)
"""Silence after which a stream is lost: StreamSettings' heartbeats, held equal by a test."""
COMMIT_USEC: Final = Usec(500 * USEC_PER_MSEC)
"""For the entries between the proof and the start: several, each with a write on a majority of disks."""
ELECTIONS: Final = 2
"""Elections in a row that are reckoned with: the first may split the vote."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Bound:
    """Spans from the power loss of the node that runs a unit to the start job elsewhere."""

    unit: UnitName
    by_lease: Usec
    """When another node led."""
    by_lease_of_leader: Usec
    """When the node led itself."""
    is_movable: bool
    """Whether any other node may run it at all."""


def bounds(state: ClusterState, timing: Timing, lease: LeaseTiming) -> list[Bound]:
    """Reckon for every exclusive unit, by name."""
    election = Usec(max(HEARING_USEC + timing.stream_loss_max, timing.election_max))
    office = Usec(election + (ELECTIONS - 1) * timing.election_max)
    proof = Usec(max(lease.takeover, HEARING_USEC + SILENT_USEC) + COMMIT_USEC)
    found = []
    for unit, row in sorted(state.rows.items()):
        if row.spec is not None and row.spec.is_exclusive:
            places = [node for node in row.reports if not row.spec.nodes or node in row.spec.nodes]
            found.append(
                Bound(
                    unit=unit,
                    by_lease=proof,
                    by_lease_of_leader=Usec(office + proof),
                    is_movable=len(places) > 1,
                )
            )
    return found
