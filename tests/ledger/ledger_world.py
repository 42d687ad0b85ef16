# SPDX-License-Identifier: LGPL-2.1-or-later
"""Nodes with disks that forget what was not written, in one thread and without a clock of their own.

World carries out effects; when messages arrive and writes complete is decided by its subclasses: Storm draws
it from a seed, the golden scripts say it word by word.
"""

import heapq
import random
from collections import deque
from collections.abc import Callable, Sequence

from ledger_judge import Judge

from synod.base.ids import Index, NodeName
from synod.base.usec import Usec
from synod.ledger.effects import Committed, Effect, Persist, ProposalRejected, Send
from synod.ledger.entries import Entry, HardState, ReqId
from synod.ledger.events import (
    ChangeMembership,
    Event,
    PeerLost,
    Persisted,
    PersistFailed,
    Propose,
    ReadIndexRequest,
    Receive,
    Tick,
    TransferLeadership,
)
from synod.ledger.machine import Raft
from synod.ledger.membership import Configuration, Operation
from synod.ledger.messages import Forward, ForwardRefused, Message
from synod.ledger.timing import BATCH_BYTES_MAX, Timing

MSEC = 1000


class Dice:
    """Entropy from a seed."""

    def __init__(self, seed: object) -> None:
        self._random = random.Random(str(seed))

    def below(self, limit: int) -> int:
        return self._random.randrange(limit)


class Host:
    """A node, its disk and the writes under way."""

    def __init__(self, name: NodeName, founders: Sequence[NodeName]) -> None:
        self.name = name
        self.initial = Configuration.of(voters=founders if name in founders else ())
        self.boot = 0
        self.raft: Raft
        self.is_up = False
        self.durable_hard = HardState()
        self.durable_entries: list[Entry] = []
        self.writing: deque[Persist] = deque()

    def start(self, entropy: Dice, timing: Timing) -> None:
        self.boot += 1
        self.is_up = True
        self.writing.clear()
        self.raft = Raft(name=self.name, entropy=entropy, timing=timing, hard_state=self.durable_hard,
                         entries=self.durable_entries, initial=self.initial)

    def write(self) -> int:
        """Make the oldest write durable and return its number."""
        persist = self.writing.popleft()
        if persist.hard_state is not None:
            self.durable_hard = persist.hard_state
        if persist.truncate_from is not None:
            del self.durable_entries[persist.truncate_from - 1:]
        for entry in persist.entries:
            assert entry.index == len(self.durable_entries) + 1
            self.durable_entries.append(entry)
        return persist.seq

    def wipe(self) -> None:
        """Lose the disk; what comes back knows nothing and founds nothing."""
        self.initial = Configuration()
        self.durable_hard, self.durable_entries = HardState(), []


class World:
    """All hosts and the judge."""

    def __init__(self, founders: Sequence[str], joiners: Sequence[str] = (), seed: object = 0,
                 timing: Timing | None = None) -> None:
        self.now = Usec(1_000_000)
        self.seed = seed
        self.timing = timing if timing is not None else Timing()
        names = [NodeName(name) for name in founders]
        self.hosts = {NodeName(name): Host(NodeName(name), names) for name in [*founders, *joiners]}
        self.judge = Judge(dict(self.hosts))

    def boot(self, host: Host) -> None:
        self.judge.forget(host.name)
        host.start(Dice((self.seed, host.name, host.boot)), self.timing)
        self.step(host, Tick())

    def crash(self, host: Host, *, written: int = 0) -> None:
        """Cut the power; ``written`` of the writes under way happen to be complete."""
        for _ in range(min(written, len(host.writing))):
            host.write()
        host.is_up = False
        host.writing.clear()

    def step(self, host: Host, event: Event) -> tuple[Effect, ...]:
        self.judge.hear(host, event, self.now)
        effects = host.raft.step(event, self.now)
        self.judge.see(host, effects)
        for effect in effects:
            match effect:
                case Send(peer=peer, message=message):
                    if peer in self.hosts:
                        self.post(host, self.hosts[peer], message)
                case Persist():
                    host.writing.append(effect)
                    self.written_later(host, effect)
                case _:
                    self.tell(host, effect)
        self.stepped(host)
        return effects

    # For the subclasses

    def post(self, source: Host, target: Host, message: Message) -> None:
        raise NotImplementedError

    def written_later(self, host: Host, persist: Persist) -> None:
        raise NotImplementedError

    def tell(self, host: Host, effect: Effect) -> None:
        """Note an effect that is meant for the rest of the node."""

    def stepped(self, host: Host) -> None:
        """A step is over."""


class Storm(World):
    """A world in which everything that may go wrong does, as the seed says, and which then calms down."""

    def __init__(self, seed: int) -> None:
        self.dice = random.Random(f"storm {seed}")
        voters = self.dice.choice([1, 2, 3, 3, 3, 4, 5, 5])
        joiners = self.dice.choice([0, 0, 1, 2])
        names = [f"n{number + 1}" for number in range(voters + joiners)]
        # Faster clocks than the real ones, so that a run holds many elections.
        timing = Timing(heartbeat=Usec(30 * MSEC),
                        election_min=Usec(150 * MSEC), election_max=Usec(300 * MSEC),
                        stream_loss_min=Usec(10 * MSEC), stream_loss_max=Usec(40 * MSEC))
        super().__init__(names[:voters], names[voters:], seed, timing)
        self.loss = self.dice.choice([0.0, 0.02, 0.2])
        self.repetition = self.dice.choice([0.0, 0.05, 0.3])
        self.delay = self.dice.choice([3, 20, 120]) * MSEC
        self.disk = self.dice.choice([1, 10, 80]) * MSEC
        self.cut: set[tuple[NodeName, NodeName]] = set()
        self._heap: list[tuple[int, int, Callable[[], None]]] = []
        self._count = 0
        self._timer: dict[NodeName, int] = {}
        self._stream: dict[tuple[NodeName, NodeName], int] = {}
        self._next_seq = 0
        self._last: dict[NodeName, ReqId] = {}
        self._retry: list[tuple[Host, int, ReqId]] = []
        self.acknowledged: set[ReqId] = set()
        self.steps = 0

    # Time

    def at(self, delay: int, action: Callable[[], None]) -> None:
        self._count += 1
        heapq.heappush(self._heap, (self.now + delay, self._count, action))

    def run(self, duration: int) -> None:
        end = self.now + duration
        while self._heap and self._heap[0][0] <= end:
            time, _, action = heapq.heappop(self._heap)
            self.now = Usec(time)
            action()
        self.now = Usec(end)

    def stepped(self, host: Host) -> None:
        self.steps += 1
        deadline = host.raft.deadline
        number = self._timer[host.name] = self._timer.get(host.name, 0) + 1
        if deadline is None:
            return
        boot, late = host.boot, self.dice.choice([0, 0, 0, 1, 5, 200]) * MSEC // 10

        def ring() -> None:
            if host.is_up and host.boot == boot and self._timer[host.name] == number:
                self.step(host, Tick())
        self.at(max(0, deadline - self.now) + late, ring)

    # Network and disk

    def post(self, source: Host, target: Host, message: Message) -> None:
        if (source.name, target.name) in self.cut or self.dice.random() < self.loss:
            return
        # Streams do not repeat what they carry; the core relies on that for these two alone.
        is_once = isinstance(message, Forward | ForwardRefused)
        copies = 1 if is_once or self.dice.random() >= self.repetition else 2
        link, boot = (source.name, target.name), target.boot
        stream = self._stream.get(link, 0)

        def arrive() -> None:
            is_connected = link not in self.cut and stream == self._stream.get(link, 0)
            if is_connected and target.is_up and boot == target.boot:
                self.step(target, Receive(peer=source.name, message=message))
        for _ in range(copies):
            self.at(self.dice.randrange(MSEC // 2, self.delay), arrive)

    def written_later(self, host: Host, persist: Persist) -> None:
        boot = host.boot

        def done() -> None:
            # A later write may complete the earlier ones with it, as one sync for a group does.
            if host.is_up and host.boot == boot and any(item.seq == persist.seq for item in host.writing):
                while host.write() != persist.seq:
                    pass
                self.step(host, Persisted(seq=persist.seq))
        self.at(self.dice.randrange(self.disk), done)

    def tell(self, host: Host, effect: Effect) -> None:
        match effect:
            case Committed(req=req) if req.client == host.name:
                self.acknowledged.add(req)
            case ProposalRejected(req=req, definite=False):
                self._retry.append((host, host.boot, req))
            case _:
                pass

    # Misfortune

    def up(self) -> list[Host]:
        return [host for host in self.hosts.values() if host.is_up]

    def propose(self, host: Host) -> ReqId:
        self._next_seq += 1
        req = ReqId(client=host.name, boot=f"b{host.boot}", seq=self._next_seq)
        self.step(host, Propose(req=req, payload=self.payload(req)))
        return req

    def payload(self, req: ReqId) -> bytes:
        """Return what is proposed as ``req``, now and then as much as fills a batch."""
        return str(req.seq).encode().ljust(BATCH_BYTES_MAX if req.seq % 4 == 0 else 0)

    def trouble(self) -> None:
        """Do one thing that callers or fate may do."""
        host = self.dice.choice(list(self.hosts.values()))
        if host.is_up:
            self.dice.choices(list(_TROUBLES.values()), list(_TROUBLES))[0](self, host)
        elif self.dice.random() < 0.3:
            self.boot(host)

    def read(self, host: Host) -> None:
        self.step(host, ReadIndexRequest(token=self.dice.randrange(1 << 40)))

    def retry(self, _: Host) -> None:
        if self._retry:
            host, boot, req = self._retry.pop(self.dice.randrange(len(self._retry)))
            if host.is_up and host.boot == boot:
                self.step(host, Propose(req=req, payload=self.payload(req)))

    def change(self, _: Host) -> None:
        operation, node = self.dice.choice(list(Operation)), self.dice.choice(list(self.hosts))
        leaders = [host for host in self.up() if host.raft.leader == host.name]
        if leaders:
            self.step(self.dice.choice(leaders), ChangeMembership(operation=operation, node=node))

    def transfer(self, host: Host) -> None:
        self.step(host, TransferLeadership(to=self.dice.choice(list(self.hosts))))

    def lose_power(self, host: Host) -> None:
        self.crash(host, written=self.dice.randrange(3))

    def fail_disk(self, host: Host) -> None:
        if host.writing:
            self.step(host, PersistFailed(seq=host.writing[0].seq))
            host.writing.clear()

    def reset_some_stream(self, host: Host) -> None:
        self.reset_stream(host, self.dice.choice(list(self.hosts.values())))

    def reset_stream(self, one: Host, other: Host) -> None:
        for source, target in ((one, other), (other, one)):
            self._stream[source.name, target.name] = self._stream.get((source.name, target.name), 0) + 1
            if target.is_up and source is not target:
                self.step(target, PeerLost(peer=source.name))

    def partition(self, _: Host) -> None:
        names = list(self.hosts)
        side = {name for name in names if self.dice.random() < 0.5}
        is_one_way = self.dice.random() < 0.2
        self.cut = {(a, b) for a in names for b in names if a in side and b not in side}
        if not is_one_way:
            self.cut |= {(b, a) for a, b in self.cut}

    def heal(self, _: Host) -> None:
        self.cut.clear()

    def rage(self, troubles: int, pause: int = 40 * MSEC) -> None:
        """Start everyone, then let things happen."""
        for host in self.hosts.values():
            self.boot(host)
        for _ in range(troubles):
            self.run(self.dice.randrange(pause))
            self.trouble()

    def calm(self) -> None:
        """Repair everything and require that the cluster gets to work again and agrees."""
        self.cut.clear()
        self.loss = self.repetition = 0.0
        self.delay, self.disk = 3 * MSEC, 2 * MSEC
        for host in self.hosts.values():
            self.crash(host)
            self.boot(host)
        for _ in range(100):
            self.run(50 * MSEC)
            leader = next((host for host in self.up() if host.raft.leader == host.name), None)
            if leader is None:
                continue
            req = self.propose(leader)
            self.run(50 * MSEC)
            if req in self.acknowledged:
                break
        else:
            raise AssertionError("liveness: nothing was committed in 100 tries after all faults had ended")
        self.run(500 * MSEC)
        leader = next(host for host in self.up() if host.raft.leader == host.name)
        for name in leader.raft.voters + leader.raft.learners:
            member = self.hosts[name].raft
            assert member.commit_index == leader.raft.commit_index == Index(len(self.judge.committed)), (
                f"liveness: {name} has {member.commit_index} of {len(self.judge.committed)}")
            assert member.quorate, f"liveness: {name} hears the leader and is not quorate"


_TROUBLES: dict[float, Callable[[Storm, Host], object]] = {  # by weight, all different
    45: Storm.propose, 8: Storm.lose_power, 7.5: Storm.change, 7.4: Storm.heal, 7.3: Storm.reset_some_stream,
    7.2: Storm.partition, 7.1: Storm.read, 6: Storm.retry, 3: Storm.transfer, 1: Storm.fail_disk,
}  # fmt: skip
