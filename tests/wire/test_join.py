# SPDX-License-Identifier: LGPL-2.1-or-later
"""The words of the join protocol: stable bytes, one version back, and no secret in a log."""

import msgpack
import pytest

from synod.base.codec import MalformedError, TooLargeError
from synod.base.ids import NodeName
from synod.wire.join import (
    MEMBER_CODEC,
    NODE_CODEC,
    Greeting,
    JoinRefusal,
    JoinReply,
    JoinRequest,
    Member,
)

REQUEST = JoinRequest(token_id="i", secret="hush", node=NodeName("n"), request_pem=b"c", address="", port=7)
MEMBER = Member(name=NodeName("m"), address="::1", port=7, role="voter", certificate_fingerprint="f")
REPLY = JoinReply(
    certificate_pem=b"c", authority_pem=b"a", authority_key_pem=b"hush", role="voter",
    members=(MEMBER, MEMBER),
)  # fmt: skip
REFUSAL = JoinRefusal(text="no", exit_status=12)


@pytest.mark.parametrize("message", [Greeting(authority_pem=b"a"), REPLY, REFUSAL])
def test_what_a_member_says_is_understood(message: object) -> None:
    assert MEMBER_CODEC.decode(MEMBER_CODEC.encode(message)) == message


def test_what_a_node_says_is_understood() -> None:
    assert NODE_CODEC.decode(NODE_CODEC.encode(REQUEST)) == REQUEST


def test_the_bytes_are_those_of_the_first_release() -> None:
    assert NODE_CODEC.encode(REQUEST) == msgpack.packb([2, "i", "hush", "n", b"c", "", 7, "", 1])
    member = ["m", "::1", 7, "voter", "f"]
    assert MEMBER_CODEC.encode(REPLY) == msgpack.packb([3, b"c", b"a", b"hush", "voter", [member, member]])


def test_a_request_without_the_newer_fields_is_understood() -> None:
    assert NODE_CODEC.decode(msgpack.packb([2, "i", "hush", "n", b"c", "", 7])) == REQUEST


def test_secrets_do_not_show_when_messages_are_logged() -> None:
    assert "hush" not in repr(REQUEST)
    assert "hush" not in repr(REPLY)


def test_neither_side_understands_the_others_words() -> None:
    with pytest.raises(MalformedError):
        NODE_CODEC.decode(MEMBER_CODEC.encode(REPLY))
    with pytest.raises(MalformedError):
        MEMBER_CODEC.decode(NODE_CODEC.encode(REQUEST))


def test_a_request_is_small() -> None:
    with pytest.raises(TooLargeError):
        NODE_CODEC.encode(JoinRequest(
            token_id="i", secret="s", node=NodeName("n"), request_pem=bytes(16 << 10), address="", port=7
        ))  # fmt: skip
