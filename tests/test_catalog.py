# SPDX-License-Identifier: LGPL-2.1-or-later
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from synod.base import messages
from synod.base.messages import MessageId

CATALOG = Path(__file__).parent.parent / "packaging/tree/usr/lib/systemd/catalog/synod.catalog"
FIELDS = {"SYNOD_PEER", "SYNOD_REASON", "OBJECT_SYSTEMD_UNIT"}


def entries():
    """Return {name: (id, header, text)} of the catalog, in its order."""
    found = {}
    for block in re.split(r"(?m)^# (?=[A-Z_]+\n-- )", CATALOG.read_text())[1:]:
        name, identity, rest = block.split("\n", 2)
        header, _, text = rest.partition("\n\n")
        found[name] = (identity.removeprefix("-- "), header.splitlines(), text.strip())
    return found


def promised_fields():
    """Return {name: fields} from the comments in the source."""
    source = Path(messages.__file__).read_text()
    found = re.findall(r'    ([A-Z_]+) = "[0-9a-f]+"\n(?:    """(.*)"""\n)?', source)
    return {name: set(re.findall("[A-Z_]+(?==)", comment)) for name, comment in found}


def test_catalog_and_constants_name_the_same_messages():
    assert {name: entry[0] for name, entry in entries().items()} == {
        each.name: each.value for each in MessageId
    }


def test_numbers_are_random_and_unique():
    values = [each.value for each in MessageId]
    assert len(set(values)) == len(values)
    assert all(re.fullmatch("[0-9a-f]{32}", value) for value in values)
    assert all(value[12] == "4" and value[16] in "89ab" for value in values)


@pytest.mark.parametrize("name", [each.name for each in MessageId])
def test_an_entry_says_what_happened_and_uses_only_promised_fields(name):
    _, header, text = entries()[name]
    assert header[0].startswith("Subject: ")
    assert header[1:] == ["Defined-By: Synod", "Documentation: man:synod(7)"]
    assert text.endswith((".", "@"))
    used = set(re.findall("@([A-Z_]+)@", text))
    assert used <= FIELDS
    assert used - {"OBJECT_SYSTEMD_UNIT"} == promised_fields()[name]


def test_messages_about_a_unit_name_it():
    about_units = [
        name
        for name in entries()
        if name.startswith(("UNIT_", "WISH_", "ROGUE", "SPEC", "BARRIER", "CYCLE", "STOP"))
    ]
    assert all("@OBJECT_SYSTEMD_UNIT@" in entries()[name][2] for name in about_units)


@pytest.mark.skipif(shutil.which("journalctl") is None, reason="journalctl is not installed")
def test_systemd_itself_reads_the_catalog(tmp_path):
    (tmp_path / "usr/lib/systemd/catalog").mkdir(parents=True)
    (tmp_path / "var/lib/systemd/catalog").mkdir(parents=True)
    shutil.copy(CATALOG, tmp_path / "usr/lib/systemd/catalog")
    root = f"--root={tmp_path}"
    updated = subprocess.run(
        ["journalctl", root, "--update-catalog"], capture_output=True, text=True, check=True
    )
    assert updated.stderr == ""
    listed = subprocess.run(
        ["journalctl", root, "--list-catalog"], capture_output=True, text=True, check=True
    ).stdout
    assert {line.split(" ")[0] for line in listed.splitlines()} == {each.value for each in MessageId}
