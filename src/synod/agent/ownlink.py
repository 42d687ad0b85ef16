# SPDX-License-Identifier: LGPL-2.1-or-later
"""Whether the link over which the others reach this node is up, as the kernel says (rtnetlink(7)).

Any change of links or addresses is only a reason to look again, so a lost notification costs nothing once
the next one comes. Looking takes place in a thread: pyroute2 waits for the kernel's answer, and newer
versions of it run an event loop of their own. Where no interface ever had the node's address, as behind a
translating gateway, nothing is known and the link counts as up.
"""

import asyncio
import logging
import socket
from collections.abc import Callable
from typing import Final

from pyroute2 import IPRoute
from pyroute2.netlink.exceptions import NetlinkError

_GROUPS: Final = 0x1 | 0x10 | 0x100
"""RTMGRP_LINK, RTMGRP_IPV4_IFADDR, RTMGRP_IPV6_IFADDR of linux/rtnetlink.h."""
_RUNNING: Final = 0x1 | 0x40
"""IFF_UP, and IFF_RUNNING: there is a carrier (netdevice(7))."""
_BYTES_MAX: Final = 64 << 10

_logger = logging.getLogger(__name__)


class OwnLink:
    """Watches the interface that has an address."""

    def __init__(self, address: str, changed: Callable[[bool], None]) -> None:
        self._address = address
        self._changed = changed
        self._stirred = asyncio.Event()
        self._was_seen = False
        self._is_up = True

    async def run(self) -> None:
        """Watch until cancelled; what cannot be watched counts as up."""
        loop = asyncio.get_running_loop()
        try:
            kernel = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_NONBLOCK)
        except OSError as error:
            _logger.warning("Cannot watch this node's links, ignoring: %s", error.strerror)
            return
        with kernel:
            kernel.bind((0, _GROUPS))
            loop.add_reader(kernel, self._stir, kernel)
            try:
                while True:
                    self._stirred.clear()
                    await self._look()
                    await self._stirred.wait()
            finally:
                loop.remove_reader(kernel)

    def _stir(self, kernel: socket.socket) -> None:
        self._stirred.set()
        try:
            while kernel.recv(_BYTES_MAX):
                pass
        except OSError:
            pass  # nothing more, or more than the buffer held: looked at anyway

    async def _look(self) -> None:
        try:
            found = await asyncio.to_thread(is_running, self._address)
        except (OSError, NetlinkError) as error:
            _logger.warning("Cannot look at this node's links, ignoring: %s", error)
            return
        self._was_seen = self._was_seen or found is not None
        is_up = bool(found) or not self._was_seen
        if is_up is not self._is_up:
            self._is_up = is_up
            _logger.warning(
                "The link of %s is %s.", self._address, "up again" if is_up else "down: nobody is accused"
            )
            self._changed(is_up)


def is_running(address: str) -> bool | None:
    """Say whether the interface with an address is up and has a carrier; None when there is none.

    Waits for the kernel. Raises OSError or NetlinkError.
    """
    with IPRoute() as kernel:
        for row in kernel.get_addr():
            if address in (row.get_attr("IFA_LOCAL"), row.get_attr("IFA_ADDRESS")):
                links = kernel.get_links(row["index"])
                return all(link["flags"] & _RUNNING == _RUNNING for link in links)
    return None
