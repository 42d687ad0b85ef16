# SPDX-License-Identifier: LGPL-2.1-or-later
"""Deeds: what can happen to a world in a storm, one function each."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Final

from synod.base.ids import NodeName, UnitName
from synod.base.usec import USEC_PER_MSEC, USEC_PER_SEC
from synod.engine.events import DevicesLoaded
from synod.engine.requests import ConfirmOff, Drain, MoveTo, StartUnits, StopUnits
from synod.sim.checkers import is_active
from synod.sim.machine import Machine
from synod.sim.world import World


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


def do(world: World, deed: Deed) -> None:
    """Do one deed; what makes no sense at this moment is left out."""
    machine = world.machines[deed.node]
    _DEEDS[deed.name](world, machine, deed)


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


def _drift(world: World, machine: Machine, deed: Deed) -> None:
    """Change an annotation on one node; every third time it is the one that the others have."""
    spec = world.specs[deed.unit]
    instances = (spec.instances, 1, 2, None)[deed.amount // 3 % 4]
    changed = spec if deed.amount % 3 == 0 else replace(spec, priority=deed.amount % 5, instances=instances)
    machine.reload({**machine.specs, deed.unit: changed})


def _forget(world: World, machine: Machine, deed: Deed) -> None:
    """Take an annotation away on one node, or bring it back."""
    specs = dict(machine.specs)
    if specs.pop(deed.unit, None) is None:
        specs[deed.unit] = world.specs[deed.unit]
    machine.reload(specs)


def _confirm_off(world: World, machine: Machine, deed: Deed) -> None:
    """Confirm of every machine without power that it has none."""
    for other in world.machines.values():
        if not other.is_on:
            world.synodctl(machine.name, ConfirmOff(node=other.name))


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
    "drift": _drift,
    "forget": _forget,
    "confirm": _confirm_off,
}
