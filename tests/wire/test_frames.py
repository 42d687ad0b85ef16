# SPDX-License-Identifier: LGPL-2.1-or-later
"""Frames survive any cut of the stream, and nothing outside the limit is buffered."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from synod.base.codec import MalformedError, TooLargeError
from synod.wire.frames import Frame, FrameDecoder, encode_frame

frames = st.lists(st.builds(Frame, st.integers(0, 255), st.binary(max_size=40)), max_size=8)


def test_the_layout_is_length_kind_payload() -> None:
    assert encode_frame(7, b"ab") == b"\0\0\0\x03\x07ab"


@given(frames, st.data())
def test_frames_survive_every_way_of_cutting_the_stream(sent: list[Frame], data: st.DataObject) -> None:
    stream = b"".join(encode_frame(frame.kind, frame.payload) for frame in sent)
    decoder, received = FrameDecoder(), []
    while stream:
        size = data.draw(st.integers(1, len(stream)))
        received += decoder.feed(stream[:size])
        stream = stream[size:]
    assert received == sent
    assert decoder.pending_bytes == 0


@given(st.lists(st.binary(max_size=30), max_size=10))
def test_random_bytes_become_frames_or_malformed_and_the_buffer_stays_bounded(chunks: list[bytes]) -> None:
    decoder = FrameDecoder(bytes_max=16)
    try:
        for chunk in chunks:
            for frame in decoder.feed(chunk):
                assert len(frame.payload) < 16
            assert decoder.pending_bytes < 4 + 16
    except MalformedError:
        return


@pytest.mark.parametrize("length", [0, 17, 0xFFFFFFFF])
def test_a_length_out_of_range_is_refused_before_its_bytes_arrive_and_for_good(length: int) -> None:
    decoder = FrameDecoder(bytes_max=16)
    with pytest.raises(MalformedError):
        decoder.feed(length.to_bytes(4, "big"))
    with pytest.raises(MalformedError):
        decoder.feed(encode_frame(1, b""))


def test_the_limit_is_the_same_on_both_sides() -> None:
    assert FrameDecoder(bytes_max=16).feed(encode_frame(1, b"x" * 15, 16)) == [Frame(1, b"x" * 15)]
    with pytest.raises(TooLargeError):
        encode_frame(1, b"x" * 16, 16)
