# SPDX-License-Identifier: LGPL-2.1-or-later
"""``synodctl cat-config``: the settings of synod.conf(5) as they are in force, and where each comes from."""

import click

from synod.base.usec import Usec, format_span
from synod.cli.options import Session, json_option, no_pager_option, pass_session, quiet_option
from synod.config.schema import SETTINGS, Setting
from synod.config.settings import LoadedSettings, load_settings
from synod.systemd.paths import Paths


@click.command("cat-config")
@quiet_option
@json_option
@no_pager_option
@pass_session
def cat_config(session: Session) -> None:
    """Print the settings of this node and their origin."""
    loaded = load_settings(Paths.from_environment().root)
    for warning in loaded.warnings:
        session.output.note(warning)
    if session.output.is_json:
        session.output.data([
            {"section": row.section, "key": row.key, "value": _text(loaded, row),
             "origin": loaded.origins.get(row.field, "")}
            for row in SETTINGS
        ])
        return
    section = ""
    for row in SETTINGS:
        if row.section != section:
            section = row.section
            session.output.line(f"[{section}]")
        # systemd.syntax(7) knows comments on lines of their own only; so the output can be a file again.
        session.output.line(f"# {loaded.origins.get(row.field, 'default')}")
        session.output.line(f"{row.key}={_text(loaded, row)}")


def _text(loaded: LoadedSettings, row: Setting) -> str:
    """Write a value as one would in the file."""
    value = getattr(loaded.settings, row.field)
    return format_span(Usec(value)) if row.key.endswith("Sec") else str(value)
