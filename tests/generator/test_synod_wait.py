# SPDX-License-Identifier: LGPL-2.1-or-later
"""generators/synod-wait: the protocol of its docstring, against scripted agents on a real socket."""

import contextlib
import socket
import subprocess
import sys
import threading
from importlib.machinery import SourceFileLoader
from importlib.util import module_from_spec, spec_from_loader
from pathlib import Path

import pytest

WAIT = Path(__file__).resolve().parents[2] / "generators/synod-wait"


class ScriptedAgent:
    """Answers one connection after the other with given bytes; an empty script hangs up without a word."""

    def __init__(self, root: Path, *scripts: bytes) -> None:
        self.questions: list[bytes] = []
        (root / "run/synod").mkdir(parents=True, exist_ok=True)
        self._listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._listener.settimeout(20)
        self._listener.bind(str(root / "run/synod/agent.sock"))
        self._listener.listen(8)
        self._thread = threading.Thread(target=self._serve, args=(scripts,), daemon=True)
        self._thread.start()

    def _serve(self, scripts: tuple[bytes, ...]) -> None:
        for script in scripts:
            stream, _ = self._listener.accept()
            with stream, contextlib.suppress(OSError):
                self.questions.append(stream.makefile("rb").readline())
                stream.sendall(script)
        self._listener.close()

    def join(self) -> None:
        self._thread.join(20)
        assert not self._thread.is_alive()


def run(root, *arguments, **environment):
    command = ["/usr/bin/python3", "-ISE", str(WAIT), *arguments]
    environment = {"SYNOD_ROOT": str(root), **environment}
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=False, timeout=30)


@pytest.mark.parametrize("verb", ["place", "want", "release"])
def test_the_question_and_the_verdict(tmp_path, verb):
    agent = ScriptedAgent(tmp_path, b"exit 0 \n")
    done = run(tmp_path, verb, "db\\x2d1@a.service")
    agent.join()
    assert agent.questions == [f"{verb} db\\x2d1@a.service\n".encode()]
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


@pytest.mark.parametrize("verb", ["drain", "unmanaged"])
def test_verbs_without_a_unit(tmp_path, verb):
    agent = ScriptedAgent(tmp_path, b"exit 0 done\n")
    done = run(tmp_path, verb, MAINPID="1")
    agent.join()
    assert agent.questions == [f"{verb}\n".encode()]
    assert (done.returncode, done.stdout) == (0, "done\n")


def test_the_reason_is_printed_and_the_status_passed_on(tmp_path):
    agent = ScriptedAgent(tmp_path, "exit 7 no node may run it: \u00e4\n".encode())
    done = run(tmp_path, "place", "db.service")
    agent.join()
    assert (done.returncode, done.stdout) == (7, "no node may run it: \u00e4\n")


def test_lines_in_pieces_and_in_one(tmp_path):
    agent = ScriptedAgent(tmp_path, b"status a\nstatus b\nextend 5\nexit 3\n")
    assert run(tmp_path, "want", "db.service").returncode == 3
    agent.join()


@pytest.mark.parametrize(
    "script",
    [
        b"",
        b"status waiting\n",
        b"exit",
        b"nonsense\n",
        b"exit 256\n",
        b"exit x\n",
        b"extend -1\n",
        b"x" * 9000,
    ],
)
def test_any_failure_asks_again(tmp_path, script):
    agent = ScriptedAgent(tmp_path, script, b"exit 0\n")
    assert run(tmp_path, "want", "db.service").returncode == 0
    agent.join()
    assert agent.questions == [b"want db.service\n"] * 2


@pytest.mark.parametrize("is_abstract", [False, True])
def test_status_and_time_go_to_systemd(tmp_path, is_abstract):
    agent = ScriptedAgent(tmp_path, b"status waiting for db\nextend 5000000\nexit 0\n")
    address = f"@synod-test-{tmp_path.name}-{id(agent)}" if is_abstract else str(tmp_path / "notify")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as systemd:
        systemd.settimeout(20)
        systemd.bind(address.replace("@", "\0", 1) if is_abstract else address)
        assert run(tmp_path, "want", "db.service", NOTIFY_SOCKET=address).returncode == 0
        agent.join()
        assert [systemd.recv(4096), systemd.recv(4096)] == [
            b"STATUS=waiting for db",
            b"EXTEND_TIMEOUT_USEC=5000000",
        ]


def test_a_deaf_systemd_does_not_end_the_wait(tmp_path):
    agent = ScriptedAgent(tmp_path, b"status x\nexit 0\n")
    assert run(tmp_path, "want", "db.service", NOTIFY_SOCKET=str(tmp_path / "gone")).returncode == 0
    agent.join()


def test_the_agent_that_is_gone_needs_not_be_told(tmp_path):
    assert run(tmp_path, "unmanaged").returncode == 0


@pytest.mark.parametrize(
    "arguments",
    [[], ["place"], ["place", "a", "b"], ["drain", "x"], ["stop", "a.service"], ["want", "a\nb"]],
)
def test_usage(tmp_path, arguments):
    done = run(tmp_path, *arguments)
    assert done.returncode == 2
    assert done.stderr.startswith("usage: synod-wait")


# Without an agent: time is the test's.


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def monotonic(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds


@pytest.fixture
def wait(monkeypatch):
    loader = SourceFileLoader("synod_wait", str(WAIT))
    module = module_from_spec(spec_from_loader("synod_wait", loader))
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    loader.exec_module(module)
    clock = Clock()
    monkeypatch.setattr(module, "monotonic", clock.monotonic)
    monkeypatch.setattr(module, "sleep", clock.sleep)
    module.clock = clock
    return module


def alone(wait, root, verb, unit="db.service"):
    environment = {b"SYNOD_ROOT": str(root).encode(), b"MAINPID": b"1"}
    arguments = ["synod-wait", verb, *([unit] if verb in wait.WITH_UNIT else [])]
    status = wait.main(arguments, environment)
    return status, wait.clock.now - 1000


@pytest.mark.parametrize("verb", ["place", "want"])
def test_a_missing_agent_does_not_hold_up_the_boot(wait, tmp_path, verb, capsys):
    status, elapsed = alone(wait, tmp_path, verb)
    assert status == 0
    assert 5 <= elapsed <= 5.2
    assert "db.service" in capsys.readouterr().out


@pytest.mark.parametrize(("verb", "limit"), [("release", 60), ("drain", 120), ("unmanaged", 20)])
def test_stops_give_up_before_systemd_does_and_say_so(wait, tmp_path, verb, limit, capsys):
    status, elapsed = alone(wait, tmp_path, verb)
    assert status == 1
    assert limit / 3 < elapsed < limit
    assert capsys.readouterr().out.startswith("no agent answers: ")


@pytest.mark.parametrize("verb", ["place", "want"])
def test_after_the_boot_it_waits_for_the_agent(wait, tmp_path, verb, monkeypatch):
    (tmp_path / "run/synod").mkdir(parents=True)
    (tmp_path / "run/synod/booted").write_text("")
    agents = []

    def sleep(seconds):
        wait.clock.now += seconds
        if wait.clock.now > 1000 + 300 and not agents:
            agents.append(ScriptedAgent(tmp_path, b"exit 4\n"))

    monkeypatch.setattr(wait, "sleep", sleep)
    status, elapsed = alone(wait, tmp_path, verb)
    assert status == 4
    assert elapsed > 300
    agents[0].join()


def test_an_agent_that_answered_once_gives_new_time(wait, tmp_path):
    """The silence counts from the last line of an agent, not from the start."""
    agent = ScriptedAgent(tmp_path, b"status a\n")
    status, elapsed = alone(wait, tmp_path, "release")
    agent.join()
    assert status == 1
    assert elapsed >= 55


def test_deadlines_are_below_those_of_the_units(wait):
    units = WAIT.parents[1] / "units"
    for verb, unit in (
        ("release", "synod-hold@.service"),
        ("drain", "synod-drain.service"),
        ("unmanaged", "synod.service"),
    ):
        line = next(
            line for line in (units / unit).read_text().splitlines() if line.startswith("TimeoutStopSec=")
        )
        assert wait.DEADLINES_SEC[verb] < int(line.partition("=")[2])
