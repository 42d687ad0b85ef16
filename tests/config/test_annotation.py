# SPDX-License-Identifier: LGPL-2.1-or-later
"""synod.config.annotation: what [X-Synod] sections amount to, and what is said about wrong ones."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from synod.config.annotation import KEYS, LIST_KEYS, NAME_LENGTH_MAX, parse_annotation
from synod.config.finding import CODES, Severity
from synod.config.ini import parse
from synod.config.specifiers import Host
from synod.model.attributes import INFINITY, Condition, Operator, Preference
from synod.model.spec import UnitSpec

HOST = Host(host_name="alpha", machine_id="0" * 32)


def read(*texts, unit="web.service", host=HOST):
    files = [parse(text.encode(), f"/etc/systemd/system/{unit}.d/{n}.conf") for n, text in enumerate(texts)]
    return parse_annotation(unit, files, host)


def spec(*lines, unit="web.service", host=HOST):
    annotation = read("[X-Synod]\n" + "\n".join(lines) + "\n", unit=unit, host=host)
    assert not annotation.findings, annotation.findings
    return annotation.spec


def codes(*lines, unit="web.service"):
    annotation = read("[X-Synod]\n" + "\n".join(lines) + "\n", unit=unit)
    return [(found.code, found.line) for found in annotation.findings]


def test_no_section_no_annotation():
    assert read("[Unit]\nAfter=db.service\n", "[X-Other]\nAfter=a.service\n") is None
    assert read() is None


def test_an_empty_section_has_the_defaults():
    assert spec() == UnitSpec(unit="web.service")


def test_all_keys():
    found = spec(
        "After=a.service b.service",
        "Before=c.service",
        "Requires=a.service",
        "Wants=b.service",
        "BindsTo=d.mount",
        "ColocateWith=e.service",
        "SeparateFrom=f.service",
        "Nodes=alpha beta",
        "Instances=2",
        "AvoidNodes=gamma",
        "Where=rack=r1 ram>=64",
        "Prefer=alpha:100 rack=r1:-5",
        "Stickiness=INFINITY",
        "Priority=-7",
        "FailureLimit=0",
        "FailureExpireSec=1h",
        "DependencyTimeoutSec=2min",
    )
    assert found == UnitSpec(
        unit="web.service",
        after=("a.service", "b.service"),
        before=("c.service",),
        requires=("a.service",),
        wants=("b.service",),
        binds_to=("d.mount",),
        colocate_with=("e.service",),
        separate_from=("f.service",),
        nodes=("alpha", "beta"),
        instances=2,
        avoid_nodes=("gamma",),
        where=(
            Condition(attribute="rack", operator=Operator.EQUAL, value="r1"),
            Condition(attribute="ram", operator=Operator.AT_LEAST, value="64"),
        ),
        prefer=(
            Preference(attribute="name", value="alpha", score=100),
            Preference(attribute="rack", value="r1", score=-5),
        ),
        stickiness=INFINITY,
        priority=-7,
        failure_limit=0,
        failure_expire_usec=3_600_000_000,
        dependency_timeout_usec=120_000_000,
    )


def test_of_two_preferences_for_the_same_the_later_one_counts():
    found = spec("Prefer=a:1 b:2", "Prefer=a:3 name=b:4", "Where=x=1", "Where=x=1")
    assert [str(preference) for preference in found.prefer] == ["a:3", "b:4"]
    assert [str(condition) for condition in found.where] == ["x=1"]
    assert spec("Prefer=a:1", "Where=x=1", "Prefer=", "Where=") == UnitSpec(unit="web.service")


def test_specifiers_in_terms():
    assert [str(preference) for preference in spec("Prefer=%H:1", "Where=host!=%H").prefer] == ["alpha:1"]


def test_lists_grow_keep_their_order_and_are_reset():
    assert spec("After=b.service a.service", "After=c.service a.service").after == (
        "b.service", "a.service", "c.service",
    )  # fmt: skip
    assert spec("After=a.service", "Before=b.service", "After=", "After=c.service").after == ("c.service",)


def test_a_later_file_resets_an_earlier_one():
    found = read("[X-Synod]\nAfter=a.service\nInstances=all\n", "[X-Synod]\nAfter=\nInstances=\n")
    assert found.spec == UnitSpec(unit="web.service")
    assert [mention.value for mention in found.of("After")] == []


def test_the_last_number_counts():
    assert spec("Instances=2", "Instances=all").instances is None
    assert spec("Instances=all", "Instances=3").instances == 3


def test_the_default_timeout_is_that_of_the_host():
    host = Host(dependency_timeout_usec=5)
    assert spec(host=host).dependency_timeout_usec == 5
    assert spec("DependencyTimeoutSec=1s", "DependencyTimeoutSec=", host=host).dependency_timeout_usec == 5


def test_mentions_say_where():
    annotation = read("[X-Synod]\n\nAfter=a.service \\\n b.service\nInstances=2\n")
    places = [(m.key, m.value, m.line) for m in annotation.mentions]
    assert places == [("After", "a.service", 3), ("After", "b.service", 3), ("Instances", "2", 5)]
    assert annotation.line == 1
    assert annotation.file.endswith("/0.conf")


@pytest.mark.parametrize(
    ("line", "code", "hint"),
    [
        ("after=db.service", "unknown-key", "After="),
        ("Require=db.service", "unknown-key", "Requires="),
        ("Colocate=db.service", "unknown-key", "ColocateWith="),
        ("Instance=1", "unknown-key", "Instances="),
        ("Prefers=a:1", "unknown-key", "Prefer="),
        ("Zzz=1", "unknown-key", "synod-unit(5)"),
        ("PartOf=db.service", "unsupported-key", "[Unit]"),
        ("Conflicts=db.service", "unsupported-key", "[Unit]"),
    ],
)
def test_keys_that_are_none(line, code, hint):
    (found,) = read(f"[X-Synod]\n{line}\n").findings
    assert found.code == code
    assert hint in found.hint
    assert found.line == 2


def test_unknown_keys_warn_and_unsupported_ones_forbid():
    assert read("[X-Synod]\nRequire=db.service\n").spec is not None
    assert read("[X-Synod]\nPartOf=db.service\n").spec is None


def test_keys_for_others_are_passed_over():
    assert spec("X-Note=anything") == UnitSpec(unit="web.service")


@pytest.mark.parametrize(
    "line",
    [
        "After=db",
        "After=db.service,web.service",
        "After=a/b.service",
        "After=db@.service",
        'After="db.service"',
        "After=\u00e4.service",
        "After=%q.service",
        "After=%",
        "After=a.service\u00a0b.service",
        f"After={'x' * 240}.service",
        "Nodes=a.b",
        "Nodes=-a",
        "Instances=0",
        "Instances=1025",
        "Instances=-1",
        "Instances=two",
        "Instances=ALL",
        "Instances=\u0663",
        "AvoidNodes=a.b",
        "Where=rack",
        "Where=rack=",
        "Where==r1",
        "Where=ram>lots",
        "Where=a=b=c",
        "Prefer=a",
        "Prefer=a:",
        "Prefer=a:many",
        "Prefer=a:1000001",
        "Prefer=a.b:1",
        "Prefer=rack=:1",
        "Prefer=%q:1",
        "Stickiness=-1",
        "Stickiness=1.5",
        "Priority=infinity",
        "Priority=\u0663",
        "FailureLimit=-1",
        "FailureLimit=1001",
        "FailureExpireSec=0",
        "DependencyTimeoutSec=soon",
        "DependencyTimeoutSec=0",
        "DependencyTimeoutSec=infinity",
        "DependencyTimeoutSec=8d",
    ],
)
def test_bad_values_forbid(line):
    annotation = read(f"[X-Synod]\n{line}\n")
    assert [(found.code, found.line) for found in annotation.findings] == [("bad-value", 2)]
    assert annotation.spec is None


def test_a_missing_suffix_is_guessed():
    (found,) = read("[X-Synod]\nAfter=db\n").findings
    assert "db.service" in found.message


def test_good_names_beside_a_bad_one_are_mentioned():
    annotation = read("[X-Synod]\nAfter=db.service db\n")
    assert [mention.value for mention in annotation.of("After")] == ["db.service"]


def test_the_unit_itself():
    assert codes("Requires=web.service") == [("self-dependency", 2)]
    assert codes("SeparateFrom=%n") == [("self-dependency", 2)]


def test_synods_own_units():
    assert codes("After=synod.target") == [("own-unit", 2)]
    assert codes(unit="synod-gate@x.service") == [("own-unit", 1)]
    assert codes("After=synod-address@192.0.2.1-24.service") == []


def test_units_that_cannot_be_placed():
    assert codes(unit="dev-sda.device") == [("unit-type", 1)]
    assert codes(unit="x" * (NAME_LENGTH_MAX - 7) + ".service") == [("name-too-long", 1)]
    assert codes(unit="x" * (NAME_LENGTH_MAX - 8) + ".service") == []


def test_specifiers():
    found = spec("After=%p-db@%i.service %j.mount %H.service", unit="a-b@c.service")
    assert found.after == ("a-b-db@c.service", "b.mount", "alpha.service")


def test_syntax_errors_in_the_section_count_and_others_do_not():
    assert codes("nonsense") == [("syntax", 2)]
    annotation = read("[Unit]\nnonsense\n[X-Synod]\n")
    assert annotation.findings == ()


def test_a_section_that_cannot_be_reached_is_an_annotation_all_the_same():
    annotation = read("[Unit\n[X-Synod]\n")
    assert [found.code for found in annotation.findings] == ["syntax"]
    assert annotation.spec is None


def test_a_dropin_for_all_units_of_a_type_annotates_none():
    file = parse(b"[X-Synod]\n", "/etc/systemd/system/service.d/x.conf")
    assert parse_annotation("web.service", [file], HOST) is None


def test_targets_come_after_what_they_pull_in():
    found = spec("Requires=a.service", "Wants=b.service", "BindsTo=c.service", unit="x.target")
    assert found.after == ("a.service", "c.service", "b.service")
    found = spec("Requires=a.service b.service", "Before=a.service", "After=b.service", unit="x.target")
    assert found.after == ("b.service",)
    assert spec("Requires=a.service").after == ()
    annotation = read("[Unit]\nDefaultDependencies=no\n[X-Synod]\nRequires=a.service\n", unit="x.target")
    assert annotation.spec.after == ()


def test_too_many_names_are_refused():
    names = " ".join(f"u{number}.service" for number in range(1025))
    assert ("bad-value", 2) in codes(f"After={names}")
    terms = " ".join(f"n{number}:1" for number in range(1025))
    assert ("bad-value", 2) in codes(f"Prefer={terms}")


keys = st.sampled_from([*KEYS, "PartOf", "after", "", "X-A", "\u00e4"])
values = st.text(max_size=30) | st.sampled_from(
    ["all", "1", "a:5", "x=y", "x<4 y=z:1", "a.service b.service", "%n", "%i", "90s", ""]
)
annotated = st.lists(st.tuples(keys, values).map("=".join), max_size=12).map("\n".join)


@given(annotated, st.sampled_from(["web.service", "a@b.service", "x.target", "-.slice", "a@\\xzz.service"]))
def test_any_text_gives_a_spec_or_an_error(text, unit):
    annotation = read(f"[X-Synod]\n{text}\n", unit=unit)
    errors = [found for found in annotation.findings if found.severity is Severity.ERROR]
    assert (annotation.spec is None) == bool(errors)
    for found in annotation.findings:
        assert found.code in CODES
        assert "\n" not in str(found)
    if annotation.spec:
        for key, field in LIST_KEYS.items():
            assert tuple(m.value for m in annotation.of(key)) == getattr(annotation.spec, field)
