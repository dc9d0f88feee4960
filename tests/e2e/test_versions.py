# SPDX-License-Identifier: Apache-2.0
"""A bucket that keeps versions: what deleting leaves there, and who is told."""
import datetime
import uuid

import pytest

import s3client
import stores


class Versioned(stores.S3Store):
    """a bucket of its own, which keeps versions"""

    def __init__(self, server, can_lock=False):
        super().__init__(server, "prod")
        f = server.facts
        bucket = f"versions-{uuid.uuid4().hex[:12]}"
        self.client = s3client.S3Client(f["ENDPOINT"], f["REGION"], f["ACCESS_KEY"], f["SECRET_KEY"], bucket)
        self.settings["url"] = f"s3://{bucket}/prod"
        self.client.create_bucket(can_lock)
        self.client.keep_versions()

    def remains(self, word):
        """what is still stored of the objects that have this in their keys"""
        return [version for version in self.client.versions() if word in version[0]]

    def clear(self):
        for key, version, _ in self.client.versions():
            self.client.remove_version(key, version)


@pytest.fixture
def versioned(s3_servers):
    made = []

    def make(**options):
        made.append(Versioned(s3_servers("ceph"), **options))
        return made[-1]

    yield make
    for store in made:
        store.clear()


def removes_the_first_of_two(keepfs):
    keepfs.backup()
    keepfs.backup()
    first = keepfs.artifacts()[0]
    keepfs.path("backups", "full", first).unlink()
    assert first not in keepfs.artifacts()
    assert not any(first in key for key in keepfs.store.keys())
    return first.split(".")[0] + "."  # not …Z-2.dump with it


def test_versions_stay_and_are_told(new_keepfs, versioned):
    keepfs = new_keepfs(store=versioned())
    done = keepfs.run("check", check=False)
    assert "the bucket keeps versions, so what keepfs deletes is still stored" in done.stdout, done.stdout
    first = removes_the_first_of_two(keepfs.mount())
    assert any(not is_marker for _, _, is_marker in keepfs.store.remains(first))
    assert "old versions" not in keepfs.text("status", "health")


def test_versions_are_deleted_with_their_backup(new_keepfs, versioned):
    keepfs = new_keepfs(store=versioned())
    keepfs.store_settings["delete_versions"] = "yes"
    keepfs.write_conf()
    done = keepfs.run("check", check=False)
    assert "keeps versions" not in done.stdout, done.stdout
    assert keepfs.store.remains("probe") == []
    first = removes_the_first_of_two(keepfs.mount())
    assert keepfs.store.remains(first) == []
    assert "old versions" not in keepfs.text("status", "health")


def test_a_locked_version_stays_and_is_told(new_keepfs, versioned):
    keepfs = new_keepfs(store=versioned(can_lock=True))
    keepfs.store_settings["delete_versions"] = "yes"
    keepfs.write_conf()
    keepfs.mount()
    keepfs.backup()
    until = (datetime.datetime.now(datetime.timezone.utc) + datetime.timedelta(days=1)).strftime("%Y-%m-%dT%H:%M:%SZ")
    locked = {(key, version) for key, version, _ in keepfs.store.remains(".dump")}
    for key, version in locked:
        keepfs.store.client.lock(key, version, until)
    first = removes_the_first_of_two(keepfs)
    assert {(key, version) for key, version, is_marker in keepfs.store.remains(first) if not is_marker} == locked
    health = keepfs.text("status", "health")
    assert "WARN  old versions: versions of " in health and "or this version is locked" in health, health
