# SPDX-License-Identifier: LGPL-2.1-or-later
import socket
import threading
from pathlib import Path

import pytest
from cli_agent import ScriptedAgent, Synodctl, final
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from synod.base.errors import IndefiniteError, NoAgentError, NotPermittedError, TimedOutError
from synod.base.exits import ExitStatus
from synod.base.usec import USEC_PER_MSEC, USEC_PER_SEC, Usec
from synod.cli import client
from synod.cli.client import AgentError, Answer, MisunderstoodError, Question, ask

NOT_RUNNING = "the agent of this node is not running; start it with: systemctl start synod.service"
PATIENT = Usec(10 * USEC_PER_SEC)


def question(*, is_query: bool, timeout: Usec = PATIENT) -> Question:
    return Question(method="do", params={"n": 1}, timeout_usec=timeout, is_query=is_query)


def asked(*, is_query: bool, timeout: Usec = PATIENT) -> Answer:
    return ask(question(is_query=is_query, timeout=timeout), lambda _: None)


def test_the_question_is_one_line_and_the_answer_carries_text_and_data(agent: ScriptedAgent) -> None:
    agent.answers(final(text="fine", data={"a": [1]}))
    assert asked(is_query=True) == Answer(status=0, text="fine", data={"a": [1]})
    assert agent.heard == [{"method": "do", "params": {"n": 1}}]


def test_progress_is_handed_on_in_order(agent: ScriptedAgent) -> None:
    agent.answers(b'{"status": "one"}\n{"status": "two"}\n' + final())
    seen: list[str] = []
    ask(question(is_query=False), seen.append)
    assert seen == ["one", "two"]


@pytest.mark.parametrize("status", [status for status in ExitStatus if status])
def test_every_exit_status_of_the_agent_is_passed_on(agent: ScriptedAgent, status: ExitStatus) -> None:
    agent.answers(final(status, "because"))
    for is_query in (True, False):
        with pytest.raises(AgentError, match=r"^because$") as caught:
            asked(is_query=is_query)
        assert caught.value.status == status


def test_bad_news_with_data_is_an_answer_to_a_query_only(agent: ScriptedAgent) -> None:
    agent.answers(final(8, "no majority", {"quorate": False}))
    assert asked(is_query=True) == Answer(status=8, text="no majority", data={"quorate": False})
    with pytest.raises(AgentError):
        asked(is_query=False)


def test_a_refusal_without_a_reason_names_what_was_refused(agent: ScriptedAgent) -> None:
    agent.answers(final(12))
    with pytest.raises(AgentError, match="refused 'do' and gave no reason"):
        asked(is_query=False)


def test_without_a_socket_there_is_no_agent(root: Path) -> None:
    with pytest.raises(NoAgentError) as caught:
        asked(is_query=False)
    assert str(caught.value) == NOT_RUNNING


def test_a_socket_that_nobody_listens_on_is_no_agent(root: Path) -> None:
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(root / "run/synod/agent.sock"))
    with pytest.raises(NoAgentError) as caught:
        asked(is_query=True)
    assert str(caught.value) == NOT_RUNNING


def test_a_path_that_is_no_socket_is_explained(root: Path) -> None:
    (root / "run/synod/agent.sock").symlink_to("agent.sock")
    with pytest.raises(NoAgentError, match="cannot be reached: Too many levels of symbolic links"):
        asked(is_query=True)


def test_a_socket_without_permission_is_exit_4(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Locked(socket.socket):
        def connect(self, address: object) -> None:
            raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(client.socket, "socket", Locked)
    with pytest.raises(NotPermittedError, match="is denied; try: sudo"):
        asked(is_query=True)


@pytest.mark.parametrize("script", [b"", b'{"status": "working"}\n', b'{"exit": 0, "text"'])
def test_an_agent_that_hangs_up_leaves_a_change_unknown(agent: ScriptedAgent, script: bytes) -> None:
    agent.answers(script)
    with pytest.raises(IndefiniteError, match="hung up without an answer; 'do' may have taken effect"):
        asked(is_query=False)
    with pytest.raises(NoAgentError, match="hung up without an answer"):
        asked(is_query=True)


@pytest.mark.parametrize("garbage", [
    b"exit 0 fine\n", b"\n", b"[]\n", b"{}\n", b'{"exit": "0"}\n', b'{"exit": 256}\n', b'{"exit": -1}\n',
    b'{"exit": true}\n', b'{"exit": 0.5}\n', b"\xff\xfe\n", b"[" * 100_000 + b"\n", b'{"exit": null}\n',
    b'{"exit": ' + b"1" * 5000 + b"}\n",
])  # fmt: skip
def test_garbage_is_no_answer(agent: ScriptedAgent, garbage: bytes) -> None:
    agent.answers(garbage)
    with pytest.raises(MisunderstoodError, match="not understood"):
        asked(is_query=True)
    with pytest.raises(IndefiniteError, match="not understood; 'do' may have taken effect"):
        asked(is_query=False)


def test_status_lines_without_text_are_harmless(agent: ScriptedAgent) -> None:
    agent.answers(b'{"status": 7}\n{"exit": 0, "text": 7}\n')
    assert asked(is_query=True) == Answer(status=0, text="", data=None)


def test_an_endless_answer_is_cut_off(agent: ScriptedAgent, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client, "ANSWER_BYTES_MAX", 1 << 20)

    def flood(connection: socket.socket) -> None:
        while True:  # ends when the client hangs up
            connection.sendall(b"x" * 65536)

    agent.answers(flood)
    with pytest.raises(MisunderstoodError):
        asked(is_query=True)


def test_a_long_answer_in_small_pieces_is_read(agent: ScriptedAgent) -> None:
    rows = [{"unit": f"u{n}.service"} for n in range(20_000)]
    agent.answers(final(data=rows))
    assert asked(is_query=True).data == rows


@pytest.mark.parametrize("is_query", [True, False])
def test_silence_is_bounded(agent: ScriptedAgent, is_query: bool) -> None:
    over = threading.Event()
    agent.answers(lambda _: bool(over.wait(10)) and None)
    try:
        with pytest.raises(TimedOutError, match=r"no answer from the agent within 50ms") as caught:
            asked(is_query=is_query, timeout=Usec(50 * USEC_PER_MSEC))
        assert ("may still take effect" in str(caught.value)) is not is_query
    finally:
        over.set()


def test_progress_does_not_extend_the_time(agent: ScriptedAgent) -> None:
    def chatter(connection: socket.socket) -> None:
        while True:  # ends when the client hangs up
            connection.sendall(b'{"status": "still at it"}\n')

    agent.answers(chatter)
    with pytest.raises(TimedOutError):
        asked(is_query=True, timeout=Usec(50 * USEC_PER_MSEC))


def test_an_answer_before_the_question_is_read_counts(root: Path) -> None:
    """An agent that has too many clients says so and hangs up at once."""
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(root / "run/synod/agent.sock"))
        listener.listen()

        def refuse() -> None:
            connection, _ = listener.accept()
            with connection:
                connection.sendall(final(1, "too busy"))

        thread = threading.Thread(target=refuse)
        thread.start()
        with pytest.raises((AgentError, IndefiniteError)):
            asked(is_query=False)
        thread.join(10)


@settings(deadline=None, max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.binary(max_size=200))
def test_no_bytes_make_a_traceback(agent: ScriptedAgent, data: bytes) -> None:
    agent.answers(data)
    with pytest.raises((AgentError, IndefiniteError)):
        asked(is_query=False)


FIELDS = ("unit", "name", "instances", "state", "placed_on", "nodes", "text", "member", "units", "alarms",
          "quorate", "port", "address")  # fmt: skip
VERBS = (("status",), ("list-units",), ("list-nodes",), ("show", "a"), ("why", "a"), ("init", "--name", "c"),
         ("token",))  # fmt: skip


def containers(inner: st.SearchStrategy[object]) -> st.SearchStrategy[object]:
    return st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(FIELDS), inner, max_size=5)


@settings(deadline=None, max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    data=st.recursive(st.none() | st.booleans() | st.integers() | st.text(max_size=8), containers),
    verb=st.sampled_from(VERBS),
)
def test_no_data_makes_a_traceback(
    agent: ScriptedAgent, synodctl: Synodctl, data: object, verb: tuple[str, ...]
) -> None:
    agent.answers(final(data=data))
    assert synodctl(*verb).status in (0, 1, 6, 8)


def test_the_timeout_option_reaches_the_conversation(agent: ScriptedAgent, synodctl: Synodctl) -> None:
    over = threading.Event()
    agent.answers(lambda _: bool(over.wait(10)) and None)
    try:
        ran = synodctl("list-units", "--timeout=50ms")
    finally:
        over.set()
    assert (ran.status, ran.out) == (124, "")
    assert ran.err == (
        "synodctl: no answer from the agent within 50ms; see: systemctl status synod.service\n"
    )
