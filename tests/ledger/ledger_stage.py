# SPDX-License-Identifier: LGPL-2.1-or-later
"""A world that does nothing by itself: golden scripts say which message arrives and which write completes.

A script is a sequence of blocks, separated by blank lines: ``# why``, commands, ``----``, what then
happened.

    cluster A B / joiner C      founders, up; a node that knows nothing, up
    tick A                      let A's deadline come, for A alone
    elect A B C                 the same, then A, B and C settle A's election among them
    reign A B C                 founders, up, and A leads them: how many scripts begin
    run 500ms                   let time pass; messages and writes take no time
    stall 1s                    let time pass without anybody noticing
    settle                      like run, without letting time pass
    deliver A B [N] / drop A B  the messages (the first N) from A to B arrive, or are lost
    repeat A B                  the next message from A to B arrives; a copy stays, behind the others
    write A / flush A / fail A  A's oldest write completes; all of them do, if any; the oldest fails
    propose A TEXT[*N] [SEQ]    read A TOKEN    change A OPERATION B    transfer A B
    cut A B / heal              lose everything between A and B; stop doing so
    reset A B                   the stream between A and B is reset
    crash A / start A / wipe A  power cut, power on, the disk is replaced
    state / log A               print
"""

import re
from collections import deque
from dataclasses import fields

from ledger_world import Host, World

from synod.base.ids import Index, NodeName
from synod.base.usec import Usec, parse_span
from synod.ledger.effects import (
    ChangeRejected,
    Committed,
    Effect,
    Persist,
    ProposalRejected,
    ReadFailed,
    ReadReady,
    Role,
    RoleChanged,
    Send,
    TransferRejected,
    ViewChange,
)
from synod.ledger.entries import Entry, ReqId
from synod.ledger.events import (
    ChangeMembership,
    PeerLost,
    Persisted,
    PersistFailed,
    Propose,
    ReadIndexRequest,
    Receive,
    Tick,
    TransferLeadership,
)
from synod.ledger.membership import Operation
from synod.ledger.messages import Message, PreVoteRequest, VoteRequest

ROUNDS_MAX = 10_000
TEXT_MAX = 20


class Stage(World):
    """Founders and joiners are named by the first commands."""

    def __init__(self) -> None:
        super().__init__([])
        self._under_way: dict[tuple[NodeName, NodeName], deque[Message]] = {}
        self._cut: set[frozenset[NodeName]] = set()
        self._lines: list[str] = []
        self._is_terse = False
        self._seq = 0

    def perform(self, command: str) -> list[str]:
        """Carry out one line and return what happened."""
        self._lines = []
        verb, *words = command.split()
        self._is_terse = verb in ("run", "settle", "cluster", "elect", "reign")
        getattr(self, f"do_{verb}")(*words)
        return self._lines

    # What World asks for

    def post(self, source: Host, target: Host, message: Message) -> None:
        if frozenset((source.name, target.name)) not in self._cut:
            self._under_way.setdefault((source.name, target.name), deque()).append(message)

    def written_later(self, host: Host, persist: Persist) -> None:
        pass

    def step(self, host: Host, event: object) -> tuple[Effect, ...]:
        effects = super().step(host, event)  # type: ignore[arg-type]
        for effect in effects:
            if not self._is_terse or not isinstance(effect, Send | Persist):
                self._lines.append(f"{host.name}: {describe(effect)}")
        return effects

    # Commands

    def do_cluster(self, *names: str) -> None:
        for name in names:
            self.hosts[NodeName(name)] = Host(NodeName(name), [NodeName(name) for name in names])
        self.judge._suspects.update(self.hosts)
        for host in self.hosts.values():
            self.boot(host)

    def do_joiner(self, name: str) -> None:
        self.hosts[NodeName(name)] = self.judge._suspects[NodeName(name)] = host = Host(NodeName(name), [])
        self.boot(host)

    def do_tick(self, name: str) -> None:
        host = self._host(name)
        assert host.raft.deadline is not None
        self.now = max(self.now, host.raft.deadline)
        self.step(host, Tick())

    def do_elect(self, name: str, *voters: str) -> None:
        for _ in range(ROUNDS_MAX):
            if self._host(name).raft.role is Role.LEADER:
                break
            links = [(name, voter) for voter in voters] + [(voter, name) for voter in voters]
            links = [link for link in links if self._messages(*link)]
            busy = [node for node in (name, *voters) if self._host(node).writing]
            if links:
                self.do_deliver(*links[0])
            elif busy:
                self.do_write(busy[0])
            else:
                self.do_tick(name)
        for messages in self._under_way.values():
            kept = [message for message in messages if not isinstance(message, PreVoteRequest | VoteRequest)]
            messages.clear()
            messages.extend(kept)

    def do_stall(self, span: str) -> None:
        self.now = Usec(self.now + parse_span(span))

    def do_reign(self, name: str, *others: str) -> None:
        self.do_cluster(name, *others)
        self.do_elect(name, *others)
        self.do_settle()
        self._lines.clear()

    def do_run(self, span: str) -> None:
        end = self.now + parse_span(span)
        for _ in range(ROUNDS_MAX):
            self.do_settle()
            due = [(host.raft.deadline, host.name) for host in self.hosts.values()
                   if host.is_up and host.raft.deadline is not None]
            time, name = min(due, default=(Usec(end + 1), NodeName("")))
            if time > end:
                break
            self.now = max(self.now, time)
            self.step(self.hosts[name], Tick())
        self.now = Usec(end)

    def do_settle(self) -> None:
        for _ in range(ROUNDS_MAX):
            busy = [host.name for host in self.hosts.values() if host.is_up and host.writing]
            links = [link for link, messages in self._under_way.items() if messages]
            for name in busy:
                self.do_write(name)
            for source, target in links:
                self.do_deliver(source, target)
            if not busy and not links:
                return
        raise AssertionError("it does not settle")

    def do_deliver(self, source: str, target: str, count: str = "") -> None:
        messages = self._messages(source, target)
        for _ in range(int(count) if count else len(messages)):
            self._arrive(source, target, messages.popleft())

    def do_repeat(self, source: str, target: str) -> None:
        messages = self._messages(source, target)
        messages.rotate(-1)
        self._arrive(source, target, messages[-1])

    def do_drop(self, source: str, target: str) -> None:
        self._messages(source, target).clear()

    def do_write(self, name: str) -> None:
        host = self._host(name)
        self.step(host, Persisted(seq=host.write()))

    def do_flush(self, name: str) -> None:
        while self._host(name).writing:
            self.do_write(name)

    def do_fail(self, name: str) -> None:
        host = self._host(name)
        self.step(host, PersistFailed(seq=host.writing.popleft().seq))
        host.writing.clear()

    def do_propose(self, name: str, text: str, seq: str = "") -> None:
        host = self._host(name)
        self._seq = int(seq) if seq else self._seq + 1
        req = ReqId(client=host.name, boot="b1", seq=self._seq)
        word, _, times = text.partition("*")
        self.step(host, Propose(req=req, payload=word.encode() * int(times or 1)))

    def do_read(self, name: str, token: str) -> None:
        self.step(self._host(name), ReadIndexRequest(token=int(token)))

    def do_change(self, name: str, operation: str, node: str) -> None:
        self.step(self._host(name), ChangeMembership(operation=Operation(operation), node=NodeName(node)))

    def do_transfer(self, name: str, to: str) -> None:
        self.step(self._host(name), TransferLeadership(to=NodeName(to)))

    def do_cut(self, one: str, other: str) -> None:
        self._cut.add(frozenset((NodeName(one), NodeName(other))))
        self._messages(one, other).clear()
        self._messages(other, one).clear()

    def do_heal(self) -> None:
        self._cut.clear()

    def do_reset(self, one: str, other: str) -> None:
        for source, target in ((one, other), (other, one)):
            self._messages(source, target).clear()
            if self._host(target).is_up:
                self.step(self._host(target), PeerLost(peer=NodeName(source)))

    def do_crash(self, name: str) -> None:
        self.crash(self._host(name))
        for link, messages in self._under_way.items():
            if name in link:
                messages.clear()

    def do_start(self, name: str) -> None:
        self.boot(self._host(name))

    def do_wipe(self, name: str) -> None:
        self._host(name).wipe()

    def do_state(self) -> None:
        for host in self.hosts.values():
            raft = host.raft
            terms = " ".join(str(entry.term) for entry in raft._state.log.between(Index(1), raft.last_index))
            self._lines.append(f"{host.name}: down" if not host.is_up else
                               f"{host.name}: {raft.role.value}, term {raft.term}, "
                               f"leader {raft.leader or '-'}, committed {raft.commit_index}, "
                               f"terms of the log [{terms}]"
                               f"{'' if raft.quorate else ', not quorate'}")

    def do_log(self, name: str) -> None:
        raft = self._host(name).raft
        entries = raft._state.log.between(Index(1), raft.last_index)
        self._lines += [describe_entry(entry) for entry in entries]

    def _host(self, name: str) -> Host:
        return self.hosts[NodeName(name)]

    def _messages(self, source: str, target: str) -> deque[Message]:
        return self._under_way.setdefault((NodeName(source), NodeName(target)), deque())

    def _arrive(self, source: str, target: str, message: Message) -> None:
        if self._host(target).is_up:
            self.step(self._host(target), Receive(peer=NodeName(source), message=message))


def describe_payload(payload: bytes) -> str:
    text = payload.decode()
    return repr(text) if len(text) <= TEXT_MAX else f"{text[:TEXT_MAX]!r}... ({len(text)} bytes)"


def describe_entry(entry: Entry) -> str:
    what = describe_payload(entry.payload) if entry.req is not None else "members"
    if entry.configuration is not None:
        what += f" {members(entry.configuration.voters, entry.configuration.learners)}"
    return f"{entry.index}/{entry.term} {what}"


def members(voters: tuple[NodeName, ...], learners: tuple[NodeName, ...]) -> str:
    return " ".join([*voters, *(f"({name})" for name in learners)])


def describe(effect: Effect) -> str:
    """Draw an effect for people."""
    match effect:
        case Send(peer=peer, message=message):
            return f"-> {peer} {describe_message(message)}"
        case Persist():
            return describe_persist(effect)
        case Committed(index=index, payload=payload, duplicate=duplicate):
            return f"committed {index} {describe_payload(payload)}{', a duplicate' if duplicate else ''}"
        case ViewChange(index=index, voters=voters, learners=learners):
            return f"members at {index}: {members(voters, learners)}"
        case RoleChanged(role=role, term=term, leader=leader):
            return f"{role.value} in term {term}, leader {leader or '-'}"
        case _:
            return describe_answer(effect)


def describe_answer(effect: Effect) -> str:
    match effect:
        case ProposalRejected(req=req, reason=reason, definite=definite):
            return f"proposal {req.seq} {'rejected' if definite else 'open'}: {reason}"
        case ChangeRejected(operation=operation, node=node, reason=reason):
            return f"{operation.value} {node} rejected: {reason}"
        case TransferRejected(to=to, reason=reason):
            return f"transfer to {to} rejected: {reason}"
        case ReadReady(token=token, index=index):
            return f"read {token} ready at {index}"
        case ReadFailed(token=token):
            return f"read {token} failed"
        case _:
            return re.sub(r"(?<!^)(?=[A-Z])", " ", type(effect).__name__).lower()


def describe_persist(persist: Persist) -> str:
    parts = []
    if persist.hard_state is not None:
        hard = persist.hard_state
        parts.append(f"term {hard.term} vote {hard.vote or '-'} commit {hard.commit}/{hard.horizon}")
    if persist.truncate_from is not None:
        parts.append(f"cut from {persist.truncate_from}")
    parts += [describe_entry(entry) for entry in persist.entries]
    return f"writes #{persist.seq}: {'; '.join(parts)}"


def describe_message(message: Message) -> str:
    words = [type(message).__name__]
    for field in fields(message):
        value = getattr(message, field.name)
        if field.name in ("round", "nonce", "quorum_age") or value is False:
            continue
        if field.name == "entries":
            value = "[" + ", ".join(describe_entry(entry) for entry in value) + "]"
        if isinstance(value, ReqId):
            value = f"{value.client}/{value.seq}"
        words.append(f"{field.name}={value.decode() if isinstance(value, bytes) else value}")
    return " ".join(words)
