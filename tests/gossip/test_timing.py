# SPDX-License-Identifier: LGPL-2.1-or-later
import pytest

from synod.base.usec import Usec
from synod.gossip.timing import Timing


@pytest.mark.parametrize(("nodes", "retransmits", "period"), [
    (2, 4, 30), (9, 4, 30), (10, 8, 30), (32, 8, 30), (33, 8, 60), (100, 12, 90),
    (1000, 16, 180), (5000, 16, 270),
])
def test_what_grows_with_the_cluster(nodes: int, retransmits: int, period: int) -> None:
    assert Timing().retransmits(nodes) == retransmits
    assert Timing().exchange_period(nodes) == period * 1_000_000


@pytest.mark.parametrize("wrong", [
    {"probe_interval": Usec(500_000)}, {"nack_timeout": Usec(500_000)}, {"nack_timeout": Usec(0)},
    {"stall": Usec(0)}, {"stall": Usec(600_000)}, {"gossip_interval": Usec(0)},
    {"exchange_interval": Usec(-1)},
])
def test_impossible_timings_are_refused(wrong: dict[str, Usec]) -> None:
    with pytest.raises(ValueError, match="need "):
        Timing(**wrong)
