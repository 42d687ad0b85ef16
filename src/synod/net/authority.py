# SPDX-License-Identifier: LGPL-2.1-or-later
"""The cluster's certificate authority: who may speak for which node.

Decides what a certificate looks like and whether one proves a node's name. Refuses to know who is a member:
that is the ledger's, which lists nodes and the fingerprints of their certificates (safety.md 4.6), and it
is asked at every handshake. Hence streams do not look at a certificate's dates: a removed node is refused
at once by the ledger, while a clock that jumps, or a board without one, must not cost the cluster its
quorum. Dates are looked at when a node joins, and ``renewal_due`` says when a node should ask for its next
certificate.

Profile: RFC 5280; P-256 and SHA-256, which every OpenSSL and every policy since 2012 accepts.
"""

import contextlib
import datetime
import ipaddress
import re
import secrets
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final, TypeVar

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from synod.base.errors import PeerError, RefusedError, SynodError, UsageError
from synod.base.ids import NodeName, is_node_name

AUTHORITY_DAYS: Final = 20 * 365
"""An authority outlives the cluster's machines: replacing it means visiting every node."""

NODE_DAYS: Final = 3 * 365

BACKDATED_DAYS: Final = 1
"""Certificates begin in the past, for joining nodes whose clock is not synchronised yet."""

CLUSTER_NAME_LENGTH_MAX: Final = 40

_CLUSTER_NAME = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9_-]{0,38}[A-Za-z0-9])?")
_CLUSTER_ID = re.compile(r"[0-9a-f]{16}")
_HOST_NAME = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9.-]{0,251}[A-Za-z0-9])?")
_CURVE: Final = ec.SECP256R1()
_UNREADABLE: Final = (
    ValueError, TypeError, KeyError, UnsupportedAlgorithm, x509.InvalidVersion, x509.DuplicateExtension,
    x509.UnsupportedGeneralNameType,
)  # fmt: skip
"""What the library raises for bytes that are not what they claim to be; it parses most parts when asked."""

_ExtensionT = TypeVar("_ExtensionT", bound=x509.ExtensionType)


@dataclass(frozen=True, slots=True, kw_only=True)
class Authority:
    """Private key and certificate of a cluster's authority, PEM."""

    key_pem: bytes
    certificate_pem: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Cluster:
    """Which cluster an authority speaks for; the id tells apart clusters of the same name."""

    name: str
    id: str


def create_key() -> bytes:
    """Return a new private key, PEM (PKCS#8), for a node or an authority."""
    key = ec.generate_private_key(_CURVE)
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


def create_authority(cluster_name: str, *, now: datetime.datetime | None = None) -> Authority:
    """Return the authority of a new cluster; raise UsageError for a name that does not fit."""
    if _CLUSTER_NAME.fullmatch(cluster_name) is None:
        raise UsageError(
            f"'{cluster_name}' is no name for a cluster; "
            f"use up to {CLUSTER_NAME_LENGTH_MAX} letters and digits, with '-' or '_' between them"
        )
    key_pem = create_key()
    key = _private_key(key_pem)
    public = key.public_key()
    name = _name(f"{cluster_name}.{secrets.token_hex(8)}")
    builder = _builder(name, name, public, AUTHORITY_DAYS, now)
    builder = builder.add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
    builder = builder.add_extension(_key_usage(is_authority=True), critical=True)
    builder = builder.add_extension(x509.SubjectKeyIdentifier.from_public_key(public), critical=False)
    return Authority(key_pem=key_pem, certificate_pem=_pem(builder.sign(key, hashes.SHA256())))


def create_request(node: NodeName, key_pem: bytes) -> bytes:
    """Return a certificate signing request, PEM, that proves possession of the key."""
    builder = x509.CertificateSigningRequestBuilder().subject_name(_name(node))
    request = builder.sign(_private_key(key_pem), hashes.SHA256())
    return request.public_bytes(serialization.Encoding.PEM)


def issue(
    authority: Authority,
    node: NodeName,
    request_pem: bytes,
    addresses: Sequence[str] = (),
    *,
    now: datetime.datetime | None = None,
) -> bytes:
    """Return a node's certificate, PEM, for the key that signed ``request_pem``.

    Of the request only the key is taken; name and addresses are the caller's decision. Raises RefusedError
    for a request that is damaged, not signed by its key, for another name, or not P-256, and for an address
    that is neither an IP address nor a host name.
    """
    key = _requested_key(request_pem, node)
    issuer = load_certificate(authority.certificate_pem)
    builder = _builder(_name(node), issuer.subject, key, NODE_DAYS, now)
    names: list[x509.GeneralName] = [x509.DNSName(node), *map(_general_name, addresses)]
    for extension, critical in (
        (x509.BasicConstraints(ca=False, path_length=None), True),
        (_key_usage(is_authority=False), True),
        (x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH]), False),
        (x509.SubjectAlternativeName(names), False),
        (x509.SubjectKeyIdentifier.from_public_key(key), False),
        (x509.AuthorityKeyIdentifier.from_issuer_public_key(_public_key(issuer)), False),
    ):
        builder = builder.add_extension(extension, critical=critical)
    return _pem(builder.sign(_private_key(authority.key_pem), hashes.SHA256()))


def load_certificate(data: bytes) -> x509.Certificate:
    """Read one certificate, PEM or DER; raise PeerError when it is none."""
    with _reading(PeerError("not a certificate, or a damaged one")):
        if data.startswith(b"-----"):
            return x509.load_pem_x509_certificate(data)
        return x509.load_der_x509_certificate(data)


def single_pem(certificate: bytes) -> bytes:
    """Return the first certificate in ``certificate`` alone, PEM: OpenSSL would trust all that are there."""
    return _pem(load_certificate(certificate))


def fingerprint(certificate: bytes) -> str:
    """Return the SHA-256 of a certificate (PEM or DER), 64 hexadecimal digits, as openssl prints it."""
    return load_certificate(certificate).fingerprint(hashes.SHA256()).hex()


def cluster_of(authority_certificate: bytes) -> Cluster:
    """Return which cluster an authority speaks for; raise PeerError when it is no Synod authority."""
    with _reading(PeerError("the certificate is damaged")):
        name, _, cluster_id = _common_name(load_certificate(authority_certificate)).rpartition(".")
    if _CLUSTER_NAME.fullmatch(name) is None or _CLUSTER_ID.fullmatch(cluster_id) is None:
        raise PeerError("the certificate is no cluster authority's")
    return Cluster(name=name, id=cluster_id)


def verify_peer(
    certificate: bytes,
    authority_certificate: bytes,
    *,
    expected: NodeName | None = None,
    at: datetime.datetime | None = None,
) -> NodeName:
    """Return the node that a certificate proves to be.

    Raises PeerError unless it is issued by this authority, for a node, for both ends of a stream, and for
    ``expected`` when given; with ``at`` also unless both certificates are valid at that time.
    """
    with _reading(PeerError("the certificate is damaged")):
        leaf, issuer = load_certificate(certificate), load_certificate(authority_certificate)
        _check_signature(leaf, issuer)
        _check_usage(leaf)
        name = _common_name(leaf)
    if not is_node_name(name):
        raise PeerError("the certificate does not name a node")
    if expected is not None and name != expected:
        raise PeerError(f"the certificate is that of '{name}', expected '{expected}'")
    if at is not None:
        for one in (issuer, leaf):
            _check_dates(one, at)
    return NodeName(name)


def renewal_due(certificate: bytes, now: datetime.datetime) -> bool:
    """Return whether less than a third of a certificate's life is left."""
    loaded = load_certificate(certificate)
    begin, end = _dates(loaded)
    return now.astimezone(datetime.UTC) > end - (end - begin) / 3


def matches_key(certificate: bytes, key_pem: bytes) -> bool:
    """Return whether a certificate is that of a private key."""
    public = _public_key(load_certificate(certificate))
    return public.public_numbers() == _private_key(key_pem).public_key().public_numbers()


@contextlib.contextmanager
def _reading(error: SynodError) -> Iterator[None]:
    """Turn whatever the library says of damaged bytes into one error of ours."""
    try:
        yield
    except _UNREADABLE:
        raise error from None


def _check_signature(leaf: x509.Certificate, issuer: x509.Certificate) -> None:
    constraints = _extension(issuer, x509.BasicConstraints)
    if constraints is None or not constraints.ca or leaf.issuer != issuer.subject:
        raise PeerError("the certificate is not issued by the cluster's authority")
    algorithm = leaf.signature_hash_algorithm
    if not isinstance(algorithm, hashes.SHA256):
        raise PeerError("the certificate is not signed with SHA-256")
    try:
        _public_key(issuer).verify(leaf.signature, leaf.tbs_certificate_bytes, ec.ECDSA(algorithm))
    except InvalidSignature:
        raise PeerError("the certificate is not issued by the cluster's authority") from None


def _check_usage(leaf: x509.Certificate) -> None:
    constraints = _extension(leaf, x509.BasicConstraints)
    usage = _extension(leaf, x509.ExtendedKeyUsage)
    wanted = (ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH)
    if constraints is None or constraints.ca or usage is None or not all(oid in usage for oid in wanted):
        raise PeerError("the certificate is not a node's")


def _check_dates(certificate: x509.Certificate, at: datetime.datetime) -> None:
    begin, end = _dates(certificate)
    if not begin <= at.astimezone(datetime.UTC) <= end:
        raise PeerError(
            f"the certificate is valid from {begin:%Y-%m-%d} to {end:%Y-%m-%d}, and the clock here says "
            f"{at:%Y-%m-%d}"
        )


def _dates(certificate: x509.Certificate) -> tuple[datetime.datetime, datetime.datetime]:
    begin = getattr(certificate, "not_valid_before_utc", None)
    end = getattr(certificate, "not_valid_after_utc", None)
    if isinstance(begin, datetime.datetime) and isinstance(end, datetime.datetime):
        return begin, end
    # Debian 12's version has only those without a time zone; they are UTC by RFC 5280.
    utc = datetime.UTC
    return certificate.not_valid_before.replace(tzinfo=utc), certificate.not_valid_after.replace(tzinfo=utc)


def _extension(certificate: x509.Certificate, kind: type[_ExtensionT]) -> _ExtensionT | None:
    try:
        return certificate.extensions.get_extension_for_class(kind).value
    except x509.ExtensionNotFound:
        return None


def _requested_key(request_pem: bytes, node: NodeName) -> ec.EllipticCurvePublicKey:
    with _reading(RefusedError(f"the certificate request of '{node}' cannot be read")):
        request = x509.load_pem_x509_csr(request_pem)
        is_signed = request.is_signature_valid
        key, subject = request.public_key(), request.subject
    if not isinstance(key, ec.EllipticCurvePublicKey) or not isinstance(key.curve, ec.SECP256R1):
        raise RefusedError(f"the certificate request of '{node}' is for another kind of key than P-256")
    if not is_signed or subject != _name(node):
        raise RefusedError(f"the certificate request of '{node}' does not prove its name and key")
    return key


def _builder(
    subject: x509.Name,
    issuer: x509.Name,
    key: ec.EllipticCurvePublicKey,
    days: int,
    now: datetime.datetime | None,
) -> x509.CertificateBuilder:
    begin = (now or datetime.datetime.now(datetime.UTC)) - datetime.timedelta(days=BACKDATED_DAYS)
    builder = x509.CertificateBuilder().subject_name(subject).issuer_name(issuer).public_key(key)
    builder = builder.serial_number(x509.random_serial_number())
    return builder.not_valid_before(begin).not_valid_after(begin + datetime.timedelta(days=days))


def _key_usage(*, is_authority: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not is_authority, key_cert_sign=is_authority, crl_sign=is_authority,
        content_commitment=False, key_encipherment=False, data_encipherment=False, key_agreement=False,
        encipher_only=False, decipher_only=False,
    )  # fmt: skip


def _general_name(address: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(address))
    except ValueError:
        pass
    if _HOST_NAME.fullmatch(address) is None:
        raise RefusedError(f"'{address:.60}' is neither an IP address nor a host name") from None
    return x509.DNSName(address)


def _name(common_name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name)])


def _common_name(certificate: x509.Certificate) -> str:
    attributes = certificate.subject.get_attributes_for_oid(NameOID.COMMON_NAME)
    if len(attributes) != 1:
        raise PeerError("the certificate has no single name")
    return str(attributes[0].value)


def _public_key(certificate: x509.Certificate) -> ec.EllipticCurvePublicKey:
    key = certificate.public_key()
    if not isinstance(key, ec.EllipticCurvePublicKey):
        raise PeerError("the certificate is not for an elliptic curve key")
    return key


def _private_key(pem: bytes) -> ec.EllipticCurvePrivateKey:
    with _reading(RefusedError("the private key cannot be read")):
        key = serialization.load_pem_private_key(pem, password=None)
    if not isinstance(key, ec.EllipticCurvePrivateKey):
        raise RefusedError("the private key is of another kind than P-256")
    return key


def _pem(certificate: x509.Certificate) -> bytes:
    return certificate.public_bytes(serialization.Encoding.PEM)
