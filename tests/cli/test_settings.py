# SPDX-License-Identifier: LGPL-2.1-or-later
import json
from pathlib import Path

from cli_agent import Synodctl

from synod.config.schema import SETTINGS
from synod.config.settings import load_settings


def test_without_files_everything_is_default(root: Path, synodctl: Synodctl) -> None:
    lines = synodctl("cat-config").out.splitlines()
    for row in SETTINGS:
        assert lines[lines.index(f"{row.key}={row.default_text}") - 1] == "# default"
        assert f"[{row.section}]" in lines


def test_the_origin_of_a_value_is_named_and_the_output_reads_back(root: Path, synodctl: Synodctl) -> None:
    file = root / "etc/synod/synod.conf"
    file.parent.mkdir(parents=True)
    file.write_text("[Cluster]\nPort=9000\nPrt=1\n[Agent]\nLogLevel=debug\n")
    ran = synodctl("cat-config")
    assert f"# {file}:2\nPort=9000\n" in ran.out
    assert ran.err == f"{file}:3: [Cluster] has no setting 'Prt=', ignoring\n"
    before = load_settings(root).settings
    file.write_text(ran.out)
    assert load_settings(root).settings == before
    rows = {row["key"]: row for row in json.loads(synodctl("cat-config", "--json=short").out)}
    assert rows["Port"] == {"section": "Cluster", "key": "Port", "value": "9000", "origin": f"{file}:5"}
    assert rows["Port"].keys() == rows["LogLevel"].keys()


def test_a_bad_value_is_exit_6_with_its_place(root: Path, synodctl: Synodctl) -> None:
    file = root / "etc/synod/synod.conf"
    file.parent.mkdir(parents=True)
    file.write_text("[Cluster]\nPort=0\n")
    ran = synodctl("cat-config")
    assert (ran.status, ran.out) == (6, "")
    assert ran.err.startswith(f"synodctl: {file}:2: [Cluster] Port=: ")
