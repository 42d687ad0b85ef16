# SPDX-License-Identifier: LGPL-2.1-or-later
"""What is told when nodes disagree on a unit: annotations that differ, and copies that are too many.

Every node tells its own journal that its annotation is not the one that counts; the leader alarms conflicts,
so that one entry in the log tells all. Nothing is started or stopped from here.
"""

from typing import Final

from synod.base.ids import UnitName
from synod.base.messages import MessageId
from synod.engine.desk import Desk
from synod.engine.proposals import Proposals
from synod.model import adoption
from synod.model.command import Alarm
from synod.model.rows import Row

PRIORITY_ERROR: Final = 3
PRIORITY_WARNING: Final = 4


class Drift:
    """Says each thing once for as long as it is so."""

    def __init__(self, desk: Desk, proposals: Proposals) -> None:
        self._desk = desk
        self._proposals = proposals
        self._is_leading = False
        self._differing: dict[UnitName, tuple[str, object]] = {}
        self._conflicts: dict[UnitName, str] = {}

    def lead(self, *, is_leading: bool) -> None:
        """Take office or leave it: a new leader repeats no alarm that the log has."""
        if is_leading and not self._is_leading:
            self._conflicts = {alarm.unit: alarm.text for _, alarm in self._desk.state.alarms}
            self._desk.touch(unit for unit, row in self._desk.state.rows.items() if row.found)
        self._is_leading = is_leading

    def look(self, unit: UnitName) -> None:
        """Look at a unit that something has touched."""
        row = self._desk.state.rows.get(unit)
        if row is not None:
            self._look_at_own(row)
            if self._is_leading:
                self._look_for_conflict(row)

    def _look_at_own(self, row: Row) -> None:
        unit, spec, mine = row.unit, row.spec, row.reports.get(self._desk.me)
        if spec is None or mine is None or self._desk.state.specs.is_same(mine, spec):
            self._differing.pop(unit, None)
        elif self._differing.get(unit) != (mine, spec):
            self._differing[unit] = (mine, spec)
            text = (
                f"The annotation of '{unit}' on this node differs from the one that counts in the cluster: "
                "nothing of it is started here. Make them equal, or choose this one with: "
                f"synodctl adopt {unit} --from {self._desk.me}"
            )
            self._desk.report(MessageId.SPEC_DIFFERS, PRIORITY_WARNING, text, unit)

    def _look_for_conflict(self, row: Row) -> None:
        state = self._desk.state
        text = adoption.conflict(row, state.nodes, state.specs)
        if not text:
            self._conflicts.pop(row.unit, None)
        elif self._conflicts.get(row.unit) != text:
            self._conflicts[row.unit] = text
            self._desk.report(MessageId.UNIT_CONFLICT, PRIORITY_ERROR, text, row.unit)
            self._proposals.put(Alarm(node=self._desk.me, unit=row.unit, text=text), lambda _: None)
