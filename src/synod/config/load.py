# SPDX-License-Identifier: LGPL-2.1-or-later
"""Reads unit files: below a root while nothing runs, or the very files that systemd says it has loaded.

The only reader of unit files in the package. Decides nothing but which files are read; what they say is
``ini``'s and ``annotation``'s. A file that cannot be read is a finding, never an exception.
"""

import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from synod.base.ids import UnitName, is_unit_name
from synod.config.annotation import Annotation, parse_annotation
from synod.config.dropins import UnitFiles, UnitIndex, follow, scan
from synod.config.finding import Finding, finding
from synod.config.ini import FILE_BYTES_MAX, Assignment, IniFile, parse
from synod.config.specifiers import Host, expand, split_name
from synod.config.values import parse_boolean, words

_NOWHERE = Host()


@dataclass(frozen=True, slots=True, kw_only=True)
class LoadedUnit:
    """A unit as its files describe it, fragment first, drop-ins in the order in which they apply."""

    name: UnitName
    fragment: IniFile | None
    dropins: tuple[IniFile, ...]
    annotation: Annotation | None
    findings: tuple[Finding, ...] = ()
    """Files that could not be read; what the annotation says wrongly is in its own findings."""
    pulled_in: tuple[tuple[str, str], ...] = ()
    """("Wants" or "Requires", unit) for the symlinks in its .wants and .requires directories."""
    is_masked: bool = False

    @property
    def files(self) -> tuple[IniFile, ...]:
        """Every file that was read, in the order in which it applies."""
        return (self.fragment, *self.dropins) if self.fragment else self.dropins

    def assignments(self, section: str, key: str) -> Iterator[tuple[IniFile, Assignment]]:
        """Yield every assignment of a key, in the order in which systemd applies them."""
        for file in self.files:
            for assignment in file.assignments:
                if assignment.section == section and assignment.key == key:
                    yield file, assignment

    def last(self, section: str, key: str) -> tuple[IniFile, Assignment] | None:
        """Return the assignment that decides a key with a single value."""
        found = tuple(self.assignments(section, key))
        return found[-1] if found else None

    def value(self, section: str, key: str) -> str:
        """Return the value that decides, or an empty string."""
        found = self.last(section, key)
        return found[1].value if found else ""

    def is_true(self, section: str, key: str) -> bool:
        """Return whether a boolean is switched on by its deciding assignment."""
        return parse_boolean(self.value(section, key)) is True

    def names(
        self, section: str, key: str, host: Host = _NOWHERE
    ) -> Iterator[tuple[str, IniFile, Assignment]]:
        """Yield (unit name, file, assignment) for a list of units; bad names are left out, as by systemd."""
        for file, assignment in self.assignments(section, key):
            for word in words(assignment.value):
                try:
                    name = expand(word.strip("\"'"), self.name, host)
                except ValueError:
                    continue
                if is_unit_name(name):
                    yield name, file, assignment


def host_below(root: Path) -> Host:
    """Return host name and machine id as the files below a root give them; for ``/``, what is in force."""
    name = os.uname().nodename if root == Path("/") else _first_line(root / "etc/hostname")
    return Host(host_name=name, machine_id=_first_line(root / "etc/machine-id"))


def load_units(
    root: Path, names: Iterable[str] | None = None, host: Host | None = None
) -> dict[UnitName, LoadedUnit]:
    """Read units from the unit directories below a root, by name; all of them when no names are given.

    Masked units are included without files. Templates are left out of "all"; their instances that anything
    names are in. An alias is loaded under the name that it stands for.
    """
    index = scan(root)
    asked = tuple(names) if names is not None else _concrete(index)
    host = host or host_below(root)
    units = (load_unit(index, name, host) for name in sorted(asked) if is_unit_name(name))
    return {unit.name: unit for unit in units}


def load_unit(index: UnitIndex, name: str, host: Host) -> LoadedUnit:
    """Read one unit through an index of the unit directories."""
    files = index.find(name)
    pulled = [edge for unit in files.names for edge in index.pulled_in.get(unit, ())]
    return _load(UnitName(files.name), files, host, tuple(pulled), index.root)


def parse_unit(
    fragment_path: Path | None,
    dropin_paths: Sequence[Path],
    *,
    unit: UnitName | None = None,
    host: Host = _NOWHERE,
) -> LoadedUnit:
    """Read exactly the files that systemd reports: FragmentPath, then DropInPaths in that order.

    ``unit`` is needed for an instance of a template and for a unit without fragment; else the fragment's
    name is it.

    Raises:
        ValueError: neither gives a unit name.
    """
    name = unit or (fragment_path.name if fragment_path else "")
    if not is_unit_name(name):
        raise ValueError(f"'{name}' is not a unit name")
    files = UnitFiles(
        name=name, fragment=fragment_path, dropins=tuple(dropin_paths), names=(name,), is_masked=False
    )
    return _load(UnitName(name), files, host, (), Path("/"))


def _load(
    name: UnitName, files: UnitFiles, host: Host, pulled_in: tuple[tuple[str, str], ...], root: Path
) -> LoadedUnit:
    if files.is_masked:
        return LoadedUnit(name=name, fragment=None, dropins=(), annotation=None, is_masked=True)
    findings: list[Finding] = []
    paths = [files.fragment] if files.fragment else []
    read = [_read(path, root, name, findings) for path in (*paths, *files.dropins)]
    return LoadedUnit(
        name=name,
        fragment=read[0] if files.fragment else None,
        dropins=tuple(read[len(paths) :]),
        annotation=parse_annotation(name, read, host),
        findings=tuple(findings),
        pulled_in=pulled_in,
    )


def _read(path: Path, root: Path, unit: str, findings: list[Finding]) -> IniFile:
    try:
        with follow(root, path).open("rb") as file:
            # One byte more than allowed is enough for the parser to refuse the file.
            return parse(file.read(FILE_BYTES_MAX + 1), str(path))
    except FileNotFoundError:  # a dangling link, or removed meanwhile: systemd passes over it as well
        return IniFile(path=str(path))
    except OSError as error:
        findings.append(finding("unreadable", str(error.strerror), file=str(path), unit=unit))
        return IniFile(path=str(path))


def _concrete(index: UnitIndex) -> tuple[str, ...]:
    return tuple(name for name in index.unit_names() if split_name(name).instance != "")


def _first_line(path: Path) -> str:
    try:
        lines = path.read_bytes()[:256].decode("ascii", "replace").splitlines()
    except OSError:
        return ""
    return lines[0].strip() if lines else ""
