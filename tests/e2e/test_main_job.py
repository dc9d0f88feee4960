# SPDX-License-Identifier: Apache-2.0
"""The main job: mount, trigger a backup, look at it, copy it out, restore it. On each kind of store."""
import csv
import hashlib
import io
import json
import os
import re
import stat
import subprocess

import pytest

on_each_store = pytest.mark.parametrize("store", ["dir", "ceph", "swift"], indirect=True)
NAME = re.compile(r"^\d{8}T\d{6}Z(-\d+)?\.dump$")


def shell(command, cwd):
    return subprocess.run(["sh", "-ec", command], cwd=cwd, check=True, text=True, stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT).stdout


def sha256(path):
    return hashlib.sha256(path.read_bytes()).hexdigest()


@on_each_store
def test_backup_is_copied_and_restored(keepfs, pg, scratch, tmp_path):
    """A1, A10, F1, F3: echo, ls, cp, sha256sum -c, pg_restore into a second database"""
    run = keepfs.trigger("now")
    assert keepfs.wait_run(run)["state"] == "completed"

    (name,) = keepfs.artifacts()
    assert NAME.match(name)
    directory = keepfs.path("backups", "full")
    stem = name.split(".")[0]
    assert sorted(shell("ls", directory).split()) == sorted([name, f"{stem}.globals.sql.gz", f"{stem}.tables.csv", "SHA256SUMS", "latest.dump"])
    assert os.readlink(directory / "latest.dump") == name

    copy = tmp_path / "copy"
    copy.mkdir()
    shell(f"cp {directory}/* {copy}", tmp_path)
    assert f"{name}: OK" in shell("sha256sum -c SHA256SUMS", copy)
    assert f"{name}: OK" in shell("sha256sum -c SHA256SUMS", directory)
    assert sha256(copy / name) == sha256(copy / "latest.dump") == keepfs.history(run)["sha256"]

    pg.tool("pg_restore", "-d", pg.uri(scratch), copy / name)
    assert pg.fingerprint(scratch) == pg.fingerprint("sample")
    assert keepfs.store.get(f"backups/full/{name}") == (copy / name).read_bytes()


@on_each_store
def test_a_dump_of_many_parts(new_keepfs, pg, noise, scratch):
    """A1: larger than a part, restored straight from the mount by two jobs that seek"""
    keepfs = new_keepfs({"big": {"database": pg.uri(noise)}}).mount()
    history = keepfs.backup()
    latest = keepfs.path("backups", "big", "latest.dump")
    assert latest.stat().st_size == history["size_bytes"] > 20 << 20
    assert sha256(latest) == history["sha256"]
    assert pg.tool("pg_restore", "-l", latest).count("TABLE DATA") == 1
    pg.tool("pg_restore", "-j2", "-d", pg.uri(scratch), latest)
    assert pg.fingerprint(scratch) == pg.fingerprint(noise)


@on_each_store
def test_rsync_copies_nothing_twice(keepfs, tmp_path):
    """C6, F3"""
    keepfs.backup()
    keepfs.backup()
    command = f"rsync -a --itemize-changes {keepfs.mountpoint}/backups/ {tmp_path}/offsite/"
    assert shell(command, tmp_path).count(".dump") >= 2
    assert shell(command, tmp_path) == ""
    keepfs.remount()
    assert shell(command, tmp_path) == ""
    assert "OK" in shell("sha256sum -c SHA256SUMS", tmp_path / "offsite/full")


@on_each_store
def test_the_tree_stays_the_same_over_a_remount(keepfs):
    """inode, size, times, blocks and xattrs are facts about the artifact, not about the mount"""
    keepfs.backup()
    path = keepfs.path("backups", "full", keepfs.artifacts()[0])

    def facts():
        s, d = path.stat(), path.parent.stat()
        return (s.st_ino, s.st_size, s.st_mtime_ns, s.st_blocks, s.st_mode, s.st_uid, s.st_gid, d.st_ino, d.st_mtime_ns,
                {n: os.getxattr(path, n) for n in os.listxattr(path)}, sha256(path))

    before = facts()
    keepfs.remount()
    assert facts() == before


def test_stat(keepfs):
    keepfs.backup()
    name = keepfs.artifacts()[0]
    directory = keepfs.path("backups", "full")
    s = (directory / name).stat()
    assert s.st_blocks == -(-s.st_size // 512)
    assert s.st_nlink == 1
    assert s.st_blksize == 1 << 20
    assert stat.S_IMODE(s.st_mode) == 0o600
    assert stat.S_IMODE(directory.stat().st_mode) == 0o700
    assert keepfs.path("backups").stat().st_nlink in (1, 3)  # 2 + one directory; 1 says "not counted"
    assert directory.stat().st_nlink in (1, 2)
    run = keepfs.history()[0]
    # It was complete some time before its run was.
    assert run["started"][:19] <= shell(f"date -u -r {name} +%Y-%m-%dT%H:%M:%S", directory).strip() <= run["finished"][:19]
    assert name in shell("find . -name '*.dump' -type f -newermt '2020-01-01'", directory)
    sums = directory / "SHA256SUMS"
    assert sums.stat().st_size == len(sums.read_bytes())


def test_two_backups_of_one_second_sort(keepfs):
    first, second = keepfs.backup(), keepfs.backup()
    names = keepfs.artifacts()
    assert len(names) == 2
    assert os.readlink(keepfs.path("backups", "full", "latest.dump")) == keepfs.run_artifact(second["run"])
    assert keepfs.run_artifact(first["run"]) != keepfs.run_artifact(second["run"])
    sums = keepfs.text("backups", "full", "SHA256SUMS").splitlines()
    assert sorted(line.split()[1] for line in sums if line.endswith(".dump")) == sorted(names)


def test_a_new_artifact_is_seen_at_once(keepfs):
    """nothing is cached that hides it: the name was looked up, and found missing, before"""
    latest = keepfs.path("backups", "full", "latest.dump")
    assert not latest.exists()
    keepfs.backup()
    assert latest.exists()
    first = os.readlink(latest)
    keepfs.backup()
    assert os.readlink(latest) != first


@on_each_store
def test_tar_of_the_tree(keepfs, tmp_path):
    keepfs.backup()
    shell(f"tar -C {keepfs.mountpoint} -cf tree.tar backups status", tmp_path)
    listed = shell("tar -tvf tree.tar", tmp_path)
    assert keepfs.artifacts()[0] in listed and "status/health" in listed
    shell("mkdir x && tar -C x -xf tree.tar && cd x/backups/full && sha256sum -c SHA256SUMS", tmp_path)


def test_xattrs(keepfs):
    history = keepfs.backup()
    path = keepfs.path("backups", "full", "latest.dump")
    x = {n: os.getxattr(path, n).decode() for n in os.listxattr(path)}
    assert x["user.keepfs.sha256"] == sha256(path)
    assert x["user.keepfs.job"] == "full"
    assert x["user.keepfs.run"] == str(history["run"])
    assert x["user.keepfs.server_version"].startswith("1")
    with pytest.raises(OSError):
        os.getxattr(path, "user.keepfs.nothing")


def test_random_reads(new_keepfs, pg, noise):
    """any range gives exactly the bytes of the whole"""
    keepfs = new_keepfs({"big": {"database": pg.uri(noise)}}).mount()
    keepfs.backup()
    path = keepfs.path("backups", "big", "latest.dump")
    whole = keepfs.store.get(f"backups/big/{os.readlink(path)}")
    fd = os.open(path, os.O_RDONLY)
    try:
        size = len(whole)
        for offset in (0, 1, size - 1, size // 2, (1 << 20) - 1, (5 << 20) - 7, size - 4096, 3):
            for length in (1, 4096, 70_000, 2_000_000):
                assert os.pread(fd, length, offset) == whole[offset:offset + length], (offset, length)
        assert os.pread(fd, 10, size) == b""
        assert os.pread(fd, 10, size + 1_000_000) == b""
    finally:
        os.close(fd)


def test_statfs(keepfs):
    keepfs.backup()
    stored = keepfs.path("backups", "full", "latest.dump").stat().st_size
    v = os.statvfs(keepfs.mountpoint)
    used = (v.f_blocks - v.f_bfree) * v.f_frsize
    assert used >= stored - v.f_frsize
    assert "keepfs" in shell(f"df -T {keepfs.mountpoint}", "/")


def test_status_files(keepfs, pg):
    """A8, E6: history, totals, audit, health, configuration; every size is exact"""
    run = keepfs.backup()
    rows = list(csv.DictReader(io.StringIO(keepfs.text("status", "history.csv"))))
    assert len(rows) == 1 and rows[0]["state"] == "completed" and rows[0]["job"] == "full"
    assert rows[0]["sha256"] == run["sha256"] and int(rows[0]["size_bytes"]) == run["size_bytes"]
    assert run["kind"] == "dump" and run["triggered_by"]
    stats = json.loads(keepfs.text("status", "stats.json"))
    files = [path for path in keepfs.path("backups", "full").iterdir() if path.is_file() and path.name[0].isdigit()]
    index, = (key for key in keepfs.store.keys() if key.endswith(".index"))
    assert sum(path.stat().st_size for path in files) + len(keepfs.store.get(index)) in json_values(stats)
    audit = [json.loads(line) for line in keepfs.text("status", "audit.jsonl").splitlines()]
    assert any(a["action"] == "trigger" and a["uid"] == os.getuid() and a["pid"] > 0 and a["command"] for a in audit)
    assert keepfs.text("status", "health").split()[0] in ("OK", "WARN")
    assert "[backup full]" in keepfs.text("status", "config")
    assert keepfs.text("status", "last-error") == ""
    for name in set(os.listdir(keepfs.path("status"))) - {"health", "metrics.prom", "dashboard.html", "evidence"}:  # these hold ages, and what changes with each look
        path, copy = keepfs.path("status", name), keepfs.directory / f"copy-{name}"
        shell(f"cp {path} {copy}", "/")
        assert copy.read_bytes() == path.read_bytes(), name


def json_values(value):
    if isinstance(value, dict):
        value = list(value.values())
    if isinstance(value, list):
        return [v for item in value for v in json_values(item)]
    return [value]


@pytest.mark.parametrize("store", ["ceph"], indirect=True)
def test_secrets_are_masked(new_keepfs, pg):
    keepfs = new_keepfs({"full": {"database": pg.uri_tcp("sample")}}).mount()
    keepfs.backup()
    secret = keepfs.store_settings["secret_key"]
    for path in (one for one in keepfs.path("status").iterdir() if one.is_file()):
        text = path.read_text()
        assert "correct" not in text and secret not in text, path
    log = keepfs.text("jobs", str(keepfs.history()[0]["run"]), "log")
    assert "correct" not in log


def test_jobs_directory(keepfs):
    run = keepfs.backup()
    directory = keepfs.path("jobs", str(run["run"]))
    assert sorted(os.listdir(directory)) == ["cancel", "log", "progress", "status"]
    status = keepfs.run_status(run["run"])
    assert status["state"] == "completed"
    assert (directory / "log").read_text().count("\n") >= 1
    assert (directory / "progress").read_text().strip()
    assert str(run["run"]) in os.listdir(keepfs.path("jobs"))
