# SPDX-License-Identifier: LGPL-2.1-or-later
"""The benchmarks are no part of the package: their tests look for them in tools/."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2] / "tools"))
