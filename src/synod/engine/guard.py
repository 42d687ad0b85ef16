# SPDX-License-Identifier: LGPL-2.1-or-later
"""The guard of exclusive units on this node: lease, fuse, and the way back after a fencing.

Law 1: no gate of an exclusive unit opens before a fuse burns that ends with the lease, unless the log says
       that this node has none.
Law 2: the fuse is put out only when no exclusive unit can be running here.
Law 3: a node that was fenced comes back as a new incarnation, when it has seen that nothing of the old one
       runs.

The fuse is a service of PID 1 that resets the machine when it is not fed (units/synod-fuse.service). It
needs no agent to fire; an agent that is dead, hung or cut off is enough. A fuse that was lit just now burns
for its whole length, whatever the age of the lease: so the lease is asked for once more before it counts.
"""

from typing import Final, Protocol

from synod.base.ids import UnitName
from synod.base.messages import MessageId
from synod.base.usec import Usec
from synod.engine.desk import Desk
from synod.engine.effects import FeedFuse, Reincarnated, RemoveLease, WriteLease
from synod.engine.lease import Lease
from synod.model.command import NodeState

FUSE: Final = UnitName("synod-fuse.service")
PRIORITY_ERROR: Final = 3
BOUND: Final = (NodeState.ONLINE, NodeState.LOST, NodeState.FENCED)
"""Who has said that it goes, or that its agent does, is taken over from by nobody: no lease, no fuse."""


class Holder(Protocol):
    """Whoever opens gates."""

    @property
    def has_grants(self) -> bool:
        """Whether a gate may have to open at any moment: this asks for the fuse."""

    @property
    def is_holding(self) -> bool:
        """Whether an exclusive unit may be running here."""

    def close_all(self) -> bool:
        """Close every gate; return whether one was open lately."""


class Guard:
    """Keeps ``desk.may_open`` and ``desk.must_yield`` true to lease and fuse."""

    def __init__(self, desk: Desk, lease: Lease, holder: Holder) -> None:
        self._desk = desk
        self._lease = lease
        self._holder = holder
        self._job: tuple[int, str] | None = None
        self._lit_at: Usec | None = None
        self._was_fresh = False
        self._has_file: bool | None = None

    @property
    def _is_burning(self) -> bool:
        """Whether the fuse burns, and nobody is about to put it out."""
        fuse = self._desk.seen(FUSE)
        is_going_out = fuse.job in ("stop", "restart") or (self._job is not None and self._job[1] == "stop")
        return fuse.active == "active" and not is_going_out

    @property
    def _is_covered(self) -> bool:
        """Whether the fuse ends with the lease: it burnt when the lease was asked for."""
        return self._lit_at is not None and self._lease.was_asked_for(self._lit_at)

    @property
    def _has_fuse(self) -> bool:
        row = self._desk.state.nodes.get(self._desk.me)
        return row is not None and row.has_fuse

    @property
    def _needs_fuse(self) -> bool:
        """Whether the others count on a fuse here, or would have nothing else to count on."""
        desk = self._desk
        return self._has_fuse or desk.is_promising or not desk.is_fenceable

    def renewed(self) -> None:
        """Feed the fuse: the lease was renewed just now."""
        if self._is_burning:
            self._desk.put(FeedFuse(until=self._lease.fed_until))

    def look(self) -> None:
        """Bring permission and fuse in line with the lease and with what is wanted."""
        desk = self._desk
        if not desk.is_member:
            return
        self._lease.begin()
        self._tell()
        is_holding = self._holder.is_holding
        if desk.are_units_read:
            self._mind_the_fuse(is_holding=is_holding)
        if self._lease.is_fresh != self._has_file:
            self._has_file = self._lease.is_fresh
            desk.put(WriteLease() if self._has_file else RemoveLease())
        self.refresh()
        desk.is_burning = desk.seen(FUSE).active == "active"
        desk.is_guarded = desk.are_units_read and (self._is_covered or not is_holding)

    def refresh(self) -> None:
        """Say what is permitted at this moment, before anybody acts on it: time and log have gone on."""
        desk = self._desk
        row = desk.state.nodes.get(desk.me)
        is_bound = row is not None and row.state in BOUND
        was = (desk.may_open, desk.must_yield)
        desk.may_open = is_bound and self._lease.is_fresh and (self._is_covered or not self._needs_fuse)
        desk.must_yield = is_bound and self._has_fuse and self._lease.is_running_out
        if was != (desk.may_open, desk.must_yield):
            desk.touch(desk.specs)

    def _mind_the_fuse(self, *, is_holding: bool) -> None:
        desk = self._desk
        is_bound = desk.state.nodes[desk.me].state in BOUND
        is_wanted = is_holding or (self._lease.is_fresh and self._holder.has_grants)
        is_needed = is_bound and self._needs_fuse and is_wanted
        if is_needed and not self._is_burning and self._lease.is_fresh:
            self._run("start")
        elif self._is_burning and not is_needed:
            self._run("stop")
        if not self._is_burning:
            self._lit_at = None
        elif self._lit_at is None:
            self._lit_at = desk.now
            self._lease.hurry()

    def _run(self, verb: str) -> None:
        # While PID 1 cannot be asked there will be news of the fuse as soon as it can.
        if self._job is None and self._desk.seen(FUSE).active != "unknown":
            self._job = (self._desk.run(verb, FUSE), verb)

    def job_done(self, job: int) -> None:
        """Note that the fuse was lit or put out."""
        if self._job is not None and job == self._job[0]:
            self._job = None
            self._desk.touch(self._desk.specs)

    def _tell(self) -> None:
        if self._was_fresh and not self._lease.is_fresh:
            text = "The lease could not be renewed: exclusive units stop here before others may take them."
            if not self._has_fuse:
                text = "The lease could not be renewed: exclusive units run on, and none is started."
            self._desk.report(MessageId.LEASE_LOST, PRIORITY_ERROR, text)
        self._was_fresh = self._lease.is_fresh

    def come_back(self) -> bool:
        """Become a new incarnation if the old one was fenced and is gone; return whether that happened."""
        desk = self._desk
        row = desk.state.nodes.get(desk.me)
        if row is None or row.state is not NodeState.FENCED or row.boot != desk.boot:
            return False
        if self._holder.close_all() or not desk.are_units_read:
            return False
        left = [
            unit for unit, spec in desk.specs.items() if spec.is_exclusive and not desk.seen(unit).is_still
        ]
        for unit in left:
            seen = desk.seen(unit)
            if not seen.is_down and seen.job != "stop" and seen.active != "deactivating":
                desk.stop(unit)
        if left or desk.is_burning:
            return False
        stem, _, count = desk.boot.partition("+")
        desk.boot = f"{stem}+{int(count or 0) + 1}"
        desk.is_registered = False
        desk.put(Reincarnated(boot=desk.boot))
        return True
