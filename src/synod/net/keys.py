# SPDX-License-Identifier: LGPL-2.1-or-later
"""What a node keeps to prove who it is: its key and certificate, the authority's certificate, maybe its key.

Decides the file names below the caller's directory (/var/lib/synod/tls/). ``node.pem`` holds key and
certificate together and is written last: it exists only when everything it needs does, and a renewal cannot
leave a key beside the certificate of another.

Every voter holds the authority's key: otherwise the loss of one node would end all joins. It is handed over
in the join reply, inside the authenticated channel, and only to nodes that become voters. Those could forge
grants anyway, so the key adds little to what they are trusted with.
"""

import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from synod.base.errors import StorageError
from synod.base.ids import NodeName
from synod.net.authority import Authority, matches_key, verify_peer
from synod.net.files import read_file, remove_file, write_file

_FILE_BYTES_MAX: Final = 64 << 10
_PEM = re.compile(rb"-----BEGIN ([A-Z ]+)-----.+?-----END \1-----\n?", re.DOTALL)


@dataclass(frozen=True, slots=True, kw_only=True)
class TlsIdentity:
    """Everything one end of a stream needs, PEM."""

    authority_pem: bytes
    """Certificate of the cluster's authority."""
    certificate_pem: bytes
    """Certificate of this node."""
    key_pem: bytes = field(repr=False)

    @property
    def node(self) -> NodeName:
        """Name of this node as its certificate says; raises PeerError when it proves none."""
        return verify_peer(self.certificate_pem, self.authority_pem)


def save_identity(directory: Path, identity: TlsIdentity) -> None:
    """Store an identity durably; raise StorageError."""
    write_file(directory / "authority.pem", identity.authority_pem)
    write_file(directory / "node.pem", identity.key_pem.rstrip() + b"\n" + identity.certificate_pem)


def load_identity(directory: Path) -> TlsIdentity:
    """Return the identity stored in ``directory``.

    Raises NotConfiguredError when there is none, and StorageError when it is damaged.
    """
    path = directory / "node.pem"
    blocks = {match[1]: match[0] for match in _PEM.finditer(read_file(path, _FILE_BYTES_MAX))}
    authority_pem = read_file(directory / "authority.pem", _FILE_BYTES_MAX)
    if blocks.keys() != {b"PRIVATE KEY", b"CERTIFICATE"}:
        raise StorageError(f"'{path}' does not hold one key and one certificate; restore it or join again")
    identity = TlsIdentity(
        authority_pem=authority_pem, certificate_pem=blocks[b"CERTIFICATE"], key_pem=blocks[b"PRIVATE KEY"]
    )
    if not matches_key(identity.certificate_pem, identity.key_pem):
        raise StorageError(f"key and certificate in '{path}' do not match; restore it or join again")
    return identity


def save_authority_key(directory: Path, authority: Authority) -> None:
    """Store the authority's key durably, on a voter; raise StorageError."""
    write_file(directory / "authority.pem", authority.certificate_pem)
    write_file(directory / "authority.key", authority.key_pem)


def load_authority(directory: Path) -> Authority | None:
    """Return the authority if this node holds its key, else None; raise StorageError."""
    path = directory / "authority.key"
    if not path.exists():
        return None
    return Authority(
        key_pem=read_file(path, _FILE_BYTES_MAX),
        certificate_pem=read_file(directory / "authority.pem", _FILE_BYTES_MAX),
    )


def forget(directory: Path) -> None:
    """Remove everything that proves membership, as leaving does; raise StorageError."""
    for name in ("node.pem", "authority.key", "authority.pem", "gossip.key"):
        remove_file(directory / name)
