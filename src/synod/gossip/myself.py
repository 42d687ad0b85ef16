# SPDX-License-Identifier: LGPL-2.1-or-later
"""What this node says of itself: that it lives, its attributes, its farewell.

Nobody else ever raises this node's incarnation. What others believe of it is either what it said, or an
accusation, or what an earlier life of it said; each of the latter two is answered with an incarnation that
is newer than all of that.
"""

from synod.base.ids import NodeName
from synod.gossip.effects import AttributeRejected, Refuted
from synod.gossip.messages import Alive, Faulty, Profile, Rumour, Suspect, problem_with
from synod.gossip.state import State
from synod.gossip.timing import COUNT_MAX


class Myself:
    """This node, as the others are to know it."""

    def __init__(self, state: State, incarnation: int) -> None:
        self._state = state
        self.incarnation = incarnation
        self.profile = Profile(node=state.name, incarnation=incarnation, sequence=0, attributes=())
        self.is_leaving = False

    @property
    def rumour(self) -> Alive | Faulty:
        """The latest word."""
        name = self._state.name
        if self.is_leaving:
            return Faulty(node=name, incarnation=self.incarnation, accuser=name)
        return Alive(node=name, incarnation=self.incarnation)

    def announce(self) -> None:
        """Say everything anew."""
        self._state.queue.add(self.rumour)
        self._state.queue.add(self.profile)

    def leave(self) -> None:
        """Say farewell."""
        self.is_leaving = True
        self._state.queue.add(self.rumour)

    def set_attribute(self, name: str, value: str | None) -> None:
        """Change one attribute, or reject that."""
        changed = {known: text for known, text in self.profile.attributes if known != name}
        if value is not None:
            changed[name] = value
        attributes = tuple(sorted(changed.items()))
        problem = problem_with(attributes)
        if problem is not None:
            self._state.effects.append(AttributeRejected(name=name, reason=problem))
        elif attributes != self.profile.attributes:
            self._say_profile(attributes)
            self._state.queue.add(self.profile)

    def hear(self, rumour: Rumour) -> None:
        """Correct what others believe of this node."""
        match rumour:
            case Alive(incarnation=incarnation):
                if incarnation > self.incarnation:
                    self._outlive(incarnation)
            case Profile():
                theirs, mine = rumour.version, self.profile.version
                if theirs > mine or (theirs == mine and rumour.attributes != self.profile.attributes):
                    self._outlive(max(rumour.incarnation, self.incarnation))
            case Suspect(accuser=accuser) | Faulty(accuser=accuser):
                if rumour.incarnation >= self.incarnation and not self.is_leaving:
                    self._refute(rumour.incarnation, accuser)

    def _refute(self, incarnation: int, accuser: NodeName) -> None:
        state = self._state
        if incarnation > self.incarnation or accuser == state.name:
            self._outlive(incarnation)
        elif incarnation + 1 < COUNT_MAX:
            self.incarnation = incarnation + 1
            state.queue.add(self.rumour)
        if accuser != state.name:
            state.health.worsen(1)
            state.effects.append(Refuted(accuser=accuser, incarnation=self.incarnation))

    def _outlive(self, incarnation: int) -> None:
        """Make all that an earlier life said the older news."""
        if incarnation + 1 < COUNT_MAX:
            self.incarnation = incarnation + 1
            self._say_profile(self.profile.attributes)
            self.announce()

    def _say_profile(self, attributes: tuple[tuple[str, str], ...]) -> None:
        self.profile = Profile(node=self._state.name, incarnation=self.incarnation,
                               sequence=self.profile.sequence + 1, attributes=attributes)
