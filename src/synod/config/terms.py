# SPDX-License-Identifier: LGPL-2.1-or-later
"""Notations of placement: scores, counts, conditions on and preferences for attributes of nodes.

Decides how they are written: text in, value out, else ValueError with one sentence for the user. Refuses to
know keys. Source: synod-unit(5).
"""

import re
from typing import Final

from synod.base.ids import is_node_name
from synod.model.attributes import INFINITY, NAME, Condition, Operator, Preference
from synod.model.spec import FAILURE_LIMIT_MAX, INSTANCES_MAX

_SHOWN_MAX: Final = 80
_CONDITION = re.compile(r"([^=!<>]*)(!=|<=|>=|=|<|>)(.*)", re.DOTALL)
_INTEGER = re.compile(r"[+-]?[0-9]{1,7}")
_INFINITE: Final = {"INFINITY": INFINITY, "+INFINITY": INFINITY, "-INFINITY": -INFINITY}


def parse_score(text: str) -> int:
    """Read an integer within +-1000000, or INFINITY with or without a sign, which is the end."""
    if text in _INFINITE:
        return _INFINITE[text]
    if _INTEGER.fullmatch(text) is None or abs(int(text)) > INFINITY:
        raise ValueError(f"write a number from -{INFINITY} to {INFINITY}, INFINITY or -INFINITY")
    return int(text)


def parse_stickiness(text: str) -> int:
    """Read a score that is not negative."""
    score = parse_score(text)
    if score < 0:
        raise ValueError("a unit cannot be driven away from where it is; write 0 or more")
    return score


def parse_instances(text: str) -> int | None:
    """Read a number of instances; None for ``all``."""
    if text == "all":
        return None
    # isdecimal() alone would take digits of other scripts, which int() reads as well.
    is_number = text.isascii() and text.isdecimal() and len(text) <= len(str(INSTANCES_MAX))
    if not is_number or not 1 <= int(text) <= INSTANCES_MAX:
        raise ValueError(f"write a number from 1 to {INSTANCES_MAX}, or all")
    return int(text)


def parse_failure_limit(text: str) -> int:
    """Read a number of failures."""
    is_number = text.isascii() and text.isdecimal() and len(text) <= len(str(FAILURE_LIMIT_MAX))
    if not is_number or int(text) > FAILURE_LIMIT_MAX:
        raise ValueError(f"write a number from 0 to {FAILURE_LIMIT_MAX}")
    return int(text)


def parse_rogue_copy(text: str) -> bool:
    """Read whether a copy without a grant is stopped, or only alarmed."""
    if text not in ("stop", "alarm"):
        raise ValueError("write stop or alarm")
    return text == "stop"


def parse_preference(text: str) -> Preference:
    """Read ``NODE:SCORE`` or ``ATTRIBUTE=VALUE:SCORE``."""
    term, colon, score = text.rpartition(":")
    if not colon:
        raise ValueError("write NODE:SCORE or ATTRIBUTE=VALUE:SCORE")
    attribute, equals, value = term.partition("=")
    if not equals:
        attribute, value = NAME, term
    if attribute == NAME and not is_node_name(value):
        raise ValueError(f"'{value[:_SHOWN_MAX]}' is not a node name: the first label of a host name")
    return Preference(attribute=attribute, value=value, score=parse_score(score))


def parse_condition(text: str) -> Condition:
    """Read ``ATTRIBUTE=VALUE``, or the same with ``!=``, ``<``, ``<=``, ``>`` or ``>=``."""
    match = _CONDITION.fullmatch(text)
    if match is None:
        raise ValueError("write ATTRIBUTE=VALUE; besides = there are != < <= > >=")
    attribute, sign, value = match.groups()
    return Condition(attribute=attribute, operator=Operator(sign), value=value)

