# SPDX-License-Identifier: Apache-2.0
"""keepfs status --store: from another host, with rights to read and no more, without the daemon's catalog."""
import base64
import datetime
import hashlib
import json
import os
import shutil
import struct
import subprocess

import pytest

import daemon

NOW = datetime.datetime.now(datetime.timezone.utc)


class Elsewhere:
    """another host: it shares nothing with the one that makes the backups but the store"""

    def __init__(self, home, store):
        self.home, self.store = home, store
        names = {"endpoint": "KEEPFS_STORE_ENDPOINT", "region": "KEEPFS_STORE_REGION", "access_key": "KEEPFS_STORE_ACCESS_KEY",
                 "secret_key": "KEEPFS_STORE_SECRET_KEY", "allow_http": "KEEPFS_STORE_ALLOW_HTTP"}
        self.env = {**daemon.clean_environment(), "HOME": str(home), "XDG_STATE_HOME": str(home / "no-state"),
                    **{names[key]: value for key, value in store.settings.items() if key in names}}

    def look(self, *arguments, url=None, **env):
        done = subprocess.run([daemon.PROGRAM, "status", "--store", url or self.store.settings["url"], *map(str, arguments)],
                              env={**self.env, **env}, cwd=self.home, text=True, capture_output=True, timeout=daemon.DEADLINE_S)
        assert "Sanitizer" not in done.stderr, done.stderr
        return done


@pytest.fixture
def elsewhere(tmp_path, store):
    home = tmp_path / "elsewhere"
    home.mkdir()
    yield Elsewhere(home, store)
    assert os.listdir(home) in ([], ["keepfs.conf"])  # nothing was made there


def put(store, directory, name, age_h=1, size=100, **more):
    """a backup as keepfs stores it, by hand: the manifest, and an object of that size"""
    path = f"{directory}/{name}"
    table = struct.pack("<II", size, 0)
    at = (NOW - datetime.timedelta(hours=age_h)).strftime("%Y-%m-%dT%H:%M:%S.000000Z")
    store.put(path, b"x" * size)
    manifest = {"version": 2, "path": path, "type": "file", "job": directory.split("/")[1], "kind": "dump", "target": "shop", "run": 1,
                "triggered_by": "me", "started_at": at, "finished_at": at, "verified_at": at, "keepfs_version": "1", "size": size,
                "sha256": None, "files": [{"name": name, "size": size, "sha256": None, "object": 0}],
                "objects": [{"key": path, "size": size, "sha256": None, "extents": 1}], 
                "extents": {"sha256": hashlib.sha256(table).hexdigest(), "table": base64.b64encode(table).decode()}, **more}
    store.put(f"manifests/{path}.json", json.dumps(manifest).encode())


def name_of(age_h):
    return (NOW - datetime.timedelta(hours=age_h)).strftime("%Y%m%dT%H%M%SZ")


@pytest.mark.parametrize("store", ["dir", "ceph"], indirect=True)
def test_real_backups(new_keepfs, pg, store, elsewhere):
    keepfs = new_keepfs({"full": {"database": pg.uri("sample")}, "tenants": {"database": pg.uri("postgres"), "databases": "sample, postgres"}})
    keepfs.run("run", "full")
    keepfs.run("run", "full")
    keepfs.run("run", "full", "content=schema")
    keepfs.run("run", "tenants")
    before = store.keys()
    done = elsewhere.look("--max-age", "1h")
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.startswith("OK 3 of 3 directories are well")
    newest = sorted(key for key in before if key.startswith("backups/full/") and key.endswith("Z.dump") or key.endswith("-2.dump"))[-1]
    assert f"OK    backups/full: {newest.rsplit('/', 1)[1]} of " in done.stdout
    assert "OK    backups/tenants/sample: " in done.stdout and "there with their sizes" in done.stdout
    assert store.keys() == before
    answer = json.loads(elsewhere.look("--json").stdout)
    assert answer["health"] == "OK" and [d["directory"] for d in answer["directories"]] == ["backups/full", "backups/tenants/postgres",
                                                                                            "backups/tenants/sample"]
    assert answer["directories"][0]["newest"] == newest and answer["directories"][0]["age_seconds"] < 3600


def test_what_is_wrong(elsewhere, store):
    put(store, "backups/good", name_of(1) + ".dump")
    put(store, "backups/old", name_of(50) + ".dump", age_h=50)
    put(store, "backups/missing", name_of(1) + ".dump")
    store.remove("backups/missing/" + name_of(1) + ".dump")
    put(store, "backups/cut", name_of(1) + ".dump")
    store.put("backups/cut/" + name_of(1) + ".dump", b"x" * 99)
    put(store, "backups/parts", name_of(1) + ".schema.dump")
    store.put("manifests/backups/torn/" + name_of(1) + ".dump.json", b"{\"version\": 2, ")
    done = elsewhere.look("--max-age", "26h")
    assert done.returncode == 2
    lines = {line.split(":")[0].split()[-1]: line for line in done.stdout.splitlines()[1:]}
    assert done.stdout.startswith("CRIT 1 of 6 directories are well")
    assert lines["backups/good"].startswith("OK ")
    assert lines["backups/old"].startswith("CRIT") and "overdue" in lines["backups/old"] and "2 days old" in lines["backups/old"]
    assert lines["backups/missing"].startswith("CRIT") and "is not in the store" in lines["backups/missing"]
    assert lines["backups/cut"].startswith("CRIT") and "has 99 bytes, and not 100" in lines["backups/cut"]
    assert lines["backups/parts"].startswith("CRIT") and "no whole backup" in lines["backups/parts"]
    assert lines["backups/torn"].startswith("CRIT") and "cannot be used" in lines["backups/torn"]
    assert elsewhere.look("--max-age", "60h").stdout.count("OK  ") == 2
    assert "backups/old" in elsewhere.look().stdout  # without an age nobody can say that it is old


def test_a_schedule_says_when_it_is_overdue(elsewhere, store):
    put(store, "backups/nightly", name_of(50) + ".dump", age_h=50)
    put(store, "backups/monthly", name_of(50) + ".dump", age_h=50)
    put(store, "backups/other", name_of(50) + ".dump", age_h=50)
    conf = elsewhere.home / "keepfs.conf"
    conf.write_text("[backup nightly]\nschedule = daily-2am\n[backup monthly]\nexpected_interval = 31d\n[backup other]\n"
                    "[backup none]\nschedule = daily-2am\n[backup later]\n")
    done = elsewhere.look("-c", conf)
    lines = {line.split(":")[0].split()[-1]: line for line in done.stdout.splitlines()[1:]}
    assert done.returncode == 2
    assert "overdue" in lines["backups/nightly"] and lines["backups/nightly"].startswith("CRIT")
    assert lines["backups/monthly"].startswith("OK") and lines["backups/other"].startswith("OK")
    assert lines["backups/none"].startswith("CRIT") and lines["backups/later"].startswith("WARN")


def test_mixed_directories(elsewhere, store):
    """backups of a job beside the directories of its databases; archives that are named otherwise"""
    put(store, "backups/both", name_of(400) + ".dump", age_h=400)
    put(store, "backups/both/acme", name_of(1) + ".dump")
    put(store, "backups/both/=5fx", name_of(1) + ".dump")
    for month in ("2026-01", "2026-02", "a-third"):
        put(store, "backups/media", month + ".tar.gz")
    done = elsewhere.look("--max-age", "26h")
    lines = {line.split(":")[0].split()[-1]: line for line in done.stdout.splitlines()[1:]}
    assert set(lines) == {"backups/both", "backups/both/acme", "backups/both/=5fx", "backups/media"}
    assert "overdue" in lines["backups/both"] and lines["backups/both/acme"].startswith("OK")
    assert lines["backups/media"].startswith("OK") and "3 archives" in lines["backups/media"]


def test_nothing_there(elsewhere, store, tmp_path):
    done = elsewhere.look(url=f"dir:{tmp_path}/nowhere")
    assert done.returncode == 3 and "nowhere" in done.stderr and not (tmp_path / "nowhere").exists()
    (tmp_path / "empty").mkdir()
    done = elsewhere.look(url=f"dir:{tmp_path}/empty")
    assert done.returncode == 2 and "it holds no backups" in done.stdout
    assert os.listdir(tmp_path / "empty") == []


@pytest.mark.parametrize("arguments", [["--max-age", "soon"], ["--max-age", "26"], ["--max-age", "0h"], ["--max-age", "-1h"]])
def test_used_wrongly(elsewhere, arguments):
    done = elsewhere.look(*arguments)
    assert done.returncode == 2 and "--max-age" in done.stderr and done.stdout == ""


@pytest.mark.skipif(os.geteuid() != 0, reason="becomes another user, which only root may")
def test_a_disk_that_cannot_be_written(elsewhere, store):
    put(store, "backups/good", name_of(1) + ".dump")
    done = subprocess.run(["unshare", "-m", "sh", "-ec", f"mount --bind {store.root} {store.root}; mount -o remount,ro,bind {store.root}; "
                           f"exec {daemon.PROGRAM} status --store dir:{store.root}"], env=elsewhere.env, cwd=elsewhere.home, text=True, capture_output=True)
    assert done.returncode == 0, done.stdout + done.stderr


def test_requests_do_not_grow_with_the_backups(elsewhere, store, tmp_path):
    """a thousand are looked through no longer than ten: counted by what the program opens"""
    if not shutil.which("strace"):
        pytest.skip("strace is not installed")

    def manifests_read():
        log = tmp_path / "strace.log"
        done = subprocess.run(["strace", "-f", "-e", "trace=openat", "-o", log, daemon.PROGRAM, "status", "--store", f"dir:{store.root}"],
                              env=elsewhere.env, cwd=elsewhere.home, text=True, capture_output=True)
        assert done.returncode == 0, done.stderr
        return sum(".json" in line for line in log.read_text().splitlines())

    for hours in range(1, 11):
        put(store, "backups/full", name_of(hours) + ".dump", age_h=hours)
    few = manifests_read()
    for hours in range(11, 1000):
        put(store, "backups/full", name_of(hours) + ".dump", age_h=hours)
    assert manifests_read() == few == 1
