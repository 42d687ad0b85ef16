# SPDX-License-Identifier: LGPL-2.1-or-later
"""Carries out fence orders with the devices that are configured on this node."""

from collections.abc import Callable

from synod.base.ids import NodeName
from synod.engine.events import DevicesLoaded, Event, FenceReported


class Fencer:
    """The node's fence devices."""

    def __init__(self, feed: Callable[[Event], None]) -> None:
        self._feed = feed

    def start(self) -> None:
        """Tell the node which others it could fence."""
        self._feed(DevicesLoaded(targets=()))

    def fence(self, order: int, target: NodeName) -> None:
        """Switch a node off; FenceReported follows."""
        text = f"no fence device for '{target}' is configured here"
        self._feed(FenceReported(order=order, is_confirmed=False, text=text))
