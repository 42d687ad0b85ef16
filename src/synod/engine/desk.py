# SPDX-License-Identifier: LGPL-2.1-or-later
"""What the parts of a node share: who it is, what it knows, and the effects that pile up during one step."""

from collections.abc import Iterable
from typing import Final

from synod.base.ids import Epoch, NodeName, UnitName
from synod.base.messages import MessageId
from synod.base.usec import Usec
from synod.engine.effects import Effect, Look, MarkStop, RemoveGrant, Report, RunJob, Send, UnmarkStop
from synod.engine.messages import Barrier, BarrierDone, Direct, Order, OrderDone, Relay
from synod.model.command import NodeState, RoleWish
from synod.model.rows import Grant, Row
from synod.model.spec import UnitSpec
from synod.model.state import ClusterState
from synod.model.unit import LocalUnit

NO_UNIT: Final = UnitName("")
"""Of alarms that are about a node."""
EPOCH_NONE: Final = Epoch(0)
"""Epoch of a unit that needs no grant (Instances=all)."""


class Desk:
    """The facts of one node, and the tray for its effects."""

    def __init__(
        self,
        *,
        me: NodeName,
        boot: str,
        agent: int,
        is_booting: bool,
        has_log: bool = True,
        stops: tuple[UnitName, ...] = (),
    ) -> None:
        self.me: Final = me
        self.boot = boot
        """This node's incarnation; a node that was fenced becomes a new one."""
        self.agent: Final = agent
        self.state = ClusterState()
        self.local: dict[UnitName, LocalUnit] = {}
        self.specs: dict[UnitName, UnitSpec] = {}
        """This node's own annotations, adopted or not."""
        self.connected: dict[NodeName, None] = {}
        self.is_booting = is_booting
        self.is_stopping = False
        self.is_registered = False
        """Whether the log has this agent's own entry: from then on the state is not a replay of the past."""
        self.is_fresh = False
        """Whether this agent is the first of its boot, or of its membership."""
        self.are_units_read = False
        """Whether PID 1 was asked for this node's annotations and units, since when it reports changes."""
        self.has_log = has_log
        """Whether there is a cluster whose state will come out of the log."""
        self.may_open = False
        """Whether gates of exclusive units may open: the lease is fresh, its fuse burns (engine.guard)."""
        self.must_yield = False
        """Whether exclusive units have to stop: the lease is running out, and with it the fuse."""
        self.is_guarded = True
        """Whether no exclusive unit runs here, or the fuse burns: only then may a fuse be promised to the
        others.
        """
        self.is_promising = False
        """Whether the word that this node has a fuse is on its way into the log."""
        self.is_burning = False
        """Whether the fuse burns: without renewals this machine is reset."""
        self.is_leaving = False
        """``synodctl leave`` was said: nothing is started here any more."""
        self.now = Usec(0)
        self.dirty: dict[UnitName, None] = {}
        self.gates: dict[UnitName, Epoch] = {}
        """Units whose gate is open, under which grant."""
        self._doubts: dict[UnitName, int] = {}
        """Units whose gate was closed and that have not been read since, with the look that is awaited."""
        self._looks = 0
        self._tray: list[Effect] = []
        self._jobs = 0
        self._starts: dict[int, UnitName] = {}
        self._stops: dict[int, UnitName] = {}
        self._marked: dict[UnitName, None] = dict.fromkeys(stops)
        """Units whose stop is the cluster's own doing, and nobody's wish."""

    # Effects

    def put(self, effect: Effect) -> None:
        """Add an effect of this step."""
        self._tray.append(effect)

    def take(self) -> tuple[Effect, ...]:
        """Empty the tray."""
        effects, self._tray = tuple(self._tray), []
        return effects

    def run(self, verb: str, unit: UnitName) -> int:
        """Ask for a job and return its number."""
        self._jobs += 1
        if verb != "stop":
            self._starts[self._jobs] = unit
        self.put(RunJob(job=self._jobs, verb=verb, unit=unit))
        return self._jobs

    def stop(self, unit: UnitName) -> int:
        """Ask for a stop job of an annotated unit that is nobody's wish, and return its number."""
        if unit not in self._marked:
            self._marked[unit] = None
            self.put(MarkStop(unit=unit))
        job = self.run("stop", unit)
        self._stops[job] = unit
        return job

    def job_done(self, job: int) -> None:
        """Note that a job ended."""
        self._starts.pop(job, None)
        unit = self._stops.pop(job, None)
        if unit is not None:
            self.seen_stopping(self.seen(unit))

    def seen_stopping(self, unit: LocalUnit) -> None:
        """Note whether a stop job that this node asked for is still there."""
        name = unit.unit
        if name in self._marked and unit.job != "stop" and name not in self._stops.values():
            del self._marked[name]
            self.put(UnmarkStop(unit=name))

    def is_own_stop(self, unit: UnitName) -> bool:
        """Whether a unit's stop job is this node's own, or that of its agent before this one."""
        return unit in self._marked

    def report(self, message_id: MessageId, priority: int, text: str, unit: UnitName | None = None) -> None:
        """Write a journal record."""
        self.put(Report(message_id=message_id, priority=priority, text=text, unit=unit))

    def send(self, peer: NodeName, message: Direct) -> None:
        """Send directly, or through another node when there is no stream but the message must arrive."""
        if peer in self.connected or not isinstance(message, Barrier | BarrierDone | Order | OrderDone):
            self.put(Send(peer=peer, message=message))
            return
        for helper in sorted(self.connected):
            self.put(Send(peer=helper, message=Relay(source=self.me, target=peer, message=message)))

    # Facts

    def close(self, unit: UnitName) -> None:
        """Close the gate of a unit.

        A start that has passed it shows in whatever is read of the unit from now on: PID 1 looks at the
        conditions and changes the state at once.
        """
        self._looks += 1
        self._doubts[unit] = self._looks
        self.put(RemoveGrant(unit=unit))
        self.put(Look(look=self._looks, unit=unit))

    def looked(self, look: int) -> None:
        """Note that a unit was read since its gate was closed, unless that was opened and closed again."""
        for unit in [unit for unit, number in self._doubts.items() if number == look]:
            del self._doubts[unit]
            self.touch([unit])

    def is_in_doubt(self, unit: UnitName) -> bool:
        """Whether a start may have passed the gate of a unit that has not shown yet."""
        return unit in self._doubts

    @property
    def has_doubts(self) -> bool:
        """Whether any unit is in doubt."""
        return bool(self._doubts)

    def may_be_starting(self, unit: UnitName) -> bool:
        """Whether a unit that is seen to be down may be on its way up."""
        return unit in self.gates or self.is_in_doubt(unit) or self.is_being_started(unit)

    def is_being_started(self, unit: UnitName) -> bool:
        """Whether this node has asked for a start of the unit that has not ended."""
        return unit in self._starts.values()

    def touch(self, units: Iterable[UnitName]) -> None:
        """Note units that have to be looked at before this step ends."""
        for unit in units:
            self.dirty[unit] = None

    @property
    def is_member(self) -> bool:
        """Whether the log says that this node belongs to the cluster."""
        return self.me in self.state.nodes

    @property
    def is_witness(self) -> bool:
        """Whether this node votes and runs no units."""
        row = self.state.nodes.get(self.me)
        return row is not None and row.role is RoleWish.WITNESS

    @property
    def is_settled(self) -> bool:
        """Whether the state is of today and knows this incarnation, so that this node's grants count."""
        row = self.state.nodes.get(self.me)
        return (
            self.is_registered
            and row is not None
            and row.boot == self.boot
            and row.state in (NodeState.ONLINE, NodeState.LEAVING)
        )

    @property
    def is_fenceable(self) -> bool:
        """Whether somebody has a fence device for this node; asked in every step."""
        for name, row in self.state.nodes.items():
            if row.fences and self.me in row.fences and name != self.me and row.state is NodeState.ONLINE:
                return True
        return False

    @property
    def is_known_to_go(self) -> bool:
        """Whether the log knows that this node is about to go, so that it gives it nothing any more."""
        row = self.state.nodes.get(self.me)
        return row is None or row.state is NodeState.LEAVING

    @property
    def may_judge(self) -> bool:
        """Whether a stop can be told from a wish now, and its dependants are known.

        A node without a log has no cluster to know.
        """
        return not self.has_log or (self.is_settled and self.are_units_read)

    def row(self, unit: UnitName) -> Row:
        """Return the unit's row, or an empty one."""
        return self.state.rows.get(unit) or Row(unit=unit)

    def spec(self, unit: UnitName) -> UnitSpec | None:
        """Return the annotation that counts: the adopted one, else this node's own."""
        return self.row(unit).spec or self.specs.get(unit)

    def grant(self, unit: UnitName) -> Grant | None:
        """Return this node's grant of its present incarnation."""
        return self.row(unit).grant_on(self.me) if self.is_settled else None

    def seen(self, unit: UnitName) -> LocalUnit:
        """Return the unit as PID 1 last reported it."""
        return self.local.get(unit) or LocalUnit(unit=unit)
