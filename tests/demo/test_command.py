# SPDX-License-Identifier: LGPL-2.1-or-later
"""README's first command does what README says."""

import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent.parent


@pytest.mark.system
def test_make_demo_keeps_every_promise() -> None:
    result = subprocess.run(
        ["make", "demo"], cwd=ROOT, capture_output=True, text=True, check=False, timeout=600
    )
    assert result.returncode == 0, result.stdout[-4000:] + result.stderr[-2000:]
    assert "promises, all kept" in result.stdout
    assert (ROOT / "build/demo/timeline.svg").read_text().lstrip().startswith("<")
