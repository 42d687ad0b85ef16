# SPDX-License-Identifier: LGPL-2.1-or-later
"""Small scripts as fence agents; each of them leaves what it was told in a file."""

from collections.abc import Callable
from pathlib import Path

import pytest

from synod.config.fence import FenceDevice, parse_device

# Reads its options as fence agents do; then BODY, with $action and $port.
AGENT = """#!/bin/sh
while IFS='=' read -r key value; do
    echo "$key=$value" >>"$0.told"
    case $key in action) action=$value ;; port) port=$value ;; esac
done
echo "$action $port" >>"$0.asked"
"""


class Agents:
    """A directory of agents, made from the bodies of scripts."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory

    def make(self, body: str, name: str = "fence_test") -> None:
        path = self.directory / name
        path.write_text(AGENT + body + "\n")
        path.chmod(0o755)

    def asked(self, name: str = "fence_test") -> list[str]:
        path = self.directory / f"{name}.asked"
        return path.read_text().splitlines() if path.exists() else []

    def told(self, name: str = "fence_test") -> list[str]:
        return (self.directory / f"{name}.told").read_text().splitlines()


@pytest.fixture
def agents(tmp_path: Path) -> Agents:
    (tmp_path / "sbin").mkdir()
    return Agents(tmp_path / "sbin")


@pytest.fixture
def device() -> Callable[..., FenceDevice]:
    def make(settings: str = "", options: str = "", agent: str = "fence_test") -> FenceDevice:
        text = f"[Device]\nAgent={agent}\nNodes=node*\nTimeoutSec=10\n{settings}\n[Options]\n{options}\n"
        return parse_device(Path("/etc/synod/fence.d/rack.fence"), text.encode())[0]

    return make
