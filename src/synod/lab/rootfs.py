# SPDX-License-Identifier: LGPL-2.1-or-later
"""The nodes' root file system: a Debian made once and kept, and on top a layer with the package under test.

Kept in /var/cache/synod-lab/: RELEASE-HASH/ from mmdebstrap(1), the hash being that of the recipe, and
RELEASE-HASH+HASH/ with what installing one .deb has changed. A directory of that name is complete: it is
made under another name and renamed. Concurrent makers wait for each other.
"""

import hashlib
import os
import shutil
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from synod.base.errors import SynodError, TimedOutError, UsageError
from synod.lab import sources, state
from synod.lab.process import require_programs, run, wait_until

CACHE: Final = Path("/var/cache/synod-lab")

_SYSTEM = ("systemd", "systemd-sysv", "dbus", "iproute2", "iputils-ping", "procps", "python3", "nftables")
_DEPENDENCIES = ("python3-click", "python3-cryptography", "python3-dbus-fast", "python3-msgpack",
                 "python3-pyroute2", "python3-pystemd", "python3-uvloop")
"""Of our own package: dpkg installs it without asking the network again."""

# Nothing periodic may stir in a node, and no node may load modules into the host's kernel (on Debian 13
# its attempt leaves the node degraded).
_MASKED = ("systemd-modules-load.service", "apt-daily.timer", "apt-daily-upgrade.timer",
           "dpkg-db-backup.timer", "e2scrub_all.timer", "fstrim.timer", "man-db.timer")

_BUILD_SEC = 900.0
_INSTALL_SEC = 300.0
_RECENT_SEC = 600.0
"""Since its last use; between choosing a layer and being on record a lab takes far less."""

_IN_OVERLAY = """set -eu
mount -t overlay overlay -o "lowerdir=$1,upperdir=$2,workdir=$3" "$4"
mount -t proc proc "$4/proc"
cd "$4"
shift 4
exec "$@"
"""
# No service may be started in a chroot (invoke-rc.d(8)); systemctl(1) notices it by itself.
_INSTALL = """set -eu
printf '#!/bin/sh\\nexit 101\\n' >usr/sbin/policy-rc.d
chmod 755 usr/sbin/policy-rc.d
cp "$1" tmp/package.deb
export DEBIAN_FRONTEND=noninteractive LC_ALL=C.UTF-8
chroot . dpkg --install /tmp/package.deb
rm usr/sbin/policy-rc.d tmp/package.deb
"""


def prepare(release: str, packages: Sequence[str], deb: Path | None) -> tuple[str, ...]:
    """Return the overlay layers of the root file system, topmost first; make those that are missing.

    Takes 15 to 60 s the first time, some seconds for a new .deb, nothing otherwise.
    """
    if release not in sources.RELEASES:
        raise UsageError(f"the lab knows no release '{release}'; try one of: {', '.join(sources.RELEASES)}")
    if deb is not None and not deb.is_file():
        raise UsageError(f"'{deb}' is not a file; try: make deb")
    base = _base(release, packages)
    return (str(base),) if deb is None else (str(_with_deb(base, deb)), str(base))


def in_overlay(layers: Sequence[str], node: Path, argv: Sequence[str], *, what: str, timeout: float,
               stdin: str = "") -> str:
    """Run a program in the directory where the layers appear as one tree; changes land in ``node``/upper.

    The mount exists only in the program's own mount namespace: a crash leaves nothing behind.
    """
    for name in ("upper", "work", "root"):
        (node / name).mkdir(parents=True, exist_ok=True)
    places = (":".join(layers), str(node / "upper"), str(node / "work"), str(node / "root"))
    return run(("unshare", "--mount", "--pid", "--fork", "--kill-child", "--propagation", "private", "--",
                "sh", "-c", _IN_OVERLAY, "sh", *places, *argv), what=what, timeout=timeout, stdin=stdin)


def _base(release: str, packages: Sequence[str]) -> Path:
    found = sources.load(release)
    include = ",".join(dict.fromkeys((*_SYSTEM, *_DEPENDENCIES, *sorted(packages))))
    recipe = "\0".join((release, include, found.text, *_MASKED))
    place = CACHE / f"{release}-{_digest(recipe.encode())}"
    with _maker_of(place) as draft:
        if draft is not None:
            require_programs("mmdebstrap")
            options = (f"--aptopt={option}" for option in found.options)
            mask = f'systemctl --root="$1" --quiet mask {" ".join(_MASKED)}'
            run(("mmdebstrap", "--quiet", "--variant=minbase", f"--include={include}", *options,
                 f"--customize-hook={mask}", release, str(draft), "-"),
                what=f"build the root file system of {release}", timeout=_BUILD_SEC, stdin=found.text)
    return place


def _with_deb(base: Path, deb: Path) -> Path:
    place = CACHE / f"{base.name}+{_digest(deb.read_bytes())}"
    with _maker_of(place) as draft:
        if draft is not None:
            scratch = draft.with_suffix(".scratch")
            _discard(scratch)
            in_overlay((str(base),), scratch, ("sh", "-c", _INSTALL, "sh", str(deb.absolute())),
                       what=f"install {deb.name} in {base.name}", timeout=_INSTALL_SEC)
            (scratch / "upper").rename(draft)
            _discard(scratch)
            _drop_layers_of(base)
    os.utime(place)
    return place


@contextmanager
def _maker_of(place: Path) -> Iterator[Path | None]:
    """Yield where to build what is missing at ``place``, and rename it afterwards; None when it is there."""
    if place.is_dir():
        yield None
        return
    CACHE.mkdir(parents=True, exist_ok=True)
    with (CACHE / "lock").open("a", encoding="utf-8") as file:
        if not wait_until(lambda: state.try_lock(file.fileno()), timeout=_BUILD_SEC):
            raise TimedOutError(f"{CACHE}/lock is held by another build for more than {_BUILD_SEC:g} s")
        if place.is_dir():
            yield None
            return
        draft = place.with_name(f"{place.name}.draft")
        _discard(draft)
        yield draft
        draft.rename(place)


def _drop_layers_of(base: Path) -> None:
    """Remove the layers of earlier packages, unless a lab stands on them or may be about to."""
    used = {layer for name in state.names() for layer in _layers(name)}
    for path in CACHE.glob(f"{base.name}+*"):
        is_recent = path.stat().st_mtime > time.time() - _RECENT_SEC
        if path.suffix != ".draft" and str(path) not in used and not is_recent:
            _discard(path)


def _layers(name: str) -> tuple[str, ...]:
    # An interrupted up or down leaves a directory without a state.
    try:
        return state.load(name).layers
    except SynodError:
        return ()


def _discard(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path)


def _digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()[:12]
