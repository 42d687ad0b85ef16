# SPDX-License-Identifier: LGPL-2.1-or-later
"""Three nodes, a dependent pair whose copies stamp the time, an address that a client outside asks for.

The benchmark's rig with another pair. When a copy ran is read from its own stamps, on the disks of the
nodes, whether those are on, cut off or were reset; nothing of Synod or systemd is believed.
"""

import shutil
import time
from contextlib import suppress
from pathlib import Path
from typing import Any, ClassVar, Final

from bench_failover.ours import Ours
from bench_failover.rig import APP, DB, NODES
from synod.base.errors import SynodError
from witness.stamps import Copy, copies, install

PAIR: Final = (DB, APP)
_FRESH_SEC: Final = 0.2
"""A copy that stamped this recently runs."""
_UNIT: Final = """# SPDX-License-Identifier: LGPL-2.1-or-later
[Unit]
Description={name} of the fault runs
StartLimitIntervalSec=0
[X-Synod]
{section}
[Service]
Type=notify
ExecStart=/usr/local/bin/copy {unit} {stop}
TimeoutStopSec=30
Restart=always
RestartSec=100ms
"""
_SECTIONS: Final = {DB: "Instances=1", APP: f"Requires={DB}\nAfter={DB}\nColocateWith={DB}"}
_CLEAR: Final = 'for file in /var/lib/copies/*; do [ ! -e "$file" ] || : >"$file"; done'
_LEADER_TRIES: Final = 20
_READY_SEC: Final = 30.0
_RESTART_SEC: Final = 60.0


class Stage(Ours):
    """The cluster that things happen to."""

    lab_name: ClassVar[str] = "faults"

    def install_units(self) -> None:
        """Write the pair's unit files and the program that both run."""
        for node in NODES:
            install(self.lab, node)
        self._write_units(stop_sec=0)

    def let_stop_take(self, seconds: int) -> None:
        """Have a db that takes so long to stop, and settle."""
        self._write_units(stop_sec=seconds)
        self.run_everywhere("systemctl", "daemon-reload")
        self.run(self.holder(), "synodctl", "restart", DB, timeout=_RESTART_SEC)
        self.settle()

    def _write_units(self, *, stop_sec: int) -> None:
        for unit in PAIR:
            stop = stop_sec if unit == DB else 0
            text = _UNIT.format(name=unit, unit=unit, section=_SECTIONS[unit], stop=stop)
            for node in NODES:
                self.lab.write(node, f"/etc/systemd/system/{unit}", text)

    def put(self, source: Path, path: str) -> None:
        """Copy a file to all nodes."""
        for node in NODES:
            shutil.copy(source, f"/proc/{self.lab.pid(node)}/root{path}")

    # The cluster

    def leader(self) -> str:
        """Return the leader of the log, by the word of any node that is on."""
        return str(self.ask("status").get("leader") or "")

    def ask(self, *words: str) -> Any:
        """Return what ``synodctl`` on any node that is on says, nothing while none can say it."""
        for node in NODES:
            with suppress(SynodError):
                answer = self._ask(node, *words)
                if answer:
                    return answer
        return {}

    def lead_from(self, *nodes: str) -> None:
        """Kill the leader's agent until chance has it that one of these nodes leads."""
        for _ in range(_LEADER_TRIES):
            leader = self.leader()
            if leader in nodes:
                return
            if leader:
                self.run(leader, "systemctl", "kill", "--kill-whom=main", "-s", "KILL", "synod.service")
            self.settle()
        raise SynodError(f"leadership does not come to {' or '.join(nodes)}")

    def bound(self, *, led: bool) -> float:
        """Return how long app may be away by ``synodctl bounds``, in seconds; ``led``: its node led."""
        row = next(row for row in self.ask("bounds") if row["unit"] == APP)
        return float(row["lease_of_leader_usec" if led else "lease_usec"]) / 1e6

    # The witness

    def copies(self, unit: str) -> list[Copy]:  # type: ignore[override]
        """List the runs of a unit since the stamps were cleared, in the order in which they began."""
        return copies(self.lab, unit)

    def newest(self, unit: str) -> Copy:
        """Return the run of a unit that began last."""
        return self.copies(unit)[-1]

    def runs(self, unit: str) -> bool:
        """Return whether the newest run of a unit still stamps."""
        rows = self.copies(unit)
        return bool(rows) and time.time() - rows[-1].until < _FRESH_SEC

    def clear_stamps(self) -> None:
        """Forget the stamps of the past; every node is on, and what runs stamps on."""
        self.run_everywhere("sh", "-c", _CLEAR)
        self.wait(lambda: all(map(self.runs, PAIR)), "both units stamp", timeout=_READY_SEC)
