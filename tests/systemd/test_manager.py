# SPDX-License-Identifier: LGPL-2.1-or-later
import asyncio

import pytest

from synod.base.errors import IndefiniteError, TimedOutError
from synod.base.usec import Usec
from synod.systemd.bus import CallError, NoSuchUnitError, NotConnectedError
from synod.systemd.jobs import JOBS_OUTSTANDING_MAX
from synod.systemd.manager import MANAGER, PATH
from synod.systemd.shim import Connection, Message, MessageType, Variant


def states(recorder, unit):
    return [event[2:] for event in recorder.events if event[:2] == ("unit", unit)]


# Jobs


async def test_a_start_waits_for_its_job(manager, systemd, eventually):
    systemd.add("db.service", is_slow=True)
    start = asyncio.ensure_future(manager.start_unit("db.service"))
    await eventually(lambda: systemd.units["db.service"].job)
    assert (await manager.unit_state("db.service")).job_type == "start"
    assert not start.done()
    systemd.finish("db.service")
    result = await start
    assert (result.unit, result.result, result.is_done) == ("db.service", "done", True)
    assert (await manager.unit_state("db.service")).active_state == "active"


async def test_a_job_that_ends_before_the_reply_is_not_missed(manager, systemd):
    systemd.add("db.service")
    systemd.removes_first = True
    results = await asyncio.gather(*(manager.start_unit("db.service") for _ in range(50)))
    assert all(result.is_done for result in results)
    assert len({result.job_id for result in results}) == 50


async def test_a_failed_job_is_a_result_and_not_an_error(manager, systemd):
    systemd.add("db.service", job_result="failed")
    result = await manager.start_unit("db.service")
    assert (result.result, result.is_done) == ("failed", False)
    state = await manager.unit_state("db.service")
    assert (state.active_state, state.result) == ("failed", "exit-code")


async def test_refused_jobs_are_definite_errors(manager, systemd):
    systemd.add("hidden.service", load="masked")
    with pytest.raises(NoSuchUnitError, match=r"none\.service not found"):
        await manager.start_unit("none.service")
    with pytest.raises(CallError) as caught:
        await manager.start_unit("hidden.service")
    assert caught.value.name == "org.freedesktop.systemd1.UnitMasked"


@pytest.mark.parametrize("verb", ["start", "stop", "restart", "reload"])
async def test_each_verb_makes_its_job(manager, systemd, verb, eventually):
    systemd.add("db.service", is_slow=True)
    job = asyncio.ensure_future(getattr(manager, f"{verb}_unit")("db.service", "fail"))
    await eventually(lambda: systemd.units["db.service"].job)
    assert (await manager.unit_state("db.service")).job_type == verb
    assert systemd.calls[-3][1] == ["db.service", "fail"]
    systemd.finish("db.service")
    assert (await job).is_done


async def test_two_callers_share_one_job_and_one_may_give_up(manager, systemd, eventually):
    systemd.add("db.service", is_slow=True)
    first, second = (asyncio.ensure_future(manager.start_unit("db.service")) for _ in range(2))
    await eventually(lambda: systemd.count("StartUnit") == 2)
    await manager.ping()
    first.cancel()
    systemd.finish("db.service")
    assert (await second).is_done


async def test_a_replaced_job_is_canceled(manager, systemd, eventually):
    systemd.add("db.service", is_slow=True)
    start = asyncio.ensure_future(manager.start_unit("db.service"))
    await eventually(lambda: systemd.units["db.service"].job)
    stop = asyncio.ensure_future(manager.stop_unit("db.service"))
    assert (await start).result == "canceled"
    systemd.finish("db.service")
    assert (await stop).is_done


async def test_jobs_queue_beyond_what_pid_1_bears_but_urgent_ones_pass(manager, systemd, eventually):
    names = [f"slow{number}.service" for number in range(JOBS_OUTSTANDING_MAX + 50)]
    for name in names:
        systemd.add(name, is_slow=True)
    systemd.add("mirror.target")
    starts = [asyncio.ensure_future(manager.start_unit(name)) for name in names]
    await eventually(lambda: systemd.count("StartUnit") == JOBS_OUTSTANDING_MAX)
    assert (await manager.start_unit("mirror.target", urgent=True)).is_done
    assert systemd.count("StartUnit") == JOBS_OUTSTANDING_MAX + 1
    for number, name in enumerate(names[:JOBS_OUTSTANDING_MAX]):
        systemd.finish(name)
        if number % 50 == 0:
            await manager.ping()
    await eventually(lambda: systemd.count("StartUnit") == len(names) + 1)
    for name in names[JOBS_OUTSTANDING_MAX:]:
        systemd.finish(name)
    assert all(result.is_done for result in await asyncio.gather(*starts))


async def test_a_start_that_is_not_answered_is_unknown(manager, systemd):
    systemd.add("db.service")
    systemd.silent.add("StartUnit")
    with pytest.raises(TimedOutError):
        await manager.start_unit("db.service")


async def test_a_job_is_unknown_when_the_bus_dies(manager, systemd, daemon, recorder, eventually):
    systemd.add("db.service", is_slow=True)
    manager.watch("db.service")
    start = asyncio.ensure_future(manager.start_unit("db.service"))
    await eventually(lambda: systemd.units["db.service"].job)
    await manager.ping()
    daemon.kill()
    with pytest.raises(IndefiniteError):
        await start
    await recorder.saw("disconnected")
    with pytest.raises(NotConnectedError):
        await manager.stop_unit("db.service")
    systemd.leave()
    systemd.units["db.service"].active = "failed"
    daemon.start()
    await systemd.connect()
    await recorder.saw("connected", times=2)
    await recorder.saw("unit", "db.service", "failed", "dead")


async def test_a_reexecuted_manager_keeps_its_jobs(manager, systemd, recorder, eventually):
    for name in ("kept.service", "missed.service"):
        systemd.add(name, is_slow=True)
    kept, missed = (asyncio.ensure_future(manager.start_unit(f"{n}.service")) for n in ("kept", "missed"))
    await eventually(lambda: systemd.last_job == 2)
    await manager.ping()
    systemd.leave()
    systemd.units["missed.service"].job = 0  # ended while nobody listened
    await systemd.connect()
    await recorder.saw("connected", times=2)
    with pytest.raises(IndefiniteError):
        await missed
    systemd.finish("kept.service")
    assert (await kept).is_done
    assert [event for event in recorder.events if event[0].endswith("connected")] == [
        ("connected",), ("disconnected",), ("connected",)]  # fmt: skip


# States


async def test_a_state_is_read_in_one_piece(manager, systemd):
    systemd.add("db.service", active="active", sub="running")
    state = await manager.unit_state("db.service")
    assert (state.unit, state.load_state, state.active_state, state.sub_state) == (
        "db.service",
        "loaded",
        "active",
        "running",
    )
    assert state.invocation_id == "000102030405060708090a0b0c0d0e0f"
    assert (state.control_group, state.drop_in_paths) == ("/system.slice/db.service", ("/etc/a.conf",))
    assert (state.job_id, state.job_type, state.main_code) == (0, "", 1)
    assert (
        systemd.count("GetAll") - systemd.count("Subscribe") <= 3
    )  # shutdown.target, default.target, db.service


async def test_a_unit_without_a_file_is_a_state(manager):
    assert (await manager.unit_state("none.service")).load_state == "not-found"


async def test_a_job_that_ends_while_it_is_read_is_read_again(manager, systemd):
    systemd.add("db.service", is_slow=True)
    systemd.enqueue("db.service", "restart")

    def finish_after_the_snapshot():
        if systemd.units["db.service"].job:
            asyncio.get_running_loop().call_soon(systemd.finish, "db.service")

    systemd.on_get_all = finish_after_the_snapshot
    state = await manager.unit_state("db.service")
    assert (state.active_state, state.job_id, state.job_type) == ("active", 0, "")


async def test_list_units_tells_job_types(manager, systemd):
    systemd.add("db.service", is_slow=True)
    systemd.enqueue("db.service", "restart")
    listed = {row.unit: row for row in await manager.list_units(["*.service"])}
    assert listed["db.service"].job_type == "restart"
    assert listed["shutdown.target"].job_type == ""


async def test_small_calls(manager, systemd):
    systemd.add("db.service", active="failed")
    await manager.ping()
    assert await manager.load_unit("db.service") == "/org/freedesktop/systemd1/unit/db_2eservice"
    await manager.reset_failed("db.service")
    assert systemd.units["db.service"].active == "inactive"
    with pytest.raises(NoSuchUnitError):
        await manager.reset_failed("none.service")
    assert (await manager.properties("db.service"))["Job"] == [0, "/"]
    assert await manager.soft_reboots() == 0
    systemd.properties["SoftRebootsCount"] = Variant("u", 3)
    assert await manager.soft_reboots() == 3


async def test_a_silent_manager_fails_a_ping(manager, systemd):
    systemd.silent.add("Ping")
    with pytest.raises(TimedOutError):
        await manager.ping(Usec(100_000))


# Watching


async def test_a_watched_unit_is_reported_at_once_and_on_change(manager, systemd, recorder):
    systemd.add("db.service")
    systemd.add("other.service")
    manager.watch("db.service")
    await recorder.saw("unit", "db.service", "inactive", "dead")
    systemd.set_state("other.service", "active", "running")
    systemd.set_state("db.service", "active", "running")
    await recorder.saw("unit", "db.service", "active", "running")
    assert states(recorder, "other.service") == []
    assert manager.last_state("db.service").active_state == "active"


async def test_a_burst_of_signals_costs_few_reads_and_ends_in_the_last_state(manager, systemd, recorder):
    systemd.add("db.service")
    manager.watch("db.service")
    await recorder.saw("unit", "db.service", "inactive", "dead")
    before = len(systemd.calls)
    for number in range(100):
        systemd.set_state("db.service", "activating", f"step{number}")
    systemd.set_state("db.service", "active", "running")
    await recorder.saw("unit", "db.service", "active", "running")
    await manager.ping()
    assert len(systemd.calls) - before < 40
    assert states(recorder, "db.service")[-1] == ("active", "running")


async def test_states_are_reported_in_the_order_in_which_they_were_true(manager, systemd, recorder):
    systemd.add("db.service")
    manager.watch("db.service")
    for number in range(100):
        systemd.set_state("db.service", "activating", f"{number:03}")
        await manager.ping()
    systemd.set_state("db.service", "active", "zzz")
    await recorder.saw("unit", "db.service", "active", "zzz")
    seen = [sub for _, sub in states(recorder, "db.service") if sub != "dead"]
    assert seen == sorted(seen)
    assert len(seen) > 10


async def test_reports_of_what_does_nothing_are_cheap(manager, systemd, recorder):
    systemd.add("db.service")
    before = systemd.count("GetAll")
    manager.watch("db.service")
    await recorder.saw("unit", "db.service", "inactive", "dead")
    assert systemd.count("GetAll") == before


async def test_the_group_of_a_unit_that_stopped_is_not_forgotten(manager, systemd, recorder):
    """Processes may be left in it, and PID 1's short answer does not name it."""
    systemd.add("db.service", active="active", sub="running")
    manager.watch("db.service")
    await recorder.saw("unit", "db.service", "active", "running")
    systemd.set_state("db.service", "inactive", "dead")
    await recorder.saw("unit", "db.service", "inactive", "dead")
    assert manager.last_state("db.service").control_group == "/system.slice/db.service"
    assert (await manager.fresh_state("db.service")).control_group == "/system.slice/db.service"


async def test_an_unwatched_unit_is_not_reported(manager, systemd, recorder):
    systemd.add("db.service")
    systemd.add("last.service")
    manager.watch("db.service")
    await recorder.saw("unit", "db.service", "inactive", "dead")
    manager.unwatch("db.service")
    systemd.set_state("db.service", "active", "running")
    manager.watch("last.service")
    await recorder.saw("unit", "last.service", "inactive", "dead")
    assert states(recorder, "db.service") == [("inactive", "dead")]
    assert manager.last_state("db.service") is None


async def test_an_alias_follows_the_unit_behind_it(manager, systemd, recorder):
    systemd.add("real.service")
    systemd.add("alias.service", alias_of="real.service")
    manager.watch("alias.service")
    await recorder.saw("unit", "alias.service", "inactive", "dead")
    systemd.set_state("real.service", "active", "running")
    await recorder.saw("unit", "alias.service", "active", "running")


async def test_a_state_is_read_again_when_the_manager_was_too_slow(manager, systemd, recorder, eventually):
    systemd.add("db.service", active="active", sub="running")
    systemd.silent.add("ListUnitsByNames")
    manager.watch("db.service")
    await eventually(lambda: systemd.count("ListUnitsByNames"))
    systemd.silent.clear()
    await recorder.saw("unit", "db.service", "active", "running")


# The manager itself


async def test_reloading_is_reported(manager, recorder):
    await manager.daemon_reload()
    await recorder.saw("reloading", False)
    assert [event for event in recorder.events if event[0] == "reloading"] == [
        ("reloading", True),
        ("reloading", False),
    ]


async def test_every_job_is_reported(manager, systemd, recorder):
    systemd.add("db.service")
    systemd.enqueue("db.service", "stop")
    systemd.finish("db.service")
    await recorder.saw("job", "db.service", "done")


async def test_a_forged_signal_is_ignored(manager, systemd, recorder, eventually):
    systemd.add("db.service", is_slow=True)
    start = asyncio.ensure_future(manager.start_unit("db.service"))
    await eventually(lambda: systemd.units["db.service"].job)
    forger = Connection(systemd.address, needs_unix_fds=False)
    await forger.connect()
    body = [1, "/org/freedesktop/systemd1/job/1", "db.service", "done"]
    for destination in (f":1.{number}" for number in range(8)):
        await forger.send(
            Message(message_type=MessageType.SIGNAL, destination=destination, path=PATH, interface=MANAGER,
                    member="JobRemoved", signature="uoss", body=body)
        )  # fmt: skip
    await manager.ping()
    assert not start.done()
    assert ("job", "db.service", "done") not in recorder.events
    systemd.finish("db.service")
    assert (await start).is_done
    forger.close()


async def test_boot_is_over_when_the_job_of_the_default_target_is_gone(systemd, recorder, connect):
    systemd.properties["FinishTimestampMonotonic"] = Variant("t", 0)
    systemd.enqueue("default.target", "start")
    manager = await connect()
    assert not await manager.boot_is_over()
    assert ("boot-over",) not in recorder.events
    systemd.finish("default.target")
    await recorder.saw("boot-over")
    assert await manager.boot_is_over()
    systemd.enqueue("default.target", "start")
    assert await manager.boot_is_over()  # that is an isolate
    assert recorder.events.count(("boot-over",)) == 1


async def test_boot_is_over_when_startup_once_finished(systemd, recorder, connect):
    systemd.enqueue("default.target", "start")
    manager = await connect()
    assert await manager.boot_is_over()
    await recorder.saw("boot-over")


async def test_a_shutdown_is_noticed(manager, systemd, recorder):
    assert not await manager.is_stopping()
    systemd.units["shutdown.target"].is_slow = True
    systemd.enqueue("shutdown.target", "start")
    await recorder.saw("stopping")
    assert await manager.is_stopping()


async def test_a_stop_job_of_shutdown_target_is_no_shutdown(manager, systemd, recorder, eventually):
    systemd.enqueue("shutdown.target", "stop")
    await eventually(lambda: systemd.count("Get") >= 2)  # of FinishTimestampMonotonic and of the job's type
    assert not await manager.is_stopping()
    assert ("stopping",) not in recorder.events
