# SPDX-License-Identifier: LGPL-2.1-or-later
"""Barriers: a provider goes down only after what depends on it (safety rules 5.3 to 5.5).

The provider's side begins when the stop job of its hold asks, and ends with the reply. The dependants' side
stops the mirror and, by the adopted specs, every dependant with a job of its own, because a masked or
re-annotated unit has lost its edges; it answers when nothing of them runs. A node that cannot be reached is
waited for: only the log's word that its dependants are gone counts, never its silence.
"""

from dataclasses import dataclass, field
from typing import Final

from synod.base.ids import NodeName, UnitName
from synod.base.usec import USEC_PER_SEC, Usec
from synod.engine.desk import EPOCH_NONE, Desk
from synod.engine.effects import Extend, Reply
from synod.engine.messages import Barrier, BarrierDone
from synod.engine.readiness import Readiness
from synod.model.command import Desired, NodeState
from synod.model.unit import bound_of, mirror_of

REPEAT_USEC: Final = Usec(1 * USEC_PER_SEC)
"""Between repetitions of an unanswered barrier, which also gives the waiting hold more time."""
EXTENSION_USEC: Final = Usec(10 * USEC_PER_SEC)
"""Time that a hold gets with each repetition while every node that is waited for can be reached."""


NOW: Final = Usec(0)


@dataclass(slots=True)
class _Own:
    """A barrier of a provider on this node."""

    barrier: int
    unit: UnitName
    client: int
    begun: Usec
    done: dict[NodeName, None] = field(default_factory=dict)
    repeat_at: Usec = NOW
    is_answered: bool = False


@dataclass(slots=True)
class _Served:
    """A peer's barrier that this node works on."""

    peer: NodeName
    barrier: int
    unit: UnitName
    jobs: dict[int, None] = field(default_factory=dict)


class Barriers:
    """Both sides of every barrier."""

    def __init__(self, desk: Desk, readiness: Readiness) -> None:
        self._desk = desk
        self._readiness = readiness
        self._count = 0
        self._own: dict[UnitName, _Own] = {}
        self._served: dict[tuple[NodeName, UnitName], _Served] = {}
        self.paused: dict[UnitName, None] = {}
        """Units that went or go down because of a provider; they come back with it (safety rule 6.4)."""

    @property
    def deadline(self) -> Usec | None:
        """When the next repetition is due."""
        if not self._own:
            return None
        return min((own.repeat_at for own in self._own.values() if not own.is_answered), default=None)

    def is_raised(self, unit: UnitName) -> bool:
        """Whether a provider on this node is about to go down."""
        return unit in self._own

    def is_served(self, unit: UnitName) -> bool:
        """Whether this node is stopping what depends on a provider."""
        return any(served.unit == unit for served in self._served.values())

    # The provider's side

    def raise_(self, unit: UnitName, client: int) -> None:
        """Begin the barrier of a unit of this node, for the hold that asks.

        What the node knows of the hold is not older than the question (requests.ReleaseHold): that it is up
        means, from now on, that it is up again.
        """
        known = self._own.get(unit)
        if known is not None:
            known.client, known.is_answered = client, False
        else:
            self._count += 1
            self._own[unit] = _Own(self._count, unit, client, self._desk.now)
        grant = self._desk.grant(unit)
        epoch = grant.epoch if grant is not None else EPOCH_NONE
        if self._readiness.exported(unit):
            self._readiness.publish(unit, epoch, is_up=False, is_stopping=True)
        self._call(self._own[unit])

    def _call(self, own: _Own) -> None:
        own.repeat_at = Usec(self._desk.now + REPEAT_USEC)
        missing = self._missing(own)
        for peer in missing:
            if peer == self._desk.me:
                self.serve(peer, Barrier(barrier=own.barrier, unit=own.unit, epoch=EPOCH_NONE))
            else:
                self._desk.send(peer, Barrier(barrier=own.barrier, unit=own.unit, epoch=EPOCH_NONE))
        is_waited_for = not own.is_answered and bool(missing)
        if is_waited_for and all(peer == self._desk.me or peer in self._desk.connected for peer in missing):
            self._desk.put(Extend(client=own.client, span=EXTENSION_USEC))
        return self._progress(own)

    def _missing(self, own: _Own) -> list[NodeName]:
        missing = [node for node in self._audience(own) if node not in own.done]
        if self._desk.must_yield:
            # The lease is running out: who cannot be reached cannot be waited for (safety rule 3.2).
            return [node for node in missing if node in self._desk.connected or node == self._desk.me]
        return missing

    def _audience(self, own: _Own) -> list[NodeName]:
        """List the nodes that may run something which depends on the unit.

        The log may be ahead of what this node has heard of it: who has such a unit and can be reached is
        asked as well, and waited for as long as an answer takes.
        """
        state, nodes = self._desk.state, dict[NodeName, None]()
        for name in self._dependants(own.unit):
            row = state.rows.get(name)
            if row is None:
                continue
            nodes |= dict.fromkeys(grant.node for grant in row.grants.values())
            nodes |= dict.fromkeys(self._readiness.claimants(name))
            if self._desk.now < own.begun + REPEAT_USEC:
                nodes |= dict.fromkeys(node for node in row.reports if node in self._desk.connected)
            if row.spec is not None and not row.spec.is_exclusive:
                gone = (NodeState.LEFT, NodeState.FENCED)
                nodes |= dict.fromkeys(node for node in row.reports if state.nodes[node].state not in gone)
        nodes |= {self._desk.me: None}
        return [node for node in nodes if node in state.nodes]

    def _dependants(self, unit: UnitName) -> list[UnitName]:
        """List what has to be down before the unit: what needs it, or comes after it and stops too."""
        edges = self._desk.state.edges
        later = [
            name
            for name in edges.before.get(unit, {})
            if self._desk.row(name).desired is Desired.STOPPED and name not in edges.needed_by.get(unit, {})
        ]
        return [*edges.needed_by.get(unit, {}), *later]

    def announced(self, peer: NodeName) -> None:
        """Ask a peer again that can answer from now on."""
        for own in self._own.values():
            if not own.is_answered and peer in self._missing(own):
                self._desk.send(peer, Barrier(barrier=own.barrier, unit=own.unit, epoch=EPOCH_NONE))

    def hear_done(self, peer: NodeName, message: BarrierDone) -> None:
        """Take a dependants' side's answer."""
        own = self._own.get(message.unit)
        if own is not None and own.barrier == message.barrier:
            own.done[peer] = None
            self._progress(own)

    def _progress(self, own: _Own) -> None:
        # Whether other instances carry the dependants is decided where those run: there the barriers of two
        # instances that stop at once come one after the other.
        if not own.is_answered and not self._missing(own):
            own.is_answered = True
            self._desk.put(Reply(client=own.client, status=0))

    def unanswered(self, client: int) -> UnitName | None:
        """Name the unit whose hold hung up before its barrier was done, and let it go."""
        for unit, own in self._own.items():
            if own.client == client and not own.is_answered:
                own.is_answered = True
                self._desk.touch([unit])
                return unit
        return None

    def lower(self, unit: UnitName) -> None:
        """End the barrier of a unit: it is down, or it came up again."""
        own = self._own.get(unit)
        if own is not None and own.is_answered:
            del self._own[unit]
            self._desk.touch([unit])

    def tick(self) -> None:
        """Repeat what is unanswered: messages are lost with streams."""
        for own in list(self._own.values()):
            if not own.is_answered and own.repeat_at <= self._desk.now:
                self._call(own)

    # The dependants' side

    def serve(self, peer: NodeName, message: Barrier) -> None:
        """Stop what depends on a peer's provider."""
        key = (peer, message.unit)
        known = self._served.get(key)
        if known is not None and known.barrier == message.barrier:
            return
        self._readiness.retract(peer, message.unit)
        served = _Served(peer, message.barrier, message.unit)
        self._served[key] = served
        if self._readiness.is_confirmed(message.unit):
            return self._serve_further(served)
        desk = self._desk
        # The mirrors first: by their stop jobs an agent that is started anew can tell whose stop this is.
        for name in (bound_of(message.unit), mirror_of(message.unit)):
            if not desk.seen(name).is_gone:
                served.jobs[desk.run("stop", name)] = None
        for name in desk.state.edges.needed_by.get(message.unit, {}):
            is_running = not desk.seen(name).is_gone or desk.is_being_started(name)
            if is_running:
                self.paused[name] = None
            if is_running or desk.may_be_starting(name):
                served.jobs[desk.stop(name)] = None
        desk.touch([message.unit])
        return self._serve_further(served)

    def job_done(self, job: int) -> None:
        """Note that a job ended, whoever asked for it."""
        for served in list(self._served.values()):
            if job in served.jobs:
                del served.jobs[job]
                self._serve_further(served)

    def unit_seen(self) -> None:
        """Look again whether the dependants are gone."""
        for served in list(self._served.values()):
            self._serve_further(served)

    def _serve_further(self, served: _Served) -> None:
        desk = self._desk
        if served.jobs:
            return
        dependants = self._dependants(served.unit)
        left = [name for name in dependants if self._is_in_the_way(served.unit, name)]
        if left and not self._readiness.is_confirmed(served.unit):
            self._stop_again(served, left)
            return
        del self._served[(served.peer, served.unit)]
        desk.touch([served.unit, *dependants])
        if served.peer == desk.me:
            self.hear_done(desk.me, BarrierDone(barrier=served.barrier, unit=served.unit))
        else:
            desk.send(served.peer, BarrierDone(barrier=served.barrier, unit=served.unit))

    def _is_in_the_way(self, provider: UnitName, unit: UnitName) -> bool:
        """Whether something of a dependant runs that has to be down first.

        One that is being started waits at its closed gate. One that only comes after the provider matters
        while it is on its way down itself.
        """
        seen = self._desk.seen(unit)
        if seen.is_down and not seen.is_populated and seen.job in ("", "start"):
            return False
        if unit in self._desk.state.edges.needed_by.get(provider, {}):
            return True
        return seen.job == "stop" or seen.active == "deactivating" or self._desk.grant(unit) is not None

    def _stop_again(self, served: _Served, units: list[UnitName]) -> None:
        """Repeat the stop of dependants whose stop job somebody else's start job cancelled."""
        needed_by = self._desk.state.edges.needed_by.get(served.unit, {})
        for name in units:
            seen = self._desk.seen(name)
            is_stopping = seen.is_down or seen.active == "deactivating" or seen.job == "stop"
            if name in needed_by and not is_stopping:
                self.paused[name] = None
                served.jobs[self._desk.stop(name)] = None

    # Together

    def recheck(self) -> None:
        """Look again at the answers still missing: the log may say that none will come."""
        for own in list(self._own.values()):
            self._progress(own)
