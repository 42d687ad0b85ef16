# SPDX-License-Identifier: LGPL-2.1-or-later
r"""Names and numbers that identify things, validated once where they enter the program.

Unit names follow systemd.unit(5): at most 255 characters of letters, digits and ``:-_.\@`` with a type
suffix. Node names follow hostname(7): one label of at most 63 characters.
"""

import re
from typing import Final, NewType

NodeName = NewType("NodeName", str)
"""Host name of a node, the first label, unique in its cluster."""

UnitName = NewType("UnitName", str)
"""Full unit name with suffix, such as ``db.service``."""

Term = NewType("Term", int)
"""Raft term; grows without bound, 0 before the first election."""

Index = NewType("Index", int)
"""Position in the ordered log, 1 for the first entry, 0 for "before the first"."""

Epoch = NewType("Epoch", int)
"""Fencing token of a grant: the log index that made it, so that it only grows."""

UNIT_TYPES: Final = (
    "service", "socket", "target", "mount", "automount", "swap", "timer", "path", "slice", "scope", "device",
)  # fmt: skip
UNIT_NAME_LENGTH_MAX: Final = 255

_UNIT = re.compile(r"[A-Za-z0-9:_.\\@-]+\.(?:" + "|".join(UNIT_TYPES) + ")")
_NODE = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?")


def is_unit_name(text: str) -> bool:
    """Return whether the text is a unit name that systemd would load."""
    return len(text) <= UNIT_NAME_LENGTH_MAX and _UNIT.fullmatch(text) is not None


def is_node_name(text: str) -> bool:
    """Return whether the text is a host name of one label."""
    return _NODE.fullmatch(text) is not None
