# SPDX-License-Identifier: LGPL-2.1-or-later
"""Random storms over small clusters; a failure names its seed, which reproduces it."""

import pytest
from ledger_world import Storm

SEEDS = 240
PER_TEST = 20


def weather(seed: int, troubles: int = 60) -> Storm:
    storm = Storm(seed)
    try:
        storm.rage(troubles)
        storm.calm()
    except AssertionError as error:
        error.add_note(f"seed={seed} time={storm.now} steps={storm.steps}")
        raise
    return storm


@pytest.mark.parametrize("first", range(0, SEEDS, PER_TEST))
def test_no_storm_breaks_a_property_and_the_cluster_recovers(first: int) -> None:
    for seed in range(first, first + PER_TEST):
        weather(seed)
