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
from synod.config.settings import load_settings
from synod.systemd.journal import Journal, JournalHandler, Priority
from synod.systemd.notify import Notifier
from synod.systemd.paths import Paths

_SIGNALS = (signal.SIGTERM, signal.SIGINT)


def main() -> None:
    """Run the agent."""
    if "--version" in sys.argv[1:]:
        sys.stdout.write(f"synodd {__version__}\n")
        return
    journal, paths = Journal(), Paths.from_environment()
    handlers = [JournalHandler(journal)]
    logging.basicConfig(level=logging.DEBUG, format="%(message)s", handlers=handlers, force=True)
    daemon: Daemon | None = None
    try:
        loaded = load_settings(paths.root)
        for warning in loaded.warnings:
            journal.send(warning, priority=Priority.WARNING)
        journal.level = Priority[loaded.settings.log_level.upper()]
        daemon = Daemon(paths, loaded.settings, journal, Notifier())
        asyncio.run(_run(daemon))
    except* SynodError as group:
        for error in _leaves(group):
            journal.send(str(error), priority=Priority.ERR)
        # What is wrong from the start stays wrong (RestartPreventExitStatus=6); what comes later may pass.
        has_begun = daemon is not None and daemon.has_begun
        sys.exit(ExitStatus.FAILURE if has_begun else ExitStatus.NOT_CONFIGURED)


async def _run(daemon: Daemon) -> None:
    serving = asyncio.ensure_future(daemon.run())
    loop = asyncio.get_running_loop()
    for number in _SIGNALS:
        loop.add_signal_handler(number, serving.cancel)
    loop.add_signal_handler(signal.SIGHUP, daemon.reload)
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
