# SPDX-License-Identifier: Apache-2.0
"""Cheaper storage for old backups: class_after moves them into other storage classes, and what is frozen there is thawed. No server here has AWS's
archives: strict_s3.py does what their documentation says of them."""
import contextlib
import datetime
import errno
import hashlib
import json
import os
import sqlite3
import threading

import pytest

import clocks as moved_clocks
import postgres
import stores
import strict_s3
from daemon import wait_until
from test_object_lock import Locked

DAY = 86400
LOCKED = strict_s3.Profile("aws", ["eu-central-1"], versions="always", locks=True)


@pytest.fixture(scope="module")
def noise(pg):
    """a database whose dump is some 13 MB: three parts"""
    pg.create("frozen_noise")
    postgres.fill_noise(pg, "frozen_noise", 13)
    yield "frozen_noise"
    pg.drop("frozen_noise")


@pytest.fixture
def server():
    made = strict_s3.StrictS3("aws")
    yield made
    made.stop()


class Place:
    """a keepfs whose clock is moved together with the server's"""

    def __init__(self, new_keepfs, server, clocks, job, **store):
        self.server, self.clocks = server, clocks
        server.skew_s = 100 * 365 * DAY  # the two are not moved in one instant
        moved_clocks.work_here(clocks)
        self.keepfs = new_keepfs({"full": job}, store=server)
        self.keepfs.store_settings.update({"part_size": "5M", **store})
        self.keepfs.write_conf()
        self.keepfs.env = clocks.environment(self.keepfs.env)
        self._set()
        self.keepfs.mount()

    def _set(self):
        self.server.ahead_s = (self.clocks.now() - datetime.datetime.now(datetime.timezone.utc)).total_seconds()

    def pass_days(self, days):
        self.clocks.pass_time(days * DAY)
        self._set()

    def backup(self):
        self.keepfs.backup()
        self.name = self.keepfs.artifacts()[-1]
        self.key = f"backups/full/{self.name}"
        return self.name

    def wait_class(self, wanted):
        wait_until(lambda: self.server.class_of(self.key) == wanted, lambda: f"{self.key} is in {self.server.class_of(self.key)}")
        wait_until(lambda: self.attribute("storage_class") == wanted, lambda: f"storage_class is {self.attribute('storage_class')}")

    def attribute(self, name):
        try:
            return os.getxattr(self.keepfs.path("backups", "full", self.name), f"user.keepfs.{name}").decode()
        except OSError as error:
            assert error.errno == errno.ENODATA
            return None

    def audit(self, action):
        return [line for line in map(json.loads, self.keepfs.text("status", "audit.jsonl").splitlines()) if line["action"] == action]

    def run_of(self, name, command):
        run = int(self.keepfs.ask(name, command).split()[0])
        return self.keepfs.wait_run(run), self.keepfs.text("jobs", str(run), "log")

    def refused(self, name, command):
        fd = os.open(self.keepfs.path("control", name), os.O_RDWR)
        try:
            with pytest.raises(OSError) as caught:
                os.write(fd, command.encode() + b"\n")
            assert caught.value.errno == errno.EIO
            return os.read(fd, 65536).decode()
        finally:
            os.close(fd)

    def last_error(self):
        return self.keepfs.text("status", "last-error").splitlines()[-1]


@pytest.fixture
def place(new_keepfs, server, clocks, pg, noise):
    yield lambda class_after, at=server, store=None, **job: Place(
        new_keepfs, at, clocks, {"database": pg.uri(noise), "keep": "forever", "class_after": class_after, **job}, **(store or {}))
    # Days that pass in the middle of a probe of the store are past its deadline, and that of clearing up after it.
    for key in server.all_keys():
        if key.startswith("state/probe-"):
            server.remove(key)


def test_moved_at_its_age(place, server):
    """at 30 days, by parts, verified; what keepfs needs for itself stays; whoever has it open reads on; and at 90 days once more"""
    at = place("30d STANDARD_IA, 90d GLACIER_IR")
    keepfs = at.keepfs
    at.backup()
    data = server.get(at.key)
    assert at.attribute("storage_class") is None
    at.pass_days(29)
    with open(keepfs.path("backups", "full", at.name), "rb", buffering=0) as f:
        beginning = f.read(1 << 16)
        at.pass_days(2)
        at.wait_class("STANDARD_IA")
        rest = b"".join(iter(lambda: f.read(1 << 20), b""))
    assert beginning + rest == data == server.get(at.key)
    assert server.peak_parts[f"{strict_s3.PREFIX}/{at.key}"] == 3
    others = [key for key in server.all_keys() if key != at.key]
    assert {server.class_of(key) for key in others} == {"STANDARD"}
    assert any(key.endswith(".tables.csv") for key in others)
    (line,) = at.audit("class")
    assert line["object"] == f"backups/full/{at.name}" and line["detail"].startswith("STANDARD_IA: 1 objects, ")
    metrics = keepfs.text("status", "metrics.prom")
    assert f'keepfs_storage_class_bytes{{class="STANDARD_IA"}} {len(data)}\n' in metrics
    at.pass_days(60)
    at.wait_class("GLACIER_IR")
    # It can be read at once, and no one has to thaw it.
    status, log = at.run_of("verify", f"full/{at.name}")
    assert status["state"] == "completed", log
    assert "nothing is frozen" in keepfs.text("status", "thaws")
    status, log = at.run_of("thaw", f"full/{at.name}")
    assert status["state"] == "completed" and "is not frozen" in log
    assert not server.thaws


def test_frozen_and_thawed(place, server, pg):
    """a read is EIO at once, with words; nothing calls it damaged; a restore is refused before anything is touched; thawed it can be read again"""
    at = place("2d GLACIER", store={"scrub_within": "30d"})
    keepfs = at.keepfs
    name = at.backup()
    path = keepfs.path("backups", "full", name)
    data = server.get(at.key)
    at.pass_days(3)
    at.wait_class("GLACIER")
    asked = len(server.asked)
    with pytest.raises(OSError) as caught:
        path.read_bytes()
    assert caught.value.errno == errno.EIO
    words = at.last_error()
    assert "frozen in the storage class GLACIER" in words and "control/thaw" in words and name in words
    gets = [a for a in server.asked[asked:] if a[0] == "GET" and a[1] and a[1].endswith(name)]
    assert all(a[4].startswith("403") for a in gets) and len(gets) <= 4, "there are no retries"
    assert at.attribute("state") == "completed" and at.attribute("thaw") == "frozen"
    # Neither right nor wrong.
    status, log = at.run_of("verify", f"full/{name}")
    assert status["state"] == "failed" and "nothing was looked at" in status["error"] and "control/thaw" in status["error"]
    proven = at.attribute("verified_at")
    at.pass_days(40)  # the scrub would have read it
    status, log = at.run_of("verify", "all")
    assert "1 frozen backups were skipped" in log
    assert at.attribute("verified_at") == proven and at.attribute("state") == "completed"
    assert "damaged" not in keepfs.text("status", "health")
    said = at.refused("restore", f"full/{name} into=frozen_again")
    assert "frozen in the storage class GLACIER" in said and "keepfs thaw" in said
    assert "frozen_again" not in pg.sql("postgres", "SELECT datname FROM pg_database")
    # What it would cost, before anything is asked for.
    done = keepfs.run("thaw", f"full/{name}", "--dry-run")
    assert "1 objects" in done.stdout and "would be thawed for 7 days, tier bulk" in done.stdout and not server.thaws
    assert "days=400" in keepfs.refused("thaw", f"full/{name} days=400")
    assert "tier=quick" in keepfs.refused("thaw", f"full/{name} tier=quick")
    status, log = at.run_of("thaw", f"full/{name} days=3 tier=standard")
    assert status["state"] == "completed"
    assert server.thaws == [(f"{strict_s3.PREFIX}/{at.key}", 3, "Standard")]
    assert at.attribute("thaw").startswith("asked for at ")
    # Again is success, and asks for nothing twice.
    status, log = at.run_of("thaw", f"full/{name}")
    assert status["state"] == "completed" and "of 1 it was asked for before" in log and len(server.thaws) == 1
    with pytest.raises(OSError):
        path.read_bytes()
    assert "thawing it was asked for" in at.refused("restore", f"full/{name} into=frozen_again")
    server.finish_thaws(days=3)
    assert hashlib.sha256(path.read_bytes()).hexdigest() == hashlib.sha256(data).hexdigest()

    def is_ready():
        at.clocks.pass_time(61)  # nobody is asked more often
        at._set()
        return "can be read until" in keepfs.text("status", "thaws")
    wait_until(is_ready, "status/thaws says so")
    assert at.attribute("thaw").startswith("ready until ")
    status, log = at.run_of("restore", f"full/{name} into=frozen_again")
    assert status["state"] == "completed", log
    pg.drop("frozen_again")
    status, log = at.run_of("verify", f"full/{name}")
    assert status["state"] == "completed", log
    assert [line["object"] for line in at.audit("thaw") if line["result"] == "ok" and "objects" in line["detail"]]


def test_small_ones(place, server, pg):
    """an object of less than 128 KiB would cost more there, and stays"""
    at = place("1d GLACIER_IR", exclude_table_data="public.noise")
    at.backup()
    assert len(server.get(at.key)) < 128 << 10
    small = at.key
    at.pass_days(2)
    with at.keepfs.catalog() as catalog:
        wait_until(lambda: catalog.execute("SELECT wanted, bytes FROM storage_class").fetchall() == [("GLACIER_IR", 0)], "it was looked at")
    assert server.class_of(small) == "STANDARD" and at.attribute("storage_class") is None


def test_middling_ones(place, server, pg):
    """of an object of 5 MB or less AWS copies no range: it is copied as a whole"""
    pg.create("frozen_middle")
    try:
        postgres.fill_noise(pg, "frozen_middle", 1)
        at = place("1d GLACIER_IR", database=pg.uri("frozen_middle"))
        at.backup()
        data = server.get(at.key)
        assert 128 << 10 < len(data) < 5 << 20
        at.pass_days(2)
        at.wait_class("GLACIER_IR")
        assert at.keepfs.path("backups", "full", at.name).read_bytes() == data
    finally:
        pg.drop("frozen_middle")


def test_what_a_lifecycle_rule_has_frozen(place, server):
    """keepfs has not moved it: the first read finds out, and from then on it is known"""
    at = place("10y STANDARD_IA")
    name = at.backup()
    server.transition(at.key, "DEEP_ARCHIVE")
    assert at.attribute("storage_class") is None
    with pytest.raises(OSError) as caught:
        at.keepfs.path("backups", "full", name).read_bytes()
    assert caught.value.errno == errno.EIO and "DEEP_ARCHIVE" in at.last_error()
    assert at.attribute("storage_class") == "DEEP_ARCHIVE" and at.attribute("state") == "completed"
    status, log = at.run_of("thaw", f"full/{name} tier=expedited")
    assert status["state"] == "failed" and "DEEP_ARCHIVE" in status["error"]
    status, log = at.run_of("thaw", f"full/{name}")
    assert status["state"] == "completed" and server.thaws[0][1:] == (7, "Bulk")


def test_killed_in_the_middle(place, server):
    """kill -9 while the second of three parts is copied: the backup is as it was, nothing stays open, and it is moved by the next process"""
    at = place("30d GLACIER_IR")
    keepfs = at.keepfs
    at.backup()
    data = server.get(at.key)
    reached, go_on = threading.Event(), threading.Event()

    def gate(method, query, headers):
        if query.get("partNumber") == "2" and "x-amz-copy-source" in headers:
            reached.set()
            go_on.wait(60)

    server.gate = gate
    at.pass_days(31)
    assert reached.wait(60)
    keepfs.kill()
    server.gate = None
    go_on.set()
    assert server.class_of(at.key) == "STANDARD" and server.get(at.key) == data
    assert server.uploads() == [at.key]
    keepfs.mount()
    at.wait_class("GLACIER_IR")
    wait_until(lambda: server.uploads() == [], "the upload that was left is aborted")
    assert keepfs.path("backups", "full", at.name).read_bytes() == data
    assert len(at.audit("class")) == 1


def test_a_locked_bucket(place):
    """the new version has the lock of the old one, and its legal hold; the old one stays, and that is told"""
    server = strict_s3.StrictS3(LOCKED)
    try:
        at = place("30d STANDARD_IA", at=server, store={"object_lock": "compliance", "lock_min": "200d", "delete_versions": "yes"})
        keepfs = at.keepfs
        name = at.backup()
        keepfs.ask("hold", f"full/{name} on reason='audit 2026'")
        wait_until(lambda: server.things[f"{strict_s3.PREFIX}/{at.key}"][-1].hold, "the legal hold")
        at.pass_days(31)
        at.wait_class("STANDARD_IA")
        old, new = server.things[f"{strict_s3.PREFIX}/{at.key}"]
        assert old.storage_class == "STANDARD" and new.storage_class == "STANDARD_IA" and old.data == new.data
        assert new.mode == old.mode == "COMPLIANCE" and new.retain_until >= old.retain_until and new.hold
        wait_until(lambda: at.audit("class"), "the line of the audit")
        (line,) = at.audit("class")
        assert f"stored as well, until {old.retain_until}" in line["detail"]
    finally:
        keepfs.unmount()
        server.stop()


def test_held_while_it_is_moved(place):
    """a hold that comes while the store copies is on the old version by then, and must be on the one that takes its place"""
    server = strict_s3.StrictS3(LOCKED)
    copied, go_on = threading.Event(), threading.Event()

    def gate(method, query, headers):
        if method == "POST" and "uploadId" in query and server.things.get(f"{strict_s3.PREFIX}/{at.key}") and at.moves:
            copied.set()
            assert go_on.wait(60)

    try:
        at = place("30d STANDARD_IA", at=server, store={"object_lock": "governance", "lock_min": "200d"})
        at.moves = False
        name = at.backup()
        manifest = f"{strict_s3.PREFIX}/manifests/{at.key}.json"
        at.moves, server.gate = True, gate
        at.pass_days(31)
        assert copied.wait(60)
        at.keepfs.ask("hold", f"full/{name} on reason='audit 2026'")
        wait_until(lambda: server.things[manifest][-1].hold, "the legal hold")
        go_on.set()
        at.wait_class("STANDARD_IA")
        assert all(thing.hold for thing in server.things[f"{strict_s3.PREFIX}/{at.key}"])
    finally:
        go_on.set()
        at.keepfs.unmount()
        server.stop()


def test_versions_are_deleted_where_they_may_be(place):
    profile = strict_s3.Profile("aws", ["eu-central-1"], versions="always")
    server = strict_s3.StrictS3(profile)
    try:
        at = place("30d STANDARD_IA", at=server, store={"delete_versions": "yes"})
        at.backup()
        at.pass_days(31)
        at.wait_class("STANDARD_IA")
        wait_until(lambda: len(server.things[f"{strict_s3.PREFIX}/{at.key}"]) == 1, "the earlier version is gone")
    finally:
        at.keepfs.unmount()
        server.stop()


def test_a_clock_that_leaps(place, server):
    """an archive is paid for, and what is in it cannot be read: nothing is moved by a clock by which nothing would be deleted"""
    at = place("30d GLACIER")
    at.backup()
    at.clocks.set_clock(40 * DAY)
    wait_until(lambda: "while the clock is doubtful" in (at.keepfs.state / "keepfs.log").read_text() or server.class_of(at.key) != "STANDARD", "a look at what is due")
    assert server.class_of(at.key) == "STANDARD" and at.audit("class") == []
    at.clocks.set_clock(-40 * DAY)
    at.pass_days(31)
    at.wait_class("GLACIER")


def test_a_class_that_the_server_does_not_know(place, server):
    """it refuses it, or takes it and does nothing: the backup stays as it was, and what is wrong is told"""
    at = place("30d COLDLINE")
    at.backup()
    data = server.get(at.key)
    at.pass_days(31)
    failing = "keepfs_storage_class_failing 1"
    wait_until(lambda: failing in at.keepfs.text("status", "metrics.prom"), failing)
    assert "has no such storage class" in (at.keepfs.state / "keepfs.log").read_text()
    assert server.get(at.key) == data and server.class_of(at.key) == "STANDARD"


def test_a_rebuild_knows_the_classes(place, server):
    """a catalog that knows nothing asks, and nothing is moved twice"""
    at = place("30d GLACIER")
    keepfs = at.keepfs
    at.backup()
    at.pass_days(31)
    at.wait_class("GLACIER")
    keepfs.unmount()
    for file in keepfs.state.glob("catalog.db*"):
        file.unlink()
    keepfs.run("rebuild")
    asked = len(server.asked)
    keepfs.mount()
    at.wait_class("GLACIER")
    assert at.attribute("thaw") == "frozen"
    assert not [a for a in server.asked[asked:] if a[0] == "POST" and "uploads" in a[2] and a[1].endswith(at.name)]
    with contextlib.closing(sqlite3.connect(f"file:{keepfs.state / 'catalog.db'}?mode=ro", uri=True)) as catalog:
        assert catalog.execute("SELECT class, is_frozen, wanted FROM storage_class").fetchall() == [("GLACIER", 1, "GLACIER")]


@pytest.mark.parametrize("value, words", [
    ("30d", "30d"),
    ("GLACIER", "does not begin with an age"),
    ("30d glacier", "is no storage class"),
    ("30d GLACIER, 90d DEEP_ARCHIVE", "nothing can be copied before it is thawed"),
    ("90d STANDARD_IA, 30d GLACIER_IR", "does not come later"),
])
def test_what_is_no_class_after(new_keepfs, server, value, words):
    keepfs = new_keepfs({"full": {"database": "postgresql:///x", "class_after": value}}, store=server)
    done = keepfs.run("check", check=False)
    assert done.returncode != 0 and "class_after" in done.stderr and words in done.stderr


def test_a_directory_has_no_classes(new_keepfs):
    keepfs = new_keepfs({"full": {"database": "postgresql:///x", "class_after": "30d GLACIER_IR"}})
    if keepfs.store.kind != "dir":
        pytest.skip("the store is no directory")
    done = keepfs.run("check", check=False)
    line = next(n for n, text in enumerate(keepfs.conf.read_text().splitlines(), 1) if text.startswith("class_after"))
    assert done.returncode != 0 and f"keepfs.conf:{line}: " in done.stderr and "is for a bucket only" in done.stderr


@pytest.fixture(scope="module")
def ceph_with_classes():
    made = stores.S3Server("ceph", "--storage-class", "STANDARD_IA", "--storage-class", "GLACIER")
    yield made
    made.stop()


@pytest.mark.parametrize("locked", [False, True])
def test_on_ceph(new_keepfs, ceph_with_classes, pg, noise, locked):
    """a real server that has classes: copied by itself, under another ETag, with the lock; and one that is only called as AWS's archive can be read"""
    store = Locked(ceph_with_classes) if locked else stores.OwnBucket(ceph_with_classes, "frozen")
    keepfs = new_keepfs({"full": {"database": pg.uri(noise), "keep": "forever", "class_after": "0s STANDARD_IA, 2s GLACIER"}}, store=store)
    keepfs.store_settings.update({"part_size": "5M", **({"object_lock": "governance", "lock_min": "1m"} if locked else {})})
    keepfs.write_conf()
    keepfs.mount()
    keepfs.backup()
    (name,) = keepfs.artifacts()
    path = keepfs.path("backups", "full", name)

    def is_there():
        with contextlib.suppress(OSError):
            return os.getxattr(path, "user.keepfs.storage_class") == b"GLACIER"
    wait_until(is_there, lambda: (keepfs.state / "keepfs.log").read_text())
    head = store.client.head(f"{store.prefix}/backups/full/{name}")
    assert head["x-amz-storage-class"] == "GLACIER"
    assert not locked or head["x-amz-object-lock-mode"] == "GOVERNANCE"
    # It can be read all the same, and that is what counts.
    assert hashlib.sha256(path.read_bytes()).hexdigest().encode() == os.getxattr(path, "user.keepfs.sha256")
    run = int(keepfs.ask("verify", f"full/{name}").split()[0])
    assert keepfs.wait_run(run)["state"] == "completed"
    keepfs.unmount()
    store.clear()
