# SPDX-License-Identifier: LGPL-2.1-or-later
"""synodctl, run in this process against an agent that follows a script."""

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from synod.cli.main import run

sys.path.insert(0, str(Path(__file__).parent))  # tests are no package; cli_agent is shared

from cli_agent import Ran, ScriptedAgent, Synodctl


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A root directory without an agent, and an environment that decides no colours."""
    (tmp_path / "run/synod").mkdir(parents=True)
    monkeypatch.setenv("SYNOD_ROOT", str(tmp_path))
    monkeypatch.setenv("COLUMNS", "100")
    for name in ("SYSTEMD_COLORS", "NO_COLOR"):
        monkeypatch.delenv(name, raising=False)
    return tmp_path


@pytest.fixture
def agent(root: Path) -> Iterator[ScriptedAgent]:
    made = ScriptedAgent(root / "run/synod/agent.sock")
    try:
        yield made
    finally:
        made.close()


@pytest.fixture
def synodctl(capsys: pytest.CaptureFixture[str]) -> Synodctl:
    """Run synodctl with these words."""

    def call(*words: str) -> Ran:
        capsys.readouterr()
        status = int(run(words))
        out, err = capsys.readouterr()
        return Ran(status, out, err)

    return call
