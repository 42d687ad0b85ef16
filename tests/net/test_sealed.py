# SPDX-License-Identifier: LGPL-2.1-or-later
"""What members believe, and everything they do not."""

import random
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from synod.base.codec import TooLargeError
from synod.base.ids import NodeName
from synod.gossip.timing import COMPOUND_BYTES_MAX
from synod.net.sealed import (
    OVERHEAD_BYTES_MAX,
    PACKET_BYTES_MAX,
    PAYLOAD_BYTES_MAX,
    WINDOW,
    GossipKey,
    Keyring,
    Opened,
    Opener,
    Rejection,
    ReplayWindow,
    Sealer,
    new_session,
)

A, B, C = NodeName("a"), NodeName("b"), NodeName("c")
OLD, NEW, NEWER = (GossipKey(id=number, secret=bytes([number]) * 32) for number in (1, 2, 3))
RING = Keyring(label="prod", keys=(OLD,))


def session(age: int) -> bytes:
    return age.to_bytes(8, "big") + b"12345678"


def sealer(name: NodeName = A, keyring: Keyring = RING, age: int = 1) -> Sealer:
    return Sealer(keyring, name, session(age))


def opener(name: NodeName = B, keyring: Keyring = RING) -> Opener:
    made = Opener(keyring, name)
    made.set_senders([A, B, C])
    return made


def test_what_a_member_says_arrives() -> None:
    assert opener().open(sealer().seal(B, b"hello")) == Opened(sender=A, payload=b"hello")
    assert opener().open(sealer().seal(B, b"")) == Opened(sender=A, payload=b"")


def test_nothing_of_it_can_be_read_on_the_way() -> None:
    assert b"hello" not in sealer().seal(B, b"hello")


def test_each_packet_is_believed_once() -> None:
    receiver, packet = opener(), sealer().seal(B, b"x")
    assert isinstance(receiver.open(packet), Opened)
    assert receiver.open(packet) is Rejection.REPLAYED


def test_packets_may_overtake_each_other() -> None:
    sender, receiver = sealer(), opener()
    packets = [sender.seal(B, bytes([number])) for number in range(200)]
    random.Random(1).shuffle(packets)
    assert all(isinstance(receiver.open(packet), Opened) for packet in packets)
    assert [receiver.open(packet) for packet in packets] == [Rejection.REPLAYED] * 200


def test_what_comes_far_too_late_counts_as_replayed() -> None:
    sender, receiver = sealer(), opener()
    first, second = sender.seal(B, b"1"), sender.seal(B, b"2")
    for _ in range(WINDOW - 1):
        latest = sender.seal(C, b"to another")
    latest = sender.seal(B, b"latest")
    receiver.open(latest)
    assert receiver.open(second) is Rejection.REPLAYED
    assert receiver.open(first) is Rejection.REPLAYED


def test_any_changed_bit_is_noticed() -> None:
    packet = sealer().seal(B, b"hello")
    for bit in range(8 * len(packet)):
        changed = bytearray(packet)
        changed[bit // 8] ^= 1 << bit % 8
        assert isinstance(opener().open(bytes(changed)), Rejection)


def test_a_part_of_a_packet_or_more_than_one_is_none() -> None:
    packet = sealer().seal(B, b"hello")
    for length in range(len(packet)):
        assert isinstance(opener().open(packet[:length]), Rejection)
    assert opener().open(packet + b"x") is Rejection.FORGED
    assert opener().open(packet + bytes(PACKET_BYTES_MAX)) is Rejection.MALFORMED


def test_a_packet_to_another_receiver_is_not_believed() -> None:
    assert opener(C).open(sealer().seal(B, b"x")) is Rejection.FORGED


def test_a_packet_of_another_cluster_is_not_believed_even_with_the_same_key() -> None:
    other = Keyring(label="test", keys=(OLD,))
    assert opener().open(sealer(keyring=other).seal(B, b"x")) is Rejection.FORGED


def test_a_member_can_not_speak_for_another_without_its_name_in_the_key() -> None:
    packet = sealer(C).seal(B, b"x")
    assert opener().open(packet.replace(b"\x01c", b"\x01a", 1)) is Rejection.FORGED


def test_own_packets_that_come_back_are_not_believed() -> None:
    assert opener(A).open(sealer(A).seal(A, b"x")) is Rejection.UNKNOWN_SENDER


def test_who_is_no_member_any_more_is_not_believed() -> None:
    sender, receiver = sealer(), opener()
    receiver.open(sender.seal(B, b"x"))
    receiver.set_senders([C])
    assert receiver.open(sender.seal(B, b"x")) is Rejection.UNKNOWN_SENDER


def test_members_that_stay_keep_what_was_received() -> None:
    receiver, packet = opener(), sealer().seal(B, b"x")
    receiver.open(packet)
    receiver.set_senders([A, NodeName("d")])
    assert receiver.open(packet) is Rejection.REPLAYED


# Sessions


def test_a_restarted_sender_is_believed_and_its_earlier_life_no_more() -> None:
    before, after, receiver = sealer(age=1), sealer(age=2), opener()
    kept = before.seal(B, b"kept by somebody")
    assert isinstance(receiver.open(before.seal(B, b"x")), Opened)
    assert isinstance(receiver.open(after.seal(B, b"x")), Opened)
    assert receiver.open(kept) is Rejection.OLD_SESSION


def test_a_forged_session_does_not_replace_the_true_one() -> None:
    sender, receiver = sealer(age=1), opener()
    first = sender.seal(B, b"x")
    receiver.open(first)
    forged = bytearray(sealer(age=9).seal(B, b"x"))
    forged[-1] ^= 1
    assert receiver.open(bytes(forged)) is Rejection.FORGED
    assert receiver.open(first) is Rejection.REPLAYED
    assert isinstance(receiver.open(sender.seal(B, b"y")), Opened)


def test_a_clock_that_was_set_back_is_forgiven_when_the_sender_is_proved_to_be_there() -> None:
    receiver, packet = opener(), sealer(age=1).seal(B, b"x")
    receiver.open(sealer(age=2).seal(B, b"x"))
    assert receiver.open(packet) is Rejection.OLD_SESSION
    receiver.forget(A)
    assert isinstance(receiver.open(packet), Opened)


def test_sessions_differ_and_grow() -> None:
    sessions = [new_session() for _ in range(100)]
    assert len(set(sessions)) == 100
    assert [part[:8] for part in sessions] == sorted(part[:8] for part in sessions)


# Keys


def test_keys_are_rotated_without_losing_a_packet() -> None:
    steps = [RING, Keyring(label="prod", keys=(OLD, NEW)), Keyring(label="prod", keys=(NEW, OLD)),
             Keyring(label="prod", keys=(NEW,))]
    sender, receiver = sealer(), opener()
    for behind, ahead in pairwise(steps):
        for senders, receivers in ((behind, ahead), (ahead, behind), (ahead, ahead)):
            sender.set_keyring(senders)
            receiver.set_keyring(receivers)
            assert isinstance(receiver.open(sender.seal(B, b"x")), Opened)


def test_a_key_that_is_gone_opens_nothing() -> None:
    receiver, packet = opener(), sealer().seal(B, b"x")
    receiver.set_keyring(Keyring(label="prod", keys=(NEW, NEWER)))
    assert receiver.open(packet) is Rejection.UNKNOWN_KEY


def test_another_secret_under_the_same_id_opens_nothing() -> None:
    sender, receiver = sealer(), opener()
    receiver.open(sender.seal(B, b"x"))
    receiver.set_keyring(Keyring(label="prod", keys=(GossipKey(id=1, secret=b"9" * 32),)))
    assert receiver.open(sender.seal(B, b"x")) is Rejection.FORGED


def test_rotation_does_not_let_old_packets_in_again() -> None:
    sender, receiver = sealer(), opener()
    packet = sender.seal(B, b"x")
    receiver.open(packet)
    receiver.set_keyring(Keyring(label="prod", keys=(NEW, OLD)))
    assert receiver.open(packet) is Rejection.REPLAYED


def test_no_two_packets_share_key_and_nonce() -> None:
    """Sequence, session and key are the nonce and what its key is made of."""
    one, other = sealer(age=1), sealer(age=2)
    other.set_keyring(Keyring(label="prod", keys=(NEW, OLD)))
    packets = [sender.seal(B, b"same") for sender in (one, other) for _ in range(50)]
    assert len({packet[:31] for packet in packets}) == 100
    assert len({packet[-20:] for packet in packets}) == 100


@pytest.mark.parametrize("keys", [(), (OLD, NEW, NEWER), (OLD, GossipKey(id=1, secret=bytes(32)))])
def test_impossible_keyrings_are_refused(keys: tuple[GossipKey, ...]) -> None:
    with pytest.raises(ValueError, match="keyring"):
        Keyring(label="prod", keys=keys)


@pytest.mark.parametrize(("number", "secret"), [(-1, bytes(32)), (1 << 32, bytes(32)), (1, bytes(16))])
def test_impossible_keys_are_refused(number: int, secret: bytes) -> None:
    with pytest.raises(ValueError, match="gossip key"):
        GossipKey(id=number, secret=secret)


def test_a_secret_is_not_printed() -> None:
    assert "secret" not in repr(RING)


# Limits


def test_the_largest_payload_fits_whatever_the_name() -> None:
    sender = sealer(NodeName("x" * 63))
    assert len(sender.seal(B, bytes(PAYLOAD_BYTES_MAX))) == PACKET_BYTES_MAX
    assert len(sender.seal(B, b"")) == OVERHEAD_BYTES_MAX
    with pytest.raises(TooLargeError):
        sender.seal(B, bytes(PAYLOAD_BYTES_MAX + 1))


def test_all_that_gossip_packs_can_be_sealed() -> None:
    assert COMPOUND_BYTES_MAX <= PAYLOAD_BYTES_MAX


@settings(max_examples=400)
@given(st.binary(max_size=PACKET_BYTES_MAX + 2))
def test_any_bytes_are_rejected(data: bytes) -> None:
    assert isinstance(opener().open(data), Rejection)


@settings(max_examples=300)
@given(st.binary(max_size=60), st.integers(0, (1 << 64) - 1), st.binary(max_size=40), st.integers(0, 255))
def test_any_bytes_behind_a_header_are_noise(rest: bytes, sequence: int, name: bytes, length: int) -> None:
    header = b"\x01" + bytes(3) + b"\x01" + sequence.to_bytes(8, "big") + session(1)
    assert isinstance(opener().open(header + bytes([length]) + name + rest), Rejection)
    assert isinstance(opener().open(header + b"\x01a" + rest), Rejection)


@given(st.lists(st.integers(1, 3 * WINDOW) | st.integers(1, (1 << 64) - 1)))
def test_the_window_agrees_with_a_set(numbers: list[int]) -> None:
    window, seen = ReplayWindow(), set[int]()
    for number in numbers:
        is_fresh = number not in seen and number > max(seen, default=0) - WINDOW
        assert window.is_fresh(number) is is_fresh
        if is_fresh:
            window.mark(number)
            seen.add(number)
