# SPDX-License-Identifier: LGPL-2.1-or-later
"""The bounds that synodctl prints: added up from what is configured."""

from synod.base.ids import NodeName, UnitName
from synod.engine.bounds import HEARING_USEC, bounds
from synod.engine.lease import LeaseTiming
from synod.ledger.timing import Timing
from synod.model.command import Found, NodeState, ReportSpecs, SetNode, SpecReport
from synod.model.spec import UnitSpec
from synod.model.state import ClusterState
from synod.net.settings import StreamSettings

A = NodeName("a")


def test_the_time_to_miss_a_stream_is_that_of_the_streams() -> None:
    settings = StreamSettings()
    assert settings.heartbeat_usec * settings.heartbeats_missed_max + settings.check_usec == HEARING_USEC


def test_exclusive_units_have_a_bound_and_the_leader_s_loss_costs_an_election() -> None:
    state = ClusterState()
    specs = [
        UnitSpec(unit=UnitName("one.service")),
        UnitSpec(unit=UnitName("all.service"), instances=None),
    ]
    commands = [
        Found(cluster="c", cluster_id="i", node=A, address="10.0.0.1", port=1, fingerprint="f"),
        SetNode(node=A, state=NodeState.ONLINE, boot="b", has_fuse=True),
        ReportSpecs(node=A, reports=tuple(SpecReport(unit=spec.unit, spec=spec) for spec in specs)),
    ]
    for index, command in enumerate(commands, 1):
        assert not state.apply(command, index).refusal
    timing, lease = Timing(), LeaseTiming()
    (bound,) = bounds(state, timing, lease)
    assert bound.unit == "one.service"
    assert not bound.is_movable
    assert lease.takeover < bound.by_lease < lease.takeover + 1_000_000
    assert bound.by_lease_of_leader - bound.by_lease >= timing.election_max
