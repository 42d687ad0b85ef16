# SPDX-License-Identifier: LGPL-2.1-or-later
"""Contexts refuse what does not fit together and leave no key in a file."""

import dataclasses
import ssl

import pytest

from synod.base.errors import PeerError
from synod.net.keys import TlsIdentity
from synod.net.tls import client_context, joining_context, server_context

from .conftest import AUTHORITY, FOREIGN, new_identity

IDENTITY = new_identity("a")


@pytest.mark.parametrize(
    "broken",
    [
        dataclasses.replace(IDENTITY, key_pem=new_identity("a").key_pem),
        dataclasses.replace(IDENTITY, key_pem=b"rubbish"),
        dataclasses.replace(IDENTITY, certificate_pem=b"rubbish"),
        dataclasses.replace(IDENTITY, authority_pem=b"rubbish"),
        dataclasses.replace(IDENTITY, authority_pem=b""),
    ],
)
def test_an_identity_that_does_not_fit_together_is_an_error_of_ours(broken: TlsIdentity) -> None:
    with pytest.raises(PeerError):
        server_context(broken)
    with pytest.raises(PeerError):
        client_context(broken)


@pytest.mark.parametrize("context", [server_context(IDENTITY), client_context(IDENTITY), joining_context()])
def test_nothing_older_than_tls_1_3_is_spoken(context: ssl.SSLContext) -> None:
    assert context.minimum_version is ssl.TLSVersion.TLSv1_3


def shake(client: ssl.SSLContext, server: ssl.SSLContext) -> tuple[ssl.SSLObject, ssl.SSLObject]:
    """Carry out a handshake in memory; it takes three turns at most."""
    up, down = ssl.MemoryBIO(), ssl.MemoryBIO()
    one = client.wrap_bio(down, up, server_hostname="synod")
    two = server.wrap_bio(up, down, server_side=True)
    for _ in range(3):
        for end in (one, two):
            try:
                end.do_handshake()
            except ssl.SSLWantReadError:
                continue
    return one, two


def test_both_ends_see_each_others_certificate() -> None:
    one, two = shake(client_context(new_identity("b")), server_context(IDENTITY))
    assert one.getpeercert(binary_form=True) == ssl.PEM_cert_to_DER_cert(IDENTITY.certificate_pem.decode())
    assert two.getpeercert(binary_form=True) is not None
    assert (one.version(), two.version()) == ("TLSv1.3", "TLSv1.3")


def test_a_member_does_not_talk_to_another_authority() -> None:
    with pytest.raises(ssl.SSLCertVerificationError):
        shake(client_context(new_identity("b", FOREIGN)), server_context(IDENTITY))
    assert AUTHORITY != FOREIGN
