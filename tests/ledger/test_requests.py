# SPDX-License-Identifier: LGPL-2.1-or-later
from hypothesis import given
from hypothesis import strategies as st

from synod.base.ids import NodeName
from synod.ledger.entries import ReqId
from synod.ledger.requests import WINDOW, EffectiveRequests
from synod.ledger.timing import CLIENTS_MAX, COUNT_MAX


def req(seq: int, client: str = "n1", boot: str = "b") -> ReqId:
    return ReqId(client=NodeName(client), boot=boot, seq=seq)


@given(st.lists(st.tuples(st.sampled_from("ab"), st.sampled_from("xy"), st.integers(1, 40))))
def test_agrees_with_a_set_inside_the_window(asked: list[tuple[str, str, int]]) -> None:
    table, seen = EffectiveRequests(), set[ReqId]()
    for client, boot, seq in asked:
        item = req(seq, client, boot)
        assert table.take(item) is (item not in seen)
        seen.add(item)


@given(st.lists(st.integers(1, 5 * WINDOW), max_size=60))
def test_nothing_takes_effect_twice_however_far_apart(asked: list[int]) -> None:
    table, seen = EffectiveRequests(), set[int]()
    for seq in asked:
        if table.take(req(seq)):
            assert seq not in seen
            seen.add(seq)
        else:
            assert seq in seen or seq <= max(seen) - WINDOW


def test_a_gap_is_filled_later() -> None:
    table = EffectiveRequests()
    assert [table.take(req(seq)) for seq in (1, 3, 2, 3, 2, 1)] == [True, True, True, False, False, False]


def test_extreme_numbers_cost_nothing() -> None:
    table = EffectiveRequests()
    last = COUNT_MAX - 1
    assert [table.take(req(seq)) for seq in (1, last, 1, last)] == [True, True, False, False]


def test_the_client_longest_silent_is_forgotten() -> None:
    table = EffectiveRequests()
    for number in range(CLIENTS_MAX):
        table.take(req(1, boot=str(number)))
    assert not table.take(req(1, boot="0"))  # heard again
    table.take(req(1, boot="one more"))
    assert not table.take(req(1, boot="0"))
    assert table.take(req(1, boot="1"))
