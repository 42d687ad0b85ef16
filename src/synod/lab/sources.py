# SPDX-License-Identifier: LGPL-2.1-or-later
"""Where the nodes' packages come from: this machine's own Debian sources, turned to the release wanted.

Reads sources.list(5) in both of its formats and apt.conf(5)'s proxies, so that a mirror or proxy set up
for the host serves the lab too. Pure functions but for load().
"""

import platform
import re
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Final

RELEASES: Final = ("bookworm", "trixie")

_DEFAULT = """Types: deb
URIs: http://deb.debian.org/debian
Suites: {release} {release}-updates
Components: main
Signed-By: /usr/share/keyrings/debian-archive-keyring.gpg
"""
_LINE = re.compile(r"deb\s+(?:\[(?P<options>[^]]*)\]\s*)?(?P<uri>\S+)\s+(?P<suite>\S+)\s+(?P<components>.+)")
_OPTION = re.compile(r"Acquire::(?:http|https|ftp|Check-|Retries)")
_APT = Path("/etc/apt")


@dataclass(frozen=True, slots=True, kw_only=True)
class Sources:
    """What mmdebstrap(1) needs in order to find packages."""

    text: str
    """Stanzas in deb822 format."""
    options: tuple[str, ...]
    """Lines of apt.conf(5)."""


def load(release: str) -> Sources:
    """Read this machine's sources, for a release of RELEASES."""
    files = sorted((*_APT.glob("sources.list"), *_APT.glob("sources.list.d/*.list"),
                    *_APT.glob("sources.list.d/*.sources")))
    host = platform.freedesktop_os_release().get("VERSION_CODENAME", "")
    stanzas = [stanza for file in files
               for stanza in parse(file.read_text(encoding="utf-8"), is_deb822=file.suffix == ".sources")]
    dump = subprocess.run(("apt-config", "dump"), capture_output=True, text=True, check=True).stdout
    options = tuple(line for line in dump.splitlines() if _OPTION.match(line))
    return Sources(text=derive(stanzas, host, release), options=options)


def parse(text: str, *, is_deb822: bool) -> list[dict[str, str]]:
    """Return the enabled stanzas of a sources file; a one-line entry becomes a stanza of its own."""
    lines = [line for line in text.splitlines() if not line.lstrip().startswith("#")]
    if not is_deb822:
        return [_from_line(entry) for line in lines if (entry := _LINE.fullmatch(line.strip()))]
    stanzas = []
    for block in re.split(r"\n[ \t]*\n", "\n".join(lines)):
        fields: dict[str, str] = {}
        name = ""
        for line in block.splitlines():
            if line[:1].isspace():
                fields[name] += f"\n{line}"
            elif ":" in line:
                name, _, value = line.partition(":")
                fields[name] = value.strip()
        if fields and fields.get("Enabled", "yes").lower() not in ("no", "false", "0"):
            stanzas.append(fields)
    return stanzas


def derive(stanzas: list[dict[str, str]], host: str, release: str) -> str:
    """Return the stanzas that carry the host's release, with the wanted release put in its place.

    Third parties' repositories are left out: they may not have the other release, and the nodes need only
    Debian's.
    """
    kept = []
    for fields in stanzas:
        suites = fields.get("Suites", "").split()
        is_debian = "debian" in fields.get("URIs", "") and "main" in fields.get("Components", "").split()
        if is_debian and suites and all(suite.split("-")[0] == host for suite in suites):
            renamed = " ".join(suite.replace(host, release, 1) for suite in suites)
            wanted = {**fields, "Types": "deb", "Suites": renamed, "Components": "main"}
            kept.append("".join(f"{name}: {value}\n" for name, value in wanted.items()))
    return "\n".join(kept) or _DEFAULT.format(release=release)


def _from_line(entry: re.Match[str]) -> dict[str, str]:
    options = dict(option.partition("=")[::2] for option in (entry["options"] or "").split())
    fields = {"Types": "deb", "URIs": entry["uri"], "Suites": entry["suite"],
              "Components": entry["components"]}
    return {**fields, "Signed-By": options["signed-by"]} if "signed-by" in options else fields
