# SPDX-License-Identifier: LGPL-2.1-or-later
"""``synodctl lab``: throw-away clusters of real systemd nodes; parses and calls synod.lab.cluster."""

import os
import sys
from collections.abc import Callable
from pathlib import Path

import click

from synod.base.errors import SynodError
from synod.lab import remains, sources, state
from synod.lab.cluster import Lab

_PASS_THROUGH = {"ignore_unknown_options": True, "allow_interspersed_args": False}

_name = click.option("--name", default="synod", envvar="SYNOD_LAB", show_default=True, help="Which lab.")


@click.group()
def lab() -> None:
    """Throw-away clusters of real systemd nodes on this machine.

    The nodes node1 to nodeN are containers with a network of their own; `outside` is a client on it.
    Nothing on this machine is changed for good: `down` removes it all, also after a crash.
    """


@lab.command()
@_name
@click.option("--nodes", type=click.IntRange(1, state.NODES_MAX), default=3, show_default=True,
              help="How many nodes to make.")
@click.option("--release", type=click.Choice(sources.RELEASES), default="bookworm",
              show_default=True, help="Debian release of the nodes.")
@click.option("--package", "packages", multiple=True, help="Debian package for the nodes; repeatable.")
@click.option("--deb", type=click.Path(path_type=Path), default=None,
              help="Package file of Synod to install; by default the newest build/synod_*.deb here, if any.")
@click.option("--on-reset", type=click.Choice(("stay", "boot")), default="stay",
              show_default=True, help="What a node does that resets itself: stay down, or boot again.")
def up(name: str, nodes: int, release: str, packages: tuple[str, ...], deb: Path | None,
       on_reset: str) -> None:
    """Make the nodes and boot them.

    The first lab of a release takes a minute: its root file system is built, and kept in
    /var/cache/synod-lab/, which may be removed while no lab is up.
    """
    deb = deb or _newest_deb()
    if deb is None:
        click.echo("no package of Synod given: the nodes run without it; see --deb", err=True)
    made = Lab(name)
    made.up(nodes, release, packages, deb, on_reset)
    for node in made.state.nodes:
        click.echo(f"{node}\t{made.state.address(node)}\t{made.status(node)}")


@lab.command("exec", context_settings=_PASS_THROUGH)
@_name
@click.argument("node")
@click.argument("command", nargs=-1, type=click.UNPROCESSED)
def execute(name: str, node: str, command: tuple[str, ...]) -> None:
    """Run COMMAND as root in NODE, or a login shell; its exit status is this command's.

    NODE may be `outside`: then COMMAND is a program of this machine that sees only the lab's network.
    """
    if command[:1] == ("--",):
        command = command[1:]
    argv = Lab.attach(name).command(node, command or ("bash", "--login"))
    sys.stdout.flush()
    os.execvp(argv[0], argv)  # noqa: S606 - no shell is wanted: the arguments are the user's own


@lab.command()
@_name
@click.argument("nodes", nargs=-1, required=True, metavar="NODE...")
def kill(name: str, nodes: tuple[str, ...]) -> None:
    """Cut the power of nodes: first the network link, then every process."""
    _for_each(Lab.attach(name).kill, nodes)


@lab.command()
@_name
@click.argument("nodes", nargs=-1, required=True, metavar="NODE...")
def boot(name: str, nodes: tuple[str, ...]) -> None:
    """Switch nodes on and wait until they have booted; their disks are as they left them."""
    _for_each(Lab.attach(name).boot, nodes)


@lab.command()
@_name
@click.option("--one-way", is_flag=True, help="Drop only what goes from A to B.")
@click.argument("a")
@click.argument("b")
def cut(name: str, a: str, b: str, one_way: bool) -> None:
    """Drop everything between the nodes A and B; either may be `outside`."""
    Lab.attach(name).cut(a, b, one_way=one_way)


@lab.command()
@_name
def heal(name: str) -> None:
    """Undo every cut."""
    Lab.attach(name).heal()


@lab.command()
@_name
def down(name: str) -> None:
    """Remove the lab, whatever state it is in."""
    Lab(name).down()


@lab.command("list")
def list_labs() -> None:
    """List the labs of this machine and their nodes."""
    orphans = remains.orphans()
    for name in remains.labs():
        if name in orphans:
            click.echo(f"{name}\t-\tleft over; try: synodctl lab down --name {name}")
            continue
        found = Lab.attach(name)
        for node in found.state.nodes:
            click.echo(f"{name}\t{node}\t{found.state.address(node)}\t{found.status(node)}")


def _newest_deb() -> Path | None:
    return max(Path("build").glob("synod_*.deb"), key=lambda path: path.stat().st_mtime, default=None)


def _for_each(action: Callable[[str], None], nodes: tuple[str, ...]) -> None:
    """Do it to all nodes, whatever becomes of the others, and then report the first failure."""
    failure: SynodError | None = None
    for node in nodes:
        try:
            action(node)
        except SynodError as error:
            failure = failure or error
    if failure is not None:
        raise failure
