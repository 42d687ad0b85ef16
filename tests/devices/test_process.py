# SPDX-License-Identifier: LGPL-2.1-or-later
import asyncio
import os
import time

import pytest

from synod.devices.process import OUTPUT_BYTES_MAX, Ended, Killed, run

ENVIRONMENT = {"PATH": os.environ["PATH"]}


async def shell(script: str, stdin: str = "", seconds: float = 10):
    return await run(("sh", "-c", script), stdin=stdin, environment=ENVIRONMENT, seconds=seconds)


def is_running(pid: int) -> bool:
    try:
        with open(f"/proc/{pid}/stat") as file:  # noqa: PTH123
            return file.read().rpartition(")")[2].split()[0] not in "ZX"
    except FileNotFoundError:
        return False


async def gone(pid: int) -> bool:
    deadline = time.monotonic() + 5
    while is_running(pid) and time.monotonic() < deadline:
        os.sched_yield()
    return not is_running(pid)


async def test_output_and_status():
    assert await shell("cat; echo bad >&2; exit 3", "good\n") == Ended(
        status=3, stdout="good\n", stderr="bad\n"
    )
    assert await shell("kill -TERM $$") == Ended(status=-15, stdout="", stderr="")


async def test_a_program_that_reads_nothing_is_not_minded():
    assert (await shell("exit 0", "x" * 1_000_000)).status == 0


async def test_a_long_text_arrives():
    assert (await shell("wc -c", "x" * 1_000_000)).stdout.strip() == "1000000"


async def test_only_the_last_of_much_output_is_kept():
    ended = await shell(
        "head -c 3000000 /dev/zero | tr '\\0' x; head -c 3000000 /dev/zero >&2; echo end >&2"
    )
    assert ended.stdout == "x" * OUTPUT_BYTES_MAX
    assert len(ended.stderr) == OUTPUT_BYTES_MAX
    assert ended.stderr.endswith("end\n")


async def test_what_hangs_is_killed_with_its_children(tmp_path):
    start = time.monotonic()
    killed = await shell(
        f"sleep 987 & echo $! >{tmp_path}/pid; trap '' TERM INT; wait; sleep 987", seconds=0.5
    )
    assert killed == Killed(is_gone=True)
    assert time.monotonic() - start < 5
    assert await gone(int((tmp_path / "pid").read_text()))


async def test_a_child_that_is_left_behind_is_not_waited_for(tmp_path):
    ended = await shell(f"sleep 987 & echo $! >{tmp_path}/pid; echo done")
    assert ended == Ended(status=0, stdout="done\n", stderr="")
    assert await gone(int((tmp_path / "pid").read_text()))


async def test_a_child_in_a_session_of_its_own_is_not_waited_for(tmp_path):
    start = time.monotonic()
    ended = await shell(f"setsid sleep 20 & echo $! >{tmp_path}/pid; echo done")
    assert ended == Ended(status=0, stdout="done\n", stderr="")
    assert time.monotonic() - start < 10


async def test_endless_talk_is_ended(tmp_path):
    assert await shell("exec yes", seconds=0.3) == Killed(is_gone=True)


async def test_cancelling_kills(tmp_path):
    os.mkfifo(tmp_path / "pid")
    task = asyncio.create_task(shell(f"echo $$ >{tmp_path}/pid; exec sleep 987"))
    with await asyncio.to_thread(open, tmp_path / "pid") as file:
        pid = int(file.read())
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert await gone(pid)


async def test_what_cannot_be_started_is_an_error():
    with pytest.raises(FileNotFoundError):
        await run(("/nowhere/fence",), stdin="", environment={}, seconds=1)


async def test_no_descriptor_is_leaked():
    await shell("true")
    before = len(os.listdir("/proc/self/fd"))  # noqa: PTH208
    for script in ("true", "exit 1", "sleep 9"):
        await shell(script, seconds=0.2)
    with pytest.raises(FileNotFoundError):
        await run(("/nowhere/fence",), stdin="x", environment={}, seconds=1)
    assert len(os.listdir("/proc/self/fd")) == before  # noqa: PTH208
