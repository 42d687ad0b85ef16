# SPDX-License-Identifier: LGPL-2.1-or-later
import os
import subprocess
import sys

import pytest

from synod.lab import remains

pytestmark = [pytest.mark.system, pytest.mark.skipif(os.geteuid() != 0, reason="needs root")]

NAME = "testcommand"


def synodctl_lab(*arguments: str, stdin: str = "") -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), "SYNOD_LAB": NAME}
    command = (sys.executable, "-c", "from synod.cli.lab import lab; lab()", *arguments)
    return subprocess.run(command, env=environment, input=stdin, text=True, capture_output=True, timeout=60,
                          check=False, cwd="/")


def test_a_session_at_the_command_line() -> None:
    try:
        made = synodctl_lab("up", "--nodes", "2")
        assert made.stdout == "node1\t10.77.0.1\trunning\nnode2\t10.77.0.2\trunning\n"
        assert "the nodes run without it; see --deb" in made.stderr
        inside = synodctl_lab("exec", "node2", "--", "sh", "-c", "cat; hostname; exit 7", stdin="typed\n")
        assert (inside.stdout, inside.returncode) == ("typed\nnode2\n", 7)
        assert synodctl_lab("cut", "node1", "outside", "--one-way").returncode == 0
        assert synodctl_lab("exec", "node1", "ping", "-c1", "-W1", "outside").returncode == 1
        assert synodctl_lab("heal").returncode == 0
        assert synodctl_lab("exec", "node1", "ping", "-c1", "-W1", "outside").returncode == 0
        assert synodctl_lab("kill", "node1", "node2").returncode == 0
        assert synodctl_lab("boot", "node2").returncode == 0
        listed = [line.split("\t") for line in synodctl_lab("list").stdout.splitlines()]
        assert [fields[1:] for fields in listed if fields[0] == NAME] == [
            ["node1", "10.77.0.1", "off"], ["node2", "10.77.0.2", "running"]]
    finally:
        assert synodctl_lab("down").returncode == 0
    assert NAME not in remains.labs()
