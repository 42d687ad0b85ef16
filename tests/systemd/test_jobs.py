# SPDX-License-Identifier: LGPL-2.1-or-later
import asyncio

import pytest

from synod.base.errors import IndefiniteError
from synod.systemd.jobs import JobResult, Jobs


def result(number, outcome="done"):
    return JobResult(job_id=number, unit="db.service", result=outcome)


async def settle():
    """Let every task run until it waits for something that only the test can bring."""
    for _ in range(10):
        await asyncio.sleep(0)


def asking(path, reply=None):
    async def enqueue():
        if reply is not None:
            await reply.wait()
        return path

    return enqueue


async def test_a_removal_after_the_reply():
    jobs = Jobs()
    job = asyncio.ensure_future(jobs.run(asking("/job/1")))
    await settle()
    assert jobs.waiting == 1
    jobs.removed("/job/1", result(1))
    assert await job == result(1)
    assert jobs.waiting == 0


async def test_a_removal_before_the_reply():
    jobs, reply = Jobs(), asyncio.Event()
    job = asyncio.ensure_future(jobs.run(asking("/job/1", reply)))
    await settle()
    jobs.removed("/job/1", result(1, "failed"))
    reply.set()
    assert (await job).result == "failed"


async def test_removals_are_not_remembered_while_nobody_asks():
    jobs = Jobs()
    jobs.removed("/job/1", result(1))
    job = asyncio.ensure_future(jobs.run(asking("/job/1")))
    await settle()
    assert not job.done()  # numbers come again after a wrap-around: that one is history
    jobs.removed("/job/1", result(1, "failed"))
    assert (await job).result == "failed"


async def test_a_full_lane_waits_and_the_urgent_one_does_not():
    jobs = Jobs(outstanding_max=1)
    first = asyncio.ensure_future(jobs.run(asking("/job/1")))
    second = asyncio.ensure_future(jobs.run(asking("/job/2")))
    urgent = asyncio.ensure_future(jobs.run(asking("/job/3"), urgent=True))
    await settle()
    assert jobs.waiting == 2
    jobs.removed("/job/3", result(3))
    assert (await urgent).job_id == 3
    jobs.removed("/job/1", result(1))
    await settle()
    jobs.removed("/job/2", result(2))
    assert [(await job).job_id for job in (first, second)] == [1, 2]


async def test_a_caller_that_gives_up_keeps_its_place_until_the_job_is_gone():
    jobs = Jobs(outstanding_max=1)
    first = asyncio.ensure_future(jobs.run(asking("/job/1")))
    await settle()
    first.cancel()
    second = asyncio.ensure_future(jobs.run(asking("/job/2")))
    await settle()
    assert jobs.waiting == 1  # PID 1 still has job 1
    jobs.removed("/job/1", result(1))
    await settle()
    jobs.removed("/job/2", result(2))
    assert (await second).job_id == 2


async def test_a_refused_call_leaves_no_trace():
    async def refuse():
        raise IndefiniteError("no")

    jobs = Jobs(outstanding_max=1)
    for _ in range(3):
        with pytest.raises(IndefiniteError, match="no"):
            await jobs.run(refuse)
    assert jobs.waiting == 0


async def test_jobs_that_vanished_are_unknown():
    jobs = Jobs()
    kept, gone = (asyncio.ensure_future(jobs.run(asking(f"/job/{number}"))) for number in (1, 2))
    await settle()
    jobs.keep_only({"/job/1"}, "missed")
    with pytest.raises(IndefiniteError, match="missed"):
        await gone
    assert not kept.done()
    jobs.removed("/job/1", result(1))
    assert (await kept).is_done


async def test_merged_jobs_free_both_places():
    jobs = Jobs(outstanding_max=2)
    pair = [asyncio.ensure_future(jobs.run(asking("/job/1"))) for _ in range(2)]
    await settle()
    jobs.removed("/job/1", result(1))
    assert [(await job).job_id for job in pair] == [1, 1]
    more = [asyncio.ensure_future(jobs.run(asking(f"/job/{number}"))) for number in (2, 3)]
    await settle()
    assert jobs.waiting == 2
    jobs.removed("/job/2", result(2))
    jobs.removed("/job/3", result(3))
    await asyncio.gather(*more)


async def test_a_merged_job_that_ends_between_two_replies_ends_for_both():
    """Seen on real nodes: the second reply and JobRemoved were read in one go, and the caller hung."""
    jobs, reply = Jobs(), asyncio.Event()
    first = asyncio.ensure_future(jobs.run(asking("/job/1")))
    second = asyncio.ensure_future(jobs.run(asking("/job/1", reply)))
    await settle()
    reply.set()
    jobs.removed("/job/1", result(1))
    async with asyncio.timeout(5):
        assert await first == await second == result(1)
    assert jobs.waiting == 0
