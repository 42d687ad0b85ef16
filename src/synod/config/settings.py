# SPDX-License-Identifier: LGPL-2.1-or-later
"""synod.conf and synod.conf.d/ -> one frozen Settings, with the place that each value comes from.

Decides which files count, as systemd's own configuration directories do: the first synod.conf in /etc/synod,
/run/synod, /usr/local/lib/synod, /usr/lib/synod; then the drop-ins of all four, by file name, where a name
in an earlier directory hides it in the later ones. Unknown names warn, since a later release may know them;
a value that cannot be read is an error, since running without it would not be what was asked for.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from synod.base.errors import ConfigError
from synod.base.usec import format_span
from synod.config.dropins import follow, is_dev_null
from synod.config.ini import FILE_BYTES_MAX, Assignment, IniFile, parse
from synod.config.schema import SETTINGS, Setting, Settings, Value

DIRECTORIES: Final = ("etc/synod", "run/synod", "usr/local/lib/synod", "usr/lib/synod")
FILE_NAME: Final = "synod.conf"

_ROWS: Final[Mapping[tuple[str, str], Setting]] = {(row.section, row.key): row for row in SETTINGS}
_SECTIONS: Final = tuple(dict.fromkeys(row.section for row in SETTINGS))


@dataclass(frozen=True, slots=True, kw_only=True)
class LoadedSettings:
    """Settings, where they come from, and what was passed over."""

    settings: Settings
    origins: Mapping[str, str]
    """Field -> ``FILE:LINE``; fields at their default are missing."""
    files: tuple[Path, ...]
    """What was read, lowest precedence first."""
    warnings: tuple[str, ...]


def load_settings(root: Path = Path("/")) -> LoadedSettings:
    """Read the settings below a root.

    Raises:
        ConfigError: a value or a file cannot be read; the text begins with FILE:LINE.
    """
    files = settings_files(root)
    values: dict[str, Value] = {row.field: row.default for row in SETTINGS}
    origins: dict[str, str] = {}
    warnings: list[str] = []
    for path in files:
        file = _read(root, path)
        for problem in file.problems:
            place = f"{path}:{problem.line}: {problem.message}"
            if problem.is_fatal:
                raise ConfigError(place)
            warnings.append(f"{place}, ignoring")
        for assignment in file.assignments:
            row = _ROWS.get((assignment.section, assignment.key))
            if row is None:
                warnings.append(f"{path}:{assignment.line}: {_unknown(assignment)}, ignoring")
                continue
            if assignment.value:
                values[row.field] = _value(row, assignment, path)
                origins[row.field] = f"{path}:{assignment.line}"
            else:
                values[row.field] = row.default
                origins.pop(row.field, None)
    # Every parser returns the type of its field, and every field has a row (tested).
    fields: Any = values
    settings = Settings(**fields)
    _check(settings, origins)
    return LoadedSettings(settings=settings, origins=origins, files=files, warnings=tuple(warnings))


def settings_files(root: Path) -> tuple[Path, ...]:
    """Return the files that count, lowest precedence first; a symlink to /dev/null hides and is left out."""
    root = root.absolute()
    directories = [root / name for name in DIRECTORIES]
    main = [directory / FILE_NAME for directory in directories if _is_there(directory / FILE_NAME)][:1]
    dropins: dict[str, Path] = {}
    for directory in directories:
        for path in _listed(directory / f"{FILE_NAME}.d"):
            if path.name.endswith(".conf") and not path.name.startswith("."):
                dropins.setdefault(path.name, path)
    candidates = [*main, *(dropins[name] for name in sorted(dropins))]
    return tuple(path for path in candidates if not is_dev_null(path, root))


def _read(root: Path, path: Path) -> IniFile:
    try:
        with follow(root.absolute(), path).open("rb") as file:
            return parse(file.read(FILE_BYTES_MAX + 1), str(path))
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read: {error.strerror}") from error


def _value(row: Setting, assignment: Assignment, path: Path) -> Value:
    try:
        return row.parse(assignment.value)
    except ValueError as error:
        raise ConfigError(f"{path}:{assignment.line}: [{row.section}] {row.key}=: {error}") from error


def _check(settings: Settings, origins: Mapping[str, str]) -> None:
    try:
        settings.timing()
    except ValueError as error:
        place = origins.get("election_timeout_usec") or origins["heartbeat_usec"]
        times = f"{format_span(settings.election_timeout_usec)} and {format_span(settings.heartbeat_usec)}"
        reason = "ElectionTimeoutSec= is to be at least twice HeartbeatSec=, and 150ms"
        raise ConfigError(f"{place}: [Log] {reason}; they are {times}") from error


def _unknown(assignment: Assignment) -> str:
    if assignment.section not in _SECTIONS:
        return f"unknown section [{assignment.section[:80]}]"
    return f"[{assignment.section}] has no setting '{assignment.key[:80]}='"


def _is_there(path: Path) -> bool:
    return path.is_symlink() or path.exists()


def _listed(directory: Path) -> list[Path]:
    try:
        return sorted(directory.iterdir())
    except OSError:
        return []
