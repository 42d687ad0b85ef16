# SPDX-License-Identifier: LGPL-2.1-or-later
"""The only printer: data goes to standard output, talk to standard error.

Decides how tables, properties, JSON and colours look; refuses to know what they say. What came from
elsewhere is shown without control characters. Output is never paged.
"""

import json
import os
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, TextIO

JSON_MODES: Final = ("short", "pretty", "off")
NOTHING: Final = "-"
"""An empty cell; a table with holes cannot be read by column."""

_RESET: Final = "\x1b[0m"
_COLOURS: Final = {
    "active": "\x1b[32m", "online": "\x1b[32m", "started": "\x1b[32m",
    "failed": "\x1b[1;31m", "lost": "\x1b[1;31m", "error": "\x1b[1;31m", "no": "\x1b[1;31m",
    "suspect": "\x1b[33m", "leaving": "\x1b[33m", "unmanaged": "\x1b[33m", "drained": "\x1b[33m",
    "activating": "\x1b[33m", "deactivating": "\x1b[33m", "warning": "\x1b[33m",
}  # fmt: skip
_SWITCHED_OFF: Final = ("0", "no", "n", "false", "f", "off")
_BOLD: Final = "\x1b[1m"


@dataclass(slots=True, kw_only=True)
class Output:
    """How this run prints."""

    json_mode: str = "off"
    has_legend: bool = True
    is_quiet: bool = False
    is_verbose: bool = False

    @property
    def is_json(self) -> bool:
        """Whether data is printed for programs."""
        return self.json_mode != "off"

    def data(self, value: object) -> None:
        """Print a value as JSON: on one line, or indented."""
        _write(json.dumps(value, indent="\t" if self.json_mode == "pretty" else None))

    def line(self, text: str) -> None:
        """Print one line of data."""
        _write(clean(text))

    def table(self, header: Sequence[str], rows: Iterable[Sequence[object]], noun: str) -> None:
        """Print aligned columns, with header and count unless the legend is off; the last one runs free."""
        lines = [[cell(value) for value in row] for row in rows]
        shown = [list(header), *lines] if self.has_legend else lines
        widths = [max(map(len, column)) for column in zip(*shown, strict=True)]
        has_colours = wants_colours(sys.stdout)
        for number, line in enumerate(shown):
            is_header = self.has_legend and number == 0
            text = " ".join(_pad(value, width, is_header=is_header, has_colours=has_colours)
                            for value, width in zip(line, widths, strict=True))
            _write(text.rstrip())
        if self.has_legend:
            plural = noun if len(lines) == 1 else f"{noun}s"
            _write(f"\n{len(lines)} {plural} listed.")

    def fields(self, pairs: Iterable[tuple[str, object]]) -> None:
        """Print labels and values, labels right-aligned as in systemctl status."""
        shown = [(label, cell(value)) for label, value in pairs]
        width = max((len(label) for label, _ in shown), default=0)
        has_colours = wants_colours(sys.stdout)
        for label, value in shown:
            _write(f"{label:>{width}}: {_coloured(value, value) if has_colours else value}")

    def properties(self, value: Mapping[str, object]) -> None:
        """Print ``Key=value`` lines as systemctl show does; nested values as JSON."""
        for key, item in value.items():
            is_nested = isinstance(item, dict) or (isinstance(item, list) and any(
                isinstance(part, dict | list) for part in item))
            text = json.dumps(item) if is_nested else cell(item) if item not in (None, [], "") else ""
            _write(f"{clean(key)}={text}")

    def note(self, text: str) -> None:
        """Tell people something that no program needs; silenced by --quiet."""
        if text and not self.is_quiet:
            _write(clean(text), sys.stderr)

    def progress(self, text: str) -> None:
        """Tell what is being waited for: on a terminal, or when asked to."""
        if self.is_verbose or sys.stderr.isatty():
            self.note(text)


def error(text: str) -> None:
    """Print the one line that explains a failure."""
    _write(f"synodctl: {clean(text)}", sys.stderr)


def finish() -> bool:
    """Hand on what is still buffered; return whether it was written.

    When it was not, it is thrown away, or the interpreter would complain about it at its end.
    """
    try:
        sys.stdout.flush()
    except OSError:
        with open(os.devnull, "wb") as nowhere:  # noqa: PTH123  a device, not a path of ours
            os.dup2(nowhere.fileno(), sys.stdout.fileno())
        return False
    return True


def cell(value: object) -> str:
    """Turn what an agent sent into text for one cell."""
    if value is None or value == "" or value == []:
        return NOTHING
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, list):
        return " ".join(cell(item) for item in value)
    return clean(value if isinstance(value, str) else str(value))


def clean(text: str) -> str:
    """Return the text on one line, with escapes for what a terminal might obey."""
    return "".join(
        character if character.isprintable() else " " if character in "\n\t" else f"\\x{ord(character):02x}"
        for character in text
    )


def wants_colours(stream: TextIO) -> bool:
    """Decide as systemd does: SYSTEMD_COLORS, else NO_COLOR, else whether it is a terminal with colours."""
    setting = os.environ.get("SYSTEMD_COLORS")
    if setting is not None:
        return setting.lower() not in _SWITCHED_OFF
    return not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb" and stream.isatty()


def _write(line: str, stream: TextIO | None = None) -> None:
    (stream or sys.stdout).write(f"{line}\n")


def _pad(text: str, width: int, *, is_header: bool, has_colours: bool) -> str:
    padded = text.ljust(width)
    if not has_colours:
        return padded
    return f"{_BOLD}{padded}{_RESET}" if is_header else _coloured(text, padded)


def _coloured(word: str, text: str) -> str:
    colour = _COLOURS.get(word)
    return f"{colour}{text}{_RESET}" if colour else text
