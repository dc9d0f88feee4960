# SPDX-License-Identifier: Apache-2.0
"""Who read what, the SHA-256 of what is read whole, and the disk cache."""
import errno
import json
import os
import signal
import sqlite3
import subprocess

import pytest

import daemon
from exposition import Metrics


def latest(keepfs):
    return keepfs.path("backups", "full", os.readlink(keepfs.path("backups", "full", "latest.dump")))


def reads(keepfs):
    """the audit's, newest first; they are written after the close"""
    return [e for e in map(json.loads, keepfs.text("status", "audit.jsonl").splitlines()) if e["action"] == "read"]


def metrics(keepfs):
    return Metrics(keepfs.path("status", "metrics.prom").read_bytes().decode())


def edit_catalog(keepfs, statement, *values):
    """while no daemon runs"""
    catalog = sqlite3.connect(keepfs.state / "catalog.db")
    with catalog:
        assert catalog.execute(statement, values).rowcount == 1
    catalog.close()


def test_the_audit_tells_who_read_what(keepfs):
    keepfs.backup()
    path = latest(keepfs)
    size = path.stat().st_size
    reader = subprocess.Popen(["cat", path], stdout=subprocess.DEVNULL)
    assert reader.wait() == 0
    daemon.wait_until(lambda: reads(keepfs), "the audit")
    (entry,) = reads(keepfs)
    assert (entry["command"], entry["uid"], entry["pid"]) == ("cat", os.getuid(), reader.pid)
    assert entry["object"] == f"backups/full/{path.name}" and entry["result"] == "ok"
    assert entry["detail"].startswith(f"{size} of {size} bytes in ")
    # What the kernel has is read without us; that it was opened is known all the same.
    subprocess.run(["head", "-c10", path], stdout=subprocess.DEVNULL, check=True)
    daemon.wait_until(lambda: len(reads(keepfs)) == 2, "the audit")
    assert reads(keepfs)[0]["command"] == "head" and "kernel's cache" in reads(keepfs)[0]["detail"]
    # To look is not to read.
    subprocess.run(["ls", "-lR", keepfs.path("backups")], stdout=subprocess.DEVNULL, check=True)
    assert len(reads(keepfs)) == 2


@pytest.mark.parametrize("sha256, compared", [("auto", True), ("always", True), ("never", False)])
def test_a_whole_read_is_compared(new_keepfs, sha256, compared):
    keepfs = new_keepfs().mount()
    keepfs.backup()
    name = latest(keepfs).name
    whole = latest(keepfs).read_bytes()
    keepfs.unmount()
    # Long ago: then auto does it, too.
    edit_catalog(keepfs, "UPDATE artifact SET verified_at_us = 1000000 WHERE name = ?", name)
    keepfs.read_settings["sha256"] = sha256
    keepfs.write_conf()
    keepfs.mount()
    assert latest(keepfs).read_bytes() == whole
    daemon.wait_until(lambda: len(reads(keepfs)) == 2, "the audit")
    assert ("SHA-256 of the whole is right" in reads(keepfs)[0]["detail"]) == compared
    assert (os.getxattr(latest(keepfs), "user.keepfs.verified_at") > b"2020") == compared
    assert metrics(keepfs).get("keepfs_read_whole_files_total") == compared
    if sha256 == "auto":
        # And then not again.
        keepfs.remount()
        assert latest(keepfs).read_bytes() == whole
        assert metrics(keepfs).get("keepfs_read_whole_files_total") == 0


def test_a_whole_that_is_wrong(new_keepfs):
    """each piece is what the manifest says, and the whole is not: nobody gets all of it"""
    keepfs = new_keepfs().mount()
    keepfs.backup()
    name = latest(keepfs).name
    whole = latest(keepfs).read_bytes()
    keepfs.unmount()
    edit_catalog(keepfs, "UPDATE artifact SET sha256 = ? WHERE name = ?", "5" * 64, name)
    keepfs.read_settings["sha256"] = "always"
    keepfs.write_conf()
    keepfs.mount()
    copy = keepfs.directory / "copy"
    done = subprocess.run(["cp", latest(keepfs), copy], stderr=subprocess.PIPE, text=True, check=False)
    assert done.returncode != 0 and os.strerror(errno.EIO) in done.stderr
    assert copy.stat().st_size < len(whole)
    assert "SHA-256" in keepfs.text("status", "last-error")
    assert keepfs.text("status", "health").startswith("CRIT")
    assert os.getxattr(latest(keepfs), "user.keepfs.state") == b"damaged"


@pytest.fixture
def cached(new_keepfs, tmp_path):
    keepfs = new_keepfs()
    keepfs.read_settings["cache_dir"] = tmp_path / "cache"
    keepfs.write_conf()
    keepfs.mount()
    keepfs.backup()
    return keepfs


def gets(keepfs):
    return metrics(keepfs).get("keepfs_store_calls_total", call="get")


def wait_cached(keepfs, whole):
    daemon.wait_until(lambda: metrics(keepfs).get("keepfs_cache_written_bytes_total") == len(whole), "all to be in the cache")


@pytest.mark.parametrize("end", ["umount", "kill"])
def test_what_was_read_is_not_fetched_again(cached, end):
    whole = latest(cached).read_bytes()
    wait_cached(cached, whole)
    if end == "kill":
        cached.kill()
        cached.mount()
    else:
        cached.remount()
    before = gets(cached)
    assert latest(cached).read_bytes() == whole
    assert gets(cached) == before
    told = metrics(cached)
    assert told.get("keepfs_cache_read_bytes_total") == len(whole)
    # Nobody has looked at the store: nothing is verified by it.
    assert told.get("keepfs_read_fetched_bytes_total") == 0


def test_a_cache_that_is_wrong_is_not_believed(cached, tmp_path):
    whole = latest(cached).read_bytes()
    wait_cached(cached, whole)
    cached.unmount()
    data = tmp_path / "cache" / "keepfs-cache.data"
    with open(data, "r+b") as f:
        spoilt = bytes(byte ^ 0x5a for byte in f.read())
        f.seek(0)
        f.write(spoilt)
    cached.mount()
    before = gets(cached)
    assert latest(cached).read_bytes() == whole
    # A get is counted when it has ended, which is after its last byte was read here.
    daemon.wait_until(lambda: gets(cached) > before, "what is wrong to be fetched")
    assert metrics(cached).get("keepfs_cache_wrong_total") > 0
    assert cached.text("status", "last-error") == ""
    wait_cached(cached, whole)
    cached.remount()
    before = gets(cached)
    assert latest(cached).read_bytes() == whole
    assert gets(cached) == before


def test_a_removed_backup_leaves_the_cache(cached, tmp_path):
    first = latest(cached)
    first.read_bytes()
    cached.backup()
    os.unlink(first)
    daemon.wait_until(lambda: metrics(cached).get("keepfs_cache_used_bytes") == 0, "the cache to be empty")
    cached.unmount()
    assert not any((tmp_path / "cache" / "keepfs-cache.data").read_bytes())


def test_without_its_cache_it_goes_on(cached, tmp_path):
    """a cache is no reason for a missing backup"""
    whole = latest(cached).read_bytes()
    cached.unmount()
    (tmp_path / "cache").rename(tmp_path / "elsewhere")
    (tmp_path / "cache").write_text("no directory")
    assert "there is no disk cache" in cached.run("mount").stderr
    assert latest(cached).read_bytes() == whole
    cached.backup()
    cached.signal(signal.SIGTERM)
    (tmp_path / "cache").unlink()
