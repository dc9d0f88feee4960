# SPDX-License-Identifier: Apache-2.0
"""A catalog that is lost, damaged, without space, of another store, or wanted by two daemons."""
import contextlib
import datetime
import errno
import hashlib
import json
import os
import shutil
import signal
import subprocess

import pytest

import daemon
import stores

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="needs root to mount a tmpfs")


def everything(keepfs):
    """all that users see of the artifacts"""
    seen = {}
    for parent, _, names in os.walk(keepfs.path("backups")):
        for name in sorted(names):
            path = os.path.join(parent, name)
            s = os.lstat(path)
            relative = os.path.relpath(path, keepfs.mountpoint)
            if os.path.islink(path):
                seen[relative] = os.readlink(path)
            else:
                with open(path, "rb") as f:
                    digest = hashlib.sha256(f.read()).hexdigest()
                seen[relative] = (s.st_ino, s.st_size, s.st_mtime_ns, s.st_mode, s.st_blocks, digest,
                                  {x: os.getxattr(path, x) for x in sorted(os.listxattr(path))})
    return seen


@pytest.mark.parametrize("store", ["dir", "ceph", "swift"], indirect=True)
def test_a_lost_catalog_is_rebuilt(new_keepfs, pg, noise):
    keepfs = new_keepfs({"full": {"database": pg.uri("sample")}, "big": {"database": pg.uri(noise)},
                         "many": {"database": pg.uri("postgres"), "databases": "sample, postgres"}}).mount()
    for job in ("full", "full", "big", "many"):
        keepfs.backup(job)
    before = everything(keepfs)
    runs = {(r["run"], r["job"], r["state"], r["size_bytes"]) for r in keepfs.history()}
    keepfs.unmount()
    for path in keepfs.state.glob("catalog.db*"):
        path.unlink()
    keepfs.run("rebuild")
    keepfs.mount()
    assert everything(keepfs) == before
    assert {(r["run"], r["job"], r["state"], r["size_bytes"]) for r in keepfs.history()} == runs
    keepfs.backup("full")


def test_rebuild_names_what_is_wrong(new_keepfs):
    keepfs = new_keepfs().mount()
    keepfs.backup()
    keepfs.backup()
    good, bad = keepfs.artifacts()
    keepfs.unmount()
    manifest = f"manifests/backups/full/{bad}.json"
    text = keepfs.store.get(manifest)
    keepfs.store.put(manifest, text[:len(text) // 2])
    done = keepfs.run("rebuild", check=False)
    assert done.returncode == 1 and bad in done.stderr
    assert " 1 backup (" in done.stdout and " 1 problem;" in done.stdout
    keepfs.mount()
    assert keepfs.artifacts() == [good]
    keepfs.unmount()
    keepfs.store.put(manifest, text)
    keepfs.run("rebuild")
    keepfs.mount()
    assert keepfs.artifacts() == [good, bad]


def test_a_catalog_that_is_garbage(new_keepfs):
    keepfs = new_keepfs().mount()
    keepfs.backup()
    names = keepfs.artifacts()
    keepfs.unmount()
    for path in keepfs.state.glob("catalog.db*"):
        path.unlink()
    (keepfs.state / "catalog.db").write_bytes(b"this is no database" * 1000)
    done = keepfs.run("mount", check=False)
    assert done.returncode != 0 and "rebuild" in done.stdout + done.stderr
    assert "aside" in keepfs.run("rebuild").stderr
    assert [path.read_bytes()[:19] for path in keepfs.state.glob("catalog.db.broken-*")] == [b"this is no database"]
    keepfs.mount()
    assert keepfs.artifacts() == names


@pytest.fixture
def small_disk(tmp_path):
    where = tmp_path / "small"
    where.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=8m", "keepfs-small", str(where)], check=True)
    yield where
    subprocess.run(["umount", str(where)], check=True)


def fill(path):
    """a file that takes all space that is left"""
    with open(path, "wb", buffering=0) as f:
        for size in (65536, 1):
            try:
                while True:
                    f.write(b"x" * size)
            except OSError as error:
                assert error.errno == errno.ENOSPC


def intents(keepfs):
    """the names of what is being made; the catalog's disk can be unmounted afterwards"""
    with contextlib.closing(keepfs.catalog()) as catalog:
        return catalog.execute("SELECT path FROM intent").fetchall()


@needs_root
def test_a_backup_that_is_whole_waits_for_space(small_disk, new_keepfs, pg):
    """the disk becomes full while the last step of a run is at work: nothing is lost, and no hand is needed but for space"""
    keepfs = new_keepfs(state_dir=small_disk / "state")
    keepfs.state = small_disk / "state"
    keepfs.mount()
    with pg.lock("sample", "sales.orders") as lock:
        run = keepfs.trigger()
        lock.wait_until_waited_for()
        daemon.wait_until(lambda: intents(keepfs), "the name to be chosen")
        fill(small_disk / "filler")
    daemon.wait_until(lambda: any(key.startswith("manifests/") and key.endswith(".json") for key in keepfs.store.keys()), "the manifest to be in the store")
    assert keepfs.run_status(run)["state"] == "running"
    assert keepfs.artifacts() == []
    assert "space for the catalog" in keepfs.text("status", "health").splitlines()[0]
    (small_disk / "filler").unlink()
    assert keepfs.wait_run(run)["state"] == "completed"
    assert len(keepfs.artifacts()) == 1


def put_back(keepfs, copy, hours=2):
    """an older state directory in place of the newer one, and what was made since made to look older than an hour"""
    keepfs.unmount()
    shutil.rmtree(keepfs.state)
    shutil.copytree(copy, keepfs.state)
    for key in keepfs.store.keys():
        if not key.startswith("manifests/") or not key.endswith(".json"):
            continue
        manifest = json.loads(keepfs.store.get(key))
        for field in ("started_at", "finished_at"):
            at = datetime.datetime.strptime(manifest[field], "%Y-%m-%dT%H:%M:%S.%fZ") - datetime.timedelta(hours=hours)
            manifest[field] = at.strftime("%Y-%m-%dT%H:%M:%S.%fZ")
        keepfs.store.put(key, json.dumps(manifest).encode())


def test_an_older_catalog_is_put_back(keepfs, tmp_path):
    """what was made since is listed again by the start, with its runs, and their numbers are not given out twice"""
    keepfs.backup()
    keepfs.unmount()
    shutil.copytree(keepfs.state, tmp_path / "copy")
    keepfs.mount()
    for _ in range(2):
        keepfs.backup()
    names, latest = keepfs.artifacts(), os.readlink(keepfs.path("backups", "full", "latest.dump"))
    put_back(keepfs, tmp_path / "copy")
    keepfs.mount()
    assert keepfs.artifacts() == names
    assert os.readlink(keepfs.path("backups", "full", "latest.dump")) == latest
    assert [(run["run"], run["state"]) for run in keepfs.history()] == [(run, "completed") for run in (3, 2, 1)]
    assert keepfs.trigger() == 4
    assert keepfs.wait_run(4)["state"] == "completed"


@pytest.mark.parametrize("name", ["catalog.db", "catalog.db-wal", "lock", "keepfs.log"])
def test_a_link_in_the_state_directory_is_not_followed(new_keepfs, tmp_path, name):
    keepfs = new_keepfs()
    target = tmp_path / "precious"
    target.write_text("precious")
    target.chmod(0o644)
    keepfs.state.mkdir(parents=True, exist_ok=True)
    (keepfs.state / name).symlink_to(target)
    done = keepfs.run("mount", check=False)
    assert done.returncode != 0 and f"{name} is a symbolic link" in done.stderr, done.stderr
    assert target.read_text() == "precious" and target.stat().st_mode & 0o777 == 0o644
    (keepfs.state / name).unlink()
    keepfs.mount()


@needs_root
def test_no_space_for_a_copy_of_the_catalog(small_disk, new_keepfs):
    """neither to make one nor to get one back: it is told, nothing is left of it, and with space it is done"""
    keepfs = new_keepfs(state_dir=small_disk / "state")
    keepfs.state = small_disk / "state"
    keepfs.mount()
    keepfs.backup()
    fill(small_disk / "filler")
    keepfs.unmount()
    assert not any(key.startswith("catalog/") for key in keepfs.store.all_keys()) and not list(keepfs.state.glob("catalog-copy*"))
    (small_disk / "filler").unlink()
    keepfs.mount()
    keepfs.unmount()
    assert len(keepfs.store.all_keys()) == len(keepfs.store.keys()) + 1
    for path in keepfs.state.glob("catalog.db*"):
        path.unlink()
    keepfs.run("mount", check=False)  # makes an empty catalog, and refuses to serve
    fill(small_disk / "filler")
    os.truncate(small_disk / "filler", (small_disk / "filler").stat().st_size - (100 << 10))  # an empty catalog can be opened
    failed = keepfs.run("rebuild", check=False)
    assert failed.returncode == 1 and "No space left on device" in failed.stderr and "copy" in failed.stderr, failed.stderr
    assert not list(keepfs.state.glob("catalog-copy*"))
    (small_disk / "filler").unlink()
    assert "are those of catalog/" in keepfs.run("rebuild").stdout


@needs_root
def test_disk_full_under_the_catalog(small_disk, new_keepfs):
    """reading goes on; a trigger says that the disk is full; with room again everything works, without a restart"""
    keepfs = new_keepfs(state_dir=small_disk / "state")
    keepfs.state = small_disk / "state"
    keepfs.mount()
    keepfs.backup()
    fill(small_disk / "filler")
    try:
        run = keepfs.trigger()
    except OSError as error:
        assert error.errno == errno.ENOSPC
    else:
        assert keepfs.wait_run(run)["state"] == "failed"
    assert subprocess.run(["sha256sum", "-c", "SHA256SUMS"], cwd=keepfs.path("backups", "full"), stdout=subprocess.DEVNULL).returncode == 0
    assert keepfs.text("status", "health").split()[0] in ("WARN", "CRIT")
    (small_disk / "filler").unlink()
    keepfs.backup()
    assert len(keepfs.artifacts()) == 2


@pytest.mark.parametrize("end", ["cancelled", "failed"])
def test_a_second_keepfs_in_the_same_place(new_keepfs, pg, tmp_path, end):
    """both begin in the same second, with the same number of the run: whoever comes later replaces and removes nothing"""
    theirs = new_keepfs(directory=tmp_path / "theirs", store=stores.DirStore(tmp_path / "elsewhere")).mount()
    theirs.backup()
    keepfs = new_keepfs().mount()
    with pg.lock("sample", "sales.orders") as lock:
        run = keepfs.trigger()
        # Whoever finds the other's earlier, before it has begun to dump, fails at once.
        lock.wait_until_waited_for()
        ((ours,),) = daemon.wait_until(lambda: keepfs.catalog().execute("SELECT path FROM intent").fetchall(), "the name to be chosen")
        name = "backups/full/" + theirs.artifacts()[0]
        before = b"what they made"
        for directory in ("", "manifests/"):
            (keepfs.store.root / f"{directory}backups/full").mkdir(parents=True, exist_ok=True)
        keepfs.store.put(ours, before)
        stem, their_stem = ours.removesuffix(".dump"), name.removesuffix(".dump")
        beside = {key.replace(their_stem, stem): theirs.store.get(key) for key in theirs.store.keys()
                  if their_stem in key and key != name and not key.endswith(".json")}
        for key, content in beside.items():
            keepfs.store.put(key, content)
        keepfs.store.put(f"manifests/{ours}.json", theirs.store.get(f"manifests/{name}.json").replace(os.path.basename(their_stem).encode(), os.path.basename(stem).encode()))
        if end == "cancelled":
            keepfs.path("jobs", str(run), "cancel").write_text("1\n")
            keepfs.wait_run(run)
    status = keepfs.wait_run(run)
    assert status["state"] == end
    assert end == "cancelled" or "second keepfs" in keepfs.history(run)["error"]
    assert keepfs.store.get(ours) == before
    assert f"manifests/{ours}.json" in keepfs.store.keys()
    assert keepfs.artifacts() == []
    assert {key: keepfs.store.get(key) for key in beside} == beside


def test_a_second_keepfs_in_the_same_directory(new_keepfs, pg):
    """the files of both have the same names: none of theirs is replaced when they were faster"""
    keepfs = new_keepfs({"full": {"database": pg.uri("sample"), "format": "directory"}}).mount()
    keepfs.backup()
    theirs = keepfs.artifacts()[0]
    with pg.lock("sample", "sales.orders"):
        run = keepfs.trigger("full globals=no")
        keepfs.wait_run(run, {"running"})
        ((ours,),) = daemon.wait_until(lambda: keepfs.catalog().execute("SELECT path FROM intent").fetchall(), "the name to be chosen")
        name = os.path.basename(ours)
        for key in [key for key in keepfs.store.keys() if theirs in key]:
            keepfs.store.put(key.replace(theirs, name), b"what they made" if ".dat" in key else keepfs.store.get(key).replace(theirs.encode(), name.encode()))
        before = {key: keepfs.store.get(key) for key in keepfs.store.keys() if name in key}
    assert keepfs.wait_run(run)["state"] == "failed"
    assert "second keepfs" in keepfs.history(run)["error"]
    assert {key: keepfs.store.get(key) for key in keepfs.store.keys() if name in key} == before


def test_a_second_daemon_is_refused(keepfs):
    done = keepfs.run("mount", check=False)
    assert done.returncode != 0
    assert str(keepfs.daemons()[0]) in done.stderr + done.stdout
    keepfs.backup()


def test_another_daemon_on_the_same_mountpoint_is_refused(keepfs, new_keepfs):
    """and the mount that is there is not harmed"""
    other = new_keepfs(directory=keepfs.directory / "other", mountpoint=keepfs.mountpoint, lease="none")
    done = other.run("mount", check=False)
    assert done.returncode != 0 and str(keepfs.mountpoint) in done.stderr
    keepfs.backup()


def test_another_store_under_the_same_catalog_is_refused(keepfs, tmp_path):
    """its backups would be listed and not be there"""
    keepfs.backup()
    keepfs.unmount()
    old = keepfs.store_settings["url"]
    keepfs.store_settings["url"] = f"dir:{tmp_path / 'elsewhere'}"
    keepfs.write_conf()
    for command in (["mount"], ["run", "full"]):
        done = keepfs.run(*command, check=False)
        assert done.returncode == 2 and old in done.stderr and "keepfs rebuild" in done.stderr, done.stderr
    keepfs.run("rebuild")
    keepfs.mount()
    assert keepfs.artifacts() == []
    keepfs.unmount()
    keepfs.store_settings["url"] = old
    keepfs.write_conf()
    assert "keepfs rebuild" in keepfs.run("mount", check=False).stderr
    keepfs.run("rebuild")
    keepfs.mount()
    assert len(keepfs.artifacts()) == 1


def test_a_disk_that_is_not_mounted_is_noticed(keepfs):
    """the empty mountpoint of the store's disk is not taken for the store"""
    keepfs.backup()
    keepfs.unmount()
    root, away = keepfs.store.root, keepfs.store.root.with_name("away")
    root.rename(away)
    root.mkdir()
    done = keepfs.run("mount", check=False)
    assert done.returncode == 2 and "is its disk mounted?" in done.stderr, done.stderr
    assert list(root.iterdir()) == []
    root.rmdir()
    away.rename(root)
    keepfs.mount()
    assert len(keepfs.artifacts()) == 1


def test_a_mountpoint_by_another_name(new_keepfs, tmp_path):
    """with a space in it, and through a link: a stale mount is found all the same"""
    (tmp_path / "with space").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "with space")
    keepfs = new_keepfs(mountpoint=tmp_path / "link" / "mnt")
    keepfs.mountpoint = tmp_path / "with space" / "mnt"
    keepfs.mountpoint.mkdir()
    keepfs.run("mount")
    keepfs.kill()
    keepfs.run("mount")
    assert os.listdir(keepfs.mountpoint)
    for pid in keepfs.daemons():
        keepfs.signal(signal.SIGTERM)


def test_a_lost_catalog_is_noticed(keepfs):
    """an empty tree over a full store would make `rsync --delete` empty the other copies too"""
    keepfs.backup()
    keepfs.unmount()
    for left in keepfs.state.glob("catalog.db*"):
        left.unlink()
    for command in (["mount"], ["run", "full"]):
        done = keepfs.run(*command, check=False)
        assert done.returncode == 2 and "keepfs rebuild" in done.stderr, done.stderr
    keepfs.run("rebuild")
    keepfs.mount()
    assert len(keepfs.artifacts()) == 1
