# SPDX-License-Identifier: LGPL-2.1-or-later
"""synod.model.specs: the edges read backwards, always those of the specs that are adopted now."""

from hypothesis import given
from hypothesis import strategies as st

from synod.base.ids import UnitName
from synod.model.spec import UnitSpec, digest
from synod.model.specs import Edges, SpecBook

NAMES = [UnitName(f"{letter}.service") for letter in "abcd"]
lists = st.lists(st.sampled_from(NAMES), unique=True, max_size=3).map(tuple)


def specs_of(unit: UnitName) -> st.SearchStrategy[UnitSpec]:
    return st.builds(
        UnitSpec, unit=st.just(unit), after=lists, before=lists, requires=lists, wants=lists, binds_to=lists
    )


def nonempty(index: dict[UnitName, dict[UnitName, int]]) -> dict[UnitName, set[UnitName]]:
    return {key: set(values) for key, values in index.items() if values}


@given(st.lists(st.sampled_from(NAMES).flatmap(specs_of), max_size=12))
def test_edges_are_those_of_the_last_spec_of_each_unit(history: list[UnitSpec]) -> None:
    edges, adopted = Edges(), dict[UnitName, UnitSpec]()
    for spec in history:
        edges.replace(adopted.get(spec.unit), spec)
        adopted[spec.unit] = spec
    needed: dict[UnitName, set[UnitName]] = {}
    named: dict[UnitName, set[UnitName]] = {}
    bound: dict[UnitName, set[UnitName]] = {}
    after: dict[UnitName, set[UnitName]] = {}
    before: dict[UnitName, set[UnitName]] = {}
    for unit, spec in adopted.items():
        for name in (*spec.requires, *spec.binds_to):
            needed.setdefault(name, set()).add(unit)
        for name in (*spec.requires, *spec.binds_to, *spec.wants):
            named.setdefault(name, set()).add(unit)
        for name in spec.binds_to:
            bound.setdefault(name, set()).add(unit)
        pairs = [(name, unit) for name in spec.after] + [(unit, name) for name in spec.before]
        for first, second in pairs:
            before.setdefault(first, set()).add(second)
            after.setdefault(second, set()).add(first)
    assert nonempty(edges.needed_by) == needed
    assert nonempty(edges.named_by) == named
    assert nonempty(edges.bound_by) == bound
    assert nonempty(edges.after) == after
    assert nonempty(edges.before) == before


def test_an_edge_said_twice_is_taken_back_once() -> None:
    edges = Edges()
    one = UnitSpec(unit=NAMES[0], after=(NAMES[1],))
    other = UnitSpec(unit=NAMES[1], before=(NAMES[0],))
    edges.replace(None, one)
    edges.replace(None, other)
    edges.replace(one, None)
    assert nonempty(edges.after) == {NAMES[0]: {NAMES[1]}}
    edges.replace(other, None)
    assert nonempty(edges.after) == {}


def test_a_book_keeps_one_copy_of_equal_specs() -> None:
    book = SpecBook()
    first = book.add(UnitSpec(unit=NAMES[0]))
    second = book.add(UnitSpec(unit=NAMES[0]))
    assert first == second == digest(UnitSpec(unit=NAMES[0]))
    assert len(book.by_digest) == 1
    assert book.get(first) == UnitSpec(unit=NAMES[0])
