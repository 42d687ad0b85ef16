# SPDX-License-Identifier: LGPL-2.1-or-later
"""What an administrator does once: found a cluster, fill a database, hand units to the cluster.

PostgreSQL is the distribution's own package with its own unit; the cluster gets hold of it by a drop-in of
two lines.
"""

import json

from demo.narrator import Narrator
from demo.record import Command
from demo.stage import DB, NODES, UNITS, WEB, Stage
from synod.base.errors import SynodError

DATABASE_CONF = "/etc/postgresql/15/main/conf.d/demo.conf"
LISTENING = "listen_addresses = '*'\n"

_ACCESS = "host shop web 10.77.0.0/24 trust"
"""The network of the lab exists on this machine only and for as long as the demo runs."""

_SQL = ("CREATE ROLE web LOGIN", "CREATE DATABASE shop", r"\connect shop",
        "CREATE TABLE item (name text PRIMARY KEY, count integer NOT NULL)", "GRANT SELECT ON item TO web",
        "INSERT INTO item VALUES ('chair', 12), ('lamp', 5), ('table', 3)")

_KNOWN_SEC = 20.0
_VOTERS_SEC = 20.0


def found_cluster(stage: Stage, narrator: Narrator) -> None:
    """Make one cluster of the nodes."""
    first, *others = NODES
    # An agent looks for devices when it becomes a member.
    narrator.quote((f"/{stage.install_fence_device().strip('/')}: the nodes can switch each other off",))
    init = ("synodctl", "init", "--name", "demo", "--address", "10.77.0.1")
    narrator.command(_succeed(stage.run(first, init)))
    for node in others:
        token = _succeed(stage.run(first, ("synodctl", "token"))).stdout.strip()
        join = _succeed(stage.run(node, ("synodctl", "join", first, "--token", token)))
        narrator.command(join, shown=f"synodctl join {first} --token $(ssh {first} synodctl token)")
    narrator.step("all nodes see each other online", stage.wait(
        lambda: all(_online(stage, node) == len(NODES) for node in NODES), "the nodes see each other online",
        timeout=_VOTERS_SEC))


def fill_database(stage: Stage, narrator: Narrator) -> None:
    """Give PostgreSQL on the first node something to tell, and let the other nodes ask it."""
    node = NODES[0]
    sql = _succeed(stage.run(node, psql(*(f"--command={command}" for command in _SQL))))
    narrator.command(sql, shown="psql: a database 'shop' with a table 'item' of three rows")
    stage.write(node, DATABASE_CONF, LISTENING)
    _succeed(stage.run(node, ("sh", "-c", f"echo '{_ACCESS}' >>/etc/postgresql/15/main/pg_hba.conf")))


def annotate(stage: Stage, narrator: Narrator) -> None:
    """Install the annotated units on all nodes and hand them to the cluster."""
    # Both by name: systemctl does not wait for what a stop takes along.
    stopped = [_succeed(done) for done in stage.run_everywhere(("systemctl", "disable", "--now",
                                                                "postgresql.service", DB))]
    _tell_of_all(narrator, stopped)
    for file in stage.install_files():
        narrator.quote((f"/{file}",))
    verified = narrator.command(_succeed(stage.run(NODES[0], ("synodctl", "verify"))))
    narrator.quote(verified.stdout.splitlines())
    # Every node would start web when it boots: the cluster sees to it that one does.
    for words in (("systemctl", "enable", "--no-reload", WEB), ("systemctl", "daemon-reload")):
        _tell_of_all(narrator, [_succeed(done) for done in stage.run_everywhere(words)])
    narrator.step("the cluster knows what every node has of the units", stage.wait(
        lambda: all(_is_reported(stage, unit) for unit in UNITS), "every node has reported the units",
        timeout=_KNOWN_SEC))


def psql(*options: str) -> tuple[str, ...]:
    """Return the program that runs SQL as the database's superuser, up to the first error."""
    return ("runuser", "-u", "postgres", "--", "psql", "--quiet", "--set=ON_ERROR_STOP=1", *options)


def _online(stage: Stage, node: str) -> int:
    return sum(row.get("state") == "online" for row in stage.query(node, "list-nodes"))


def _is_reported(stage: Stage, unit: str) -> bool:
    """Return whether all nodes know that all nodes have the unit: whichever leads, it can place it."""
    said = stage.run_everywhere(("synodctl", "show", unit, "--json=short"))
    return all(done.status == 0 and sorted(json.loads(done.stdout)["reports"]) == list(NODES)
               for done in said)


def _tell_of_all(narrator: Narrator, done: list[Command]) -> None:
    longest = max(done, key=lambda command: command.seconds)
    narrator.command(longest, where="all nodes")


def _succeed(done: Command) -> Command:
    if done.status != 0:
        last = (done.stderr or done.stdout).strip().rpartition("\n")[2]
        raise SynodError(f"{done.node}: {done.text}: exit status {done.status}: {last}")
    return done
