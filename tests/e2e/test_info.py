# SPDX-License-Identifier: Apache-2.0
"""keepfs info: ok or why not, and each backup with what is known of it; by the mount, and without one."""
import datetime
import json
import os
import sqlite3

import pytest

KEYS = ["path", "job", "kind", "target", "run", "started", "finished", "source_bytes", "size_bytes", "stored_bytes", "partial", "depends_on",
        "tiers", "holds", "verified", "damaged", "note", "store", "copies", "encrypted_to", "signed"]


@pytest.fixture
def two_jobs(new_keepfs, pg, noise):
    return new_keepfs({"full": {"database": pg.uri("sample")},
                       "tenants": {"database": pg.uri("postgres"), "databases": "sample, postgres"}})


def info(keepfs, *arguments):
    return json.loads(keepfs.run("info", "--json", *arguments).stdout)


def test_the_same_with_and_without_a_mount(two_jobs, pg):
    keepfs = two_jobs.mount()
    keepfs.backup('full note="before it"')
    keepfs.backup("full content=schema")
    keepfs.backup("tenants")
    mounted = info(keepfs)
    text = keepfs.run("info").stdout
    keepfs.unmount()
    assert info(keepfs)["backups"] == mounted["backups"]
    assert keepfs.run("info").stdout.splitlines()[2:] == text.splitlines()[2:]
    first = mounted["backups"][-1]
    assert list(first) == KEYS
    manifest = json.loads(keepfs.store.get(f"manifests/{first['path']}.json"))
    assert first["stored_bytes"] == sum(one["size"] for one in manifest["objects"])
    assert first["size_bytes"] == manifest["size"] and first["run"] == manifest["run"] and first["target"] == "sample"
    assert (first["started"], first["finished"], first["verified"]) == (manifest["started_at"], manifest["finished_at"], manifest["verified_at"])
    assert abs(first["source_bytes"] - int(pg.sql("sample", "SELECT pg_database_size('sample')"))) < 4 << 20
    assert (first["note"], first["partial"], first["damaged"], first["depends_on"]) == ("before it", False, None, [])
    assert [b["partial"] for b in mounted["backups"] if b["job"] == "full"] == [True, False]
    assert (first["encrypted_to"], first["signed"]) == ([], None)
    assert mounted["totals"]["backups"] == 4 == len(mounted["backups"])
    assert mounted["totals"]["stored_bytes"] == sum(b["stored_bytes"] for b in mounted["backups"])


def test_of_one_job_or_database(two_jobs):
    two_jobs.run("run", "full")
    two_jobs.run("run", "tenants")
    assert {b["job"] for b in info(two_jobs, "full")["backups"]} == {"full"}
    assert [b["target"] for b in info(two_jobs, "tenants/sample")["backups"]] == ["sample"]
    assert info(two_jobs, "tenants/nobody")["backups"] == []
    done = two_jobs.run("info", "no_such_job", check=False)
    assert done.returncode == 2 and "no_such_job" in done.stderr and done.stdout == ""


def test_the_first_line(two_jobs, pg):
    two_jobs.run("check", check=False)
    two_jobs.run("run", "full")
    assert two_jobs.run("info", "full").stdout.splitlines()[0] == "ok"
    assert info(two_jobs, "full")["health"] == "OK"
    other = two_jobs.run("info", "tenants").stdout
    assert other.splitlines()[0].startswith("WARN  job tenants: has not run yet") and "\n0 backups," in other
    assert "tenants" in two_jobs.run("info").stdout.splitlines()[0]
    two_jobs.jobs["full"]["database"] = pg.uri("no_such_database")
    two_jobs.write_conf()
    assert two_jobs.run("run", "full", check=False).returncode == 1
    first = two_jobs.run("info", "full").stdout.splitlines()[0]
    assert first.startswith("WARN  job full: run 2 failed") and "no_such_database" in first
    answer = info(two_jobs, "full")
    assert answer["health"] == "WARN" and any("no_such_database" in line for line in answer["why"])


def test_damage_is_told(new_keepfs, pg):
    keepfs = new_keepfs().mount()
    keepfs.backup()
    (name,) = keepfs.artifacts()
    key = f"backups/full/{name}"
    data = bytearray(keepfs.store.get(key))
    data[len(data) // 2] ^= 1
    keepfs.store.put(key, bytes(data))
    with pytest.raises(OSError):
        keepfs.path(key).read_bytes()
    answer = info(keepfs, "full")
    assert answer["health"] == "CRIT" and answer["totals"]["damaged"] == 1
    assert answer["backups"][0]["damaged"] and key in answer["why"][-1] + answer["why"][0]
    assert "DAMAGED: " in keepfs.run("info").stdout


def test_holds_and_tiers(new_keepfs):
    """a hold that has ended is none"""
    keepfs = new_keepfs()
    keepfs.run("run", "full")
    with sqlite3.connect(keepfs.state / "catalog.db") as catalog:
        (ino,) = catalog.execute("SELECT ino FROM artifact").fetchone()
        for name, until in (("audit 2026", 0), ("over", 1), ("later", int(datetime.datetime.now().timestamp() * 1e6) + 10**9)):
            catalog.execute("INSERT INTO hold VALUES (?, ?, 'because', 'me', 1, ?)", (ino, name, until))
        catalog.execute("UPDATE artifact SET tiers = 5")
    catalog.close()
    (backup,) = info(keepfs)["backups"]
    assert backup["holds"] == ["audit 2026", "later"] and backup["tiers"] == ["daily", "monthly"]
    assert "held: audit 2026, later" in keepfs.run("info").stdout


def test_neither_mount_nor_catalog(new_keepfs):
    keepfs = new_keepfs()
    done = keepfs.run("info", check=False)
    assert done.returncode == 3 and "keepfs mount" in done.stderr and "keepfs rebuild" in done.stderr
    assert not (keepfs.state / "catalog.db").exists()
    assert keepfs.run("info", "a", "b", check=False).returncode == 2


def test_a_mount_that_is_named(new_keepfs, tmp_path):
    """without a configuration; another one is not taken for it"""
    keepfs = new_keepfs().mount()
    keepfs.backup()
    assert len(json.loads(keepfs.run("info", "--json", "-m", keepfs.mountpoint, conf=False).stdout)["backups"]) == 1
    done = keepfs.run("info", "-m", tmp_path, conf=False, check=False)
    assert done.returncode == 3 and str(tmp_path) in done.stderr


def test_a_dead_mount(new_keepfs):
    keepfs = new_keepfs().mount()
    keepfs.backup()
    keepfs.kill()
    assert len(info(keepfs)["backups"]) == 1
    os.system(f"fusermount3 -uz {keepfs.mountpoint}")
