# SPDX-License-Identifier: LGPL-2.1-or-later
import os
import stat

import pytest
from hypothesis import given
from hypothesis import strategies as st

from synod.base.errors import StorageError
from synod.systemd.gatefiles import GateFiles, Grant
from synod.systemd.paths import Paths


@pytest.fixture
def paths(tmp_path):
    return Paths(root=tmp_path)


@pytest.fixture
def files(paths):
    files = GateFiles(paths)
    files.prepare()
    return files


def grant(unit="db.service", **changes):
    return Grant(**{"unit": unit, "instance": 0, "epoch": 17, "incarnation": "0f3c.0", **changes})


def test_a_grant_is_a_regular_file_that_anyone_can_read(files, paths):
    files.write_grant(grant(instance=2))
    path = paths.grants / "db.service"
    assert path.read_text() == "epoch=17\ninstance=2\nincarnation=0f3c.0\n"
    assert stat.S_ISREG(path.lstat().st_mode)
    assert stat.S_IMODE(path.stat().st_mode) & 0o444 == 0o444
    assert (paths.environments / "db.service").read_text() == "SYNOD_EPOCH=17\n"
    assert [entry.name for entry in paths.grants.iterdir()] == ["db.service"]


@given(
    epoch=st.integers(0, 2**64),
    instance=st.integers(0, 99),
    incarnation=st.from_regex(r"[0-9a-f-]{1,36}\.[0-9]+", fullmatch=True),
)
def test_grants_are_read_back(tmp_path_factory, epoch, instance, incarnation):
    files = GateFiles(Paths(root=tmp_path_factory.getbasetemp() / "read-back"))
    files.prepare()
    wanted = grant(r"a\x2db@c.service", epoch=epoch, instance=instance, incarnation=incarnation)
    files.write_grant(wanted)
    assert files.grants() == {wanted.unit: wanted}


def test_a_revoked_grant_leaves_nothing(files, paths):
    files.write_grant(grant())
    assert files.remove_grant("db.service") is True
    assert files.remove_grant("db.service") is False
    assert list(paths.grants.iterdir()) == list(paths.environments.iterdir()) == []
    assert files.grants() == {}


def test_a_new_epoch_replaces_the_old_one(files):
    files.write_grant(grant(epoch=1))
    files.write_grant(grant(epoch=2))
    assert files.grants() == {"db.service": grant(epoch=2)}


@pytest.mark.parametrize(
    "contents",
    [
        b"",
        b"epoch=1\n",
        b"epoch=x\ninstance=0\nincarnation=a\n",
        b"\xff\xfe",
        b"epoch=-1\ninstance=0\nincarnation=a\n",
    ],
)
def test_a_damaged_grant_is_listed_as_void(files, paths, contents):
    (paths.grants / "db.service").write_bytes(contents)
    assert files.grants() == {"db.service": None}


def test_what_is_no_regular_file_is_void(files, paths):
    (paths.grants / "dir.service").mkdir()
    os.mkfifo(paths.grants / "fifo.service")
    good = paths.root / "elsewhere"
    good.write_text("epoch=1\ninstance=0\nincarnation=a\n")
    (paths.grants / "link.service").symlink_to(good)
    assert files.grants() == {"dir.service": None, "fifo.service": None, "link.service": None}


def test_a_link_in_the_way_is_replaced_and_not_followed(files, paths):
    outside = paths.root / "outside"
    outside.write_text("precious")
    for name in ("db.service", ".new"):
        (paths.grants / name).symlink_to(outside)
    with pytest.raises(StorageError):
        files.write_grant(grant())  # the temporary name is a link: refused
    files.prepare()
    files.write_grant(grant())
    assert not (paths.grants / "db.service").is_symlink()
    assert outside.read_text() == "precious"


@pytest.mark.parametrize("name", ["../db.service", "a/b.service", "db", "", ".new", "x" * 300 + ".service"])
def test_names_that_are_no_units_are_refused(files, name):
    for action in (
        files.remove_grant,
        files.mark_up,
        files.mark_down,
        lambda name: files.write_grant(grant(name)),
    ):
        with pytest.raises(ValueError, match="not a unit name"):
            action(name)


def test_the_longest_unit_name_fits(files):
    name = "x" * 247 + ".service"
    files.write_grant(grant(name))
    files.mark_up(name)
    assert list(files.grants()) == list(files.up_units()) == [name]


@pytest.mark.parametrize("incarnation", ["", "a\nepoch=99"])
def test_an_incarnation_is_one_line(files, incarnation):
    with pytest.raises(ValueError, match="not an incarnation"):
        files.write_grant(grant(incarnation=incarnation))


def test_strange_files_are_not_listed(files, paths):
    for name in (".new", "README", "db.service~"):
        (paths.grants / name).touch()
    assert files.grants() == {}


def test_up_files(files, paths):
    for unit in ("db.service", "a.target", "db.service"):
        files.mark_up(unit)
    assert files.up_units() == ("a.target", "db.service")
    assert (paths.up / "db.service").is_file()
    assert files.mark_down("db.service") is True
    assert files.mark_down("db.service") is False
    assert files.up_units() == ("a.target",)


def test_the_lease_is_one_file(files, paths):
    assert not files.has_lease
    files.write_lease()
    files.write_lease()
    assert files.has_lease
    assert paths.lease.is_file()
    assert files.remove_lease() is True
    assert files.remove_lease() is False
    assert not files.has_lease


def test_the_end_of_the_boot_is_remembered(files, paths):
    assert not files.is_booted
    files.mark_booted()
    assert GateFiles(paths).is_booted


def test_before_prepare_there_is_nothing_and_writing_says_so(paths):
    files = GateFiles(paths)
    assert (files.grants(), files.up_units(), files.has_lease) == ({}, (), False)
    with pytest.raises(
        StorageError, match=r"cannot write '.*grant/db\.service'|cannot write '.*env/db\.service'"
    ):
        files.write_grant(grant())


def test_prepare_keeps_what_is_there_and_removes_debris(files, paths):
    files.write_grant(grant())
    files.write_lease()
    (paths.grants / ".new").write_text("half")
    GateFiles(paths).prepare()
    assert files.grants() == {"db.service": grant()}
    assert files.has_lease
    assert not (paths.grants / ".new").exists()


# Files that somebody else writes


def test_what_the_agent_did_not_write_is_removed(files, paths):
    files.write_grant(grant())
    files.mark_up("web.service")
    assert files.mend() == ()
    (paths.grants / "web.service").write_text("epoch=1\ninstance=0\nincarnation=0f3c.0\n")
    (paths.up / "db.service").symlink_to("/nowhere")
    paths.lease.touch()
    told = files.mend()
    assert [text.partition("'")[2].partition("'")[0] for text in told] == [
        str(path) for path in (paths.grants / "web.service", paths.lease, paths.up / "db.service")
    ]
    assert all(text.endswith("was not written by the agent; removed") for text in told)
    assert list(files.grants()) == ["db.service"]
    assert files.up_units() == ("web.service",)
    assert not files.has_lease
    assert files.mend() == ()


def test_what_somebody_changed_is_written_again(files, paths):
    files.write_grant(grant())
    path = paths.grants / "db.service"
    path.write_text("epoch=18\n")
    (told,) = files.mend()
    assert told == f"'{path}' was changed by somebody; written again"
    assert files.grants() == {"db.service": grant()}
    path.unlink()
    path.symlink_to(paths.environments / "db.service")
    assert len(files.mend()) == 1
    assert files.grants() == {"db.service": grant()}


def test_the_files_of_an_earlier_agent_are_taken_over(files, paths):
    files.write_grant(grant())
    files.write_lease()
    files.mark_stop("web.service")
    later = GateFiles(paths)
    later.prepare()
    later.take_over()
    assert later.mend() == ()
    assert later.grants() == {"db.service": grant()}
    assert later.has_lease
    assert later.remove_grant("db.service")
    assert later.mend() == ()
