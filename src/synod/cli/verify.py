# SPDX-License-Identifier: LGPL-2.1-or-later
"""``synodctl verify``: prints what ``synod.config.verify`` finds; asks no agent.

Leaves out what that finds about virtual machines: a pause can break a lease, and this release has none.
"""

from dataclasses import asdict
from pathlib import Path

import click

from synod.base.exits import ExitStatus
from synod.cli.options import Session, json_option, no_pager_option, pass_session, quiet_option
from synod.config.finding import Finding
from synod.config.verify import has_errors
from synod.config.verify import verify as find
from synod.systemd.paths import Paths


@click.command()
@click.argument("files", nargs=-1, metavar="[FILE]...", type=click.Path(path_type=Path))
@quiet_option
@json_option
@no_pager_option
@pass_session
def verify(session: Session, files: tuple[Path, ...]) -> int:
    """Check annotations without asking the agent."""
    findings = find(Paths.from_environment().root, files or None)
    if session.output.is_json:
        session.output.data([asdict(found) for found in findings])
    else:
        for found in findings:
            session.output.line(_line(found))
    return ExitStatus.FAILURE if has_errors(findings) else ExitStatus.SUCCESS


def _line(found: Finding) -> str:
    """Write ``FILE:LINE: severity: code: UNIT: message; hint``, as compilers do, without what is unknown."""
    place = f"{found.file}:{found.line}: " if found.line else f"{found.file}: " if found.file else ""
    unit = f"{found.unit}: " if found.unit else ""
    hint = f"; {found.hint}" if found.hint else ""
    return f"{place}{found.severity.value}: {found.code}: {unit}{found.message}{hint}"
