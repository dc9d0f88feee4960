# SPDX-License-Identifier: Apache-2.0
"""The copy of the catalog in the store: it is made, can be opened without keepfs, and brings back on another host what no manifest tells."""
import hashlib
import json
import os
import re
import shutil
import sqlite3
import subprocess
import time

import pytest

import daemon

NAME = re.compile(r"catalog/(\d{8}T\d{6}Z)-([0-9a-f]{16})\.sqlite\.zst\Z")
DAY_US = 86400 * 10**6


def copies(keepfs):
    return sorted(key for key in keepfs.store.all_keys() if key.startswith("catalog/"))


def change(keepfs, *statements):
    """while no daemon runs"""
    catalog = sqlite3.connect(keepfs.state / "catalog.db")
    with catalog:
        for statement in statements:
            catalog.execute(statement)
    catalog.close()


def of_catalog(keepfs, statement):
    catalog = keepfs.catalog()
    try:
        return catalog.execute(statement).fetchall()
    finally:
        catalog.close()


def texts(keepfs):
    return {name: keepfs.text("status", name) for name in ("history.csv", "history.jsonl", "audit.jsonl")}


def logs(keepfs):
    return {run: keepfs.text("jobs", run, "log") for run in os.listdir(keepfs.path("jobs")) if run.isdigit()}


def lose_the_host(keepfs):
    """nothing is left but the configuration and the store"""
    shutil.rmtree(keepfs.state)


def fail_a_run(keepfs):
    run = keepfs.trigger("broken")
    assert keepfs.wait_run(run)["state"] == "failed"
    return run


@pytest.fixture
def jobs(pg):
    return {"full": {"database": pg.uri("sample")}, "broken": {"database": pg.uri("there_is_none")}}


def ino_of(keepfs, name):
    return os.stat(keepfs.path("backups", "full", name)).st_ino


@pytest.mark.parametrize("store", ["dir", "ceph"], indirect=True)
def test_another_host_has_the_history(new_keepfs, jobs):
    keepfs = new_keepfs(jobs).mount()
    keepfs.backup("full")
    fail_a_run(keepfs)
    keepfs.backup("full")
    kept, gone = keepfs.artifacts()
    keepfs.path("backups", "full", kept).read_bytes()
    daemon.wait_until(lambda: '"read"' in keepfs.text("status", "audit.jsonl"), "the line of that read")
    before, before_logs = texts(keepfs), logs(keepfs)
    (row,) = of_catalog(keepfs, f"SELECT ino FROM artifact WHERE name = '{kept}'")
    keepfs.unmount()
    change(keepfs,
           f"INSERT INTO hold (artifact_ino, name, reason, held_by, at_us) VALUES ({row[0]}, 'legal', 'case 7', 'uid 0', 1)",
           "INSERT INTO hold (artifact_ino, name, reason, held_by, at_us) VALUES (77, 'old', 'forgotten', 'uid 0', 1)",
           "INSERT INTO switch (job, is_off, said_by, at_us) VALUES ('full', 1, 'uid 0', 5)",
           "INSERT INTO ack (check_name, subject, until_us, said_by, at_us) VALUES ('job', 'full', 9, 'uid 0', 1)",
           "INSERT INTO member (job, name, first_seen_us, last_seen_us) VALUES ('full', 'shop', 1, 2)",
           f"UPDATE artifact SET class = 'gold' WHERE name = '{kept}'")
    settings = {table: of_catalog(keepfs, f"SELECT * FROM {table}") for table in ("switch", "ack", "member")}
    keepfs.mount()
    keepfs.unmount()
    # A start with nothing more than that: its copy has all of it.
    (newest,) = copies(keepfs)
    assert NAME.match(newest)
    totals = of_catalog(keepfs, "SELECT * FROM run_total")

    lose_the_host(keepfs)
    refused = keepfs.run("mount", check=False)
    assert refused.returncode == 2 and "'keepfs rebuild'" in refused.stderr
    keepfs.run("check", check=False)  # its result makes a catalog no less new
    rebuilt = keepfs.run("rebuild")
    assert f"are those of {newest}" in rebuilt.stdout
    assert "note: the hold 'old' (forgotten) is of a backup that the store does not hold: it is dropped" in rebuilt.stderr
    assert {table: of_catalog(keepfs, f"SELECT * FROM {table}") for table in settings} == settings
    assert of_catalog(keepfs, "SELECT artifact_ino, name, reason FROM hold") == [(row[0], "legal", "case 7")]
    assert of_catalog(keepfs, "SELECT tiers, class FROM artifact ORDER BY sequence") == [(15, "gold"), (0, "")]
    assert of_catalog(keepfs, "SELECT * FROM run_total") == totals
    assert not list(keepfs.state.glob("catalog-copy*"))
    keepfs.mount()
    after = texts(keepfs)
    assert after["history.csv"] == before["history.csv"] and after["history.jsonl"] == before["history.jsonl"]
    rebuild, rest = after["audit.jsonl"].split("\n", 1)
    assert json.loads(rebuild)["action"] == "rebuild" and json.loads(rebuild)["detail"] == newest
    assert rest == before["audit.jsonl"]
    assert logs(keepfs) == before_logs
    assert sorted(keepfs.artifacts()) == sorted((kept, gone))
    # Numbers go on.
    assert keepfs.backup("full")["run"] == max(int(run) for run in before_logs) + 1


def test_what_came_after_the_copy_is_told_by_the_store(new_keepfs, jobs):
    """backups are listed with their runs, and lines that have left for records are not there twice"""
    keepfs = new_keepfs(jobs, audit_keep=2).mount()
    keepfs.backup("full")
    for _ in range(3):
        keepfs.path("backups", "full", keepfs.artifacts()[0]).read_bytes()
    keepfs.signal(15)
    (old,) = copies(keepfs)
    saved = keepfs.store.get(old)
    keepfs.mount()
    later = keepfs.backup("full")
    for _ in range(3):
        keepfs.path("backups", "full", keepfs.artifacts()[0]).read_bytes()
    daemon.wait_until(lambda: len(of_catalog(keepfs, "SELECT id FROM audit")) <= 2 and not of_catalog(keepfs, "SELECT 1 FROM record"), "the records")
    lines = of_catalog(keepfs, "SELECT max(id) FROM audit")[0][0]
    keepfs.kill()
    subprocess.run(["fusermount3", "-uz", str(keepfs.mountpoint)], check=False)
    lose_the_host(keepfs)
    for key in copies(keepfs):
        keepfs.store.remove(key)
    keepfs.store.put(old, saved)
    keepfs.run("rebuild")
    kept = [pid for (pid,) in of_catalog(keepfs, "SELECT id FROM audit ORDER BY id")]
    recorded = []
    for key in sorted(keepfs.store.keys()):
        if key.startswith("records/audit/"):
            first = int(key.split("-")[1])
            text = subprocess.run(["zcat"], input=keepfs.store.get(key), capture_output=True, check=True).stdout
            recorded += range(first, first + len(text.splitlines()))
    assert recorded == sorted(set(recorded)) and max(recorded) <= lines
    # All that the copy had is told once. The last is the rebuild's own.
    assert not set(kept[:-1]) & set(recorded)
    keepfs.mount()
    assert [run["run"] for run in keepfs.history() if run["state"] == "completed"] == [later["run"], 1]
    assert keepfs.backup("full")["run"] == later["run"] + 1


def test_a_copy_is_opened_by_hand(new_keepfs, tmp_path):
    keepfs = new_keepfs().mount()
    keepfs.backup()
    keepfs.unmount()
    (newest,) = copies(keepfs)
    packed, plain = tmp_path / "copy.sqlite.zst", tmp_path / "copy.sqlite"
    packed.write_bytes(keepfs.store.get(newest))
    subprocess.run(["zstd", "-q", "-d", str(packed)], check=True)
    assert hashlib.sha256(plain.read_bytes()).hexdigest()[:16] == NAME.match(newest).group(2)
    assert subprocess.run(["sqlite3", str(plain), "PRAGMA integrity_check"], check=True, capture_output=True, text=True).stdout == "ok\n"
    told = subprocess.run(["sqlite3", str(plain), "SELECT id, job, state FROM run"], check=True, capture_output=True, text=True).stdout
    assert told == "1|full|2\n"


def test_a_copy_is_made_once_a_day(new_keepfs):
    keepfs = new_keepfs(catalog_copies=2)
    keepfs.mount()
    keepfs.backup()
    keepfs.unmount()
    (first,) = copies(keepfs)
    # Nothing has changed but the times of starts and ends: there is no other one.
    keepfs.mount()
    keepfs.unmount()
    assert copies(keepfs) == [first]
    # It is overdue at the next start; the one of yesterday stays, and the one before that goes.
    old = [first.replace(NAME.match(first).group(1), day) for day in ("20200101T000000Z", "20200102T000000Z")]
    for key in old:
        keepfs.store.put(key, keepfs.store.get(first))
    keepfs.store.remove(first)
    change(keepfs, f"UPDATE copy SET current_us = current_us - {2 * DAY_US} - 3600000000", "UPDATE run SET note = 'changed'")
    keepfs.mount()
    daemon.wait_until(lambda: len(copies(keepfs)) == 2 and copies(keepfs)[0] == old[1] and copies(keepfs)[1] > first[:20], "the copy of today")
    newest = copies(keepfs)[1]
    daemon.wait_until(lambda: newest in keepfs.text("status", "health"), "health to know it")
    metrics = keepfs.text("status", "metrics.prom")
    at = float(re.search(r"^keepfs_catalog_copy_timestamp_seconds (\S+)$", metrics, re.M).group(1))
    assert abs(at - time.time()) < 600
    assert json.loads(keepfs.text("status", "stats.json"))["store"]["catalog_copy"].startswith("20")


def test_without_copies(new_keepfs):
    keepfs = new_keepfs(catalog_copies="none").mount()
    keepfs.backup()
    assert "catalog copy" not in keepfs.text("status", "health")
    keepfs.unmount()
    assert copies(keepfs) == []
    keepfs.run("run", "full")
    assert copies(keepfs) == []
    lose_the_host(keepfs)
    assert "history" not in keepfs.run("rebuild").stdout


def test_a_run_without_a_daemon_makes_one(new_keepfs):
    keepfs = new_keepfs()
    keepfs.run("run", "full")
    (first,) = copies(keepfs)
    keepfs.run("run", "full")
    (second,) = copies(keepfs)
    assert second > first
    lose_the_host(keepfs)
    keepfs.run("rebuild")
    assert [run for (run,) in of_catalog(keepfs, "SELECT id FROM run ORDER BY id")] == [1, 2]
    keepfs.run("run", "full")
    assert [run for (run,) in of_catalog(keepfs, "SELECT id FROM run ORDER BY id")] == [1, 2, 3]


@pytest.mark.parametrize("fault", ["put:1:crash", "get:1:crash", "remove:1:crash"])  # before the object is there, when it is, and when an old one goes
def test_killed_while_a_copy_is_made(new_keepfs, fault):
    keepfs = new_keepfs().mount()
    keepfs.backup()
    keepfs.unmount()
    (first,) = copies(keepfs)
    change(keepfs, f"UPDATE copy SET current_us = current_us - {DAY_US} - 1000000", "UPDATE run SET note = 'changed'")
    (keepfs.state / "catalog-copy.tmp").write_bytes(b"left by a crash")
    keepfs.store_settings["faults"] = fault
    keepfs.write_conf()
    keepfs.killed = True
    keepfs.run("mount", check=False)  # it may die before it serves, or after
    keepfs.wait_end()
    subprocess.run(["fusermount3", "-uz", str(keepfs.mountpoint)], check=False, capture_output=True)
    assert len(copies(keepfs)) == (1 if fault.startswith("put") else 2)
    assert first in copies(keepfs)
    keepfs.store_settings.pop("faults")
    keepfs.write_conf()
    # What was killed may hold its lock for a moment longer than it can be seen.
    daemon.wait_until(lambda: keepfs.run("mount", check=False).returncode == 0, "the mount")
    daemon.wait_until(lambda: len(copies(keepfs)) == 1 and first not in copies(keepfs), "the copy")
    assert not list(keepfs.state.glob("catalog-copy*"))
    keepfs.unmount()
    lose_the_host(keepfs)
    keepfs.run("rebuild")
    assert of_catalog(keepfs, "SELECT note FROM run") == [("changed",)]


def test_a_store_that_refuses_copies_is_told(new_keepfs):
    keepfs = new_keepfs()
    keepfs.store_settings["faults"] = "put:1+:eio"
    keepfs.write_conf()
    keepfs.mount()
    keepfs.unmount()
    assert copies(keepfs) == []
    (failure,) = of_catalog(keepfs, "SELECT failure FROM copy")
    assert "catalog/" in failure[0]
    assert "was not copied" in (keepfs.state / "keepfs.log").read_text()
    change(keepfs, f"UPDATE copy SET current_us = current_us - {2 * DAY_US} - 3600000000")
    keepfs.mount()
    (line,) = [line for line in keepfs.text("status", "health").splitlines()[1:] if "catalog copy" in line]
    assert line.startswith("WARN") and "there is no copy of the catalog in the store" in line and failure[0] in line


def spoil(keepfs, key, how):
    keepfs.store.put(key, how(keepfs.store.get(key)))


def repack(keepfs, key, statements, at, tmp_path):
    """a copy with something else in it, under the name that it should have; returns the name"""
    plain = tmp_path / "repacked"
    plain.write_bytes(subprocess.run(["zstd", "-q", "-d", "-c"], input=keepfs.store.get(key), capture_output=True, check=True).stdout)
    copy = sqlite3.connect(plain)
    copy.executescript(statements)
    copy.close()
    name = f"catalog/{at}-{hashlib.sha256(plain.read_bytes()).hexdigest()[:16]}.sqlite.zst"
    keepfs.store.put(name, subprocess.run(["zstd", "-q", "-c", str(plain)], capture_output=True, check=True).stdout)
    return name


def test_copies_that_cannot_be_used(new_keepfs, tmp_path):
    """the one before is used, and that is said"""
    keepfs = new_keepfs().mount()
    keepfs.backup()
    keepfs.unmount()
    (good,) = copies(keepfs)
    newer = repack(keepfs, good, "PRAGMA user_version = 1000", "20990101T000000Z", tmp_path)
    foreign = repack(keepfs, good, "PRAGMA application_id = 7", "20990102T000000Z", tmp_path)
    damaged = good.replace(NAME.match(good).group(1), "20990103T000000Z")
    keepfs.store.put(damaged, keepfs.store.get(good)[:-20])
    lose_the_host(keepfs)
    rebuilt = keepfs.run("rebuild", check=False)
    assert rebuilt.returncode == 1
    assert f"{newer} is not used: a newer keepfs has made it: it has format 1000" in rebuilt.stderr
    assert f"{foreign} is not used: it is no sound copy of a catalog: another program has made it" in rebuilt.stderr
    assert f"{damaged} is not used: it cannot be decompressed" in rebuilt.stderr
    assert f"are those of {good}" in rebuilt.stdout and "1 backup " in rebuilt.stdout
    # The next copy is behind them all, and a rebuild takes it.
    keepfs.mount()
    keepfs.backup()
    keepfs.unmount()
    assert copies(keepfs)[-1] > damaged
    lose_the_host(keepfs)
    told = json.loads(keepfs.run("rebuild", "--json").stdout)
    assert told["artifacts"] == 2 and told["problems"] == 0 and told["catalog_copy"] == copies(keepfs)[-1]


def test_when_no_copy_can_be_used(new_keepfs):
    keepfs = new_keepfs().mount()
    keepfs.backup()
    keepfs.unmount()
    (only,) = copies(keepfs)
    keepfs.store.put(only, b"nonsense")
    lose_the_host(keepfs)
    rebuilt = keepfs.run("rebuild", check=False)
    assert rebuilt.returncode == 1 and f"{only} is not used" in rebuilt.stderr
    assert "no copy of the lost catalog could be used" in rebuilt.stdout
    keepfs.mount()
    assert len(keepfs.artifacts()) == 1


def test_a_store_that_was_moved(new_keepfs, store, tmp_path):
    keepfs = new_keepfs().mount()
    keepfs.backup()
    keepfs.unmount()
    (newest,) = copies(keepfs)
    lose_the_host(keepfs)
    (tmp_path / "elsewhere").symlink_to(tmp_path / "objects")
    url = keepfs.store_settings["url"]
    keepfs.store_settings["url"] = f"dir:{tmp_path}/elsewhere"
    keepfs.write_conf()
    refused = keepfs.run("rebuild", check=False)
    assert refused.returncode == 2
    assert f"{newest} is a copy of the catalog of {url}, and [store] url is dir:{tmp_path}/elsewhere" in refused.stderr
    assert "keepfs rebuild --moved" in refused.stderr and "keepfs rebuild --no-history" in refused.stderr
    # Nothing was begun: the next one decides.
    keepfs.run("rebuild", "--moved")
    assert of_catalog(keepfs, "SELECT triggered_by LIKE 'uid %' FROM run") == [(1,)]
    assert of_catalog(keepfs, "SELECT url FROM bound_store") == [(f"dir:{tmp_path}/elsewhere",)]
    keepfs.mount()
    keepfs.backup()


def test_no_history(new_keepfs, jobs):
    keepfs = new_keepfs(jobs).mount()
    keepfs.backup("full")
    fail_a_run(keepfs)
    keepfs.unmount()
    lose_the_host(keepfs)
    assert "history" not in keepfs.run("rebuild", "--no-history").stdout
    assert of_catalog(keepfs, "SELECT id FROM run") == [(1,)]


def test_a_catalog_that_is_there_is_newer(new_keepfs, jobs):
    """a rebuild of it keeps its own history, whatever the copy says"""
    keepfs = new_keepfs(jobs).mount()
    keepfs.backup("full")
    keepfs.unmount()
    keepfs.mount()
    failed = fail_a_run(keepfs)
    keepfs.kill()
    subprocess.run(["fusermount3", "-uz", str(keepfs.mountpoint)], check=False)
    assert len(copies(keepfs)) == 1
    assert "history" not in keepfs.run("rebuild").stdout
    assert of_catalog(keepfs, "SELECT id FROM run ORDER BY id") == [(1,), (failed,)]


def test_a_rebuild_that_failed_goes_on(new_keepfs, jobs):
    """the copy is in place, and the store fails then: nothing but a rebuild goes on with it"""
    keepfs = new_keepfs(jobs).mount()
    keepfs.backup("full")
    failed = fail_a_run(keepfs)
    keepfs.unmount()
    lose_the_host(keepfs)
    keepfs.store_settings["faults"] = "get:2:eio"
    keepfs.write_conf()
    assert keepfs.run("rebuild", check=False).returncode == 1
    keepfs.store_settings.pop("faults")
    keepfs.write_conf()
    assert of_catalog(keepfs, "SELECT count(*) FROM copied") == [(1,)]
    refused = keepfs.run("mount", check=False)
    assert refused.returncode == 2 and "'keepfs rebuild'" in refused.stderr
    keepfs.run("rebuild")
    assert of_catalog(keepfs, "SELECT count(*) FROM copied") == [(0,)]
    assert of_catalog(keepfs, "SELECT id FROM run ORDER BY id") == [(1,), (failed,)]
    keepfs.mount()
    assert len(keepfs.artifacts()) == 1
