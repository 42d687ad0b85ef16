# SPDX-License-Identifier: LGPL-2.1-or-later
"""synod.model.command: the bytes on disk never change, and nothing but a command is read back."""

from dataclasses import fields

import pytest
from hypothesis import given
from hypothesis import strategies as st

from synod.base.codec import MalformedError, TooLargeError
from synod.base.ids import Epoch, NodeName, UnitName
from synod.model.attributes import Condition, Operator, Preference
from synod.model.command import (
    COMMAND_BYTES_MAX,
    COMMANDS,
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
    ReportDevices,
    ReportSpecs,
    RevokeOrder,
    RoleWish,
    SetAttribute,
    SetNode,
    SpecReport,
    Wish,
    decode_command,
    encode_command,
)
from synod.model.spec import UnitSpec

A, B = NodeName("a"), NodeName("b")
DB, WEB, X = UnitName("db.service"), UnitName("web.service"), UnitName("x.service")

GOLDEN: list[tuple[Command, str]] = [
    (
        Found(cluster="c", cluster_id="0a", node=A, address="10.0.0.1", port=7000, fingerprint="f0"),
        "9701a163a23061a161a831302e302e302e31cd1b58a26630",
    ),
    (AddToken(token="t", secret_hash=b"\x01\x02"), "9302a174c4020102"),
    (
        Join(token="t", secret_hash=b"\x01\x02", node=B, address="10.0.0.2", port=7000, fingerprint="f1",
             role=RoleWish.WITNESS),
        "9803a174c4020102a162a831302e302e302e32cd1b58a26631a77769746e657373",
    ),
    (
        SetNode(node=A, state=NodeState.ONLINE, boot="b1", has_fuse=True, since=7),
        "9604a161a66f6e6c696e65a26231c307",
    ),
    (DrainNode(node=A, is_drained=True), "9305a161c3"),
    (RemoveNode(node=A), "9206a161"),
    (
        ReportSpecs(node=A, reports=(SpecReport(unit=DB, spec=UnitSpec(unit=DB, after=(X,), instances=None),
                                                is_running=True),
                                     SpecReport(unit=WEB, spec=None)), is_complete=True),
        "9407a1619293aa64622e73657276696365dc0013aa64622e7365727669636591a9782e736572766963659090"
        "9090909090c0ce055d4a80909090010003ce23c34600c3c393ab7765622e73657276696365c0c2c3",
    ),
    (AdoptSpec(unit=DB, node=A), "9308aa64622e73657276696365a161"),
    (
        Wish(unit=DB, desired=Desired.STARTED, node=A, revision=7, only_if_absent=True),
        "9609aa64622e73657276696365a773746172746564a16107c3",
    ),
    (MoveUnit(unit=DB, node=B), "930aaa64622e73657276696365a162"),
    (
        Plan(revision=7, grants=(GrantOrder(unit=DB, instance=0, node=A, in_place=True),),
             revokes=(RevokeOrder(unit=WEB, instance=1, epoch=Epoch(5)),)),
        "940b079194aa64622e7365727669636500a161c39193ab7765622e736572766963650105",
    ),
    (
        Release(unit=DB, node=A, epoch=Epoch(9), ending=Ending.FAILED, reason="r", was_up=True),
        "970caa64622e73657276696365a16109a66661696c6564a172c3",
    ),
    (
        Observe(node=A, observations=(Observation(unit=DB, active="active"),)),
        "930da1619192aa64622e73657276696365a6616374697665",
    ),
    (Alarm(node=A, unit=DB, text="t"), "940ea161aa64622e73657276696365a174"),
    (
        Fenced(node=A, boot="b1", proof=Proof.DEVICE, by=B, text="off", since=7),
        "970fa161a26231a6646576696365a162a36f666607",
    ),
    (ReportDevices(node=A, targets=(B,)), "9310a16191a162"),
    (SetAttribute(node=A, name="rack", value="r1"), "9414a161a47261636ba27231"),
    (ForgetFailures(unit=DB, node=A, count=3), "9415aa64622e73657276696365a16103"),
]  # fmt: skip

OLDER: list[tuple[Command, str]] = [
    (SetNode(node=A, state=NodeState.ONLINE, boot="b1", has_fuse=True), "9504a161a66f6e6c696e65a26231c3"),
    (
        ReportSpecs(node=A, reports=(SpecReport(unit=DB, spec=UnitSpec(unit=DB, after=(X,), instances=None)),
                                     SpecReport(unit=WEB, spec=None)), is_complete=True),
        "9407a1619292aa64622e73657276696365dc0012aa64622e7365727669636591a9782e736572766963659090"
        "9090909090c0ce055d4a80909090010003ce23c3460092ab7765622e73657276696365c0c3",
    ),
    (
        Plan(revision=7, grants=(GrantOrder(unit=DB, instance=0, node=A),),
             revokes=(RevokeOrder(unit=WEB, instance=1, epoch=Epoch(5)),)),
        "940b079193aa64622e7365727669636500a1619193ab7765622e736572766963650105",
    ),
    (
        ReportSpecs(node=A, reports=(SpecReport(unit=DB, spec=UnitSpec(unit=DB, after=(X,), instances=None)),
                                     SpecReport(unit=WEB, spec=None)), is_complete=True),
        "9407a1619292aa64622e736572766963659baa64622e7365727669636591a9782e736572766963659090"
        "9090909090c0ce055d4a8092ab7765622e73657276696365c0c3",
    ),
    (
        Release(unit=DB, node=A, epoch=Epoch(9), ending=Ending.FAILED, reason="r"),
        "960caa64622e73657276696365a16109a66661696c6564a172",
    ),
]  # fmt: skip
"""What releases before these commands grew have written."""


def test_the_golden_bytes_cover_every_command() -> None:
    kinds = [type(command) for command, _ in GOLDEN]
    assert kinds == list(Command.__args__)


@pytest.mark.parametrize(("command", "data"), GOLDEN, ids=lambda value: type(value).__name__)
def test_the_bytes_of_a_command_never_change(command: Command, data: str) -> None:
    assert encode_command(command).hex() == data
    assert decode_command(bytes.fromhex(data)) == command


@pytest.mark.parametrize(("command", "data"), OLDER, ids=lambda value: type(value).__name__)
def test_what_an_older_release_wrote_is_read(command: Command, data: str) -> None:
    assert decode_command(bytes.fromhex(data)) == command


def test_a_spec_with_all_about_placement() -> None:
    spec = UnitSpec(
        unit=DB,
        avoid_nodes=(B,),
        where=(Condition(attribute="ram", operator=Operator.AT_LEAST, value="64"),),
        prefer=(Preference(attribute="rack", value="r1", score=-5),),
        stickiness=0,
        priority=-7,
    )
    command = ReportSpecs(node=A, reports=(SpecReport(unit=DB, spec=spec),))
    data = encode_command(command)
    assert decode_command(data) == command
    assert data.hex().endswith("91a1629193a372616da23e3da236349193a47261636ba27231fb00f903ce23c34600c3c2c2")


@pytest.mark.parametrize(("command", "data"), GOLDEN, ids=lambda value: type(value).__name__)
def test_an_unknown_last_field_of_a_newer_release_is_ignored(command: Command, data: str) -> None:
    raw = bytearray.fromhex(data)
    assert raw[0] == 0x90 | len(fields(command)) + 1
    raw[0] += 1
    assert decode_command(bytes(raw) + b"\xc0") == command


def test_a_part_of_a_command_is_none() -> None:
    data = COMMANDS.encode(GrantOrder(unit=DB, instance=0, node=A))
    with pytest.raises(MalformedError, match="a GrantOrder is part of a command, not one"):
        decode_command(data)


def test_a_spec_that_no_node_could_report_is_malformed() -> None:
    good = encode_command(ReportSpecs(node=A, reports=(SpecReport(unit=DB, spec=UnitSpec(unit=DB)),)))
    bad = good.replace(b"\xaadb.service", b"\xaadb.nothing")
    assert bad != good
    with pytest.raises(MalformedError):
        decode_command(bad)


def test_a_command_that_is_too_large_is_not_written() -> None:
    with pytest.raises(TooLargeError):
        encode_command(Alarm(node=A, unit=DB, text="x" * COMMAND_BYTES_MAX))


@given(st.binary(max_size=200))
def test_any_bytes_are_a_command_or_malformed(data: bytes) -> None:
    try:
        command = decode_command(data)
    except MalformedError:
        return
    assert isinstance(command, Command)
