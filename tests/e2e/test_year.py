# SPDX-License-Identifier: Apache-2.0
"""Everything that runs unattended, together, through a year: schedules, retention, the trash, notices, copies of the catalog."""
import contextlib
import datetime
import json
import os
import re
import subprocess

import pytest

import daemon
import receivers
import stores
from daemon import wait_until
from keeping import DAY, Directory
from life import HOUR, Life


@pytest.fixture
def store(in_memory):
    return stores.DirStore(in_memory / "objects")


@pytest.fixture
def life(new_keepfs, tmp_path, in_memory, pg, clocks, web):
    """three jobs in Berlin: archives each night, archives on working days, dumps on Sundays"""
    for name in ("media", "papers"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "file").write_text("some text\n" * 100)
    keepfs = new_keepfs({
        "files media": {"path": tmp_path / "media", "schedule": "30 2 * * *", "keep_daily": 7, "keep_weekly": 4, "keep_monthly": 12,
                        "week_starts": "sunday", "pre_hook": f"test ! -p {tmp_path}/gate || read x < {tmp_path}/gate"},
        "files papers": {"path": tmp_path / "papers", "schedule": "45 3 * * mon,wed,fri", "keep_last": 5, "keep_monthly": 3,
                         "keep_within": "1m", "catch_up": "6h"},
        "full": {"database": pg.uri("sample"), "schedule": "0 4 * * sun", "keep_weekly": 4, "keep_monthly": 3},
    # Every clock leaps by hours here, so each attempt to write that a leap meets would have been tried again for hours when the lease is renewed.
    }, directory=in_memory, timezone="Europe/Berlin", trash="3d", policy_delay="20h", lease="none")
    keepfs.sections = {"webhook ops": {"url": f"{web.url}/ops", "gather": "none"},
                       "webhook weekly": {"url": f"{web.url}/weekly", "events": "drill", "digest": "0 7 * * mon"}}
    keepfs.write_conf()
    within = datetime.timedelta(days=2)
    directories = {
        "media": Directory(datetime.time(2, 30), {"daily": 7, "weekly": 4, "monthly": 12, "week_starts": 0, "within": within}),
        "papers": Directory(datetime.time(3, 45), {"last": 5, "monthly": 3}, days=[0, 2, 4]),
        "full": Directory(datetime.time(4, 0), {"weekly": 4, "monthly": 3, "within": within}, days=[6]),
    }
    return Life(keepfs, clocks, directories, web)


def live_to_noon_of(life, weekday):
    life.live_days(1)
    while life.now.weekday() != weekday:
        life.live_days(1)


def runs_that_fail(life, path):
    """one notice when it begins, one when a backup is overdue, one when that is worse; and the end of each trouble"""
    path.rename(path.with_name("away"))
    life.failing["media"] = "its directory is away"
    life.live_days(2)
    life.expect_events("failed media", "missed media", "missed media")
    life.wait_health("job media: failing since", "overdue media")
    path.with_name("away").rename(path)
    del life.failing["media"]
    life.live_days(1)
    life.expect_events("recovered media", "recovered media")
    life.wait_health()


def the_daemon_is_down(life):
    """from Friday to Tuesday: what was missed is made up for once, but for what was due too long ago"""
    live_to_noon_of(life, 4)
    life.keepfs.unmount()
    life.clocks.pass_time(4 * 86400)
    life.mount()
    life.expect_missed("media", "full")
    life.look()
    life.expect_events("missed media", "missed papers", "missed full", "recovered media", "recovered full")
    life.live_days(1)
    life.expect_events("missed papers", "recovered papers")
    life.wait_health()


def a_crash_while_a_run_works(life, gate):
    """it has failed, is made neither twice nor again, and is the next day's news"""
    os.mkfifo(gate)
    due, job = life.next_due()
    assert job == "media"
    life.pass_until(due)
    run = life.begun()
    with open(gate, "w"):  # as soon as the hook waits for it
        life.keepfs.kill()
    gate.unlink()
    life.mount()
    assert life.keepfs.run_status(run)["state"] == "failed"
    life.failed["media"] += 1
    life.live_days(1)
    life.expect_events("failed media", "missed media")
    life.live_days(1)
    life.expect_events("recovered media", "recovered media")
    life.wait_health()


def a_clock_that_is_wrong(life):
    """three days ahead, and right again: nothing is removed until the time has come again, and each run is made"""
    live_to_noon_of(life, 0)
    life.doubt_clock(True)
    life.set_clock(3 * DAY)
    life.expect_missed("media")
    life.look()
    life.expect_events("missed papers", "prune-refused", maybe=("missed media", "recovered media"))
    life.set_clock(-3 * DAY)
    life.doubt_clock(False)
    life.expect_events("warning", "recovered papers")
    life.wait_health("clock: ", "retention backups/media: ")
    life.live_days(3)
    life.expect_events()
    assert life.directories["media"].suspended
    life.live_days(2)
    life.expect_events("recovered", "recovered")
    life.wait_health()


def a_host_that_sleeps(life):
    live_to_noon_of(life, 0)
    life.sleep_host(2 * DAY - HOUR)
    life.expect_missed("media")
    life.live_days(3)
    life.expect_events("missed papers", "recovered papers", maybe=("missed media", "recovered media"))
    life.wait_health()


def plan_of(life):
    return json.loads(life.keepfs.ask("prune", "media json"))["plan"]


def rules_that_change(life):
    """they wait until somebody confirms them, or for policy_delay"""
    directory = life.directories["media"]
    life.change(keep_daily=5, keep_weekly=3)
    directory.rules |= {"daily": 5, "weekly": 3}
    life.expect_events("policy-changed")
    life.live_days(1)
    assert directory.waits_since
    life.wait_health("retention backups/media: ")
    life.expect_events("prune-refused")
    life.keepfs.write("prune", f"media confirm={plan_of(life)}")
    assert len(directory.prune(life.now, confirmed=True)) > 1
    life.look()
    life.wait_health()
    life.expect_events("recovered")
    life.change(keep_daily=3)
    life.expect_events("policy-changed")
    directory.rules |= {"daily": 3}
    life.live_days(1)
    assert directory.waits_since
    life.live_days(1)
    assert not directory.waits_since and directory.in_force == directory.rules
    life.wait_health()
    life.expect_events("prune-refused", "recovered")


def a_hold_and_what_is_brought_back(life):
    directory = life.directories["media"]
    held, removed = directory.backups[-2], directory.backups[-1]
    held.held_until = (life.now + 30 * DAY).replace(hour=0, minute=0, second=0, microsecond=0)
    life.keepfs.ask("hold", f"backups/media/{held.name} on reason=audit name=audit until={held.held_until:%Y-%m-%d}")
    life.live_days(1)
    life.keepfs.path("backups", "media", removed.name).unlink()
    directory.remove(removed, life.now)
    life.look()
    life.live_days(2)
    life.keepfs.ask("undelete", f"backups/media/{removed.name}")
    directory.undelete(removed.name)
    life.look()
    life.live_days(24)
    assert held in directory.backups and held not in directory.kept
    life.live_days(6)
    assert held not in directory.backups
    life.expect_events("hold-added", "hold-ended media")
    life.wait_health()


def the_catalog_is_lost(life):
    """what the copy in the store does not know of would be made up for: so it is one of now"""
    now_s = life.now.timestamp() - 60
    life.keepfs.ask("schedule", "media on")  # which is copied soon
    life.pass_time(datetime.timedelta(seconds=61))
    metric = re.compile("^keepfs_catalog_copy_timestamp_seconds (.*)$", re.M)
    wait_until(lambda: float(metric.search(life.keepfs.text("status", "metrics.prom"))[1]) > now_s, "a copy of the catalog")
    life.rest()
    life.keepfs.kill()
    for path in life.keepfs.state.glob("catalog.db*"):
        path.unlink()
    life.keepfs.run("rebuild")
    life.mount()
    life.look()
    life.live_days(3)
    life.expect_events()
    life.wait_health()


def a_receiver_that_is_away(life, path):
    """for two days: all of it arrives once, in order"""
    life.web.default = 503
    before = len(life.all_events())
    path.rename(path.with_name("away"))
    life.failing["media"] = "its directory is away"
    life.live_days(1)
    path.with_name("away").rename(path)
    del life.failing["media"]
    life.live_days(1)
    assert len(life.all_events()) == before
    life.wait_health("notices to webhook ops: ")
    life.web.default = 200
    life.pass_time(HOUR)
    life.expect_events("failed media", "missed media", "recovered media", "recovered media")
    told = [(one["at"], one["event"]) for one in life.all_events()[before:]]
    assert told == sorted(told) and len(life.web.taken("/ops")) > 0
    life.wait_health()


def a_crash_while_old_ones_are_removed(life):
    """what went is gone, and the rest waits to be confirmed anew"""
    directory = life.directories["media"]
    life.rest()
    life.keepfs.unmount()
    life.keepfs.jobs["files media"] |= {"keep_daily": 2, "keep_weekly": 1, "keep_monthly": 2}
    directory.rules |= {"daily": 2, "weekly": 1, "monthly": 2}
    life.keepfs.store_settings["faults"] = "put:1+:slow:50"
    life.keepfs.write_conf()
    life.mount()
    life.live_days(1)
    names = directory.names
    assert len(directory.doomed(life.now)) > 5
    command = subprocess.Popen([daemon.PROGRAM, "prune", "-m", str(life.keepfs.mountpoint), "media", "--confirm", plan_of(life)],
                               env=life.keepfs.env, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    daemon.wait_until(lambda: len(life.artifacts("media")) < len(names), "the first removal", pause_s=0)
    life.keepfs.kill()
    command.wait()
    del life.keepfs.store_settings["faults"]
    life.keepfs.write_conf()
    life.mount()
    left = life.artifacts("media")
    for one in directory.doomed(life.now):
        if one.name not in left:
            directory.remove(one, life.now)
    assert 0 < len(directory.doomed(life.now))
    life.look()
    life.keepfs.write("prune", f"media confirm={plan_of(life)}")
    directory.prune(life.now, confirmed=True)
    life.look()
    life.expect_events("prune-refused", "recovered", maybe=("policy-changed",))
    life.wait_health()


def audited(life, action):
    lines = [json.loads(line) for line in life.keepfs.text("status", "audit.jsonl").splitlines()]
    return [os.path.basename(one["object"]) for one in lines if one["action"] == action and one["result"] == "ok"]


def nothing_is_left_over(life):
    """what is told agrees with what was done, and what is kept does not grow with the time"""
    present = []
    for job, directory in life.directories.items():
        states = [run["state"] for run in life.keepfs.history() if run["job"] == job]
        assert (states.count("completed"), states.count("failed")) == (life.made[job], life.failed[job])
        present += directory.names
    removed = audited(life, "remove")
    assert sorted(removed) == sorted([name for name in life.all_names if name not in present] + audited(life, "undelete"))
    copies = [key for key in life.keepfs.store.all_keys() if key.startswith("catalog/")]
    assert len(copies) == 7
    assert sum(path.stat().st_size for path in life.keepfs.state.iterdir()) < 16 << 20
    digests = [one["at"][:10] for request in life.web.taken("/weekly") for one in json.loads(request[3])["events"]]
    assert len(digests) == len(set(digests)) >= 365 // 7
    life.wait_health()


def test_a_year(life, tmp_path):
    begun = life.now
    life.mount()
    life.live_days(20)
    life.expect_events()
    runs_that_fail(life, tmp_path / "media")
    the_daemon_is_down(life)
    a_crash_while_a_run_works(life, tmp_path / "gate")
    a_clock_that_is_wrong(life)
    a_host_that_sleeps(life)
    rules_that_change(life)
    a_hold_and_what_is_brought_back(life)
    life.live_until(begun + 182 * DAY)
    the_catalog_is_lost(life)
    a_receiver_that_is_away(life, tmp_path / "media")
    life.live_until(begun + 300 * DAY)
    a_crash_while_old_ones_are_removed(life)
    life.live_days((begun + 370 * DAY - life.now).days)
    life.expect_events()
    nothing_is_left_over(life)


@pytest.fixture
def mail():
    server = receivers.MailServer()
    yield server
    server.stop()


def attempts(life):
    """(how often the mail's receiver was asked in vain, in how many seconds it is asked again)"""
    with contextlib.closing(life.keepfs.catalog()) as catalog:
        count, due_us = catalog.execute("SELECT attempts, due_us FROM notice_receiver WHERE name LIKE 'mail %'").fetchone() or (0, 0)
        return count, due_us / 1e6 - life.now.timestamp()


def test_a_day_without_a_mail_server(life, mail, tmp_path):
    """it is asked again after 30 seconds, a minute, … an hour; what happened meanwhile comes once, in order, a crash or not"""
    life.keepfs.sections["mail"] = {"to": "ops@example.com", "server": mail.url, "tls": "none", "gather": "none", "digest": "disabled",
                                    "from": "keepfs@example.com"}
    life.keepfs.write_conf()
    life.mount()
    life.live_days(2)
    mail.stop()
    path = tmp_path / "media"
    path.rename(path.with_name("away"))
    life.failing["media"] = "its directory is away"
    begun, job = life.next_due()
    life.pass_until(begun)
    life.expect_run(job, begun)
    asked, pause_s = 1, 30
    while life.now < begun + 25 * HOUR:
        wait_until(lambda: attempts(life)[0] == asked, lambda: f"attempt {asked}: {attempts(life)}")
        assert pause_s - 25 < attempts(life)[1] <= pause_s
        if asked in (4, 12):
            life.keepfs.kill()
            life.mount()  # which asks at once
            asked, pause_s = asked + 1, min(2 * pause_s, 3600)
            continue
        if asked == 20:
            path.with_name("away").rename(path)
            del life.failing["media"]
        life.live_until(life.now + datetime.timedelta(seconds=pause_s))
        asked, pause_s = asked + 1, min(2 * pause_s, 3600)
    assert asked > 30 and mail.mails == []
    life.expect_events("failed media", "missed media", "notices", "recovered media", "recovered media")
    mail.start()
    life.live_until(life.now + HOUR)
    mail.wait(1)
    life.expect_events("recovered")
    (one,) = mail.mails
    text = one.get_content()
    told = [text.index(f"{i} of 4: {what}") for i, what in enumerate(("job media failed", "overdue media: a backup is overdue", "job media is well again",
                                                                      "job media: its backups are not overdue any more"), 1)]
    assert told == sorted(told) and "5 of" not in text
    life.wait_health("job full: has not run yet")
