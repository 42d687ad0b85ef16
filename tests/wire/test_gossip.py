# SPDX-License-Identifier: LGPL-2.1-or-later
"""Packets survive the way; the room that the core reckons with is enough; noise is noise."""

from contextlib import suppress

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from synod.base.codec import MalformedError, TooLargeError
from synod.base.ids import NodeName
from synod.gossip.messages import (
    COMPOUND_OVERHEAD_BYTES,
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
    bytes_max,
    is_sensible,
)
from synod.gossip.timing import BUCKETS, COMPOUND_BYTES_MAX, COUNT_MAX, MESSAGES_MAX
from synod.wire.gossip import decode_gossip, encode_gossip

names = st.from_regex(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?", fullmatch=True).map(NodeName)
counts = st.integers(0, 300) | st.integers(0, COUNT_MAX - 1)
incarnations = st.integers(1, COUNT_MAX - 1)
attributes = st.dictionaries(
    st.from_regex(r"[A-Za-z0-9][A-Za-z0-9_.:-]{0,30}", fullmatch=True),
    st.text(max_size=60).filter(str.isprintable), max_size=20,
).map(lambda values: tuple(sorted(values.items())))
messages: st.SearchStrategy[Message] = st.one_of(
    st.builds(Ping, seq=counts), st.builds(Ack, seq=counts), st.builds(Nack, seq=counts),
    st.builds(PingRequest, seq=counts, target=names),
    st.builds(Alive, node=names, incarnation=incarnations),
    st.builds(Suspect, node=names, incarnation=incarnations, accuser=names),
    st.builds(Faulty, node=names, incarnation=incarnations, accuser=names),
    st.builds(Profile, node=names, incarnation=incarnations, sequence=counts, attributes=attributes),
    st.builds(Digest, checksums=st.tuples(*[st.integers(0, (1 << 32) - 1)] * BUCKETS)),
    st.builds(Versions, is_answer=st.booleans(), rows=st.lists(st.builds(
        Version, node=names, incarnation=counts, rank=st.integers(0, 3), profile_incarnation=counts,
        profile_sequence=counts), max_size=8).map(tuple)),
).filter(is_sensible)


@given(messages)
def test_a_packet_comes_back_as_it_was_and_fits_its_room(message: Message) -> None:
    data = encode_gossip((message,))
    assert decode_gossip(data) == (message,)
    assert len(data) <= COMPOUND_OVERHEAD_BYTES + bytes_max(message)


@settings(max_examples=50)
@given(st.lists(messages, max_size=12))
def test_what_fits_by_the_cores_reckoning_fits(many: list[Message]) -> None:
    packet: list[Message] = []
    for message in many:
        if COMPOUND_OVERHEAD_BYTES + sum(map(bytes_max, [*packet, message])) <= COMPOUND_BYTES_MAX:
            packet.append(message)
    data = encode_gossip(tuple(packet))
    assert len(data) <= COMPOUND_BYTES_MAX
    assert decode_gossip(data) == tuple(packet)


def test_the_smallest_messages_reach_the_limit_of_bytes_before_that_of_numbers() -> None:
    smallest = bytes_max(Ping(seq=0))
    count = (COMPOUND_BYTES_MAX - COMPOUND_OVERHEAD_BYTES) // smallest
    assert count <= MESSAGES_MAX
    assert len(decode_gossip(encode_gossip((Ping(seq=1 << 40),) * count))) == count


def test_a_ping_is_small() -> None:
    assert len(encode_gossip((Ping(seq=1 << 31),))) <= 12


def test_more_than_a_packet_is_not_written() -> None:
    with pytest.raises(TooLargeError):
        encode_gossip((Ping(seq=1),) * (MESSAGES_MAX + 1))
    profile = Profile(node=NodeName("n"), incarnation=1, sequence=1, attributes=(("a", "x" * 900),))
    with pytest.raises(TooLargeError):
        encode_gossip((profile, profile))


@given(st.binary(max_size=200))
def test_noise_is_malformed_or_a_packet(data: bytes) -> None:
    with suppress(MalformedError):
        decode_gossip(data)


@given(messages, st.data())
def test_a_damaged_packet_is_malformed_or_another(message: Message, data: st.DataObject) -> None:
    packet = bytearray(encode_gossip((message,)))
    packet[data.draw(st.integers(0, len(packet) - 1))] = data.draw(st.integers(0, 255))
    with suppress(MalformedError):
        decode_gossip(bytes(packet))


@pytest.mark.parametrize("data", [b"", b"\x00", b"\x91\x02", b"\x92\x02\x05", b"\x92\x01\x91\x92\x63\x00"])
def test_other_bytes_are_malformed(data: bytes) -> None:
    with pytest.raises(MalformedError):
        decode_gossip(data)
