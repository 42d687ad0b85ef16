# SPDX-License-Identifier: LGPL-2.1-or-later
"""Whether the generator's drop-ins are in place after a daemon-reload, and what stands in for missing ones.

A generator that cannot run leaves no drop-ins and no error: units would lose their gates silently. It
compares, keeps a copy of the last good ones and puts missing ones back; whether to alarm, reload or stop
something is decided elsewhere. Source: systemd.generator(7), "Output directories"; systemd.unit(5), drop-in
precedence.

The copies live outside the unit search path: one in /run/systemd/system would mask the generator's newer
file of the same name for ever (measured on 252). There they go only when the generator's is missing, and
leave when it is back.
"""

import os
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from synod.base.errors import StorageError
from synod.base.ids import UnitName, is_unit_name
from synod.systemd.paths import Paths

DROP_IN: Final = "zzzz-synod.conf"
"""Sorts behind an admin's override.conf, whose empty ConditionPathExists= would otherwise open the gate."""

BACKSTOP: Final = "zzzz-synod-backstop.conf"
UNITS_FILE: Final = "synod-units"
PROBLEMS_FILE: Final = "synod-problems"
GRANT_DIRECTORY: Final = "/run/synod/grant"

FILE_BYTES_MAX: Final = 1 << 20
"""More than any drop-in or list of ours; what is longer is not read."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """What a check found and did."""

    has_run: bool
    """The generator wrote its list of units."""

    restored: tuple[UnitName, ...]
    """Units whose last good drop-in was put back just now."""

    ungated: tuple[UnitName, ...]
    """Units that the generator named but that have no drop-in, and none to put back."""

    needs_reload: bool
    """What is on disk now differs from what PID 1 has loaded."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BackstopChange:
    """Backstops that were written or removed; each takes effect at the next daemon-reload."""

    written: tuple[UnitName, ...]
    removed: tuple[UnitName, ...]


class Generated:
    """The generator's output. Methods raise StorageError when the file system refuses."""

    def __init__(self, paths: Paths) -> None:
        self._paths = paths

    def units(self) -> tuple[UnitName, ...] | None:
        """Return the units that the generator gated, or None when it did not run to its end."""
        lines = _lines(self._paths.generator_output / UNITS_FILE)
        return None if lines is None else tuple(UnitName(line) for line in lines if is_unit_name(line))

    def problems(self) -> tuple[str, ...]:
        """Return what the generator did not understand, one ``FILE:LINE: UNIT: reason`` each."""
        return _lines(self._paths.generator_output / PROBLEMS_FILE) or ()

    def check(self) -> Check:
        """Compare after Reloading(false); put back what is missing, and remember what is there.

        A reload that begins meanwhile empties the directory that is read here: check again when it has
        ended.
        """
        listed = self.units()
        present = _drop_ins(self._paths.generator_output)
        kept = _copies(self._paths.last_generated)
        installed = _drop_ins(self._paths.runtime_units)
        missing = [unit for unit in (kept if listed is None else listed) if unit not in present]
        wanted = {unit: kept[unit] for unit in missing if unit in kept}
        restored = [unit for unit in wanted if installed.get(unit) != wanted[unit]]
        for unit in restored:
            _write(self._drop_in(self._paths.runtime_units, unit, DROP_IN), wanted[unit])
        withdrawn = [unit for unit in installed if unit not in wanted]
        for unit in withdrawn:
            _remove(self._drop_in(self._paths.runtime_units, unit, DROP_IN))
        if listed is not None:
            self._keep({**present, **wanted}, kept)
        return Check(
            has_run=listed is not None, restored=tuple(restored),
            ungated=tuple(unit for unit in missing if unit not in kept),
            needs_reload=bool(restored) or any(present.get(unit) != installed[unit] for unit in withdrawn),
        )  # fmt: skip

    def set_backstops(self, exclusive: Collection[UnitName]) -> BackstopChange:
        """Make /etc hold one condition for each of these units and no other: the last gate."""
        have = _drop_ins(self._paths.local_units, BACKSTOP)
        want = {unit: _backstop(unit) for unit in sorted(exclusive)}
        written = tuple(unit for unit in want if have.get(unit) != want[unit])
        removed = tuple(unit for unit in have if unit not in want)
        for unit in written:
            _write(self._drop_in(self._paths.local_units, unit, BACKSTOP), want[unit], is_durable=True)
        for unit in removed:
            _remove(self._drop_in(self._paths.local_units, unit, BACKSTOP))
        return BackstopChange(written=written, removed=removed)

    def forget(self) -> None:
        """Remove copies, repairs and backstops: this node is no member any more, no unit is gated."""
        for unit in _copies(self._paths.last_generated):
            _remove(self._paths.last_generated / unit)
        for unit in _drop_ins(self._paths.runtime_units):
            _remove(self._drop_in(self._paths.runtime_units, unit, DROP_IN))
        self.set_backstops(())

    def backstops(self) -> tuple[UnitName, ...]:
        """Return the units that have a backstop."""
        return tuple(_drop_ins(self._paths.local_units, BACKSTOP))

    def _drop_in(self, directory: Path, unit: UnitName, name: str) -> Path:
        if not is_unit_name(unit):
            raise ValueError(f"'{unit}' is not a unit name")
        return directory / f"{unit}.d" / name

    def _keep(self, good: Mapping[UnitName, bytes], kept: Mapping[UnitName, bytes]) -> None:
        for unit, data in good.items():
            if kept.get(unit) != data:
                _write(self._paths.last_generated / unit, data)
        for unit in kept:
            if unit not in good:
                _remove(self._paths.last_generated / unit)


def _backstop(unit: UnitName) -> bytes:
    return ("# Kept by synod.service for units that may run only once; 'synodctl leave' removes it.\n"
            f"[Unit]\nConditionPathExists={GRANT_DIRECTORY}/{unit}\n").encode()  # fmt: skip


def _lines(path: Path) -> tuple[str, ...] | None:
    data = _read(path)
    if data is None:
        return None
    return tuple(line.strip() for line in data.decode(errors="replace").splitlines() if line.strip())


def _drop_ins(directory: Path, name: str = DROP_IN) -> dict[UnitName, bytes]:
    """Read one drop-in of every unit below a unit directory; an empty file is as good as none."""
    found = {}
    for entry in _entries(directory):
        unit = entry.removesuffix(".d")
        if unit != entry and is_unit_name(unit) and (data := _read(directory / entry / name)):
            found[UnitName(unit)] = data
    return found


def _copies(directory: Path) -> dict[UnitName, bytes]:
    return {UnitName(entry): data for entry in _entries(directory)
            if is_unit_name(entry) and (data := _read(directory / entry))}  # fmt: skip


def _entries(directory: Path) -> list[str]:
    try:
        return sorted(path.name for path in directory.iterdir())
    except FileNotFoundError:
        return []
    except OSError as error:
        raise StorageError(f"cannot list '{directory}': {error.strerror}") from error


def _read(path: Path) -> bytes | None:
    try:
        with path.open("rb") as file:
            data = file.read(FILE_BYTES_MAX + 1)
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        raise StorageError(f"cannot read '{path}': {error.strerror}") from error
    return data if len(data) <= FILE_BYTES_MAX else None


def _write(path: Path, data: bytes, *, is_durable: bool = False) -> None:
    new = path.parent / ".synod-new"
    try:
        path.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
        with new.open("wb") as file:
            file.write(data)
            if is_durable:
                file.flush()
                os.fsync(file.fileno())
        new.replace(path)
        if is_durable:
            _sync_directory(path.parent)
    except OSError as error:
        raise StorageError(f"cannot write '{path}': {error.strerror}") from error


def _sync_directory(directory: Path) -> None:
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _remove(path: Path) -> None:
    """Remove a file, and its directory when nothing else is in it."""
    try:
        path.unlink(missing_ok=True)
        if path.parent.suffix == ".d" and not any(path.parent.iterdir()):
            path.parent.rmdir()
    except OSError as error:
        raise StorageError(f"cannot remove '{path}': {error.strerror}") from error
