# SPDX-License-Identifier: LGPL-2.1-or-later
"""The generator cannot import the package: here both read the same texts and trees and must agree."""

import shutil
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from synod.config import dropins, ini
from synod.config.annotation import LIST_KEYS, NAME_LENGTH_MAX, OWN_UNITS, parse_annotation
from synod.config.load import load_units
from synod.config.specifiers import Host

HERE = Path(__file__).resolve().parent
TREES = sorted(path for path in HERE.iterdir() if (path / "WHY").is_file())

ORDERINGS = ("After", "Before", "Requires", "Wants", "BindsTo")

fragments = st.sampled_from(
    [
        b"[X-Synod]", b"[Unit]", b"[X-Synod", b"[", b"]", b"After=", b"Requires = a.service", b"b.service",
        b" ", b"\t", b"\n", b"\r\n", b"\r", b"\0", b"\\", b"\\\n", b"\\\\\n", b"#", b"; x", b"\xef\xbb\xbf",
        b"\xff", b"\xc3\xa4", b"=", b"Instances=all", b"Instances=2", b"DefaultDependencies=no",
        b"%p-x.service", b"%%", b"%", b"a@.service", b'"', b"\x01", b"Wants=b.service\n",
        b"BindsTo=a.service\n", b"Before=\n",
    ]
)  # fmt: skip
texts = st.lists(fragments, max_size=40).map(b"".join) | st.binary(max_size=200)

words = st.sampled_from(
    [
        "a.service",
        "b.service",
        "%p.service",
        "%n",
        "%N.target",
        "x@%i.service",
        "%j.mount",
        "%H.service",
        "-.mount",
    ]
)
values = st.lists(words, max_size=4).map(" ".join)
lines = st.tuples(st.sampled_from(ORDERINGS), values).map("=".join) | st.sampled_from(
    ["Instances=all", "Instances="]
)
annotations = st.lists(lines, max_size=12).map("\n".join)
unit_names = st.sampled_from(
    [
        "web.service",
        "a-b@i.service",
        "stack.target",
        "shop-x.timer",
        "u@one-two.service",
        "srv-a\\x2db.mount",
    ]
)


@given(texts)
@settings(max_examples=600)
def test_parsers_agree_on_any_bytes(generator, data):
    ours = ini.parse(data, "x")
    headers, assignments, failure = generator.parse(data)
    assert headers == [(header.name, header.line) for header in ours.headers]
    assert assignments == [(a.section, a.key, a.value, a.line) for a in ours.assignments]
    assert (failure is not None) == ours.is_broken
    if failure:
        assert failure[0] == ours.problems[-1].line


@given(unit_names, annotations)
@settings(max_examples=300, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_annotations_agree_where_all_is_well(generator, tmp_path_factory, unit, text):
    host = Host(host_name="alpha", machine_id="0" * 32)
    data = f"[X-Synod]\n{text}\n".encode()
    file = ini.parse(data, "/etc/systemd/system/x")
    annotation = parse_annotation(unit, [file], host)
    tree = generator.Tree("/nonexistent")
    tree.host_name, tree.machine_id = host.host_name, host.machine_id
    tree.fragments[unit] = file.path
    tree.contents[file.path] = data
    theirs = generator.Annotation(unit, tree)
    assert theirs.is_present
    assert (annotation.spec is None) == bool(tree.problems)
    if annotation.spec:
        assert theirs.is_exclusive == annotation.spec.is_exclusive
        for key in ORDERINGS:
            assert tuple(theirs.lists[key]) == getattr(annotation.spec, LIST_KEYS[key]), key


@pytest.mark.parametrize("tree", TREES, ids=lambda path: path.name)
def test_trees_agree_on_what_is_annotated(generator, tree, tmp_path):
    """Every unit that the package finds annotated is gated, and the other way round."""
    root = tmp_path / "root"
    shutil.copytree(tree, root, symlinks=True)
    (root / "etc/synod").mkdir(parents=True, exist_ok=True)
    found = {name: unit.annotation for name, unit in load_units(root).items() if unit.annotation}
    annotated = {
        name for name, annotation in found.items() if annotation.line and not _is_refused(annotation)
    }
    theirs = generator.Tree(str(root))
    theirs.scan()
    _, units, _ = generator.plan(theirs, theirs.load())
    assert {unit for unit in units if "@." not in unit} == annotated


def _is_refused(annotation):
    codes = {finding.code for finding in annotation.findings if finding.line == annotation.line}
    return bool(codes & {"own-unit", "type-wide", "unit-type"})


@given(st.from_regex(r"[a-c-]{1,8}(@[a-c-]{0,4})?\.(service|timer)", fullmatch=True))
def test_names_of_dropin_directories_agree(generator, name):
    assert generator.dropin_stems(name) == list(dropins.dropin_stems(name))


def test_tables_agree(generator):
    searched = [f"/{name}" for name in dropins.SEARCH_PATH if not name.startswith("run/systemd/generator")]
    assert list(generator.DIRECTORIES) == searched
    assert generator.OWN_UNITS == OWN_UNITS
    assert generator.NAME_LENGTH_MAX == NAME_LENGTH_MAX
    assert generator.FILE_BYTES_MAX == ini.FILE_BYTES_MAX
