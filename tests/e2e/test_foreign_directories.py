# SPDX-License-Identifier: Apache-2.0
"""A dir: store on a file system that lacks what the others have: backups are made, and what is weaker there is told."""
import hashlib
import pathlib
import shutil
import subprocess

import pytest

import daemon
import stores
from failing import fails, noisy

FOREIGN = pathlib.Path(daemon.PROGRAM).parents[1] / "tests/support/libforeign.so"


def without(keepfs, lacks):
    """everything that this keepfs starts finds a file system below the store's directory that lacks these"""
    keepfs.env.update(LD_PRELOAD=str(FOREIGN), KEEPFS_TEST_FOREIGN=lacks, KEEPFS_TEST_FOREIGN_ROOT=str(keepfs.store.root))
    keepfs.env["ASAN_OPTIONS"] = keepfs.env.get("ASAN_OPTIONS", "") + ":verify_asan_link_order=0"


def backs_up_and_removes(keepfs):
    history = keepfs.backup()
    latest = keepfs.path("backups", "full", "latest.dump")
    assert hashlib.sha256(latest.read_bytes()).hexdigest() == history["sha256"]
    keepfs.backup()
    first = keepfs.artifacts()[0]
    keepfs.path("backups", "full", first).unlink()
    assert first not in keepfs.artifacts()
    assert not any(first in key for key in keepfs.store.keys())


@pytest.mark.parametrize("lacks, told", [
    ("links", "it never replaces what is there"),
    ("links,noreplace,dirsync,sync,locks,inodes", "directories cannot be synced: after a power failure"),
])
def test_what_a_file_system_lacks_is_replaced_or_told(new_keepfs, lacks, told):
    keepfs = new_keepfs()
    without(keepfs, lacks)
    done = keepfs.run("check", check=False)
    assert told in done.stdout, done.stdout
    assert ("weaker in this place" in done.stdout) == ("dirsync" in lacks)
    backs_up_and_removes(keepfs.mount())


def test_a_file_system_that_syncs_nothing_is_refused(new_keepfs):
    keepfs = new_keepfs()
    without(keepfs, "filesync")
    done = keepfs.run("check", check=False)
    assert done.returncode != 0
    assert "refuses what a store needs (Invalid argument)" in done.stdout, done.stdout


@pytest.fixture
def rclone(tmp_path):
    """a directory that rclone shows, of what lies in another one"""
    if not shutil.which("rclone"):
        pytest.skip("rclone is not installed")
    started = []

    def mount(*options):
        where, remote = tmp_path / "rclone", tmp_path / "remote"
        where.mkdir()
        remote.mkdir()
        env = {**daemon.clean_environment(), "HOME": str(tmp_path)}
        process = subprocess.Popen(["rclone", "mount", remote, where, "--cache-dir", tmp_path / "rclone-cache", *options], env=env,
                                   stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        started.append((process, where))
        daemon.wait_until(lambda: daemon.is_mounted(where) or process.poll() is not None, "rclone mounts")
        assert process.poll() is None
        return where

    yield mount
    for process, where in started:
        subprocess.run(["fusermount3", "-uz", where], check=False)
        process.terminate()
        process.wait()


def test_a_directory_that_rclone_shows(new_keepfs, rclone):
    keepfs = new_keepfs(store=stores.DirStore(rclone("--vfs-cache-mode", "full") / "objects"))
    done = keepfs.run("check", check=False)
    assert "rclone sends what is written to its remote later" in done.stdout, done.stdout
    backs_up_and_removes(keepfs.mount())


def test_rclone_without_a_cache_takes_no_large_backup(new_keepfs, pg, noise, rclone):
    """the first bytes of an archive are written last, which it cannot do; keepfs says what is missing"""
    keepfs = noisy(new_keepfs, pg, noise, store=stores.DirStore(rclone() / "objects")).mount()
    error = fails(keepfs, "refuses what a store needs", "--vfs-cache-mode full")
    assert "add a part to" in error
    assert keepfs.artifacts("big") == []
