# SPDX-License-Identifier: Apache-2.0
"""rm: deletes one artifact from the store and the listing; never the last good one; always audited."""
import errno
import json
import os
import signal
import subprocess
import time

import pytest

import handmade


@pytest.fixture
def three(keepfs):
    for _ in range(3):
        keepfs.backup()
    assert len(keepfs.artifacts()) == 3
    return keepfs


def audit(keepfs, action):
    lines = [json.loads(line) for line in keepfs.text("status", "audit.jsonl").splitlines()]
    return [a for a in lines if a["action"] == action]


@pytest.mark.parametrize("store", ["dir", "ceph", "swift"], indirect=True)
def test_an_old_one_goes(three):
    oldest, *others = three.artifacts()
    path = three.path("backups", "full", oldest)
    assert path.stat().st_size > 0
    subprocess.run(["rm", str(path)], check=True, stdin=subprocess.DEVNULL)
    assert not path.exists()
    assert three.artifacts() == others
    assert oldest not in three.text("backups", "full", "SHA256SUMS")
    assert [key for key in three.store.keys() if oldest in key] == []
    (entry,) = audit(three, "remove")
    assert entry["uid"] == os.getuid() and entry["pid"] > 0 and entry["command"] == "rm"
    assert oldest in entry["object"] and entry["result"] == "ok"
    three.remount()
    assert three.artifacts() == others


def test_the_last_good_one_stays(three):
    *old, last = three.artifacts()
    for name in old:
        os.unlink(three.path("backups", "full", name))
    with pytest.raises(OSError) as caught:
        os.unlink(three.path("backups", "full", last))
    assert caught.value.errno == errno.EPERM
    assert three.artifacts() == [last]
    why = three.text("status", "last-error").splitlines()[0]
    assert last in why and "EPERM" in why and "last" in why and why.count(f"backups/full/{last}") == 1
    assert any(a["result"] == "denied" and last in a["object"] for a in audit(three, "remove"))
    assert three.path("backups", "full", last).read_bytes()[:5] == b"PGDMP"


def test_a_failed_run_does_not_count_as_a_good_one(new_keepfs, own_pg):
    keepfs = new_keepfs({"full": {"database": own_pg.uri("sample")}}).mount()
    keepfs.backup()
    own_pg.stop()
    assert keepfs.wait_run(keepfs.trigger())["state"] == "failed"
    with pytest.raises(PermissionError):
        os.unlink(keepfs.path("backups", "full", keepfs.artifacts()[0]))


@pytest.mark.parametrize("path", ["backups/full/SHA256SUMS", "status/health", "jobs/1/status"])
def test_what_keepfs_makes_stays(three, path):
    for _ in range(2):
        with pytest.raises(PermissionError):
            os.unlink(three.path(path))
    (why,) = three.text("status", "last-error").splitlines()
    assert f" EPERM {path}: " in why and why.endswith(" (2 times)")


def test_rm_r_leaves_the_last_of_each(three):
    done = subprocess.run(["rm", "-rf", str(three.path("backups", "full"))], stderr=subprocess.PIPE, text=True)
    assert done.returncode != 0 and "not permitted" in done.stderr
    assert len(three.artifacts()) >= 1


def test_a_file_that_is_open_stays_removed(three):
    """the listing is right at once; whoever still reads gets bytes or an error, nothing else"""
    path = three.path("backups", "full", three.artifacts()[0])
    whole = path.read_bytes()
    with open(path, "rb") as f:
        start = f.read(10)
        os.unlink(path)
        assert not path.exists()
        try:
            rest = f.read()
        except OSError as error:
            assert error.errno in (errno.EIO, errno.ENOENT, errno.ESTALE)
        else:
            assert start + rest == whole


def test_a_store_that_does_not_answer_keeps_the_deletion_in_mind(new_keepfs):
    keepfs = new_keepfs().mount()
    keepfs.backup()
    keepfs.backup()
    keepfs.unmount()
    keepfs.store_settings["faults"] = "remove:1+:eio"
    keepfs.write_conf()
    keepfs.mount()
    oldest = keepfs.artifacts()[0]
    with pytest.raises(OSError) as caught:
        os.unlink(keepfs.path("backups", "full", oldest))
    assert caught.value.errno == errno.EIO
    assert oldest in keepfs.text("status", "last-error")
    keepfs.unmount()
    del keepfs.store_settings["faults"]
    keepfs.write_conf()
    keepfs.mount()
    # Either it was never begun, or the start finished it: the listing and the store agree (orphans are looked for at the end).
    in_store = any(oldest in key for key in keepfs.store.keys())
    assert (oldest in keepfs.artifacts()) == in_store


def many_rm(new_keepfs, store):
    """(keepfs, the last name, 12 processes that remove 95 others at once)"""
    names = [f"202511{day:02}T{hour:02}0000Z" for day in range(1, 5) for hour in range(24)]
    for run, name in enumerate(names, 1):
        handmade.publish(store, f"backups/full/{name}.dump", b"PGDMP", {f"{name}.tables.csv": b"schema,table,rows\n"}, run=run)
    keepfs = new_keepfs()
    keepfs.run("rebuild")
    keepfs.mount()
    directory = keepfs.path("backups", "full")
    for name in os.listdir(directory):
        os.stat(directory / name)
    rms = [subprocess.Popen(["rm", *(str(directory / f"{name}.dump") for name in names[at:-1:12])], stdin=subprocess.DEVNULL,
                            stderr=subprocess.DEVNULL) for at in range(12)]
    return keepfs, names[-1], rms


def test_many_rm_at_once(new_keepfs, store):
    """each waits for its directory, and so does forgetting what lay beside those that went before"""
    keepfs, last, rms = many_rm(new_keepfs, store)
    try:
        assert [rm.wait(60) for rm in rms] == [0] * len(rms)
    finally:
        for rm in rms:
            rm.kill()
    assert keepfs.artifacts() == [f"{last}.dump"]


@pytest.mark.parametrize("after_s", [0, 0.05, 0.1, 0.2])
def test_the_end_does_not_wait_for_rm(new_keepfs, store, after_s):
    """an rm that the daemon does not read any more keeps its directory locked: nothing may wait for that"""
    keepfs, _, rms = many_rm(new_keepfs, store)
    time.sleep(after_s)
    try:
        keepfs.signal(signal.SIGTERM)
        for rm in rms:
            rm.wait(60)
    finally:
        for rm in rms:
            rm.kill()
