# SPDX-License-Identifier: LGPL-2.1-or-later
"""Fence orders: the leader's side, which tries one device after the other, and the side that has the device.

A device that confirms is a proof, whenever its answer comes; one that fails or never answers is none. An
order is for an incarnation: a machine that has booted since is left alone.
"""

from dataclasses import dataclass, field
from typing import Final

from synod.base.ids import NodeName
from synod.base.messages import MessageId
from synod.base.usec import USEC_PER_SEC, Usec
from synod.engine.desk import NO_UNIT, Desk
from synod.engine.effects import Fence
from synod.engine.messages import FenceDone, FenceOrder
from synod.engine.proposals import Proposals
from synod.model.command import Alarm, Fenced, Proof
from synod.model.rows import NodeRow

RETRY_USEC: Final = Usec(5 * USEC_PER_SEC)
"""After every device has failed."""
ANSWER_USEC: Final = Usec(60 * USEC_PER_SEC)
"""After which a device that does not answer has failed; slow ones take half a minute."""
PRIORITY_ERROR: Final = 3
PRIORITY_NOTICE: Final = 5


def cure(name: NodeName) -> str:
    """Say what an administrator can do about a node that nobody can fence."""
    return (
        "Its units stay down until it is back, or until you confirm that it has no power: "
        f"synodctl confirm-off {name} --yes"
    )


@dataclass(slots=True)
class _Case:
    """One node that is to be fenced."""

    order: int = 0
    fencer: NodeName | None = None
    until: Usec | None = None
    """While an order is out: when it has failed. Else: when to try again."""
    tried: dict[NodeName, None] = field(default_factory=dict)
    told: str = ""
    """The last alarm about it."""


class Fencing:
    """Both sides of every fence order."""

    def __init__(self, desk: Desk, proposals: Proposals) -> None:
        self._desk = desk
        self._proposals = proposals
        self._cases: dict[NodeName, _Case] = {}
        self._taken: dict[int, tuple[NodeName, FenceOrder]] = {}
        self._telling: dict[NodeName, None] = {}
        """Nodes for which a proof is on its way into the log."""
        self._count = 0

    @property
    def deadline(self) -> list[Usec]:
        """When to look at the cases again."""
        return [case.until for case in self._cases.values() if case.until is not None]

    # The leader's side

    def order(self, name: NodeName, row: NodeRow) -> None:
        """See to it that a device is at work, if there is one and no proof is on its way into the log."""
        if name in self._telling:
            return
        desk, case = self._desk, self._cases.setdefault(name, _Case())
        if case.fencer is not None:
            is_near = case.fencer == desk.me or case.fencer in desk.connected
            if is_near and case.until is not None and case.until > desk.now:
                return
            self._failed(name, case, "no answer" if is_near else f"'{case.fencer}' is gone")
        if case.until is not None and case.until > desk.now:
            return
        fencers = desk.state.fencers(name)
        near = [node for node in fencers if node == desk.me or node in desk.connected]
        left = [node for node in near if node not in case.tried]
        if left:
            self._send(name, row, case, desk.me if desk.me in left else left[0])
        elif case.tried:
            case.tried.clear()
            case.until = Usec(desk.now + RETRY_USEC)
        elif not row.has_fuse:
            lack = "no node that is here has a device for it" if fencers else "it has no fence device"
            self._alarm(name, case, f"{lack}, and no fuse")

    def _send(self, name: NodeName, row: NodeRow, case: _Case, fencer: NodeName) -> None:
        self._count += 1
        case.order, case.fencer = self._count, fencer
        case.until = Usec(self._desk.now + ANSWER_USEC)
        case.tried[fencer] = None
        order = FenceOrder(order=case.order, target=name, boot=row.boot)
        if fencer == self._desk.me:
            self.take(fencer, order)
        else:
            self._desk.send(fencer, order)

    def _failed(self, name: NodeName, case: _Case, text: str) -> None:
        case.fencer = case.until = None
        self._desk.report(
            MessageId.FENCING_FAILED, PRIORITY_ERROR, f"Fencing '{name}' failed, retrying: {text}."
        )
        self._alarm(name, case, text)

    def _alarm(self, name: NodeName, case: _Case, text: str) -> None:
        """Tell all nodes, and whoever asks them, why a node's units stay down; each reason once."""
        if case.told == text:
            return
        case.told = text
        told = f"'{name}' cannot be fenced: {text}. {cure(name)}"
        self._desk.report(MessageId.FENCING_FAILED, PRIORITY_ERROR, told)
        self._proposals.put(Alarm(node=name, unit=NO_UNIT, text=told), lambda _: None)

    def hear_done(self, message: FenceDone) -> None:
        """Take a device's answer."""
        row = self._desk.state.nodes.get(message.target)
        case = self._cases.get(message.target)
        if message.is_confirmed and row is not None and row.boot == message.boot:
            text = f"a fence device confirmed it ({message.text})"
            self.proved(message.target, row, Proof.DEVICE, text)
        if case is not None and case.fencer is not None and case.order == message.order:
            if message.is_confirmed:
                case.fencer = case.until = None
            else:
                self._failed(message.target, case, message.text)

    def proved(self, name: NodeName, row: NodeRow, proof: Proof, text: str) -> None:
        """Commit that nothing of a node's incarnation runs any more."""
        if name in self._telling:
            return
        self._telling[name] = None
        self._desk.report(MessageId.NODE_FENCED, PRIORITY_NOTICE, f"'{name}' runs nothing any more: {text}.")
        fenced = Fenced(
            node=name, boot=row.boot, proof=proof, by=self._desk.me, text=text, since=row.since
        )
        self._proposals.put(fenced, lambda _: self._telling.pop(name, None))

    def forget(self, name: NodeName) -> None:
        """End the case of a node that is heard again."""
        self._cases.pop(name, None)

    # The device's side

    def take(self, peer: NodeName, order: FenceOrder) -> None:
        """Fence a node for the leader, if it is still the incarnation that was meant."""
        row = self._desk.state.nodes.get(order.target)
        if row is None or row.boot != order.boot or order.target in self._desk.connected:
            self._answer(peer, order, is_confirmed=False, text="it is back")
            return
        self._count += 1
        self._taken[self._count] = (peer, order)
        self._desk.put(Fence(order=self._count, target=order.target))

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
