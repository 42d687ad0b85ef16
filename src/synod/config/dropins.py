# SPDX-License-Identifier: LGPL-2.1-or-later
"""Which files make up a unit: fragment, drop-ins, aliases and masks, as systemd.unit(5) looks for them.

Decides precedence: the first directory that has a name wins, drop-ins are sorted by file name whatever their
directory, a symlink to /dev/null or an empty file masks. Refuses to open any of the files. Held equal to
systemd by a test that asks systemd-analyze verify in which order it reads.
"""

import os
import stat
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from synod.base.ids import UNIT_TYPES, is_unit_name
from synod.config.specifiers import split_name

SEARCH_PATH: Final = (
    "etc/systemd/system.control", "run/systemd/system.control", "run/systemd/transient",
    "run/systemd/generator.early", "etc/systemd/system", "etc/systemd/system.attached", "run/systemd/system",
    "run/systemd/system.attached", "run/systemd/generator", "usr/local/lib/systemd/system",
    "usr/lib/systemd/system", "run/systemd/generator.late",
)  # fmt: skip
"""Unit directories of the system manager below the root, highest precedence first."""

_ALIASABLE: Final = frozenset(("service", "socket", "target", "device", "timer", "path"))
_HOPS_MAX: Final = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class UnitFiles:
    """The files of one unit; ``fragment`` is None when there are only drop-ins."""

    name: str
    fragment: Path | None
    dropins: tuple[Path, ...]
    names: tuple[str, ...]
    """The name itself first, then its aliases in order of their names."""
    is_masked: bool


@dataclass(slots=True)
class UnitIndex:
    """What the unit directories hold; built once by ``scan`` and then only asked."""

    root: Path
    directories: tuple[Path, ...]
    fragments: dict[str, Path | None] = field(default_factory=dict)
    """Name -> file, or None for a mask."""
    aliases: dict[str, str] = field(default_factory=dict)
    """Name -> the unit that it is another name of, one hop."""
    dropin_files: dict[tuple[Path, str], tuple[str, ...]] = field(default_factory=dict)
    """(directory, unit name or type) -> names of the ``.conf`` files in its ``.d`` directory."""
    pulled_in: dict[str, list[tuple[str, str]]] = field(default_factory=dict)
    """Unit -> ("Wants" or "Requires", other unit) for the symlinks in its directory of that kind."""

    def resolve(self, name: str) -> str:
        """Return the unit that a name stands for: itself, unless it is an alias."""
        for _ in range(_HOPS_MAX):
            target = self.aliases.get(name)
            if target is None:
                template = _template_of(name)
                alias = self.aliases.get(template) if template and name not in self.fragments else None
                if alias is None:
                    return name
                target = _instantiate(alias, split_name(name).instance or "")
            elif _is_template(target) and not _is_template(name):
                target = _instantiate(target, split_name(name).instance or "")
            name = target
        return name

    def find(self, name: str) -> UnitFiles:
        """Return the files of a unit; the name may be an alias or an instance of a template."""
        unit = self.resolve(name)
        fragment, is_known = self._fragment(unit)
        names = (
            unit,
            *sorted(alias for alias in self.aliases if alias != unit and self.resolve(alias) == unit),
        )
        return UnitFiles(
            name=unit,
            fragment=fragment,
            dropins=self._dropins(names),
            names=names,
            is_masked=is_known and fragment is None,
        )

    def unit_names(self) -> tuple[str, ...]:
        """Return every unit for which there is a file or a drop-in, sorted: no aliases, prefixes or types.

        Templates are included; of their instances those that a file, a drop-in or a symlink names.
        """
        names = dict.fromkeys(self.fragments)
        dropin_stems_seen = (stem for _, stem in self.dropin_files)
        names.update(
            dict.fromkeys(s for s in dropin_stems_seen if is_unit_name(s) and not is_prefix_name(s))
        )
        for _, edges in sorted(self.pulled_in.items()):
            names.update(dict.fromkeys(other for _, other in edges if split_name(other).instance))
        return tuple(sorted(name for name in names if name not in self.aliases))

    def _fragment(self, unit: str) -> tuple[Path | None, bool]:
        template = _template_of(unit)
        for name in (unit, template):
            if name and name in self.fragments:
                return self.fragments[name], True
        return None, False

    def _dropins(self, names: tuple[str, ...]) -> tuple[Path, ...]:
        chosen: dict[str, Path] = {}
        suffix = split_name(names[0]).suffix
        places = [
            (directory, stem)
            for name in names
            for directory in self.directories
            for stem in dropin_stems(name)
        ]
        # The drop-ins for a whole type come last: anything more specific overrides them, in any directory.
        for directory, stem in (*places, *((directory, suffix) for directory in self.directories)):
            for file in self.dropin_files.get((directory, stem), ()):
                chosen.setdefault(file, directory / f"{stem}.d" / file)
        return tuple(chosen[file] for file in sorted(chosen))


def scan(root: Path) -> UnitIndex:
    """Look through the unit directories below a root; those that are missing or unreadable are left out."""
    root = root.absolute()
    directories = tuple(root / name for name in SEARCH_PATH)
    index = UnitIndex(root, directories)
    for directory in directories:
        for entry in _entries(directory):
            kind, _, stem = entry.name[::-1].partition(".")
            kind, stem = kind[::-1], stem[::-1]
            if is_unit_name(entry.name):
                _add_fragment(index, directory, entry.name)
            elif kind == "d" and (is_unit_name(stem) or stem in UNIT_TYPES):
                files = sorted(file.name for file in _entries(Path(entry)) if _is_dropin(file))
                index.dropin_files[directory, stem] = tuple(files)
            elif kind in ("wants", "requires") and is_unit_name(stem):
                others = sorted(other.name for other in _entries(Path(entry)) if is_unit_name(other.name))
                index.pulled_in.setdefault(stem, []).extend((kind.title(), other) for other in others)
    return index


def dropin_stems(name: str) -> Iterator[str]:
    """Yield the names whose ``.d`` directories apply to a unit, from the most specific one to the prefixes.

    ``a-b@i.service`` gives itself, ``a-b@.service``, ``a-@.service``, ``a-@i.service``, ``a-@.service``.
    """
    yield name
    template = _template_of(name)
    if template is not None:
        yield from dropin_stems(template)
    parts = split_name(name)
    prefix = parts.prefix
    cut = prefix.rfind("-")
    if cut == len(prefix) - 1 and cut > 0:  # one trailing dash is that of a prefix: look further left
        cut = prefix.rfind("-", 0, cut)
    if cut > 0:
        at = "" if parts.instance is None or _is_template(name) else f"@{parts.instance}"
        yield from dropin_stems(f"{prefix[: cut + 1]}{at}.{parts.suffix}")


def is_prefix_name(name: str) -> bool:
    """Return whether drop-ins under this name are for a prefix, as in ``a-.service.d/``."""
    prefix = split_name(name).prefix
    return prefix.endswith("-") and prefix != "-"  # -.slice and -.mount are the roots of their kind


def is_dev_null(path: Path, root: Path) -> bool:
    """Return whether a symlink leads to /dev/null, which is that of the host and of the root alike."""
    try:
        target = os.fspath(path.readlink())
    except OSError:
        return False
    return os.path.normpath(target) in ("/dev/null", os.path.normpath(root / "dev/null"))


def _add_fragment(index: UnitIndex, directory: Path, name: str) -> None:
    """Enter one directory entry, unless a directory of higher precedence has that name."""
    if name in index.fragments or name in index.aliases:
        return
    path = directory / name
    try:
        status = path.lstat()
    except OSError:
        return
    if not stat.S_ISLNK(status.st_mode):
        if stat.S_ISREG(status.st_mode):
            index.fragments[name] = path if status.st_size else None
        return
    if is_dev_null(path, index.root):
        index.fragments[name] = None
        return
    target = _inside(index.root, path)
    if target is None:
        return
    if target.parent in index.directories and target.name != name:
        if _may_alias(name, target.name):
            index.aliases[name] = target.name
    elif target.parent not in index.directories:
        index.fragments[name] = path  # a linked unit file: only its content is elsewhere


def follow(root: Path, path: Path) -> Path:
    """Resolve the symlinks that end a path the way the system below ``root`` would."""
    for _ in range(_HOPS_MAX):
        target = _inside(root, path)
        if target is None:
            break
        path = target
    return path


def _inside(root: Path, link: Path) -> Path | None:
    """Follow one symlink as the system below ``root`` would, without following what it leads to."""
    try:
        target = os.fspath(link.readlink())
    except OSError:
        return None
    joined = f"{root}{target}" if target.startswith("/") else f"{link.parent}/{target}"
    return Path(os.path.normpath(joined))


def _may_alias(name: str, target: str) -> bool:
    """Return whether systemd would take ``name`` as another name of ``target``."""
    if not is_unit_name(target):
        return False
    one, other = split_name(name), split_name(target)
    if one.suffix != other.suffix or one.suffix not in _ALIASABLE:
        return False
    if one.instance is None or other.instance is None:
        return one.instance is None and other.instance is None
    return one.instance == other.instance or (other.instance == "" and one.instance != "")


def _entries(directory: Path) -> list[os.DirEntry[str]]:
    try:
        with os.scandir(directory) as entries:
            return sorted(entries, key=lambda entry: entry.name)
    except OSError:
        return []


def _is_dropin(entry: os.DirEntry[str]) -> bool:
    return (
        entry.name.endswith(".conf")
        and not entry.name.startswith(".")
        and not entry.is_dir(follow_symlinks=False)
    )


def _template_of(name: str) -> str | None:
    """Return ``a@.service`` for ``a@i.service``, None for what is no instance."""
    parts = split_name(name)
    return f"{parts.prefix}@.{parts.suffix}" if parts.instance else None


def _is_template(name: str) -> bool:
    return split_name(name).instance == ""


def _instantiate(template: str, instance: str) -> str:
    parts = split_name(template)
    return f"{parts.prefix}@{instance}.{parts.suffix}"
