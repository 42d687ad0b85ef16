# SPDX-License-Identifier: LGPL-2.1-or-later
import os
from pathlib import Path

import pytest

from synod.base.errors import IndefiniteError
from synod.systemd.cgroup import CGROUP_ROOT, is_populated

GROUP = "/system.slice/db.service"


def write(path, text):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


@pytest.fixture
def unified(tmp_path):
    write(tmp_path / "cgroup.controllers", "cpu")
    return tmp_path


@pytest.fixture(params=["systemd", "unified"])
def hybrid(tmp_path, request):
    write(tmp_path / "systemd/cgroup.procs", "")
    if request.param == "unified":
        write(tmp_path / "unified/cgroup.procs", "")
    return tmp_path


@pytest.mark.parametrize("populated", [0, 1])
def test_version_2_sums_up_for_itself(unified, populated):
    write(unified / f"{GROUP[1:]}/cgroup.events", f"populated {populated}\nfrozen 0\n")
    assert is_populated(GROUP, unified) is bool(populated)


def test_no_group_holds_no_process(unified, hybrid):
    assert not is_populated("", unified)
    assert not is_populated(GROUP, unified)
    assert not is_populated(GROUP, hybrid)


def test_version_1_is_searched_to_the_bottom(hybrid):
    write(hybrid / f"systemd{GROUP}/cgroup.procs", "")
    write(hybrid / f"systemd{GROUP}/a/cgroup.procs", "\n")
    assert not is_populated(GROUP, hybrid)
    write(hybrid / f"systemd{GROUP}/a/b/cgroup.procs", "4711\n")
    assert is_populated(GROUP, hybrid)


@pytest.mark.parametrize(("first", "second", "expected"), [("", 0, False), ("1\n", 0, True), ("", 1, True)])
def test_either_hierarchy_of_a_hybrid_counts(tmp_path, first, second, expected):
    write(tmp_path / "systemd/cgroup.procs", "")
    write(tmp_path / "unified/cgroup.procs", "")
    write(tmp_path / f"systemd{GROUP}/cgroup.procs", first)
    write(tmp_path / f"unified{GROUP}/cgroup.events", f"populated {second}\n")
    assert is_populated(GROUP, tmp_path) is expected


def test_a_process_of_another_pid_namespace_counts(hybrid):
    write(hybrid / f"systemd{GROUP}/cgroup.procs", "0\n")
    assert is_populated(GROUP, hybrid)


def test_nothing_is_proved_without_a_hierarchy(tmp_path):
    with pytest.raises(IndefiniteError, match="no cgroup hierarchy"):
        is_populated(GROUP, tmp_path)


def test_nothing_is_proved_by_what_cannot_be_read(unified):
    (unified / GROUP[1:] / "cgroup.events").mkdir(parents=True)
    with pytest.raises(IndefiniteError, match="cannot tell"):
        is_populated(GROUP, unified)


@pytest.mark.parametrize("bad", ["db.service", "/../etc", "/a/../../b"])
def test_paths_stay_below_the_root(unified, bad):
    with pytest.raises(ValueError, match="not a control group"):
        is_populated(bad, unified)


def hierarchy_of_this_process():
    """Return the path of our own group in a hierarchy that is mounted here, or None."""
    for line in Path("/proc/self/cgroup").read_text().splitlines():
        number, name, path = line.split(":", 2)
        if number == "0" or name == "name=systemd":
            for root in (CGROUP_ROOT, CGROUP_ROOT / "unified", CGROUP_ROOT / "systemd"):
                procs = root / path.lstrip("/") / "cgroup.procs"
                if procs.exists() and str(os.getpid()) in procs.read_text().split():
                    return path
    return None


@pytest.mark.skipif(hierarchy_of_this_process() is None, reason="no cgroup hierarchy shows this process")
def test_the_group_of_this_process_is_populated():
    assert is_populated(hierarchy_of_this_process())
