# SPDX-License-Identifier: LGPL-2.1-or-later
"""synod.model.recovery: which failures are counted, and when a unit is given up."""

from dataclasses import replace

import pytest

from synod.base.ids import Epoch, NodeName, UnitName
from synod.model.attributes import Condition, Operator
from synod.model.command import Desired, Ending, NodeState, Release, RoleWish
from synod.model.recovery import note_failure, refuges
from synod.model.rows import Failure, NodeRow, Row, Setback
from synod.model.spec import UnitSpec, digest
from synod.model.specs import SpecBook

A, B, C = NodeName("a"), NodeName("b"), NodeName("c")
DB = UnitName("db.service")


class Case:
    """A unit that all nodes have, that is wanted and has been up."""

    def __init__(self, spec: UnitSpec = UnitSpec(unit=DB)) -> None:  # noqa: B008 (frozen)
        self.specs = SpecBook()
        self.nodes = {
            name: NodeRow(name=name, address=name, port=1, fingerprint="f", state=NodeState.ONLINE)
            for name in (A, B, C)
        }
        reports = dict.fromkeys(self.nodes, self.specs.add(spec))
        self.row = Row(unit=DB, spec=spec, reports=reports, desired=Desired.STARTED, has_been_up=True)

    def fail(self, node: NodeName, *, ending: Ending = Ending.FAILED) -> None:
        release = Release(unit=DB, node=node, epoch=Epoch(1), ending=ending, reason="exit-code")
        note_failure(self.row, self.nodes, self.specs, release)

    @property
    def refuges(self) -> list[NodeName]:
        return refuges(self.row, self.nodes, self.specs)


def test_a_failure_of_what_was_up_is_counted_and_the_unit_stays_wanted() -> None:
    case = Case()
    case.fail(A)
    case.fail(A)
    assert case.row.setbacks == {A: Setback(count=2, reason="exit-code")}
    assert case.row.is_wanted
    assert not case.row.is_given_up_on(A)
    case.fail(A)
    assert case.row.is_given_up_on(A)
    assert case.row.is_wanted


def test_a_start_that_fails_is_no_case_for_recovery() -> None:
    case = Case()
    case.row.has_been_up = False
    case.fail(A)
    assert case.row.failure == Failure(node=A, ending=Ending.FAILED, reason="exit-code")
    assert case.row.setbacks == {}


def test_what_ended_by_itself_is_not_recovered() -> None:
    case = Case()
    case.fail(A, ending=Ending.FINISHED)
    assert case.row.failure == Failure(node=A, ending=Ending.FINISHED, reason="exit-code")
    assert case.row.setbacks == {}


def test_without_a_limit_above_zero_nothing_is_recovered() -> None:
    case = Case(UnitSpec(unit=DB, failure_limit=0))
    case.fail(A)
    assert case.row.failure is not None
    assert not case.row.is_given_up_on(A)


def test_a_unit_is_given_up_when_every_node_is() -> None:
    case = Case(UnitSpec(unit=DB, failure_limit=1))
    case.fail(A)
    case.fail(B)
    assert case.row.is_wanted
    case.fail(C)
    assert case.row.failure == Failure(node=C, ending=Ending.FAILED, reason="exit-code")
    assert [node for node in case.nodes if case.row.is_given_up_on(node)] == [A, B, C]


@pytest.mark.parametrize("state", [NodeState.LOST, NodeState.LEAVING, NodeState.UNMANAGED])
def test_a_node_that_may_come_back_is_a_hope(state: NodeState) -> None:
    case = Case()
    case.nodes[B].state = state
    assert case.refuges == [A, B, C]
    case.nodes[B].is_drained = True
    assert case.refuges == [A, B, C]


def test_nodes_that_are_none() -> None:
    case = Case()
    case.nodes[A].state = NodeState.LEFT
    case.nodes[B].role = RoleWish.WITNESS
    assert case.refuges == [C]
    case.row.reports[C] = digest(UnitSpec(unit=DB, instances=2))
    assert case.refuges == []
    case.row.spec = None
    assert case.refuges == []


@pytest.mark.parametrize(
    ("keys", "left"),
    [
        ({"nodes": (A, B)}, [A, B]),
        ({"avoid_nodes": (A,)}, [B, C]),
        ({"where": (Condition(attribute="name", operator=Operator.UNEQUAL, value="b"),)}, [A, C]),
        ({"where": (Condition(attribute="rack", operator=Operator.EQUAL, value="r1"),)}, []),
    ],
)
def test_nodes_that_the_annotation_leaves(keys: dict[str, object], left: list[NodeName]) -> None:
    assert Case(replace(UnitSpec(unit=DB), **keys)).refuges == left  # type: ignore[arg-type]


def test_a_unit_that_was_moved_has_one_node() -> None:
    case = Case(UnitSpec(unit=DB, failure_limit=2))
    case.row.pin = B
    assert case.refuges == [B]
    case.fail(B)
    assert case.row.is_wanted
    case.fail(B)
    assert case.row.failure is not None
