# SPDX-License-Identifier: LGPL-2.1-or-later
"""The rows of the replicated state: one per unit, one per node."""

from dataclasses import dataclass, field

from synod.base.ids import Epoch, NodeName, UnitName
from synod.model.attributes import NAME, ROLE
from synod.model.command import Desired, Ending, GrantOrder, NodeState, RoleWish
from synod.model.spec import UnitSpec


@dataclass(frozen=True, slots=True, kw_only=True)
class Grant:
    """The right to run one instance of a unit on one node."""

    instance: int
    node: NodeName
    epoch: Epoch
    is_revoked: bool = False
    """The holder is to stop the unit; until it has, nobody else may have the instance."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Failure:
    """Why a wanted unit is not granted again before somebody asks for it."""

    node: NodeName
    ending: Ending
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Setback:
    """Failures of a unit on one node that are recent enough to count."""

    count: int
    reason: str
    """Of the last one."""


@dataclass(slots=True, kw_only=True)
class Row:
    """What the ledger holds for one unit."""

    unit: UnitName
    spec: UnitSpec | None = None
    """The adopted annotation; None while no node has the unit or while the nodes disagree from the start."""
    reports: dict[NodeName, str] = field(default_factory=dict)
    """Digest of the annotation on each node that has the unit."""
    desired: Desired | None = None
    revision: int = 0
    """Index of the last wish."""
    grants: dict[int, Grant] = field(default_factory=dict)
    pin: NodeName | None = None
    """Where the last ``move`` sent it."""
    failure: Failure | None = None
    has_been_up: bool = False
    """Whether it was active since somebody asked for it: a start that fails before that is not recovered."""
    setbacks: dict[NodeName, Setback] = field(default_factory=dict)
    homes: dict[int, NodeName] = field(default_factory=dict)
    """Where each instance was granted last: it stays there if it can."""
    observed: dict[NodeName, str] = field(default_factory=dict)
    found: dict[NodeName, int] = field(default_factory=dict)
    """Nodes on which it ran without a grant when they first annotated it, and since which entry."""

    kept: int | None = None
    """How many copies were granted in place while nobody has asked for the unit: no more are started."""

    @property
    def is_wanted(self) -> bool:
        """Whether it should run and nothing speaks against trying."""
        return self.desired is Desired.STARTED and self.failure is None

    def grant(self, order: GrantOrder, index: int) -> None:
        """Give an instance to a node; what runs there already is wanted, since somebody has started it."""
        self.grants[order.instance] = Grant(instance=order.instance, node=order.node, epoch=Epoch(index))
        self.homes[order.instance] = order.node
        if order.in_place:
            del self.found[order.node]
            self.has_been_up, self.failure = True, None
            if self.desired is not Desired.STARTED:
                self.desired, self.revision, self.kept = Desired.STARTED, index, 0
            self.kept = self.kept + 1 if self.kept is not None else None

    def grant_on(self, node: NodeName) -> Grant | None:
        """Return the grant that a node holds."""
        return next((grant for grant in self.grants.values() if grant.node == node), None)

    def is_given_up_on(self, node: NodeName) -> bool:
        """Whether it failed there as often as FailureLimit= allows."""
        setback = self.setbacks.get(node)
        limit = self.spec.failure_limit if self.spec is not None else 0
        return setback is not None and 0 < limit <= setback.count


@dataclass(slots=True, kw_only=True)
class NodeRow:
    """What the ledger holds for one node."""

    name: NodeName
    address: str
    port: int
    fingerprint: str
    role: RoleWish = RoleWish.AUTOMATIC
    state: NodeState = NodeState.UNMANAGED
    boot: str = ""
    """Incarnation that the node itself last reported; grants of another one are void."""
    since: int = 0
    """Index of the last word on the node's state."""
    is_drained: bool = False
    has_fuse: bool = False
    """Whether this incarnation resets itself when its lease runs out."""
    fences: tuple[NodeName, ...] = ()
    """Nodes that this one could fence."""
    attributes: dict[str, str] = field(default_factory=dict)
    """What administrators say of it (set-attribute); those that are built in are not among them."""

    @property
    def may_be_granted(self) -> bool:
        """Whether new grants may go to this node."""
        return self.state is NodeState.ONLINE and not self.is_drained and self.role is not RoleWish.WITNESS

    def attribute(self, name: str) -> str | None:
        """Return an attribute, set or built in; None when the node does not have it."""
        if name == NAME:
            return self.name
        return self.role.value if name == ROLE else self.attributes.get(name)


def barred(spec: UnitSpec, node: NodeRow) -> str:
    """Say which key of the annotation, or what role, keeps a unit off a node for good; empty: none."""
    if node.role is RoleWish.WITNESS:
        return "a witness runs no units"
    if spec.nodes and node.name not in spec.nodes:
        return f"not in Nodes={' '.join(spec.nodes)}"
    if node.name in spec.avoid_nodes:
        return "AvoidNodes= names it"
    for condition in spec.where:
        found = node.attribute(condition.attribute)
        if not condition.holds(found):
            known = "has no such attribute" if found is None else f"has {condition.attribute}={found}"
            return f"Where={condition}, and the node {known}"
    return ""
