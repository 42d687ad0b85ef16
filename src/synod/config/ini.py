# SPDX-License-Identifier: LGPL-2.1-or-later
"""Bytes of a unit or settings file -> sections and assignments with their line numbers.

Decides what systemd.syntax(7) leaves to the reader, the way systemd's own parser does (seen with
systemd-analyze verify on 252): which bytes end a line, when a backslash continues one, that a comment does
not end a continuation but a blank line does, and that a bad section header, a line that is not UTF-8 or an
oversized file ends the reading of that file. Refuses to know what sections and keys mean. Total: any bytes
give a result, never an exception.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

FILE_BYTES_MAX: Final = 1 << 20
"""systemd's own limit for one line; no file that a person wrote comes near it."""

BLANKS: Final = " \t\n\r"
"""What systemd strips around lines, keys and values; Python's strip() would take more."""

_COMMENTS: Final = (b"#", b";")
_EOL_BYTES: Final = b"\n\r\0"
_BOM: Final = b"\xef\xbb\xbf"
_UNSAFE: Final = frozenset("\"'\\\x7f") | frozenset(map(chr, range(0x20)))
"""Characters that systemd refuses in a section header."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Assignment:
    """``key=value`` inside a section; ``line`` is the first of a continued one, counted from 1."""

    section: str
    key: str
    value: str
    line: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Header:
    """A ``[name]`` line."""

    name: str
    line: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """A line that systemd would not accept; after a fatal one nothing of the file is read any more."""

    line: int
    section: str
    message: str
    is_fatal: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class IniFile:
    """What one file says, in the order of its lines."""

    path: str
    headers: tuple[Header, ...] = ()
    assignments: tuple[Assignment, ...] = ()
    problems: tuple[Problem, ...] = ()
    unread: str = ""
    """The whole text, damaged or not, when reading ended early; else empty."""

    @property
    def is_broken(self) -> bool:
        """Whether reading ended early: systemd refuses such a fragment; a drop-in counts up to there."""
        return any(problem.is_fatal for problem in self.problems)


def parse(data: bytes, path: str) -> IniFile:
    """Read the bytes of a file; ``path`` is only carried along."""
    if len(data) > FILE_BYTES_MAX:
        problem = Problem(
            line=1, section="", message=f"the file is larger than {FILE_BYTES_MAX} bytes", is_fatal=True
        )
        return IniFile(path=path, problems=(problem,), unread=data.decode(errors="replace"))
    section = ""
    headers: list[Header] = []
    assignments: list[Assignment] = []
    problems: list[Problem] = []

    def complain(line: int, message: str, *, is_fatal: bool = False) -> None:
        problems.append(Problem(line=line, section=section, message=message, is_fatal=is_fatal))

    for line, raw in logical_lines(data):
        try:
            text = raw.decode().strip(BLANKS)
        except UnicodeDecodeError:
            complain(line, "the line is not valid UTF-8", is_fatal=True)
            break
        if not text or text[0] in "#;":
            continue
        if text[0] == "[":
            name = text[1:-1]
            if len(text) < 2 or text[-1] != "]" or not _UNSAFE.isdisjoint(name):
                complain(line, f"'{text[:80]}' is not a section header", is_fatal=True)
                break
            section = name
            headers.append(Header(name=name, line=line))
            continue
        key, equals, value = text.partition("=")
        if not equals:
            complain(line, f"'{text[:80]}' has no '='")
        elif not headers:
            complain(line, f"'{key.strip(BLANKS)[:80]}=' stands outside of any section")
        else:
            assignments.append(
                Assignment(section=section, key=key.strip(BLANKS), value=value.strip(BLANKS), line=line)
            )
    return IniFile(
        path=path,
        headers=tuple(headers),
        assignments=tuple(assignments),
        problems=tuple(problems),
        unread=data.decode(errors="replace") if problems and problems[-1].is_fatal else "",
    )


def logical_lines(data: bytes) -> Iterator[tuple[int, bytes]]:
    """Yield (number of the first line, bytes), continued lines joined by a space, comments left out."""
    pending, pending_line, is_bom_seen = b"", 0, False
    for line, physical in enumerate(_split(data), 1):
        if physical.lstrip(b" \t\n\r")[:1] in _COMMENTS:
            continue
        part = physical
        if not is_bom_seen and part.startswith(_BOM):
            part, is_bom_seen = part[len(_BOM) :], True
        start = pending_line or line
        part = pending + part
        backslashes = len(part) - len(part.rstrip(b"\\"))
        if backslashes % 2:
            pending, pending_line = part[:-1] + b" ", start
            continue
        pending, pending_line = b"", 0
        yield start, part
    if pending_line:
        yield pending_line, pending


def _split(data: bytes) -> list[bytes]:
    r"""Split into lines: one end is a run of different bytes among ``\n \r \0`` that a ``\0`` closes."""
    if b"\r" not in data and b"\0" not in data:
        return data.removesuffix(b"\n").split(b"\n")
    lines, start, position = [], 0, 0
    while position < len(data):
        if data[position] not in _EOL_BYTES:
            position += 1
            continue
        lines.append(data[start:position])
        seen = b""
        while position < len(data) and data[position] in _EOL_BYTES and b"\0" not in seen:
            byte = data[position : position + 1]
            if byte in seen:
                break
            seen += byte
            position += 1
        start = position
    lines.append(data[start:])
    return lines
