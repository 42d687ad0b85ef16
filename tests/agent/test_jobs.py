# SPDX-License-Identifier: LGPL-2.1-or-later
"""Units as the node sees them: what cannot be proved gone still counts as running."""

from dataclasses import replace

import pytest

from synod.agent.jobs import local_unit
from synod.base.ids import UnitName
from synod.systemd.unitstate import unit_state

STATE = unit_state(
    {
        "Id": "db.service",
        "LoadState": "loaded",
        "ActiveState": "inactive",
        "SubState": "dead",
        "Job": (0, "/"),
    }
)


def test_an_inactive_unit_without_a_group_is_gone() -> None:
    assert local_unit(STATE).is_gone


@pytest.mark.parametrize(
    "changes",
    [
        {"active_state": "active"},
        {"active_state": "deactivating"},
        {"active_state": "activating"},
        {"job_id": 7, "job_type": "start"},
        {"job_id": 7, "job_type": ""},
        {"control_group": "/"},
    ],
)
def test_anything_else_is_not(changes: dict[str, object]) -> None:
    assert not local_unit(replace(STATE, **changes)).is_gone  # type: ignore[arg-type]


def test_a_unit_that_is_about_to_stop_is_not_up() -> None:
    state = replace(STATE, active_state="active")
    assert local_unit(state).is_up
    assert local_unit(state).unit == UnitName("db.service")
    assert not local_unit(replace(state, job_id=3, job_type="stop")).is_up
