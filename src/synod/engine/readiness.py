# SPDX-License-Identifier: LGPL-2.1-or-later
"""Readiness: which units are up anywhere, as the agents that run them say (safety section 5).

A provider counts as up only by the word of the agent whose node runs it, never by what the ledger observed.
A word carries the sender's incarnation and a sequence number; older words are dropped.
"""

from dataclasses import dataclass, field

from synod.base.ids import Epoch, NodeName, UnitName
from synod.engine.desk import EPOCH_NONE, Desk
from synod.engine.messages import Announce, Export, Ready
from synod.model.command import NodeState

_SPEAKING = (NodeState.ONLINE, NodeState.LEAVING, NodeState.UNMANAGED)


@dataclass(slots=True)
class _Voice:
    """What one node says it exports."""

    boot: str = ""
    agent: int = 0
    sequence: int = 0
    exports: dict[UnitName, Epoch] = field(default_factory=dict)


class Readiness:
    """The exports of all nodes, this one's included."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self._voices: dict[NodeName, _Voice] = {}
        self._mine: dict[UnitName, Epoch] = {}
        self._fresh: dict[NodeName, None] = {}
        """Peers that have spoken on the present stream: what others said before may be old."""
        self._sequence = 0

    def holders(self, unit: UnitName) -> tuple[NodeName, ...]:
        """List the nodes on which the unit is up."""
        nodes = self._desk.state.nodes
        found = [self._desk.me] if unit in self._mine else []
        for name, voice in self._voices.items():
            row = nodes.get(name)
            if unit not in voice.exports or row is None or row.state not in _SPEAKING:
                continue
            if voice.boot == row.boot and self._is_granted(unit, name, voice.exports[unit]):
                found.append(name)
        return tuple(sorted(found))

    def _is_granted(self, unit: UnitName, node: NodeName, epoch: Epoch) -> bool:
        """Whether the log does not contradict a peer's word, which may be old when there is no stream."""
        if epoch == EPOCH_NONE or epoch > self._desk.state.applied:
            return True
        grant = self._desk.row(unit).grant_on(node)
        return grant is not None and grant.epoch == epoch

    def is_up(self, unit: UnitName) -> bool:
        """Whether at least one instance is up."""
        return bool(self.holders(unit))

    def claimants(self, unit: UnitName) -> list[NodeName]:
        """List the peers that say or said last that the unit is up there, whatever the log knows.

        But for a proof: of an incarnation that was fenced nothing runs any more.
        """
        claims = [(name, voice.boot) for name, voice in self._voices.items() if unit in voice.exports]
        return [name for name, boot in claims if not self._is_fenced(name, boot)]

    def _is_fenced(self, name: NodeName, boot: str) -> bool:
        row = self._desk.state.nodes.get(name)
        return row is not None and row.state is NodeState.FENCED and row.boot == boot

    def is_confirmed(self, unit: UnitName) -> bool:
        """Whether an instance is up by a word that is not old: without it nothing is started.

        What runs already is not stopped for the want of it: a stream that is reset is no news of a provider.
        """
        return any(name == self._desk.me or name in self._fresh for name in self.holders(unit))

    def lost(self, peer: NodeName) -> None:
        """Note that a peer cannot be heard any more."""
        if peer in self._fresh:
            del self._fresh[peer]
            self._desk.touch(self.exports_of(peer))

    def exported(self, unit: UnitName) -> bool:
        """Whether this node says that the unit is up here."""
        return unit in self._mine

    def publish(self, unit: UnitName, epoch: Epoch, *, is_up: bool, is_stopping: bool) -> None:
        """Tell every peer that an export of this node changed."""
        if is_up:
            self._mine[unit] = epoch
        else:
            self._mine.pop(unit, None)
        self._sequence += 1
        self._desk.touch([unit])
        message = Ready(
            boot=self._desk.boot,
            agent=self._desk.agent,
            sequence=self._sequence,
            unit=unit,
            epoch=epoch,
            is_up=is_up,
            is_stopping=is_stopping,
        )
        for peer in self._desk.connected:
            self._desk.send(peer, message)

    def greet(self, peer: NodeName) -> None:
        """Tell a peer, on a new stream, all that this node exports."""
        exports = tuple(Export(unit=unit, epoch=epoch) for unit, epoch in self._mine.items())
        self._desk.send(peer, Announce(boot=self._desk.boot, agent=self._desk.agent, exports=exports))

    def hear_announce(self, peer: NodeName, message: Announce) -> tuple[UnitName, ...]:
        """Replace what a peer said before; return the units that it exports no more."""
        old = self._voices.get(peer, _Voice())
        if message.boot == old.boot and message.agent < old.agent:
            return ()
        self._fresh[peer] = None
        exports = {export.unit: export.epoch for export in message.exports}
        sequence = old.sequence if (old.boot, old.agent) == (message.boot, message.agent) else 0
        self._voices[peer] = _Voice(message.boot, message.agent, sequence, exports)
        gone = tuple(unit for unit in old.exports if unit not in exports)
        self._desk.touch([*gone, *exports])
        return gone

    def hear(self, peer: NodeName, message: Ready) -> bool:
        """Take one changed export; return whether it was news."""
        voice = self._voices.get(peer)
        if voice is None or (voice.boot, voice.agent) != (message.boot, message.agent):
            return False
        if message.sequence <= voice.sequence or message.epoch < voice.exports.get(
            message.unit, message.epoch
        ):
            return False
        voice.sequence = message.sequence
        if message.is_up:
            voice.exports[message.unit] = message.epoch
        else:
            voice.exports.pop(message.unit, None)
        self._desk.touch([message.unit])
        return True

    def retract(self, peer: NodeName, unit: UnitName) -> None:
        """Forget an export whose barrier has begun."""
        voice = self._voices.get(peer)
        if voice is not None:
            voice.exports.pop(unit, None)
        self._desk.touch([unit])

    def exports_of(self, peer: NodeName) -> tuple[UnitName, ...]:
        """List what a peer said it exports, whatever its state."""
        voice = self._voices.get(peer)
        return tuple(voice.exports) if voice is not None else ()
