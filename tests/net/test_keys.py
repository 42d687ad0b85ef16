# SPDX-License-Identifier: LGPL-2.1-or-later
"""An identity is stored whole or not at all."""

from pathlib import Path

import pytest

from synod.base.errors import NotConfiguredError, StorageError
from synod.base.ids import NodeName
from synod.net.authority import create_authority, create_key, create_request, issue
from synod.net.keys import (
    TlsIdentity,
    forget,
    load_authority,
    load_identity,
    save_authority_key,
    save_identity,
)

AUTHORITY = create_authority("prod")


def new_identity(name: str) -> TlsIdentity:
    key = create_key()
    certificate = issue(AUTHORITY, NodeName(name), create_request(NodeName(name), key))
    return TlsIdentity(authority_pem=AUTHORITY.certificate_pem, certificate_pem=certificate, key_pem=key)


def test_an_identity_is_read_back_and_knows_its_node(tmp_path: Path) -> None:
    identity = new_identity("node1")
    save_identity(tmp_path / "tls", identity)
    loaded = load_identity(tmp_path / "tls")
    assert loaded == identity
    assert loaded.node == "node1"
    assert all(path.stat().st_mode & 0o777 == 0o600 for path in (tmp_path / "tls").iterdir())


def test_the_key_does_not_show_when_an_identity_is_logged() -> None:
    assert "PRIVATE" not in repr(new_identity("node1"))


def test_a_join_interrupted_before_its_last_file_is_no_identity(tmp_path: Path) -> None:
    save_authority_key(tmp_path, AUTHORITY)
    with pytest.raises(NotConfiguredError):
        load_identity(tmp_path)


@pytest.mark.parametrize("damage", [b"", b"rubbish", AUTHORITY.certificate_pem])
def test_a_damaged_identity_is_an_error_of_one_line(tmp_path: Path, damage: bytes) -> None:
    save_identity(tmp_path, new_identity("node1"))
    (tmp_path / "node.pem").write_bytes(damage)
    with pytest.raises(StorageError, match="does not hold one key and one certificate"):
        load_identity(tmp_path)


def test_a_key_beside_the_certificate_of_another_is_noticed(tmp_path: Path) -> None:
    one, two = new_identity("node1"), new_identity("node2")
    save_identity(tmp_path, one)
    (tmp_path / "node.pem").write_bytes(one.key_pem + two.certificate_pem)
    with pytest.raises(StorageError, match="do not match"):
        load_identity(tmp_path)


def test_only_a_voter_holds_the_authoritys_key(tmp_path: Path) -> None:
    assert load_authority(tmp_path) is None
    save_authority_key(tmp_path, AUTHORITY)
    assert load_authority(tmp_path) == AUTHORITY


def test_forgetting_removes_everything_and_may_be_repeated(tmp_path: Path) -> None:
    save_identity(tmp_path, new_identity("node1"))
    save_authority_key(tmp_path, AUTHORITY)
    forget(tmp_path)
    forget(tmp_path)
    assert list(tmp_path.iterdir()) == []
