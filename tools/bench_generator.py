#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""Measures synod-generator on trees of 0, 100, 1000 and 5000 unit files (``make bench-generator``).

The generator blocks the boot and every daemon-reload. Its time is told as a multiple of what starting the
interpreter costs on the same machine at the same moment, since absolute times on a shared one say little:
the runs of all trees and of the bare interpreter take turns. One unit file in
fifty is annotated and one in ten has a drop-in; the output goes to a tmpfs, as that of a real generator
does.
"""

import argparse
import json
import os
import statistics
import subprocess
import tempfile
import time
from pathlib import Path

GENERATOR = Path(__file__).resolve().parent.parent / "generators/synod-generator"
PYTHON = ("/usr/bin/python3", "-ISE")
SIZES = (0, 100, 1000, 5000)

PLAIN = """[Unit]
Description=Unit number {number} of a system as large as this one
Documentation=man:example(8)
After=network.target
Wants=network.target

[Service]
Type=notify
ExecStart=/usr/lib/example/daemon --number={number}
Restart=on-failure
ProtectSystem=strict
ProtectHome=yes

[Install]
WantedBy=multi-user.target
"""
ANNOTATION = "\n[X-Synod]\nRequires=unit-{other}.service\nAfter=unit-{other}.service\nInstances=1\n"


def build(root: Path, size: int) -> None:
    """Make a tree of ``size`` unit files below a root that is a member of a cluster."""
    vendor, admin = root / "usr/lib/systemd/system", root / "etc/systemd/system"
    for directory in (vendor, admin, root / "etc/synod"):
        directory.mkdir(parents=True)
    (root / "etc/synod/member").write_text("bench\n")
    for number in range(size):
        name = f"unit-{number}.service"
        text = PLAIN.format(number=number)
        if number % 50 == 0:
            text += ANNOTATION.format(other=number + 1)
        (vendor / name).write_text(text)
        if number % 10 == 0:
            dropin = admin / f"{name}.d"
            dropin.mkdir()
            (dropin / "local.conf").write_text("[Service]\nNice=5\n")


def run(command: tuple[str, ...], environment: dict[str, str]) -> float:
    """Return the milliseconds that one run of a command takes."""
    begin = time.monotonic_ns()
    subprocess.run(command, env=environment, check=True)
    return (time.monotonic_ns() - begin) / 1e6


def measure(base: Path, output: Path, runs: int) -> dict[str, list[float]]:
    """Return the times of every tree and of the bare interpreter, measured in turn."""
    environment = {"PATH": os.environ.get("PATH", "/usr/bin:/bin")}
    times: dict[str, list[float]] = {"python": [], **{str(size): [] for size in SIZES}}
    for _ in range(runs):
        times["python"].append(run((*PYTHON, "-c", "pass"), environment))
        for size in SIZES:
            (output / str(size)).mkdir(exist_ok=True)
            generator = (*PYTHON, str(GENERATOR), str(output / str(size)))
            times[str(size)].append(run(generator, {**environment, "SYNOD_ROOT": str(base / str(size))}))
    return times


def main() -> None:
    """Print a table for people and, as the last line, one JSON object for comparison."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--runs", type=int, default=40, help="how often each tree is measured (default: 40)")
    runs = parser.parse_args().runs
    prefix = "synod-bench-"
    memory = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None
    with (
        tempfile.TemporaryDirectory(prefix=prefix) as base,
        tempfile.TemporaryDirectory(prefix=prefix, dir=memory) as output,
    ):
        for size in SIZES:
            build(Path(base) / str(size), size)
        times = measure(Path(base), Path(output), runs)
    medians = {name: statistics.median(values) for name, values in times.items()}
    print(f"{'unit files':>12} {'median ms':>10} {'min ms':>8} {'x python':>9}")
    for name, values in times.items():
        ratio = medians[name] / medians["python"]
        print(f"{name:>12} {medians[name]:>10.1f} {min(values):>8.1f} {ratio:>9.2f}")
    ratios = {f"files_{size}": round(medians[str(size)] / medians["python"], 3) for size in SIZES}
    figures = {f"{name}_ms": round(value, 2) for name, value in medians.items()}
    print(json.dumps({"bench": "generator", "ratios": ratios, "figures": figures}))


if __name__ == "__main__":
    main()
