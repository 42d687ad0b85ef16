# SPDX-License-Identifier: LGPL-2.1-or-later
"""What becomes of a unit that failed: whether it is tried again, and where it may still be tried.

Law 1: only what has been up since somebody asked for it is recovered; a start that fails is told to whoever
       asked for it, and not repeated behind their back.
Law 2: a node is given up after FailureLimit= failures, until they are forgotten (FailureExpireSec=, by the
       leader's clock) or somebody asks for the unit anew.
Law 3: when every node that may ever run the unit is given up, so is the unit.
"""

from collections.abc import Mapping

from synod.base.ids import NodeName
from synod.model.command import Ending, NodeState, Release, RoleWish
from synod.model.rows import Failure, NodeRow, Row, Setback, barred
from synod.model.specs import SpecBook


def note_failure(row: Row, nodes: Mapping[NodeName, NodeRow], specs: SpecBook, release: Release) -> None:
    """Note that a wanted unit ended by itself, and give it up if there is nothing to try any more."""
    is_recovered = row.has_been_up and row.spec is not None and row.spec.failure_limit > 0
    if release.ending is Ending.FAILED and is_recovered:
        before = row.setbacks.get(release.node)
        count = before.count + 1 if before is not None else 1
        row.setbacks[release.node] = Setback(count=count, reason=release.reason)
        if any(not row.is_given_up_on(node) for node in refuges(row, nodes, specs)):
            return
    row.failure = Failure(node=release.node, ending=release.ending, reason=release.reason)


def refuges(row: Row, nodes: Mapping[NodeName, NodeRow], specs: SpecBook) -> list[NodeName]:
    """List the nodes that may run a unit sooner or later, whatever their state is now."""
    spec = row.spec
    if spec is None:
        return []
    return [
        name
        for name, text in row.reports.items()
        if specs.is_same(text, spec)
        and nodes[name].state is not NodeState.LEFT
        and nodes[name].role is not RoleWish.WITNESS
        and row.pin in (None, name)
        and not barred(spec, nodes[name])
    ]
