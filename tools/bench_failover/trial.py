# SPDX-License-Identifier: LGPL-2.1-or-later
"""The misfortunes, each the same for both systems, and what they cost.

What happens is watched cheaply and coarsely while it happens; the figures come from the journals and the
client's replies afterwards, hence watching costs nothing that is measured.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from bench_failover.rig import APP, DB, NODES, Rig, clock
from synod.base.errors import SynodError
from witness import outside, silence
from witness.copies import Step

_RECOVERY_SEC: Final = 60.0
_REPLY_USEC: Final = 100_000
"""A client that got a reply this recently is being served."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Outage:
    """What a power loss cost, in seconds."""

    pair: float
    """Until app, the second of the two, was active elsewhere."""
    address: float
    """The longest time that the client outside went without a reply."""
    led: bool
    """Whether the node that died was the one that decides for the others."""


def lose_power(rig: Rig, replies: Path) -> Outage:
    """Cut the power of the node that has the pair, and wait until it is active elsewhere."""
    rig.settle()
    rig.wait(lambda: _is_served(replies), "the client is served", timeout=_RECOVERY_SEC)
    victim, leader = rig.holder(), rig.leader()
    begin = rig.lose_power(victim)
    others = [node for node in NODES if node != victim]
    rig.wait(lambda: any(rig.invocation(node, APP) for node in others), "app starts elsewhere",
             timeout=_RECOVERY_SEC)
    rig.wait(lambda: rig.holder() in others and _is_served(replies),
             "the pair is active elsewhere, and the client is served", timeout=_RECOVERY_SEC)
    gap = silence.longest(read_replies(replies), begin)
    if gap is None:
        raise SynodError(f"{rig.system}: the client got no reply before the power loss")
    outage = Outage(pair=_active_after(rig, APP, begin), address=gap.seconds, led=victim == leader)
    rig.lab.boot(victim)
    return outage


def kill_process(rig: Rig, phases: list[float], interval: float) -> float:
    """Kill db's main process; return the seconds until db was active again.

    A system that looks every ``interval`` seconds finds out after that time at most, so it matters when the
    kill comes: at one of the ``phases``, seconds since db's start modulo the interval. The next one is used
    up; without any the kill comes at once.
    """
    rig.settle()
    if phases:
        started = max(event.usec for event in rig.events((DB,)) if event.step is Step.ACTIVE)
        now = clock()
        phase, delay = next_phase(phases, (now - started) / 1e6, interval)
        phases.remove(phase)
        due = now + int(delay * 1e6)
        rig.wait(lambda: clock() >= due, "the moment to kill db", timeout=2 * interval)
    holder = rig.holder()
    before = rig.invocation(holder, DB)
    begin = rig.kill_main_process(holder, DB)
    rig.wait(lambda: any(rig.invocation(node, DB) not in ("", before) for node in NODES), "db starts again",
             timeout=_RECOVERY_SEC)
    rig.wait(lambda: bool(rig.holder()), "the pair is active again", timeout=_RECOVERY_SEC)
    return _active_after(rig, DB, begin)


def kill_alone(rig: Rig, node: str, unit: str) -> float:
    """Kill the main process of a unit that no cluster has to do with; otherwise as ``kill_process``."""
    before = rig.invocation(node, unit)
    begin = rig.kill_main_process(node, unit)
    rig.wait(lambda: rig.invocation(node, unit) not in ("", before) and rig.are_active(node, unit),
             f"{unit} is active again", timeout=_RECOVERY_SEC)
    return _active_after(rig, unit, begin)


def next_phase(phases: Sequence[float], elapsed: float, interval: float) -> tuple[float, float]:
    """Return which phase comes next, ``elapsed`` seconds after a cycle began, and in how many seconds."""
    delay, phase = min(((phase - elapsed) % interval, phase) for phase in phases)
    return phase, delay


def read_replies(path: Path) -> list[int]:
    """Read when the client got a reply."""
    return [int(line) for line in outside.lines(path)]


def _is_served(replies: Path) -> bool:
    return clock() - max(read_replies(replies)[-1:], default=0) < _REPLY_USEC


def _active_after(rig: Rig, unit: str, begin: int) -> float:
    """Return the seconds from a moment to the first time that a unit was active after it."""
    found = [event.usec for event in rig.events((unit,)) if event.step is Step.ACTIVE and event.usec > begin]
    if not found:
        raise SynodError(f"{rig.system}: no journal says when {unit} was active again")
    return (min(found) - begin) / 1e6
