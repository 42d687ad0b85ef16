# SPDX-License-Identifier: LGPL-2.1-or-later
"""systemctl start, stop and restart on annotated units (architecture, section 4)."""

import pytest
from scenario import (
    BOUND_WEB,
    DB,
    MSEC,
    SEC,
    WEB,
    Order,
    becomes,
    behave,
    cluster,
    gate_text,
    on,
    row,
    said,
    spec,
    systemctl,
    u,
    where,
)

from synod.base.messages import MessageId
from synod.model.command import Desired
from synod.sim.world import World


def web_on_b_and_db_on_a(*, web: str = "requires", seed: int = 0) -> World:
    keys = {web: "db", "after": "db"}
    return cluster(on("db", "a"), on("web", "b", **keys), seed=seed)


def test_a_start_on_a_third_node_starts_the_provider_first_and_returns_0_when_all_is_up() -> None:
    world = web_on_b_and_db_on_a()
    order = Order(world)
    behave(world, "db", start_usec=500 * MSEC)
    call = systemctl(world, "c", "start", "web")
    assert call.status == 0
    assert (where(world, "db"), where(world, "web")) == ("a", "b")
    assert order.index("db active a") < order.index("web activating b")
    assert "web activating c" not in order.lines
    assert any("runs on b, not here" in text for text in gate_text(world["c"], "web"))


@pytest.mark.parametrize("node", "abc")
def test_a_start_works_from_every_node(node: str) -> None:
    world = web_on_b_and_db_on_a()
    assert systemctl(world, node, "start", "web").status == 0
    assert (where(world, "db"), where(world, "web")) == ("a", "b")


def test_both_on_one_node() -> None:
    world = cluster(on("db", "a"), on("web", "a", requires="db", after="db"))
    order = Order(world)
    assert systemctl(world, "b", "start", "web").status == 0
    assert (where(world, "db"), where(world, "web")) == ("a", "a")
    assert order.index("db active") < order.index("web activating")
    assert systemctl(world, "a", "stop", "db").status == 0
    assert (where(world, "db"), where(world, "web")) == ("", "")


def test_a_second_start_is_answered_at_once() -> None:
    world = web_on_b_and_db_on_a()
    systemctl(world, "c", "start", "web")
    call = systemctl(world, "c", "start", "web")
    assert call.status == 0
    assert call.ended - call.begun < 50 * MSEC


def test_a_start_of_a_unit_without_dependencies_takes_milliseconds() -> None:
    world = cluster(DB)
    call = systemctl(world, "a", "start", "db")
    assert call.status == 0
    assert call.ended - call.begun < 100 * MSEC


def test_a_start_fails_when_the_provider_fails_and_says_which_and_where() -> None:
    world = web_on_b_and_db_on_a()
    behave(world, "db", failures=100)
    call = systemctl(world, "c", "start", "web")
    assert (call.status, call.answer) == (1, "dependency")
    (text,) = gate_text(world["c"], "web")
    assert "db.service failed on a" in text
    assert where(world, "web") == ""


def test_a_start_fails_on_the_unit_s_own_node_when_the_provider_fails() -> None:
    world = web_on_b_and_db_on_a()
    behave(world, "db", failures=100)
    call = systemctl(world, "b", "start", "web")
    assert call.status == 1
    assert any("db.service failed on a" in text for text in gate_text(world["b"], "web"))


def test_a_start_after_a_failure_tries_again() -> None:
    world = web_on_b_and_db_on_a()
    behave(world, "db", failures=1)
    assert systemctl(world, "c", "start", "web").status == 1
    assert systemctl(world, "c", "start", "web").status == 0
    assert (where(world, "db"), where(world, "web")) == ("a", "b")


def test_a_start_of_a_unit_that_fails_itself() -> None:
    world = web_on_b_and_db_on_a()
    behave(world, "web", failures=100)
    assert systemctl(world, "b", "start", "web").status == 1
    assert systemctl(world, "c", "start", "web").status == 1
    assert where(world, "db") == "a"


def test_a_stop_stops_the_dependant_on_the_other_node_first() -> None:
    world = web_on_b_and_db_on_a()
    systemctl(world, "c", "start", "web")
    behave(world, "web", stop_usec=700 * MSEC)
    order = Order(world)
    assert systemctl(world, "a", "stop", "db").status == 0
    assert order.index("web inactive b") < order.index("db deactivating a")
    world.run(3 * SEC)
    assert (where(world, "db"), where(world, "web")) == ("", "")
    assert row(world, "db").desired is Desired.STOPPED


def test_a_stop_that_follows_from_a_dependency_is_no_wish() -> None:
    world = web_on_b_and_db_on_a()
    systemctl(world, "c", "start", "web")
    systemctl(world, "a", "stop", "db")
    assert row(world, "web").desired is Desired.STARTED
    assert systemctl(world, "a", "start", "db").status == 0
    becomes(world, lambda: where(world, "web") == "b", "web is back")


def test_a_stop_where_the_unit_runs_is_a_wish() -> None:
    world = web_on_b_and_db_on_a()
    systemctl(world, "c", "start", "web")
    assert systemctl(world, "b", "stop", "web").status == 0
    assert row(world, "web").desired is Desired.STOPPED
    world.run(15 * SEC)
    assert (where(world, "db"), where(world, "web")) == ("a", "")


def test_a_stop_elsewhere_is_no_wish() -> None:
    world = web_on_b_and_db_on_a()
    systemctl(world, "c", "start", "web")
    world.run(SEC)
    assert systemctl(world, "c", "stop", "web").status == 0
    assert systemctl(world, "a", "stop", "web").status == 0
    world.run(5 * SEC)
    assert (where(world, "db"), where(world, "web")) == ("a", "b")
    assert row(world, "web").desired is Desired.STARTED


def test_a_restart_of_the_provider_restarts_the_dependant_around_it() -> None:
    world = web_on_b_and_db_on_a()
    systemctl(world, "c", "start", "web")
    order = Order(world)
    assert systemctl(world, "a", "restart", "db").status == 0
    becomes(world, lambda: (where(world, "db"), where(world, "web")) == ("a", "b"), "both are back")
    assert order.index("web inactive b") < order.index("db deactivating a")
    assert order.index("db active a") < order.index("web activating b")
    assert row(world, "db").desired is Desired.STARTED


def test_a_restart_of_the_dependant_leaves_the_provider_alone() -> None:
    world = web_on_b_and_db_on_a()
    systemctl(world, "c", "start", "web")
    order = Order(world)
    assert systemctl(world, "b", "restart", "web").status == 0
    becomes(world, lambda: where(world, "web") == "b", "web is back")
    assert not [line for line in order.lines if line.startswith("db ")]
    assert row(world, "web").desired is Desired.STARTED


def test_a_crash_without_recovery_leaves_a_requiring_unit_running() -> None:
    world = cluster(on("db", "a", failure_limit=0), on("web", "b", requires="db", after="db"))
    systemctl(world, "c", "start", "web")
    order = Order(world)
    world["a"].services.crash(u("db"))
    world.run(5 * SEC)
    assert not [line for line in order.lines if line.startswith("web ")]
    assert where(world, "web") == "b"
    failure = row(world, "db").failure
    assert failure is not None
    assert failure.node == "a"


def test_a_crash_stops_a_bound_unit_soon() -> None:
    world = web_on_b_and_db_on_a(web="binds_to")
    systemctl(world, "c", "start", "web")
    begun = world.clock.now
    world["a"].services.crash(u("db"))
    world.run_until(lambda: where(world, "web") == "", "web goes down")
    assert world.clock.now - begun < SEC
    assert row(world, "web").desired is Desired.STARTED


def test_a_crash_with_restart_restarts_a_requiring_unit() -> None:
    world = web_on_b_and_db_on_a()
    behave(world, "db", restart_usec=300 * MSEC)
    systemctl(world, "c", "start", "web")
    order = Order(world)
    world["a"].services.crash(u("db"))
    becomes(world, lambda: (where(world, "db"), where(world, "web")) == ("a", "b"), "both are back")
    assert order.index("web inactive b") < order.index("db active a")
    assert order.index("db active a") < order.index("web activating b")


def test_a_crash_with_restart_brings_a_bound_unit_back() -> None:
    world = web_on_b_and_db_on_a(web="binds_to")
    behave(world, "db", restart_usec=300 * MSEC)
    systemctl(world, "c", "start", "web")
    world["a"].services.crash(u("db"))
    becomes(world, lambda: (where(world, "db"), where(world, "web")) == ("a", "b"), "both are back")


def test_a_wanted_provider_is_started_but_not_waited_for_without_after() -> None:
    world = cluster(on("db", "a"), on("web", "b", wants="db"))
    behave(world, "db", failures=100)
    assert systemctl(world, "c", "start", "web").status == 0
    assert where(world, "web") == "b"


def test_a_wanted_provider_that_fails_is_no_obstacle() -> None:
    world = cluster(on("db", "a"), on("web", "b", wants="db", after="db"))
    behave(world, "db", failures=100, start_usec=300 * MSEC)
    assert systemctl(world, "c", "start", "web").status == 0
    assert where(world, "web") == "b"


def test_after_alone_orders_two_units_that_start_together() -> None:
    world = cluster(on("db", "a"), on("web", "b", after="db"), on("all", "c", wants="db web"))
    behave(world, "db", start_usec=800 * MSEC)
    order = Order(world)
    assert systemctl(world, "c", "start", "all").status == 0
    becomes(world, lambda: where(world, "web") == "b", "web is up")
    assert order.index("db active a") < order.index("web activating b")


def test_after_alone_does_not_start_anything() -> None:
    world = cluster(on("db", "a"), on("web", "b", after="db"))
    assert systemctl(world, "c", "start", "web").status == 0
    assert (where(world, "db"), where(world, "web")) == ("", "b")


def test_a_chain_over_three_nodes() -> None:
    names = [f"link{number}" for number in range(12)]
    world = cluster(
        on(names[0], "a"),
        *(
            on(name, "abc"[number % 3], requires=names[number - 1], after=names[number - 1])
            for number, name in enumerate(names)
            if number
        ),
    )
    call = systemctl(world, "b", "start", names[-1])
    assert call.status == 0
    assert call.ended - call.begun < 12 * 80 * MSEC
    assert systemctl(world, "a", "stop", names[0]).status == 0
    assert not any(where(world, name) for name in names)


def test_an_unknown_unit_cannot_be_started() -> None:
    world = cluster(on("web", "b", requires="ghost", after="ghost"))
    call = systemctl(world, "c", "start", "web")
    assert call.status == 1
    assert any("no node of the cluster has an annotated unit 'ghost.service'" in text
               for text in gate_text(world["c"], "web"))


def test_a_cycle_is_refused_and_printed() -> None:
    world = cluster(on("db", "a", requires="web", after="web"), on("web", "b", requires="db", after="db"))
    call = systemctl(world, "c", "start", "web")
    assert call.status == 1
    circles = ("web.service -> db.service -> web.service", "db.service -> web.service -> db.service")
    # The await for db asks at the same moment; whoever is answered first says it in its own words.
    assert any(circle in text for text in gate_text(world["c"], "web") for circle in circles)
    assert call.ended - call.begun < 5 * SEC


def test_a_cycle_of_order_alone_is_refused_and_printed() -> None:
    world = cluster(
        on("db", "a", after="web"),
        on("web", "b", after="db"),
        on("all", "c", requires="db web", after="db web"),
    )
    call = systemctl(world, "c", "start", "all")
    assert call.status == 1
    assert any("wait for each other" in text for text in gate_text(world["c"], "all"))


def test_a_unit_without_a_node_that_may_run_it() -> None:
    world = cluster(on("db", "nowhere"))
    call = systemctl(world, "a", "start", "db")
    assert call.status == 1
    assert any("not in Nodes=nowhere" in text for text in gate_text(world["a"], "db"))


def test_a_stop_while_the_dependant_is_still_waiting_cancels_its_start() -> None:
    world = web_on_b_and_db_on_a()
    behave(world, "db", start_usec=3 * SEC)
    start = world.systemctl("b", "start", u("web"))
    world.run(SEC)
    systemctl(world, "b", "stop", "web")
    assert (start.status, start.answer) == (1, "canceled")


def test_a_bound_unit_needs_its_provider_at_the_start() -> None:
    world = cluster(DB, BOUND_WEB)
    assert systemctl(world, "b", "start", "web").status == 0
    assert where(world, "db")
    assert where(world, "web")


def test_a_masked_process_keeps_the_grant_until_it_is_gone() -> None:
    world = cluster(DB)
    behave(world, "db", linger_usec=4 * SEC)
    systemctl(world, "a", "start", "db")
    node = where(world, "db")
    assert systemctl(world, node, "stop", "db").status == 0
    start = world.systemctl("abc".replace(node, "")[0], "start", u("db"))
    world.run(2 * SEC)
    assert where(world, "db") in ("", node)
    world.wait(start)
    becomes(world, lambda: len(where(world, "db")) == 1, "db runs again")


def test_a_dependant_s_journal_names_the_reason() -> None:
    world = cluster(DB, WEB, spec("app", requires="web", after="web"))
    behave(world, "db", failures=100)
    assert systemctl(world, "a", "start", "app").status == 1
    (text,) = gate_text(world["a"], "app")
    assert text.startswith("app.service requires web.service: web.service requires db.service: ")
    assert said(world["a"], MessageId.UNIT_REFUSED, "app")


def test_a_start_waits_for_the_other_nodes_word_on_a_unit_that_is_new_to_the_log() -> None:
    """As of a template's first instance: the node that is asked reports it first."""
    world = cluster()
    news = {u("new"): on("new", "b")}
    world["c"].reload(news)
    world.run_until(lambda: u("new") in world["c"].agent.node.state.rows, "it is reported", 5 * SEC)
    call = world.systemctl("c", "start", u("new"))
    world.run(300 * MSEC)
    world["b"].reload(news)
    assert world.wait(call).status == 0
    assert where(world, "new") == "b"


def test_a_start_of_a_unit_long_known_to_have_no_place_is_refused_at_once() -> None:
    world = cluster(on("db", "x"))
    world.run(5 * SEC)
    before = world.clock.now
    assert systemctl(world, "a", "start", "db").status != 0
    assert world.clock.now - before < SEC


@pytest.mark.parametrize("delay_usec", [0, 1 * MSEC, 2 * MSEC, 3 * MSEC, 5 * MSEC, 200 * MSEC])
@pytest.mark.parametrize(("first", "second"), [("db", "near"), ("near", "db")])
def test_a_pair_that_is_colocated_starts_in_one_transaction(
    first: str, second: str, delay_usec: int
) -> None:
    for seed in range(6):
        world = cluster(on("db", "b"), spec("near", colocate_with="db"), seed=seed)
        world.run(3 * SEC)  # neither is new to the log
        calls = [world.systemctl("a", "start", u(first))]
        world.run(delay_usec)
        calls += [world.systemctl("a", "start", u(second))]
        assert [world.wait(call).status for call in calls] == [0, 0], seed
        assert (where(world, "db"), where(world, "near")) == ("b", "b")


def test_a_unit_is_refused_when_nobody_starts_the_one_it_goes_with() -> None:
    world = cluster(on("db", "b"), spec("near", colocate_with="db"))
    call = systemctl(world, "a", "start", "near")
    assert call.status != 0
    reason = "ColocateWith=db.service, which is not placed there"
    assert any(reason in text for text in gate_text(world["a"], "near"))


@pytest.mark.parametrize("seed", range(8))
def test_a_provider_is_placed_where_the_unit_that_asked_for_it_can_follow(seed: int) -> None:
    """Its await and its gate ask at the same moment; the provider alone could go anywhere."""
    web = on("web", "c", requires="db", after="db", colocate_with="db")
    world = cluster(spec("db"), web, seed=seed)
    assert systemctl(world, "b", "start", "web").status == 0
    assert (where(world, "db"), where(world, "web")) == ("c", "c")


def test_a_unit_waits_while_the_one_it_goes_with_is_taken_over() -> None:
    world = cluster(on("db", "b", "c"), spec("near", colocate_with="db"))
    world.run(3 * SEC)
    systemctl(world, "a", "start", "db")
    home = where(world, "db")
    other = "c" if home == "b" else "b"
    world[home].power_cut()
    world.run(2 * SEC)
    assert systemctl(world, "a", "start", "near").status == 0
    assert (where(world, "db"), where(world, "near")) == (other, other)
