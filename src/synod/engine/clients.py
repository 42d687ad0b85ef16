# SPDX-License-Identifier: LGPL-2.1-or-later
"""Local clients that wait: gates, awaits, and synodctl start or stop with --wait.

A gate's or an await's call is a wish to start (safety rule 6.1); its answer is the verdict on that wish.
While it waits, the client is told what for.
"""

from dataclasses import dataclass
from typing import Final

from synod.base.exits import ExitStatus
from synod.base.ids import NodeName, UnitName
from synod.base.messages import MessageId
from synod.base.usec import USEC_PER_MSEC, USEC_PER_SEC, Usec
from synod.engine.desk import Desk
from synod.engine.effects import Extend, Reply, ShowStatus
from synod.engine.keeper import PRIORITY_WARNING, Keeper
from synod.engine.mirrors import Mirrors
from synod.engine.proposals import Proposals
from synod.engine.readiness import Readiness
from synod.engine.requests import Place, StartUnits, StopUnits, Want
from synod.engine.verdict import Judge, Prospect, Verdict
from synod.model.command import Desired, Wish
from synod.model.rows import barred
from synod.model.spec import DEPENDENCY_TIMEOUT_DEFAULT
from synod.model.state import Change
from synod.model.unit import bound_of, mirror_of

PRIORITY_INFO: Final = 6
NO_START: Final = ("", "stop")
"""Types of a unit's job by which nobody waits for its gate."""
NEVER: Final = Usec(0)
NEWS_USEC: Final = Usec(2 * USEC_PER_SEC)
"""How long a unit that is new to the log is not given up: the first instance of a template is reported by
one node, and by the others when they have heard of it.
"""
TOGETHER_USEC: Final = Usec(500 * USEC_PER_MSEC)
"""How long a start waits for that of a unit it is colocated with: both may be in one transaction."""
GATE_USEC: Final = Usec(100 * USEC_PER_MSEC)
"""How long an await leaves the wish to the gate of whoever needs the provider: asked for alone, and a moment
earlier, the provider might be placed where that unit may not follow it.
"""
AT_BOOT_USEC: Final = Usec(600 * USEC_PER_SEC)
"""How long the wish of a boot is repeated: a quorum may boot slower than this node."""
ANSWER_USEC: Final = Usec(5 * USEC_PER_SEC)
"""How much longer than its patience a waiter may live: the answer, not PID 1, is to end it."""


@dataclass(slots=True)
class _Waiting:
    client: int
    request: Place | Want | StartUnits | StopUnits
    deadline: Usec
    is_committed: bool = False
    """Whether the wish is in the log: before that, an old failure is no verdict."""
    shown: str = ""
    wish_at: Usec = NEVER
    """When its wish is said at the latest; never, if it was said or nobody needs it."""
    news_until: Usec = NEVER
    """Until when other nodes may report what this one has just told them of."""

    @property
    def unit(self) -> UnitName:
        return self.request.unit


class Clients:
    """Who waits for a start or a stop, and what they are told."""

    def __init__(
        self,
        desk: Desk,
        readiness: Readiness,
        judge: Judge,
        keeper: Keeper,
        mirrors: Mirrors,
        proposals: Proposals,
    ) -> None:
        self._desk = desk
        self._readiness = readiness
        self._judge = judge
        self._keeper = keeper
        self._mirrors = mirrors
        self._proposals = proposals
        self._waiting: dict[int, _Waiting] = {}
        self._met: dict[UnitName, Usec] = {}
        """When units came into the log that were not in it when this node began to follow it."""
        self._at_boot: dict[UnitName, None] = {}
        """Units that the boot asked for before the cluster could say whether they need a wish."""

    @property
    def deadline(self) -> Usec | None:
        """When the first of them has waited long enough."""
        if not self._waiting:
            return None
        waiting = self._waiting.values()
        marks = [one.news_until for one in waiting if one.news_until > self._desk.now]
        marks += [one.wish_at for one in waiting if one.wish_at != NEVER]
        return min((*marks, *(one.deadline for one in waiting)))

    def ask(self, client: int, request: Place | Want | StartUnits | StopUnits) -> None:
        """Take a request that may have to wait."""
        if self._desk.is_booting and isinstance(request, Place | Want):
            return self._ask_at_boot(client, request)
        spec = self._desk.spec(request.unit)
        if isinstance(request, Place) and self._is_moot(request):
            return self._dismiss(client, request)
        patience = spec.dependency_timeout_usec if spec is not None else DEPENDENCY_TIMEOUT_DEFAULT
        one = _Waiting(client, request, Usec(self._desk.now + patience))
        one.news_until = self._news_until(request.unit)
        self._waiting[client] = one
        if isinstance(request, Want):
            self._mirrors.awaited[request.unit] = self._mirrors.awaited.get(request.unit, 0) + 1
            self._desk.touch([request.unit])
        if not isinstance(request, StartUnits | StopUnits):
            self._desk.put(Extend(client=client, span=Usec(patience + ANSWER_USEC)))
        if self._is_of_own_start(request):
            one.is_committed = True
        elif isinstance(request, Want):
            one.wish_at = Usec(self._desk.now + GATE_USEC)
        else:
            self._wish(one)

    def meet(self, unit: UnitName) -> None:
        """Note that an entry of the log named a unit."""
        if unit in self._desk.state.rows:
            self._met.setdefault(unit, self._desk.now if self._desk.is_registered else NEVER)
        else:
            self._met.pop(unit, None)

    def _news_until(self, unit: UnitName) -> Usec:
        """Say until when other nodes may still report a unit."""
        if not self._desk.row(unit).reports:
            return Usec(self._desk.now + NEWS_USEC)
        met = self._met.get(unit, NEVER)
        if met != NEVER and met + NEWS_USEC > self._desk.now:
            return Usec(met + NEWS_USEC)
        spec = self._desk.row(unit).spec
        partners = spec.colocate_with if spec is not None else ()
        is_alone = any(not self._desk.row(name).is_wanted for name in partners)
        return Usec(self._desk.now + TOGETHER_USEC) if is_alone else NEVER

    def _is_moot(self, request: Place) -> bool:
        """Whether a gate has been left behind: its unit is not to start any more, or only later.

        A start that the keeper made itself and closed the gate behind is skipped, and made again later.
        """
        unit = request.unit
        return request.job in NO_START or (self._keeper.is_starting(unit) and not self._keeper.is_open(unit))

    def _dismiss(self, client: int, request: Place) -> None:
        """Answer a gate that was left behind; perhaps nobody has said why its start has failed."""
        verdict, text = self._judge.verdict(request.unit), "its start was put off or cancelled"
        if request.job in NO_START and verdict.prospect is Prospect.HOPELESS:
            text = verdict.text
            self._desk.report(MessageId.UNIT_REFUSED, PRIORITY_WARNING, text, request.unit)
        self._reply(client, 0, text)

    def _is_of_own_start(self, request: Place | Want | StartUnits | StopUnits) -> bool:
        """Whether a start of the keeper's own brought the question about, which is nobody's wish.

        What the start waits for may just have been stopped by somebody.
        """
        if isinstance(request, Place):
            return self._keeper.is_starting(request.unit)
        if not isinstance(request, Want):
            return False
        users = self._desk.state.edges.named_by.get(request.unit, {})
        mirrors = (mirror_of(request.unit), bound_of(request.unit))
        return any(map(self._desk.is_being_started, mirrors)) or any(map(self._keeper.is_starting, users))

    def _ask_at_boot(self, client: int, request: Place | Want) -> None:
        """Answer at once: the unit is skipped, and started later when the log wants it (safety rule 4.3)."""
        if isinstance(request, Place):
            self._keeper.wanted_at_boot(request.unit)
            self._at_boot[request.unit] = None
        self._reply(client, 0, "started by the cluster when its log is there")

    def _wish_as_booted(self) -> None:
        """Say what the boot asked for, once it is known which units need a wish and which have one."""
        for unit in list(self._at_boot):
            row = self._desk.row(unit)
            if row.spec is None or not self._desk.is_settled:
                continue
            del self._at_boot[unit]
            if row.spec.is_exclusive and row.desired is None:
                wish = Wish(unit=unit, desired=Desired.STARTED, node=self._desk.me, only_if_absent=True)
                self._proposals.put(wish, lambda _: None, patience=AT_BOOT_USEC)

    # The wish

    def _wish_if_nobody_else(self, one: _Waiting) -> None:
        is_said = self._desk.is_settled and not self._is_idle(one.unit)
        if is_said or one.wish_at <= self._desk.now:
            one.wish_at = NEVER
            self._wish(one)

    def _wish(self, one: _Waiting) -> None:
        request = one.request
        if isinstance(request, StopUnits):
            return self._propose(one, [request.unit], Desired.STOPPED)
        spec = self._desk.spec(request.unit)
        if isinstance(request, Place) and spec is not None and not spec.is_exclusive:
            here = self._desk.state.nodes.get(self._desk.me)
            reason = barred(spec, here) if here is not None else ""
            if reason:
                return self._end(one, 1, f"{request.unit} may not run here: {reason}")
            return self._propose(
                one, [name for name in spec.pulled_in if self._is_idle(name)], Desired.STARTED
            )
        is_more_wanted = self._missing(one) or self._is_idle(request.unit)
        return self._propose(one, [request.unit] if is_more_wanted else [], Desired.STARTED)

    def _missing(self, one: _Waiting) -> list[NodeName]:
        """List the nodes without the instance that ``synodctl start`` wants there (Instances=all)."""
        row = self._desk.row(one.unit)
        if not isinstance(one.request, StartUnits) or row.spec is None or row.spec.is_exclusive:
            return []
        holders, nodes = self._readiness.holders(one.unit), self._desk.state.nodes
        return [
            name
            for name in sorted(row.reports)
            if nodes[name].may_be_granted and not barred(row.spec, nodes[name]) and name not in holders
        ]

    def _is_idle(self, unit: UnitName) -> bool:
        """Whether saying "start" would change anything."""
        rows = self._desk.state.rows
        if unit not in rows or rows[unit].spec is None:
            return True
        for name in self._desk.state.pulled_in(unit):
            row = rows[name]
            is_idle = (
                (not row.is_wanted or row.kept is not None or (bool(row.setbacks) and not row.grants))
                if row.spec is None or row.spec.is_exclusive
                else not self._readiness.is_up(name)
            )
            if is_idle:
                return True
        return False

    def _propose(self, one: _Waiting, units: list[UnitName], desired: Desired) -> None:
        if not units:
            one.is_committed = True
            return
        left = dict.fromkeys(units)
        for unit in units:

            def settled(change: Change | None, unit: UnitName = unit) -> None:
                left.pop(unit, None)
                if change is None or one.client not in self._waiting:
                    return
                if change.refusal:
                    self._end(one, ExitStatus.FAILURE, change.refusal)
                    return
                one.is_committed = not left
                if (
                    isinstance(one.request, StartUnits | StopUnits)
                    and not one.request.is_waiting
                    and not left
                ):
                    self._end(one, 0, "")

            wish = Wish(unit=unit, desired=desired, node=self._desk.me)
            self._proposals.put(wish, settled, patience=Usec(one.deadline - self._desk.now))

    # The verdict

    def look(self) -> None:
        """Answer whoever can be answered; tell the others what they wait for."""
        self._wish_as_booted()
        for one in list(self._waiting.values()):
            if one.wish_at != NEVER:
                self._wish_if_nobody_else(one)
            if one.is_committed and self._desk.is_settled:
                self._look_at(one)
            else:
                self._show(one, "waiting for the cluster's log to accept the wish")

    def _look_at(self, one: _Waiting) -> None:
        match one.request:
            case StopUnits():
                if not self._desk.row(one.unit).grants and not self._readiness.is_up(one.unit):
                    self._end(one, 0, "")
                return
            case Place() if self._keeper.is_open(one.unit):
                self._end(one, 0, "")
                return
            case Want() if self._mirrors.has_file(one.unit) and self._readiness.is_confirmed(one.unit):
                self._end(one, 0, "")
                return
            case _:
                self._pronounce(one, self._judge.verdict(one.unit))

    def _pronounce(self, one: _Waiting, verdict: Verdict) -> None:
        if verdict.prospect is Prospect.HOPELESS and self._desk.now < one.news_until:
            self._show(one, f"waiting for news: {verdict.text}")
        elif verdict.prospect is Prospect.HOPELESS:
            self._end(one, ExitStatus.FAILURE, verdict.text)
        elif verdict.prospect is Prospect.WAITING:
            self._show(one, verdict.text)
        elif isinstance(one.request, Place):
            spec = self._desk.spec(one.unit)
            if (spec is not None and spec.is_exclusive) and not self._readiness.exported(one.unit):
                where = ", ".join(self._readiness.holders(one.unit))
                text = f"{one.unit} runs on {where}, not here"
                self._desk.report(MessageId.UNIT_RUNS_ELSEWHERE, PRIORITY_INFO, text, one.unit)
                self._end(one, 0, text)
        elif isinstance(one.request, StartUnits):
            missing = self._missing(one)
            if missing:
                self._show(one, f"{one.unit} is not up on {', '.join(missing)} yet")
            else:
                self._end(one, 0, "")

    def _show(self, one: _Waiting, text: str) -> None:
        if one.shown != text:
            one.shown = text
            self._desk.put(ShowStatus(client=one.client, text=text))

    def tick(self) -> None:
        """Give up on whoever has waited long enough."""
        for one in list(self._waiting.values()):
            if one.deadline <= self._desk.now:
                self._end(
                    one, ExitStatus.TIMEOUT, f"gave up waiting: {one.shown or 'no answer from the cluster'}"
                )

    def gone(self, client: int) -> bool:
        """Forget a client that hung up; its wish stays. Return whether it was waiting."""
        one = self._waiting.get(client)
        if one is not None:
            self._forget(one)
        return one is not None

    def _end(self, one: _Waiting, status: int, text: str) -> None:
        self._forget(one)
        if status and isinstance(one.request, Place | Want):
            self._desk.report(MessageId.UNIT_REFUSED, PRIORITY_WARNING, text, one.unit)
        self._reply(one.client, status, text)
        if status and isinstance(one.request, Want):
            self._end_dependants(one.unit, status, text)

    def _end_dependants(self, provider: UnitName, status: int, text: str) -> None:
        """End the gates that PID 1 is about to stop with the failed await, while they can say why."""
        for one in list(self._waiting.values()):
            spec = self._desk.spec(one.unit) if isinstance(one.request, Place) else None
            if spec is not None and provider in (*spec.requires, *spec.binds_to):
                self._end(one, status, f"{one.unit} requires {provider}: {text}")

    def _forget(self, one: _Waiting) -> None:
        if self._waiting.pop(one.client, None) is not None and isinstance(one.request, Want):
            self._mirrors.awaited[one.unit] -= 1
            if not self._mirrors.awaited[one.unit]:
                del self._mirrors.awaited[one.unit]
            self._desk.touch([one.unit])

    def _reply(self, client: int, status: int, text: str) -> None:
        self._desk.put(Reply(client=client, status=status, text=text))
