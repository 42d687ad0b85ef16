# SPDX-License-Identifier: LGPL-2.1-or-later
"""Verbs about units: each parses its words, asks the agent and hands the answer to the printer."""

from collections.abc import Mapping

import click

from synod.base.usec import Usec, format_span
from synod.cli.client import MisunderstoodError
from synod.cli.names import Node, Unit
from synod.cli.options import Session, data_options, pass_session, talk_options
from synod.cli.output import NOTHING, Output

INFINITY = 1_000_000
"""What the agent sends for "always", and its negative for "never"."""

unit_argument = click.argument("unit", type=Unit())

BOUND_COLUMNS = ("UNIT", "NODE LOST", "LEADER LOST", "WHY NEVER")
UNIT_COLUMNS = ("UNIT", "DESIRED", "PLACED", "STATE", "REASON")


@click.command("list-units")
@talk_options
@data_options
@pass_session
def list_units(session: Session) -> None:
    """List the units that the cluster manages, where they are placed and why."""
    data = session.query("list-units")
    if session.output.is_json:
        session.output.data(data)
    else:
        print_units(session.output, data)


@click.command()
@unit_argument
@talk_options
@data_options
@pass_session
def show(session: Session, unit: str) -> None:
    """Print everything that the cluster knows of a unit."""
    data = session.query("show", {"unit": unit})
    if session.output.is_json:
        session.output.data(data)
    else:
        session.output.properties(an_object(data))


@click.command()
@unit_argument
@talk_options
@data_options
@pass_session
def why(session: Session, unit: str) -> None:
    """Explain why a unit runs where it does, or what keeps it from running, node by node."""
    data = session.query("why", {"unit": unit})
    if session.output.is_json:
        session.output.data(data)
        return
    answer = an_object(data)
    session.output.line(str(answer.get("text", "")))
    nodes = an_object(answer.get("nodes", {}))
    rows = [_node_row(name, an_object(node)) for name, node in nodes.items()]
    if rows:
        session.output.line("")
        session.output.table(("NODE", "SCORE", "PLACED", "REASONS"), rows, "node")


@click.command()
@unit_argument
@click.option("--wait", is_flag=True, help="Return when the unit is active, or cannot be.")
@talk_options
@pass_session
def start(session: Session, unit: str, wait: bool) -> None:
    """Start a unit where it belongs, and what it requires before it."""
    session.change("start", {"unit": unit, "wait": wait}, waits_for_units=wait)


@click.command()
@unit_argument
@click.option("--wait", is_flag=True, help="Return when no instance of the unit runs.")
@talk_options
@pass_session
def stop(session: Session, unit: str, wait: bool) -> None:
    """Stop every instance of a unit, after what depends on it."""
    session.change("stop", {"unit": unit, "wait": wait}, waits_for_units=wait)


@click.command()
@unit_argument
@click.option("--wait", is_flag=True, help="Accepted for symmetry: a restart is always waited for.")
@talk_options
@pass_session
def restart(session: Session, unit: str, wait: bool) -> None:
    """Restart a unit in place on every node that runs it; start it when none does."""
    del wait
    session.change("restart", {"unit": unit}, waits_for_units=True)


@click.command()
@unit_argument
@click.argument("node", type=Node())
@talk_options
@pass_session
def move(session: Session, unit: str, node: str) -> None:
    """Move a unit to a node, and keep it there until it is stopped or moved again."""
    session.change("move", {"unit": unit, "node": node})


@click.command()
@unit_argument
@click.option("--from", "node", type=Node(), required=True, metavar="NODE",
              help="The node whose annotation is to count.")
@talk_options
@pass_session
def adopt(session: Session, unit: str, node: str) -> None:
    """Let one node's annotation of a unit count where nodes disagree."""
    session.change("adopt", {"unit": unit, "node": node})


@click.command("bounds")
@talk_options
@data_options
@pass_session
def list_bounds(session: Session) -> None:
    """Print how long each unit may be away, at the worst, when its node loses its power."""
    data = session.query("bounds")
    if session.output.is_json:
        session.output.data(data)
        return
    rows = [
        (
            str(row["unit"]),
            span(row["lease_usec"]),
            span(row["lease_of_leader_usec"]),
            str(row.get("why_never") or NOTHING),
        )
        for row in map(an_object, data if isinstance(data, list) else [])
    ]
    session.output.table(BOUND_COLUMNS, rows, "unit")


def span(value: object) -> str:
    """Write a span of microseconds that the agent gave; there may be no end to it."""
    if value is None:
        return "never"
    if not isinstance(value, int):
        raise MisunderstoodError("the agent's answer is not understood; is it of another version?")
    return format_span(Usec(value))


COMMANDS = (list_units, show, why, list_bounds, start, stop, restart, move, adopt)


def print_units(output: Output, data: object) -> None:
    """Print the rows of list-units."""
    output.table(UNIT_COLUMNS, [_unit_row(row) for row in objects(data)], "unit")


def an_object(value: object) -> Mapping[str, object]:
    """Return a JSON object of an answer; what else an agent sends is not understood."""
    if not isinstance(value, dict):
        raise MisunderstoodError("the agent's answer is not understood; is it of another version?")
    return value


def objects(value: object) -> list[Mapping[str, object]]:
    """Return an array of JSON objects of an answer."""
    if not isinstance(value, list):
        raise MisunderstoodError("the agent's answer is not understood; is it of another version?")
    return [an_object(item) for item in value]


def _node_row(name: str, node: Mapping[str, object]) -> tuple[object, ...]:
    """Return a node's score, and where it comes from; of a node that is ruled out, only why."""
    reasons = [
        f"{_score(reason.get('points'))} {reason.get('text')}" for reason in objects(node.get("reasons"))
    ]
    said = node.get("blocked") or "; ".join(reasons) or "nothing speaks for or against it"
    return name, _score(node.get("score")), node.get("placed"), said


def _score(points: object) -> str:
    if isinstance(points, int) and abs(points) >= INFINITY:
        return "INFINITY" if points > 0 else "-INFINITY"
    return str(points)


def _unit_row(row: Mapping[str, object]) -> tuple[object, ...]:
    instances = objects(row.get("instances") or [])
    states = dict.fromkeys(str(instance.get("state") or NOTHING) for instance in instances)
    state = "conflict" if row.get("conflict") is True else ",".join(states)
    return row.get("unit"), row.get("desired"), row.get("placed_on"), state, row.get("reason")
