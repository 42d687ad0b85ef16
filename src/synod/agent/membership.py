# SPDX-License-Identifier: LGPL-2.1-or-later
"""What makes this machine a member, on disk.

``/etc/synod/member`` holds the cluster id and is what the generator looks for: without it no unit is gated.
It is written last when a node joins and removed first when it leaves. The rest is in /var/lib/synod: keys,
log, and the members known when it joined, to begin with.
"""

import json
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from synod.base.errors import ConfigError, NotConfiguredError
from synod.base.ids import NodeName, is_node_name
from synod.net.files import read_file, remove_file, write_file
from synod.systemd.paths import Paths

_BYTES_MAX: Final = 1 << 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Member:
    """A node and where it listens."""

    name: NodeName
    address: str
    port: int
    fingerprint: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Membership:
    """What a member knows before it has read its log."""

    cluster: str
    cluster_id: str
    node: NodeName
    address: str
    port: int
    is_founder: bool
    members: tuple[Member, ...]


class MembershipFiles:
    """The files of one machine's membership."""

    def __init__(self, paths: Paths) -> None:
        self.marker: Final = paths.configuration / "member"
        self.keys: Final = paths.state / "tls"
        self.log: Final = paths.state / "log"
        self._facts: Final = paths.state / "membership.json"

    def load(self) -> Membership | None:
        """Read the membership; None on a machine that is no member; raise ConfigError for a damaged one."""
        if not self.marker.exists():
            return None
        try:
            data = json.loads(read_file(self._facts, _BYTES_MAX))
            members = tuple(Member(**member) for member in data.pop("members"))
            membership = Membership(members=members, **data)
        except (ValueError, TypeError, KeyError, AttributeError) as error:
            raise ConfigError(
                f"{self._facts}: damaged ({error}); leave the cluster and join again"
            ) from None
        except NotConfiguredError:
            raise ConfigError(
                f"{self._facts}: missing although {self.marker} exists; leave the cluster and join again"
            ) from None
        if not is_node_name(membership.node):
            raise ConfigError(f"{self._facts}: '{membership.node}' is not a node name")
        return membership

    def save(self, membership: Membership) -> None:
        """Become a member; the marker is written last."""
        data = {
            "cluster": membership.cluster,
            "cluster_id": membership.cluster_id,
            "node": membership.node,
            "address": membership.address,
            "port": membership.port,
            "is_founder": membership.is_founder,
            "members": [_plain(member) for member in membership.members],
        }
        self.log.mkdir(mode=0o700, parents=True, exist_ok=True)
        write_file(self._facts, json.dumps(data, indent=1).encode())
        self.marker.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
        write_file(self.marker, f"{membership.cluster_id}\n".encode(), 0o644)

    def forget(self) -> None:
        """Be no member any more; the log and the keys go with it."""
        remove_file(self.marker)
        remove_file(self._facts)
        for directory in (self.log, self.keys):
            _remove_tree(directory)

    def forget_log(self) -> None:
        """Remove what a join that did not come to its end has left."""
        _remove_tree(self.log)


def _plain(member: Member) -> dict[str, str | int]:
    return {
        "name": member.name,
        "address": member.address,
        "port": member.port,
        "fingerprint": member.fingerprint,
    }


def _remove_tree(directory: Path) -> None:
    if directory.exists():
        shutil.rmtree(directory)
