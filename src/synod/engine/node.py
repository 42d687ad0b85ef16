# SPDX-License-Identifier: LGPL-2.1-or-later
"""The node: one pure state machine that the agent and the simulator drive alike.

Law 1: what happens to a unit follows from the applied log and from what its agents say of its readiness,
       nothing else; every step ends with looking at what that step touched.
Law 2: the node does not know which engine orders its log. It proposes, and consumes one ordered stream.
Law 3: until this agent's registration is applied, the stream is a replay and nothing is done from it.

One step: digest the event; then, until nothing is left, feed the log, apply what it committed, bring the
touched units in line, answer who waits, plan when leading.
"""

from collections.abc import Mapping
from typing import Final, assert_never

from synod.base.ids import Epoch, NodeName, UnitName
from synod.base.machine import Entropy
from synod.base.messages import MessageId
from synod.base.usec import Usec
from synod.engine import events
from synod.engine.desk import Desk
from synod.engine.effects import Effect
from synod.engine.hearsay import Hearsay
from synod.engine.lease import Lease, LeaseTiming
from synod.engine.logside import LogSide
from synod.engine.messages import LeaseReply
from synod.engine.parts import Parts
from synod.engine.readiness import Readiness
from synod.engine.switchboard import Switchboard
from synod.engine.verdict import Judge
from synod.ledger import events as log_events
from synod.ledger.effects import Committed
from synod.ledger.entries import Entry, HardState
from synod.ledger.machine import Raft
from synod.ledger.membership import Configuration
from synod.ledger.timing import Timing
from synod.model.command import NodeState, decode_command
from synod.model.state import Change, ClusterState
from synod.model.unit import LocalUnit

ROUNDS_MAX: Final = 10_000
"""Rounds of one step; each does work that an event put there, so reaching it is a defect of ours."""
PRIORITY_ERROR: Final = 3
_TEMPLATES: Final = ("synod-hold@", "synod-mirror@", "synod-bound@", "synod-gate@", "synod-await@")


class Node:
    """A whole member of a cluster, or one that is about to become a member."""

    def __init__(
        self,
        *,
        name: NodeName,
        boot: str,
        agent: int,
        entropy: Entropy,
        hard_state: HardState,
        entries: tuple[Entry, ...],
        founders: tuple[NodeName, ...],
        is_booting: bool,
        gates: Mapping[UnitName, Epoch],
        up_files: tuple[UnitName, ...],
        stops: tuple[UnitName, ...] = (),
        timing: Timing | None = None,
        lease: LeaseTiming | None = None,
    ) -> None:
        """Start from what is durable.

        ``founders`` are the first voters: this node alone where ``init`` ran, nobody where it joined.
        ``gates``, ``up_files`` and ``stops`` are what an earlier agent of this boot left in /run/synod.
        ``agent`` grows with every start.
        """
        self.desk = Desk(
            me=name,
            boot=boot,
            agent=agent,
            is_booting=is_booting,
            has_log=bool(entries or founders),
            stops=stops,
        )
        self.timing: Final = timing or Timing()
        self.ledger = Raft(
            name=name,
            hard_state=hard_state,
            entries=entries,
            entropy=entropy,
            timing=self.timing,
            initial=Configuration.of(voters=founders),
        )
        self._log = LogSide(self.desk, self.ledger)
        self._parts = Parts(
            self.desk,
            self.ledger,
            self._log,
            gates=dict(gates),
            up_files=up_files,
            lease=lease or LeaseTiming(),
        )
        self._switchboard = Switchboard(self.desk, self._parts, self._log)

    @property
    def readiness(self) -> Readiness:
        """Which units are up anywhere."""
        return self._parts.readiness

    @property
    def judge(self) -> Judge:
        """Why units run, wait, or never will."""
        return self._parts.judge

    @property
    def lease(self) -> Lease:
        """Until when nobody may take over from this node."""
        return self._parts.lease

    @property
    def hearsay(self) -> Hearsay:
        """What gossip thinks of the peers."""
        return self._parts.hearsay

    @property
    def state(self) -> ClusterState:
        """What this node knows of the cluster."""
        return self.desk.state

    @property
    def deadline(self) -> Usec | None:
        """Earliest time at which step() wants a Tick."""
        parts = self._parts
        deadlines = [part.deadline for part in parts.ticking]
        deadlines += [self.ledger.deadline, parts.duty.deadline, parts.vigil.deadline]
        return min((deadline for deadline in deadlines if deadline is not None), default=None)

    def step(self, event: events.Event, now: Usec) -> tuple[Effect, ...]:
        """Digest one event and return what is to be done, in this order."""
        self.desk.now = self._parts.proposals.now = now
        self._digest(event)
        for _ in range(ROUNDS_MAX):
            if not self._advance():
                return self.desk.take()
        raise AssertionError("the node does not come to rest")

    # Events

    def _digest(self, event: events.Event) -> None:
        match event:
            case events.Tick():
                self._tick()
            case events.Received(peer=peer, message=message):
                self._switchboard.hear(peer, message)
            case events.PeerConnected(peer=peer):
                self._switchboard.connected(peer)
            case events.PeerLost(peer=peer, is_silent=is_silent):
                self._switchboard.lost(peer, is_silent=is_silent)
            case events.Persisted(seq=seq):
                self._log.post(log_events.Persisted(seq=seq))
            case events.PersistFailed(seq=seq, reason=reason):
                text = f"The log cannot be written ({reason}); this node votes no more."
                self.desk.report(MessageId.STORAGE_FAILED, PRIORITY_ERROR, text)
                self._parts.lease.forgo()
                self._log.post(log_events.PersistFailed(seq=seq))
            case events.UnitSeen() | events.Looked() | events.JobDone() | events.SpecsLoaded():
                self._digest_units(event)
            case (
                events.PeerThought()
                | events.PeerVouched()
                | events.PeerFacts()
                | events.StoodStill()
                | events.OwnLinkChanged()
            ):
                self._parts.hearsay.take(event)
            case _:
                self._digest_local(event)

    def _digest_units(
        self, event: events.UnitSeen | events.Looked | events.JobDone | events.SpecsLoaded
    ) -> None:
        parts = self._parts
        match event:
            case events.UnitSeen(unit=unit):
                self._see(unit)
            case events.Looked(look=look, unit=unit):
                self._see(unit)
                self.desk.looked(look)
            case events.JobDone(job=job, result=result, unit=unit, text=text):
                self._see(unit)
                self.desk.job_done(job)
                parts.guard.job_done(job)
                parts.keeper.job_done(job, result, text, unit.unit)
                parts.mirrors.job_done(job)
                parts.barriers.job_done(job)
                parts.orders.job_done(job, result, text)
            case events.SpecsLoaded(specs=specs, units=units):
                now = {spec.unit: spec for spec in specs}
                gone = [unit for unit in self.desk.specs if unit not in now]
                self.desk.specs = now
                for seen in units:
                    self._see(seen)
                self.desk.are_units_read = True
                parts.mirrors.reread()
                self.desk.touch([*gone, *now])
            case _:
                assert_never(event)

    def _digest_local(
        self,
        event: events.DevicesLoaded
        | events.Forged
        | events.FenceReported
        | events.BootOver
        | events.ShutdownBegun
        | events.Asked
        | events.ClientGone,
    ) -> None:
        parts = self._parts
        match event:
            case events.DevicesLoaded(targets=targets):
                parts.reporter.devices = targets
            case events.Forged(text=text):
                parts.strays.forged(text)
            case events.FenceReported(order=order, is_confirmed=is_confirmed, text=text):
                parts.fencing.reported(order, is_confirmed=is_confirmed, text=text)
            case events.BootOver():
                self.desk.is_booting = False
            case events.ShutdownBegun():
                parts.farewell.shutdown_begun()
            case events.Asked(client=client, request=request):
                parts.front.ask(client, request)
            case events.ClientGone(client=client):
                if not parts.clients.gone(client):
                    parts.holds.gone(client)
            case _:
                assert_never(event)

    def _tick(self) -> None:
        now, deadline = self.desk.now, self.ledger.deadline
        if deadline is not None and deadline <= now:
            self._log.post(log_events.Tick())
        for part in self._parts.ticking:
            if part.deadline is not None and part.deadline <= now:
                part.tick()
        self._parts.duty.tick(self.ledger.voters, self.ledger.learners, self._log.lag)
        if self.desk.is_witness:
            self._log.give_way()

    def _see(self, unit: LocalUnit) -> None:
        self.desk.local[unit.unit] = unit
        self.desk.seen_stopping(unit)
        self._parts.reporter.unit_seen(unit.unit, unit.active)
        self.desk.touch([_subject(unit.unit)])
        self._parts.barriers.unit_seen()

    # One round

    def _advance(self) -> bool:
        """Do what is due; return whether there was anything."""
        if not self._log.is_idle:
            self._log.drive(self)
            return True
        if self.desk.dirty:
            self._look()
            return True
        parts = self._parts
        parts.barriers.recheck()
        parts.clients.look()
        parts.holds.look()
        parts.farewell.look()
        parts.guard.look()
        if parts.guard.come_back():
            self._switchboard.greet_anew()
        parts.reporter.look()
        parts.vigil.look()
        parts.duty.plan()
        self._switchboard.greet()
        return bool(not self._log.is_idle or self.desk.dirty)

    def _look(self) -> None:
        self._parts.guard.refresh()
        touched, self.desk.dirty = self.desk.dirty, {}
        edges, parts = self.state.edges, self._parts
        around = dict(touched)
        for unit in touched:
            parts.mirrors.look(unit)
            for index in (edges.named_by, edges.before):
                around |= dict.fromkeys(index.get(unit, ()))
            spec = self.desk.spec(unit)
            for provider in spec.pulled_in if spec is not None else ():
                parts.mirrors.look(provider)
        if self.desk.is_settled:
            for unit in around:
                parts.keeper.look(unit)
            for unit in touched:
                parts.drift.look(unit)

    # What the log says

    def applied(self, entry: Committed) -> None:
        """Apply one entry and note what it touched."""
        parts = self._parts
        if entry.duplicate:
            parts.proposals.settle(entry.req, Change())
            return
        self.desk.has_log, was_replay = True, not self.desk.is_registered
        change = self.state.apply(decode_command(entry.payload), entry.index)
        self.desk.touch(change.units)
        for unit in change.units:
            parts.clients.meet(unit)
        for name in change.nodes:
            self.desk.touch(parts.readiness.exports_of(name))
            row = self.state.nodes.get(name)
            if row is not None and row.state is NodeState.ONLINE:
                parts.lease.registered(name)
        if self.desk.me in change.nodes:
            self.desk.touch(self.desk.specs)
        self.ledger.is_reluctant = self.desk.is_witness
        parts.duty.note(change)
        parts.proposals.settle(entry.req, change)
        if self.desk.is_registered and was_replay:
            parts.links.replayed()
        elif change.nodes:
            parts.links.look()

    def leader_changed(self, leader: NodeName | None, *, is_leading: bool, confirmed_at: Usec) -> None:
        """Take office or leave it, and ask whoever leads now."""
        parts = self._parts
        parts.duty.lead(is_leading=is_leading)
        parts.drift.lead(is_leading=is_leading)
        parts.lease.lead(leader, is_leading=is_leading, confirmed_at=confirmed_at)
        parts.vigil.is_leading = is_leading
        if leader is not None:
            parts.proposals.hurry()

    def confirmed(self, token: int, *, is_leading: bool) -> None:
        """Answer those whose leases hang on this node's leading."""
        for nonce in self._parts.lease.confirmed(token, is_leading=is_leading):
            self._switchboard.renewed(LeaseReply(nonce=nonce))


def _subject(unit: UnitName) -> UnitName:
    """Name the unit that a template unit of ours stands beside, or the unit itself."""
    for prefix in _TEMPLATES:
        if unit.startswith(prefix):
            return UnitName(unit.removeprefix(prefix).rpartition(".")[0])
    return unit
