# SPDX-License-Identifier: Apache-2.0
"""A bucket that lets nothing be deleted: nothing is hidden that is there, all are told, and it ends when the right is back."""
import datetime
import errno
import hashlib
import json
import os

import pytest

import handmade
import stores
from daemon import wait_until


class Guarded(stores.OwnBucket):
    """a bucket of its own, whose policy can forbid to delete"""

    def __init__(self, server):
        super().__init__(server, "guarded")

    def forbid(self, *below):
        """to delete what lies below these prefixes"""
        self.client.set_policy({"Version": "2012-10-17", "Statement": [
            {"Effect": "Deny", "Principal": "*", "Action": ["s3:DeleteObject", "s3:DeleteObjectVersion"],
             "Resource": [f"arn:aws:s3:::{self.bucket}/prod/{prefix}*" for prefix in below]}]})

    def allow(self):
        self.client.remove_policy()

    def clear(self):
        self.allow()
        super().clear()


@pytest.fixture
def guarded(s3_servers):
    store = Guarded(s3_servers("ceph"))
    yield store
    store.clear()


def removals(keepfs, result):
    lines = [json.loads(line) for line in keepfs.text("status", "audit.jsonl").splitlines()]
    return [a["object"] for a in lines if a["action"] == "remove" and a["result"] == result]


def are_whole(keepfs, names):
    """read through the mount, and compared with what the manifests say"""
    sums = dict(reversed(line.split()) for line in keepfs.text("backups", "full", "SHA256SUMS").splitlines())
    for name in names:
        assert hashlib.sha256(keepfs.path("backups", "full", name).read_bytes()).hexdigest() == sums[name]
    return True


def kept_one(new_keepfs, pg, store, old, **settings):
    """with @old backups of the last days, of which the next run lets go"""
    newest = datetime.datetime.now(datetime.timezone.utc).replace(microsecond=0)
    for run in range(1, old + 1):
        name = f"{newest - datetime.timedelta(days=old + 1 - run):%Y%m%dT%H%M%SZ}.dump"
        handmade.publish(store, f"backups/full/{name}", b"PGDMP", run=run)
    keepfs = new_keepfs({"full": {"database": pg.uri("sample"), "keep_last": 1, "keep_within": "1m", "timezone": "UTC"}}, store=store,
                        policy_delay="none", **settings)
    keepfs.run("rebuild")
    return keepfs


def test_nothing_is_hidden_and_it_ends_when_the_right_is_back(new_keepfs, pg, guarded, tmp_path):
    told = tmp_path / "told"
    keepfs = kept_one(new_keepfs, pg, guarded, 2)
    keepfs.sections["command log"] = {"command": f"cat >> {told}", "events": "all", "gather": "none"}
    keepfs.write_conf()
    keepfs.mount()
    guarded.forbid("")
    run = keepfs.backup()  # which no refusal fails
    assert "retention: 2 could not be removed: " in keepfs.text("jobs", str(run["run"]), "log")
    names = keepfs.artifacts()
    assert len(names) == 3 and are_whole(keepfs, names)
    health = keepfs.text("status", "health")
    assert "WARN  retention backups/full: 2 old backups could not be removed: " in health, health
    assert "the store does not let " in health and "AccessDenied" in health and "s3:DeleteObject" in health
    assert "deletion" not in keepfs.text("status", "health").replace("deletions", "")
    with pytest.raises(PermissionError) as caught:
        os.unlink(keepfs.path("backups", "full", names[0]))
    assert caught.value.errno == errno.EACCES
    assert "so it is still listed" in keepfs.text("status", "last-error").splitlines()[0]
    assert keepfs.artifacts() == names and are_whole(keepfs, names)
    assert not removals(keepfs, "ok") and len(removals(keepfs, "failed")) == 3
    wait_until(lambda: told.exists() and "could not be removed" in told.read_text(), "the notice")
    keepfs.remount()
    assert keepfs.artifacts() == names
    # The right is given back: the next run ends it.
    guarded.allow()
    keepfs.backup()  # of this minute: the last one stays beside it
    assert keepfs.artifacts()[0] == names[2] and len(keepfs.artifacts()) == 2
    assert sorted(removals(keepfs, "ok")) == [f"backups/full/{name}" for name in names[:2]]
    assert "could not be removed" not in keepfs.text("status", "health")
    assert not [key for key in guarded.keys() if any(name.split(".")[0] + "." in key for name in names[:2])]


def test_what_is_half_gone_is_told_until_it_is(new_keepfs, pg, guarded):
    """the manifest may be deleted, the objects may not: a backup it is no more, and the rest is tried again"""
    keepfs = kept_one(new_keepfs, pg, guarded, 1).mount()
    guarded.forbid("backups/")
    keepfs.backup()
    assert len(keepfs.artifacts()) == 1
    assert "WARN  deletion: backups/full/" in keepfs.text("status", "health")
    guarded.allow()
    keepfs.remount()  # as within the hour
    assert "deletion: " not in keepfs.text("status", "health")
    assert len(removals(keepfs, "ok")) == 1


def test_the_trash_is_told_of_too(new_keepfs, pg, guarded):
    """what is in the trash stays there, and can be brought back, until it may be deleted"""
    keepfs = kept_one(new_keepfs, pg, guarded, 1, trash="3d").mount()
    guarded.forbid("manifests/", "backups/")
    keepfs.backup()
    assert len(keepfs.artifacts()) == 1
    keepfs.unmount()
    keepfs.end_trash()
    keepfs.mount()
    assert "WARN  deletion: backups/full/" in keepfs.text("status", "health")
    assert len(keepfs.artifacts()) == 1 and len([key for key in guarded.keys() if key.startswith("trash/")]) == 1
    guarded.allow()
    keepfs.remount()
    assert "deletion: " not in keepfs.text("status", "health")
    assert not [key for key in guarded.keys() if key.startswith("trash/")] and len(removals(keepfs, "ok")) == 1
