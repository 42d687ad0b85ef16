# SPDX-License-Identifier: LGPL-2.1-or-later
from itertools import combinations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from synod.base.ids import Index, NodeName
from synod.ledger.membership import Configuration, Operation, Views
from synod.ledger.quorum import majority
from synod.ledger.timing import VOTERS_MAX

NAMES = [NodeName(f"n{number}") for number in range(12)]


@st.composite
def configurations(draw: st.DrawFn) -> Configuration:
    names = draw(st.permutations(NAMES))
    voters = draw(st.integers(1, 5))
    return Configuration.of(voters=names[:voters], learners=names[voters:voters + draw(st.integers(0, 4))])


@given(configurations(), st.sampled_from(Operation), st.sampled_from(NAMES))
def test_majorities_before_and_after_a_change_overlap(before: Configuration, operation: Operation,
                                                      node: NodeName) -> None:
    if before.refusal(operation, node) is not None:
        return
    after = before.changed(operation, node)
    assert after.is_valid
    assert after != before
    assert after.voters
    for one in combinations(before.voters, majority(len(before.voters))):
        for other in combinations(after.voters, majority(len(after.voters))):
            assert set(one) & set(other)


@given(configurations(), st.sampled_from(NAMES))
def test_demote_undoes_promote_and_remove_undoes_add(before: Configuration, node: NodeName) -> None:
    for there, back in ((Operation.ADD_LEARNER, Operation.REMOVE), (Operation.PROMOTE, Operation.DEMOTE)):
        if before.refusal(there, node) is None:
            assert before.changed(there, node).changed(back, node) == before


@pytest.mark.parametrize(("operation", "node", "reason"), [
    (Operation.ADD_LEARNER, "n1", "'n1' is a member already"),
    (Operation.ADD_LEARNER, "n2", "'n2' is a member already"),
    (Operation.PROMOTE, "n1", "'n1' is not a learner"),
    (Operation.PROMOTE, "n3", "'n3' is not a learner"),
    (Operation.DEMOTE, "n2", "'n2' is not a voter"),
    (Operation.DEMOTE, "n1", "'n1' is the last voter"),
    (Operation.REMOVE, "n3", "'n3' is not a member"),
    (Operation.REMOVE, "n1", "'n1' is the last voter"),
])
def test_refusals(operation: Operation, node: str, reason: str) -> None:
    configuration = Configuration.of(voters=[NodeName("n1")], learners=[NodeName("n2")])
    assert configuration.refusal(operation, NodeName(node)) == reason


def test_there_is_a_limit_to_voters() -> None:
    full = Configuration.of(voters=NAMES[:VOTERS_MAX], learners=NAMES[VOTERS_MAX:])
    assert "9 voters already" in str(full.refusal(Operation.PROMOTE, NAMES[-1]))


@pytest.mark.parametrize("configuration", [
    Configuration(voters=(NAMES[1], NAMES[0])),
    Configuration(voters=(NAMES[0], NAMES[0])),
    Configuration(voters=(NAMES[0],), learners=(NAMES[0],)),
    Configuration.of(voters=NAMES[:VOTERS_MAX + 1]),
])
def test_invalid_configurations(configuration: Configuration) -> None:
    assert not configuration.is_valid


def test_views_follow_the_log_and_its_truncation() -> None:
    one, two = Configuration.of(voters=NAMES[:1]), Configuration.of(voters=NAMES[:2])
    views = Views(one, Index(0))
    views.append(Index(1), one)  # a term's first entry repeats the members
    assert (views.current, views.changed_at) == (one, 0)
    views.append(Index(5), two)
    assert (views.current, views.changed_at) == (two, 5)
    assert (views.at(Index(4)), views.at(Index(5)), views.at(Index(9))) == (one, two, two)
    views.truncate(Index(6))
    assert views.current == two
    views.truncate(Index(5))
    assert (views.current, views.changed_at) == (one, 0)
    views.truncate(Index(0))
    assert views.current == one
