# SPDX-License-Identifier: LGPL-2.1-or-later
"""Dependencies between systemd units that reach across machines."""

__version__ = "0.1.0"
