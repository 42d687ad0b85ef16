# SPDX-License-Identifier: LGPL-2.1-or-later
"""Against twins that try every majority there is."""

from itertools import combinations

from hypothesis import given
from hypothesis import strategies as st

from synod.base.ids import NodeName
from synod.ledger.quorum import Outcome, majority, reached, tally

NAMES = [NodeName(f"n{number}") for number in range(9)]
voters = st.lists(st.sampled_from(NAMES), unique=True, max_size=7)


def majorities(names: list[NodeName]) -> list[tuple[NodeName, ...]]:
    """Return every group that outnumbers the rest."""
    return [group for size in range(len(names) + 1) for group in combinations(names, size)
            if size > len(names) - size]


@given(voters, st.dictionaries(st.sampled_from(NAMES), st.integers(0, 5)))
def test_reached_agrees_with_its_twin(names: list[NodeName], values: dict[NodeName, int]) -> None:
    twin = max((min(values.get(name, 0) for name in group) for group in majorities(names)), default=0)
    assert reached(names, values) == twin


@given(voters, st.dictionaries(st.sampled_from(NAMES), st.booleans()))
def test_tally_agrees_with_its_twin(names: list[NodeName], votes: dict[NodeName, bool]) -> None:
    won = any(all(votes.get(name) for name in group) for group in majorities(names))
    open_ = any(all(votes.get(name, True) for name in group) for group in majorities(names))
    assert tally(names, votes) is (Outcome.WON if won else Outcome.OPEN if open_ else Outcome.LOST)


@given(st.integers(0, 100))
def test_two_majorities_always_share_a_voter(count: int) -> None:
    assert 2 * majority(count) > count
    assert 2 * (majority(count) - 1) <= count
