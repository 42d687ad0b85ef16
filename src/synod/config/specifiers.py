# SPDX-License-Identifier: LGPL-2.1-or-later
"""Specifiers of systemd.unit(5) in annotation values: those about the unit's name, the host and the machine.

Decides nothing about the result: an expansion need not be a unit name. Refuses all others by name, since a
literal percent sign left in place would silently name another unit.
"""

from dataclasses import dataclass
from string import hexdigits

from synod.base.ids import UnitName
from synod.base.usec import Usec
from synod.model.spec import DEPENDENCY_TIMEOUT_DEFAULT


@dataclass(frozen=True, slots=True, kw_only=True)
class Host:
    """What a node adds to the annotations it reads: ``%H``, ``%m`` and the default of synod.conf(5).

    The texts are empty where nobody can know them.
    """

    host_name: str = ""
    machine_id: str = ""
    dependency_timeout_usec: Usec = DEPENDENCY_TIMEOUT_DEFAULT


@dataclass(frozen=True, slots=True)
class NameParts:
    """A unit name taken apart: ``prefix@instance.suffix``; ``instance`` is None for a plain unit."""

    prefix: str
    instance: str | None
    suffix: str


def split_name(unit: str) -> NameParts:
    """Take a valid unit name apart; the instance of a template is the empty string."""
    stem, _, suffix = unit.rpartition(".")
    prefix, at, instance = stem.partition("@")
    return NameParts(prefix, instance if at else None, suffix)


def unescape(text: str) -> str:
    r"""Undo systemd-escape(1): ``-`` is a slash, ``\x2d`` a byte; raise ValueError when it is no text."""
    out, position = bytearray(), 0
    while position < len(text):
        character = text[position]
        if character == "\\":
            digits = text[position + 2 : position + 4]
            if (
                text[position + 1 : position + 2] != "x"
                or len(digits) != 2
                or not set(digits) <= set(hexdigits)
            ):
                raise ValueError(f"'{text}' holds a broken escape")
            out.append(int(digits, 16))
            position += 4
        else:
            out += b"/" if character == "-" else character.encode()
            position += 1
    return out.decode()


def expand(text: str, unit: UnitName, host: Host) -> str:
    """Replace every specifier; raise ValueError with the reason for an unknown one or a lone ``%``."""
    if "%" not in text:
        return text
    out, position = [], 0
    while position < len(text):
        if text[position] != "%":
            out.append(text[position])
            position += 1
            continue
        out.append(_value(text[position + 1 : position + 2], unit, host))
        position += 2
    return "".join(out)


def _value(letter: str, unit: UnitName, host: Host) -> str:
    name = split_name(unit)
    instance = name.instance or ""
    plain = {
        "%": "%", "n": unit, "N": unit.rpartition(".")[0], "p": name.prefix, "i": instance,
        "j": name.prefix.rpartition("-")[2], "H": host.host_name, "m": host.machine_id,
    }  # fmt: skip
    if letter in plain:
        return plain[letter]
    if letter == "P":
        return unescape(name.prefix)
    if letter == "I":
        return unescape(instance)
    raise ValueError(f"'%{letter}' is not a specifier here; known are %n %N %p %P %i %I %j %H %m %%")
