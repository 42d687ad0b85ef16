# SPDX-License-Identifier: LGPL-2.1-or-later
"""synod.model.state: what every command does to the replicated state, and when it is refused."""

import copy

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from synod.base.ids import Epoch, NodeName, UnitName
from synod.model.attributes import ATTRIBUTES_MAX
from synod.model.command import (
    AddToken,
    AdoptSpec,
    Alarm,
    Command,
    Desired,
    DrainNode,
    Ending,
    Fenced,
    ForgetFailures,
    Found,
    GrantOrder,
    Join,
    MoveUnit,
    NodeState,
    Observation,
    Observe,
    Plan,
    Proof,
    Release,
    RemoveNode,
    ReportSpecs,
    RevokeOrder,
    RoleWish,
    SetAttribute,
    SetNode,
    SpecReport,
    Wish,
)
from synod.model.rows import Failure, Grant, Setback
from synod.model.spec import UnitSpec, digest
from synod.model.state import ALARMS_MAX, Change, ClusterState

A, B, C = NodeName("a"), NodeName("b"), NodeName("c")
DB, WEB, APP = UnitName("db.service"), UnitName("web.service"), UnitName("app.service")
SECRET = b"secret"
DB_SPEC = UnitSpec(unit=DB)
WEB_SPEC = UnitSpec(unit=WEB, requires=(DB,), after=(DB,))


class Log:
    """Applies commands one after the other."""

    def __init__(self) -> None:
        self.state = ClusterState()
        self.index = 0

    def add(self, command: Command) -> Change:
        self.index += 1
        return self.state.apply(command, self.index)

    def report(self, node: NodeName, *specs: UnitSpec, is_complete: bool = False) -> Change:
        reports = tuple(SpecReport(unit=spec.unit, spec=spec) for spec in specs)
        return self.add(ReportSpecs(node=node, reports=reports, is_complete=is_complete))

    def start(self, unit: UnitName, **keys: object) -> Change:
        return self.add(Wish(unit=unit, desired=Desired.STARTED, node=A, **keys))  # type: ignore[arg-type]

    def stop(self, unit: UnitName, **keys: object) -> Change:
        return self.add(Wish(unit=unit, desired=Desired.STOPPED, node=A, **keys))  # type: ignore[arg-type]

    def grant(self, unit: UnitName, node: NodeName, instance: int = 0) -> Change:
        order = GrantOrder(unit=unit, instance=instance, node=node)
        return self.add(Plan(revision=self.state.revision, grants=(order,), revokes=()))


def found(cluster: str = "demo") -> Found:
    return Found(cluster=cluster, cluster_id="id", node=A, address="10.0.0.1", port=7000, fingerprint="fa")


def join(node: NodeName, token: str = "t", secret: bytes = SECRET) -> Join:
    return Join(token=token, secret_hash=secret, node=node, address="10.0.0.2", port=7000, fingerprint="fb",
                role=RoleWish.AUTOMATIC)  # fmt: skip


@pytest.fixture
def log() -> Log:
    """Two nodes online, both with db and web."""
    log = Log()
    log.add(found())
    log.add(AddToken(token="t", secret_hash=SECRET))
    log.add(join(B))
    for node in (A, B):
        log.add(SetNode(node=node, state=NodeState.ONLINE, boot=f"{node}1"))
        log.report(node, DB_SPEC, WEB_SPEC)
    return log


# Cluster and nodes


def test_the_first_entry_founds_the_cluster_and_its_first_node() -> None:
    log = Log()
    assert log.add(found()) == Change(nodes=(A,))
    assert (log.state.cluster, log.state.cluster_id) == ("demo", "id")
    assert log.state.nodes[A].state is NodeState.UNMANAGED


def test_a_cluster_is_founded_once(log: Log) -> None:
    assert "already the cluster 'demo'" in log.add(found("other")).refusal
    assert log.state.cluster == "demo"


def test_a_token_admits_one_node_once(log: Log) -> None:
    assert "unknown or was used already" in log.add(join(C)).refusal
    log.add(AddToken(token="u", secret_hash=SECRET))
    assert "unknown" in log.add(join(C, "u", b"guess")).refusal
    assert "'b' is taken" in log.add(join(B, "u")).refusal
    assert log.add(join(C, "u")) == Change(nodes=(C,))
    assert log.state.tokens == {}
    assert log.state.nodes[C].state is NodeState.UNMANAGED


def test_a_node_says_its_own_state_and_incarnation(log: Log) -> None:
    assert log.add(SetNode(node=A, state=NodeState.LEAVING, boot="a1")).nodes == (A,)
    assert log.state.nodes[A].state is NodeState.LEAVING
    assert "not a node" in log.add(SetNode(node=C, state=NodeState.ONLINE, boot="c1")).refusal


def test_a_promise_is_void_after_a_farewell(log: Log) -> None:
    online = log.state.nodes[A].since
    log.add(SetNode(node=A, state=NodeState.UNMANAGED, boot="a1", has_fuse=False))
    late = SetNode(node=A, state=NodeState.ONLINE, boot="a1", has_fuse=True, since=online)
    assert "by a later word" in log.add(late).refusal
    assert (log.state.nodes[A].state, log.state.nodes[A].has_fuse) == (NodeState.UNMANAGED, False)


@pytest.mark.parametrize("own", [NodeState.LEFT, NodeState.LEAVING, NodeState.UNMANAGED])
def test_what_a_node_said_itself_no_peer_contradicts(log: Log, own: NodeState) -> None:
    log.add(SetNode(node=B, state=own, boot="b1"))
    assert "said itself" in log.add(SetNode(node=B, state=NodeState.LOST)).refusal
    assert log.state.nodes[B].state is own


def test_a_peer_may_call_an_online_node_lost_and_its_grants_stay(log: Log) -> None:
    log.start(DB)
    log.grant(DB, B)
    log.add(SetNode(node=B, state=NodeState.LOST))
    assert log.state.nodes[B].state is NodeState.LOST
    assert log.state.rows[DB].grant_on(B) is not None


def test_a_new_incarnation_voids_the_grants_of_the_old_one(log: Log) -> None:
    log.start(DB)
    log.grant(DB, B)
    log.add(Observe(node=B, observations=(Observation(unit=DB, active="active"),)))
    assert DB in log.add(SetNode(node=B, state=NodeState.ONLINE, boot="b2")).units
    assert log.state.rows[DB].grants == {}
    assert log.state.rows[DB].observed == {}


def test_the_same_incarnation_keeps_its_grants(log: Log) -> None:
    log.start(DB)
    log.grant(DB, B)
    log.add(SetNode(node=B, state=NodeState.ONLINE, boot="b1"))
    assert log.state.rows[DB].grant_on(B) is not None


def test_a_drain_is_an_administrator_s_word_about_a_node(log: Log) -> None:
    assert log.add(DrainNode(node=B, is_drained=True)) == Change(nodes=(B,))
    assert not log.state.nodes[B].may_be_granted
    log.add(DrainNode(node=B, is_drained=False))
    assert log.state.nodes[B].may_be_granted
    assert "not a node" in log.add(DrainNode(node=C, is_drained=True)).refusal


@pytest.mark.parametrize("state", [NodeState.ONLINE, NodeState.LEAVING, NodeState.UNMANAGED])
def test_a_node_that_may_run_units_is_not_removed(log: Log, state: NodeState) -> None:
    log.add(SetNode(node=B, state=state, boot="b1"))
    assert "may still run units" in log.add(RemoveNode(node=B)).refusal
    assert B in log.state.nodes


def test_a_node_that_left_is_removed_with_all_that_it_said(log: Log) -> None:
    log.add(SetNode(node=B, state=NodeState.LEFT, boot="b1"))
    log.add(RemoveNode(node=B))
    assert list(log.state.nodes) == [A]
    assert list(log.state.rows[DB].reports) == [A]
    assert "not a node" in log.add(RemoveNode(node=B)).refusal


# Specs


def test_a_spec_that_all_report_is_adopted(log: Log) -> None:
    assert log.state.rows[DB].spec == DB_SPEC
    assert list(log.state.edges.needed_by[DB]) == [WEB]


def test_another_spec_waits_until_all_report_it(log: Log) -> None:
    newer = UnitSpec(unit=DB, instances=2)
    log.report(A, newer)
    assert log.state.rows[DB].spec == DB_SPEC
    log.report(B, newer)
    assert log.state.rows[DB].spec == newer


def test_a_lost_node_has_no_voice_in_adoption(log: Log) -> None:
    newer = UnitSpec(unit=DB, instances=2)
    log.report(A, newer)
    assert DB in log.add(SetNode(node=B, state=NodeState.LOST)).units
    assert log.state.rows[DB].spec == newer


def test_adoption_by_an_administrator(log: Log) -> None:
    newer = UnitSpec(unit=WEB, instances=2)
    log.report(A, newer)
    log.add(AdoptSpec(unit=WEB, node=A))
    assert log.state.rows[WEB].spec == newer
    assert log.state.edges.needed_by[DB] == {}
    assert "has no annotated unit" in log.add(AdoptSpec(unit=WEB, node=C)).refusal
    assert "has no annotated unit" in log.add(AdoptSpec(unit=APP, node=A)).refusal


def test_a_complete_report_replaces_what_was_said_before(log: Log) -> None:
    change = log.report(A, DB_SPEC, is_complete=True)
    assert set(change.units) == {DB, WEB}
    assert A not in log.state.rows[WEB].reports
    assert A in log.state.rows[DB].reports


def test_a_unit_that_a_node_has_no_more(log: Log) -> None:
    log.add(ReportSpecs(node=A, reports=(SpecReport(unit=DB, spec=None),)))
    assert list(log.state.rows[DB].reports) == [B]
    assert log.state.rows[DB].reports[B] == digest(DB_SPEC)
    assert "not a node" in log.report(C, DB_SPEC).refusal


# Wishes


def test_a_start_reaches_what_it_pulls_in(log: Log) -> None:
    change = log.start(WEB)
    assert change.units == (WEB, DB)
    for unit in (WEB, DB):
        assert log.state.rows[unit].desired is Desired.STARTED
        assert log.state.rows[unit].revision == log.index
        assert log.state.rows[unit].is_wanted


def test_a_stop_reaches_the_unit_alone(log: Log) -> None:
    log.start(WEB)
    assert log.stop(DB).units == (DB,)
    assert log.state.rows[DB].desired is Desired.STOPPED
    assert log.state.rows[WEB].desired is Desired.STARTED


def test_nobody_can_wish_for_what_no_node_has(log: Log) -> None:
    assert "no node of the cluster has an annotated unit 'app.service'" in log.start(APP).refusal
    log.add(ReportSpecs(node=A, reports=(SpecReport(unit=DB, spec=None),)))
    log.add(ReportSpecs(node=B, reports=(SpecReport(unit=DB, spec=None),)))
    assert "daemon-reload" in log.state.absence(DB)


def test_nobody_can_wish_for_what_the_nodes_disagree_about_from_the_start() -> None:
    log = Log()
    log.add(found())
    log.add(SetNode(node=A, state=NodeState.LEFT, boot="a1"))
    log.report(A, DB_SPEC)  # it has no voice, hence nothing is adopted
    assert log.state.rows[DB].spec is None
    assert "synodctl adopt db.service --from NODE" in log.start(DB).refusal


def test_boot_establishes_a_wish_only_where_there_is_none(log: Log) -> None:
    assert not log.start(DB, only_if_absent=True).refusal
    log.stop(DB)
    assert "already to be stopped" in log.start(DB, only_if_absent=True).refusal
    assert log.state.rows[DB].desired is Desired.STOPPED


def test_a_late_wish_counts_only_against_an_unchanged_row(log: Log) -> None:
    log.start(DB)
    revision = log.state.rows[DB].revision
    assert not log.stop(DB, revision=revision).refusal
    assert "somebody else changed" in log.start(DB, revision=revision).refusal


def test_a_start_forgives_a_failure_and_a_stop_forgets_a_move(log: Log) -> None:
    log.start(DB)
    log.grant(DB, A)
    log.add(MoveUnit(unit=DB, node=A))
    epoch = log.state.rows[DB].grants[0].epoch
    log.add(Release(unit=DB, node=A, epoch=epoch, ending=Ending.FAILED, reason="exit-code"))
    assert not log.state.rows[DB].is_wanted
    log.start(DB)
    assert log.state.rows[DB].is_wanted
    assert log.state.rows[DB].pin == A
    log.stop(DB)
    assert log.state.rows[DB].pin is None


def test_a_move_needs_a_node_that_has_the_unit(log: Log) -> None:
    assert log.add(MoveUnit(unit=DB, node=B)).units == (DB,)
    assert log.state.rows[DB].pin == B
    assert "'c' has no unit 'db.service'" in log.add(MoveUnit(unit=DB, node=C)).refusal
    assert "no node of the cluster" in log.add(MoveUnit(unit=APP, node=A)).refusal


# Plans and proofs


def test_a_grant_s_epoch_is_the_index_of_its_plan(log: Log) -> None:
    log.start(DB)
    assert log.grant(DB, B).units == (DB,)
    assert log.state.rows[DB].grants == {0: Grant(instance=0, node=B, epoch=Epoch(log.index))}


def test_a_plan_from_another_revision_is_void(log: Log) -> None:
    log.start(DB)
    order = GrantOrder(unit=DB, instance=0, node=A)
    stale = Plan(revision=log.state.revision - 1, grants=(order,), revokes=())
    assert "computed from revision" in log.add(stale).refusal
    assert log.state.rows[DB].grants == {}


def test_observations_alarms_and_tokens_do_not_void_plans(log: Log) -> None:
    revision = log.state.revision
    log.add(Observe(node=A, observations=(Observation(unit=DB, active="active"),)))
    log.add(Alarm(node=A, unit=DB, text="late"))
    log.add(AddToken(token="v", secret_hash=SECRET))
    assert log.state.revision == revision
    assert log.state.rows[DB].observed == {A: "active"}


def test_a_refusal_changes_nothing_but_the_index(log: Log) -> None:
    before = copy.deepcopy(log.state)
    assert log.start(APP).refusal
    before.applied = log.index
    assert log.state == before


def test_a_grant_is_never_given_twice(log: Log) -> None:
    log.start(DB)
    log.grant(DB, A)
    assert log.grant(DB, B).units == ()
    assert log.state.rows[DB].grants[0].node == A


def test_a_revoked_grant_stays_until_it_is_given_back(log: Log) -> None:
    log.start(DB)
    log.grant(DB, A)
    epoch = log.state.rows[DB].grants[0].epoch
    revoke = RevokeOrder(unit=DB, instance=0, epoch=epoch)
    log.add(Plan(revision=log.state.revision, grants=(), revokes=(revoke,)))
    assert log.state.rows[DB].grants[0].is_revoked
    assert log.state.rows[DB].grants[0].epoch == epoch
    log.add(Release(unit=DB, node=A, epoch=epoch, ending=Ending.STOPPED))
    assert log.state.rows[DB].grants == {}
    assert log.state.rows[DB].is_wanted


def test_a_revoke_of_another_epoch_does_nothing(log: Log) -> None:
    log.start(DB)
    log.grant(DB, A)
    revoke = RevokeOrder(unit=DB, instance=0, epoch=Epoch(1))
    log.add(Plan(revision=log.state.revision, grants=(), revokes=(revoke,)))
    assert not log.state.rows[DB].grants[0].is_revoked


@pytest.mark.parametrize("ending", [Ending.FAILED, Ending.FINISHED])
def test_an_end_that_nobody_asked_for_is_remembered(log: Log, ending: Ending) -> None:
    log.start(DB)
    log.grant(DB, A)
    epoch = log.state.rows[DB].grants[0].epoch
    log.add(Release(unit=DB, node=A, epoch=epoch, ending=ending, reason="exit-code"))
    assert log.state.rows[DB].failure == Failure(node=A, ending=ending, reason="exit-code")
    assert not log.state.rows[DB].is_wanted


def test_an_end_after_a_stop_is_no_failure(log: Log) -> None:
    log.start(DB)
    log.grant(DB, A)
    epoch = log.state.rows[DB].grants[0].epoch
    log.stop(DB)
    log.add(Release(unit=DB, node=A, epoch=epoch, ending=Ending.FAILED, reason="exit-code"))
    assert log.state.rows[DB].failure is None


def fail(log: Log, node: NodeName, *, was_up: bool = True) -> None:
    """Grant db to a node and let it fail there."""
    log.grant(DB, node)
    epoch = log.state.rows[DB].grants[0].epoch
    release = Release(
        unit=DB, node=node, epoch=epoch, ending=Ending.FAILED, reason="exit-code", was_up=was_up
    )
    assert not log.add(release).refusal


def test_a_failure_of_what_was_up_leaves_the_unit_wanted(log: Log) -> None:
    log.start(DB)
    fail(log, A)
    row = log.state.rows[DB]
    assert row.is_wanted
    assert row.setbacks == {A: Setback(count=1, reason="exit-code")}
    # A start that is part of a recovery is one.
    fail(log, B, was_up=False)
    assert row.is_wanted
    assert row.setbacks[B].count == 1
    assert row.homes == {0: B}


def test_a_unit_that_was_seen_up_is_recovered_even_if_its_agent_did_not_see_it(log: Log) -> None:
    log.start(DB)
    log.grant(DB, A)
    log.add(Observe(node=B, observations=(Observation(unit=DB, active="active"),)))
    assert not log.state.rows[DB].has_been_up
    log.add(Observe(node=A, observations=(Observation(unit=DB, active="active"),)))
    epoch = log.state.rows[DB].grants[0].epoch
    log.add(Release(unit=DB, node=A, epoch=epoch, ending=Ending.FAILED))
    assert log.state.rows[DB].is_wanted


def test_a_start_counts_anew_and_only_a_unit_that_runs_counts_as_proved(log: Log) -> None:
    log.start(DB)
    fail(log, A)
    row = log.state.rows[DB]
    log.start(DB)
    assert (row.setbacks, row.has_been_up) == ({}, False)
    fail(log, A, was_up=False)
    assert not row.is_wanted
    log.start(DB)
    log.grant(DB, A)
    log.add(Observe(node=A, observations=(Observation(unit=DB, active="active"),)))
    log.start(WEB)  # which starts db as well, were it not up
    assert row.has_been_up
    log.stop(DB)
    assert not row.has_been_up


def test_a_reboot_and_a_move_give_a_node_another_try(log: Log) -> None:
    log.start(DB)
    fail(log, A)
    fail(log, B)
    log.add(SetNode(node=A, state=NodeState.ONLINE, boot="a2"))
    assert list(log.state.rows[DB].setbacks) == [B]
    log.add(MoveUnit(unit=DB, node=B))
    assert log.state.rows[DB].setbacks == {}


def test_failures_are_forgotten_unless_another_one_came(log: Log) -> None:
    log.start(DB)
    fail(log, A)
    fail(log, A)
    refused = log.add(ForgetFailures(unit=DB, node=A, count=1))
    assert refused.refusal == "'db.service' did not fail 1 times on 'a'"
    assert log.add(ForgetFailures(unit=DB, node=A, count=2)).units == (DB,)
    assert log.state.rows[DB].setbacks == {}
    assert "did not fail" in log.add(ForgetFailures(unit=APP, node=A, count=2)).refusal


def test_a_node_that_is_removed_is_nobody_s_home(log: Log) -> None:
    log.start(DB)
    fail(log, B)
    log.add(SetNode(node=B, state=NodeState.LEFT, boot="b1"))
    log.add(RemoveNode(node=B))
    assert log.state.rows[DB].homes == {}
    assert log.state.rows[DB].setbacks == {}


def test_attributes_are_set_replaced_and_taken_away(log: Log) -> None:
    node = log.state.nodes[A]
    assert log.add(SetAttribute(node=A, name="rack", value="r1")).nodes == (A,)
    assert node.attribute("rack") == "r1"
    log.add(SetAttribute(node=A, name="rack", value="r2"))
    assert node.attribute("rack") == "r2"
    log.add(SetAttribute(node=A, name="rack", value=""))
    assert node.attribute("rack") is None
    assert (node.attribute("name"), node.attribute("role")) == ("a", "automatic")


def test_attributes_that_are_refused(log: Log) -> None:
    def refusal(**keys: str) -> str:
        values = {"node": A, "name": "rack", "value": "r1"} | keys
        return log.add(SetAttribute(**values)).refusal  # type: ignore[arg-type]

    assert refusal(node="c") == "'c' is not a node of this cluster"
    assert refusal(name="role") == "the attribute 'role' is built in"
    assert refusal(name="a b") == "'a b=r1' is not an attribute and its value"
    assert refusal(value="a b") == "'rack=a b' is not an attribute and its value"
    for number in range(ATTRIBUTES_MAX):
        assert not refusal(name=f"x{number}")
    assert refusal() == f"'a' has {ATTRIBUTES_MAX} attributes already"
    assert not refusal(name="x7", value="other")
    assert not refusal(value="")


def test_only_the_holder_gives_back_and_only_what_it_holds(log: Log) -> None:
    log.start(DB)
    log.grant(DB, A)
    epoch = log.state.rows[DB].grants[0].epoch
    for node, which, unit in ((B, epoch, DB), (A, Epoch(1), DB), (A, epoch, APP)):
        release = Release(unit=unit, node=node, epoch=which, ending=Ending.STOPPED)
        assert "does not hold" in log.add(release).refusal
    assert log.state.rows[DB].grants


def test_only_the_last_alarms_are_kept(log: Log) -> None:
    for number in range(ALARMS_MAX + 5):
        log.add(Alarm(node=A, unit=DB, text=str(number)))
    assert len(log.state.alarms) == ALARMS_MAX
    assert log.state.alarms[-1] == (log.index, Alarm(node=A, unit=DB, text=str(ALARMS_MAX + 4)))


# Laws

_specs = st.sampled_from([None, DB_SPEC, UnitSpec(unit=DB, instances=2)])
_nodes = st.sampled_from([A, B])
_units = st.sampled_from([DB, WEB])
_observations = st.builds(Observation, unit=_units, active=st.sampled_from(["active", "failed"]))
_commands = st.one_of(
    st.builds(SetNode, node=_nodes, state=st.sampled_from(NodeState), boot=st.sampled_from(["", "1", "2"])),
    st.builds(DrainNode, node=_nodes, is_drained=st.booleans()),
    st.builds(RemoveNode, node=_nodes),
    st.builds(Wish, unit=_units, desired=st.sampled_from(Desired), node=_nodes),
    st.builds(MoveUnit, unit=_units, node=_nodes),
    st.builds(AdoptSpec, unit=_units, node=_nodes),
    st.builds(
        ReportSpecs,
        node=_nodes,
        reports=st.tuples(st.builds(SpecReport, unit=st.just(DB), spec=_specs)),
        is_complete=st.booleans(),
    ),
    st.builds(
        Release,
        unit=_units,
        node=_nodes,
        epoch=st.integers(1, 30).map(Epoch),
        ending=st.sampled_from(Ending),
        was_up=st.booleans(),
    ),
    st.builds(Observe, node=_nodes, observations=st.tuples(_observations)),
    st.builds(SetAttribute, node=_nodes, name=st.just("rack"), value=st.sampled_from(["", "r1"])),
    st.builds(ForgetFailures, unit=_units, node=_nodes, count=st.integers(1, 2)),
    st.tuples(_units, _nodes, st.integers(0, 1)),
)


@settings(max_examples=150)
@given(st.lists(_commands, max_size=30))
def test_replay_reproduces_the_state_and_grants_end_by_proof_only(
    commands: list[Command | tuple[UnitName, NodeName, int]],
) -> None:
    log, applied = Log(), list[Command]()
    for node in (A, B):
        reports = (SpecReport(unit=DB, spec=DB_SPEC), SpecReport(unit=WEB, spec=WEB_SPEC))
        prelude: list[Command] = [
            AddToken(token="t", secret_hash=SECRET),
            found() if node == A else join(B),
            SetNode(node=node, state=NodeState.ONLINE, boot="1"),
            ReportSpecs(node=node, reports=reports),
        ]
        for first in prelude:
            log.add(first)
            applied.append(first)
    for drawn in commands:
        command: Command
        if isinstance(drawn, tuple):
            unit, node, instance = drawn
            order = GrantOrder(unit=unit, instance=instance, node=node)
            command = Plan(revision=log.state.revision, grants=(order,), revokes=())
        else:
            command = drawn
        before = {(unit, g.instance): g for unit, row in log.state.rows.items() for g in row.grants.values()}
        log.add(command)
        applied.append(command)
        after = {(unit, g.instance): g for unit, row in log.state.rows.items() for g in row.grants.values()}
        for key, grant in before.items():
            is_proof = isinstance(command, Release | SetNode | RemoveNode) and command.node == grant.node
            assert after.get(key) == grant or is_proof
    replayed = ClusterState()
    for index, command in enumerate(applied, 1):
        replayed.apply(command, index)
    assert replayed == log.state


# Copies that were found


def found_by(log: Log, *nodes: NodeName, spec: UnitSpec = DB_SPEC) -> None:
    for node in nodes:
        log.add(ReportSpecs(node=node, reports=(SpecReport(unit=spec.unit, spec=spec, is_running=True),)))


def test_a_copy_is_found_until_it_is_granted_or_down(log: Log) -> None:
    found_by(log, A, B)
    row = log.state.rows[DB]
    assert list(row.found) == [A, B]
    order = GrantOrder(unit=DB, instance=0, node=A, in_place=True)
    log.add(Plan(revision=log.state.revision, grants=(order,), revokes=()))
    assert (list(row.found), row.desired, row.has_been_up, row.kept) == ([B], Desired.STARTED, True, 1)
    log.add(Observe(node=B, observations=(Observation(unit=DB, active="deactivating"),)))
    assert list(row.found) == [B]
    log.add(Observe(node=B, observations=(Observation(unit=DB, active="inactive"),)))
    assert row.found == {}


def test_what_stopped_meanwhile_is_not_granted_in_place(log: Log) -> None:
    found_by(log, A)
    order = GrantOrder(unit=DB, instance=0, node=A, in_place=True)
    plan = Plan(revision=log.state.revision, grants=(order,), revokes=())
    log.add(Observe(node=A, observations=(Observation(unit=DB, active="failed"),)))
    assert log.add(plan).refusal == ""
    assert log.state.rows[DB].grants == {}


def test_a_copy_is_not_found_any_more_when_its_node_or_its_annotation_is_gone(log: Log) -> None:
    row = log.state.rows[DB]
    found_by(log, A, B)
    log.add(ReportSpecs(node=A, reports=(SpecReport(unit=DB, spec=None),)))
    assert list(row.found) == [B]
    log.add(SetNode(node=B, state=NodeState.ONLINE, boot="another"))
    assert row.found == {}


def test_a_holder_is_not_found_and_what_may_run_everywhere_is_not_either(log: Log) -> None:
    order = GrantOrder(unit=DB, instance=0, node=A)
    log.add(Plan(revision=log.state.revision, grants=(order,), revokes=()))
    found_by(log, A)
    found_by(log, B, spec=UnitSpec(unit=APP, instances=None))
    assert log.state.rows[DB].found == log.state.rows[APP].found == {}


def test_an_operator_s_word_is_void_once_the_node_was_heard(log: Log) -> None:
    def word(since: int) -> str:
        row = log.state.nodes[B]
        command = Fenced(node=B, boot=row.boot, proof=Proof.OPERATOR, by=A, since=since)
        return log.add(command).refusal

    assert "it has been heard meanwhile" in word(log.state.nodes[B].since)
    for state in (NodeState.LOST, NodeState.UNMANAGED, NodeState.LEAVING):
        boot = "" if state is NodeState.LOST else log.state.nodes[B].boot
        log.add(SetNode(node=B, state=state, boot=boot))
        assert log.state.nodes[B].state is state
        assert "it has been heard meanwhile" in word(log.state.nodes[B].since - 1)
        assert word(log.state.nodes[B].since) == ""
        assert log.state.nodes[B].state is NodeState.FENCED
        log.add(SetNode(node=B, state=NodeState.ONLINE, boot=log.state.nodes[B].boot + "+1"))


def test_a_move_to_where_the_unit_may_not_run_is_refused(log: Log) -> None:
    only_a = UnitSpec(unit=DB, nodes=(A,))
    for node in (A, B):
        log.add(ReportSpecs(node=node, reports=(SpecReport(unit=DB, spec=only_a),)))
    assert log.add(MoveUnit(unit=DB, node=B)).refusal == "'db.service' may not run on 'b': not in Nodes=a"
    assert log.state.rows[DB].pin is None
