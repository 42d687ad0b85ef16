# SPDX-License-Identifier: LGPL-2.1-or-later
"""The house rules, as tests: linters, types, contracts, sizes."""

import ast
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
SOURCES = sorted((ROOT / "src").rglob("*.py"))
BIN = Path(sys.executable).parent

MODULE_LINES_MAX = 430
FUNCTION_LINES_MAX = 60


def run(*argv: str | Path, **environment: str) -> None:
    result = subprocess.run(
        [os.fspath(part) for part in argv], cwd=ROOT, env=os.environ | environment, capture_output=True, text=True,
        check=False, timeout=600,
    )  # fmt: skip
    assert result.returncode == 0, f"{result.stdout}\n{result.stderr}"


def test_ruff() -> None:
    run(BIN / "ruff", "check", "--no-cache", "--output-format=concise", "src", "tests", "tools", "generators")


def test_mypy() -> None:
    run(BIN / "mypy")


def test_import_contracts() -> None:
    run(BIN / "lint-imports", "--no-cache", PYTHONPATH="src")


def test_spelling() -> None:
    run(BIN / "codespell", "src", "man", "units", "generators", "README.md", "HACKING.md", "ARCHITECTURE.md", "NEWS.md")


@pytest.mark.parametrize("program", [ROOT / ".ci/run", ROOT / "tools/host-setup", ROOT / "packaging/build-deb"])
def test_shell_syntax(program: Path) -> None:
    run(shutil.which("bash") or "bash", "-n", program)


def test_every_file_names_its_licence() -> None:
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    exempt = re.compile(
        r"(^|/)(LICENSE|py\.typed|\.gitignore|\.editorconfig|README\.md|format|changelog|copyright|empty)$"
        r"|^tests/(golden|generator|config|verify|plans|sim|cli)/"
    )
    names = [name for name in listed.split("\0") if name and not exempt.search(name)]
    missing = [name for name in names if "SPDX-License-Identifier" not in head(ROOT / name)]
    assert missing == []


def head(path: Path) -> str:
    return path.read_text(errors="replace")[:400] if path.is_file() else "SPDX-License-Identifier"


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(ROOT)))
def test_sizes(path: Path) -> None:
    text = path.read_text()
    assert text.count("\n") <= MODULE_LINES_MAX
    for function in functions(ast.parse(text)):
        assert (function.end_lineno or 0) - function.lineno < FUNCTION_LINES_MAX, function.name


def functions(tree: ast.AST) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield node


@pytest.mark.parametrize("path", sorted((ROOT / "tests").rglob("*.py")), ids=lambda path: str(path.relative_to(ROOT)))
def test_tests_use_no_mocks_and_no_sleeps(path: Path) -> None:
    text = path.read_text()
    if path == Path(__file__):
        return
    for forbidden in ("unittest.mock", "mocker.patch", "mark.flaky"):
        assert forbidden not in text


def test_readme_commands_exist() -> None:
    targets = re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE)
    used = re.findall(r"\bmake ([a-z-]+)", (ROOT / "README.md").read_text())
    assert used
    assert [name for name in used if name not in targets] == []
