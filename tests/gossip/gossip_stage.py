# SPDX-License-Identifier: LGPL-2.1-or-later
"""A world in which packets take no time; golden scripts say what happens to whom.

A script is a sequence of blocks, separated by blank lines: ``# why``, commands, ``----``, what then
happened.

    cluster A B C           nodes of a cluster, up, each other's members, their first words said
    run 5s                  let time pass; packets are not printed
    watch 1s                the same, and print packets, without rumours about nodes that do as well as known
    cut A B / heal          lose everything between A and B; stop doing so
    mute A B                lose datagrams from A to B, and nothing else
    kill A / start A [N]    power cut; a new life, with incarnation N
    stop A / resume A       SIGSTOP, SIGCONT
    hear A B RUMOUR         A hears from B: alive C 3, suspect C 3 by D, faulty C 3 by D
    heard A B               A hears B's stream now
    lost A B                A's stream to B fell silent
    unplug A / plug A       A's own link goes down, comes up: A is told, and nothing passes
    set A NAME [VALUE]      add A B / remove A B / leave A
    doomed A B              from now on they may be called faulty though they run
    state [A B]             print what everyone, or A and B, think
"""

from gossip_world import SEC, Host, World

from synod.base.ids import NodeName
from synod.base.usec import format_span, parse_span
from synod.gossip.effects import (
    AttributeRejected,
    AttributesChanged,
    DatagramsBlocked,
    Effect,
    Refuted,
    SendPacket,
    StatusChanged,
    StoodStill,
    Vouched,
)
from synod.gossip.events import (
    Event,
    Leave,
    MemberAdded,
    MemberRemoved,
    OwnLink,
    SetAttribute,
    StreamHeard,
    StreamLost,
)
from synod.gossip.messages import (
    Alive,
    Attributes,
    Faulty,
    Message,
    PingRequest,
    Profile,
    Rumour,
    Suspect,
    Versions,
)


class Stage(World):
    """Nodes are named by the first command. Without streams, until one is heard."""

    def __init__(self) -> None:
        super().__init__([], has_streams=False)
        self.delay = 4
        self._lines: list[str] = []
        self._is_watching = False
        self._muted: set[tuple[NodeName, NodeName]] = set()

    def perform(self, command: str) -> list[str]:
        """Carry out one line and return what happened."""
        self._lines = []
        verb, *words = command.split()
        self._is_watching = verb == "watch"
        getattr(self, f"do_{verb}")(*words)
        return self._lines

    def step(self, host: Host, event: Event) -> tuple[Effect, ...]:
        effects = super().step(host, event)
        for effect in effects:
            if self._is_watching or not isinstance(effect, SendPacket):
                self._lines.append(f"{host.name}: {describe(effect)}")
        return effects

    def post(self, source: Host, target: Host, messages: tuple[Message, ...]) -> None:
        if (source.name, target.name) not in self._muted:
            super().post(source, target, messages)

    # Commands

    def do_cluster(self, *names: str) -> None:
        for name in names:
            self.hosts[NodeName(name)] = Host(NodeName(name))
        for host in self.hosts.values():
            self.boot(host, incarnation=1)
        self.run(4 * SEC)
        self._lines.clear()

    def do_run(self, span: str) -> None:
        self.run(parse_span(span))

    do_watch = do_run

    def do_cut(self, one: str, other: str) -> None:
        self.sever([one], [other])

    def do_mute(self, one: str, other: str) -> None:
        self._muted.add((NodeName(one), NodeName(other)))

    def do_heal(self) -> None:
        self.cut.clear()
        self._muted.clear()

    def do_kill(self, name: str) -> None:
        self.kill(self._host(name))

    def do_start(self, name: str, incarnation: str = "") -> None:
        self.boot(self._host(name), incarnation=int(incarnation) if incarnation else None)
        self._host(name).trouble = 1 << 62

    def do_stop(self, name: str) -> None:
        self.stop(self._host(name))

    def do_resume(self, name: str) -> None:
        self.resume(self._host(name))

    def do_hear(self, name: str, source: str, *words: str) -> None:
        self._is_watching = True
        self.receive(self._host(name), NodeName(source), (parse_rumour(words),))

    def do_heard(self, name: str, peer: str) -> None:
        self.step(self._host(name), StreamHeard(peer=NodeName(peer)))

    def do_lost(self, name: str, peer: str) -> None:
        self.step(self._host(name), StreamLost(peer=NodeName(peer)))

    def do_unplug(self, name: str) -> None:
        self.sever([name], [other for other in self.hosts if other != name])
        self.step(self._host(name), OwnLink(is_up=False))

    def do_plug(self, name: str) -> None:
        self.cut = {pair for pair in self.cut if name not in pair}
        self.step(self._host(name), OwnLink(is_up=True))

    def do_set(self, name: str, attribute: str, value: str | None = None) -> None:
        self.step(self._host(name), SetAttribute(name=attribute, value=value))

    def do_add(self, name: str, peer: str) -> None:
        if NodeName(peer) not in self.hosts:
            self.hosts[NodeName(peer)] = Host(NodeName(peer))
        self.step(self._host(name), MemberAdded(name=NodeName(peer)))

    def do_remove(self, name: str, peer: str) -> None:
        self.judge.forget(self._host(name), NodeName(peer))
        self.step(self._host(name), MemberRemoved(name=NodeName(peer)))

    def do_leave(self, name: str) -> None:
        self.step(self._host(name), Leave())

    def do_doomed(self, *names: str) -> None:
        for name in names:
            self._host(name).trouble = 1 << 62

    def do_state(self, *names: str) -> None:
        for host in self.hosts.values():
            if names and host.name not in names:
                continue
            if not host.is_up:
                self._lines.append(f"{host.name}: down")
                continue
            gossip = host.gossip
            parts = [f"{host.name}: incarnation {gossip.incarnation}, health {gossip.health_score}"]
            parts += [f"{view.name} {view.status.value} {view.incarnation}"
                      f"{' by ' + ' '.join(view.accusers) if view.accusers else ''}"
                      f"{''.join(f' {key}={value}' for key, value in view.attributes)}"
                      for view in gossip.members]
            self._lines.append("; ".join(parts))

    def _host(self, name: str) -> Host:
        return self.hosts[NodeName(name)]


def parse_rumour(words: tuple[str, ...]) -> Rumour:
    kind, node, incarnation = words[0], NodeName(words[1]), int(words[2])
    if kind == "alive":
        return Alive(node=node, incarnation=incarnation)
    rumour = {"suspect": Suspect, "faulty": Faulty}[kind]
    return rumour(node=node, incarnation=incarnation, accuser=NodeName(words[4]))


def describe(effect: Effect) -> str:
    match effect:
        case SendPacket(peer=peer, messages=messages):
            return f"-> {peer} {', '.join(describe_message(message) for message in messages)}"
        case StatusChanged(peer=peer, status=status, incarnation=incarnation, accusers=accusers):
            return f"{peer} {status.value} {incarnation}{' by ' + ' '.join(accusers) if accusers else ''}"
        case Vouched(peer=peer):
            return f"{peer} answered without a stream"
        case AttributesChanged(peer=peer, attributes=attributes):
            return f"{peer} has {listed(attributes) or 'no attributes'}"
        case AttributeRejected(name=name, reason=reason):
            return f"{name} rejected: {reason}"
        case Refuted(accuser=accuser, incarnation=incarnation):
            return f"refutes {accuser} as {incarnation}"
        case DatagramsBlocked(peer=peer, is_blocked=is_blocked):
            return f"datagrams of {peer} {'are blocked' if is_blocked else 'pass'}"
        case StoodStill(span=span):
            return f"stood still for {format_span(span)}"


def describe_message(message: Message) -> str:
    match message:
        case PingRequest(target=target):
            return f"ping {target} for me"
        case Alive(node=node, incarnation=incarnation):
            return f"alive {node} {incarnation}"
        case Suspect(node=node, incarnation=incarnation, accuser=accuser):
            return f"suspect {node} {incarnation} by {accuser}"
        case Faulty(node=node, incarnation=incarnation, accuser=accuser):
            return f"faulty {node} {incarnation} by {accuser}"
        case Profile(node=node, attributes=attributes):
            return f"profile {node} {listed(attributes)}".rstrip()
        case Versions(rows=rows):
            return f"versions of {' '.join(row.node for row in rows)}"
        case _:
            return type(message).__name__.lower()


def listed(attributes: Attributes) -> str:
    return " ".join(f"{name}={value}" for name, value in attributes)
