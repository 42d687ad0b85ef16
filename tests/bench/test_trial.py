# SPDX-License-Identifier: LGPL-2.1-or-later
"""When a process is killed, between two looks of a monitor."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench_failover.trial import next_phase


@pytest.mark.parametrize(("elapsed", "phase", "delay"), [(0.0, 1.0, 1.0), (2.0, 5.0, 3.0), (9.5, 1.0, 1.5),
                                                         (25.0, 5.0, 0.0)])
def test_the_next_phase_is_taken(elapsed, phase, delay):
    assert next_phase([5.0, 1.0], elapsed, 10.0) == (phase, pytest.approx(delay))


@given(st.lists(st.floats(0, 9.99), min_size=1, max_size=5), st.floats(0, 100))
def test_it_is_waited_for_less_than_a_cycle(phases, elapsed):
    phase, delay = next_phase(phases, elapsed, 10.0)
    assert phase in phases
    assert 0 <= delay <= 10.0
    assert ((elapsed + delay - phase) % 10.0) == pytest.approx(0, abs=1e-6) or (
        (elapsed + delay - phase) % 10.0 == pytest.approx(10.0, abs=1e-6))
