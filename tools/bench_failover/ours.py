# SPDX-License-Identifier: LGPL-2.1-or-later
"""The pair kept up by Synod, with its defaults."""

import json
from typing import Any, ClassVar, Final

from bench_failover.figures import OURS
from bench_failover.rig import ADDRESS, APP, DB, NODES, PREFIX_LENGTH, Rig, unit_file
from synod.lab import fence

PLAIN_UNIT: Final = "plain.service"
"""The same service without annotations: what systemd does by itself."""
_ADDRESS_UNIT: Final = f"synod-address@{ADDRESS}-{PREFIX_LENGTH}.service"
_BESIDE_APP: Final = f"# SPDX-License-Identifier: LGPL-2.1-or-later\n[X-Synod]\nColocateWith={APP}\n"
_KNOWN_SEC: Final = 20.0


class Ours(Rig):
    """A cluster of Synod."""

    system: ClassVar[str] = OURS
    lab_name: ClassVar[str] = "bfo"
    daemons: ClassVar[tuple[str, ...]] = ("synod.service",)

    def set_up(self) -> None:
        """Found the cluster, hand it the units, and start them."""
        first, *others = NODES
        self.run(first, "synodctl", "init", "--name", "bench", "--address", self.lab.state.address(first))
        for node in others:
            token = self.run(first, "synodctl", "token")
            self.run(node, "synodctl", "join", first, "--token", token)
        self.wait(self.is_whole, "all nodes online", timeout=_KNOWN_SEC)
        self.install_units()
        for node in NODES:
            self.lab.write(node, f"/etc/systemd/system/{PLAIN_UNIT}", unit_file("plain", ""))
            self.lab.write(node, f"/etc/systemd/system/{_ADDRESS_UNIT}.d/bench.conf", _BESIDE_APP)
        self.run_everywhere("systemctl", "daemon-reload")
        self.wait(lambda: all(self._is_reported(unit) for unit in (DB, APP, _ADDRESS_UNIT)),
                  "every node has reported the units", timeout=_KNOWN_SEC)
        for unit in (APP, _ADDRESS_UNIT):
            self.run(first, "systemctl", "start", unit)

    def enable_fencing(self) -> None:
        """Install the device, and wait until it counts: no node needs its fuse any more.

        An agent that starts again touches no unit, and asks its devices for the state of their nodes first.
        """
        fence.install(self.lab)
        for node in NODES:
            self.run(node, "systemctl", "restart", "synod.service")
        self.wait(lambda: not any(map(self._has_fuse, NODES)), "each node can be fenced", timeout=_KNOWN_SEC)

    def is_whole(self) -> bool:
        """Return whether every node sees every node online, and no row is in motion."""
        return all(self._is_whole_to(node) for node in NODES)

    def leader(self) -> str:
        """Return the leader of the log."""
        return str(self._ask(NODES[0], "status").get("leader") or "")

    def _has_fuse(self, node: str) -> bool:
        return self.succeeds(node, "systemctl", "is-active", "--quiet", "synod-fuse.service")

    def _is_whole_to(self, node: str) -> bool:
        said = self._ask(node, "status")
        online = [row["name"] for row in said.get("nodes", ()) if row["state"] == "online"]
        states = [copy["state"] for row in said.get("units", ()) for copy in row["instances"]]
        return (online == list(NODES) and len(said.get("voters", ())) == len(NODES)
                and all(state == "active" for state in states))

    def _is_reported(self, unit: str) -> bool:
        return list(NODES) == sorted(self._ask(NODES[0], "show", unit).get("reports", ()))

    def _ask(self, node: str, *words: str) -> dict[str, Any]:
        """Return what ``synodctl`` says, nothing while it cannot say it."""
        done = self.lab.exec(node, ("synodctl", *words, "--json=short"), check=False)
        answer: dict[str, Any] = json.loads(done.stdout) if done.returncode == 0 else {}
        return answer
