# SPDX-License-Identifier: LGPL-2.1-or-later
"""The local socket: waiters of the template units, and synodctl.

A waiter sends one line ``VERB UNIT`` and reads lines: ``status TEXT``, ``extend USEC``, and last ``exit CODE
TEXT`` (generators/synod-wait has the other side). synodctl sends one line of JSON and reads lines of JSON:
``{"status": ...}`` and last ``{"exit": ..., "text": ..., "data": ...}``. The socket is root's alone.
"""

import asyncio
import contextlib
import json
from collections.abc import Awaitable, Callable, Mapping, Sequence
from pathlib import Path
from typing import Final

from synod.base.usec import Usec

LINE_BYTES_MAX: Final = 64 << 10
"""Longest request: a command with a few unit names."""
FIRST_LINE_SEC: Final = 10.0
"""How long a client may take to say what it wants."""
CLIENTS_MAX: Final = 4096
"""Open connections: every gate and hold of a node with a thousand units, with room to spare."""

Json = None | bool | int | str | Sequence["Json"] | Mapping[str, "Json"]


class Client:
    """One connection, as the agent answers it."""

    def __init__(self, number: int, writer: asyncio.StreamWriter) -> None:
        self.number = number
        self.is_waiter = True
        self.is_answered = False
        self._writer = writer

    def status(self, text: str) -> None:
        """Say what is being waited for."""
        self._write(f"status {_line(text)}\n" if self.is_waiter else json.dumps({"status": text}) + "\n")

    def extend(self, span: Usec) -> None:
        """Give the waiter's unit more time."""
        if self.is_waiter:
            self._write(f"extend {span}\n")

    def answer(self, status: int, text: str = "", data: Json = None) -> None:
        """Say the last word; whatever is said after it is dropped."""
        if self.is_answered:
            return
        if self.is_waiter:
            self._write(f"exit {status} {_line(text)}\n")
        else:
            self._write(json.dumps({"exit": status, "text": text, "data": data}) + "\n")
        self.is_answered = True
        self._writer.close()

    def _write(self, text: str) -> None:
        if not self.is_answered and not self._writer.is_closing():
            self._writer.write(text.encode())


def _line(text: str) -> str:
    return " ".join(text.split())


AskWaiter = Callable[[Client, str, str], Awaitable[None]]
AskMethod = Callable[[Client, str, Mapping[str, Json]], Awaitable[None]]


class ControlServer:
    """Listens on the agent's socket."""

    def __init__(
        self, path: Path, waiter: AskWaiter, method: AskMethod, gone: Callable[[int], None]
    ) -> None:
        self._path = path
        self._waiter = waiter
        self._method = method
        self._gone = gone
        self._count = 0
        self.clients: dict[int, Client] = {}
        self._server: asyncio.Server | None = None

    async def start(self) -> None:
        """Listen; an old socket file of a killed agent is replaced."""
        self._path.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
        new = self._path.with_suffix(".new")
        new.unlink(missing_ok=True)
        self._server = await asyncio.start_unix_server(self._serve, new, limit=LINE_BYTES_MAX, backlog=1024)
        new.chmod(0o600)
        new.replace(self._path)

    async def stop(self) -> None:
        """Stop listening; whoever still waits will ask the next agent."""
        if self._server is not None:
            self._server.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if len(self.clients) >= CLIENTS_MAX:
            writer.close()
            return
        self._count += 1
        client = Client(self._count, writer)
        self.clients[client.number] = client
        try:
            await self._converse(client, reader)
        except (ConnectionError, TimeoutError, ValueError, asyncio.IncompleteReadError):
            pass  # a client that breaks off or sends no line of ours gets no answer
        finally:
            del self.clients[client.number]
            if not client.is_answered:
                self._gone(client.number)
            with contextlib.suppress(ConnectionError):
                writer.close()

    async def _converse(self, client: Client, reader: asyncio.StreamReader) -> None:
        async with asyncio.timeout(FIRST_LINE_SEC):
            line = await reader.readuntil(b"\n")
        text = line.decode("utf-8", "strict").strip()
        if text.startswith("{"):
            client.is_waiter = False
            await self._ask_method(client, text)
        else:
            verb, _, unit = text.partition(" ")
            await self._waiter(client, verb, unit.strip())
        await reader.read()  # ends when the client hangs up, or when it was answered

    async def _ask_method(self, client: Client, text: str) -> None:
        request = json.loads(text)
        method, params = request.get("method"), request.get("params", {})
        if not isinstance(method, str) or not isinstance(params, dict):
            client.answer(2, "malformed request")
            return
        await self._method(client, method, params)
