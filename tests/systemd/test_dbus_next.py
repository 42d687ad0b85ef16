# SPDX-License-Identifier: LGPL-2.1-or-later
"""The same tests again on the other D-Bus library, which must be chosen before anything is imported."""

import importlib.util
import os
import subprocess
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).parent


@pytest.mark.skipif(importlib.util.find_spec("dbus_next") is None, reason="dbus-next is not installed")
def test_bus_and_manager_work_on_dbus_next():
    command = [
        sys.executable,
        "-m",
        "pytest",
        "-q",
        "-p",
        "no:cacheprovider",
        HERE / "test_bus.py",
        HERE / "test_manager.py",
    ]
    environment = {**os.environ, "SYNOD_DBUS": "next", "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    result = subprocess.run(
        command, env=environment, capture_output=True, text=True, timeout=50, check=False
    )
    assert result.returncode == 0, result.stdout + result.stderr
    assert " passed" in result.stdout


def test_the_variable_selects_the_library():
    code = "import synod.systemd.shim as shim; print(shim.Message.__module__)"
    for value, module in (("next", "dbus_next"), ("", "dbus_fast")):
        environment = {
            **os.environ,
            "SYNOD_DBUS": value,
            "PYTHONPATH": os.pathsep.join(filter(None, sys.path)),
        }
        result = subprocess.run(
            [sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True
        )
        assert result.stdout.strip().startswith(module)
