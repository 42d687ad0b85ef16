# SPDX-License-Identifier: LGPL-2.1-or-later
from pathlib import Path

from synod.systemd.paths import Paths


def names(paths):
    return {name: getattr(paths, name) for name in dir(Paths) if isinstance(getattr(Paths, name), property)}


def test_these_names_are_what_units_and_the_generator_use():
    assert {name: str(path) for name, path in names(Paths()).items()} == {
        "runtime": "/run/synod",
        "grants": "/run/synod/grant",
        "up": "/run/synod/up",
        "environments": "/run/synod/env",
        "stops": "/run/synod/stop",
        "lease": "/run/synod/lease",
        "incarnation": "/run/synod/incarnation",
        "booted": "/run/synod/booted",
        "last_generated": "/run/synod/generated",
        "agent_socket": "/run/synod/agent.sock",
        "state": "/var/lib/synod",
        "configuration": "/etc/synod",
        "generator_output": "/run/systemd/generator",
        "runtime_units": "/run/systemd/system",
        "local_units": "/etc/systemd/system",
    }


def test_a_root_moves_everything():
    for path in names(Paths.from_environment({"SYNOD_ROOT": "/tmp/x"})).values():
        assert path.is_relative_to("/tmp/x")


def test_no_root_is_the_root():
    assert Paths.from_environment({}).root == Paths.from_environment({"SYNOD_ROOT": ""}).root == Path("/")
