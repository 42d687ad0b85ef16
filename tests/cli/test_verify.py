# SPDX-License-Identifier: LGPL-2.1-or-later
import json
from pathlib import Path

from cli_agent import Synodctl


def write(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


SERVICE = "[Service]\nType=notify\nExecStart=/bin/db\n"


def test_nothing_to_say_is_silence_and_0(root: Path, synodctl: Synodctl) -> None:
    write(root / "etc/systemd/system/db.service", f"{SERVICE}[X-Synod]\n")
    ran = synodctl("verify")
    assert (ran.status, ran.out, ran.err) == (0, "", "")
    assert synodctl("verify", "--json=short").out == "[]\n"


def test_an_error_is_exit_1_and_one_line_with_its_place(root: Path, synodctl: Synodctl) -> None:
    file = write(root / "etc/systemd/system/db.service", f"{SERVICE}[X-Synod]\nInstances=0\n")
    ran = synodctl("verify")
    assert ran.status == 1
    assert ran.out == (
        f"{file}:5: error: bad-value: db.service: Instances=0: write a number from 1 to 1024, or all\n"
    )


def test_a_warning_is_exit_0(root: Path, synodctl: Synodctl) -> None:
    file = write(root / "etc/systemd/system/db.service", f"{SERVICE}[X-Synod]\nInstance=1\n")
    ran = synodctl("verify")
    assert ran.status == 0
    assert ran.out.startswith(f"{file}:5: warning: unknown-key: db.service: ")


def test_files_are_checked_alone(root: Path, synodctl: Synodctl, tmp_path: Path) -> None:
    write(root / "etc/systemd/system/bad.service", f"{SERVICE}[X-Synod]\nInstances=0\n")
    draft = write(tmp_path / "draft/db.service", f"{SERVICE}[X-Synod]\nPartOf=x.service\n")
    ran = synodctl("verify", str(draft))
    assert ran.status == 1
    assert ran.out.startswith(f"{draft}:5: error: unsupported-key: db.service: ")
    assert ran.out.count("\n") == 1


def test_a_missing_file_is_a_finding(root: Path, synodctl: Synodctl) -> None:
    ran = synodctl("verify", "/nowhere/db.service")
    assert (ran.status, ran.out) == (1, "/nowhere/db.service: error: unreadable: no such file\n")


def test_json(root: Path, synodctl: Synodctl) -> None:
    file = write(root / "etc/systemd/system/db.service", f"{SERVICE}[X-Synod]\nInstances=0\n")
    ran = synodctl("verify", "--json=pretty")
    assert ran.status == 1
    assert json.loads(ran.out) == [{
        "code": "bad-value", "severity": "error", "file": str(file), "line": 5, "unit": "db.service",
        "message": "Instances=0: write a number from 1 to 1024, or all", "hint": ""}]  # fmt: skip


def test_the_whole_machine_can_be_checked(synodctl: Synodctl, root: Path) -> None:
    """Whatever units this machine has, none makes a traceback; SYNOD_ROOT is only for the agent's socket."""
    for directory in ("etc/systemd/system", "usr/lib/systemd/system"):
        real = Path("/") / directory
        if real.is_dir():
            (root / directory).parent.mkdir(parents=True, exist_ok=True)
            (root / directory).symlink_to(real)
    assert synodctl("verify").status in (0, 1)
