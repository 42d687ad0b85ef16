# SPDX-License-Identifier: LGPL-2.1-or-later
"""Identities of the journal messages that an operator must see.

Each has an entry in synod.catalog that says what happened and what to do; a test keeps the two equal. The
numbers were drawn at random once and never change; a message whose meaning changes gets a new one. Source:
systemd's CATALOG.
"""

from enum import StrEnum


class MessageId(StrEnum):
    """MESSAGE_ID= of one kind of event; the comment names the fields that its catalog entry refers to."""

    NODE_JOINED = "813689e250dc44159f5a20675e5de17f"
    """SYNOD_PEER="""

    NODE_LEFT = "8ca246285a644f82ab975af751e8d32c"
    """SYNOD_PEER="""

    NODE_LOST = "2393d78af06f47df8dbb63c489c0fd81"
    """SYNOD_PEER=, SYNOD_REASON="""

    NODE_FENCED = "4f2967a2c59a4ac3a0ccdfd3df9f4d89"
    """SYNOD_PEER=, SYNOD_REASON="""

    FENCING_FAILED = "dfda43f03827458cac001b7ab98d0464"
    """SYNOD_PEER=, SYNOD_REASON="""

    DATAGRAMS_BLOCKED = "96b4dc5c9ef447e0927965061676178b"
    """SYNOD_PEER="""

    QUORUM_LOST = "33c15b41bdba4f4cbc3821d742d40bd8"
    """SYNOD_REASON="""

    QUORUM_REGAINED = "e8b2376817534c58b8122ac4f30640f7"

    LEASE_LOST = "8a46f3cd65ab4b2495f25f3a0c65c765"

    UNIT_STARTED = "31c137906d0943eba862ccb4b465a782"
    """SYNOD_REASON="""

    UNIT_STOPPED = "ac7f1f416da34601b27c0c52d9a031ec"
    """SYNOD_REASON="""

    UNIT_REFUSED = "22700b2cbcc14ee0996da078a32c025c"
    """SYNOD_REASON="""

    UNIT_RUNS_ELSEWHERE = "acd1cb9371bb41ea86890a379202c826"
    """SYNOD_PEER="""

    UNIT_RECOVERED = "d54112b18fcd4847a9f6a01a8361cc77"
    """SYNOD_PEER=, SYNOD_REASON="""

    UNIT_CONFLICT = "b6b6f999b66643c4b3748013287c98c4"
    """SYNOD_REASON="""

    ROGUE_COPY = "16ec8eb0052e4a6098140f5d3605008a"
    """SYNOD_REASON="""

    FORGED_FILE = "f4e4b5e017464eb494e627e3f1e95bb3"
    """SYNOD_REASON="""

    BARRIER_TIMED_OUT = "b5beb0b06da24eb7956bc7d9cba3491c"
    """SYNOD_REASON="""

    STOP_FAILED = "4be84784ac974fa5be755c89d229b4ec"
    """SYNOD_REASON="""

    STORAGE_FAILED = "efd810bc5d494344a9fdef37a360a80b"
    """SYNOD_REASON="""

    GENERATOR_PROBLEM = "2f5901fc6fd94197af90b53f466fc008"
    """SYNOD_REASON="""

    BACKSTOP_REPAIRED = "b038164f664d4e2aabfd9d0b1206a73c"
    """SYNOD_REASON="""

    WISH_LOCAL_ONLY = "216caafc41364ff685044a8674dfc5e5"

    WISH_DROPPED = "7e32e624d1f64f55b3c0b9df26d7a949"
    """SYNOD_REASON="""

    SPEC_DIFFERS = "7b4d589ed207460b9899dac0c13097ad"
    """SYNOD_REASON="""

    CYCLE_BROKEN = "c0052020bbe7454fbaff4fb2d2ff8a8a"
    """SYNOD_REASON="""
