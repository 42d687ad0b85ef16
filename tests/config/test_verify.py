# SPDX-License-Identifier: LGPL-2.1-or-later
"""synod.config.verify: each code with a tree that has it, and one like it that has not."""

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from synod.config.finding import CODES
from synod.config.verify import has_errors, is_section_typo, verify

ETC = "etc/systemd/system"
RUN = "[Service]\nType=notify\nExecStart=/bin/x\n"


def put(root, **texts):
    for name, text in texts.items():
        path = root / ETC / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)


def found(root, code=None, **keywords):
    findings = verify(root, **keywords)
    return [
        (finding.code, finding.unit, finding.file.removeprefix(f"{root.absolute()}/{ETC}/"), finding.line)
        for finding in findings
        if code is None or finding.code == code
    ]


def annotated(keys="", unit="", service=""):
    return f"[Unit]\n{unit}\n[X-Synod]\n{keys}\n{RUN}{service}\n"


def test_a_clean_tree(tmp_path):
    put(
        tmp_path,
        **{
            "db.service": annotated(),
            "web.service": annotated("Requires=db.service\nAfter=db.service"),
            "plain.service": RUN,
        },
    )
    assert found(tmp_path) == []


def test_keys_and_values(tmp_path):
    put(tmp_path, **{"web.service": "[X-Synod]\nAftr=x\nPartOf=x\nInstances=0\n"})
    assert found(tmp_path) == [
        ("unknown-key", "web.service", "web.service", 2),
        ("unsupported-key", "web.service", "web.service", 3),
        ("bad-value", "web.service", "web.service", 4),
    ]
    assert has_errors(verify(tmp_path))


BROKEN = {
    "kill-mode": ({"a.service": annotated(service="KillMode=process")}, 8),
    "send-sigkill": ({"a.service": annotated(service="SendSIGKILL=no")}, 8),
    "refuse-manual": ({"a.service": annotated(unit="RefuseManualStop=yes")}, 2),
    "stop-when-unneeded": ({"a.service": annotated(unit="StopWhenUnneeded=yes")}, 2),
    "section-typo": ({"a.service": "[X-Synd]\n" + RUN}, 1),
    "type-wide": ({"service.d/x.conf": "[X-Synod]\n"}, 1),
    "no-fragment": ({"a.service.d/x.conf": "[X-Synod]\n"}, 1),
    "own-unit": ({"synod.service": annotated()}, 3),
    "unit-type": ({"a.device": "[X-Synod]\n"}, 1),
    "name-too-long": ({"x" * 228 + ".service": annotated()}, 3),
    "syntax": ({"a.service": "[X-Synod]\nnonsense\n" + RUN}, 2),
    "self-dependency": ({"a.service": annotated("After=a.service")}, 4),
    "unannotated-dependency": ({"a.service": annotated("After=b.service"), "b.service": RUN}, 4),
    "requires-without-after": ({"a.service": annotated("Requires=b.service"), "b.service": annotated()}, 4),
    "binds-to-without-after": ({"a.service": annotated("BindsTo=b.service"), "b.service": annotated()}, 4),
    "contradiction": (
        {"a.service": annotated("SeparateFrom=b.service\nColocateWith=b.service"), "b.service": annotated()},
        5,
    ),
    "disjoint-nodes": (
        {"a.service": annotated("Nodes=x\nColocateWith=b.service"), "b.service": annotated("Nodes=y z")},
        5,
    ),
    "too-few-nodes": ({"a.service": annotated("Instances=3\nNodes=x y")}, 5),
    "no-effect": ({"a.service": annotated("Nodes=x\nPrefer=y:1 x:2")}, 5),
    "cycle": ({"a.service": annotated("After=b.service"), "b.service": annotated("After=a.service")}, 4),
    "local-requires": ({"a.service": annotated(), "b.service": "[Unit]\nRequires=a.service\n" + RUN}, 2),
    "gate-removed": (
        {"a.service": annotated(), "a.service.d/zzzzz.conf": "[Unit]\nConditionPathExists=\n"},
        2,
    ),
    "accept-socket": ({"a@.service": annotated(), "a.socket": "[Socket]\nListenStream=1\nAccept=yes\n"}, 3),
    "oneshot-provider": (
        {
            "a.service": "[X-Synod]\n[Service]\nType=oneshot\nExecStart=/bin/x\n",
            "b.service": annotated("Requires=a.service\nAfter=a.service"),
        },
        3,
    ),
    "no-readiness": (
        {
            "a.service": "[X-Synod]\n[Service]\nType=simple\nExecStart=/bin/x\n",
            "b.service": annotated("After=a.service"),
        },
        3,
    ),
}

SOUND = {
    "kill-mode": {"a.service": annotated("Instances=all", service="KillMode=process")},
    "send-sigkill": {"a.service": annotated(service="SendSIGKILL=yes")},
    "refuse-manual": {"a.service": annotated(unit="RefuseManualStop=no")},
    "section-typo": {"a.service": "[X-Sync]\n[Install]\n" + RUN},
    "type-wide": {"service.d/x.conf": "[Service]\n"},
    "own-unit": {"synod-address@1.service": annotated()},
    "unannotated-dependency": {
        "a.service": annotated("After=b.service c@1.service"),
        "b.service": annotated(),
        "c@.service": annotated("After=d@%i.service"),
        "d@.service": annotated(),
    },
    "disjoint-nodes": {
        "a.service": annotated("Nodes=x y\nColocateWith=b.service"),
        "b.service": annotated("Nodes=y"),
    },
    "too-few-nodes": {"a.service": annotated("Instances=2\nNodes=x y")},
    "contradiction": {
        "a.service": annotated("Nodes=x y\nAvoidNodes=x z\nWhere=rack=r1 ram>4 ram<9 rack!=r2"),
    },
    "no-effect": {"a.service": annotated("Nodes=x y\nPrefer=x:1 rack=r1:2\nPriority=5")},
    "cycle": {"a.service": annotated("After=b.service"), "b.service": annotated("Requires=a.service")},
    "local-requires": {"a.service": annotated(), "b.service": "[Unit]\nBindsTo=a.service\n" + RUN},
    "gate-removed": {
        "a.service": annotated(),
        "a.service.d/override.conf": "[Unit]\nConditionPathExists=\n",
    },
    "accept-socket": {"a@.service": annotated(), "a.socket": "[Socket]\nListenStream=1\n"},
    "oneshot-provider": {
        "a.service": "[X-Synod]\n[Service]\nType=oneshot\nExecStart=/bin/x\nRemainAfterExit=yes\n",
        "b.service": annotated("Requires=a.service\nAfter=a.service"),
    },
    "no-readiness": {
        "a.service": "[X-Synod]\n[Service]\nType=dbus\nBusName=x.y\nExecStart=/bin/x\n",
        "b.service": annotated("After=a.service"),
    },
}


@pytest.mark.parametrize("code", BROKEN)
def test_found(code, tmp_path):
    files, line = BROKEN[code]
    put(tmp_path, **files)
    matches = found(tmp_path, code)
    assert [entry[3] for entry in matches] == [line], verify(tmp_path)


@pytest.mark.parametrize("code", SOUND)
def test_not_found(code, tmp_path):
    put(tmp_path, **SOUND[code])
    assert found(tmp_path, code) == []


def test_every_code_has_a_case():
    elsewhere = {"unreadable", "unknown-key", "unsupported-key", "bad-value", "alias", "pausable-node"}
    assert set(BROKEN) | elsewhere == set(CODES)


@pytest.mark.parametrize(
    ("keys", "code", "message"),
    [
        ("Nodes=x y\nAvoidNodes=y x", "contradiction", "AvoidNodes= names all of Nodes="),
        ("Where=rack=r1\nWhere=rack=r2", "contradiction", "Where=rack=r2 and rack=r1 cannot both hold"),
        ("Instances=2\nNodes=x y\nAvoidNodes=x", "too-few-nodes", "Instances=2, and Nodes= leaves 1"),
        ("AvoidNodes=x\nPrefer=x:1", "no-effect", "Prefer=x:1, and AvoidNodes= names it"),
        ("Instances=all\nPriority=1", "no-effect", "Priority= means nothing with Instances=all"),
    ],
)
def test_placement_that_cannot_be(tmp_path, keys, code, message):
    put(tmp_path, **{"a.service": annotated(keys)})
    assert [(finding.code, finding.message) for finding in verify(tmp_path)] == [(code, message)]


def test_an_alias(tmp_path):
    put(tmp_path, **{"a.service": annotated("After=b.service"), "real.service": annotated()})
    (tmp_path / ETC / "b.service").symlink_to("real.service")
    (finding,) = [finding for finding in verify(tmp_path) if finding.code == "alias"]
    assert finding.hint == "write After=real.service"


def test_a_virtual_machine(tmp_path):
    put(tmp_path, **{"a.service": annotated(), "b.service": annotated("Instances=all")})
    assert found(tmp_path, virtualization="none") == []
    assert found(tmp_path, virtualization="kvm") == [("pausable-node", "a.service", "a.service", 3)]


def test_a_circle_through_local_ordering(tmp_path):
    put(
        tmp_path,
        **{
            "web.service": annotated("After=db.service"),
            "db.service": annotated(unit="After=mid.service"),
            "mid.service": "[Unit]\nAfter=web.service\n" + RUN,
        },
    )
    (finding,) = verify(tmp_path)
    assert finding.code == "cycle"
    assert finding.message == "web.service after db.service after mid.service after web.service"
    assert "mid.service:2" in finding.hint
    assert "db.service:2" in finding.hint


def test_a_unit_that_the_agent_waits_for(tmp_path):
    put(
        tmp_path,
        **{
            "synod.target": "[Unit]\nAfter=synod.service\n",
            "synod.service": "[Unit]\nAfter=net.service\n" + RUN,
            "net.service": annotated(),
        },
    )
    assert [entry[:2] for entry in found(tmp_path)] == [("cycle", "net.service")]


def test_a_local_requires_by_directory(tmp_path):
    put(tmp_path, **{"a.service": annotated(), "x.target": "[Unit]\n"})
    directory = tmp_path / ETC / "x.target.requires"
    directory.mkdir()
    (directory / "a.service").symlink_to("../a.service")
    assert found(tmp_path) == [("local-requires", "x.target", "x.target.requires/a.service", 0)]


def test_a_file_in_the_way_of_the_generated_one(tmp_path):
    put(tmp_path, **{"a.service": annotated(), "a.service.d/zzzz-synod.conf": "[Unit]\n"})
    assert [entry[0] for entry in found(tmp_path)] == ["gate-removed"]
    (tmp_path / ETC / "a.service.d").rename(tmp_path / "moved")
    place = tmp_path / "run/systemd/generator"
    place.mkdir(parents=True)
    (tmp_path / "moved").rename(place / "a.service.d")
    assert found(tmp_path) == []


def test_a_template_is_checked_through_a_sample(tmp_path):
    put(tmp_path, **{"a@.service": annotated("After=%i")})
    assert [entry[:2] for entry in found(tmp_path)] == [("bad-value", "a@instance.service")]


def test_single_files_are_put_in_the_midst_of_the_others(tmp_path):
    put(
        tmp_path, **{"db.service": annotated("After=web.service"), "bad.service": "[X-Synod]\nInstances=0\n"}
    )
    new = tmp_path / "new/web.service"
    new.parent.mkdir()
    new.write_text(annotated("After=db.service"))
    findings = verify(tmp_path, [new])
    assert [finding.code for finding in findings] == ["cycle"]
    new.write_text(annotated())
    assert verify(tmp_path, [new]) == []


def test_a_single_dropin(tmp_path):
    put(tmp_path, **{"web.service": RUN})
    dropin = tmp_path / "new/web.service.d/cluster.conf"
    dropin.parent.mkdir(parents=True)
    dropin.write_text("[X-Synod]\nAfter=here\n")
    (finding,) = verify(tmp_path, [dropin])
    assert (finding.code, finding.unit, finding.line) == ("bad-value", "web.service", 2)


@pytest.mark.parametrize("name", ["missing.service", "notes.txt"])
def test_files_that_are_none(tmp_path, name):
    (tmp_path / "notes.txt").write_text("x")
    (finding,) = verify(tmp_path, [tmp_path / name])
    assert finding.code == "unreadable"


@pytest.mark.parametrize(
    "name", ["X-Synd", "Synod", "X-synod", "x-synod", " X-Synod ", "X_Synod", "XSynod", "X-Snyod"]
)
def test_section_typos(name):
    assert is_section_typo(name)


@pytest.mark.parametrize(
    "name", ["X-Synod", "Unit", "Service", "Socket", "X-Sync", "X-Fleet", "X-Container", "Install"]
)
def test_other_sections(name):
    assert not is_section_typo(name)


texts = st.text(alphabet="[]=\n \\#%XSynodAfterRequsINC-.@1a\0", max_size=120)


@given(st.lists(texts, min_size=3, max_size=3))
@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
def test_any_files_give_findings_and_no_traceback(tmp_path, contents):
    names = ("a.service", "a.service.d/x.conf", "b@.target")
    put(tmp_path, **{name: "[X-Synod]\n" + text for name, text in zip(names, contents, strict=True)})
    for finding in verify(tmp_path):
        assert finding.code in CODES
        assert len(str(finding).splitlines()) == 1
