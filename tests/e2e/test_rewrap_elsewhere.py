# SPDX-License-Identifier: Apache-2.0
"""Backups are rewrapped by one keepfs, and another one that was away meanwhile finds their new objects by itself: a writer that comes back, and readers to whom nobody
told it."""
import os
import signal

import pytest

import daemon
from test_encrypt import sha256
from test_readers import FOLLOW_S
from test_rewrap import Keys, rewrap, turn_to_new

DATABASE = "rewrapped_elsewhere"


@pytest.fixture(scope="module")
def source(pg):
    pg.create(DATABASE)
    pg.sql(DATABASE, "CREATE TABLE orders AS SELECT g AS id, md5(g::text) AS note FROM generate_series(1, 3000) g;")
    yield pg
    pg.drop(DATABASE)


@pytest.fixture
def keys(tmp_path):
    return Keys(tmp_path)


def jobs_of(source):
    return {job: {"database": source.uri(DATABASE), "format": format} for job, format in {"full": "custom", "dir": "directory"}.items()}


def contents(keepfs):
    """{path: hash} of all files of the backups themselves"""
    root = keepfs.path("backups")
    files = [os.path.join(where, name) for where, _, names in os.walk(root) for name in names if "SHA256SUMS" not in name and not os.path.islink(os.path.join(where, name))]
    return {os.path.relpath(path, root): sha256(open(path, "rb").read()) for path in files}


def is_readable(keepfs, as_before):
    def look():
        try:
            return contents(keepfs) == as_before
        except OSError:  # a new key, and an old object, or one that is gone
            return False

    return look


@pytest.mark.parametrize("store", ["dir", "ceph"], indirect=True)
def test_a_writer_that_comes_back(new_keepfs, source, tmp_path, store, keys):
    """the backups were rewrapped on the host that has the old key, with a state directory of its own"""
    one = new_keepfs(jobs_of(source), directory=tmp_path / "one", encrypt_to=keys.old.recipient, identity_file=keys.old.path).mount()
    for job in ("full", "dir"):
        one.backup(job)
    before = contents(one)
    (name,) = one.artifacts()
    one.unmount()
    two = new_keepfs(jobs_of(source), directory=tmp_path / "two", encrypt_to=keys.new.recipient, identity_file=keys.both)
    two.run("rebuild")
    two.mount()
    rewrap(two)
    two.unmount()
    assert f"backups/full/{name}.r2.age" in store.keys() and f"backups/full/{name}.age" not in store.keys()
    one.settings.update(encrypt_to=keys.new.recipient, identity_file=keys.new.path)
    one.write_conf()
    one.mount()
    assert contents(one) == before
    assert "2 were rewrapped" in (one.state / "keepfs.log").read_text()
    run = int(one.ask("verify", "all").split()[0])
    assert one.wait_run(run)["state"] == "completed"
    # and it goes on with them as with its own: next time, from what it has found
    rewrap(one, "full again=yes")
    assert f"backups/full/{name}.r3.age" in store.keys() and daemon.orphans(store) == []
    one.remount()
    assert contents(one) == before


@pytest.mark.parametrize("how", ["stopped", "paused"])
def test_a_reader_that_nobody_told(new_keepfs, source, tmp_path, store, keys, how):
    """what the writer told is lost with a crash: the comparison finds it"""
    writer = new_keepfs(jobs_of(source), directory=tmp_path / "writer", encrypt_to=keys.old.recipient, identity_file=keys.both).mount()
    for job in ("full", "dir"):
        writer.backup(job)
    reader = new_keepfs({}, store=store, directory=tmp_path / "reader", role="reader", follow=f"{FOLLOW_S}s", identity_file=keys.both).mount()
    before = contents(writer)
    daemon.wait_until(is_readable(reader, before), lambda: reader.text("status", "health"))
    pids = reader.daemons()
    if how == "stopped":
        reader.unmount()
    else:
        reader.signal(signal.SIGSTOP, wait=False)
    try:
        turn_to_new(writer, keys)
        writer.remount()
        rewrap(writer)
        writer.kill()
        store.remove("state/head.json")
        writer.mount()
    finally:
        if how == "paused":
            for pid in pids:
                os.kill(pid, signal.SIGCONT)
    if how == "stopped":
        reader.settings.update(identity_file=keys.new.path)
        reader.write_conf()
        reader.mount()
    log = reader.state / "keepfs.log"  # what the kernel has of a file could be read before
    daemon.wait_until(lambda: "2 were rewrapped" in log.read_text(), lambda: log.read_text())
    daemon.wait_until(is_readable(reader, before), lambda: reader.text("status", "health"))
