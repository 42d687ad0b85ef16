# SPDX-License-Identifier: LGPL-2.1-or-later
"""A whole cluster in one thread: machines, network and clock, driven by one seed and watched by checkers.

The same seed gives the same run, whatever the hash seed of the interpreter: ``trace`` is a digest of
everything that happened, and tests compare it.
"""

import hashlib
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Final

from synod.base.ids import NodeName, UnitName
from synod.base.usec import USEC_PER_SEC
from synod.engine import effects, events
from synod.engine.node import Node
from synod.engine.requests import Admit, FoundCluster, KeepToken, Request, StopUnits
from synod.ledger.effects import Persist
from synod.model.command import RoleWish
from synod.model.spec import UnitSpec
from synod.sim.bonds import BondChecker
from synod.sim.checkers import Checker, CopiesChecker, LogChecker, OrderChecker, is_active
from synod.sim.clock import Clock, Dice
from synod.sim.exclusive import GrantChecker
from synod.sim.leases import LeaseChecker
from synod.sim.machine import Machine, MakeNode
from synod.sim.network import Network

PORT: Final = 7000


class StuckError(AssertionError):
    """Something did not happen within the time allowed."""


@dataclass(slots=True, eq=False)
class Call:
    """A command typed on a node, and what became of it."""

    node: NodeName
    text: str
    begun: int
    status: int | None = None
    answer: str = ""
    ended: int = 0

    @property
    def is_done(self) -> bool:
        """Whether it was answered."""
        return self.status is not None


class World:
    """All there is."""

    def __init__(
        self,
        seed: object = 0,
        nodes: Iterable[str] = ("a", "b", "c"),
        specs: Iterable[UnitSpec] = (),
        *,
        make_node: MakeNode = Node,
    ) -> None:
        self.seed = seed
        self.clock = Clock()
        self.dice = Dice("world", seed)
        self.network = Network(self.clock, self.dice.fork("network"))
        self.machines: dict[NodeName, Machine] = {}
        self.calls: list[Call] = []
        specs = tuple(specs)
        self.specs = {spec.unit: spec for spec in specs}
        """The annotations that all nodes have, unless a fault has changed them."""
        self.say: Callable[[str], None] | None = None
        """Told of every event, for people."""
        self._trace = hashlib.sha256()
        self.steps = 0
        self.log = LogChecker(self.machines)
        self.grants = GrantChecker(self.machines, self.log)
        self._checkers: tuple[Checker, ...] = (
            self.log,
            CopiesChecker(self.machines),
            OrderChecker(self.machines, self.clock),
            BondChecker(self.machines, self.clock),
            self.grants,
            LeaseChecker(self.machines, self.clock),
        )
        for name in map(NodeName, nodes):
            dice = self.dice.fork("machine", name)
            machine = Machine(name, self.clock, dice, self.network, self, make_node)
            machine.files.load({spec.unit: spec for spec in specs})
            machine.switch_off = self._switch_off
            self.machines[name] = machine

    def __getitem__(self, name: str) -> Machine:
        return self.machines[NodeName(name)]

    # Time

    def run(self, usec: int) -> None:
        """Let time pass."""
        until = self.clock.now + usec
        while self.clock.advance(until):
            pass

    def run_until(self, condition: Callable[[], bool], what: str, usec: int = 60 * USEC_PER_SEC) -> None:
        """Let time pass until something holds; StuckError when that takes too long."""
        until = self.clock.now + usec
        while not condition():
            if not self.clock.advance(until) and not condition():
                raise StuckError(f"seed {self.seed}: within {usec / USEC_PER_SEC} s: {what}")

    # Forming a cluster

    def form(self, joiners: Iterable[str] | None = None, *, founder: str | None = None) -> None:
        """Switch everything on, found a cluster on the first node and let the others join."""
        first = self.machines[NodeName(founder)] if founder else next(iter(self.machines.values()))
        names = (
            [NodeName(name) for name in joiners]
            if joiners is not None
            else [name for name in self.machines if name != first.name]
        )
        for machine in self.machines.values():
            if not machine.is_on:
                machine.power_on()
        self.run_until(lambda: all("booted" in m.run for m in self.machines.values()), "all nodes boot")
        self.init(first.name)
        for name in names:
            self.join(name, first.name)
        members = [first.name, *names]
        self.run_until(lambda: all(self.is_settled(name) for name in members), "all nodes have joined")

    def init(self, name: str) -> None:
        """Found a cluster on a node."""
        machine = self[name]
        machine.founders, machine.is_member = (machine.name,), True
        machine.start_agent()
        found = FoundCluster(
            cluster="test", cluster_id=f"id-{self.seed}", address=name, port=PORT, fingerprint=f"cert-{name}"
        )
        self.wait(self.synodctl(name, found))

    def join(self, name: str, by: str, role: RoleWish = RoleWish.AUTOMATIC) -> Call:
        """Let a node join through a member; ask again while the log moves."""
        token, secret = f"token-{name}-{self.steps}", b"secret"
        self.wait(self.synodctl(by, KeepToken(token=token, secret_hash=secret)))
        machine = self[name]
        admit = Admit(
            token=token, secret_hash=secret, node=machine.name, address=name, port=PORT,
            fingerprint=f"cert-{name}", role=role,
        )  # fmt: skip
        call = self.wait(self.synodctl(by, admit))
        if call.status == 0:
            machine.is_member, machine.is_agent_wanted = True, True
            if machine.agent is None:
                machine.start_agent()
        return call

    def is_settled(self, name: NodeName) -> bool:
        """Whether a node's agent knows itself to be a member of today."""
        agent = self.machines[name].agent
        return agent is not None and agent.node.desk.is_settled

    # Commands

    def systemctl(self, node: str, verb: str, unit: str) -> Call:
        """Type systemctl VERB UNIT on a node."""
        call = self._call(node, f"systemctl {verb} {unit}")

        def done(result: str) -> None:
            self._answer(call, 0 if result == "done" else 1, result)

        machine = self[node]
        if verb == "stop":
            self.grants.words.stopped[UnitName(unit)] = None
        if machine.is_on:
            machine.services.run(verb, UnitName(unit), done)
        else:
            self._answer(call, 255, "no power")
        return call

    def synodctl(self, node: str, request: Request) -> Call:
        """Ask a node's agent, as synodctl does."""
        call = self._call(node, repr(request))
        agent = self[node].agent
        if isinstance(request, StopUnits):
            self.grants.words.stopped[request.unit] = None
        if agent is None:
            self._answer(call, 7, "the agent does not answer")
        else:
            agent.ask(request, lambda status, text: self._answer(call, status, text))
        return call

    def wait(self, call: Call, usec: int = 200 * USEC_PER_SEC) -> Call:
        """Let time pass until a command is answered."""
        self.run_until(lambda: call.is_done, f"{call.text} on {call.node} is answered", usec)
        return call

    def _call(self, node: str, text: str) -> Call:
        call = Call(NodeName(node), text, self.clock.now)
        self.calls.append(call)
        self._note(f"{node} $ {text}")
        return call

    def _answer(self, call: Call, status: int, text: str) -> None:
        if not call.is_done:
            call.status, call.answer, call.ended = status, text, self.clock.now
            self._note(f"{call.node} $ {call.text}: {status} {text}")

    # Questions

    def active(self, unit: str) -> list[str]:
        """List the nodes on which a unit is active."""
        name = UnitName(unit)
        return [machine.name for machine in self.machines.values() if is_active(machine, name)]

    def leader(self) -> Machine | None:
        """Return the machine that leads a majority."""
        for machine in self.machines.values():
            if machine.agent is not None and machine.agent.node.ledger.quorate:
                ledger = machine.agent.node.ledger
                if ledger.leader == machine.name:
                    return machine
        return None

    # Watching

    @property
    def trace(self) -> str:
        """A digest of everything that happened so far."""
        return self._trace.hexdigest()

    def _note(self, line: str) -> None:
        self._trace.update(f"{self.clock.now} {line}\n".encode())
        if self.say is not None:
            self.say(f"{self.clock.now / USEC_PER_SEC:12.6f} {line}")

    def step(self, machine: Machine, event: events.Event) -> tuple[effects.Effect, ...]:
        """Let a node digest an event."""
        assert machine.agent is not None
        self.steps += 1
        is_talk = isinstance(event, events.Tick | events.Received | events.Persisted)
        if is_talk:
            self._trace.update(f"{self.clock.now} {machine.name} {type(event).__name__}\n".encode())
        else:
            self._note(f"{machine.name} <- {event}")
        asked = machine.agent.node.step(event, machine.clock.now)
        for effect in asked:
            if not isinstance(effect, effects.Send | Persist):
                self._note(f"{machine.name} -> {effect}")
        for checker in self._checkers:
            checker.stepped(machine, asked)
        return asked

    def moved(self, machine: Machine, unit: UnitName, old: str, new: str) -> None:
        """Note a change of a unit's state."""
        self._note(f"{machine.name} == {unit} {old} -> {new}")
        for checker in self._checkers:
            checker.moved(machine, unit, old, new)

    def populated(self, machine: Machine, unit: UnitName, *, is_populated: bool) -> None:
        """Note that a unit has processes, or none any more."""
        for checker in self._checkers:
            checker.populated(machine, unit, is_populated=is_populated)

    def opened(self, machine: Machine, unit: UnitName) -> None:
        """Note that a gate was opened."""
        for checker in self._checkers:
            checker.opened(machine, unit)

    def _switch_off(self, name: NodeName) -> None:
        machine = self.machines[name]
        machine.power_cut()
        machine.power_on_later(machine.dice.between(1, 5) * USEC_PER_SEC)
