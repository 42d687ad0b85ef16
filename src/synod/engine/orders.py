# SPDX-License-Identifier: LGPL-2.1-or-later
"""Orders: restart or reload a unit where it runs, asked for anywhere.

An order is not a decision, so it does not pass through the log. When its answer is lost the outcome is
unknown.
"""

from dataclasses import dataclass, field
from typing import Final

from synod.base.exits import ExitStatus
from synod.base.ids import NodeName, UnitName
from synod.base.usec import USEC_PER_SEC, Usec
from synod.engine.desk import Desk
from synod.engine.effects import Reply
from synod.engine.messages import Order, OrderDone
from synod.engine.readiness import Readiness

PATIENCE_USEC: Final = Usec(120 * USEC_PER_SEC)
"""Longer than the 90 s that PID 1 gives a start or a stop."""
VERBS: Final = ("restart", "reload")


@dataclass(slots=True)
class _Given:
    client: int
    unit: UnitName
    verb: str
    deadline: Usec
    missing: dict[NodeName, None] = field(default_factory=dict)
    failures: list[str] = field(default_factory=list)


class Orders:
    """Orders given by clients of this node, and orders carried out for peers."""

    def __init__(self, desk: Desk, readiness: Readiness) -> None:
        self._desk = desk
        self._readiness = readiness
        self._count = 0
        self._given: dict[int, _Given] = {}
        self._taken: dict[int, tuple[NodeName, int]] = {}

    @property
    def deadline(self) -> Usec | None:
        """When the first answer is overdue."""
        return min(given.deadline for given in self._given.values()) if self._given else None

    def give(self, client: int, unit: UnitName, verb: str) -> bool:
        """Send an order to every node that runs the unit; return whether there is one."""
        holders = self._readiness.holders(unit)
        if not holders:
            return False
        self._count += 1
        given = _Given(client, unit, verb, Usec(self._desk.now + PATIENCE_USEC), dict.fromkeys(holders))
        self._given[self._count] = given
        for node in holders:
            order = Order(order=self._count, unit=unit, verb=verb)
            if node == self._desk.me:
                self.take(node, order)
            else:
                self._desk.send(node, order)
        return True

    def take(self, peer: NodeName, order: Order) -> None:
        """Carry out an order, once however often it arrives."""
        if order.verb not in VERBS or (peer, order.order) in self._taken.values():
            return
        if order.unit not in self._desk.specs:
            self._answer(peer, order.order, "no such annotated unit")
        else:
            self._taken[self._desk.run(order.verb, order.unit)] = (peer, order.order)

    def job_done(self, job: int, result: str, text: str) -> None:
        """Answer the order whose job ended."""
        taken = self._taken.pop(job, None)
        if taken is not None:
            self._answer(*taken, text or result)

    def _answer(self, peer: NodeName, order: int, result: str) -> None:
        if peer == self._desk.me:
            self.hear_done(peer, OrderDone(order=order, result=result))
        else:
            self._desk.send(peer, OrderDone(order=order, result=result))

    def hear_done(self, peer: NodeName, message: OrderDone) -> None:
        """Take an answer; the client is answered with the last one."""
        given = self._given.get(message.order)
        if given is None or peer not in given.missing:
            return
        del given.missing[peer]
        if message.result != "done":
            given.failures.append(f"{peer}: {message.result}")
        if not given.missing:
            del self._given[message.order]
            text = (
                f"{given.verb} of {given.unit} failed ({'; '.join(given.failures)})"
                if given.failures
                else ""
            )
            status = ExitStatus.FAILURE if given.failures else ExitStatus.SUCCESS
            self._desk.put(Reply(client=given.client, status=status, text=text))

    def tick(self) -> None:
        """Report what was not answered in time as unknown."""
        for number, given in list(self._given.items()):
            if given.deadline <= self._desk.now:
                del self._given[number]
                nodes = ", ".join(given.missing)
                text = f"no answer from {nodes}; whether {given.unit} was {given.verb}ed there is unknown"
                self._desk.put(Reply(client=given.client, status=ExitStatus.OUTCOME_UNKNOWN, text=text))
