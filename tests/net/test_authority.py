# SPDX-License-Identifier: LGPL-2.1-or-later
"""Certificates prove exactly one node's name in exactly one cluster."""

import datetime
import subprocess
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from hypothesis import given, settings
from hypothesis import strategies as st

from synod.base.errors import PeerError, RefusedError, UsageError
from synod.base.ids import NodeName
from synod.net.authority import (
    AUTHORITY_DAYS,
    NODE_DAYS,
    Authority,
    cluster_of,
    create_authority,
    create_key,
    create_request,
    fingerprint,
    issue,
    load_certificate,
    matches_key,
    renewal_due,
    verify_peer,
)

NOW = datetime.datetime(2026, 7, 1, tzinfo=datetime.UTC)
NODE1 = NodeName("node1")
OURS = create_authority("prod", now=NOW)
THEIRS = create_authority("prod", now=NOW)
KEY = create_key()
REQUEST = create_request(NODE1, KEY)
CERTIFICATE = issue(OURS, NODE1, REQUEST, ["192.0.2.1", "2001:db8::1", "node1.example.org"], now=NOW)


def test_the_authority_carries_the_clusters_name_and_an_id_of_its_own() -> None:
    ours, theirs = cluster_of(OURS.certificate_pem), cluster_of(THEIRS.certificate_pem)
    assert (ours.name, theirs.name) == ("prod", "prod")
    assert ours.id != theirs.id


@pytest.mark.parametrize("name", ["", "a b", "a.b", "-a", "a-", "x" * 41, "é", "a\n"])
def test_a_cluster_name_that_does_not_fit_is_refused_in_one_line(name: str) -> None:
    with pytest.raises(UsageError, match="no name for a cluster") as caught:
        create_authority(name)
    assert "\n" not in str(caught.value).replace(name, "")


def test_the_longest_cluster_name_fits() -> None:
    assert cluster_of(create_authority("x" * 40).certificate_pem).name == "x" * 40


def test_a_nodes_certificate_proves_its_name() -> None:
    assert verify_peer(CERTIFICATE, OURS.certificate_pem) == "node1"
    assert verify_peer(CERTIFICATE, OURS.certificate_pem, expected=NODE1, at=NOW) == "node1"
    assert matches_key(CERTIFICATE, KEY)
    assert not matches_key(CERTIFICATE, create_key())


def test_the_addresses_stand_beside_the_name() -> None:
    extensions = load_certificate(CERTIFICATE).extensions
    names = extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert names.get_values_for_type(x509.DNSName) == ["node1", "node1.example.org"]
    addresses = [str(address) for address in names.get_values_for_type(x509.IPAddress)]
    assert addresses == ["192.0.2.1", "2001:db8::1"]


def test_another_name_than_expected_is_refused() -> None:
    with pytest.raises(PeerError, match="that of 'node1', expected 'node2'"):
        verify_peer(CERTIFICATE, OURS.certificate_pem, expected=NodeName("node2"))


def test_another_cluster_of_the_same_name_is_refused() -> None:
    with pytest.raises(PeerError, match="not issued by"):
        verify_peer(CERTIFICATE, THEIRS.certificate_pem)


def test_an_authority_that_borrows_our_name_is_refused() -> None:
    name = load_certificate(OURS.certificate_pem).subject
    key = ec.generate_private_key(ec.SECP256R1())
    builder = x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key())
    builder = builder.not_valid_before(NOW).not_valid_after(NOW + datetime.timedelta(days=9))
    builder = builder.serial_number(1)
    builder = builder.add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
    encoding = serialization.Encoding.PEM
    forged = Authority(
        certificate_pem=builder.sign(key, hashes.SHA256()).public_bytes(encoding),
        key_pem=key.private_bytes(encoding, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()),
    )
    with pytest.raises(PeerError, match="not issued by"):
        verify_peer(issue(forged, NODE1, REQUEST, now=NOW), OURS.certificate_pem)


def test_a_node_cannot_issue_certificates() -> None:
    node2 = NodeName("node2")
    node1 = Authority(key_pem=KEY, certificate_pem=CERTIFICATE)
    forged = issue(node1, node2, create_request(node2, create_key()))
    with pytest.raises(PeerError, match="not issued by"):
        verify_peer(forged, CERTIFICATE)
    with pytest.raises(PeerError, match="not issued by"):
        verify_peer(forged, OURS.certificate_pem)


def test_the_authority_itself_is_no_node() -> None:
    with pytest.raises(PeerError, match="not a node's"):
        verify_peer(OURS.certificate_pem, OURS.certificate_pem)


@pytest.mark.parametrize("days", [-2, NODE_DAYS + 1, AUTHORITY_DAYS + 1])
def test_dates_count_only_when_a_time_is_given(days: int) -> None:
    at = NOW + datetime.timedelta(days=days)
    assert verify_peer(CERTIFICATE, OURS.certificate_pem) == "node1"
    with pytest.raises(PeerError, match="the clock here says"):
        verify_peer(CERTIFICATE, OURS.certificate_pem, at=at)


def test_a_clock_that_is_a_few_hours_late_does_not_keep_a_node_from_joining() -> None:
    assert verify_peer(CERTIFICATE, OURS.certificate_pem, at=NOW - datetime.timedelta(hours=20)) == "node1"


def test_renewal_is_due_in_the_last_third() -> None:
    assert not renewal_due(CERTIFICATE, NOW + datetime.timedelta(days=NODE_DAYS * 2 // 3 - 2))
    assert renewal_due(CERTIFICATE, NOW + datetime.timedelta(days=NODE_DAYS * 2 // 3))


def test_openssl_agrees_on_the_chain_and_the_fingerprint(tmp_path: Path) -> None:
    (tmp_path / "ca.pem").write_bytes(OURS.certificate_pem)
    (tmp_path / "node.pem").write_bytes(CERTIFICATE)
    for purpose in ("sslserver", "sslclient"):
        command = ["openssl", "verify", "-x509_strict", "-CAfile", "ca.pem", "-purpose", purpose, "-attime",
                   str(int(NOW.timestamp())), "node.pem"]  # fmt: skip
        done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=20, check=False)
        assert done.stdout == "node.pem: OK\n", done.stderr
    command = ["openssl", "x509", "-in", "ca.pem", "-noout", "-fingerprint", "-sha256"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=20, check=True)
    printed = done.stdout.strip().rpartition("=")[2].replace(":", "").lower()
    assert printed == fingerprint(OURS.certificate_pem)


def test_the_fingerprint_is_that_of_the_content_whatever_the_encoding() -> None:
    der = load_certificate(CERTIFICATE).public_bytes(serialization.Encoding.DER)
    assert fingerprint(der) == fingerprint(CERTIFICATE)
    assert len(fingerprint(der)) == 64


def test_serial_numbers_differ() -> None:
    again = issue(OURS, NODE1, REQUEST, now=NOW)
    assert load_certificate(again).serial_number != load_certificate(CERTIFICATE).serial_number


def test_a_request_for_another_name_is_refused() -> None:
    with pytest.raises(RefusedError, match="does not prove its name and key"):
        issue(OURS, NodeName("node2"), REQUEST)


def test_a_request_for_another_kind_of_key_is_refused() -> None:
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    name = load_certificate(CERTIFICATE).subject
    request = x509.CertificateSigningRequestBuilder().subject_name(name).sign(key, hashes.SHA256())
    with pytest.raises(RefusedError, match="another kind of key"):
        issue(OURS, NODE1, request.public_bytes(serialization.Encoding.PEM))


def test_a_request_not_signed_by_its_key_is_refused() -> None:
    der = bytearray(x509.load_pem_x509_csr(REQUEST).public_bytes(serialization.Encoding.DER))
    der[-1] ^= 1
    damaged = x509.load_der_x509_csr(bytes(der)).public_bytes(serialization.Encoding.PEM)
    with pytest.raises(RefusedError):
        issue(OURS, NODE1, damaged)


@pytest.mark.parametrize("address", ["", "a b", "-x", "é", "*.example.org", "http://x", "x" * 300])
def test_an_address_that_is_none_is_refused(address: str) -> None:
    with pytest.raises(RefusedError, match="neither an IP address nor a host name"):
        issue(OURS, NODE1, REQUEST, [address])


@settings(max_examples=50)
@given(st.binary(max_size=60) | st.just(b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"))
def test_any_bytes_are_a_certificate_or_a_peer_error(data: bytes) -> None:
    with pytest.raises(PeerError):
        fingerprint(data)
    with pytest.raises(RefusedError):
        issue(OURS, NODE1, data)


@pytest.mark.filterwarnings("ignore:Parsed a negative serial number")
@settings(max_examples=400)
@given(st.data())
def test_a_damaged_certificate_proves_nothing_else(data: st.DataObject) -> None:
    der = bytearray(load_certificate(CERTIFICATE).public_bytes(serialization.Encoding.DER))
    position = data.draw(st.integers(0, len(der) - 1))
    der[position] ^= 1 << data.draw(st.integers(0, 7))
    try:
        verify_peer(bytes(der), OURS.certificate_pem)
    except PeerError:
        return
    # The wrapping of the signature can be written in more than one way; what is signed cannot.
    signed = load_certificate(CERTIFICATE).tbs_certificate_bytes
    assert load_certificate(bytes(der)).tbs_certificate_bytes == signed


@pytest.mark.filterwarnings("ignore:Parsed a negative serial number")
@settings(max_examples=400)
@given(st.data())
def test_a_damaged_authority_is_refused_or_proves_nothing_new(data: st.DataObject) -> None:
    der = bytearray(load_certificate(OURS.certificate_pem).public_bytes(serialization.Encoding.DER))
    der[data.draw(st.integers(0, len(der) - 1))] ^= 1 << data.draw(st.integers(0, 7))
    try:
        assert verify_peer(CERTIFICATE, bytes(der)) == "node1"
        cluster_of(bytes(der))
    except PeerError:
        return
