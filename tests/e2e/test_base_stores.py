# SPDX-License-Identifier: Apache-2.0
"""Base backups in a bucket: encrypted, with a further store, and with object lock. Made, shown, verified, brought back, removed."""
import errno
import os
import stat

import pytest

import stores
import test_encrypt
from daemon import wait_until
from test_base import JOB, make_cluster, open_place  # noqa: F401 fixtures
from test_base_tree import newest, tree_of, verify, with_settings
from test_mirror_copies import rows
from test_mirror_locks import locks, until
from test_object_lock import locked, midnight_after  # noqa: F401 a fixture
from test_pitr import History, numbers_after, restore, Restored, target_of


def packs(store):
    """the directories of packs: one for each base"""
    return sorted({"/".join(key.split("/")[:3]) for key in store.keys() if key.startswith("packs/")})


def numbers_of_copy(keepfs, to, name):
    """what comes back of a base that is read from the further store alone"""
    restore(keepfs, to, word=f"copies/offsite/{JOB}/{name}")
    server = Restored(to)
    try:
        return server.wait_until_promoted().numbers()
    finally:
        server.remove()


def removed(base):
    try:
        base.rmdir()
    except OSError as why:
        return why.errno
    return None


@pytest.mark.parametrize("store", ["ceph"], indirect=True)
def test_encrypted_in_a_bucket_and_copied(make_cluster, store, tmp_path, open_place):  # noqa: F811
    identity, offsite = test_encrypt.Identity(tmp_path / "identity"), stores.DirStore(tmp_path / "offsite")
    cluster = make_cluster()
    cluster.keepfs.jobs[f"cluster {JOB}"].update(copies="primary, offsite", min_keep=1, incremental="off")
    keepfs = with_settings(cluster, {"store offsite": {"url": offsite.settings["url"], "retry_deadline": "1s"}},
                           encrypt_to=identity.recipient, identity_file=identity.path, dir_mode="0755")
    h = History(cluster)
    h.add(1)
    cluster.backup()
    h.add(2)
    h.archive()
    base = newest(cluster)
    first = packs(store)
    assert all(key.endswith((".age", ".json")) for key in store.keys() if key.startswith("packs/")), store.keys()
    cluster.server.tool("pg_verifybackup", "-n", base)
    assert f"{base.name} is right: level 1" in verify(keepfs, f"{JOB}/{base.name}")
    assert numbers_after(keepfs, target_of(open_place)) == [1, 2]
    wait_until(lambda: packs(offsite) == first and rows(keepfs).get(f"backups/{JOB}/{base.name}", {}).get("state") == "whole", lambda: rows(keepfs))
    there = keepfs.path("copies", "offsite", "backups", JOB, base.name)
    assert tree_of(there) == tree_of(base) and stat.S_IMODE(there.stat().st_mode) == 0o700
    # What is removed takes its own packs with it, and the other store keeps its copy.
    cluster.backup()
    other = newest(cluster)
    assert len(packs(store)) == 2
    assert removed(base) is None
    wait_until(lambda: packs(store) and first[0] not in packs(store), lambda: packs(store))
    assert stat.S_IMODE(there.stat().st_mode) == 0o700, "nobody else may look into it"
    assert f"{other.name} is right: level 1" in verify(keepfs, f"{JOB}/{other.name}")
    assert numbers_after(keepfs, target_of(open_place)) == [1, 2]
    assert numbers_of_copy(keepfs, target_of(open_place, "of-copy"), base.name) == [1, 2]


@pytest.mark.usefixtures("one_day")
class TestLocked:
    @pytest.fixture
    def store(self, locked):  # noqa: F811
        return locked()

    def test_a_base_and_all_that_it_needs_is_locked(self, make_cluster, store, open_place):  # noqa: F811
        cluster = make_cluster(keep_daily=9, keep_within="none", timezone="UTC", incremental="off")
        cluster.keepfs.store_settings.update(object_lock="governance")
        keepfs = with_settings(cluster)
        h = History(cluster)
        h.add(1)
        cluster.backup()
        h.add(2)
        h.archive()
        base, (pack,) = newest(cluster), packs(store)
        path = f"backups/{JOB}/{base.name}"
        wait_until(lambda: until(store, path) == until(store, pack) == midnight_after(9), lambda: (locks(store, path), locks(store, pack)))
        assert all(store.cannot_delete(key, version) for key, version in store.versions() if "/packs/" in key)
        assert os.getxattr(base, "user.keepfs.locked_until").decode()[:19] == midnight_after(9)
        assert removed(base) == errno.EPERM
        # One that is kept for longer has packs of its own, and does not change those of the first.
        cluster.backup(f"{JOB} keep=20d")
        (second,) = set(packs(store)) - {pack}
        wait_until(lambda: until(store, second) > midnight_after(19), lambda: locks(store, second))
        assert until(store, pack) == midnight_after(9)
        # A catalog that is made anew knows them, and what it has comes back.
        before = locks(store, pack)
        keepfs = with_settings(cluster, rebuilt=True)
        assert locks(store, pack) == before and removed(keepfs.path(*path.split("/"))) == errno.EPERM
        assert numbers_after(keepfs, target_of(open_place), "base=" + base.name) == [1, 2]
