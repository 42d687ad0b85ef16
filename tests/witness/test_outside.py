# SPDX-License-Identifier: LGPL-2.1-or-later
"""What is read of a client that is still writing."""

from pathlib import Path

import pytest

from witness import outside


@pytest.mark.parametrize(("text", "lines"), [("", []), ("1", []), ("1\n", ["1"]), ("1\n2\n3", ["1", "2"])])
def test_half_a_line_is_left_for_later(tmp_path: Path, text: str, lines: list[str]) -> None:
    path = tmp_path / "output"
    path.write_text(text)
    assert outside.lines(path) == lines
