# SPDX-License-Identifier: LGPL-2.1-or-later
"""Who is asked next, and whether it answered. SWIM, sections 3.1 and 4.3; Lifeguard, section IV.A.

In every period one member is asked: directly; after a silence again, and through others; at the end of the
period it is accused, unless its stream was heard meanwhile. A member whose stream was lost is asked at once,
by all ways at the same time: whether it answers decides what its silence means.

All are asked once in a shuffled round before any is asked again, so the time to the first question has a
bound. A helper that gets no answer says so, and shows that at least the two of them can talk.
"""

from dataclasses import dataclass, field

from synod.base.ids import NodeName
from synod.base.usec import Usec
from synod.gossip.effects import DatagramsBlocked, Vouched
from synod.gossip.members import Member, Status
from synod.gossip.messages import Ack, Nack, Ping, PingRequest
from synod.gossip.opinions import Opinions
from synod.gossip.state import State
from synod.gossip.timing import BLOCKED_PROBES, FAULTY_PINGS_MAX, RELAYS_MAX


@dataclass(slots=True, kw_only=True)
class _Probe:
    """The question of the present period."""

    member: Member
    seq: int
    began: Usec
    ask_others: Usec | None
    """None: they have been asked."""
    end: Usec
    helpers: tuple[NodeName, ...] = ()
    nacks: dict[NodeName, None] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Relay:
    """A question asked for somebody else."""

    asker: NodeName
    seq: int
    """The asker's."""
    target: NodeName
    nack_due: Usec


class Detector:
    """Asks members in turn."""

    def __init__(self, state: State, opinions: Opinions) -> None:
        self._state = state
        self._opinions = opinions
        self._order: list[Member] = []
        self._cursor = 0
        self._seq = state.entropy.below(1 << 32)
        self._probe: _Probe | None = None
        self._next = Usec(0)
        self._relays: dict[int, _Relay] = {}

    def start(self) -> None:
        """Begin within a period, not all nodes at once."""
        self._next = Usec(self._state.now + self._state.entropy.below(self._state.timing.probe_interval))

    @property
    def deadline(self) -> Usec | None:
        """When something is due."""
        times = [relay.nack_due for relay in self._relays.values()]
        probe = self._probe
        if probe is not None:
            times.append(probe.end if probe.ask_others is None else probe.ask_others)
        elif self._order:
            times.append(self._next)
        return min(times, default=None)

    @property
    def asked_member(self) -> Member | None:
        """Whose answer is awaited."""
        return None if self._probe is None else self._probe.member

    # Members

    def add(self, member: Member) -> None:
        """Ask a new member somewhere in the present round."""
        place = self._state.entropy.below(len(self._order) + 1)
        self._order.insert(place, member)
        if place < self._cursor:
            self._cursor += 1

    def remove(self, member: Member) -> None:
        """Ask a member no more, nor anybody about it."""
        place = self._order.index(member)
        del self._order[place]
        if place < self._cursor:
            self._cursor -= 1
        if self._probe is not None and self._probe.member is member:
            self._probe = None
        self._relays = {seq: relay for seq, relay in self._relays.items()
                        if member.name not in (relay.asker, relay.target)}

    def hasten(self, member: Member) -> None:
        """Ask a member next; now, when nobody's answer is awaited."""
        place = self._order.index(member)
        if place >= self._cursor:
            self._order.insert(self._cursor, self._order.pop(place))
        else:
            self._order.insert(self._cursor - 1, self._order.pop(place))
            self._cursor -= 1
        if self._probe is None:
            self._next = self._state.now

    # Time

    def tick(self) -> None:
        """Do what is due."""
        now, probe = self._state.now, self._probe
        for seq, relay in list(self._relays.items()):
            if now >= relay.nack_due:
                del self._relays[seq]
                self._state.send(relay.asker, Nack(seq=relay.seq))
        if probe is not None and now >= probe.end:
            self._probe = None
            self._failed(probe)
        elif probe is not None and probe.ask_others is not None and now >= probe.ask_others:
            self._ask_others(probe)
        if self._probe is None and now >= self._next:
            self._begin()

    def abandon(self) -> None:
        """Draw no conclusion from the present question; ask another one now."""
        self._probe = None
        self._next = self._state.now

    def _begin(self) -> None:
        state, faulty = self._state, 0
        self._next = Usec(state.now + state.health.scaled(state.timing.probe_interval))
        for _ in range(len(self._order)):
            member = self._advance()
            if member.is_reachable:
                self._ask(member)
                return
            if member.status is Status.FAULTY and faulty < FAULTY_PINGS_MAX:
                faulty += 1
                self._ping(member, self._new_seq())

    def _advance(self) -> Member:
        if self._cursor >= len(self._order):
            self._order, self._cursor = self._state.some(self._order, len(self._order)), 0
        self._cursor += 1
        return self._order[self._cursor - 1]

    def _ask(self, member: Member) -> None:
        state = self._state
        self._probe = _Probe(member=member, seq=self._new_seq(), began=state.now, end=self._next,
                             ask_others=Usec(state.now + state.health.scaled(state.timing.probe_timeout)))
        self._ping(member, self._probe.seq)
        if member.stream_lost is not None:
            self._ask_helpers(self._probe)

    def _ping(self, member: Member, seq: int) -> None:
        """Ask; who is accused is told so in the same packet, and refutes in the next (Lifeguard, IV.C)."""
        accusation = () if member.status is Status.ALIVE else (member.rumour,)
        self._state.send(member.name, Ping(seq=seq), *accusation)

    def _ask_others(self, probe: _Probe) -> None:
        probe.ask_others = None
        self._ping(probe.member, probe.seq)
        self._ask_helpers(probe)

    def _ask_helpers(self, probe: _Probe) -> None:
        state, member = self._state, probe.member
        others = [other for other in state.members.reachable() if other is not member]
        helpers = [helper.name for helper in state.some(others, state.timing.helpers)]
        probe.helpers = tuple(dict.fromkeys((*probe.helpers, *helpers)))
        for helper in helpers:
            state.send(helper, PingRequest(seq=probe.seq, target=member.name))

    def _failed(self, probe: _Probe) -> None:
        state, member = self._state, probe.member
        if state.deaf_since is not None:
            return
        state.health.worsen(len(probe.helpers) - len(probe.nacks) if probe.helpers else 1)
        if not member.has_stream(state.now, probe.began):
            self._opinions.accuse(member)
            return
        member.deaf_probes += 1
        if member.deaf_probes >= BLOCKED_PROBES and not member.is_blocked:
            member.is_blocked = True
            state.effects.append(DatagramsBlocked(peer=member.name, is_blocked=True))

    def _answered(self, probe: _Probe) -> None:
        self._probe, member = None, probe.member
        if member.stream_lost is not None and member.stream_lost <= probe.began:
            self._state.effects.append(Vouched(peer=member.name))
        self._state.health.improve()
        member.deaf_probes = 0
        if member.is_blocked:
            member.is_blocked = False
            self._state.effects.append(DatagramsBlocked(peer=member.name, is_blocked=False))

    # Peers

    def pinged(self, peer: NodeName, ping: Ping) -> None:
        """Answer."""
        self._state.send(peer, Ack(seq=ping.seq))

    def asked(self, peer: NodeName, request: PingRequest) -> None:
        """Ask a member on behalf of a peer."""
        state, target = self._state, self._state.members.get(request.target)
        if target is None or len(self._relays) >= RELAYS_MAX:
            return
        seq = self._new_seq()
        self._relays[seq] = _Relay(asker=peer, seq=request.seq, target=target.name,
                                   nack_due=Usec(state.now + state.timing.nack_timeout))
        self._ping(target, seq)

    def acknowledged(self, peer: NodeName, ack: Ack) -> None:
        """Take an answer, and pass it on where it was asked for by another."""
        probe, relay = self._probe, self._relays.get(ack.seq)
        if probe is not None and probe.seq == ack.seq and peer in (probe.member.name, *probe.helpers):
            self._answered(probe)
        elif relay is not None and relay.target == peer:
            del self._relays[ack.seq]
            self._state.send(relay.asker, Ack(seq=relay.seq))

    def refused(self, peer: NodeName, nack: Nack) -> None:
        """Note that a helper is fine and does not hear the member either."""
        probe = self._probe
        if probe is not None and probe.seq == nack.seq and peer in probe.helpers:
            probe.nacks[peer] = None

    def _new_seq(self) -> int:
        self._seq += 1
        return self._seq
