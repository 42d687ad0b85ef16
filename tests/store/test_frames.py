# SPDX-License-Identifier: LGPL-2.1-or-later
import msgpack
import pytest
from hypothesis import given
from hypothesis import strategies as st
from store_samples import MINE, write, writes

from synod.base.ids import NodeName
from synod.ledger.effects import Persist
from synod.store.frames import (
    FRAME_HEADER_BYTES,
    FormatError,
    Identity,
    body_length,
    damage_in,
    decode_frame,
    decode_header,
    encode_frame,
    encode_header,
    encode_writes,
)


def frame_of(number: int, *items: Persist) -> bytes:
    return encode_frame(number, [encode_writes(item) for item in items])


def test_header_round_trip() -> None:
    data = encode_header(MINE)
    assert decode_header(data + b"frames follow") == (MINE, len(data))


@given(st.data())
def test_a_header_with_any_bit_flipped_is_refused(data: st.DataObject) -> None:
    header = bytearray(encode_header(MINE))
    bit = data.draw(st.integers(0, len(header) * 8 - 1))
    header[bit // 8] ^= 1 << bit % 8
    with pytest.raises(FormatError):
        decode_header(bytes(header))


def test_a_newer_format_is_named() -> None:
    header = bytearray(encode_header(MINE))
    header[9] = 2
    with pytest.raises(FormatError, match="format 2, this program reads format 1"):
        decode_header(bytes(header))


@pytest.mark.parametrize("identity", [Identity(cluster="x" * 256, node=MINE.node),
                                      Identity(cluster="x", node=NodeName("../n1"))])
def test_an_impossible_identity_is_not_written(identity: Identity) -> None:
    with pytest.raises(ValueError, match="not a cluster and node"):
        encode_header(identity)


@given(writes())
def test_frame_round_trip(items: list[Persist]) -> None:
    data = frame_of(7, *items)
    head, body = data[:FRAME_HEADER_BYTES], data[FRAME_HEADER_BYTES:]
    assert body_length(head) == len(body)
    frame = decode_frame(head, body)
    assert frame is not None
    assert frame.number == 7
    assert [(item.hard_state, item.truncate_from, item.entries) for item in frame.writes] == [
        (item.hard_state, item.truncate_from, item.entries) for item in items]


@given(st.data())
def test_a_frame_with_any_bit_flipped_is_no_frame(data: st.DataObject) -> None:
    whole = frame_of(1, write(1))
    bit = data.draw(st.integers(0, len(whole) * 8 - 1))
    flipped = bytearray(whole)
    flipped[bit // 8] ^= 1 << bit % 8
    head = bytes(flipped[:FRAME_HEADER_BYTES])
    length = body_length(head)
    assert length is None or decode_frame(head, bytes(flipped[FRAME_HEADER_BYTES:][:length])) is None


@pytest.mark.parametrize("content", [
    1,
    [None, None],
    [None, -1, []],
    [None, True, []],
    [[1, 2, 3, 4], None, []],
    [[1, None, 0], None, []],
    [None, None, [[1, 1, "text", None, None]]],
    [None, None, [[1, 1, b"", ["n1", "b"], None]]],
    [None, None, [[1, 1, b"", None, [["n2", "n1"], []]]]],
    [None, None, [[1, 1, b"", None, [["n1"], ["n1"]]]]],
])
def test_a_whole_frame_with_strange_content_is_refused_and_not_skipped(content: object) -> None:
    data = encode_frame(1, [msgpack.packb(content)])
    with pytest.raises(FormatError):
        decode_frame(data[:FRAME_HEADER_BYTES], data[FRAME_HEADER_BYTES:])


@given(st.binary(max_size=200))
def test_arbitrary_bytes_never_decode_nor_raise_anything_else(data: bytes) -> None:
    with pytest.raises(FormatError):
        decode_header(data)
    damage_in(data, 0, 1)
    length = body_length(data)
    assert length is None or decode_frame(data[:FRAME_HEADER_BYTES], data[FRAME_HEADER_BYTES:]) is None


# The end of a log: torn, or damaged?

WHOLE = frame_of(1, write(1, payload=b"x" * 1500))


@given(st.integers(0, len(WHOLE) - 1), st.integers(0, 1000))
def test_any_beginning_of_a_frame_may_be_torn(length: int, offset: int) -> None:
    assert damage_in(WHOLE[:length], offset, 1) is None


@pytest.mark.parametrize("sector", [0, 1, 2])
def test_a_complete_frame_that_lacks_a_sector_may_be_torn(sector: int) -> None:
    tail = bytearray(WHOLE)
    tail[sector * 512:sector * 512 + 512] = bytes(512)
    assert damage_in(bytes(tail), 0, 1) is None


@given(st.integers(0, len(WHOLE) * 8 - 1), st.integers(0, 400))
def test_a_complete_last_frame_with_a_flipped_bit_is_damage(bit: int, offset: int) -> None:
    tail = bytearray(WHOLE)
    tail[bit // 8] ^= 1 << bit % 8
    assert damage_in(bytes(tail), offset, 1) is not None


def test_a_bad_frame_before_a_good_one_is_damage() -> None:
    bad = bytearray(WHOLE)
    bad[100:612] = bytes(512)
    assert "a later one at" in str(damage_in(bytes(bad) + frame_of(2, write(2)), 50, 1))


def test_a_bad_frame_before_anything_is_damage() -> None:
    bad = bytearray(WHOLE)
    bad[100] ^= 1
    assert "more follows" in str(damage_in(bytes(bad) + b"\0" * 600, 50, 1))


def test_an_old_frame_inside_a_payload_is_no_later_frame() -> None:
    tail = frame_of(5, write(1, payload=frame_of(4, write(1)) + b"x" * 600))
    assert damage_in(tail[:-10], 0, 5) is None
