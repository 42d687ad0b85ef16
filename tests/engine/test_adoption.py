# SPDX-License-Identifier: LGPL-2.1-or-later
"""Units that ran before they were annotated, copies that nobody granted, annotations that differ."""

from scenario import SEC, becomes, cluster, on, row, said, spec, synodctl, systemctl, u, where

from synod.base.ids import NodeName
from synod.base.messages import MessageId
from synod.engine.requests import Adopt, Drain, StartUnits, StopUnits
from synod.model.command import Desired
from synod.model.spec import UnitSpec
from synod.sim.definitions import GRANT, LEASE
from synod.sim.world import World

A, B, C = map(NodeName, "abc")


def annotate(world: World, one: UnitSpec, nodes: str = "abc") -> None:
    """Write an annotation and run daemon-reload, on one node after the other."""
    for name in nodes:
        world[name].reload({**world[name].specs, one.unit: one})
        world.run(SEC)


def start_plain(world: World, nodes: str, name: str = "db") -> None:
    """Start a unit that is not annotated."""
    for node in nodes:
        world[node].files.plain[u(name)] = None
        assert systemctl(world, node, "start", name).status == 0
    assert where(world, name) == nodes


def runs(world: World, name: str, nodes: str = "abc") -> int:
    """Return how often a unit was started on these nodes."""
    return sum(world[node].services.runs(u(name)) for node in nodes)


def alarms(world: World, name: str) -> list[str]:
    leader = world.leader()
    assert leader is not None
    assert leader.agent is not None
    return [alarm.text for _, alarm in leader.agent.node.state.alarms if alarm.unit == u(name)]


# What ran before


def test_what_runs_when_it_is_annotated_is_granted_in_place() -> None:
    world = cluster()
    start_plain(world, "b")
    annotate(world, spec("db"))
    assert (where(world, "db"), runs(world, "db")) == ("b", 1)
    assert [grant.node for grant in row(world, "db").grants.values()] == [B]
    assert row(world, "db").desired is Desired.STARTED
    assert world["b"].exists(GRANT + u("db"))
    # From here on it is a unit like any other.
    assert synodctl(world, "a", Drain(node=B, is_drained=True)).status == 0
    becomes(world, lambda: where(world, "db") in ("a", "c"), "it has moved")


def test_what_runs_when_the_cluster_is_founded_is_granted_in_place() -> None:
    world = World(0, "abc", [])
    for machine in world.machines.values():
        machine.power_on()
    world.run(SEC)
    for name in ("db", "web"):
        start_plain(world, "a", name)
    for machine in world.machines.values():
        machine.files.load({u("db"): spec("db"), u("web"): spec("web", requires="db", after="db")})
    world.form()
    becomes(world, lambda: len(row(world, "web").grants) == 1, "web is granted")
    assert (where(world, "db"), where(world, "web")) == ("a", "a")
    assert (runs(world, "db"), runs(world, "web")) == (1, 1)
    # The order holds for what was adopted as well.
    assert synodctl(world, "c", StopUnits(unit=u("db"), is_waiting=True)).status == 0
    assert (where(world, "db"), where(world, "web")) == ("", "")


def test_two_that_run_are_granted_where_two_may() -> None:
    world = cluster()
    start_plain(world, "ac")
    annotate(world, spec("db", instances=2))
    assert sorted(grant.node for grant in row(world, "db").grants.values()) == [A, C]
    assert (where(world, "db"), runs(world, "db")) == ("ac", 2)


def test_an_annotation_starts_no_second_copy_until_somebody_asks() -> None:
    world = cluster()
    start_plain(world, "b")
    annotate(world, spec("db", instances=2))
    assert where(world, "db") == "b"
    assert synodctl(world, "c", StartUnits(unit=u("db"), is_waiting=True)).status == 0
    becomes(world, lambda: len(where(world, "db")) == 2, "both run")
    assert runs(world, "db", "b") == 1


def test_a_restriction_of_the_annotation_moves_nothing_that_runs() -> None:
    world = cluster()
    start_plain(world, "b")
    annotate(world, on("db", "a"))
    assert (where(world, "db"), runs(world, "db")) == ("b", 1)


def test_more_copies_than_may_run_are_a_conflict() -> None:
    world = cluster()
    start_plain(world, "ab")
    annotate(world, spec("db"))
    assert (where(world, "db"), runs(world, "db")) == ("ab", 2)
    (alarm,) = alarms(world, "db")
    assert alarm.startswith("conflict: db.service runs on a, b, Instances=1: nothing is started or stopped")
    assert "systemctl stop db.service" in alarm
    assert alarm.endswith("on b")  # a came first and was granted: a stop there would be a stop of all
    systemctl(world, "b", "stop", "db")
    world.run(5 * SEC)
    assert (where(world, "db"), runs(world, "db")) == ("a", 2)
    assert len(alarms(world, "db")) == 1


def test_a_copy_that_is_annotated_later_is_no_rogue() -> None:
    world = cluster()
    start_plain(world, "ab")
    annotate(world, spec("db"), "a")
    becomes(world, lambda: len(row(world, "db").grants) == 1, "that of a is granted")
    annotate(world, spec("db"), "bc")
    assert (where(world, "db"), runs(world, "db")) == ("ab", 2)
    assert [text for text in alarms(world, "db") if "conflict" in text]
    # What fails is not placed anew beside the copy that was found: that one takes its place.
    world["a"].services.crash(u("db"))
    becomes(world, lambda: [grant.node for grant in row(world, "db").grants.values()] == [B], "b is granted")
    assert (where(world, "db"), runs(world, "db")) == ("b", 2)


def test_a_stop_of_all_stops_those_that_were_found_as_well() -> None:
    world = cluster()
    start_plain(world, "ab")
    annotate(world, spec("db"))
    assert synodctl(world, "c", StopUnits(unit=u("db"), is_waiting=False)).status == 0
    becomes(world, lambda: where(world, "db") == "", "both are stopped")
    assert synodctl(world, "c", StartUnits(unit=u("db"), is_waiting=True)).status == 0
    assert len(where(world, "db")) == 1


def test_a_lost_node_with_a_copy_that_was_found_is_waited_for() -> None:
    world = cluster()
    start_plain(world, "ab")
    annotate(world, spec("db"))
    victim = next(name for name in "ab" if world.leader() is not world[name])
    world[victim].power_cut()
    other = "b" if victim == "a" else "a"
    becomes(world, lambda: len(row(world, "db").grants) == 1, "the other one is granted after the proof")
    assert where(world, "db") == other
    assert runs(world, "db", other) == 1


def test_agents_that_are_killed_do_not_make_a_found_copy_a_rogue() -> None:
    world = cluster()
    start_plain(world, "ab")
    annotate(world, spec("db"))
    for name in "abc":
        world[name].kill_agent()
        world[name].start_agent()
    world.run(10 * SEC)
    assert (where(world, "db"), runs(world, "db")) == ("ab", 2)


# Rogue copies


def forge(world: World, node: str, name: str) -> None:
    """Start a unit past its gate, by files that nobody granted."""
    machine = world[node]
    machine.is_forged = True
    machine.run[GRANT + u(name)] = machine.run[LEASE] = 1
    systemctl(world, node, "start", name)


def test_a_forged_grant_is_alarmed_and_its_copy_stopped() -> None:
    world = cluster(spec("db", instances=1))
    systemctl(world, "a", "start", "db")
    home = where(world, "db")
    other = "abc".replace(home, "")[0]
    forge(world, other, "db")
    becomes(world, lambda: where(world, "db") == home, "the rogue copy is stopped")
    (alarm,) = alarms(world, "db")
    assert alarm == f"'db.service' runs on {other} without a grant, and {home} holds it: it is stopped."
    assert said(world[other], MessageId.ROGUE_COPY, "db") == [alarm]
    assert row(world, "db").desired is Desired.STARTED


def test_a_rogue_copy_that_nobody_else_holds() -> None:
    world = cluster(spec("db"))
    forge(world, "b", "db")
    becomes(world, lambda: where(world, "db") == "", "the rogue copy is stopped")
    assert alarms(world, "db") == [
        "'db.service' runs on b without a grant, and nobody holds it: it is stopped."
    ]


def test_a_rogue_copy_that_is_only_alarmed() -> None:
    world = cluster(spec("db", stops_rogue_copies=False))
    forge(world, "b", "db")
    world.run(5 * SEC)
    assert where(world, "db") == "b"
    (alarm,) = alarms(world, "db")
    assert "RogueCopy=alarm" in alarm


# Drift


def test_a_node_with_another_annotation_is_told_and_gets_nothing() -> None:
    world = cluster(spec("db"))
    world["c"].reload({u("db"): spec("db", priority=5)})
    world.run(SEC)
    (text,) = said(world["c"], MessageId.SPEC_DIFFERS, "db")
    assert "synodctl adopt db.service --from c" in text
    assert said(world["a"], MessageId.SPEC_DIFFERS, "db") == []
    for name in "ab":
        assert synodctl(world, "c", Drain(node=NodeName(name), is_drained=True)).status == 0
    assert systemctl(world, "c", "start", "db").status == 1
    assert synodctl(world, "a", Adopt(unit=u("db"), node=C)).status == 0
    assert len(said(world["a"], MessageId.SPEC_DIFFERS, "db")) == 1
    assert systemctl(world, "c", "start", "db").status == 0
    assert where(world, "db") == "c"


def test_while_nodes_disagree_the_stricter_number_counts() -> None:
    world = cluster(spec("db", instances=3))
    world["c"].reload({u("db"): spec("db", instances=1)})
    world.run(SEC)
    assert synodctl(world, "a", StartUnits(unit=u("db"), is_waiting=True)).status == 0
    world.run(3 * SEC)
    assert len(where(world, "db")) == 1
    world["c"].reload({u("db"): spec("db", instances=3)})
    becomes(world, lambda: len(where(world, "db")) == 3, "all three run")


def test_fewer_instances_stop_nothing_and_start_nothing_more() -> None:
    world = cluster(spec("db", instances=2))
    assert synodctl(world, "a", StartUnits(unit=u("db"), is_waiting=True)).status == 0
    becomes(world, lambda: len(where(world, "db")) == 2, "both run")
    homes = where(world, "db")
    annotate(world, spec("db", instances=1))
    assert (where(world, "db"), runs(world, "db")) == (homes, 2)
    assert any(text.startswith("conflict: db.service runs on") for text in alarms(world, "db"))
    assert synodctl(world, "a", Drain(node=NodeName(homes[0]), is_drained=True)).status == 0
    becomes(world, lambda: where(world, "db") == homes[1], "one is left, and none is started for it")
    assert runs(world, "db") == 2


def test_from_everywhere_to_one_copy_stops_nothing() -> None:
    world = cluster(spec("db", instances=None))
    assert synodctl(world, "a", StartUnits(unit=u("db"), is_waiting=True)).status == 0
    becomes(world, lambda: where(world, "db") == "abc", "all run")
    annotate(world, spec("db"))
    assert (where(world, "db"), runs(world, "db")) == ("abc", 3)
    (alarm,) = alarms(world, "db")
    call = synodctl(world, "c", StartUnits(unit=u("db"), is_waiting=True))
    assert (call.status, call.answer) == (1, alarm)
    for name in "ab":
        systemctl(world, name, "stop", "db")
    becomes(world, lambda: len(row(world, "db").grants) == 1, "the last one is granted")
    assert (where(world, "db"), runs(world, "db")) == ("c", 3)


def test_an_adopted_limit_stops_nothing_that_ran_without_one() -> None:
    world = cluster(spec("db", instances=None))
    assert synodctl(world, "a", StartUnits(unit=u("db"), is_waiting=True)).status == 0
    becomes(world, lambda: where(world, "db") == "abc", "all run")
    annotate(world, spec("db"), "b")
    assert synodctl(world, "a", Adopt(unit=u("db"), node=B)).status == 0
    world.run(5 * SEC)
    assert (where(world, "db"), runs(world, "db")) == ("abc", 3)
    assert any(text.startswith("conflict: ") for text in alarms(world, "db"))


def test_from_one_copy_to_everywhere_and_back_restarts_nothing() -> None:
    world = cluster(spec("db"))
    systemctl(world, "a", "start", "db")
    annotate(world, spec("db", instances=None))
    assert row(world, "db").grants == {}
    becomes(world, lambda: where(world, "db") == "abc", "it is wanted, and it may run everywhere")
    annotate(world, spec("db"))
    assert (where(world, "db"), runs(world, "db")) == ("abc", 3)
    assert any(text.startswith("conflict: ") for text in alarms(world, "db"))
