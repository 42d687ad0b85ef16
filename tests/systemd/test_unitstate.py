# SPDX-License-Identifier: LGPL-2.1-or-later
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from synod.systemd.shim import Variant
from synod.systemd.unitstate import UNIT_PATH_PREFIX, inactive_state, job_of, unit_path, unit_state


def unescape(path):
    return re.sub(
        "_([0-9a-f]{2})", lambda match: chr(int(match[1], 16)), path.removeprefix(UNIT_PATH_PREFIX)
    )


@pytest.mark.parametrize(
    ("unit", "escaped"),
    [
        ("db.service", "db_2eservice"),
        ("a@b.service", "a_40b_2eservice"),
        ("9.target", "_39_2etarget"),
        ("x9.target", "x9_2etarget"),
        ("synod-hold@db.service.service", "synod_2dhold_40db_2eservice_2eservice"),
        (r"dev-disk\x2da.device", "dev_2ddisk_5cx2da_2edevice"),
        ("", "_"),
    ],
)
def test_paths_are_those_of_systemd(unit, escaped):
    assert unit_path(unit) == UNIT_PATH_PREFIX + escaped


@given(st.text("abzAZ09:_.\\@-", min_size=1, max_size=30))
def test_paths_are_legal_and_reversible(unit):
    path = unit_path(unit)
    assert re.fullmatch("[A-Za-z0-9_/]+", path)
    assert unescape(path) == unit


def test_what_a_type_lacks_is_empty():
    state = unit_state({"Id": Variant("s", "a.target"), "Job": Variant("(uo)", [0, "/"])})
    assert (state.unit, state.result, state.main_code, state.drop_in_paths) == ("a.target", "", 0, ())


def test_the_job_is_taken_apart():
    properties = {"Job": Variant("(uo)", [7, "/job/7"])}
    assert job_of(properties) == (7, "/job/7")
    assert unit_state(properties, job_type="restart").job_type == "restart"


@pytest.mark.parametrize("raw", [bytes(range(16)), bytearray(range(16))])
def test_the_invocation_id_is_bytes_of_either_kind(raw):
    state = unit_state({"Job": Variant("(uo)", [0, "/"]), "InvocationID": Variant("ay", raw)})
    assert state.invocation_id == "000102030405060708090a0b0c0d0e0f"


@pytest.mark.parametrize(
    ("active", "job", "is_down"),
    [
        ("inactive", 0, True),
        ("failed", 0, True),
        ("failed", 3, False),
        ("activating", 0, False),
        ("active", 0, False),
    ],
)
def test_down_means_that_nothing_is_about_to_happen(active, job, is_down):
    state = unit_state({"ActiveState": Variant("s", active), "Job": Variant("(uo)", [job, "/"])})
    assert state.is_down is is_down


def test_an_inactive_unit_has_no_past():
    state = inactive_state("db.service", load_state="masked", sub_state="dead")
    assert (state.unit, state.load_state, state.active_state, state.sub_state) == (
        "db.service",
        "masked",
        "inactive",
        "dead",
    )
    assert state.is_down
    assert state.invocation_id == ""
