# SPDX-License-Identifier: LGPL-2.1-or-later
"""One machine of the world: power, PID 1, /run/synod, the disk, and the agent that comes and goes."""

from collections.abc import Callable
from typing import Final, Protocol

from synod.base.ids import NodeName, UnitName
from synod.base.messages import MessageId
from synod.base.usec import USEC_PER_MSEC, USEC_PER_SEC
from synod.engine import effects, events
from synod.engine.guard import FUSE
from synod.engine.node import Node
from synod.model.spec import UnitSpec
from synod.sim.agent import Agent
from synod.sim.clock import Clock, Dice, DriftingClock, Timekeeper
from synod.sim.definitions import STOP, UP, Behaviour, UnitFiles, gates_of, units_below
from synod.sim.disk import Disk
from synod.sim.fuse import Fuse
from synod.sim.network import Network
from synod.sim.services import ServiceManager
from synod.sim.surroundings import Waiter

RETRY_USEC: Final = 100 * USEC_PER_MSEC
"""Between two attempts of a waiter to reach the agent, and RestartSec= of the agent."""
AGENT_STOP_USEC: Final = 20 * USEC_PER_SEC
"""TimeoutStopSec= of the agent."""
HANG_USEC: Final = 10 * USEC_PER_SEC
"""WatchdogSec= of the agent."""
NEWS_USEC: Final = 2 * USEC_PER_MSEC
"""How long news of PID 1 are under way at most, on a machine that is not busy."""
FENCE_USEC: Final = 1500 * USEC_PER_MSEC
"""What a fence device takes at most."""
BOOT_PATIENCE_USEC: Final = 5 * USEC_PER_SEC
"""How long a waiter tries to reach the agent while the machine boots (safety rule 4.3)."""

MakeNode = Callable[..., Node]


class Watch(Protocol):
    """Whoever checks what machines do."""

    def step(self, machine: "Machine", event: events.Event) -> tuple[effects.Effect, ...]:
        """Let the machine's node digest an event, and check what came of it."""

    def moved(self, machine: "Machine", unit: UnitName, old: str, new: str) -> None:
        """Check a change of a unit's ActiveState."""

    def populated(self, machine: "Machine", unit: UnitName, *, is_populated: bool) -> None:
        """Check that a unit's first process was started or its last one ended."""

    def opened(self, machine: "Machine", unit: UnitName) -> None:
        """Check that a gate was opened."""


class Machine:
    """A node of the cluster as hardware and software below the agent's logic."""

    def __init__(
        self, name: NodeName, clock: Clock, dice: Dice, network: Network, watch: Watch, make_node: MakeNode
    ) -> None:
        self.name = name
        self.clock: Timekeeper = clock
        """What this machine's own timers run by."""
        self.dice = dice
        self._network = network
        self._watch = watch
        self._make_node = make_node
        self.disk = Disk(clock, dice)
        self.files = UnitFiles()
        self.behaviours: dict[UnitName, Behaviour] = {}
        self.enabled: list[UnitName] = []
        self.run: dict[str, int] = {}
        self.news_usec = NEWS_USEC
        self.journal: list[tuple[int, str, UnitName | None, MessageId | None]] = []
        self.founders: tuple[NodeName, ...] = ()
        self.is_member = False
        """Whether there is a /etc/synod/member, so that the agent starts."""
        self.is_on = False
        self.agent: Agent | None = None
        self.boots = 0
        self._agents = 0
        self.is_agent_wanted = True
        self.is_going_down = False
        self.is_reexecuting = False
        """Whether PID 1 executes itself anew: it takes no calls, and answers none."""
        self.is_crash_looping = False
        """Whether something makes the agent die again and again."""
        self.incarnation = ""
        """What the machine was last told that it is, when it was fenced since it booted."""
        self.is_forged = False
        """Whether somebody writes the agent's files here: what runs then proves nothing against it."""
        self.devices: dict[NodeName, str] = {}
        """The fence devices that this machine can use: each works, fails or hangs."""
        self.switch_off: Callable[[NodeName], None] = lambda _: None
        """What a device that works does to its target."""
        self._fuse = self._new_fuse()
        self.services = self._new_services()

    def drift(self, clock: Clock, ppm: int) -> None:
        """Let the machine's clock run faster or slower than the world's, before it is switched on."""
        self.clock = DriftingClock(clock, ppm)
        self.disk = Disk(self.clock, self.dice)

    @property
    def specs(self) -> dict[UnitName, UnitSpec]:
        """The annotations in effect."""
        return self.files.specs

    @property
    def boot(self) -> str:
        """Incarnation of the machine."""
        stem = f"{self.name}-boot{self.boots}"
        return self.incarnation if self.incarnation.partition("+")[0] == stem else stem

    # Power

    def power_on(self) -> None:
        """Boot: PID 1, then the agent, then whatever is enabled."""
        assert not self.is_on, f"{self.name} is on"
        self.is_on = True
        self.boots += 1
        self._agents = 0
        self.run.clear()
        self.services, self._fuse = self._new_services(), self._new_fuse()
        self.is_agent_wanted, self.is_going_down = True, False
        services, delay = self.services, self.dice.between(20, 300) * USEC_PER_MSEC
        self.start_agent_later(delay)
        self.clock.after(
            self.dice.between(20, 300) * USEC_PER_MSEC,
            lambda: self._boot_units(services),
        )

    def _new_services(self) -> ServiceManager:
        return ServiceManager(self.clock, self.files, self.behaviours, self)

    def _new_fuse(self) -> Fuse:
        boot = self.boots
        return Fuse(self.clock, self.dice, lambda: self.reset() if self.boots == boot else None)

    def _boot_units(self, services: ServiceManager) -> None:
        if services is self.services and self.is_on:
            # What belongs to no cluster yet has no drop-ins: nothing of it waits for anything.
            known = [unit for unit in self.enabled if self.files.get(unit) is not None]
            units = known if self.is_member else []
            services.boot(units, lambda _: self._boot_over(services))

    def _boot_over(self, services: ServiceManager) -> None:
        if services is self.services and self.is_on:
            self.run["booted"] = 0
            if self.agent is not None:
                self.agent.step(events.BootOver())

    def power_cut(self) -> None:
        """Lose power."""
        if self.is_on:
            self.is_on = False
            self.services.die()
            self._end_agent(is_silent=True)

    def shut_down(self, *, is_reboot: bool, done: Callable[[], None] = lambda: None) -> None:
        """Power off or reboot in order, as systemctl does."""
        if not self.is_on:
            return
        services, self.is_going_down = self.services, True

        def down() -> None:
            if services is not self.services or not self.is_on:
                return
            self.is_agent_wanted = False
            if self.agent is not None:
                self.agent.stop(off)
                self.clock.after(AGENT_STOP_USEC, off)
            else:
                off()

        def off() -> None:
            if services is not self.services or not self.is_on:
                return
            self._end_agent(is_silent=False)
            self.power_cut()
            done()
            if is_reboot:
                self.power_on_later(USEC_PER_SEC)

        if self.agent is not None:
            self.agent.step(events.ShutdownBegun())
        self.clock.after(self.dice.below(60) * USEC_PER_MSEC, lambda: services.shut_down(down))

    # The agent

    def start_agent_later(self, delay: int) -> None:
        """Start the agent, if it should run and does not."""
        boot = self.boots

        def start() -> None:
            is_due = self.is_on and self.boots == boot and self.is_member and self.is_agent_wanted
            if is_due and self.agent is None:
                self.start_agent()

        self.clock.after(delay, start)

    def start_agent(self) -> None:
        """Start the agent from what is durable and what is in /run/synod."""
        assert self.agent is None
        self._agents += 1
        node = self._make_node(
            name=self.name,
            boot=self.boot,
            agent=self._agents,
            entropy=self.dice.fork("node", self.boots, self._agents),
            hard_state=self.disk.hard_state,
            entries=tuple(self.disk.entries),
            founders=self.founders,
            is_booting="booted" not in self.run,
            gates=gates_of(self.run),
            up_files=units_below(self.run, UP),
            stops=units_below(self.run, STOP),
        )
        self.agent = Agent(self, node, self.clock, self.dice, self._network)
        self.agent.start()
        if self.is_going_down and self.agent is not None:
            self.agent.step(events.ShutdownBegun())

    def kill_agent(self) -> None:
        """Kill -9 the agent; PID 1 starts it again."""
        if self.agent is not None:
            self._end_agent(is_silent=False)
            self.start_agent_later(RETRY_USEC + self.dice.between(50, 300) * USEC_PER_MSEC)

    def freeze_agent(self, span: int) -> None:
        """Stop the agent's process for a while; PID 1 kills and starts it when that takes too long."""
        agent = self.agent
        if agent is None:
            return
        agent.freeze()

        def go_on() -> None:
            if self.agent is agent and span < HANG_USEC:
                agent.thaw()
            elif self.agent is agent:
                self.kill_agent()

        self.clock.after(min(span, HANG_USEC), go_on)

    def stop_agent(self, done: Callable[[], None] = lambda: None) -> None:
        """Stop the agent with systemctl; units run on."""
        agent = self.agent
        if agent is None:
            return
        self.is_agent_wanted = False

        def stopped() -> None:
            if self.agent is agent:
                self._end_agent(is_silent=False)
                self.start_agent_later(RETRY_USEC)  # somebody may have asked for it meanwhile
            done()

        agent.stop(stopped)

    def _end_agent(self, *, is_silent: bool) -> None:
        agent, self.agent = self.agent, None
        if agent is not None:
            for waiter in agent.end(is_silent=is_silent):
                self._ask_later(waiter)

    def left(self) -> None:
        """Forget the log and the keys; the agent ends when its last words are out."""
        self.is_member = False
        agent = self.agent

        def forget() -> None:
            if self.agent is agent and agent is not None:
                self._end_agent(is_silent=False)
            self.disk.wipe()
            self.founders = ()

        self.clock.after(2 * USEC_PER_MSEC, forget)

    def reload(self, specs: dict[UnitName, UnitSpec]) -> None:
        """Change the annotations and run systemctl daemon-reload."""
        self.files.load(specs)
        self.services.reload()
        if self.agent is not None:
            self.agent.load_specs()

    def mask(self, unit: UnitName) -> None:
        """Mask a unit, as systemctl does; the agent reads the annotations when it gets round to it."""
        self.files.mask(unit)
        self.services.reload()

    # What the agent and PID 1 need

    def step(self, agent: Agent, event: events.Event) -> tuple[effects.Effect, ...]:
        """Let the node digest an event, watched by the checkers."""
        assert agent is self.agent
        return self._watch.step(self, event)

    def note(self, report: effects.Report) -> None:
        """Write a journal record."""
        self.journal.append((self.clock.now, report.text, report.unit, report.message_id))

    def exists(self, path: str) -> bool:
        """Whether a file below /run/synod exists."""
        return path in self.run

    def changed(self, unit: UnitName) -> None:
        """Pass a signal of PID 1 on."""
        if self.agent is not None:
            self.agent.signal(unit)

    def moved(self, unit: UnitName, old: str, new: str) -> None:
        """Pass a change of state on."""
        if unit == FUSE and new == "active":
            self._fuse.light()
        elif unit == FUSE:
            self._fuse.put_out()
        self._watch.moved(self, unit, old, new)

    def populated(self, unit: UnitName, *, is_populated: bool) -> None:
        """Pass on that a unit has processes, or none any more."""
        self._watch.populated(self, unit, is_populated=is_populated)

    # The fuse

    @property
    def fuse_left(self) -> int:
        """How long the fuse burns on without being fed."""
        return self._fuse.left

    def feed_fuse(self) -> None:
        """Put off the reset: PID 1 got a keep-alive message."""
        self._fuse.feed()

    def reset(self) -> None:
        """Reset the machine, as a fuse or a reboot --force --force does: everything ends, then it boots."""
        if self.is_on:
            self._end_agent(is_silent=self.dice.chance(0.5))
            self.power_cut()
            self.power_on_later(USEC_PER_SEC)

    def power_on_later(self, delay: int) -> None:
        """Boot some time from now, unless somebody did so before."""
        self.clock.after(delay, lambda: None if self.is_on else self.power_on())

    def opened(self, unit: UnitName) -> None:
        """Pass on that a gate was opened."""
        self._watch.opened(self, unit)

    # Fence devices

    def fence(self, order: int, target: NodeName) -> None:
        """Use the fence device, if there is one."""
        agent, behaviour = self.agent, self.devices.get(target, "fails")

        def report() -> None:
            if behaviour == "works":
                self.switch_off(target)
            if self.agent is agent and agent is not None:
                text = "off" if behaviour == "works" else "the device failed"
                agent.step(
                    events.FenceReported(order=order, is_confirmed=behaviour == "works", text=text)
                )

        if behaviour != "hangs":
            self.clock.after(self.dice.between(50 * USEC_PER_MSEC, FENCE_USEC), report)

    # Waiters

    def ask(self, waiter: Waiter) -> None:
        """Let a waiter look for the agent; gates and awaits want it, so that it is started for them."""
        if waiter.verb in ("place", "want") and self.is_member and not self.is_agent_wanted:
            self.is_agent_wanted = True
            self.start_agent_later(self.dice.between(50, 300) * USEC_PER_MSEC)
        self._ask_later(waiter, self.dice.between(1, 5) * USEC_PER_MSEC, self.clock.now)

    def hang_up(self, waiter: Waiter) -> None:
        """Note that PID 1 killed a waiter."""
        if self.agent is not None:
            self.agent.hang_up(waiter)

    def _ask_later(self, waiter: Waiter, delay: int = RETRY_USEC, since: int | None = None) -> None:
        begun = self.clock.now if since is None else since

        def call() -> None:
            if not waiter.is_alive or not self.is_on:
                return
            is_hopeless = "booted" not in self.run and self.clock.now - begun >= BOOT_PATIENCE_USEC
            if self.agent is not None:
                self.agent.serve(waiter, self._exited)
            elif not self.is_member or (waiter.verb in ("place", "want") and is_hopeless):
                self._exited(waiter, 0, "there is no agent")
            else:
                self._ask_later(waiter, RETRY_USEC, begun)

        self.clock.after(delay, call)

    def _exited(self, waiter: Waiter, status: int, text: str) -> None:
        if waiter.is_alive and self.is_on:
            if text:
                self.journal.append((self.clock.now, text, waiter.unit, None))
            self.services.exited(waiter, status)
