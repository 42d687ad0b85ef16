# SPDX-License-Identifier: LGPL-2.1-or-later
"""What a peer sends may be anything: it never raises, and never breaks a property."""

import pytest
from gossip_world import SEC, World
from hypothesis import given, settings
from hypothesis import strategies as st

from synod.base.ids import NodeName
from synod.gossip.messages import (
    Ack,
    Alive,
    Digest,
    Faulty,
    Message,
    Nack,
    Ping,
    PingRequest,
    Profile,
    Suspect,
    Version,
    Versions,
    is_attribute_name,
    is_sensible,
)
from synod.gossip.timing import ATTRIBUTES_BYTES_MAX, ATTRIBUTES_MAX, BUCKETS, COUNT_MAX

NAMES = [NodeName(name) for name in ("n1", "n2", "n3", "stranger", "no name", "x" * 70)]
names = st.sampled_from(NAMES)
numbers = st.integers(-1, 3) | st.sampled_from([COUNT_MAX - 1, COUNT_MAX])
texts = st.text(max_size=20) | st.just("x" * 800)
messages: st.SearchStrategy[Message] = st.one_of(
    st.builds(Ping, seq=numbers), st.builds(Ack, seq=numbers), st.builds(Nack, seq=numbers),
    st.builds(PingRequest, seq=numbers, target=names),
    st.builds(Alive, node=names, incarnation=numbers),
    st.builds(Suspect, node=names, incarnation=numbers, accuser=names),
    st.builds(Faulty, node=names, incarnation=numbers, accuser=names),
    st.builds(Profile, node=names, incarnation=numbers, sequence=numbers,
              attributes=st.lists(st.tuples(texts, texts), max_size=3).map(sorted).map(tuple)),
    st.builds(Digest, checksums=st.lists(numbers, min_size=BUCKETS, max_size=BUCKETS).map(tuple)
              | st.lists(numbers).map(tuple)),
    st.builds(Versions, is_answer=st.booleans(), rows=st.lists(
        st.builds(Version, node=names, incarnation=numbers, rank=numbers, profile_incarnation=numbers,
                  profile_sequence=numbers), max_size=3).map(tuple)),
)


@settings(max_examples=300, deadline=None)
@given(st.lists(st.tuples(names, st.lists(messages, max_size=5)), max_size=12), st.booleans())
def test_a_peer_can_not_make_a_node_raise(
    received: list[tuple[NodeName, list[Message]]], is_old: bool
) -> None:
    world = World(["n1", "n2", "n3"], has_streams=False, has_codec=False)
    world.judge.see = lambda *_: None  # type: ignore[method-assign]  # what peers lie about is not its affair
    world.boot_all()
    if is_old:
        world.run(3 * SEC)
    host = next(iter(world.hosts.values()))
    for peer, packet in received:
        before = host.gossip.incarnation
        world.receive(host, peer, tuple(packet))
        assert before <= host.gossip.incarnation < COUNT_MAX
    world.run(40 * SEC)


def test_a_stranger_is_not_heard() -> None:
    world = World(["n1", "n2"], has_streams=False)
    world.boot_all()
    host = next(iter(world.hosts.values()))
    accusation = Suspect(node=NAMES[1], incarnation=1000, accuser=NAMES[2])
    assert world.receive(host, NAMES[3], (Ping(seq=1), accusation)) == ()


def profile(*attributes: tuple[str, str], incarnation: int = 1, sequence: int = 0) -> Profile:
    return Profile(node=NAMES[0], incarnation=incarnation, sequence=sequence, attributes=attributes)


@pytest.mark.parametrize("message", [
    profile(), profile(("a", "1"), ("b", "ä €")), profile(("a", "x" * (ATTRIBUTES_BYTES_MAX - 8))),
    profile(*((f"a{number:02}", "") for number in range(ATTRIBUTES_MAX))),
    Faulty(node=NAMES[0], incarnation=1, accuser=NAMES[0]), Digest(checksums=(0,) * BUCKETS),
    Versions(rows=(), is_answer=True), Ping(seq=0),
])
def test_sensible(message: Message) -> None:
    assert is_sensible(message)


@pytest.mark.parametrize("message", [
    profile(("b", ""), ("a", "")), profile(("a", ""), ("a", "")), profile(("a", "line\nline")),
    profile(*((f"a{number:02}", "") for number in range(ATTRIBUTES_MAX + 1))),
    profile(("a", "x" * (ATTRIBUTES_BYTES_MAX - 7))), Digest(checksums=(0,)), Ping(seq=-1),
    profile(("a", "\ud800")), profile(("a", "\x1b[0m")), profile(("", "")), profile(incarnation=0),
    profile(sequence=COUNT_MAX), Alive(node=NAMES[0], incarnation=0),
    Alive(node=NAMES[0], incarnation=COUNT_MAX), Faulty(node=NAMES[0], incarnation=1, accuser=NodeName("")),
    Suspect(node=NAMES[0], incarnation=1, accuser=NAMES[0]),
    Suspect(node=NAMES[0], incarnation=1, accuser=NAMES[4]),
    Versions(is_answer=False, rows=(
        Version(node=NAMES[0], incarnation=1, rank=-1, profile_incarnation=0, profile_sequence=0),)),
])
def test_senseless(message: Message) -> None:
    assert not is_sensible(message)


@pytest.mark.parametrize(("text", "is_one"), [
    ("zone", True), ("cpu.load-1_m:x", True), ("x" * 64, True), ("x" * 65, False), ("", False),
    ("a b", False), ("-a", False), ("a=b", False), ("ä", False), ("a\n", False),
])
def test_names_of_attributes(text: str, is_one: bool) -> None:
    assert is_attribute_name(text) is is_one
