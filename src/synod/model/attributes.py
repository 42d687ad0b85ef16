# SPDX-License-Identifier: LGPL-2.1-or-later
"""Attributes of nodes, and what annotations say about them: conditions (Where=) and preferences (Prefer=).

Decides when a condition holds and what a score is; refuses to know nodes, and how files write either.
Scores are integers within +-1000000, of which the ends mean "always" and "never", as in Pacemaker.
"""

import re
from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum
from typing import Final

INFINITY: Final = 1_000_000
"""The score of what must be; its negative, of what must not be."""

NAME: Final = "name"
ROLE: Final = "role"
BUILT_IN: Final = (NAME, ROLE)
"""Attributes that every node has and that nobody can set."""

ATTRIBUTES_MAX: Final = 256
"""Attributes that one node may have."""

_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_.-]{0,62}")
_VALUE = re.compile(r"[A-Za-z0-9_.:/+@~-]{1,128}")
_NUMBER = re.compile(r"-?[0-9]{1,18}(\.[0-9]{1,9})?")


class Operator(StrEnum):
    """How a condition compares."""

    EQUAL = "="
    UNEQUAL = "!="
    LESS = "<"
    AT_MOST = "<="
    GREATER = ">"
    AT_LEAST = ">="

    @property
    def is_numeric(self) -> bool:
        """Whether both sides are numbers."""
        return self not in (Operator.EQUAL, Operator.UNEQUAL)


def is_attribute_name(text: str) -> bool:
    """Return whether the text can name an attribute: a letter, then up to 62 letters, digits and ``_.-``."""
    return _NAME.fullmatch(text) is not None


def is_attribute_value(text: str) -> bool:
    """Return whether the text can be a value: up to 128 letters, digits and ``_.:/+@~-``."""
    return _VALUE.fullmatch(text) is not None


def is_number(text: str) -> bool:
    """Return whether the text is a decimal number that conditions can compare."""
    return _NUMBER.fullmatch(text) is not None


@dataclass(frozen=True, slots=True, kw_only=True)
class Condition:
    """What a node's attribute has to be.

    Raises:
        ValueError: the name or the value is none, or a number is needed.
    """

    attribute: str
    operator: Operator
    value: str

    def __post_init__(self) -> None:
        _check(self.attribute, self.value)
        if self.operator.is_numeric and not is_number(self.value):
            raise ValueError(f"'{self.operator}' compares numbers, and '{self.value}' is none")

    def __str__(self) -> str:
        """Write it as Where= does."""
        return f"{self.attribute}{self.operator}{self.value}"

    def holds(self, found: str | None) -> bool:
        """Return whether it holds for a value; None stands for an attribute that the node does not have.

        Without a value only ``!=`` holds. What is no number is neither less nor greater.
        """
        if self.operator is Operator.EQUAL:
            return found == self.value
        if self.operator is Operator.UNEQUAL:
            return found != self.value
        if found is None or not is_number(found):
            return False
        one, other = Decimal(found), Decimal(self.value)
        match self.operator:
            case Operator.LESS:
                return one < other
            case Operator.AT_MOST:
                return one <= other
            case Operator.GREATER:
                return one > other
            case _:
                return one >= other


@dataclass(frozen=True, slots=True, kw_only=True)
class Preference:
    """Points for nodes whose attribute has a value; a single node is preferred by its ``name``.

    Raises:
        ValueError: the name or the value is none, or the score is out of its range.
    """

    attribute: str
    value: str
    score: int

    def __post_init__(self) -> None:
        _check(self.attribute, self.value)
        check_score(self.score)

    @property
    def term(self) -> str:
        """What is preferred, as Prefer= writes it."""
        return self.value if self.attribute == NAME else f"{self.attribute}={self.value}"

    def __str__(self) -> str:
        """Write it as Prefer= does."""
        return f"{self.term}:{format_score(self.score)}"


def check_score(score: int) -> None:
    """Raise ValueError for what is beyond infinity."""
    if not -INFINITY <= score <= INFINITY:
        raise ValueError(f"the score {score} is not within -{INFINITY}..{INFINITY}")


def format_score(score: int) -> str:
    """Write a score, its ends as words."""
    if abs(score) >= INFINITY:
        return "INFINITY" if score > 0 else "-INFINITY"
    return str(score)


def _check(attribute: str, value: str) -> None:
    if not is_attribute_name(attribute):
        raise ValueError(f"'{attribute[:80]}' is not the name of an attribute")
    if not is_attribute_value(value):
        raise ValueError(f"'{value[:80]}' is not the value of an attribute")
