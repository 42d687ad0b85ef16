# SPDX-License-Identifier: LGPL-2.1-or-later
"""What is remembered of a lab: one JSON file, /run/synod-lab/NAME/state.json, replaced as a whole.

/run forgets at reboot what the reboot has ended anyway. Decides which names are possible; whether a node
runs is never written down but asked of the kernel (synod.lab.cgroup).
"""

import fcntl
import json
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

from synod.base.errors import NoSuchObjectError, UsageError
from synod.lab.process import Identity, LabError, wait_until

RUN = Path("/run/synod-lab")
NAMESPACE_PREFIX = "synod-lab-"
SUBNET = "10.77.0"
OUTSIDE = "outside"
OUTSIDE_HOST = 254
NODES_MAX = 250
"""All labs use one /24 each, in a namespace of its own; .254 is the outside."""

_NAME = re.compile(r"[a-z][a-z0-9]{0,15}")
_LOCK_SEC = 30.0


@dataclass(frozen=True, slots=True, kw_only=True)
class LabState:
    """A lab as its maker described it."""

    name: str
    directory: str
    """Where the nodes' file systems are kept."""
    layers: tuple[str, ...]
    """Read-only root file system: overlay layers, topmost first."""
    nodes: tuple[str, ...]
    on_reset: str
    """``boot`` or ``stay``."""
    owner: Identity | None
    """The process that takes the lab along when it ends; None for a lab that stays until ``down``."""
    complete: bool = False
    """Set once all nodes have booted."""
    cuts: tuple[tuple[str, str], ...] = ()
    """Pairs (from, to) between which the bridge drops everything."""

    def address(self, node: str) -> str:
        """Return the IPv4 address of a node, or of the outside."""
        host = OUTSIDE_HOST if node == OUTSIDE else self.nodes.index(node) + 1
        return f"{SUBNET}.{host}"


def namespace(lab: str, port: str) -> str:
    """Return the name of the network namespace of a node, as ip-netns(8) lists it."""
    return f"{NAMESPACE_PREFIX}{lab}-{port}"


def namespace_file(lab: str, port: str) -> str:
    """Return the file that stands for the namespace, for nsenter(1)."""
    return f"/run/netns/{namespace(lab, port)}"


def check_name(name: str) -> str:
    """Return the lab's name; it becomes part of names of namespaces, groups and directories."""
    if _NAME.fullmatch(name) is None:
        raise UsageError(f"'{name}' cannot name a lab; use at most 16 lower-case letters and digits")
    return name


def load(name: str) -> LabState:
    """Read the state of a lab."""
    try:
        fields = json.loads(_path(name).read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise NoSuchObjectError(f"there is no lab '{name}'; try: synodctl lab list") from error
    owner = Identity(**owner) if (owner := fields.pop("owner")) else None
    cuts = tuple((source, target) for source, target in fields.pop("cuts"))
    layers, nodes = tuple(fields.pop("layers")), tuple(fields.pop("nodes"))
    return LabState(**fields, layers=layers, nodes=nodes, cuts=cuts, owner=owner)


def create(state: LabState) -> None:
    """Write the state of a new lab; refuse a name that is taken."""
    with _locked():
        path = _path(state.name)
        if path.exists():
            raise LabError(f"lab '{state.name}' exists already; try: synodctl lab down --name {state.name}")
        path.parent.mkdir(parents=True, exist_ok=True)
        _write(state)


@contextmanager
def changed(name: str, change: Callable[[LabState], LabState]) -> Iterator[LabState]:
    """Yield the changed state, under the lock, and write it once the body has succeeded."""
    with _locked():
        state = change(load(name))
        yield state
        _write(state)


def names() -> tuple[str, ...]:
    """Return the labs that have a state directory, sorted."""
    return tuple(sorted(path.name for path in RUN.iterdir() if path.is_dir())) if RUN.is_dir() else ()


def forget(name: str) -> None:
    """Remove the state of a lab; it may be incomplete or absent."""
    directory = RUN / name
    for path in directory.iterdir() if directory.is_dir() else ():
        path.unlink(missing_ok=True)
    if directory.is_dir():
        directory.rmdir()


def _path(name: str) -> Path:
    return RUN / name / "state.json"


def _write(state: LabState) -> None:
    path = _path(state.name)
    draft = path.with_suffix(".new")
    draft.write_text(json.dumps(asdict(state), indent=1) + "\n", encoding="utf-8")
    draft.rename(path)


@contextmanager
def _locked() -> Iterator[None]:
    RUN.mkdir(parents=True, exist_ok=True)
    with (RUN / "lock").open("a", encoding="utf-8") as file:
        if not wait_until(lambda: try_lock(file.fileno()), timeout=_LOCK_SEC):
            raise LabError(f"{RUN}/lock is held by another command; try again")
        yield


def try_lock(descriptor: int) -> bool:
    """Take the file's lock when it is free; it is released when the file is closed."""
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
