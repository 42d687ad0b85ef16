# SPDX-License-Identifier: LGPL-2.1-or-later
import pytest

from synod.base.errors import StorageError
from synod.systemd.generated import BACKSTOP, DROP_IN, BackstopChange, Check, Generated
from synod.systemd.paths import Paths

QUIET = Check(has_run=True, restored=(), ungated=(), needs_reload=False)


class Host:
    """A host on which the generator can be run, or not."""

    def __init__(self, root):
        self.paths = Paths(root=root)

    def generate(self, units, *, listed=None):
        self.break_generator()
        for unit, text in units.items():
            directory = self.paths.generator_output / f"{unit}.d"
            directory.mkdir()
            (directory / DROP_IN).write_text(text)
        names = units if listed is None else listed
        (self.paths.generator_output / "synod-units").write_text("".join(f"{name}\n" for name in names))

    def break_generator(self):
        """PID 1 empties the directory, and then nothing comes."""
        output = self.paths.generator_output
        for path in sorted(output.rglob("*"), reverse=True) if output.exists() else []:
            path.rmdir() if path.is_dir() else path.unlink()
        output.mkdir(parents=True, exist_ok=True)

    def loaded(self, unit):
        """Return what systemd would load: /run/systemd/system masks the generator's file."""
        for directory in (self.paths.runtime_units, self.paths.generator_output):
            path = directory / f"{unit}.d" / DROP_IN
            if path.exists():
                return path.read_text()
        return None


@pytest.fixture
def host(tmp_path):
    return Host(tmp_path)


@pytest.fixture
def generated(host):
    return Generated(host.paths)


def test_a_healthy_generator_changes_nothing(host, generated):
    host.generate({"db.service": "one", "web.service": "two"})
    assert generated.check() == QUIET
    assert generated.units() == ("db.service", "web.service")
    assert not host.paths.runtime_units.exists()


def test_drop_ins_that_vanished_are_put_back(host, generated):
    host.generate({"db.service": "one", "web.service": "two"})
    generated.check()
    host.break_generator()
    assert generated.units() is None
    assert generated.check() == Check(
        has_run=False, restored=("db.service", "web.service"), ungated=(), needs_reload=True
    )
    assert (host.loaded("db.service"), host.loaded("web.service")) == ("one", "two")


def test_the_reload_that_follows_a_repair_finds_nothing_to_do(host, generated):
    host.generate({"db.service": "one"})
    generated.check()
    host.break_generator()
    generated.check()
    assert generated.check() == Check(has_run=False, restored=(), ungated=(), needs_reload=False)


def test_a_repair_survives_a_restart_of_the_agent(host, generated):
    host.generate({"db.service": "one"})
    generated.check()
    host.break_generator()
    assert Generated(host.paths).check().restored == ("db.service",)


def test_a_repair_that_was_deleted_is_made_again(host, generated):
    host.generate({"db.service": "one"})
    generated.check()
    host.break_generator()
    generated.check()
    (host.paths.runtime_units / "db.service.d" / DROP_IN).unlink()
    assert generated.check().restored == ("db.service",)


@pytest.mark.parametrize(("text", "needs_reload"), [("one", False), ("newer", True)])
def test_a_repair_leaves_when_the_generator_is_back(host, generated, text, needs_reload):
    host.generate({"db.service": "one"})
    generated.check()
    host.break_generator()
    generated.check()
    host.generate({"db.service": text})
    assert host.loaded("db.service") == "one"  # masked until the copy is gone
    assert generated.check() == Check(has_run=True, restored=(), ungated=(), needs_reload=needs_reload)
    assert host.loaded("db.service") == text
    assert not (host.paths.runtime_units / "db.service.d").exists()


def test_changed_annotations_are_never_masked(host, generated):
    for text in ("one", "two", "three"):
        host.generate({"db.service": text})
        assert generated.check() == QUIET
        assert host.loaded("db.service") == text
    host.break_generator()
    generated.check()
    assert host.loaded("db.service") == "three"


def test_a_removed_annotation_is_forgotten(host, generated):
    host.generate({"db.service": "one", "web.service": "two"})
    generated.check()
    host.generate({"web.service": "two"})
    assert generated.check() == QUIET
    host.break_generator()
    assert generated.check().restored == ("web.service",)


def test_one_missing_or_empty_drop_in_is_put_back(host, generated):
    host.generate({"db.service": "one", "web.service": "two"})
    generated.check()
    host.generate({"web.service": ""}, listed=["db.service", "web.service"])
    assert generated.check() == Check(
        has_run=True, restored=("db.service", "web.service"), ungated=(), needs_reload=True
    )
    host.break_generator()
    assert generated.check() == Check(
        has_run=False, restored=(), ungated=(), needs_reload=False
    )  # still remembered


def test_a_unit_without_any_good_drop_in_is_named(host, generated):
    host.generate({}, listed=["db.service"])
    assert generated.check() == Check(has_run=True, restored=(), ungated=("db.service",), needs_reload=False)


def test_the_admin_s_other_drop_ins_stay(host, generated):
    other = host.paths.runtime_units / "db.service.d" / "override.conf"
    other.parent.mkdir(parents=True)
    other.write_text("mine")
    host.generate({"db.service": "one"})
    generated.check()
    host.break_generator()
    generated.check()
    host.generate({"db.service": "one"})
    generated.check()
    assert other.read_text() == "mine"


def test_problems_are_read(host, generated):
    assert generated.problems() == ()
    host.generate({})
    (host.paths.generator_output / "synod-problems").write_text(
        "/etc/a.conf:3: a.service: what?\n\n/etc/b.conf:1: b.service: no\n"
    )
    assert generated.problems() == ("/etc/a.conf:3: a.service: what?", "/etc/b.conf:1: b.service: no")


def test_lines_that_are_no_units_are_skipped(host, generated):
    host.generate({}, listed=["../../etc.service/x", "db", "", "web.service"])
    assert generated.units() == ("web.service",)


def test_backstops_follow_the_list(host, generated):
    assert generated.set_backstops(["web.service", "db.service"]) == BackstopChange(
        written=("db.service", "web.service"), removed=()
    )
    path = host.paths.local_units / "db.service.d" / BACKSTOP
    assert path.read_text().endswith("[Unit]\nConditionPathExists=/run/synod/grant/db.service\n")
    assert generated.set_backstops(["db.service"]) == BackstopChange(written=(), removed=("web.service",))
    assert not (host.paths.local_units / "web.service.d").exists()
    path.write_text("[Unit]\nConditionPathExists=\n")
    assert generated.set_backstops(["db.service"]) == BackstopChange(written=("db.service",), removed=())
    assert generated.backstops() == ("db.service",)


def test_a_backstop_sorts_before_the_generated_drop_in_and_after_an_override():
    assert sorted(["override.conf", DROP_IN, BACKSTOP]) == ["override.conf", BACKSTOP, DROP_IN]


def test_what_cannot_be_written_is_an_error(host, generated):
    host.paths.local_units.parent.mkdir(parents=True)
    host.paths.local_units.write_text("a file where a directory belongs")
    with pytest.raises(StorageError, match=r"cannot (list|write)"):
        generated.set_backstops(["db.service"])


def test_a_backstop_needs_a_unit_name(generated):
    with pytest.raises(ValueError, match="not a unit name"):
        generated.set_backstops(["../evil.service"])
