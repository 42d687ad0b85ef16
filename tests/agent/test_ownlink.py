# SPDX-License-Identifier: LGPL-2.1-or-later
"""A real interface in a network namespace of its own, whose cable is pulled."""

import asyncio
import os
from collections.abc import Iterator

import pytest
from pyroute2 import IPRoute, netns

from synod.agent.ownlink import OwnLink, is_running

ADDRESS = "198.51.100.7"
"""For documentation (RFC 5737)."""
WAIT_SEC = 10.0

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="needs root")


@pytest.fixture
def kernel() -> Iterator[IPRoute]:
    """Be in a new namespace, with a cable between two interfaces; threads begun here are in it as well."""
    name = f"synod-test-{os.getpid()}"
    netns.create(name)
    netns.pushns(name)
    try:
        with IPRoute() as links:
            links.link("add", ifname="near", kind="veth", peer="far")
            links.addr("add", index=index(links, "near"), address=ADDRESS, prefixlen=24)
            yield links
    finally:
        netns.popns()
        netns.remove(name)


def index(links: IPRoute, name: str) -> int:
    (number,) = links.link_lookup(ifname=name)
    return int(number)


def switch(links: IPRoute, name: str, state: str) -> None:
    links.link("set", index=index(links, name), state=state)


class Notes:
    """What was told, and a way to wait for it."""

    def __init__(self) -> None:
        self.told: list[bool] = []
        self._changed = asyncio.Event()

    def note(self, is_up: bool) -> None:
        self.told.append(is_up)
        self._changed.set()

    async def become(self, told: list[bool]) -> None:
        async with asyncio.timeout(WAIT_SEC):
            while self.told != told:
                self._changed.clear()
                await self._changed.wait()


async def test_a_pulled_cable_is_told_and_so_is_its_return(kernel: IPRoute) -> None:
    for name in ("near", "far"):
        switch(kernel, name, "up")
    notes = Notes()
    watching = asyncio.create_task(OwnLink(ADDRESS, notes.note).run())
    try:
        await asyncio.to_thread(lambda: None)
        async with asyncio.timeout(WAIT_SEC):
            while not await asyncio.to_thread(is_running, ADDRESS):
                pass
        switch(kernel, "far", "down")
        await notes.become([False])
        switch(kernel, "far", "up")
        await notes.become([False, True])
        kernel.addr("del", index=index(kernel, "near"), address=ADDRESS, prefixlen=24)
        await notes.become([False, True, False])
    finally:
        watching.cancel()
        await asyncio.gather(watching, return_exceptions=True)


async def test_an_address_that_is_nowhere_here_says_nothing(kernel: IPRoute) -> None:
    assert is_running("192.0.2.1") is None
    notes = Notes()
    watching = asyncio.create_task(OwnLink("192.0.2.1", notes.note).run())
    switch(kernel, "near", "up")
    switch(kernel, "near", "down")
    await asyncio.wait([watching], timeout=0.3)
    assert notes.told == []
    assert not watching.done()
    watching.cancel()
    await asyncio.gather(watching, return_exceptions=True)


def test_a_link_without_a_carrier_is_down(kernel: IPRoute) -> None:
    switch(kernel, "near", "up")
    assert is_running(ADDRESS) is False
