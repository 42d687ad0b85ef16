# SPDX-License-Identifier: LGPL-2.1-or-later
from synod.lab.sources import derive, parse

DEB822 = """# comment
Types: deb deb-src
URIs: http://mirror.example/debian
Suites: bookworm bookworm-updates
# inside
Components: main contrib
Signed-By:
 key line one
 key line two

Types: deb
URIs: http://mirror.example/debian-security
Suites: bookworm-security
Components: main

Enabled: no
Types: deb
URIs: http://mirror.example/debian-backports
Suites: bookworm-backports
Components: main

Types: deb
URIs: https://packages.example/other
Suites: stable
Components: main
"""


def test_debian_stanzas_are_turned_to_the_other_release() -> None:
    text = derive(parse(DEB822, is_deb822=True), "bookworm", "trixie")
    assert text == (
        "Types: deb\nURIs: http://mirror.example/debian\nSuites: trixie trixie-updates\nComponents: main\n"
        "Signed-By: \n key line one\n key line two\n\n"
        "Types: deb\nURIs: http://mirror.example/debian-security\nSuites: trixie-security\n"
        "Components: main\n")


def test_one_line_entries_become_stanzas() -> None:
    text = ("deb [arch=amd64 signed-by=/k.gpg] http://mirror.example/debian trixie main non-free\n"
            "# deb x y z\ndeb-src a b c\n")
    assert derive(parse(text, is_deb822=False), "trixie", "bookworm") == (
        "Types: deb\nURIs: http://mirror.example/debian\nSuites: bookworm\nComponents: main\n"
        "Signed-By: /k.gpg\n")


def test_a_machine_without_debian_sources_uses_debians_own_address() -> None:
    text = derive([], "noble", "trixie")
    assert "URIs: http://deb.debian.org/debian\nSuites: trixie trixie-updates" in text
