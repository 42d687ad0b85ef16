# SPDX-License-Identifier: LGPL-2.1-or-later
"""The front desk: each request of a local client to the part that answers it."""

from collections.abc import Callable
from typing import Final, assert_never

from synod.base.exits import ExitStatus
from synod.base.ids import UnitName
from synod.base.usec import USEC_PER_SEC, Usec
from synod.engine.clients import Clients
from synod.engine.desk import Desk
from synod.engine.effects import Reply
from synod.engine.farewell import Farewell
from synod.engine.holds import Holds
from synod.engine.orders import Orders
from synod.engine.proposals import Proposals
from synod.engine.requests import (
    Admit,
    Adopt,
    ConfirmOff,
    Drain,
    FoundCluster,
    KeepToken,
    Leave,
    LeaveForShutdown,
    MoveTo,
    Place,
    ReleaseHold,
    Remove,
    Request,
    RestartUnits,
    SayAttribute,
    StartUnits,
    StopUnits,
    Unmanage,
    Want,
)
from synod.model.command import (
    AddToken,
    AdoptSpec,
    Command,
    DrainNode,
    Fenced,
    Found,
    Join,
    MoveUnit,
    NodeState,
    Proof,
    RemoveNode,
    SetAttribute,
)
from synod.model.state import Change

PATIENCE_USEC: Final = Usec(10 * USEC_PER_SEC)
"""How long an administrator's command waits to be committed: several elections."""


class Front:
    """Takes requests; answers at once what is impossible."""

    def __init__(
        self,
        desk: Desk,
        proposals: Proposals,
        clients: Clients,
        holds: Holds,
        orders: Orders,
        farewell: Farewell,
        is_quorate: Callable[[], bool],
    ) -> None:
        self._desk = desk
        self._proposals = proposals
        self._clients = clients
        self._holds = holds
        self._orders = orders
        self._farewell = farewell
        self._is_quorate = is_quorate

    def ask(self, client: int, request: Request) -> None:
        """Take one request; exactly one Reply follows, now or later."""
        match request:
            case Place() | Want():
                self._clients.ask(client, request)
            case ReleaseHold():
                self._holds.ask(client, request)
            case LeaveForShutdown():
                self._farewell.shut_down(client)
            case Unmanage():
                self._farewell.unmanage(client)
            case Leave():
                self._farewell.leave(client, is_forced=request.is_forced and not self._is_quorate())
            case FoundCluster():
                self._commit(
                    client,
                    Found(
                        cluster=request.cluster,
                        cluster_id=request.cluster_id,
                        node=self._desk.me,
                        address=request.address,
                        port=request.port,
                        fingerprint=request.fingerprint,
                    ),
                )
            case _:
                if not self._is_quorate():
                    self._reply(
                        client, ExitStatus.NOT_QUORATE, "no majority of voters answers; nothing was changed"
                    )
                else:
                    self._ask_quorate(client, request)

    def _ask_quorate(
        self,
        client: int,
        request: KeepToken
        | Admit
        | StartUnits
        | StopUnits
        | RestartUnits
        | MoveTo
        | Drain
        | Adopt
        | Remove
        | ConfirmOff
        | SayAttribute,
    ) -> None:
        match request:
            case KeepToken():
                self._commit(client, AddToken(token=request.token, secret_hash=request.secret_hash))
            case Admit():
                self._commit(
                    client,
                    Join(
                        token=request.token,
                        secret_hash=request.secret_hash,
                        node=request.node,
                        address=request.address,
                        port=request.port,
                        fingerprint=request.fingerprint,
                        role=request.role,
                    ),
                )
            case Drain():
                self._commit(client, DrainNode(node=request.node, is_drained=request.is_drained))
            case Remove():
                self._remove(client, request)
            case ConfirmOff():
                self._confirm_off(client, request)
            case SayAttribute():
                self._commit(client, SetAttribute(node=request.node, name=request.name, value=request.value))
            case _:
                self._ask_unit(client, request)

    def _ask_unit(
        self, client: int, request: StartUnits | StopUnits | RestartUnits | MoveTo | Adopt
    ) -> None:
        if not self._is_known(request.unit) and not isinstance(request, Adopt):
            self._reply(client, ExitStatus.NO_SUCH_UNIT, self._desk.state.absence(request.unit))
            return
        match request:
            case StartUnits() | StopUnits():
                self._clients.ask(client, request)
            case RestartUnits():
                if not self._orders.give(client, request.unit, "restart"):
                    # As systemctl: restarting what does not run starts it.
                    self._clients.ask(client, StartUnits(unit=request.unit, is_waiting=True))
            case MoveTo():
                self._commit(client, MoveUnit(unit=request.unit, node=request.node))
            case Adopt():
                self._commit(client, AdoptSpec(unit=request.unit, node=request.node))
            case _:
                assert_never(request)

    def _remove(self, client: int, request: Remove) -> None:
        row = self._desk.state.nodes.get(request.node)
        if row is None:
            text = f"'{request.node}' is not a node of this cluster"
            self._reply(client, ExitStatus.NO_SUCH_UNIT, text)
        elif row.state is NodeState.LEFT and request.node in self._desk.connected:
            self._reply(
                client, ExitStatus.REFUSED, f"'{request.node}' is still connected; try again in a moment"
            )
        else:
            self._commit(client, RemoveNode(node=request.node))

    def _confirm_off(self, client: int, request: ConfirmOff) -> None:
        """Take an administrator's word for a proof, unless the machine itself says otherwise."""
        desk, name = self._desk, request.node
        row = desk.state.nodes.get(name)
        if row is None:
            self._reply(client, ExitStatus.NO_SUCH_UNIT, f"'{name}' is not a node of this cluster")
        elif name == desk.me or name in desk.connected:
            self._reply(client, ExitStatus.REFUSED, f"'{name}' is not off: this node hears it")
        else:
            text = f"an administrator said so on {desk.me}"
            command = Fenced(
                node=name, boot=row.boot, proof=Proof.OPERATOR, by=desk.me, text=text, since=row.since
            )
            self._commit(client, command)

    def _is_known(self, unit: UnitName) -> bool:
        row = self._desk.state.rows.get(unit)
        return row is not None and row.spec is not None

    def _commit(self, client: int, command: Command) -> None:
        def settled(change: Change | None) -> None:
            if change is None:
                text = "the log did not accept it in time; it may still take effect"
                self._reply(client, ExitStatus.OUTCOME_UNKNOWN, text)
            else:
                self._reply(
                    client, ExitStatus.REFUSED if change.refusal else ExitStatus.SUCCESS, change.refusal
                )

        self._proposals.put(command, settled, patience=PATIENCE_USEC)

    def _reply(self, client: int, status: int, text: str) -> None:
        self._desk.put(Reply(client=client, status=status, text=text))
