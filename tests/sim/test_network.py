# SPDX-License-Identifier: LGPL-2.1-or-later
"""synod.sim.network and synod.sim.disk: what is lost, and what is not."""

from synod.base.ids import Index, NodeName, Term
from synod.base.usec import USEC_PER_MSEC, USEC_PER_SEC
from synod.ledger.effects import Persist
from synod.ledger.entries import Entry, HardState
from synod.sim.clock import Clock, Dice
from synod.sim.disk import Disk
from synod.sim.network import HEARTBEAT_TIMEOUT_USEC, Network

A, B = NodeName("a"), NodeName("b")
SEC = USEC_PER_SEC


class End:
    """Writes down what it is told."""

    def __init__(self) -> None:
        self.heard: list[str] = []

    def connected(self, peer: NodeName) -> None:
        self.heard.append(f"+{peer}")

    def lost(self, peer: NodeName, *, is_silent: bool) -> None:
        self.heard.append(f"-{peer}{'?' if is_silent else ''}")

    def received(self, peer: NodeName, data: bytes) -> None:
        self.heard.append(data.decode())

    def received_datagram(self, peer: NodeName, data: bytes) -> None:
        self.heard.append(f"~{data.decode()}")

    def link_changed(self, *, is_up: bool) -> None:
        self.heard.append("plugged" if is_up else "unplugged")


class Wire:
    """Two ends that want each other."""

    def __init__(self, seed: int = 0) -> None:
        self.clock = Clock()
        self.network = Network(self.clock, Dice("wire", seed))
        self.network.delay_usec = 20 * USEC_PER_MSEC
        self.a, self.b = End(), End()
        self.network.attach(A, self.a)
        self.network.attach(B, self.b)
        self.network.want(A, B)
        self.run()

    def run(self, usec: int = SEC) -> None:
        until = self.clock.now + usec
        while self.clock.advance(until):
            pass

    def send(self, count: int, first: int = 0) -> None:
        for number in range(first, first + count):
            self.network.send(A, B, str(number).encode())


def test_messages_arrive_in_order() -> None:
    wire = Wire()
    wire.send(50)
    wire.run()
    assert wire.b.heard == ["+a", *map(str, range(50))]


def test_a_reset_loses_what_is_under_way_and_connects_again() -> None:
    wire = Wire()
    wire.send(5)
    wire.network.reset(A, B)
    wire.send(5, 5)
    wire.run()
    assert wire.b.heard == ["+a", "-a", "+a"]
    assert wire.a.heard == ["+b", "-b", "+b"]
    assert wire.network.has_stream(A, B)


def test_a_cut_that_heals_before_it_is_noticed_loses_nothing() -> None:
    wire = Wire()
    wire.send(3)
    wire.network.cut(A, B)
    wire.send(3, 3)
    wire.run(SEC // 2)
    assert wire.b.heard == ["+a"]
    wire.network.heal(A, B)
    wire.run()
    assert wire.b.heard == ["+a", *map(str, range(6))]


def test_a_cut_is_noticed_after_a_silence() -> None:
    wire = Wire()
    wire.network.cut(A, B)
    wire.run(HEARTBEAT_TIMEOUT_USEC - 1)
    assert wire.a.heard == ["+b"]
    wire.run(SEC)
    assert wire.a.heard == ["+b", "-b?"]
    wire.run(5 * SEC)
    assert not wire.network.has_stream(A, B)
    wire.network.heal_all()
    wire.run()
    assert wire.a.heard == ["+b", "-b?", "+b"]


def test_of_a_link_that_is_cut_one_way_one_end_hears_nothing_and_the_other_a_reset() -> None:
    wire = Wire()
    wire.network.cut_one_way(A, B)
    wire.send(1)
    wire.network.send(B, A, b"still heard")
    wire.run(HEARTBEAT_TIMEOUT_USEC - 1)
    assert wire.a.heard == ["+b", "still heard"]
    assert wire.b.heard == ["+a"]
    wire.run(2 * SEC)
    assert wire.a.heard == ["+b", "still heard", "-b"]
    assert wire.b.heard == ["+a", "-a?"]
    assert not wire.network.has_stream(A, B)
    wire.network.heal_all()
    wire.run()
    assert wire.network.has_stream(A, B)


def test_an_agent_that_stands_still_is_missed_after_a_second_and_called_again() -> None:
    wire = Wire()
    wire.network.mute(B)
    wire.run(SEC // 2)
    wire.network.unmute(B)
    wire.run(5 * SEC)
    assert wire.a.heard == ["+b"]
    wire.network.mute(B)
    wire.run(5 * SEC)
    assert wire.a.heard == ["+b", "-b?"]
    wire.network.unmute(B)
    wire.run()
    assert wire.a.heard == ["+b", "-b?", "+b"]


def test_a_killed_agent_is_missed_at_once_and_a_dead_machine_after_a_second() -> None:
    wire = Wire()
    wire.network.detach(B, is_silent=False)
    wire.run(SEC // 10)
    assert wire.a.heard == ["+b", "-b"]
    wire = Wire()
    wire.network.detach(B, is_silent=True)
    wire.run(HEARTBEAT_TIMEOUT_USEC - 1)
    assert wire.a.heard == ["+b"]
    wire.run()
    assert wire.a.heard == ["+b", "-b?"]


def test_a_machine_that_is_back_before_it_was_missed_replaces_its_stream() -> None:
    wire = Wire()
    wire.network.detach(B, is_silent=True)
    wire.run(SEC // 10)
    again = End()
    wire.network.attach(B, again)
    wire.run(3 * SEC)
    assert wire.a.heard == ["+b", "-b", "+b"]
    assert again.heard == ["+a"]


def test_nobody_wants_it_nobody_has_it() -> None:
    wire = Wire()
    wire.network.unwant(A, B)
    wire.run()
    assert wire.a.heard == ["+b", "-b"]
    assert not wire.network.has_stream(A, B)


# The disk


def write(seq: int, first: int, count: int = 1, *, truncate: int | None = None) -> Persist:
    entries = tuple(Entry(index=Index(first + n), term=Term(1)) for n in range(count))
    return Persist(
        seq=seq,
        hard_state=HardState(term=Term(seq)),
        truncate_from=Index(truncate) if truncate is not None else None,
        entries=entries,
    )


def run(clock: Clock) -> None:
    while clock.advance(clock.now + SEC):
        pass


def test_writes_become_durable_in_order() -> None:
    clock, answers = Clock(), list[tuple[int, str]]()
    disk = Disk(clock, Dice("disk"))
    for seq in range(1, 6):
        disk.write(write(seq, seq), lambda number, why: answers.append((number, why)))
    assert disk.entries == []
    run(clock)
    assert [entry.index for entry in disk.entries] == [1, 2, 3, 4, 5]
    assert disk.hard_state.term == 5
    assert answers == sorted(answers)
    assert answers[-1] == (5, "")


def test_a_write_may_truncate() -> None:
    clock = Clock()
    disk = Disk(clock, Dice("disk"))
    disk.write(write(1, 1, 4), lambda number, why: None)
    disk.write(write(2, 3, 1, truncate=3), lambda number, why: None)
    run(clock)
    assert [entry.index for entry in disk.entries] == [1, 2, 3]


def test_a_crash_keeps_some_beginning_of_what_was_not_synced_and_answers_nothing() -> None:
    kept = set()
    for seed in range(30):
        clock, answers = Clock(), list[int]()
        disk = Disk(clock, Dice("disk", seed))
        for seq in (1, 2, 3):
            disk.write(write(seq, seq), lambda number, why, answers=answers: answers.append(number))  # type: ignore[misc]
        disk.crash()
        run(clock)
        assert answers == []
        assert disk.hard_state.term == len(disk.entries)
        kept.add(len(disk.entries))
    assert kept == {0, 1, 2, 3}


def test_a_broken_disk_says_so_and_keeps_nothing_new() -> None:
    clock, answers = Clock(), list[tuple[int, str]]()
    disk = Disk(clock, Dice("disk"))
    disk.is_broken = True
    disk.write(write(1, 1), lambda number, why: answers.append((number, why)))
    run(clock)
    disk.is_broken = False
    disk.write(write(2, 2), lambda number, why: answers.append((number, why)))
    run(clock)
    assert answers == [(1, "Input/output error"), (2, "Input/output error")]
    assert disk.entries == []
    disk.crash()
    disk.write(write(1, 1), lambda number, why: answers.append((number, why)))
    run(clock)
    assert answers[-1] == (1, "")


def test_a_wiped_disk_is_empty() -> None:
    clock = Clock()
    disk = Disk(clock, Dice("disk"))
    disk.write(write(1, 1, 3), lambda number, why: None)
    run(clock)
    assert disk.holds(3, 1)
    disk.wipe()
    assert not disk.holds(1, 1)
    assert disk.hard_state == HardState()


def datagrams(seed: int, loss: float, repeat: float, count: int = 400) -> list[str]:
    wire = Wire(seed)
    wire.network.datagrams.loss_chance, wire.network.datagrams.repeat_chance = loss, repeat
    wire.b.heard.clear()
    for number in range(count):
        wire.network.send_datagram(A, B, str(number).encode())
        wire.run(1000)
    wire.run()
    return [line.removeprefix("~") for line in wire.b.heard]


def test_datagrams_are_lost_repeated_and_overtaken() -> None:
    arrived = datagrams(1, loss=0.1, repeat=0.1)
    assert 320 <= len(set(arrived)) <= 390
    assert 10 <= len(arrived) - len(set(arrived)) <= 80
    assert arrived != sorted(arrived, key=int)


def test_a_cut_swallows_datagrams_as_well_and_a_pulled_cable_is_told() -> None:
    wire = Wire()
    wire.network.datagrams.loss_chance = 0.0
    wire.network.unplug(A, (A, B))
    wire.network.send_datagram(A, B, b"lost")
    wire.run(100)
    assert wire.a.heard == ["+b", "unplugged"]
    assert not wire.network.is_heard(B, A)
    wire.network.heal_all()
    wire.network.datagrams.repeat_chance = 0.0
    wire.network.send_datagram(A, B, b"there")
    wire.run()
    assert "plugged" in wire.a.heard
    assert [line for line in wire.b.heard if line.startswith("~")] == ["~there"]
