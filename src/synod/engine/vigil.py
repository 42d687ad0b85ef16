# SPDX-License-Identifier: LGPL-2.1-or-later
"""The vigil: who is silent, who is lost, and what proves that a lost node runs nothing (safety rule 2).

Losing a node is an opinion; it only ends its leases. Its grants move on proof alone: a fence device that
confirms, or the end of a lease with a fuse. A stream that was *reset* shows a machine that lives, whose
agent is probably being restarted; a stream that fell *silent* shows nothing, and counts at once when nobody
else hears the node.
"""

from dataclasses import dataclass, field
from typing import Final

from synod.base.ids import NodeName
from synod.base.messages import MessageId
from synod.base.usec import USEC_PER_MSEC, USEC_PER_SEC, Usec
from synod.engine.desk import Desk
from synod.engine.effects import Fence
from synod.engine.lease import Lease
from synod.engine.messages import FenceDone, FenceOrder, Hearing
from synod.engine.proposals import Proposals
from synod.model.command import Fenced, NodeState, Proof, SetNode
from synod.model.rows import NodeRow

RESET_USEC: Final = Usec(3 * USEC_PER_SEC)
"""After a reset stream: longer than an agent's restart."""
SILENT_USEC: Final = Usec(100 * USEC_PER_MSEC)
"""After a stream that fell silent: until the others have said whether they hear the node."""
RETRY_USEC: Final = Usec(5 * USEC_PER_SEC)
"""After every device has failed."""
PRIORITY_ERROR: Final = 3
PRIORITY_WARNING: Final = 4
PRIORITY_NOTICE: Final = 5


@dataclass(slots=True)
class _Case:
    """One node that this one does not hear."""

    since: Usec
    is_silent: bool
    told: bool = False
    tried: dict[NodeName, None] = field(default_factory=dict)
    order: int | None = None
    retry_at: Usec | None = None
    has_warned: bool = False


class Vigil:
    """Every node listens; the leader draws the conclusions."""

    def __init__(self, desk: Desk, lease: Lease, proposals: Proposals) -> None:
        self._desk = desk
        self._lease = lease
        self._proposals = proposals
        self._cases: dict[NodeName, _Case] = {}
        self._unheard_by: dict[NodeName, dict[NodeName, None]] = {}
        """What each peer said last: whom it does not hear."""
        self._taken: dict[int, tuple[NodeName, FenceOrder]] = {}
        self._orders = 0
        self.is_leading = False

    @property
    def deadline(self) -> Usec | None:
        """When to look again at a silent node."""
        if not self.is_leading:
            return None
        times: list[Usec] = []
        for node, case in self._cases.items():
            end = self._lease.ends_at(node)
            marks = (self._patience_of(case), case.retry_at, end)
            times += [mark for mark in marks if mark is not None and mark > self._desk.now]
        return min(times, default=None)

    @staticmethod
    def _patience_of(case: _Case) -> Usec:
        return Usec(case.since + (SILENT_USEC if case.is_silent else RESET_USEC))

    # Hearing

    def lost(self, peer: NodeName, *, is_silent: bool) -> None:
        """Note that the stream to a peer is gone, and tell the others."""
        self._cases.setdefault(peer, _Case(self._desk.now, is_silent))
        self._unheard_by.pop(peer, None)
        self._say(peer, is_heard=False)

    def heard(self, peer: NodeName) -> None:
        """Note a stream to a peer; tell it whom this node does not hear, and the others that it is heard."""
        self._cases.pop(peer, None)
        self._unheard_by[peer] = {}
        for node in self._cases:
            self._desk.send(peer, Hearing(node=node, is_heard=False))
        self._say(peer, is_heard=True)

    def _say(self, node: NodeName, *, is_heard: bool) -> None:
        for peer in self._desk.connected:
            if peer != node:
                self._desk.send(peer, Hearing(node=node, is_heard=is_heard))

    def hear(self, peer: NodeName, message: Hearing) -> None:
        """Take what a peer says of another."""
        unheard = self._unheard_by.setdefault(peer, {})
        if message.is_heard:
            unheard.pop(message.node, None)
        else:
            unheard[message.node] = None

    def _is_heard_by_others(self, node: NodeName) -> bool:
        return any(
            node not in self._unheard_by.get(peer, {}) for peer in self._desk.connected if peer != node
        )

    # Conclusions

    def look(self) -> None:
        """Draw the conclusions that are due, while this node leads."""
        if not self.is_leading:
            return
        for name, row in self._desk.state.nodes.items():
            if name == self._desk.me or name in self._desk.connected:
                continue
            case = self._cases.setdefault(name, _Case(self._desk.now, is_silent=False))
            if row.state is NodeState.ONLINE:
                self._judge(name, case)
            elif row.state in (NodeState.LOST, NodeState.LEAVING) and self._holds_grants(name):
                self._prove(name, row, case)

    def _judge(self, name: NodeName, case: _Case) -> None:
        is_due = self._patience_of(case) <= self._desk.now
        if is_due and not case.told and not (case.is_silent and self._is_heard_by_others(name)):
            case.told = True

            def settled(_: object) -> None:
                case.told = False

            text = f"'{name}' is lost: its stream {'fell silent' if case.is_silent else 'was reset'}."
            self._desk.report(MessageId.NODE_LOST, PRIORITY_WARNING, text)
            self._proposals.put(SetNode(node=name, state=NodeState.LOST), settled)

    def _holds_grants(self, name: NodeName) -> bool:
        return any(row.grant_on(name) is not None for row in self._desk.state.rows.values())

    def _prove(self, name: NodeName, row: NodeRow, case: _Case) -> None:
        if row.has_fuse and row.state is NodeState.LOST and self._lease.is_over(name):
            self._fenced(name, row.boot, Proof.LEASE, "its lease and its fuse ran out")
        elif case.order is None and (case.retry_at is None or case.retry_at <= self._desk.now):
            self._order(name, row, case)

    def _order(self, name: NodeName, row: NodeRow, case: _Case) -> None:
        fencers = [node for node in self._desk.state.fencers(name) if node not in case.tried]
        near = [node for node in fencers if node == self._desk.me or node in self._desk.connected]
        if near:
            fencer = self._desk.me if self._desk.me in near else near[0]
            self._orders += 1
            case.order = self._orders
            case.tried[fencer] = None
            order = FenceOrder(order=self._orders, target=name, boot=row.boot)
            if fencer == self._desk.me:
                self.take(fencer, order)
            else:
                self._desk.send(fencer, order)
        elif case.tried:
            case.tried.clear()
            case.retry_at = Usec(self._desk.now + RETRY_USEC)
        elif not row.has_fuse and not case.has_warned:
            case.has_warned = True
            text = (
                f"'{name}' is lost, and nothing proves that its units stopped: it has neither a fuse nor a "
                "fence device. They stay down until it is back."
            )
            self._desk.report(MessageId.FENCING_FAILED, PRIORITY_ERROR, text)

    def _fenced(self, name: NodeName, boot: str, proof: Proof, text: str) -> None:
        case = self._cases[name]
        if case.told:
            return
        case.told = True

        def settled(_: object) -> None:
            case.told = False

        self._desk.report(MessageId.NODE_FENCED, PRIORITY_NOTICE, f"'{name}' runs nothing any more: {text}.")
        fenced = Fenced(node=name, boot=boot, proof=proof, by=self._desk.me, text=text)
        self._proposals.put(fenced, settled)

    # Devices

    def take(self, peer: NodeName, order: FenceOrder) -> None:
        """Fence a node for the leader, if it is still the incarnation that was meant."""
        row = self._desk.state.nodes.get(order.target)
        if row is None or row.boot != order.boot or order.target in self._desk.connected:
            self._answer(peer, order, is_confirmed=False, text="it is back")
            return
        self._orders += 1
        self._taken[self._orders] = (peer, order)
        self._desk.put(Fence(order=self._orders, target=order.target))

    def reported(self, number: int, *, is_confirmed: bool, text: str) -> None:
        """Pass on what the device answered."""
        taken = self._taken.pop(number, None)
        if taken is not None:
            self._answer(*taken, is_confirmed=is_confirmed, text=text)

    def _answer(self, peer: NodeName, order: FenceOrder, *, is_confirmed: bool, text: str) -> None:
        done = FenceDone(
            order=order.order, target=order.target, boot=order.boot, is_confirmed=is_confirmed, text=text
        )
        if peer == self._desk.me:
            self.hear_done(done)
        else:
            self._desk.send(peer, done)

    def hear_done(self, message: FenceDone) -> None:
        """Take a device's answer: a confirmation is a proof, anything else is none."""
        case = self._cases.get(message.target)
        if case is None or case.order != message.order:
            return
        case.order = None
        if message.is_confirmed:
            self._fenced(
                message.target, message.boot, Proof.DEVICE, f"a fence device confirmed it ({message.text})"
            )
        else:
            text = f"Fencing '{message.target}' failed, retrying: {message.text}."
            self._desk.report(MessageId.FENCING_FAILED, PRIORITY_ERROR, text)
