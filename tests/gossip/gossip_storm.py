# SPDX-License-Identifier: LGPL-2.1-or-later
"""Worlds in which much goes wrong, as the seed says, and which then calm down."""

from gossip_world import MSEC, SEC, Host, ViolationError, World

from synod.gossip.events import Leave, SetAttribute
from synod.gossip.members import Status

LARGE = 50


class Storm(World):
    """A few nodes in trouble; size and kind of it are drawn from the seed."""

    def __init__(self, seed: int, names: list[str] | None = None, **options: bool) -> None:
        super().__init__(names or [], seed, **options)
        if names is None:
            count = self.dice.choice([1, 2, 3, 3, 4, 5, 8])
            self.hosts.update(World([f"n{number + 1}" for number in range(count)]).hosts)
            self.has_streams = self.dice.random() < 0.5
            self.loss = self.dice.choice([0.0, 0.05, 0.3])
            self.delay = self.dice.choice([2, 20, 120]) * MSEC
        self._added = 0

    def rage(self, troubles: int) -> None:
        for host in self.hosts.values():
            host.trouble = 1 << 62  # in a storm everyone may seem dead
        self.boot_all()
        for _ in range(troubles):
            self.run(self.dice.choice([10, 300, 1000, 3000, 9000]) * MSEC)
            self.trouble()

    def trouble(self) -> None:
        host = self.dice.choice(list(self.hosts.values()))
        if not host.is_up:
            # Now and then with less than before: the clock that makes incarnations was set back.
            self.boot(host, incarnation=self.dice.choice([None, None, 1]))
            host.trouble = 1 << 62
        elif host.is_stopped:
            self.resume(host, is_timer_first=self.dice.random() < 0.5)
            host.trouble = 1 << 62
        else:
            kinds = [self.kill, self.stop, self.cut_some, self.heal, self.set]
            self.dice.choice([*kinds, *kinds, self.leave, self.join, self.part])(host)

    def cut_some(self, host: Host) -> None:
        other = self.dice.choice(list(self.hosts))
        if other != host.name:
            self.sever([host.name], [other], both_ways=self.dice.random() < 0.5)

    def heal(self, _: Host) -> None:
        self.cut.clear()

    def set(self, host: Host) -> None:
        value = self.dice.choice([None, "1", "2", "x" * 300])
        self.step(host, SetAttribute(name=self.dice.choice("abc"), value=value))

    def leave(self, host: Host) -> None:
        self.step(host, Leave())
        self.at(500 * MSEC, lambda: self.kill(host))

    def join(self, _: Host) -> None:
        if len(self.hosts) < 9:
            self._added += 1
            self.add(f"m{self._added}").trouble = 1 << 62

    def part(self, host: Host) -> None:
        if len(self.hosts) > 1:
            self.remove(host.name)

    def calm(self) -> None:
        """Let everything work, and demand that all know the same and the truth."""
        self.run(500 * MSEC)
        self.cut.clear()
        self.loss = 0.0
        for host in self.hosts.values():
            if not host.is_up:
                self.boot(host)
            elif host.is_stopped:
                self.resume(host)
        self.run_until(lambda: self.is_content() and self.is_agreed(), 150 * SEC)

    def is_agreed(self) -> bool:
        """Whether everybody knows everybody's attributes and incarnation."""
        for host in self.hosts.values():
            for other in self.hosts.values():
                view = other.gossip.view(host.name)
                if view is not None and (view.attributes, view.incarnation) != (host.gossip.attributes,
                                                                                host.gossip.incarnation):
                    return False
        return True


# Scenarios; each raises ViolationError


def cluster(nodes: int, seed: int, *, loss: float = 0.0, has_streams: bool = False) -> Storm:
    """Return a world whose nodes have met."""
    world = Storm(seed, [f"n{number + 1}" for number in range(nodes)], has_streams=has_streams,
                  has_codec=nodes <= LARGE)
    world.loss = loss
    world.boot_all()
    world.run(5 * SEC)
    return world


def weather(seed: int, troubles: int = 30) -> None:
    storm = Storm(seed)
    try:
        storm.rage(troubles)
        storm.calm()
    except ViolationError as error:
        error.add_note(f"seed={seed} time={storm.now}")
        raise


def news(world: Storm) -> None:
    """A fact reaches everyone for as long as one who knows it tells it."""
    source = next(iter(world.hosts.values()))
    world.step(source, SetAttribute(name="zone", value="east"))
    nodes = len(world.hosts)

    def is_known() -> bool:
        views = [host.gossip.view(source.name) for host in world.hosts.values() if host is not source]
        return all(view is not None and view.attributes == (("zone", "east"),) for view in views)
    world.run_until(is_known, world.timing.retransmits(nodes) * world.timing.gossip_interval)


def death(world: Storm, victim: Host) -> None:
    """All know within: the wait for a question, the question, the shortest suspicion, the telling.

    The suspicion is the shortest once three have asked; so a few periods more are allowed for the question.
    """
    world.kill(victim)
    began, shortest = world.now, world.timing.suspicion_shortest(len(world.hosts))
    told = world.timing.retransmits(len(world.hosts)) * world.timing.gossip_interval
    world.run_until(lambda: world.all_think(victim, Status.FAULTY), 5 * SEC + shortest + told)
    if world.now - began < shortest:
        raise ViolationError(f"time to refute: {world.now - began} us")
    world.judge.demand_no_slander(except_for=victim)


def loss(nodes: int, seed: int, span: int) -> None:
    """With streams nobody is even suspected, whatever datagrams are lost."""
    world = cluster(nodes, seed, loss=0.05, has_streams=True)
    world.run(span)
    world.judge.demand_no_slander()


def stalls(seed: int, *, has_streams: bool, is_timer_first: bool) -> None:
    """A node that stands still now and then accuses nobody."""
    world = cluster(6, seed, has_streams=has_streams)
    staller = next(iter(world.hosts.values()))
    for _ in range(20):
        is_deaf = world.dice.random() < 0.5
        world.stop(staller, is_deaf=is_deaf)
        world.run(world.dice.choice([260, 400, 700, 1500, 4000, 20_000]) * MSEC)
        world.resume(staller, is_timer_first=is_timer_first)
        # Two deaf stalls within one period may hide all answers and stay below what is noticed.
        world.run(world.dice.choice([2000, 2300] if is_deaf else [10, 300, 2000]) * MSEC)
    world.judge.demand_no_slander(except_for=staller)
    world.run_until(world.is_content, 30 * SEC)


def starvation(seed: int) -> None:
    """A CPU hog: the node runs, for a moment, and always late; it accuses nobody."""
    world = cluster(5, seed)
    starved = next(iter(world.hosts.values()))
    for _ in range(100):
        world.stop(starved)
        world.run(world.dice.randrange(100, 900) * MSEC)
        world.resume(starved)
        world.run(1 * MSEC)
    world.judge.demand_no_slander(except_for=starved)


def partition(nodes: int) -> None:
    """Two halves bury each other, and find together again."""
    world = cluster(nodes, nodes)
    names = list(world.hosts)
    for host in world.hosts.values():
        host.trouble = 1 << 62
    world.sever(names[: nodes // 2], names[nodes // 2 :])
    world.run(40 * SEC)
    if world.all_think(world.hosts[names[0]], Status.ALIVE):
        raise ViolationError("partition: it was not noticed")
    world.cut.clear()
    world.run_until(world.is_content, 20 * SEC)
