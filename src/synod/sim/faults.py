# SPDX-License-Identifier: LGPL-2.1-or-later
"""Schedules of misfortune and of users, drawn from a seed before the run: they can be read and cut short.

A run is: form a cluster, let things happen, repair everything, and see the cluster do what was asked of it.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

from synod.base.ids import NodeName, UnitName
from synod.base.usec import USEC_PER_MSEC, USEC_PER_SEC, Usec
from synod.engine.events import DevicesLoaded
from synod.engine.node import Node
from synod.engine.requests import Drain, MoveTo, StartUnits, StopUnits
from synod.model.attributes import Preference
from synod.model.spec import UnitSpec
from synod.sim.aftermath import agree, calm, converge
from synod.sim.checkers import ViolationError, is_active
from synod.sim.clock import Dice
from synod.sim.definitions import Behaviour
from synod.sim.machine import Machine, MakeNode
from synod.sim.world import StuckError, World

DRIFT_PPM_MAX: Final = 4900
"""Two clocks differ by less than 1 % in speed."""

SHORT_REST_USEC: Final = 2 * USEC_PER_SEC
LONG_REST_USEC: Final = 12 * USEC_PER_SEC
"""Longer than a mirror lingers; most seeds spend their time better in other storms."""


@dataclass(frozen=True, slots=True)
class Deed:
    """One thing that happens at a moment of a run."""

    after_usec: int
    """Time since the deed before."""
    name: str
    node: NodeName
    unit: UnitName
    other: NodeName
    amount: int


@dataclass(slots=True)
class Storm:
    """A world and what is going to happen in it."""

    world: World
    deeds: list[Deed]
    rest_usec: int
    """How long all has to stay at rest at the end."""


_WEIGHTS: Final = {
    "start": 22,
    "stop": 14,
    "restart": 8,
    "crash": 10,
    "kill": 12,
    "cut": 6,
    "isolate": 5,
    "heal": 12,
    "reset": 6,
    "power": 5,
    "boot": 10,
    "reboot": 4,
    "drain": 3,
    "undrain": 4,
    "move": 3,
    "startd": 4,
    "stopd": 3,
    "agent": 2,
    "weather": 3,
    "reload": 2,
    "disk": 2,
    "freeze": 8,
    "crashloop": 4,
    "holder": 6,
    "leader": 4,
    "both": 3,
    "cutoff": 6,
    "oneway": 5,
    "blackout": 2,
    "device": 4,
    "slow": 3,
}
_BAG: Final = tuple(name for name, weight in _WEIGHTS.items() for _ in range(weight))


def draw_specs(dice: Dice, names: tuple[NodeName, ...]) -> list[UnitSpec]:
    """Draw a handful of units, their edges always towards those before them."""
    specs: list[UnitSpec] = []
    units = [UnitName(f"u{number}.service") for number in range(dice.between(2, 5))]
    for place, unit in enumerate(units):
        earlier = [name for name in units[:place] if dice.chance(0.6)]
        kinds = [dice.pick(("requires", "requires", "binds_to", "wants", "")) for _ in earlier]
        chosen = {
            kind: tuple(name for name, k in zip(earlier, kinds, strict=True) if k == kind)
            for kind in ("requires", "binds_to", "wants")
        }
        specs.append(
            UnitSpec(
                unit=unit,
                after=tuple(name for name in earlier if dice.chance(0.9)),
                requires=chosen["requires"],
                binds_to=chosen["binds_to"],
                wants=chosen["wants"],
                colocate_with=(units[place - 1],) if place and dice.chance(0.08) else (),
                separate_from=(units[place - 1],) if place > 1 and dice.chance(0.08) else (),
                nodes=tuple(name for name in names if dice.chance(0.7)) if dice.chance(0.4) else (),
                instances=dice.pick((1, 1, 1, 1, 1, 2, None)),
                dependency_timeout_usec=Usec(dice.pick((5, 20, 90)) * USEC_PER_SEC),
                **draw_placement(dice, names),
            )
        )
    return specs


def draw_placement(dice: Dice, names: tuple[NodeName, ...]) -> dict[str, Any]:
    """Draw what is preferred, who goes first, and how often a unit may fail."""
    prefer = [name for name in names if dice.chance(0.2)]
    return {
        "prefer": tuple(
            Preference(attribute="name", value=name, score=dice.pick((-10, 10, 1000))) for name in prefer
        ),
        "priority": dice.pick((0, 0, 0, 1, 2)),
        "stickiness": dice.pick((0, 1, 1, 100)),
        "failure_limit": dice.pick((0, 1, 3, 3)),
        "failure_expire_usec": Usec(dice.pick((5, 600)) * USEC_PER_SEC),
    }


def draw_behaviour(dice: Dice) -> Behaviour:
    """Draw how a service behaves."""
    return Behaviour(
        start_usec=dice.pick((1, 20, 200, 1500)) * USEC_PER_MSEC,
        stop_usec=dice.pick((1, 20, 20, 200, 1500, 8000)) * USEC_PER_MSEC,
        linger_usec=dice.pick((0, 0, 0, 300)) * USEC_PER_MSEC,
        failures=dice.pick((0, 0, 0, 0, 1)),
        restart_usec=dice.pick((None, 100, 1000)) and dice.pick((100, 1000)) * USEC_PER_MSEC,
    )


def draw_devices(dice: Dice, world: World) -> None:
    """Give some nodes fence devices for some others; most clusters have none."""
    chance = dice.pick((0.0, 0.0, 0.0, 0.3, 0.8))
    for machine in world.machines.values():
        for target in world.machines:
            if target != machine.name and dice.chance(chance):
                machine.devices[target] = dice.pick(("works", "works", "works", "fails", "hangs"))


def make_storm(seed: int, *, make_node: MakeNode = Node, count: int | None = None) -> Storm:
    """Draw a world and a schedule; ``count`` limits the deeds."""
    dice = Dice("storm", seed)
    names = tuple(NodeName(f"n{number}") for number in range(1, dice.pick((2, 3, 3, 3, 4, 5)) + 1))
    world = World(seed, names, draw_specs(dice, names), make_node=make_node)
    units = tuple(next(iter(world.machines.values())).specs)
    for machine in world.machines.values():
        machine.behaviours.update({unit: draw_behaviour(dice) for unit in units})
        machine.enabled = [unit for unit in units if dice.chance(0.3)]
        machine.news_usec = dice.pick((2, 2, 2, 2, 20, 200)) * USEC_PER_MSEC
    draw_devices(dice, world)
    if dice.chance(0.5):
        for machine in world.machines.values():
            machine.drift(world.clock, dice.between(-DRIFT_PPM_MAX, DRIFT_PPM_MAX))
    world.network.delay_usec = dice.pick((1, 1, 5, 30)) * USEC_PER_MSEC
    deeds = [
        Deed(
            after_usec=dice.pick((1, 10, 50, 300, 1000, 3000)) * dice.between(200, 1500),
            name=dice.pick(_BAG),
            node=dice.pick(names),
            unit=dice.pick(units),
            other=dice.pick(names),
            amount=dice.below(1000),
        )
        for _ in range(dice.between(10, 45))
    ]
    rest_usec = dice.pick((SHORT_REST_USEC, SHORT_REST_USEC, SHORT_REST_USEC, LONG_REST_USEC))
    return Storm(world, deeds if count is None else deeds[:count], rest_usec)


def play(storm: Storm) -> World:
    """Run a schedule to its end; AssertionError names what does not hold, and the seed."""
    world = storm.world
    try:
        world.form()
        for deed in storm.deeds:
            world.run(deed.after_usec)
            do(world, deed)
        calm(world)
        converge(world, rest_usec=storm.rest_usec)
        agree(world)
    except (ViolationError, StuckError, AssertionError) as error:
        when = world.clock.now / USEC_PER_SEC
        error.add_note(f"at {when:.6f} s; reproduce: python -m synod.sim {world.seed}")
        raise
    return world


def do(world: World, deed: Deed) -> None:
    """Do one deed; what makes no sense at this moment is left out."""
    machine = world.machines[deed.node]
    _DEEDS[deed.name](world, machine, deed)


# Deeds

_Deed = Callable[[World, Machine, Deed], None]


def _systemctl(verb: str) -> _Deed:
    return lambda world, machine, deed: (world.systemctl(machine.name, verb, deed.unit), None)[1]


def _crash(world: World, machine: Machine, deed: Deed) -> None:
    for other in world.machines.values():
        if is_active(other, deed.unit):
            return other.services.crash(deed.unit)
    return None


def _kill(world: World, machine: Machine, deed: Deed) -> None:
    leader = world.leader()
    (leader if leader is not None and deed.amount < 300 else machine).kill_agent()


def _cut(world: World, machine: Machine, deed: Deed) -> None:
    if deed.node != deed.other:
        world.network.cut(deed.node, deed.other)


def _isolate(world: World, machine: Machine, deed: Deed) -> None:
    side = [name for place, name in enumerate(world.machines) if deed.amount >> place & 1]
    world.network.isolate(lambda name: name in side, tuple(world.machines))


def _power(world: World, machine: Machine, deed: Deed) -> None:
    machine.power_cut()


def _power_cut_of_holder(world: World, machine: Machine, deed: Deed) -> None:
    for other in world.machines.values():
        if is_active(other, deed.unit):
            return other.power_cut()
    return None


def _power_cut_of_leader(world: World, machine: Machine, deed: Deed) -> None:
    leader = world.leader()
    if leader is not None:
        leader.power_cut()


def _power_cut_of_both(world: World, machine: Machine, deed: Deed) -> None:
    _power_cut_of_holder(world, machine, deed)
    _power_cut_of_leader(world, machine, deed)


def _blackout(world: World, machine: Machine, deed: Deed) -> None:
    for other in world.machines.values():
        other.power_cut()
        if deed.amount < 500:
            other.power_on_later(deed.amount * USEC_PER_MSEC)


def _cut_off(world: World, machine: Machine, deed: Deed) -> None:
    """Cut a machine off; its own kernel knows of it, or a switch further away is to blame."""
    if deed.amount % 3 == 0:
        world.network.unplug(deed.node, tuple(world.machines))
    else:
        world.network.isolate(lambda name: name == deed.node, tuple(world.machines))


def _cut_one_way(world: World, machine: Machine, deed: Deed) -> None:
    others = [deed.other] if deed.amount < 600 else [name for name in world.machines if name != deed.node]
    for other in others:
        if other != deed.node:
            world.network.cut_one_way(deed.node, other)


def _freeze(world: World, machine: Machine, deed: Deed) -> None:
    leader = world.leader()
    victim = leader if leader is not None and deed.amount % 3 == 0 else machine
    victim.freeze_agent((300, 1500, 3000, 4500, 6000, 9000, 30_000)[deed.amount % 7] * USEC_PER_MSEC)


def _crash_loop(world: World, machine: Machine, deed: Deed) -> None:
    """Let the agent die again and again, each time a little after its start."""
    until = world.clock.now + 2 * USEC_PER_SEC + deed.amount * 8 * USEC_PER_MSEC

    def again() -> None:
        if machine.is_on and not machine.is_going_down:
            machine.kill_agent()
        machine.is_crash_looping = world.clock.now < until and machine.is_crash_looping
        if machine.is_crash_looping:
            world.clock.after((300 + deed.amount % 5 * 150) * USEC_PER_MSEC, again)

    machine.is_crash_looping = True
    again()


def _change_device(world: World, machine: Machine, deed: Deed) -> None:
    """Change how a device behaves, which nobody is told, or whether there is one, which the agent tells."""
    if deed.node == deed.other:
        return
    if deed.other in machine.devices and deed.amount < 600:
        machine.devices[deed.other] = ("works", "fails", "hangs")[deed.amount % 3]
        return
    if deed.other in machine.devices:
        del machine.devices[deed.other]
    elif any(other.devices for other in world.machines.values()):
        machine.devices[deed.other] = "works"
    if machine.agent is not None:
        machine.agent.step(DevicesLoaded(targets=tuple(machine.devices)))


def _slow_down(world: World, machine: Machine, deed: Deed) -> None:
    machine.behaviours[deed.unit].stop_usec = 8 * USEC_PER_SEC


def _boot(world: World, machine: Machine, deed: Deed) -> None:
    for other in world.machines.values():
        if not other.is_on:
            return other.power_on()
        if other.agent is None and not other.is_agent_wanted:
            other.is_agent_wanted = True
            return other.start_agent_later(0)
    return None


def _reboot(world: World, machine: Machine, deed: Deed) -> None:
    if machine.is_agent_wanted:  # without an agent the drain and the holds wait for minutes
        machine.shut_down(is_reboot=deed.amount < 700)


def _drain(world: World, machine: Machine, deed: Deed) -> None:
    world.synodctl(machine.name, Drain(node=deed.other, is_drained=True))


def _undrain(world: World, machine: Machine, deed: Deed) -> None:
    world.synodctl(machine.name, Drain(node=deed.other, is_drained=False))


def _move(world: World, machine: Machine, deed: Deed) -> None:
    world.synodctl(machine.name, MoveTo(unit=deed.unit, node=deed.other))


def _start_everywhere(world: World, machine: Machine, deed: Deed) -> None:
    world.synodctl(machine.name, StartUnits(unit=deed.unit, is_waiting=deed.amount < 500))


def _stop_everywhere(world: World, machine: Machine, deed: Deed) -> None:
    world.synodctl(machine.name, StopUnits(unit=deed.unit, is_waiting=deed.amount < 500))


def _stop_agent(world: World, machine: Machine, deed: Deed) -> None:
    if not machine.is_going_down:  # else its drain would wait for minutes
        machine.stop_agent()


def _weather(world: World, machine: Machine, deed: Deed) -> None:
    world.network.reset_chance = (0.0, 0.0, 0.01, 0.05)[deed.amount % 4]
    world.network.datagrams.loss_chance = (0.01, 0.01, 0.1, 0.4)[deed.amount % 4]
    machine.disk.delay_usec = (2, 20, 300, 2000)[deed.amount // 4 % 4] * USEC_PER_MSEC


def _reload(world: World, machine: Machine, deed: Deed) -> None:
    machine.reload(machine.specs)


def _break_disk(world: World, machine: Machine, deed: Deed) -> None:
    machine.disk.is_broken = True


_DEEDS: Final[dict[str, _Deed]] = {
    "start": _systemctl("start"),
    "stop": _systemctl("stop"),
    "restart": _systemctl("restart"),
    "crash": _crash,
    "kill": _kill,
    "cut": _cut,
    "isolate": _isolate,
    "heal": lambda world, machine, deed: world.network.heal_all(),
    "reset": lambda world, machine, deed: world.network.reset(deed.node, deed.other),
    "power": _power,
    "boot": _boot,
    "reboot": _reboot,
    "drain": _drain,
    "undrain": _undrain,
    "move": _move,
    "startd": _start_everywhere,
    "stopd": _stop_everywhere,
    "agent": _stop_agent,
    "weather": _weather,
    "reload": _reload,
    "disk": _break_disk,
    "freeze": _freeze,
    "crashloop": _crash_loop,
    "holder": _power_cut_of_holder,
    "leader": _power_cut_of_leader,
    "both": _power_cut_of_both,
    "cutoff": _cut_off,
    "oneway": _cut_one_way,
    "blackout": _blackout,
    "device": _change_device,
    "slow": _slow_down,
}
