# SPDX-License-Identifier: LGPL-2.1-or-later
"""What can happen to a cluster, one function each: it returns when nothing more is to come.

``HOLDER`` has the pair when the deed begins. What is undone at the end of a run is the recorder's business.
"""

import subprocess
import time
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from typing import Final

from bench_failover.rig import APP, DB, NODES
from faults.stage import Stage
from synod.base.errors import SynodError

SLOW_SEC: Final = 8
"""A stop that takes longer than a lease."""
_HOG_SEC: Final = 6
_HOGS: Final = 6
"""Busy processes per node: several times the machine's processors, over all nodes."""
_COMMAND_SEC: Final = 60.0
DEB: Final = "/root/synod.deb"


class Then(Enum):
    """What has to become of the pair."""

    MOVES = "moves"
    STAYS = "stays"
    """Not even a restart."""
    RUNS = "runs"
    """Wherever."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Kind:
    """Something that happens."""

    name: str
    text: str
    act: Callable[[Stage, str], None]
    then: Then
    leads: bool | None = None
    """Whether the holder leads when it happens; None: as it comes."""
    is_planned: bool = False
    """Whether units are stopped in order: no node has to be proved dead."""
    boot_sec: float = 0.0
    """What comes on top of the bound where no node is left to take over: a lab node's boot at most, with all
    of them booting on one machine.
    """
    stop_sec: int = 0
    """How long db takes to stop."""
    release: str = ""
    """The only release that has it."""

    def fault(self, away_sec: float, bound_sec: float) -> str:
        """Say what ought not to be in how long app was away; empty if nothing."""
        if self.then is Then.STAYS and away_sec:
            return f"{APP} was restarted"
        if away_sec > bound_sec:
            return f"{APP} was away for {away_sec:.3f} s, the bound is {bound_sec:.3f} s"
        return ""


def others(node: str) -> list[str]:
    """Name the other nodes."""
    return [name for name in NODES if name != node]


def lose_holder(stage: Stage, holder: str) -> None:
    """Cut the power of the holder."""
    stage.lab.kill(holder)


def lose_leader(stage: Stage, holder: str) -> None:
    """Cut the power of the leader, which is another node."""
    del holder
    stage.lab.kill(stage.leader())


def cut_one_link(stage: Stage, holder: str) -> None:
    """Cut the holder from one of the others, for longer than a lease."""
    stage.lab.cut(holder, others(holder)[0])
    time.sleep(7)


def cut_leader_link(stage: Stage, holder: str) -> None:
    """Cut the holder from the leader, for longer than a lease."""
    stage.lab.cut(holder, stage.leader())
    time.sleep(7)


def cut_all_links(stage: Stage, holder: str) -> None:
    """Cut the holder from both others."""
    for other in others(holder):
        stage.lab.cut(holder, other)


def cut_what_it_says(stage: Stage, holder: str) -> None:
    """Let nobody hear the holder, which hears everybody."""
    for other in others(holder):
        stage.lab.cut(holder, other, one_way=True)


def cut_what_it_hears(stage: Stage, holder: str) -> None:
    """Let the holder hear nobody, while everybody hears it."""
    for other in others(holder):
        stage.lab.cut(other, holder, one_way=True)


def freeze_agent(stage: Stage, holder: str) -> None:
    """Stop the holder's agent with SIGSTOP, until its watchdog, the fuse or a fence device has acted."""
    stage.run(holder, "systemctl", "kill", "--kill-whom=main", "--signal=SIGSTOP", "synod.service")
    time.sleep(12)


def kill_agent(stage: Stage, holder: str) -> None:
    """Kill the holder's agent."""
    stage.run(holder, "systemctl", "kill", "--kill-whom=main", "--signal=SIGKILL", "synod.service")
    time.sleep(4)


def kill_agents(stage: Stage, holder: str) -> None:
    """Kill all agents at once."""
    del holder
    stage.run_everywhere("systemctl", "kill", "--kill-whom=main", "--signal=SIGKILL", "synod.service")
    time.sleep(7)


def hog(stage: Stage, holder: str) -> None:
    """Keep every processor busy on all nodes."""
    del holder
    loop = f"for i in $(seq {_HOGS}); do timeout {_HOG_SEC} sh -c 'while :; do :; done' & done; wait"
    hogs = [stage.lab.popen(node, ["sh", "-c", loop]) for node in NODES]
    for process in hogs:
        process.wait(timeout=_COMMAND_SEC)


def start_three_times(stage: Stage, holder: str) -> None:
    """Stop the pair, then start it on three nodes at the same time."""
    stage.run(holder, "synodctl", "stop", "--wait", DB)
    starts = [stage.lab.popen(node, ["systemctl", "start", APP]) for node in NODES]
    statuses = [start.wait(timeout=_COMMAND_SEC) for start in starts]
    if statuses != [0, 0, 0]:
        raise SynodError(f"systemctl start ended with {statuses}")


def power_off(stage: Stage, holder: str) -> None:
    """Switch the holder off in order."""
    _shut_down(stage, holder, "poweroff")
    stage.wait(lambda: not stage.lab.is_on(holder), "the holder is off", timeout=_COMMAND_SEC)


def reboot(stage: Stage, holder: str) -> None:
    """Restart the holder in order."""
    before = stage.lab.pid(holder)
    _shut_down(stage, holder, "reboot")
    stage.wait(lambda: stage.lab.is_on(holder) and stage.lab.pid(holder) != before, "the holder is on again",
               timeout=_COMMAND_SEC)


def soft_reboot(stage: Stage, holder: str) -> None:
    """Restart the holder's user space."""
    _shut_down(stage, holder, "soft-reboot")


def _shut_down(stage: Stage, node: str, verb: str) -> None:
    process = stage.lab.popen(node, ["systemctl", verb], stderr=subprocess.DEVNULL)
    process.wait(timeout=_COMMAND_SEC)  # it may die with its node: the status says nothing


def lose_all(stage: Stage, holder: str) -> None:
    """Cut the power of all nodes, and give it back."""
    del holder
    for node in NODES:
        stage.lab.kill(node)
    for node in NODES:
        stage.lab.boot(node, wait=False)
    for node in NODES:
        stage.lab.wait_booted(node)


def upgrade(stage: Stage, holder: str) -> None:
    """Install the package again on the holder."""
    stage.run(holder, "dpkg", "--install", DEB, timeout=_COMMAND_SEC)
    time.sleep(3)


KINDS: Final = (
    Kind(name="power", text="power loss of the holder", act=lose_holder, then=Then.MOVES, leads=False),
    Kind(name="power-both", text="power loss of the holder, which leads", act=lose_holder, then=Then.MOVES,
         leads=True),
    Kind(name="power-leader", text="power loss of the leader", act=lose_leader, then=Then.STAYS,
         leads=False),
    Kind(name="cut-one", text="one link of the holder cut", act=cut_one_link, then=Then.STAYS, leads=True),
    Kind(name="cut-leader", text="link of holder and leader cut", act=cut_leader_link, then=Then.STAYS,
         leads=False),
    Kind(name="cut-all", text="all links of the holder cut", act=cut_all_links, then=Then.MOVES),
    Kind(name="cut-out", text="nobody hears the holder", act=cut_what_it_says, then=Then.MOVES),
    Kind(name="cut-in", text="the holder hears nobody", act=cut_what_it_hears, then=Then.MOVES),
    Kind(name="stopped", text="SIGSTOP of the holder's agent", act=freeze_agent, then=Then.RUNS),
    Kind(name="killed", text="kill -9 of the holder's agent", act=kill_agent, then=Then.STAYS),
    Kind(name="killed-all", text="kill -9 of all agents", act=kill_agents, then=Then.STAYS),
    Kind(name="slow-stop", text=f"cut off, and a stop that takes {SLOW_SEC} s", act=cut_all_links,
         then=Then.MOVES, stop_sec=SLOW_SEC),
    Kind(name="hog", text="all processors of all nodes busy", act=hog, then=Then.STAYS),
    Kind(name="three-starts", text="start on three nodes at once", act=start_three_times, then=Then.RUNS,
         is_planned=True),
    Kind(name="poweroff", text="poweroff of the holder", act=power_off, then=Then.MOVES, is_planned=True),
    Kind(name="reboot", text="reboot of the holder", act=reboot, then=Then.MOVES, is_planned=True),
    Kind(name="soft-reboot", text="soft-reboot of the holder", act=soft_reboot, then=Then.MOVES,
         is_planned=True,
         release="trixie"),
    Kind(name="cold-start", text="power loss of all nodes, and back", act=lose_all, then=Then.RUNS,
         boot_sec=15.0),
    Kind(name="upgrade", text="upgrade of the holder's package", act=upgrade, then=Then.STAYS),
)
