# SPDX-License-Identifier: LGPL-2.1-or-later
"""The daemon: what runs whether or not this machine is a member, and the way from one to the other.

It is ready once its socket listens, long before there is a quorum: boot must never wait for the cluster.
"""

import asyncio
import logging
from typing import Final

from synod.agent.answers import Answers
from synod.agent.clock import boot_id
from synod.agent.control import Client, ControlServer, Json
from synod.agent.enrolment import ask_in, found
from synod.agent.jobs import JobRunner
from synod.agent.logwriter import create_log
from synod.agent.member import RunningMember, as_error
from synod.agent.membership import Membership, MembershipFiles
from synod.agent.routes import own_address
from synod.agent.surroundings import Surroundings, host_name
from synod.base.errors import NotConfiguredError, RefusedError, SynodError, UsageError
from synod.base.ids import NodeName, UnitName, is_node_name
from synod.base.usec import USEC_PER_SEC
from synod.config.schema import Settings
from synod.engine.events import BootOver, Event
from synod.engine.requests import FoundCluster, KeepToken
from synod.model.command import RoleWish
from synod.net.authority import fingerprint
from synod.net.keys import load_identity
from synod.net.tokens import hash_secret, new_token, parse_token
from synod.systemd.bus import Bus
from synod.systemd.gatefiles import GateFiles
from synod.systemd.generated import Generated
from synod.systemd.journal import Journal
from synod.systemd.notify import Notifier
from synod.systemd.paths import Paths

PORT_DEFAULT: Final = 8470
"""What a join command need not say."""
PAIR: Final = 2
FOUNDER_NOTE: Final = (
    "Failover needs three nodes, or two and a third with --role witness: two alone cannot tell a lost node "
    "from a broken link."
)
WITNESS_NOTE: Final = "This witness votes as soon as there are two nodes to decide between."
PAIR_NOTE: Final = (
    "Two nodes are no failover pair: only one has a vote, and without it the other takes nothing over. "
    "A third node, or one with --role witness, makes either of them expendable."
)
"""Two nodes cannot take over from each other without a third word (safety rule 7.4)."""
RETRY_SEC: Final = 1.0
"""Between questions to a PID 1 that does not answer."""

LAST_WORDS_SEC: Final = 0.3
"""Between leaving and forgetting: the answer to the client and the last acknowledgements go out."""

_logger = logging.getLogger(__name__)


class Daemon:
    """Everything in one process."""

    def __init__(self, paths: Paths, settings: Settings, journal: Journal, notifier: Notifier) -> None:
        self._settings = settings
        self._journal = journal
        self._notifier = notifier
        self._generated = Generated(paths)
        self.files = MembershipFiles(paths)
        self._gate_files = GateFiles(paths)
        self._bus = Bus()
        self._surroundings = Surroundings(
            self._bus,
            self._generated,
            self._gate_files,
            journal,
            self.feed,
            settings.dependency_timeout_usec,
        )
        self.member: RunningMember | None = None
        self._answers = Answers(self)
        self.control = ControlServer(
            paths.agent_socket, self._answers.ask_waiter, self._answers.ask_method, self._answers.gone
        )
        self._enrolling = asyncio.Lock()
        self._has_left = asyncio.Event()
        self._has_begun = asyncio.Event()

    @property
    def clients(self) -> dict[int, Client]:
        """Open connections by number."""
        return self.control.clients

    @property
    def jobs(self) -> JobRunner:
        """A look at PID 1."""
        return self._surroundings.jobs

    async def run(self) -> None:
        """Serve until cancelled."""
        self._gate_files.prepare()
        await self.control.start()
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._bus.run(), name="bus")
            tasks.create_task(self._surroundings.run(), name="surroundings")
            tasks.create_task(self._feed_watchdog(), name="watchdog")
            tasks.create_task(self._keep_leaving(), name="leaving")
            membership = self.files.load()
            self._notifier.ready("not a member of a cluster" if membership is None else "reading the log")
            if membership is not None:
                await self._start(membership)
            self._has_begun.set()

    @property
    def has_begun(self) -> bool:
        """Whether the start came to its end."""
        return self._has_begun.is_set()

    async def begun(self) -> None:
        """Wait until it is known whether this machine is a member: no question is answered before."""
        await self._has_begun.wait()

    async def know(self, unit: UnitName) -> None:
        """Read the annotation of a unit that PID 1 has not loaded yet."""
        await self._surroundings.know(unit)

    async def stop(self) -> None:
        """Stop listening and close what is open; units are not touched."""
        self._notifier.stopping()
        await self.control.stop()
        if self.member is not None:
            await self.member.stop()

    def feed(self, event: Event) -> None:
        """Pass an event on to the node, if there is one."""
        if self.member is not None:
            self.member.feed(event)

    async def _start(self, membership: Membership) -> None:
        soft_reboots, is_booting = await self._look_around()
        self.member = RunningMember(
            membership=membership,
            files=self.files,
            boot=boot_id(soft_reboots),
            is_booting=is_booting,
            gate_files=self._gate_files,
            surroundings=self._surroundings,
            journal=self._journal,
            clients=self._answers,
            left=self._has_left.set,
            timing=self._settings.timing(),
        )
        self.member.start()
        self._notifier.status(f"node '{membership.node}' of cluster '{membership.cluster}'")
        if not is_booting:
            self._gate_files.mark_booted()
            self.feed(BootOver())
        self._surroundings.reread()

    async def _look_around(self) -> tuple[int, bool]:
        """Ask PID 1 which incarnation of this node it is, and whether it is booting.

        Without an answer there is no membership: a wrong incarnation would void grants of units that run.
        """
        manager = self._surroundings.manager
        while True:
            await self._bus.wait_connected()
            try:
                return await manager.soft_reboots(), not await manager.boot_is_over()
            except SynodError as error:
                _logger.warning("PID 1 does not answer, retrying: %s", error)
                await asyncio.sleep(RETRY_SEC)

    def reload(self) -> None:
        """Read the annotations anew; settings are read at the start only."""
        self._surroundings.reread()

    async def _feed_watchdog(self) -> None:
        interval = self._notifier.watchdog_usec
        while interval is not None:
            self._notifier.watchdog()
            await asyncio.sleep(interval / USEC_PER_SEC / 3)

    # Becoming a member, and ceasing to be one

    async def init(self, cluster: str, address: str | None, port: int | None) -> Json:
        """Found a cluster; the same again prints a new join command."""
        async with self._enrolling:
            is_already = self.member is not None
            if self.member is None:
                await self._found(cluster, address, port)
            elif self.member.membership.cluster != cluster:
                raise RefusedError(
                    f"this node is a member of cluster '{self.member.membership.cluster}'; "
                    "leave it first with: synodctl leave"
                )
            token = await self.token()
            assert self.member is not None
            where = _endpoint(self.member.membership)
            return {
                "token": token,
                "join": f"synodctl join {where} --token {token}",
                "already": is_already,
                "note": "" if is_already else FOUNDER_NOTE,
            }

    async def _found(self, cluster: str, address: str | None, port: int | None) -> None:
        node = _own_name()
        address = address or self._settings.address or own_address(None)
        membership = found(self.files, cluster, node, address, port or self._settings.port)
        try:
            create_log(self.files.log, membership)
            await self._start(membership)
            assert self.member is not None
            status, text = await self.member.ask(
                FoundCluster(
                    cluster=cluster,
                    cluster_id=membership.cluster_id,
                    address=membership.address,
                    port=membership.port,
                    fingerprint=membership.members[0].fingerprint,
                )
            )
            if status:
                raise as_error(status, text)
            self.files.save(membership)
        except SynodError:
            await self._undo()
            raise
        await self._surroundings.manager.daemon_reload()

    async def join(self, host: str, port: int | None, token: str, role: str, address: str | None) -> Json:
        """Become a member of somebody's cluster; the same again is harmless."""
        async with self._enrolling:
            if self.member is not None:
                self._check_same_cluster(token)
                return {"cluster": self.member.membership.cluster, "already": True}
            node, own_port = _own_name(), self._settings.port
            address = address or self._settings.address or own_address(host)
            membership = await ask_in(
                self.files, node, host, port or own_port, token, role, address, own_port
            )
            try:
                create_log(self.files.log, membership)
                await self._start(membership)
                self.files.save(membership)
            except SynodError:
                await self._undo()
                raise
            await self._surroundings.manager.daemon_reload()
            note = ""
            if len(membership.members) == PAIR:
                note = WITNESS_NOTE if role == RoleWish.WITNESS else PAIR_NOTE
            return {"cluster": membership.cluster, "already": False, "note": note}

    def _check_same_cluster(self, token: str) -> None:
        from_here = fingerprint(load_identity(self.files.keys).authority_pem)
        if not parse_token(token).is_for(from_here):
            assert self.member is not None
            raise RefusedError(
                f"this node is in cluster '{self.member.membership.cluster}', the token is for another; "
                "leave first with: synodctl leave"
            )

    async def token(self) -> str:
        """Make a one-time join token."""
        member = self.require_member()
        token = new_token(fingerprint(load_identity(self.files.keys).authority_pem))
        status, text = await member.ask(KeepToken(token=token.id, secret_hash=hash_secret(token.secret)))
        if status:
            raise as_error(status, text)
        return token.text

    def require_member(self) -> RunningMember:
        """Return the membership; raise NotConfiguredError without one."""
        if self.member is None:
            raise NotConfiguredError(
                "this node is not a member of a cluster; found one with 'synodctl init' or join one"
            )
        return self.member

    async def _undo(self) -> None:
        member, self.member = self.member, None
        if member is not None:
            await member.stop()
        self.files.forget()

    async def _keep_leaving(self) -> None:
        """Forget the cluster once the node has left it: its units are ordinary units again."""
        while True:
            await self._has_left.wait()
            self._has_left.clear()
            await asyncio.sleep(LAST_WORDS_SEC)
            asked = list(self.clients.values())
            await self._undo()
            self._gate_files.remove_lease()
            for unit in self._gate_files.grants():
                self._gate_files.remove_grant(unit)
            for unit in self._gate_files.up_units():
                self._gate_files.mark_down(unit)
            self._generated.forget()
            self._notifier.status("not a member of a cluster")
            try:
                await self._surroundings.manager.daemon_reload()
            except SynodError as error:
                _logger.warning("Units are gated until the next daemon-reload, which failed: %s", error)
            for client in asked:
                self._answers.dismiss(client)


def _own_name() -> NodeName:
    name = host_name()
    if not is_node_name(name):
        raise UsageError(
            f"the host name '{name}' is no name for a node; set one with: hostnamectl hostname NAME"
        )
    return NodeName(name)


def _endpoint(membership: Membership) -> str:
    host = f"[{membership.address}]" if ":" in membership.address else membership.address
    return host if membership.port == PORT_DEFAULT else f"{host}:{membership.port}"
