# SPDX-License-Identifier: LGPL-2.1-or-later
"""Nodes that gossip over a network which loses, delays and cuts, in one thread and without a clock.

Everything passes through the codec, but in large worlds. The judge notes who was slandered, and checks after
every step what must hold always; it knows nothing of what the world does to the nodes except who is well.
"""

import heapq
import random
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from synod.base.ids import NodeName
from synod.base.usec import Usec
from synod.gossip.effects import AttributesChanged, Effect, SendPacket, StatusChanged
from synod.gossip.events import (
    Event,
    MemberAdded,
    MemberRemoved,
    PacketReceived,
    StreamHeard,
    StreamLost,
    Tick,
)
from synod.gossip.machine import Gossip
from synod.gossip.members import Status
from synod.gossip.messages import Attributes, Message, bytes_max
from synod.gossip.timing import COMPOUND_BYTES_MAX, MESSAGES_MAX, Timing
from synod.wire.gossip import decode_gossip, encode_gossip

MSEC = 1000
SEC = 1_000_000
HEARTBEAT = 250 * MSEC
STREAM_LOSS = 1 * SEC
SOCKET_PACKETS_MAX = 90
"""What Linux keeps for a process that does not read, about."""


class Dice:
    """Entropy from a seed."""

    def __init__(self, seed: object) -> None:
        self._random = random.Random(str(seed))

    def below(self, limit: int) -> int:
        return self._random.randrange(limit)


class ViolationError(Exception):
    """A property does not hold."""


class Host:
    """A node, which may be off, or on and not running."""

    def __init__(self, name: NodeName) -> None:
        self.name = name
        self.gossip: Gossip
        self.life = 0
        self.is_up = False
        self.is_stopped = False
        self.is_deaf = False
        self.waiting: list[tuple[NodeName, tuple[Message, ...]]] = []
        self.streams: dict[NodeName, int] = {}  # when each was heard
        self.trouble = 0
        """Until when this host must be expected to be missed."""

    @property
    def runs(self) -> bool:
        return self.is_up and not self.is_stopped


@dataclass(frozen=True, slots=True)
class Belief:
    """A change of opinion."""

    time: int
    observer: NodeName
    peer: NodeName
    status: Status


class Judge:
    """Properties that hold after every step."""

    def __init__(self, hosts: dict[NodeName, Host]) -> None:
        self._hosts = hosts
        self.beliefs: list[Belief] = []
        self._newest: dict[tuple[NodeName, int, NodeName], tuple[int, int]] = {}
        self._incarnations: dict[NodeName, int] = {}
        self._said: dict[NodeName, list[Attributes]] = {}
        self._learnt: dict[tuple[NodeName, int, NodeName], int] = {}

    def see(self, now: int, host: Host, effects: Iterable[Effect]) -> None:
        incarnation = host.gossip.incarnation
        self._incarnations[host.name] = max(incarnation, self._incarnations.get(host.name, 0))
        said = self._said.setdefault(host.name, [()])
        if host.gossip.attributes != said[-1]:
            said.append(host.gossip.attributes)
        for effect in effects:
            if isinstance(effect, SendPacket):
                if host.gossip.view(effect.peer) is None:
                    raise ViolationError(f"members only: {host.name} talks to {effect.peer}")
            elif isinstance(effect, StatusChanged):
                self._change(now, host, effect)
            elif isinstance(effect, AttributesChanged):
                self._learn(host, effect)

    def forget(self, host: Host, peer: NodeName) -> None:
        self._newest.pop((host.name, host.life, peer), None)
        self._learnt.pop((host.name, host.life, peer), None)

    def _learn(self, host: Host, change: AttributesChanged) -> None:
        key, said = (host.name, host.life, change.peer), self._said[change.peer]
        since = self._learnt.get(key, 0)
        if change.attributes not in said[since:]:
            raise ViolationError(f"facts only grow newer: {host.name} learns old ones of {change.peer}")
        self._learnt[key] = said.index(change.attributes, since)

    def _change(self, now: int, host: Host, change: StatusChanged) -> None:
        key, news = (host.name, host.life, change.peer), (change.incarnation, change.status.rank)
        if news <= self._newest.get(key, (0, -1)):
            raise ViolationError(f"knowledge only grows: {host.name} goes back to {news} of {change.peer}")
        self._newest[key] = news
        if change.incarnation > max(1, self._incarnations.get(change.peer, 0)):
            raise ViolationError(f"own incarnation: {change.peer} never was {change.incarnation}")
        self.beliefs.append(Belief(now, host.name, change.peer, change.status))
        peer = self._hosts.get(change.peer)
        if change.status is Status.FAULTY and peer is not None and now > peer.trouble:
            raise ViolationError(f"the living are not faulty: {host.name} buries {change.peer} at {now}")

    @property
    def suspected(self) -> list[NodeName]:
        """Whom anybody held suspect, once for each who did."""
        return [belief.peer for belief in self.beliefs if belief.status is Status.SUSPECT]

    def demand_no_slander(self, except_for: Host | None = None) -> None:
        for belief in self.beliefs:
            if except_for is None or belief.peer != except_for.name:
                raise ViolationError(f"nobody is slandered: {belief}")


class World:
    """All hosts, the judge and the network between."""

    def __init__(self, names: Sequence[str], seed: object = 0, timing: Timing | None = None, *,
                 has_streams: bool = True, has_codec: bool = True) -> None:
        self.now = 1 * SEC
        self.seed = seed
        self.dice = random.Random(f"world {seed}")
        self.timing = timing if timing is not None else Timing()
        self.has_streams = has_streams
        self.has_codec = has_codec
        self.hosts = {NodeName(name): Host(NodeName(name)) for name in names}
        self.judge = Judge(self.hosts)
        self.loss = 0.0
        self.delay = 2 * MSEC
        self.cut: set[tuple[NodeName, NodeName]] = set()
        self.packets = 0
        self._heap: list[tuple[int, int, Callable[[], None]]] = []
        self._count = 0
        self._timer: dict[NodeName, int] = {}

    # Time

    def at(self, delay: int, action: Callable[[], None]) -> None:
        self._count += 1
        heapq.heappush(self._heap, (self.now + delay, self._count, action))

    def run(self, duration: int) -> None:
        end = self.now + duration
        while self._heap and self._heap[0][0] <= end:
            time, _, action = heapq.heappop(self._heap)
            self.now = max(self.now, time)
            action()
        self.now = end

    def run_until(self, condition: Callable[[], bool], limit: int) -> int:
        """Return how long it took; ViolationError beyond the limit."""
        began = self.now
        while not condition():
            if self.now - began > limit:
                raise ViolationError(f"in time: not within {limit / SEC} s")
            self.run(50 * MSEC)
        return self.now - began

    def step(self, host: Host, event: Event) -> tuple[Effect, ...]:
        effects = host.gossip.step(event, Usec(self.now))
        self.judge.see(self.now, host, effects)
        for effect in effects:
            if isinstance(effect, SendPacket):
                self.packets += 1
                target = self.hosts.get(effect.peer)
                if target is not None:
                    self.post(host, target, self.packed(effect.messages))
        self.arm(host)
        return effects

    def packed(self, messages: tuple[Message, ...]) -> tuple[Message, ...]:
        """Return what arrives of a packet: all of it, if the codec can be trusted."""
        size = sum(bytes_max(message) for message in messages)
        if size > COMPOUND_BYTES_MAX or len(messages) > MESSAGES_MAX:
            raise ViolationError(f"packets are bounded: {len(messages)} messages")
        return decode_gossip(encode_gossip(messages)) if self.has_codec else messages

    def arm(self, host: Host) -> None:
        deadline = host.gossip.deadline
        number = self._timer[host.name] = self._timer.get(host.name, 0) + 1
        if deadline is None:
            return
        life = host.life

        def ring() -> None:
            if host.runs and host.life == life and self._timer[host.name] == number:
                self.step(host, Tick())
        self.at(max(0, deadline - self.now), ring)

    # Hosts

    def boot(self, host: Host, *, incarnation: int | None = None) -> None:
        host.life += 1
        host.is_up, host.is_stopped = True, False
        host.waiting.clear()
        host.streams.clear()
        host.gossip = Gossip(name=host.name, timing=self.timing,
                             entropy=Dice((self.seed, host.name, host.life)),
                             incarnation=incarnation if incarnation is not None else host.life * 1000)
        self._catch_up(host)
        self.step(host, Tick())
        if self.has_streams:
            life = host.life
            self.at(self.dice.randrange(HEARTBEAT), lambda: self._beat(host, life))

    def boot_all(self) -> None:
        for host in self.hosts.values():
            self.boot(host)

    def kill(self, host: Host) -> None:
        host.is_up = False
        host.trouble = 1 << 62

    def stop(self, host: Host, *, is_deaf: bool = False) -> None:
        """As SIGSTOP does: packets wait, up to what a socket holds; or, deaf, as the pause of a VM does."""
        host.is_stopped, host.is_deaf = True, is_deaf
        host.trouble = 1 << 62

    def resume(self, host: Host, *, is_timer_first: bool = False) -> None:
        host.is_stopped = False
        # Opinions of the stall may still travel, and end, until it was heard to refute.
        host.trouble = self.now + self.timing.suspicion_shortest(len(self.hosts)) * 7
        if is_timer_first:
            self.step(host, Tick())
        waiting, host.waiting = host.waiting, []
        for source, messages in waiting:
            self.receive(host, source, messages)
        self.step(host, Tick())
        self._catch_up(host)

    def _catch_up(self, host: Host) -> None:
        """Tell a host what the log says."""
        known = [view.name for view in host.gossip.members]
        for name in known:
            if name not in self.hosts:
                self.judge.forget(host, name)
                self.step(host, MemberRemoved(name=name))
        for name in list(self.hosts):
            if name != host.name and name not in known:
                self.step(host, MemberAdded(name=name))

    def add(self, name: str) -> Host:
        host = self.hosts[NodeName(name)] = Host(NodeName(name))
        for other in self.running():
            self._catch_up(other)
        self.boot(host)
        return host

    def remove(self, name: str) -> None:
        self.hosts[NodeName(name)].is_up = False
        del self.hosts[NodeName(name)]
        for other in self.running():
            self._catch_up(other)

    def running(self) -> list[Host]:
        return [host for host in self.hosts.values() if host.runs]

    # Network

    def post(self, source: Host, target: Host, messages: tuple[Message, ...]) -> None:
        if (source.name, target.name) in self.cut or self.dice.random() < self.loss:
            return
        life = target.life

        def arrive() -> None:
            if target.is_up and target.life == life and (source.name, target.name) not in self.cut:
                if target.is_stopped:
                    if len(target.waiting) < SOCKET_PACKETS_MAX and not target.is_deaf:
                        target.waiting.append((source.name, messages))
                else:
                    self.receive(target, source.name, messages)
        self.at(self.dice.randrange(self.delay // 4, self.delay), arrive)

    def receive(self, target: Host, source: NodeName, messages: tuple[Message, ...]) -> tuple[Effect, ...]:
        return self.step(target, PacketReceived(peer=source, messages=messages))

    def _beat(self, host: Host, life: int) -> None:
        """Let a host hear its streams; one that does not run hears nothing, and loses nothing by that."""
        if host.life != life or not host.is_up:
            return
        for peer in list(self.hosts.values()):
            if not host.runs or peer is host:
                continue
            pairs = {(host.name, peer.name), (peer.name, host.name)}
            if peer.runs and not pairs & self.cut:
                host.streams[peer.name] = self.now
                self.step(host, StreamHeard(peer=peer.name))
            elif self.now - host.streams.get(peer.name, self.now) > STREAM_LOSS:
                del host.streams[peer.name]
                self.step(host, StreamLost(peer=peer.name))
        if not host.runs:
            for name in host.streams:
                host.streams[name] = self.now
        self.at(HEARTBEAT, lambda: self._beat(host, life))

    def sever(self, one: Iterable[str], other: Iterable[str], *, both_ways: bool = True) -> None:
        right = [NodeName(name) for name in other]
        for left in one:
            for name in right:
                self.cut.add((NodeName(left), name))
                if both_ways:
                    self.cut.add((name, NodeName(left)))

    # Questions

    def all_think(self, peer: Host, status: Status) -> bool:
        """Whether all running nodes that know a peer think so."""
        views = [host.gossip.view(peer.name) for host in self.running() if host is not peer]
        return all(view is None or view.status is status for view in views)

    def is_content(self) -> bool:
        """Whether everybody thinks that everybody who runs is alive."""
        return all(self.all_think(host, Status.ALIVE) for host in self.running())
