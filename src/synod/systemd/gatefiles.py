# SPDX-License-Identifier: LGPL-2.1-or-later
"""The files in /run/synod that PID 1 looks at before it starts an annotated unit.

It writes, removes and lists them; when a grant may be written or must go is decided elsewhere (fuse and
commit come first). They are regular files put in place by rename: a condition on a dangling symbolic link
fails on systemd 252 and passes on 257. Nothing is synced to disk: /run ends with the boot, and a grant must
not outlive it. Source: systemd.unit(5), ConditionPathExists=.
"""

import contextlib
import os
import stat
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from synod.base.errors import StorageError
from synod.base.ids import Epoch, UnitName, is_unit_name
from synod.systemd.paths import Paths

GRANT_BYTES_MAX: Final = 4096
"""A grant is three short lines; whatever is longer was not written by us."""

_NEW: Final = ".new"
"""Name of a file in the making: no unit name, and the agent is the only writer."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Grant:
    """Contents of a grant file."""

    unit: UnitName
    instance: int
    epoch: Epoch
    incarnation: str
    """Boot identity of the node when it was granted; a grant of another incarnation is void."""


@dataclass(frozen=True, slots=True)
class _Written:
    """A file as the agent left it."""

    text: str
    mark: tuple[int, ...]


class GateFiles:
    """The files below one runtime directory. Methods raise StorageError when the file system refuses."""

    def __init__(self, paths: Paths) -> None:
        self._paths = paths
        self._known: dict[str, _Written] = {}
        """What this agent has written, or taken over from the one before it, by path."""

    def prepare(self) -> None:
        """Make the directories, and remove what an interrupted write left."""
        with _refused("make", self._paths.runtime):
            for directory in (
                self._paths.grants, self._paths.up, self._paths.environments, self._paths.stops,
            ):  # fmt: skip
                directory.mkdir(mode=0o755, parents=True, exist_ok=True)
                (directory / _NEW).unlink(missing_ok=True)
            (self._paths.runtime / _NEW).unlink(missing_ok=True)

    def write_grant(self, grant: Grant) -> None:
        """Let the unit start here: first its environment with the fencing token, then the gate."""
        _check_incarnation(grant.incarnation)
        self._write(_entry(self._paths.environments, grant.unit), f"SYNOD_EPOCH={grant.epoch}\n")
        self._write(
            _entry(self._paths.grants, grant.unit),
            f"epoch={grant.epoch}\ninstance={grant.instance}\nincarnation={grant.incarnation}\n",
        )

    def remove_grant(self, unit: UnitName) -> bool:
        """Revoke every start and Restart= of the unit; return whether it was granted."""
        was_granted = self._remove(_entry(self._paths.grants, unit))
        self._remove(_entry(self._paths.environments, unit))
        return was_granted

    def grants(self) -> Mapping[UnitName, Grant | None]:
        """Return all grants by name; None stands for a damaged file, or one not ours: treat it as void."""
        return {unit: _read_grant(unit, path) for unit, path in _list(self._paths.grants).items()}

    def mark_up(self, unit: UnitName) -> None:
        """Let starts pass the await of this unit's mirrors."""
        self._write(_entry(self._paths.up, unit), "")

    def mark_down(self, unit: UnitName) -> bool:
        """Make starts wait again; return whether it was up."""
        return self._remove(_entry(self._paths.up, unit))

    def up_units(self) -> tuple[UnitName, ...]:
        """Return the units that are marked up, by name."""
        return tuple(_list(self._paths.up))

    def mark_stop(self, unit: UnitName) -> None:
        """Remember, over a restart of the agent, that a unit's stop job is the cluster's own."""
        self._write(_entry(self._paths.stops, unit), "")

    def unmark_stop(self, unit: UnitName) -> None:
        """Take the next stop job of a unit for somebody's wish again."""
        self._remove(_entry(self._paths.stops, unit))

    def stops(self) -> tuple[UnitName, ...]:
        """Return the units whose stop jobs are the cluster's own, by name."""
        return tuple(_list(self._paths.stops))

    def write_lease(self) -> None:
        """Let granted exclusive units start."""
        self._write(self._paths.lease, "")

    def remove_lease(self) -> bool:
        """Revoke every start of every exclusive unit at once; return whether there was a lease."""
        return self._remove(self._paths.lease)

    def write_incarnation(self, text: str) -> None:
        """Remember, until the next boot, that this node was fenced and has become another one."""
        _check_incarnation(text)
        _replace(self._paths.incarnation, f"{text}\n")

    def incarnation(self, boot: str) -> str:
        """Return which incarnation of a boot this node is."""
        try:
            text = self._paths.incarnation.read_text(encoding="ascii").strip()
        except (OSError, UnicodeDecodeError):
            return boot
        return text if text.partition("+")[0] == boot else boot

    @property
    def has_lease(self) -> bool:
        """Whether the lease file exists."""
        return self._paths.lease.exists()

    # Files that somebody else writes

    def take_over(self) -> None:
        """Take what is there for the work of the agent before this one."""
        self._known = {path: _Written(_text(Path(path)) or "", mark) for path, mark in self._present()}

    def mend(self) -> tuple[str, ...]:
        """Remove what this agent did not write, and write again what was changed; return what that was.

        A file that somebody put there is no grant: only the log gives one.
        """
        told = []
        for path, mark in sorted(self._present()):
            known = self._known.get(path)
            if known is None:
                _unlink(Path(path))
                told.append(f"'{path}' was not written by the agent; removed")
            elif mark != known.mark and _text(Path(path)) != known.text:
                self._write(Path(path), known.text)
                told.append(f"'{path}' was changed by somebody; written again")
        return tuple(told)

    def _present(self) -> Iterator[tuple[str, tuple[int, ...]]]:
        """Yield what is there, with what tells one file from another without opening it."""
        paths = self._paths
        for folder in (paths.grants, paths.environments, paths.up, paths.stops):
            with _refused("list", folder), os.scandir(folder) as entries:
                for entry in entries:
                    if entry.path in self._known or is_unit_name(entry.name):
                        with contextlib.suppress(FileNotFoundError):
                            yield entry.path, _mark(entry.stat(follow_symlinks=False))
        with contextlib.suppress(FileNotFoundError):
            yield str(paths.lease), _mark(paths.lease.lstat())

    def _write(self, path: Path, text: str) -> None:
        _replace(path, text)
        with _refused("read", path):
            self._known[str(path)] = _Written(text, _mark(path.lstat()))

    def _remove(self, path: Path) -> bool:
        self._known.pop(str(path), None)
        return _unlink(path)

    def mark_booted(self) -> None:
        """Remember over a restart of the agent that the boot transaction is over."""
        _replace(self._paths.booted, "")

    @property
    def is_booted(self) -> bool:
        """Whether mark_booted() was called in this boot."""
        return self._paths.booted.exists()


def _entry(directory: Path, unit: UnitName) -> Path:
    """Return the file of a unit; a unit name holds no slash, so that the file stays in the directory."""
    if not is_unit_name(unit):
        raise ValueError(f"'{unit}' is not a unit name")
    return directory / unit


def _check_incarnation(text: str) -> None:
    if not text or not text.isprintable():
        raise ValueError(f"{text!r} is not an incarnation")


def _replace(path: Path, text: str) -> None:
    """Write by rename: readers see old contents or new, and a symbolic link in the way is replaced."""
    new = path.parent / _NEW
    with _refused("write", path):
        descriptor = os.open(
            new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC, 0o644
        )
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.write(text)
        new.replace(path)


def _unlink(path: Path) -> bool:
    with _refused("remove", path):
        try:
            path.unlink()
        except FileNotFoundError:
            return False
    return True


def _list(directory: Path) -> dict[UnitName, Path]:
    with _refused("list", directory):
        names = sorted(path.name for path in directory.iterdir()) if directory.is_dir() else []
    return {UnitName(name): directory / name for name in names if is_unit_name(name)}


def _mark(found: os.stat_result) -> tuple[int, ...]:
    return found.st_ino, found.st_mtime_ns, found.st_size, found.st_mode


def _text(path: Path) -> str | None:
    """Return what a regular file holds; None for anything else."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
        with os.fdopen(descriptor, "rb") as file:
            is_regular = stat.S_ISREG(os.fstat(descriptor).st_mode)
            return file.read(GRANT_BYTES_MAX).decode("utf-8") if is_regular else None
    except (OSError, UnicodeDecodeError):
        return None


def _read_grant(unit: UnitName, path: Path) -> Grant | None:
    text = _text(path)
    if text is None:
        return None
    fields = dict(line.split("=", 1) for line in text.splitlines() if "=" in line)
    epoch, instance, incarnation = (fields.get(key, "") for key in ("epoch", "instance", "incarnation"))
    if not (epoch.isdecimal() and instance.isdecimal() and incarnation):
        return None
    return Grant(unit=unit, instance=int(instance), epoch=Epoch(int(epoch)), incarnation=incarnation)


@contextlib.contextmanager
def _refused(verb: str, path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise StorageError(f"cannot {verb} '{path}': {error.strerror}") from error
