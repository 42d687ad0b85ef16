# SPDX-License-Identifier: LGPL-2.1-or-later
"""Holds: the stop job of a unit's hold asks whether the unit may go down (safety rules 6.1, 6.2 and 6.4).

A stop job that nobody in the cluster asked for is an administrator's wish; it is committed before the unit
stops. When that takes too long the unit stops all the same, and the wish is kept for when the log is back.
"""

from collections.abc import Callable
from typing import Final

from synod.base.ids import UnitName
from synod.base.messages import MessageId
from synod.base.usec import USEC_PER_SEC, Usec
from synod.engine.barriers import Barriers
from synod.engine.desk import Desk
from synod.engine.keeper import PRIORITY_WARNING, Keeper
from synod.engine.proposals import Proposals
from synod.engine.requests import ReleaseHold
from synod.engine.verdict import Judge
from synod.model.command import Alarm, Desired, Wish
from synod.model.state import Change

COMMIT_USEC: Final = Usec(2 * USEC_PER_SEC)
"""How long a stop waits for its wish to be committed."""


class Holds:
    """Stops of this node's units, from the hold's question to its answer."""

    def __init__(
        self, desk: Desk, barriers: Barriers, judge: Judge, keeper: Keeper, proposals: Proposals
    ) -> None:
        self._desk = desk
        self._barriers = barriers
        self._judge = judge
        self._keeper = keeper
        self._proposals = proposals
        self._asking: dict[int, tuple[UnitName, Usec]] = {}
        self._early: dict[int, tuple[ReleaseHold, Usec]] = {}
        """Questions that came before this agent knew the cluster or its own units."""

    @property
    def deadline(self) -> Usec | None:
        """When the first one has been waited for long enough."""
        if not self._asking and not self._early:
            return None
        return min(until for _, until in (*self._asking.values(), *self._early.values()))

    def ask(self, client: int, request: ReleaseHold) -> None:
        """Take a hold's question."""
        if self._desk.may_judge:
            self._judge_stop(client, request)
        else:
            self._early[client] = (request, Usec(self._desk.now + COMMIT_USEC))

    def look(self) -> None:
        """Take up the early questions as soon as they can be judged."""
        if self._early and self._desk.may_judge:
            early, self._early = self._early, {}
            for client, (request, _) in early.items():
                self._judge_stop(client, request)
        if self._desk.must_yield and self._asking:
            self._let_go(list(self._asking))  # what is left of the lease is for the stop itself

    def _judge_stop(self, client: int, request: ReleaseHold) -> None:
        unit = request.unit
        spec = self._desk.spec(unit)
        if spec is None or not self._desk.is_member:
            # Not annotated any more, or no cluster: nothing can depend on it elsewhere.
            self._barriers.raise_(unit, client)
            return
        is_wish = request.job == "stop" and not request.is_masked
        if is_wish and spec.is_exclusive and self._is_said_here(unit):
            self._asking[client] = (unit, Usec(self._desk.now + COMMIT_USEC))
            self._commit(unit, self._answered(client, unit))
        else:
            self._barriers.raise_(unit, client)

    def _is_said_here(self, unit: UnitName) -> bool:
        """Whether the stop is somebody's word on this node, and not the cluster's doing or a shutdown."""
        is_going = self._desk.is_stopping or self._desk.is_leaving or self._desk.must_yield
        if is_going or self._desk.is_own_stop(unit) or self._judge.is_wished_down(unit):
            return False
        if self._desk.row(unit).grant_on(self._desk.me) is None:
            return False  # what does not run here cannot be stopped here
        return not self._judge.is_stopped_by_a_dependency(unit)

    def _answered(self, client: int, unit: UnitName) -> Callable[[], None]:
        def answered() -> None:
            if self._asking.pop(client, None) is not None:
                self._barriers.raise_(unit, client)

        return answered

    def _commit(self, unit: UnitName, answered: Callable[[], None]) -> None:
        revision = self._desk.row(unit).revision

        def settled(change: Change | None) -> None:
            answered()
            was_late = self._keeper.only_here.pop(unit, None) is not None
            if change is None or (change.refusal and was_late):
                why = change.refusal if change is not None else "no quorum for too long"
                text = f"The stop of '{unit}' was dropped: {why}."
                self._desk.report(MessageId.WISH_DROPPED, PRIORITY_WARNING, text, unit)
                self._keeper.forgive(unit)

        # With a revision always: what somebody else said meanwhile is newer than this stop.
        wish = Wish(unit=unit, desired=Desired.STOPPED, node=self._desk.me, revision=revision)
        self._proposals.put(wish, settled, patience=Usec(86400 * USEC_PER_SEC))

    def tick(self) -> None:
        """Let go of what could not be committed in time."""
        for client, (request, until) in list(self._early.items()):
            if until <= self._desk.now:
                del self._early[client]
                self._judge_stop(client, request)
        self._let_go([client for client, (_, until) in self._asking.items() if until <= self._desk.now])

    def _let_go(self, clients: list[int]) -> None:
        for client in clients:
            unit, _ = self._asking.pop(client)
            self._keeper.only_here[unit] = self._desk.row(unit).revision
            text = f"Stopping '{unit}' on this node only: the log did not accept the wish in time."
            self._desk.report(MessageId.WISH_LOCAL_ONLY, PRIORITY_WARNING, text, unit)
            self._barriers.raise_(unit, client)

    def gone(self, client: int) -> None:
        """Note that a hold hung up: PID 1 stopped waiting, and stops the unit without its barrier."""
        self._asking.pop(client, None)
        self._early.pop(client, None)
        unit = self._barriers.unanswered(client)
        if unit is not None and not self._desk.seen(unit).is_gone:
            text = f"'{unit}' is stopped before what depends on it on other nodes was down."
            self._desk.report(MessageId.BARRIER_TIMED_OUT, PRIORITY_WARNING, text, unit)
            self._proposals.put(Alarm(node=self._desk.me, unit=unit, text=text), lambda _: None)
