# SPDX-License-Identifier: LGPL-2.1-or-later
"""synod.config.schema: one row per setting, and nothing beside the rows."""

from dataclasses import fields

from synod.config.ini import parse
from synod.config.schema import SETTINGS, Settings, render_defaults
from synod.config.settings import load_settings


def test_rows_and_fields_are_the_same():
    assert [row.field for row in SETTINGS] == [field.name for field in fields(Settings)]
    assert len({(row.section, row.key) for row in SETTINGS}) == len(SETTINGS)


def test_every_default_is_what_its_parser_makes_of_it():
    for row in SETTINGS:
        if row.default_text:
            assert row.parse(row.default_text) == row.default, row.key


def test_names_follow_from_each_other():
    for row in SETTINGS:
        key = "".join(part.capitalize() for part in row.field.removesuffix("_usec").split("_"))
        assert row.key == (f"{key}Sec" if row.field.endswith("_usec") else key)
        assert row.help.startswith("Takes ")
        assert row.help.endswith(".")


def test_the_shipped_file_is_all_comments_and_true(tmp_path):
    text = render_defaults()
    assert parse(text.encode(), "x").assignments == ()
    (tmp_path / "etc/synod").mkdir(parents=True)
    lines = [line.removeprefix("#") for line in text.splitlines() if not line.startswith("# ")]
    assert len([line for line in lines if "=" in line]) == len(SETTINGS)
    (tmp_path / "etc/synod/synod.conf").write_text("\n".join(lines))
    loaded = load_settings(tmp_path)
    assert loaded.warnings == ()
    assert loaded.settings == load_settings(tmp_path / "none").settings
