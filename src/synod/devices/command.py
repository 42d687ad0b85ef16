# SPDX-License-Identifier: LGPL-2.1-or-later
"""Fencing by a fence_* agent: the program that knows how to speak to one kind of power switch.

Decides what counts as a proof that a node is off: the agent says that it has switched it off, and the
device, asked again, says that it is. Everything else is no proof: an agent that fails, that ends too late,
that cannot tell, or whose device contradicts it. Refuses to know when a node is to be fenced.

Calling convention (fence-agents, FenceAgentAPI): options on standard input, one key=value per line; exit
status 0 is success, and for the action "status" 0 means on and 2 means off.
"""

import asyncio
import shutil
import time
from dataclasses import dataclass
from typing import Final

from synod.base.ids import NodeName
from synod.base.usec import USEC_PER_SEC, format_span
from synod.config.fence import FenceAction, FenceDevice
from synod.devices.process import Ended, Killed, run

PATH: Final = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
REASON_LENGTH_MAX: Final = 200

_STATUS_OFF: Final = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class Confirmed:
    """The node was off at some moment after the request: every incarnation known before has ended."""

    node: NodeName
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Failed:
    """No proof: the device was asked and did not do it, or contradicts its agent."""

    node: NodeName
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Unknown:
    """No proof: there was no answer in time; the node may be off, or go off later."""

    node: NodeName
    reason: str


FenceResult = Confirmed | Failed | Unknown


class FenceCommand:
    """One device and its agent.

    Requests for different nodes wait for each other: few devices take two sessions.
    """

    def __init__(self, device: FenceDevice, *, path: str = PATH) -> None:
        self.device = device
        self._path = path
        self._lock = asyncio.Lock()

    async def fence(self, node: NodeName) -> FenceResult:
        """Switch a node off; takes at most ``TimeoutSec=``, and a second for killing the agent.

        With Action=reboot call ``restore`` once the result is settled. Cancelling kills the agent.
        """
        async with self._lock:
            return await self._fence(node)

    async def restore(self, node: NodeName) -> str:
        """Switch a fenced node on again, if its device says so; return what went wrong, or nothing.

        It changes nothing about the proof.
        """
        # Without verification the agent's own "reboot" has done both.
        if self.device.action is not FenceAction.REBOOT or not self.device.is_verified:
            return ""
        async with self._lock:
            return await self._attempt("on", node)

    async def problem(self, node: NodeName) -> str:
        """Ask for the state of a node that is up; return why fencing would fail, or nothing.

        A device that takes a running node for one that is off would "prove" it without switching anything.
        """
        async with self._lock:
            outcome = await self._run("status", node, self._deadline())
        if isinstance(outcome, Ended) and outcome.status == 0:
            return ""
        if isinstance(outcome, Ended) and outcome.status == _STATUS_OFF:
            cure = f"set PortMap= in {self.device.path}"
            return f"{self._who()} reports '{node}' as off although it runs; {cure}"
        return self._describe("status", node, outcome)

    async def _fence(self, node: NodeName) -> FenceResult:
        device, deadline = self.device, self._deadline()
        reboots = device.action is FenceAction.REBOOT and not device.is_verified
        action = "reboot" if reboots else "off"
        outcome = await self._run(action, node, deadline)
        if not isinstance(outcome, Ended) or outcome.status != 0:
            return self._no_proof(action, node, outcome)
        if not device.is_verified:
            return Confirmed(node=node, reason=f"{self._who()} says that '{node}' is off (Verify=no)")
        check = await self._run("status", node, deadline)
        if isinstance(check, Ended) and check.status == _STATUS_OFF:
            return Confirmed(node=node, reason=f"{self._who()} reports '{node}' as off")
        if isinstance(check, Ended) and check.status == 0:
            return Failed(
                node=node,
                reason=f"{self._who()} claims to have switched '{node}' off but reports it as on;"
                f" switch it off by hand and check PortMap= in {device.path}",
            )
        return self._no_proof("status", node, check)

    async def _attempt(self, action: str, node: NodeName) -> str:
        outcome = await self._run(action, node, self._deadline())
        if isinstance(outcome, Ended) and outcome.status == 0:
            return ""
        return self._describe(action, node, outcome)

    async def _run(self, action: str, node: NodeName, deadline: float) -> Ended | Killed | str:
        """Run the agent; a text says why it could not be started."""
        device = self.device
        program = shutil.which(device.agent, path=self._path)
        if program is None:
            hint = "is it executable?" if "/" in device.agent else "try: apt install fence-agents"
            return f"there is no program '{device.agent}'; {hint}"
        options = (("action", action), ("port", device.port(node)), ("nodename", node), *device.options)
        try:
            return await run(
                (program,), stdin="".join(f"{key}={value}\n" for key, value in options),
                environment={"PATH": self._path, "LANG": "C.UTF-8", "HOME": "/root"},
                seconds=max(deadline - time.monotonic(), 0),
            )  # fmt: skip
        except OSError as error:
            return f"'{program}' cannot be started: {error.strerror}"

    def _no_proof(self, action: str, node: NodeName, outcome: Ended | Killed | str) -> Failed | Unknown:
        reason = self._describe(action, node, outcome)
        if isinstance(outcome, Killed):
            return Unknown(node=node, reason=reason)
        return Failed(node=node, reason=reason)

    def _describe(self, action: str, node: NodeName, outcome: Ended | Killed | str) -> str:
        if isinstance(outcome, str):
            return f"{self._who()}: {outcome}"
        what = f"{self._who()}: '{action}' of '{node}'"
        if isinstance(outcome, Killed):
            limit = format_span(self.device.timeout_usec)
            rest = "killed" if outcome.is_gone else "killed, but hangs in the kernel"
            return f"{what} did not end within {limit} and was {rest}; see whether the device answers"
        how = f"exited with {outcome.status}" if outcome.status >= 0 else f"died of signal {-outcome.status}"
        said = _last_line(outcome.stderr) or _last_line(outcome.stdout)
        return f"{what} {how}: {said}" if said else f"{what} {how}"

    def _who(self) -> str:
        return f"fence device '{self.device.name}' ({self.device.agent})"

    def _deadline(self) -> float:
        return time.monotonic() + self.device.timeout_usec / USEC_PER_SEC


def _last_line(text: str) -> str:
    """Return the last line that says something, in a form that a journal takes."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    shown = "".join(character if character.isprintable() else "?" for character in (lines or [""])[-1])
    return shown if len(shown) <= REASON_LENGTH_MAX else shown[: REASON_LENGTH_MAX - 1] + "…"
