# SPDX-License-Identifier: LGPL-2.1-or-later
"""Let the modules here share their simulated world: tests are no package."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
