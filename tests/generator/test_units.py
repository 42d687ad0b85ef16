# SPDX-License-Identifier: LGPL-2.1-or-later
"""units/: what keeps the races of the design away, and that systemd takes them without a word."""

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from synod.base.usec import parse_span
from synod.config.ini import parse
from synod.config.load import LoadedUnit, parse_unit
from synod.config.specifiers import Host
from synod.engine.lease import LeaseTiming

ROOT = Path(__file__).resolve().parents[2]
UNITS = ROOT / "units"
NAMES = sorted(path.name for path in UNITS.iterdir())
WAITERS = ("synod-await@.service", "synod-gate@.service", "synod-hold@.service")
HOST = Host()
INSTANCES = ("db.service", "a@b.service", "foo\\x2dbar.mount")


def load(name: str) -> LoadedUnit:
    return parse_unit(UNITS / name, [], unit=name.replace("@.", "@x.service.") if "@." in name else name)


def ordered_after(unit: LoadedUnit) -> set[str]:
    return {name for name, _, _ in unit.names("Unit", "After", HOST)}


def test_the_set_is_complete():
    assert NAMES == [
        "synod-address@.service",
        "synod-await@.service",
        "synod-bound@.target",
        "synod-drain.service",
        "synod-fuse.service",
        "synod-gate@.service",
        "synod-hold@.service",
        "synod-mirror@.target",
        "synod.service",
        "synod.target",
    ]


@pytest.mark.parametrize("name", NAMES)
def test_every_unit(name):
    file = parse((UNITS / name).read_bytes(), name)
    assert not file.problems
    unit = load(name)
    # An address is an ordinary unit of the administrator's: isolate may stop it.
    assert unit.is_true("Unit", "IgnoreOnIsolate") is not name.startswith("synod-address@")
    assert unit.value("Unit", "Description")
    assert all(word.startswith("man:") for word in unit.value("Unit", "Documentation").split())


@pytest.mark.parametrize("name", [*WAITERS, "synod.service", "synod-fuse.service"])
def test_no_start_limit(name):
    """Race 8; and of the fuse: a refused renewal would switch it off."""
    assert load(name).value("Unit", "StartLimitIntervalSec") == "0"


def test_only_the_anchor_is_ordered_against_the_agent():
    """Race 6: the agent's start would wait behind a hold that waits for the agent."""
    for name in NAMES:
        expected = name == "synod.target"
        assert ("synod.service" in ordered_after(load(name))) == expected, name


def test_the_agent_does_not_pull_in_what_pulls_it_in():
    """PID 1 would keep a start job of a failing agent queued for ever."""
    unit = load("synod.service")
    wanted = {
        n for key in ("Wants", "Requires", "BindsTo", "Upholds") for n, _, _ in unit.names("Unit", key, HOST)
    }
    assert not {name for name in wanted if name.startswith("synod")}


@pytest.mark.parametrize("name", ["synod-await@.service", "synod-gate@.service"])
def test_waiters_pull_the_agent_in_by_name(name):
    assert "synod.service" in {wanted for wanted, _, _ in load(name).names("Unit", "Wants", HOST)}


def test_the_agent_outlives_the_network_on_the_way_down():
    """Race 7."""
    assert {
        "dbus.service", "dbus.socket", "network.target", "systemd-networkd.service", "nftables.service",
        "systemd-logind.service",
    } <= ordered_after(load("synod.service"))  # fmt: skip


def test_a_hold_is_part_of_its_unit_and_not_bound_to_it():
    """Race 4."""
    hold = load("synod-hold@.service")
    assert hold.value("Unit", "PartOf") == "%i"
    assert hold.last("Unit", "BindsTo") is None
    assert "x.service" in ordered_after(hold)
    assert "synod-drain.service" in {name for name, _, _ in hold.names("Unit", "Before", HOST)}


def test_mirrors_are_not_ordered_after_gates():
    for name in ("synod-mirror@.target", "synod-bound@.target"):
        assert not any("gate" in other for other in ordered_after(load(name)))


@pytest.mark.parametrize("name", ["synod-await@.service", "synod-gate@.service"])
def test_waits_end(name):
    assert 90 < int(load(name).value("Service", "TimeoutStartSec")) < 1000


@pytest.mark.parametrize("name", ["synod-await@.service", "synod-gate@.service"])
def test_a_killed_wait_is_no_success(name):
    unit = load(name)
    assert unit.value("Service", "SuccessExitStatus") == unit.value("Service", "KillSignal") == "SIGUSR1"


def test_the_agent_never_resets_the_node_and_is_always_up_again():
    unit = load("synod.service")
    assert unit.value("Service", "Restart") == "always"
    for section, key in (("Unit", "FailureAction"), ("Unit", "StartLimitAction"), ("Unit", "SuccessAction")):
        assert unit.last(section, key) is None
    assert unit.value("Service", "WatchdogSec") == "10"


def test_grants_survive_a_stop_of_the_agent():
    unit = load("synod.service")
    assert unit.value("Service", "RuntimeDirectory") == "synod"
    assert unit.is_true("Service", "RuntimeDirectoryPreserve")


def test_the_fuse_needs_nobody():
    unit = load("synod-fuse.service")
    assert unit.value("Unit", "FailureAction") == "reboot-immediate"
    assert unit.value("Unit", "DefaultDependencies") == "no"
    assert not [header for header in unit.fragment.headers if header.name == "Install"]
    for key in ("After", "Requires", "Wants", "Conflicts", "PartOf"):
        assert unit.last("Unit", key) is None


def test_the_fuse_ends_before_the_lease():
    """It is fed at the answer, and the lease counts from the request."""
    timing = LeaseTiming()
    watchdog = parse_span(load("synod-fuse.service").value("Service", "WatchdogSec"))
    assert watchdog + timing.answer <= timing.lease


def test_only_the_watchdog_means_that_the_lease_ran_out():
    unit = load("synod-fuse.service")
    assert unit.value("Service", "Restart") == "always"
    assert {"SIGKILL", "SIGTERM"} <= set(unit.value("Service", "SuccessExitStatus").split())


@pytest.fixture
def installed(tmp_path):
    """The units in a search path of their own, with programs that exist."""
    place = tmp_path / "units"
    place.mkdir()
    for name in NAMES:
        text = re.sub(r"/usr/lib/synod/synod[a-z-]*", "/bin/true", (UNITS / name).read_text())
        (place / name).write_text(text)
    return place


def analyze(place, verb, *arguments):
    environment = {**os.environ, "SYSTEMD_UNIT_PATH": f"{place}:/usr/lib/systemd/system"}
    command = ["systemd-analyze", verb, *arguments]
    return subprocess.run(
        command, env=environment, capture_output=True, text=True, check=False, timeout=120, cwd=place
    )


needs_systemd = pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="needs systemd-analyze")


@needs_systemd
def test_systemd_verifies_the_set(installed):
    plain = [name for name in NAMES if "@." not in name]
    instances = [name.replace("@.", f"@{unit}.") for name in NAMES if "@." in name for unit in INSTANCES]
    # Each unit that a hold is part of must exist to be verified.
    for unit in INSTANCES:
        text = (
            "[Mount]\nWhat=/x\nWhere=/foo-bar\n"
            if unit.endswith(".mount")
            else "[Service]\nExecStart=/bin/true\n"
        )
        (installed / unit).write_text(text)
    done = analyze(installed, "verify", "--man=no", *plain, *instances)
    assert (done.returncode, done.stderr) == (0, "")


@needs_systemd
def test_systemd_verifies_annotated_units_with_their_dropins(installed, tmp_path):
    root, output = tmp_path / "root", tmp_path / "out"
    units = root / "etc/systemd/system"
    units.mkdir(parents=True)
    output.mkdir()
    (root / "etc/synod").mkdir()
    (root / "etc/synod/member").write_text("x\n")
    service = "[Service]\nExecStart=/bin/true\n"
    (units / "db.service").write_text(f"[X-Synod]\nBefore=web.service\n{service}")
    (units / "web.service").write_text(f"[X-Synod]\nRequires=db.service\nAfter=db.service\n{service}")
    (units / "app.service").write_text(f"[X-Synod]\nBindsTo=db.service\nAfter=db.service\n{service}")
    (units / "shop@.service").write_text(f"[X-Synod]\nWants=db@%i.service\nAfter=db@%i.service\n{service}")
    (units / "shop@.timer").write_text("[Timer]\nOnCalendar=daily\n")
    (units / "stack.target").write_text("[X-Synod]\nRequires=web.service app.service\n")
    command = ["/usr/bin/python3", "-ISE", str(ROOT / "generators/synod-generator"), str(output)]
    subprocess.run(command, env={"SYNOD_ROOT": str(root)}, check=True, timeout=30)
    shutil.copytree(units, installed, dirs_exist_ok=True)
    shutil.copytree(output, installed, dirs_exist_ok=True)
    names = [
        "db.service",
        "web.service",
        "app.service",
        "shop@one.service",
        "shop@one.timer",
        "stack.target",
    ]
    done = analyze(installed, "verify", "--man=no", *names)
    assert (done.returncode, done.stderr) == (0, "")


@needs_systemd
def test_the_agent_is_confined(installed):
    done = analyze(installed, "security", "--offline=yes", "--threshold=35", "--no-pager", "synod.service")
    assert done.returncode == 0, done.stdout[-400:]
