# SPDX-License-Identifier: LGPL-2.1-or-later
"""TLS 1.3 as Synod uses it: both ends prove their node, except a node that is just joining.

Decides the contexts. Refuses to know who is a member. Two protocols share one port and are told apart by
ALPN (RFC 7301): ``synod/1`` between members and ``synod-join/1`` for a node that has no certificate yet. A
context of Python's ssl cannot require certificates for one of them only, so the server's asks for a
certificate, lets OpenSSL verify whatever is shown, and ``peer_of`` refuses a member's stream without one
before a byte of it is read.
"""

import os
import ssl
from typing import Final

from synod.base.errors import PeerError
from synod.base.ids import NodeName
from synod.net.authority import fingerprint, single_pem, verify_peer
from synod.net.keys import TlsIdentity

ALPN_PEER: Final = "synod/1"
ALPN_JOIN: Final = "synod-join/1"

SERVER_NAME: Final = "synod"
"""What is sent as server name (RFC 6066), in clear: not the node's, which is nobody's business."""

_NO_CHECK_TIME: Final = 0x200000
"""X509_V_FLAG_NO_CHECK_TIME of OpenSSL, which Python does not name; why: see authority.py."""


def server_context(identity: TlsIdentity) -> ssl.SSLContext:
    """Return the context of the listening side; raise PeerError when the identity does not fit together."""
    context = _context(ssl.PROTOCOL_TLS_SERVER, identity)
    context.verify_mode = ssl.CERT_OPTIONAL
    # A ticket would let a removed node back in without showing its certificate, and its two records would
    # arrive at a peer that may already have closed.
    context.num_tickets = 0
    context.set_alpn_protocols([ALPN_PEER, ALPN_JOIN])
    return context


def client_context(identity: TlsIdentity) -> ssl.SSLContext:
    """Return the context with which a member calls another; raise PeerError as server_context does."""
    context = _context(ssl.PROTOCOL_TLS_CLIENT, identity)
    context.set_alpn_protocols([ALPN_PEER])
    return context


def joining_context() -> ssl.SSLContext:
    """Return the context of a node without certificate.

    It verifies nothing: the caller must check the server's certificate against the token's fingerprint
    before sending anything.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    context.set_alpn_protocols([ALPN_JOIN])
    return context


def peer_of(stream: ssl.SSLObject, authority_pem: bytes) -> tuple[NodeName, str]:
    """Return the node at the other end, and its certificate's fingerprint; raise PeerError without proof."""
    certificate = stream.getpeercert(binary_form=True)
    if certificate is None:
        raise PeerError("it showed no certificate")
    return verify_peer(certificate, authority_pem), fingerprint(certificate)


def _context(protocol: int, identity: TlsIdentity) -> ssl.SSLContext:
    context = ssl.SSLContext(protocol)
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    context.check_hostname = False  # peer_of compares the node's name, which is what the certificate is for
    context.verify_mode = ssl.CERT_REQUIRED
    context.verify_flags |= _NO_CHECK_TIME
    try:
        context.load_verify_locations(cadata=single_pem(identity.authority_pem).decode())
        _load_chain(context, identity)
    except (ssl.SSLError, ValueError) as error:
        raise PeerError(f"this node's key and certificates do not fit together: {error}") from None
    return context


def _load_chain(context: ssl.SSLContext, identity: TlsIdentity) -> None:
    """Hand over the key through memory: Python takes paths only, and keys do not belong in /tmp."""
    descriptor = os.memfd_create("synod-identity", os.MFD_CLOEXEC)
    try:
        with open(descriptor, "wb", closefd=False) as file:
            file.write(identity.key_pem.rstrip() + b"\n" + identity.certificate_pem)
        context.load_cert_chain(f"/proc/self/fd/{descriptor}")
    finally:
        os.close(descriptor)
