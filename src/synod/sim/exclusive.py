# SPDX-License-Identifier: LGPL-2.1-or-later
"""What must hold of exclusive units at every moment (architecture, I1 and I2; safety sections 2 and 3).

The simulated world knows the truth: which processes live, on nodes that are cut off and on those not yet
reset as well. The log says who may run them. The two are compared whenever either changes.
"""

from synod.base.ids import UnitName
from synod.engine.effects import Effect
from synod.engine.guard import FUSE
from synod.ledger.entries import ReqId
from synod.model.command import Command, Fenced, Plan, Proof, SetNode, decode_command
from synod.model.rows import Row
from synod.model.state import ClusterState
from synod.sim.checkers import Checker, LogChecker, Machines, ViolationError
from synod.sim.definitions import GRANT, LEASE
from synod.sim.machine import Machine
from synod.sim.words import Words


class GrantChecker(Checker):
    """I1, I2: a process of an exclusive unit lives under a grant, and there are not too many of both."""

    def __init__(self, machines: Machines, log: LogChecker) -> None:
        self._machines = machines
        self._log = log
        self._known: dict[ReqId, None] = {}
        self._applied = 0
        self.state = ClusterState()
        """What the committed entries make, at this moment."""
        self.words = Words()

    def stepped(self, machine: Machine, effects: tuple[Effect, ...]) -> None:
        """Look at what was committed in this step."""
        for entry in self._log.committed[self._applied :]:
            self._applied += 1
            if entry.req is None or entry.req in self._known:
                continue
            self._known[entry.req] = None
            command = decode_command(entry.payload)
            self._precede(command)
            change = self.state.apply(command, entry.index)
            if not change.refusal:
                self._follow(command)
                granted = [order.unit for order in command.grants] if isinstance(command, Plan) else []
                self.words.applied(command, entry.index, change)
                for unit in change.units:
                    self._count(unit, is_planned=unit in granted)

    def populated(self, machine: Machine, unit: UnitName, *, is_populated: bool) -> None:
        """Look at a unit whose first process was started."""
        if is_populated:
            self._count(unit)
            if self._is_exclusive(machine, unit):
                self._look_at_fuse(machine, f"{unit} starts")

    def opened(self, machine: Machine, unit: UnitName) -> None:
        """Look at a gate that was opened."""
        if self._is_exclusive(machine, unit):
            self._look_at_fuse(machine, f"the gate of {unit} opens")

    def moved(self, machine: Machine, unit: UnitName, old: str, new: str) -> None:
        """Look at a fuse that was put out."""
        if unit == FUSE and old == "active" and self._needs_fuse(machine):
            self._look_at_fuse(machine, "it is put out")

    # Copies and grants

    def _count(self, unit: UnitName, *, is_planned: bool = False) -> None:
        row = self.state.rows.get(unit, Row(unit=unit))
        if row.spec is None or row.spec.instances is None:
            return
        running = [
            name
            for name, machine in self._machines.items()
            if machine.is_on and not machine.is_forged and machine.services.show(unit).is_populated
        ]
        granted = [grant.node for grant in row.grants.values()]
        # What runs where it is not annotated, or ran before it was, is not the cluster's doing.
        excused = [name for name in running if name in row.found or name not in row.reports]
        stray = [name for name in running if name not in (*granted, *excused)]
        if stray:
            raise ViolationError(f"I2 grant: {unit} runs on {', '.join(stray)}, granted to {granted}")
        if is_planned and len(granted) > row.spec.instances:
            raise ViolationError(f"I1 grants: {unit} is granted to {', '.join(granted)}")

    @staticmethod
    def _is_exclusive(machine: Machine, unit: UnitName) -> bool:
        """Whether a unit is one by its file, and by what the agent has read of it."""
        spec, agent = machine.specs.get(unit), machine.agent
        known = agent.node.desk.specs.get(unit) if agent is not None else None
        return spec is not None and spec.is_exclusive and (known is None or known.is_exclusive)

    # Leases and fuses

    def _precede(self, command: Command) -> None:
        """Look at what must be true when an entry takes effect."""
        if isinstance(command, Fenced) and command.proof is Proof.LEASE:
            self._look_at_lease(command)

    def _look_at_lease(self, command: Fenced) -> None:
        row, machine = self.state.nodes.get(command.node), self._machines[command.node]
        is_void = row is None or row.boot != command.boot or row.since != command.since
        if is_void or machine.agent is None or machine.boot != command.boot:
            return
        lease = machine.agent.node.lease
        age = lease.age_at(machine.clock.now)
        if age is not None and age < lease.timing.lease:
            raise ViolationError(f"I2 lease: {command.node} is fenced {age} us into its lease")

    def _follow(self, command: Command) -> None:
        """Look at what an entry has changed."""
        if isinstance(command, SetNode) and command.has_fuse:
            machine = self._machines[command.node]
            if machine.boot == command.boot and self._needs_fuse(machine):
                self._look_at_fuse(machine, "it is promised")

    def _needs_fuse(self, machine: Machine) -> bool:
        """Whether an exclusive unit runs on a machine, or may start there without its agent's doing."""
        for unit, spec in machine.specs.items():
            is_open = GRANT + unit in machine.run and LEASE in machine.run
            is_in_question = machine.is_on and spec.is_exclusive
            if is_in_question and (is_open or machine.services.show(unit).is_populated):
                return True
        return False

    def _look_at_fuse(self, machine: Machine, occasion: str) -> None:
        row = self.state.nodes.get(machine.name)
        if row is None or not row.has_fuse or row.boot != machine.boot or machine.is_forged:
            return
        if machine.services.show(FUSE).active != "active":
            raise ViolationError(f"I2 fuse: none burns on {machine.name} when {occasion}")
        lease = machine.agent.node.lease if machine.agent is not None else None
        age = lease.age_at(machine.clock.now) if lease is not None else None
        if lease is not None and age is not None:
            left = machine.fuse_left
            if left > lease.timing.lease - age:
                raise ViolationError(
                    f"I2 fuse: {left} us are left of it on {machine.name} after {age} us of the lease, "
                    f"when {occasion}"
                )
