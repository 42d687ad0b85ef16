# SPDX-License-Identifier: LGPL-2.1-or-later
"""After the storm: repair everything, and require that the cluster does what was asked of it, and rests."""

from typing import Final

from synod.base.ids import UnitName
from synod.base.usec import USEC_PER_MSEC, USEC_PER_SEC
from synod.engine.node import Node
from synod.engine.requests import Drain
from synod.engine.verdict import Prospect
from synod.model.command import Desired
from synod.sim.checkers import ViolationError, is_active
from synod.sim.world import StuckError, World

CONVERGENCE_USEC: Final = 150 * USEC_PER_SEC
"""Longest wait that may be under way when the faults end (a waiter's 100 s), and what follows from it."""
LOOK_USEC: Final = 500 * USEC_PER_MSEC


def calm(world: World) -> None:
    """Repair everything that is broken."""
    world.network.heal_all()
    world.network.reset_chance = 0.0
    world.network.datagrams.loss_chance = 0.01
    world.network.delay_usec = USEC_PER_MSEC
    for machine in world.machines.values():
        machine.disk.delay_usec = 2 * USEC_PER_MSEC
        if machine.disk.is_broken:
            machine.disk.is_broken = False
            machine.kill_agent()
        for behaviour in machine.behaviours.values():
            behaviour.failures = 0
        if machine.specs != world.specs:
            machine.reload(world.specs)
        machine.is_crash_looping = False
        machine.devices.update(dict.fromkeys(machine.devices, "works"))


def attend(world: World) -> None:
    """Do what an operator does after a bad day: switch everything on, and let every node run units."""
    for machine in world.machines.values():
        if not machine.is_on:
            machine.power_on()
        elif not machine.is_agent_wanted and not machine.is_going_down:
            machine.is_agent_wanted = True
            machine.start_agent_later(0)
    leader = world.leader()
    if leader is not None and leader.agent is not None:
        for name, node in leader.agent.node.state.nodes.items():
            if node.is_drained:
                world.synodctl(leader.name, Drain(node=name, is_drained=False))


def converge(world: World, *, rest_usec: int) -> None:
    """Require that every unit comes to where it is wanted, and stays there for a while.

    What the storm has left under way may disturb the rest once more, a fence device's late success for one.
    """
    until, since = world.clock.now + CONVERGENCE_USEC, world.clock.now
    while since + rest_usec > world.clock.now:
        attend(world)
        world.run(LOOK_USEC)
        reasons = unrest(world)
        if reasons:
            since = world.clock.now
        if since >= until:
            raise StuckError(f"seed {world.seed}: no rest: {'; '.join(reasons)}")


def agree(world: World) -> None:
    """Require that every node knows what the committed entries say, applied from the first one (I5)."""
    state = world.log.replay()
    for machine in world.machines.values():
        if machine.agent is not None and machine.agent.node.state != state:
            raise ViolationError(f"I5 replay: {machine.name} knows another state than the log says")


def unrest(world: World) -> list[str]:
    """Say what is not as it should be once nothing disturbs; empty when all is."""
    leader = world.leader()
    if leader is None or leader.agent is None:
        return ["nobody leads"]
    node = leader.agent.node
    for machine in world.machines.values():
        is_here = machine.is_agent_wanted and not machine.is_going_down
        if not world.is_settled(machine.name) or not is_here:
            return [f"{machine.name} is not settled"]
        assert machine.agent is not None
        if machine.agent.is_frozen:
            return [f"the agent of {machine.name} stands still"]
        if machine.agent.node.state.applied != node.state.applied or machine.services.is_busy():
            return [f"{machine.name} is busy"]
    return [reason for unit in node.state.rows if (reason := _unrest_of(world, node, unit))]


def _unrest_of(world: World, node: Node, unit: UnitName) -> str:
    row = node.state.rows[unit]
    running = [machine.name for machine in world.machines.values() if is_active(machine, unit)]
    if row.spec is None:
        return ""
    if row.spec.is_exclusive:
        granted = sorted(grant.node for grant in row.grants.values())
        if any(name not in granted for name in running):
            return f"{unit} runs on {running}, granted to {granted}"
        if any(grant.is_revoked for grant in row.grants.values()):
            return f"{unit} is to be given back"
        if row.desired is not Desired.STARTED and granted:
            return f"{unit} is not wanted and granted to {granted}"
    if row.is_wanted:
        verdict = node.judge.verdict(unit)
        if verdict.prospect is Prospect.WAITING and not _hangs(world, node, unit):
            return f"{unit} is waiting: {verdict.text}"
        if row.spec.is_exclusive and verdict.prospect is Prospect.UP and not running:
            return f"{unit} is said to be up and is not"
    return ""


def _hangs(world: World, node: Node, unit: UnitName, seen: tuple[UnitName, ...] = ()) -> bool:
    """Whether a unit waits for one that runs everywhere and has failed, or was stopped, everywhere.

    Nobody but its own administrator starts such a unit again; After= waits for it as well.
    """
    row = node.state.rows.get(unit)
    if row is None or row.spec is None or unit in seen:
        return False
    if not row.spec.is_exclusive:
        return not any(is_active(machine, unit) for machine in world.machines.values())
    after = [name for name in row.spec.after if name in node.state.rows and node.state.rows[name].is_wanted]
    names = (*row.spec.requires, *row.spec.binds_to, *row.spec.colocate_with, *after)
    return any(_hangs(world, node, name, (*seen, unit)) for name in names)
