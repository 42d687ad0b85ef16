# SPDX-License-Identifier: LGPL-2.1-or-later
"""What must hold at every moment of every run (architecture, section 5). Knows nothing of faults.

A checker looks at what happened: states of units, processes, entries on disks. What may excuse a state is
something that can be seen as well, such as a provider that crashed or a hold that timed out.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from synod.base.ids import NodeName, Term, UnitName
from synod.base.usec import USEC_PER_MSEC, USEC_PER_SEC
from synod.engine.effects import Effect
from synod.ledger.effects import Persist, Role
from synod.ledger.entries import Entry, ReqId
from synod.model.command import decode_command
from synod.model.spec import UnitSpec
from synod.model.state import ClusterState
from synod.model.unit import hold_of
from synod.sim.clock import Clock
from synod.sim.definitions import UnitFile
from synod.sim.machine import Machine

NEWS_USEC: Final = 10 * USEC_PER_SEC
"""How long the news of a lost provider may take to reach everyone: silence, an election, silence again."""
ANSWER_USEC: Final = 100 * USEC_PER_MSEC
"""How long the answer to a hold, and what PID 1 does with it, may take."""


class ViolationError(AssertionError):
    """An invariant does not hold; the text begins with its name."""


Machines = Mapping[NodeName, Machine]


def is_active(machine: Machine, unit: UnitName) -> bool:
    """Whether a unit does its work on a machine."""
    return machine.is_on and machine.services.show(unit).active == "active"


class Checker:
    """Watches; the base class of all that watch one thing."""

    def stepped(self, machine: Machine, effects: tuple[Effect, ...]) -> None:
        """Look at a node after a step."""

    def moved(self, machine: Machine, unit: UnitName, old: str, new: str) -> None:
        """Look at a change of ActiveState."""

    def populated(self, machine: Machine, unit: UnitName, *, is_populated: bool) -> None:
        """Look at the first process of a unit, or at the end of the last one."""

    def opened(self, machine: Machine, unit: UnitName) -> None:
        """Look at a gate that was opened."""


class CopiesChecker(Checker):
    """I1: never more copies of an exclusive unit than Instances= allows, counting every live process."""

    def __init__(self, machines: Machines) -> None:
        self._machines = machines

    def populated(self, machine: Machine, unit: UnitName, *, is_populated: bool) -> None:
        """Count the copies when there is one more."""
        spec = machine.specs.get(unit)
        if not is_populated or spec is None or spec.instances is None:
            return
        copies = [
            name
            for name, other in self._machines.items()
            if other.is_on and not other.is_forged and other.services.show(unit).is_populated
        ]
        if len(copies) > spec.instances:
            raise ViolationError(f"I1 copies: {unit} runs on {', '.join(copies)}, allowed {spec.instances}")


class OrderChecker(Checker):
    """I3: a dependant runs only between its provider's start and stop, wherever the two run.

    I8: whatever the order, nothing starts without what it requires or is bound to.
    """

    def __init__(self, machines: Machines, clock: Clock) -> None:
        self._machines = machines
        self._clock = clock
        self._crashed: dict[UnitName, int] = {}
        self._held: dict[tuple[NodeName, UnitName], None] = {}
        """Units that had an active hold since they came up: only those were ever exported."""
        self._apart: dict[tuple[NodeName, NodeName], int] = {}
        """When a node whose lease runs out was last without a stream to another one."""

    def stepped(self, machine: Machine, effects: tuple[Effect, ...]) -> None:
        """Note whom a node whose lease runs out cannot reach."""
        desk = machine.agent.node.desk if machine.agent is not None else None
        if desk is not None and desk.must_yield:
            for other in self._machines:
                if other != machine.name and other not in desk.connected:
                    self._apart[machine.name, other] = self._clock.now

    def _is_out_of_reach(self, machine: Machine, other: Machine, dependant: UnitName) -> bool:
        """Whether a node could not wait for another one: it has to stop before its fuse fires.

        What was granted since it was cut off it does not know.
        """
        node = machine.agent.node if machine.agent is not None else None
        if node is None:
            return False
        spec, row = other.specs[dependant], node.state.rows.get(dependant)
        is_known = row is not None and (not spec.is_exclusive or row.grant_on(other.name) is not None)
        was_apart = self._apart.get((machine.name, other.name), -ANSWER_USEC)
        return was_apart + ANSWER_USEC > self._clock.now or (node.desk.must_yield and not is_known)

    def populated(self, machine: Machine, unit: UnitName, *, is_populated: bool) -> None:
        """Look for the providers of what starts, and note what crashes."""
        spec = machine.specs.get(unit)
        if spec is None:
            return
        if not is_populated:
            if machine.services.show(unit).active != "deactivating":
                self._crashed[unit] = self._clock.now
            return
        for provider in (*spec.requires, *spec.binds_to):
            is_up = any(is_active(other, provider) for other in self._machines.values())
            if not is_up and not self._may_be_unknown(machine, provider):
                law = "I3" if provider in spec.after else "I8"
                raise ViolationError(
                    f"{law} start: {unit} starts on {machine.name} while {provider} is up nowhere"
                )

    def _note(self, machine: Machine, unit: UnitName, new: str) -> bool:
        """Keep what may excuse; return whether the unit had a hold."""
        if new == "active":
            self._crashed.pop(unit, None)
            if unit.startswith("synod-hold@"):
                self._held[machine.name, UnitFile(unit=unit).subject] = None
        was_held = (machine.name, unit) in self._held
        if new in ("inactive", "failed"):
            self._held.pop((machine.name, unit), None)
        return was_held

    def _may_be_unknown(self, machine: Machine, provider: UnitName) -> bool:
        """Whether a node may not have heard of a provider's end: a crash, lately or while it was cut off.

        An agent that stands still hears nothing; the fuse or the agent's own watchdog puts an end to that.
        """
        if machine.agent is not None and machine.agent.is_frozen:
            return True
        if provider not in self._crashed:
            return False
        node = machine.agent.node if machine.agent is not None else None
        is_cut_off = node is None or not node.ledger.quorate or not node.desk.is_settled
        return is_cut_off or self._crashed[provider] + NEWS_USEC > self._clock.now

    def moved(self, machine: Machine, unit: UnitName, old: str, new: str) -> None:
        """Look for the dependants of what stops by a job."""
        was_held = self._note(machine, unit, new)
        if old != "active" or new == "active" or unit not in machine.specs:
            return
        if new != "deactivating":
            self._crashed[unit] = self._clock.now
            return
        hold = machine.services.show(hold_of(unit))
        # A restart typed while a stop waits makes PID 1 cancel the hold's stop job and pass it by.
        is_forced = hold.result == "timeout" or hold.active == "deactivating" or not was_held
        if is_forced or any(is_active(other, unit) for other in self._machines.values()):
            return
        if machine.specs[unit].instances != 1 and self._crashed.get(unit, 0) + NEWS_USEC > self._clock.now:
            return  # another instance was to carry the dependants
        for other in self._machines.values():
            for name, spec in other.specs.items():
                is_running = other.is_on and other.services.show(name).is_populated
                is_excused = self._is_out_of_reach(machine, other, name)
                if unit in _ordered_providers(spec) and is_running and not is_excused:
                    raise ViolationError(
                        f"I3 stop: {unit} stops on {machine.name} while {name} runs on {other.name}"
                    )


def _ordered_providers(spec: UnitSpec) -> list[UnitName]:
    return [name for name in (*spec.requires, *spec.binds_to) if name in spec.after]


@dataclass(slots=True)
class _Image:
    """One node's log as it asked for it to be written."""

    life: tuple[int, int] = (0, 0)
    commit: int = 0
    term: int = 0
    entries: list[Entry] = field(default_factory=list)


class LogChecker(Checker):
    """I5 to I7: one leader per term, one order, nothing committed is lost, nothing commits in a minority."""

    def __init__(self, machines: Machines) -> None:
        self._machines = machines
        self._images: dict[NodeName, _Image] = {}
        self._leaders: dict[Term, NodeName] = {}
        self._written: dict[tuple[int, int], Entry] = {}
        self.committed: list[Entry] = []

    def stepped(self, machine: Machine, effects: tuple[Effect, ...]) -> None:
        """Look at what a node's log did."""
        agent = machine.agent
        if agent is None:
            return
        image = self._images.setdefault(machine.name, _Image())
        life = (machine.boots, agent.node.desk.agent)
        if image.life != life:
            self._images[machine.name] = image = _Image(life=life, entries=list(machine.disk.entries))
        for effect in effects:
            if isinstance(effect, Persist):
                self._persist(machine, image, effect)
        ledger = agent.node.ledger
        if ledger.term < image.term or ledger.commit_index < image.commit:
            raise ViolationError(f"log: {machine.name} went back in term or commit")
        image.term = ledger.term
        if (
            ledger.role is Role.LEADER
            and self._leaders.setdefault(ledger.term, machine.name) != machine.name
        ):
            raise ViolationError(
                f"election safety: {self._leaders[ledger.term]} and {machine.name} in {ledger.term}"
            )
        if ledger.commit_index > image.commit:
            self._commit(machine, image, ledger.commit_index, ledger.voters)

    def _persist(self, machine: Machine, image: _Image, persist: Persist) -> None:
        if persist.truncate_from is not None:
            del image.entries[persist.truncate_from - 1 :]
        for entry in persist.entries:
            if entry.index != len(image.entries) + 1:
                raise ViolationError(
                    f"log: {machine.name} writes {entry.index} after {len(image.entries)}"
                )
            image.entries.append(entry)
            if self._written.setdefault((entry.index, entry.term), entry) != entry:
                raise ViolationError(f"log matching: {machine.name} writes another entry {entry.index}")

    def _commit(self, machine: Machine, image: _Image, commit: int, voters: tuple[NodeName, ...]) -> None:
        for position in range(image.commit, commit):
            entry = image.entries[position]
            if position < len(self.committed):
                if self.committed[position] != entry:
                    raise ViolationError(f"I6 lost: {machine.name} committed another entry {entry.index}")
                continue
            holders = [name for name in voters if self._machines[name].disk.holds(entry.index, entry.term)]
            if 2 * len(holders) <= len(voters):
                raise ViolationError(
                    f"I7 minority: {machine.name} committed {entry.index} of {voters}, durable on {holders}"
                )
            self.committed.append(entry)
        image.commit = commit

    def replay(self) -> ClusterState:
        """Return what the committed entries make, applied from the first one."""
        state, known = ClusterState(), dict[ReqId, None]()
        for entry in self.committed:
            if entry.req is not None and entry.req not in known:
                known[entry.req] = None
                state.apply(decode_command(entry.payload), entry.index)
        return state
