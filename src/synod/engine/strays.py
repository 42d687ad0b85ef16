# SPDX-License-Identifier: LGPL-2.1-or-later
"""Copies that run on this node without a grant: those that were found, and those that are rogue.

Law 1: a copy that ran when this node first annotated the unit was *found*: it is left alone until it is
       granted, or until somebody stops the unit (safety rule 7.2).
Law 2: any other exclusive unit that is up without a grant is a rogue copy: somebody has passed the gate by
       force. It is alarmed and stopped, or only alarmed with RogueCopy=alarm (safety rule 2.4).
Law 3: no verdict before the log knows this node's annotation: until then the report that it was found may be
       on its way.
"""

from typing import Final

from synod.base.ids import UnitName
from synod.base.messages import MessageId
from synod.engine.desk import NO_UNIT, Desk
from synod.engine.proposals import Proposals
from synod.model.command import Alarm, Desired
from synod.model.rows import Row
from synod.model.unit import LocalUnit

PRIORITY_ERROR: Final = 3
_DOWN_JOBS: Final = ("stop", "restart", "try-restart")


class Strays:
    """Looks at exclusive units of this node that hold no grant."""

    def __init__(self, desk: Desk, proposals: Proposals) -> None:
        self._desk = desk
        self._proposals = proposals
        self._rogues: dict[UnitName, None] = {}

    def forged(self, text: str) -> None:
        """Tell that somebody wrote a file of the agent's; what was started by it is found by its unit."""
        self._tell(MessageId.FORGED_FILE, f"{self._desk.me}: {text}.", NO_UNIT)

    def forget(self, unit: UnitName) -> None:
        """Note that a unit has a grant."""
        self._rogues.pop(unit, None)

    def look(self, unit: UnitName, seen: LocalUnit) -> None:
        """Draw the conclusion from a unit without a grant."""
        desk, row = self._desk, self._desk.row(unit)
        if seen.is_down or not desk.is_settled or desk.me not in row.reports:
            self._rogues.pop(unit, None)
        elif desk.me in row.found:
            if desk.must_yield or self._is_stopped(row):
                self._stop(unit, seen)
        elif unit not in self._rogues and seen.active != "deactivating" and seen.job not in _DOWN_JOBS:
            self._rogues[unit] = None
            self._alarm(unit, row, seen)

    def _is_stopped(self, row: Row) -> bool:
        return row.desired is Desired.STOPPED and row.revision > row.found[self._desk.me]

    def _stop(self, unit: UnitName, seen: LocalUnit) -> None:
        if seen.active != "deactivating" and seen.job not in _DOWN_JOBS and not self._desk.is_stopping:
            self._desk.stop(unit)

    def _alarm(self, unit: UnitName, row: Row, seen: LocalUnit) -> None:
        holders = ", ".join(sorted(grant.node for grant in row.grants.values()))
        held = f"{holders} holds it" if holders else "nobody holds it"
        is_stopped = row.spec is None or row.spec.stops_rogue_copies
        what = "it is stopped" if is_stopped else f"RogueCopy=alarm; stop it there: systemctl stop {unit}"
        text = f"'{unit}' runs on {self._desk.me} without a grant, and {held}: {what}."
        self._tell(MessageId.ROGUE_COPY, text, unit)
        if is_stopped:
            self._stop(unit, seen)

    def _tell(self, message: MessageId, text: str, unit: UnitName) -> None:
        self._desk.report(message, PRIORITY_ERROR, text, unit or None)
        self._proposals.put(Alarm(node=self._desk.me, unit=unit, text=text), lambda _: None)
