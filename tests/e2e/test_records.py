# SPDX-License-Identifier: Apache-2.0
"""Old runs and old lines of the audit: they move into the store, can be read there without keepfs, and nothing is lost or doubled."""
import json
import os
import sqlite3
import subprocess
import sys

import pytest

import daemon

KEPT_OF_JOB = 256  # runs of a job that always stay
OLD_RUNS = 300
OLD_LINES = 50
YEAR_AGO_US = 1764000000 * 10**6

READ_BACK = """
import glob, gzip, json
for name in sorted(glob.glob("records/history/*.jsonl.gz")):
    with gzip.open(name, "rt", encoding="utf-8") as lines:
        for run in map(json.loads, lines):
            print(run["run"], run["job"], run["state"], run["error"])
"""


def grow_old(keepfs):
    """while no daemon runs: runs that failed, and lines of the audit, as years bring them"""
    with sqlite3.connect(keepfs.state / "catalog.db") as catalog:
        for i in range(OLD_RUNS):
            run = catalog.execute("INSERT INTO run (job, kind, state, triggered_by, queued_at_us, started_at_us, finished_at_us, error)"
                                  " VALUES ('full', 'dump', 3, 'cron', ?1, ?1, ?1, 'no server')", (YEAR_AGO_US + i,)).lastrowid
            catalog.execute("INSERT INTO run_log VALUES (?, 1, ?, 'it did not answer')", (run, YEAR_AGO_US + i))
        for i in range(OLD_LINES):
            catalog.execute("INSERT INTO audit (at_us, uid, pid, command, action, object, result, detail)"
                            " VALUES (?, 1, ?, 'cp', 'read', 'x', 'ok', '')", (YEAR_AGO_US + i, 1000000 + i))
    catalog.close()


def of_catalog(keepfs, statement):
    catalog = keepfs.catalog()
    try:
        return [value for (value,) in catalog.execute(statement)]
    finally:
        catalog.close()


def fetched(keepfs, directory):
    """what `aws s3 cp --recursive` brings"""
    for key in keepfs.store.keys():
        if key.startswith("records/"):
            path = directory / key
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(keepfs.store.get(key))
    return directory


def lines_of(directory, kind):
    """by zcat, as docs/formats.md has it"""
    text = subprocess.run(f"zcat records/{kind}/*.jsonl.gz", shell=True, cwd=directory, check=True, capture_output=True).stdout
    return [json.loads(line) for line in text.splitlines()]


def recorded(keepfs, kind):
    return any(key.startswith(f"records/{kind}/") for key in keepfs.store.keys())


def assert_each_once(keepfs, directory):
    """every run and every line is in the catalog or in the store, and once"""
    fetched(keepfs, directory)
    runs = [run["run"] for run in lines_of(directory, "history")] + of_catalog(keepfs, "SELECT id FROM run")
    assert sorted(runs) == list(range(1, max(runs) + 1))
    pids = [line["pid"] for line in lines_of(directory, "audit")] + of_catalog(keepfs, "SELECT pid FROM audit WHERE pid >= 1000000")
    assert sorted(pid for pid in pids if pid >= 1000000) == list(range(1000000, 1000000 + OLD_LINES))


def begun(keepfs):
    return of_catalog(keepfs, "SELECT key FROM record")


def settled(keepfs):
    daemon.wait_until(lambda: recorded(keepfs, "history") and recorded(keepfs, "audit") and not begun(keepfs), "the records")


def test_old_records_are_read_without_keepfs(new_keepfs, tmp_path):
    keepfs = new_keepfs(history_keep=20, audit_keep=10).mount()
    first = keepfs.backup()["run"]
    keepfs.unmount()
    grow_old(keepfs)
    keepfs.mount()
    settled(keepfs)
    elsewhere = tmp_path / "elsewhere"
    assert_each_once(keepfs, elsewhere)

    runs = lines_of(elsewhere, "history")
    assert len(runs) == OLD_RUNS - KEPT_OF_JOB and runs == sorted(runs, key=lambda run: run["run"])
    assert runs[0]["state"] == "failed" and runs[0]["error"] == "no server" and runs[0]["databases"] == []
    assert runs[0]["log"] == ["2025-11-24T16:00:00Z it did not answer"]
    told = subprocess.run([sys.executable, "-c", READ_BACK], cwd=elsewhere, check=True, capture_output=True, text=True).stdout
    assert told.splitlines() == [f"{run['run']} full failed no server" for run in runs]

    # The mount: what has moved is gone, and what a backup needs of its run is not.
    with pytest.raises(FileNotFoundError):
        os.stat(keepfs.path("jobs", str(runs[0]["run"]), "status"))
    assert keepfs.run_status(first)["state"] == "completed"
    assert os.getxattr(keepfs.path("backups", "full", keepfs.artifacts()[0]), "user.keepfs.run").decode() == str(first)
    assert len(keepfs.history()) == 22
    assert len(keepfs.text("status", "audit.jsonl").splitlines()) <= 11
    assert keepfs.text("status", "stats.json") and json.loads(keepfs.text("status", "stats.json"))["runs"]["failed"] == OLD_RUNS
    assert len(os.listdir(keepfs.path("jobs"))) == KEPT_OF_JOB + 1

    # A rebuild leaves records alone, and does not take them for something foreign.
    keepfs.unmount()
    before = {key: keepfs.store.get(key) for key in keepfs.store.keys() if key.startswith("records/")}
    rebuilt = keepfs.run("rebuild")
    assert "records" not in rebuilt.stdout + rebuilt.stderr
    assert {key: keepfs.store.get(key) for key in keepfs.store.keys() if key.startswith("records/")} == before
    # Nothing moves twice either, not even by a catalog that begins anew.
    (keepfs.state / "catalog.db").unlink()
    keepfs.run("rebuild", "--no-history")
    keepfs.mount()
    assert keepfs.run_status(first)["state"] == "completed"
    assert keepfs.backup()["state"] == "completed"
    assert {key for key in keepfs.store.keys() if key.startswith("records/")} == set(before)


@pytest.mark.parametrize("fault", ["put:1:crash", "get:1:crash"])  # before the object is there, and when it is
def test_killed_while_records_move(new_keepfs, tmp_path, fault):
    keepfs = new_keepfs(history_keep=20, audit_keep=10).mount()
    keepfs.backup()
    keepfs.unmount()
    grow_old(keepfs)
    keepfs.store_settings["faults"] = fault
    keepfs.write_conf()
    keepfs.run("mount", check=False)  # it may die before it serves, or after
    keepfs.wait_end()
    assert len(begun(keepfs)) == 1
    assert len(of_catalog(keepfs, "SELECT id FROM run")) == OLD_RUNS + 1
    assert recorded(keepfs, "audit") == fault.startswith("get")
    keepfs.store_settings.pop("faults")
    keepfs.write_conf()
    keepfs.mount()
    settled(keepfs)
    assert_each_once(keepfs, tmp_path / "elsewhere")


def test_a_run_without_a_daemon_moves_records(new_keepfs, tmp_path):
    keepfs = new_keepfs(history_keep=20, audit_keep=10)
    keepfs.run("run", "full")
    grow_old(keepfs)
    keepfs.run("run", "full")
    assert recorded(keepfs, "history") and recorded(keepfs, "audit") and not begun(keepfs)
    assert_each_once(keepfs, tmp_path / "elsewhere")


def test_reading_moves_the_audit(new_keepfs):
    """the daemon is told of each line, and needs no clock"""
    keepfs = new_keepfs(audit_keep=2).mount()
    keepfs.backup()
    path = keepfs.path("backups", "full", keepfs.artifacts()[0])
    for _ in range(4):
        path.read_bytes()
    daemon.wait_until(lambda: recorded(keepfs, "audit"), "the record")
    daemon.wait_until(lambda: len(of_catalog(keepfs, "SELECT id FROM audit")) <= 2, "the lines that are left")
