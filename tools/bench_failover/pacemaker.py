# SPDX-License-Identifier: LGPL-2.1-or-later
"""The pair kept up by Pacemaker and Corosync, Debian's packages with their defaults.

Not the packages' defaults are: the nodes' list; stickiness, since nothing of ours moves back by itself
either; the interval of the monitors, which has no default; and stonith-action=off, so that no node boots
while the clock runs. Written with Pacemaker's own low-level tools (cibadmin(8), crm_attribute(8)).
"""

import xml.etree.ElementTree as ET
from pathlib import Path
from typing import ClassVar, Final

from bench_failover.figures import PEER
from bench_failover.rig import ADDRESS, NODES, PREFIX_LENGTH, Rig
from synod.lab import fence

PACKAGES: Final = ("corosync", "pacemaker", "pacemaker-cli-utils", "resource-agents")
MONITOR_SEC: Final = 10

_AGENT: Final = Path(__file__).parents[2] / "packaging/tree/usr/sbin/fence_synod_lab"
_INSTALL_AGENT: Final = "cat >/usr/sbin/fence_synod_lab && chmod 755 /usr/sbin/fence_synod_lab"
# The packages have started a cluster of one on each node; an orderly stop of it would take 20 s.
_FORGET: Final = """set -e
systemctl kill --signal=KILL pacemaker corosync
systemctl stop pacemaker corosync
rm -rf /var/lib/pacemaker/cib/* /var/lib/corosync/*
"""
_COROSYNC: Final = """totem {{
    version: 2
    cluster_name: bench
}}
quorum {{
    provider: corosync_votequorum
}}
logging {{
    to_syslog: yes
}}
nodelist {{
{nodes}}}
"""
_NODE: Final = """    node {{
        name: {name}
        nodeid: {number}
        ring0_addr: {address}
    }}
"""
_SERVICE: Final = """<primitive id="{name}" class="systemd" type="{name}">
    <operations><op id="{name}-monitor" name="monitor" interval="{interval}s"/></operations>
</primitive>"""
_ADDRESS: Final = f"""<primitive id="address" class="ocf" provider="heartbeat" type="IPaddr2">
    <instance_attributes id="address-options">
        <nvpair id="address-ip" name="ip" value="{ADDRESS}"/>
        <nvpair id="address-mask" name="cidr_netmask" value="{PREFIX_LENGTH}"/>
    </instance_attributes>
    <operations><op id="address-monitor" name="monitor" interval="{MONITOR_SEC}s"/></operations>
</primitive>"""
_RESOURCES: Final = "\n".join(("<resources>", *(_SERVICE.format(name=name, interval=MONITOR_SEC)
                                                for name in ("db", "app")), _ADDRESS, "</resources>"))
_CONSTRAINTS: Final = """<constraints>
    <rsc_order id="db-first" first="db" then="app" kind="Mandatory"/>
    <rsc_colocation id="app-beside-db" rsc="app" with-rsc="db" score="INFINITY"/>
    <rsc_colocation id="address-beside-app" rsc="address" with-rsc="app" score="INFINITY"/>
</constraints>"""
_DEVICE: Final = """<primitive id="switch" class="stonith" type="fence_synod_lab">
    <instance_attributes id="switch-options">
        <nvpair id="switch-ip" name="ip" value="{address}"/>
        <nvpair id="switch-port" name="ipport" value="{port}"/>
        <nvpair id="switch-password" name="password" value="{token}"/>
        <nvpair id="switch-check" name="pcmk_host_check" value="static-list"/>
        <nvpair id="switch-list" name="pcmk_host_list" value="{nodes}"/>
    </instance_attributes>
</primitive>"""
_FORM_SEC: Final = 60.0


class Pacemaker(Rig):
    """A cluster of Pacemaker."""

    system: ClassVar[str] = PEER
    lab_name: ClassVar[str] = "bfp"
    daemons: ClassVar[tuple[str, ...]] = ("corosync.service", "pacemaker.service")

    def set_up(self) -> None:
        """Form the cluster, and configure it as an administrator without a fence device would."""
        self.install_units()
        nodes = "".join(_NODE.format(name=node, number=number, address=self.lab.state.address(node))
                        for number, node in enumerate(NODES, 1))
        self.run_everywhere("sh", "-c", _FORGET)
        for node in NODES:
            self.lab.write(node, "/etc/corosync/corosync.conf", _COROSYNC.format(nodes=nodes))
        self.run_everywhere("systemctl", "daemon-reload")
        self.run_everywhere("systemctl", "start", "corosync", "pacemaker")
        self.wait(self.is_whole, "all nodes online", timeout=_FORM_SEC)
        self._set("crm_config", "stonith-enabled", "false")
        self._set("crm_config", "stonith-action", "off")
        self._set("rsc_defaults", "resource-stickiness", "100")
        for scope, text in (("resources", _RESOURCES), ("constraints", _CONSTRAINTS)):
            self.run(NODES[0], "cibadmin", "--replace", f"--scope={scope}", "--xml-pipe", stdin=text)

    def enable_fencing(self) -> None:
        """Install the agent, and make it a device of the cluster."""
        switch = fence.start(self.lab.name)
        agent = _AGENT.read_text(encoding="utf-8")
        self.run_everywhere("sh", "-c", _INSTALL_AGENT, stdin=agent)
        device = _DEVICE.format(address=switch.address, port=switch.port, token=switch.token,
                                nodes=" ".join(NODES))
        self.run(NODES[0], "cibadmin", "--create", "--scope=resources", "--xml-pipe", stdin=device)
        self._set("crm_config", "stonith-enabled", "true")

    def is_whole(self) -> bool:
        """Return whether all nodes are members and the coordinator has nothing to do."""
        leader = self.leader()
        if not leader:
            return False
        states = [(node.get("name"), node.get("online"), node.get("pending"), node.get("unclean"))
                  for node in self._status().iterfind("./nodes/node")]
        whole = sorted(states) == [(node, "true", "false", "false") for node in NODES]
        said = self.lab.exec(leader, ("crmadmin", f"--status={leader}"), check=False).stdout
        return whole and "S_IDLE" in said and self._has_started_all()

    def leader(self) -> str:
        """Return the designated coordinator."""
        current = self._status().find("./summary/current_dc")
        return current.get("name", "") if current is not None else ""

    def _has_started_all(self) -> bool:
        found = [resource.get("active") for resource in self._status().iterfind("./resources/resource")]
        return all(active == "true" for active in found)

    def _status(self) -> ET.Element:
        done = self.lab.exec(NODES[0], ("crm_mon", "--one-shot", "--output-as=xml"), check=False)
        try:
            return ET.fromstring(done.stdout)
        except ET.ParseError:
            return ET.Element("none")

    def _set(self, kind: str, name: str, value: str) -> None:
        self.run(NODES[0], "crm_attribute", f"--type={kind}", f"--name={name}", f"--update={value}")
