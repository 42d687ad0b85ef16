# SPDX-License-Identifier: LGPL-2.1-or-later
"""synod.config.graph: orderings and the circles in them."""

from hypothesis import given
from hypothesis import strategies as st

from synod.config.annotation import parse_annotation
from synod.config.graph import Edge, cycles, order
from synod.config.ini import parse
from synod.config.load import LoadedUnit
from synod.config.specifiers import Host

HOST = Host()


def view(**texts):
    units = {}
    for key, text in texts.items():
        stem, _, suffix = key.rpartition("_")
        name = f"{stem}.{suffix}"
        file = parse(text.encode(), f"/{name}")
        annotation = parse_annotation(name, [file], HOST)
        units[name] = LoadedUnit(name=name, fragment=file, dropins=(), annotation=annotation)
    return units


def pairs(**texts):
    return {(edge.later, edge.earlier) for edge in order(view(**texts), HOST)}


def test_written_orderings():
    found = pairs(a_mount="[Unit]\nAfter=b.service\nBefore=c.service\nDefaultDependencies=no\n")
    assert found == {("a.mount", "b.service"), ("c.service", "a.mount")}


def test_annotated_orderings_and_the_anchor():
    found = order(
        view(a_mount="[Unit]\nDefaultDependencies=no\n[X-Synod]\nAfter=b.service\nBefore=c.service\n"), HOST
    )
    assert {(edge.later, edge.earlier) for edge in found} == {
        ("a.mount", "synod.target"),
        ("a.mount", "b.service"),
        ("c.service", "a.mount"),
    }
    assert all(edge.is_annotated and edge.file == "/a.mount" for edge in found)


def test_implicit_orderings():
    assert pairs(a_service="") == {("a.service", "sysinit.target"), ("a.service", "basic.target")}
    assert pairs(a_socket="") == {("a.socket", "sysinit.target"), ("sockets.target", "a.socket")}
    assert pairs(a_service="[Unit]\nDefaultDependencies=no\n") == set()
    assert pairs(a_mount="") == {("local-fs.target", "a.mount")}
    assert pairs(a_mount="[Mount]\nOptions=rw,nofail\n") == set()
    assert pairs(a_mount="[Mount]\nOptions=_netdev\n") == {("remote-fs.target", "a.mount")}
    assert pairs(a_mount="[Mount]\nType=nfs4\n") == {("remote-fs.target", "a.mount")}


def test_targets_come_after_what_they_pull_in():
    bare = "[Unit]\nDefaultDependencies=no\n"
    pull = "[Unit]\nWants=a.service\nRequires=b.service\nBefore=b.service\n"
    found = pairs(t_target=pull, a_service="", b_service="")
    assert ("t.target", "a.service") in found
    assert ("t.target", "b.service") not in found
    assert ("t.target", "a.service") not in pairs(t_target=pull, a_service=bare)
    found = pairs(t_target="[Unit]\nWants=a.service\n", a_service="[Unit]\nAfter=t.target\n")
    assert ("t.target", "a.service") not in found


def circle(*names, annotated=(0,)):
    steps = zip(names, (*names[1:], names[0]), strict=True)
    return [Edge(later=a, earlier=b, is_annotated=n in annotated) for n, (a, b) in enumerate(steps)]


def test_a_circle_is_told_once():
    edges = circle("a", "b", "c", annotated=(0, 1, 2))
    assert len(list(cycles(edges))) == 1
    (found,) = cycles(edges)
    assert [edge.later for edge in found] == ["a", "b", "c"]


def test_local_circles_are_not_ours():
    assert list(cycles(circle("a", "b", annotated=()))) == []


def test_the_shortest_way_is_told():
    edges = [*circle("a", "b", "c", "d"), Edge(later="b", earlier="a")]
    (found,) = cycles(edges)
    assert [(edge.later, edge.earlier) for edge in found] == [("a", "b"), ("b", "a")]


def test_two_circles():
    assert len(list(cycles([*circle("a", "b"), *circle("c", "d")]))) == 2


names = st.sampled_from("abcdef")
edge_lists = st.lists(st.builds(Edge, later=names, earlier=names, is_annotated=st.booleans()), max_size=16)


@given(edge_lists)
def test_as_the_naive_search(edges):
    """A circle is found exactly when an annotated edge's ends reach each other."""
    edges = [edge for edge in edges if edge.later != edge.earlier]
    found = list(cycles(edges))
    for steps in found:
        assert all(a.earlier == b.later for a, b in zip(steps, (*steps[1:], steps[0]), strict=True))
        assert any(edge.is_annotated for edge in steps)
    closing = [edge for edge in edges if edge.is_annotated and _reaches(edges, edge.earlier, edge.later)]
    assert bool(found) == bool(closing)


def _reaches(edges, start, end):
    known = [start]
    for name in known:
        known += [e.earlier for e in edges if e.later == name and e.earlier not in known]
    return end in known


def test_long_chains_need_no_stack():
    names = [str(number) for number in range(5000)]
    (found,) = cycles(circle(*names))
    assert len(found) == 5000
