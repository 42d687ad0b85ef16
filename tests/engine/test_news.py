# SPDX-License-Identifier: LGPL-2.1-or-later
"""What PID 1 tells is late on a busy machine: old news is not taken for new, nor one stop for another."""

import pytest
from scenario import DB, MSEC, SEC, becomes, behave, cluster, on, row, said, spec, systemctl, u, where

from synod.base.messages import MessageId
from synod.engine.guard import FUSE
from synod.engine.requests import Place
from synod.model.command import Desired
from synod.sim.definitions import GRANT
from synod.sim.world import World


def state(world: World, node: str, name: str) -> str:
    return world[node].services.show(u(name)).active


def holder(world: World, name: str) -> str:
    return next(iter(row(world, name).grants.values())).node


@pytest.mark.parametrize("seed", range(10))
def test_a_provider_that_has_just_come_up_is_not_up_again_while_it_stops(seed: int) -> None:
    world = cluster(on("db", "a", failure_limit=0), on("web", "b", requires="db", after="db"), seed=seed)
    world.run(3 * SEC)
    behave(world, "db", stop_usec=3 * SEC)
    world.systemctl("c", "start", u("web"))
    world["a"].news_usec = 400 * MSEC
    world.run_until(lambda: where(world, "db") == "a", "db is up")
    world.run(30 * MSEC)  # its hold is up as well, and the agent knows of neither
    systemctl(world, "a", "stop", "db")  # the checkers look at the order
    becomes(world, lambda: where(world, "db") + where(world, "web") == "", "both are down")
    assert row(world, "db").desired is Desired.STOPPED


def test_a_start_that_somebody_cancels_is_not_made_again() -> None:
    world = cluster(DB)
    behave(world, "db", start_usec=2 * SEC)
    start = world.systemctl("b", "start", u("db"))
    world.run_until(lambda: any(state(world, node, "db") == "activating" for node in "abc"), "db starts")
    home = holder(world, "db")
    systemctl(world, home, "stop", "db")
    world.wait(start)
    assert start.status != 0
    becomes(world, lambda: not row(world, "db").grants, "the grant is given back")
    world.run(10 * SEC)
    assert state(world, home, "db") == "inactive"
    assert len(said(world[home], MessageId.UNIT_STARTED)) == 1


def test_a_gate_that_asks_after_its_start_has_failed_says_why() -> None:
    world, answers = cluster(on("web", "b", requires="ghost", after="ghost")), list[tuple[int, str]]()
    agent = world["c"].agent
    assert agent is not None
    agent.ask(Place(unit=u("web"), job=""), lambda status, text: answers.append((status, text)))
    world.run(10 * MSEC)
    assert [status for status, _ in answers] == [0]
    reason = "no node of the cluster has an annotated unit 'ghost.service'"
    assert reason in said(world["c"], MessageId.UNIT_REFUSED, "web")[0]
    assert row(world, "web").desired is None


@pytest.mark.parametrize("seed", range(10))
def test_a_stop_for_the_want_of_a_lease_is_not_taken_for_somebody_else_s(seed: int) -> None:
    """The lease is back before PID 1 has told of the stop job."""
    world = cluster(spec("db", failure_limit=0), seed=seed)
    world.run(3 * SEC)
    systemctl(world, "c", "start", "db")
    home, epoch = where(world, "db"), row(world, "db").grants[0].epoch
    world[home].news_usec = SEC
    world.network.isolate(lambda name: name == home, tuple(world.machines))
    world.run_until(lambda: world[home].services.job_of(u("db")) == "stop", "db is to stop")
    world.network.heal_all()
    world.run_until(lambda: state(world, home, "db") == "inactive", "db is down")
    becomes(world, lambda: where(world, "db") == home, "db is back")
    assert row(world, "db").grants[0].epoch == epoch


def test_a_gate_closes_over_a_start_of_which_nothing_is_known_yet() -> None:
    world = cluster(on("db", "a", failure_limit=0), on("web", "b", binds_to="db", after="db"))
    world.run(3 * SEC)
    systemctl(world, "c", "start", "db")
    behave(world, "web", start_usec=2 * SEC)
    world["b"].news_usec = 2 * SEC
    world.systemctl("c", "start", u("web"))
    world.run_until(lambda: GRANT + u("web") in world["b"].run, "the gate of web opens")
    world["a"].services.crash(u("db"))
    world.run(50 * MSEC)
    agent = world["b"].agent
    assert agent is not None
    assert agent.node.desk.seen(u("web")).is_gone
    assert GRANT + u("web") not in world["b"].run


@pytest.mark.parametrize("delay", [5, 300, 900])
def test_a_stop_that_an_earlier_agent_began_is_nobody_s(delay: int) -> None:
    world = cluster(on("db", "a"), on("web", "b", requires="db", after="db"))
    world.run(3 * SEC)
    systemctl(world, "c", "start", "web")
    behave(world, "web", stop_usec=SEC)
    stop = world.systemctl("a", "stop", u("db"))
    world.run_until(lambda: world["b"].services.job_of(u("web")) == "stop", "web is to stop")
    world.run(delay * MSEC)
    world["b"].kill_agent()
    world.wait(stop)
    world.run(2 * SEC)
    assert row(world, "web").desired is Desired.STARTED
    assert row(world, "web").failure is None
    assert not row(world, "web").setbacks
    systemctl(world, "c", "start", "db")
    becomes(world, lambda: where(world, "web") == "b", "web is back with db")


@pytest.mark.parametrize("seed", range(10))
def test_a_start_that_passed_the_gate_just_before_it_was_closed_is_not_overlooked(seed: int) -> None:
    """A unit fails; before that is known, somebody starts it through the gate that is still open."""
    world = cluster(on("db", "a", failure_limit=0), seed=seed)
    world.run(3 * SEC)
    behave(world, "db", failures=1)
    world["a"].news_usec = 400 * MSEC
    world.systemctl("b", "start", u("db"))
    world.run_until(lambda: state(world, "a", "db") == "failed", "db fails")
    world.run(30 * MSEC)
    world.systemctl("a", "start", u("db"))
    world.run(5 * SEC)  # the checkers look at the grant
    assert where(world, "db") in ("", "a")


def test_a_start_that_pid_1_never_took_is_made_again() -> None:
    world = cluster(on("db", "a"))
    start = world.systemctl("b", "start", u("db"))
    world.run_until(lambda: world["a"].services.show(FUSE).active == "active", "the fuse burns")
    world["a"].is_reexecuting = True
    world.run_until(lambda: bool(said(world["a"], MessageId.UNIT_STARTED, "db")), "the agent calls PID 1")
    world.run(5 * MSEC)
    world["a"].is_reexecuting = False
    assert world.wait(start).status == 0
    assert where(world, "db") == "a"
    assert row(world, "db").failure is None


def test_a_gate_that_waits_says_why_the_await_beside_it_was_refused() -> None:
    """A unit that is new to the log is waited for, and its unknown provider is not."""
    world = cluster()
    world["c"].reload({u("new"): on("new", "b", requires="ghost", after="ghost")})
    world.run_until(lambda: u("new") in world["c"].agent.node.state.rows, "it is reported", 5 * SEC)  # type: ignore[union-attr]
    assert systemctl(world, "c", "start", "new").status != 0
    reason = "no node of the cluster has an annotated unit 'ghost.service'"
    assert any(reason in text for text in said(world["c"], MessageId.UNIT_REFUSED, "new"))
