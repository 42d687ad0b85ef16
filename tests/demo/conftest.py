# SPDX-License-Identifier: LGPL-2.1-or-later
"""The demo is no part of the package: its tests look for it in tools/."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2] / "tools"))
