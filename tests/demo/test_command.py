# SPDX-License-Identifier: LGPL-2.1-or-later
"""README's first command does what README says."""

import re
import subprocess
from pathlib import Path

import pytest

from synod.lab import remains

ROOT = Path(__file__).parent.parent.parent
WORDS = ("systemctl start web", "the start of web is refused", "killed with -9", "node2 loses its power",
         "node2 comes back: no second copy", "synodctl why", "poweroff of node1")
"""What README says that is shown."""
DRAWN = ("power lost", "fenced", "power back", "no answer for")


@pytest.mark.system
def test_make_demo_keeps_every_promise() -> None:
    result = subprocess.run(
        ["make", "demo"], cwd=ROOT, capture_output=True, text=True, check=False, timeout=600
    )
    assert result.returncode == 0, result.stdout[-4000:] + result.stderr[-2000:]
    assert "promises, all kept" in result.stdout
    assert [words for words in WORDS if words not in result.stdout] == []
    assert re.search(r"the client outside had no answer for \d+\.\d\d s", result.stdout)
    picture = (ROOT / "build/demo/timeline.svg").read_text()
    assert picture.lstrip().startswith("<")
    assert [words for words in DRAWN if words not in picture] == []
    assert "demo" not in remains.labs()
