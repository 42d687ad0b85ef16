# SPDX-License-Identifier: LGPL-2.1-or-later
"""Exit statuses are an interface: scripts depend on the numbers."""

from synod.base.exits import STATUS_UNKNOWN, ExitStatus


def test_the_numbers_are_those_of_the_first_release() -> None:
    assert {status.name: status.value for status in ExitStatus} == {
        "SUCCESS": 0, "FAILURE": 1, "USAGE": 2, "NOT_ACTIVE": 3, "NO_PRIVILEGE": 4, "NO_SUCH_UNIT": 5,
        "NOT_CONFIGURED": 6, "NO_AGENT": 7, "NOT_QUORATE": 8, "STALE_PLAN": 9, "CHANGES_PENDING": 10,
        "UNSATISFIABLE": 11, "REFUSED": 12, "FENCING_FAILED": 13, "OUTCOME_UNKNOWN": 75, "TIMEOUT": 124,
    }  # fmt: skip


def test_an_unknown_state_is_reported_as_lsb_says() -> None:
    assert STATUS_UNKNOWN == 4
