# SPDX-License-Identifier: LGPL-2.1-or-later
"""How a machine founds a cluster, is let into one, and lets others in."""

from typing import Final, Protocol

from synod.agent.membership import Member, Membership, MembershipFiles
from synod.base.errors import RefusedError, UsageError
from synod.base.ids import NodeName, is_node_name
from synod.engine.requests import Admit
from synod.model.command import RoleWish
from synod.net.authority import (
    Authority,
    cluster_of,
    create_authority,
    create_key,
    create_request,
    fingerprint,
    issue,
)
from synod.net.join import Wish, join
from synod.net.keychain import found_keys
from synod.net.keys import TlsIdentity, load_authority, save_authority_key, save_identity
from synod.net.tokens import hash_secret, parse_token
from synod.wire.join import JoinReply, JoinRequest
from synod.wire.join import Member as WireMember

CLUSTER_NAME_LENGTH_MAX: Final = 40
_ROLES: Final = {"": RoleWish.AUTOMATIC, "automatic": RoleWish.AUTOMATIC, "voter": RoleWish.VOTER,
                 "satellite": RoleWish.SATELLITE, "witness": RoleWish.WITNESS}  # fmt: skip


def found(files: MembershipFiles, cluster: str, node: NodeName, address: str, port: int) -> Membership:
    """Make keys for a new cluster of one node; the marker is the caller's to write."""
    if not is_node_name(cluster) or len(cluster) > CLUSTER_NAME_LENGTH_MAX:
        raise UsageError(f"'{cluster}' is not a cluster name; use letters, digits and hyphens")
    authority = create_authority(cluster)
    key = create_key()
    certificate = issue(authority, node, create_request(node, key), (address,))
    save_authority_key(files.keys, authority)
    identity = TlsIdentity(authority_pem=authority.certificate_pem, certificate_pem=certificate, key_pem=key)
    save_identity(files.keys, identity)
    found_keys(files.keys)
    who = cluster_of(authority.certificate_pem)
    return Membership(
        cluster=cluster, cluster_id=who.id, node=node, address=address, port=port, is_founder=True,
        members=(Member(name=node, address=address, port=port, fingerprint=fingerprint(certificate)),),
    )  # fmt: skip


async def ask_in(
    files: MembershipFiles, node: NodeName, host: str, port: int, token_text: str, role: str,
    address: str, own_port: int,
) -> Membership:  # fmt: skip
    """Spend a token at a member, and keep what it answers."""
    token = parse_token(token_text)
    key = create_key()
    request = JoinRequest(
        token_id=token.id, secret=token.secret, node=node, request_pem=create_request(node, key),
        address=address, port=own_port, role="" if role == "automatic" else role,
    )  # fmt: skip
    reply = await join(host, port, Wish(token=token, request=request, key_pem=key))
    return _keep(files, node, reply, key, own_port)


def _keep(files: MembershipFiles, node: NodeName, reply: JoinReply, key: bytes, port: int) -> Membership:
    identity = TlsIdentity(
        authority_pem=reply.authority_pem, certificate_pem=reply.certificate_pem, key_pem=key
    )
    save_identity(files.keys, identity)
    if reply.authority_key_pem is not None:
        authority = Authority(key_pem=reply.authority_key_pem, certificate_pem=reply.authority_pem)
        save_authority_key(files.keys, authority)
    who = cluster_of(reply.authority_pem)
    mine = next((one for one in reply.members if one.name == node), None)
    files.forget_log()
    return Membership(
        cluster=who.name, cluster_id=who.id, node=node, address=mine.address if mine else "", port=port,
        is_founder=False,
        members=tuple(
            Member(
                name=one.name,
                address=one.address,
                port=one.port,
                fingerprint=one.certificate_fingerprint,
            )
            for one in reply.members
        ),
    )  # fmt: skip


class Admitter(Protocol):
    """What the doorkeeper needs of the running member."""

    async def admit(self, request: Admit) -> None:
        """Commit an admission; raise SynodError with the reason."""

    def members(self) -> tuple[Member, ...]:
        """List all members, the new one included."""


class Doorkeeper:
    """Lets nodes in: issues the certificate, and spends the token through the log."""

    def __init__(self, files: MembershipFiles, admit: Admitter) -> None:
        self._files = files
        self._admit = admit
        self._admitted: dict[tuple[str, NodeName, bytes], JoinReply] = {}

    async def authorize(self, request: JoinRequest) -> JoinReply:
        """Answer a join; the same request again gets the same answer, for its first answer may be lost."""
        key = (request.token_id, request.node, request.request_pem)
        if key in self._admitted:
            return self._admitted[key]
        if request.role not in _ROLES:
            raise UsageError(f"'{request.role}' is not a role; use voter, satellite or witness")
        authority = load_authority(self._files.keys)
        if authority is None:
            raise RefusedError("this node may not issue certificates; join by way of a voter's address")
        certificate = issue(authority, request.node, request.request_pem, (request.address,))
        admit = Admit(
            token=request.token_id, secret_hash=hash_secret(request.secret), node=request.node,
            address=request.address, port=request.port, fingerprint=fingerprint(certificate),
            role=_ROLES[request.role],
        )  # fmt: skip
        await self._admit.admit(admit)
        may_vote = admit.role in (RoleWish.AUTOMATIC, RoleWish.VOTER)
        reply = JoinReply(
            certificate_pem=certificate, authority_pem=authority.certificate_pem,
            authority_key_pem=authority.key_pem if may_vote else None, role=admit.role.value,
            members=tuple(_wire(member) for member in self._admit.members()),
        )  # fmt: skip
        self._admitted[key] = reply
        return reply


def _wire(member: Member) -> WireMember:
    return WireMember(
        name=member.name, address=member.address, port=member.port, role="",
        certificate_fingerprint=member.fingerprint,
    )  # fmt: skip
