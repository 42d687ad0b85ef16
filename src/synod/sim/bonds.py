# SPDX-License-Identifier: LGPL-2.1-or-later
"""I8: a BindsTo= unit does not outlive its provider beyond the bound, as far as the log reaches its node.

A unit is an orphan from the moment at which it is active and its provider is up nowhere: because that
stopped, crashed, or lost its machine. The bound counts from there, or from when the node's agent last came
to know what the cluster knows.
"""

from dataclasses import dataclass
from typing import Final

from synod.base.ids import NodeName, UnitName
from synod.base.usec import USEC_PER_MSEC, USEC_PER_SEC
from synod.engine.effects import Effect
from synod.sim.checkers import Checker, Machines, ViolationError, is_active
from synod.sim.clock import Clock
from synod.sim.machine import Machine

BOUND_USEC: Final = 9 * USEC_PER_SEC
"""A loss is noticed, agreed on, and the unit is asked to stop; then its stop job counts."""
STILL_USEC: Final = 500 * USEC_PER_MSEC
"""A node that has not done anything for this long stood still: it knows nothing of that time."""


@dataclass(frozen=True, slots=True)
class _Bond:
    """A unit in one boot of a machine, and one of its providers."""

    node: NodeName
    boot: int
    unit: UnitName
    provider: UnitName


class BondChecker(Checker):
    """I8, its first half; that nothing starts without its providers is looked at with the order."""

    def __init__(self, machines: Machines, clock: Clock) -> None:
        self._machines = machines
        self._clock = clock
        self._orphans: dict[_Bond, int] = {}
        self._knowing_since: dict[NodeName, int] = {}
        self._stepped_at: dict[NodeName, int] = {}

    def moved(self, machine: Machine, unit: UnitName, old: str, new: str) -> None:
        """Look at whom a unit leaves behind, or who comes back to it."""
        if (old == "active") != (new == "active"):
            self._changed(unit)

    def populated(self, machine: Machine, unit: UnitName, *, is_populated: bool) -> None:
        """Look at a machine that loses power: its units change no state any more."""
        if not machine.is_on:
            self._changed(unit)

    def _changed(self, changed: UnitName) -> None:
        for machine in self._machines.values():
            for unit, spec in machine.specs.items():
                for provider in spec.binds_to:
                    if changed in (unit, provider):
                        self._judge(machine, _Bond(machine.name, machine.boots, unit, provider))

    def _judge(self, machine: Machine, bond: _Bond) -> None:
        is_carried = any(is_active(other, bond.provider) for other in self._machines.values())
        if is_carried or not is_active(machine, bond.unit):
            self._orphans.pop(bond, None)
        else:
            self._orphans.setdefault(bond, self._clock.now)

    def stepped(self, machine: Machine, effects: tuple[Effect, ...]) -> None:
        """Look at the orphans of a node."""
        name, now, agent = machine.name, self._clock.now, machine.agent
        stood_still = now - self._stepped_at.get(name, now) > STILL_USEC
        self._stepped_at[name] = now
        if agent is None or not agent.node.ledger.quorate or not agent.node.desk.is_settled:
            self._knowing_since.pop(name, None)
            return
        if stood_still or name not in self._knowing_since:
            self._knowing_since[name] = now
        for bond, since in self._orphans.items() if self._orphans else ():
            is_here = bond.node == name and bond.boot == machine.boots
            if is_here and max(since, self._knowing_since[name]) + BOUND_USEC < now:
                self._look(machine, bond)

    def _look(self, machine: Machine, bond: _Bond) -> None:
        # With a stop job it waits for what is bound to itself, however long that takes.
        if machine.services.job_of(bond.unit) != "stop":
            raise ViolationError(
                f"I8 bound: {bond.unit} runs on {bond.node}, {bond.provider} is long gone"
            )
