# SPDX-License-Identifier: LGPL-2.1-or-later
"""The lease: until when this node may be sure that nobody takes over its exclusive units (safety section 3).

A lease is an age. It is counted from the moment this node *sent* a request that a majority has confirmed
since: the leader makes sure that it still leads after the request has come, and only then answers. So the
age is never too small, whatever the network delays; clocks only have to run at nearly the same speed.

The leader's side: a node's lease can be no younger than the leader's last answer to it. A new leader takes
every lease for renewed when one of its voters last confirmed another leader: no predecessor was confirmed by
a majority after that, so no later request renewed a lease.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from synod.base.ids import NodeName
from synod.base.usec import USEC_PER_MSEC, USEC_PER_SEC, Usec
from synod.engine.desk import Desk
from synod.engine.messages import LeaseReply, LeaseRequest
from synod.model.command import NodeState

OPEN_MAX: Final = 16
"""Requests whose answers are awaited; older ones could renew nothing any more."""


LEASE_USEC: Final = Usec(5 * USEC_PER_SEC)
RENEW_USEC: Final = Usec(500 * USEC_PER_MSEC)
ANSWER_USEC: Final = Usec(250 * USEC_PER_MSEC)
RESET_USEC: Final = Usec(500 * USEC_PER_MSEC)


@dataclass(frozen=True, slots=True, kw_only=True)
class LeaseTiming:
    """How long a lease lasts, and what happens when in it."""

    lease: Usec = LEASE_USEC
    """At this age the fuse has reset the node. The same on all nodes."""
    renew: Usec = RENEW_USEC
    """Between two requests: three may be lost before anything stops."""
    answer: Usec = ANSWER_USEC
    """Answers that took longer are not used: the fuse counts from the answer, the lease from the request."""
    stop_percent: int = 40
    """At this share of the lease the orderly stop begins: the rest is for the stop jobs."""
    drift_percent: int = 1
    """By how much clocks may differ in speed."""
    reset: Usec = RESET_USEC
    """From the fuse's end to that of the node's last process; measured: 0.1 s."""

    @property
    def stop_at(self) -> Usec:
        """Age at which exclusive units begin to stop."""
        return Usec(self.lease * self.stop_percent // 100)

    @property
    def takeover(self) -> Usec:
        """Age, by another node's clock, at which a node with a fuse is certainly gone."""
        return Usec(self.lease * (100 + self.drift_percent) // 100 + self.reset)


class Lease:
    """This node's lease, and while it leads, those that it has answered for."""

    def __init__(self, desk: Desk, timing: LeaseTiming, confirm: Callable[[int], None]) -> None:
        self._desk = desk
        self._confirm = confirm
        self.timing = timing
        self._stop_at: Final = timing.stop_at
        self.leader: NodeName | None = None
        self._nonce = 0
        self._base: Usec | None = None
        self._sent: dict[int, Usec] = {}
        self._renew_at: Usec | None = None
        self._begun_at: Usec | None = None
        self._counted_from: Usec | None = None
        """While this node leads: no lease was renewed by an earlier leader for a later request."""
        self._answered: dict[NodeName, Usec] = {}
        self._asking: list[tuple[NodeName, int]] = []
        self._confirming: list[tuple[NodeName, int]] = []
        self._token = 0
        self._is_void = False

    @property
    def deadline(self) -> Usec | None:
        """When to renew, or when the lease passes one of its marks."""
        marks = [] if self._renew_at is None else [self._renew_at]
        since = self._base if self._base is not None else self._begun_at
        if since is not None and since + self._stop_at > self._desk.now:
            marks.append(Usec(since + self._stop_at))
        return min(marks, default=None)

    @property
    def asked(self) -> int:
        """How often this node has asked for a renewal."""
        return self._nonce

    @property
    def age(self) -> Usec | None:
        """How long ago the last confirmed request was sent; None: there never was one."""
        return self.age_at(self._desk.now)

    def age_at(self, moment: Usec) -> Usec | None:
        """Return the age at some later moment, without a renewal."""
        return None if self._base is None else Usec(moment - self._base)

    @property
    def is_fresh(self) -> bool:
        """Whether exclusive units may start and go on."""
        return self._base is not None and self._desk.now - self._base < self._stop_at

    @property
    def is_running_out(self) -> bool:
        """Whether exclusive units have to stop; a new agent gets the same time for its first answer."""
        since = self._base if self._base is not None else self._begun_at
        return since is not None and self._desk.now - since >= self._stop_at

    @property
    def fed_until(self) -> Usec:
        """Until when the fuse may be fed for the last renewal: it counts from there."""
        return Usec((self._base if self._base is not None else 0) + self.timing.answer)

    def was_asked_for(self, since: Usec) -> bool:
        """Whether the lease counts from this moment or a later one."""
        return self._base is not None and self._base >= since

    # This node's lease

    def begin(self) -> None:
        """Renew from now on: the node is a member."""
        if self._begun_at is None:
            self._begun_at = self._renew_at = self._desk.now

    def hurry(self) -> None:
        """Renew at once."""
        if self._renew_at is not None:
            self._renew_at = self._desk.now

    def forgo(self) -> None:
        """Renew no more: this node cannot learn what is decided (safety rule 3.6)."""
        self._is_void, self._renew_at = True, None

    def lead(self, leader: NodeName | None, *, is_leading: bool, confirmed_at: Usec) -> None:
        """Note who leads, and since when no earlier leader was confirmed; a new leader is asked at once."""
        if is_leading and self._counted_from is None:
            self._counted_from = confirmed_at
            self._answered = {}
        elif not is_leading:
            self._counted_from = None
            self._asking, self._confirming = [], []
        if leader is not None and leader != self.leader:
            self.hurry()
        self.leader = leader

    def tick(self) -> None:
        """Ask for a renewal when it is time."""
        if self._renew_at is not None and self._renew_at <= self._desk.now:
            self._renew_at = Usec(self._desk.now + self.timing.renew)
            self._ask()

    def _ask(self) -> None:
        self._nonce += 1
        self._sent[self._nonce] = self._desk.now
        while len(self._sent) > OPEN_MAX:
            del self._sent[next(iter(self._sent))]
        if self._counted_from is not None:
            self.hear_request(self._desk.me, LeaseRequest(nonce=self._nonce))
        elif self.leader is not None:
            self._desk.send(self.leader, LeaseRequest(nonce=self._nonce))

    def hear_reply(self, message: LeaseReply) -> bool:
        """Take an answer; return whether it renewed the lease."""
        sent = self._sent.pop(message.nonce, None)
        if sent is None or self._is_void or self._desk.now - sent > self.timing.answer:
            return False
        if self._base is not None and sent <= self._base:
            return False
        self._base = sent
        return True

    # The leases of the others, while this node leads

    def hear_request(self, peer: NodeName, message: LeaseRequest) -> None:
        """Answer a node once it is sure that this one still leads; a lost or fenced one gets no answer."""
        row = self._desk.state.nodes.get(peer)
        if self._counted_from is None or row is None or row.state in (NodeState.LOST, NodeState.FENCED):
            return
        self._asking.append((peer, message.nonce))
        self._ask_for_confirmation()

    def forget(self, peer: NodeName) -> None:
        """Answer no request of a stream that is gone: the peer's next agent counts its own."""
        self._asking = [one for one in self._asking if one[0] != peer]
        self._confirming = [one for one in self._confirming if one[0] != peer]

    def registered(self, node: NodeName) -> None:
        """Give a node that came on line the time for its first request."""
        if self._counted_from is not None:
            self._answered[node] = self._desk.now

    def _ask_for_confirmation(self) -> None:
        if self._asking and not self._confirming:
            self._confirming, self._asking = self._asking, []
            self._token += 1
            self._confirm(self._token)

    def confirmed(self, token: int, *, is_leading: bool) -> list[int]:
        """Answer those who asked before it was asked for; return the nonces of this node itself."""
        if token != self._token:
            return []
        waiting, self._confirming = self._confirming, []
        own: list[int] = []
        for peer, nonce in waiting if is_leading else []:
            row = self._desk.state.nodes.get(peer)
            if row is None or row.state in (NodeState.LOST, NodeState.FENCED):
                continue
            self._answered[peer] = self._desk.now
            if peer == self._desk.me:
                own.append(nonce)
            else:
                self._desk.send(peer, LeaseReply(nonce=nonce))
        self._ask_for_confirmation()
        return own

    def is_over(self, node: NodeName) -> bool:
        """Whether a node's lease has certainly run out, and with it its fuse."""
        end = self.ends_at(node)
        return end is not None and end <= self._desk.now

    def ends_at(self, node: NodeName) -> Usec | None:
        """Say when a node's lease has certainly run out; None while this node does not lead."""
        if self._counted_from is None:
            return None
        return Usec(self._answered.get(node, self._counted_from) + self.timing.takeover)
