# SPDX-License-Identifier: Apache-2.0
"""WAL in a further store: copied in order, removed there as well, and read from there when the first store has it no more."""
import os
import subprocess

import pytest

import daemon
import stores
from test_wal_keep import JOB, days_ago, listed, names, prune, publish_base, put_segments, with_bases
from waling import SYSTEM_ID, name_of, segment


@pytest.fixture
def offsite(tmp_path):
    return stores.DirStore(tmp_path / "offsite")


@pytest.fixture
def walfs(new_keepfs, offsite):
    keepfs = new_keepfs({f"cluster {JOB}": {"wal": "archive", "keep_last": 1, "copies": "primary, offsite"}}, policy_delay="none")
    keepfs.sections = {"store offsite": {"url": offsite.settings["url"], "retry_deadline": "1s"}}
    keepfs.write_conf()
    return keepfs.mount()


def key_of(number):
    return f"wal/{JOB}/{SYSTEM_ID}/{name_of(number)}.zst"


def wal_of(store):
    return {key: store.get(key) for key in store.all_keys() if key.startswith("wal/")}


def wait_copied(keepfs, offsite):
    daemon.wait_until(lambda: wal_of(offsite) == wal_of(keepfs.store),
                      lambda: (sorted(wal_of(offsite)), sorted(wal_of(keepfs.store)), keepfs.text("status", "health")))


def test_it_is_copied_and_removed_there_too(walfs, offsite, tmp_path):
    put_segments(walfs, tmp_path, range(1, 10))
    wait_copied(walfs, offsite)
    assert len(wal_of(offsite)) == 9
    daemon.wait_until(lambda: f"WAL of {JOB} in offsite" in walfs.text("status", "health"), "health to tell of it")
    assert "all of it is there" in walfs.text("status", "health")
    publish_base(walfs.store, days_ago(3), 6, 6)
    with_bases(walfs, 1)
    prune(walfs)
    assert listed(walfs) == names(range(6, 10))
    wait_copied(walfs, offsite)
    put_segments(walfs, tmp_path, [10])
    wait_copied(walfs, offsite)


def test_what_the_first_store_lost_is_read_from_the_other(walfs, offsite, tmp_path):
    put_segments(walfs, tmp_path, range(1, 4))
    wait_copied(walfs, offsite)
    walfs.unmount()
    walfs.store.remove(key_of(1))
    damaged = bytearray(walfs.store.get(key_of(2)))
    damaged[len(damaged) // 2] ^= 1
    walfs.store.put(key_of(2), bytes(damaged))
    walfs.mount()
    for number in (1, 2, 3):
        assert walfs.path("wal", JOB, name_of(number)).read_bytes() == segment(number)
    # And where there is no mount.
    walfs.run("wal-get", JOB, name_of(1), str(tmp_path / "got"))
    assert (tmp_path / "got").read_bytes() == segment(1)
    walfs.run("wal-get", JOB, name_of(2), str(tmp_path / "got"))
    assert (tmp_path / "got").read_bytes() == segment(2)
    assert walfs.run("wal-get", JOB, name_of(9), str(tmp_path / "got"), check=False).returncode == 1


def test_a_store_that_was_away_gets_what_it_missed(walfs, offsite, tmp_path):
    put_segments(walfs, tmp_path, [1])
    wait_copied(walfs, offsite)
    walfs.unmount()
    os.rename(tmp_path / "offsite", tmp_path / "away")
    (tmp_path / "offsite").write_text("no directory")
    walfs.mount()
    put_segments(walfs, tmp_path, [2, 3])
    daemon.wait_until(lambda: "2 files of" in walfs.text("status", "health"), lambda: walfs.text("status", "health"))
    waiting = f'keepfs_wal_copy_waiting_files{{backup_job="{JOB}",store="offsite"}} '
    assert waiting + "2\n" in walfs.text("status", "metrics.prom")
    (tmp_path / "offsite").unlink()
    os.rename(tmp_path / "away", tmp_path / "offsite")
    wait_copied(walfs, offsite)
    daemon.wait_until(lambda: waiting + "0\n" in walfs.text("status", "metrics.prom"), lambda: walfs.text("status", "metrics.prom"))


def test_the_first_store_is_lost(walfs, offsite, tmp_path):
    put_segments(walfs, tmp_path, range(1, 5))
    wait_copied(walfs, offsite)
    walfs.unmount()
    walfs.store.clear()
    for file in walfs.state.glob("catalog.db*"):
        file.unlink()
    walfs.store_settings["url"] = offsite.settings["url"]
    walfs.jobs[f"cluster {JOB}"].pop("copies")
    walfs.sections = {}
    walfs.write_conf()
    walfs.run("rebuild")
    walfs.mount()
    assert listed(walfs) == names(range(1, 5))
    for number in range(1, 5):
        assert walfs.path("wal", JOB, name_of(number)).read_bytes() == segment(number)


def test_a_catalog_that_is_made_anew_copies_nothing_twice(walfs, offsite, tmp_path):
    put_segments(walfs, tmp_path, range(1, 5))
    wait_copied(walfs, offsite)
    walfs.unmount()
    before = {key: os.stat(offsite.root / key).st_mtime_ns for key in wal_of(offsite)}
    for file in walfs.state.glob("catalog.db*"):
        file.unlink()
    walfs.run("rebuild")
    walfs.mount()
    put_segments(walfs, tmp_path, [5])
    wait_copied(walfs, offsite)
    assert {key: os.stat(offsite.root / key).st_mtime_ns for key in before} == before
