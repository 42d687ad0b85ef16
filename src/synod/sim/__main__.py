# SPDX-License-Identifier: LGPL-2.1-or-later
"""python -m synod.sim SEED [DEEDS]: play one seed again and say what happened."""

import sys

from synod.base.usec import USEC_PER_SEC
from synod.sim.storms import make_storm, play
from synod.sim.world import World


def main(arguments: list[str]) -> int:
    """Run the seed, or its first DEEDS deeds only; return 0 when everything held, 2 for a wrong call."""
    if len(arguments) not in (1, 2) or not all(word.isdecimal() for word in arguments):
        sys.stderr.write("usage: python -m synod.sim SEED [DEEDS]\n")
        return 2
    storm = make_storm(int(arguments[0]), count=int(arguments[1]) if len(arguments) == 2 else None)
    world = storm.world
    for spec in next(iter(world.machines.values())).specs.values():
        sys.stdout.write(f"{spec}\n")
    for machine in world.machines.values():
        for unit, behaviour in machine.behaviours.items():
            sys.stdout.write(f"{machine.name} {unit} {behaviour}\n")
    for number, deed in enumerate(storm.deeds):
        sys.stdout.write(f"{number} {deed}\n")
    world.say = lambda line: (sys.stdout.write(f"{line}\n"), None)[1]
    try:
        play(storm)
    except AssertionError as error:
        notes = "; ".join(getattr(error, "__notes__", ()))
        sys.stdout.write(f"seed={arguments[0]} steps={world.steps} trace={world.trace}\n{error}\n{notes}\n")
        return 1
    sys.stdout.write(f"seed={arguments[0]} steps={world.steps} {summary(world)} trace={world.trace}\n")
    return 0


def summary(world: World) -> str:
    """Say in one line how the run went."""
    answered = sum(call.status == 0 for call in world.calls)
    return (
        f"{world.clock.now / USEC_PER_SEC:.3f} s, {len(world.log.committed)} entries, "
        f"{answered} of {len(world.calls)} commands succeeded"
    )


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
