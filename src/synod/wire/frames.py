# SPDX-License-Identifier: LGPL-2.1-or-later
"""Frames: how messages are told apart in a stream of bytes.

A frame is a length (unsigned, 32 bits, big-endian, counting what follows), one byte of kind, and the
payload. What a kind means is the caller's. The decoder is total: whatever arrives becomes frames or
MalformedError, and it keeps no more than one unfinished frame of the size allowed.
"""

import struct
from typing import Final, NamedTuple

from synod.base.codec import BYTES_MAX, MalformedError, TooLargeError

FRAME_BYTES_MAX: Final = BYTES_MAX + 1
"""Default limit of kind and payload together: whatever the codec may produce."""

HEADER_BYTES: Final = 4
KIND_MAX: Final = 255

_HEADER = struct.Struct(">I")
_PREFIX = struct.Struct(">IB")


class Frame(NamedTuple):
    """One message as it travels."""

    kind: int
    payload: bytes


def encode_frame(kind: int, payload: bytes, bytes_max: int = FRAME_BYTES_MAX) -> bytes:
    """Return the bytes of a frame; raise TooLargeError when no decoder of that limit would take it."""
    length = len(payload) + 1
    if length > bytes_max:
        raise TooLargeError(f"a frame of {length} bytes, the limit is {bytes_max}")
    return _PREFIX.pack(length, kind) + payload


def frame_length(header: bytes, bytes_max: int = FRAME_BYTES_MAX) -> int:
    """Return how many bytes follow a header; raise MalformedError outside [1, bytes_max]."""
    (length,) = _HEADER.unpack(header)
    if not 1 <= length <= bytes_max:
        raise MalformedError(f"a frame of {length} bytes, the limit is {bytes_max}")
    return int(length)


class FrameDecoder:
    """Cuts a stream into frames, however the network has cut it."""

    def __init__(self, bytes_max: int = FRAME_BYTES_MAX) -> None:
        self._bytes_max = bytes_max
        self._buffer = bytearray()

    @property
    def pending_bytes(self) -> int:
        """Bytes of a frame that is not complete yet."""
        return len(self._buffer)

    def feed(self, data: bytes) -> list[Frame]:
        """Return the frames completed by ``data``.

        Raises MalformedError for a length out of range, and again at every later call: where the next frame
        would begin is unknown from then on. Frames of the same call are lost with it, as the stream is.
        """
        self._buffer += data
        frames, position, buffer = [], 0, self._buffer
        while len(buffer) - position >= HEADER_BYTES:
            start = position + HEADER_BYTES
            end = start + frame_length(bytes(buffer[position:start]), self._bytes_max)
            if len(buffer) < end:
                break
            frames.append(Frame(buffer[start], bytes(buffer[start + 1 : end])))
            position = end
        del buffer[:position]
        return frames
