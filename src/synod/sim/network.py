# SPDX-License-Identifier: LGPL-2.1-or-later
"""Streams between nodes as synod.net gives them: in order while they last, then reset.

A message is lost only together with its stream. A cut link swallows silently: what was sent waits, and
arrives after all when the link heals before the heartbeats notice. A killed agent's streams are reset at
once, those of a machine without power are not. A frozen agent accepts and says nothing.
"""

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import Final, Protocol

from synod.base.ids import NodeName
from synod.base.usec import USEC_PER_MSEC
from synod.sim.clock import Clock, Dice
from synod.sim.datagrams import Datagrams

HEARTBEAT_TIMEOUT_USEC: Final = 600 * USEC_PER_MSEC
"""Silence after which either end gives a stream up."""

Pair = tuple[NodeName, NodeName]


class Endpoint(Protocol):
    """An agent, as the network sees it."""

    def connected(self, peer: NodeName) -> None:
        """Note a new stream."""

    def lost(self, peer: NodeName, *, is_silent: bool) -> None:
        """Note that the stream is gone."""

    def received(self, peer: NodeName, data: bytes) -> None:
        """Take a message."""

    def received_datagram(self, peer: NodeName, data: bytes) -> None:
        """Take a datagram."""

    def link_changed(self, *, is_up: bool) -> None:
        """Note that the kernel says that this machine's own link went down or came up."""


@dataclass(slots=True)
class _Stream:
    """One direction's messages under way are in ``queue``, by receiver."""

    queue: dict[NodeName, deque[tuple[int, bytes]]]
    is_pumping: dict[NodeName, None] = field(default_factory=dict)
    told: dict[NodeName, None] = field(default_factory=dict)
    """The ends that know of it."""


class Network:
    """All streams, and what is wrong with the links."""

    def __init__(self, clock: Clock, dice: Dice) -> None:
        self._clock = clock
        self._dice = dice
        self._ends: dict[NodeName, Endpoint] = {}
        self._wanted: dict[Pair, None] = {}
        self._streams: dict[Pair, _Stream] = {}
        self._cut: dict[Pair, int] = {}
        """Directions in which nothing arrives, by source and target."""
        self._cuts = 0
        self._mute: dict[NodeName, None] = {}
        self._unplugged: dict[NodeName, None] = {}
        """Machines whose kernel knows that there is no carrier."""
        self.datagrams = Datagrams(
            clock, dice.fork("datagrams"), lambda source, target: (source, target) in self._cut
        )
        self.delay_usec = 1 * USEC_PER_MSEC
        """Longest time of one message; the shortest is a tenth of it."""
        self.reset_chance = 0.0
        """Probability that sending one message resets its stream."""

    # Who wants to talk

    def attach(self, name: NodeName, end: Endpoint) -> None:
        """An agent began to listen; streams of its node's earlier life end here at the latest."""
        for pair in [pair for pair in self._streams if name in pair]:
            self._drop(pair, self._streams[pair])
        self._ends[name] = end
        self.datagrams.attach(name, end.received_datagram)
        self._mute.pop(name, None)
        if name in self._unplugged:
            end.link_changed(is_up=False)
        self._dial_again(name)

    def detach(self, name: NodeName, *, is_silent: bool) -> None:
        """An agent is gone; its kernel resets the streams, unless the machine is gone as well."""
        self._ends.pop(name, None)
        self.datagrams.detach(name)
        delay = HEARTBEAT_TIMEOUT_USEC if is_silent else self._delay()
        for pair in [pair for pair in self._streams if name in pair]:
            stream = self._streams[pair]
            silent = pair if is_silent else ()
            self._clock.after(delay, partial(self._drop, pair, stream, silent))
        for pair in [pair for pair in self._wanted if pair[0] == name]:
            del self._wanted[pair]

    def mute(self, name: NodeName) -> None:
        """An agent stands still: it says nothing any more, and its peers give its streams up."""
        self._mute[name] = None
        for pair in [pair for pair in self._streams if name in pair]:
            self._notice_later(pair, lambda: name in self._mute, partial(_others, pair, name))

    def unmute(self, name: NodeName) -> None:
        """An agent goes on."""
        self._mute.pop(name, None)
        self._dial_again(name)

    def want(self, name: NodeName, peer: NodeName) -> None:
        """Keep a stream to a peer from now on."""
        self._wanted[name, peer] = None
        self._dial((name, peer))

    def unwant(self, name: NodeName, peer: NodeName) -> None:
        """Drop a peer's streams, and call it no more."""
        self._wanted.pop((name, peer), None)
        pair = _pair(name, peer)
        if pair in self._streams:
            self._drop(pair, self._streams[pair])

    # Streams

    def send(self, source: NodeName, target: NodeName, data: bytes) -> None:
        """Send a message, or drop it when there is no stream."""
        pair = _pair(source, target)
        stream = self._streams.get(pair)
        if stream is None or source not in self._ends:
            return
        if self.reset_chance and self._dice.chance(self.reset_chance):
            self.reset(source, target)
            return
        queue = stream.queue[target]
        due = max(self._clock.now + self._delay(), queue[-1][0] if queue else 0)
        queue.append((due, data))
        self._pump(pair, stream, target)

    def send_datagram(self, source: NodeName, target: NodeName, data: bytes) -> None:
        """Send a datagram."""
        self.datagrams.send(source, target, data, self.delay_usec)

    def is_heard(self, name: NodeName, peer: NodeName) -> bool:
        """Whether the heartbeats of a peer arrive at a node now."""
        has_ears = self.has_stream(name, peer) and peer in self._ends
        return has_ears and peer not in self._mute and (peer, name) not in self._cut

    def reset(self, name: NodeName, peer: NodeName) -> None:
        """Reset the stream of a pair; both ends learn of it at once."""
        pair = _pair(name, peer)
        if pair in self._streams:
            self._drop(pair, self._streams[pair])

    def has_stream(self, name: NodeName, peer: NodeName) -> bool:
        """Whether two nodes have a stream."""
        return _pair(name, peer) in self._streams

    def _dial(self, wanted: Pair) -> None:
        pair = _pair(*wanted)

        def established() -> None:
            is_wanted = pair in self._wanted or (pair[1], pair[0]) in self._wanted
            is_there = pair[0] in self._ends and pair[1] in self._ends
            if not is_wanted or not is_there or pair in self._streams:
                return
            if any(name in self._mute for name in pair) or pair in self._cut or pair[::-1] in self._cut:
                return
            stream = self._streams[pair] = _Stream({name: deque() for name in pair})
            for name, peer in (pair, (pair[1], pair[0])):
                if self._streams.get(pair) is stream and name in self._ends:
                    stream.told[name] = None
                    self._ends[name].connected(peer)

        if pair not in self._streams:
            self._clock.after(self._delay() + self._dice.below(20 * USEC_PER_MSEC), established)

    def _dial_again(self, name: NodeName) -> None:
        for pair in list(self._wanted):
            if name in pair:
                self._dial(pair)

    def _drop(self, pair: Pair, stream: _Stream, silent: tuple[NodeName, ...] = ()) -> None:
        """End a stream; ``silent`` are the ends that only do not hear the other one any more."""
        if self._streams.get(pair) is not stream:
            return
        del self._streams[pair]
        for name in pair:
            if name in self._ends and name in stream.told:
                self._ends[name].lost(_other(pair, name), is_silent=name in silent)
        self._dial(pair)

    def _notice_later(
        self, pair: Pair, is_still_so: Callable[[], bool], silent: Callable[[], tuple[NodeName, ...]]
    ) -> None:
        """Give a stream up when its heartbeats have been missing for long enough."""
        stream = self._streams.get(pair)

        def noticed() -> None:
            if stream is not None and is_still_so():
                self._drop(pair, stream, silent())

        self._clock.after(HEARTBEAT_TIMEOUT_USEC + self._dice.below(150 * USEC_PER_MSEC), noticed)

    def _pump(self, pair: Pair, stream: _Stream, target: NodeName) -> None:
        queue = stream.queue[target]
        way = (_other(pair, target), target)
        if target in stream.is_pumping or not queue or way in self._cut:
            return
        stream.is_pumping[target] = None

        def arrive() -> None:
            del stream.is_pumping[target]
            if self._streams.get(pair) is not stream or way in self._cut:
                return
            _, data = queue.popleft()
            self._pump(pair, stream, target)
            if target in self._ends:
                self._ends[target].received(way[0], data)

        self._clock.after(queue[0][0] - self._clock.now, arrive)

    def _delay(self) -> int:
        return self._dice.between(self.delay_usec // 10, self.delay_usec)

    # Links

    def cut(self, name: NodeName, peer: NodeName) -> None:
        """Swallow everything between two nodes, both ways."""
        self.cut_one_way(name, peer)
        self.cut_one_way(peer, name)

    def cut_one_way(self, source: NodeName, target: NodeName) -> None:
        """Swallow everything on the way from one node to another; the other way stays as it is."""
        way = (source, target)
        if way in self._cut:
            return
        self._cuts += 1
        number = self._cut[way] = self._cuts

        def silent() -> tuple[NodeName, ...]:
            # Who gives the stream up resets it, which the other end hears unless its link is cut as well.
            return (target, source) if (target, source) in self._cut else (target,)

        self._notice_later(_pair(*way), lambda: self._cut.get(way) == number, silent)

    def heal(self, name: NodeName, peer: NodeName) -> None:
        """Repair the link of two nodes."""
        pair = _pair(name, peer)
        ways = (pair, (pair[1], pair[0]))
        were_cut = [self._cut.pop(way, None) for way in ways]
        if not any(were_cut):
            return
        stream = self._streams.get(pair)
        if stream is None:
            self._dial(pair)
        else:
            for target in pair:
                self._pump(pair, stream, target)

    def isolate(self, side: Callable[[NodeName], bool], names: tuple[NodeName, ...]) -> None:
        """Cut all links between those for whom ``side`` holds and the others."""
        for name in names:
            for peer in names:
                if side(name) and not side(peer):
                    self.cut(name, peer)

    def unplug(self, name: NodeName, names: tuple[NodeName, ...]) -> None:
        """Pull a machine's cable: it is cut off from all others, and its kernel says so."""
        self.isolate(lambda one: one == name, names)
        if name not in self._unplugged:
            self._unplugged[name] = None
            if name in self._ends:
                self._ends[name].link_changed(is_up=False)

    def heal_all(self) -> None:
        """Repair every link."""
        unplugged, self._unplugged = self._unplugged, {}
        for name in unplugged:
            if name in self._ends:
                self._ends[name].link_changed(is_up=True)
        for pair in list(self._cut):
            self.heal(*pair)


def _other(pair: Pair, name: NodeName) -> NodeName:
    return pair[0] if name == pair[1] else pair[1]


def _others(pair: Pair, name: NodeName) -> tuple[NodeName, ...]:
    return (_other(pair, name),)


def _pair(name: NodeName, peer: NodeName) -> Pair:
    return (name, peer) if name < peer else (peer, name)
