# SPDX-License-Identifier: LGPL-2.1-or-later
"""synod-generator on whole trees: NN-name/{etc,run,usr}/ in, NN-name/expected/ out, with the reason in
NN-name/WHY.

To accept a change, run the generator itself with SYNOD_ROOT=NN-name on an emptied expected/ and read the
diff.
"""

import ast
import difflib
import subprocess
from pathlib import Path

import pytest

HERE = Path(__file__).resolve().parent
GENERATOR = HERE.parents[1] / "generators/synod-generator"
CASES = sorted(path.name for path in HERE.iterdir() if (path / "WHY").is_file())


def contents(root: Path) -> dict[str, str]:
    files = (path for path in sorted(root.rglob("*")) if path.is_file() and path.name != ".empty")
    return {str(path.relative_to(root)): path.read_text() for path in files}


def run(root: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = ["/usr/bin/python3", "-ISE", str(GENERATOR), *arguments]
    environment = {"SYNOD_ROOT": str(root)}
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=False, timeout=30)


def test_there_are_cases():
    assert len(CASES) >= 20


@pytest.mark.parametrize("case", CASES)
def test_tree(case, tmp_path):
    done = run(HERE / case, str(tmp_path))
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    expected, found = contents(HERE / case / "expected"), contents(tmp_path)
    difference = [
        line
        for name in sorted({*expected, *found})
        for line in difflib.unified_diff(
            expected.get(name, "").splitlines(), found.get(name, "").splitlines(), f"expected/{name}", name
        )
    ]
    assert found == expected, "\n".join(difference)


def test_a_second_run_changes_nothing(tmp_path):
    for _ in range(2):
        assert run(HERE / "26-triggers", str(tmp_path)).returncode == 0
    assert contents(tmp_path) == contents(HERE / "26-triggers/expected")


def test_all_three_directories_may_be_given_and_only_the_first_is_used(tmp_path):
    places = [tmp_path / name for name in ("normal", "early", "late")]
    for place in places:
        place.mkdir()
    assert run(HERE / "03-alone", *map(str, places)).returncode == 0
    assert contents(places[0]) == contents(HERE / "03-alone/expected")
    assert not contents(places[1])
    assert not contents(places[2])


def test_usage_is_told():
    done = run(HERE)
    assert done.returncode == 2
    assert done.stderr.startswith("usage:")


def test_an_output_that_cannot_be_written_is_one_line_and_a_failure(tmp_path):
    done = run(HERE / "03-alone", str(tmp_path / "missing"))
    assert done.returncode == 1
    assert len(done.stderr.splitlines()) == 1


def test_one_directory_that_cannot_be_made_does_not_stop_the_others(tmp_path):
    (tmp_path / "db.service.d").write_text("in the way")
    done = run(HERE / "26-triggers", str(tmp_path))
    assert done.returncode == 1
    assert (tmp_path / "db.timer.d/zzzz-synod.conf").exists()
    assert "db.service" in (tmp_path / "synod-problems").read_text()


def test_a_fifo_among_the_unit_files_does_not_block(tmp_path):
    root, output = tmp_path / "root", tmp_path / "out"
    units = root / "etc/systemd/system"
    units.mkdir(parents=True)
    output.mkdir()
    (root / "etc/synod").mkdir()
    (root / "etc/synod/member").write_text("x\n")
    subprocess.run(["mkfifo", units / "pipe.service", units / "target"], check=True)
    (units / "linked.service").symlink_to("/srv/pipe")
    (units / "web.service").write_text("[X-Synod]\n")
    assert run(root, str(output)).returncode == 0
    assert (output / "synod-units").read_text() == "web.service\n"


def test_it_imports_nothing_but_two_built_in_modules():
    tree = ast.parse(GENERATOR.read_text())
    assert not any(isinstance(node, ast.ImportFrom) for node in ast.walk(tree))
    imports = [node for node in ast.walk(tree) if isinstance(node, ast.Import)]
    assert sorted(alias.name for node in imports for alias in node.names) == ["posix", "sys"]


def test_links_that_lead_nowhere_or_to_themselves_do_no_harm(tmp_path):
    root, output = tmp_path / "root", tmp_path / "out"
    units = root / "etc/systemd/system"
    (units / "web.service.d").mkdir(parents=True)
    output.mkdir()
    (root / "etc/synod").mkdir()
    (root / "etc/synod/member").write_text("x\n")
    (units / "web.service").write_text("[X-Synod]\n")
    for place, target in (
        ("loop.service", "loop.service"),
        ("a.service", "b.service"),
        ("b.service", "a.service"),
        ("gone.service", "/nowhere"),
        ("web.service.d/loop.conf", "loop.conf"),
        ("web.service.d/folder.conf", ".."),
        ("web.service.d/gone.conf", "/nowhere/x"),
        ("other.service.d", "other.service.d"),
    ):
        (units / place).symlink_to(target)
    assert run(root, str(output)).returncode == 0
    assert (output / "synod-units").read_text() == "web.service\n"
