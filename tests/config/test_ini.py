# SPDX-License-Identifier: LGPL-2.1-or-later
"""synod.config.ini: systemd.syntax(7), and that systemd itself reads the same."""

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from synod.config.ini import FILE_BYTES_MAX, parse


def assignments(data):
    return [(a.section, a.key, a.value, a.line) for a in parse(data, "x").assignments]


def test_sections_keys_values_and_lines():
    data = b"# c\n[One]\nA=1\n\n ; d\n B = x = y \n[Two]\nA=\n"
    assert assignments(data) == [("One", "A", "1", 3), ("One", "B", "x = y", 6), ("Two", "A", "", 8)]
    assert [(header.name, header.line) for header in parse(data, "x").headers] == [("One", 2), ("Two", 7)]


def test_a_continuation_is_joined_by_a_space_and_counts_from_its_first_line():
    data = b"[S]\nA=one\\\n  two \\\n# comment\n;another\nthree\nB=2\n"
    assert assignments(data) == [("S", "A", "one   two  three", 2), ("S", "B", "2", 7)]


def test_a_blank_line_ends_a_continuation():
    assert assignments(b"[S]\nA=one\\\n\nB=2\n") == [("S", "A", "one", 2), ("S", "B", "2", 4)]


def test_an_escaped_backslash_does_not_continue():
    assert assignments(b"[S]\nA=one\\\\\nB=2\n") == [("S", "A", "one\\\\", 2), ("S", "B", "2", 3)]


def test_a_continuation_may_be_the_end_of_the_file():
    assert assignments(b"[S]\nA=one \\") == [("S", "A", "one", 2)]


@pytest.mark.parametrize("end", [b"\n", b"\r\n", b"\n\r", b"\r", b"\0"])
def test_line_ends(end):
    assert assignments(end.join((b"[S]", b"A=1", b"B=2", b""))) == [("S", "A", "1", 2), ("S", "B", "2", 3)]


def test_a_byte_order_mark_is_passed_over():
    assert assignments(b"\xef\xbb\xbf[S]\nA=1\n") == [("S", "A", "1", 2)]


def test_only_blanks_are_stripped():
    assert assignments("[S]\nA=\u00a0x\u2003\n".encode()) == [("S", "A", "\u00a0x\u2003", 2)]


@pytest.mark.parametrize("line", [b"[S", b"[", b"[S]x", b'["S"]', b"[a\\b]", b"[a\x01]"])
def test_a_bad_header_ends_the_reading(line):
    file = parse(b"[S]\nA=1\n" + line + b"\nB=2\n", "x")
    assert [a.key for a in file.assignments] == ["A"]
    assert [(problem.line, problem.is_fatal) for problem in file.problems] == [(3, True)]
    assert file.is_broken
    assert "B=2" in file.unread


def test_what_is_not_utf8_ends_the_reading_unless_it_is_a_comment():
    file = parse(b"[S]\n# \xff\nA=1\nB=\xff\nC=3\n", "x")
    assert [a.key for a in file.assignments] == ["A"]
    assert file.problems[0].line == 4


def test_odd_lines_are_told_and_passed_over():
    file = parse(b"A=1\n[S]\nnonsense\nB=2\n", "x")
    assert [a.key for a in file.assignments] == ["B"]
    assert [(p.line, p.section, p.is_fatal) for p in file.problems] == [(1, "", False), (3, "S", False)]
    assert not file.is_broken
    assert not file.unread


def test_a_file_beyond_the_limit_is_refused():
    assert not parse(b"#" * FILE_BYTES_MAX, "x").problems
    file = parse(b"[S]\nA=1\n" + b"#" * FILE_BYTES_MAX, "x")
    assert file.is_broken
    assert not file.assignments


@given(st.binary(max_size=300) | st.text(alphabet="[]=#;\\ \t\r\n\0AB", max_size=80).map(str.encode))
def test_any_bytes_give_a_result(data):
    file = parse(data, "x")
    lines = [assignment.line for assignment in file.assignments]
    assert lines == sorted(lines)
    assert all(assignment.section in [h.name for h in file.headers] for assignment in file.assignments)


SAMPLES = {
    "plain": b"K1=1\nK2 = x\n",
    "continued": b"K1=1\\\n 2\nK\\\n2=1\nK3=1\\\\\nK4=1\\\n\nK5=1\n",
    "comments": b"#K1=1\nK2=1\\\n#K3=1\n;K4=1\nK5=1\n K6=#\n",
    "ends": b"K1=1\rK2=1\0K3=1\r\nK4=1\n\rK5=1\r\rK6=1",
    "sections": b"K1=1\n[X-Other]\nK2=1\nnonsense\n[Unit]\nK3=1\n",
    "broken": b"K1=1\n[Unit\nK2=1\n",
    "unclean": b"K1=1\n#\xff\nK2=\xff\nK3=1\n",
    "mark": b"K1=1\n\xef\xbb\xbfK2=1\n\xef\xbb\xbfK3=1\n",
}


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="needs systemd-analyze")
@pytest.mark.parametrize("name", SAMPLES)
def test_systemd_reads_the_same_keys(name, tmp_path):
    """systemd-analyze verify warns about each unknown key that it reads, in order."""
    body = b"[Unit]\n" + SAMPLES[name]
    (tmp_path / "sample.target").write_bytes(body)
    environment = {**os.environ, "SYSTEMD_UNIT_PATH": f"{tmp_path}:{Path('/usr/lib/systemd/system')}"}
    command = ["systemd-analyze", "verify", "--man=no", "sample.target"]
    done = subprocess.run(command, env=environment, capture_output=True, check=False, timeout=60)
    told = re.findall(rb"sample\.target:\d+: Unknown key (?:name )?'([^']*)' in section", done.stderr)
    ours = [a.key.encode() for a in parse(body, "x").assignments if a.section == "Unit"]
    assert told == ours
