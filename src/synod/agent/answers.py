# SPDX-License-Identifier: LGPL-2.1-or-later
"""What local clients ask, to what answers it: the node, the daemon, or a view of the state."""

from collections.abc import Mapping
from typing import Final, Protocol

from synod import __version__
from synod.agent.control import Client, Json
from synod.agent.jobs import JobRunner
from synod.agent.member import RunningMember
from synod.base.errors import NoSuchObjectError, NotConfiguredError, SynodError, UsageError
from synod.base.exits import ExitStatus
from synod.base.ids import NodeName, UnitName, is_node_name, is_unit_name
from synod.base.usec import Usec
from synod.engine import requests, views
from synod.engine.events import Asked, ClientGone
from synod.model.unit import hold_of

Params = Mapping[str, Json]
WAITER_VERBS: Final = ("place", "want", "release", "drain", "unmanaged")


class Agent(Protocol):
    """What questions need of the daemon."""

    @property
    def member(self) -> RunningMember | None:
        """The membership, if there is one."""

    @property
    def clients(self) -> dict[int, Client]:
        """Open connections by number."""

    @property
    def jobs(self) -> JobRunner:
        """A look at PID 1."""

    async def begun(self) -> None:
        """Wait until it is known whether this machine is a member."""

    def require_member(self) -> RunningMember:
        """Return the membership; raise NotConfiguredError without one."""

    async def init(self, cluster: str, address: str | None, port: int | None) -> Json:
        """Found a cluster."""

    async def join(self, host: str, port: int | None, token: str, role: str, address: str | None) -> Json:
        """Become a member of somebody's cluster."""

    async def token(self) -> str:
        """Make a one-time join token."""

    async def know(self, unit: UnitName) -> None:
        """Read the annotation of a unit that PID 1 has not loaded yet."""


class Answers:
    """Routes questions in and answers out."""

    def __init__(self, agent: Agent) -> None:
        self._agent = agent
        self._leaving: dict[int, None] = {}
        """Clients that are told that this node has left once that is all over."""

    # Answers out, for the node

    def answer(self, client: int, status: int, text: str) -> None:
        """Say the last word to a client."""
        if client in self._leaving and status == ExitStatus.SUCCESS:
            return
        if client in self._agent.clients:
            self._agent.clients[client].answer(status, text)

    def status(self, client: int, text: str) -> None:
        """Say what is being waited for."""
        if client in self._agent.clients:
            self._agent.clients[client].status(text)

    def extend(self, client: int, span: Usec) -> None:
        """Give a hold more time."""
        if client in self._agent.clients:
            self._agent.clients[client].extend(span)

    def gone(self, client: int) -> None:
        """Note that a client hung up before it was answered."""
        self._leaving.pop(client, None)
        if self._agent.member is not None:
            self._agent.member.feed(ClientGone(client=client))

    def dismiss(self, client: Client) -> None:
        """Answer who asked a member, now that this node is none any more."""
        if client.number in self._leaving or client.is_waiter:
            self._leaving.pop(client.number, None)
            client.answer(ExitStatus.SUCCESS)
        else:
            client.answer(NotConfiguredError.exit_status, "this node has left its cluster")

    # Waiters

    async def ask_waiter(self, client: Client, verb: str, unit: str) -> None:
        """Take the question of a template unit."""
        await self._agent.begun()
        member = self._agent.member
        if verb not in WAITER_VERBS or (unit and not is_unit_name(unit)):
            client.answer(2, f"'{verb} {unit}' is not a question of synod-wait")
        elif member is None:
            client.answer(0, "this node is not a member of a cluster")
        else:
            request = await self._waiter_request(verb, UnitName(unit))
            member.feed(Asked(client=client.number, request=request))

    async def _waiter_request(self, verb: str, unit: UnitName) -> requests.Request:
        match verb:
            case "place":
                await self._agent.know(unit)
                return requests.Place(unit=unit, job=(await self._agent.jobs.read(unit)).job)
            case "want":
                await self._agent.know(unit)
                return requests.Want(unit=unit)
            case "release":
                seen = await self._agent.jobs.read(unit)
                # Older news of the hold would say that it is up, as if it had come up again.
                await self._agent.jobs.read(hold_of(unit))
                return requests.ReleaseHold(unit=unit, job=seen.job, is_masked=seen.load == "masked")
            case "drain":
                return requests.LeaveForShutdown()
            case _:
                return requests.Unmanage()

    # synodctl

    async def ask_method(self, client: Client, method: str, params: Params) -> None:
        """Take a command of synodctl."""
        await self._agent.begun()
        try:
            await self._method(client, method, params)
        except SynodError as error:
            client.answer(error.exit_status, str(error))

    async def _method(self, client: Client, method: str, params: Params) -> None:
        match method:
            case "init":
                port, address = _number(params, "port"), _optional(params, "address")
                client.answer(0, data=await self._agent.init(_text(params, "cluster"), address, port))
            case "join":
                data = await self._agent.join(
                    _text(params, "address"),
                    _number(params, "port"),
                    _text(params, "token"),
                    _optional(params, "role") or "automatic",
                    _optional(params, "own_address"),
                )
                client.answer(0, data=data)
            case "token":
                client.answer(0, data={"token": await self._agent.token()})
            case "status" if self._agent.member is None:
                client.answer(
                    NotConfiguredError.exit_status,
                    "this node is not a member of a cluster",
                    {"member": False, "version": __version__},
                )
            case "status" | "list-nodes" | "list-units" | "show" | "why" | "bounds":
                self._view(client, self._agent.require_member(), method, params)
            case _:
                member = self._agent.require_member()
                if method == "start":
                    await self._agent.know(_unit(params))
                elif method == "leave":
                    self._leaving[client.number] = None
                member.feed(Asked(client=client.number, request=_request(method, params)))

    def _view(self, client: Client, member: RunningMember, method: str, params: Params) -> None:
        node = member.node
        match method:
            case "status":
                more: dict[str, Json] = {"version": __version__, "gossip": member.gossip}
                client.answer(views.exit_of_health(node), data=views.status(node) | more)
            case "list-nodes":
                client.answer(0, data=views.list_nodes(node))
            case "list-units":
                client.answer(0, data=views.list_units(node))
            case "bounds":
                client.answer(0, data=views.list_bounds(node))
            case _:
                unit = _unit(params)
                data = views.show(node, unit) if method == "show" else views.why(node, unit)
                if data is None:
                    raise NoSuchObjectError(node.state.absence(unit))
                client.answer(0, data=data)


def _request(method: str, params: Params) -> requests.Request:  # noqa: C901 (a table, one line per method)
    match method:
        case "start":
            return requests.StartUnits(unit=_unit(params), is_waiting=params.get("wait") is True)
        case "stop":
            return requests.StopUnits(unit=_unit(params), is_waiting=params.get("wait") is True)
        case "restart":
            return requests.RestartUnits(unit=_unit(params))
        case "move":
            return requests.MoveTo(unit=_unit(params), node=_node(params))
        case "drain" | "undrain":
            return requests.Drain(node=_node(params), is_drained=method == "drain")
        case "adopt":
            return requests.Adopt(unit=_unit(params), node=_node(params))
        case "confirm-off":
            return requests.ConfirmOff(node=_node(params))
        case "set-attribute":
            return requests.SayAttribute(
                node=_node(params), name=_text(params, "name"), value=_optional(params, "value") or ""
            )
        case "leave":
            return requests.Leave(is_forced=params.get("force") is True)
        case "remove":
            return requests.Remove(node=_node(params))
        case _:
            raise UsageError(
                f"'{method}' is not a method of this agent; synodctl may be newer than the agent"
            )


def _text(params: Params, name: str) -> str:
    value = params.get(name)
    if not isinstance(value, str) or not value:
        raise UsageError(f"'{name}' is missing")
    return value


def _optional(params: Params, name: str) -> str | None:
    value = params.get(name)
    return value if isinstance(value, str) and value else None


def _number(params: Params, name: str) -> int | None:
    value = params.get(name)
    return value if isinstance(value, int) and 0 < value <= 0xFFFF else None


def _unit(params: Params) -> UnitName:
    text = _text(params, "unit")
    if not is_unit_name(text):
        raise UsageError(f"'{text}' is not a unit name")
    return UnitName(text)


def _node(params: Params) -> NodeName:
    text = _text(params, "node")
    if not is_node_name(text):
        raise UsageError(f"'{text}' is not a node name")
    return NodeName(text)
