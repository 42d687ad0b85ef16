# SPDX-License-Identifier: LGPL-2.1-or-later
"""A client that asks an IPv4 address for an echo every 10 ms and writes down when a reply came.

Runs outside the nodes as a program of its own (``python3 client.py ADDRESS``) until it is ended; prints
microseconds of the real-time clock, a line each. It keeps no connection and decides nothing: that nobody
answers may be just what is measured. See RFC 792 for the packets.
"""

import contextlib
import select
import socket
import struct
import sys
import time

INTERVAL_SEC = 0.01
ECHO_REQUEST, ECHO_REPLY = 8, 0
REPLY_BYTES_MAX = 128
NUMBERS = 1 << 16


def request(number: int) -> bytes:
    """Return an echo request whose only word that is neither zero nor its checksum is its number."""
    checksum = 0xFFFF - ((ECHO_REQUEST << 8) + number) % 0xFFFF
    return struct.pack("!BBHHH", ECHO_REQUEST, 0, checksum, 0, number)


def is_reply(packet: bytes, sender: str, address: str) -> bool:
    """Return whether a packet, from its IP header on, is the answer to a request of ours."""
    header = (packet[0] & 0xF) * 4
    return sender == address and packet[header] == ECHO_REPLY


def main(address: str) -> None:
    """Ask until the process is ended."""
    with socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_ICMP) as channel:
        number, due = 0, time.monotonic()
        while True:
            number = (number + 1) % NUMBERS
            # Nobody may have the address at the moment.
            with contextlib.suppress(OSError):
                channel.sendto(request(number), socket.MSG_DONTWAIT, (address, 0))
            due = max(due + INTERVAL_SEC, time.monotonic())
            while (rest := due - time.monotonic()) > 0:
                if channel in select.select([channel], [], [], rest)[0]:
                    _receive(channel, address)


def _receive(channel: socket.socket, address: str) -> None:
    # The neighbour's absence is reported on the same socket.
    with contextlib.suppress(OSError):
        packet, sender = channel.recvfrom(REPLY_BYTES_MAX)
        if is_reply(packet, sender[0], address):
            print(time.time_ns() // 1000, flush=True)


if __name__ == "__main__":
    main(sys.argv[1])
