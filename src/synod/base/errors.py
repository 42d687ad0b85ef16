# SPDX-License-Identifier: LGPL-2.1-or-later
"""Errors, split by whose fault it is and by what is known about the outcome.

A *definite* error means that the operation did not and will not happen. An *indefinite* one means that it
may have happened or may happen later; it is reported as unknown, never as failed.
"""

from typing import ClassVar

from synod.base.exits import ExitStatus


class SynodError(Exception):
    """Root of all errors that a user may see; the text is one line: what, which object, what to try."""

    exit_status: ClassVar[ExitStatus] = ExitStatus.FAILURE
    is_definite: ClassVar[bool] = True


class UsageError(SynodError):
    """The caller asked for something impossible."""

    exit_status = ExitStatus.USAGE


class ConfigError(SynodError):
    """A file holds something that is not understood; the text begins with file:line."""

    exit_status = ExitStatus.NOT_CONFIGURED


class NotConfiguredError(SynodError):
    """This node is not a member of a cluster."""

    exit_status = ExitStatus.NOT_CONFIGURED


class NoSuchObjectError(SynodError):
    """No unit or node of that name is known to the cluster."""

    exit_status = ExitStatus.NO_SUCH_UNIT


class RefusedError(SynodError):
    """Definite: it was refused, for the reason in the text."""

    exit_status = ExitStatus.REFUSED


class NotPermittedError(RefusedError):
    """The caller lacks the privilege."""

    exit_status = ExitStatus.NO_PRIVILEGE


class NotQuorateError(RefusedError):
    """Definite: without a quorum the change was not accepted."""

    exit_status = ExitStatus.NOT_QUORATE


class UnsatisfiableError(RefusedError):
    """No placement meets the constraints."""

    exit_status = ExitStatus.UNSATISFIABLE


class NoAgentError(SynodError):
    """The agent of this node does not answer."""

    exit_status = ExitStatus.NO_AGENT


class IndefiniteError(SynodError):
    """It may have happened, or may happen later."""

    exit_status = ExitStatus.OUTCOME_UNKNOWN
    is_definite = False


class TimedOutError(IndefiniteError):
    """No answer within the time allowed."""

    exit_status = ExitStatus.TIMEOUT


class StorageError(SynodError):
    """A durable write failed: the disk is full or broken; nothing may depend on what was being written."""


class PeerError(SynodError):
    """The other side broke the protocol; never leaves the shell that met it."""
