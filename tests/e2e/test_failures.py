# SPDX-License-Identifier: Apache-2.0
"""What goes wrong in practice: each failure is seen, named, and leaves nothing behind."""
import errno
import hashlib
import json
import os
import pathlib
import signal
import socket
import subprocess
import time

import pytest

import daemon
import stores

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="needs root to mount a tmpfs")
SHORT = {"retry_deadline": "3s", "connect_timeout": "2s", "stall_timeout": "2s"}


def fails(keepfs, *words):
    """a run that must fail, with these words in its error and in the history; nothing stays in the store"""
    before = keepfs.store.keys()
    run = keepfs.trigger()
    status = keepfs.wait_run(run)
    assert status["state"] == "failed"
    error = keepfs.history(run)["error"]
    for word in words:
        assert word.lower() in error.lower(), error
    assert keepfs.store.keys() == before
    return error


def noisy(new_keepfs, pg, noise, faults=None, **settings):
    keepfs = new_keepfs({"big": {"database": pg.uri(noise)}}, **settings)
    if faults:
        keepfs.store_settings["faults"] = faults
    keepfs.write_conf()
    return keepfs


def without_faults(keepfs):
    keepfs.store_settings.pop("faults", None)
    keepfs.write_conf()


# PostgreSQL


def test_postgresql_stopped(new_keepfs, own_pg):
    keepfs = new_keepfs({"full": {"database": own_pg.uri("sample")}}).mount()
    keepfs.backup()
    own_pg.stop()
    fails(keepfs, "connect")
    assert keepfs.text("status", "health").split()[0] in ("WARN", "CRIT")
    done = keepfs.run("trigger", "--wait", "now", check=False)
    assert done.returncode == 1 and done.stdout == "" and "\nstate failed\n" in done.stderr and "\nerror " in done.stderr
    assert len(keepfs.artifacts()) == 1
    own_pg.start()
    keepfs.backup()
    assert keepfs.text("status", "health").split()[0] == "OK"


def test_wrong_password(new_keepfs, pg):
    keepfs = new_keepfs({"full": {"database": pg.uri_tcp("sample", password="hunter2-wrong")}}).mount()
    error = fails(keepfs, "password authentication failed")
    assert "hunter2" not in error


def test_database_does_not_exist(new_keepfs, pg):
    fails(new_keepfs({"full": {"database": pg.uri("nosuch")}}).mount(), "nosuch", "does not exist")


def test_a_role_under_row_security(new_keepfs, pg):
    pg.sql("sample", "DO $$ BEGIN CREATE ROLE limited LOGIN; EXCEPTION WHEN duplicate_object THEN NULL; END $$;"
                     "GRANT pg_read_all_data TO limited")
    fails(new_keepfs({"full": {"database": pg.uri("sample", user="limited")}}).mount(), "row", "orders")


def test_pg_dump_killed_while_it_waits(keepfs, pg):
    with pg.lock("sample", "sales.orders") as lock:
        run = keepfs.trigger()
        lock.wait_until_waited_for()
        (pid,) = keepfs.children("pg_dump")
        os.kill(pid, signal.SIGKILL)
        assert keepfs.wait_run(run)["state"] == "failed"
    assert "signal 9" in keepfs.history(run)["error"] or "kill" in keepfs.history(run)["error"].lower()
    assert keepfs.store.keys() == []


def test_pg_dump_killed_in_the_middle(new_keepfs, pg, noise):
    """it is stopped at its first part, so that it cannot be through before it is killed"""
    keepfs = noisy(new_keepfs, pg, noise, "part:1+:slow:20000").mount()
    with pg.lock(noise, "public.noise") as lock:
        run = keepfs.trigger()
        lock.wait_until_waited_for()
        (pid,) = keepfs.children("pg_dump")
    keepfs.wait_run(run, condition=lambda _: keepfs.store.uploads())
    os.kill(pid, signal.SIGKILL)
    assert keepfs.wait_run(run)["state"] == "failed"
    assert keepfs.store.uploads() == [] and keepfs.store.keys() == []
    assert keepfs.artifacts("big") == []


# the store


@pytest.mark.parametrize("fault", ["part:2:eio", "complete:1:eio", "begin:1:eio", "put:1+:nospace"])
def test_a_store_that_fails_in_an_upload(new_keepfs, pg, noise, fault):
    keepfs = noisy(new_keepfs, pg, noise, fault).mount()
    fails(keepfs)
    assert keepfs.artifacts("big") == []
    keepfs.unmount()
    without_faults(keepfs)
    keepfs.mount()
    keepfs.backup()


@pytest.mark.parametrize("fault", ["part:2:unavailable", "complete:1:unavailable", "put:1:unavailable", "get:1:unavailable"])
def test_a_store_that_stumbles_is_tried_again(new_keepfs, pg, noise, fault):
    keepfs = noisy(new_keepfs, pg, noise, fault).mount()
    history = keepfs.backup()
    latest = keepfs.path("backups", "big", "latest.dump")
    assert hashlib.sha256(latest.read_bytes()).hexdigest() == history["sha256"]


def read_as_far_as_it_goes(path, whole, after_first):
    """read like cp; every byte that is given must be right. Returns (bytes read, errno or None)"""
    done = 0
    fd = os.open(path, os.O_RDONLY)
    try:
        while True:
            try:
                chunk = os.read(fd, 128 << 10)
            except OSError as error:
                return done, error.errno
            if not chunk:
                return done, None
            assert chunk == whole[done:done + len(chunk)], f"wrong bytes at {done}"
            done += len(chunk)
            if after_first:
                after_first()
                after_first = None
    finally:
        os.close(fd)


@pytest.mark.parametrize("store", ["ceph", "swift"], indirect=True)
def test_the_store_goes_down_in_mid_copy(new_keepfs, pg, noise, store):
    """EIO, never zeros or a short file; and it works again, without a remount, when the store is back"""
    link = stores.Link(store.settings["endpoint"])
    keepfs = new_keepfs({"big": {"database": pg.uri(noise), "compression": "none"}})
    keepfs.store_settings.update(SHORT, endpoint=link.endpoint)
    keepfs.write_conf()
    keepfs.mount()
    keepfs.backup()
    keepfs.remount()
    path = keepfs.path("backups", "big", "latest.dump")
    name = os.readlink(path)
    whole = store.get(f"backups/big/{name}")
    assert len(whole) > 57 << 20  # more than the half of the pool that readers have: reading ahead cannot have it all
    try:
        done, error = read_as_far_as_it_goes(path, whole, link.cut)
        assert error == errno.EIO and 0 < done < len(whole)
        assert name in keepfs.text("status", "last-error").splitlines()[0]
        assert name in os.listdir(path.parent)
        copy = subprocess.run(["cp", str(path), str(keepfs.directory / "copy")], stderr=subprocess.PIPE, text=True)
        assert copy.returncode != 0 and "Input/output error" in copy.stderr
        link.join()
        assert read_as_far_as_it_goes(path, whole, None) == (len(whole), None)
        keepfs.unmount()
    finally:
        link.cut()


def test_the_store_goes_down_in_mid_dump(new_keepfs, pg, noise, s3_servers):
    """the run fails and says why; what the store still holds of it goes at the next start"""
    store = stores.S3Store(s3_servers("ceph"), "mid-dump")
    link = stores.Link(store.settings["endpoint"])
    keepfs = new_keepfs({"big": {"database": pg.uri(noise)}}, store=store)
    keepfs.store_settings.update(SHORT, endpoint=link.endpoint, faults="part:2+:slow:1000")
    keepfs.write_conf()
    keepfs.mount()
    try:
        run = keepfs.trigger()
        keepfs.wait_run(run, condition=lambda _: store.uploads())
        link.cut()
        status = keepfs.wait_run(run)
        assert status["state"] == "failed"
        assert "127.0.0.1" in keepfs.history(run)["error"]
        keepfs.unmount()
        link.join()
        without_faults(keepfs)
        keepfs.mount()
        assert store.uploads() == [] and store.keys() == []
        keepfs.backup()
        keepfs.unmount()
    finally:
        link.cut()
    store.clear()


@pytest.mark.parametrize("store", ["dir", "ceph"], indirect=True)
def test_a_corrupt_object(new_keepfs, pg, noise):
    """one flipped bit in the middle: everything before it may be read, it and nothing wrong is given out"""
    keepfs = noisy(new_keepfs, pg, noise).mount()
    keepfs.backup()
    path = keepfs.path("backups", "big", "latest.dump")
    name = os.readlink(path)
    keepfs.unmount()
    whole = keepfs.store.get(f"backups/big/{name}")
    wrong = bytearray(whole)
    wrong[len(whole) // 2] ^= 1
    keepfs.store.put(f"backups/big/{name}", bytes(wrong))
    keepfs.mount()
    done, error = read_as_far_as_it_goes(path, whole, None)
    assert error == errno.EIO and done <= len(whole) // 2
    why = keepfs.text("status", "last-error").splitlines()[0]
    assert f"backups/big/{name}" in why and "EIO" in why
    keepfs.store.put(f"backups/big/{name}", whole)


def test_a_truncated_and_a_missing_object(new_keepfs, pg, noise):
    keepfs = noisy(new_keepfs, pg, noise).mount()
    keepfs.backup()
    path = keepfs.path("backups", "big", "latest.dump")
    key = f"backups/big/{os.readlink(path)}"
    keepfs.unmount()
    whole = keepfs.store.get(key)
    for damage in (lambda: keepfs.store.put(key, whole[:-1]), lambda: keepfs.store.remove(key)):
        damage()
        keepfs.mount()
        done, error = read_as_far_as_it_goes(path, whole, None)
        assert error == errno.EIO and done < len(whole)
        assert key in keepfs.text("status", "last-error").splitlines()[0]
        keepfs.unmount()
        keepfs.store.put(key, whole)
    keepfs.mount()
    assert read_as_far_as_it_goes(path, whole, None) == (len(whole), None)


def broken_s3(new_keepfs, s3_servers, kind, **changes):
    store = stores.S3Store(s3_servers(kind), f"broken-{kind}")
    keepfs = new_keepfs(store=store)
    keepfs.store_settings.update(SHORT)
    keepfs.store_settings.update(changes)
    keepfs.write_conf()
    done = keepfs.run("check", check=False)
    assert done.returncode == 1
    return done.stdout + done.stderr


@pytest.mark.parametrize("kind", ["ceph", "swift"])
def test_wrong_s3_credentials(new_keepfs, s3_servers, kind):
    text = broken_s3(new_keepfs, s3_servers, kind, secret_key="wrong" * 6)
    assert "SignatureDoesNotMatch" in text and "secret_key" in text
    assert "wrongwrong" not in text


@pytest.mark.parametrize("kind", ["ceph", "swift"])
def test_missing_bucket(new_keepfs, s3_servers, kind):
    text = broken_s3(new_keepfs, s3_servers, kind, url="s3://no-such-bucket/x")
    assert "no-such-bucket" in text and "never creates" in text


def test_wrong_region(new_keepfs, s3_servers):
    text = broken_s3(new_keepfs, s3_servers, "swift", region="mars-north-1")
    assert "mars-north-1" in text and "region" in text


def test_endpoint_that_nobody_listens_on(new_keepfs, s3_servers):
    text = broken_s3(new_keepfs, s3_servers, "ceph", endpoint="http://127.0.0.1:1")
    assert "cannot connect to http://127.0.0.1:1" in text


# the daemon


@pytest.mark.parametrize("store", ["dir", "ceph", "swift"], indirect=True)
def test_kill_9_in_mid_dump(new_keepfs, pg, noise):
    """the next start replaces the dead mount, fails the run, aborts the upload"""
    keepfs = noisy(new_keepfs, pg, noise, "part:2+:slow:60000").mount()
    run = keepfs.trigger()
    keepfs.wait_run(run, condition=lambda _: keepfs.store.uploads())
    keepfs.kill()
    daemon.wait_until(lambda: not keepfs.processes(), "pg_dump to end with its reader")
    with pytest.raises(OSError) as caught:
        os.listdir(keepfs.mountpoint)
    assert caught.value.errno == errno.ENOTCONN
    assert keepfs.store.uploads()

    without_faults(keepfs)
    keepfs.mount()
    assert keepfs.run_status(run)["state"] == "failed"
    assert "interrupted" in keepfs.history(run)["error"]
    assert keepfs.store.uploads() == [] and keepfs.store.keys() == []
    keepfs.backup()


@pytest.mark.parametrize("database, fault", [
    ("noise", "part:3:crash"), ("noise", "complete:1:crash"), ("noise", "put:1:crash"),  # parts, then the manifest
    ("sample", "put:1:crash"), ("sample", "put:2:crash")])  # a small object, then the manifest
def test_a_crash_at_a_named_point(new_keepfs, pg, noise, database, fault):
    """object there but no manifest, and the like: after the next start, listed and stored agree"""
    keepfs = noisy(new_keepfs, pg, {"noise": noise}.get(database, database), fault).mount()
    pids = keepfs.daemons()
    run = keepfs.trigger()
    for pid in pids:
        daemon.wait_exit(pid)
    daemon.wait_until(lambda: not keepfs.processes(), "pg_dump to end with its reader")
    without_faults(keepfs)
    keepfs.mount()
    assert keepfs.run_status(run)["state"] == "failed"
    assert keepfs.store.uploads() == []
    assert daemon.orphans(keepfs.store) == []
    listed = keepfs.artifacts("big") if keepfs.path("backups", "big").exists() else []
    assert len(listed) == sum(key.startswith("backups/") for key in keepfs.store.keys())
    keepfs.backup()


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


@needs_root
def test_disk_full_under_the_catalog(small_disk, new_keepfs):
    """reading goes on; a trigger says that the disk is full; with room again everything works, without a restart"""
    keepfs = new_keepfs(state_dir=small_disk / "state")
    keepfs.state = small_disk / "state"
    keepfs.mount()
    keepfs.backup()
    with open(small_disk / "filler", "wb", buffering=0) as f:
        try:
            for size in (65536, 1):
                try:
                    while True:
                        f.write(b"x" * size)
                except OSError as error:
                    assert error.errno == errno.ENOSPC
        finally:
            pass
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


def test_sigterm_during_a_run_cancels_after_the_grace(new_keepfs, pg):
    keepfs = new_keepfs(stop_grace="1s").mount()
    with pg.lock("sample", "sales.orders") as lock:
        run = keepfs.trigger()
        lock.wait_until_waited_for()
        began = time.monotonic()
        keepfs.signal(signal.SIGTERM)
        assert time.monotonic() - began < 20
        assert keepfs.processes() == {}
    assert not daemon.is_mounted(keepfs.mountpoint)
    assert keepfs.store.keys() == []
    keepfs.mount()
    assert keepfs.run_status(run)["state"] in ("cancelled", "failed")


def test_sigterm_lets_a_short_run_end(new_keepfs, pg):
    keepfs = new_keepfs(stop_grace="60s").mount()
    with pg.lock("sample", "sales.orders"):
        run = keepfs.trigger()
        keepfs.wait_run(run, {"running"})
        keepfs.signal(signal.SIGTERM, wait=False)
    for pid in keepfs.daemons():
        daemon.wait_exit(pid)
    keepfs.mount()
    assert keepfs.run_status(run)["state"] == "completed"
    assert len(keepfs.artifacts()) == 1


def test_sigterm_with_open_readers(new_keepfs, pg, noise):
    keepfs = noisy(new_keepfs, pg, noise).mount()
    keepfs.backup()
    path = keepfs.path("backups", "big", "latest.dump")
    fd = os.open(path, os.O_RDONLY)
    assert os.read(fd, 5) == b"PGDMP"
    keepfs.signal(signal.SIGTERM)
    assert not daemon.is_mounted(keepfs.mountpoint)
    for act in (lambda: os.pread(fd, 10, 30 << 20), lambda: os.close(fd)):
        with pytest.raises(OSError) as caught:
            act()
        assert caught.value.errno in (errno.ENOTCONN, errno.EIO, errno.ECONNABORTED)


def test_umount_lazily_with_open_readers(new_keepfs, pg, noise):
    keepfs = noisy(new_keepfs, pg, noise).mount()
    keepfs.backup()
    pids = keepfs.daemons()
    with open(keepfs.path("backups", "big", "latest.dump"), "rb", buffering=0) as f:
        assert f.read(5) == b"PGDMP"
        assert subprocess.run(["fusermount3", "-u", str(keepfs.mountpoint)], stderr=subprocess.DEVNULL).returncode != 0
        subprocess.run(["fusermount3", "-uz", str(keepfs.mountpoint)], check=True)
    for pid in pids:
        daemon.wait_exit(pid)


class MuteServer:
    def __init__(self):
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.listener.settimeout(daemon.DEADLINE_S)
        self.database = f"postgresql://x@127.0.0.1:{self.listener.getsockname()[1]}/x?connect_timeout=60"
        self.taken = []

    def wait_for_connection(self):
        self.taken.append(self.listener.accept()[0])

    def __enter__(self):
        return self

    def __exit__(self, *_):
        for one in (*self.taken, self.listener):
            one.close()


@pytest.fixture
def mute_server():
    """a server that takes connections and never says a word"""
    with MuteServer() as server:
        yield server


def test_sigterm_cancels_a_run_that_waits_for_a_mute_server(new_keepfs, mute_server):
    keepfs = new_keepfs({"full": {"database": mute_server.database}}, stop_grace="0s").mount()
    run = keepfs.trigger()
    mute_server.wait_for_connection()
    began = time.monotonic()
    keepfs.signal(signal.SIGTERM)
    assert time.monotonic() - began < 10
    assert not daemon.is_mounted(keepfs.mountpoint)
    keepfs.mount()
    assert keepfs.run_status(run)["state"] == "cancelled"


def test_a_second_sigterm_ends_a_command_that_hangs(new_keepfs, mute_server):
    keepfs = new_keepfs({"full": {"database": mute_server.database}}, stop_grace="0s").mount()
    command = subprocess.Popen(["sh", "-c", f"echo now > {keepfs.path('control', 'probe')}"], stderr=subprocess.DEVNULL)
    mute_server.wait_for_connection()
    keepfs.signal(signal.SIGTERM, wait=False)
    daemon.wait_until(lambda: not daemon.is_mounted(keepfs.mountpoint), "the mount to end")
    assert len(keepfs.daemons()) == 1
    began = time.monotonic()
    keepfs.signal(signal.SIGTERM)
    assert time.monotonic() - began < 10
    command.wait()


def is_waiting_in(pid, path):
    """a shell whose output is open to @path, and which waits: for what it writes there"""
    process = pathlib.Path(f"/proc/{pid}")
    try:
        state = (process / "stat").read_text().rpartition(")")[2].split()[0]
        return os.readlink(process / "fd/1") == str(path) and state in "SD"
    except OSError:
        return False  # not yet open


def test_sigterm_with_commands_in_flight(new_keepfs, pg):
    """removals and a probe that wait for the store, and a trigger that waits for them, outlive the mount and harm nobody"""
    databases = ["postgres", "sample", "template1"]
    keepfs = new_keepfs({"all": {"database": pg.uri("postgres"), "databases": ", ".join(databases)}}).mount()
    for _ in range(2):
        keepfs.backup()
    keepfs.unmount()
    keepfs.store_settings["faults"] = "remove:1+:slow:2000"
    keepfs.write_conf()
    keepfs.mount()
    slow = [f"rm {keepfs.path('backups', 'all', name, keepfs.artifacts(f'all/{name}')[0])}" for name in databases]
    slow.append(f"echo now > {keepfs.path('control', 'probe')}")
    (pid,) = keepfs.daemons()
    commands = [subprocess.Popen(["sh", "-c", command], stderr=subprocess.DEVNULL) for command in slow]
    daemon.wait_until(lambda: all(len(keepfs.artifacts(f"all/{name}")) == 1 for name in databases), "the removals to begin")
    daemon.wait_until(lambda: any(key.startswith("state/probe-") for key in keepfs.store.keys()) or commands[-1].poll() is not None,
                      "the probe to write its object")
    trigger = keepfs.path("control", "trigger")
    commands.append(subprocess.Popen(["sh", "-c", f"echo now > {trigger}"], stderr=subprocess.DEVNULL))
    daemon.wait_until(lambda: commands[-1].poll() is not None or is_waiting_in(commands[-1].pid, trigger), "the trigger to be written")
    os.kill(pid, signal.SIGTERM)
    daemon.wait_exit(pid)
    for command in commands:
        command.wait()
    log = (keepfs.state / "keepfs.log").read_text()
    assert "Sanitizer" not in log, log
    without_faults(keepfs)
    keepfs.mount()
    assert keepfs.backup()["state"] == "completed"


@pytest.mark.parametrize("end", ["cancelled", "failed"])
def test_a_second_keepfs_in_the_same_place(new_keepfs, pg, tmp_path, end):
    """both begin in the same second, with the same number of the run: whoever comes later replaces and removes nothing"""
    theirs = new_keepfs(directory=tmp_path / "theirs", store=stores.DirStore(tmp_path / "elsewhere")).mount()
    theirs.backup()
    keepfs = new_keepfs().mount()
    with pg.lock("sample", "sales.orders"):
        run = keepfs.trigger()
        keepfs.wait_run(run, {"running"})
        ((ours,),) = daemon.wait_until(lambda: keepfs.catalog().execute("SELECT path FROM intent").fetchall(), "the name to be chosen")
        name = "backups/full/" + theirs.artifacts()[0]
        before = b"what they made"
        for directory in ("", "manifests/"):
            (keepfs.store.root / f"{directory}backups/full").mkdir(parents=True, exist_ok=True)
        keepfs.store.put(ours, before)
        stem, their_stem = ours.removesuffix(".dump"), name.removesuffix(".dump")
        beside = {key.replace(their_stem, stem): theirs.store.get(key) for key in theirs.store.keys()
                  if key.startswith(their_stem) and key != name}
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
    other = new_keepfs(directory=keepfs.directory / "other", mountpoint=keepfs.mountpoint)
    done = other.run("mount", check=False)
    assert done.returncode != 0 and str(keepfs.mountpoint) in done.stderr
    keepfs.backup()


def test_one_database_of_several_fails(new_keepfs, pg):
    """of several databases one fails: the others are there, the run says which one and why"""
    keepfs = new_keepfs({"tenants": {"database": pg.uri("postgres"), "databases": "sample, nosuch, postgres"}}).mount()
    run = keepfs.trigger("tenants")
    assert keepfs.wait_run(run)["state"] == "failed"
    assert "nosuch" in keepfs.history(run)["error"]
    assert len(keepfs.artifacts("tenants/sample")) == len(keepfs.artifacts("tenants/postgres")) == 1
    assert keepfs.history(run)["targets_failed"] == 1


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


def test_the_log_tells_how_the_daemon_began(new_keepfs):
    """who reads the log later was not there when it was started, nor is the terminal"""
    keepfs = new_keepfs()
    keepfs.read_settings = {"cache_dir": keepfs.directory / "not" / "there"}
    keepfs.write_conf()
    said = keepfs.run("mount", env={**keepfs.env, "JOURNAL_STREAM": "8:1"}).stderr.splitlines()
    log = [line.split(": ", 1) for line in (keepfs.state / "keepfs.log").read_text().splitlines()]
    assert [text for _, text in log] == [line[len("<4>"):] for line in said]
    assert [level.split("Z ")[1] for level, _ in log] == ["warning", "info"], log
    assert "there is no disk cache" in log[0][1] and "serves" in log[1][1]
    assert "WARN  disk cache: " in keepfs.text("status", "health")
    keepfs.backup()
    assert "<" not in {line[0] for line in (keepfs.state / "keepfs.log").read_text().splitlines()}


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


def flip_a_byte(data):
    at = len(data) // 2
    return data[:at] + bytes([data[at] ^ 0xFF]) + data[at + 1:]


@pytest.mark.parametrize("store", ["dir", "ceph"], indirect=True)
@pytest.mark.parametrize("spoil", [flip_a_byte, lambda data: data[:-1]], ids=["flipped", "cut"])
def test_a_damaged_backup_counts_as_none(keepfs, spoil):
    keepfs.backup()
    keepfs.backup()
    good, damaged = keepfs.artifacts()
    keepfs.store.put(f"backups/full/{damaged}", spoil(keepfs.store.get(f"backups/full/{damaged}")))
    with pytest.raises(OSError) as caught:
        keepfs.path("backups", "full", damaged).read_bytes()
    assert caught.value.errno == errno.EIO
    assert os.getxattr(keepfs.path("backups", "full", damaged), "user.keepfs.state") == b"damaged"
    assert os.readlink(keepfs.path("backups", "full", "latest.dump")) == good
    health = keepfs.text("status", "health")
    assert health.startswith("CRIT") and damaged in health
    assert any(entry["action"] == "damaged" for entry in map(json.loads, keepfs.text("status", "audit.jsonl").splitlines()))
    run = int(os.getxattr(keepfs.path("backups", "full", damaged), "user.keepfs.run"))
    assert keepfs.history(run)["damaged"].startswith(f"{damaged}: ")
    assert [one["damaged"] for one in keepfs.history() if one["run"] != run] == [None]
    with pytest.raises(PermissionError):
        keepfs.path("backups", "full", good).unlink()
    keepfs.path("backups", "full", damaged).unlink()
    assert keepfs.artifacts() == [good] and not keepfs.text("status", "health").startswith("CRIT")
