# SPDX-License-Identifier: LGPL-2.1-or-later
"""Who seems to be alive, and small facts about nodes: SWIM with Lifeguard as a machine without I/O.

Laws

1. Gossip decides nothing. Who is a member says the log; that a node is lost says the log. What is emitted
   here is an opinion, and may be wrong at any time.
2. Who is no member by the log is neither heard nor spoken to.
3. Of two pieces of knowledge about a node the greater (incarnation, rank) is believed, in whatever order
   they arrive; and of two profiles the greater version.
4. Only a node itself raises its incarnation, and it does whenever it is accused. Whoever repeats an
   accusation to one who knows of its refutation is told.
5. Nobody is accused who was heard on a stream since it was asked, nor by a node that stood still meanwhile
   or whose own link is down. A node that can never keep time therefore accuses nobody; the others accuse it.
6. What one says on one's own account is a suspicion; a fault is what nobody refuted in time. Faults learnt
   from comparing notes are suspicions again.
7. Whatever a peer sends may be late, repeated, lost or senseless. It is ignored then, and never raises.
8. No packet exceeds COMPOUND_BYTES_MAX; no table grows beyond a constant for each member.

Theory of operation

``step`` hands one event to the part concerned. The Detector asks one member in each period and accuses those
that do not answer; Opinions holds what is thought of each, and turns suspicions that ran out into faults;
Myself answers what is said of this node; news goes into the Queue, rides on every packet, and, while there
is any, goes to a few random members in rounds; the Exchange compares everything with one member now and
then. The deadline is the earliest of all of theirs; an event that comes long after it shows that this node
itself stood still, and then the time that was missed is held against nobody.
"""

from collections.abc import Iterable
from typing import assert_never

from synod.base.ids import NodeName
from synod.base.machine import Entropy
from synod.base.usec import Usec
from synod.gossip.detector import Detector
from synod.gossip.effects import Effect, StoodStill
from synod.gossip.events import (
    Event,
    Leave,
    MemberAdded,
    MemberRemoved,
    OwnLink,
    PacketReceived,
    SetAttribute,
    StreamHeard,
    StreamLost,
    Tick,
)
from synod.gossip.exchange import Exchange
from synod.gossip.members import Member, MemberView, Status
from synod.gossip.messages import (
    Ack,
    Alive,
    Attributes,
    Digest,
    Faulty,
    Message,
    Nack,
    Ping,
    PingRequest,
    Profile,
    Rumour,
    Suspect,
    Versions,
    is_sensible,
)
from synod.gossip.myself import Myself
from synod.gossip.opinions import Opinions
from synod.gossip.state import State
from synod.gossip.timing import MESSAGES_MAX, REFUTATIONS_MAX, Timing


class Gossip:
    """One node's gossip. Give it every event in order; carry out the effects in order."""

    def __init__(self, *, name: NodeName, entropy: Entropy, incarnation: int = 1,
                 timing: Timing | None = None) -> None:
        """Start as ``name``, knowing no member.

        ``incarnation`` should exceed all of earlier lives, as the time of the start does; where it does not,
        the others' memory corrects it within seconds.
        """
        assert incarnation >= 1
        self._state = State(name=name, timing=timing if timing is not None else Timing(), entropy=entropy)
        self._myself = Myself(self._state, incarnation)
        self._opinions = Opinions(self._state, self._myself)
        self._detector = Detector(self._state, self._opinions)
        self._exchange = Exchange(self._state, self._myself)
        self._round_due = Usec(0)
        self._is_started = False

    # Read-only facts

    @property
    def incarnation(self) -> int:
        """Of this node, now."""
        return self._myself.incarnation

    @property
    def attributes(self) -> Attributes:
        """Of this node, now."""
        return self._myself.profile.attributes

    @property
    def health_score(self) -> int:
        """From 0, well, to 7: how far this node mistrusts itself."""
        return self._state.health.score

    @property
    def members(self) -> tuple[MemberView, ...]:
        """What is thought of all others, in the order in which they became members."""
        return tuple(member.view for member in self._state.members)

    @property
    def awaited(self) -> tuple[NodeName, ...]:
        """Peers whose streams matter now: who is asked, and who is accused."""
        asked = self._detector.asked_member
        names = [] if asked is None else [asked.name]
        names += [member.name for member in self._state.members.accused]
        return tuple(dict.fromkeys(names))

    def view(self, peer: NodeName) -> MemberView | None:
        """Return what is thought of a peer; None for who is no member."""
        member = self._state.members.get(peer)
        return None if member is None else member.view

    @property
    def deadline(self) -> Usec | None:
        """Earliest time at which step() wants a Tick, or None for never."""
        if not self._is_started:
            return Usec(0)
        times: list[Usec | None] = []
        if not self._state.queue.is_empty and len(self._state.members):
            times.append(self._round_due)
        if not self._myself.is_leaving:
            times += [self._detector.deadline, self._opinions.deadline, self._exchange.deadline]
        return min((time for time in times if time is not None), default=None)

    # Events

    def step(self, event: Event, now: Usec) -> tuple[Effect, ...]:
        """Digest one event at time ``now``, which never decreases."""
        state = self._state
        due, before = self.deadline, state.now
        state.now = max(state.now, now)
        if not self._is_started:
            self._is_started = True
            self._detector.start()
            self._myself.announce()
        elif due is not None and state.now - max(due, before) > state.timing.stall:
            self._stood_still(Usec(state.now - max(due, before)))
        match event:
            case Tick():
                self._tick()
            case PacketReceived(peer=peer, messages=messages):
                if state.members.get(peer) is not None:
                    self._receive(peer, messages)
            case StreamHeard() | StreamLost() | MemberAdded() | MemberRemoved():
                self._take(event)
            case OwnLink(is_up=is_up):
                self._own_link(is_up=is_up)
            case SetAttribute(name=name, value=value):
                self._myself.set_attribute(name, value)
            case Leave():
                self._myself.leave()
                self._round_due = state.now  # who leaves has no time to wait for the next round
            case _:
                assert_never(event)
        effects, state.effects = tuple(state.effects), []
        return effects

    def _stood_still(self, span: Usec) -> None:
        """Count the time that this node missed for nothing, and leave a period for what waits to be read."""
        self._state.health.worsen(1)
        self._excuse(span)
        self._state.effects.append(StoodStill(span=span))

    def _own_link(self, *, is_up: bool) -> None:
        """Conclude nothing while this node is cut off by its own link."""
        state, since = self._state, self._state.deaf_since
        if not is_up and since is None:
            state.deaf_since = state.now
        elif is_up and since is not None:
            state.deaf_since = None
            self._excuse(Usec(state.now - since))

    def _excuse(self, span: Usec) -> None:
        self._detector.abandon()
        self._opinions.postpone(Usec(span + self._state.timing.probe_interval))

    def _tick(self) -> None:
        if not self._myself.is_leaving:
            self._opinions.tick()
            self._detector.tick()
            self._exchange.tick()
        self._spread()

    def _spread(self) -> None:
        """Tell a few random members what is new."""
        state = self._state
        if state.queue.is_empty or state.now < self._round_due:
            return
        self._round_due = Usec(state.now + state.timing.gossip_interval)
        for member in state.some(state.members.reachable(), state.timing.gossip_nodes):
            state.send(member.name)

    def _take(self, event: StreamHeard | StreamLost | MemberAdded | MemberRemoved) -> None:
        """Digest news of the log and the streams."""
        state = self._state
        if isinstance(event, MemberAdded):
            if event.name != state.name and state.members.get(event.name) is None:
                self._detector.add(state.members.add(event.name))
                self._exchange.hasten(event.name)
            return
        name = event.name if isinstance(event, MemberRemoved) else event.peer
        member = state.members.get(name)
        if member is None:
            return
        match event:
            case StreamHeard(at=at):
                self._heard_stream(member, state.now if at is None else min(at, state.now))
            case StreamLost():
                member.stream_heard, member.stream_lost = None, state.now
                self._detector.hasten(member)
            case MemberRemoved():
                self._detector.remove(member)
                state.members.remove(name)
                state.queue.forget(name)

    def _heard_stream(self, member: Member, at: Usec) -> None:
        """Note that a member lives; if it is accused it should know, and refute."""
        state = self._state
        if at < max(member.stream_heard or 0, member.stream_lost or 0):
            return
        member.stream_heard, member.stream_lost = at, None
        if member.status is Status.ALIVE or self._myself.is_leaving:
            return
        if member.told is None or state.now - member.told >= state.timing.probe_interval:
            member.told = state.now
            state.send(member.name, member.rumour)

    # Peers

    def _receive(self, peer: NodeName, messages: Iterable[Message]) -> None:
        """Digest a packet: what refutes first, what accuses next, so that the answer knows both."""
        refutations: dict[NodeName, Rumour] = {}
        for message in sorted(tuple(messages)[:MESSAGES_MAX], key=_turn):
            if not is_sensible(message):
                continue
            self._digest(peer, message)
            if isinstance(message, Suspect | Faulty) and len(refutations) < REFUTATIONS_MAX:
                refutation = self._opinions.refutation(message)
                if refutation is not None:
                    refutations[message.node] = refutation
        if refutations:
            self._state.send(peer, *refutations.values())

    def _digest(self, peer: NodeName, message: Message) -> None:
        match message:
            case Alive() | Suspect() | Faulty() | Profile():
                self._opinions.hear(message)
            case Ping():
                self._detector.pinged(peer, message)
            case PingRequest():
                self._detector.asked(peer, message)
            case Ack():
                self._detector.acknowledged(peer, message)
            case Nack():
                self._detector.refused(peer, message)
            case Digest():
                self._exchange.compare(peer, message)
            case Versions():
                self._exchange.settle(peer, message)
            case _:
                assert_never(message)


def _turn(message: Message) -> int:
    match message:
        case Alive():
            return 0
        case Suspect() | Faulty() | Profile():
            return 1
        case _:
            return 2
