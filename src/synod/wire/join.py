# SPDX-License-Identifier: LGPL-2.1-or-later
"""What a joining node and a member say to each other, once each.

The member greets with the authority's certificate; the node, having compared it with its token, asks; the
member answers with a certificate or a refusal. All of it inside TLS; net/join.py says why in that order.
"""

from dataclasses import dataclass, field
from typing import Final

from synod.base.codec import Codec
from synod.base.ids import NodeName

JOIN_KIND: Final = 1
"""Frame kind of every message here."""

JOIN_BYTES_MAX: Final = 1 << 20
"""A reply lists every member: some thousands of them. A request is far smaller."""

REQUEST_BYTES_MAX: Final = 16 << 10
"""What is read of somebody who has proved nothing yet."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Greeting:
    """First word of the member: which cluster this is."""

    authority_pem: bytes
    version: int = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class JoinRequest:
    """What a node wants to be; saying it twice with the same key must be harmless."""

    token_id: str
    secret: str = field(repr=False)
    node: NodeName
    request_pem: bytes
    """Certificate signing request."""
    address: str
    """Where the node will listen; "" for the address it calls from."""
    port: int
    role: str = ""
    """voter, satellite, witness; "" lets the cluster decide."""
    version: int = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Member:
    """A node of the cluster, as far as a new one needs to know it."""

    name: NodeName
    address: str
    port: int
    role: str
    certificate_fingerprint: str


@dataclass(frozen=True, slots=True, kw_only=True)
class JoinReply:
    """The node is a member from now on."""

    certificate_pem: bytes
    authority_pem: bytes
    authority_key_pem: bytes | None = field(repr=False)
    """Only for a node that becomes a voter."""
    role: str
    members: tuple[Member, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class JoinRefusal:
    """The node is not a member; ``text`` is for its user."""

    text: str
    exit_status: int


MEMBER_CODEC: Final = Codec(
    {1: Greeting, 3: JoinReply, 4: JoinRefusal}, max_bytes=JOIN_BYTES_MAX, max_items=8192
)
"""What a member says."""

NODE_CODEC: Final = Codec({2: JoinRequest}, max_bytes=REQUEST_BYTES_MAX, max_items=32)
"""What a joining node says; the narrow limits are for those who have proved nothing."""
