# SPDX-License-Identifier: LGPL-2.1-or-later
"""Bytes for frozen dataclasses: MessagePack arrays, validated field by field against the type hints.

Decides how a value is laid out; refuses to know what any value means. Encoders and decoders are compiled
once, from the hints, into closures, so that the log and the streams pay for no reflection.

Layout. A message is the array ``[tag, field...]`` in declaration order. A field whose static type is exactly
one dataclass is the array ``[field...]``; where several are possible (a union, or a base class with
registered subclasses) it is ``[tag, field...]``. Enums travel by value. Hence widening a field from one
dataclass to a union changes its bytes: give such a field its union from the start.

Versions. Fields may only be appended, with a default, never reordered: a missing trailing field takes its
default and an unknown one is ignored, so that neighbouring versions understand each other (architecture,
decision 16).

Depth is bounded by construction, because a type that contains itself is refused.
"""

import dataclasses
import types as python_types
from collections.abc import Callable, Iterable, Mapping
from enum import Enum
from operator import attrgetter
from typing import Final, NewType, NoReturn, Union, get_args, get_origin, get_type_hints

import msgpack

BYTES_MAX: Final = 16 << 20
"""Default limit of one encoded message: far above any batch of entries, far below what hurts a node."""

ITEMS_MAX: Final = 1 << 16
"""Default limit of the items of one array: the unpacker allocates as many slots as an array *claims*."""

INT_MIN: Final = -(1 << 63)
INT_MAX: Final = (1 << 64) - 1
_TAG_MAX: Final = (1 << 16) - 1
_PRIMITIVES: Final = (bool, int, str, bytes)

_Convert = Callable[[object], object]


class MalformedError(ValueError):
    """The bytes are not an encoding of any known message; the text says where it went wrong."""


class TooLargeError(ValueError):
    """The value has an encoding, but it exceeds the codec's limits."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class _Shape:
    """How one static type is written and read."""

    encode: Mapping[type, _Convert]
    """By exact type of the value."""
    decode: Mapping[type, _Convert]
    """By type of what MessagePack yields."""


class Codec:
    """The bytes of a closed set of message types."""

    def __init__(
        self, types: Mapping[int, type], *, max_bytes: int = BYTES_MAX, max_items: int = ITEMS_MAX
    ) -> None:
        """Compile the codec of ``types``, tag to frozen dataclass; TypeError for what cannot be encoded."""
        self._max_bytes = max_bytes
        self._max_items = max_items
        shape = _Compiler(types, max_items).tagged(types.values(), "message")
        self._encoders = shape.encode
        self._decode_tagged = shape.decode[list]
        # Reused, because a fresh packer allocates a buffer of a megabyte.
        self._pack: Callable[[object], bytes] = msgpack.Packer(use_bin_type=True, autoreset=True).pack

    def encode(self, value: object) -> bytes:
        """Return the bytes of a registered dataclass.

        Raises TypeError when a field does not hold what its hint promises, and TooLargeError beyond the
        limits: what could not be decoded again is never written.
        """
        encoder = self._encoders.get(type(value))
        if encoder is None:
            raise TypeError(f"{type(value).__name__} is not registered")
        try:
            data = self._pack(encoder(value))
        except UnicodeEncodeError as error:  # a lone surrogate, from a file name that is not UTF-8
            raise TypeError(f"{type(value).__name__}: {error}") from None
        if len(data) > self._max_bytes:
            name = type(value).__name__
            raise TooLargeError(f"{name} takes {len(data)} bytes, the limit is {self._max_bytes}")
        return data

    def decode(self, data: bytes) -> object:
        """Return the value encoded in ``data``; MalformedError, and nothing else, for any other bytes."""
        if len(data) > self._max_bytes:
            raise MalformedError(f"{len(data)} bytes, the limit is {self._max_bytes}")
        try:
            tree = msgpack.unpackb(
                data, raw=False, max_array_len=min(len(data), self._max_items), max_map_len=0, max_ext_len=0
            )
        except (ValueError, msgpack.UnpackException) as error:
            raise MalformedError(f"not MessagePack: {error}") from None
        if type(tree) is not list:
            raise MalformedError(f"expected an array, found {type(tree).__name__}")
        return self._decode_tagged(tree)


class _Compiler:
    """Turns type hints into shapes; lives only while a codec is built."""

    def __init__(self, types: Mapping[int, type], max_items: int) -> None:
        self._tags: dict[type, int] = {}
        for tag, cls in types.items():
            if not 0 <= tag <= _TAG_MAX or cls in self._tags:
                raise TypeError(f"tag {tag} of {cls.__name__}: out of range, or its type has two tags")
            self._tags[cls] = tag
        self._max_items = max_items
        self._fields: dict[type, tuple[_Convert, _Convert]] = {}
        self._open: list[type] = []

    def tagged(self, classes: Iterable[type], where: str) -> _Shape:
        """Return the shape ``[tag, field...]`` of one of ``classes``."""
        encode: dict[type, _Convert] = {}
        decode: dict[int, _Convert] = {}
        for cls in classes:
            if cls not in self._tags:
                raise TypeError(f"{where}: {cls.__name__} is one of several and needs a tag")
            write, decode[self._tags[cls]] = self._dataclass(cls)
            encode[cls] = _tagging(self._tags[cls], write)
        return _Shape(encode=encode, decode={list: _tag_reader(decode)})

    def shape(self, hint: object, where: str) -> _Shape:
        """Return the shape of a static type."""
        while isinstance(hint, NewType):
            hint = hint.__supertype__
        origin = get_origin(hint)
        if origin is Union or origin is python_types.UnionType:
            return self._union(get_args(hint), where)
        if origin is tuple:
            return self._tuple(get_args(hint), where)
        if not isinstance(hint, type) or origin is not None:
            raise TypeError(f"{where}: {hint} cannot be encoded")
        return self._simple(hint, where)

    def _simple(self, cls: type, where: str) -> _Shape:
        if cls is python_types.NoneType:
            return _Shape(encode={cls: _identity}, decode={cls: _identity})
        if cls is int:
            return _Shape(encode={int: _checked_int}, decode={int: _identity})
        if cls in _PRIMITIVES:
            return _Shape(encode={cls: _identity}, decode={cls: _identity})
        if issubclass(cls, Enum):
            return _enum(cls, where)
        candidates = [known for known in self._tags if cls in known.__mro__]
        if len(candidates) > 1 or (candidates and candidates[0] is not cls):
            return self.tagged(candidates, where)
        if not dataclasses.is_dataclass(cls):
            raise TypeError(f"{where}: {cls.__name__} cannot be encoded, nor is a subclass registered")
        write, read = self._dataclass(cls)
        return _Shape(encode={cls: write}, decode={list: read})

    def _union(self, members: Iterable[object], where: str) -> _Shape:
        encode: dict[type, _Convert] = {}
        decode: dict[type, _Convert] = {}
        classes: dict[type, None] = {}
        for member in members:
            if isinstance(member, type) and dataclasses.is_dataclass(member):
                classes[member] = None
        shapes = [self.shape(member, where) for member in members if member not in classes]
        if len(classes) == 1:
            shapes.append(self.shape(next(iter(classes)), where))
        elif classes:
            shapes.append(self.tagged(classes, where))
        for shape in shapes:
            if decode.keys() & shape.decode.keys():
                raise TypeError(f"{where}: members of the union cannot be told apart")
            encode.update(shape.encode)
            decode.update(shape.decode)
        return _Shape(encode=encode, decode=decode)

    def _tuple(self, items: tuple[object, ...], where: str) -> _Shape:
        if len(items) == 2 and items[1] is Ellipsis:
            item = self.shape(items[0], where)
            write, read = _sequence(_by_type(item.encode), _by_type(item.decode), self._max_items)
        else:
            shapes = [self.shape(item, where) for item in items]
            write, read = _record([_by_type(s.encode) for s in shapes], [_by_type(s.decode) for s in shapes])
        return _Shape(encode={tuple: write}, decode={list: read})

    def _dataclass(self, cls: type) -> tuple[_Convert, _Convert]:
        if cls in self._open:
            raise TypeError(f"{cls.__name__} contains itself")
        if cls not in self._fields:
            if not dataclasses.is_dataclass(cls) or not cls.__dataclass_params__.frozen:  # type: ignore[attr-defined]
                raise TypeError(f"{cls.__name__} is not a frozen dataclass")
            self._open.append(cls)
            hints, fields = get_type_hints(cls), dataclasses.fields(cls)
            if not all(field.init for field in fields):
                raise TypeError(f"{cls.__name__} has a field that its constructor does not take")
            shapes = [self.shape(hints[field.name], f"{cls.__name__}.{field.name}") for field in fields]
            self._fields[cls] = _writer(cls, fields, shapes), _reader(cls, fields, shapes)
            self._open.pop()
        return self._fields[cls]


def _identity(value: object) -> object:
    return value


def _checked_int(value: object) -> object:
    assert isinstance(value, int)
    if not INT_MIN <= value <= INT_MAX:
        raise TooLargeError(f"{value} does not fit into 64 bits")
    return int(value)


def _refuse(value: object, expected: Mapping[type, _Convert]) -> NoReturn:
    names = " or ".join(cls.__name__ for cls in expected)
    raise MalformedError(f"expected {names}, found {type(value).__name__}")


def _by_type(converters: Mapping[type, _Convert]) -> _Convert:
    """Return one converter that dispatches on the exact type: bool is not int."""
    if len(converters) == 1:
        only, single = next(iter(converters.items()))
        if single is _identity:

            def pass_through(value: object) -> object:
                if type(value) is not only:
                    return _widened(value, converters)
                return value

            return pass_through

        def convert_one(value: object) -> object:
            return single(value) if type(value) is only else _widened(value, converters)

        return convert_one

    def convert(value: object) -> object:
        converter = converters.get(type(value))
        return _widened(value, converters) if converter is None else converter(value)

    return convert


def _widened(value: object, converters: Mapping[type, _Convert]) -> object:
    """Accept an IntEnum where int is meant and a StrEnum for str: equal to what will be read back."""
    for base in (int, str):
        if base in converters and isinstance(value, base) and isinstance(value, Enum):
            return base(value.value)
    _refuse(value, converters)


def _enum(cls: type[Enum], where: str) -> _Shape:
    kinds = {type(member.value) for member in cls}
    if len(kinds) != 1 or not kinds <= {int, str}:
        raise TypeError(f"{where}: values of {cls.__name__} are not all int or all str")
    values = {member: member.value for member in cls}
    members: dict[object, object] = {member.value: member for member in cls}

    def read(value: object) -> object:
        member = members.get(value)
        if member is None:
            raise MalformedError(f"{value!r:.40} is no {cls.__name__}")
        return member

    def write(value: object) -> object:
        assert isinstance(value, cls)
        return values[value]

    return _Shape(encode={cls: write}, decode={kinds.pop(): read})


def _sequence(write_item: _Convert, read_item: _Convert, items_max: int) -> tuple[_Convert, _Convert]:
    def write(value: object) -> object:
        assert isinstance(value, tuple)
        if len(value) > items_max:
            raise TooLargeError(f"{len(value)} items, the limit is {items_max}")
        return [write_item(item) for item in value]

    def read(value: object) -> object:
        assert isinstance(value, list)
        return tuple([read_item(item) for item in value])

    return write, read


def _record(writers: list[_Convert], readers: list[_Convert]) -> tuple[_Convert, _Convert]:
    def write(value: object) -> object:
        assert isinstance(value, tuple)
        if len(value) != len(writers):
            raise MalformedError(f"expected {len(writers)} items, found {len(value)}")
        return [convert(item) for convert, item in zip(writers, value, strict=True)]

    def read(value: object) -> object:
        assert isinstance(value, list)
        if len(value) != len(readers):
            raise MalformedError(f"expected {len(readers)} items, found {len(value)}")
        return tuple([convert(item) for convert, item in zip(readers, value, strict=True)])

    return write, read


def _writer(cls: type, fields: tuple[dataclasses.Field[object], ...], shapes: list[_Shape]) -> _Convert:
    names = [field.name for field in fields]
    converters = [_by_type(shape.encode) for shape in shapes]
    # attrgetter with one name returns no tuple; with none it is an error.
    get: Callable[[object], tuple[object, ...]] | None = attrgetter(*names) if len(names) > 1 else None

    def write(value: object) -> object:
        values = get(value) if get is not None else tuple([getattr(value, name) for name in names])
        try:
            return [convert(item) for convert, item in zip(converters, values, strict=True)]
        except MalformedError as error:
            raise TypeError(f"{cls.__name__}: {error}") from None

    return write


def _reader(cls: type, fields: tuple[dataclasses.Field[object], ...], shapes: list[_Shape]) -> _Convert:
    plan = [(field.name, _by_type(shape.decode)) for field, shape in zip(fields, shapes, strict=True)]
    missing = dataclasses.MISSING
    required = max((position for position, field in enumerate(fields, 1)
                    if field.default is missing and field.default_factory is missing), default=0)

    def read(value: object) -> object:
        assert isinstance(value, list)
        if len(value) < required:
            raise MalformedError(f"{cls.__name__}: {len(value)} of {required} fields")
        try:
            # The shorter one ends it: unknown fields are ignored, those an older peer lacks take defaults.
            return cls(**{name: convert(item) for (name, convert), item in zip(plan, value)})  # noqa: B905
        except ValueError as error:  # MalformedError, or what __post_init__ refuses
            raise MalformedError(f"{cls.__name__}: {error}") from None

    return read


def _tagging(tag: int, write: _Convert) -> _Convert:
    def write_tagged(value: object) -> object:
        fields = write(value)
        assert isinstance(fields, list)
        return [tag, *fields]

    return write_tagged


def _tag_reader(readers: Mapping[int, _Convert]) -> _Convert:
    def read_tagged(value: object) -> object:
        assert isinstance(value, list)
        if not value or type(value[0]) is not int:
            raise MalformedError("expected a tag")
        reader = readers.get(value[0])
        if reader is None:
            raise MalformedError(f"unknown tag {value[0]}")
        return reader(value[1:])

    return read_tagged
