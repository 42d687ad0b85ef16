# SPDX-License-Identifier: LGPL-2.1-or-later
"""The vigil: who is silent, who is lost, and what proves that a lost node runs nothing (safety rule 2).

Losing a node is an opinion; it only ends its leases. Its grants move on proof alone: a fence device that
confirms, or the end of a lease with a fuse. A stream that was *reset* shows a machine that lives, whose
agent is probably being restarted; a stream that fell *silent* shows nothing, and counts at once when nobody
else hears the node. A node whose lease has run out is lost whoever hears it: its units have stopped. Before
that, a leader that does not hear a node gives way to a voter that does.

Two things contradict a silence: a peer that hears the node on its stream, for as long as it does; and an
answer of the node to a datagram, by whichever way, for as long as a lease, unless gossip misses it again. A
leader that stood still lately, or whose own link is down, concludes nothing from any silence.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from synod.base.ids import NodeName
from synod.base.messages import MessageId
from synod.base.usec import USEC_PER_MSEC, USEC_PER_SEC, Usec
from synod.engine.desk import Desk
from synod.engine.fencing import Fencing
from synod.engine.hearsay import Hearsay
from synod.engine.lease import Lease
from synod.engine.messages import Hearing
from synod.engine.proposals import Proposals
from synod.model.command import NodeState, Proof, SetNode
from synod.model.rows import NodeRow

RESET_USEC: Final = Usec(3 * USEC_PER_SEC)
"""After a reset stream: longer than an agent's restart."""
SILENT_USEC: Final = Usec(100 * USEC_PER_MSEC)
"""After a stream that fell silent: until the others have said whether they hear the node."""
ANSWER_USEC: Final = Usec(50 * USEC_PER_MSEC)
"""After a stream that fell silent: until a node that lives has answered a datagram, by whichever way."""
GIVE_WAY_USEC: Final = Usec(1 * USEC_PER_SEC)
"""Between two attempts to give way."""
PRIORITY_WARNING: Final = 4


@dataclass(frozen=True, slots=True)
class _Loss:
    """Since when this node does not hear another one, and how that began."""

    since: Usec
    is_silent: bool

    @property
    def news_at(self) -> Usec:
        """When the others have certainly said whether they hear it."""
        return Usec(self.since + SILENT_USEC)

    @property
    def patience(self) -> Usec:
        """Until when nothing is concluded although nobody hears it."""
        return Usec(self.since + (ANSWER_USEC if self.is_silent else RESET_USEC))


class Vigil:
    """Every node listens; the leader draws the conclusions."""

    def __init__(
        self,
        desk: Desk,
        lease: Lease,
        hearsay: Hearsay,
        proposals: Proposals,
        fencing: Fencing,
        hand_over_to: Callable[[NodeName], bool],
    ) -> None:
        self._desk = desk
        self._lease = lease
        self._hearsay = hearsay
        self._proposals = proposals
        self._fencing = fencing
        self._hand_over_to = hand_over_to
        self._gave_way_at = Usec(-GIVE_WAY_USEC)
        self._losses: dict[NodeName, _Loss] = {}
        self._heard_by: dict[NodeName, dict[NodeName, None]] = {}
        """Whom each peer has said that it hears; one that is missing has not said anything on its stream."""
        self._telling: dict[NodeName, None] = {}
        """Nodes whose loss is on its way into the log."""
        self.is_leading = False

    @property
    def deadline(self) -> Usec | None:
        """When to look again at a silent node."""
        if not self.is_leading:
            return None
        marks = [
            mark
            for name, loss in self._losses.items()
            for mark in (loss.news_at, loss.patience, self._patience(name, loss))
        ]
        marks += [mark for mark in (self._hearsay.deadline,) if mark is not None]
        marks += [end for end in map(self._lease.ends_at, self._desk.state.nodes) if end is not None]
        near = self._fencing.deadline
        return min((mark for mark in (*marks, *near) if mark > self._desk.now), default=None)

    # Hearing

    def lost(self, peer: NodeName, *, is_silent: bool) -> None:
        """Note that the stream to a peer is gone, and tell the others."""
        self._losses[peer] = _Loss(self._desk.now, is_silent)
        self._heard_by.pop(peer, None)
        self._say(peer, is_heard=False)

    def heard(self, peer: NodeName) -> None:
        """Note a stream to a peer; tell it whom this node hears, and the others that the peer is heard."""
        self._losses.pop(peer, None)
        self._fencing.forget(peer)
        self._heard_by.pop(peer, None)
        for node in self._desk.connected:
            if node != peer:
                self._desk.send(peer, Hearing(node=node, is_heard=True))
        self._say(peer, is_heard=True)

    def _say(self, node: NodeName, *, is_heard: bool) -> None:
        for peer in self._desk.connected:
            if peer != node:
                self._desk.send(peer, Hearing(node=node, is_heard=is_heard))

    def hear(self, peer: NodeName, message: Hearing) -> None:
        """Take what a peer says of another."""
        heard = self._heard_by.setdefault(peer, {})
        if message.is_heard:
            heard[message.node] = None
        else:
            heard.pop(message.node, None)

    def _is_heard_by_others(self, node: NodeName) -> bool:
        return any(node in self._heard_by.get(peer, {}) for peer in self._desk.connected if peer != node)

    def _is_unsure(self, node: NodeName) -> bool:
        """Whether somebody may hear it who has not said so yet."""
        return any(peer not in self._heard_by for peer in self._desk.connected if peer != node)

    # Conclusions

    def look(self) -> None:
        """Draw the conclusions that are due, while this node leads."""
        if not self.is_leading:
            return
        for name, row in self._desk.state.nodes.items():
            if name == self._desk.me:
                continue
            if row.state is NodeState.ONLINE:
                self._judge(name, row)
            elif row.state in (NodeState.LOST, NodeState.LEAVING) and self._may_run_something(name):
                self._prove(name, row)

    def _judge(self, name: NodeName, row: NodeRow) -> None:
        reason = self._reason(name, row)
        if not reason or name in self._telling:
            return
        self._telling[name] = None
        self._desk.report(MessageId.NODE_LOST, PRIORITY_WARNING, f"'{name}' is lost: {reason}.")
        command = SetNode(node=name, state=NodeState.LOST)
        self._proposals.put(command, lambda _: self._telling.pop(name, None))

    def _reason(self, name: NodeName, row: NodeRow) -> str:
        """Say why a node counts as lost; empty when it does not."""
        if row.has_fuse and self._lease.is_over(name):
            return "its lease has run out"
        if name in self._desk.connected:
            return ""
        loss = self._losses.setdefault(name, _Loss(self._desk.now, is_silent=False))
        if self._is_heard_by_others(name):
            # Perhaps only because they have not noticed yet.
            if loss.news_at <= self._desk.now:
                self._give_way(name)
            return ""
        if self._hearsay.is_blind or self._patience(name, loss) > self._desk.now:
            return ""
        if self._is_unsure(name) and loss.news_at > self._desk.now:
            return ""
        return "its stream fell silent" if loss.is_silent else "its stream was reset, and it is not back"

    def _patience(self, name: NodeName, loss: _Loss) -> Usec:
        """Say until when a loss means nothing; who answers datagrams has a lease's time to come back.

        Not more: of one that can be told nothing, nothing can be had.
        """
        if self._hearsay.is_vouched_for(name, loss.since):
            return max(loss.patience, Usec(loss.since + self._lease.timing.lease))
        return loss.patience

    def _give_way(self, name: NodeName) -> None:
        """Let a voter lead that hears this node's peers and the missing one as well."""
        if self._gave_way_at + GIVE_WAY_USEC > self._desk.now:
            return
        for peer in self._desk.connected:
            heard = self._heard_by.get(peer, {})
            others = (*(other for other in self._desk.connected if other != peer), name)
            if all(other in heard for other in others) and self._hand_over_to(peer):
                self._gave_way_at = self._desk.now
                return

    def _may_run_something(self, name: NodeName) -> bool:
        rows = self._desk.state.rows.values()
        return any(row.grant_on(name) is not None or name in row.found for row in rows)

    def _prove(self, name: NodeName, row: NodeRow) -> None:
        if row.has_fuse and row.state is NodeState.LOST and self._lease.is_over(name):
            self._fencing.proved(name, row, Proof.LEASE, "its lease and its fuse ran out")
        elif name not in self._desk.connected:
            self._fencing.order(name, row)
