# SPDX-License-Identifier: LGPL-2.1-or-later
"""The lab's power switch (``python3 -m synod.lab.fence LAB``): nodes ask it to switch each other off and on.

Stands on the lab's network as a real one would: at the address ``outside``, reached by TCP, so that a cut
between a node and the outside cuts its fencing too. Off is the lab's own power loss. It runs on the host in
a control group of the lab and ends with it. The agent fence_synod_lab is its client; everybody else lacks
the token, which is in the lab's state directory.

One line each way: ``TOKEN VERB [NODE]``, answered by ``ok TEXT`` or ``error TEXT``. It can be made to
misbehave, see ``Fault``.
"""

import contextlib
import hmac
import json
import os
import secrets
import socket
import subprocess
import sys
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Final

from pyroute2 import netns

from synod.base.errors import SynodError
from synod.lab import cgroup, machine, state
from synod.lab.cluster import Lab
from synod.lab.process import LabError, wait_until
from synod.lab.state import OUTSIDE

PORT: Final = 8471
DEVICE: Final = "/etc/synod/fence.d/lab.fence"
VERBS: Final = ("off", "on", "reboot", "status", "monitor", "list")

_CLIENT_SEC: Final = 5.0
_START_SEC: Final = 15.0
_LINE_BYTES_MAX: Final = 256
_HELD_MAX: Final = 64
_JOIN: Final = 'while [ "$1" != -- ]; do echo $$ >"$1"; shift; done; shift; exec setsid --fork "$@"'
_INSTALL: Final = 'umask 077 && mkdir -p "$(dirname "$1")" && cat >"$1"'


class Fault(StrEnum):
    """What the switch may be made to do instead of its duty."""

    LIE = "lie"
    """It says that it has switched, and has not; asked for the status, it tells the truth."""
    HANG = "hang"
    """It takes the request and never answers."""
    FAIL = "fail"
    """It answers with an error."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Switch:
    """Where a lab's switch is and what it wants to hear."""

    address: str
    port: int
    token: str


def start(name: str) -> Switch:
    """Start the switch of a lab that is up, unless it runs already, and return where it is."""
    lab = state.load(name)
    group = machine.group(name, "switch")
    if not cgroup.members(group):
        _record(name).unlink(missing_ok=True)
        files = map(str, cgroup.make(group))
        environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
        with Path(lab.directory, name, "switch.log").open("ab") as log:
            server = (sys.executable, "-P", "-m", "synod.lab.fence", name)
            subprocess.run(("sh", "-c", _JOIN, "sh", *files, "--", *server), env=environment,
                           stdin=subprocess.DEVNULL, stdout=log, stderr=log, check=True)
    if not wait_until(_record(name).exists, timeout=_START_SEC):
        raise LabError(f"the switch of lab '{name}' does not start; see {lab.directory}/{name}/switch.log")
    return Switch(**json.loads(_record(name).read_text(encoding="utf-8")))


def install(lab: Lab, settings: str = "") -> None:
    """Start the switch, and make it the fence device of every node, on every node that is on.

    ``settings`` are more lines of the device's section, see synod.fence(5).
    """
    switch = start(lab.name)
    text = (f"[Device]\nAgent=fence_synod_lab\nNodes={' '.join(lab.state.nodes)}\n{settings}\n"
            f"[Options]\nip={switch.address}\nipport={switch.port}\npassword={switch.token}\n")
    for node in lab.state.nodes:
        if lab.is_on(node):
            lab.exec(node, ("sh", "-c", _INSTALL, "sh", DEVICE), stdin=text)


def set_fault(name: str, fault: Fault | None) -> None:
    """Make the switch of a lab misbehave from the next request on, or not any more."""
    file = _fault(name)
    if fault is None:
        file.unlink(missing_ok=True)
    else:
        file.write_text(fault, encoding="utf-8")


def serve(name: str) -> None:
    """Answer requests, one after the other, until the lab ends and this process with it."""
    lab = state.load(name)
    switch = Switch(address=lab.address(OUTSIDE), port=PORT, token=secrets.token_hex(16))
    held: list[socket.socket] = []
    with _listen(name, switch) as listener:
        draft = _record(name).with_suffix(".new")
        with open(draft, "w", encoding="utf-8", opener=_private) as file:
            json.dump({"address": switch.address, "port": switch.port, "token": switch.token}, file)
        draft.rename(_record(name))
        while True:
            connection = listener.accept()[0]
            # A client may go away at any moment.
            with contextlib.suppress(OSError):
                connection.settimeout(_CLIENT_SEC)
                if _answer(name, switch, connection):
                    connection.close()
                    continue
            held = [*held, connection][-_HELD_MAX:]


def _answer(name: str, switch: Switch, connection: socket.socket) -> bool:
    """Serve one client; return whether it got an answer."""
    with connection.makefile("rb") as lines:
        words = lines.readline(_LINE_BYTES_MAX).decode("ascii", "replace").split()
    token, verb, *rest = [*words, "", ""][:3]
    fault = _fault(name).read_text(encoding="utf-8") if _fault(name).exists() else ""
    if not hmac.compare_digest(token.encode(), switch.token.encode()):
        text = "error wrong password"
    elif fault == Fault.HANG:
        return False
    elif fault == Fault.FAIL:
        text = "error the switch is out of order"
    else:
        try:
            text = f"ok {_act(Lab.attach(name), verb, rest[0], is_lying=fault == Fault.LIE)}"
        except SynodError as error:
            text = f"error {error}"
    connection.sendall(f"{text}\n".encode())
    return True


def _act(lab: Lab, verb: str, node: str, *, is_lying: bool) -> str:
    if verb not in VERBS:
        raise LabError(f"the switch has no action '{verb}'; it has {', '.join(VERBS)}")
    if verb == "monitor":
        return ""
    if verb == "list":
        return " ".join(f"{name},{_power(lab, name)}" for name in lab.state.nodes)
    if verb == "status" or is_lying:
        return _power(lab, node)
    if verb in ("off", "reboot"):
        lab.kill(node)
    if verb in ("on", "reboot"):
        lab.boot(node, wait=False)
    return _power(lab, node)


def _power(lab: Lab, node: str) -> str:
    """Return whether a node has power; one that resets itself has, though it has no init for a moment."""
    lab.is_on(node)  # refuses unknown names
    return "on" if cgroup.members(machine.group(lab.name, node)) else "off"


def _listen(name: str, switch: Switch) -> socket.socket:
    # The socket stays in the namespace it was made in; only this thread visits it, for an instant.
    netns.pushns(state.namespace(name, OUTSIDE))
    try:
        return socket.create_server((switch.address, switch.port))
    finally:
        netns.popns()


def _record(name: str) -> Path:
    return state.RUN / name / "switch.json"


def _fault(name: str) -> Path:
    return state.RUN / name / "switch.fault"


def _private(path: str, flags: int) -> int:
    return os.open(path, flags, 0o600)


if __name__ == "__main__":
    try:
        serve(sys.argv[1])
    except SynodError as error:
        sys.exit(f"lab: {error}")
