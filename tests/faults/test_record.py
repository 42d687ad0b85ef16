# SPDX-License-Identifier: LGPL-2.1-or-later
"""What the record of the fault runs says."""

import json
from dataclasses import replace

from faults.kinds import KINDS
from faults.record import Run, result, table
from witness.stamps import Copy, overlaps

RUN = Run(
    number=1,
    kind="power",
    text="power loss of the holder",
    is_fenced=True,
    holder="node1",
    leader="node2",
    home="node3",
    away_sec=0.8,
    address_sec=0.7,
    bound_sec=2.0,
)


def test_a_run_is_good_unless_something_is_wrong() -> None:
    assert RUN.is_good
    assert not replace(RUN, wrong="it was restarted").is_good
    assert not replace(RUN, overlaps=("db on node1 and node2",)).is_good


def test_a_line_of_the_record_has_everything() -> None:
    assert Run(**{**json.loads(RUN.line()), "overlaps": ()}) == RUN


def test_medians_and_maxima_by_kind_and_fence() -> None:
    runs = [RUN, replace(RUN, away_sec=0.9), replace(RUN, away_sec=1.6), replace(RUN, is_fenced=False)]
    head, rule, fenced, unfenced = table(runs)
    assert len(rule) == len(head)
    assert fenced.split()[-6:] == ["3", "0.900", "1.600", "2.00", "0.700", "0.700"]
    assert unfenced.split()[-6:] == ["1", "0.800", "0.800", "2.00", "0.700", "0.700"]


def test_the_last_line_counts_what_went_wrong_and_how_near_the_bound_a_run_came() -> None:
    said = json.loads(result([RUN, replace(RUN, away_sec=1.6, wrong="late")]))
    assert said["bench"] == "faults"
    assert said["ratios"] == {"worst_of_bound": 0.8}
    assert said["figures"] == {
        "runs": 2,
        "bad_runs": 1,
        "overlaps": 0,
        "power_fenced_median_s": 1.2,
        "power_fenced_max_s": 1.6,
    }


def test_no_runs_are_no_figures() -> None:
    assert json.loads(result([]))["figures"] == {"runs": 0, "bad_runs": 0, "overlaps": 0}


def test_two_copies_at_once_are_seen_whatever_node_has_them() -> None:
    one = Copy(node="node1", run="a", since=1.0, until=2.0)
    assert overlaps([one, replace(one, node="node2", run="b", since=2.0, until=3.0)])
    assert not overlaps([one, replace(one, node="node2", run="b", since=2.1, until=3.0)])
    assert not overlaps([one, replace(one, run="b", since=1.5)])


def test_what_must_stay_may_not_be_restarted_and_nothing_exceeds_its_bound() -> None:
    kinds = {kind.name: kind for kind in KINDS}
    assert kinds["killed"].fault(0.0, 6.7) == kinds["power"].fault(6.6, 6.7) == ""
    assert kinds["killed"].fault(0.1, 6.7) == "app.service was restarted"
    assert "the bound is 6.700 s" in kinds["power"].fault(6.8, 6.7)


def test_every_kind_has_a_name_of_its_own() -> None:
    assert len({kind.name for kind in KINDS}) == len(KINDS) >= 19
