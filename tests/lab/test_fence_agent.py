# SPDX-License-Identifier: LGPL-2.1-or-later
"""fence_synod_lab as a fence agent, against a scripted switch."""

import socket
import subprocess
import threading
import xml.etree.ElementTree as ElementTree
from collections.abc import Iterator
from pathlib import Path

import pytest

PROGRAM = Path(__file__).parents[2] / "packaging/tree/usr/sbin/fence_synod_lab"
SECRET = "0123456789abcdef"


class ScriptedSwitch:
    """Answers one client after the other with the same bytes; none means that it hangs up."""

    def __init__(self, reply: bytes) -> None:
        self.asked: list[str] = []
        self._reply = reply
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = str(self._listener.getsockname()[1])
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def _serve(self) -> None:
        while True:
            try:
                connection = self._listener.accept()[0]
            except OSError:
                return
            with connection:
                connection.settimeout(10)
                self.asked.append(connection.makefile().readline().strip())
                connection.sendall(self._reply)

    def close(self) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._thread.join(10)


def run(*arguments: str, stdin: str = "") -> subprocess.CompletedProcess[str]:
    argv = ("/usr/bin/python3", "-ISE", PROGRAM, *arguments)
    return subprocess.run(argv, input=stdin, capture_output=True, text=True, timeout=30, check=False)


@pytest.fixture
def switch(request: pytest.FixtureRequest) -> Iterator[ScriptedSwitch]:
    made = ScriptedSwitch(request.param)
    yield made
    made.close()


def replies(*texts: bytes) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("switch", texts, indirect=True)


def told(switch: ScriptedSwitch, action: str, **options: str) -> str:
    named = {"ip": "127.0.0.1", "ipport": switch.port, "password": SECRET, "plug": "node2"} | options
    return "".join(f"{key}={value}\n" for key, value in (("action", action), *named.items()))


@replies(b"ok off\n")
def test_both_ways_of_calling_are_the_same(switch):
    by_input = run(stdin="# comment\n\n" + told(switch, "off", nodename="node2"))
    place = ("-a", "127.0.0.1", "-u", switch.port)
    by_letters = run("-o", "off", *place, "-p", SECRET, "-n", "node2")
    by_words = run("--action=off", "--ip=127.0.0.1", f"--ipport={switch.port}", f"--password={SECRET}",
                   "--plug=node2")  # fmt: skip
    for done in (by_input, by_letters, by_words):
        assert (done.returncode, done.stdout, done.stderr) == (0, "Success: Powered OFF\n", "")
    assert switch.asked == [f"{SECRET} off node2"] * 3


@replies(b"ok off\n")
def test_older_names_of_options(switch):
    text = (
        told(switch, "OFF")
        .replace("plug=", "port=")
        .replace("password=", "passwd=")
        .replace("ip=", "ipaddr=")
    )
    assert run(stdin=text).returncode == 0
    assert switch.asked == [f"{SECRET} off node2"]


@pytest.mark.parametrize(
    ("switch", "status", "output"), [(b"ok on\n", 0, "Status: ON\n"), (b"ok off\n", 2, "Status: OFF\n")],
    indirect=["switch"],
)  # fmt: skip
def test_status(switch, status, output):
    done = run(stdin=told(switch, "status"))
    assert (done.returncode, done.stdout, done.stderr) == (status, output, "")


@pytest.mark.parametrize("action", ["off", "on", "reboot", "status", "monitor", "list"])
@replies(b"error the switch is out of order\n")
def test_a_refusal_is_a_failure(switch, action):
    done = run(stdin=told(switch, action))
    assert (done.returncode, done.stdout, done.stderr) == (1, "", "the switch is out of order\n")


@pytest.mark.parametrize("action", ["off", "status"])
@replies(b"", b"\n", b"okay\n", b"\xff\xfe\n")
def test_no_answer_is_a_failure(switch, action):
    done = run(stdin=told(switch, action))
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.strip()


@replies(b"ok off\n")
def test_a_switch_that_is_gone_is_named(switch):
    text = told(switch, "status", ipport="1")
    done = run(stdin=text)
    assert done.returncode == 1
    assert done.stderr == "the switch at 127.0.0.1 port 1 cannot be reached: Connection refused\n"


def test_a_switch_that_hangs_is_left():
    with socket.create_server(("127.0.0.1", 0)) as mute:
        port = str(mute.getsockname()[1])
        done = run("-o", "off", "-n", "node1", "-a", "127.0.0.1", "-u", port, "-p", SECRET, "-t", "1")
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == f"the switch at 127.0.0.1 port {port} does not answer within 1 s\n"


@replies(b"ok node1,on node2,off\n")
def test_lists(switch):
    assert run(stdin=told(switch, "list")).stdout == "node1,node1\nnode2,node2\n"
    assert run(stdin=told(switch, "list-status")).stdout == "node1,node1,ON\nnode2,node2,OFF\n"


@pytest.mark.parametrize(
    "arguments",
    [
        ("-o", "status", "--nope"),
        ("-o",),
        ("-o", "explode"),
        ("-o", "status", "-p", SECRET),
        ("-o", "status", "-n", "node1"),
        ("-o", "status", "-n", "node1 x", "-p", SECRET),
        ("-o", "status", "-n", "node1", "-p", SECRET, "-u", "seventy"),
        ("-o", "status", "-n", "node1", "-p", SECRET, "-t", "0"),
        ("-o", "status", "-n", "node1", "-p", SECRET, "-u", "65536"),
    ],
)
def test_a_mistake_never_looks_like_off(arguments):
    done = run(*arguments)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.count("\n") == 1


def test_metadata_is_that_of_a_fence_agent():
    for done in (run("-o", "metadata"), run(stdin="action=metadata\n")):
        assert done.returncode == 0
        root = ElementTree.fromstring(done.stdout)
        assert (root.tag, root.get("name")) == ("resource-agent", "fence_synod_lab")
        names = [parameter.get("name") for parameter in root.iter("parameter")]
        assert names == ["action", "ip", "ipport", "password", "plug", "timeout"]
        actions = [action.get("name") for action in root.iter("action")]
        assert {"off", "on", "reboot", "status", "monitor", "list", "metadata"} <= set(actions)
