# SPDX-License-Identifier: LGPL-2.1-or-later
"""synodd(8): start, run until a signal, stop; units are never touched by any of it."""

import asyncio
import logging
import signal
import sys

from synod import __version__
from synod.agent.daemon import Daemon
from synod.base.errors import SynodError
from synod.base.exits import ExitStatus
from synod.systemd.journal import Journal, JournalHandler, Priority
from synod.systemd.notify import Notifier
from synod.systemd.paths import Paths

_SIGNALS = (signal.SIGTERM, signal.SIGINT)


def main() -> None:
    """Run the agent."""
    if "--version" in sys.argv[1:]:
        sys.stdout.write(f"synodd {__version__}\n")
        return
    journal = Journal()
    handlers = [JournalHandler(journal)]
    logging.basicConfig(level=logging.INFO, format="%(message)s", handlers=handlers, force=True)
    try:
        asyncio.run(_run(journal))
    except* SynodError as group:
        for error in _leaves(group):
            journal.send(str(error), priority=Priority.ERR)
        sys.exit(ExitStatus.NOT_CONFIGURED)


async def _run(journal: Journal) -> None:
    daemon = Daemon(Paths.from_environment(), journal, Notifier())
    serving = asyncio.ensure_future(daemon.run())
    loop = asyncio.get_running_loop()
    for number in _SIGNALS:
        loop.add_signal_handler(number, serving.cancel)
    try:
        await serving
    except asyncio.CancelledError:
        await daemon.stop()


def _leaves(group: BaseExceptionGroup[SynodError]) -> list[SynodError]:
    found: list[SynodError] = []
    for error in group.exceptions:
        found += _leaves(error) if isinstance(error, BaseExceptionGroup) else [error]
    return found


if __name__ == "__main__":
    main()
