# SPDX-License-Identifier: LGPL-2.1-or-later
"""synod.config.specifiers: the table of systemd.unit(5), as far as names of units need it."""

import contextlib
import shutil
import subprocess

import pytest
from hypothesis import given
from hypothesis import strategies as st

from synod.config.specifiers import Host, NameParts, expand, split_name, unescape

HOST = Host(host_name="alpha.example", machine_id="f" * 32)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("%n", "a-b@c\\x2dd-e.service"),
        ("%N", "a-b@c\\x2dd-e"),
        ("%p", "a-b"),
        ("%P", "a/b"),
        ("%i", "c\\x2dd-e"),
        ("%I", "c-d/e"),
        ("%j", "b"),
        ("%H", "alpha.example"),
        ("%m", "f" * 32),
        ("%%", "%"),
        ("x%%n%i%%", "x%nc\\x2dd-e%"),
        ("plain", "plain"),
    ],
)
def test_values(text, value):
    assert expand(text, "a-b@c\\x2dd-e.service", HOST) == value


def test_a_plain_unit_has_no_instance():
    assert expand("x%iy%I", "web.service", HOST) == "xy"
    assert expand("%j", "web.service", HOST) == "web"


@pytest.mark.parametrize("text", ["%", "a%", "%q", "%\u00e4", "%1"])
def test_others_are_refused(text):
    with pytest.raises(ValueError, match="not a specifier"):
        expand(text, "web.service", HOST)


@pytest.mark.parametrize("name", ["a@\\x2.service", "a@\\xzz.service", "a@\\y.service", "a@\\x+1.service"])
def test_broken_escapes_are_refused(name):
    with pytest.raises(ValueError, match="broken escape"):
        expand("%I", name, HOST)


def test_bytes_that_are_no_text_are_refused():
    with pytest.raises(ValueError, match="codec"):
        unescape("\\xff")


def test_names_are_taken_apart():
    assert split_name("a@b@c.service") == NameParts("a", "b@c", "service")
    assert split_name("a@.service").instance == ""
    assert split_name("a.b.service").instance is None
    assert split_name("a.b.service").prefix == "a.b"


@given(st.text(max_size=20))
def test_any_text_gives_a_value_or_a_reason(text):
    with contextlib.suppress(ValueError):  # any other exception would be a traceback for the user
        expand(text, "a@b.service", HOST)


@pytest.mark.skipif(shutil.which("systemd-escape") is None, reason="needs systemd-escape")
@pytest.mark.parametrize("text", ["a-b", "a\\x2db", "-", "\\x2e", "a--b\\x40"])
def test_systemd_unescapes_the_same(text):
    done = subprocess.run(
        ["systemd-escape", "--unescape", "--", text], capture_output=True, text=True, check=True, timeout=10
    )
    assert unescape(text) == done.stdout.removesuffix("\n")
