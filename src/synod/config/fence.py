# SPDX-License-Identifier: LGPL-2.1-or-later
"""/etc/synod/fence.d/NAME.fence -> which device switches which node off, by what agent (synod.fence(5)).

Decides what a device's file may say. A file with a mistake gives no device at all: half of its settings
could fence the wrong outlet. It does not take the other devices along. Refuses to run anything, and to guess
when two devices name one node: of two power supplies, one switched off proves nothing.
"""

import os
import re
import stat
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Final

from synod.base.errors import ConfigError
from synod.base.ids import NodeName, is_node_name
from synod.base.usec import USEC_PER_SEC, Usec
from synod.config.ini import FILE_BYTES_MAX, Assignment, IniFile, parse
from synod.config.values import choice, parse_boolean, parse_timeout, words

DIRECTORY: Final = "etc/synod/fence.d"
SUFFIX: Final = ".fence"
TIMEOUT_DEFAULT: Final = Usec(20 * USEC_PER_SEC)
OPTIONS_BYTES_MAX: Final = 16384
"""An agent reads its options from a pipe or a file; no agent has this many."""

RESERVED: Final = ("action", "port", "plug", "nodename")
"""Options that are set for each request."""

_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}")
_AGENT: Final = re.compile(r"fence_[A-Za-z0-9_]{1,64}|/[^\0]{1,255}")
_OPTION: Final = re.compile(r"[A-Za-z][A-Za-z0-9_-]{0,63}")
_PATTERN: Final = re.compile(r"[A-Za-z0-9?*\[\]!-]{1,100}")


class FenceAction(StrEnum):
    """What becomes of a node that is fenced."""

    OFF = "off"
    REBOOT = "reboot"


@dataclass(frozen=True, slots=True, kw_only=True)
class FenceDevice:
    """One file, read and checked."""

    name: str
    """The file's name without its suffix."""
    path: Path
    agent: str
    """Name of a program such as ``fence_ipmilan``, or its absolute path."""
    nodes: tuple[str, ...] = ()
    """Names and shell patterns."""
    ports: Mapping[NodeName, str] = field(default_factory=dict)
    """What the device calls a node, where that is not its name."""
    timeout_usec: Usec = TIMEOUT_DEFAULT
    """For switching off and for the proof, together."""
    action: FenceAction = FenceAction.OFF
    is_verified: bool = True
    """Whether the device must also report the node as off."""
    options: tuple[tuple[str, str], ...] = field(default=(), repr=False)
    """For the agent; passwords among them."""

    def covers(self, node: NodeName) -> bool:
        """Return whether the device switches this node off."""
        return node in self.ports or any(fnmatchcase(node, pattern) for pattern in self.nodes)

    def port(self, node: NodeName) -> str:
        """Return what the device calls the node."""
        return self.ports.get(node, node)


@dataclass(frozen=True, slots=True, kw_only=True)
class FenceConfig:
    """All devices of a root; ``problems`` are files that gave none, ``warnings`` what was passed over."""

    devices: tuple[FenceDevice, ...] = ()
    problems: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()

    def device_of(self, node: NodeName) -> FenceDevice | None:
        """Return the device of a node, None when no file names it.

        Raises:
            ConfigError: more than one file names the node.
        """
        found = [device for device in self.devices if device.covers(node)]
        if len(found) > 1:
            files = " and ".join(str(device.path) for device in found[:2])
            raise ConfigError(f"{files} both name '{node}'; a node has one fence device: drop it from one")
        return found[0] if found else None


def load_fence(root: Path = Path("/")) -> FenceConfig:
    """Read the fence devices below a root; nothing raises, see ``FenceConfig.problems``."""
    devices: list[FenceDevice] = []
    problems: list[str] = []
    warnings: list[str] = []
    try:
        paths = sorted((root / DIRECTORY).iterdir())
    except FileNotFoundError:
        return FenceConfig()
    except OSError as error:
        return FenceConfig(problems=(f"{root / DIRECTORY}: cannot be read: {error.strerror}",))
    for path in paths:
        if path.suffix != SUFFIX or path.name.startswith("."):
            continue
        try:
            device, passed_over = _read(path)
        except ConfigError as error:
            problems.append(str(error))
        else:
            devices.append(device)
            warnings += passed_over
    return FenceConfig(devices=tuple(devices), problems=tuple(problems), warnings=tuple(warnings))


def parse_device(path: Path, data: bytes) -> tuple[FenceDevice, tuple[str, ...]]:
    """Read the bytes of one file; return the device and what was passed over.

    Raises:
        ConfigError: with FILE:LINE and the reason.
    """
    if _NAME.fullmatch(path.stem) is None:
        raise ConfigError(f"{path}: '{path.stem}' cannot name a device; use letters, digits and '-'")
    file = parse(data, str(path))
    draft = _Draft(path)
    warnings: list[str] = []
    for problem in file.problems:
        # The message shows the line, which may be a secret.
        message = "this is no OPTION=VALUE" if problem.section == "Options" else problem.message
        raise ConfigError(f"{path}:{problem.line}: {message}")
    for assignment in file.assignments:
        if assignment.section == "Options":
            draft.option(assignment)
        elif assignment.section != "Device" or not draft.setting(assignment):
            what = f"[{assignment.section[:80]}] {assignment.key[:80]}="
            warnings.append(f"{path}:{assignment.line}: unknown setting {what}, ignoring")
    return draft.device(file), tuple(warnings)


class _Draft:
    """A device while its file is read."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._agent = ""
        self._nodes: list[str] = []
        self._ports: dict[NodeName, str] = {}
        self._timeout = TIMEOUT_DEFAULT
        self._action = FenceAction.OFF
        self._is_verified = True
        self._options: dict[str, str] = {}

    def setting(self, assignment: Assignment) -> bool:
        """Take a line of [Device]; return whether there is such a setting."""
        value = assignment.value
        try:
            match assignment.key:
                case "Agent":
                    self._agent = _agent(value)
                case "Nodes":
                    self._nodes = [*self._nodes, *map(_pattern, words(value))] if value else []
                case "PortMap":
                    self._map(value)
                case "TimeoutSec":
                    self._timeout = parse_timeout(value) if value else TIMEOUT_DEFAULT
                case "Action":
                    self._action = FenceAction(choice(*FenceAction)(value or FenceAction.OFF))
                case "Verify":
                    self._is_verified = _boolean(value or "yes")
                case _:
                    return False
        except ValueError as error:
            raise self._mistake(assignment, str(error)) from error
        return True

    def option(self, assignment: Assignment) -> None:
        """Take a line of [Options]; of several mentions the last one counts."""
        if _OPTION.fullmatch(assignment.key) is None:
            raise self._mistake(assignment, "an option's name has letters, digits, '_' and '-' only")
        if assignment.key.lower() in RESERVED:
            raise self._mistake(assignment, "is set for each request; see Action=, Nodes= and PortMap=")
        if not assignment.value.isprintable():
            raise self._mistake(assignment, "an option's value is one line of printable characters")
        self._options[assignment.key] = assignment.value

    def device(self, file: IniFile) -> FenceDevice:
        """Return the device when nothing is missing."""
        if not self._agent:
            raise ConfigError(f"{file.path}: [Device] Agent= is missing; for example Agent=fence_ipmilan")
        if not self._nodes and not self._ports:
            raise ConfigError(f"{file.path}: [Device] names no node; for example Nodes=node1")
        size = sum(len(key) + len(value.encode()) + 2 for key, value in self._options.items())
        if size > OPTIONS_BYTES_MAX:
            raise ConfigError(f"{file.path}: [Options] are longer than {OPTIONS_BYTES_MAX} bytes")
        return FenceDevice(
            name=self._path.stem, path=self._path, agent=self._agent, nodes=tuple(self._nodes),
            ports=dict(self._ports), timeout_usec=self._timeout, action=self._action,
            is_verified=self._is_verified, options=tuple(self._options.items()),
        )  # fmt: skip

    def _map(self, value: str) -> None:
        if not value:
            self._ports.clear()
        for word in words(value):
            node, colon, port = word.partition(":")
            if not colon or not port or not port.isprintable() or not is_node_name(node):
                raise ValueError(f"'{word[:80]}' is not NODE:PORT")
            others = [other for other, taken in self._ports.items() if taken == port and other != node]
            if others:
                raise ValueError(f"port '{port[:80]}' is given to both '{others[0]}' and '{node}'")
            self._ports[NodeName(node)] = port

    def _mistake(self, assignment: Assignment, reason: str) -> ConfigError:
        # The value itself may be a secret.
        place = f"{self._path}:{assignment.line}"
        return ConfigError(f"{place}: [{assignment.section}] {assignment.key[:80]}=: {reason}")


def _read(path: Path) -> tuple[FenceDevice, tuple[str, ...]]:
    try:
        with open(path, "rb", opener=_opener) as file:
            status = os.fstat(file.fileno())
            if not stat.S_ISREG(status.st_mode):
                raise ConfigError(f"{path}: is not a regular file")
            if status.st_mode & 0o077 or status.st_uid not in (0, os.geteuid()):
                cure = f"try: chown root {path}; chmod 600 {path}"
                raise ConfigError(f"{path}: passwords in it are not safe from others; {cure}")
            data = file.read(FILE_BYTES_MAX + 1)
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read: {error.strerror}") from error
    return parse_device(path, data)


def _opener(path: str, flags: int) -> int:
    # Without O_NONBLOCK a FIFO of that name would be waited for.
    return os.open(path, flags | os.O_NONBLOCK)


def _agent(value: str) -> str:
    if _AGENT.fullmatch(value) is None or not value.isprintable():
        raise ValueError(f"'{value[:80]}' is neither the name of a fence_ agent nor an absolute path")
    return value


def _pattern(word: str) -> str:
    if _PATTERN.fullmatch(word) is None:
        raise ValueError(f"'{word[:80]}' is neither a node's name nor a pattern for some")
    return word


def _boolean(value: str) -> bool:
    parsed = parse_boolean(value)
    if parsed is None:
        raise ValueError(f"'{value[:80]}' is neither yes nor no")
    return parsed
