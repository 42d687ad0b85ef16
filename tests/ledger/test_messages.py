# SPDX-License-Identifier: LGPL-2.1-or-later
"""What a peer sends may be anything: it never raises, and never breaks a property."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from ledger_world import Storm

from synod.base.ids import Index, NodeName, Term
from synod.base.usec import Usec
from synod.ledger.entries import Entry, ReqId
from synod.ledger.events import Receive, Tick
from synod.ledger.membership import Configuration
from synod.ledger.messages import (
    AppendAccepted,
    AppendEntries,
    AppendRefused,
    Forward,
    ForwardRefused,
    Message,
    PreVoteReply,
    PreVoteRequest,
    ReadReply,
    ReadRequest,
    StaleTerm,
    TimeoutNow,
    VoteReply,
    VoteRequest,
    is_sensible,
)
from synod.ledger.timing import BOOT_LENGTH_MAX, COUNT_MAX, PAYLOAD_BYTES_MAX

NAMES = [NodeName(name) for name in ("n1", "n2", "n3", "stranger")]
numbers = st.integers(-1, 6) | st.sampled_from([COUNT_MAX - 1, COUNT_MAX, 1 << 70])
reqs = st.builds(ReqId, client=st.sampled_from(NAMES), boot=st.sampled_from(["b", "x" * 99]), seq=numbers)
configurations = st.builds(Configuration, voters=st.lists(st.sampled_from(NAMES)).map(tuple),
                           learners=st.lists(st.sampled_from(NAMES)).map(tuple))
entries = st.builds(Entry, index=numbers, term=numbers, payload=st.binary(max_size=2), req=st.none() | reqs,
                    configuration=st.none() | configurations)
messages: st.SearchStrategy[Message] = st.one_of(
    st.builds(PreVoteRequest, term=numbers, last_index=numbers, last_term=numbers),
    st.builds(PreVoteReply, term=numbers, granted=st.booleans()),
    st.builds(VoteRequest, term=numbers, last_index=numbers, last_term=numbers, transfer=st.booleans()),
    st.builds(VoteReply, term=numbers, granted=st.booleans()),
    st.builds(AppendEntries, term=numbers, round=numbers, prev_index=numbers, prev_term=numbers,
              commit=numbers, quorum_age=numbers, entries=st.lists(entries, max_size=3).map(tuple)),
    st.builds(AppendAccepted, term=numbers, round=numbers, match=numbers),
    st.builds(AppendRefused, term=numbers, round=numbers, prev_index=numbers, hint_index=numbers,
              hint_term=numbers),
    st.builds(StaleTerm, term=numbers),
    st.builds(TimeoutNow, term=numbers),
    st.builds(Forward, term=numbers, req=reqs, payload=st.binary(max_size=3)),
    st.builds(ForwardRefused, term=numbers, req=reqs, reason=st.text(max_size=3)),
    st.builds(ReadRequest, term=numbers, nonce=numbers, token=numbers),
    st.builds(ReadReply, nonce=numbers, token=numbers, index=st.none() | numbers),
)


@settings(max_examples=300, deadline=None)
@given(st.lists(st.tuples(st.sampled_from(NAMES), messages), max_size=12), st.integers(0, 30))
def test_a_peer_can_not_make_a_node_raise(received: list[tuple[NodeName, Message]], seed: int) -> None:
    storm = Storm(seed)
    for host in storm.hosts.values():
        storm.boot(host)
    storm.run(400_000)
    raft = next(iter(storm.hosts.values())).raft
    for peer, message in received:
        term, commit = raft.term, raft.commit_index
        raft.step(Receive(peer=peer, message=message), storm.now)
        assert raft.term >= term
        assert raft.commit_index >= commit
    raft.step(Tick(), Usec(storm.now + 2_000_000))


def append(*items: Entry) -> AppendEntries:
    return AppendEntries(term=Term(5), round=1, prev_index=Index(3), prev_term=Term(2), commit=Index(0),
                         quorum_age=Usec(0), entries=items)


def entry(index: int, term: int, payload: bytes = b"", boot: str = "b", seq: int = 1) -> Entry:
    return Entry(index=Index(index), term=Term(term), payload=payload,
                 req=ReqId(client=NAMES[0], boot=boot, seq=seq))


MEMBERS = Configuration.of(voters=NAMES[:1])


@pytest.mark.parametrize("message", [
    append(), append(entry(4, 2)), append(entry(4, 2), entry(5, 5)),
    append(Entry(index=Index(4), term=Term(3), configuration=MEMBERS)),
    append(entry(4, 2, payload=b"x" * PAYLOAD_BYTES_MAX, boot="b" * BOOT_LENGTH_MAX)),
])
def test_sensible(message: Message) -> None:
    assert is_sensible(message)


@pytest.mark.parametrize("message", [
    append(entry(5, 2)), append(entry(4, 1)), append(entry(4, 6)), append(entry(4, 3), entry(5, 2)),
    append(entry(4, 3), entry(4, 3)), append(entry(4, 2, seq=0)), append(entry(4, 2, boot="b" * 65)),
    append(entry(4, 2, payload=b"x" * (PAYLOAD_BYTES_MAX + 1))),
    append(Entry(index=Index(4), term=Term(3))),
    append(Entry(index=Index(4), term=Term(3), payload=b"x", configuration=MEMBERS)),
    append(Entry(index=Index(4), term=Term(3), configuration=Configuration(voters=(NAMES[1], NAMES[0])))),
    VoteRequest(term=Term(2), last_index=Index(1), last_term=Term(2)),
    AppendRefused(term=Term(2), round=1, prev_index=Index(1), hint_index=Index(2), hint_term=Term(1)),
    StaleTerm(term=Term(COUNT_MAX)),
])
def test_senseless(message: Message) -> None:
    assert not is_sensible(message)
