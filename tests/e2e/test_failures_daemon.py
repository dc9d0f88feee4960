# SPDX-License-Identifier: Apache-2.0
"""The daemon is killed, stopped, or crashes at the worst moment: what it was at is ended, and nothing is left behind."""
import errno
import os
import pathlib
import signal
import socket
import subprocess
import time

import pytest

import daemon
from failing import noisy, without_faults


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
    keepfs.store_settings["faults"] = "remove:1+:slow:800"
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
