# SPDX-License-Identifier: LGPL-2.1-or-later
"""The lab's network: a bridge in a namespace of its own, and one namespace with one cable for each node.

Namespaces are named synod-lab-LAB-lan and synod-lab-LAB-NODE (ip-netns(8) lists them). The bridge's end of
a cable carries the node's name. A node is plugged in anew at each boot, so that no socket of the life
before answers; its MAC address stays. Decides nothing about processes.
"""

from collections.abc import Iterator
from contextlib import contextmanager

from pyroute2 import IPRoute, netns
from pyroute2.netlink.exceptions import NetlinkError

from synod.lab.process import LabError, run
from synod.lab.state import NAMESPACE_PREFIX, LabState, namespace, namespace_file

_BRIDGE = "br0"
_PREFIX_LENGTH = 24
_NFT_SEC = 10.0


def make_lan(lab: str) -> None:
    """Create the namespace with the bridge."""
    name = namespace(lab, "lan")
    netns.create(name)
    with _inside(name) as links:
        links.link("set", index=_index(links, "lo"), state="up")
        links.link("add", ifname=_BRIDGE, kind="bridge")
        links.link("set", index=_index(links, _BRIDGE), state="up")


def plug(state: LabState, port: str) -> None:
    """Give the node a fresh namespace, with an address, on the bridge; what was there before is removed."""
    name, address = namespace(state.name, port), state.address(port)
    unplug(state.name, port)
    try:
        netns.create(name)
        mac = "02:00:" + ":".join(f"{int(part):02x}" for part in address.split("."))
        with _inside(namespace(state.name, "lan")) as links:
            links.link("add", ifname=port, kind="veth",
                       peer={"ifname": "eth0", "net_ns_fd": name, "address": mac})
            links.link("set", index=_index(links, port), master=_index(links, _BRIDGE), state="up")
        with _inside(name) as links:
            links.link("set", index=_index(links, "lo"), state="up")
            links.addr("add", index=_index(links, "eth0"), address=address, prefixlen=_PREFIX_LENGTH)
            links.link("set", index=_index(links, "eth0"), state="up")
    except (NetlinkError, OSError) as error:
        raise LabError(f"cannot connect '{port}' to the bridge of lab '{state.name}': {error}") from error


def cut_power_of(lab: str, port: str) -> None:
    """Take the bridge's end of the cable down: nothing the node still says leaves it."""
    with _inside(namespace(lab, "lan")) as links:
        for index in links.link_lookup(ifname=port):
            links.link("set", index=index, state="down")


def unplug(lab: str, port: str) -> None:
    """Remove the node's namespace and cable, when they exist."""
    with _inside(namespace(lab, "lan")) as links:
        for index in links.link_lookup(ifname=port):
            links.link("del", index=index)
    if namespace(lab, port) in netns.listnetns():
        netns.remove(namespace(lab, port))


def apply_cuts(state: LabState) -> None:
    """Make the bridge drop every frame, ARP included, between exactly the pairs of the state."""
    rules = "".join(f'iifname "{source}" oifname "{target}" drop; ' for source, target in state.cuts)
    table = f"table bridge cuts {{ chain pairs {{ type filter hook forward priority 0; {rules}}}; }}\n"
    # One transaction: the first two lines remove the table whether or not it exists.
    run(("nsenter", f"--net={namespace_file(state.name, 'lan')}", "nft", "-f", "-"), timeout=_NFT_SEC,
        stdin="add table bridge cuts\ndelete table bridge cuts\n" + (table if rules else ""),
        what=f"change the cuts of lab '{state.name}'")


def remains(lab: str) -> tuple[str, ...]:
    """Return the names of all namespaces of the lab, sorted."""
    return tuple(sorted(name for name in netns.listnetns() if name.startswith(namespace(lab, ""))))


def labs() -> tuple[str, ...]:
    """Return the labs that have a network namespace, sorted."""
    found = [name.removeprefix(NAMESPACE_PREFIX) for name in netns.listnetns()
             if name.startswith(NAMESPACE_PREFIX)]
    return tuple(sorted({name.partition("-")[0] for name in found}))


def remove_all(lab: str) -> None:
    """Remove every namespace of the lab."""
    for name in remains(lab):
        netns.remove(name)


def _index(links: IPRoute, name: str) -> int:
    found = links.link_lookup(ifname=name)
    if not found:
        raise LabError(f"there is no network interface '{name}'")
    return int(found[0])


@contextmanager
def _inside(name: str) -> Iterator[IPRoute]:
    # A netlink socket stays in the namespace it was made in, so only this thread visits it, for an instant.
    netns.pushns(name)
    try:
        links = IPRoute()
    finally:
        netns.popns()
    with links:
        yield links
