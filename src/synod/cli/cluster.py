# SPDX-License-Identifier: LGPL-2.1-or-later
"""Verbs about the cluster and its nodes: each parses its words, asks the agent and prints the answer."""

from collections.abc import Mapping

import click

from synod.base.errors import (
    NoSuchObjectError,
    NotConfiguredError,
    NotQuorateError,
    RefusedError,
    UsageError,
)
from synod.cli.client import AgentError
from synod.cli.names import Address, Node
from synod.cli.options import Session, data_options, json_option, pass_session, talk_options
from synod.cli.output import Output
from synod.cli.unit import an_object, objects, print_units

ROLES = ("automatic", "voter", "satellite", "witness")
NODE_COLUMNS = ("NODE", "ADDRESS", "ROLE", "STATE", "LEADER")

_address_option = click.option(
    "--address", type=Address(), metavar="ADDR", default=None,
    help="Where other nodes reach this one; by default the address that leads to them.")


@click.command()
@click.option("--name", "cluster", required=True, metavar="CLUSTER", help="Name of the new cluster.")
@_address_option
@json_option
@talk_options
@pass_session
def init(session: Session, cluster: str, address: tuple[str, int | None] | None) -> None:
    """Found a cluster with this node as its first; print the command that adds another."""
    host, port = address or (None, None)
    data = an_object(session.change("init", {"cluster": cluster, "address": host, "port": port}).data)
    if session.output.is_json:
        session.output.data(data)
        return
    is_old = data.get("already") is True
    session.output.note(f"This node is already a member of the cluster '{cluster}'." if is_old
                        else f"The cluster '{cluster}' has its first node.")
    if data.get("note"):
        session.output.note(str(data["note"]))
    session.output.note("To add another node, run this there; the token is valid once:")
    session.output.line(str(data.get("join", "")))


@click.command()
@json_option
@talk_options
@pass_session
def token(session: Session) -> None:
    """Print a new token with which one node can join."""
    data = an_object(session.change("token", {}).data)
    if session.output.is_json:
        session.output.data(data)
    else:
        session.output.line(str(data.get("token", "")))


@click.command()
@click.argument("member", type=Address(), metavar="ADDR")
@click.option("--token", "word", required=True, metavar="TOKEN", help="What 'synodctl token' printed.")
@click.option("--role", type=click.Choice(ROLES), default="automatic", show_default=True,
              help="Whether this node votes; a witness votes and runs no units.")
@_address_option
@talk_options
@pass_session
def join(session: Session, member: tuple[str, int | None], word: str, role: str,
         address: tuple[str, int | None] | None) -> None:
    """Join the cluster that has a member at ADDR."""
    host, port = member
    own_address, own_port = address or (None, None)
    if own_port is not None:
        raise UsageError("a node that joins listens on the default port; give --address without a port")
    data = an_object(session.change(
        "join",
        {"address": host, "port": port, "token": word, "role": role, "own_address": own_address},
    ).data)
    is_old = data.get("already") is True
    session.output.note(f"This node {'is already' if is_old else 'is now'} a member of the cluster "
                        f"'{data.get('cluster')}'.")
    if data.get("note"):
        session.output.note(str(data["note"]))


@click.command()
@click.option("--force", is_flag=True, help="Without a majority: forget the cluster without its word.")
@talk_options
@pass_session
def leave(session: Session, force: bool) -> None:
    """Stop what runs only here and take this node out of its cluster."""
    session.change("leave", {"force": True} if force else {}, waits_for_units=True)


@click.command()
@click.argument("node", type=Node())
@talk_options
@pass_session
def remove(session: Session, node: str) -> None:
    """Forget a node that has left; its certificate is accepted no more."""
    session.change("remove", {"node": node})


@click.command("confirm-off")
@click.argument("node", type=Node())
@click.option("--yes", is_flag=True, help="The machine has no power; nobody will check.")
@talk_options
@pass_session
def confirm_off(session: Session, node: str, yes: bool) -> None:
    """Give your word that a lost machine is off, so that others take what it ran."""
    if not yes:
        raise RefusedError(
            f"if '{node}' still runs, its units will run twice; make sure that it has no power, then repeat "
            "this with --yes"
        )
    session.change("confirm-off", {"node": node})


@click.command()
@click.argument("node", type=Node())
@talk_options
@pass_session
def drain(session: Session, node: str) -> None:
    """Move the units off a node and keep new ones away from it."""
    session.change("drain", {"node": node})


@click.command()
@click.argument("node", type=Node())
@talk_options
@pass_session
def undrain(session: Session, node: str) -> None:
    """Let a drained node run units again."""
    session.change("undrain", {"node": node})


@click.command("set-attribute")
@click.argument("node", type=Node())
@click.argument("name")
@click.argument("value")
@talk_options
@pass_session
def set_attribute(session: Session, node: str, name: str, value: str) -> None:
    """Say what a node is or has, for Where= and Prefer=; an empty VALUE takes the attribute away."""
    session.change("set-attribute", {"node": node, "name": name, "value": value})


@click.command("get-attribute")
@click.argument("node", type=Node())
@click.argument("name", required=False)
@talk_options
@data_options
@pass_session
def get_attribute(session: Session, node: str, name: str | None) -> None:
    """Print the value of one attribute of a node, or all of them as NAME=VALUE."""
    rows = [row for row in objects(session.query("list-nodes")) if row.get("name") == node]
    if not rows:
        raise NoSuchObjectError(f"'{node}' is not a node of this cluster; see: synodctl list-nodes")
    attributes = an_object(rows[0].get("attributes", {}))
    if name is not None and name not in attributes:
        raise NoSuchObjectError(f"'{node}' has no attribute '{name}'")
    if session.output.is_json:
        session.output.data(attributes if name is None else attributes[name])
    elif name is None:
        session.output.properties(attributes)
    else:
        session.output.line(str(attributes[name]))


@click.command("list-nodes")
@talk_options
@data_options
@pass_session
def list_nodes(session: Session) -> None:
    """List the nodes of the cluster."""
    data = session.query("list-nodes")
    if session.output.is_json:
        session.output.data(data)
    else:
        _print_nodes(session.output, data)


@click.command()
@talk_options
@data_options
@pass_session
def status(session: Session) -> None:
    """Show the cluster as this node sees it: members, quorum, units, alarms."""
    answer = session.inquire("status")
    data = an_object(answer.data)
    is_member = data.get("member") is True
    if session.output.is_json:
        session.output.data(data)
    elif is_member:
        _print_status(session.output, data)
    if not is_member:
        raise NotConfiguredError(
            "this node is not a member of a cluster; try: synodctl init --name CLUSTER, "
            "or: synodctl join ADDR --token TOKEN"
        )
    if data.get("quorate") is not True:
        raise NotQuorateError("no majority of voters answers: nothing can be changed until one does")
    if answer.status:
        raise AgentError(answer.text or "the agent reports a problem", answer.status)


COMMANDS = (init, token, join, leave, remove, confirm_off, status, list_nodes, drain, undrain,
            set_attribute, get_attribute)


def _print_status(output: Output, data: Mapping[str, object]) -> None:
    output.fields((
        ("Cluster", f"{data.get('cluster')} ({data.get('cluster_id')})"),
        ("Node", data.get("node")),
        ("Leader", data.get("leader")),
        ("Quorate", data.get("quorate")),
        ("Voters", data.get("voters")),
        ("Log", f"term {data.get('term')}, applied to {data.get('applied_index')}"),
        ("Version", data.get("version")),
    ))
    output.line("")
    _print_nodes(output, data.get("nodes"))
    warnings = data.get("warnings")
    for text in warnings if isinstance(warnings, list) else ():
        output.line("")
        output.line(f"Warning: {text}")
    units = objects(data.get("units"))
    if units:
        output.line("")
        print_units(output, units)
    alarms = objects(data.get("alarms"))
    if alarms:
        output.line("")
        columns = ("index", "node", "unit", "text")
        output.table([name.upper() for name in columns], [[row.get(c) for c in columns] for row in alarms],
                     "alarm")


def _print_nodes(output: Output, data: object) -> None:
    output.table(NODE_COLUMNS, [
        (row.get("name"), _endpoint(row), row.get("role"), row.get("state"), row.get("leader"))
        for row in objects(data)
    ], "node")


def _endpoint(row: Mapping[str, object]) -> str:
    address, port = str(row.get("address", "")), row.get("port")
    host = f"[{address}]" if ":" in address else address
    return f"{host}:{port}" if port else address
