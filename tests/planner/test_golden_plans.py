# SPDX-License-Identifier: LGPL-2.1-or-later
"""Plans in words, held in tests/golden/plans/; SYNOD_REWRITE=1 rewrites them, and the diff is the review."""

import os
from pathlib import Path

import pytest
from plan_stage import replay

FILES = sorted((Path(__file__).parent.parent / "golden/plans").glob("*.txt"))


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_golden(file: Path) -> None:
    found = replay(file.read_text().splitlines())
    if os.environ.get("SYNOD_REWRITE"):
        file.write_text("\n".join(found) + "\n")
    assert found == file.read_text().splitlines()


def test_there_are_golden_files() -> None:
    assert len(FILES) >= 10
