# SPDX-License-Identifier: LGPL-2.1-or-later
"""What a node answers to questions: plain values, in the shapes that synodctl(1) promises scripts."""

from collections.abc import Mapping, Sequence
from dataclasses import fields
from typing import Final

from synod.base.exits import ExitStatus
from synod.base.ids import UnitName
from synod.engine.bounds import bounds, is_survived
from synod.engine.hearsay import VERSION
from synod.engine.node import Node
from synod.ledger.effects import Role
from synod.model import adoption
from synod.model.command import NodeState, RoleWish
from synod.model.rows import NodeRow, Row
from synod.planner.score import Score

PAIR: Final = 2
"""Nodes of a failover pair, which needs a third voice (safety rule 7.4)."""

Json = None | bool | int | str | Sequence["Json"] | Mapping[str, "Json"]


def list_nodes(node: Node) -> list[Json]:
    """Describe every node, by name."""
    return [_node(node, row) for _, row in sorted(node.state.nodes.items())]


def _node(node: Node, row: NodeRow) -> Json:
    return {
        "name": row.name,
        "address": row.address,
        "port": row.port,
        "role": _role(node, row),
        "state": _node_state(node, row),
        "leader": node.ledger.leader == row.name,
        "attributes": dict(sorted(row.attributes.items())),
        "suspected_by": [str(name) for name in node.hearsay.accusers(row.name)],
        "version": node.hearsay.fact(row.name, VERSION),
    }


def _role(node: Node, row: NodeRow) -> str:
    if row.role is RoleWish.WITNESS:
        return "witness"
    return "voter" if row.name in node.ledger.voters else "satellite"


def _node_state(node: Node, row: NodeRow) -> str:
    is_near = row.name == node.desk.me or row.name in node.desk.connected
    if row.state is NodeState.ONLINE and row.is_drained:
        return "drained"
    if row.state is NodeState.ONLINE and (not is_near or node.hearsay.accusers(row.name)):
        return "suspect"
    return row.state.value


def list_units(node: Node) -> list[Json]:
    """Describe every annotated unit of the cluster, by name."""
    return [_unit(node, row) for _, row in sorted(node.state.rows.items()) if row.reports or row.grants]


def _unit(node: Node, row: Row) -> dict[str, Json]:
    holders = node.readiness.holders(row.unit)
    observed = {
        name: state for name, state in row.observed.items() if state != "inactive" and name not in holders
    }
    states = dict.fromkeys(holders, "active") | observed
    # What a lost node last said of itself is no news of it.
    lost = [name for name in states if node.state.nodes[name].state is NodeState.LOST]
    states |= dict.fromkeys(lost, "unknown")
    instances: list[Json] = [{"node": name, "state": states[name], "role": ""} for name in sorted(states)]
    placed = sorted(str(grant.node) for grant in row.grants.values())
    if row.spec is not None and not row.spec.is_exclusive:
        placed = [str(name) for name in holders]
    return {
        "unit": row.unit,
        "desired": row.desired.value if row.desired is not None else "stopped",
        "instances": instances,
        "placed_on": placed,
        "conflict": bool(_conflict(node, row)),
        "reason": _reason(node, row),
    }


def _conflict(node: Node, row: Row) -> str:
    return adoption.conflict(row, node.state.nodes, node.state.specs)


def _reason(node: Node, row: Row) -> str:
    """Say where a unit runs or why not, and what nodes disagree about."""
    said = _conflict(node, row) or node.judge.verdict(row.unit).text
    others = adoption.differing(row, node.state.specs)
    if not others:
        return said
    have = "have" if len(others) > 1 else "has"
    drift = f"{', '.join(others)} {have} another annotation and may not start it"
    return f"{said}; {drift}; to choose that: synodctl adopt {row.unit} --from {others[0]}"


def show(node: Node, unit: UnitName) -> dict[str, Json] | None:
    """Describe one unit in full; None when the cluster has none of that name."""
    row = node.state.rows.get(unit)
    if row is None:
        return None
    grants: list[Json] = [
        {"node": grant.node, "instance": grant.instance, "epoch": grant.epoch, "revoked": grant.is_revoked}
        for _, grant in sorted(row.grants.items())
    ]
    failure: Json = None
    if row.failure is not None:
        failure = {
            "node": row.failure.node,
            "ending": row.failure.ending.value,
            "reason": row.failure.reason,
        }
    reports: dict[str, Json] = dict(sorted(row.reports.items()))
    return _unit(node, row) | {
        "spec": _spec(row),
        "revision": row.revision,
        "grants": grants,
        "reports": reports,
        "differing": [str(name) for name in adoption.differing(row, node.state.specs)],
        "found": [str(name) for name in sorted(row.found)],
        "failure": failure,
        "failures": {str(name): setback.count for name, setback in sorted(row.setbacks.items())},
    }


def _spec(row: Row) -> Json:
    if row.spec is None:
        return None
    found: dict[str, Json] = {}
    for field in fields(row.spec):
        value = getattr(row.spec, field.name)
        found[field.name] = list(map(str, value)) if isinstance(value, tuple) else value
    return found


def why(node: Node, unit: UnitName) -> dict[str, Json] | None:
    """Explain where a unit runs, or why it does not; None when the cluster has none of that name."""
    if unit not in node.state.rows:
        return None
    row = node.state.rows[unit]
    scores = {
        str(name): _score(score) | {"placed": row.grant_on(name) is not None}
        for name, score in node.judge.scores(unit).items()
    }
    return {"unit": unit, "text": _reason(node, row), "nodes": scores}


def _score(score: Score) -> dict[str, Json]:
    reasons: list[Json] = [{"points": reason.points, "text": reason.text} for reason in score.reasons]
    blocked = "; ".join(reason.text for reason in score.obstacles)
    return {"score": score.points, "reasons": reasons, "blocked": blocked}


def status(node: Node) -> dict[str, Json]:
    """Describe the cluster as this node sees it."""
    alarms: list[Json] = [
        {"index": index, "node": alarm.node, "unit": alarm.unit, "text": alarm.text}
        for index, alarm in node.state.alarms
    ]
    voters: list[Json] = list(node.ledger.voters)
    return {
        "cluster": node.state.cluster,
        "cluster_id": node.state.cluster_id,
        "node": node.desk.me,
        "member": True,
        "leader": node.ledger.leader or "",
        "is_leading": node.ledger.role is Role.LEADER,
        "term": node.ledger.term,
        "quorate": node.ledger.quorate,
        "voters": voters,
        "nodes": list_nodes(node),
        "units": list_units(node),
        "alarms": alarms,
        "warnings": _warnings(node),
        "applied_index": node.state.applied,
    }


def _warnings(node: Node) -> list[Json]:
    """Say what is wrong with the cluster as it stands, whether or not anything has happened yet."""
    nodes = node.state.nodes
    if not node.ledger.quorate and not node.desk.connected and len(nodes) > 1:
        return [
            "no other member answers: look at the network; if this node was removed from its cluster while "
            "it was off, forget the cluster with: synodctl leave --force"
        ]
    running = sorted(
        name for name, row in nodes.items()
        if row.role is not RoleWish.WITNESS and row.state is not NodeState.LEFT
    )  # fmt: skip
    stuck = [name for name in running if not is_survived(name, node.ledger.voters)]
    if len(running) < 2 or not stuck:
        return []
    text = f"without {', '.join(stuck)} no majority of voters is left, and nothing is taken over"
    if len(running) == PAIR:
        cure = "add a node, or one with: synodctl join --role witness"
        text = f"{' and '.join(running)} are no failover pair: {text}; {cure}"
    return [text]


def list_bounds(node: Node) -> list[Json]:
    """Say how long each exclusive unit may be away when its node loses its power; spans are microseconds."""
    return [
        {
            "unit": bound.unit,
            "movable": bound.worst is not None,
            "lease_usec": bound.worst,
            "lease_of_leader_usec": bound.worst_of_leader,
            "slowest": bound.slowest,
            "why_never": bound.why_never,
        }
        for bound in bounds(node.state, node.timing, node.lease.timing, node.ledger.voters)
    ]


def exit_of_health(node: Node) -> ExitStatus:
    """Return the status of ``synodctl status``: 0 when a majority answers, else 8."""
    return ExitStatus.SUCCESS if node.ledger.quorate else ExitStatus.NOT_QUORATE
