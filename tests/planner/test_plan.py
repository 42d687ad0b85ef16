# SPDX-License-Identifier: LGPL-2.1-or-later
"""synod.planner.plan: placement, against a twin that says the rules as plainly as possible."""

import random
from collections.abc import Iterable
from dataclasses import replace
from typing import TypeVar

from hypothesis import given, settings
from hypothesis import strategies as st

from synod.base.ids import Epoch, NodeName, UnitName
from synod.model.attributes import INFINITY, Condition, Operator, Preference
from synod.model.command import Desired, Ending, GrantOrder, NodeState, Plan, RevokeOrder, RoleWish
from synod.model.rows import Failure, Grant, NodeRow, Row, Setback
from synod.model.spec import UnitSpec, digest
from synod.model.state import ClusterState
from synod.planner.plan import Placement as Placing
from synod.planner.plan import Withdrawal, decide, plan

A, B, C, D = (NodeName(letter) for letter in "abcd")
NODES = (A, B, C)
UNITS = tuple(UnitName(f"{letter}.service") for letter in "uvw")
U, V, W = UNITS
X = UnitName("x.service")
T = TypeVar("T")
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
        state.rows[spec.unit] = Row(unit=spec.unit, spec=spec, reports=reports, desired=Desired.STARTED)
        state.edges.replace(None, spec)
    return state


def hold(state: ClusterState, unit: UnitName, *nodes: NodeName) -> None:
    for instance, node in enumerate(nodes):
        state.rows[unit].grants[instance] = Grant(instance=instance, node=node, epoch=Epoch(instance + 1))
        state.rows[unit].homes[instance] = node


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


def test_priority_goes_before_the_name() -> None:
    state = make(UnitSpec(unit=U, separate_from=(V,)), UnitSpec(unit=V, priority=1), nodes=(A,))
    assert orders(plan(state, UNITS)) == [(V, 0, A)]


def revokes(found: Plan | None) -> list[UnitName]:
    return [order.unit for order in found.revokes] if found is not None else []


def test_room_is_made_once() -> None:
    state = make(UnitSpec(unit=U, priority=1, separate_from=(V,)), UnitSpec(unit=V), nodes=(A,))
    hold(state, V, A)
    assert revokes(plan(state, UNITS)) == [V]
    state.rows[V].grants[0] = Grant(instance=0, node=A, epoch=Epoch(1), is_revoked=True)
    assert plan(state, UNITS) is None


def test_room_is_made_where_fewer_have_to_go() -> None:
    state = make(
        UnitSpec(unit=U, priority=1, separate_from=(V, W)),
        UnitSpec(unit=V, instances=2),
        UnitSpec(unit=W),
        nodes=(A, B),
    )
    hold(state, V, A, B)
    hold(state, W, A)
    found = plan(state, [U])
    assert found is not None
    assert [(order.unit, order.instance) for order in found.revokes] == [(V, 1)]


def test_followers_that_run_elsewhere_are_not_taken_along() -> None:
    follower = UnitSpec(unit=V, colocate_with=(U,))
    state = make(UnitSpec(unit=U), follower, replace(follower, unit=W))
    hold(state, V, A)
    hold(state, W, B)
    state.rows[U].homes = {0: A}
    state.rows[U].pin = C
    found = plan(state, UNITS)
    assert orders(found) == [(U, 0, C)]
    assert revokes(found) == [V]


def test_what_failed_too_often_calls_its_partner_away_unless_that_has_nowhere_to_go() -> None:
    specs = (UnitSpec(unit=U), UnitSpec(unit=V, colocate_with=(U,), failure_limit=1))
    state = make(*specs)
    hold(state, U, A)
    state.rows[V].setbacks = {A: Setback(count=1, reason="r")}
    assert revokes(plan(state, [V])) == [U]
    for node in (B, C):
        state.nodes[node].is_drained = True
    assert plan(state, UNITS) is None


def test_two_partners_that_would_have_to_agree_stay() -> None:
    both = UnitSpec(unit=W, colocate_with=(U, V), failure_limit=1)
    state = make(UnitSpec(unit=U), UnitSpec(unit=V), both)
    hold(state, U, A)
    hold(state, V, A)
    state.rows[W].setbacks = {A: Setback(count=1, reason="r")}
    assert plan(state, UNITS) is None


# A twin: the rules of synod-unit(5), said as plainly as possible, for up to 4 nodes and 4 units.

FIRM = UnitName("")


def spec_of(state: ClusterState, unit: UnitName) -> UnitSpec:
    found = state.rows[unit].spec
    assert found is not None
    return found


def attribute(node: NodeRow, name: str) -> str | None:
    return {"name": str(node.name), "role": str(node.role)}.get(name) or node.attributes.get(name)


def in_the_way(state: ClusterState, unit: UnitName, node: NodeName, placed: Placement) -> list[UnitName]:
    """What rules a node out: names of units of lower priority, and FIRM for all that does not yield."""
    row, machine, spec = state.rows[unit], state.nodes[node], spec_of(state, unit)
    rules = [
        machine.state is NodeState.ONLINE,
        not machine.is_drained,
        machine.role is not RoleWish.WITNESS,
        not spec.nodes or node in spec.nodes,
        node not in spec.avoid_nodes,
        all(condition.holds(attribute(machine, condition.attribute)) for condition in spec.where),
        row.reports.get(node) == digest(spec),
        row.pin in (None, node),
        node not in row.setbacks or not 0 < spec.failure_limit <= row.setbacks[node].count,
        node not in placed.get(unit, ()),
        all(w.score > -INFINITY or attribute(machine, w.attribute) != w.value for w in spec.prefer),
        all(node in placed.get(other, ()) for other in spec.colocate_with),
    ]
    found = [FIRM] * rules.count(False)
    for other in state.rows:
        is_apart = other in spec.separate_from or unit in spec_of(state, other).separate_from
        if is_apart and node in placed.get(other, ()):
            may_go = spec_of(state, other).priority < spec.priority and other not in spec.colocate_with
            found.append(other if may_go else FIRM)
    return found


def pleasure(state: ClusterState, unit: UnitName, node: NodeName) -> list[int]:
    row, spec = state.rows[unit], spec_of(state, unit)
    machine = state.nodes[node]
    liked = [wish for wish in spec.prefer if attribute(machine, wish.attribute) == wish.value]
    found = [wish.score for wish in liked if wish.score > -INFINITY]
    return [*found, spec.stickiness] if node in row.homes.values() else found


Line = tuple[list[UnitName], list[int]]


def lines(state: ClusterState, unit: UnitName, placed: Placement) -> dict[NodeName, Line]:
    """For each node what is in the way and what is liked, followers included."""
    found = {n: (in_the_way(state, unit, n, placed), pleasure(state, unit, n)) for n in state.nodes}
    return listen(state, unit, placed, found, [unit])


def listen(
    state: ClusterState,
    leader: UnitName,
    placed: Placement,
    found: dict[NodeName, Line],
    heard: list[UnitName],
) -> dict[NodeName, Line]:
    for unit in by_importance(state):
        spec = spec_of(state, unit)
        is_follower = leader in spec.colocate_with and state.rows[unit].is_wanted and spec.is_exclusive
        if not is_follower or unit in heard:
            continue
        heard.append(unit)
        more: dict[NodeName, Line] = {}
        for node, (way, likes) in found.items():
            supposed = {**placed, unit: (), leader: (node,)}
            for partner in spec.colocate_with:
                if partner != leader and not placed.get(partner):
                    supposed[partner] = (node,)
            firm = [FIRM for _ in in_the_way(state, unit, node, supposed)]
            more[node] = ([*way, *firm], [*likes, *pleasure(state, unit, node)])
        had_open = any(not way for way, _ in found.values())
        has_choice = any(not way if had_open else FIRM not in way for way, _ in more.values())
        if has_choice:
            found = listen(state, unit, placed, more, heard)
    return found


def by_importance(state: ClusterState) -> list[UnitName]:
    return sorted(state.rows, key=lambda unit: (-spec_of(state, unit).priority, unit))


def total(likes: list[int]) -> int:
    """Add up, always winning over everything but never, which is not among them."""
    found = 0
    for points in likes:
        found = max(-INFINITY, min(INFINITY, found + points))
        if INFINITY in (points, found):
            return INFINITY
        if found == -INFINITY:
            return -INFINITY
    return found


class Twin:
    """Grants in order, and what is taken back but for followers that failed too often."""

    def __init__(self, state: ClusterState) -> None:
        self.state = state
        self.placed: Placement = {u: nodes_of(row) for u, row in state.rows.items()}
        self.grants: list[tuple[UnitName, int, NodeName]] = []
        self.gone: set[tuple[UnitName, int]] = set()
        self.done: list[UnitName] = []
        for unit in by_importance(state):
            self.consider(unit)

    def back(self, unit: UnitName, node: NodeName) -> None:
        self.gone.update((unit, g.instance) for g in self.state.rows[unit].grants.values() if g.node == node)

    def consider(self, unit: UnitName) -> None:
        if unit in self.done or unit not in self.state.rows:
            return
        self.done.append(unit)
        row, spec = self.state.rows[unit], spec_of(self.state, unit)
        for partner in sorted(spec.colocate_with):
            self.consider(partner)
        for grant in row.grants.values():
            is_moved = row.is_wanted and row.pin not in (None, grant.node)
            if self.state.nodes[grant.node].is_drained or is_moved:
                self.back(unit, grant.node)
        missing = [number for number in range(spec.instances or 0) if number not in row.grants]
        for instance in missing if row.is_wanted else ():
            if not self.place(unit, instance):
                return

    def place(self, unit: UnitName, instance: int) -> bool:
        found = lines(self.state, unit, self.placed)
        rank = {node: (-total(likes), self.load(node), node) for node, (_, likes) in found.items()}
        free = [node for node, (way, _) in found.items() if not way]
        clearable = [node for node, (way, _) in found.items() if FIRM not in way]
        if free:
            node = min(free, key=lambda node: rank[node])
            self.grants.append((unit, instance, node))
            self.placed[unit] = (*self.placed[unit], node)
            self.take_along(unit, self.state.rows[unit].homes.get(instance), node)
        elif clearable:
            node = min(clearable, key=lambda node: (len(found[node][0]), *rank[node]))
            for other in found[node][0]:
                self.back(other, node)
        return bool(free)

    def take_along(self, unit: UnitName, home: NodeName | None, node: NodeName) -> None:
        for other in by_importance(self.state):
            row = self.state.rows[other]
            is_follower = unit in spec_of(self.state, other).colocate_with and row.is_wanted
            if home is not None and home != node and is_follower and home in nodes_of(row):
                without = {**self.placed, other: tuple(n for n in self.placed[other] if n != home)}
                if not lines(self.state, other, without)[node][0]:
                    self.back(other, home)

    def load(self, node: NodeName) -> int:
        return sum(nodes.count(node) for nodes in self.placed.values())


def nodes_of(row: Row) -> tuple[NodeName, ...]:
    return tuple(grant.node for grant in row.grants.values())


some = st.integers(0, 5).map(lambda number: number == 0)


def few(draw: st.DrawFn, things: tuple[object, ...], most: int = 2) -> tuple[object, ...]:
    return tuple(draw(st.lists(st.sampled_from(things), unique=True, max_size=most))) if things else ()


@st.composite
def clusters(draw: st.DrawFn) -> ClusterState:
    nodes = (*NODES, D)[: draw(st.integers(1, 4))]
    units = (*UNITS, X)[: draw(st.integers(1, 4))]
    specs = []
    for unit in units:
        others = tuple(name for name in units if name != unit)
        wishes = few(draw, (*(f"name={node}" for node in nodes), "rack=r1", "rack=r2"), 3)
        values = st.sampled_from([5, -5, 100, INFINITY, -INFINITY])
        keys: dict[str, object] = {
            "nodes": few(draw, nodes, 3) if draw(st.booleans()) else (),
            "avoid_nodes": few(draw, nodes, 1),
            "where": draw(st.sampled_from([(), (), (), (NOT_RACK_1,), (LARGE,)])),
            "prefer": tuple(
                Preference(attribute=name, value=value, score=draw(values))
                for name, _, value in (str(wish).partition("=") for wish in wishes)
            ),
            "stickiness": draw(st.sampled_from([0, 1, 1, 50, INFINITY])),
            "priority": draw(st.sampled_from([0, 0, 1, 2])),
            "instances": draw(st.sampled_from([1, 1, 2, 3])),
            "failure_limit": draw(st.sampled_from([0, 1, 3])),
            "colocate_with": few(draw, others) if draw(st.booleans()) else (),
            "separate_from": few(draw, others) if draw(st.booleans()) else (),
        }
        specs.append(UnitSpec(unit=unit, **keys))  # type: ignore[arg-type]
    state = make(*specs, nodes=nodes)
    for machine in state.nodes.values():
        machine.is_drained = draw(some)
        machine.role = draw(st.sampled_from([RoleWish.AUTOMATIC] * 5 + [RoleWish.WITNESS]))
        machine.state = draw(st.sampled_from([NodeState.ONLINE] * 5 + [NodeState.LOST, NodeState.LEAVING]))
        machine.attributes = draw(st.sampled_from([{}, {"rack": "r1"}, {"rack": "r2", "ram": "64"}]))
    for unit, row in state.rows.items():
        row.desired = draw(st.sampled_from([Desired.STARTED] * 4 + [Desired.STOPPED, None]))
        row.pin = draw(st.sampled_from([None] * 5 + [nodes[0]]))
        most = spec_of(state, unit).instances or 0
        hold(state, unit, *draw(st.lists(st.sampled_from(nodes), unique=True, max_size=most)))
        if draw(some):
            row.reports.pop(nodes[-1])
        for node in nodes:
            if draw(some):
                row.setbacks[node] = Setback(count=draw(st.sampled_from([1, 3])), reason="r")
        if draw(st.booleans()):
            row.homes.setdefault(0, draw(st.sampled_from(nodes)))
    return state


NOT_RACK_1 = Condition(attribute="rack", operator=Operator.UNEQUAL, value="r1")
LARGE = Condition(attribute="ram", operator=Operator.AT_LEAST, value="32")


@settings(max_examples=400)
@given(clusters())
def test_the_twin_decides_the_same(state: ClusterState) -> None:
    twin = Twin(state)
    decisions = decide(state, list(state.rows))
    found = [
        (one.unit, one.instance, one.node)
        for one in decisions
        if isinstance(one, Placing) and one.node is not None
    ]
    back = {
        (one.unit, one.grant.instance)
        for one in decisions
        if isinstance(one, Withdrawal) and not one.reason.endswith("failed there too often")
    }
    assert found == twin.grants
    assert back == twin.gone


@settings(max_examples=200)
@given(clusters())
def test_nothing_is_placed_where_it_may_not_run(state: ClusterState) -> None:
    found = plan(state, list(state.rows))
    placement: Placement = {unit: nodes_of(row) for unit, row in state.rows.items()}
    for unit, instance, node in orders(found):
        row = state.rows[unit]
        assert row.is_wanted
        assert 0 <= instance < (spec_of(state, unit).instances or 0)
        assert instance not in row.grants
        assert in_the_way(state, unit, node, placement) == []
        placement[unit] = (*placement[unit], node)


@settings(max_examples=200)
@given(clusters())
def test_nothing_moves_that_need_not(state: ClusterState) -> None:
    """Without drains, moves, failures and units that wait for a place, all stays where it is."""
    for machine in state.nodes.values():
        machine.is_drained = False
    for row in state.rows.values():
        row.pin = None
    free = [
        unit
        for unit, row in state.rows.items()
        if row.is_wanted and len(row.grants) < (spec_of(state, unit).instances or 0)
    ]
    found = plan(state, list(state.rows))
    if not free:
        assert found is None
    for order in found.revokes if found is not None else ():
        spec = spec_of(state, order.unit)
        weaker = [u for u in free if spec_of(state, u).priority > spec.priority]
        followed = [u for u in spec.colocate_with if u in free]
        assert weaker or followed or any(state.rows[u].setbacks for u in free)


@settings(max_examples=200)
@given(clusters())
def test_planning_what_is_true_yields_nothing(state: ClusterState) -> None:
    """A plan that was carried out leaves nothing to do but what waits for the proofs of what it took."""
    found = plan(state, list(state.rows))
    if found is None:
        return
    state.apply(found, 8)
    again = plan(state, list(state.rows))
    assert orders(again) == []
    assert again is None or found.grants  # a unit was placed, and another one follows it


@settings(max_examples=200)
@given(clusters(), st.randoms(use_true_random=False))
def test_no_order_changes_a_plan(state: ClusterState, dice: random.Random) -> None:
    first = plan(state, list(state.rows))

    def shuffled(items: Iterable[T]) -> list[T]:
        found = list(items)
        dice.shuffle(found)
        return found

    other = make(nodes=tuple(shuffled(state.nodes)))
    for name in other.nodes:
        other.nodes[name] = replace(
            state.nodes[name], attributes=dict(shuffled(state.nodes[name].attributes.items()))
        )
    for unit in shuffled(state.rows):
        row, spec = state.rows[unit], spec_of(state, unit)
        lists = ("nodes", "avoid_nodes", "where", "prefer", "colocate_with", "separate_from")
        keys = {key: tuple(shuffled(getattr(spec, key))) for key in lists}
        mixed = replace(spec, **keys)  # type: ignore[arg-type]
        text = other.specs.add(mixed)
        reports = dict.fromkeys(shuffled(row.reports), text)
        setbacks = dict(shuffled(row.setbacks.items()))
        other.rows[unit] = replace(row, spec=mixed, reports=reports, setbacks=setbacks)
        other.edges.replace(None, mixed)
    assert plan(other, shuffled(other.rows)) == first
