# SPDX-License-Identifier: LGPL-2.1-or-later
"""What must hold of wishes (safety section 6): somebody's word, and never over a newer one."""

from synod.base.ids import UnitName
from synod.model.command import Command, Desired, MoveUnit, Wish
from synod.model.state import Change
from synod.sim.checkers import ViolationError


class Words:
    """What was said of each unit, as far as it is in the log."""

    def __init__(self) -> None:
        self.stopped: dict[UnitName, None] = {}
        """Units that somebody has typed a stop of."""
        self._newest: dict[UnitName, int] = {}
        """The entry with the last word on each unit."""
        self._wished: dict[UnitName, None] = {}
        """Units of which it was said whether they are to run."""

    def applied(self, command: Command, index: int, change: Change) -> None:
        """Look at an entry that took effect."""
        if isinstance(command, MoveUnit):
            self._newest[command.unit] = index
        if not isinstance(command, Wish):
            return
        newest = self._newest.get(command.unit)
        if command.only_if_absent and command.unit in self._wished:
            raise ViolationError(f"wish: a boot overrides what was said of {command.unit} in {newest}")
        if newest is not None and command.revision is not None and command.revision < newest:
            raise ViolationError(
                f"wish: what was said of {command.unit} at {command.revision} overrides the word of {newest}"
            )
        if command.desired is Desired.STOPPED and command.unit not in self.stopped:
            raise ViolationError(f"wish: nobody asked for a stop of {command.unit}")
        self._newest |= dict.fromkeys(change.units, index)
        self._wished |= dict.fromkeys(change.units)
