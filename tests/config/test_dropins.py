# SPDX-License-Identifier: LGPL-2.1-or-later
"""synod.config.dropins: which files make up a unit, and that systemd itself takes the same."""

import os
import re
import shutil
import subprocess

import pytest
from hypothesis import given
from hypothesis import strategies as st

from synod.config.dropins import SEARCH_PATH, dropin_stems, is_prefix_name, scan

ETC = "etc/systemd/system"
RUN = "run/systemd/system"
USR = "usr/lib/systemd/system"


def build(root, *names, links=()):
    for name in names:
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("[Unit]\n")
    for name, target in links:
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.symlink_to(target)
    return scan(root)


def relative(root, paths):
    return [str(path.relative_to(root)) for path in paths]


def test_the_first_directory_wins(tmp_path):
    index = build(tmp_path, f"{USR}/a.service", f"{ETC}/a.service", f"{RUN}/a.service", f"{RUN}/b.service")
    assert index.find("a.service").fragment == tmp_path / ETC / "a.service"
    assert index.find("b.service").fragment == tmp_path / RUN / "b.service"
    assert index.find("c.service").fragment is None
    assert index.unit_names() == ("a.service", "b.service")


def test_dropins_are_sorted_by_name_and_hidden_by_directory(tmp_path):
    index = build(
        tmp_path,
        f"{USR}/a.service.d/10.conf",
        f"{ETC}/a.service.d/20.conf",
        f"{RUN}/a.service.d/20.conf",
        f"{RUN}/a.service.d/15.conf",
        f"{ETC}/a.service.d/.hidden.conf",
        f"{ETC}/a.service.d/README",
    )
    expected = [f"{USR}/a.service.d/10.conf", f"{RUN}/a.service.d/15.conf", f"{ETC}/a.service.d/20.conf"]
    assert relative(tmp_path, index.find("a.service").dropins) == expected


def test_dropins_of_template_prefix_and_type(tmp_path):
    names = ["a-b@i.service", "a-b@.service", "a-@i.service", "a-@.service", "service"]
    index = build(tmp_path, *(f"{ETC}/{name}.d/{number}.conf" for number, name in enumerate(names)))
    found = relative(tmp_path, index.find("a-b@i.service").dropins)
    assert found == [f"{ETC}/{name}.d/{number}.conf" for number, name in enumerate(names)]


def test_a_dropin_of_the_type_is_hidden_by_any_other_of_its_name(tmp_path):
    index = build(tmp_path, f"{ETC}/service.d/x.conf", f"{USR}/a.service.d/x.conf")
    assert relative(tmp_path, index.find("a.service").dropins) == [f"{USR}/a.service.d/x.conf"]


def test_masks(tmp_path):
    index = build(
        tmp_path, f"{USR}/a.service", f"{USR}/b.service", links=[(f"{ETC}/a.service", "/dev/null")]
    )
    (tmp_path / ETC / "b.service").write_text("")
    index = scan(tmp_path)
    assert index.find("a.service").is_masked
    assert index.find("b.service").is_masked
    assert not index.find("c.service").is_masked


def test_aliases(tmp_path):
    index = build(
        tmp_path,
        f"{USR}/real.service",
        f"{USR}/real@.service",
        f"{ETC}/other.service.d/x.conf",
        links=[
            (f"{ETC}/other.service", "/usr/lib/systemd/system/real.service"),
            (f"{ETC}/third.service", "../../../usr/lib/systemd/system/real.service"),
            (f"{ETC}/other@.service", "/usr/lib/systemd/system/real@.service"),
            (f"{ETC}/wrong.timer", "/usr/lib/systemd/system/real.service"),
        ],
    )
    files = index.find("third.service")
    assert files.name == "real.service"
    assert files.names == ("real.service", "other.service", "third.service")
    assert relative(tmp_path, files.dropins) == [f"{ETC}/other.service.d/x.conf"]
    assert index.resolve("other@i.service") == "real@i.service"
    assert index.find("other@i.service").fragment == tmp_path / USR / "real@.service"
    assert index.resolve("wrong.timer") == "wrong.timer"


def test_aliases_in_a_circle_end(tmp_path):
    links = [(f"{ETC}/a.service", "b.service"), (f"{ETC}/b.service", "a.service")]
    index = build(tmp_path, links=links)
    assert index.resolve("a.service") in ("a.service", "b.service")
    assert index.find("a.service").fragment is None


def test_an_instance_uses_its_template_unless_it_has_a_file(tmp_path):
    index = build(tmp_path, f"{USR}/a@.service", f"{ETC}/a@own.service")
    assert index.find("a@x.service").fragment == tmp_path / USR / "a@.service"
    assert index.find("a@own.service").fragment == tmp_path / ETC / "a@own.service"


def test_units_are_pulled_in_by_directories(tmp_path):
    links = [
        (f"{ETC}/t.target.wants/a@1.service", "../a@.service"),
        (f"{ETC}/t.target.requires/b.service", "x"),
    ]
    index = build(tmp_path, f"{USR}/a@.service", links=links)
    assert index.pulled_in["t.target"] == [("Requires", "b.service"), ("Wants", "a@1.service")]
    assert "a@1.service" in index.unit_names()


def test_prefixes_are_no_units(tmp_path):
    index = build(tmp_path, f"{ETC}/a-.service.d/x.conf", f"{ETC}/-.slice", f"{ETC}/a-b.service.d/y.conf")
    assert index.unit_names() == ("-.slice", "a-b.service")
    assert is_prefix_name("a-.service")
    assert not is_prefix_name("-.mount")


def test_nothing_there_is_no_error(tmp_path):
    assert scan(tmp_path / "missing").unit_names() == ()


@given(st.from_regex(r"[ab-]{1,9}(@[ab-]{0,3})?\.service", fullmatch=True))
def test_stems_end_and_begin_with_the_name(name):
    stems = list(dropin_stems(name))
    assert stems[0] == name
    assert all(stem.endswith(".service") for stem in stems)


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="needs systemd-analyze")
@pytest.mark.parametrize(
    ("unit", "fragment"),
    [
        ("a-b-c@i-j.service", "a-b-c@.service"),
        ("a-b.service", "a-b.service"),
        ("a--b-.service", "a--b-.service"),
    ],
)
def test_systemd_reads_the_same_dropins_in_the_same_order(unit, fragment, tmp_path):
    """Every drop-in holds an unknown key, about which systemd-analyze verify warns as it reads."""
    directories = [tmp_path / name for name in (SEARCH_PATH[4], SEARCH_PATH[6], SEARCH_PATH[10])]
    stems = [*dropin_stems(unit), "service", "b-.service", "a-b-c@.service"]
    for number, directory in enumerate(directories):
        for position, stem in enumerate(dict.fromkeys(stems)):
            dropin = directory / f"{stem}.d"
            dropin.mkdir(parents=True, exist_ok=True)
            for name in (f"{(position * 7 + number) % 10}.conf", "same.conf", f"{number}{position}.conf"):
                (dropin / name).write_text("[Unit]\nMark=1\n")
    (directories[2] / fragment).write_text("[Service]\nExecStart=/bin/true\n")
    path = ":".join(map(str, (*directories, "/usr/lib/systemd/system")))
    command = ["systemd-analyze", "verify", "--man=no", unit]
    environment = {**os.environ, "SYSTEMD_UNIT_PATH": path}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False, timeout=60)
    told = re.findall(r"^(/.*\.conf):2: Unknown key", done.stderr, re.MULTILINE)
    ours = [str(dropin) for dropin in scan(tmp_path).find(unit).dropins]
    # Other units that the verification loads read the drop-ins for the type as well, before or after this
    # one.
    own = [line for line in told if "/service.d/" not in line]
    assert own == [line for line in ours if "/service.d/" not in line]
    assert any("/service.d/" in line and line in told for line in ours)
