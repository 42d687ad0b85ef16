# SPDX-License-Identifier: LGPL-2.1-or-later
"""What a unit's ``[X-Synod]`` annotation asks for, checked once and frozen.

Decides nothing: it is the sentence that the ledger adopts, the planner obeys and nodes compare by digest. It
refuses to know files, sections and line numbers; reading them is ``synod.config``'s. Keys: synod-unit(5).
"""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass, fields
from typing import Final

from synod.base.ids import NodeName, UnitName, is_node_name, is_unit_name
from synod.base.usec import USEC_PER_SEC, Usec
from synod.model.attributes import INFINITY, Condition, Preference, check_score

DEPENDENCY_TIMEOUT_DEFAULT: Final = Usec(90 * USEC_PER_SEC)
FAILURE_EXPIRE_DEFAULT: Final = Usec(600 * USEC_PER_SEC)
FAILURE_LIMIT_DEFAULT: Final = 3
"""Failures on one node after which another one is tried: a crash is best cured in place, where partners and
warm caches are; what fails three times within the span above is not cured by the fourth start.
"""
FAILURE_LIMIT_MAX: Final = 1000
STICKINESS_DEFAULT: Final = 1
"""Enough to stay where nothing else speaks, so that nothing moves without a reason; less than any wish."""
INSTANCES_MAX: Final = 1024
NAMES_MAX: Final = 1024
"""Names that one list may hold; a longer one is a mistake, and would be copied to every node."""

UNIT_LISTS: Final = ("after", "before", "requires", "wants", "binds_to", "colocate_with", "separate_from")
"""The fields that list units."""
NODE_LISTS: Final = ("nodes", "avoid_nodes")
"""The fields that list nodes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class UnitSpec:
    """One unit's annotation; lists keep the order of first mention and hold no duplicates.

    ``nodes`` empty means any node. ``instances`` is the number of copies allowed in the whole cluster, or
    None for one on every eligible node (``Instances=all``). Spans are microseconds, scores are within
    +-INFINITY. ``failure_limit`` 0 means that a failed unit stays failed. ``stops_rogue_copies`` False means
    that a copy without a grant is only alarmed.

    Raises:
        ValueError: a field is out of its range; nothing is repaired.
    """

    unit: UnitName
    after: tuple[UnitName, ...] = ()
    before: tuple[UnitName, ...] = ()
    requires: tuple[UnitName, ...] = ()
    wants: tuple[UnitName, ...] = ()
    binds_to: tuple[UnitName, ...] = ()
    colocate_with: tuple[UnitName, ...] = ()
    separate_from: tuple[UnitName, ...] = ()
    nodes: tuple[NodeName, ...] = ()
    instances: int | None = 1
    dependency_timeout_usec: Usec = DEPENDENCY_TIMEOUT_DEFAULT
    avoid_nodes: tuple[NodeName, ...] = ()
    where: tuple[Condition, ...] = ()
    prefer: tuple[Preference, ...] = ()
    stickiness: int = STICKINESS_DEFAULT
    priority: int = 0
    failure_limit: int = FAILURE_LIMIT_DEFAULT
    failure_expire_usec: Usec = FAILURE_EXPIRE_DEFAULT
    stops_rogue_copies: bool = True

    def __post_init__(self) -> None:
        if not is_unit_name(self.unit):
            raise ValueError(f"'{self.unit}' is not a unit name")
        for name in UNIT_LISTS:
            _check_names(name, getattr(self, name), is_valid=is_unit_name)
        for name in NODE_LISTS:
            _check_names(name, getattr(self, name), is_valid=is_node_name)
        _check_unique("where", self.where)
        _check_unique("prefer", tuple(preference.term for preference in self.prefer))
        if self.instances is not None and not 1 <= self.instances <= INSTANCES_MAX:
            raise ValueError(f"instances is {self.instances}, not within 1..{INSTANCES_MAX}")
        if self.dependency_timeout_usec <= 0:
            raise ValueError("dependency_timeout_usec is not positive")
        if not 0 <= self.stickiness <= INFINITY:
            raise ValueError(f"stickiness is {self.stickiness}, not within 0..{INFINITY}")
        check_score(self.priority)
        if not 0 <= self.failure_limit <= FAILURE_LIMIT_MAX:
            raise ValueError(f"failure_limit is {self.failure_limit}, not within 0..{FAILURE_LIMIT_MAX}")
        if self.failure_expire_usec <= 0:
            raise ValueError("failure_expire_usec is not positive")

    @property
    def is_exclusive(self) -> bool:
        """Whether the number of copies is limited, so that each one needs a grant under a lease."""
        return self.instances is not None

    @property
    def pulled_in(self) -> tuple[UnitName, ...]:
        """The units that a start of this one starts as well, in order of first mention."""
        return tuple(dict.fromkeys((*self.requires, *self.binds_to, *self.wants)))


def digest(spec: UnitSpec) -> str:
    """Return 64 hex digits that are equal on two nodes exactly when the specs are equal.

    Fields are hashed by name and those at their default are left out: a later release that adds a key
    computes the same digest for every annotation that does not use it.
    """
    state = hashlib.sha256()
    for field in sorted(fields(spec), key=lambda field: field.name):
        value = getattr(spec, field.name)
        if value != field.default:
            # Nothing in a list holds a space or a newline: lines cannot be confused.
            items = value if isinstance(value, tuple) else ("all" if value is None else value,)
            state.update(f"{field.name} {' '.join(map(str, items))}\n".encode())
    return state.hexdigest()


def _check_names(field: str, names: tuple[str, ...], *, is_valid: Callable[[str], bool]) -> None:
    _check_unique(field, names)
    for name in names:
        if not is_valid(name):
            raise ValueError(f"{field} lists '{name}', which is not a name")


def _check_unique(field: str, items: tuple[object, ...]) -> None:
    if len(items) > NAMES_MAX:
        raise ValueError(f"{field} lists {len(items)} names, more than {NAMES_MAX}")
    if len(dict.fromkeys(items)) != len(items):
        raise ValueError(f"{field} lists a name twice")
