# SPDX-License-Identifier: LGPL-2.1-or-later
"""Read barriers: proof that nothing was acknowledged elsewhere that is not seen here.

The leader notes its commit index, then waits until a majority has answered a heartbeat sent after the
request: so it was still the leader when asked. A new leader does not know what is committed before its own
first entry commits. Ongaro's dissertation, section 6.4.
"""

from collections import deque
from dataclasses import dataclass

from synod.base.ids import Index, NodeName
from synod.base.usec import Usec
from synod.ledger.effects import Effect, ReadFailed, ReadReady
from synod.ledger.messages import ReadReply
from synod.ledger.timing import PENDING_READS_MAX


@dataclass(frozen=True, slots=True, kw_only=True)
class Barrier:
    """One request as the leader sees it."""

    asker: NodeName | None
    """None: this node itself."""

    nonce: int
    token: int
    round: int
    """A majority must have answered this heartbeat."""

    index: Index
    """What was committed when it was asked for."""

    def reply(self, index: Index | None) -> ReadReply:
        """Return the answer."""
        return ReadReply(nonce=self.nonce, token=self.token, index=index)


class Barriers:
    """The leader's side: requests in the order of their rounds."""

    def __init__(self) -> None:
        self._open: deque[Barrier] = deque()

    @property
    def is_full(self) -> bool:
        """Whether no more can be taken."""
        return len(self._open) >= PENDING_READS_MAX

    def add(self, barrier: Barrier) -> None:
        """Take a request whose round is about to be sent."""
        self._open.append(barrier)

    def passed(self, answered_round: int) -> list[Barrier]:
        """Remove and return the requests whose round a majority has answered."""
        done = []
        while self._open and self._open[0].round <= answered_round:
            done.append(self._open.popleft())
        return done

    def abandon(self) -> list[Barrier]:
        """Remove and return all."""
        done = list(self._open)
        self._open.clear()
        return done


class Readers:
    """The asking side: what this node's callers wait for."""

    def __init__(self) -> None:
        self._asked: dict[int, Usec] = {}  # token -> when to give up; in the order of these times
        self._known: dict[int, Index] = {}  # token -> index to be applied first

    @property
    def deadline(self) -> Usec | None:
        """When the oldest open request is given up."""
        return next(iter(self._asked.values()), None)

    @property
    def is_full(self) -> bool:
        """Whether no more can be taken."""
        return len(self._asked) + len(self._known) >= PENDING_READS_MAX

    def ask(self, token: int, until: Usec) -> None:
        """Note a request."""
        self._asked[token] = until

    def answered(self, token: int, index: Index | None) -> list[Effect]:
        """Note the leader's answer; an answer nobody waits for is ignored."""
        if self._asked.pop(token, None) is None:
            return []
        if index is None:
            return [ReadFailed(token=token)]
        self._known[token] = index
        return []

    def ready(self, commit: Index) -> list[Effect]:
        """Remove and return the requests whose index is applied."""
        done = [(token, index) for token, index in self._known.items() if index <= commit]
        for token, _ in done:
            del self._known[token]
        return [ReadReady(token=token, index=index) for token, index in done]

    def expire(self, now: Usec) -> list[Effect]:
        """Give up what was asked too long ago."""
        late = [token for token, until in self._asked.items() if until <= now]
        for token in late:
            del self._asked[token]
        return [ReadFailed(token=token) for token in late]

    def abandon(self) -> list[Effect]:
        """Give up every request that the leader has not answered."""
        failed: list[Effect] = [ReadFailed(token=token) for token in self._asked]
        self._asked.clear()
        return failed
