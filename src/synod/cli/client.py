# SPDX-License-Identifier: LGPL-2.1-or-later
"""One question to the agent of this node, and its answer.

Decides what a failed conversation means for the caller: nobody there, nothing changed, or outcome unknown.
Refuses to know what is asked and how answers look on a terminal. The protocol is a line of JSON out, any
number of ``{"status": TEXT}`` lines and one ``{"exit": INT, "text": TEXT, "data": ANY}`` line back, then the
end of the stream.
"""

import json
import socket
import struct
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from synod.base.errors import IndefiniteError, NoAgentError, NotPermittedError, SynodError, TimedOutError
from synod.base.exits import ExitStatus
from synod.base.usec import USEC_PER_SEC, Usec, format_span
from synod.systemd.paths import Paths

ANSWER_BYTES_MAX: Final = 64 << 20
"""Far above the rows of ten thousand units, far below what hurts the machine that asks."""

QUERY_USEC: Final = Usec(10 * USEC_PER_SEC)
"""A query is answered from memory; an agent that takes longer hangs, and its watchdog is about to end it."""
CHANGE_USEC: Final = Usec(60 * USEC_PER_SEC)
"""A change waits for the log, which may have to elect a leader first: the agent gives up after 10 s."""
UNITS_USEC: Final = Usec(7 * 86400 * USEC_PER_SEC)
"""Whoever waits for units waits for DependencyTimeoutSec=, which the agent enforces; a week is its limit."""

_CHUNK_BYTES: Final = 1 << 16
_EXIT_MAX: Final = 255


class AgentError(SynodError):
    """What the agent answered instead of success; it chose the exit status."""

    def __init__(self, text: str, status: int) -> None:
        super().__init__(text)
        self.status = status


class MisunderstoodError(SynodError):
    """The agent's answer to a query makes no sense; nothing was changed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """What to ask, and how patiently; ``is_query`` says that asking changes nothing."""

    method: str
    params: Mapping[str, object]
    timeout_usec: Usec
    is_query: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What came back: a line for people, which may be empty, and data.

    ``status`` other than 0 comes with data: a question was answered, and the answer is bad news.
    """

    status: int
    text: str
    data: object


def ask(question: Question, progress: Callable[[str], None]) -> Answer:
    """Put one question to the agent and wait for the answer, handing on what it reports meanwhile.

    Raises NoAgentError and NotPermittedError when nothing was asked, AgentError with what the agent refused,
    TimedOutError and IndefiniteError when a change may or may not happen, MisunderstoodError for a query
    whose answer makes no sense.
    """
    deadline = time.monotonic() + question.timeout_usec / USEC_PER_SEC
    with _connect(question.timeout_usec) as connection:
        try:
            for message in _messages(question, connection, deadline):
                if "exit" in message:
                    return _answer(question, message)
                progress(_text(message.get("status")))
        except TimeoutError:
            text = f"no answer from the agent within {format_span(question.timeout_usec)}"
            raise TimedOutError(
                f"{text}; see: systemctl status synod.service" if question.is_query
                else f"{text}; '{question.method}' may still take effect; see: synodctl status"
            ) from None
    raise _broken_off(question)


def _connect(timeout_usec: Usec) -> socket.socket:
    path = Paths.from_environment().agent_socket
    connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_CLOEXEC)
    # A socket with a Python timeout does not block in connect(2), and then a full backlog is an error.
    seconds, rest = divmod(timeout_usec, USEC_PER_SEC)
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, struct.pack("@ll", seconds, rest))
    try:
        connection.connect(str(path))
    except PermissionError:
        connection.close()
        raise NotPermittedError(f"access to '{path}' is denied; try: sudo synodctl ...") from None
    except OSError as error:
        connection.close()
        if isinstance(error, FileNotFoundError | ConnectionRefusedError):
            text = "the agent of this node is not running; start it with: systemctl start synod.service"
        else:
            text = f"the agent of this node cannot be reached: {error.strerror or error}"
        raise NoAgentError(text) from None
    return connection


def _messages(
    question: Question, connection: socket.socket, deadline: float
) -> Iterator[Mapping[str, object]]:
    line = json.dumps({"method": question.method, "params": question.params}).encode() + b"\n"
    try:
        connection.sendall(line, socket.MSG_NOSIGNAL)
    except (BrokenPipeError, ConnectionResetError):
        pass  # it may have said why before it hung up
    except BlockingIOError:  # SO_SNDTIMEO
        raise TimeoutError from None
    for answer in _lines(connection, deadline):
        message = _parse(answer) if answer is not None else None
        if message is None:
            raise _misunderstood(question)
        yield message


def _lines(connection: socket.socket, deadline: float) -> Iterator[bytes | None]:
    """Yield complete lines until the peer hangs up; None once it has said more than it may."""
    pending, total = bytearray(), 0
    while total <= ANSWER_BYTES_MAX:
        left = deadline - time.monotonic()
        if left <= 0:
            raise TimeoutError
        connection.settimeout(left)
        try:
            chunk = connection.recv(_CHUNK_BYTES)
        except ConnectionResetError:
            return
        if not chunk:
            return
        total += len(chunk)
        # Only the new bytes are searched, or a long line would cost the square of its length.
        *complete, rest = chunk.split(b"\n")
        for part in complete:
            yield bytes(pending + part)
            pending.clear()
        pending += rest
    yield None


def _parse(line: bytes) -> Mapping[str, object] | None:
    """Read one line of an answer; None when it is not one."""
    try:
        message = json.loads(line)
    except (ValueError, RecursionError):
        return None
    if not isinstance(message, dict) or not ("exit" in message or "status" in message):
        return None
    status = message.get("exit", 0)
    is_status = isinstance(status, int) and not isinstance(status, bool) and 0 <= status <= _EXIT_MAX
    return message if is_status else None


def _answer(question: Question, message: Mapping[str, object]) -> Answer:
    status, text, data = message["exit"], _text(message.get("text")), message.get("data")
    assert isinstance(status, int)
    if status != ExitStatus.SUCCESS and (data is None or not question.is_query):
        raise AgentError(text or f"the agent refused '{question.method}' and gave no reason", status)
    return Answer(status=status, text=text, data=data)


def _text(value: object) -> str:
    return value if isinstance(value, str) else ""


def _broken_off(question: Question) -> SynodError:
    if question.is_query:
        return NoAgentError("the agent hung up without an answer; see: systemctl status synod.service")
    return IndefiniteError(
        f"the agent hung up without an answer; '{question.method}' may have taken effect, or may still; "
        "see: synodctl status"
    )


def _misunderstood(question: Question) -> SynodError:
    text = "the agent's answer is not understood"
    if question.is_query:
        return MisunderstoodError(f"{text}; is it of another version? try: systemctl restart synod.service")
    return IndefiniteError(f"{text}; '{question.method}' may have taken effect; see: synodctl status")
