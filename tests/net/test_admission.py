# SPDX-License-Identifier: LGPL-2.1-or-later
"""A flood of strangers takes neither all room nor that of members."""

from synod.net.admission import Admission


def test_one_address_cannot_take_all_the_room() -> None:
    admission = Admission(total_max=10, per_address_max=3)
    assert [admission.admit("x") for _ in range(5)] == [True, True, True, False, False]
    assert admission.admit("y")
    assert admission.open_total == 4


def test_strangers_share_a_limit_and_known_addresses_have_their_own() -> None:
    admission = Admission(total_max=2, per_address_max=2)
    admission.set_known(["node"])
    assert [admission.admit(address) for address in ("x", "y", "z")] == [True, True, False]
    assert [admission.admit("node") for _ in range(3)] == [True, True, False]


def test_known_addresses_do_not_use_up_the_strangers_room() -> None:
    admission = Admission(total_max=2, per_address_max=2)
    admission.set_known(["node"])
    assert admission.admit("node")
    assert admission.admit("node")
    assert [admission.admit(address) for address in ("x", "y", "z")] == [True, True, False]


def test_what_is_released_can_be_taken_again() -> None:
    admission = Admission(total_max=1, per_address_max=1)
    for _ in range(3):
        assert admission.admit("x")
        assert not admission.admit("x")
        admission.release("x")
    assert admission.open_total == 0
