# SPDX-License-Identifier: LGPL-2.1-or-later
"""The chart is well-formed and shows every run."""

import xml.etree.ElementTree as ET

from bench_failover import chart
from bench_failover.figures import CRASH, FENCED, OURS, PEER, Figures

SVG = "{http://www.w3.org/2000/svg}"


def circles(figures: Figures) -> list[tuple[str | None, float]]:
    return [(circle.get("class"), float(circle.get("cx", "nan")))
            for circle in ET.fromstring(chart.render(figures)).iter(f"{SVG}circle")]


def test_a_dot_for_each_run_and_the_longer_the_further_right():
    figures = Figures()
    for value in (0.3, 0.6):
        figures.add(FENCED, OURS, value)
    figures.add(CRASH, PEER, 11.0)
    (first, one), (second, two), (third, three) = circles(figures)
    assert (first, second, third) == ("synod", "synod", "pacemaker")
    assert one < two < three < chart.WIDTH


def test_runs_that_took_the_same_time_can_be_drawn():
    figures = Figures()
    figures.add(CRASH, OURS, 1.0)
    assert len(circles(figures)) == 1


def test_without_figures_it_is_empty():
    assert circles(Figures()) == []
