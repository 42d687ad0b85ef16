# SPDX-License-Identifier: LGPL-2.1-or-later
"""What happens around the agent on this machine: units, reloads, the end of the boot, a shutdown.

Annotations are taken as PID 1 has loaded them (FragmentPath and DropInPaths), not as they lie on the disk:
what the generator has not gated yet is not in force yet.
"""

import asyncio
import logging
import os
from collections.abc import Callable, Iterable
from dataclasses import replace
from pathlib import Path

from synod.agent.jobs import JobRunner
from synod.base.errors import SynodError
from synod.base.ids import UnitName
from synod.base.messages import MessageId
from synod.base.usec import Usec
from synod.config.finding import Severity
from synod.config.load import host_below, parse_unit
from synod.config.verify import verify
from synod.engine.events import BootOver, Event, ShutdownBegun, SpecsLoaded
from synod.engine.guard import FUSE
from synod.model.spec import UnitSpec
from synod.model.unit import LocalUnit, bound_of, hold_of, mirror_of
from synod.systemd.bus import Bus
from synod.systemd.gatefiles import GateFiles
from synod.systemd.generated import Generated
from synod.systemd.jobs import JobResult
from synod.systemd.journal import Journal, Priority
from synod.systemd.manager import Manager
from synod.systemd.unitstate import UnitState

_logger = logging.getLogger(__name__)


class Surroundings:
    """Observes PID 1 and keeps the node informed."""

    def __init__(
        self,
        bus: Bus,
        generated: Generated,
        gate_files: GateFiles,
        journal: Journal,
        feed: Callable[[Event], None],
        dependency_timeout: Usec,
    ) -> None:
        self.manager = Manager(bus, self)
        self.jobs = JobRunner(self.manager, feed)
        self._generated = generated
        self._gate_files = gate_files
        self._journal = journal
        self._feed = feed
        self._dependency_timeout = dependency_timeout
        self._watched: dict[UnitName, None] = {}
        self._reread = asyncio.Event()
        self._problems: dict[str, None] = {}

    async def run(self) -> None:
        """Serve until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self.manager.run(), name="manager")
            tasks.create_task(self._keep_read(), name="annotations")

    def reread(self) -> None:
        """Read the annotations anew, soon."""
        self._reread.set()

    # What PID 1 tells

    def on_connected(self) -> None:
        """Read everything: what happened meanwhile is unknown."""
        self._reread.set()

    def on_disconnected(self) -> None:
        """Wait for the bus to come back; nothing is concluded from its silence."""

    def on_unit_changed(self, unit: UnitName, state: UnitState) -> None:
        """Pass a change on."""
        if unit in self._watched:
            self.jobs.seen(state)

    def on_job_removed(self, job: JobResult) -> None:
        """Leave jobs to those who wait for them."""

    def on_reloading(self, is_reloading: bool) -> None:
        """Read the annotations when a reload has ended."""
        if not is_reloading:
            self._reread.set()

    def on_boot_over(self) -> None:
        """Let gates wait from now on."""
        self._gate_files.mark_booted()
        self._feed(BootOver())

    def on_stopping(self) -> None:
        """Note a shutdown that did not begin with the drain."""
        self._feed(ShutdownBegun())

    # Annotations

    async def _keep_read(self) -> None:
        while True:
            await self._reread.wait()
            self._reread.clear()
            try:
                await self._read_all()
            except SynodError as error:
                _logger.warning("Cannot read the annotations, retrying: %s", error)
                await asyncio.sleep(1)
                self._reread.set()

    async def _read_all(self) -> None:
        check = self._generated.check()
        self._complain((text, None) for text in self._generated.problems())
        if check.restored or check.ungated:
            names = ", ".join((*check.restored, *check.ungated))
            text = f"The generator left {names} without a gate; its last good drop-ins are back in place."
            self._journal.send(text, priority=Priority.ERR, message_id=MessageId.BACKSTOP_REPAIRED)
        specs = [spec for unit in await self._annotated() if (spec := await self._spec(unit)) is not None]
        backstops = self._generated.set_backstops([spec.unit for spec in specs if spec.is_exclusive])
        if check.needs_reload or backstops.removed:
            await self.manager.daemon_reload()
        self._watch(specs)
        self._feed(SpecsLoaded(specs=tuple(specs), units=await self._read_units()))
        await self._lint()

    async def _annotated(self) -> list[UnitName]:
        """List the units that the generator gated; of a template, the instances that PID 1 has loaded."""
        names = self._generated.units() or ()
        templates = [name.replace("@.", "@*.") for name in names if "@." in name]
        instances = [row.unit for row in await self.manager.list_units(templates)] if templates else []
        return list(dict.fromkeys([*(name for name in names if "@." not in name), *instances]))

    async def _spec(self, unit: UnitName) -> UnitSpec | None:
        state = await self.manager.unit_state(unit)
        if not state.fragment_path or state.load_state != "loaded":
            return None
        fragment, drop_ins = Path(state.fragment_path), [Path(path) for path in state.drop_in_paths]
        host = replace(host_below(Path("/")), dependency_timeout_usec=self._dependency_timeout)
        loaded = parse_unit(fragment, drop_ins, unit=unit, host=host)
        if loaded.annotation is None:
            return None
        findings = (*loaded.findings, *loaded.annotation.findings)
        self._complain((str(finding), finding.unit) for finding in findings)
        return loaded.annotation.spec

    async def _lint(self) -> None:
        """Log what ``synodctl verify`` would say; nothing is started or stopped because of it."""
        findings = await asyncio.to_thread(verify, Path("/"))
        self._complain(
            (str(finding), finding.unit) for finding in findings if finding.severity is not Severity.INFO
        )

    def _complain(self, problems: Iterable[tuple[str, str | None]]) -> None:
        """Write each problem once, not at every reload."""
        for text, unit in problems:
            if text not in self._problems:
                self._problems[text] = None
                self._journal.send(
                    text,
                    priority=Priority.WARNING,
                    message_id=MessageId.GENERATOR_PROBLEM,
                    unit=unit or None,
                )

    def _watch(self, specs: list[UnitSpec]) -> None:
        wanted: dict[UnitName, None] = {FUSE: None}
        for spec in specs:
            wanted |= dict.fromkeys(
                (spec.unit, hold_of(spec.unit), mirror_of(spec.unit), bound_of(spec.unit))
            )
            for provider in spec.pulled_in:
                wanted |= dict.fromkeys((mirror_of(provider), bound_of(provider)))
        for unit in [unit for unit in self._watched if unit not in wanted]:
            self.manager.unwatch(unit)
        for unit in [unit for unit in wanted if unit not in self._watched]:
            self.manager.watch(unit)
        self._watched = wanted

    async def _read_units(self) -> tuple[LocalUnit, ...]:
        """Read every watched unit that PID 1 has loaded; the others are inactive."""
        listed = await self.manager.list_units(["*"])
        return tuple([await self.jobs.read(row.unit) for row in listed if row.unit in self._watched])


def host_name() -> str:
    """Return this machine's name in the cluster: the first label of its host name."""
    return os.uname().nodename.partition(".")[0].lower()
