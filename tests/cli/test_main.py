# SPDX-License-Identifier: LGPL-2.1-or-later
import os
import pty
import signal
import socket
import subprocess
import sys
import threading
from pathlib import Path

import click
import pytest
from cli_agent import ScriptedAgent, Synodctl, final

from synod import __version__
from synod.base.exits import ExitStatus
from synod.cli import main
from synod.cli.main import GROUPS, LATER, run
from synod.cli.main import synodctl as verbs

CHANGES = {
    ("start", "db"): ("start", {"unit": "db.service", "wait": False}),
    ("start", "db.service", "--wait"): ("start", {"unit": "db.service", "wait": True}),
    ("stop", "a@b.socket"): ("stop", {"unit": "a@b.socket", "wait": False}),
    ("stop", "--wait", "db"): ("stop", {"unit": "db.service", "wait": True}),
    ("restart", "db"): ("restart", {"unit": "db.service"}),
    ("restart", "db", "--wait"): ("restart", {"unit": "db.service"}),
    ("move", "db", "node2"): ("move", {"unit": "db.service", "node": "node2"}),
    ("adopt", "db", "--from", "node2"): ("adopt", {"unit": "db.service", "node": "node2"}),
    ("drain", "node2"): ("drain", {"node": "node2"}),
    ("undrain", "node2"): ("undrain", {"node": "node2"}),
    ("confirm-off", "node2", "--yes"): ("confirm-off", {"node": "node2"}),
    ("remove", "node2"): ("remove", {"node": "node2"}),
    ("set-attribute", "node2", "rack", "r1"): (
        "set-attribute", {"node": "node2", "name": "rack", "value": "r1"}),
    ("set-attribute", "node2", "rack", ""): (
        "set-attribute", {"node": "node2", "name": "rack", "value": ""}),
    ("leave",): ("leave", {}),
    ("token",): ("token", {}),
    ("init", "--name", "demo"): ("init", {"cluster": "demo", "address": None, "port": None}),
    ("init", "--name=demo", "--address=[fd00::1]:99"): (
        "init", {"cluster": "demo", "address": "fd00::1", "port": 99}),
    ("join", "node1", "--token", "T"): (
        "join", {"address": "node1", "port": None, "token": "T", "role": "automatic", "own_address": None}),
    ("join", "node1:99", "--token", "T", "--role=witness", "--address=192.0.2.7"): ("join", {
        "address": "node1", "port": 99, "token": "T", "role": "witness", "own_address": "192.0.2.7"}),
}  # fmt: skip
QUERIES = {
    ("list-units",): ("list-units", {}, []),
    ("list-nodes",): ("list-nodes", {}, []),
    ("status",): ("status", {}, {"member": True, "quorate": True, "nodes": [], "units": [], "alarms": []}),
    ("show", "db"): ("show", {"unit": "db.service"}, {}),
    ("get-attribute", "n"): ("list-nodes", {}, [{"name": "n", "attributes": {"rack": "r1"}}]),
    ("why", "db"): ("why", {"unit": "db.service"}, {"text": "because", "nodes": {}}),
}


@pytest.mark.parametrize("words", CHANGES, ids=" ".join)
def test_every_change_asks_for_it_and_ends_with_0(
    agent: ScriptedAgent, synodctl: Synodctl, words: tuple[str, ...]
) -> None:
    agent.answers(final(data={}))
    assert synodctl(*words).status == 0
    method, params = CHANGES[words]
    assert agent.heard == [{"method": method, "params": params}]


@pytest.mark.parametrize("words", QUERIES, ids=" ".join)
def test_every_query_asks_for_it_and_ends_with_0(
    agent: ScriptedAgent, synodctl: Synodctl, words: tuple[str, ...]
) -> None:
    method, params, data = QUERIES[words]
    agent.answers(final(data=data))
    ran = synodctl(*words)
    assert (ran.status, ran.err) == (0, "")
    assert agent.heard == [{"method": method, "params": params}]


@pytest.mark.parametrize("words", [*CHANGES, *QUERIES], ids=" ".join)
def test_every_verb_passes_a_refusal_on(
    agent: ScriptedAgent, synodctl: Synodctl, words: tuple[str, ...]
) -> None:
    agent.answers(final(ExitStatus.NOT_QUORATE, "no majority of voters answers; nothing was changed"))
    ran = synodctl(*words)
    assert (ran.status, ran.out) == (8, "")
    assert ran.err == "synodctl: no majority of voters answers; nothing was changed\n"


@pytest.mark.parametrize("words", [*CHANGES, *QUERIES], ids=" ".join)
def test_every_verb_without_an_agent_is_exit_7(
    root: Path, synodctl: Synodctl, words: tuple[str, ...]
) -> None:
    ran = synodctl(*words)
    assert (ran.status, ran.out) == (7, "")
    assert ran.err == (
        "synodctl: the agent of this node is not running; start it with: systemctl start synod.service\n"
    )


@pytest.mark.parametrize("words", CHANGES, ids=" ".join)
def test_every_change_that_breaks_off_is_unknown(
    agent: ScriptedAgent, synodctl: Synodctl, words: tuple[str, ...]
) -> None:
    agent.answers(b"")
    ran = synodctl(*words)
    assert (ran.status, ran.out) == (75, "")
    assert ran.err.count("\n") == 1


@pytest.mark.parametrize("words", QUERIES, ids=" ".join)
def test_every_query_that_breaks_off_is_exit_7(
    agent: ScriptedAgent, synodctl: Synodctl, words: tuple[str, ...]
) -> None:
    agent.answers(b"")
    assert synodctl(*words).status == 7


@pytest.mark.parametrize(("words", "reason"), [
    ((), "Missing command; try: synodctl --help"),
    (("begin", "db"), "No such command 'begin'; try: synodctl --help"),
    (("start",), "Missing argument 'UNIT'; try: synodctl start --help"),
    (("start", "a b"), "Invalid value for 'UNIT': 'a b' is not a unit name; try: synodctl start --help"),
    (("move", "db", "n.a"), "Invalid value for 'NODE': 'n.a' is not a node name: the first label of a host "
                            "name; try: synodctl move --help"),
    (("init",), "Missing option '--name'; try: synodctl init --help"),
    (("join", "h:x", "--token", "T"), "Invalid value for 'ADDR': 'h:x' is not an address; write HOST, "
                                      "HOST:PORT, or [IPv6]:PORT; try: synodctl join --help"),
    (("join", "h", "--token", "T", "--address", "192.0.2.1:5"),
     "a node that joins listens on the default port; give --address without a port"),
    (("list-units", "--timeout=0"), "Invalid value for '--timeout': '0' is not a time span above 0 and up "
                                    "to 4 weeks; try: synodctl list-units --help"),
    (("lab",), "Missing command; try: synodctl lab --help"),
])  # fmt: skip
def test_usage_errors_are_one_line_and_exit_2(
    root: Path, synodctl: Synodctl, words: tuple[str, ...], reason: str
) -> None:
    ran = synodctl(*words)
    assert (ran.status, ran.out, ran.err) == (2, "", f"synodctl: {reason}\n")


@pytest.mark.parametrize("words", [("list-units", "--josn"), ("list-units", "--json=long"), ("status", "x")])
def test_other_usage_errors_are_one_line_too(root: Path, synodctl: Synodctl, words: tuple[str, ...]) -> None:
    """Their wording is click's, and differs between its releases."""
    ran = synodctl(*words)
    assert (ran.status, ran.err.count("\n")) == (2, 1)
    assert ran.err.endswith(f"; try: synodctl {words[0]} --help\n")


def test_the_text_of_a_success_is_talk(agent: ScriptedAgent, synodctl: Synodctl) -> None:
    agent.answers(final(text="node2 is being drained"))
    assert synodctl("drain", "node2").err == "node2 is being drained\n"
    assert synodctl("drain", "node2", "--quiet").err == ""


def test_progress_is_shown_to_who_waits_or_asks_for_it(agent: ScriptedAgent, synodctl: Synodctl) -> None:
    agent.answers(b'{"status": "db.service waits for vip.service"}\n' + final())
    line = "db.service waits for vip.service\n"
    assert synodctl("start", "db", "--wait").err == line
    assert synodctl("start", "db", "-v").err == line
    assert synodctl("-v", "start", "db").err == line
    assert synodctl("start", "db").err == ""
    assert synodctl("start", "db", "--wait", "-q").err == ""


def test_an_answer_cannot_take_over_the_terminal(agent: ScriptedAgent, synodctl: Synodctl) -> None:
    agent.answers(final(1, "red \x1b[31m\nand a \ud800 second line"))
    ran = synodctl("stop", "db")
    assert ran.err == "synodctl: red \\x1b[31m and a \\xd800 second line\n"


def test_init_again_says_so_and_prints_the_command_alone(agent: ScriptedAgent, synodctl: Synodctl) -> None:
    command = "synodctl join 192.0.2.1:8470 --token T"
    agent.answers(final(data={"token": "T", "join": command, "already": True}))
    ran = synodctl("init", "--name", "demo")
    assert ran.out == f"{command}\n"
    assert "already a member of the cluster 'demo'" in ran.err


@pytest.mark.parametrize(("already", "is_what"), [(False, "is now"), (True, "is already")])
def test_join_says_which_cluster_it_is(
    agent: ScriptedAgent, synodctl: Synodctl, already: bool, is_what: str
) -> None:
    agent.answers(final(data={"cluster": "demo", "already": already}))
    ran = synodctl("join", "node1", "--token", "T")
    assert (ran.out, ran.err) == ("", f"This node {is_what} a member of the cluster 'demo'.\n")


@pytest.mark.parametrize("data", [None, 1, "text", [1], [[]], {"units": 1}])
def test_a_list_of_another_shape_is_not_understood(
    agent: ScriptedAgent, synodctl: Synodctl, data: object
) -> None:
    agent.answers(final(data=data))
    ran = synodctl("list-units")
    assert (ran.status, ran.out) == (1, "")
    assert "not understood; is it of another version?" in ran.err


def test_version(synodctl: Synodctl) -> None:
    assert synodctl("--version").out == f"synodctl {__version__}\n"


def test_help_names_every_verb_and_imports_none(synodctl: Synodctl) -> None:
    out = synodctl("--help").out
    with click.Context(verbs) as context:
        names = verbs.list_commands(context)
        assert set(names) == {*verbs.commands, *LATER}
        for name in names:
            assert verbs.get_command(context, name) is not None
            assert f"\n  {name} " in out
    assert len(names) == len([name for _, group in GROUPS for name in group]) == len(set(names))
    assert "Usage: synodctl start" in synodctl("start", "-h").out


def test_the_line_in_help_is_the_verbs_own() -> None:
    with click.Context(verbs) as context:
        for name, (_, line) in LATER.items():
            command = verbs.get_command(context, name)
            assert command is not None
            assert command.get_short_help_str(limit=200) == line


def test_a_missing_module_of_a_verb_is_one_line(
    synodctl: Synodctl, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(main, "LATER", {**LATER, "lab": ("synod.cli.absent:lab", "")})
    ran = synodctl("lab", "up")
    assert (ran.status, ran.err) == (
        1, "synodctl: 'lab' needs the Python module 'synod.cli.absent'; install it\n")


# As a process


def program(*words: str, **options: object) -> "subprocess.Popen[str]":
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    return subprocess.Popen((sys.executable, "-m", "synod", *words), env=environment, text=True,
                            stderr=subprocess.PIPE, **options)  # type: ignore[call-overload,no-any-return]


def test_interrupt_is_130_and_quiet(agent: ScriptedAgent) -> None:
    asked, over = threading.Event(), threading.Event()

    def wait(_: socket.socket) -> None:
        asked.set()
        over.wait(20)

    agent.answers(wait)
    # A background job of a shell without job control ignores SIGINT, and hands that on.
    inherited = signal.signal(signal.SIGINT, signal.default_int_handler)
    process = program("start", "db", "--wait")
    signal.signal(signal.SIGINT, inherited)
    try:
        assert asked.wait(20)
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=20)
    finally:
        over.set()
        process.kill()
    assert process.returncode == 130
    assert err.strip() == ""


def test_a_reader_that_leaves_ends_it_quietly(agent: ScriptedAgent) -> None:
    agent.answers(final(data=[{"unit": f"u{n}.service"} for n in range(50_000)]))
    process = program("list-units", stdout=subprocess.PIPE)
    assert process.stdout is not None
    process.stdout.close()
    assert process.stderr is not None
    assert process.stderr.read() == ""
    assert process.wait(20) == -signal.SIGPIPE


@pytest.mark.parametrize("words", [("list-units",), ("--help",)])
def test_a_full_disk_is_one_line(agent: ScriptedAgent, words: tuple[str, ...]) -> None:
    agent.answers(final(data=[]))
    with Path("/dev/full").open("w") as full:
        process = program(*words, stdout=full)
        _, err = process.communicate(timeout=20)
    assert process.returncode == 1
    assert err.startswith("synodctl: ")
    assert err.count("\n") == 1


def test_colours_on_a_terminal_only(agent: ScriptedAgent) -> None:
    agent.answers(final(data=[{"name": "node1", "state": "lost"}]))
    ours, theirs = pty.openpty()
    try:
        process = program("list-nodes", "--no-legend", stdout=theirs)
        process.communicate(timeout=20)
        os.close(theirs)
        text = os.read(ours, 4096).decode()
    finally:
        os.close(ours)
    assert "\x1b[1;31mlost" in text


def test_what_list_units_imports() -> None:
    """Start-up time is imports: none of these may come with a verb that only asks the agent."""
    code = "import sys, synod.cli.main; print(*sys.modules)"
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run((sys.executable, "-c", code), capture_output=True, text=True, timeout=20,
                          check=True, env=environment)
    loaded = done.stdout.split()
    heavy = ("asyncio", "pyroute2", "dbus_fast", "cryptography", "msgpack", "logging", "ssl", "subprocess",
             "synod.lab", "synod.config", "synod.engine", "synod.model", "multiprocessing")
    assert [name for name in loaded if name in heavy] == []


def test_run_returns_plain_statuses() -> None:
    assert isinstance(run(["--version"]), int)
