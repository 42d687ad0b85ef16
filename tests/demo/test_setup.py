# SPDX-License-Identifier: LGPL-2.1-or-later
from pathlib import Path

from demo import setup
from demo.stage import DB, WEB
from synod.config.finding import Severity
from synod.config.verify import verify

TREE = Path(setup.__file__).parent / "nodes"


def test_the_linter_has_nothing_against_the_units_of_the_demo() -> None:
    findings = verify(TREE)

    # The unit file of the database comes with its package.
    assert [(found.code, found.unit) for found in findings] == [("no-fragment", DB)]
    assert all(found.severity is not Severity.ERROR for found in findings)


def test_the_units_of_the_demo_are_installed_under_the_names_the_acts_use() -> None:
    units = TREE / "etc/systemd/system"

    assert (units / WEB).is_file()
    assert (units / f"{DB}.d/cluster.conf").is_file()
