# SPDX-License-Identifier: LGPL-2.1-or-later
"""Options that many commands share, and the session that they fill in.

They are taken before and after the verb alike, as systemctl does. Decides their names; what they do is
``output``'s and ``client``'s.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, TypeVar

import click

from synod.base.usec import Usec
from synod.cli.client import CHANGE_USEC, QUERY_USEC, UNITS_USEC, AgentError, Answer, Question, ask
from synod.cli.names import Span
from synod.cli.output import JSON_MODES, Output

Command = TypeVar("Command", bound=Callable[..., object])

SETTINGS: Final[dict[str, Any]] = {"help_option_names": ["-h", "--help"], "max_content_width": 100}


@dataclass(slots=True, kw_only=True)
class Session:
    """One run of the program."""

    output: Output = field(default_factory=Output)
    timeout_usec: Usec | None = None

    def query(self, method: str, params: Mapping[str, object] | None = None) -> object:
        """Ask for data; nothing is changed."""
        answer = self.inquire(method, params)
        if answer.status:
            raise AgentError(answer.text or f"the agent cannot answer '{method}'", answer.status)
        return answer.data

    def inquire(self, method: str, params: Mapping[str, object] | None = None) -> Answer:
        """Ask for data that may come with a bad status."""
        return self._ask(method, params or {}, QUERY_USEC, is_query=True)

    def change(self, method: str, params: Mapping[str, object], *, waits_for_units: bool = False) -> Answer:
        """Ask for a change; what the agent has to say about it is shown to people."""
        self.output.is_verbose = self.output.is_verbose or waits_for_units
        answer = self._ask(method, params, UNITS_USEC if waits_for_units else CHANGE_USEC, is_query=False)
        self.output.note(answer.text)
        return answer

    def _ask(self, method: str, params: Mapping[str, object], timeout: Usec, *, is_query: bool) -> Answer:
        question = Question(
            method=method, params=params, timeout_usec=self.timeout_usec or timeout, is_query=is_query
        )
        return ask(question, self.output.progress)


pass_session = click.make_pass_decorator(Session, ensure=True)


def _stores(act: Callable[[Session, Any], None]) -> Callable[[click.Context, click.Parameter, Any], None]:
    """Make an option's callback that notes its value in the session, if it is given."""

    def callback(context: click.Context, _: click.Parameter, value: Any) -> None:
        if value is not None and value is not False:
            act(context.ensure_object(Session), value)

    return callback


def _set_json(session: Session, value: str) -> None:
    session.output.json_mode = value


def _set_quiet(session: Session, _: bool) -> None:
    session.output.is_quiet = True


def _set_verbose(session: Session, _: bool) -> None:
    session.output.is_verbose = True


def _hide_legend(session: Session, _: bool) -> None:
    session.output.has_legend = False


def _set_timeout(session: Session, value: Usec) -> None:
    session.timeout_usec = value


def _ignore(_: Session, __: bool) -> None:
    """Output is never paged; the option is there for the hands of systemctl's users."""


json_option = click.option(
    "--json", type=click.Choice(JSON_MODES), default=None, expose_value=False, callback=_stores(_set_json),
    help="Print data as JSON, on one line or indented.")
no_legend_option = click.option(
    "--no-legend", is_flag=True, expose_value=False, callback=_stores(_hide_legend),
    help="Leave out column headers and totals.")
no_pager_option = click.option(
    "--no-pager", is_flag=True, expose_value=False, callback=_stores(_ignore),
    help="Accepted for compatibility: output is never paged.")
quiet_option = click.option(
    "-q", "--quiet", is_flag=True, expose_value=False, callback=_stores(_set_quiet),
    help="Print errors and data only.")
verbose_option = click.option(
    "-v", "--verbose", is_flag=True, expose_value=False, callback=_stores(_set_verbose),
    help="Say what is being waited for, also when no terminal is there to read it.")
timeout_option = click.option(
    "--timeout", type=Span(), metavar="SPAN", default=None, expose_value=False,
    callback=_stores(_set_timeout), help="Stop waiting for the agent after this time, such as 30s.")


def _all(*options: Callable[[Command], Command]) -> Callable[[Command], Command]:
    def decorate(command: Command) -> Command:
        for option in reversed(options):
            command = option(command)
        return command

    return decorate


talk_options = _all(quiet_option, verbose_option, timeout_option)
"""For every command that asks the agent."""
data_options = _all(json_option, no_legend_option, no_pager_option)
"""For every command that prints data."""
