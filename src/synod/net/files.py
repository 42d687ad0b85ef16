# SPDX-License-Identifier: LGPL-2.1-or-later
"""Small files that are either the old ones or the new ones, also after a power loss.

Decides how a file is replaced: rename(2) over it, with fsync(2) of the file before and of the directory
after. Refuses to know what is in it.
"""

import os
from pathlib import Path
from typing import Final

from synod.base.errors import NotConfiguredError, StorageError

PRIVATE: Final = 0o600
PRIVATE_DIRECTORY: Final = 0o700


def write_file(path: Path, data: bytes, mode: int = PRIVATE) -> None:
    """Replace a file durably; its directory is made, private, when missing.

    The mode is set before the first byte is written. Raises StorageError; then the old content is still
    there.
    """
    partial = path.with_name(path.name + ".new")
    try:
        path.parent.mkdir(mode=PRIVATE_DIRECTORY, parents=True, exist_ok=True)
        partial.unlink(missing_ok=True)
        descriptor = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, mode)
        with open(descriptor, "wb") as file:  # noqa: PTH123  a descriptor, not a path
            os.fchmod(descriptor, mode)  # whatever the umask
            file.write(data)
            file.flush()
            os.fsync(descriptor)
        partial.replace(path)
        _sync_directory(path.parent)
    except OSError as error:
        raise StorageError(f"cannot write '{path}': {error.strerror}; is the disk full?") from error


def read_file(path: Path, bytes_max: int) -> bytes:
    """Return the content of a small file.

    Raises NotConfiguredError when there is none, and StorageError when it cannot be read or is longer than
    ``bytes_max``.
    """
    try:
        with path.open("rb") as file:
            data = file.read(bytes_max + 1)
    except FileNotFoundError:
        raise NotConfiguredError(f"there is no '{path}'; run 'synodctl init' or 'synodctl join'") from None
    except OSError as error:
        raise StorageError(f"cannot read '{path}': {error.strerror}") from error
    if len(data) > bytes_max:
        raise StorageError(f"'{path}' is longer than {bytes_max} bytes; restore it from a backup")
    return data


def remove_file(path: Path) -> None:
    """Remove a file durably; it is no error when there is none."""
    try:
        path.unlink(missing_ok=True)
        if path.parent.is_dir():
            _sync_directory(path.parent)
    except OSError as error:
        raise StorageError(f"cannot remove '{path}': {error.strerror}") from error


def _sync_directory(directory: Path) -> None:
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
