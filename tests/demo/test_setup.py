# SPDX-License-Identifier: LGPL-2.1-or-later
import shutil
from pathlib import Path

from demo import setup
from demo.stage import ADDRESS, DB, VIP, WEB
from synod.config.finding import Severity
from synod.config.verify import verify

TREE = Path(setup.__file__).parent / "nodes"
UNITS = Path(__file__).parents[2] / "units"


def test_the_linter_has_nothing_against_the_units_of_the_demo(tmp_path: Path) -> None:
    shutil.copytree(TREE, tmp_path, dirs_exist_ok=True)
    packaged = tmp_path / "usr/lib/systemd/system"
    packaged.mkdir(parents=True)
    shutil.copy(UNITS / "synod-address@.service", packaged)
    findings = verify(tmp_path)

    # The unit file of the database comes with its package.
    assert [(found.code, found.unit) for found in findings] == [("no-fragment", DB)]
    assert all(found.severity is not Severity.ERROR for found in findings)


def test_the_units_of_the_demo_are_installed_under_the_names_the_acts_use() -> None:
    units = TREE / "etc/systemd/system"

    assert (units / WEB).is_file()
    assert (units / f"{DB}.d/cluster.conf").is_file()


def test_the_address_of_the_acts_is_that_of_the_unit_file() -> None:
    assert VIP in (TREE / "etc/systemd/system" / WEB).read_text()
    assert ADDRESS in VIP
