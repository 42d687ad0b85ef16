# SPDX-License-Identifier: LGPL-2.1-or-later
"""synod.model.unit: what a unit's state means for the cluster."""

import pytest

from synod.base.ids import UnitName, is_unit_name
from synod.model.unit import LocalUnit, bound_of, hold_of, mirror_of

DB = UnitName("db@x.service")


@pytest.mark.parametrize(
    ("active", "job", "is_populated", "is_up", "is_gone"),
    [
        ("active", "", True, True, False),
        ("reloading", "", True, True, False),
        ("refreshing", "", True, True, False),
        ("active", "start", True, True, False),
        ("active", "stop", True, False, False),
        ("active", "restart", True, False, False),
        ("activating", "start", True, False, False),
        ("activating", "", False, False, False),  # an automatic restart under way
        ("deactivating", "stop", True, False, False),
        ("inactive", "", False, False, True),
        ("failed", "", False, False, True),
        ("inactive", "start", False, False, False),
        ("failed", "", True, False, False),  # a process that nothing kills
        ("unknown", "unknown", False, False, False),
    ],
)
def test_up_and_gone(active: str, job: str, is_populated: bool, is_up: bool, is_gone: bool) -> None:
    unit = LocalUnit(unit=DB, active=active, job=job, is_populated=is_populated)
    assert unit.is_up is is_up
    assert unit.is_gone is is_gone
    assert not (unit.is_up and unit.is_gone)


def test_the_names_of_the_template_units() -> None:
    names = [mirror_of(DB), bound_of(DB), hold_of(DB)]
    assert names == [
        "synod-mirror@db@x.service.target",
        "synod-bound@db@x.service.target",
        "synod-hold@db@x.service.service",
    ]
    assert all(is_unit_name(name) for name in names)
