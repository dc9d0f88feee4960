# SPDX-License-Identifier: Apache-2.0
"""Backups that begin by themselves. What is due at other times than now is tests/unit/test_due.c's and test_timer.c's; one test here waits
for the next minute, and the others put back what the catalog remembers."""
import json
import shutil
import signal
import sqlite3
import subprocess
import time

import pytest

import daemon


def job(pg, **settings):
    return {"database": pg.uri("sample"), **settings}


def hourly():
    """once an hour, half an hour from now: no test is still at it then"""
    return f"{(time.gmtime().tm_min + 30) % 60} * * * *"


def schedules(keepfs):
    return {one["job"]: one for one in json.loads(keepfs.text("status", "schedule.json"))["schedules"]}


def row_of(keepfs, name):
    return next(line for line in keepfs.text("status", "schedule").splitlines() if line.split()[0] == name)


def forget_days(keepfs, days):
    """as if nothing had run for so long; keepfs must be down"""
    with sqlite3.connect(keepfs.state / "catalog.db") as db:
        assert db.execute("UPDATE schedule SET due_us = due_us - ?", (days * 86400 * 1000000,)).rowcount > 0
    db.close()


def scheduled_runs(keepfs):
    return [run for run in keepfs.history() if run["triggered_by"] == "scheduled"]


def wait_scheduled(keepfs, count):
    def ended():
        runs = scheduled_runs(keepfs)
        return len(runs) >= count and all(run["state"] in daemon.ENDED for run in runs) and runs

    return daemon.wait_until(ended, f"{count} scheduled runs")


def test_the_next_minute(new_keepfs, pg):
    """everything that needs one, in one test: two jobs at once, one that is off, and one that has no schedule"""
    minutely = {"schedule": "* * * * *"}
    keepfs = new_keepfs({"full": job(pg, **minutely), "other": job(pg, **minutely), "idle": job(pg), "away": job(pg, **minutely)},
                        timezone="Asia/Kathmandu").mount()
    assert keepfs.ask("schedule", "away off note='not now'") == "away off\n"
    assert keepfs.history() == []
    assert schedules(keepfs)["full"]["state"] == "on" and schedules(keepfs)["full"]["timezone"] == "Asia/Kathmandu"
    began = time.time()
    wait_scheduled(keepfs, 2)
    assert keepfs.ask("schedule", "off") == "all jobs off\n"  # so that no more come
    runs = wait_scheduled(keepfs, 2)
    assert {run["job"] for run in runs} == {"full", "other"}
    assert all(run["state"] == "completed" and run["note"] is None for run in runs), runs
    assert len(runs) <= 2 * (2 + (time.time() - began) // 60)
    # The store was verified by the first of them.
    assert "was verified" in keepfs.text("jobs", "1", "log")
    assert json.loads(keepfs.text("status", "stats.json"))["store"]["verified"]
    assert "off, as all jobs are, since" in row_of(keepfs, "full")
    assert "no schedule: nothing is made by itself" in row_of(keepfs, "idle")
    assert "off since" in row_of(keepfs, "away") and "(not now)" in row_of(keepfs, "away")
    assert json.loads(keepfs.text("status", "schedule.json"))["on"] is False


def test_what_was_missed(new_keepfs, pg):
    """made up for once, after a crash, too"""
    keepfs = new_keepfs({"full": job(pg, schedule=hourly())}, timezone="UTC").mount()
    daemon.wait_until(lambda: schedules(keepfs)["full"]["last_due"], "the job to be known")
    keepfs.unmount()
    forget_days(keepfs, 2)
    keepfs.mount()
    (run,) = wait_scheduled(keepfs, 1)
    assert run["state"] == "completed"
    assert run["note"].startswith("missed at 20") and run["note"].endswith(" (UTC)")
    keepfs.kill()
    keepfs.mount()
    assert schedules(keepfs)["full"]["state"] == "on"
    assert len(scheduled_runs(keepfs)) == 1
    assert "run 1 completed" in row_of(keepfs, "full")


def test_a_crash_while_it_runs(new_keepfs, pg):
    """the run and the moment for which it is made are there, or neither: it is not made twice"""
    keepfs = new_keepfs({"full": job(pg, schedule=hourly())}, timezone="UTC").mount()
    daemon.wait_until(lambda: schedules(keepfs)["full"]["last_due"], "the job to be known")
    keepfs.unmount()
    forget_days(keepfs, 2)
    with pg.lock("sample", "sales.orders") as lock:
        keepfs.mount()
        lock.wait_until_waited_for()
        assert "due, waits" not in row_of(keepfs, "full")
        keepfs.kill()
    keepfs.mount()
    (run,) = wait_scheduled(keepfs, 1)
    assert run["state"] == "failed"


def test_a_store_that_cannot_be_verified(new_keepfs, pg):
    keepfs = new_keepfs({"full": job(pg, schedule=hourly())}, timezone="UTC").mount()
    daemon.wait_until(lambda: schedules(keepfs)["full"]["last_due"], "the job to be known")
    keepfs.unmount()
    forget_days(keepfs, 2)
    keepfs.store_settings["faults"] = "put:1+:eio"
    keepfs.write_conf()
    keepfs.mount()
    (run,) = wait_scheduled(keepfs, 1)
    assert run["state"] == "failed"
    assert "never verified" in run["error"] and "keepfs check" in run["error"]
    assert "\nCRIT  schedule: scheduled runs are refused" in keepfs.text("status", "health")


def test_switches(new_keepfs, pg):
    keepfs = new_keepfs({"full": job(pg, schedule="daily-2am"), "other": job(pg, schedule="0 4 * * sun")}, timezone="Europe/Berlin").mount()
    assert keepfs.ask("schedule", "full off until=2099-12-01T06:00 note='a move'") == "full off until 2099-12-01 06:00\n"
    assert keepfs.text("control", "schedule") == "full off until 2099-12-01 06:00\n"
    one = schedules(keepfs)["full"]
    assert one["state"] == "off" and one["off"]["until"].startswith("2099-12-01T05:00:00") and one["off"]["note"] == "a move"
    assert one["next"].startswith("2099-12-02T01:00:00")
    assert "schedule full" not in keepfs.text("status", "health")  # somebody has planned it
    keepfs.ask("schedule", "full off")
    assert "WARN  schedule full: is switched off since" in keepfs.text("status", "health")
    keepfs.remount()
    assert schedules(keepfs)["full"]["state"] == "off" and schedules(keepfs)["full"]["next"] is None
    assert keepfs.ask("schedule", "full on") == "full on\n"
    assert schedules(keepfs)["full"]["state"] == "on"
    for wrong, said in {"nobody off": "there is no job 'nobody'", "full": "does not end in on or off",
                        "off until=2001-01-01": "is over", "off until=soon": "is no date", "on until=2099-01-01": "until:"}.items():
        assert said in keepfs.refused("schedule", wrong)
    lines = [json.loads(line) for line in keepfs.text("status", "audit.jsonl").splitlines()]
    said = [line for line in lines if line["action"] == "schedule"]
    assert said[0]["result"] == "failed" and any(line["object"] == "full off" and line["result"] == "ok" for line in said)


def test_the_command(new_keepfs, pg):
    keepfs = new_keepfs({"full": job(pg, schedule="daily-2am"), "other": job(pg)}).mount()
    table = keepfs.run("schedule").stdout
    assert table == keepfs.text("status", "schedule") and len(table.splitlines()) == 3
    assert [line.split()[0] for line in keepfs.run("schedule", "other").stdout.splitlines()] == ["JOB", "other"]
    (one,) = json.loads(keepfs.run("schedule", "--json", "full").stdout)["schedules"]
    assert one["job"] == "full" and one["interval_s"] >= 86400
    assert keepfs.run("schedule", "nobody", check=False).returncode == 2
    assert keepfs.run("schedule", "full", "off", "note=a b").stdout == "full off\n"
    assert schedules(keepfs)["full"]["off"]["note"] == "a b"
    assert keepfs.run("schedule", "off").stdout == "all jobs off\n"
    assert "WARN  schedule: all jobs are switched off" in keepfs.text("status", "health")
    assert keepfs.run("schedule", "full", "on").stdout == "full on, but all jobs are off\n"
    assert keepfs.run("schedule", "on").stdout == "all jobs on\n"
    failed = keepfs.run("schedule", "full", "of", check=False)
    assert failed.returncode == 2 and "does not end in on or off" in failed.stderr


def test_a_reload_and_the_environment(new_keepfs, pg):
    keepfs = new_keepfs({"full": job(pg)})
    assert "schedule full" not in keepfs.run("check", check=False).stdout
    keepfs.env["KEEPFS_BACKUP_FULL_SCHEDULE"] = "30 2 * * mon"
    assert "ok   schedule full: 30 2 * * mon: the next run begins 20" in keepfs.run("check", check=False).stdout
    keepfs.mount()
    assert schedules(keepfs)["full"]["schedule"] == "30 2 * * mon"
    assert schedules(keepfs)["full"]["interval_s"] == 7 * 86400
    keepfs.jobs["full"]["blackout"] = "02:00-05:00"
    keepfs.write_conf()
    keepfs.signal(signal.SIGHUP, wait=False)
    daemon.wait_until(lambda: "blackout" in keepfs.text("status", "config") and "02:00-05:00" in keepfs.text("status", "config"), "the reload")
    assert " 05:00 " in row_of(keepfs, "full")


@pytest.mark.skipif(not shutil.which("strace"), reason="strace is not installed")
def test_nothing_wakes_it(new_keepfs, pg):
    keepfs = new_keepfs({"full": job(pg, schedule="0 0 1 1 *")}).mount()
    daemon.wait_until(lambda: schedules(keepfs)["full"]["last_due"], "the job to be known")
    (pid,) = keepfs.daemons()
    timer = daemon.threads_of(pid)["timer"]
    seen = subprocess.run(["timeout", "2", "strace", "-e", "signal=none", "-p", timer], capture_output=True, text=True)
    if "ptrace" in seen.stderr:
        pytest.skip("strace may not attach here")
    calls = [line for line in seen.stderr.splitlines() if "(" in line and not line.startswith("strace:")]
    assert len(calls) <= 1 and all(line.startswith(("restart_syscall", "poll", "ppoll")) for line in calls), seen.stderr
