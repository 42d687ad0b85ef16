# SPDX-License-Identifier: LGPL-2.1-or-later
"""Farewells: a node that shuts down, an agent that stops while units run, a node that leaves for good.

Each commits what it is about to do before it does it (safety rules 4.1 and 4.2), and none waits for ever:
without a quorum a shutdown goes on by itself, barriers direct.
"""

from collections.abc import Callable
from typing import Final

from synod.base.exits import ExitStatus
from synod.base.usec import USEC_PER_SEC, Usec
from synod.engine.desk import Desk
from synod.engine.effects import Left, Reply
from synod.engine.proposals import Proposals
from synod.model.command import NodeState, RoleWish, SetNode
from synod.model.state import Change

QUIT_USEC: Final = Usec(15 * USEC_PER_SEC)
"""How long an agent's stop waits for its word, below TimeoutStopSec= of synod.service."""
QUORUM_USEC: Final = Usec(2 * USEC_PER_SEC)
"""How long a shutdown or an agent's stop waits for its word to be committed."""
FOR_EVER: Final = Usec(365 * 86400 * USEC_PER_SEC)
LEAVE_USEC: Final = Usec(300 * USEC_PER_SEC)
"""How long ``leave`` waits for the node's units to stop."""


class Farewell:
    """The three ways in which a node goes."""

    def __init__(
        self,
        desk: Desk,
        proposals: Proposals,
        hand_over: Callable[[], None],
        is_voter: Callable[[], bool],
        is_holding: Callable[[], bool],
    ) -> None:
        self._desk = desk
        self._proposals = proposals
        self._hand_over = hand_over
        self._is_voter = is_voter
        self._is_holding = is_holding
        self._draining: dict[int, Usec] = {}
        self._leaving: dict[int, Usec] = {}
        self._parting: dict[int, Usec] = {}
        """At the end of a shutdown: the last grants are given back before the agent goes."""
        self._quitting: dict[int, Usec] = {}
        """The agent stops: after the word is committed and the fuse is out, or after the last unit is."""
        self._is_said = False
        self._has_left = False
        self._is_forced = False

    @property
    def deadline(self) -> Usec | None:
        """When the first of those who wait has waited long enough."""
        if not (self._draining or self._leaving or self._parting or self._quitting):
            return None
        waiting = (
            *self._draining.values(),
            *self._leaving.values(),
            *self._parting.values(),
            *self._quitting.values(),
        )
        return min(waiting)

    def shut_down(self, client: int) -> None:
        """Commit that this node is leaving, before PID 1 stops the first of its units.

        The units still run when this is asked, and their stop jobs wait for the answer; what depends on
        them is stopped by their barriers.
        """
        self.shutdown_begun()
        self._draining[client] = Usec(self._desk.now + QUORUM_USEC)

    def shutdown_begun(self) -> None:
        """Note that the machine is about to go down."""
        if self._desk.is_stopping:
            return
        self._desk.is_stopping = True
        self._desk.touch(self._desk.specs)
        if self._desk.is_member:
            self._hand_over()
            # However late it is accepted: while the log calls this node online, it is given units.
            self._say(NodeState.LEAVING, lambda _: None, patience=FOR_EVER)

    def unmanage(self, client: int) -> None:
        """Say that the agent stops, while its units run on or after they were stopped."""
        if not self._desk.is_settled:
            self._reply(client, 0, "")
            return
        if self._desk.is_stopping:
            self._parting[client] = Usec(self._desk.now + QUORUM_USEC)
            return
        self._hand_over()
        self._quitting[client] = Usec(self._desk.now + QUIT_USEC)
        self._say(NodeState.UNMANAGED, lambda _: None, patience=QUIT_USEC)

    def _quit(self) -> None:
        row = self._desk.state.nodes.get(self._desk.me)
        if row is None or row.state is NodeState.UNMANAGED or self._desk.must_yield:
            for client in self._quitting:
                self._reply(client, 0, "")
            self._quitting.clear()

    def leave(self, client: int, *, is_forced: bool = False) -> None:
        """Stop this node's units and leave the cluster for good; if forced, without its word."""
        if is_forced:
            self._leaving[client] = Usec(self._desk.now + LEAVE_USEC)
            self._is_forced = self._desk.is_leaving = True
            self._desk.touch(self._desk.specs)
            return
        if not self._desk.is_member:
            self._reply(client, ExitStatus.NOT_CONFIGURED, "this node is not a member of a cluster")
            return
        self._leaving[client] = Usec(self._desk.now + LEAVE_USEC)
        if not self._desk.is_leaving:
            self._desk.is_leaving = True
            self._desk.touch(self._desk.specs)
            self._say(NodeState.LEAVING, lambda _: None, patience=LEAVE_USEC)

    def look(self) -> None:
        """Go on where the units are down."""
        if self._draining and self._desk.is_known_to_go:
            for client in self._draining:
                self._reply(client, 0, "")
            self._draining.clear()
        if self._parting and not self._holds_grants():
            for client in self._parting:
                self._reply(client, 0, "")
            self._parting.clear()
        if self._quitting and not self._desk.is_burning:
            self._quit()
        if self._is_forced:
            self._look_forced()
        else:
            self._look_leaving()

    def _look_leaving(self) -> None:
        is_done = self._desk.is_known_to_go and not self._holds_grants()
        if self._leaving and is_done and not self._is_said:
            if self._is_last():
                self._is_said = self._has_left = True
            elif self._has_heir():
                self._is_said = True
                self._hand_over()
                self._say(NodeState.LEFT, self._left, patience=LEAVE_USEC)
        # A voter that went at once would leave the others without a majority of voters.
        if self._has_left and (not self._is_voter() or self._is_last()):
            self._has_left = False
            self._end_leave(ExitStatus.SUCCESS, "")
            self._desk.put(Left())

    def _look_forced(self) -> None:
        """Go once nothing exclusive runs here; for the others this node stays what it is."""
        desk = self._desk
        if not desk.are_units_read:
            return
        for unit, spec in desk.specs.items():
            seen = desk.seen(unit)
            if spec.is_exclusive and not seen.is_down and seen.active != "deactivating" and not seen.job:
                desk.stop(unit)
        if not self._is_holding() and not desk.is_burning:
            self._is_forced = False
            self._end_leave(ExitStatus.SUCCESS, "")
            desk.put(Left())

    def _is_last(self) -> bool:
        """Whether all others have left: with this node the cluster ends."""
        return all(
            name == self._desk.me or node.state is NodeState.LEFT
            for name, node in self._desk.state.nodes.items()
        )

    def _has_heir(self) -> bool:
        """Whether somebody is there who can vote in this node's place."""
        return any(
            name != self._desk.me and node.state is NodeState.ONLINE and node.role is not RoleWish.SATELLITE
            for name, node in self._desk.state.nodes.items()
        )

    def _left(self, change: Change | None) -> None:
        if change is not None:
            self._has_left = True
        else:
            self._is_said = False
            self._stay()
            text = "the cluster's log did not accept it; the node may or may not have left"
            self._end_leave(ExitStatus.OUTCOME_UNKNOWN, text)

    def _end_leave(self, status: ExitStatus, text: str) -> None:
        for client in self._leaving:
            self._reply(client, status, text)
        self._leaving.clear()

    def tick(self) -> None:
        """Give up on what took too long."""
        for client, until in list(self._draining.items()):
            if until <= self._desk.now:
                del self._draining[client]
                self._reply(client, 0, "going down without the cluster's word")
        for client, until in list(self._parting.items()):
            if until <= self._desk.now:
                del self._parting[client]
                self._reply(client, 0, "going while the cluster takes units for running here")
        for client, until in list(self._quitting.items()):
            if until <= self._desk.now:
                del self._quitting[client]
                text = "the log did not accept it and units run on: the fuse will reset this machine"
                self._reply(client, 0, text if self._desk.is_burning else "")
        self._tick_leaving()

    def _tick_leaving(self) -> None:
        for client, until in list(self._leaving.items()):
            if until <= self._desk.now:
                del self._leaving[client]
                self._reply(client, ExitStatus.TIMEOUT, self._explain_delay())
        if not self._leaving and self._is_forced:
            self._is_forced = self._desk.is_leaving = False
        elif not self._leaving and not self._is_said and self._desk.is_leaving:
            self._stay()

    def _stay(self) -> None:
        """Take ``leave`` back."""
        self._desk.is_leaving = False
        self._desk.touch(self._desk.specs)
        self._say(NodeState.ONLINE, lambda _: None, patience=FOR_EVER)

    def _explain_delay(self) -> str:
        if self._has_left:
            return "this node has left, but waits for another one to take its vote; keep it running"
        if self._holds_grants():
            return "this node's units did not stop in time; it has not left"
        return "no other node is online that could vote in this one's place; it has not left"

    def _holds_grants(self) -> bool:
        return any(row.grant_on(self._desk.me) is not None for row in self._desk.state.rows.values())

    def _say(
        self, state: NodeState, settled: Callable[[Change | None], None], *, patience: Usec = QUORUM_USEC
    ) -> None:
        """Say what becomes of this node; who goes promises no fuse, who stays first has to light it."""
        command = SetNode(node=self._desk.me, state=state, boot=self._desk.boot, has_fuse=False)
        self._proposals.put(command, settled, patience=patience)

    def _reply(self, client: int, status: int, text: str) -> None:
        self._desk.put(Reply(client=client, status=status, text=text))
