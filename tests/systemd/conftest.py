# SPDX-License-Identifier: LGPL-2.1-or-later
"""A real dbus-daemon on a private socket, and a service on it that behaves as systemd's manager does."""

import asyncio
import signal
import socket
import subprocess
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from synod.base.usec import USEC_PER_MSEC, Usec
from synod.systemd.bus import PROPERTIES, Bus
from synod.systemd.manager import JOB, MANAGER, NAME, PATH, UNIT, Manager
from synod.systemd.shim import Connection, Message, MessageType, Variant
from synod.systemd.unitstate import unit_path

TEST_SECONDS_MAX = 60

# The limits are those of the system bus: dbus-daemon(1), "limit".
CONFIGURATION = """<!DOCTYPE busconfig PUBLIC "-//freedesktop//DTD D-Bus Bus Configuration 1.0//EN"
 "http://www.freedesktop.org/standards/dbus/1.0/busconfig.dtd">
<busconfig>
  <type>system</type>
  <listen>unix:path={path}</listen>
  <auth>EXTERNAL</auth>
  <policy context="default">
    <allow user="*"/><allow own="*"/><allow send_destination="*"/><allow send_type="signal"/>
    <allow send_requested_reply="true" send_type="method_return"/>
    <allow send_requested_reply="true" send_type="error"/>
    <allow receive_type="method_call"/><allow receive_type="method_return"/>
    <allow receive_type="error"/><allow receive_type="signal"/>
  </policy>
  <limit name="max_replies_per_connection">128</limit>
  <limit name="max_match_rules_per_connection">512</limit>
</busconfig>
"""


class Daemon:
    """A message bus that can be killed and started again at the same address."""

    def __init__(self, directory: Path) -> None:
        self._path = directory / "bus"
        self._configuration = directory / "bus.conf"
        self._configuration.write_text(CONFIGURATION.format(path=self._path))
        self._process: subprocess.Popen[bytes] | None = None
        self.address = f"unix:path={self._path}"

    def start(self) -> None:
        self._path.unlink(missing_ok=True)
        command = [
            "dbus-daemon",
            f"--config-file={self._configuration}",
            "--nofork",
            "--nopidfile",
            "--print-address=1",
        ]
        self._process = subprocess.Popen(command, stdout=subprocess.PIPE)
        assert self._process.stdout is not None
        assert self._process.stdout.readline(), "dbus-daemon did not start"

    def kill(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.communicate()
            self._process = None


@dataclass(slots=True, kw_only=True)
class FakeUnit:
    name: str
    active: str = "inactive"
    sub: str = "dead"
    load: str = "loaded"
    result: str = "success"
    is_slow: bool = False
    """Its jobs wait until finish() is called."""
    job_result: str = "done"
    job: int = 0
    job_type: str = ""
    alias_of: str = ""


@dataclass(slots=True)
class FakeSystemd:
    """A process that owns the name; leave() and connect() make it a new one that remembers its jobs."""

    address: str
    units: dict[str, FakeUnit] = field(default_factory=dict)
    calls: list[tuple[str, list[Any]]] = field(default_factory=list)
    silent: set[str] = field(default_factory=set)
    """Methods that are never answered."""
    removes_first: bool = False
    """JobRemoved is sent before the reply that names the job."""
    on_get_all: Callable[[], None] | None = None
    properties: dict[str, Any] = field(default_factory=lambda: {"FinishTimestampMonotonic": Variant("t", 1)})
    connection: Connection | None = None
    last_job: int = 0

    async def connect(self) -> None:
        self.connection = Connection(self.address, needs_unix_fds=False)
        # The libraries end a connection whose socket is full, at about 200 small messages in one burst.
        self.connection._sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1 << 22)
        await self.connection.connect()
        self.connection.add_message_handler(self.handle)
        ended = asyncio.ensure_future(self.connection.disconnected())
        ended.add_done_callback(lambda future: future.cancelled() or future.exception())
        await self.connection.request_name(NAME)

    def leave(self) -> None:
        assert self.connection is not None
        self.connection.close()
        self.connection = None

    def add(self, name: str, **attributes: Any) -> FakeUnit:
        self.units[name] = FakeUnit(name=name, **attributes)
        return self.units[name]

    def count(self, member: str) -> int:
        return sum(1 for name, _ in self.calls if name == member)

    # What PID 1 does by itself

    def signal(self, path: str, interface: str, member: str, signature: str, body: list[Any]) -> None:
        assert self.connection is not None
        self.connection.send(
            Message(message_type=MessageType.SIGNAL, path=path, interface=interface, member=member,
                    signature=signature, body=body, serial=self.connection.next_serial())
        )  # fmt: skip

    def set_state(self, name: str, active: str, sub: str) -> None:
        unit = self.units[name]
        unit.active, unit.sub = active, sub
        self.changed(name)

    def changed(self, name: str) -> None:
        self.signal(unit_path(name), PROPERTIES, "PropertiesChanged", "sa{sv}as", [UNIT, {}, []])

    def enqueue(self, name: str, job_type: str) -> int:
        unit = self.units[name]
        if unit.job and unit.job_type == job_type:
            return unit.job
        if unit.job:
            self.remove_job(name, "canceled")
        self.last_job += 1
        unit.job, unit.job_type = self.last_job, job_type
        self.signal(PATH, MANAGER, "JobNew", "uos", [unit.job, self.job_path(unit.job), name])
        self.changed(name)
        return unit.job

    def finish(self, name: str) -> None:
        unit = self.units[name]
        if unit.job_result == "done":
            is_up = unit.job_type != "stop"
            unit.active, unit.sub = ("active", "running") if is_up else ("inactive", "dead")
        elif unit.job_result == "failed":
            unit.active, unit.sub, unit.result = "failed", "failed", "exit-code"
        self.remove_job(name, unit.job_result)

    def remove_job(self, name: str, result: str) -> None:
        unit = self.units[name]
        number, unit.job, unit.job_type = unit.job, 0, ""
        self.changed(name)
        self.signal(PATH, MANAGER, "JobRemoved", "uoss", [number, self.job_path(number), name, result])

    def job_path(self, number: int) -> str:
        return f"/org/freedesktop/systemd1/job/{number}"

    # What it is asked

    def handle(self, message: Message) -> Message | bool | None:
        if message.message_type is not MessageType.METHOD_CALL or message.destination.startswith(
            "org.freedesktop.DBus"
        ):
            return None
        member, body = message.member, list(message.body)
        self.calls.append((member, body))
        if member in self.silent:
            return True  # handled, as far as the library can tell
        if message.interface == MANAGER and member in ("StartUnit", "StopUnit", "RestartUnit", "ReloadUnit"):
            return self.run_job(message, body[0], member.removesuffix("Unit").lower())
        if message.interface == PROPERTIES:
            return self.read(message, body)
        return self.answer(message, body)

    def run_job(self, message: Message, name: str, job_type: str) -> Message | None:
        if name not in self.units:
            return self.refuse(message, NAME + ".NoSuchUnit", f"Unit {name} not found.")
        if self.units[name].load == "masked":
            return self.refuse(message, NAME + ".UnitMasked", f"Unit {name} is masked.")
        number = self.enqueue(name, job_type)
        if self.removes_first:
            self.finish(name)
        elif not self.units[name].is_slow:
            asyncio.get_running_loop().call_soon(self.finish, name)
        return Message.new_method_return(message, "o", [self.job_path(number)])

    def answer(self, message: Message, body: list[Any]) -> Message | None:
        match message.member:
            case "Subscribe":
                return Message.new_method_return(message)
            case "LoadUnit":
                return Message.new_method_return(message, "o", [unit_path(body[0])])
            case "ResetFailedUnit" if body[0] not in self.units:
                return self.refuse(message, NAME + ".NoSuchUnit", f"Unit {body[0]} not loaded.")
            case "ResetFailedUnit":
                self.set_state(body[0], "inactive", "dead")
                return Message.new_method_return(message)
            case "Reload":
                self.signal(PATH, MANAGER, "Reloading", "b", [True])
                self.signal(PATH, MANAGER, "Reloading", "b", [False])
                return Message.new_method_return(message)
            case "ListJobs":
                rows = [[u.job, u.name, u.job_type, "running", self.job_path(u.job), unit_path(u.name)]
                        for u in self.units.values() if u.job]  # fmt: skip
                return Message.new_method_return(message, "a(usssoo)", [rows])
            case "ListUnitsByNames" | "ListUnitsByPatterns":
                names = body[0] if message.member == "ListUnitsByNames" else self.units
                return Message.new_method_return(
                    message, "a(ssssssouso)", [[self.row(name) for name in names]]
                )
            case "Echo":
                return Message.new_method_return(message, "s", [body[0]])
            case "Fail":
                return self.refuse(message, body[0], "it failed")
        return None

    def read(self, message: Message, body: list[Any]) -> Message:
        if message.member == "GetAll":
            if self.on_get_all is not None:
                self.on_get_all()
            return Message.new_method_return(message, "a{sv}", [self.unit_properties(message.path)])
        if message.path == PATH and body[1] in self.properties:
            return Message.new_method_return(message, "v", [self.properties[body[1]]])
        if body[0] == JOB:
            for unit in self.units.values():
                if unit.job and self.job_path(unit.job) == message.path:
                    return Message.new_method_return(message, "v", [Variant("s", unit.job_type)])
        return self.refuse(
            message, "org.freedesktop.DBus.Error.UnknownObject", f"Unknown object '{message.path}'."
        )

    def find(self, name: str) -> FakeUnit:
        unit = self.units.get(name) or FakeUnit(name=name, load="not-found")
        return self.units[unit.alias_of] if unit.alias_of else unit

    def row(self, name: str) -> list[Any]:
        unit = self.find(name)
        job_path = self.job_path(unit.job) if unit.job else "/"
        return [
            unit.name,
            "",
            unit.load,
            unit.active,
            unit.sub,
            "",
            unit_path(unit.name),
            unit.job,
            unit.job_type,
            job_path,
        ]

    def unit_properties(self, path: str) -> dict[str, Any]:
        unit = self.find(next((name for name in self.units if unit_path(name) == path), "none.service"))
        return {
            "Id": Variant("s", unit.name),
            "LoadState": Variant("s", unit.load),
            "ActiveState": Variant("s", unit.active),
            "SubState": Variant("s", unit.sub),
            "Result": Variant("s", unit.result),
            "Job": Variant("(uo)", [unit.job, self.job_path(unit.job) if unit.job else "/"]),
            "InvocationID": Variant("ay", bytes(range(16))),
            "DropInPaths": Variant("as", ["/etc/a.conf"]),
            "ControlGroup": Variant("s", f"/system.slice/{unit.name}"),
            "NeedDaemonReload": Variant("b", False),
            "ExecMainCode": Variant("i", 1),
            "ExecMainStatus": Variant("i", 0),
            "StateChangeTimestamp": Variant("t", 1700000000000000),
        }

    def refuse(self, message: Message, name: str, text: str) -> Message:
        return Message.new_error(message, name, text)


class Recorder:
    """An observer that remembers, and lets a test wait until something was seen."""

    def __init__(self) -> None:
        self.events: list[tuple[Any, ...]] = []
        self._news = asyncio.Event()

    def _add(self, *event: Any) -> None:
        self.events.append(event)
        self._news.set()

    def on_connected(self) -> None:
        self._add("connected")

    def on_disconnected(self) -> None:
        self._add("disconnected")

    def on_unit_changed(self, unit: str, state: Any) -> None:
        self._add("unit", unit, state.active_state, state.sub_state)

    def on_job_removed(self, job: Any) -> None:
        self._add("job", job.unit, job.result)

    def on_reloading(self, is_reloading: bool) -> None:
        self._add("reloading", is_reloading)

    def on_boot_over(self) -> None:
        self._add("boot-over")

    def on_stopping(self) -> None:
        self._add("stopping")

    async def until(self, condition: Callable[[list[tuple[Any, ...]]], bool]) -> None:
        async with asyncio.timeout(10):
            while not condition(self.events):
                self._news.clear()
                await self._news.wait()

    async def saw(self, *event: Any, times: int = 1) -> None:
        await self.until(lambda events: events.count(event) >= times)


@pytest.fixture(autouse=True)
def _bounded() -> Iterator[None]:
    """Ends a test that waits for ever, even one whose event loop spins."""

    def expire(number: int, frame: object) -> None:
        raise TimeoutError(f"the test took more than {TEST_SECONDS_MAX} s")

    previous = signal.signal(signal.SIGALRM, expire)
    signal.setitimer(signal.ITIMER_REAL, TEST_SECONDS_MAX)
    yield
    signal.setitimer(signal.ITIMER_REAL, 0)
    signal.signal(signal.SIGALRM, previous)


@pytest.fixture
def eventually() -> Callable[[Callable[[], object]], Awaitable[None]]:
    """Waits until a condition holds that nobody announces."""

    async def eventually(condition: Callable[[], object]) -> None:
        async with asyncio.timeout(10):
            while not condition():  # noqa: ASYNC110
                await asyncio.sleep(0)

    return eventually


@pytest.fixture
def daemon(tmp_path: Path) -> Iterator[Daemon]:
    daemon = Daemon(tmp_path)
    daemon.start()
    yield daemon
    daemon.kill()


@pytest.fixture
async def systemd(daemon: Daemon) -> AsyncIterator[FakeSystemd]:
    systemd = FakeSystemd(daemon.address)
    for name in ("shutdown.target", "default.target"):
        systemd.add(name)
    await systemd.connect()
    yield systemd
    if systemd.connection is not None:
        systemd.leave()


@pytest.fixture
async def bus(daemon: Daemon) -> AsyncIterator[Bus]:
    """A bus whose run() was started by the fixture; calls give up after 2 s."""
    bus = Bus(address=daemon.address, timeout_usec=Usec(2000 * USEC_PER_MSEC))
    running = asyncio.create_task(bus.run())
    async with asyncio.timeout(10):
        await bus.wait_connected()
    yield bus
    running.cancel()
    await asyncio.wait((running,))


@pytest.fixture
def recorder() -> Recorder:
    return Recorder()


@pytest.fixture
async def connect(
    systemd: FakeSystemd, recorder: Recorder
) -> AsyncIterator[Callable[[], Awaitable[Manager]]]:
    """Makes a manager that is in step with the fake."""
    running = []

    async def connect() -> Manager:
        bus = Bus(address=systemd.address, timeout_usec=Usec(1000 * USEC_PER_MSEC))
        manager = Manager(bus, recorder)
        running.extend([asyncio.create_task(bus.run()), asyncio.create_task(manager.run())])
        await recorder.saw("connected")
        return manager

    yield connect
    for task in running:
        task.cancel()
    await asyncio.wait(running)


@pytest.fixture
async def manager(connect: Callable[[], Awaitable[Manager]]) -> Manager:
    return await connect()
