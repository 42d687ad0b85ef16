# SPDX-License-Identifier: LGPL-2.1-or-later
"""Exit statuses of synodctl: LSB's as systemctl uses them, ours from 8. Stable since the first release."""

from enum import IntEnum


class ExitStatus(IntEnum):
    """What a command tells a script; each value is described in synodctl(1)."""

    SUCCESS = 0
    FAILURE = 1
    USAGE = 2
    NOT_ACTIVE = 3
    NO_PRIVILEGE = 4
    NO_SUCH_UNIT = 5
    NOT_CONFIGURED = 6
    NO_AGENT = 7
    NOT_QUORATE = 8
    STALE_PLAN = 9
    CHANGES_PENDING = 10
    UNSATISFIABLE = 11
    REFUSED = 12
    FENCING_FAILED = 13
    OUTCOME_UNKNOWN = 75
    TIMEOUT = 124


STATUS_UNKNOWN = ExitStatus.NO_PRIVILEGE
"""LSB's 4 has a second meaning for ``status`` and ``is-*``: the state is unknown."""
