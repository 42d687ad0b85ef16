# SPDX-License-Identifier: LGPL-2.1-or-later
"""One connection to a message bus that never loses a call silently and comes back by itself.

It decides when a call may be sent, how long its answer may take, and what is known when there is none. It
refuses to know what the calls mean. Every answer is one of three: a reply, a definite error (it did not
happen) or an IndefiniteError (it may have happened). A call is definite as long as it was not handed to the
socket.

Why a queue: dbus-daemon refuses the 129th pending reply of a connection, and both libraries destroy the
connection when a write would block. At most CALLS_IN_FLIGHT_MAX small calls fit the socket's buffer by far.
The libraries are used as a transport only: they forget calls that are pending, or made, after a disconnect.
Source: D-Bus Specification, "Message Protocol"; dbus-daemon(1), "limit".
"""

import asyncio
import logging
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final, NoReturn, Protocol

from synod.base.errors import (
    IndefiniteError,
    NoSuchObjectError,
    NotPermittedError,
    RefusedError,
    SynodError,
    TimedOutError,
)
from synod.base.usec import USEC_PER_MSEC, USEC_PER_SEC, Usec, format_span
from synod.systemd.shim import AuthError, Connection, InvalidAddressError, Message, MessageType

CALLS_IN_FLIGHT_MAX: Final = 32
"""Calls sent and not answered; dbus-daemon allows 128 per connection, and 32 already keep PID 1 busy."""

CALLS_QUEUED_MAX: Final = 16384
"""Calls waiting to be sent; beyond this the caller is at fault and is refused."""

CALL_TIMEOUT_USEC: Final = Usec(30 * USEC_PER_SEC)
"""From the call to its answer, waiting in the queue included. sd-bus itself gives up after 25 s."""

CONNECT_TIMEOUT_USEC: Final = Usec(10 * USEC_PER_SEC)
RETRY_USEC_MIN: Final = Usec(100 * USEC_PER_MSEC)
RETRY_USEC_MAX: Final = Usec(5 * USEC_PER_SEC)

DAEMON_NAME: Final = "org.freedesktop.DBus"
DAEMON_PATH: Final = "/org/freedesktop/DBus"
PROPERTIES: Final = "org.freedesktop.DBus.Properties"

_ERROR: Final = "org.freedesktop.DBus.Error."
_UNKNOWN_OUTCOME: Final = frozenset(
    _ERROR + name for name in ("NoReply", "Timeout", "TimedOut", "Disconnected")
)
_NO_SUCH_UNIT: Final = frozenset({"org.freedesktop.systemd1.NoSuchUnit", _ERROR + "UnknownObject"})
_DENIED: Final = frozenset(
    _ERROR + name for name in ("AccessDenied", "InteractiveAuthorizationRequired", "AuthFailed")
)

_logger = logging.getLogger(__name__)


class CallError(RefusedError):
    """Definite: the peer refused the call; ``name`` is the D-Bus error name."""

    def __init__(self, text: str, name: str) -> None:
        super().__init__(text)
        self.name = name


class NoSuchUnitError(NoSuchObjectError, CallError):
    """Definite: the service manager knows no such unit or object."""


class DeniedError(NotPermittedError, CallError):
    """Definite: the bus or the peer does not let us do that."""


class NotConnectedError(SynodError):
    """Definite: there was no connection, so the call was never sent."""


class OverloadedError(SynodError):
    """Definite: too many calls wait already, or this one waited too long; it was never sent."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Signal:
    """One received signal; ``sender`` is a unique name and cannot be forged."""

    sender: str
    path: str
    interface: str
    member: str
    body: Sequence[Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """The body of a method return, Variants included, and the descriptors that came with it."""

    body: Sequence[Any]
    unix_fds: Sequence[int]


@dataclass(slots=True)
class _Call:
    connection: Connection
    message: Message
    answered: asyncio.Future[Message]
    was_sent: bool = False


class Listener(Protocol):
    """Who uses the connection. Only resync() may wait; none of them may raise anything but a SynodError."""

    async def resync(self) -> None:
        """Take stock: the connection is new and everything seen before may be stale."""

    def lost(self) -> None:
        """Note that the connection is gone and that signals will be missed."""

    def received(self, signal: Signal) -> None:
        """Handle one signal, in the order of arrival, before any reply that came after it is delivered."""


class Bus:
    """The connection. run() must be running for anything else to work."""

    def __init__(
        self,
        *,
        address: str | None = None,
        timeout_usec: Usec = CALL_TIMEOUT_USEC,
        needs_unix_fds: bool = False,
    ) -> None:
        """Prepare a connection to ``address``, by default the system bus; nothing is opened yet."""
        self._address = address
        self._timeout_usec = timeout_usec
        self._needs_unix_fds = needs_unix_fds
        self._listeners: list[Listener] = []
        self._matches: dict[str, None] = {}
        self._connection: Connection | None = None
        self._connected = asyncio.Event()
        self._pending: dict[int, asyncio.Future[Message]] = {}
        self._slots = asyncio.Semaphore(CALLS_IN_FLIGHT_MAX)
        self._sending = asyncio.Lock()
        self._queued = 0

    @property
    def is_connected(self) -> bool:
        """Whether a call made now would be sent."""
        return self._connection is not None

    def add_listener(self, listener: Listener, matches: Sequence[str] = ()) -> None:
        """Register before run(): who is served, in this order, and the match rules of its signals."""
        self._listeners.append(listener)
        self._matches.update(dict.fromkeys(matches))

    async def wait_connected(self) -> None:
        """Wait until all listeners are in step with a live connection."""
        await self._connected.wait()

    async def run(self) -> NoReturn:
        """Keep the connection until cancelled; a lost one is replaced after a growing pause."""
        pause = RETRY_USEC_MIN
        while True:
            try:
                await self._live()
                pause = RETRY_USEC_MIN
                _logger.warning("The message bus closed the connection, reconnecting")
            except (SynodError, OSError, AuthError, InvalidAddressError, EOFError) as error:
                _logger.warning(
                    "Cannot use the message bus, retrying in %s: %s",
                    format_span(pause),
                    str(error) or type(error).__name__,
                )
            await asyncio.sleep(pause / USEC_PER_SEC)
            pause = min(Usec(2 * pause), RETRY_USEC_MAX)

    async def _live(self) -> None:
        """Connect, bring everyone in step, and return or raise when the connection ends."""
        connection = Connection(self._address, needs_unix_fds=self._needs_unix_fds)
        try:
            async with asyncio.timeout(CONNECT_TIMEOUT_USEC / USEC_PER_SEC):
                await connection.connect()
            connection.add_message_handler(self._received)
            ended = asyncio.ensure_future(connection.disconnected())
            ended.add_done_callback(lambda _: self._drop(connection))
            ended.add_done_callback(_observe)
            self._connection = connection
            for rule in self._matches:
                await self._call_daemon("AddMatch", rule)
            for listener in self._listeners:
                await listener.resync()
            self._connected.set()
            await asyncio.wait((ended,))
        finally:
            self._drop(connection)
            connection.close()

    def _drop(self, connection: Connection) -> None:
        """Fail what is pending: it was sent, so its outcome is unknown. Harmless when done twice."""
        if self._connection is not connection:
            return
        self._connection = None
        self._connected.clear()
        pending, self._pending = self._pending, {}
        for future in pending.values():
            if not future.done():
                future.set_exception(
                    IndefiniteError("the message bus closed the connection before the answer came")
                )
        for listener in self._listeners:
            listener.lost()

    def _received(self, message: Message) -> None:
        if message.message_type is MessageType.SIGNAL:
            signal = Signal(
                sender=message.sender or "",
                path=message.path or "",
                interface=message.interface or "",
                member=message.member or "",
                body=message.body,
            )
            for listener in self._listeners:
                listener.received(signal)
        elif message.message_type is not MessageType.METHOD_CALL:
            future = self._pending.pop(message.reply_serial, None)
            if future is not None and not future.done():
                future.set_result(message)

    async def name_owner(self, name: str) -> str | None:
        """Return the unique name behind a well-known one, or None when nobody owns it."""
        try:
            return str((await self._call_daemon("GetNameOwner", name)).body[0])
        except CallError as error:
            if error.name == _ERROR + "NameHasNoOwner":
                return None
            raise

    async def _call_daemon(self, member: str, argument: str) -> Reply:
        return await self.call(
            destination=DAEMON_NAME,
            path=DAEMON_PATH,
            interface=DAEMON_NAME,
            member=member,
            signature="s",
            body=(argument,),
        )

    async def call(
        self,
        *,
        destination: str,
        path: str,
        interface: str,
        member: str,
        signature: str = "",
        body: Sequence[Any] = (),
        timeout_usec: Usec | None = None,
    ) -> Reply:
        """Call a method and return its reply.

        Calls are sent in the order in which they are made. Raises CallError or a subclass,
        NotConnectedError and OverloadedError (definite), TimedOutError and IndefiniteError (unknown).
        """
        connection = self._connection
        if connection is None:
            raise NotConnectedError(f"cannot call {member}: not connected to the message bus")
        if self._queued >= CALLS_QUEUED_MAX:
            raise OverloadedError(f"cannot call {member}: {self._queued} calls wait already")
        timeout = self._timeout_usec if timeout_usec is None else timeout_usec
        message = Message(
            destination=destination,
            path=path,
            interface=interface,
            member=member,
            signature=signature,
            body=list(body),
            serial=connection.next_serial(),
        )
        call = _Call(connection, message, asyncio.get_running_loop().create_future())
        self._queued += 1
        try:
            async with asyncio.timeout(timeout / USEC_PER_SEC), self._slots:
                answer = await self._exchange(call)
        except TimeoutError:
            if call.was_sent:
                text = f"no answer to {member} from {destination} within {format_span(timeout)}"
                raise TimedOutError(text) from None
            raise OverloadedError(f"{member} waited {format_span(timeout)} and was not sent") from None
        finally:
            self._queued -= 1
        if answer.message_type is MessageType.ERROR:
            raise _as_error(answer, member)
        return Reply(body=answer.body, unix_fds=answer.unix_fds)

    async def _exchange(self, call: _Call) -> Message:
        try:
            # One message at a time: what dbus-fast has to buffer it sends last in, first out.
            async with self._sending:
                if self._connection is not call.connection:
                    raise NotConnectedError(
                        f"cannot call {call.message.member}: the message bus closed the connection"
                    )
                self._pending[call.message.serial] = call.answered
                call.was_sent = True
                written = call.connection.send(call.message)
                written.add_done_callback(_observe)
                if not written.done():
                    await asyncio.wait((written, call.answered), return_when=asyncio.FIRST_COMPLETED)
            return await call.answered
        finally:
            self._pending.pop(call.message.serial, None)


def _observe(future: asyncio.Future[Any]) -> None:
    """Fetch the error of a write or of the connection: the disconnection is what gets reported."""
    if not future.cancelled():
        future.exception()


def _as_error(answer: Message, member: str) -> SynodError:
    name = str(answer.error_name or "")
    first = answer.body[0] if answer.body else ""
    text = first if isinstance(first, str) and first else f"{member} failed with {name}"
    if name in _UNKNOWN_OUTCOME:
        return IndefiniteError(text)
    if name in _NO_SUCH_UNIT:
        return NoSuchUnitError(text, name)
    if name in _DENIED:
        return DeniedError(text, name)
    return CallError(text, name)
