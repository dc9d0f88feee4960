# SPDX-License-Identifier: Apache-2.0
"""A bucket that keeps versions: what deleting leaves there, and who is told."""
import datetime
import uuid

import pytest

import handmade
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


@pytest.mark.parametrize("deletes", ["no", "yes"])
def test_retention_and_the_trash(new_keepfs, versioned, pg, deletes):
    """what is removed is listed nowhere; its old versions are there, and told of, unless they are to be deleted"""
    store = versioned()
    newest = datetime.datetime.now(datetime.timezone.utc).replace(microsecond=0)
    names = [f"{newest - datetime.timedelta(days=days):%Y%m%dT%H%M%SZ}.dump" for days in (4, 3, 2, 1)]
    for run, name in enumerate(names, 1):
        handmade.publish(store, f"backups/full/{name}", b"PGDMP", run=run)
    keepfs = new_keepfs({"full": {"database": pg.uri("sample"), "keep_last": 3, "keep_within": "1m", "timezone": "UTC"}}, store=store,
                        policy_delay="none", trash="3d")
    keepfs.store_settings["delete_versions"] = deletes
    keepfs.write_conf()
    keepfs.run("rebuild")
    keepfs.mount()

    def remains(name):
        return [key for key, _, is_marker in store.remains(f"/{name}") if not is_marker]

    # By the rules into the trash, and back; by rm, and over.
    keepfs.backup()
    assert [name for name in names if name in keepfs.artifacts()] == names[2:]
    keepfs.ask("undelete", f"backups/full/{names[1]}")
    assert keepfs.path("backups", "full", names[1]).read_bytes() == b"PGDMP"
    keepfs.path("backups", "full", names[1]).unlink()
    assert names[1] not in keepfs.artifacts() and f"trash/backups/full/{names[1]}.json" in store.keys()
    keepfs.unmount()
    keepfs.end_trash()
    keepfs.mount()
    # Without a trash, at once.
    keepfs.unmount()
    keepfs.settings["trash"] = "none"
    keepfs.write_conf()
    keepfs.mount()
    keepfs.path("backups", "full", names[2]).unlink()
    for name in names[:3]:
        assert not [key for key in store.keys() if name in key], name
        assert (sorted(set(remains(name))) != []) == (deletes == "no"), remains(name)
    assert remains(names[3]) and names[3] in keepfs.artifacts()
    # A catalog that is made anew sees no more than is listed.
    listed = keepfs.artifacts()
    keepfs.unmount()
    (keepfs.state / "catalog.db").unlink()
    keepfs.run("rebuild")
    keepfs.mount()
    assert keepfs.artifacts() == listed
    done = keepfs.run("check", check=False)
    assert ("have a lifecycle rule expire noncurrent versions" in done.stdout) == (deletes == "no"), done.stdout
    assert "old versions" not in keepfs.text("status", "health")
