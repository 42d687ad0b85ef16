# SPDX-License-Identifier: LGPL-2.1-or-later
"""The replicated state: what every node knows after applying the same log.

Law 1: apply() depends on the state, the command and its index, and on nothing else; replay reproduces it.
Law 2: a grant is made by a plan and ended by the holder's proof, by proof that its incarnation is gone, by a
       new incarnation, or by its removal; nothing else touches it (safety rules 2.1 to 2.3).
Law 3: replicas decide nothing: placement comes as a Plan from the leader, bound to the revision it was
       computed from.

The state is one mutable object with one owner, engine.Node: a copy per entry would cost in proportion to the
cluster.
"""

from dataclasses import dataclass, field
from hmac import compare_digest

from synod.base.ids import NodeName, UnitName
from synod.model import adoption
from synod.model.attributes import ATTRIBUTES_MAX, BUILT_IN, is_attribute_name, is_attribute_value
from synod.model.command import (
    AddToken,
    AdoptSpec,
    Alarm,
    Command,
    Desired,
    DrainNode,
    Ending,
    Fenced,
    ForgetFailures,
    Found,
    Join,
    MoveUnit,
    NodeState,
    Observe,
    Plan,
    Proof,
    Release,
    RemoveNode,
    ReportDevices,
    ReportSpecs,
    SetAttribute,
    SetNode,
    SpecReport,
    Wish,
)
from synod.model.recovery import note_failure
from synod.model.rows import Grant, NodeRow, Row, barred
from synod.model.specs import Edges, SpecBook
from synod.model.unit import DOWN_STATES, UP_STATES

ALARMS_MAX = 100
"""Alarms kept for status; older ones are in the journal."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """What applying one command did."""

    refusal: str = ""
    """Why it did not take effect; empty when it did."""
    units: tuple[UnitName, ...] = ()
    nodes: tuple[NodeName, ...] = ()


@dataclass(slots=True, kw_only=True)
class ClusterState:
    """Units, nodes and tokens; see the module's laws."""

    cluster: str = ""
    cluster_id: str = ""
    applied: int = 0
    """Index of the last entry applied."""
    revision: int = 0
    """Index of the last entry that a plan could depend on."""
    rows: dict[UnitName, Row] = field(default_factory=dict)
    nodes: dict[NodeName, NodeRow] = field(default_factory=dict)
    tokens: dict[str, bytes] = field(default_factory=dict)
    alarms: list[tuple[int, Alarm]] = field(default_factory=list)
    specs: SpecBook = field(default_factory=SpecBook)
    edges: Edges = field(default_factory=Edges)

    def apply(self, command: Command, index: int) -> Change:
        """Apply the entry at ``index``; a refusal changes nothing but the index."""
        self.applied = index
        change = self._dispatch(command, index)
        if not change.refusal and not isinstance(command, Observe | Alarm | AddToken):
            self.revision = index
        return change

    def _dispatch(self, command: Command, index: int) -> Change:  # noqa: C901 (a table of one line per command)
        match command:
            case Wish():
                return self._wish(command, index)
            case Plan():
                return self._plan(command, index)
            case Release():
                return self._release(command)
            case Observe():
                return self._observe(command)
            case ReportSpecs():
                return self._report(command, index)
            case AdoptSpec():
                return self._adopt(command, index)
            case MoveUnit():
                return self._move(command, index)
            case SetNode():
                return self._set_node(command, index)
            case DrainNode():
                return self._drain(command)
            case Join():
                return self._join(command)
            case RemoveNode():
                return self._remove(command, index)
            case AddToken():
                self.tokens[command.token] = command.secret_hash
                return Change()
            case Alarm():
                self.alarms = [*self.alarms[-(ALARMS_MAX - 1) :], (index, command)]
                return Change(units=(command.unit,))
            case Found():
                return self._found(command)
            case Fenced():
                return self._fenced(command, index)
            case ReportDevices():
                return self._devices(command)
            case SetAttribute():
                return self._set_attribute(command)
            case ForgetFailures():
                return self._forget(command)

    # Cluster and nodes

    def _found(self, command: Found) -> Change:
        if self.cluster_id:
            return Change(refusal=f"this is already the cluster '{self.cluster}'")
        self.cluster, self.cluster_id = command.cluster, command.cluster_id
        self.nodes[command.node] = NodeRow(
            name=command.node, address=command.address, port=command.port, fingerprint=command.fingerprint
        )
        return Change(nodes=(command.node,))

    def _join(self, command: Join) -> Change:
        expected = self.tokens.get(command.token)
        if expected is None or not compare_digest(expected, command.secret_hash):
            return Change(
                refusal="the token is unknown or was used already; print a new one with: synodctl token"
            )
        if command.node in self.nodes:
            return Change(
                refusal=f"the name '{command.node}' is taken by another node of the cluster; "
                f"give this machine another host name, or free the name with: synodctl remove {command.node}"
            )
        del self.tokens[command.token]
        self.nodes[command.node] = NodeRow(
            name=command.node,
            address=command.address,
            port=command.port,
            fingerprint=command.fingerprint,
            role=command.role,
        )
        return Change(nodes=(command.node,))

    def _set_node(self, command: SetNode, index: int) -> Change:
        row = self.nodes.get(command.node)
        if row is None:
            return Change(refusal=f"'{command.node}' is not a node of this cluster")
        if not command.boot and row.state in (NodeState.LEFT, NodeState.LEAVING, NodeState.UNMANAGED):
            return Change(refusal=f"'{command.node}' said itself that it is {row.state}")
        if command.since is not None and command.since != row.since:
            return Change(refusal=f"'{command.node}' is {row.state} by a later word")
        if row.state is NodeState.FENCED and command.boot in ("", row.boot):
            return Change(refusal=f"this incarnation of '{command.node}' was fenced; it may not come back")
        units: list[UnitName] = []
        if command.boot and command.boot != row.boot:
            # Nothing survives a reboot: the new incarnation is the proof for the grants of the old one.
            units = self._void_grants(command.node)
            row.boot, row.has_fuse = command.boot, True
        if command.boot and command.has_fuse is not None:
            row.has_fuse = command.has_fuse
        row.state, row.since = command.state, index
        if row.state is NodeState.LEFT:
            for unit_row in self.rows.values():
                unit_row.found.pop(command.node, None)  # an ordinary unit again
        touched = dict.fromkeys([*units, *self._readopt_all(command.node, index)])
        return Change(units=tuple(touched), nodes=(command.node,))

    def _drain(self, command: DrainNode) -> Change:
        row = self.nodes.get(command.node)
        if row is None:
            return Change(refusal=f"'{command.node}' is not a node of this cluster")
        row.is_drained = command.is_drained
        return Change(nodes=(command.node,))

    def _set_attribute(self, command: SetAttribute) -> Change:
        row = self.nodes.get(command.node)
        if row is None:
            return Change(refusal=f"'{command.node}' is not a node of this cluster")
        if command.name in BUILT_IN:
            return Change(refusal=f"the attribute '{command.name}' is built in")
        if not is_attribute_name(command.name) or (command.value and not is_attribute_value(command.value)):
            return Change(refusal=f"'{command.name}={command.value}' is not an attribute and its value")
        if not command.value:
            row.attributes.pop(command.name, None)
        elif command.name not in row.attributes and len(row.attributes) >= ATTRIBUTES_MAX:
            return Change(refusal=f"'{command.node}' has {ATTRIBUTES_MAX} attributes already")
        else:
            row.attributes[command.name] = command.value
        return Change(nodes=(command.node,))

    def _remove(self, command: RemoveNode, index: int) -> Change:
        row = self.nodes.get(command.node)
        if row is None:
            return Change(refusal=f"'{command.node}' is not a node of this cluster")
        if row.state not in (NodeState.LEFT, NodeState.FENCED):
            return Change(
                refusal=f"'{command.node}' is {row.state} and may still run units; "
                "run 'synodctl leave' there first, or fence it"
            )
        del self.nodes[command.node]
        units = self._void_grants(command.node)
        for unit, unit_row in self.rows.items():
            if unit_row.reports.pop(command.node, None) is not None:
                self._readopt(unit_row, index)
                units.append(unit)
            unit_row.observed.pop(command.node, None)
            unit_row.homes = {n: home for n, home in unit_row.homes.items() if home != command.node}
        return Change(units=tuple(dict.fromkeys(units)), nodes=(command.node,))

    def _fenced(self, command: Fenced, index: int) -> Change:
        row = self.nodes.get(command.node)
        if row is None or row.boot != command.boot:
            return Change(refusal=f"'{command.node}' is another incarnation than the one that was fenced")
        if row.state is NodeState.LEFT:
            return Change(refusal=f"'{command.node}' has left")
        if command.proof is Proof.LEASE and (row.state is not NodeState.LOST or row.since != command.since):
            return Change(refusal=f"'{command.node}' has been back since its lease was said to be over")
        is_out_of_sight = row.state in (NodeState.LOST, NodeState.LEAVING, NodeState.UNMANAGED)
        if command.proof is Proof.OPERATOR and (not is_out_of_sight or row.since != command.since):
            return Change(refusal=f"'{command.node}' is {row.state}: it has been heard meanwhile")
        row.state, row.since = NodeState.FENCED, index
        units = self._void_grants(command.node)
        touched = dict.fromkeys([*units, *self._readopt_all(command.node, index)])
        return Change(units=tuple(touched), nodes=(command.node,))

    def _devices(self, command: ReportDevices) -> Change:
        row = self.nodes.get(command.node)
        if row is None:
            return Change(refusal=f"'{command.node}' is not a node of this cluster")
        row.fences = command.targets
        return Change(nodes=(command.node,))

    def _void_grants(self, node: NodeName) -> list[UnitName]:
        units = []
        for unit, row in self.rows.items():
            grant = row.grant_on(node)
            if grant is not None:
                del row.grants[grant.instance]
                units.append(unit)
            if row.found.pop(node, None) is not None:
                units.append(unit)
            row.observed.pop(node, None)
            row.setbacks.pop(node, None)  # another incarnation is another try
        return units

    # Specs

    def _report(self, command: ReportSpecs, index: int) -> Change:
        if command.node not in self.nodes:
            return Change(refusal=f"'{command.node}' is not a node of this cluster")
        reports = {report.unit: report for report in command.reports}
        if command.is_complete:
            gone = (
                unit
                for unit, row in self.rows.items()
                if command.node in row.reports and unit not in reports
            )
            reports |= {unit: SpecReport(unit=unit, spec=None) for unit in gone}
        for unit, report in reports.items():
            row = self.rows.setdefault(unit, Row(unit=unit))
            adoption.take(row, command.node, report, self.specs, index)
            self._readopt(row, index)
        return Change(units=tuple(reports))

    def _readopt_all(self, node: NodeName, index: int) -> list[UnitName]:
        """Count a node's voice anew; return the units whose spec, or limit, may have changed by it."""
        rows = [row for row in self.rows.values() if node in row.reports]
        changed = [row.unit for row in rows if self._readopt(row, index)]
        return [*changed, *(row.unit for row in rows if row.found or adoption.differing(row, self.specs))]

    def _readopt(self, row: Row, index: int) -> bool:
        return adoption.readopt(row, self.nodes, self.specs, self.edges, index)

    def _adopt(self, command: AdoptSpec, index: int) -> Change:
        row = self.rows.get(command.unit)
        text = row.reports.get(command.node) if row is not None else None
        if row is None or text is None:
            return Change(refusal=f"'{command.node}' has no annotated unit '{command.unit}'")
        adoption.replace(row, text, self.specs, self.edges, index)
        return Change(units=(command.unit,))

    # Wishes, plans and proofs

    def _wish(self, command: Wish, index: int) -> Change:
        row = self.rows.get(command.unit)
        if row is None or row.spec is None:
            return Change(refusal=self.absence(command.unit))
        if command.only_if_absent and row.desired is not None:
            return Change(refusal=f"'{command.unit}' is already to be {row.desired}")
        if command.revision is not None and command.revision != row.revision:
            return Change(refusal=f"somebody else changed what is wanted of '{command.unit}' meanwhile")
        if command.desired is Desired.STOPPED:
            row.desired, row.revision, row.failure, row.pin = Desired.STOPPED, index, None, None
            row.has_been_up, row.setbacks, row.kept = False, {}, None
            return Change(units=(command.unit,))
        units = self.pulled_in(command.unit)
        for unit in units:
            pulled = self.rows[unit]
            pulled.has_been_up = pulled.has_been_up and pulled.is_wanted and bool(pulled.grants)
            pulled.desired, pulled.revision, pulled.failure = Desired.STARTED, index, None
            pulled.setbacks, pulled.kept = {}, None
        return Change(units=tuple(units))

    def pulled_in(self, unit: UnitName) -> list[UnitName]:
        """List the unit and all that its start starts, as a start job of PID 1 would."""
        found: dict[UnitName, None] = {unit: None}
        queue = [unit]
        for current in queue:
            spec = self.rows[current].spec
            for name in spec.pulled_in if spec is not None else ():
                if name in self.rows and self.rows[name].spec is not None and name not in found:
                    found[name] = None
                    queue.append(name)
        return list(found)

    def _move(self, command: MoveUnit, index: int) -> Change:
        row = self.rows.get(command.unit)
        if row is None or row.spec is None:
            return Change(refusal=self.absence(command.unit))
        if command.node not in row.reports:
            return Change(refusal=f"'{command.node}' has no unit '{command.unit}'")
        obstacle = barred(row.spec, self.nodes[command.node])
        if obstacle:
            return Change(refusal=f"'{command.unit}' may not run on '{command.node}': {obstacle}")
        row.pin, row.revision = command.node, index
        row.setbacks.pop(command.node, None)
        return Change(units=(command.unit,))

    def _plan(self, command: Plan, index: int) -> Change:
        if command.revision != self.revision:
            return Change(
                refusal=f"computed from revision {command.revision}, the state has {self.revision}"
            )
        units: dict[UnitName, None] = {}
        for revoke in command.revokes:
            row = self.rows[revoke.unit]
            grant = row.grants.get(revoke.instance)
            if grant is not None and grant.epoch == revoke.epoch:
                row.grants[revoke.instance] = Grant(
                    instance=grant.instance, node=grant.node, epoch=grant.epoch, is_revoked=True
                )
                units[revoke.unit] = None
        for order in command.grants:
            row = self.rows[order.unit]
            is_void = order.in_place and order.node not in row.found  # it has stopped meanwhile
            if order.instance not in row.grants and not is_void:
                row.grant(order, index)
                units[order.unit] = None
        return Change(units=tuple(units))

    def _release(self, command: Release) -> Change:
        row = self.rows.get(command.unit)
        grant = row.grant_on(command.node) if row is not None else None
        if row is None or grant is None or grant.epoch != command.epoch:
            return Change(
                refusal=f"'{command.node}' does not hold epoch {command.epoch} of '{command.unit}'"
            )
        del row.grants[grant.instance]
        row.observed[command.node] = "failed" if command.ending is Ending.FAILED else "inactive"
        row.has_been_up = row.has_been_up or command.was_up
        if row.desired is Desired.STARTED and command.ending is not Ending.STOPPED:
            note_failure(row, self.nodes, self.specs, command)
        return Change(units=(command.unit,))

    def _forget(self, command: ForgetFailures) -> Change:
        row = self.rows.get(command.unit)
        setback = row.setbacks.get(command.node) if row is not None else None
        if row is None or setback is None or setback.count != command.count:
            return Change(refusal=f"'{command.unit}' did not fail {command.count} times on '{command.node}'")
        del row.setbacks[command.node]
        return Change(units=(command.unit,))

    def _observe(self, command: Observe) -> Change:
        for observation in command.observations:
            row = self.rows.get(observation.unit)
            if row is not None:
                row.observed[command.node] = observation.active
                if observation.active in DOWN_STATES:
                    row.found.pop(command.node, None)
                # Without a proof of its own: the agent that saw it may be gone before it can give one.
                is_granted = row.grant_on(command.node) is not None
                row.has_been_up = row.has_been_up or (is_granted and observation.active in UP_STATES)
        return Change(units=tuple(observation.unit for observation in command.observations))

    # Questions

    def fencers(self, target: NodeName) -> list[NodeName]:
        """List who could fence a node, by name; a node does not fence itself."""
        return sorted(
            name
            for name, row in self.nodes.items()
            if target in row.fences and name != target and row.state is NodeState.ONLINE
        )

    def absence(self, unit: UnitName) -> str:
        """Say why a unit cannot be wished for."""
        row = self.rows.get(unit)
        if row is None or not row.reports:
            return (
                f"no node of the cluster has an annotated unit '{unit}'; "
                "add an [X-Synod] section to it and run: systemctl daemon-reload"
            )
        nodes = ", ".join(sorted(row.reports))
        return (
            f"the annotations of '{unit}' differ between {nodes}; "
            f"make them equal, or choose one with: synodctl adopt {unit} --from NODE"
        )
