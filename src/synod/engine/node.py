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
from synod.engine.barriers import Barriers
from synod.engine.clients import Clients
from synod.engine.desk import Desk
from synod.engine.duty import Duty
from synod.engine.effects import Connect, Disconnect, Effect, RemoveLease, Send, WriteLease
from synod.engine.farewell import Farewell
from synod.engine.front import Front
from synod.engine.holds import Holds
from synod.engine.keeper import Keeper
from synod.engine.messages import Announce, Barrier, BarrierDone, Direct, Order, OrderDone, Ready, Relay
from synod.engine.mirrors import Mirrors
from synod.engine.orders import Orders
from synod.engine.proposals import Proposals
from synod.engine.readiness import Readiness
from synod.engine.reporter import Reporter
from synod.engine.verdict import Judge
from synod.ledger import effects as log_effects
from synod.ledger import events as log_events
from synod.ledger.entries import Entry, HardState, ReqId
from synod.ledger.machine import Raft
from synod.ledger.membership import Configuration, Operation
from synod.ledger.messages import Message
from synod.ledger.timing import Timing
from synod.model.command import NodeState, decode_command
from synod.model.state import Change, ClusterState
from synod.model.unit import LocalUnit

ROUNDS_MAX: Final = 10_000
"""Rounds of one step; every round does work that was put there by an event, so reaching it is a defect of
ours.
"""
PRIORITY_ERROR: Final = 3
PRIORITY_WARNING: Final = 4
PRIORITY_NOTICE: Final = 5
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
        timing: Timing | None = None,
    ) -> None:
        """Start from what is durable.

        ``founders`` are the first voters: this node alone where ``init`` ran, nobody where it joined.
        ``gates`` and ``up_files`` are what an earlier agent of this boot left in /run/synod. ``agent`` grows
        with every start.
        """
        self.desk = Desk(
            me=name, boot=boot, agent=agent, is_booting=is_booting, has_log=bool(entries or founders)
        )
        self.ledger = Raft(
            name=name,
            hard_state=hard_state,
            entries=entries,
            entropy=entropy,
            timing=timing or Timing(),
            initial=Configuration.of(voters=founders),
        )
        self._log_inbox: list[log_events.Event] = []
        self._links: dict[NodeName, tuple[str, int, str]] = {}
        self._greeted: dict[NodeName, None] = {}
        self._has_lease = False
        self.proposals = Proposals(name, f"{boot}/{agent}", self._propose)
        self.readiness = Readiness(self.desk)
        self.barriers = Barriers(self.desk, self.readiness)
        self.judge = Judge(self.desk, self.readiness, self.barriers)
        self._mirrors = Mirrors(self.desk, self.readiness, self.barriers, up_files)
        self._keeper = Keeper(
            self.desk, self.readiness, self.barriers, self.judge, self.proposals, dict(gates)
        )
        self._clients = Clients(
            self.desk, self.readiness, self.judge, self._keeper, self._mirrors, self.proposals
        )
        self._holds = Holds(self.desk, self.barriers, self.judge, self._keeper, self.proposals)
        self._orders = Orders(self.desk, self.readiness)
        self._farewell = Farewell(
            self.desk, self.proposals, self._hand_over, lambda: name in self.ledger.voters
        )
        self._reporter = Reporter(self.desk, self.proposals)
        self._duty = Duty(self.desk, self.proposals, self._change_members)
        self._front = self._make_front()

    def _make_front(self) -> Front:
        return Front(
            self.desk,
            self.proposals,
            self._clients,
            self._holds,
            self._orders,
            self._farewell,
            lambda: self.ledger.quorate,
        )

    @property
    def state(self) -> ClusterState:
        """What this node knows of the cluster."""
        return self.desk.state

    @property
    def deadline(self) -> Usec | None:
        """Earliest time at which step() wants a Tick."""
        parts = (
            self.ledger,
            self.proposals,
            self.barriers,
            self._keeper,
            self._mirrors,
            self._clients,
            self._holds,
            self._orders,
            self._farewell,
            self._reporter,
            self._duty,
        )
        return min((part.deadline for part in parts if part.deadline is not None), default=None)

    def step(self, event: events.Event, now: Usec) -> tuple[Effect, ...]:
        """Digest one event and return what is to be done, in this order."""
        self.desk.now = self.proposals.now = now
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
                self._hear(peer, message)
            case events.PeerConnected(peer=peer):
                self._connected(peer)
            case events.PeerLost(peer=peer):
                self.desk.connected.pop(peer, None)
                self._greeted.pop(peer, None)
                self.readiness.lost(peer)
                self._relink()
                self._log_inbox.append(log_events.PeerLost(peer=peer))
            case events.Persisted(seq=seq):
                self._log_inbox.append(log_events.Persisted(seq=seq))
            case events.PersistFailed(seq=seq, reason=reason):
                text = f"The log cannot be written ({reason}); this node votes no more."
                self.desk.report(MessageId.STORAGE_FAILED, PRIORITY_ERROR, text)
                self._log_inbox.append(log_events.PersistFailed(seq=seq))
            case _:
                self._digest_local(event)

    def _digest_local(
        self,
        event: events.UnitSeen
        | events.JobDone
        | events.SpecsLoaded
        | events.BootOver
        | events.ShutdownBegun
        | events.Asked
        | events.ClientGone,
    ) -> None:
        match event:
            case events.UnitSeen(unit=unit):
                self._see(unit)
            case events.JobDone(job=job, result=result, unit=unit, text=text):
                self._see(unit)
                self.desk.job_done(job)
                self._keeper.job_done(job, result, text, unit.unit)
                self._mirrors.job_done(job)
                self.barriers.job_done(job)
                self._orders.job_done(job, result, text)
            case events.SpecsLoaded(specs=specs, units=units):
                gone = [unit for unit in self.desk.specs if unit not in {spec.unit: None for spec in specs}]
                self.desk.specs = {spec.unit: spec for spec in specs}
                for unit in units:
                    self._see(unit)
                self.desk.are_units_read = True
                self._mirrors.reread()
                self.desk.touch([*gone, *self.desk.specs])
            case events.BootOver():
                self.desk.is_booting = False
            case events.ShutdownBegun():
                self._farewell.shutdown_begun()
            case events.Asked(client=client, request=request):
                self._front.ask(client, request)
            case events.ClientGone(client=client):
                if not self._clients.gone(client):
                    self._holds.gone(client)
            case _:
                assert_never(event)

    def _tick(self) -> None:
        now, deadline = self.desk.now, self.ledger.deadline
        if deadline is not None and deadline <= now:
            self._log_inbox.append(log_events.Tick())
        for part in (
            self.proposals,
            self.barriers,
            self._keeper,
            self._mirrors,
            self._clients,
            self._holds,
            self._orders,
            self._farewell,
            self._reporter,
        ):
            if part.deadline is not None and part.deadline <= now:
                part.tick()
        self._duty.tick(self.ledger.voters, self.ledger.learners, self._lag)

    def _see(self, unit: LocalUnit) -> None:
        self.desk.local[unit.unit] = unit
        self._reporter.unit_seen(unit.unit, unit.active)
        self.desk.touch([_subject(unit.unit)])
        self.barriers.unit_seen()

    # Peers

    def _connected(self, peer: NodeName) -> None:
        self.desk.connected[peer] = None
        self._greeted.pop(peer, None)

    def _greet(self) -> None:
        """Speak to new peers once this node's units are known: silence beats a false "nothing"."""
        if len(self._greeted) == len(self.desk.connected) or not self._reporter.is_complete:
            return
        for peer in self.desk.connected:
            if peer not in self._greeted:
                self._greeted[peer] = None
                self.readiness.greet(peer)

    def _hear(self, peer: NodeName, message: Message | Direct | Relay) -> None:
        match message:
            case Relay(source=source, target=target, message=inner):
                if target == self.desk.me:
                    self._hear_direct(source, inner)
                elif target in self.desk.connected and source == peer:
                    self.desk.put(Send(peer=target, message=message))
            case Announce() | Ready() | Barrier() | BarrierDone() | Order() | OrderDone():
                self._hear_direct(peer, message)
            case _:
                self._log_inbox.append(log_events.Receive(peer=peer, message=message))

    def _hear_direct(self, peer: NodeName, message: Direct) -> None:
        match message:
            case Announce():
                self.readiness.hear_announce(peer, message)
                self.barriers.announced(peer)
            case Ready():
                if self.readiness.hear(peer, message) and message.is_stopping and not message.is_up:
                    self._mirrors.stopping(message.unit)
            case Barrier():
                # Before it knows what runs here this node must not say that nothing does; it is asked again.
                if self._reporter.is_complete:
                    self.barriers.serve(peer, message)
            case BarrierDone():
                self.barriers.hear_done(peer, message)
            case Order():
                self._orders.take(peer, message)
            case OrderDone():
                self._orders.hear_done(peer, message)
            case _:
                assert_never(message)

    # One round

    def _advance(self) -> bool:
        """Do what is due; return whether there was anything."""
        if self._log_inbox:
            inbox, self._log_inbox = self._log_inbox, []
            for event in inbox:
                for effect in self.ledger.step(event, self.desk.now):
                    self._log_effect(effect)
            return True
        if self.desk.dirty:
            self._look()
            return True
        self.barriers.recheck()
        self._clients.look()
        self._holds.look()
        self._farewell.look()
        self._reporter.look()
        self._duty.plan()
        self._greet()
        return bool(self._log_inbox or self.desk.dirty)

    def _look(self) -> None:
        touched, self.desk.dirty = self.desk.dirty, {}
        edges = self.state.edges
        around = dict(touched)
        for unit in touched:
            self._mirrors.look(unit)
            for index in (edges.named_by, edges.before):
                around |= dict.fromkeys(index.get(unit, ()))
            spec = self.desk.spec(unit)
            for provider in spec.pulled_in if spec is not None else ():
                self._mirrors.look(provider)
        if self.desk.is_settled:
            for unit in around:
                self._keeper.look(unit)

    # The log

    def _propose(self, req: ReqId, payload: bytes) -> None:
        self._log_inbox.append(log_events.Propose(req=req, payload=payload))

    def _change_members(self, operation: Operation, node: NodeName) -> None:
        self._log_inbox.append(log_events.ChangeMembership(operation=operation, node=node))

    def _lag(self, peer: NodeName) -> int:
        return self.ledger.last_index - (self.ledger.match_index(peer) or 0)

    def _hand_over(self) -> None:
        """Give leadership to a voter that can be reached, before this node goes."""
        if self._duty.is_leading:
            heirs = [name for name in self.ledger.voters if name in self.desk.connected]
            if heirs:
                heir = max(heirs, key=lambda name: (self.ledger.match_index(name) or 0, name))
                self._log_inbox.append(log_events.TransferLeadership(to=heir))

    def _log_effect(self, effect: log_effects.Effect) -> None:
        match effect:
            case log_effects.Persist():
                self.desk.put(effect)
            case log_effects.Send(peer=peer, message=message):
                self.desk.put(Send(peer=peer, message=message))
            case log_effects.Committed():
                self._apply(effect)
            case log_effects.RoleChanged(role=role, leader=leader):
                self._duty.lead(is_leading=role is log_effects.Role.LEADER)
                if leader is not None:
                    self.proposals.hurry()
            case log_effects.QuorumLost():
                self.desk.report(
                    MessageId.QUORUM_LOST,
                    PRIORITY_WARNING,
                    "This node is cut off from any majority of voters.",
                )
            case log_effects.QuorumRegained():
                self.desk.report(MessageId.QUORUM_REGAINED, PRIORITY_NOTICE, "A majority of voters answers.")
            case _:
                pass  # proposals are repeated whatever became of one attempt; so are changes of members

    def _apply(self, entry: log_effects.Committed) -> None:
        if entry.duplicate:
            self.proposals.settle(entry.req, Change())
            return
        self.desk.has_log, was_replay = True, not self.desk.is_registered
        change = self.state.apply(decode_command(entry.payload), entry.index)
        self.desk.touch(change.units)
        if change.nodes:
            self._nodes_changed(change.nodes)
        self._duty.note(change)
        self.proposals.settle(entry.req, change)
        if self.desk.is_registered and was_replay:
            self._links.clear()
        if change.nodes:
            self._relink()

    def _nodes_changed(self, names: tuple[NodeName, ...]) -> None:
        for name in names:
            self.desk.touch(self.readiness.exports_of(name))
        if self.desk.me in names:
            self.desk.touch(self.desk.specs)
        if self.desk.is_member != self._has_lease:
            self._has_lease = self.desk.is_member
            self.desk.put(WriteLease() if self._has_lease else RemoveLease())

    def _relink(self) -> None:
        """Keep a stream to every member; one that has left is heard out, so that it learns that it has.

        A replay (law 3) only adds: a member may be gone for a while, or have an old certificate, and to act
        on that could cut this node off from the leader, so that the replay would never end.
        """
        members = {
            name: (node.address, node.port, node.fingerprint)
            for name, node in self.state.nodes.items()
            if name != self.desk.me and (node.state is not NodeState.LEFT or name in self.desk.connected)
        }
        is_replay = not self.desk.is_registered
        for name in [] if is_replay else [name for name in self._links if name not in members]:
            del self._links[name]
            self.desk.put(Disconnect(peer=name))
        for name, link in members.items():
            if self._links.get(name) != link and not (is_replay and name in self._links):
                self._links[name] = link
                address, port, fingerprint = link
                self.desk.put(Connect(peer=name, address=address, port=port, fingerprint=fingerprint))


def _subject(unit: UnitName) -> UnitName:
    """Name the unit that a template unit of ours stands beside, or the unit itself."""
    for prefix in _TEMPLATES:
        if unit.startswith(prefix):
            return UnitName(unit.removeprefix(prefix).rpartition(".")[0])
    return unit
