# SPDX-License-Identifier: LGPL-2.1-or-later
"""The mirrors on this node: local targets that stand for providers wherever those run (safety section 5).

``synod-mirror@`` goes down only by a barrier or when nobody here needs it, so that a crashed provider leaves
a Requires= dependant running, as on one node. ``synod-bound@`` goes down whenever the provider is not up.
"""

from typing import Final

from synod.base.ids import UnitName
from synod.base.usec import USEC_PER_SEC, Usec
from synod.engine.barriers import Barriers
from synod.engine.desk import Desk
from synod.engine.effects import RemoveUp, WriteUp
from synod.engine.readiness import Readiness
from synod.model.unit import bound_of, mirror_of

LINGER_USEC: Final = Usec(10 * USEC_PER_SEC)
"""How long a mirror that nobody here needs any more stays (safety rule 5.7)."""


class Mirrors:
    """Up files and mirror targets, driven by readiness and by who needs them here."""

    def __init__(
        self, desk: Desk, readiness: Readiness, barriers: Barriers, known: tuple[UnitName, ...]
    ) -> None:
        self._desk = desk
        self._readiness = readiness
        self._barriers = barriers
        self._files: dict[UnitName, None] = dict.fromkeys(known)
        self._jobs: dict[int, UnitName] = {}
        self._busy: dict[UnitName, None] = {}
        self._idle_since: dict[UnitName, Usec] = {}
        self.awaited: dict[UnitName, int] = {}
        """Providers that an await waits for, with how many."""

    @property
    def deadline(self) -> Usec | None:
        """When the first mirror has lingered long enough."""
        return Usec(min(self._idle_since.values()) + LINGER_USEC) if self._idle_since else None

    def look(self, provider: UnitName) -> None:
        """Bring the mirrors of one provider in line."""
        if not self._desk.is_settled or provider in self._busy:
            return
        users = self._users(provider)
        is_up = self._readiness.is_up(provider) and not self._is_barred(provider)
        is_sure = is_up and self._readiness.is_confirmed(provider)
        is_used = bool(users or provider in self.awaited)
        self._mark(provider, is_up=is_used and (is_sure or (is_up and provider in self._files)))
        needs_mirror = provider in self.awaited or any(self._is_alive(name) for name in users)
        mirror, bound = self._desk.seen(mirror_of(provider)), self._desk.seen(bound_of(provider))
        if needs_mirror or mirror.is_gone:
            self._idle_since.pop(provider, None)
        if is_sure and needs_mirror:
            if mirror.is_gone:
                self._run("start", provider, mirror.unit)
            if bound.is_gone and any(self._binds(name, provider) for name in users):
                self._run("start", provider, bound.unit)
        elif not is_up and bound.active == "active" and not self._is_barred(provider):
            self._pause_bound(provider)
            self._run("stop", provider, bound.unit)
        elif not needs_mirror and not mirror.is_gone:
            self._linger(provider)

    def stopping(self, provider: UnitName) -> None:
        """Take down a lingering mirror of a provider that stops by a job.

        With dependants here the barrier does it, in order.
        """
        if not any(self._is_alive(name) for name in self._users(provider)) and not self._is_barred(provider):
            mirror = self._desk.seen(mirror_of(provider))
            if mirror.active == "active" and provider not in self._busy:
                self._run("stop", provider, mirror.unit)

    def _linger(self, provider: UnitName) -> None:
        since = self._idle_since.setdefault(provider, self._desk.now)
        if since + LINGER_USEC <= self._desk.now and not self._is_barred(provider):
            del self._idle_since[provider]
            self._run("stop", provider, mirror_of(provider))
            if not self._desk.seen(bound_of(provider)).is_gone:
                self._run("stop", provider, bound_of(provider))

    def _pause_bound(self, provider: UnitName) -> None:
        for name in self._users(provider):
            if self._binds(name, provider) and not self._desk.seen(name).is_gone:
                self._barriers.paused[name] = None

    def _is_barred(self, provider: UnitName) -> bool:
        return self._barriers.is_raised(provider) or self._barriers.is_served(provider)

    def _users(self, provider: UnitName) -> list[UnitName]:
        """List this node's units that name the provider."""
        return [
            name for name in self._desk.state.edges.named_by.get(provider, {}) if name in self._desk.specs
        ]

    def _is_alive(self, unit: UnitName) -> bool:
        """Whether a unit runs here, is about to, or has the right to."""
        return not self._desk.seen(unit).is_gone or self._desk.grant(unit) is not None

    def _binds(self, unit: UnitName, provider: UnitName) -> bool:
        spec = self._desk.spec(unit)
        return spec is not None and provider in spec.binds_to

    def _mark(self, provider: UnitName, *, is_up: bool) -> None:
        if is_up and provider not in self._files:
            self._files[provider] = None
            self._desk.put(WriteUp(unit=provider))
        elif not is_up and provider in self._files:
            del self._files[provider]
            self._desk.put(RemoveUp(unit=provider))

    def has_file(self, provider: UnitName) -> bool:
        """Whether waiters for the provider are skipped."""
        return provider in self._files

    def _run(self, verb: str, provider: UnitName, unit: UnitName) -> None:
        self._jobs[self._desk.run(verb, unit)] = provider
        self._busy[provider] = None

    def job_done(self, job: int) -> None:
        """Note that a job ended; one provider has one pair of jobs at a time (race 3)."""
        provider = self._jobs.pop(job, None)
        if provider is not None and provider not in self._jobs.values():
            del self._busy[provider]
            self._desk.touch([provider])

    def tick(self) -> None:
        """Stop what has lingered long enough."""
        for provider, since in list(self._idle_since.items()):
            if since + LINGER_USEC <= self._desk.now:
                self.look(provider)
                if self._idle_since.get(provider) == since:
                    self._idle_since[provider] = self._desk.now  # not now: a barrier or a job is under way

    def reread(self) -> None:
        """Look at every provider with an up file: this node's annotations changed."""
        self._desk.touch(self._files)
