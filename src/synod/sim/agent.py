# SPDX-License-Identifier: LGPL-2.1-or-later
"""One life of the agent process: feeds a node its events and carries its effects out, as synod.agent does.

What it hears of PID 1 comes late and in order, and may skip states that did not last.
"""

from collections.abc import Callable
from typing import Final, Protocol, assert_never

from synod.base.ids import NodeName, UnitName
from synod.base.usec import USEC_PER_MSEC
from synod.engine import effects, events
from synod.engine.guard import FUSE
from synod.engine.node import Node
from synod.engine.requests import LeaveForShutdown, Place, ReleaseHold, Request, Unmanage, Want
from synod.gossip import events as gossip
from synod.ledger.effects import Persist
from synod.model.spec import UnitSpec
from synod.model.unit import LocalUnit
from synod.sim.alarm import Alarm
from synod.sim.clock import Dice, Timekeeper
from synod.sim.definitions import GRANT, LEASE, STOP, UP, UnitFiles
from synod.sim.disk import Disk
from synod.sim.gossiper import Gossiper
from synod.sim.network import Network
from synod.sim.services import ServiceManager
from synod.sim.surroundings import Waiter
from synod.wire.messages import decode_message, encode_message

_SEEN: Final = ("synod-hold@", "synod-mirror@", "synod-bound@", FUSE)

_FileEffect = (
    effects.WriteGrant
    | effects.RemoveGrant
    | effects.WriteUp
    | effects.RemoveUp
    | effects.MarkStop
    | effects.UnmarkStop
    | effects.WriteLease
    | effects.RemoveLease
)
Replied = Callable[[int, str], None]


class Machine(Protocol):
    """The machine on which an agent runs."""

    name: NodeName
    disk: Disk
    services: ServiceManager
    files: UnitFiles
    run: dict[str, int]
    news_usec: int
    """Longest time until the agent hears what PID 1 says; the shortest is a tenth of it."""

    @property
    def specs(self) -> dict[UnitName, UnitSpec]:
        """The annotations in effect."""

    def step(self, agent: "Agent", event: events.Event) -> tuple[effects.Effect, ...]:
        """Let the agent's node digest an event, watched by the checkers."""

    def note(self, report: effects.Report) -> None:
        """Write a journal record."""

    def left(self) -> None:
        """Forget the log and the keys."""

    incarnation: str
    is_reexecuting: bool

    @property
    def devices(self) -> dict[NodeName, str]:
        """The fence devices that this machine can use, and how they behave."""

    def opened(self, unit: UnitName) -> None:
        """Note that a grant file was written."""

    def feed_fuse(self) -> None:
        """Put off the reset."""

    def fence(self, order: int, target: NodeName) -> None:
        """Switch another machine off by a device."""


class Agent:
    """A running synodd."""

    def __init__(
        self, machine: Machine, node: Node, clock: Timekeeper, dice: Dice, network: Network
    ) -> None:
        self.machine = machine
        self.node = node
        self.is_alive = True
        self._clock = clock
        self._dice = dice
        self._network = network
        self._clients: dict[int, Replied] = {}
        self._waiters: dict[int, Waiter] = {}
        self._client = 0
        self._heard_until = 0
        self._called_until = 0
        self._signalled: dict[UnitName, None] = {}
        self._told: dict[UnitName, LocalUnit] = {}
        self._alarm = Alarm(
            machine.name,
            clock,
            self._later,
            lambda: self.node.deadline if self.is_alive else None,
            lambda: self.step(events.Tick()),
        )
        self._are_units_read = False
        self._gossiper = Gossiper(
            machine.name, clock, dice.fork("gossip", node.desk.boot, node.desk.agent), network, self.step,
            self._later,
        )  # fmt: skip
        self._backlog: list[Callable[[], None]] | None = None
        """What came while the agent stands still."""

    def start(self) -> None:
        """Begin: listen, wake the log, read the units."""
        self._network.attach(self.machine.name, self)
        self.step(events.DevicesLoaded(targets=tuple(self.machine.devices)))
        self.step(events.Tick())
        self._gossip(gossip.Tick())
        self._later(self._dice.between(1, 30) * USEC_PER_MSEC, self._load_specs)

    def end(self, *, is_silent: bool) -> list[Waiter]:
        """Die; return the waiters that are left without an answer."""
        self.is_alive = False
        self._network.detach(self.machine.name, is_silent=is_silent)
        self.machine.disk.crash()
        return [waiter for waiter in self._waiters.values() if waiter.is_alive]

    @property
    def is_frozen(self) -> bool:
        """Whether the agent stands still."""
        return self._backlog is not None

    def freeze(self) -> None:
        """Stand still, as after SIGSTOP: what happens is noticed when the agent goes on."""
        if self._backlog is None:
            self._backlog = []
            self._network.mute(self.machine.name)

    def thaw(self) -> None:
        """Go on, as after SIGCONT."""
        backlog, self._backlog = self._backlog or [], None
        if self.is_alive:
            self._network.unmute(self.machine.name)
        for action in backlog:
            self._do(action)

    def _do(self, action: Callable[[], None]) -> None:
        """Do something of the agent's own, when it is not standing still."""
        if self._backlog is not None:
            self._backlog.append(action)
        elif self.is_alive:
            action()

    def _later(self, delay: int, action: Callable[[], None]) -> None:
        self._clock.after(delay, lambda: self._do(action))

    def step(self, event: events.Event) -> None:
        """Let the node digest an event and carry out what it asks for."""
        if self._backlog is not None:
            self._backlog.append(lambda: self.step(event))
            return
        if not self.is_alive:
            return
        for effect in self.machine.step(self, event):
            if self.is_alive:
                self._perform(effect)
        self._alarm.set()

    # Peers

    def connected(self, peer: NodeName) -> None:
        """Tell the node of a new stream."""
        self._gossip(gossip.StreamHeard(peer=peer))
        self.step(events.PeerConnected(peer=peer))

    def lost(self, peer: NodeName, *, is_silent: bool) -> None:
        """Tell the node that a stream is gone."""
        self.step(events.PeerLost(peer=peer, is_silent=is_silent))
        self._gossip(gossip.StreamLost(peer=peer))

    def received(self, peer: NodeName, data: bytes) -> None:
        """Hand a message over."""
        self.step(events.Received(peer=peer, message=decode_message(data)))

    def received_datagram(self, peer: NodeName, data: bytes) -> None:
        """Hand a datagram over."""
        self._do(lambda: self._gossiper.receive(peer, data))

    def link_changed(self, *, is_up: bool) -> None:
        """Tell the node, and gossip, of this machine's own link."""
        self._gossip(gossip.OwnLink(is_up=is_up))
        self.step(events.OwnLinkChanged(is_up=is_up))

    def _gossip(self, event: gossip.Event) -> None:
        self._do(lambda: self._gossiper.step(event))

    # Clients

    def ask(self, request: Request, replied: Replied) -> int:
        """Take a client's request; return its number."""
        client = self._enter(replied)
        self.step(events.Asked(client=client, request=request))
        return client

    def _enter(self, replied: Replied) -> int:
        self._client += 1
        self._clients[self._client] = replied
        return self._client

    def serve(self, waiter: Waiter, exited: Callable[[Waiter, int, str], None]) -> None:
        """Take a waiter's question."""
        subject = waiter.subject
        request: Request
        match waiter.verb:
            case "place":
                request = Place(unit=subject, job=self.machine.services.job_of(subject))
            case "want":
                request = Want(unit=subject)
            case "release":
                seen = self.machine.services.show(subject)
                request = ReleaseHold(unit=subject, job=seen.job, is_masked=seen.load == "masked")
            case _:
                request = LeaveForShutdown()
        client = self._enter(lambda status, text: exited(waiter, status, text))
        self._waiters[client] = waiter
        asked = events.Asked(client=client, request=request)
        if isinstance(request, ReleaseHold):
            # What is known of the hold must not be older than its question.
            self._read(waiter.unit)
            self._hear(asked)
        else:
            self.step(asked)

    def hang_up(self, waiter: Waiter) -> None:
        """Note that a waiter was killed."""
        for client, known in list(self._waiters.items()):
            if known is waiter and client in self._clients:
                del self._clients[client], self._waiters[client]
                self._hear(events.ClientGone(client=client))

    def stop(self, done: Callable[[], None]) -> None:
        """Say that the agent ends while units run on."""
        self.ask(Unmanage(), lambda _status, _text: done())

    # PID 1

    def load_specs(self) -> None:
        """Read the annotations and the units, as after every daemon-reload."""
        self._do(self._load_specs)

    def _load_specs(self) -> None:
        units = [self._look(unit) for unit in self.machine.services.loaded() if self._is_watched(unit)]
        self._are_units_read = True
        self._hear(
            events.SpecsLoaded(specs=tuple(self.machine.specs.values()), units=tuple(filter(None, units)))
        )

    def signal(self, unit: UnitName) -> None:
        """Note that PID 1 said that a unit changed; it is read a moment later."""
        if not self._are_units_read or unit in self._signalled or not self._is_watched(unit):
            return
        self._signalled[unit] = None

        def read() -> None:
            del self._signalled[unit]
            self._read(unit)

        self._later(self._dice.below(USEC_PER_MSEC), read)

    def _is_watched(self, unit: UnitName) -> bool:
        files = self.machine.files
        return unit in files.specs or unit in files.masked or unit.startswith(_SEEN)

    def _look(self, unit: UnitName) -> LocalUnit | None:
        known = self.machine.services.show(unit)
        is_news = self._told.get(unit) != known
        self._told[unit] = known
        return known if is_news else None

    def _read(self, unit: UnitName) -> None:
        known = self._look(unit)
        if known is not None:
            self._hear(events.UnitSeen(unit=known))

    def _hear(self, event: events.Event) -> None:
        """Deliver what was read, in the order in which it was read."""
        delay = self._dice.between(self.machine.news_usec // 10, self.machine.news_usec)
        self._heard_until = max(self._heard_until, self._clock.now + delay)
        self._clock.after(self._heard_until - self._clock.now, lambda: self.step(event))

    def _show(self, look: int, unit: UnitName) -> None:
        known = self._told[unit] = self.machine.services.show(unit)
        self._hear(events.Looked(look=look, unit=known))

    def _run(self, effect: effects.RunJob) -> None:
        self._called_until = max(self._called_until, self._clock.now + self._dice.below(USEC_PER_MSEC))

        def call() -> None:
            if self.machine.is_reexecuting:
                removed("unknown")
            else:
                self.machine.services.run(effect.verb, effect.unit, removed)

        def removed(result: str) -> None:
            self._later(self._dice.below(USEC_PER_MSEC), lambda: tell(result))

        def tell(result: str) -> None:
            known = self.machine.services.show(effect.unit)
            self._told[effect.unit] = known
            text = f"Unit {effect.unit} not found." if result == "error" else ""
            self._hear(events.JobDone(job=effect.job, result=result, unit=known, text=text))

        self._later(self._called_until - self._clock.now, call)

    # Effects

    def _perform(self, effect: effects.Effect) -> None:  # noqa: C901 (a table, one line per kind)
        machine = self.machine
        match effect:
            case Persist():
                machine.disk.write(effect, self._persisted)
            case effects.Send(peer=peer, message=message):
                self._network.send(machine.name, peer, encode_message(message))
            case effects.Connect(peer=peer):
                self._network.want(machine.name, peer)
                self._gossip(gossip.MemberAdded(name=peer))
            case effects.Disconnect(peer=peer):
                self._network.unwant(machine.name, peer)
                self._gossip(gossip.MemberRemoved(name=peer))
            case effects.RunJob():
                self._run(effect)
            case effects.Look(look=look, unit=unit):
                self._later(self._dice.below(USEC_PER_MSEC), lambda: self._show(look, unit))
            case effects.Report():
                machine.note(effect)
            case effects.Left():
                machine.left()
            case effects.FeedFuse(until=until):
                self._later(self._dice.below(3 * USEC_PER_MSEC), lambda: self._feed_fuse(until))
            case effects.Fence(order=order, target=target):
                machine.fence(order, target)
            case effects.Reincarnated(boot=boot):
                machine.incarnation = boot
            case effects.Reply() | effects.ShowStatus() | effects.Extend():
                self._answer(effect)
            case _:
                self._put_file(effect)

    def _feed_fuse(self, until: int) -> None:
        if self._clock.now <= until:
            self.machine.feed_fuse()

    def _put_file(
        self, effect: _FileEffect
    ) -> None:
        run = self.machine.run
        match effect:
            case effects.WriteGrant(unit=unit, epoch=epoch):
                run[GRANT + unit] = epoch
                self.machine.opened(unit)
            case effects.RemoveGrant(unit=unit):
                run.pop(GRANT + unit, None)
            case effects.WriteUp(unit=unit):
                run[UP + unit] = 0
            case effects.RemoveUp(unit=unit):
                run.pop(UP + unit, None)
            case effects.MarkStop(unit=unit):
                run[STOP + unit] = 0
            case effects.UnmarkStop(unit=unit):
                run.pop(STOP + unit, None)
            case effects.WriteLease():
                run[LEASE] = 0
            case effects.RemoveLease():
                run.pop(LEASE, None)
            case _:
                assert_never(effect)

    def _answer(self, effect: effects.Reply | effects.ShowStatus | effects.Extend) -> None:
        match effect:
            case effects.Reply(client=client, status=status, text=text):
                replied = self._clients.pop(client, None)
                self._waiters.pop(client, None)
                assert replied is not None or client <= self._client, f"reply to nobody: {effect}"
                if replied is not None:
                    self._later(self._dice.below(USEC_PER_MSEC), lambda: replied(status, text))
            case effects.ShowStatus(client=client, text=text):
                if client in self._waiters:
                    self._waiters[client].shown = text
            case effects.Extend(client=client, span=span):
                if client in self._waiters:
                    waiter = self._waiters[client]
                    waiter.deadline = max(waiter.deadline, self._clock.now + span)
            case _:
                assert_never(effect)

    def _persisted(self, seq: int, reason: str) -> None:
        if reason:
            self.step(events.PersistFailed(seq=seq, reason=reason))
        else:
            self.step(events.Persisted(seq=seq))
