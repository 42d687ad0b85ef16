# SPDX-License-Identifier: LGPL-2.1-or-later
"""The witness: when each copy of a unit ran, by its own word and the one clock of all nodes.

Every copy stamps its node's disk many times a second, from its first instruction until it is gone; what it
wrote is read from outside, also where the node is off, cut off or was reset. No part of Synod or systemd is
believed.
"""

from dataclasses import dataclass

from synod.lab.cluster import Lab
from synod.lab.machine import disk

STAMPS = "/var/lib/copies"
PERIOD_SEC = 0.02

COPY = f"""#!/usr/bin/python3 -ISE
import os, signal, socket, sys, time
name, stop_sec = sys.argv[1], float(sys.argv[2])
os.makedirs({STAMPS!r}, exist_ok=True)
out = open({STAMPS!r} + "/" + name, "ab", buffering=0)
run = os.urandom(6).hex()  # process numbers come again after a boot
until = []
signal.signal(signal.SIGTERM, lambda *_: until.append(time.monotonic() + stop_sec))
def stamp():
    out.write(b"%s %.6f\\n" % (run.encode(), time.time()))
stamp()
address = os.environ.get("NOTIFY_SOCKET")
if address:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as notify:
        notify.sendto(b"READY=1", address)
while not until or time.monotonic() < until[0]:
    stamp()
    time.sleep({PERIOD_SEC})
stamp()
"""
"""A service that stamps while it runs; its second argument says how long it takes to stop."""


@dataclass(frozen=True)
class Copy:
    """One process of a unit, in seconds of CLOCK_REALTIME."""

    node: str
    run: str
    since: float
    until: float


def install(lab: Lab, node: str) -> None:
    """Put the service's program on a node."""
    lab.write(node, "/usr/local/bin/copy", COPY)
    lab.exec(node, ["chmod", "755", "/usr/local/bin/copy"])


def copies(lab: Lab, unit: str) -> list[Copy]:
    """List the runs of a unit on all nodes, in the order in which they began."""
    found: dict[tuple[str, str], list[float]] = {}
    for node in lab.state.nodes:
        path = disk(lab.state, node) / "upper" / STAMPS.lstrip("/") / unit
        lines = path.read_text().splitlines() if path.exists() else []
        for line in lines:
            words = line.split()
            if len(words) == 2 and words[1].count(".") == 1:
                found.setdefault((node, words[0]), []).append(float(words[1]))
    rows = [Copy(node, run, min(times), max(times)) for (node, run), times in found.items()]
    return sorted(rows, key=lambda row: row.since)


def overlaps(rows: list[Copy]) -> list[tuple[Copy, Copy]]:
    """List the pairs of runs on different nodes that were at the same time."""
    return [
        (one, other)
        for index, one in enumerate(rows)
        for other in rows[index + 1 :]
        if one.node != other.node and one.since <= other.until and other.since <= one.until
    ]
