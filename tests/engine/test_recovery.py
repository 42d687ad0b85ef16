# SPDX-License-Identifier: LGPL-2.1-or-later
"""Units that fail: tried again in place, then elsewhere, then given up with the reason."""

import pytest
from scenario import (
    MSEC,
    SEC,
    Order,
    becomes,
    behave,
    cluster,
    gate_text,
    on,
    row,
    spec,
    synodctl,
    systemctl,
    u,
    where,
)

from synod.base.ids import NodeName
from synod.engine import views
from synod.engine.requests import MoveTo, SayAttribute, StartUnits
from synod.model.spec import UnitSpec
from synod.sim.world import World


def running(*specs: UnitSpec) -> World:
    """A cluster with three voters in which db runs."""
    world = cluster(*specs)
    world.run(3 * SEC)
    assert systemctl(world, "c", "start", "db").status == 0
    world.run(SEC)
    return world


def crash(world: World, name: str = "db") -> None:
    world[where(world, name)].services.crash(u(name))


def test_a_crash_is_cured_in_place() -> None:
    world = running(spec("db"))
    home = where(world, "db")
    crash(world)
    becomes(world, lambda: where(world, "db") == home, "db is back")
    assert [(node, setback.count) for node, setback in row(world, "db").setbacks.items()] == [(home, 1)]


def test_the_third_failure_sends_it_elsewhere() -> None:
    world = running(spec("db"))
    home = where(world, "db")
    for _ in range(2):
        crash(world)
        becomes(world, lambda: where(world, "db") == home, "db is back")
    crash(world)
    becomes(world, lambda: where(world, "db") not in ("", home), "db runs elsewhere")


def test_a_recovery_that_fails_goes_on_elsewhere() -> None:
    world = running(spec("db", failure_limit=2))
    home = where(world, "db")
    behave(world, "db", home, failures=100)
    crash(world)
    becomes(world, lambda: where(world, "db") not in ("", home), "db runs elsewhere")
    assert row(world, "db").setbacks[NodeName(home)].count == 2


def test_a_unit_that_fails_everywhere_is_given_up_and_a_start_tries_again() -> None:
    world = running(on("db", "a", "b", failure_limit=2))
    behave(world, "db", failures=100)
    crash(world)
    world.run_until(lambda: row(world, "db").failure is not None, "db is given up")
    world.run(5 * SEC)
    assert where(world, "db") == ""
    behave(world, "db", failures=0)
    assert systemctl(world, "c", "start", "db").status == 0
    assert len(where(world, "db")) == 1
    assert row(world, "db").setbacks == {}


def test_a_start_that_waits_while_everything_fails_is_told_why() -> None:
    world = running(on("db", "a", "b", failure_limit=1), on("web", "c", requires="db", after="db"))
    behave(world, "db", failures=100, start_usec=SEC)
    crash(world)
    world.run(200 * MSEC)
    call = world.wait(world.systemctl("c", "start", u("web")))
    assert call.status == 1
    # Whichever waiter is answered first ends the start, and with it the other one.
    about = ("synod-gate@web.service.service", "synod-await@db.service.service")
    (text, *_) = [text for _, text, unit, _ in world["c"].journal if unit in about]
    assert "db.service failed on" in text
    assert "FailureLimit=1 is reached on a, b" in text


def test_a_start_waits_for_a_recovery_that_succeeds() -> None:
    world = running(spec("db"), on("web", "c", requires="db", after="db"))
    behave(world, "db", start_usec=SEC)
    crash(world)
    world.run(200 * MSEC)
    assert world.wait(world.systemctl("c", "start", u("web"))).status == 0
    assert where(world, "web") == "c"


@pytest.mark.parametrize("nodes", ["a", "ab", "abc"])
def test_a_start_that_fails_is_answered_at_once_and_not_repeated(nodes: str) -> None:
    world = cluster(on("db", *nodes))
    world.run(3 * SEC)
    behave(world, "db", failures=100)
    order = Order(world)
    call = systemctl(world, "c", "start", "db")
    assert call.status == 1
    assert call.ended - call.begun < SEC
    world.run(10 * SEC)
    assert len([line for line in order.lines if line.startswith("db activating")]) == 1


def test_a_unit_with_one_node_left_waits_for_another_and_is_tried_again_after_a_while() -> None:
    world = running(on("db", "a", "b", failure_limit=1, failure_expire_usec=60 * SEC))
    home = where(world, "db")
    other = "ab".replace(home, "")
    world[other].power_cut()
    world.run(5 * SEC)
    crash(world)
    world.run(5 * SEC)
    assert where(world, "db") == ""
    assert row(world, "db").is_wanted
    call = world.wait(world.synodctl("c", StartUnits(unit=u("db"), is_waiting=False)))
    assert call.status == 0
    becomes(world, lambda: where(world, "db") == home, "a start counts anew")
    crash(world)
    world.run(50 * SEC)
    assert where(world, "db") == ""
    becomes(world, lambda: where(world, "db") == home, "the failure is forgotten", 30 * SEC)


def test_a_new_leader_goes_on_counting_down() -> None:
    world = running(on("db", "c", failure_limit=1, failure_expire_usec=20 * SEC), on("x", "a", "b"))
    world["c"].services.crash(u("db"))
    world.run(SEC)
    assert row(world, "db").failure is not None
    assert list(row(world, "db").setbacks) == ["c"]
    leader = world.leader()
    assert leader is not None
    leader.kill_agent()
    world.run_until(lambda: world.leader() not in (None, leader), "somebody else leads")
    forgotten = lambda: world.leader() is not None and row(world, "db").setbacks == {}  # noqa: E731
    world.run_until(forgotten, "it is forgotten", 30 * SEC)
    assert row(world, "db").failure is not None


def test_the_group_goes_along() -> None:
    world = running(
        spec("db"),
        spec("web", colocate_with="db", requires="db", after="db", failure_limit=1),
    )
    systemctl(world, "a", "start", "web")
    home = where(world, "db")
    order = Order(world)
    crash(world, "web")
    becomes(world, lambda: where(world, "web") not in ("", home), "web runs elsewhere")
    assert where(world, "db") == where(world, "web")
    assert order.index("db deactivating") < order.index("db active") < order.index("web activating")


def test_a_move_takes_the_follower_along() -> None:
    world = running(spec("db"), spec("web", colocate_with="db"))
    systemctl(world, "a", "start", "web")
    home = where(world, "db")
    target = "abc".replace(home, "")[0]
    synodctl(world, "a", MoveTo(unit=u("db"), node=NodeName(target)))
    becomes(world, lambda: (where(world, "db"), where(world, "web")) == (target, target), "both have moved")


def test_room_is_made_for_the_more_important() -> None:
    world = cluster(on("batch", "a", "b"), on("db", "a", priority=10, separate_from="batch"))
    world.run(3 * SEC)
    systemctl(world, "c", "start", "batch")
    assert where(world, "batch") == "a"
    order = Order(world)
    assert systemctl(world, "c", "start", "db").status == 0
    becomes(world, lambda: (where(world, "db"), where(world, "batch")) == ("a", "b"), "both run")
    assert order.index("batch inactive a") < order.index("db activating a")


def test_no_room_is_made_by_who_has_to_be_there_as_well() -> None:
    world = cluster(
        spec("batch"),
        spec("db", requires="batch", priority=10, colocate_with="batch", separate_from="batch"),
    )
    world.run(3 * SEC)
    systemctl(world, "c", "start", "batch")
    home, order = where(world, "batch"), Order(world)
    assert systemctl(world, "c", "start", "db").status == 1
    world.run(5 * SEC)
    assert where(world, "batch") == home
    assert not [line for line in order.lines if line.startswith("batch")]


def test_attributes_decide_where_a_unit_may_run() -> None:
    condition = spec("db", where="disk=fast")
    world = cluster(condition)
    call = systemctl(world, "a", "start", "db")
    assert call.status == 1
    (text,) = gate_text(world["a"], "db")
    assert "a: Where=disk=fast, and the node has no such attribute" in text
    say = SayAttribute(node=NodeName("b"), name="disk", value="fast")
    assert synodctl(world, "c", say).status == 0
    becomes(world, lambda: where(world, "db") == "b", "db is placed where it may run")
    assert synodctl(world, "c", SayAttribute(node=NodeName("b"), name="disk", value="")).status == 0
    world.run(2 * SEC)
    assert where(world, "db") == "b"
    assert synodctl(world, "c", SayAttribute(node=NodeName("b"), name="name", value="x")).status == 12


def test_instances_on_every_node_but_those_to_avoid() -> None:
    world = cluster(spec("db", instances=None, avoid_nodes="b"))
    world.run(3 * SEC)
    assert synodctl(world, "a", StartUnits(unit=u("db"), is_waiting=True)).status == 0
    becomes(world, lambda: where(world, "db") == "ac", "db runs where it may")
    assert systemctl(world, "b", "start", "db").status == 1
    assert any("db.service may not run here: AvoidNodes= names it" in t for t in gate_text(world["b"], "db"))


def test_why() -> None:
    world = running(spec("db", nodes="a b", prefer="b:10"))
    agent = world["c"].agent
    assert agent is not None
    assert views.why(agent.node, u("db")) == {
        "unit": "db.service",
        "text": "db.service runs on b",
        "nodes": {
            "a": {"score": 0, "reasons": [], "blocked": "", "placed": False},
            "b": {
                "score": 11,
                "reasons": [
                    {"points": 10, "text": "Prefer=b:10"},
                    {"points": 1, "text": "Stickiness=1, it runs there"},
                ],
                "blocked": "",
                "placed": True,
            },
            "c": {
                "score": -1000000,
                "reasons": [{"points": -1000000, "text": "not in Nodes=a b"}],
                "blocked": "not in Nodes=a b",
                "placed": False,
            },
        },
    }
    assert views.why(agent.node, u("ghost")) is None


def test_show_tells_failures_and_terms_in_words() -> None:
    world = running(spec("db", prefer="b:10", where="name!=c"))
    crash(world)
    becomes(world, lambda: where(world, "db") == "b", "db is back")
    agent = world["c"].agent
    assert agent is not None
    shown = views.show(agent.node, u("db"))
    assert shown is not None
    assert shown["failures"] == {"b": 1}
    assert isinstance(shown["spec"], dict)
    assert (shown["spec"]["prefer"], shown["spec"]["where"]) == (["b:10"], ["name!=c"])
