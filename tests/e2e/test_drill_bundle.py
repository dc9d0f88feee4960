# SPDX-License-Identifier: Apache-2.0
"""A deployment, restored for a trial from one bundle: its databases, its objects, its archives and its secrets; and nothing of it stays."""
import html
import json
import os
import pathlib
import re
import signal
import sqlite3

import pytest

import daemon
import s3client
from test_bundle import identity, newest, recipient  # noqa: F401 (a fixture)
from test_drill import report
from test_mirror import HOSTILE, MIB, Bucket, foreign, packs  # noqa: F401 (a fixture)
from test_restore_bundle import Deployment

SECRETS = ("hunter2", "k-1234", "MIIEvQIBADANBg==")


@pytest.fixture
def site(pg, tmp_path):
    made = Deployment(pg, tmp_path / "site")
    yield made
    made.drop_all()


def deployment(site, foreign, **bundle):  # noqa: F811
    for number in range(30):
        foreign.put(f"docs/{number % 3}/{number}.txt", os.urandom(300 + number))
    foreign.put("large", os.urandom(17 * MIB + 1))
    if isinstance(foreign, Bucket):
        for key in HOSTILE:
            foreign.put(key, key.encode())
    jobs = {**site.jobs(), "mirror objects": foreign.section()}
    jobs["bundle site"].update({"parts": "objects, uploads, config, secrets, database", **bundle})
    return jobs


class Scratch:
    """where drills bring objects back: a bucket, or a directory, of its own"""

    def __init__(self, foreign, root):  # noqa: F811
        if isinstance(foreign, Bucket):
            f = foreign.facts
            self.client = s3client.S3Client(f["ENDPOINT"], f["REGION"], f["ACCESS_KEY"], f["SECRET_KEY"], foreign.name + "-scratch")
            self.client.create_bucket()
            self.url = f"s3://{foreign.name}-scratch/drills"
        else:
            self.client, self.root = None, root
            root.mkdir()
            self.url = f"dir:{root}"

    def names(self):
        if self.client:
            return list(self.client.keys(""))
        return [str(path.relative_to(self.root)) for path in self.root.rglob("*")]

    def uploads(self):
        return self.client.uploads("") if self.client else []

    def put(self, name):
        if self.client:
            self.client.request("PUT", "drills/" + name, body=b"x")
        else:
            (self.root / name).write_text("x")

    def remove(self, name):
        if self.client:
            self.client.remove("drills/" + name)
        else:
            (self.root / name).unlink()

    def close(self):
        if self.client:
            for key in self.names():
                self.client.remove(html.unescape(key))
            self.client.request("DELETE")


@pytest.fixture
def scratch(foreign, tmp_path):  # noqa: F811
    made = Scratch(foreign, tmp_path / "scratch")
    yield made
    made.close()


def drilled(keepfs, words="site", state="completed"):
    run = int(keepfs.ask("drill", words).split()[0])
    status = keepfs.wait_run(run)
    log = keepfs.text("jobs", str(run), "log")
    assert status["state"] == state, log
    return log


def parts_of(found):
    return {part["name"]: part for part in found["parts"]}


def told_everywhere(keepfs):
    """whatever keepfs tells of itself, but for its backups"""
    texts = []
    for top in ("status", "jobs", "drills", "control"):
        for directory, _, names in os.walk(keepfs.path(top)):
            for name in names:
                if name != "trigger" and not name.endswith(".tar"):
                    texts.append(pathlib.Path(directory, name).read_bytes().decode(errors="replace"))
    return "\n".join(texts)


@pytest.mark.parametrize("store,foreign", [("dir", "dir"), ("ceph", "ceph")], indirect=True)
def test_all_of_it_is_tried_and_nothing_stays(drill_dir, new_keepfs, site, store, foreign, scratch, identity):  # noqa: F811
    jobs = deployment(site, foreign, drill_mirror=scratch.url, drill="weekly-sun-3am", rto="1h", encrypt_to=recipient(identity))
    keepfs = new_keepfs(jobs, identity_file=identity, drill_dir=drill_dir).mount()
    keepfs.backup("site")
    before, there = site.state(), dict(foreign.objects)
    log = drilled(keepfs, "site pick=rotate")
    found = report(keepfs)
    parts = parts_of(found)
    assert (found["result"], found["level"], found["job"], found["pick"]) == ("passed", 4, "site", "newest"), found
    assert [part["name"] for part in found["parts"]] == ["database.dump", "objects", "uploads.tar.zst", "config.tar.zst", "secrets.tar.zst"]
    assert {name: (part["how"], part["result"]) for name, part in parts.items()} == {
        "database.dump": ("restored", "passed"), "objects": ("brought back", "passed"), "uploads.tar.zst": ("unpacked", "passed"),
        "config.tar.zst": ("unpacked", "passed"), "secrets.tar.zst": ("opened", "passed")}
    assert parts["database.dump"]["level"] == 4 and parts["database.dump"]["database"]["tables"]["rows"] == 2100
    assert parts["objects"]["count"] == len(there) and parts["objects"]["bytes"] == sum(map(len, there.values()))
    assert parts["uploads.tar.zst"]["count"] == 21 and found["parts_tried"] == 5 and found["parts_failed"] == 0
    assert found["rto"]["met"] and found["tables"]["rows"] == 2100
    assert f"brought back into {scratch.url}/keepfs-drill-" in log
    # It is on record as a drill of the bundle.
    bundle = newest(keepfs)
    assert os.getxattr(bundle, "user.keepfs.drilled_level") == b"4"
    text = keepfs.text("drills", sorted(os.listdir(keepfs.path("drills")))[-1])
    assert "part            objects passed: brought back" in text and "part            secrets.tar.zst passed: opened" in text
    assert 'keepfs_drill_level{backup_job="site"} 4' in keepfs.text("status", "metrics.prom")
    assert "site" in keepfs.text("status", "recovery") and not re.search(r"^\w+ +drill", keepfs.text("status", "health"), re.M)
    assert 'keepfs_drill_overdue_after_timestamp_seconds{backup_job="site"}' in keepfs.text("status", "metrics.prom")
    # Nothing stays, and nothing of the deployment was touched.
    assert scratch.names() == [] and site.state() == before
    if isinstance(foreign, Bucket):
        assert sorted(map(html.unescape, foreign.client.keys(""))) == sorted(there)
    told = told_everywhere(keepfs)
    assert "secrets.tar.zst is secret" in told and not any(secret in told for secret in SECRETS)


def test_without_a_place_mirrors_are_read(drill_dir, new_keepfs, site, foreign):  # noqa: F811
    keepfs = new_keepfs(deployment(site, foreign), drill_dir=drill_dir).mount()
    keepfs.backup("site")
    drilled(keepfs, "site level=3")
    found = report(keepfs)
    assert found["result"] == "passed" and found["level"] == 3
    assert parts_of(found)["objects"]["how"] == "read" and parts_of(found)["objects"]["count"] == len(foreign.objects)
    assert any(note.startswith(f"objects was read only, each of its {len(foreign.objects)} objects") for note in found["notes"]), found
    # As much as was asked for, and no more.
    drilled(keepfs, "site level=2")
    assert report(keepfs)["level"] == 2 and parts_of(report(keepfs))["config.tar.zst"]["level"] == 2


def damage(keepfs, key):
    data = bytearray(keepfs.store.get(key))
    data[len(data) // 2] ^= 1
    keepfs.store.put(key, bytes(data))


@pytest.mark.parametrize("mirror", ["", "place"])
def test_what_is_damaged_is_named_and_all_others_are_tried(drill_dir, new_keepfs, site, foreign, scratch, mirror):  # noqa: F811
    keepfs = new_keepfs(deployment(site, foreign), drill_dir=drill_dir).mount()
    keepfs.backup("site")
    place = f" mirror={scratch.url}" if mirror else ""
    damage(keepfs, next(key for key in packs(keepfs.store) if key.endswith(".tar")))
    log = drilled(keepfs, f"site level=3{place}", "failed")
    found = report(keepfs)
    parts = parts_of(found)
    assert found["result"] == "failed" and found["level"] == -1 and found["error"].startswith("the part objects: "), found
    assert parts["objects"]["result"] == "failed" and {part["result"] for name, part in parts.items() if name != "objects"} == {"passed"}, log
    assert found["parts_failed"] == 1 and scratch.names() == []
    health = keepfs.text("status", "health")
    assert "drill site" in health and "the part objects" in health
    # An archive, too: both are named, and the backup is marked.
    damage(keepfs, f"backups/site/{newest(keepfs).name}/config.tar.zst")
    drilled(keepfs, f"site/{newest(keepfs).name} level=2{place}", "failed")
    found = report(keepfs)
    assert found["error"].startswith("2 of 5 parts did not pass") and parts_of(found)["config.tar.zst"]["result"] == "failed", found
    assert "config.tar.zst" in parts_of(found)["config.tar.zst"]["error"] and parts_of(found)["uploads.tar.zst"]["result"] == "passed"
    assert scratch.names() == []


def test_places_that_are_refused(drill_dir, new_keepfs, site, foreign, scratch, tmp_path):  # noqa: F811
    keepfs = new_keepfs(deployment(site, foreign), drill_dir=drill_dir).mount()
    keepfs.backup("site")
    link = tmp_path / "link"
    link.symlink_to(foreign.root)
    for place, said in ((f"dir:{foreign.root}", "[mirror objects] url"), (f"dir:{foreign.root}/below", "[mirror objects] url"), (f"dir:{tmp_path}", "lies in, around or at"),
                        (f"dir:{link}", "[mirror objects] url"), (f"dir:{site.root}/config/x", "[files config] path"), (f"dir:{keepfs.mountpoint}/x", "[keepfs] mountpoint"),
                        (keepfs.store.url if hasattr(keepfs.store, "url") else f"dir:{keepfs.store.root}", "[store] url"), ("nowhere", "is no place for objects"),
                        ("none", "is no place for objects")):
        assert said in keepfs.refused("drill", f"site mirror={place}"), place
    before = len(keepfs.history())
    scratch.put("somebody's")
    log = drilled(keepfs, f"site level=2 mirror={scratch.url}", "failed")
    assert "is not empty (somebody's), and no drill of this keepfs has left that" in log and "part database.dump" not in log
    assert len(keepfs.history()) == before + 1 and scratch.names() == ["somebody's"]
    scratch.remove("somebody's")
    drilled(keepfs, f"site level=2 mirror={scratch.url}")
    # What overlaps in the configuration is refused when that is read.
    keepfs.jobs["bundle site"]["drill_mirror"] = f"dir:{foreign.root}/x"
    keepfs.write_conf()
    done = keepfs.run("check", check=False)
    assert "drill_mirror" in done.stdout + done.stderr and "[mirror objects] url" in done.stdout + done.stderr


@pytest.mark.parametrize("foreign", ["dir", "ceph"], indirect=True)
def test_killed_in_the_middle(drill_dir, new_keepfs, site, foreign, scratch):  # noqa: F811
    keepfs = new_keepfs(deployment(site, foreign, drill_mirror=scratch.url), drill_dir=drill_dir).mount()
    keepfs.backup("site")
    left = []
    while not left:  # it may have been too quick to be killed while objects come back
        run = int(keepfs.ask("drill", "site level=2").split()[0])
        daemon.wait_until(lambda: scratch.names() or keepfs.run_status(run)["state"] == "completed", lambda: keepfs.text("jobs", str(run), "log"))
        kill(keepfs)
        left = scratch.names()
        keepfs.mount()
    daemon.wait_until(lambda: scratch.names() == [], lambda: (left, keepfs.history()))
    assert keepfs.run_status(run)["state"] == "failed"
    daemon.wait_until(lambda: "brought objects back" not in keepfs.text("status", "health"), lambda: keepfs.text("status", "health"))
    assert [row["state"] for row in keepfs.history() if row["job"] == "drill:clear"] == ["completed"]
    assert scratch.uploads() == []
    drilled(keepfs, "site level=2")
    assert "no drill has left anything" in keepfs.refused("drill", "clear")


def test_killed_while_an_archive_is_unpacked(drill_dir, new_keepfs, site, foreign, scratch):  # noqa: F811
    for number in range(3000):
        (site.root / "uploads" / "a" / f"more-{number}").write_bytes(b"x" * 100)
    keepfs = new_keepfs(deployment(site, foreign), drill_dir=drill_dir).mount()
    keepfs.backup("site")
    left = []
    while not left:
        run = int(keepfs.ask("drill", "site level=2").split()[0])
        daemon.wait_until(lambda: unpacked(drill_dir) or keepfs.run_status(run)["state"] == "completed", lambda: keepfs.text("jobs", str(run), "log"))
        kill(keepfs)
        left = unpacked(drill_dir)
        assert all(os.stat(path.parent).st_mode & 0o7777 == 0o700 for path in left)
        keepfs.mount()
    daemon.wait_until(lambda: not list(drill_dir.glob("scratch-*")), lambda: list(drill_dir.iterdir()))


def unpacked(drill_dir):
    """the directories of a drill that hold files of an archive"""
    return list(drill_dir.glob("scratch-*/files"))


def kill(keepfs):
    for pid in keepfs.daemons():
        os.kill(pid, signal.SIGKILL)
        daemon.wait_exit(pid)
    keepfs.killed = True
    for pid in keepfs.processes():
        os.kill(pid, signal.SIGKILL)
    keepfs.unmount()


def test_from_the_store_alone_on_another_host(drill_dir, new_keepfs, site, foreign, scratch, store, tmp_path):  # noqa: F811
    first = new_keepfs(deployment(site, foreign), directory=tmp_path / "first").mount()
    first.backup("site")
    path = f"site/{newest(first).name}"
    first.unmount()
    other = new_keepfs({"full": {"database": site.pg.uri("postgres")}}, store=store, directory=tmp_path / "second", drill_dir=drill_dir)
    other.run("rebuild")
    other.run("drill", path, "level=3", f"mirror={scratch.url}")
    found = report(other)
    assert found["result"] == "passed" and found["level"] == 3 and parts_of(found)["objects"]["how"] == "brought back"
    assert scratch.names() == []


def test_an_archive_by_itself(drill_dir, new_keepfs, site):
    jobs = site.jobs()
    jobs["files config"]["drill"] = "@daily"
    keepfs = new_keepfs(jobs, drill_dir=drill_dir).mount()
    keepfs.backup("config")
    drilled(keepfs, "config")
    found = report(keepfs)
    assert (found["result"], found["level"], found["parts_tried"]) == ("passed", 3, 1) and found["on"] == "a scratch directory"
    (part,) = found["parts"]
    assert part["how"] == "unpacked" and part["name"].endswith(".tar.zst")
    assert "keep=yes" in drilled(keepfs, f"config keep=yes server={site.pg.uri('postgres')}", "failed")
    # It is read again to its end, and what differs there is told.
    assert sqlite3.connect(f"file:{keepfs.state}/catalog.db?mode=ro", uri=True).execute("SELECT count(*) FROM restore").fetchone() == (0,)
    assert json.loads(keepfs.text("drills", sorted(os.listdir(keepfs.path("drills")))[0]))["job"] == "config"
