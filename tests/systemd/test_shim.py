# SPDX-License-Identifier: LGPL-2.1-or-later
import ast
from pathlib import Path

import pytest

import synod
from synod.systemd.shim import Connection, Variant, plain


def test_only_the_shim_imports_a_library():
    found = set()
    for path in Path(synod.__file__).parent.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            names += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            if any(name.split(".")[0] in ("dbus_fast", "dbus_next") for name in names):
                found.add(path.name)
    assert found == {"shim.py"}


def test_variants_are_stripped_however_deep():
    body = [Variant("v", Variant("a{sv}", {"a": Variant("as", ["b"])})), {"c": [Variant("u", 1)]}, b"raw"]
    assert plain(body) == [{"a": ["b"]}, {"c": [1]}, b"raw"]


async def test_a_connection_can_be_closed_in_any_state(daemon):
    connection = Connection(daemon.address, needs_unix_fds=False)
    connection.close()
    connection.close()
    connection = Connection(daemon.address, needs_unix_fds=True)
    await connection.connect()
    connection.disconnect()
    connection.close()


async def test_an_absent_bus_is_an_os_error(tmp_path):
    with pytest.raises(FileNotFoundError):
        Connection(f"unix:path={tmp_path}/none", needs_unix_fds=False)
