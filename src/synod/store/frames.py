# SPDX-License-Identifier: LGPL-2.1-or-later
"""The bytes of a write-ahead log: a header that says whose log it is, then numbered frames.

    header   magic 8, format 2, length 2, identity (MessagePack: cluster, node), CRC 4
    frame    marker 4, body length 4, CRC 4, kind 1, number 8, body

All numbers are big-endian; a CRC is zlib's CRC-32 over everything of its header or frame but itself. One
frame carries one group of writes that became durable together, and the next frame is written only after
that. Therefore at most the last frame can be torn, in whatever order the disk wrote its pages, and a bad
frame that is followed by a good one is damage to what was durable. This module knows nothing of files.
"""

import struct
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import msgpack

from synod.base.ids import Index, NodeName, Term, is_node_name
from synod.ledger.effects import Persist
from synod.ledger.entries import Entry, HardState, ReqId
from synod.ledger.membership import Configuration

FORMAT: Final = 1
"""Version of everything here; raised by any change that an older program would misread."""

BODY_BYTES_MAX: Final = 16 << 20
"""Largest body: several times the largest Persist, small against the memory of any node."""

_MAGIC: Final = b"\x89SYNOD\r\n"  # as PNG's: survives neither text mode nor a seven-bit channel
_HEADER: Final = struct.Struct(">8sHH")
_MARKER: Final = b"\xf5SyF"  # 0xf5 is in no UTF-8 text
_FRAME: Final = struct.Struct(">4sIIBQ")
_COVERED: Final = struct.Struct(">IBQ")  # length, kind and number, as far as the CRC is concerned
_CRC: Final = struct.Struct(">I")
_KIND_WRITES: Final = 1
_SECTOR_BYTES: Final = 512  # what a disk writes wholly or not at all; larger sectors are multiples

HEADER_BYTES_MAX: Final = _HEADER.size + 512 + _CRC.size
FRAME_HEADER_BYTES: Final = _FRAME.size


class FormatError(ValueError):
    """These bytes are not what a log holds; the text says why, for the end of a sentence."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Identity:
    """Whose log it is."""

    cluster: str
    """Up to 255 bytes of UTF-8."""

    node: NodeName


@dataclass(frozen=True, slots=True, kw_only=True)
class Frame:
    """One group of writes."""

    number: int
    """From 1, growing by one."""

    writes: tuple[Persist, ...]
    """Their ``seq`` is 0: it counts only within one life of a node."""


def encode_header(identity: Identity) -> bytes:
    """Return the first bytes of a log."""
    body: bytes = msgpack.packb([identity.cluster, identity.node])
    if len(identity.cluster.encode()) > 255 or not is_node_name(identity.node):
        raise ValueError(f"not a cluster and node: {identity}")
    head = _HEADER.pack(_MAGIC, FORMAT, len(body)) + body
    return head + _CRC.pack(zlib.crc32(head))


def decode_header(data: bytes) -> tuple[Identity, int]:
    """Return whose log begins with these bytes, and the offset of the first frame; raise FormatError."""
    if len(data) < _HEADER.size or not data.startswith(_MAGIC):
        raise FormatError("it is not a log of Synod")
    _, version, length = _HEADER.unpack_from(data)
    if version != FORMAT:
        raise FormatError(f"it has format {version}, this program reads format {FORMAT}")
    end = _HEADER.size + length
    if len(data) < end + _CRC.size or _CRC.unpack_from(data, end)[0] != zlib.crc32(data[:end]):
        raise FormatError("its header is damaged")
    match _unpack(data[_HEADER.size:end]):
        case (str(cluster), str(node)) if is_node_name(node):
            return Identity(cluster=cluster, node=NodeName(node)), end + _CRC.size
    raise FormatError("its header names no cluster and node")


def encode_writes(persist: Persist) -> bytes:
    """Return one write as a part of a body."""
    hard = persist.hard_state
    packed: bytes = msgpack.packb([
        None if hard is None else [hard.term, hard.vote, hard.commit, hard.horizon],
        persist.truncate_from,
        [_entry_out(entry) for entry in persist.entries],
    ])
    return packed


def encode_frame(number: int, parts: Sequence[bytes]) -> bytes:
    """Return a frame of encoded writes."""
    body = b"".join([msgpack.Packer().pack_array_header(len(parts)), *parts])
    assert len(body) <= BODY_BYTES_MAX + 5
    crc = _checksum(number, _KIND_WRITES, body)
    return _FRAME.pack(_MARKER, len(body), crc, _KIND_WRITES, number) + body


def body_length(head: bytes) -> int | None:
    """Return how long the body after a frame header is; None when this is no frame header."""
    if len(head) < _FRAME.size:
        return None
    marker, length, _, _, _ = _FRAME.unpack_from(head)
    return length if marker == _MARKER and length <= BODY_BYTES_MAX + 5 else None


def decode_frame(head: bytes, body: bytes) -> Frame | None:
    """Return the frame, None if it is torn or damaged; raise FormatError if it is not understood."""
    _, length, crc, kind, number = _FRAME.unpack_from(head)
    if len(body) != length or crc != _checksum(number, kind, body):
        return None
    if kind != _KIND_WRITES:
        raise FormatError(f"a frame has the unknown kind {kind}")
    content = _unpack(body)
    if not isinstance(content, tuple):
        raise FormatError("a frame holds no list")
    return Frame(number=number, writes=tuple(_persist_in(item) for item in content))


def damage_in(tail: bytes, offset: int, number: int) -> str | None:
    """Return why the end of a log, which is no whole frame ``number``, is not just torn; None if it may be.

    ``offset`` is where the tail begins in the file. Nothing is written after a frame until it is durable,
    and a sector that was not written reads as zeros or lies beyond the end of the file. So a frame that is
    complete, or that is followed by anything, and lacks no sector, was whole once.
    """
    later = _find_frame(tail, number + 1)
    if later is not None:
        return f"the frame there is bad, and a later one at {offset + later} is good"
    if len(tail) < _FRAME.size:
        return None
    marker, length, crc, kind, found = _FRAME.unpack_from(tail)
    body = tail[_FRAME.size:]
    if crc == _checksum(number, _KIND_WRITES, body):
        return "the header of the last frame is bad"
    if marker == _MARKER and found == number and kind == _KIND_WRITES:
        if length < len(body):
            return "the frame there is bad, and more follows"
        if length > len(body):
            return None
    return None if _lacks_sector(tail, offset) else "the last frame is bad, and not for being incomplete"


def _lacks_sector(tail: bytes, offset: int) -> bool:
    """Whether all that the tail has in some sector of the file is zero."""
    begin = 0
    while begin < len(tail):
        end = begin + _SECTOR_BYTES - (offset + begin) % _SECTOR_BYTES
        if not any(tail[begin:end]):
            return True
        begin = end
    return False


def _find_frame(data: bytes, number: int) -> int | None:
    """Return where a whole frame with at least this number begins, or None."""
    offset = data.find(_MARKER)
    while offset >= 0:
        length = body_length(data[offset:offset + _FRAME.size])
        if length is not None:
            _, _, crc, kind, found = _FRAME.unpack_from(data, offset)
            body = data[offset + _FRAME.size:offset + _FRAME.size + length]
            if found >= number and len(body) == length and crc == _checksum(found, kind, body):
                return offset
        offset = data.find(_MARKER, offset + 1)
    return None


def _checksum(number: int, kind: int, body: bytes) -> int:
    return zlib.crc32(body, zlib.crc32(_COVERED.pack(len(body), kind, number)))


def _unpack(data: bytes) -> object:
    try:
        content: object = msgpack.unpackb(data, use_list=False, raw=False, strict_map_key=True)
    except (ValueError, msgpack.exceptions.UnpackException) as error:
        raise FormatError(f"it holds something undecodable: {error}") from error
    return content


def _entry_out(entry: Entry) -> list[object]:
    req, configuration = entry.req, entry.configuration
    return [entry.index, entry.term, entry.payload,
            None if req is None else [req.client, req.boot, req.seq],
            None if configuration is None else [list(configuration.voters), list(configuration.learners)]]


def _persist_in(item: object) -> Persist:
    match item:
        case (hard, (int() | None) as cut, tuple(entries)) if cut is None or _is_count(cut):
            return Persist(seq=0, hard_state=_hard_in(hard),
                           truncate_from=Index(cut) if cut is not None else None,
                           entries=tuple(_entry_in(entry) for entry in entries))
    raise FormatError("a write is malformed")


def _hard_in(item: object) -> HardState | None:
    match item:
        case None:
            return None
        case (int(term), vote, int(commit), int(horizon)) if _is_count(term, commit, horizon):
            if vote is None or isinstance(vote, str):
                return HardState(term=Term(term), vote=NodeName(vote) if vote is not None else None,
                                 commit=Index(commit), horizon=Index(horizon))
    raise FormatError("a hard state is malformed")


def _entry_in(item: object) -> Entry:
    match item:
        case (int(index), int(term), bytes(payload), req, configuration) if _is_count(index, term):
            return Entry(index=Index(index), term=Term(term), payload=payload, req=_req_in(req),
                         configuration=_configuration_in(configuration))
    raise FormatError("an entry is malformed")


def _req_in(item: object) -> ReqId | None:
    match item:
        case None:
            return None
        case (str(client), str(boot), int(seq)):
            return ReqId(client=NodeName(client), boot=boot, seq=seq)
    raise FormatError("a request id is malformed")


def _configuration_in(item: object) -> Configuration | None:
    match item:
        case None:
            return None
        case (tuple(voters), tuple(learners)) if all(isinstance(name, str) for name in voters + learners):
            configuration = Configuration(voters=voters, learners=learners)
            if configuration.is_valid:
                return configuration
    raise FormatError("a configuration is malformed")


def _is_count(*items: object) -> bool:
    return all(type(item) is int and 0 <= item < 1 << 63 for item in items)
