# SPDX-License-Identifier: LGPL-2.1-or-later
"""An agent that says what a test tells it to, on a real socket."""

import contextlib
import json
import socket
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

PATIENCE_SEC = 10


def final(status: int = 0, text: str = "", data: object = None) -> bytes:
    """The last line of an answer."""
    return json.dumps({"exit": status, "text": text, "data": data}).encode() + b"\n"


@dataclass
class ScriptedAgent:
    """Answers each connection with the next script, then with the last one for ever.

    A script is bytes to send before hanging up, or a function that does as it likes with the connection.
    """

    path: Path
    scripts: list[bytes | Callable[[socket.socket], None]] = field(default_factory=lambda: [final()])
    heard: list[object] = field(default_factory=list)
    hangups: threading.Event = field(default_factory=threading.Event)

    def __post_init__(self) -> None:
        self.listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.listener.bind(str(self.path))
        self.listener.listen()
        self.thread = threading.Thread(target=self._serve)
        self.thread.start()

    def answers(self, *scripts: bytes | Callable[[socket.socket], None]) -> None:
        self.scripts = list(scripts)

    def _serve(self) -> None:
        while True:
            try:
                connection, _ = self.listener.accept()
            except OSError:
                return
            connection.settimeout(PATIENCE_SEC)
            with connection, contextlib.suppress(OSError):
                self._converse(connection)

    def _converse(self, connection: socket.socket) -> None:
        with connection.makefile("rb") as lines:
            line = lines.readline()
            if not line:
                return
            self.heard.append(json.loads(line))
            script = self.scripts.pop(0) if len(self.scripts) > 1 else self.scripts[0]
            if callable(script):
                script(connection)
            else:
                connection.sendall(script)

    def close(self) -> None:
        self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()
        self.thread.join(PATIENCE_SEC)
        assert not self.thread.is_alive()


@dataclass(frozen=True)
class Ran:
    status: int
    out: str
    err: str


Synodctl = Callable[..., Ran]
