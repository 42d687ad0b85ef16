# SPDX-License-Identifier: LGPL-2.1-or-later
"""The manual pages build, lint, and say what the code says."""

import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import click
import pytest
from docutils.core import publish_string

from synod import __version__
from synod.base.exits import ExitStatus
from synod.cli.main import INTERRUPTED, synodctl
from synod.cli.output import JSON_MODES
from synod.config.annotation import KEYS, SYSTEMD_KEYS
from synod.config.finding import CODES
from synod.config.schema import SETTINGS

ROOT = Path(__file__).parent.parent
PAGES = sorted((ROOT / "man").glob("*.rst"))
NAMES = {tuple(page.name.split(".rst")[0].rsplit(".", 1)) for page in PAGES}
# As packaging/debian/rules calls rst2man.
DOCUTILS = {"halt_level": 2, "report_level": 2, "strip_comments": True, "datestamp": None,
            "generator": None, "output_encoding": "unicode"}  # fmt: skip


def source(name: str) -> str:
    return (ROOT / "man" / f"{name}.rst").read_text()


def section(name: str, title: str) -> str:
    """The text of one section of a page, up to the next of its rank."""
    match = re.search(rf"^{re.escape(title)}\n=+\n(.*?)(?=^[^\n]+\n===|\Z)", source(name), re.M | re.S)
    assert match is not None, f"{name} has no section {title}"
    return match[1]


def terms(text: str) -> list[str]:
    """The first lines of definitions: not indented, with an indented line below."""
    return re.findall(r"^(\S.*)\n(?= {4}\S)", text, re.M)


def bold(text: str) -> list[str]:
    return re.findall(r"\*\*([^*]+)\*\*", text)


def roff(page: Path) -> str:
    text: str = publish_string(page.read_text(), writer_name="manpage", settings_overrides=DOCUTILS)
    return text


def every_page() -> pytest.MarkDecorator:
    return pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)


def test_all_pages_are_there() -> None:
    assert [page.name for page in PAGES] == [
        "synod-address@.service.8.rst", "synod-dependency.7.rst", "synod-generator.8.rst", "synod-unit.5.rst", "synod.7.rst",
        "synod.conf.5.rst", "synodctl.1.rst", "synodd.8.rst",
    ]  # fmt: skip


def complaints(*words: str) -> tuple[str, str]:
    """Run a program and return its output and what it complains about."""
    environment = {"PATH": "/usr/bin:/bin", "LC_ALL": "C.UTF-8", "MANWIDTH": "80"}
    done = subprocess.run(words, capture_output=True, text=True, timeout=60, check=True, env=environment)
    return done.stdout, done.stderr


@every_page()
def test_it_builds_and_lints(page: Path, tmp_path: Path) -> None:
    name, number = page.name.removesuffix(".rst").rsplit(".", 1)
    file = tmp_path / f"{name}.{number}"
    text = roff(page)
    title = re.escape(name.upper()).replace(r"\-", r"\\?-")
    header = rf'^\.TH "?{title}"? "?{number}"? "" "?{re.escape(__version__)}"? "?Synod"?$'
    assert re.search(header, text, re.M)  # releases of docutils quote differently
    file.write_text(text)
    if shutil.which("groff"):
        assert complaints("groff", "-man", "-ww", "-z", "-Tutf8", str(file)) == ("", "")
    if shutil.which("man"):
        shown, complaint = complaints("man", "--warnings", "-l", str(file))
        assert complaint == ""
        assert f"{name} - " in shown


@every_page()
def test_its_frame(page: Path) -> None:
    text = page.read_text()
    assert text.startswith(".. SPDX-License-Identifier: LGPL-2.1-or-later\n")
    assert f"\n:Version: {__version__}\n" in text
    titles = re.findall(r"^([A-Z][^\n]*)\n==+$", text, re.M)
    assert titles[-1] == "SEE ALSO"
    assert "DESCRIPTION" in titles
    assert max(map(len, text.splitlines())) <= 109


@every_page()
def test_the_pages_of_ours_that_it_names_exist(page: Path) -> None:
    named = re.findall(r"\*\*(synod[a-z.-]*)\*\*\\?\((\d)\)", page.read_text())
    assert named
    assert set(named) <= NAMES


def test_the_pages_that_units_name_exist() -> None:
    units = [path for path in (ROOT / "units").iterdir() if path.is_file()]
    named = {ref for unit in units for ref in re.findall(r"man:(synod[a-z.-]*)\((\d)\)", unit.read_text())}
    assert named
    assert named <= NAMES


# The page synodctl(1)


def commands() -> Iterator[tuple[str, click.Command]]:
    with click.Context(synodctl) as context:
        for name in synodctl.list_commands(context):
            command = synodctl.get_command(context, name)
            assert command is not None
            yield name, command


def options(command: click.Command) -> set[str]:
    return {
        option
        for parameter in command.params
        if isinstance(parameter, click.Option)
        for option in (*parameter.opts, *parameter.secondary_opts)
    }


def test_every_verb_has_an_entry_and_every_entry_is_a_verb() -> None:
    entries = [bold(term)[0] for term in terms(section("synodctl.1", "VERBS"))]
    assert entries == [name for name, _ in commands()]


def test_entries_name_the_arguments_and_options_of_their_verb() -> None:
    common = {"--help", "-h", "--version", *options(synodctl)}
    for term, (name, command) in zip(terms(section("synodctl.1", "VERBS")), commands(), strict=True):
        if isinstance(command, click.Group):
            continue
        assert {word for word in bold(term) if word.startswith("-")} == options(command) - common, name
        arguments = [parameter.metavar or str(parameter.name).upper()
                     for parameter in command.params if isinstance(parameter, click.Argument)]
        behind_options = re.sub(r"\[?\*\*--\S+ (?:\*\w+\*\]?)?", "", term)
        assert re.findall(r"\*([A-Z]+)\*", behind_options.replace("**", "")) == [
            re.sub(r"[^A-Z]", "", word) for word in arguments
        ], name


def test_every_option_is_described_and_every_described_one_exists() -> None:
    known = {"-h", "--help", "--version", *options(synodctl)}
    for _, command in commands():
        known |= options(command)
        if isinstance(command, click.Group):
            for below in command.commands.values():
                known |= options(below)
    text = source("synodctl.1")
    assert {word for word in bold(text) if word.startswith("-")} == known
    described = {word for term in terms(section("synodctl.1", "OPTIONS")) for word in bold(term)}
    lab = dict(commands())["lab"]
    assert isinstance(lab, click.Group)
    only_lab = {option for below in lab.commands.values() for option in options(below)} - described
    assert described == known - only_lab


def test_every_verb_of_the_lab_is_described() -> None:
    lab = dict(commands())["lab"]
    assert isinstance(lab, click.Group)
    entry = section("synodctl.1", "VERBS").partition("**lab**")[2]
    assert set(lab.commands) <= set(bold(entry))


def test_json_modes() -> None:
    entry = section("synodctl.1", "OPTIONS").partition("**--json**")[2].partition("**--no-legend**")[0]
    assert {mode for mode in JSON_MODES if f"*{mode}*" in entry} == set(JSON_MODES)


def test_exit_statuses_agree() -> None:
    text = section("synodctl.1", "EXIT STATUS")
    assert [int(term) for term in terms(text)] == [*map(int, ExitStatus), INTERRUPTED]


# The page synod-unit(5)


def described_keys(name: str, title: str) -> dict[str, str]:
    """Key -> its description."""
    found: dict[str, str] = {}
    text = section(name, title)
    for match in re.finditer(r"^(\*\*\w+=\*\*.*)\n((?: {4}.*\n|\n)+)", text, re.M):
        found |= dict.fromkeys((word.removesuffix("=") for word in bold(match[1])), match[2])
    return found


def test_every_key_is_described_and_every_described_key_exists() -> None:
    found = described_keys("synod-unit.5", "KEYS")
    assert sorted(found) == sorted(KEYS)
    for text in found.values():
        assert re.search(r"\bTakes?\b", text)
        assert re.search(r"\bDefaults?\b", text)
        assert "Added in version 0.1." in text


def test_keys_that_are_not_carried_are_not_described_as_keys() -> None:
    assert not set(described_keys("synod-unit.5", "KEYS")) & set(SYSTEMD_KEYS)


def test_findings_agree() -> None:
    found = re.findall(r"^\*\*([a-z0-9-]+)\*\* \((\w+)\)\n {4}\S", section("synod-unit.5", "FINDINGS"), re.M)
    assert found == [(code, severity.value) for code, (severity, _) in CODES.items()]


# The page synod.conf(5)


def test_every_setting_is_described_with_its_default() -> None:
    for name in dict.fromkeys(row.section for row in SETTINGS):
        found = described_keys("synod.conf.5", f"[{name.upper()}] SECTION")
        rows = [row for row in SETTINGS if row.section == name]
        assert list(found) == [row.key for row in rows]
        for row in rows:
            text = " ".join(found[row.key].split())
            assert text.startswith("Takes ")
            assert f"Added in version {row.version}." in text
            stated = f"Defaults to {row.default_text}" if row.default_text else "Defaults to the"
            assert stated in text.replace("*", "")


def test_every_section_of_the_settings_is_one_of_the_page() -> None:
    titles = re.findall(r"^\[(\w+)\] SECTION$", source("synod.conf.5"), re.M)
    assert titles == [name.upper() for name in dict.fromkeys(row.section for row in SETTINGS)]


def test_the_page_says_whether_the_agent_obeys() -> None:
    is_read = any("config.settings" in path.read_text() for path in (ROOT / "src/synod/agent").glob("*.py"))
    is_denied = "does not read these files yet" in " ".join(source("synod.conf.5").split())
    assert is_denied is not is_read
