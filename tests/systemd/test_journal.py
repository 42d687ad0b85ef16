# SPDX-License-Identifier: LGPL-2.1-or-later
import io
import logging
import mmap
import os
import socket

import pytest
from hypothesis import given
from hypothesis import strategies as st

from synod.base.messages import MessageId
from synod.systemd.journal import Journal, JournalHandler, Priority, encode


def decode(data):
    """Read the native protocol, as journald does."""
    fields = {}
    while data:
        line, _, rest = data.partition(b"\n")
        if b"=" in line:
            name, _, value = line.partition(b"=")
        else:
            name, size = line, int.from_bytes(rest[:8], "little")
            value, rest = rest[8 : 8 + size], rest[8 + size + 1 :]
        fields[name.decode()] = value.decode()
        data = rest
    return fields


@pytest.fixture
def server(tmp_path):
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as server:
        server.bind(str(tmp_path / "socket"))
        server.settimeout(5)
        yield server


@pytest.fixture
def journal(server, tmp_path):
    journal = Journal(tmp_path / "socket")
    yield journal
    journal.close()


def test_a_message_carries_its_fields(journal, server):
    journal.send(
        "hello",
        priority=Priority.NOTICE,
        message_id=MessageId.NODE_LOST,
        unit="db.service",
        SYNOD_PEER="n2",
        SYNOD_TERM=3,
    )
    assert decode(server.recv(65536)) == {
        "MESSAGE": "hello",
        "PRIORITY": "5",
        "SYSLOG_IDENTIFIER": "synodd",
        "MESSAGE_ID": MessageId.NODE_LOST.value,
        "OBJECT_SYSTEMD_UNIT": "db.service",
        "SYNOD_PEER": "n2",
        "SYNOD_TERM": "3",
    }


@given(st.dictionaries(st.from_regex("[A-Z][A-Z0-9_]{0,20}", fullmatch=True), st.text(), max_size=5))
def test_any_text_survives(fields):
    assert decode(encode(fields)) == fields


@pytest.mark.parametrize("name", ["_PID", "lower", "WITH=SIGN", "", "A" * 65, "A\nB"])
def test_field_names_that_journald_would_refuse_are_refused_here(name):
    with pytest.raises(ValueError, match="not a journal field"):
        encode({name: "x"})


def test_a_message_too_large_for_a_datagram_is_passed_as_a_sealed_file(journal, server):
    text = "x" * 4_000_000 + "\nend"
    journal.send(text)
    data, descriptors, _, _ = socket.recv_fds(server, 16, 1)
    assert data == b""
    with os.fdopen(descriptors[0], "rb") as file:
        contents = mmap.mmap(file.fileno(), 0, prot=mmap.PROT_READ)
        assert decode(bytes(contents))["MESSAGE"] == text
        with pytest.raises(OSError, match="not permitted"):
            os.ftruncate(file.fileno(), 0)


def test_without_a_journal_each_line_goes_to_standard_error(tmp_path):
    stream = io.StringIO()
    journal = Journal(tmp_path / "none", fallback=stream)
    journal.send("one\ntwo", priority=Priority.WARNING)
    journal.close()
    assert stream.getvalue() == "<4>one\n<4>two\n"


def test_a_journal_that_comes_back_is_used_again(tmp_path):
    stream = io.StringIO()
    journal = Journal(tmp_path / "socket", fallback=stream)
    journal.send("early")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as server:
        server.bind(str(tmp_path / "socket"))
        journal.send("late")
        assert decode(server.recv(65536))["MESSAGE"] == "late"
    journal.close()
    assert stream.getvalue() == "<6>early\n"


def test_a_full_journal_loses_messages_and_says_how_many(journal, server):
    sent = 0
    while not journal.dropped:
        journal.send("filler")
        sent += 1
        assert sent < 100_000
    journal.send("lost too")
    server.recv(65536)
    journal.send("after")
    messages = [decode(server.recv(65536)) for _ in range(sent - 1)]
    assert (messages[-1]["MESSAGE"], messages[-1]["SYNOD_DROPPED_MESSAGES"]) == ("after", "2")
    assert journal.dropped == 0


@pytest.mark.parametrize(
    ("level", "priority"),
    [
        (logging.CRITICAL, "2"),
        (logging.ERROR, "3"),
        (logging.WARNING, "4"),
        (logging.INFO, "6"),
        (logging.DEBUG, "7"),
    ],
)
def test_the_handler_maps_levels(journal, server, level, priority):
    logger = logging.getLogger("synod.test")
    handler = JournalHandler(journal)
    logger.addHandler(handler)
    logger.setLevel(logging.DEBUG)
    logger.log(level, "value %d", 7)
    logger.removeHandler(handler)
    fields = decode(server.recv(65536))
    assert (fields["MESSAGE"], fields["PRIORITY"], fields["SYNOD_LOGGER"]) == (
        "value 7",
        priority,
        "synod.test",
    )
    assert fields["CODE_FILE"] == __file__


def test_less_important_messages_are_not_written(journal, server):
    journal.level = Priority.NOTICE
    journal.send("too much", priority=Priority.INFO)
    journal.send("enough", priority=Priority.NOTICE)
    assert decode(server.recv(65536))["MESSAGE"] == "enough"
