# SPDX-License-Identifier: LGPL-2.1-or-later
"""Where Synod keeps files on a host: the one place that spells these names.

``SYNOD_ROOT`` puts everything below another directory, for tests and the generator. It creates nothing.
Source: hier(7), systemd.exec(5) RuntimeDirectory= and StateDirectory=; unit files use the same names.
"""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Self


@dataclass(frozen=True, slots=True, kw_only=True)
class Paths:
    """All paths, absolute, below ``root``."""

    root: Path = Path("/")

    @classmethod
    def from_environment(cls, environ: Mapping[str, str] = os.environ) -> Self:
        """Take the root from SYNOD_ROOT."""
        return cls(root=Path(environ.get("SYNOD_ROOT") or "/"))

    @property
    def runtime(self) -> Path:
        """What ends with a boot; a soft-reboot keeps it, so tmpfiles.d removes grants and up files."""
        return self.root / "run/synod"

    @property
    def grants(self) -> Path:
        """One file for each unit that may start here; its absence revokes every start."""
        return self.runtime / "grant"

    @property
    def up(self) -> Path:
        """One file for each unit whose mirror need not wait."""
        return self.runtime / "up"

    @property
    def environments(self) -> Path:
        """One environment file for each granted unit, with its fencing token."""
        return self.runtime / "env"

    @property
    def stops(self) -> Path:
        """One file for each unit that the cluster itself is stopping here."""
        return self.runtime / "stop"

    @property
    def lease(self) -> Path:
        """Exists while this node holds its lease: the second condition of exclusive units."""
        return self.runtime / "lease"

    @property
    def incarnation(self) -> Path:
        """Which incarnation this node is, when it was fenced since it booted."""
        return self.runtime / "incarnation"

    @property
    def booted(self) -> Path:
        """Exists once the boot transaction of this boot is over."""
        return self.runtime / "booted"

    @property
    def last_generated(self) -> Path:
        """The last good drop-ins of the generator, outside the unit search path."""
        return self.runtime / "generated"

    @property
    def agent_socket(self) -> Path:
        """Where gates, awaits, holds and synodctl reach the agent."""
        return self.runtime / "agent.sock"

    @property
    def state(self) -> Path:
        """Log, snapshots, keys: everything that outlives a boot."""
        return self.root / "var/lib/synod"

    @property
    def configuration(self) -> Path:
        """The administrator's files."""
        return self.root / "etc/synod"

    @property
    def generator_output(self) -> Path:
        """Where PID 1 lets the generator write; emptied before each run."""
        return self.root / "run/systemd/generator"

    @property
    def runtime_units(self) -> Path:
        """Unit files and drop-ins until the next boot; they mask the generator's of the same name."""
        return self.root / "run/systemd/system"

    @property
    def local_units(self) -> Path:
        """The administrator's unit files and drop-ins."""
        return self.root / "etc/systemd/system"
