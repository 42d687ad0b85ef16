# SPDX-License-Identifier: LGPL-2.1-or-later
"""Adoption: which annotation of a unit counts, and what becomes of copies that ran before it was annotated.

Law 1: a row has one adopted spec. A new one is adopted when every online node that has the unit reports it,
       or by an administrator's word; until then a node with another one gets no new grant, and the strictest
       of all reported limits counts.
Law 2: an annotation alone starts and stops nothing. A copy that ran when its node first annotated the unit
       is *found*: it counts from the entry that reports it, so that nothing is placed beside it.
Law 3: found copies are granted in place when no more run than may; else the unit is in conflict: nothing is
       started or stopped until somebody stops one.

Source: safety rules 7.1 and 7.2.
"""

from collections.abc import Mapping

from synod.base.ids import NodeName
from synod.model.command import Desired, NodeState, RoleWish, SpecReport
from synod.model.rows import NodeRow, Row
from synod.model.specs import Edges, SpecBook
from synod.model.unit import UP_STATES

Nodes = Mapping[NodeName, NodeRow]


def take(row: Row, node: NodeName, report: SpecReport, specs: SpecBook, index: int) -> None:
    """Note what one node says of a unit."""
    if report.spec is None:
        row.reports.pop(node, None)
        row.found.pop(node, None)
        return
    row.reports[node] = specs.add(report.spec)
    if not report.is_running or not report.spec.is_exclusive or row.grant_on(node) is not None:
        row.found.pop(node, None)
    else:
        row.found.setdefault(node, index)


def readopt(row: Row, nodes: Nodes, specs: SpecBook, edges: Edges, index: int) -> bool:
    """Adopt what every node that counts reports; return whether the spec changed."""
    voices = [text for node, text in row.reports.items() if nodes[node].state is NodeState.ONLINE]
    if len(dict.fromkeys(voices)) != 1 or (row.spec is not None and specs.is_same(voices[0], row.spec)):
        return False
    replace(row, voices[0], specs, edges, index)
    return True


def replace(row: Row, text: str, specs: SpecBook, edges: Edges, index: int) -> None:
    """Let the spec of a digest count from now on.

    What ran under Instances=all has no grants: where the number is limited now, its copies are found. In the
    other direction grants have no meaning any more.
    """
    old, spec = row.spec, specs.get(text)
    edges.replace(old, spec)
    row.spec = spec
    if not spec.is_exclusive:
        row.grants, row.found = {}, {}
    elif old is not None and not old.is_exclusive:
        running = [node for node in row.reports if row.observed.get(node) in UP_STATES]
        row.found = {node: index for node in running if row.grant_on(node) is None} | row.found


def differing(row: Row, specs: SpecBook) -> list[NodeName]:
    """List the nodes whose annotation is not the adopted one, by name."""
    spec = row.spec
    if spec is None:
        return []
    return sorted(node for node, text in row.reports.items() if not specs.is_same(text, spec))


def limit(row: Row, nodes: Nodes, specs: SpecBook) -> int | None:
    """Return the least number of copies that the adopted spec or an online node allows; None: any."""
    said = [row.spec.instances] if row.spec is not None else []
    said += [specs.get(text).instances for node, text in row.reports.items()
             if nodes[node].state is NodeState.ONLINE]  # fmt: skip
    return min((number for number in said if number is not None), default=None)


def claims(row: Row, nodes: Nodes, specs: SpecBook) -> list[NodeName]:
    """List the nodes whose found copies are to be granted in place, by name; none when that is too many."""
    most = limit(row, nodes, specs)
    if row.spec is None or not row.spec.is_exclusive or most is None or _is_unwanted(row):
        return []
    if len(row.grants) + len(row.found) > most:
        return []
    return sorted(node for node in row.found if not _obstacle(row, node, nodes, specs))


def conflict(row: Row, nodes: Nodes, specs: SpecBook) -> str:
    """Say why nothing may be started or stopped, and what to do about it; empty when all is well."""
    most = limit(row, nodes, specs)
    if row.spec is None or not row.spec.is_exclusive or most is None or _is_unwanted(row):
        return ""
    copies = sorted(dict.fromkeys([*row.found, *(grant.node for grant in row.grants.values())]))
    where = f"{row.unit} runs on {', '.join(copies)}"
    if row.found and len(copies) > most:
        what = f"conflict: {where}, Instances={most}: nothing is started or stopped before that is cured"
        # On a node that holds a grant a stop would mean all of them.
        left = most - len(row.grants)
        spared = f" all but {left} of" if left > 0 else ""
        return f"{what}; run 'systemctl stop {row.unit}' on{spared} {', '.join(sorted(row.found))}"
    if len(copies) > most:
        return f"conflict: {where}, Instances={most}; stop and start it with: synodctl stop {row.unit}"
    for node in sorted(row.found):
        obstacle = _obstacle(row, node, nodes, specs)
        if obstacle:
            return f"conflict: {row.unit} runs on {node} and cannot be granted there: {obstacle}"
    return ""


def _is_unwanted(row: Row) -> bool:
    """Whether somebody said "stop" after the copies were found: then they are stopped like any other."""
    is_later = all(row.revision > index for index in row.found.values())
    return row.desired is Desired.STOPPED and is_later


def _obstacle(row: Row, node: NodeName, nodes: Nodes, specs: SpecBook) -> str:
    if nodes[node].role is RoleWish.WITNESS:
        return f"a witness runs no units; stop it there with: systemctl stop {row.unit}"
    if nodes[node].state is not NodeState.ONLINE:
        return f"the node is {nodes[node].state}"
    if row.spec is None or not specs.is_same(row.reports.get(node, ""), row.spec):
        return (
            "its annotation differs from the adopted one; make them equal, or choose it with: "
            f"synodctl adopt {row.unit} --from {node}"
        )
    return ""
