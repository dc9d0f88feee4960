# SPDX-License-Identifier: Apache-2.0
"""The store fails: each failure is seen, named, and leaves nothing behind."""
import errno
import hashlib
import json
import os
import subprocess

import pytest

import postgres
import stores
from failing import SHORT, fails, noisy, without_faults


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


@pytest.fixture
def much_noise(pg):
    """a database whose dump is larger than all that can be on its way to a reader: what is read ahead, and what the sockets hold"""
    pg.create("much_noise")
    postgres.fill_noise(pg, "much_noise", 64)
    yield "much_noise"
    pg.drop("much_noise")


@pytest.mark.parametrize("store", ["ceph", "swift"], indirect=True)
def test_the_store_goes_down_in_mid_copy(new_keepfs, pg, much_noise, store):
    """EIO, never zeros or a short file; and it works again, without a remount, when the store is back"""
    link = stores.Link(store.settings["endpoint"])
    keepfs = new_keepfs({"big": {"database": pg.uri(much_noise), "compression": "none"}})
    keepfs.store_settings.update(SHORT, endpoint=link.endpoint)
    keepfs.write_conf()
    keepfs.mount()
    keepfs.backup()
    keepfs.remount()
    path = keepfs.path("backups", "big", "latest.dump")
    name = os.readlink(path)
    whole = store.get(f"backups/big/{name}")
    assert len(whole) > 114 << 20  # twice the half of the pool that readers have: neither reading ahead nor the sockets can have it all
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
