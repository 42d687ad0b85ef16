# SPDX-License-Identifier: LGPL-2.1-or-later
"""Lets the modules here use the words in which the engine's scenarios are written, and the tools."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent / "engine"))
sys.path.insert(0, str(Path(__file__).parents[2] / "tools"))
