# SPDX-License-Identifier: LGPL-2.1-or-later
"""Schedules of misfortune and of users, drawn from a seed before the run: they can be read and cut short.

A run is: form a cluster, let things happen, repair everything, and see the cluster do what was asked of it.
"""

from dataclasses import dataclass
from typing import Any, Final

from synod.base.ids import NodeName, UnitName
from synod.base.usec import USEC_PER_MSEC, USEC_PER_SEC, Usec
from synod.engine.node import Node
from synod.model.attributes import Preference
from synod.model.spec import UnitSpec
from synod.sim.aftermath import agree, calm, converge
from synod.sim.checkers import ViolationError
from synod.sim.clock import Dice
from synod.sim.deeds import Deed, do
from synod.sim.definitions import Behaviour
from synod.sim.machine import MakeNode
from synod.sim.world import StuckError, World

DRIFT_PPM_MAX: Final = 4900
"""Two clocks differ by less than 1 % in speed."""

SHORT_REST_USEC: Final = 2 * USEC_PER_SEC
LONG_REST_USEC: Final = 12 * USEC_PER_SEC
"""Longer than a mirror lingers; most seeds spend their time better in other storms."""


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
    "drift": 3,
    "forget": 3,
    "confirm": 2,
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
