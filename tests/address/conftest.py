# SPDX-License-Identifier: LGPL-2.1-or-later
"""generators/synod-address, as a module for what computes and as a program for what acts."""

from importlib.machinery import SourceFileLoader
from importlib.util import module_from_spec, spec_from_loader
from pathlib import Path
from types import ModuleType

import pytest

PROGRAM = Path(__file__).resolve().parents[2] / "generators/synod-address"


@pytest.fixture(scope="session")
def program() -> Path:
    return PROGRAM


@pytest.fixture(scope="session")
def synod_address() -> ModuleType:
    loader = SourceFileLoader("synod_address", str(PROGRAM))
    spec = spec_from_loader("synod_address", loader)
    assert spec is not None
    module = module_from_spec(spec)
    loader.exec_module(module)
    return module
