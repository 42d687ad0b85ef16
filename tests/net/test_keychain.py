# SPDX-License-Identifier: LGPL-2.1-or-later
"""Every node ends with the cluster's newest ring, whatever it began with."""

import itertools
import stat
from pathlib import Path

import pytest

from synod.base.codec import MalformedError
from synod.base.ids import NodeName
from synod.net.keychain import GENERATION_MAX, Keychain, found_keys
from synod.net.keys import forget
from synod.net.sealed import Opened, Opener, Sealer, new_session
from synod.wire.gossipkeys import KeyRing, KeyRow, encode_keys

A, B = NodeName("a"), NodeName("b")


def chain(root: Path, name: str) -> Keychain:
    return Keychain(root / name, "prod.1")


def understand(one: Keychain, other: Keychain) -> bool:
    opener = Opener(other.keyring, B)
    opener.set_senders([A])
    return isinstance(opener.open(Sealer(one.keyring, A, new_session()).seal(B, b"hello")), Opened)


def test_a_joining_node_takes_the_ring_of_the_cluster_and_never_the_other_way_round(tmp_path: Path) -> None:
    found_keys(tmp_path / "founder")
    founder, joiner = chain(tmp_path, "founder"), chain(tmp_path, "joiner")
    assert not understand(joiner, founder)
    assert not founder.take(joiner.offer)
    assert joiner.take(founder.offer)
    assert understand(joiner, founder)
    assert not joiner.take(founder.offer), "it is no news"


def test_the_ring_survives_a_restart_and_only_root_reads_it(tmp_path: Path) -> None:
    found_keys(tmp_path / "a")
    first = chain(tmp_path, "a")
    first.renew()
    assert chain(tmp_path, "a").offer == first.offer
    assert stat.S_IMODE((tmp_path / "a" / "gossip.key").stat().st_mode) == 0o600
    forget(tmp_path / "a")
    assert not (tmp_path / "a" / "gossip.key").exists()


def test_rings_of_one_generation_converge_in_any_order(tmp_path: Path) -> None:
    for order in itertools.permutations(range(3)):
        chains = [chain(tmp_path / str(order), name) for name in "abc"]
        for _ in range(2):
            for target, source in itertools.product(order, order):
                chains[target].take(chains[source].offer)
        assert len({one.offer for one in chains}) == 1


def test_a_key_is_replaced_without_a_gap(tmp_path: Path) -> None:
    found_keys(tmp_path / "a")
    a, b = chain(tmp_path, "a"), chain(tmp_path, "b")
    b.take(a.offer)
    late = Keychain(tmp_path / "a", "prod.1")
    a.renew()
    assert b.take(a.offer)
    assert understand(late, a), "who has not heard of it yet is understood"
    assert a.has_old_key
    a.retire()
    assert b.take(a.offer)
    assert understand(a, b)
    assert not understand(late, a), "a removed node's key opens nothing"


def test_a_damaged_file_is_replaced(tmp_path: Path) -> None:
    found_keys(tmp_path / "a")
    (tmp_path / "a" / "gossip.key").write_bytes(b"\x00" * 20)
    assert chain(tmp_path, "a").generation == 0


ROW = KeyRow(id=1, secret=bytes(32))


@pytest.mark.parametrize("ring", [
    KeyRing(generation=7, keys=()),
    KeyRing(generation=7, keys=(ROW, ROW)),
    KeyRing(generation=7, keys=(KeyRow(id=1, secret=b"short"),)),
    KeyRing(generation=7, keys=(KeyRow(id=-1, secret=bytes(32)),)),
    KeyRing(generation=GENERATION_MAX, keys=(ROW,)),
    KeyRing(generation=-1, keys=(ROW,)),
])  # fmt: skip
def test_a_ring_that_no_node_made_is_refused(tmp_path: Path, ring: KeyRing) -> None:
    with pytest.raises(MalformedError):
        chain(tmp_path, "a").take(encode_keys(ring))


def test_secrets_are_not_shown(tmp_path: Path) -> None:
    assert "secret" not in repr(ROW)
    assert "secret" not in repr(chain(tmp_path, "a").keyring)
