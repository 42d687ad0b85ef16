# SPDX-License-Identifier: LGPL-2.1-or-later
"""All fence devices of this machine: from a node's name to the result of fencing it.

Decides nothing but which device is asked: none, one, or, when the files contradict each other, none and why.
"""

from collections.abc import Iterable
from typing import Final

from synod.base.errors import ConfigError
from synod.base.ids import NodeName
from synod.config.fence import FenceConfig
from synod.devices.command import PATH, Failed, FenceCommand, FenceResult

DIRECTORY: Final = "/etc/synod/fence.d/"


class FenceRegister:
    """What ``load_fence`` has found, ready for use; build a new one when the files have changed."""

    def __init__(self, config: FenceConfig, *, path: str = PATH) -> None:
        self.config = config
        self._commands = {device.name: FenceCommand(device, path=path) for device in config.devices}

    def covers(self, node: NodeName) -> bool:
        """Return whether there is exactly one device for a node."""
        return not isinstance(self._find(node), Failed)

    async def fence(self, node: NodeName) -> FenceResult:
        """Switch a node off by its device; see ``FenceCommand.fence``. Nothing raises."""
        found = self._find(node)
        return found if isinstance(found, Failed) else await found.fence(node)

    async def restore(self, node: NodeName) -> str:
        """Switch a fenced node on again where Action=reboot; return what went wrong, or nothing."""
        found = self._find(node)
        return "" if isinstance(found, Failed) else await found.restore(node)

    async def problem(self, node: NodeName) -> str:
        """Return what would keep one node, which is up, from being fenced; asks its device."""
        found = self._find(node)
        return found.reason if isinstance(found, Failed) else await found.problem(node)

    async def problems(self, nodes: Iterable[NodeName]) -> tuple[str, ...]:
        """Return what would keep these nodes, which are up, from being fenced; asks their devices."""
        found: list[str] = list(self.config.problems)
        told = [await self.problem(node) for node in nodes]
        return (*found, *filter(None, told))

    def _find(self, node: NodeName) -> FenceCommand | Failed:
        try:
            device = self.config.device_of(node)
        except ConfigError as error:
            return Failed(node=node, reason=str(error))
        if device is None:
            broken = f"; {self.config.problems[0]}" if self.config.problems else ""
            hint = f"add a file to {DIRECTORY}, see synod.fence(5)"
            return Failed(node=node, reason=f"no fence device is configured for '{node}': {hint}{broken}")
        return self._commands[device.name]
