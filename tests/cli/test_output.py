# SPDX-License-Identifier: LGPL-2.1-or-later
import io

import pytest
from hypothesis import given
from hypothesis import strategies as st

from synod.cli.output import Output, cell, clean, wants_colours


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize(("environment", "on_terminal", "elsewhere"), [
    ({}, True, False),
    ({"NO_COLOR": "1"}, False, False),
    ({"NO_COLOR": ""}, True, False),
    ({"TERM": "dumb"}, False, False),
    ({"SYSTEMD_COLORS": "no"}, False, False),
    ({"SYSTEMD_COLORS": "0"}, False, False),
    ({"SYSTEMD_COLORS": "1", "NO_COLOR": "1"}, True, True),
    ({"SYSTEMD_COLORS": "256"}, True, True),
])  # fmt: skip
def test_colours(
    monkeypatch: pytest.MonkeyPatch, environment: dict[str, str], on_terminal: bool, elsewhere: bool
) -> None:
    monkeypatch.setenv("TERM", "xterm")
    for name in ("NO_COLOR", "SYSTEMD_COLORS"):
        monkeypatch.delenv(name, raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    assert wants_colours(Terminal()) is on_terminal
    assert wants_colours(io.StringIO()) is elsewhere


def test_colours_do_not_move_columns(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = [("a", "active", "x"), ("bb", "failed", "y"), ("c", "-", "z")]
    monkeypatch.setenv("SYSTEMD_COLORS", "0")
    Output().table(("N", "STATE", "R"), rows, "row")
    plain = capsys.readouterr().out
    monkeypatch.setenv("SYSTEMD_COLORS", "1")
    Output().table(("N", "STATE", "R"), rows, "row")
    coloured = capsys.readouterr().out
    assert "\x1b[32mactive" in coloured
    for sequence in ("\x1b[1m", "\x1b[32m", "\x1b[1;31m", "\x1b[0m"):
        coloured = coloured.replace(sequence, "")
    assert [line.rstrip() for line in coloured.splitlines()] == plain.splitlines()


@given(text=st.text())
def test_clean_text_is_one_printable_line(text: str) -> None:
    assert clean(text).isprintable()


@pytest.mark.parametrize(("value", "text"), [
    (None, "-"), ("", "-"), ([], "-"), (True, "yes"), (False, "no"), (0, "0"), (["a", "b"], "a b"),
    ("x", "x"),
])  # fmt: skip
def test_cells(value: object, text: str) -> None:
    assert cell(value) == text


def test_properties(capsys: pytest.CaptureFixture[str]) -> None:
    Output().properties({"a": None, "b": ["x", "y"], "c": [], "d": {"k": 1}, "e": [{"k": 1}], "f": False})
    assert capsys.readouterr().out == 'a=\nb=x y\nc=\nd={"k": 1}\ne=[{"k": 1}]\nf=no\n'
