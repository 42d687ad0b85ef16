# SPDX-License-Identifier: LGPL-2.1-or-later
"""Every error maps to one exit status, and only an unknown outcome is not definite."""

import inspect

import pytest

from synod.base import errors
from synod.base.exits import ExitStatus

CLASSES = [
    cls for _, cls in inspect.getmembers(errors, inspect.isclass) if issubclass(cls, errors.SynodError)
]


@pytest.mark.parametrize("cls", CLASSES)
def test_an_error_never_exits_as_success(cls: type[errors.SynodError]) -> None:
    assert cls.exit_status is not ExitStatus.SUCCESS


@pytest.mark.parametrize("cls", CLASSES)
def test_only_errors_of_unknown_outcome_are_not_definite(cls: type[errors.SynodError]) -> None:
    assert cls.is_definite is not issubclass(cls, errors.IndefiniteError)


@pytest.mark.parametrize(
    ("cls", "status"),
    [
        (errors.UsageError, 2), (errors.NotPermittedError, 4), (errors.NoSuchObjectError, 5),
        (errors.ConfigError, 6), (errors.NotConfiguredError, 6), (errors.NoAgentError, 7),
        (errors.NotQuorateError, 8), (errors.UnsatisfiableError, 11), (errors.RefusedError, 12),
        (errors.IndefiniteError, 75), (errors.TimedOutError, 124),
    ],
)  # fmt: skip
def test_exit_statuses_of_the_command_contract(cls: type[errors.SynodError], status: int) -> None:
    assert cls.exit_status == status
