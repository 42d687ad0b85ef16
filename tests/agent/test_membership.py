# SPDX-License-Identifier: LGPL-2.1-or-later
"""Membership on disk: the marker last, damage in one line."""

from pathlib import Path

import pytest

from synod.agent.membership import Member, Membership, MembershipFiles
from synod.base.errors import ConfigError
from synod.base.ids import NodeName
from synod.systemd.paths import Paths

MEMBERSHIP = Membership(
    cluster="demo",
    cluster_id="0123456789abcdef",
    node=NodeName("node1"),
    address="10.77.0.1",
    port=8470,
    is_founder=True,
    members=(Member(name=NodeName("node1"), address="10.77.0.1", port=8470, fingerprint="ab"),),
)


def test_what_is_saved_is_loaded(tmp_path: Path) -> None:
    files = MembershipFiles(Paths(root=tmp_path))
    assert files.load() is None
    files.save(MEMBERSHIP)
    assert files.load() == MEMBERSHIP
    assert files.marker.read_text() == "0123456789abcdef\n"


def test_forgetting_leaves_nothing(tmp_path: Path) -> None:
    files = MembershipFiles(Paths(root=tmp_path))
    files.save(MEMBERSHIP)
    (files.log / "wal").write_text("x")
    files.forget()
    assert files.load() is None
    assert not files.log.exists()
    files.forget()


@pytest.mark.parametrize("text", ["", "{}", "[]", '{"members": 3}', '{"members": [], "extra": 1}', "\x00"])
def test_damage_is_one_line(tmp_path: Path, text: str) -> None:
    files = MembershipFiles(Paths(root=tmp_path))
    files.save(MEMBERSHIP)
    (tmp_path / "var/lib/synod/membership.json").write_text(text)
    with pytest.raises(
        ConfigError, match=r"membership\.json: damaged .*leave the cluster and join again"
    ) as error:
        files.load()
    assert "\n" not in str(error.value)


def test_a_missing_file_behind_the_marker_is_one_line(tmp_path: Path) -> None:
    files = MembershipFiles(Paths(root=tmp_path))
    files.save(MEMBERSHIP)
    (tmp_path / "var/lib/synod/membership.json").unlink()
    with pytest.raises(ConfigError, match="missing although"):
        files.load()
