# SPDX-License-Identifier: LGPL-2.1-or-later
"""Decisions in words: where each instance goes, with every node's points and where they come from."""

from collections.abc import Iterable, Iterator

from synod.model.attributes import format_score
from synod.planner.plan import Decision, InPlace, Placement
from synod.planner.score import Score


def explain(decisions: Iterable[Decision]) -> list[str]:
    """Return one line for each decision, and below a placement one, indented, for each node."""
    return [line for decision in decisions for line in _lines(decision)]


def _lines(decision: Decision) -> Iterator[str]:
    if isinstance(decision, InPlace):
        yield f"{_name(decision.unit, decision.instance)} is granted on {decision.node}, where it runs"
        return
    if not isinstance(decision, Placement):
        grant = decision.grant
        yield f"{_name(decision.unit, grant.instance)} leaves {grant.node}: {decision.reason}"
        return
    where = f"to {decision.node}" if decision.node is not None else "nowhere"
    yield f"{_name(decision.unit, decision.instance)} goes {where}"
    for name, score in decision.table.items():
        yield f"  {name}: {words(score)}, load {decision.load.get(name, 0)}"


def words(score: Score) -> str:
    """Say a node's points and their origins; of a node that is ruled out, only why."""
    if not score.is_open:
        return f"{format_score(score.points)} ({'; '.join(reason.text for reason in score.obstacles)})"
    origins = "; ".join(f"{format_score(reason.points)} {reason.text}" for reason in score.reasons)
    return f"{format_score(score.points)} ({origins})" if origins else format_score(score.points)


def _name(unit: str, instance: int) -> str:
    return f"{unit} [{instance}]" if instance else unit
