# SPDX-License-Identifier: LGPL-2.1-or-later
"""Names of units and nodes are accepted exactly as systemd.unit(5) and hostname(7) define them."""

import pytest

from synod.base.ids import UNIT_NAME_LENGTH_MAX, UNIT_TYPES, is_node_name, is_unit_name


@pytest.mark.parametrize("suffix", UNIT_TYPES)
def test_every_unit_type_has_names(suffix: str) -> None:
    assert is_unit_name(f"web.{suffix}")


@pytest.mark.parametrize(
    "name",
    ["db.service", "getty@tty1.service", "synod-mirror@db.service.target", r"dev-disk-by\x2dlabel.swap",
     "a:b_c.service", "@.service", "x" * (UNIT_NAME_LENGTH_MAX - 8) + ".service"],
)  # fmt: skip
def test_names_that_systemd_would_load(name: str) -> None:
    assert is_unit_name(name)


@pytest.mark.parametrize(
    "name",
    ["", "db", ".service", "db.service ", "db.service\n", "a/b.service", "../x.service", "db.conf",
     "dé.service", "a b.service", "x" * (UNIT_NAME_LENGTH_MAX - 7) + ".service"],
)  # fmt: skip
def test_names_that_systemd_would_refuse(name: str) -> None:
    assert not is_unit_name(name)


@pytest.mark.parametrize("name", ["node1", "a", "A-1", "9", "x" * 63])
def test_host_names_of_one_label(name: str) -> None:
    assert is_node_name(name)


@pytest.mark.parametrize("name", ["", "-a", "a-", "a.b", "a_b", "a b", "a\n", "é", "x" * 64, "a/b"])
def test_what_is_no_host_name_of_one_label(name: str) -> None:
    assert not is_node_name(name)
