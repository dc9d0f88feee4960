# SPDX-License-Identifier: Apache-2.0
"""Copies of backups in further stores: made after the backup, never in its way, read when the first store fails, kept by rules of their own. A13 B11 C6"""
import datetime
import hashlib
import json
import os
import shutil
import signal
import subprocess
import uuid

import pytest

import exposition
import s3client
import stores
from daemon import wait_until

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="needs root to mount a tmpfs")
XATTR = "user.keepfs.copies"
NEVER = {"keep_last": 1, "keep_within": "none"}


class OtherBucket:
    """on a real server, with keepfs's prefix, looked into without keepfs"""

    def __init__(self, server, prefix="copies"):
        f = server.facts
        self.name, self.prefix, self.facts = f"second-{uuid.uuid4().hex[:12]}", prefix, f
        self.client = s3client.S3Client(f["ENDPOINT"], f["REGION"], f["ACCESS_KEY"], f["SECRET_KEY"], self.name)
        self.client.create_bucket()

    def section(self, **further):
        f = self.facts
        return {"url": f"s3://{self.name}/{self.prefix}", "endpoint": f["ENDPOINT"], "region": f["REGION"], "access_key": f["ACCESS_KEY"],
                "secret_key": f["SECRET_KEY"], "allow_http": "yes", "retry_deadline": "2s", "connect_timeout": "1s", **further}

    def keys(self):
        return sorted(key.removeprefix(self.prefix + "/") for key in self.client.keys(""))

    def get(self, key):
        return self.client.get(f"{self.prefix}/{key}")

    def uploads(self):
        return self.client.uploads("")

    def clear(self):
        for key in self.client.keys(""):
            self.client.remove(key)
        self.client.request("DELETE")


class OtherDirectory(stores.DirStore):
    def section(self, **further):
        return {"url": self.settings["url"], "retry_deadline": "1s", **further}


@pytest.fixture
def offsite(tmp_path):
    return OtherDirectory(tmp_path / "offsite")


@pytest.fixture
def bucket(s3_servers):
    created = []

    def make(kind):
        created.append(OtherBucket(s3_servers(kind)))
        return created[-1]

    yield make
    for one in created:
        one.clear()


@pytest.fixture
def with_copies(new_keepfs, pg):
    """a keepfs whose job full has a copy of everything in [store offsite]; @settings: of that section, beside where it is"""

    def make(other, database="sample", **settings):
        keepfs = new_keepfs({"full": {"database": pg.uri(database), "copies": "primary, offsite"}})
        keepfs.sections = {"store offsite": other.section(**settings)}
        keepfs.write_conf()
        return keepfs

    return make


def configure(keepfs, other, **settings):
    keepfs.sections = {"store offsite": other.section(**settings)}
    keepfs.write_conf()


def reload(keepfs, other, **settings):
    configure(keepfs, other, **settings)
    keepfs.signal(signal.SIGHUP, wait=False)


def copies_of(keepfs, name):
    """empty: no further store has, or is to have it"""
    path = keepfs.path("backups", "full", name)
    return os.getxattr(path, XATTR).decode() if XATTR in os.listxattr(path) else ""


def wait_whole(keepfs, name):
    wait_until(lambda: copies_of(keepfs, name) == "primary:whole, offsite:whole", lambda: keepfs.text("status", "replicas"))


def listed(keepfs):
    return {(one["path"].split("/")[-1], one["store"]): one
            for one in map(json.loads, keepfs.run("replicate", "--list", "--json").stdout.splitlines())}


def backup_keys(store):
    return [key for key in store.keys() if key.startswith(("backups/", "manifests/"))]


def assert_same(store, other):
    assert backup_keys(store) == backup_keys(other)
    for key in backup_keys(other):
        assert store.get(key) == other.get(key), key


def health_of(keepfs, word):
    return "".join(line + "\n" for line in keepfs.text("status", "health").splitlines() if word in line)


def sha256(path):
    return hashlib.sha256(path.read_bytes()).hexdigest()


def change(store, key, at=100):
    data = bytearray(store.get(key))
    data[at] ^= 0x40
    store.put(key, bytes(data))


def test_the_same_in_both(with_copies, store, offsite):
    """the same keys and bytes, told everywhere; another backup follows by itself, and so does what was there before"""
    keepfs = with_copies(offsite)
    keepfs.jobs["full"].pop("copies")
    keepfs.write_conf()
    keepfs.mount()
    first = keepfs.run_artifact(keepfs.backup()["run"])
    assert copies_of(keepfs, first) == ""
    keepfs.jobs["full"]["copies"] = "primary, offsite"
    reload(keepfs, offsite)
    wait_whole(keepfs, first)
    second = keepfs.run_artifact(keepfs.backup()["run"])
    wait_whole(keepfs, second)
    assert_same(store, offsite)
    assert " all 2 backups that it is to have are there" in health_of(keepfs, "copies in offsite")
    rows = listed(keepfs)
    assert {row["state"] for row in rows.values()} == {"whole"} and len(rows) == 2
    assert all(row["verified"] and row["done_bytes"] == row["stored_bytes"] for row in rows.values())
    table = keepfs.run("replicate", "--list").stdout
    assert first in table and second in table and "offsite" in table
    lines = [json.loads(line) for line in keepfs.text("status", "backups.jsonl").splitlines()]
    assert [line["copies"] for line in lines] == [{"offsite": "whole"}] * 2
    found = exposition.Metrics(keepfs.text("status", "metrics.prom"))
    assert found.get("keepfs_replicas", store="offsite", state="whole") == 2
    assert found.get("keepfs_replica_lag_seconds", store="offsite") == 0


def test_a_copy_is_in_nobodys_way(with_copies, store, offsite):
    """a second store that is full, and then one that is away: backups are made, health says how far behind it is, and it catches up"""
    keepfs = with_copies(offsite, faults="put:1+:nospace, begin:1+:nospace").mount()
    names = [keepfs.run_artifact(keepfs.backup()["run"])]
    wait_until(lambda: "WARN" in health_of(keepfs, "copies in offsite"), lambda: keepfs.text("status", "health"))
    assert "1 backup is (" in health_of(keepfs, "copies in offsite")
    reload(keepfs, offsite, faults="*:1+:eio")
    names.append(keepfs.run_artifact(keepfs.backup()["run"]))
    wait_until(lambda: "2 backups are (" in health_of(keepfs, "copies in offsite") and "WARN" in health_of(keepfs, "copies in offsite"),
               lambda: keepfs.text("status", "health"))
    assert [key for key in offsite.keys() if key.startswith("manifests/")] == []
    reload(keepfs, offsite)
    for name in names:
        wait_whole(keepfs, name)
    assert_same(store, offsite)
    assert "WARN" not in health_of(keepfs, "copies in offsite")


def test_a_window(with_copies, store, offsite):
    """outside of the window nothing is copied, and that is all right; what somebody orders is done at once"""
    tomorrow = (datetime.datetime.now(datetime.timezone.utc) + datetime.timedelta(days=3)).strftime("%a").lower()
    keepfs = with_copies(offsite, window=f"{tomorrow} 00:00-24:00")
    keepfs.settings["timezone"] = "UTC"
    keepfs.write_conf()
    keepfs.mount()
    first, second = (keepfs.run_artifact(keepfs.backup()["run"]) for _ in range(2))
    wait_until(lambda: copies_of(keepfs, second) == "primary:whole, offsite:wanted", lambda: keepfs.text("status", "replicas"))
    assert offsite.keys() == []
    assert health_of(keepfs, "copies in offsite").startswith("OK")
    keepfs.run("replicate", f"full/{second}", "--wait")
    assert copies_of(keepfs, second) == "primary:whole, offsite:whole"
    assert copies_of(keepfs, first) == "primary:whole, offsite:wanted"
    reload(keepfs, offsite)
    wait_whole(keepfs, first)
    assert_same(store, offsite)


def test_killed(with_copies, store, offsite, noise):
    """kill -9 in the middle of a copy: nothing half is to be seen there, and it goes on"""
    keepfs = with_copies(offsite, database=noise, rate="1M/s").mount()
    name = keepfs.run_artifact(keepfs.backup()["run"])
    wait_until(lambda: "offsite:copying" in copies_of(keepfs, name), lambda: keepfs.text("status", "replicas"))
    keepfs.kill()
    assert [key for key in offsite.keys() if key.startswith("manifests/")] == []
    subprocess.run(["fusermount3", "-u", str(keepfs.mountpoint)], check=True)
    configure(keepfs, offsite)
    keepfs.mount()
    wait_whole(keepfs, name)
    assert_same(store, offsite)
    assert offsite.uploads() == []


def test_what_others_put_there(with_copies, store, offsite):
    """another object under the same name is never overwritten: that is critical; when it has gone it is copied"""
    keepfs = with_copies(offsite)
    keepfs.jobs["full"].pop("copies")
    keepfs.write_conf()
    keepfs.mount()
    name = keepfs.run_artifact(keepfs.backup()["run"])
    offsite.put(f"backups/full/{name}", b"of somebody else")
    keepfs.jobs["full"]["copies"] = "primary, offsite"
    reload(keepfs, offsite)
    wait_until(lambda: listed(keepfs).get((name, "offsite"), {}).get("state") == "wrong", lambda: keepfs.text("status", "replicas"))
    assert copies_of(keepfs, name) == "primary:whole, offsite:wrong"
    assert offsite.get(f"backups/full/{name}") == b"of somebody else"
    assert "CRIT" in health_of(keepfs, "copies in offsite are wrong")
    failed = keepfs.run("replicate", f"full/{name}", "to=offsite", "--wait", check=False)
    assert failed.returncode == 1
    assert offsite.get(f"backups/full/{name}") == b"of somebody else"
    offsite.remove(f"backups/full/{name}")
    keepfs.run("replicate", f"full/{name}", "to=offsite", "--wait")
    wait_whole(keepfs, name)
    assert "CRIT" not in keepfs.text("status", "health")


def test_lost_and_changed(with_copies, store, offsite):
    """a copy that was deleted, or changed, is found by looking at it, and made again"""
    keepfs = with_copies(offsite).mount()
    name = keepfs.run_artifact(keepfs.backup()["run"])
    wait_whole(keepfs, name)
    change(offsite, f"backups/full/{name}")
    failed = keepfs.run("replicate", "all", "verify=yes", "--wait", check=False)
    assert failed.returncode == 1
    keepfs.run("replicate", "all", "--wait")
    assert_same(store, offsite)
    keepfs.run("replicate", "all", "verify=yes", "--wait")
    assert {one["kind"] for one in keepfs.history()} == {"dump", "replicate"}
    # Found at the next start by the names alone.
    for key in offsite.keys():
        offsite.remove(key)
    keepfs.unmount()
    with keepfs.writable_catalog() as catalog:
        catalog.execute("UPDATE replica_store SET compared_at_us = 1")
    keepfs.mount()
    wait_until(lambda: backup_keys(store) == backup_keys(offsite), lambda: keepfs.text("status", "replicas"))
    wait_whole(keepfs, name)
    assert_same(store, offsite)


@pytest.mark.parametrize("change", [lambda text: text[:100], lambda text: text.replace(b'"job": "full"', b'"job": "fuII"').replace(b'"job":"full"', b'"job":"fuII"'), lambda text: b""],
                         ids=["cut", "changed", "empty"])
def test_a_damaged_manifest(with_copies, store, offsite, change):
    """it was ours, so it is told, and made again from the first store"""
    keepfs = with_copies(offsite).mount()
    name = keepfs.run_artifact(keepfs.backup()["run"])
    wait_whole(keepfs, name)
    key = f"manifests/backups/full/{name}.json"
    text = change(offsite.get(key))
    assert text != offsite.get(key)
    offsite.put(key, text)
    failed = keepfs.run("replicate", f"full/{name}", "to=offsite", "verify=yes", "--wait", check=False)
    assert failed.returncode == 1 and "not the manifest" in failed.stdout
    keepfs.run("replicate", f"full/{name}", "to=offsite", "--wait")
    wait_whole(keepfs, name)
    assert_same(store, offsite)
    assert f"{key} is not the manifest any more that keepfs has put there: it is replaced" in (keepfs.state / "keepfs.log").read_text()
    keepfs.run("replicate", "all", "verify=yes", "--wait")


def test_away_for_long(with_copies, store, offsite, clocks):
    """what waits is told, after a day as a warning, after three as critical; nothing is given up, and when the store is back all is copied"""
    keepfs = with_copies(offsite, faults="*:1+:eio")
    keepfs.env = clocks.environment(keepfs.env)
    keepfs.mount()
    names = [keepfs.run_artifact(keepfs.backup()["run"])]
    wait_until(lambda: "WARN" in health_of(keepfs, "copies in offsite"), lambda: keepfs.text("status", "health"))
    clocks.pass_time(1.5 * 86400)
    names.append(keepfs.run_artifact(keepfs.backup()["run"]))
    wait_until(lambda: "2 backups are (" in health_of(keepfs, "copies in offsite"), lambda: keepfs.text("status", "health"))
    clocks.pass_time(2 * 86400)
    wait_until(lambda: health_of(keepfs, "copies in offsite").startswith("CRIT"), lambda: keepfs.text("status", "health"))
    assert "see that the store answers" in keepfs.text("status", "health")
    assert [one["state"] for one in listed(keepfs).values()] == ["wanted"] * 2
    reload(keepfs, offsite)
    for name in names:
        wait_whole(keepfs, name)
    assert_same(store, offsite)
    assert health_of(keepfs, "copies in offsite").startswith("OK")


@needs_root
def test_a_full_disk(with_copies, store, offsite, noise):
    """a second store without space: it is told, nothing half stays there, and it goes on when there is space"""
    offsite.root.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=8m", "keepfs-small", str(offsite.root)], check=True)
    try:
        keepfs = with_copies(offsite, database=noise).mount()
        name = keepfs.run_artifact(keepfs.backup()["run"])
        wait_until(lambda: "WARN" in health_of(keepfs, "copies in offsite") and "space" in health_of(keepfs, "copies in offsite"), lambda: keepfs.text("status", "health"))
        assert offsite.uploads() == [] and [key for key in offsite.keys() if key.startswith("manifests/")] == []
        assert keepfs.history()[0]["state"] == "completed"
        subprocess.run(["mount", "-o", "remount,size=200m", str(offsite.root)], check=True)
        keepfs.signal(signal.SIGHUP, wait=False)
        wait_whole(keepfs, name)
        assert_same(store, offsite)
        keepfs.unmount()
    finally:
        subprocess.run(["umount", "-l", str(offsite.root)], check=True)


def test_slow(with_copies, store, offsite):
    """a backup is finished and listed while its copy has hardly begun, and the daemon ends at once while it is made"""
    keepfs = with_copies(offsite, faults="*:1+:slow:3000", retry_deadline="60s").mount()
    name = keepfs.run_artifact(keepfs.backup()["run"])
    assert copies_of(keepfs, name) in ("primary:whole, offsite:wanted", "primary:whole, offsite:copying 0%", "")
    assert "WARN" not in health_of(keepfs, "copies in offsite")
    keepfs.unmount()
    assert [key for key in offsite.keys() if key.startswith("manifests/")] == []
    configure(keepfs, offsite, faults="*:1+:slow:20", retry_deadline="60s")
    keepfs.mount()
    wait_whole(keepfs, name)
    assert_same(store, offsite)


@pytest.mark.parametrize("how", ["changed", "deleted"])
def test_a_read_goes_on_from_the_copy(with_copies, store, offsite, noise, how):
    """exact bytes for whoever reads, and it is told; the damaged one is made anew by an order alone"""
    keepfs = with_copies(offsite, database=noise).mount()
    name = keepfs.run_artifact(keepfs.backup()["run"])
    wait_whole(keepfs, name)
    expected = sha256(keepfs.path("backups", "full", name))
    key = f"backups/full/{name}"
    keepfs.unmount()
    if how == "changed":
        for at in (100, 5 << 20, len(store.get(key)) - 50):
            change(store, key, at)
    else:
        store.remove(key)
    keepfs.mount()
    assert sha256(keepfs.path("backups", "full", name)) == expected
    assert "is read from its copy in offsite" in keepfs.text("status", "last-error")
    wait_until(lambda: health_of(keepfs, "read from a copy"), lambda: keepfs.text("status", "health"))
    assert "repair=yes" in health_of(keepfs, "read from a copy")
    assert [line for line in keepfs.text("status", "audit.jsonl").splitlines() if json.loads(line)["action"] == "read-copy"]
    if how == "changed":
        assert hashlib.sha256(store.get(key)).hexdigest() != expected
    keepfs.run("replicate", f"full/{name}", "from=offsite", "repair=yes", "--wait")
    assert hashlib.sha256(store.get(key)).hexdigest() == expected
    assert health_of(keepfs, "read from a copy") == ""
    keepfs.run("verify", f"full/{name}")


def test_restore_from_the_copy(with_copies, store, offsite, pg, target):
    keepfs = with_copies(offsite).mount()
    name = keepfs.run_artifact(keepfs.backup()["run"])
    wait_whole(keepfs, name)
    keepfs.unmount()
    change(store, f"backups/full/{name}", len(store.get(f"backups/full/{name}")) // 2)
    keepfs.mount()
    keepfs.run("restore", f"full/{name}", f"into={target}")
    assert "is read from its copy in offsite" in keepfs.text("status", "last-error")


def test_removed_here_and_there(with_copies, store, offsite):
    """rm removes no copy: it comes back from there; the rules of that store let it go, those of the job when it has none"""
    keepfs = with_copies(offsite).mount()
    first, second = (keepfs.run_artifact(keepfs.backup()["run"]) for _ in range(2))
    for name in (first, second):
        wait_whole(keepfs, name)
    expected = sha256(keepfs.path("backups", "full", first))
    os.unlink(keepfs.path("backups", "full", first))
    wait_until(lambda: listed(keepfs)[first, "offsite"]["state"] == "removed", "that it is known")
    assert not [key for key in store.keys() if first in key]
    assert f"backups/full/{first}" in offsite.keys()
    keepfs.run("replicate", f"full/{first}", "from=offsite", "--wait")
    assert sha256(keepfs.path("backups", "full", first)) == expected
    wait_whole(keepfs, first)
    # By its rules it goes at the next comparison.
    os.unlink(keepfs.path("backups", "full", first))
    keepfs.unmount()
    with keepfs.writable_catalog() as catalog:
        catalog.execute("UPDATE replica_store SET compared_at_us = 1")
    configure(keepfs, offsite, **NEVER)
    keepfs.mount()
    wait_until(lambda: (first, "offsite") not in listed(keepfs), lambda: keepfs.text("status", "replicas"))
    assert not [key for key in offsite.keys() if first in key]
    assert copies_of(keepfs, second) == "primary:whole, offsite:whole"
    assert_same(store, offsite)


def test_the_first_store_is_lost(with_copies, new_keepfs, store, offsite, tmp_path, pg):
    """the second one alone: made the first in the configuration, rebuilt, read"""
    keepfs = with_copies(offsite).mount()
    name = keepfs.run_artifact(keepfs.backup()["run"])
    wait_whole(keepfs, name)
    expected = sha256(keepfs.path("backups", "full", name))
    keepfs.unmount()
    again = new_keepfs(store=offsite, directory=tmp_path / "again")
    again.run("rebuild")
    again.mount()
    assert sha256(again.path("backups", "full", name)) == expected
    again.run("verify", f"full/{name}")


def test_a_catalog_made_anew(with_copies, store, offsite):
    """after a rebuild the copies are known again, by listing them"""
    keepfs = with_copies(offsite).mount()
    first, second = (keepfs.run_artifact(keepfs.backup()["run"]) for _ in range(2))
    for name in (first, second):
        wait_whole(keepfs, name)
    os.unlink(keepfs.path("backups", "full", first))
    wait_until(lambda: listed(keepfs)[first, "offsite"]["state"] == "removed", "that it is known")
    keepfs.unmount()
    shutil.rmtree(keepfs.state)
    keepfs.run("rebuild", "--no-history")
    keepfs.mount()
    wait_whole(keepfs, second)
    wait_until(lambda: listed(keepfs).get((first, "offsite"), {}).get("state") == "removed", lambda: keepfs.text("status", "replicas"))


@pytest.mark.parametrize("store, second", [("ceph", "swift"), ("dir", "ceph")], indirect=["store"])
def test_buckets(with_copies, store, bucket, noise, second):
    """another server, another account; several parts"""
    other = bucket(second)
    keepfs = with_copies(other, database=noise, retry_deadline="60s").mount()
    name = keepfs.run_artifact(keepfs.backup()["run"])
    wait_whole(keepfs, name)
    assert_same(store, other)
    assert other.uploads() == []


def test_refused(with_copies, new_keepfs, offsite, tmp_path):
    keepfs = with_copies(offsite)
    for copies, why in (("offsite", "'primary' is missing"), ("primary, elsewhere", "there is no section [store elsewhere]"),
                        ("primary, offsite, offsite", "names offsite twice")):
        keepfs.jobs["full"]["copies"] = copies
        keepfs.write_conf()
        failed = keepfs.run("check", check=False)
        assert failed.returncode == 2 and why in failed.stderr
    keepfs.jobs["full"]["copies"] = "primary, offsite"
    configure(keepfs, offsite, tenants="acme")
    failed = keepfs.run("check", check=False)
    assert failed.returncode == 2 and "cannot have copies of backups" in failed.stderr
    configure(keepfs, offsite, faults="put:1+:denied")
    checked = keepfs.run("check", check=False)
    assert "store offsite" in checked.stdout and "no copies can be made" in checked.stdout
    configure(keepfs, offsite)
    keepfs.sections["store acme"] = {"url": f"dir:{tmp_path}/acme", "tenants": "acme"}
    keepfs.write_conf()
    assert "it has copies" in keepfs.run("check", check=False).stdout
    keepfs.mount()
    keepfs.backup()
    # A tenant would read the rows of all others there.
    for command, why in (("all to=nowhere", "there is no section [store nowhere]"), ("all repair=yes", "say which with from="),
                         ("all to=acme", "[store acme] cannot have copies of backups: its key tenants says"),
                         ("full/none.dump from=offsite to=offsite", "give one of them")):
        assert why in keepfs.refused("replicate", command)
