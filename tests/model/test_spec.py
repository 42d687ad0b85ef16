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
from synod.model.attributes import INFINITY, Condition, Operator, Preference
from synod.model.spec import NODE_LISTS, UNIT_LISTS, UnitSpec, digest

WEB = UnitName("web.service")
DB = UnitName("db.service")
CACHE = UnitName("cache.service")

unit_names = st.from_regex(r"[a-z]{1,8}(@[a-z]{0,3})?\.(service|target|mount)", fullmatch=True).map(UnitName)
unit_lists = st.lists(unit_names, unique=True, max_size=4).map(tuple)
node_names = st.from_regex(r"[a-z][a-z0-9]{0,5}", fullmatch=True).map(NodeName)
node_lists = st.lists(node_names, unique=True).map(tuple)
words = st.sampled_from(["a", "b", "rack", "name", "role"])
scores = st.integers(-INFINITY, INFINITY)
operators = st.sampled_from([Operator.EQUAL, Operator.UNEQUAL])
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
    avoid_nodes=node_lists,
    where=st.lists(
        st.builds(Condition, attribute=words, operator=operators, value=words),
        unique=True,
        max_size=3,
    ).map(tuple),
    prefer=st.lists(
        st.builds(Preference, attribute=words, value=words, score=scores),
        unique_by=lambda preference: preference.term,
        max_size=3,
    ).map(tuple),
    stickiness=st.integers(0, INFINITY),
    priority=scores,
    failure_limit=st.integers(0, 1000),
    stops_rogue_copies=st.booleans(),
    failure_expire_usec=st.integers(1, 10**12).map(Usec),
)
NUMBERS = ("stickiness", "priority", "failure_limit", "failure_expire_usec", "dependency_timeout_usec")


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


def test_placement_has_ranges():
    assert UnitSpec(unit=WEB).stickiness == 1
    assert UnitSpec(unit=WEB).failure_limit == 3
    assert UnitSpec(unit=WEB).failure_expire_usec == 600_000_000
    for keys, text in (
        ({"stickiness": -1}, "stickiness is -1"),
        ({"stickiness": INFINITY + 1}, "not within 0"),
        ({"priority": -INFINITY - 1}, "the score -1000001 is not within"),
        ({"failure_limit": 1001}, "failure_limit is 1001"),
        ({"failure_expire_usec": 0}, "failure_expire_usec is not positive"),
        ({"avoid_nodes": (NodeName("a.b"),)}, "avoid_nodes lists"),
        ({"avoid_nodes": (NodeName("a"),) * 2}, "avoid_nodes lists a name twice"),
    ):
        with pytest.raises(ValueError, match=text):
            UnitSpec(unit=WEB, **keys)
    one, other = (Preference(attribute="name", value="a", score=score) for score in (1, 2))
    with pytest.raises(ValueError, match="prefer lists a name twice"):
        UnitSpec(unit=WEB, prefer=(one, other))


def test_pulled_in_names_each_unit_once():
    spec = UnitSpec(unit=WEB, requires=(DB,), binds_to=(CACHE, DB), wants=(WEB, CACHE))
    assert spec.pulled_in == (DB, CACHE, WEB)


def test_digest_is_pinned():
    """Nodes of different releases compare digests: a change here needs a feature level."""
    spec = UnitSpec(unit=WEB, after=(DB, CACHE), requires=(DB,), instances=None, nodes=(NodeName("a"),))
    assert digest(spec) == "ebb50a453833debad3f7fb5610edff0b6fdb9a17dcf8f83044c6451129e42560"
    later = UnitSpec(
        unit=WEB,
        where=(Condition(attribute="ram", operator=Operator.AT_LEAST, value="64"),),
        prefer=(Preference(attribute="name", value="a", score=INFINITY),),
        failure_limit=0,
    )
    assert digest(later) == "30e2d603bd778dd3044b173c7223e4978bfdf027e59fa71b9637730c22c43886"
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
        elif field.name in NODE_LISTS:
            changed = replace(spec, **{field.name: (*value, NodeName("zzzz-other"))})
        elif field.name == "where":
            other = Condition(attribute="zzzz", operator=Operator.LESS, value="1")
            changed = replace(spec, where=(*value, other))
        elif field.name == "prefer":
            other = Preference(attribute="zzzz", value="x", score=1)
            changed = replace(spec, prefer=(*value, other))
        elif field.name == "instances":
            changed = replace(spec, instances=1 if value is None else None)
        elif field.name == "stops_rogue_copies":
            changed = replace(spec, stops_rogue_copies=not value)
        elif field.name == "unit":
            changed = replace(spec, unit=UnitName("zzzz-other.slice"))
        else:
            assert field.name in NUMBERS
            changed = replace(spec, **{field.name: value + 1 if value < 1000 else value - 1})
        assert digest(changed) != digest(spec)


def test_order_of_a_list_counts():
    assert digest(UnitSpec(unit=WEB, after=(DB, CACHE))) != digest(UnitSpec(unit=WEB, after=(CACHE, DB)))
