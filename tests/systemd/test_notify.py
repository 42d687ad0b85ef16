# SPDX-License-Identifier: LGPL-2.1-or-later
import os
import socket

import pytest

from synod.base.usec import Usec
from synod.systemd.notify import Notifier


@pytest.fixture(params=["path", "abstract"])
def address(request, tmp_path):
    return request.param, str(tmp_path / "notify")


@pytest.mark.parametrize(
    ("say", "datagram"),
    [
        (lambda n: n.ready("waiting for a quorum"), "READY=1\nSTATUS=waiting for a quorum"),
        (lambda n: n.ready(), "READY=1"),
        (lambda n: n.status("two\nlines"), "STATUS=two lines"),
        (lambda n: n.stopping(), "STOPPING=1"),
        (lambda n: n.watchdog(), "WATCHDOG=1"),
        (lambda n: n.extend_timeout(Usec(5_000_000)), "EXTEND_TIMEOUT_USEC=5000000"),
        (lambda n: n.main_pid(42), "MAINPID=42"),
    ],
)
def test_each_message_is_one_datagram(address, say, datagram):
    kind, path = address
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as server:
        server.bind(path if kind == "path" else "\0" + path)
        server.settimeout(5)
        assert say(Notifier({"NOTIFY_SOCKET": path if kind == "path" else "@" + path})) is True
        assert server.recv(4096).decode() == datagram


@pytest.mark.parametrize("environ", [{}, {"NOTIFY_SOCKET": ""}, {"NOTIFY_SOCKET": "vsock:2:1"}])
def test_nobody_listens_and_nothing_happens(environ):
    notifier = Notifier(environ)
    assert not notifier.is_enabled
    assert notifier.ready() is False


def test_a_socket_that_went_away_is_no_error(tmp_path):
    notifier = Notifier({"NOTIFY_SOCKET": str(tmp_path / "none")})
    assert notifier.is_enabled
    assert notifier.watchdog() is False


@pytest.mark.parametrize(
    ("environ", "expected"),
    [
        ({}, None),
        ({"WATCHDOG_USEC": "10000000"}, 10_000_000),
        ({"WATCHDOG_USEC": "10000000", "WATCHDOG_PID": str(os.getpid())}, 10_000_000),
        ({"WATCHDOG_USEC": "10000000", "WATCHDOG_PID": "1"}, None),
        ({"WATCHDOG_USEC": "0"}, None),
        ({"WATCHDOG_USEC": "soon"}, None),
    ],
)
def test_the_watchdog_is_ours_only_when_it_names_us(environ, expected):
    assert Notifier(environ).watchdog_usec == expected
