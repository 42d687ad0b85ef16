# SPDX-License-Identifier: LGPL-2.1-or-later
"""What must hold of a lease (safety section 3): it counts from a request, answered by who led after it.

The leader confirms with a majority that it leads after a request has come. Who was elected before the
request was sent has a majority that knows it; so nobody of an older term can have confirmed anything since.
"""

from typing import Final

from synod.base.ids import NodeName, Term
from synod.engine.effects import Effect
from synod.ledger.effects import Role
from synod.sim.checkers import Checker, Machines, ViolationError
from synod.sim.clock import Clock
from synod.sim.machine import Machine

ASKS_MAX: Final = 64
"""Requests for a lease that are remembered of each agent; older ones cannot be answered any more."""


class LeaseChecker(Checker):
    """Watches when nodes ask, who is elected, and what leases come of it."""

    def __init__(self, machines: Machines, clock: Clock) -> None:
        self._machines = machines
        self._clock = clock
        self._asked: dict[NodeName, dict[int, int]] = {}
        """When each agent asked: by its own clock, and by the world's."""
        self._lives: dict[NodeName, tuple[int, int]] = {}
        self._counts: dict[NodeName, int] = {}
        self._bases: dict[NodeName, int] = {}
        self._elected: dict[Term, int] = {}
        self._led: dict[NodeName, Term] = {}
        """The last term in which each node led."""

    def stepped(self, machine: Machine, effects: tuple[Effect, ...]) -> None:
        """Note requests and elections, and look at the lease."""
        agent = machine.agent
        if agent is None:
            return
        lease, ledger, name = agent.node.lease, agent.node.ledger, machine.name
        life = (machine.boots, agent.node.desk.agent)
        if self._lives.get(name) != life:
            self._lives[name], self._asked[name], self._counts[name] = life, {}, 0
            self._bases.pop(name, None)
        if ledger.role is Role.LEADER:
            self._led[name] = ledger.term
            self._elected.setdefault(ledger.term, self._clock.now)
        asked = self._asked[name]
        if lease.asked != self._counts[name]:
            self._counts[name] = lease.asked
            asked[machine.clock.now] = self._clock.now
            if len(asked) > ASKS_MAX:
                del asked[next(iter(asked))]
        age = lease.age
        if age is None or age >= lease.timing.lease or machine.clock.now - age == self._bases.get(name):
            return
        base = self._bases[name] = machine.clock.now - age
        if base not in asked:
            raise ViolationError(f"lease: that of {name} counts from a moment at which it did not ask")
        self._look_at_answer(name, lease.leader, asked[base])

    def _look_at_answer(self, name: NodeName, leader: NodeName | None, since: int) -> None:
        """Look for somebody who had been elected before the request was sent, after who answered it."""
        term = self._led.get(leader) if leader is not None else None
        if term is None:
            return
        for later, elected in self._elected.items():
            if later > term and elected < since:
                raise ViolationError(
                    f"lease: {leader} of term {term} answered {name}, which asked when {later} had begun"
                )
