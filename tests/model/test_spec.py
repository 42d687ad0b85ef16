# SPDX-License-Identifier: LGPL-2.1-or-later
"""synod.model.spec: what an annotation may say, and that its digest is the same everywhere."""

import subprocess
import sys
from dataclasses import fields, replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from synod.base.ids import NodeName, UnitName
from synod.base.usec import Usec
from synod.model.spec import UNIT_LISTS, UnitSpec, digest

WEB = UnitName("web.service")
DB = UnitName("db.service")
CACHE = UnitName("cache.service")

unit_names = st.from_regex(r"[a-z]{1,8}(@[a-z]{0,3})?\.(service|target|mount)", fullmatch=True).map(UnitName)
unit_lists = st.lists(unit_names, unique=True, max_size=4).map(tuple)
node_names = st.from_regex(r"[a-z][a-z0-9]{0,5}", fullmatch=True).map(NodeName)
node_lists = st.lists(node_names, unique=True).map(tuple)
specs = st.builds(
    UnitSpec,
    unit=unit_names,
    after=unit_lists,
    before=unit_lists,
    requires=unit_lists,
    wants=unit_lists,
    binds_to=unit_lists,
    colocate_with=unit_lists,
    separate_from=unit_lists,
    nodes=node_lists,
    instances=st.none() | st.integers(1, 1024),
    dependency_timeout_usec=st.integers(1, 10**12).map(Usec),
)


def test_a_unit_without_keys_is_one_copy_anywhere():
    spec = UnitSpec(unit=WEB)
    assert spec.instances == 1
    assert spec.is_exclusive
    assert spec.nodes == ()
    assert spec.dependency_timeout_usec == 90_000_000


def test_instances_all_is_not_exclusive():
    assert not UnitSpec(unit=WEB, instances=None).is_exclusive


@pytest.mark.parametrize("instances", [0, -1, 1025])
def test_instances_out_of_range_are_refused(instances):
    with pytest.raises(ValueError, match=r"not within 1\.\.1024"):
        UnitSpec(unit=WEB, instances=instances)


@pytest.mark.parametrize("field", UNIT_LISTS)
def test_lists_refuse_bad_names_and_duplicates(field):
    with pytest.raises(ValueError, match="not a name"):
        UnitSpec(unit=WEB, **{field: ("no suffix",)})
    with pytest.raises(ValueError, match="twice"):
        UnitSpec(unit=WEB, **{field: (DB, DB)})


def test_other_fields_are_checked_too():
    with pytest.raises(ValueError, match="not a unit name"):
        UnitSpec(unit=UnitName("web"))
    with pytest.raises(ValueError, match="nodes lists"):
        UnitSpec(unit=WEB, nodes=(NodeName("a.b"),))
    with pytest.raises(ValueError, match="not positive"):
        UnitSpec(unit=WEB, dependency_timeout_usec=Usec(0))
    with pytest.raises(ValueError, match="more than 1024"):
        UnitSpec(unit=WEB, after=tuple(UnitName(f"u{number}.service") for number in range(1025)))


def test_pulled_in_names_each_unit_once():
    spec = UnitSpec(unit=WEB, requires=(DB,), binds_to=(CACHE, DB), wants=(WEB, CACHE))
    assert spec.pulled_in == (DB, CACHE, WEB)


def test_digest_is_pinned():
    """Nodes of different releases compare digests: a change here needs a feature level."""
    spec = UnitSpec(unit=WEB, after=(DB, CACHE), requires=(DB,), instances=None, nodes=(NodeName("a"),))
    assert digest(spec) == "ebb50a453833debad3f7fb5610edff0b6fdb9a17dcf8f83044c6451129e42560"
    assert digest(UnitSpec(unit=WEB)) == "7fb8eabccbd42a5761e43ddd278396ea786d799fe1d5d5c0d310b9a8ee26b908"


def test_digest_does_not_depend_on_the_hash_seed():
    program = (
        "from synod.model.spec import UnitSpec, digest;"
        "print(digest(UnitSpec(unit='web.service', after=('db.service', 'cache.service'), instances=3)))"
    )
    outputs = {
        subprocess.run(
            [sys.executable, "-c", program],
            env={"PYTHONHASHSEED": seed, "PYTHONPATH": ":".join(sys.path)},
            check=True,
            capture_output=True,
            text=True,
        ).stdout
        for seed in ("0", "1", "4711")
    }
    assert outputs == {digest(UnitSpec(unit=WEB, after=(DB, CACHE), instances=3)) + "\n"}


@given(specs, specs)
def test_equal_digests_exactly_for_equal_specs(one, other):
    assert (digest(one) == digest(other)) == (one == other)


@given(specs)
def test_every_field_counts(spec):
    for field in fields(spec):
        value = getattr(spec, field.name)
        if field.name in UNIT_LISTS:
            changed = replace(spec, **{field.name: (*value, UnitName("zzzz-other.slice"))})
        elif field.name == "nodes":
            changed = replace(spec, nodes=(*value, NodeName("zzzz-other")))
        elif field.name == "instances":
            changed = replace(spec, instances=1 if value is None else None)
        elif field.name == "unit":
            changed = replace(spec, unit=UnitName("zzzz-other.slice"))
        else:
            changed = replace(spec, dependency_timeout_usec=Usec(value + 1))
        assert digest(changed) != digest(spec)


def test_order_of_a_list_counts():
    assert digest(UnitSpec(unit=WEB, after=(DB, CACHE))) != digest(UnitSpec(unit=WEB, after=(CACHE, DB)))
