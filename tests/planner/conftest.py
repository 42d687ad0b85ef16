# SPDX-License-Identifier: LGPL-2.1-or-later
"""Lets the scenario modules of this folder import what they share."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
