# SPDX-License-Identifier: LGPL-2.1-or-later
"""The one shape of every core: events and the time go in, effects come out.

A core performs no I/O, reads no clock, draws no entropy and writes no log. Hence the agent and the simulator
can drive the same code, and one seed reproduces a run.
"""

from typing import Protocol, TypeVar

from synod.base.usec import Usec

EventT_contra = TypeVar("EventT_contra", contravariant=True)
EffectT_co = TypeVar("EffectT_co", covariant=True)


class Machine(Protocol[EventT_contra, EffectT_co]):
    """A state machine without I/O.

    Effects are carried out in the order in which they are returned. An effect whose outcome matters is
    answered by an event of its own.
    """

    @property
    def deadline(self) -> Usec | None:
        """Earliest time at which step() wants a Tick, or None for never."""

    def step(self, event: EventT_contra, now: Usec) -> tuple[EffectT_co, ...]:
        """Digest one event at time ``now``, which never decreases."""


class Entropy(Protocol):
    """A source of randomness that the caller seeds."""

    def below(self, limit: int) -> int:
        """Return an integer in [0, limit)."""
