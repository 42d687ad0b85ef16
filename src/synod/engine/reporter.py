# SPDX-License-Identifier: LGPL-2.1-or-later
"""What a node tells the log about itself: that it is there, its annotations, the state of its units.

The first report of every agent is its registration. Until that entry is applied the state is a replay of the
past, and nothing is done from it.
"""

from typing import Final

from synod.base.ids import NodeName, UnitName
from synod.base.usec import USEC_PER_MSEC, USEC_PER_SEC, Usec
from synod.engine.desk import Desk
from synod.engine.proposals import Proposals
from synod.model.command import (
    NodeState,
    Observation,
    Observe,
    ReportDevices,
    ReportSpecs,
    SetNode,
    SpecReport,
)
from synod.model.rows import Row
from synod.model.spec import UnitSpec, digest
from synod.model.state import Change
from synod.model.unit import DOWN_STATES

OBSERVE_USEC: Final = Usec(100 * USEC_PER_MSEC)
"""Observations of this long are committed together: nothing is decided from them."""
FOR_EVER: Final = Usec(365 * 86400 * USEC_PER_SEC)
"""A registration is repeated until there is a quorum."""


class Reporter:
    """Registration, annotations and observations of this node."""

    def __init__(self, desk: Desk, proposals: Proposals) -> None:
        self._desk = desk
        self._proposals = proposals
        self.devices: tuple[NodeName, ...] | None = None
        """Nodes that this one could fence; None until its devices have been asked."""
        self._is_registering = False
        self._is_reporting = False
        self._compared: tuple[int, dict[UnitName, UnitSpec]] | None = None
        """The entry up to which the log was found to know these annotations: they are compared once."""
        self._observed: dict[UnitName, str] = {}
        self._observe_at: Usec | None = None

    @property
    def deadline(self) -> Usec | None:
        """When the next observations are due."""
        return self._observe_at

    @property
    def is_complete(self) -> bool:
        """Whether this node may speak for its units: registered, and its units have been read."""
        return self._desk.is_settled and self._desk.are_units_read

    def look(self) -> None:
        """Report what the log does not know yet."""
        desk = self._desk
        row = desk.state.nodes.get(desk.me)
        if row is None or desk.is_stopping or desk.is_leaving:
            return
        if not desk.is_registered:
            self._register()
        elif row.state is NodeState.LOST or row.boot != desk.boot:
            desk.is_registered = False
            self._register()
        elif desk.are_units_read and desk.is_settled:
            # With a fence device for this node its units need no fuse, and run on without a quorum. A fuse
            # is promised only while it burns, or while nothing needs it; it is recalled at any time.
            has_fuse = not desk.is_fenceable
            if row.has_fuse != has_fuse and (desk.is_guarded or not has_fuse):
                self._register(has_fuse=has_fuse)
            self._report_specs()
            self._report_devices()

    def _register(self, *, has_fuse: bool | None = None) -> None:
        if self._is_registering:
            return
        self._is_registering = True
        desk = self._desk
        desk.is_promising = bool(has_fuse)

        def settled(change: Change | None) -> None:
            self._is_registering = desk.is_promising = False
            if change is not None and not change.refusal:
                desk.is_registered = True
                desk.touch([*desk.specs, *desk.state.rows])

        row = desk.state.nodes[desk.me]
        desk.is_fresh = desk.is_fresh or row.boot != desk.boot
        command = SetNode(
            node=desk.me,
            state=NodeState.ONLINE,
            boot=desk.boot,
            has_fuse=has_fuse,
            # What is said of a fuse holds for this agent: it may end before the word is in the log.
            since=row.since if has_fuse is not None else None,
        )
        self._proposals.put(command, settled, patience=FOR_EVER)

    def _report_specs(self) -> None:
        desk = self._desk
        if self._is_reporting or (
            self._compared is not None
            and self._compared[0] == desk.state.applied
            and self._compared[1] is desk.specs
        ):
            return
        self._compared = (desk.state.applied, desk.specs)
        known = {
            unit: row.reports[desk.me] for unit, row in desk.state.rows.items() if desk.me in row.reports
        }
        changed = [unit for unit, spec in desk.specs.items() if known.get(unit) != digest(spec)]
        gone = [unit for unit in known if unit not in desk.specs]
        if not changed and not gone:
            return
        self._is_reporting = True

        def settled(_: Change | None) -> None:
            self._is_reporting, self._compared = False, None

        reports = tuple(
            SpecReport(unit=unit, spec=desk.specs.get(unit), is_running=self._is_stray(unit))
            for unit in sorted([*changed, *gone])
        )
        self._proposals.put(ReportSpecs(node=desk.me, reports=reports), settled)

    def _is_stray(self, unit: UnitName) -> bool:
        """Whether the unit runs here although it was not annotated, or not so, when it was started."""
        desk = self._desk
        return unit in desk.specs and not desk.seen(unit).is_still and desk.grant(unit) is None

    def _report_devices(self) -> None:
        desk = self._desk
        if self.devices is None or self._is_reporting or desk.state.nodes[desk.me].fences == self.devices:
            return
        self._is_reporting = True

        def settled(_: Change | None) -> None:
            self._is_reporting = False

        self._proposals.put(ReportDevices(node=desk.me, targets=self.devices), settled)

    def unit_seen(self, unit: UnitName, active: str) -> None:
        """Take a unit's state for the next report."""
        if unit in self._desk.specs and self._observed.get(unit) != active:
            self._observed[unit] = active
            if self._observe_at is None:
                self._observe_at = Usec(self._desk.now + OBSERVE_USEC)

    def _is_news(self, row: Row, active: str) -> bool:
        """Whether the log does not know yet; that a found copy is down it may have known before."""
        me = self._desk.me
        return row.observed.get(me) != active or (me in row.found and active in DOWN_STATES)

    def tick(self) -> None:
        """Commit the observations that are due."""
        if self._observe_at is None or self._observe_at > self._desk.now:
            return
        if not self.is_complete:
            self._observe_at = Usec(self._desk.now + OBSERVE_USEC)
            return
        self._observe_at = None
        desk = self._desk
        changed = tuple(
            Observation(unit=unit, active=active)
            for unit, active in self._observed.items()
            if unit in desk.state.rows and self._is_news(desk.state.rows[unit], active)
        )
        if changed:
            self._proposals.put(Observe(node=desk.me, observations=changed), lambda _: None)
