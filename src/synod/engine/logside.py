# SPDX-License-Identifier: LGPL-2.1-or-later
"""The side of the node that faces its log: what goes in waits its turn, what comes out is passed on."""

from typing import Final, Protocol

from synod.base.ids import NodeName
from synod.base.messages import MessageId
from synod.base.usec import USEC_PER_SEC, Usec
from synod.engine.desk import Desk
from synod.engine.effects import Send
from synod.ledger import effects, events
from synod.ledger.entries import ReqId
from synod.ledger.machine import Raft
from synod.ledger.membership import Operation
from synod.model.command import NodeState, RoleWish

GIVE_WAY_USEC: Final = Usec(1 * USEC_PER_SEC)
"""Between two attempts of a witness to give way."""
PRIORITY_WARNING = 4
PRIORITY_NOTICE = 5


class Consumer(Protocol):
    """Who consumes the log."""

    def applied(self, entry: effects.Committed) -> None:
        """Apply one entry."""

    def leader_changed(self, leader: NodeName | None, *, is_leading: bool, confirmed_at: Usec) -> None:
        """Note who leads; no earlier leader was confirmed by a majority after ``confirmed_at``."""

    def confirmed(self, token: int, *, is_leading: bool) -> None:
        """Note that a confirmation of leadership was had, or cannot be had."""


class LogSide:
    """Feeds the ledger and passes on what it says."""

    def __init__(self, desk: Desk, ledger: Raft) -> None:
        self._desk = desk
        self._ledger = ledger
        self._inbox: list[events.Event] = []
        self.is_leading = False
        self._gave_way_at = Usec(-GIVE_WAY_USEC)

    @property
    def is_idle(self) -> bool:
        """Whether there is nothing to feed."""
        return not self._inbox

    def post(self, event: events.Event) -> None:
        """Feed an event in the next round."""
        self._inbox.append(event)

    def propose(self, req: ReqId, payload: bytes) -> None:
        """Propose a command, unless it would be lost: there is no stream to the leader.

        Whoever proposes repeats it.
        """
        leader = self._ledger.leader
        if leader in (None, self._desk.me) or leader in self._desk.connected:
            self.post(events.Propose(req=req, payload=payload))

    def change_members(self, operation: Operation, node: NodeName) -> None:
        """Change the log's members by one."""
        self.post(events.ChangeMembership(operation=operation, node=node))

    def confirm(self, token: int) -> None:
        """Ask whether this node leads still; confirmed() follows."""
        self.post(events.ReadIndexRequest(token=token))

    def lag(self, peer: NodeName) -> int:
        """Return how many entries a peer is behind."""
        return self._ledger.last_index - (self._ledger.match_index(peer) or 0)

    def hand_over(self) -> None:
        """Give leadership to a voter that can be reached, before this node goes."""
        heirs = [name for name in self._ledger.voters if name in self._desk.connected]
        if self.is_leading and heirs:
            heir = max(heirs, key=self._fitness)
            self.post(events.TransferLeadership(to=heir))

    def give_way(self) -> None:
        """Let a voter lead that runs units, if one can: a witness only fills in (safety rule 7.4)."""
        if not self.is_leading or self._gave_way_at + GIVE_WAY_USEC > self._desk.now:
            return
        fit = [name for name in self._ledger.voters if self._may_lead(name) and self.lag(name) == 0]
        if fit:
            self._gave_way_at = self._desk.now
            self.post(events.TransferLeadership(to=max(fit, key=self._fitness)))

    def _may_lead(self, name: NodeName) -> bool:
        row = self._desk.state.nodes.get(name)
        is_near = name in self._desk.connected and row is not None and row.state is NodeState.ONLINE
        return is_near and row is not None and row.role is not RoleWish.WITNESS

    def _fitness(self, name: NodeName) -> tuple[bool, int, NodeName]:
        return self._may_lead(name), self._ledger.match_index(name) or 0, name

    def hand_over_to(self, peer: NodeName) -> bool:
        """Let a certain voter lead; return False when it is none."""
        if peer in self._ledger.voters:
            self.post(events.TransferLeadership(to=peer))
        return peer in self._ledger.voters

    def drive(self, consumer: Consumer) -> None:
        """Feed what waits, and pass on what comes of it."""
        inbox, self._inbox = self._inbox, []
        for event in inbox:
            if isinstance(event, events.Propose) and self._is_leader_out_of_reach:
                continue  # the ledger would wait for an answer to what was sent nowhere; it is repeated
            for effect in self._ledger.step(event, self._desk.now):
                self._pass_on(effect, consumer)

    @property
    def _is_leader_out_of_reach(self) -> bool:
        leader = self._ledger.leader
        return leader is not None and leader != self._desk.me and leader not in self._desk.connected

    def _pass_on(self, effect: effects.Effect, consumer: Consumer) -> None:
        match effect:
            case effects.Persist():
                self._desk.put(effect)
            case effects.Send(peer=peer, message=message):
                self._desk.put(Send(peer=peer, message=message))
            case effects.Committed():
                consumer.applied(effect)
            case effects.RoleChanged(role=role, leader=leader, confirmed_at=confirmed_at):
                self.is_leading = role is effects.Role.LEADER
                consumer.leader_changed(leader, is_leading=self.is_leading, confirmed_at=confirmed_at)
            case effects.ReadReady(token=token):
                consumer.confirmed(token, is_leading=self.is_leading)
            case effects.ReadFailed(token=token):
                consumer.confirmed(token, is_leading=False)
            case effects.QuorumLost():
                text = "This node is cut off from any majority of voters."
                self._desk.report(MessageId.QUORUM_LOST, PRIORITY_WARNING, text)
            case effects.QuorumRegained():
                text = "A majority of voters answers."
                self._desk.report(MessageId.QUORUM_REGAINED, PRIORITY_NOTICE, text)
            case _:
                pass  # proposals are repeated whatever became of one attempt; so are changes of members
