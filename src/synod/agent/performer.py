# SPDX-License-Identifier: LGPL-2.1-or-later
"""Effects to deeds: one line for each kind, in the order in which the node returned them."""

from collections.abc import Callable
from typing import Protocol, assert_never

from synod.agent.fencer import Fencer
from synod.agent.fusefeeder import FuseFeeder
from synod.agent.jobs import JobRunner
from synod.agent.logwriter import LogWriter
from synod.agent.streams import Streams
from synod.base.ids import NodeName
from synod.base.usec import Usec
from synod.engine import effects
from synod.ledger.effects import Persist
from synod.systemd.gatefiles import GateFiles, Grant
from synod.systemd.journal import Journal, Priority


class Clients(Protocol):
    """Whoever asked the node something."""

    def answer(self, client: int, status: int, text: str) -> None:
        """Say the last word."""

    def status(self, client: int, text: str) -> None:
        """Say what is being waited for."""

    def extend(self, client: int, span: Usec) -> None:
        """Give more time."""


class Performer:
    """Carries out what one node asks for."""

    def __init__(
        self,
        *,
        node: NodeName,
        boot: str,
        writer: LogWriter,
        streams: Streams,
        jobs: JobRunner,
        gate_files: GateFiles,
        journal: Journal,
        clients: Clients,
        fuse: FuseFeeder,
        fencer: Fencer,
        left: Callable[[], None],
    ) -> None:
        self._node = node
        self._boot = boot
        self._writer = writer
        self._streams = streams
        self._jobs = jobs
        self._gate_files = gate_files
        self._journal = journal
        self._clients = clients
        self._fuse = fuse
        self._fencer = fencer
        self._left = left

    def perform(self, effect: effects.Effect) -> None:  # noqa: C901 (a table, one line per kind)
        """Carry out one effect, or set it going."""
        match effect:
            case Persist():
                self._writer.put(effect)
            case effects.Send(peer=peer, message=message):
                self._streams.send(peer, message)
            case effects.Connect():
                self._streams.connect(effect)
            case effects.Disconnect(peer=peer):
                self._streams.disconnect(peer)
            case effects.RunJob():
                self._jobs.run(effect)
            case effects.Look():
                self._jobs.look(effect)
            case effects.Reply(client=client, status=status, text=text):
                self._clients.answer(client, status, text)
            case effects.ShowStatus(client=client, text=text):
                self._clients.status(client, text)
            case effects.Extend(client=client, span=span):
                self._clients.extend(client, span)
            case effects.Report():
                self._report(effect)
            case effects.Left():
                self._left()
            case effects.FeedFuse(until=until):
                self._fuse.feed(until)
            case effects.Fence(order=order, target=target):
                self._fencer.fence(order, target)
            case _:
                self._touch_files(effect)

    def _touch_files(
        self,
        effect: effects.WriteGrant
        | effects.RemoveGrant
        | effects.WriteUp
        | effects.RemoveUp
        | effects.MarkStop
        | effects.UnmarkStop
        | effects.WriteLease
        | effects.RemoveLease
        | effects.Reincarnated,
    ) -> None:
        match effect:
            case effects.WriteGrant(unit=unit, instance=instance, epoch=epoch):
                grant = Grant(unit=unit, instance=instance, epoch=epoch, incarnation=self._boot)
                self._gate_files.write_grant(grant)
            case effects.RemoveGrant(unit=unit):
                self._gate_files.remove_grant(unit)
            case effects.WriteUp(unit=unit):
                self._gate_files.mark_up(unit)
            case effects.RemoveUp(unit=unit):
                self._gate_files.mark_down(unit)
            case effects.MarkStop(unit=unit):
                self._gate_files.mark_stop(unit)
            case effects.UnmarkStop(unit=unit):
                self._gate_files.unmark_stop(unit)
            case effects.WriteLease():
                self._gate_files.write_lease()
            case effects.RemoveLease():
                self._gate_files.remove_lease()
            case effects.Reincarnated(boot=boot):
                self._boot = boot
                self._gate_files.write_incarnation(boot)
            case _:
                assert_never(effect)

    def _report(self, effect: effects.Report) -> None:
        self._journal.send(
            effect.text,
            priority=Priority(effect.priority),
            message_id=effect.message_id,
            unit=effect.unit,
            SYNOD_NODE=self._node,
            SYNOD_REASON=effect.text,
        )
