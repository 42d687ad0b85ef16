# SPDX-License-Identifier: LGPL-2.1-or-later
"""Random schedules of faults and of users; a failure names the command that plays its seed again."""

import os

import pytest

from synod.sim.storms import make_storm, play

SEEDS = int(os.environ.get("SYNOD_SEEDS", "1000"))
FIRST = int(os.environ.get("SYNOD_FIRST_SEED", "0"))
PER_TEST = 20


@pytest.mark.parametrize("first", range(FIRST, FIRST + SEEDS, PER_TEST))
def test_no_schedule_breaks_an_invariant_and_all_comes_to_rest(first: int) -> None:
    for seed in range(first, min(first + PER_TEST, FIRST + SEEDS)):
        play(make_storm(seed))


def test_the_schedules_do_something() -> None:
    storms = [make_storm(seed) for seed in range(0, 300, 10)]
    deeds = {deed.name for storm in storms for deed in storm.deeds}
    assert len(deeds) >= 18
    worlds = [play(storm) for storm in storms[:8]]
    commands = [call for world in worlds for call in world.calls]
    assert sum(call.status == 0 for call in commands) > len(commands) // 3
    assert any(call.status not in (0, None) for call in commands)


@pytest.mark.parametrize("seed", [1147, 2270, 2720])
def test_schedules_that_once_broke_something(seed: int) -> None:
    play(make_storm(seed))
