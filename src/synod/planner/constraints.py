# SPDX-License-Identifier: LGPL-2.1-or-later
"""What rules a node out for a unit, and what rules out every node.

Decides nothing else: which of the others is best is the business of ``weigh`` and ``score``. The words are
those of synod-unit(5), because users read them.
"""

from collections.abc import Iterator, MutableMapping

from synod.base.ids import NodeName, UnitName
from synod.model import adoption
from synod.model.attributes import INFINITY
from synod.model.command import Desired, NodeState
from synod.model.rows import NodeRow, Row, barred
from synod.model.spec import UnitSpec
from synod.model.state import ClusterState
from synod.planner.score import Reason

Placed = MutableMapping[UnitName, tuple[NodeName, ...]]
"""Where units are, counting decisions of the plan being made."""


def refusal(state: ClusterState, row: Row, node: NodeRow, placed: Placed) -> str:
    """Say why a node may not run one more instance of a unit; empty when it may, or when room is made."""
    return next(
        (reason.text for reason in obstacles(state, row, node, placed) if reason.yielding is None), ""
    )


def obstacles(state: ClusterState, row: Row, node: NodeRow, placed: Placed) -> Iterator[Reason]:
    """Yield all that keeps a node from running one more instance of a unit, whatever its followers wish."""
    spec = row.spec
    if spec is None:
        yield Reason(-INFINITY, state.absence(row.unit))
        return
    for text in (
        _unfit(node),
        barred(spec, node),
        _unlike(state, row, spec, node.name),
        f"moved to {row.pin}" if row.pin not in (None, node.name) else "",
        _given_up(row, spec, node.name),
        "an instance is there already" if node.name in placed.get(spec.unit, ()) else "",
    ):
        if text:
            yield Reason(-INFINITY, text)
    for preference in spec.prefer:
        if preference.score == -INFINITY and node.attribute(preference.attribute) == preference.value:
            yield Reason(-INFINITY, f"Prefer={preference}")
    yield from _partners(state, spec, node.name, placed)


def _unfit(node: NodeRow) -> str:
    if node.state is not NodeState.ONLINE:
        return f"the node is {node.state}"
    return "the node is drained" if node.is_drained else ""


def _unlike(state: ClusterState, row: Row, spec: UnitSpec, node: NodeName) -> str:
    if node not in row.reports:
        return "the node has no such unit, or no [X-Synod] section in it"
    is_same = state.specs.is_same(row.reports[node], spec)
    return "" if is_same else "its annotation differs from the adopted one"


def _given_up(row: Row, spec: UnitSpec, node: NodeName) -> str:
    if not row.is_given_up_on(node):
        return ""
    setback = row.setbacks[node]
    times = "once" if setback.count == 1 else f"{setback.count} times"
    return f"it failed there {times}, FailureLimit={spec.failure_limit}: {setback.reason}"


def _partners(state: ClusterState, spec: UnitSpec, node: NodeName, placed: Placed) -> Iterator[Reason]:
    for other in spec.colocate_with:
        if node not in placed.get(other, ()):
            yield Reason(-INFINITY, f"ColocateWith={other}, which is not placed there")
    for other in sorted(dict.fromkeys((*spec.separate_from, *state.edges.shunned_by.get(spec.unit, ())))):
        if node not in placed.get(other, ()):
            continue
        row = state.rows.get(other)
        # A unit that has to be there as well cannot make room: sent away, it would come back at once.
        is_weaker = (
            row is not None
            and row.spec is not None
            and row.spec.priority < spec.priority
            and other not in spec.colocate_with
        )
        says = (
            f"SeparateFrom={other}, which is placed there"
            if other in spec.separate_from
            else f"{other} is placed there and has SeparateFrom={spec.unit}"
        )
        yield Reason(-INFINITY, says, yielding=other if is_weaker else None)


def stands_in_the_way(state: ClusterState, unit: UnitName) -> str:
    """Say why no plan will ever place a wanted unit as things are; empty when one might."""
    row = state.rows.get(unit)
    if row is None or row.spec is None:
        return state.absence(unit)
    if row.failure is not None:
        where = f"on {row.failure.node}"
        verb = "failed" if row.failure.ending == "failed" else "ended"
        tried = ", ".join(sorted(node for node in row.setbacks if row.is_given_up_on(node)))
        limit = f"; FailureLimit={row.spec.failure_limit} is reached on {tried}" if tried else ""
        return f"{unit} {verb} {where}: {row.failure.reason}{limit}"
    too_many = adoption.conflict(row, state.nodes, state.specs)
    if too_many:
        return too_many
    if row.desired is Desired.STOPPED:
        return f"{unit} is stopped by an administrator; start it with: systemctl start {unit}"
    return ""
