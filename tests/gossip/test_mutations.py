# SPDX-License-Identifier: LGPL-2.1-or-later
"""Known ways to get SWIM wrong; the judge must notice each.

A mutation replaces one decision of the core, then the golden scripts are played and every kind of trouble is
made. If they no longer find it, they have become too mild.
"""

from collections.abc import Callable, Iterator
from dataclasses import replace

import pytest
from gossip_storm import cluster, death, loss, news, partition, stalls, starvation, weather
from gossip_world import SEC, ViolationError

from synod.base.ids import NodeName
from synod.base.usec import Usec
from synod.gossip.detector import Detector
from synod.gossip.dissemination import Queue
from synod.gossip.exchange import Exchange
from synod.gossip.machine import Gossip
from synod.gossip.members import Member, Status
from synod.gossip.messages import Profile, Rumour, Suspect
from synod.gossip.myself import Myself
from synod.gossip.opinions import Opinions
from synod.gossip.suspicion import Suspicion

from .test_machine import SCRIPTS, play

Mutate = Callable[[pytest.MonkeyPatch], None]
_MUTATIONS: dict[str, tuple[Mutate, str]] = {}


def caught_by(*properties: str) -> Callable[[Mutate], Mutate]:
    """Register a mutation with the properties of which one must be seen broken."""
    def register(mutate: Mutate) -> Mutate:
        _MUTATIONS[mutate.__name__] = (mutate, "|".join(properties))
        return mutate
    return register


@caught_by("nobody is slandered", "the living are not faulty")
def own_stall_goes_unnoticed(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(Gossip, "_stood_still", lambda self, span: None)


@caught_by("the living are not faulty")
def own_link_is_no_excuse(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(Gossip, "_own_link", lambda self, *, is_up: None)


@caught_by("nobody is slandered")
def stall_does_not_end_the_question(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(Detector, "abandon", lambda self: None)


@caught_by("nobody is slandered", "the living are not faulty")
def streams_are_no_evidence(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(Member, "has_stream", lambda self, now, since: False)


@caught_by("knowledge only grows")
def late_rumours_are_believed(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(Member, "is_older_than", lambda self, incarnation, status: self.status is not status)


@caught_by("the living are not faulty", "in time")
def refutation_keeps_the_incarnation(patch: pytest.MonkeyPatch) -> None:
    def careless(self: Myself, incarnation: int, accuser: NodeName) -> None:
        self._state.queue.add(self.rumour)
    patch.setattr(Myself, "_refute", careless)


@caught_by("own incarnation")
def accuser_raises_the_incarnation(patch: pytest.MonkeyPatch) -> None:
    hear = Opinions.hear

    def careless(self: Opinions, rumour: Rumour) -> None:
        if isinstance(rumour, Suspect) and rumour.accuser == self._state.name:
            rumour = replace(rumour, incarnation=rumour.incarnation + 1)
        hear(self, rumour)
    patch.setattr(Opinions, "hear", careless)


@caught_by("in time")
def accusers_do_not_shorten_the_wait(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(Suspicion, "joined_by", lambda self, accuser: self)


@caught_by("time to refute", "the living are not faulty")
def nobody_waits_for_a_refutation(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(Suspicion, "patience", Usec(0))


@caught_by("in time")
def rumours_are_told_once(patch: pytest.MonkeyPatch) -> None:
    take = Queue.take
    patch.setattr(Queue, "take", lambda self, room, limit: take(self, room, 1))


@caught_by("packets are bounded")
def packets_are_filled_without_measure(patch: pytest.MonkeyPatch) -> None:
    take = Queue.take
    patch.setattr(Queue, "take", lambda self, room, limit: take(self, 1 << 20, limit))


@caught_by("in time")
def one_member_is_never_asked(patch: pytest.MonkeyPatch) -> None:
    advance = Detector._advance

    def careless(self: Detector) -> Member:
        member = advance(self)
        return member if member.name != "n1" or len(self._order) == 1 else advance(self)
    patch.setattr(Detector, "_advance", careless)


@caught_by("suspicions are few", "nobody is slandered")
def nobody_else_is_asked(patch: pytest.MonkeyPatch) -> None:
    def careless(self: Detector, probe: object) -> None:
        probe.ask_others = None  # type: ignore[attr-defined]
    patch.setattr(Detector, "_ask_others", careless)


@caught_by("in time")
def faulty_are_left_alone(patch: pytest.MonkeyPatch) -> None:
    ping = Detector._ping

    def careless(self: Detector, member: Member, seq: int) -> None:
        if member.status is not Status.FAULTY:
            ping(self, member, seq)
    patch.setattr(Detector, "_ping", careless)


@caught_by("in time")
def nobody_compares_notes(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(Exchange, "deadline", None)
    patch.setattr(Exchange, "tick", lambda self: None)


@caught_by("in time")
def earlier_life_is_taken_for_this_one(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(Myself, "_outlive", lambda self, incarnation: None)


@caught_by("facts only grow newer")
def older_profile_replaces_the_newer(patch: pytest.MonkeyPatch) -> None:
    learn = Opinions._learn

    def careless(self: Opinions, member: Member, profile: Profile) -> None:
        if profile != member.profile:
            member.profile = replace(member.profile, incarnation=0)
            learn(self, member, profile)
    patch.setattr(Opinions, "_learn", careless)


@caught_by("members only")
def strangers_are_answered(patch: pytest.MonkeyPatch) -> None:
    receive = Gossip.step

    def careless(self: Gossip, event: object, now: Usec) -> tuple[object, ...]:
        if hasattr(event, "messages") and self.view(event.peer) is None:
            self._receive(event.peer, event.messages)
        return receive(self, event, now)  # type: ignore[arg-type]
    patch.setattr(Gossip, "step", careless)


def few_suspicions() -> None:
    world = cluster(20, 1, loss=0.05)
    world.run(60 * SEC)
    if len(world.judge.suspected) > 6 * 20:
        raise ViolationError(f"suspicions are few: {len(world.judge.suspected)}")


def troubles() -> Iterator[Callable[[], object]]:
    """Yield what may find something, the quick ones first."""
    for path in SCRIPTS:
        yield lambda path=path: play(path.read_text())  # type: ignore[misc]
    for seed in range(3):
        yield lambda seed=seed: stalls(seed, has_streams=False, is_timer_first=True)  # type: ignore[misc]
        yield lambda seed=seed: starvation(seed)  # type: ignore[misc]
        yield lambda seed=seed: loss(3, seed, 60 * SEC)  # type: ignore[misc]
        yield lambda seed=seed: news(cluster(30, seed))  # type: ignore[misc]
        yield lambda seed=seed: death_of_the_first(seed)  # type: ignore[misc]
    yield few_suspicions
    yield lambda: partition(10)
    for seed in range(60):
        yield lambda seed=seed: weather(seed)  # type: ignore[misc]


def death_of_the_first(seed: int) -> None:
    world = cluster(10, seed)
    death(world, next(iter(world.hosts.values())))


def hunt() -> ViolationError:
    for trouble in troubles():
        try:
            trouble()
        except ViolationError as violation:
            return violation
        except AssertionError:
            pass  # the mutation led it astray
    raise AssertionError("no trouble broke a property")


@pytest.mark.parametrize("name", sorted(_MUTATIONS))
def test_the_judge_notices(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    mutate, properties = _MUTATIONS[name]
    mutate(monkeypatch)
    violation = hunt()
    assert str(violation).split(":")[0] in properties.split("|"), str(violation)


def test_without_a_mutation_nothing_is_noticed() -> None:
    few_suspicions()
    for path in SCRIPTS:
        play(path.read_text())
