# SPDX-License-Identifier: LGPL-2.1-or-later
"""Streams: whom this node keeps one to."""

from synod.base.ids import NodeName
from synod.engine.desk import Desk
from synod.engine.effects import Connect, Disconnect
from synod.engine.hearsay import Hearsay
from synod.model.command import NodeState


class Links:
    """The streams that were asked for."""

    def __init__(self, desk: Desk, hearsay: Hearsay) -> None:
        self._desk = desk
        self._hearsay = hearsay
        self._links: dict[NodeName, tuple[str, int, str]] = {}

    def replayed(self) -> None:
        """Ask for every stream again: from now on the state is that of today."""
        self._links.clear()
        self.look()

    def look(self) -> None:
        """Keep a stream to every member; one that has left is heard out, so that it learns that it has.

        A replay of the log only adds: a member may be gone for a while, or have an old certificate, and to
        act on that could cut this node off from the leader, so that the replay would never end.
        """
        desk = self._desk
        members = {
            name: (node.address, node.port, node.fingerprint)
            for name, node in desk.state.nodes.items()
            if name != desk.me and (node.state is not NodeState.LEFT or name in desk.connected)
        }
        is_replay = not desk.is_registered
        for name in [] if is_replay else [name for name in self._links if name not in members]:
            del self._links[name]
            self._hearsay.forget(name)
            desk.put(Disconnect(peer=name))
        for name, link in members.items():
            if self._links.get(name) != link and not (is_replay and name in self._links):
                self._links[name] = link
                address, port, fingerprint = link
                desk.put(Connect(peer=name, address=address, port=port, fingerprint=fingerprint))
