# SPDX-License-Identifier: LGPL-2.1-or-later
"""From rumours and failed probes to what this node thinks of each member. SWIM, section 4.2.

Every piece of news is believed if it is the newer one, told on, and reported to the rest of the node when
the status changes. A member whose stream is heard is never declared faulty by this node: others may, and the
accused itself will hear of it and refute.
"""

from dataclasses import replace

from synod.base.ids import NodeName
from synod.base.usec import Usec
from synod.gossip.effects import AttributesChanged, StatusChanged
from synod.gossip.members import Member, Status
from synod.gossip.messages import Alive, Faulty, Profile, Rumour, Suspect
from synod.gossip.myself import Myself
from synod.gossip.state import State
from synod.gossip.suspicion import Suspicion


class Opinions:
    """Keeps the statuses of all members."""

    def __init__(self, state: State, myself: Myself) -> None:
        self._state = state
        self._myself = myself

    @property
    def deadline(self) -> Usec | None:
        """When the next suspicion ends; none does while this node is cut off by its own link."""
        if self._state.deaf_since is not None:
            return None
        return min((member.suspicion.deadline for member in self._state.members.suspects
                    if member.suspicion is not None), default=None)

    def hear(self, rumour: Rumour) -> None:
        """Digest a rumour, about whomever."""
        if rumour.node == self._state.name:
            self._myself.hear(rumour)
            return
        member = self._state.members.get(rumour.node)
        if member is None:
            return
        match rumour:
            case Alive():
                self._believe(member, rumour, Status.ALIVE)
            case Suspect(accuser=accuser):
                self._suspect(member, rumour, accuser)
            case Faulty(accuser=accuser):
                status = Status.LEFT if accuser == member.name else Status.FAULTY
                self._believe(member, rumour, status, accusers=(accuser,))
            case Profile():
                self._learn(member, rumour)

    def accuse(self, member: Member) -> None:
        """Say that a member did not answer this node."""
        if member.is_reachable:
            known = max(1, member.incarnation)  # of a member never heard of, the least possible
            self.hear(Suspect(node=member.name, incarnation=known, accuser=self._state.name))

    def refutation(self, accusation: Suspect | Faulty) -> Alive | None:
        """Return what shows an accusation to be out of date, once it was heard; None: nothing does."""
        member = self._state.members.get(accusation.node)
        if accusation.node == self._state.name:
            word: Rumour | None = self._myself.rumour
        else:
            word = None if member is None else member.rumour
        return word if isinstance(word, Alive) and word.incarnation > accusation.incarnation else None

    def tick(self) -> None:
        """Draw the conclusion from suspicions that nobody refuted in time."""
        state = self._state
        for member in state.members.suspects if state.deaf_since is None else ():
            suspicion = member.suspicion
            if suspicion is None or state.now < suspicion.deadline:
                continue
            if member.has_stream(state.now, Usec(state.now - state.timing.stream_fresh)):
                state.members.suspect(member, replace(suspicion, began=state.now))
            else:
                self.hear(Faulty(node=member.name, incarnation=member.incarnation, accuser=state.name))

    def postpone(self, span: Usec) -> None:
        """Take time that this node missed off all suspicions."""
        for member in self._state.members.suspects:
            if member.suspicion is not None:
                self._state.members.suspect(member, member.suspicion.postponed(span))

    def _suspect(self, member: Member, rumour: Suspect, accuser: NodeName) -> None:
        state = self._state
        if member.is_older_than(rumour.incarnation, Status.SUSPECT):
            nodes, timing = state.members.nodes, state.timing
            shortest = timing.suspicion_shortest(nodes)
            suspicion = Suspicion(began=state.now, shortest=shortest,
                                  longest=Usec(shortest * timing.suspicion_max_mult),
                                  confirmations=timing.confirmations(nodes), accusers=(accuser,))
            self._believe(member, rumour, Status.SUSPECT, accusers=(accuser,), suspicion=suspicion)
        elif member.suspicion is not None and member.incarnation == rumour.incarnation:
            joined = member.suspicion.joined_by(accuser)
            if joined is not member.suspicion:
                state.members.suspect(member, joined)
                state.queue.add(rumour)

    def _believe(self, member: Member, rumour: Alive | Suspect | Faulty, status: Status,
                 accusers: tuple[NodeName, ...] = (), suspicion: Suspicion | None = None) -> None:
        state, before = self._state, member.status
        if not member.is_older_than(rumour.incarnation, status):
            return
        state.members.settle(member, rumour.incarnation, status, accusers, suspicion)
        state.queue.add(rumour)
        if status is not before:
            state.effects.append(StatusChanged(peer=member.name, status=status, accusers=accusers,
                                               incarnation=member.incarnation))

    def _learn(self, member: Member, profile: Profile) -> None:
        if profile.version <= member.profile.version:
            return
        changed = profile.attributes != member.profile.attributes
        member.profile = profile
        self._state.queue.add(profile)
        if changed:
            self._state.effects.append(AttributesChanged(peer=member.name, attributes=profile.attributes))
