# SPDX-License-Identifier: LGPL-2.1-or-later
"""synod.planner.plan: placement, against a naive twin that looks at every possibility of a tiny cluster."""

from itertools import product

from hypothesis import given, settings
from hypothesis import strategies as st

from synod.base.ids import Epoch, NodeName, UnitName
from synod.model.command import Desired, Ending, GrantOrder, NodeState, Plan, RevokeOrder, RoleWish
from synod.model.rows import Failure, Grant, NodeRow, Row
from synod.model.spec import UnitSpec, digest
from synod.model.state import ClusterState
from synod.planner.plan import plan

A, B, C = NodeName("a"), NodeName("b"), NodeName("c")
NODES = (A, B, C)
UNITS = tuple(UnitName(f"{letter}.service") for letter in "uvw")
U, V, W = UNITS
Placement = dict[UnitName, tuple[NodeName, ...]]


def make(*specs: UnitSpec, nodes: tuple[NodeName, ...] = NODES) -> ClusterState:
    """All nodes are online and have all units; all units are wanted."""
    state = ClusterState(cluster="c", cluster_id="i", revision=7)
    for name in nodes:
        state.nodes[name] = NodeRow(
            name=name, address=name, port=1, fingerprint="f", state=NodeState.ONLINE
        )
    for spec in specs:
        reports = dict.fromkeys(nodes, state.specs.add(spec))
        state.rows[spec.unit] = Row(
            unit=spec.unit, spec=spec, reports=reports, desired=Desired.STARTED
        )
    return state


def hold(state: ClusterState, unit: UnitName, *nodes: NodeName) -> None:
    for instance, node in enumerate(nodes):
        state.rows[unit].grants[instance] = Grant(instance=instance, node=node, epoch=Epoch(instance + 1))


def orders(found: Plan | None) -> list[tuple[UnitName, int, NodeName]]:
    return [(order.unit, order.instance, order.node) for order in found.grants] if found is not None else []


def test_nothing_to_do_is_no_plan() -> None:
    state = make(UnitSpec(unit=U))
    hold(state, U, A)
    assert plan(state, UNITS) is None
    assert plan(ClusterState(), UNITS) is None


def test_a_plan_is_bound_to_the_revision_it_was_computed_from() -> None:
    found = plan(make(UnitSpec(unit=U)), [U])
    assert found == Plan(revision=7, grants=(GrantOrder(unit=U, instance=0, node=A),), revokes=())


def test_ties_go_to_the_node_with_the_fewest_units_then_to_the_first_name() -> None:
    state = make(*(UnitSpec(unit=unit) for unit in UNITS))
    assert orders(plan(state, UNITS)) == [(U, 0, A), (V, 0, B), (W, 0, C)]


def test_only_the_units_named_are_considered() -> None:
    state = make(UnitSpec(unit=U), UnitSpec(unit=V))
    assert orders(plan(state, [V])) == [(V, 0, A)]


def test_a_partner_is_considered_with_the_unit() -> None:
    state = make(UnitSpec(unit=U, colocate_with=(V,)), UnitSpec(unit=V))
    assert orders(plan(state, [U])) == [(V, 0, A), (U, 0, A)]


def test_instances_go_to_different_nodes() -> None:
    state = make(UnitSpec(unit=U, instances=5))
    assert orders(plan(state, [U])) == [(U, 0, A), (U, 1, B), (U, 2, C)]


def test_a_unit_that_runs_everywhere_needs_no_grant() -> None:
    assert plan(make(UnitSpec(unit=U, instances=None)), UNITS) is None


def test_what_is_stopped_failed_or_never_asked_for_is_not_placed() -> None:
    state = make(*(UnitSpec(unit=unit) for unit in UNITS))
    state.rows[U].desired = Desired.STOPPED
    state.rows[V].desired = None
    state.rows[W].failure = Failure(node=A, ending=Ending.FAILED, reason="exit-code")
    assert plan(state, UNITS) is None


def test_a_stopped_unit_s_grant_is_for_its_holder_to_give_back() -> None:
    state = make(UnitSpec(unit=U))
    hold(state, U, A)
    state.rows[U].desired = Desired.STOPPED
    assert plan(state, UNITS) is None


def test_a_drain_takes_back_once() -> None:
    state = make(UnitSpec(unit=U))
    hold(state, U, B)
    state.nodes[B].is_drained = True
    found = plan(state, UNITS)
    assert found is not None
    assert found.revokes == (RevokeOrder(unit=U, instance=0, epoch=Epoch(1)),)
    assert found.grants == ()
    state.rows[U].grants[0] = Grant(instance=0, node=B, epoch=Epoch(1), is_revoked=True)
    assert plan(state, UNITS) is None


def test_a_move_takes_back_what_is_elsewhere() -> None:
    state = make(UnitSpec(unit=U))
    hold(state, U, B)
    state.rows[U].pin = C
    found = plan(state, UNITS)
    assert found is not None
    assert found.revokes == (RevokeOrder(unit=U, instance=0, epoch=Epoch(1)),)
    del state.rows[U].grants[0]
    assert orders(plan(state, UNITS)) == [(U, 0, C)]


def test_units_of_a_lost_node_wait_for_proof() -> None:
    state = make(UnitSpec(unit=U))
    hold(state, U, B)
    state.nodes[B].state = NodeState.LOST
    assert plan(state, UNITS) is None


# The naive twin


def is_fit(state: ClusterState, unit: UnitName, node: NodeName) -> bool:
    """The rules for a node alone, in the words of the man page."""
    row, machine = state.rows[unit], state.nodes[node]
    spec = row.spec
    assert spec is not None
    return (
        machine.state is NodeState.ONLINE
        and not machine.is_drained
        and machine.role is not RoleWish.WITNESS
        and (not spec.nodes or node in spec.nodes)
        and row.reports.get(node) == digest(spec)
        and row.pin in (None, node)
    )


def is_allowed(state: ClusterState, placement: Placement, new: set[tuple[UnitName, NodeName]]) -> bool:
    """Whether every new copy is where it may be, given all others."""
    for unit, node in new:
        spec = state.rows[unit].spec
        assert spec is not None
        if not is_fit(state, unit, node) or placement[unit].count(node) > 1:
            return False
        if any(node not in placement.get(other, ()) for other in spec.colocate_with):
            return False
        if any(node in placement.get(other, ()) for other in spec.separate_from):
            return False
        for other, row in state.rows.items():
            shuns = row.spec is not None and unit in row.spec.separate_from
            if shuns and node in placement.get(other, ()):
                return False
    return True


def could_place_one_more(state: ClusterState, placement: Placement) -> list[tuple[UnitName, NodeName]]:
    """All single copies that could be added to a placement."""
    found = []
    for (unit, row), node in product(state.rows.items(), state.nodes):
        spec = row.spec
        assert spec is not None
        is_open = spec.instances is not None and len(placement.get(unit, ())) < spec.instances
        if row.is_wanted and is_open:
            bigger = {**placement, unit: (*placement.get(unit, ()), node)}
            if is_allowed(state, bigger, {(unit, node)}):
                found.append((unit, node))
    return found


partners = st.lists(st.sampled_from(UNITS), unique=True, max_size=1)


@st.composite
def clusters(draw: st.DrawFn) -> ClusterState:
    nodes = NODES[: draw(st.integers(1, 3))]
    specs = []
    for place, unit in enumerate(UNITS[: draw(st.integers(1, 3))]):
        earlier = UNITS[:place]
        specs.append(
            UnitSpec(
                unit=unit,
                nodes=tuple(draw(st.lists(st.sampled_from(nodes), unique=True, max_size=2))),
                instances=draw(st.sampled_from([1, 1, 2, 3])),
                colocate_with=tuple(name for name in draw(partners) if name in earlier),
                separate_from=tuple(name for name in draw(partners) if name in earlier),
            )
        )
    state = make(*specs, nodes=nodes)
    for machine in state.nodes.values():
        machine.is_drained = draw(st.integers(0, 5)) == 0
        machine.role = draw(st.sampled_from([RoleWish.AUTOMATIC] * 5 + [RoleWish.WITNESS]))
        machine.state = draw(st.sampled_from([NodeState.ONLINE] * 5 + [NodeState.LOST, NodeState.LEAVING]))
    for unit, row in state.rows.items():
        row.desired = draw(st.sampled_from([Desired.STARTED] * 4 + [Desired.STOPPED, None]))
        row.pin = draw(st.sampled_from([None] * 5 + [nodes[0]]))
        spec = row.spec
        assert spec is not None
        held = draw(st.lists(st.sampled_from(nodes), unique=True, max_size=spec.instances or 0))
        hold(state, unit, *held)
        if draw(st.integers(0, 6)) == 0:
            row.reports.pop(nodes[-1])
    return state


@settings(max_examples=200)
@given(clusters())
def test_a_plan_places_all_that_can_be_placed_and_nothing_that_may_not(state: ClusterState) -> None:
    found = plan(state, list(state.rows))
    placement: Placement = {
        unit: tuple(grant.node for grant in row.grants.values()) for unit, row in state.rows.items()
    }
    new = set()
    for unit, instance, node in orders(found):
        row = state.rows[unit]
        assert row.spec is not None
        assert row.is_wanted
        assert 0 <= instance < (row.spec.instances or 0)
        assert instance not in row.grants
        placement[unit] = (*placement[unit], node)
        new.add((unit, node))
    assert len(new) == len(orders(found))
    assert is_allowed(state, placement, new)
    for unit, row in state.rows.items():
        assert row.spec is not None
        assert len(placement[unit]) <= (row.spec.instances or 0)
    # A unit is considered once and after its partners: what is left could not be placed then.
    assert could_place_one_more(state, placement) == []


@settings(max_examples=100)
@given(clusters())
def test_only_drains_and_moves_take_anything_back(state: ClusterState) -> None:
    found = plan(state, list(state.rows))
    revoked = {(order.unit, order.instance) for order in found.revokes} if found is not None else set()
    for unit, row in state.rows.items():
        for instance, grant in row.grants.items():
            is_moved = row.is_wanted and row.pin not in (None, grant.node)
            assert ((unit, instance) in revoked) == (state.nodes[grant.node].is_drained or is_moved)


@settings(max_examples=50)
@given(clusters())
def test_the_order_in_which_nodes_joined_changes_nothing(state: ClusterState) -> None:
    first = plan(state, list(state.rows))
    state.nodes = dict(reversed(state.nodes.items()))
    assert plan(state, list(state.rows)) == first
