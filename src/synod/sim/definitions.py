# SPDX-License-Identifier: LGPL-2.1-or-later
"""Unit files as PID 1 of a member loads them: what synod-generator writes, and the template units.

Held equal by hand to generators/synod-generator and units/; conditions are paths below /run/synod.
"""

from dataclasses import dataclass, field
from typing import Final

from synod.base.ids import Epoch, UnitName
from synod.base.usec import USEC_PER_MSEC, USEC_PER_SEC
from synod.engine.guard import FUSE
from synod.model.spec import UnitSpec
from synod.model.unit import bound_of, hold_of, mirror_of

DRAIN: Final = UnitName("synod-drain.service")
LEASE: Final = "lease"
GRANT: Final = "grant/"
UP: Final = "up/"
STOP: Final = "stop/"
"""Files and folders below /run/synod that conditions look at."""


@dataclass(frozen=True, slots=True, kw_only=True)
class UnitFile:
    """What PID 1 knows of a unit."""

    unit: UnitName
    requires: tuple[UnitName, ...] = ()
    wants: tuple[UnitName, ...] = ()
    binds_to: tuple[UnitName, ...] = ()
    part_of: tuple[UnitName, ...] = ()
    after: tuple[UnitName, ...] = ()
    before: tuple[UnitName, ...] = ()
    needs: tuple[str, ...] = ()
    """Paths without which a start is skipped."""
    needs_not: tuple[str, ...] = ()
    """Paths that make a start needless when all of them exist."""
    asks_at_start: str = ""
    """What the waiter that is ExecStart= asks the agent: place or want."""
    asks_at_stop: str = ""
    """What the waiter that is ExecStop= asks: release or leave."""
    timeout_usec: int = 100 * USEC_PER_SEC
    """How long a waiter may take."""

    outlives_shutdown: bool = False
    """Whether a shutdown leaves it to the very end (DefaultDependencies=no)."""

    @property
    def subject(self) -> UnitName:
        """The unit that an instance of one of our templates stands beside, or the unit itself."""
        prefix, _, instance = self.unit.partition("@")
        return UnitName(instance.rpartition(".")[0]) if prefix.startswith("synod-") else self.unit


@dataclass(slots=True, kw_only=True)
class Behaviour:
    """How a service of ours behaves on one node; spans are microseconds."""

    start_usec: int = 20 * USEC_PER_MSEC
    stop_usec: int = 20 * USEC_PER_MSEC
    linger_usec: int = 0
    """How long a process stays in the cgroup after the unit went inactive."""
    failures: int = 0
    """Starts that fail, from now on."""
    restart_usec: int | None = None
    """RestartSec= of a unit with Restart=on-failure."""


def annotated(spec: UnitSpec) -> UnitFile:
    """Return a unit with the drop-in that the generator writes for its annotation."""
    gate = UnitName(f"synod-gate@{spec.unit}.service")
    requires, wants, after = [gate], [hold_of(spec.unit)], [gate]
    for names, mirror, found in (
        (spec.requires, mirror_of, requires),
        (spec.wants, mirror_of, wants),
        (spec.binds_to, bound_of, requires),
    ):
        for name in names:
            found.append(mirror(name))
            if name in spec.after and mirror(name) not in after:
                after.append(mirror(name))
    needs = (GRANT + spec.unit, LEASE) if spec.is_exclusive else (GRANT + spec.unit,)
    return UnitFile(
        unit=spec.unit,
        requires=tuple(requires),
        wants=tuple(wants),
        after=(*after, *spec.after),
        before=(DRAIN, *spec.before),
        needs=needs,
    )


def of_synod(unit: UnitName) -> UnitFile | None:
    """Return one of Synod's own units."""
    prefix, _, rest = unit.partition("@")
    subject = UnitName(rest.rpartition(".")[0])
    match prefix:
        case "synod-gate":
            return UnitFile(unit=unit, needs_not=(GRANT + subject, LEASE), asks_at_start="place")
        case "synod-await":
            return UnitFile(unit=unit, needs_not=(UP + subject,), asks_at_start="want")
        case "synod-mirror":
            waiter = UnitName(f"synod-await@{subject}.service")
            return UnitFile(unit=unit, requires=(waiter,), after=(waiter,))
        case "synod-bound":
            return UnitFile(unit=unit, requires=(mirror_of(subject),), after=(mirror_of(subject),))
        case "synod-hold":
            return UnitFile(
                unit=unit,
                part_of=(subject,),
                after=(subject,),
                before=(DRAIN,),
                needs=(GRANT + subject,),
                asks_at_stop="release",
                timeout_usec=60 * USEC_PER_SEC,
            )
        case _ if unit == FUSE:
            return UnitFile(unit=unit, outlives_shutdown=True)
        case _ if unit == DRAIN:
            return UnitFile(unit=unit, asks_at_stop="leave", timeout_usec=120 * USEC_PER_SEC)
    return None


@dataclass(slots=True)
class UnitFiles:
    """All files of one node, and their edges read backwards."""

    specs: dict[UnitName, UnitSpec] = field(default_factory=dict)
    plain: dict[UnitName, None] = field(default_factory=dict)
    """Units that have a file whether they are annotated or not."""
    masked: dict[UnitName, None] = field(default_factory=dict)
    _loaded: dict[UnitName, UnitFile] = field(default_factory=dict)
    _reverse: dict[UnitName, "Reverse"] | None = None

    def load(self, specs: dict[UnitName, UnitSpec]) -> None:
        """Read the annotations again; templates stay loaded."""
        self.specs = dict(specs)
        self._reverse = None
        for unit in [unit for unit in self._loaded if not unit.startswith("synod-")]:
            del self._loaded[unit]
        for spec in specs.values():
            self._loaded[spec.unit] = annotated(spec)

    def mask(self, unit: UnitName) -> None:
        """Take a unit's annotation and its edges away, as a mask and the reload after it do."""
        self.load({name: spec for name, spec in self.specs.items() if name != unit})
        self.masked[unit] = None
        self._loaded[unit] = UnitFile(unit=unit)

    def get(self, unit: UnitName) -> UnitFile | None:
        """Return a unit's file, loading a template on demand."""
        file = self._loaded.get(unit)
        if file is None and unit in self.plain:
            return UnitFile(unit=unit)
        if file is None and (file := of_synod(unit)) is not None:
            self._loaded[unit] = file
            self._reverse = None
        return file

    def reverse(self, unit: UnitName) -> "Reverse":
        """Return who names the unit."""
        if self._reverse is None:
            self._reverse = {}
            for file in self._loaded.values():
                for names, kind in (
                    (file.requires, "required_by"),
                    (file.binds_to, "bound_by"),
                    (file.part_of, "consists_of"),
                    (file.after, "before"),
                    (file.before, "after"),
                ):
                    for name in names:
                        getattr(self._reverse.setdefault(name, Reverse()), kind).append(file.unit)
        return self._reverse.get(unit, _NOBODY)


@dataclass(slots=True)
class Reverse:
    """Who names a unit, by what."""

    required_by: list[UnitName] = field(default_factory=list)
    bound_by: list[UnitName] = field(default_factory=list)
    consists_of: list[UnitName] = field(default_factory=list)
    before: list[UnitName] = field(default_factory=list)
    """Units that come after it by their own After=."""
    after: list[UnitName] = field(default_factory=list)
    """Units that come before it by their own Before=."""


_NOBODY: Final = Reverse()


def gates_of(run: dict[str, int]) -> dict[UnitName, Epoch]:
    """Return the grants that an earlier agent left in /run/synod."""
    return {
        UnitName(path.removeprefix(GRANT)): Epoch(epoch)
        for path, epoch in run.items()
        if path.startswith(GRANT)
    }


def units_below(run: dict[str, int], folder: str) -> tuple[UnitName, ...]:
    """Return the units for which an earlier agent left a file in a folder of /run/synod."""
    return tuple(UnitName(path.removeprefix(folder)) for path in run if path.startswith(folder))
