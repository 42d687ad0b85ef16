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
from typing import Final

from synod.agent.jobs import JobRunner
from synod.base.errors import SynodError
from synod.base.ids import UnitName
from synod.base.messages import MessageId
from synod.base.usec import Usec
from synod.config.finding import Severity
from synod.config.load import host_below, parse_unit
from synod.config.specifiers import split_name
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

KNOW_SEC: Final = 3.0
"""How long a question about an unknown instance may be held up; without its annotation it is refused."""
MENTION_ROUNDS_MAX: Final = 8
"""Instances that name instances that name instances: a template may name itself without end."""

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
        self._granted: tuple[UnitName, ...] = ()
        self._mentioned: dict[UnitName, None] = {}
        """Instances of templates that somebody named; PID 1 need not have loaded them here."""
        self._reading = asyncio.Lock()
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

    def mention(self, units: Iterable[UnitName]) -> None:
        """Take note of the units that the cluster knows: instances of annotated templates are annotated."""
        new = [unit for unit in units if split_name(unit).instance and unit not in self._mentioned]
        self._mentioned |= dict.fromkeys(new)
        if new:
            self._reread.set()

    async def know(self, unit: UnitName) -> None:
        """Read the annotation of an instance that is named for the first time, before it is decided upon."""
        if unit in self._mentioned or not split_name(unit).instance:
            return
        self._mentioned[unit] = None
        if _template_of(unit) not in (self._generated.units() or ()):
            return
        try:
            async with asyncio.timeout(KNOW_SEC):
                await self._read_all()
        except (TimeoutError, SynodError) as error:
            _logger.warning("Cannot read the annotation of '%s': %s", unit, error)
            self._reread.set()

    def accompany(self, granted: tuple[UnitName, ...]) -> None:
        """Watch units to their end whose grants this node holds, annotated or not."""
        self._granted = granted
        if any(unit not in self._watched for unit in granted):
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
                await self._lint()
            except SynodError as error:
                _logger.warning("Cannot read the annotations, retrying: %s", error)
                await asyncio.sleep(1)
                self._reread.set()

    async def _read_all(self) -> None:
        async with self._reading:
            await self._read_in_turn()

    async def _read_in_turn(self) -> None:
        check = self._generated.check()
        self._complain((text, None) for text in self._generated.problems())
        if check.restored or check.ungated:
            names = ", ".join((*check.restored, *check.ungated))
            text = f"The generator left {names} without a gate; its last good drop-ins are back in place."
            self._journal.send(text, priority=Priority.ERR, message_id=MessageId.BACKSTOP_REPAIRED)
        specs = await self._specs()
        backstops = self._generated.set_backstops([spec.unit for spec in specs if spec.is_exclusive])
        if check.needs_reload or backstops.removed:
            await self.manager.daemon_reload()
        self._watch(specs)
        self._feed(SpecsLoaded(specs=tuple(specs), units=await self._read_units()))

    async def _specs(self) -> list[UnitSpec]:
        """Read all annotations, and those of the instances that they name."""
        found: dict[UnitName, UnitSpec | None] = {}
        for _ in range(MENTION_ROUNDS_MAX):
            new = [unit for unit in await self._annotated() if unit not in found]
            for unit in new:
                found[unit] = spec = await self._spec(unit)
                names = spec.pulled_in if spec is not None else ()
                self._mentioned |= dict.fromkeys(name for name in names if split_name(name).instance)
            if not new:
                break
        return [spec for spec in found.values() if spec is not None]

    async def _annotated(self) -> list[UnitName]:
        """List the units that the generator gated; of a template, the instances loaded or mentioned."""
        names = self._generated.units() or ()
        templates = [name for name in names if "@." in name]
        patterns = [name.replace("@.", "@*.") for name in templates]
        loaded = [row.unit for row in await self.manager.list_units(patterns)] if patterns else []
        mentioned = [unit for unit in self._mentioned if _template_of(unit) in templates]
        return list(dict.fromkeys([*(name for name in names if "@." not in name), *loaded, *mentioned]))

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
        for unit in self._granted:
            wanted |= dict.fromkeys((unit, hold_of(unit)))
        for unit in [unit for unit in self._watched if unit not in wanted]:
            self.manager.unwatch(unit)
        for unit in [unit for unit in wanted if unit not in self._watched]:
            self.manager.watch(unit)
        self._watched = wanted

    async def _read_units(self) -> tuple[LocalUnit, ...]:
        """Read every watched unit that PID 1 has loaded; the others are inactive."""
        listed = [row.unit for row in await self.manager.list_units(["*"]) if row.unit in self._watched]
        # A grant ends with a unit that was seen to be down, not with one that was not seen.
        read = [await self.jobs.read(unit) for unit in dict.fromkeys([*listed, *self._granted])]
        # What changed since its own read has been reported: told now, the read would be old news.
        return tuple(map(self.jobs.latest, read))


def _template_of(unit: UnitName) -> str:
    parts = split_name(unit)
    return f"{parts.prefix}@.{parts.suffix}"


def host_name() -> str:
    """Return this machine's name in the cluster: the first label of its host name."""
    return os.uname().nodename.partition(".")[0].lower()
