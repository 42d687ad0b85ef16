# SPDX-License-Identifier: LGPL-2.1-or-later
"""What the service manager says about one unit, as one frozen value.

It translates D-Bus properties and object paths and decides nothing. Source: org.freedesktop.systemd1(5),
"Unit Objects", "Service Unit Objects" and "Job Objects".
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from synod.base.ids import UnitName
from synod.base.usec import Usec
from synod.systemd.shim import plain

UNIT_PATH_PREFIX: Final = "/org/freedesktop/systemd1/unit/"

_PLAIN: Final = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789")


@dataclass(frozen=True, slots=True, kw_only=True)
class UnitState:
    """A snapshot that PID 1 took in one piece; only ``job_type`` is read a moment later."""

    unit: UnitName
    """Canonical name, which differs from the one asked for when that is an alias."""

    load_state: str
    """``loaded``, ``not-found``, ``masked``, ``error``, ``bad-setting``, ..."""

    active_state: str
    """``active``, ``reloading``, ``inactive``, ``failed``, ``activating``, ``deactivating``, ..."""

    sub_state: str
    """State within the unit type, such as ``running`` or ``auto-restart``."""

    result: str
    """``success``, or why it failed; empty for types that have no result."""

    job_id: int
    """Number of the job that is queued or runs for this unit, 0 for none."""

    job_type: str
    """``start``, ``stop``, ``restart``, ``try-restart``, ``reload``, ...; empty without a job."""

    invocation_id: str
    """32 hexadecimal digits that change with every start; empty when it never ran."""

    control_group: str
    """Path below the cgroup root, empty when there is none; see cgroup.py."""

    need_daemon_reload: bool
    """The files on disk are newer than what is loaded: this state tells the old ones."""

    fragment_path: str
    drop_in_paths: tuple[str, ...]
    unit_file_state: str

    condition_result: bool
    """Whether Condition...= let the last start through; also False before the first. The job of a start that
    was skipped ends with ``done``."""

    main_code: int
    """How the main process ended: 0 not yet, 1 exited, 2 killed, 3 dumped core (si_code of waitid(2))."""

    main_status: int
    """Exit status or signal number of the main process."""

    restarts: int
    """Automatic restarts since the last start on request."""

    state_change_usec: Usec
    """When the state last changed, on CLOCK_REALTIME, for display only; 0 for never."""

    @property
    def is_down(self) -> bool:
        """Whether nothing runs and nothing is about to: no job, no automatic restart. See also cgroup.py."""
        return self.active_state in ("inactive", "failed") and self.job_id == 0


def inactive_state(
    unit: UnitName, *, load_state: str, sub_state: str, control_group: str = ""
) -> UnitState:
    """Return the state of a unit that does nothing, of which PID 1 may remember nothing else."""
    known = {
        "Id": unit,
        "LoadState": load_state,
        "ActiveState": "inactive",
        "SubState": sub_state,
        "Job": (0, "/"),
        "ControlGroup": control_group,
    }
    return unit_state(known)


def unit_path(unit: str) -> str:
    """Return the object path of a unit: all but letters and digits become ``_`` and two hex digits."""
    escaped = "".join(
        char
        if char in _PLAIN and not (position == 0 and char.isdigit())
        else "".join(f"_{b:02x}" for b in char.encode())
        for position, char in enumerate(unit)
    )
    return UNIT_PATH_PREFIX + (escaped or "_")


def job_of(properties: Mapping[str, Any]) -> tuple[int, str]:
    """Return number and object path of the unit's job, (0, "/") for none."""
    number, path = plain(properties["Job"])
    return int(number), str(path)


def unit_state(properties: Mapping[str, Any], *, job_type: str = "") -> UnitState:
    """Translate the properties of a unit object; those that its type lacks take their empty value."""

    def get(name: str, default: Any) -> Any:
        return plain(properties[name]) if name in properties else default

    return UnitState(
        unit=UnitName(get("Id", "")),
        load_state=get("LoadState", ""),
        active_state=get("ActiveState", ""),
        sub_state=get("SubState", ""),
        result=get("Result", ""),
        job_id=job_of(properties)[0],
        job_type=job_type,
        invocation_id=bytes(get("InvocationID", b"")).hex(),
        control_group=get("ControlGroup", ""),
        need_daemon_reload=get("NeedDaemonReload", False),
        fragment_path=get("FragmentPath", ""),
        drop_in_paths=tuple(get("DropInPaths", ())),
        unit_file_state=get("UnitFileState", ""),
        condition_result=get("ConditionResult", False),
        main_code=get("ExecMainCode", 0),
        main_status=get("ExecMainStatus", 0),
        restarts=get("NRestarts", 0),
        state_change_usec=Usec(get("StateChangeTimestamp", 0)),
    )
