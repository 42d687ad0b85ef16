# SPDX-License-Identifier: LGPL-2.1-or-later
"""The parts of a node, made once and introduced to each other: none knows one that is made after it."""

from typing import Final, Protocol

from synod.base.ids import Epoch, UnitName
from synod.base.usec import Usec
from synod.engine.barriers import Barriers
from synod.engine.clients import Clients
from synod.engine.desk import Desk
from synod.engine.drift import Drift
from synod.engine.duty import Duty
from synod.engine.farewell import Farewell
from synod.engine.fencing import Fencing
from synod.engine.front import Front
from synod.engine.guard import Guard
from synod.engine.hearsay import Hearsay
from synod.engine.holds import Holds
from synod.engine.keeper import Keeper
from synod.engine.lease import Lease, LeaseTiming
from synod.engine.links import Links
from synod.engine.logside import LogSide
from synod.engine.mirrors import Mirrors
from synod.engine.orders import Orders
from synod.engine.proposals import Proposals
from synod.engine.readiness import Readiness
from synod.engine.reporter import Reporter
from synod.engine.strays import Strays
from synod.engine.verdict import Judge
from synod.engine.vigil import Vigil
from synod.ledger.machine import Raft


class Ticking(Protocol):
    """A part that wants to be looked at some time."""

    @property
    def deadline(self) -> Usec | None:
        """When."""

    def tick(self) -> None:
        """Do what is due."""


class Parts:
    """One node's parts; see ARCHITECTURE.md for what each of them is about."""

    def __init__(
        self,
        desk: Desk,
        ledger: Raft,
        log: LogSide,
        *,
        gates: dict[UnitName, Epoch],
        up_files: tuple[UnitName, ...],
        lease: LeaseTiming,
    ) -> None:
        self.proposals: Final = Proposals(desk.me, f"{desk.boot}/{desk.agent}", log.propose)
        self.hearsay: Final = Hearsay(desk)
        self.links: Final = Links(desk, self.hearsay)
        self.readiness: Final = Readiness(desk)
        self.barriers: Final = Barriers(desk, self.readiness)
        self.judge: Final = Judge(desk, self.readiness, self.barriers)
        self.mirrors: Final = Mirrors(desk, self.readiness, self.barriers, up_files)
        self.drift: Final = Drift(desk, self.proposals)
        self.strays: Final = Strays(desk, self.proposals)
        self.keeper: Final = Keeper(
            desk, self.readiness, self.barriers, self.judge, self.proposals, self.strays, gates
        )
        self.clients: Final = Clients(
            desk, self.readiness, self.judge, self.keeper, self.mirrors, self.proposals
        )
        self.holds: Final = Holds(desk, self.barriers, self.judge, self.keeper, self.proposals)
        self.orders: Final = Orders(desk, self.readiness)
        self.farewell: Final = Farewell(
            desk, self.proposals, log.hand_over, lambda: desk.me in ledger.voters,
            lambda: self.keeper.is_holding,
        )
        self.reporter: Final = Reporter(desk, self.proposals)
        self.lease: Final = Lease(desk, lease, log.confirm)
        self.guard: Final = Guard(desk, self.lease, self.keeper)
        self.fencing: Final = Fencing(desk, self.proposals)
        self.vigil: Final = Vigil(
            desk, self.lease, self.hearsay, self.proposals, self.fencing, log.hand_over_to
        )
        self.duty: Final = Duty(desk, self.proposals, log.change_members)
        self.front: Final = Front(
            desk,
            self.proposals,
            self.clients,
            self.holds,
            self.orders,
            self.farewell,
            lambda: ledger.quorate,
        )
        self.ticking: Final[tuple[Ticking, ...]] = (
            self.proposals,
            self.barriers,
            self.mirrors,
            self.clients,
            self.holds,
            self.orders,
            self.farewell,
            self.reporter,
            self.lease,
        )
