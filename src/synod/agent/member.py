# SPDX-License-Identifier: LGPL-2.1-or-later
"""One running membership: the node, its log, its streams and its host, put together and taken apart."""

import asyncio
import logging
from collections.abc import Callable
from typing import Final

from synod.agent.clock import SystemEntropy, now
from synod.agent.enrolment import Doorkeeper
from synod.agent.fencer import Fencer
from synod.agent.fusefeeder import FuseFeeder
from synod.agent.gossiper import Gossiper
from synod.agent.host import Host
from synod.agent.keybearer import KeyBearer
from synod.agent.logwriter import LogWriter
from synod.agent.membership import Member, Membership, MembershipFiles
from synod.agent.ownlink import OwnLink
from synod.agent.performer import Clients, Performer
from synod.agent.streams import Streams
from synod.agent.surroundings import Surroundings
from synod.base.errors import IndefiniteError, NotQuorateError, RefusedError, StorageError, SynodError
from synod.base.exits import ExitStatus
from synod.base.ids import NodeName, UnitName
from synod.base.usec import Usec
from synod.engine.events import Asked, ClientGone, Event, Forged
from synod.engine.node import Node
from synod.engine.requests import Admit, Request
from synod.ledger.effects import Role
from synod.ledger.timing import Timing
from synod.model.command import NodeState
from synod.net.join import JoinService
from synod.net.keychain import Keychain
from synod.net.keys import load_identity
from synod.systemd.gatefiles import GateFiles
from synod.systemd.journal import Journal

GUARD_SEC: Final = 0.5
"""Between looks at the gates; a start that is quicker shows itself as a copy without a grant."""
REFRESH_SEC: Final = 2.0
"""Between looks whether the members on disk are those of the log."""

_logger = logging.getLogger(__name__)


class RunningMember:
    """A member of a cluster, from start() to stop()."""

    def __init__(
        self,
        *,
        membership: Membership,
        files: MembershipFiles,
        boot: str,
        is_booting: bool,
        gate_files: GateFiles,
        surroundings: Surroundings,
        journal: Journal,
        clients: Clients,
        left: Callable[[], None],
        timing: Timing,
    ) -> None:
        """Read the log; raise StorageError when it is damaged or cannot be read."""
        self.membership = membership
        self._files = files
        self._clients = clients
        self._count = 0
        self._rows_seen = 0
        self._surroundings = surroundings
        self._asked: dict[int, asyncio.Future[tuple[int, str]]] = {}
        identity = load_identity(files.keys)
        self._gate_files = gate_files
        boot = gate_files.incarnation(boot)
        self._writer = LogWriter(files.log, membership, self.feed)
        node = self._make_node(boot, gate_files, timing, is_booting=is_booting)
        join = JoinService(identity.authority_pem, Doorkeeper(files, self).authorize)
        others = tuple(member for member in membership.members if member.name != membership.node)
        self._streams = Streams(
            identity, others, join, self.feed, lambda: not node.desk.is_registered
        )
        keychain = Keychain(files.keys, membership.cluster_id)
        self._keys = KeyBearer(membership.node, keychain, self._streams.offer_keys)
        self._gossiper = Gossiper(
            node=membership.node,
            keys=self._keys,
            heard=self._streams.heard,
            feed=self.feed,
            journal=journal,
        )
        self._streams.watch = self._gossiper
        self._own_link = OwnLink(membership.address, self._gossiper.own_link_changed)
        self._fencer = Fencer(self.feed, journal)
        performer = Performer(
            node=membership.node,
            boot=boot,
            writer=self._writer,
            streams=self._streams,
            jobs=surroundings.jobs,
            gate_files=gate_files,
            journal=journal,
            clients=self,
            fuse=FuseFeeder(surroundings.manager),
            fencer=self._fencer,
            left=left,
        )
        self._host = Host(node, performer.perform)
        self._tasks: list[asyncio.Task[None]] = []

    def _make_node(self, boot: str, gate_files: GateFiles, timing: Timing, *, is_booting: bool) -> Node:
        """Start from what is durable; gates that an earlier incarnation left open are closed."""
        grants = gate_files.grants()
        for unit, one in grants.items():
            if one is None or one.incarnation != boot:
                gate_files.remove_grant(unit)
        gate_files.take_over()
        return Node(
            name=self.membership.node,
            boot=boot,
            agent=now(),
            entropy=SystemEntropy(),
            hard_state=self._writer.hard_state,
            entries=self._writer.entries,
            founders=(self.membership.node,) if self.membership.is_founder else (),
            is_booting=is_booting,
            gates={unit: one.epoch for unit, one in grants.items() if one and one.incarnation == boot},
            up_files=gate_files.up_units(),
            stops=gate_files.stops(),
            timing=timing,
        )

    @property
    def node(self) -> Node:
        """The node, for questions."""
        return self._host.node

    def start(self, address: str = "") -> None:
        """Listen and begin; raise SynodError when the port is taken."""
        self._gossiper.start(address, self.membership.port)
        self._streams.start(address, self.membership.port)
        loop = asyncio.get_running_loop()
        work = (self._keep_members(), self._keep_files(), self._own_link.run())
        self._tasks = [loop.create_task(one) for one in work]

    async def stop(self) -> None:
        """Stop; what is queued is written and sent first."""
        self._host.close()
        self._gossiper.stop()
        for task in self._tasks:
            task.cancel()
        await self._writer.close()
        await self._streams.stop()

    def feed(self, event: Event) -> None:
        """Let the node digest an event."""
        self._host.feed(event)
        rows = self.node.state.rows
        if len(rows) != self._rows_seen:  # rows are never removed
            self._rows_seen = len(rows)
            self._surroundings.mention(rows)

    # Questions from inside the agent

    async def ask(self, request: Request) -> tuple[int, str]:
        """Ask the node and wait for its answer: exit status and text."""
        self._count -= 1
        number = self._count
        answered: asyncio.Future[tuple[int, str]] = asyncio.get_running_loop().create_future()
        self._asked[number] = answered
        try:
            self.feed(Asked(client=number, request=request))
            return await answered
        finally:
            del self._asked[number]
            if not answered.done() or answered.cancelled():
                self.feed(ClientGone(client=number))

    def answer(self, client: int, status: int, text: str) -> None:
        """Pass an answer on to whoever asked."""
        if client >= 0:
            self._clients.answer(client, status, text)
        elif client in self._asked and not self._asked[client].done():
            self._asked[client].set_result((status, text))

    def status(self, client: int, text: str) -> None:
        """Pass on what is being waited for."""
        if client >= 0:
            self._clients.status(client, text)

    def extend(self, client: int, span: Usec) -> None:
        """Pass on more time."""
        if client >= 0:
            self._clients.extend(client, span)

    @property
    def gossip(self) -> dict[str, int | dict[str, int]]:
        """Figures of gossip, for admins."""
        return self._gossiper.figures

    # Letting nodes in

    async def admit(self, request: Admit) -> None:
        """Commit an admission; raise SynodError with the reason."""
        status, text = await self.ask(request)
        if status:
            raise as_error(status, text)

    def members(self) -> tuple[Member, ...]:
        """List all members as the log has them."""
        return tuple(
            Member(name=row.name, address=row.address, port=row.port, fingerprint=row.fingerprint)
            for row in self.node.state.nodes.values()
        )

    def _keep_keys(self, before: tuple[Member, ...], members: tuple[Member, ...]) -> None:
        """Replace the gossip key after a removal, while this node leads (safety rule 4.6)."""
        names = [member.name for member in members]
        if any(member.name not in names for member in before):
            self._keys.renew(names)
        self._keys.retire(names)

    def _granted(self) -> tuple[UnitName, ...]:
        node = self.node.desk.me
        return tuple(unit for unit, row in self.node.state.rows.items() if row.grant_on(node) is not None)

    def _others(self) -> dict[NodeName, bool]:
        """Say of every other member whether it is there for certain."""
        desk = self.node.desk
        return {
            name: row.state is NodeState.ONLINE and name in desk.connected
            for name, row in desk.state.nodes.items()
            if name != desk.me
        }

    async def _keep_files(self) -> None:
        """Undo what somebody else writes into the agent's own directory; what was started by it is rogue."""
        trouble = ""
        while True:
            await asyncio.sleep(GUARD_SEC)
            try:
                for text in self._gate_files.mend():
                    self.feed(Forged(text=text))
            except StorageError as error:
                if str(error) != trouble:
                    _logger.warning("Cannot look after the gates, retrying: %s", error)
                trouble = str(error)

    async def _keep_members(self) -> None:
        """Keep the members on disk, for the next start, and drop streams of who is none any more.

        What this node may run is watched even when its annotation is gone.
        """
        saved = self.membership
        while True:
            await asyncio.sleep(REFRESH_SEC)
            self._surroundings.accompany(self._granted())
            members = self.members()
            self._fencer.members_are(self._others())
            if not self.node.desk.is_registered:
                continue
            if self.node.ledger.role is Role.LEADER:
                self._keep_keys(saved.members, members)
            if members != saved.members:
                self._streams.keep_only([member.name for member in members])
                saved = Membership(
                    cluster=saved.cluster,
                    cluster_id=saved.cluster_id,
                    node=saved.node,
                    address=saved.address,
                    port=saved.port,
                    is_founder=saved.is_founder,
                    members=members,
                )
                self._files.save(saved)


def as_error(status: int, text: str) -> SynodError:
    """Turn an answer into the error that it stands for."""
    if status == ExitStatus.NOT_QUORATE:
        return NotQuorateError(text)
    if status in (ExitStatus.OUTCOME_UNKNOWN, ExitStatus.TIMEOUT):
        return IndefiniteError(text)
    return RefusedError(text)
