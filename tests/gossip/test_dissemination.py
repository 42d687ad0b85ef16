# SPDX-License-Identifier: LGPL-2.1-or-later
from hypothesis import given
from hypothesis import strategies as st

from synod.base.ids import NodeName
from synod.gossip.dissemination import Queue
from synod.gossip.messages import Alive, Profile, Rumour, Suspect, bytes_max

A, B, C = NodeName("a"), NodeName("b"), NodeName("c")
EVERYTHING = 10_000


def alive(node: NodeName, incarnation: int = 1) -> Alive:
    return Alive(node=node, incarnation=incarnation)


def profile(node: NodeName, text: str = "") -> Profile:
    return Profile(node=node, incarnation=1, sequence=0, attributes=(("k", text),))


def test_a_rumour_is_told_so_often_and_no_more() -> None:
    queue = Queue()
    queue.add(alive(A))
    assert [queue.take(EVERYTHING, 3) for _ in range(4)] == [[alive(A)], [alive(A)], [alive(A)], []]
    assert queue.is_empty


def test_the_newer_about_the_same_replaces_the_older_and_starts_anew() -> None:
    queue = Queue()
    queue.add(alive(A))
    queue.take(EVERYTHING, 2)
    accusation = Suspect(node=A, incarnation=1, accuser=B)
    queue.add(profile(A))
    queue.add(accusation)
    assert [queue.take(EVERYTHING, 2) for _ in range(3)] == [[profile(A), accusation]] * 2 + [[]]


def test_what_was_told_least_goes_first() -> None:
    queue = Queue()
    room = bytes_max(alive(A))
    queue.add(alive(A))
    queue.add(alive(B))
    assert queue.take(room, 9) == [alive(A)]
    queue.add(alive(C))
    assert [queue.take(room, 9) for _ in range(4)] == [[alive(B)], [alive(C)], [alive(A)], [alive(B)]]


def test_who_was_removed_is_not_told_of() -> None:
    queue = Queue()
    queue.add(alive(A))
    queue.add(profile(A))
    queue.add(alive(B))
    queue.forget(A)
    assert queue.take(EVERYTHING, 9) == [alive(B)]


rumours = st.builds(alive, st.sampled_from([A, B, C])) | st.builds(
    profile, st.sampled_from([A, B, C]), st.text(max_size=60))


@given(st.lists(rumours), st.integers(80, 400), st.integers(1, 5))
def test_all_fit_and_all_get_their_turn(added: list[Rumour], room: int, limit: int) -> None:
    queue = Queue()
    for rumour in added:
        queue.add(rumour)
    last = {(rumour.node, type(rumour)): rumour for rumour in added if bytes_max(rumour) <= room}
    told: list[Rumour] = []
    for _ in range(6 * limit):  # even if each has a packet of its own
        taken = queue.take(room, limit)
        assert sum(map(bytes_max, taken)) <= room
        told += taken
    assert all(told.count(rumour) == limit for rumour in last.values())
    assert len(told) == limit * len(last)
