# SPDX-License-Identifier: LGPL-2.1-or-later
import pytest

from synod.base.usec import Usec
from synod.ledger.timing import Timing


def test_defaults_are_possible() -> None:
    timing = Timing()
    assert timing.election_min >= 10 * timing.heartbeat


@pytest.mark.parametrize("wrong", [
    {"heartbeat": Usec(0)}, {"heartbeat": Usec(600_000)}, {"election_max": Usec(1_000_000)},
    {"stream_loss_min": Usec(150_000)}, {"stream_loss_max": Usec(1_100_000)}, {"stream_loss_min": Usec(-1)},
])
def test_impossible_timings_are_refused(wrong: dict[str, Usec]) -> None:
    with pytest.raises(ValueError, match="need 0 <"):
        Timing(**wrong)
