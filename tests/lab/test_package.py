# SPDX-License-Identifier: LGPL-2.1-or-later
import base64
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from synod.lab.cluster import Lab

pytestmark = [pytest.mark.system, pytest.mark.skipif(os.geteuid() != 0, reason="needs root")]

TOP = Path(__file__).parents[2]
PLACES = ("/usr/bin/synodctl", "/usr/lib/synod/synodd", "/usr/lib/synod/synod-wait",
          "/usr/lib/systemd/system-generators/synod-generator", "/usr/lib/systemd/system/synod.service",
          "/usr/lib/systemd/catalog/synod.catalog", "/usr/lib/tmpfiles.d/synod.conf",
          "/usr/share/dbus-1/system.d/org.synod1.conf", "/usr/share/bash-completion/completions/synodctl")

# What is tested is how the package treats the agent, not the agent.
STAND_IN = """[Unit]
ConditionPathExists=
[Service]
Type=exec
ExecStart=
ExecStart=sleep infinity
ExecStop=
WatchdogSec=0
"""


@pytest.fixture(scope="module")
def deb() -> Path:
    subprocess.run((TOP / "packaging/build-deb", TOP / "build"), check=True, timeout=300)
    (path,) = (TOP / "build").glob("synod_*_all.deb")
    return path


@pytest.fixture(scope="module", params=["bookworm", "trixie"])
def lab(request: pytest.FixtureRequest, deb: Path) -> Iterator[Lab]:
    with Lab("testpackage") as made:
        made.up(nodes=1, release=request.param, deb=deb)
        made.write("node1", "/etc/systemd/system/synod.service.d/stand-in.conf", STAND_IN)
        made.exec("node1", ("systemctl", "daemon-reload"))
        yield made


def shell(lab: Lab, script: str, *, check: bool = True) -> subprocess.CompletedProcess[str]:
    return lab.exec("node1", ("sh", "-c", script), check=check, timeout=120)


def test_the_same_sources_make_the_same_package_anywhere_and_only_once(tmp_path: Path) -> None:
    # On copies: the working tree may change at any moment.
    for name in ("pyproject.toml", "LICENSE", "src", "units", "generators", "man", "packaging"):
        for copy in ("one", "two"):
            (tmp_path / copy).mkdir(exist_ok=True)
            subprocess.run(("cp", "-R", TOP / name, tmp_path / copy), check=True, timeout=60)
    built = []
    for copy in ("one", "two", "one"):
        command = (tmp_path / copy / "packaging/build-deb", tmp_path / copy / "build")
        subprocess.run(command, check=True, timeout=300)
        (path,) = (tmp_path / copy / "build").glob("synod_*_all.deb")
        built.append((path.read_bytes(), path.stat().st_mtime_ns))
    assert built[0] == built[2]
    assert built[0][0] == built[1][0]


def test_lintian_finds_no_error(deb: Path) -> None:
    done = subprocess.run(("lintian", "--allow-root", "--fail-on=error", deb), text=True,
                          capture_output=True, check=False, timeout=300)
    assert done.returncode == 0, done.stdout


def test_files_are_in_their_conventional_places_and_the_node_is_healthy(lab: Lab) -> None:
    assert shell(lab, f"ls -d {' '.join(PLACES)}").stdout.split() == sorted(PLACES)
    assert lab.status("node1") == "running", shell(lab, "systemctl --failed").stdout
    modes = shell(lab, "stat -c '%n %a' /run/synod /run/synod/grant /run/synod/up /var/lib/synod").stdout
    assert modes == "/run/synod 755\n/run/synod/grant 755\n/run/synod/up 755\n/var/lib/synod 700\n"
    assert shell(lab, "systemctl is-enabled synod.service").stdout == "enabled\n"
    assert shell(lab, "dpkg --audit; dpkg --verify synod").stdout == ""


def test_grants_of_the_life_before_are_void_after_a_boot(lab: Lab) -> None:
    script = ("touch /run/synod/grant/a.service /run/synod/up/a.service /run/synod/lease; "
              "systemd-tmpfiles --create --remove --prefix=/run/synod; ls /run/synod/grant; echo --; "
              "systemd-tmpfiles --create --remove --boot --prefix=/run/synod; "
              "ls -A /run/synod/grant /run/synod/up; test ! -e /run/synod/lease")
    assert shell(lab, script).stdout == "a.service\n--\n/run/synod/grant:\n\n/run/synod/up:\n"


def test_only_root_may_own_the_name_on_the_bus(lab: Lab) -> None:
    request = ("dbus-send --system --print-reply --dest=org.freedesktop.DBus / "
               "org.freedesktop.DBus.RequestName string:org.synod1 uint32:4")
    done = shell(lab, f"setpriv --reuid=nobody {request}", check=False)
    assert (done.returncode, "AccessDenied" in done.stderr) == (1, True)


def test_bash_completes_what_the_program_knows(lab: Lab) -> None:
    script = (". /usr/share/bash-completion/completions/synodctl; "
              "COMP_LINE='synodctl lab ki' COMP_POINT=15; _synodctl; echo ${COMPREPLY[@]}")
    assert lab.exec("node1", ("bash", "-c", script)).stdout == "kill\n"


def test_an_upgrade_replaces_the_agent_and_touches_no_other_unit(lab: Lab, deb: Path) -> None:
    lab.write("node1", "/root/synod.b64", base64.b64encode(deb.read_bytes()).decode())
    lab.write("node1", "/etc/systemd/system/own.service", "[Service]\nExecStart=sleep infinity\n")
    shell(lab, "systemctl daemon-reload; systemctl start own.service synod.target synod.service")
    show = "systemctl show -P InvocationID own.service synod.target; systemctl show -P MainPID synod.service"
    *units, agent = shell(lab, show).stdout.split()
    shell(lab, "base64 -d /root/synod.b64 >/root/synod.deb && dpkg -i /root/synod.deb")
    *units_after, agent_after = shell(lab, show).stdout.split()
    assert units_after == units
    assert agent_after != agent


@pytest.mark.parametrize(("obstacle", "complaint"), [
    ("/run/synod/grant/db.service", "synod: not removed: this node still holds the grant of 'db.service'"),
    ("/etc/systemd/system/db.service.d/zzzz-synod-backstop.conf",
     "synod: not removed: the unit of '/etc/systemd/system/db.service.d/zzzz-synod-backstop.conf'"),
])
def test_removal_is_refused_while_the_node_answers_for_units(lab: Lab, obstacle: str,
                                                             complaint: str) -> None:
    lab.write("node1", obstacle, "")
    shell(lab, "systemctl start synod.service")
    done = shell(lab, "apt-get remove --yes synod", check=False)
    shell(lab, f"rm {obstacle}")
    assert done.returncode != 0
    assert complaint in done.stderr + done.stdout
    assert shell(lab, "dpkg-query -f '${db:Status-Status}' -W synod").stdout == "installed"
    assert shell(lab, "systemctl is-active synod.service").stdout == "active\n"


def test_removal_leaves_the_cluster_first(lab: Lab) -> None:
    # No agent answers here, so leaving fails, and so does the removal.
    lab.write("node1", "/etc/synod/member", "")
    done = shell(lab, "apt-get remove --yes synod", check=False)
    shell(lab, "rm /etc/synod/member")
    assert done.returncode != 0
    assert "synod: not removed: this node cannot leave its cluster" in done.stderr + done.stdout


def test_removal_is_refused_while_the_fuse_is_armed(lab: Lab) -> None:
    lab.write("node1", "/run/systemd/system/synod-fuse.service.d/long.conf", "[Service]\nWatchdogSec=1h\n")
    shell(lab, "systemctl daemon-reload; systemctl start synod-fuse.service")
    done = shell(lab, "apt-get remove --yes synod", check=False)
    shell(lab, "systemctl stop synod-fuse.service")
    assert done.returncode != 0
    assert "synod: not removed: the fuse of this node is armed" in done.stderr + done.stdout


def test_removal_stops_the_agent_and_purge_forgets_everything(lab: Lab) -> None:
    shell(lab, "touch /var/lib/synod/something; apt-get remove --yes synod")
    assert shell(lab, "systemctl is-active synod.service", check=False).stdout == "inactive\n"
    left = shell(lab, "ls /var/lib/synod; ls -d /usr/lib/synod /usr/bin/synodctl", check=False)
    assert left.stdout == "something\n"
    shell(lab, "apt-get purge --yes synod; ! ls -d /var/lib/synod /run/synod")
    assert lab.status("node1") == "running"
