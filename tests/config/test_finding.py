# SPDX-License-Identifier: LGPL-2.1-or-later
"""synod.config.finding: one line for the user, and a table for the manual."""

import ast
import re
from pathlib import Path

import pytest

import synod.config
from synod.config.finding import CODES, Severity, finding


def test_one_line_with_what_is_known():
    found = finding("cycle", "a after b", file="/etc/x", line=3, unit="a.service", hint="break it")
    assert str(found) == "/etc/x:3: a.service: error: a after b; break it [cycle]"
    assert str(finding("cycle", "a")) == "error: a [cycle]"
    assert str(finding("no-readiness", "a", file="/x")) == "/x: info: a [no-readiness]"


def test_an_unlisted_code_is_a_bug():
    with pytest.raises(KeyError):
        finding("no-such-code", "x")


def test_every_code_is_used_and_described():
    source = "".join(
        path.read_text()
        for path in Path(synod.config.__file__).parent.glob("*.py")
        if path.name != "finding.py"
    )
    texts = [node.value for node in ast.walk(ast.parse(source)) if isinstance(node, ast.Constant)]
    for code, (severity, text) in CODES.items():
        assert code in texts, code
        assert isinstance(severity, Severity)
        assert re.fullmatch(r"[a-z]+(-[a-z]+)*", code)
        assert text.endswith(".")
