# SPDX-License-Identifier: LGPL-2.1-or-later
"""Words in which the scenarios of this folder are written."""

from collections.abc import Callable

from synod.base.ids import UnitName
from synod.base.messages import MessageId
from synod.base.usec import USEC_PER_MSEC, USEC_PER_SEC
from synod.config.terms import parse_condition, parse_preference
from synod.engine.requests import Request
from synod.model.rows import Row
from synod.model.spec import UnitSpec
from synod.sim.definitions import Behaviour
from synod.sim.machine import Machine
from synod.sim.world import Call, World

MSEC = USEC_PER_MSEC
SEC = USEC_PER_SEC


def u(name: str) -> UnitName:
    return UnitName(f"{name}.service")


def spec(name: str, **keys: object) -> UnitSpec:
    """Annotate NAME.service; names in lists are short as well."""
    lists = ("after", "before", "requires", "wants", "binds_to", "colocate_with", "separate_from")
    values = {
        key: tuple(u(word) for word in str(value).split()) if key in lists else value
        for key, value in keys.items()
    }
    for key in ("nodes", "avoid_nodes"):
        if key in values:
            values[key] = tuple(str(values[key]).split())
    for key, parse in (("where", parse_condition), ("prefer", parse_preference)):
        if key in values:
            values[key] = tuple(parse(word) for word in str(values[key]).split())
    return UnitSpec(unit=u(name), **values)  # type: ignore[arg-type]


DB = spec("db")
WEB = spec("web", requires="db", after="db")
BOUND_WEB = spec("web", binds_to="db", after="db")


def on(name: str, *nodes: str, **keys: object) -> UnitSpec:
    """Annotate NAME.service with Nodes=."""
    return spec(name, nodes=" ".join(nodes), **keys)


def cluster(*specs: UnitSpec, nodes: str = "abc", seed: object = 0) -> World:
    """Return a formed cluster with these units on every node."""
    world = World(seed, nodes, specs)
    world.form()
    return world


def systemctl(world: World, node: str, verb: str, name: str) -> Call:
    """Run systemctl to its end, and let the journal be written."""
    call = world.wait(world.systemctl(node, verb, u(name)))
    world.run(10 * MSEC)
    return call


def synodctl(world: World, node: str, request: Request) -> Call:
    """Run synodctl to its end."""
    return world.wait(world.synodctl(node, request), 400 * SEC)


def behave(world: World, name: str, node: str | None = None, **settings: int | None) -> None:
    """Say how a service behaves, everywhere or on one node."""
    for machine in world.machines.values():
        if node in (None, machine.name):
            behaviour = machine.behaviours.setdefault(u(name), Behaviour())
            for key, value in settings.items():
                setattr(behaviour, key, value)


def row(world: World, name: str) -> Row:
    """Return a unit's row as the leader knows it."""
    leader = world.leader()
    assert leader is not None
    assert leader.agent is not None
    return leader.agent.node.state.rows[u(name)]


def where(world: World, name: str) -> str:
    """Return the names of the nodes on which a unit is active, in one word."""
    return "".join(world.active(u(name)))


def becomes(world: World, condition: Callable[[], bool], what: str, usec: int = 30 * SEC) -> None:
    """Wait for something, and see that it stays so for a second."""
    world.run_until(condition, what, usec)
    world.run(SEC)
    assert condition(), f"{what}: it did not last"


def said(machine: Machine, message: MessageId, name: str | None = None) -> list[str]:
    """Return the texts of journal records of one kind."""
    unit = u(name) if name is not None else None
    return [text for _, text, about, kind in machine.journal if kind is message and unit in (None, about)]


def gate_text(machine: Machine, name: str) -> list[str]:
    """Return what the gate of a unit printed."""
    gate = f"synod-gate@{u(name)}.service"
    return [text for _, text, about, _ in machine.journal if about == gate]


class Order:
    """Notes the changes of state of all units, in order of time."""

    def __init__(self, world: World) -> None:
        self.lines: list[str] = []
        for machine in world.machines.values():
            self._listen(machine)

    def _listen(self, machine: Machine) -> None:
        inner = machine.moved

        def moved(unit: UnitName, old: str, new: str) -> None:
            self.lines.append(f"{unit.removesuffix('.service')} {new} {machine.name}")
            inner(unit, old, new)

        machine.moved = moved  # type: ignore[method-assign]

    def index(self, text: str) -> int:
        """Return the place of the first line that begins so."""
        return next(place for place, line in enumerate(self.lines) if line.startswith(text))
