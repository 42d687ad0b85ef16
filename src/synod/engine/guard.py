# SPDX-License-Identifier: LGPL-2.1-or-later
"""The guard of exclusive units on this node: lease, fuse, and the way back after a fencing.

Law 1: no gate of an exclusive unit opens before the fuse burns, unless the log says that this node has none.
Law 2: the fuse is put out only when no exclusive unit can be running here.
Law 3: a node that was fenced comes back as a new incarnation, when it has seen that nothing of the old one
       runs.

The fuse is a service of PID 1 that resets the machine when it is not fed (units/synod-fuse.service). It
needs no agent to fire; an agent that is dead, hung or cut off is enough.
"""

from collections.abc import Callable
from typing import Final

from synod.base.ids import UnitName
from synod.base.messages import MessageId
from synod.engine.desk import Desk
from synod.engine.effects import FeedFuse, Reincarnated, RemoveLease, WriteLease
from synod.engine.lease import Lease
from synod.model.command import NodeState

FUSE: Final = UnitName("synod-fuse.service")
PRIORITY_ERROR: Final = 3
PRIORITY_NOTICE: Final = 5


class Guard:
    """Keeps ``desk.may_open`` and ``desk.must_yield`` true to lease and fuse."""

    def __init__(self, desk: Desk, lease: Lease, is_holding: Callable[[], bool]) -> None:
        self._desk = desk
        self._lease = lease
        self._is_holding = is_holding
        self._job: int | None = None
        self._was_fresh = False
        self._has_file: bool | None = None

    @property
    def _is_burning(self) -> bool:
        fuse = self._desk.seen(FUSE)
        return fuse.active == "active" and fuse.job not in ("stop", "restart")

    @property
    def _has_fuse(self) -> bool:
        row = self._desk.state.nodes.get(self._desk.me)
        return row is not None and row.has_fuse

    def renewed(self) -> None:
        """Feed the fuse: the lease was renewed just now."""
        if self._is_burning:
            self._desk.put(FeedFuse())

    def look(self) -> None:
        """Bring permission and fuse in line with the lease and with what is wanted."""
        desk = self._desk
        if not desk.is_member:
            return
        self._lease.begin()
        self._tell()
        is_holding = self._is_holding()
        is_needed = desk.wants_open or is_holding
        # Who has said that it goes, or that its agent does, is taken over from by nobody: no lease, no fuse.
        is_bound = desk.state.nodes[desk.me].state in (NodeState.ONLINE, NodeState.LOST)
        is_due = is_bound and (self._has_fuse or not desk.state.fencers(desk.me))
        if is_needed and is_due and not self._is_burning and self._lease.is_fresh:
            self._run("start")
        elif self._is_burning and not (is_needed and is_due):
            self._run("stop")
        if self._lease.is_fresh != self._has_file:
            self._has_file = self._lease.is_fresh
            desk.put(WriteLease() if self._has_file else RemoveLease())
        desk.wants_open = False
        desk.is_guarded = self._is_burning or not is_holding
        was = (desk.may_open, desk.must_yield)
        desk.may_open = self._lease.is_fresh and (self._is_burning or not self._has_fuse)
        desk.must_yield = is_bound and self._has_fuse and self._lease.is_running_out
        desk.is_burning = self._is_burning
        if was != (desk.may_open, desk.must_yield):
            desk.touch(desk.specs)

    def _run(self, verb: str) -> None:
        if self._job is None:
            self._job = self._desk.run(verb, FUSE)

    def job_done(self, job: int) -> None:
        """Note that the fuse was lit or put out."""
        if job == self._job:
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
        if not desk.are_units_read:
            return False
        left = [
            unit for unit, spec in desk.specs.items() if spec.is_exclusive and not desk.seen(unit).is_gone
        ]
        if left or self._is_burning:
            for unit in left:
                if desk.seen(unit).job != "stop":
                    desk.run("stop", unit)
            if not left:
                self._run("stop")
            return False
        stem, _, count = desk.boot.partition("+")
        desk.boot = f"{stem}+{int(count or 0) + 1}"
        desk.is_registered = False
        desk.put(Reincarnated(boot=desk.boot))
        return True
