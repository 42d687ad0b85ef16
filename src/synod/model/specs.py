# SPDX-License-Identifier: LGPL-2.1-or-later
"""Specs kept once however many nodes report them, and their edges indexed from the provider's side."""

from dataclasses import dataclass, field

from synod.base.ids import UnitName
from synod.model.spec import UnitSpec, digest


@dataclass(slots=True)
class SpecBook:
    """Specs by digest."""

    by_digest: dict[str, UnitSpec] = field(default_factory=dict)

    def add(self, spec: UnitSpec) -> str:
        """Keep a spec and return its digest."""
        text = digest(spec)
        self.by_digest[text] = spec
        return text

    def get(self, text: str) -> UnitSpec:
        """Return the spec of a digest that add() returned."""
        return self.by_digest[text]

    def is_same(self, text: str, spec: UnitSpec) -> bool:
        """Return whether a digest is that of a spec, without computing one."""
        return self.by_digest.get(text) == spec


@dataclass(slots=True)
class Edges:
    """For each unit, who depends on it: the adopted specs read backwards, in order of adoption.

    Values count how many specs say the same: After= on one side and Before= on the other are one edge said
    twice.
    """

    needed_by: dict[UnitName, dict[UnitName, int]] = field(default_factory=dict)
    """Units that Requires= or BindsTo= the key."""
    named_by: dict[UnitName, dict[UnitName, int]] = field(default_factory=dict)
    """Units that Requires=, BindsTo= or Wants= the key: they have a mirror of it."""
    bound_by: dict[UnitName, dict[UnitName, int]] = field(default_factory=dict)
    """Units that BindsTo= the key."""
    after: dict[UnitName, dict[UnitName, int]] = field(default_factory=dict)
    """Units that the key comes after: its own After= and the Before= of others."""
    before: dict[UnitName, dict[UnitName, int]] = field(default_factory=dict)
    """Units that come after the key."""
    followed_by: dict[UnitName, dict[UnitName, int]] = field(default_factory=dict)
    """Units that ColocateWith= the key."""
    shunned_by: dict[UnitName, dict[UnitName, int]] = field(default_factory=dict)
    """Units that SeparateFrom= the key."""

    def replace(self, old: UnitSpec | None, new: UnitSpec | None) -> None:
        """Exchange one unit's edges."""
        if old is not None:
            for index, key, value in self._entries(old):
                index[key][value] -= 1
                if not index[key][value]:
                    del index[key][value]
        if new is not None:
            for index, key, value in self._entries(new):
                named = index.setdefault(key, {})
                named[value] = named.get(value, 0) + 1

    def _entries(
        self, spec: UnitSpec
    ) -> list[tuple[dict[UnitName, dict[UnitName, int]], UnitName, UnitName]]:
        entries = [(self.needed_by, name, spec.unit) for name in (*spec.requires, *spec.binds_to)]
        entries += [(self.named_by, name, spec.unit) for name in spec.pulled_in]
        entries += [(self.bound_by, name, spec.unit) for name in spec.binds_to]
        entries += [(self.followed_by, name, spec.unit) for name in spec.colocate_with]
        entries += [(self.shunned_by, name, spec.unit) for name in spec.separate_from]
        for name in spec.after:
            entries += [(self.after, spec.unit, name), (self.before, name, spec.unit)]
        for name in spec.before:
            entries += [(self.after, name, spec.unit), (self.before, spec.unit, name)]
        return entries
