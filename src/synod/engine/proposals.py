# SPDX-License-Identifier: LGPL-2.1-or-later
"""Proposals: commands on their way into the log, and who waits for them.

Every proposal carries a request id that the log applies once, so that repeating it after a lost answer or a
change of leader is safe. When the time is up the outcome is unknown: it may still be committed.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from synod.base.ids import NodeName
from synod.base.usec import USEC_PER_MSEC, USEC_PER_SEC, Usec
from synod.ledger.entries import ReqId
from synod.model.command import Command, encode_command
from synod.model.state import Change

RETRY_USEC: Final = Usec(500 * USEC_PER_MSEC)
"""Between repetitions: longer than a commit, shorter than an election."""
PATIENCE_USEC: Final = Usec(30 * USEC_PER_SEC)
"""How long a proposal is repeated unless its owner says otherwise."""

Settled = Callable[[Change | None], None]
"""Called once: with what the command did, or None when the time was up and the outcome is unknown."""


@dataclass(slots=True)
class _Waiting:
    payload: bytes
    settled: Settled
    deadline: Usec
    retry_at: Usec


class Proposals:
    """The node's own proposals that are not settled yet."""

    def __init__(self, client: NodeName, boot: str, propose: Callable[[ReqId, bytes], None]) -> None:
        self._client = client
        self._boot = boot
        self._propose = propose
        self._sequence = 0
        self._waiting: dict[int, _Waiting] = {}
        self.now = Usec(0)

    @property
    def deadline(self) -> Usec | None:
        """When the next repetition or expiry is due."""
        if not self._waiting:
            return None
        return min(min(one.retry_at, one.deadline) for one in self._waiting.values())

    def put(self, command: Command, settled: Settled, *, patience: Usec = PATIENCE_USEC) -> None:
        """Propose a command."""
        self._sequence += 1
        payload = encode_command(command)
        self._waiting[self._sequence] = _Waiting(
            payload, settled, Usec(self.now + patience), Usec(self.now + RETRY_USEC)
        )
        self._send(self._sequence, payload)

    def settle(self, req: ReqId | None, change: Change) -> None:
        """Note that an entry was applied."""
        if req is not None and (req.client, req.boot) == (self._client, self._boot):
            one = self._waiting.pop(req.seq, None)
            if one is not None:
                one.settled(change)

    def tick(self) -> None:
        """Repeat and expire what is due."""
        for sequence, one in list(self._waiting.items()):
            if one.deadline <= self.now:
                del self._waiting[sequence]
                one.settled(None)
            elif one.retry_at <= self.now:
                one.retry_at = Usec(self.now + RETRY_USEC)
                self._send(sequence, one.payload)

    def hurry(self) -> None:
        """Repeat everything at the next tick: there is a new leader."""
        for one in self._waiting.values():
            one.retry_at = self.now

    def _send(self, sequence: int, payload: bytes) -> None:
        self._propose(ReqId(client=self._client, boot=self._boot, seq=sequence), payload)
