# SPDX-License-Identifier: Apache-2.0
"""Object lock on real servers: what is locked cannot be deleted by keepfs's own credentials, and goes when its time is over."""
import datetime
import errno
import json
import os
import re
import signal
import time

import pytest

import clocks as moved
import s3client
import stores
from daemon import wait_until
from signing import make_key
from test_versions import Versioned

UTC = datetime.timezone.utc

pytestmark = pytest.mark.usefixtures("one_day")


class Locked(Versioned):
    """a bucket with object lock; what is locked for compliance stays in it until its server ends"""

    def __init__(self, server):
        super().__init__(server, can_lock=True)

    def versions(self, below=""):
        return [(key, version) for key, version, is_marker in self.client.versions(f"{self.prefix}/{below}") if not is_marker]

    def lock_of(self, key):
        """(mode, until, whether it has a legal hold), as the server says"""
        headers = self.client.head(key)
        return (headers.get("x-amz-object-lock-mode"), headers.get("x-amz-object-lock-retain-until-date", "")[:19],
                headers.get("x-amz-object-lock-legal-hold") == "ON")

    def cannot_delete(self, key, version):
        with pytest.raises(s3client.S3Error, match="403"):
            self.client.request("DELETE", key, query={"versionId": version})
        return True

    def clear(self):
        for key, version, _ in self.client.versions():
            self.client.hold(key, version, False)
            try:
                self.client.remove_version(key, version)
            except s3client.S3Error:
                pass  # locked for compliance


@pytest.fixture
def locked(s3_servers):
    made = []

    def make():
        made.append(Locked(s3_servers("ceph")))
        return made[-1]

    yield make
    for store in made:
        store.clear()


def lock_settings(keepfs, mode="governance", **more):
    keepfs.store_settings.update(object_lock=mode, **more)
    keepfs.write_conf()
    return keepfs


def attribute(keepfs, name, what):
    return os.getxattr(keepfs.path("backups", "full", name), f"user.keepfs.{what}").decode()


def objects_of(store, name):
    stem = f"{name.split('.')[0]}."
    return [(key, version) for key, version in store.versions() if f"/{stem}" in key or key.endswith(f"/{name}")]


def midnight_after(days):
    today = datetime.datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    return f"{today + datetime.timedelta(days=days):%Y-%m-%dT%H:%M:%S}"


def job(pg, **rules):
    return {"full": {"database": pg.uri("sample"), "timezone": "UTC", **rules}}


def test_a_backup_is_locked_at_birth(new_keepfs, locked, pg):
    store = locked()
    keepfs = lock_settings(new_keepfs(job(pg, keep_daily=7), store=store)).mount()
    keepfs.backup()
    (first,) = keepfs.artifacts()
    until = midnight_after(7)
    objects = objects_of(store, first)
    assert {key.split("/")[1] for key, _ in objects} == {"backups", "manifests"}
    for key, version in objects:
        assert store.lock_of(key) == ("GOVERNANCE", until, False), key
        assert store.cannot_delete(key, version)
    assert attribute(keepfs, first, "locked_until") == until + "Z"
    assert attribute(keepfs, first, "lock_mode") == "governance"
    assert json.loads(store.get(f"manifests/backups/full/{first}.json"))["locked_until"].startswith(until)
    # What is rewritten is not.
    keepfs.unmount()
    for key in store.keys():
        if key.split("/")[0] in ("catalog", "state", "trash", "holds"):
            assert store.lock_of(f"{store.prefix}/{key}") == (None, "", False), key
    # rm says until when, and hides nothing.
    keepfs.mount()
    keepfs.backup()
    with pytest.raises(OSError) as refused:
        keepfs.path("backups", "full", first).unlink()
    assert refused.value.errno == errno.EPERM
    assert first in keepfs.artifacts() and keepfs.path("backups", "full", first).read_bytes()[:5] == b"PGDMP"
    assert f"is locked in the store until {until}Z" in keepfs.text("status", "last-error")
    kept = keepfs.text("status", "retention")
    assert "locked" in kept and f"locked in the store until {until}Z" in kept, kept
    assert "OK    object lock: 2 backups are locked" in keepfs.text("status", "health"), keepfs.text("status", "health")
    # A catalog that is made anew knows it by the manifest, and asks the store before it removes anything.
    keepfs.unmount()
    (keepfs.state / "catalog.db").unlink()
    keepfs.run("rebuild")
    keepfs.mount()
    assert attribute(keepfs, first, "locked_until") == until + "Z"
    with pytest.raises(OSError):
        keepfs.path("backups", "full", first).unlink()


def test_it_can_be_deleted_when_its_time_is_over(new_keepfs, locked, pg):
    store = locked()
    keepfs = lock_settings(new_keepfs(job(pg, keep_last=1, keep_within="none"), store=store, policy_delay="none"), lock_min="4s", delete_versions="yes").mount()
    keepfs.backup()
    (first,) = keepfs.artifacts()
    key, _ = objects_of(store, first)[0]
    assert store.lock_of(key)[0] == "GOVERNANCE"
    keepfs.backup()
    # By the rules it would have gone with the second one.
    if first in keepfs.artifacts():
        wait_until(lambda: store.lock_of(key)[1] < f"{datetime.datetime.now(UTC):%Y-%m-%dT%H:%M:%S}", "the lock is over")
        keepfs.path("backups", "full", first).unlink()
    assert first not in keepfs.artifacts()
    assert objects_of(store, first) == []
    assert "old versions" not in keepfs.text("status", "health")


@pytest.mark.parametrize("mode", ["governance", "compliance"])
def test_a_removal_is_put_off(new_keepfs, locked, pg, mode):
    """what the rules would let go is listed with its date, and goes with the run after that, with all its versions"""
    store = locked()
    keepfs = lock_settings(new_keepfs(job(pg, keep_last=1, keep_within="none"), store=store, policy_delay="none"), mode, lock_min="90s",
                           delete_versions="yes").mount()
    keepfs.backup()
    (first,) = keepfs.artifacts()
    until = attribute(keepfs, first, "locked_until")
    second = keepfs.backup()
    assert len(keepfs.artifacts()) == 2
    log = keepfs.text("jobs", str(second["run"]), "log")
    assert f"1 would go, and is locked in the store: put off until {until}" in log, log
    said = keepfs.run("prune", "full").stdout
    assert f"put off: {first}  locked in the store until {until}; last: 1 newer ones are there" in said, said
    assert f"1 would go, and is locked in the store: put off until {until}" in said, said
    (place,) = json.loads(keepfs.run("prune", "full", "--json").stdout)["directories"]
    assert (place["put_off"], place["locked"][0]["name"]) == (1, first), place
    assert f"stays {first}  locked" in keepfs.text("status", "retention"), keepfs.text("status", "retention")
    with pytest.raises(OSError):
        keepfs.path("backups", "full", first).unlink()
    assert f"is locked in the store until {until}: nobody can delete it before, try again then" in keepfs.text("status", "last-error")
    wait_until(lambda: until < f"{datetime.datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ}", "the lock is over", deadline_s=200)
    keepfs.backup()
    assert first not in keepfs.artifacts()
    assert objects_of(store, first) == []


def test_a_hold_outlives_the_lock(new_keepfs, locked, pg):
    """in a bucket that keeps versions: no version of it can be deleted, by name neither, until the hold has ended"""
    store = locked()
    keepfs = lock_settings(new_keepfs(job(pg, keep_last=1, keep_within="none"), store=store, policy_delay="none"), lock_min="4s",
                           delete_versions="yes").mount()
    keepfs.backup()
    (first,) = keepfs.artifacts()
    path = f"backups/full/{first}"
    keepfs.ask("hold", f"{path} on name=court reason=court")
    until = attribute(keepfs, first, "locked_until")
    wait_until(lambda: until < f"{datetime.datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ}", "the lock is over")
    keepfs.backup()
    assert first in keepfs.artifacts()
    for key, version in objects_of(store, first):
        # What says who holds it is rewritten with each hold.
        assert "/holds/" in key or (store.lock_of(key)[2] and store.cannot_delete(key, version)), key
    with pytest.raises(OSError):
        keepfs.path("backups", "full", first).unlink()
    assert f"is held and cannot be removed: it has a legal hold in the store. Whoever may end that writes into control/hold: {path} off" in \
        keepfs.text("status", "last-error")
    keepfs.ask("hold", f"{path} off name=court")
    keepfs.path("backups", "full", first).unlink()
    assert objects_of(store, first) == []


def test_a_longer_policy_extends_and_a_shorter_one_does_not(new_keepfs, locked, pg, clocks):
    store = locked()
    keepfs = lock_settings(new_keepfs(job(pg, keep_daily=7), store=store))
    clocks.set_clock((datetime.datetime.now(UTC) - clocks.now()).total_seconds())
    moved.work_here(clocks)
    keepfs.env = clocks.environment(keepfs.env)
    keepfs.mount()
    keepfs.backup()
    (first,) = keepfs.artifacts()
    keys = [key for key, _ in objects_of(store, first)]

    def becomes(days):
        """what is left to do is done a minute later"""
        clocks.boot += 70 * moved.NS
        clocks.mono += 70 * moved.NS
        clocks._write()
        wait_until(lambda: {store.lock_of(key)[1] for key in keys} == {midnight_after(days)}, f"locked for {days} days")
        wait_until(lambda: attribute(keepfs, first, "locked_until") == midnight_after(days) + "Z", "and it is known")

    for keep_was, keep, days in ((7, 30, 30), (30, 3, 30)):
        keepfs.jobs["full"]["keep_daily"] = keep
        keepfs.write_conf()
        keepfs.signal(signal.SIGHUP, wait=False)
        wait_until(lambda: f"keep_daily: {keep_was} is now {keep}" in (keepfs.state / "keepfs.log").read_text(), "the new rules")
        keepfs.backup()
        becomes(days)


@pytest.mark.parametrize("again", [False, True])
def test_a_hold_is_a_legal_hold(new_keepfs, locked, pg, again):
    store = locked()
    keepfs = lock_settings(new_keepfs(job(pg, keep_last=9), store=store), lock_min="1s").mount()
    keepfs.backup()
    (first,) = keepfs.artifacts()
    path = f"backups/full/{first}"
    keys = [key for key, _ in objects_of(store, first)]
    keepfs.ask("hold", f"{path} on name=audit reason=audit")
    assert {store.lock_of(key)[2] for key in keys} == {True}
    keepfs.ask("hold", f"{path} on name=court reason=court")
    if again:
        keepfs.unmount()
        (keepfs.state / "catalog.db").unlink()
        keepfs.run("rebuild")
        keepfs.mount()
    keepfs.ask("hold", f"{path} off name=audit")
    assert {store.lock_of(key)[2] for key in keys} == {True}
    key, version = objects_of(store, first)[0]
    assert store.cannot_delete(key, version)
    keepfs.ask("hold", f"{path} off name=court")
    assert {store.lock_of(key)[2] for key in keys} == {False}


def test_compliance_is_for_everybody(new_keepfs, locked, pg):
    store = locked()
    keepfs = lock_settings(new_keepfs(job(pg, keep_daily=2), store=store), "compliance").mount()
    keepfs.backup()
    (first,) = keepfs.artifacts()
    for key, version in objects_of(store, first):
        assert store.lock_of(key)[0] == "COMPLIANCE"
        with pytest.raises(s3client.S3Error, match="403"):
            store.client.remove_version(key, version)  # with the right to bypass governance


def test_the_canary(new_keepfs, locked):
    store = locked()
    keepfs = lock_settings(new_keepfs(store=store))
    done = keepfs.run("check", check=False)
    assert "governance: what is locked cannot be deleted, which was tried" in done.stdout, done.stdout
    (canary,) = store.versions("state/canary-")
    assert store.cannot_delete(*canary)
    # The next one finds it, whoever made it, and clears it away as soon as that can be.
    done = keepfs.run("check", check=False)
    assert "1 objects of earlier tries are locked yet" in done.stdout, done.stdout
    assert len(store.versions("state/canary-")) == 2


def test_the_canary_of_each_further_store(new_keepfs, locked, s3_servers):
    """one that keeps its locks, one that has none, one that is asked for none"""
    keepfs = new_keepfs()
    good, without = locked(), Versioned(s3_servers("ceph"))
    try:
        keepfs.sections = {"store good": {**good.settings, "object_lock": "governance"},
                           "store bare": {**without.settings, "object_lock": "compliance"},
                           "store plain": {**without.settings, "url": without.settings["url"] + "/plain"}}
        keepfs.write_conf()
        said = keepfs.run("check", check=False).stdout
        assert re.search(r"^ok +object lock \[store good\]: governance: what is locked cannot be deleted, which was tried$", said, re.M), said
        assert re.search(r"^FAIL\S* +object lock \[store bare\]: .* has no object lock", said, re.M), said
        assert "object lock [store plain]" not in said and not re.search(r"^\S+ +object lock: ", said, re.M), said
        keepfs.mount()
        health = keepfs.text("status", "health")
        assert "CRIT  object lock" in health and "has no object lock" in health, health
        # It stands as long as locks are asked for there.
        keepfs.unmount()
        keepfs.sections["store bare"]["object_lock"] = "none"
        keepfs.write_conf()
        keepfs.mount()
        assert "CRIT  object lock" not in keepfs.text("status", "health")
        keepfs.unmount()
    finally:
        without.clear()


@pytest.mark.parametrize("kind,words", [
    ("ceph", "has no object lock, and keeps no versions"),
    ("swift", "object lock"),
])
def test_a_bucket_without_locks(new_keepfs, s3_servers, kind, words, pg):
    """it is told, and backups are made all the same"""
    store = stores.S3Store(s3_servers(kind), f"unlocked-{kind}")
    keepfs = lock_settings(new_keepfs(job(pg, keep_daily=7), store=store))
    try:
        done = keepfs.run("check", check=False)
        assert words in done.stdout, done.stdout
        keepfs.mount()
        assert "it could not be locked in the store" in keepfs.backup()["warning"]
        health = keepfs.text("status", "health")
        assert "CRIT  object lock" in health, health
        (first,) = keepfs.artifacts()
        with pytest.raises(OSError):
            attribute(keepfs, first, "locked_until")
        # A server that knows of no locks would take the request for one for a put of the object.
        assert keepfs.path("backups", "full", first).read_bytes()[:5] == b"PGDMP"
        keepfs.unmount()
    finally:
        store.clear()


def test_a_clock_that_is_off_locks_nothing_for_decades(new_keepfs, locked, pg, clocks):
    """twenty years ahead: the server takes no request, the backup fails with a word about clocks, and nothing is locked"""
    store = locked()
    keepfs = lock_settings(new_keepfs(job(pg, keep_yearly=5), store=store))
    clocks.set_clock((datetime.datetime.now(UTC) - clocks.now()).total_seconds())
    moved.work_here(clocks)
    keepfs.env = clocks.environment(keepfs.env)
    keepfs.mount()
    clocks.set_clock(20 * 365 * 86400)
    failed = keepfs.wait_run(keepfs.trigger())
    assert failed["state"] == "failed" and "clock" in failed["error"], failed
    assert store.versions("backups/") == []
    clocks.set_clock(-20 * 365 * 86400)
    keepfs.backup()
    (first,) = keepfs.artifacts()
    until = attribute(keepfs, first, "locked_until")
    assert until < f"{time.gmtime().tm_year + 6}", until


def live_by(clocks, keepfs):
    """@clocks, from now on, which the test moves; the server's go on by themselves"""
    clocks.set_clock((datetime.datetime.now(UTC) - clocks.now()).total_seconds())
    moved.work_here(clocks)
    keepfs.env = clocks.environment(keepfs.env)


def pass_a_while(clocks, seconds):
    """for whoever waits; the clock on the wall stands still, so that the server takes requests"""
    clocks.boot += int(seconds * moved.NS)
    clocks.mono += int(seconds * moved.NS)
    clocks._write()


def wait_while_time_passes(clocks, condition, what):
    def later():
        pass_a_while(clocks, 70)
        return condition()

    wait_until(lambda: condition() or later(), what, pause_s=1)


def becomes_locked(clocks, store, keys, days):
    wait_while_time_passes(clocks, lambda: {store.lock_of(key)[1] for key in keys} == {midnight_after(days)}, f"locked for {days} days")


def test_time_alone_has_locks_extended(new_keepfs, locked, pg, clocks):
    """once a day, with no run and no start, by the rules that are in force then"""
    store = locked()
    keepfs = lock_settings(new_keepfs(job(pg, keep_daily=7), store=store))
    live_by(clocks, keepfs)
    keepfs.mount()
    keepfs.backup()
    (first,) = keepfs.artifacts()
    keys = [key for key, _ in objects_of(store, first)]
    keepfs.jobs["full"]["keep_daily"] = 30
    keepfs.write_conf()
    keepfs.signal(signal.SIGHUP, wait=False)
    wait_until(lambda: "keep_daily: 7 is now 30" in (keepfs.state / "keepfs.log").read_text(), "the new rules")
    pass_a_while(clocks, 86400)
    becomes_locked(clocks, store, keys, 30)
    wait_until(lambda: attribute(keepfs, first, "locked_until") == midnight_after(30) + "Z", "and it is known")


def test_a_job_that_is_not_configured_any_more(new_keepfs, locked, pg, clocks):
    """nobody says any more how its rules go on: its locks are left as they are, but for what was promised of one backup"""
    store = locked()
    keepfs = lock_settings(new_keepfs(job(pg, keep_daily=30), store=store), lock_max="3d")
    live_by(clocks, keepfs)
    keepfs.mount()
    keepfs.backup()
    keepfs.backup("now keep=20d")
    plain, promised = keepfs.artifacts()
    before = {key: store.lock_of(key) for key, _ in objects_of(store, plain)}
    keys = [key for key, _ in objects_of(store, promised)]
    least = f"{datetime.datetime.now(UTC) + datetime.timedelta(days=19):%Y-%m-%dT%H:%M:%S}"
    assert all(store.lock_of(key)[1] < least for key in keys)
    keepfs.unmount()
    keepfs.jobs = {"other": keepfs.jobs["full"]}
    keepfs.store_settings["lock_max"] = "60d"
    keepfs.write_conf()
    keepfs.mount()
    wait_while_time_passes(clocks, lambda: all(store.lock_of(key)[1] > least for key in keys), "it is locked until then")
    pass_a_while(clocks, 86400)
    wait_while_time_passes(clocks, lambda: attribute(keepfs, promised, "locked_until") > least, "and that is known")
    assert {key: store.lock_of(key) for key in before} == before
    assert "everything stays, but is locked in the store only for as long as was promised" in keepfs.text("status", "retention")


def test_what_proves_something_is_locked_later_too(new_keepfs, locked, pg, clocks, tmp_path):
    """links of the chain and checkpoints from before the lock was on"""
    store = locked()
    keepfs = new_keepfs(job(pg, keep_daily=7), store=store, signing_key_file=make_key(tmp_path, "signing")[0])
    live_by(clocks, keepfs)
    keepfs.mount()
    keepfs.backup()
    wait_while_time_passes(clocks, lambda: store.versions("checkpoints/"), "a checkpoint")
    keepfs.unmount()
    proofs = [key for below in ("chain/", "checkpoints/") for key, _ in store.versions(below)]
    assert len(proofs) >= 2 and {store.lock_of(key) for key in proofs} == {(None, "", False)}
    lock_settings(keepfs).mount()
    least = f"{datetime.datetime.now(UTC) + datetime.timedelta(days=730):%Y-%m-%dT%H:%M:%S}"
    wait_while_time_passes(clocks, lambda: all((store.lock_of(key)[1] or "") > least for key in proofs), "all of them are locked")
    for below in ("chain/", "checkpoints/"):
        key, version = store.versions(below)[0]
        assert store.cannot_delete(key, version)
    # And so is the backup, which was made before.
    (first,) = keepfs.artifacts()
    becomes_locked(clocks, store, [key for key, _ in objects_of(store, first)], 7)


@pytest.mark.parametrize("minutes,how", [(-5, "behind"), (5, "ahead of")])
def test_clocks_that_differ(new_keepfs, locked, pg, clocks, minutes, how):
    """people are told, and no lock is shorter than the rules keep a backup, by either clock"""
    store = locked()
    keepfs = lock_settings(new_keepfs(job(pg, keep_within="30d"), store=store))
    live_by(clocks, keepfs)
    clocks.set_clock(60 * minutes)
    said = keepfs.run("check", check=False).stdout
    assert re.search(rf"clock: this host's clock is [45] minutes \d+ seconds {how} that of ", said), said
    keepfs.mount()
    before = datetime.datetime.now(UTC)
    keepfs.backup()
    (first,) = keepfs.artifacts()
    least = before + datetime.timedelta(days=30, minutes=max(minutes, 0) - 1)
    for key, _ in objects_of(store, first):
        assert store.lock_of(key)[1] >= f"{least:%Y-%m-%dT%H:%M:%S}", key
    by_host = datetime.datetime.strptime(first[:16], "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC) + datetime.timedelta(days=30)
    # When the host thinks that it may go, its clock being as it is, the store's shows something else.
    let_go = by_host - datetime.timedelta(minutes=minutes, seconds=2)
    assert attribute(keepfs, first, "locked_until") >= f"{let_go:%Y-%m-%dT%H:%M:%S}"
    health = keepfs.text("status", "health")
    assert re.search(rf"WARN  clock: this host's clock is [45] minutes \d+ seconds {how} that of ", health), health
    clocks.set_clock(-60 * minutes)
    wait_until(lambda: "WARN  clock" not in keepfs.text("status", "health"), "nothing to be told any more")
