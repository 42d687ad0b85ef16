# SPDX-License-Identifier: LGPL-2.1-or-later
"""Structured messages to this host's journal, in its native protocol.

It decides only how a record is written; who may say what is the callers' business. ``OBJECT_SYSTEMD_UNIT=``
makes a message of ours appear in ``systemctl status`` and ``journalctl -u`` of the unit concerned. Without
a journal the same record goes to standard error as text with a ``<N>`` priority prefix (sd-daemon(3)).
Writing never waits: what a full journal does not take is counted and the count is reported later. Source:
systemd's JOURNAL_NATIVE_PROTOCOL.
"""

import errno
import fcntl
import logging
import os
import re
import socket
import sys
from enum import IntEnum
from pathlib import Path
from typing import Final, TextIO

from synod.base.messages import MessageId

JOURNAL_SOCKET: Final = Path("/run/systemd/journal/socket")

_FIELD: Final = re.compile(r"[A-Z0-9][A-Z0-9_]{0,63}")
_SEALS: Final = fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW | fcntl.F_SEAL_WRITE | fcntl.F_SEAL_SEAL
_TOO_LARGE: Final = (errno.EMSGSIZE, errno.ENOBUFS)


class Priority(IntEnum):
    """syslog(3) levels as systemd uses them: error = failed and propagated, warning = failed and went on."""

    EMERG = 0
    ALERT = 1
    CRIT = 2
    ERR = 3
    WARNING = 4
    NOTICE = 5
    INFO = 6
    DEBUG = 7


class Journal:
    """The writer; one for a process."""

    def __init__(
        self, path: Path = JOURNAL_SOCKET, *, identifier: str = "synodd", fallback: TextIO | None = None
    ) -> None:
        """Use the journal's socket at ``path``, found anew for each message: journald may restart."""
        self._path = path
        self._identifier = identifier
        self._fallback = fallback
        self._socket = socket.socket(
            socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC
        )
        self._dropped = 0
        self.level = Priority.DEBUG
        """Less important messages are not written."""

    @property
    def dropped(self) -> int:
        """Messages lost since the last one that was taken."""
        return self._dropped

    def close(self) -> None:
        """Close the socket."""
        self._socket.close()

    def send(
        self,
        text: str,
        *,
        priority: Priority = Priority.INFO,
        message_id: MessageId | None = None,
        unit: str | None = None,
        **fields: str | int,
    ) -> None:
        """Write one message; field names are upper case, such as SYNOD_NODE=, values are any text."""
        if priority > self.level:
            return
        record: dict[str, str | int] = {
            "MESSAGE": text,
            "PRIORITY": int(priority),
            "SYSLOG_IDENTIFIER": self._identifier,
        }
        if message_id is not None:
            record["MESSAGE_ID"] = message_id.value
        if unit is not None:
            record["OBJECT_SYSTEMD_UNIT"] = unit
        record.update(fields)
        if self._dropped:
            record["SYNOD_DROPPED_MESSAGES"] = self._dropped
        try:
            self._write(encode(record))
        except BlockingIOError:
            self._dropped += 1
        except (FileNotFoundError, ConnectionError):
            self._print(text, priority)
        else:
            self._dropped = 0

    def _write(self, record: bytes) -> None:
        try:
            self._socket.sendto(record, os.fspath(self._path))
        except OSError as error:
            if error.errno not in _TOO_LARGE:
                raise
            self._write_memfd(record)

    def _write_memfd(self, record: bytes) -> None:
        """Pass a record that no datagram holds as a sealed file, which journald may map without fear."""
        fd = os.memfd_create("synod-journal", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
        with os.fdopen(fd, "wb") as file:
            file.write(record)
            file.flush()
            fcntl.fcntl(fd, fcntl.F_ADD_SEALS, _SEALS)
            ancillary = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, fd.to_bytes(4, sys.byteorder))]
            self._socket.sendmsg([], ancillary, 0, os.fspath(self._path))

    def _print(self, text: str, priority: Priority) -> None:
        stream = self._fallback or sys.stderr
        for line in text.splitlines() or [""]:
            stream.write(f"<{int(priority)}>{line}\n")
        stream.flush()


class JournalHandler(logging.Handler):
    """Sends stdlib log records to the journal; exceptions keep their traceback there."""

    def __init__(self, journal: Journal) -> None:
        super().__init__()
        self._journal = journal

    def emit(self, record: logging.LogRecord) -> None:
        """Write one record."""
        self._journal.send(
            self.format(record),
            priority=_priority(record.levelno),
            CODE_FILE=record.pathname,
            CODE_LINE=record.lineno,
            CODE_FUNC=record.funcName,
            SYNOD_LOGGER=record.name,
        )


def encode(record: dict[str, str | int]) -> bytes:
    """Serialize fields; a value with a line break is preceded by its length instead of by ``=``."""
    out = bytearray()
    for name, value in record.items():
        if _FIELD.fullmatch(name) is None:
            raise ValueError(f"'{name}' is not a journal field of a client")
        data = str(value).encode(errors="surrogateescape")
        if b"\n" in data:
            out += name.encode() + b"\n" + len(data).to_bytes(8, "little") + data + b"\n"
        else:
            out += name.encode() + b"=" + data + b"\n"
    return bytes(out)


def _priority(level: int) -> Priority:
    if level >= logging.CRITICAL:
        return Priority.CRIT
    if level >= logging.ERROR:
        return Priority.ERR
    if level >= logging.WARNING:
        return Priority.WARNING
    return Priority.INFO if level >= logging.INFO else Priority.DEBUG
