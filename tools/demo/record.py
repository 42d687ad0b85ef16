# SPDX-License-Identifier: LGPL-2.1-or-later
"""What is remembered of a performance: frozen values, filled in while it runs and drawn when it is over.

All times are microseconds of the machine's real-time clock, which the nodes share: times of different nodes
can be compared. Decides nothing.
"""

from dataclasses import dataclass, field
from enum import Enum

from witness.silence import Silence

OUTSIDE = "outside"


class Step(Enum):
    """What systemd wrote about a unit."""

    STARTING = "starting"
    STARTED = "started"
    STOPPING = "stopping"
    STOPPED = "stopped"
    FAILED = "failed"
    REFUSED = "not started: a dependency failed"
    """A start job that ended before it could touch the unit."""
    SKIPPED = "skipped: not here"
    """A start job that ended well without starting the unit: its conditions do not hold on the node."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Moment:
    """One line of systemd in the journal of a node."""

    usec: int
    node: str
    unit: str
    step: Step


class Turn(Enum):
    """What became of a node as a whole."""

    POWER_LOST = "loses its power"
    POWER_BACK = "has power again"
    OFF = "is off"
    LOST = "is lost"
    """So the cluster's leader says."""
    FENCED = "is fenced"
    """It is proved that nothing runs there any more."""
    ONLINE = "is online"
    """All nodes say so."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Mark:
    """A turn that a node took."""

    usec: int
    node: str
    turn: Turn
    reason: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Command:
    """What was typed on a node, and what came of it."""

    node: str
    text: str
    begin: int
    end: int
    status: int
    stdout: str = ""
    stderr: str = ""

    @property
    def seconds(self) -> float:
        """How long it took."""
        return (self.end - self.begin) / 1e6


@dataclass(frozen=True, slots=True, kw_only=True)
class Visit:
    """One request of the client outside."""

    usec: int
    end: int
    """When the answer was there, or the client gave up."""
    is_answered: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Gap:
    """That one thing came before another: the evidence for an order."""

    first: Moment | Mark
    then: Moment | Mark
    text: str

    @property
    def usec(self) -> int:
        """Negative when the order was the other one."""
        return self.then.usec - self.first.usec


@dataclass(slots=True, kw_only=True)
class Act:
    """One scene, with what it has shown."""

    number: int
    title: str
    begin: int
    end: int = 0
    commands: list[Command] = field(default_factory=list)
    kept: list[str] = field(default_factory=list)
    broken: list[str] = field(default_factory=list)
    gaps: list[Gap] = field(default_factory=list)


@dataclass(slots=True, kw_only=True)
class Story:
    """The whole performance."""

    nodes: tuple[str, ...]
    subtitle: str
    labels: dict[str, str]
    """Unit -> what it is called in the picture."""
    acts: list[Act] = field(default_factory=list)
    moments: list[Moment] = field(default_factory=list)
    marks: list[Mark] = field(default_factory=list)
    visits: list[Visit] = field(default_factory=list)
    silences: list[Silence] = field(default_factory=list)
    """How long the client outside went without an answer when a node had lost its power."""
