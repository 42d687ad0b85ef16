# SPDX-License-Identifier: LGPL-2.1-or-later
"""Medians, maxima, ratios, the table and the last line."""

import json

import pytest

from bench_failover.figures import (
    CRASH,
    FENCED,
    OURS,
    PEER,
    PLAIN,
    UNFENCED,
    Figures,
    result,
    table,
)


@pytest.fixture
def figures() -> Figures:
    made = Figures()
    for ours, peers in ((2.0, 9.0), (1.0, 12.0), (6.0, 10.0)):
        made.add(FENCED, OURS, ours)
        made.add(FENCED, PEER, peers)
    made.add(CRASH, OURS, 0.5)
    made.add(CRASH, PLAIN, 0.25)
    return made


def test_a_ratio_is_that_of_the_medians(figures):
    assert figures.ratio(FENCED) == 5.0


def test_where_one_is_missing_there_is_no_ratio(figures):
    assert figures.ratio(CRASH) is None
    assert figures.ratio(UNFENCED) is None


def test_the_last_line_is_one_object_with_all_three_ratios(figures):
    said = result(figures, {"synod_overlaps": 0})
    assert "\n" not in said
    assert json.loads(said) == {
        "bench": "failover",
        "ratios": {"fenced": 5.0, "unfenced": None, "crash": None},
        "figures": {
            "fenced_synod_median_s": 2.0, "fenced_synod_max_s": 6.0, "fenced_pacemaker_median_s": 10.0,
            "fenced_pacemaker_max_s": 12.0, "crash_synod_median_s": 0.5, "crash_synod_max_s": 0.5,
            "crash_systemd_median_s": 0.25, "crash_systemd_max_s": 0.25, "synod_overlaps": 0}}


def test_the_table_has_a_line_for_what_was_measured(figures):
    _, _, *lines = table(figures)
    assert [line[45:].split() for line in lines] == [
        ["synod", "3", "2.000", "6.000", "1.0,", "max", "1.5"],
        ["pacemaker", "3", "10.000", "12.000", "5.0", "x"],
        ["synod", "1", "0.500", "0.500"],
        ["systemd", "1", "0.250", "0.250"]]
