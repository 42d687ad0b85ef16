# SPDX-License-Identifier: LGPL-2.1-or-later
"""The generator as a module: it has no .py suffix and is in no package."""

import sys
from importlib.machinery import SourceFileLoader
from importlib.util import module_from_spec, spec_from_loader
from pathlib import Path
from types import ModuleType

import pytest

GENERATOR = Path(__file__).resolve().parents[2] / "generators/synod-generator"


@pytest.fixture(scope="session")
def generator() -> ModuleType:
    loader = SourceFileLoader("synod_generator", str(GENERATOR))
    module = module_from_spec(spec_from_loader("synod_generator", loader))
    writes_bytecode, sys.dont_write_bytecode = sys.dont_write_bytecode, True
    try:
        loader.exec_module(module)
    finally:
        sys.dont_write_bytecode = writes_bytecode
    return module
