# SPDX-License-Identifier: LGPL-2.1-or-later
"""A client on the lab's network, outside the nodes: a program of its own that writes down lines as it goes.

Decides nothing about what the client asks, or what it ought to see.
"""

import subprocess
import sys
from pathlib import Path
from typing import Final

from synod.lab.cluster import Lab

_END_SEC: Final = 5.0


class Client:
    """A stand-alone Python program that runs until it is ended."""

    def __init__(self, lab: Lab, program: Path, *words: str, output: Path) -> None:
        """Start it; what it prints goes to ``output``."""
        with output.open("w", encoding="utf-8") as file:
            argv = (sys.executable, "-I", str(program), *words)
            self._process: subprocess.Popen[bytes] = lab.outside_popen(argv, stdout=file)

    def end(self) -> None:
        """End it; it may have ended, and may be ended again."""
        self._process.terminate()
        self._process.wait(timeout=_END_SEC)


def lines(output: Path) -> list[str]:
    """Return what a client has written so far; its last line may be half a line, which is left for later."""
    text = output.read_text(encoding="utf-8")
    return text[: text.rfind("\n") + 1].splitlines()
