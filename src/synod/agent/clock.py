# SPDX-License-Identifier: LGPL-2.1-or-later
"""The agent's clock, randomness and incarnation: all that the cores refuse to draw themselves."""

import secrets
import time
from pathlib import Path

from synod.base.usec import Usec


def now() -> Usec:
    """Return CLOCK_BOOTTIME: it goes on during suspend, so that a lease ages while the node sleeps."""
    return Usec(time.clock_gettime_ns(time.CLOCK_BOOTTIME) // 1000)


def wall_clock() -> Usec:
    """Return the time of day: unlike CLOCK_BOOTTIME it grows over boots, unless somebody sets it back."""
    return Usec(time.time_ns() // 1000)


def boot_id(soft_reboots: int = 0) -> str:
    """Return this node's incarnation: the kernel's boot id and how often userspace was replaced since."""
    text = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
    return f"{text}.{soft_reboots}"


class SystemEntropy:
    """Randomness from the kernel."""

    def below(self, limit: int) -> int:
        """Return an integer in [0, limit)."""
        return secrets.randbelow(limit)
