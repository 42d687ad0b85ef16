# SPDX-License-Identifier: LGPL-2.1-or-later
"""The programme: which act follows which."""

from collections.abc import Callable

from demo import acts, losses
from demo.play import Play

PROGRAMME: tuple[tuple[str, Callable[[Play], None]], ...] = (
    ("systemctl start web on node3: db starts first on node1, then web on node2", acts.start_elsewhere),
    ("An HTTP request is answered with data from PostgreSQL", acts.answer_with_data),
    ("systemctl stop of db on node1: web stops before it", acts.stop_provider),
    ("A provider that fails: the start of web is refused with the reason", acts.refuse_with_reason),
    ("The agent and the leader are killed with -9: no unit is touched, the next start works",
     losses.kill_agents),
    ("node2 loses its power: web and its address answer from node3", losses.lose_power),
    ("node2 comes back: no second copy, nothing is moved", losses.come_back),
    ("poweroff of node1: web stops first", acts.power_off),
)
