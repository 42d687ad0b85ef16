# SPDX-License-Identifier: LGPL-2.1-or-later
"""synodctl: registers the verbs, and turns every error into one line and an exit status.

The only translator of errors. Verbs that need more than the agent are imported when they are used, so that
``list-units`` starts fast, and works where the lab's requirements are missing. Source: synodctl(1).
"""

import signal
import sys
from collections.abc import Mapping, Sequence
from importlib import import_module
from typing import Any, Final, NoReturn

import click
from click.shell_completion import CompletionItem

from synod import __version__
from synod.base.errors import SynodError
from synod.base.exits import ExitStatus
from synod.cli import cluster, unit
from synod.cli.client import AgentError
from synod.cli.options import SETTINGS, data_options, talk_options
from synod.cli.output import error as print_error
from synod.cli.output import finish

PROGRAM: Final = "synodctl"
INTERRUPTED: Final = 128 + signal.SIGINT

LATER: Final[Mapping[str, tuple[str, str]]] = {
    "verify": ("synod.cli.verify:verify", "Check annotations without asking the agent."),
    "cat-config": ("synod.cli.settings:cat_config", "Print the settings of this node and their origin."),
    "lab": ("synod.cli.lab:lab", "Throw-away clusters of real systemd nodes on this machine."),
}
"""Verb -> (where it is, its line in --help)."""

GROUPS: Final = (
    ("Looking", ("status", "list-nodes", "list-units", "show", "why", "bounds")),
    ("Units", ("start", "stop", "restart", "move", "adopt")),
    ("Nodes", ("drain", "undrain", "set-attribute", "get-attribute", "confirm-off", "remove")),
    ("Cluster", ("init", "token", "join", "leave")),
    ("Files and trials", ("verify", "cat-config", "lab")),
)
"""The order of --help; every verb is in one of them."""


class Verbs(click.Group):
    """The verbs, some of which are imported on demand."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Name every verb, in the order of --help."""
        return [name for _, names in GROUPS for name in names]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Return a verb, importing it if need be."""
        if cmd_name not in LATER:
            return super().get_command(ctx, cmd_name)
        module, _, attribute = LATER[cmd_name][0].partition(":")
        try:
            command: click.Command = getattr(import_module(module), attribute)
        except ModuleNotFoundError as error:
            raise SynodError(f"'{cmd_name}' needs the Python module '{error.name}'; install it") from None
        if isinstance(command, click.Group):
            # Its default differs between releases of click; a missing verb is an error of usage in all.
            command.no_args_is_help = False
        return command

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[CompletionItem]:
        """Offer verbs and options, without importing any of the verbs."""
        verbs = [CompletionItem(name) for name in self.list_commands(ctx) if name.startswith(incomplete)]
        return verbs + click.Command.shell_complete(self, ctx, incomplete)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the verbs by group, without importing any of them."""
        for title, names in GROUPS:
            rows = []
            for name in names:
                command = self.commands.get(name)
                line = command.get_short_help_str(limit=200) if command is not None else LATER[name][1]
                rows.append((name, line))
            with formatter.section(title):
                formatter.write_dl(rows)


@click.group(cls=Verbs, no_args_is_help=False, context_settings=SETTINGS)
@talk_options
@data_options
@click.version_option(__version__, prog_name=PROGRAM, message="%(prog)s %(version)s")
def synodctl() -> None:
    """Dependencies between systemd units that reach across machines."""


for _command in (*cluster.COMMANDS, *unit.COMMANDS):
    synodctl.add_command(_command)


def main() -> NoReturn:
    """Run synodctl for the words of the command line."""
    # As every other tool: a reader that closes its end of the pipe ends us, silently.
    signal.signal(signal.SIGPIPE, signal.SIG_DFL)
    for stream in (sys.stdout, sys.stderr):
        _never_fail_to_print(stream)
    status = run(sys.argv[1:])
    if not finish():
        print_error("the output cannot be written; is the disk full?")
        status = status or ExitStatus.FAILURE
    sys.exit(status)


def run(arguments: Sequence[str]) -> int:
    """Run synodctl and return its exit status; whatever a user can cause is one line on standard error."""
    try:
        result: object = synodctl.main(list(arguments), prog_name=PROGRAM, standalone_mode=False)
    except click.UsageError as error:
        print_error(f"{_one_line(error.format_message())}; try: {_help_of(error)}")
        return ExitStatus.USAGE
    except click.ClickException as error:
        print_error(_one_line(error.format_message()))
        return ExitStatus.FAILURE
    except click.Abort:
        return INTERRUPTED
    except AgentError as error:
        print_error(str(error))
        return error.status
    except SynodError as error:
        print_error(str(error))
        return error.exit_status
    except OSError as error:  # what neither the agent's conversation nor a file's reader expected
        reason = error.strerror or str(error)
        print_error(f"{error.filename}: {reason}" if error.filename else reason)
        return ExitStatus.FAILURE
    return result if isinstance(result, int) else ExitStatus.SUCCESS


def _help_of(error: click.UsageError) -> str:
    return f"{error.ctx.command_path if error.ctx is not None else PROGRAM} --help"


def _one_line(text: str) -> str:
    """Put click's message on one line, without its full stop."""
    return " ".join(text.split()).rstrip(".")


def _never_fail_to_print(stream: Any) -> None:
    """Show what the locale cannot express as an escape."""
    stream.reconfigure(errors="backslashreplace")
