# SPDX-License-Identifier: LGPL-2.1-or-later
import asyncio

import pytest

from synod.base.errors import TimedOutError
from synod.systemd.bus import CallError, NotConnectedError
from synod.systemd.unitstate import inactive_state, unit_path
from synod.systemd.watches import Watches


class Host:
    """Reads that the test answers one by one."""

    def __init__(self):
        self.reads = asyncio.Queue()
        self.reports = []
        self.under_way = 0
        self.most_under_way = 0

    async def read(self, unit):
        answer = asyncio.get_running_loop().create_future()
        self.under_way += 1
        self.most_under_way = max(self.most_under_way, self.under_way)
        self.reads.put_nowait((unit, answer))
        try:
            return await answer
        finally:
            self.under_way -= 1

    def report(self, unit, state):
        self.reports.append((unit, state.sub_state))

    async def answer(self, sub_state, *, name=None):
        async with asyncio.timeout(5):
            unit, answer = await self.reads.get()
        answer.set_result(inactive_state(name or unit, load_state="loaded", sub_state=sub_state))
        await settle()

    async def refuse(self, error):
        async with asyncio.timeout(5):
            _, answer = await self.reads.get()
        answer.set_exception(error)
        await settle()


async def settle():
    for _ in range(10):
        await asyncio.sleep(0)


@pytest.fixture
async def host():
    return Host()


@pytest.fixture
async def watches(host):
    watches = Watches(host.read, host.report)
    running = asyncio.create_task(watches.run())
    await settle()
    yield watches
    running.cancel()
    await asyncio.wait((running,))


async def test_signals_during_a_read_cost_one_more(watches, host):
    watches.add("a.service")
    await settle()
    for _ in range(50):
        watches.changed(unit_path("a.service"))
    await host.answer("one")
    await host.answer("two")
    assert host.reports == [("a.service", "one"), ("a.service", "two")]
    assert host.reads.empty()
    assert host.most_under_way == 1


async def test_units_are_read_side_by_side(watches, host):
    for number in range(20):
        watches.add(f"{number}.service")
    await settle()
    assert host.most_under_way == 8
    for _ in range(20):
        await host.answer("x")
    assert len(host.reports) == 20


async def test_an_equal_state_is_not_reported_again_except_after_a_resync(watches, host):
    watches.add("a.service")
    await host.answer("same")
    watches.changed(unit_path("a.service"))
    await host.answer("same")
    assert len(host.reports) == 1
    watches.resync()
    await host.answer("same")
    assert len(host.reports) == 2


async def test_a_read_under_way_is_not_reported_after_remove(watches, host):
    watches.add("a.service")
    await settle()
    watches.remove("a.service")
    await host.answer("late")
    assert host.reports == []
    assert watches.last("a.service") is None


async def test_watching_again_starts_over(watches, host):
    watches.add("a.service")
    await settle()
    watches.remove("a.service")
    watches.add("a.service")
    await host.answer("old")
    await host.answer("new")
    assert host.reports == [("a.service", "new")]


async def test_an_unknown_outcome_is_read_again_and_a_refusal_is_not(watches, host):
    watches.add("a.service")
    await host.refuse(TimedOutError("slow"))
    await host.answer("one")
    watches.changed(unit_path("a.service"))
    await host.refuse(CallError("no", "org.example.No"))
    watches.changed(unit_path("a.service"))
    await host.refuse(NotConnectedError("gone"))
    assert host.reads.empty()
    assert host.reports == [("a.service", "one")]


async def test_an_alias_hears_of_the_unit_behind_it_until_removed(watches, host):
    watches.add("alias.service")
    await host.answer("one", name="real.service")
    watches.changed(unit_path("real.service"))
    await host.answer("two", name="real.service")
    assert host.reports == [("alias.service", "one"), ("alias.service", "two")]
    watches.remove("alias.service")
    watches.changed(unit_path("real.service"))
    await settle()
    assert host.reads.empty()


async def test_an_error_of_the_observer_ends_the_run(host):
    def fail(unit, state):
        raise ZeroDivisionError

    watches = Watches(host.read, fail)
    running = asyncio.create_task(watches.run())
    watches.add("a.service")
    await host.answer("x")
    with pytest.raises(ExceptionGroup) as caught:
        await running
    assert caught.group_contains(ZeroDivisionError)


async def test_a_fresh_state_is_read_after_it_was_asked_for(watches, host):
    watches.add("a.service")
    await settle()
    fresh = asyncio.create_task(watches.fresh("a.service"))
    await settle()
    await host.answer("before")
    assert not fresh.done()
    await host.answer("after")
    assert (await fresh).sub_state == "after"
    assert host.reports == [("a.service", "before"), ("a.service", "after")]


async def test_a_fresh_state_is_never_older_than_what_was_reported(watches, host):
    watches.add("a.service")
    await host.answer("one")
    fresh = asyncio.create_task(watches.fresh("a.service"))
    await settle()
    watches.changed(unit_path("a.service"))
    unit, two = await host.reads.get()
    two.set_result(inactive_state(unit, load_state="loaded", sub_state="two"))
    assert (await fresh).sub_state == "two"
    await host.answer("three")
    assert [sub_state for _, sub_state in host.reports] == ["one", "two", "three"]


async def test_after_a_failure_the_same_state_is_news(watches, host):
    watches.add("a.service")
    await host.answer("one")
    fresh = asyncio.create_task(watches.fresh("a.service"))
    await host.refuse(TimedOutError("slow"))
    with pytest.raises(TimedOutError):
        await fresh
    await host.answer("one")
    assert host.reports == [("a.service", "one"), ("a.service", "one")]


async def test_nobody_waits_for_a_unit_that_is_not_watched(watches, host):
    assert await watches.fresh("a.service") is None
    watches.add("a.service")
    await settle()
    fresh = asyncio.create_task(watches.fresh("a.service"))
    await settle()
    watches.remove("a.service")
    assert await fresh is None
