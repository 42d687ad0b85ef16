# SPDX-License-Identifier: LGPL-2.1-or-later
"""The codec round trips every supported type, refuses every other byte string, and spans one version."""

import dataclasses
from dataclasses import dataclass
from enum import Enum, IntEnum, StrEnum
from typing import NewType, Protocol

import msgpack
import pytest
from hypothesis import given
from hypothesis import strategies as st

from synod.base.codec import INT_MAX, INT_MIN, Codec, MalformedError, TooLargeError

Name = NewType("Name", str)
Count = NewType("Count", int)


class Colour(Enum):
    RED = "red"
    BLUE = "blue"


class Level(IntEnum):
    LOW = 1
    HIGH = 2


class Mode(StrEnum):
    FAST = "fast"
    SAFE = "safe"


class Command(Protocol):
    """Root of what an entry may carry."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Start(Command):
    unit: Name


@dataclass(frozen=True, slots=True, kw_only=True)
class Stop(Command):
    unit: Name
    hard: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Point:
    x: int
    y: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Path:
    points: tuple[Point, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Nothing:
    pass


@dataclass(frozen=True, slots=True, kw_only=True)
class Everything:
    flag: bool
    number: int
    count: Count
    text: str
    name: Name
    data: bytes
    maybe: bytes | None
    colour: Colour
    level: Level
    mode: Mode | None
    point: Point
    points: tuple[Point, ...]
    pair: tuple[int, str]
    either: Start | Stop | None
    command: Command
    commands: tuple[Command, ...]
    mixed: int | str | bool | Point
    nothing: Nothing
    empty: None


TYPES = {1: Start, 2: Stop, 3: Everything, 4: Nothing}
CODEC = Codec(TYPES)

integers = st.integers(INT_MIN, INT_MAX)
texts = st.text(st.characters(blacklist_categories=["Cs"]), max_size=8)
starts = st.builds(Start, unit=texts)
stops = st.builds(Stop, unit=texts, hard=st.booleans())
points = st.builds(Point, x=integers, y=st.none() | integers)
everything = st.builds(
    Everything, flag=st.booleans(), number=integers, count=integers, text=texts, name=texts,
    data=st.binary(max_size=8), maybe=st.none() | st.binary(max_size=8), colour=st.sampled_from(Colour),
    level=st.sampled_from(Level), mode=st.none() | st.sampled_from(Mode), point=points,
    points=st.lists(points, max_size=3).map(tuple), pair=st.tuples(integers, texts),
    either=st.none() | starts | stops, command=starts | stops,
    commands=st.lists(starts | stops, max_size=3).map(tuple),
    mixed=integers | texts | st.booleans() | points, nothing=st.just(Nothing()), empty=st.none(),
)  # fmt: skip

SAMPLE = Everything(
    flag=True, number=7, count=Count(8), text="tëxt", name=Name("n"), data=b"\0", maybe=None,
    colour=Colour.RED, level=Level.HIGH, mode=Mode.FAST, point=Point(x=1, y=None),
    points=(Point(x=2, y=3),), pair=(1, "a"),
    either=Stop(unit=Name("u")), command=Start(unit=Name("v")), commands=(), mixed=Point(x=1, y=2),
    nothing=Nothing(), empty=None,
)  # fmt: skip


@given(everything)
def test_every_value_survives_the_round_trip_with_its_types(value: Everything) -> None:
    again = CODEC.decode(CODEC.encode(value))
    assert again == value
    assert repr(again) == repr(value)  # equality alone would take True for 1


def test_the_layout_is_tag_then_fields_and_nested_values_carry_a_tag_only_where_needed() -> None:
    assert msgpack.unpackb(CODEC.encode(Stop(unit=Name("a"), hard=True))) == [2, "a", True]
    tree = msgpack.unpackb(CODEC.encode(SAMPLE))
    assert tree == [3, True, 7, 8, "tëxt", "n", b"\0", None, "red", 2, "fast", [1, None], [[2, 3]], [1, "a"],
                    [2, "u", False], [1, "v"], [], [1, 2], [], None]  # fmt: skip


def tree_with(**changes: object) -> bytes:
    tree = msgpack.unpackb(CODEC.encode(SAMPLE))
    names = [field.name for field in dataclasses.fields(Everything)]
    for name, value in changes.items():
        tree[1 + names.index(name)] = value
    return bytes(msgpack.packb(tree, use_bin_type=True))


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("flag", 1), ("number", True), ("number", 1.0), ("number", None), ("text", b"x"), ("data", "x"),
        ("maybe", 0), ("colour", "green"), ("colour", 1), ("level", 3), ("level", True), ("level", []),
        ("point", None), ("point", [1]), ("point", [1, "2"]), ("point", {"x": 1}), ("points", [[1]]),
        ("points", None), ("pair", [1]), ("pair", [1, "a", 2]), ("pair", ["a", 1]), ("either", [3]),
        ("either", ["1", "u"]), ("either", []), ("either", [True, "u"]), ("command", None), ("command", [4]),
        ("commands", [[1, "u"], [9, "u"]]), ("mixed", None), ("mixed", 1.5), ("empty", False),
        ("nothing", None), ("number", msgpack.ExtType(5, b"")), ("number", msgpack.Timestamp(0, 0)),
    ],
)  # fmt: skip
def test_a_field_of_the_wrong_type_is_refused(field: str, value: object) -> None:
    with pytest.raises(MalformedError):
        CODEC.decode(tree_with(**{field: value}))


@pytest.mark.parametrize(
    "data",
    [
        b"", b"\xc1", b"\xc0", b"\x01", b"\x90", b"\x91\x63", b"\x91\xc3", b"\x92\x01", b"\xa1\xff",
        b"\xdd\xff\xff\xff\xff", b"\xdf\xff\xff\xff\xff", b"\xc6\xff\xff\xff\xff", b"\x91" * 5000,
        b"\x81" * 5000, b"\x92\x01\xa1a\x00", b"\x92\x01\xa1\xff",
    ],
)  # fmt: skip
def test_bytes_that_are_no_message_are_refused(data: bytes) -> None:
    with pytest.raises(MalformedError):
        CODEC.decode(data)


@given(st.binary(max_size=64))
def test_random_bytes_decode_or_are_refused(data: bytes) -> None:
    try:
        value = CODEC.decode(data)
    except MalformedError:
        return
    assert type(value) in TYPES.values()


trees = st.recursive(
    st.none() | st.booleans() | integers | st.text(max_size=4) | st.binary(max_size=4) | st.floats(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=2), inner, max_size=2),
    max_leaves=30,
)


@given(st.sampled_from([1, 2, 3, 4, 5]), st.lists(trees, max_size=20))
def test_any_msgpack_decodes_or_is_refused(tag: int, fields: list[object]) -> None:
    data = msgpack.packb([tag, *fields], use_bin_type=True, unicode_errors="surrogatepass")
    try:
        value = CODEC.decode(data)
    except MalformedError:
        return
    assert CODEC.decode(CODEC.encode(value)) == value


@given(everything, st.data())
def test_a_damaged_encoding_is_refused_or_another_message(value: Everything, data: st.DataObject) -> None:
    encoded = bytearray(CODEC.encode(value))
    for _ in range(data.draw(st.integers(1, 3))):
        encoded[data.draw(st.integers(0, len(encoded) - 1))] = data.draw(st.integers(0, 255))
    try:
        again = CODEC.decode(bytes(encoded))
    except MalformedError:
        return
    assert CODEC.decode(CODEC.encode(again)) == again


@given(everything, st.data())
def test_a_truncated_or_extended_encoding_is_refused(value: Everything, data: st.DataObject) -> None:
    encoded = CODEC.encode(value)
    with pytest.raises(MalformedError):
        CODEC.decode(encoded[: data.draw(st.integers(0, len(encoded) - 1))])
    with pytest.raises(MalformedError):
        CODEC.decode(encoded + data.draw(st.binary(min_size=1, max_size=3)))


@dataclass(frozen=True, slots=True, kw_only=True)
class NewerStop:
    unit: Name
    hard: bool = False
    reason: str = "none given"
    tags: tuple[int, ...] = dataclasses.field(default_factory=tuple)


@dataclass(frozen=True, slots=True, kw_only=True)
class Holder:
    before: int
    stop: Stop
    after: int


@dataclass(frozen=True, slots=True, kw_only=True)
class NewerHolder:
    before: int
    stop: NewerStop
    after: int


def test_a_newer_reader_fills_in_the_defaults_of_fields_it_was_not_sent() -> None:
    old, new = Codec({2: Stop}), Codec({2: NewerStop})
    assert new.decode(old.encode(Stop(unit=Name("u"), hard=True))) == NewerStop(unit=Name("u"), hard=True)
    assert new.decode(msgpack.packb([2, "u"])) == NewerStop(unit=Name("u"))


def test_an_older_reader_ignores_fields_it_does_not_know_also_inside_other_values() -> None:
    old, new = Codec({1: Holder}), Codec({1: NewerHolder})
    sent = NewerHolder(before=1, stop=NewerStop(unit=Name("u"), reason="r", tags=(1,)), after=2)
    assert old.decode(new.encode(sent)) == Holder(before=1, stop=Stop(unit=Name("u")), after=2)


def test_a_missing_field_without_default_is_refused() -> None:
    with pytest.raises(MalformedError, match="Stop: 0 of 1 fields"):
        CODEC.decode(msgpack.packb([2]))


@pytest.mark.parametrize(
    "changes",
    [
        {"number": True}, {"number": None}, {"flag": 1}, {"text": b"x"}, {"text": "\ud800"}, {"data": "x"},
        {"data": bytearray(b"x")}, {"colour": "red"}, {"points": [Point(x=1, y=1)]}, {"pair": (1,)},
        {"either": Nothing()}, {"point": Nothing()}, {"mixed": None},
    ],
)  # fmt: skip
def test_what_could_not_be_decoded_is_never_written(changes: dict[str, object]) -> None:
    value = dataclasses.replace(SAMPLE, **changes)  # type: ignore[arg-type]
    with pytest.raises(TypeError):
        CODEC.encode(value)
    assert CODEC.decode(CODEC.encode(SAMPLE)) == SAMPLE  # the packer is clean after a failure


def test_enums_are_accepted_where_their_base_type_is_meant_and_read_back_as_such() -> None:
    value = dataclasses.replace(SAMPLE, number=Level.LOW, text=Mode.FAST)
    again = CODEC.decode(CODEC.encode(value))
    assert isinstance(again, Everything)
    assert (type(again.number), type(again.text)) == (int, str)
    assert again == value


@pytest.mark.parametrize("number", [INT_MIN - 1, INT_MAX + 1])
def test_integers_beyond_64_bits_are_not_written(number: int) -> None:
    with pytest.raises(TooLargeError):
        CODEC.encode(dataclasses.replace(SAMPLE, number=number))


def test_both_sides_keep_the_limits_of_bytes_and_items() -> None:
    narrow = Codec({1: Start, 2: Stop, 5: Path}, max_bytes=100, max_items=2)
    roomy = Codec({1: Start, 2: Stop, 5: Path})
    three = Path(points=(Point(x=1, y=1),) * 3)
    with pytest.raises(TooLargeError, match="limit is 100"):
        narrow.encode(Start(unit=Name("x" * 100)))
    with pytest.raises(MalformedError, match="limit is 100"):
        narrow.decode(roomy.encode(Start(unit=Name("x" * 100))))
    with pytest.raises(TooLargeError, match="limit is 2"):
        narrow.encode(three)
    with pytest.raises(MalformedError):
        narrow.decode(roomy.encode(three))


@dataclass(frozen=True)
class Checked:
    low: int
    high: int

    def __post_init__(self) -> None:
        if self.low > self.high:
            raise ValueError("low exceeds high")


def test_what_a_dataclass_refuses_is_malformed() -> None:
    codec = Codec({1: Checked})
    assert codec.decode(msgpack.packb([1, 1, 2])) == Checked(1, 2)
    with pytest.raises(MalformedError, match="Checked: low exceeds high"):
        codec.decode(msgpack.packb([1, 2, 1]))


@dataclass(frozen=True)
class WithDict:
    table: dict[str, int]


@dataclass(frozen=True)
class WithFloat:
    ratio: float


@dataclass
class Thawed:
    x: int


@dataclass(frozen=True)
class Cyclic:
    inner: "Cyclic | None"


@dataclass(frozen=True)
class Ambiguous:
    value: Mode | str


@dataclass(frozen=True)
class Untagged:
    value: Point | Checked


@pytest.mark.parametrize("types", [
    {1: WithDict}, {1: WithFloat}, {1: Thawed}, {1: Cyclic}, {1: Ambiguous}, {1: Untagged}, {1: int},
    {1: Start, 2: Start}, {-1: Start},
])  # fmt: skip
def test_types_that_cannot_be_encoded_are_refused_when_the_codec_is_built(types: dict[int, type]) -> None:
    with pytest.raises(TypeError):
        Codec(types)


def test_an_unregistered_value_is_not_written() -> None:
    with pytest.raises(TypeError, match="Point is not registered"):
        CODEC.encode(Point(x=1, y=1))
