# SPDX-License-Identifier: Apache-2.0
"""copies/<store>/: what further stores have, also of backups that were removed here, as plain read-only files that come from there alone. A13 C6"""
import errno
import hashlib
import json
import os
import shutil
import subprocess

import pytest

import stores
from daemon import wait_until


@pytest.fixture
def offsite(tmp_path):
    return stores.DirStore(tmp_path / "offsite")


@pytest.fixture
def copied(new_keepfs, pg, offsite):
    """keepfs with copies of all its jobs, by name: (keepfs, the names of what each job has made)"""

    def make(jobs=None, **settings):
        jobs = jobs or {"full": {}}
        keepfs = new_keepfs({name: {"database": pg.uri("sample"), "copies": "primary, offsite", **more} for name, more in jobs.items()}, **settings)
        keepfs.sections = {"store offsite": {"url": offsite.settings["url"], "retry_deadline": "1s"}}
        keepfs.write_conf()
        return keepfs

    return make


def states(keepfs):
    return {one["path"].split("/")[-1]: one["state"] for one in map(json.loads, keepfs.run("replicate", "--list", "--json").stdout.splitlines())}


def wait_state(keepfs, name, state):
    wait_until(lambda: states(keepfs).get(name) == state, lambda: keepfs.text("status", "replicas"))


def backup(keepfs, job="full"):
    before = set(keepfs.artifacts(job)) if keepfs.path("backups", job).exists() else set()
    keepfs.backup(job)
    (name,) = set(keepfs.artifacts(job)) - before
    wait_state(keepfs, name, "whole")
    return name


def tree(top):
    """{path below it: the SHA-256 of its bytes}"""
    return {str(path.relative_to(top)): hashlib.sha256(path.read_bytes()).hexdigest() for path in sorted(top.rglob("*")) if path.is_file()}


def made_files(top):
    """without those that keepfs makes of the directory of a job"""
    return {name: digest for name, digest in tree(top).items() if name.count("/") > 1 or not (name.endswith("SHA256SUMS") or (top / name).is_symlink())}


def lose(store):
    """the first store has nothing of its backups any more"""
    for key in store.keys():
        if key.startswith("backups/"):
            store.remove(key)


def test_the_same_files(copied, offsite):
    """a dump and a directory with what lies in and beside it: the same names, sizes, times and bytes, and they come from the further store"""
    keepfs = copied({"full": {}, "parts": {"format": "directory", "jobs": 2}}).mount()
    assert os.listdir(keepfs.path("copies")) == []
    for job in ("full", "parts"):
        backup(keepfs, job)
    top = keepfs.path("copies", "offsite")
    assert os.listdir(keepfs.path("copies")) == ["offsite"] and os.listdir(top) == ["backups"]
    assert sorted(os.listdir(top / "backups")) == ["full", "parts"]
    expected = made_files(keepfs.path("backups"))
    assert len(expected) > 5 and made_files(top / "backups") == expected
    for name in expected:
        here, there = os.lstat(keepfs.path("backups") / name), os.lstat(top / "backups" / name)
        assert (here.st_size, here.st_mtime_ns) == (there.st_size, there.st_mtime_ns) and not there.st_mode & 0o222
    assert "copies/offsite/backups/full/" in keepfs.text("status", "audit.jsonl")
    inodes = {name: os.lstat(top / "backups" / name).st_ino for name in expected}
    keepfs.unmount()
    lose(keepfs.store)
    keepfs.mount()
    assert made_files(top / "backups") == expected
    assert inodes == {name: os.lstat(top / "backups" / name).st_ino for name in expected}
    # The harness holds the store against its manifests.
    for key in keepfs.store.keys():
        keepfs.store.remove(key)
    keepfs.unmount()


def test_what_was_removed_here(copied, offsite, target, pg):
    """it is gone from backups/, and is read and restored from copies/, until the rules of that store let it go"""
    keepfs = copied().mount()
    first, second = backup(keepfs), backup(keepfs)
    expected = keepfs.path("backups", "full", first).read_bytes()
    os.unlink(keepfs.path("backups", "full", first))
    wait_state(keepfs, first, "removed")
    there = keepfs.path("copies", "offsite", "backups", "full")
    assert not keepfs.path("backups", "full", first).exists()
    assert (there / first).read_bytes() == expected
    assert f"  {first}\n" in (there / "SHA256SUMS").read_text()
    dumps = sorted(name for name in os.listdir(there) if name.endswith(".dump"))
    assert dumps == sorted([first, second])
    subprocess.run(["pg_restore", "--list", there / first], check=True, stdout=subprocess.DEVNULL)
    keepfs.run("replicate", f"full/{first}", "from=offsite", "--wait")
    keepfs.run("restore", f"full/{first}", f"into={target}")
    os.unlink(keepfs.path("backups", "full", first))
    wait_state(keepfs, first, "removed")
    # By the rules of its store it goes.
    keepfs.unmount()
    with keepfs.writable_catalog() as catalog:
        catalog.execute("UPDATE replica_store SET compared_at_us = 1")
    keepfs.sections["store offsite"].update({"keep_last": 1, "keep_within": "none"})
    keepfs.write_conf()
    keepfs.mount()
    wait_until(lambda: first not in states(keepfs), lambda: keepfs.text("status", "replicas"))
    assert not (there / first).exists() and (there / second).exists()


def attributes(path):
    return {name.removeprefix("user.keepfs."): os.getxattr(path, name).decode() for name in os.listxattr(path) if name.startswith("user.keepfs.")}


def test_what_is_known_of_them(copied, offsite):
    """sha256sum -c passes there, without the first store; and what getfattr tells is what it tells of the backup, and which store it is"""
    keepfs = copied({"full": {}, "parts": {"format": "directory", "jobs": 2}}).mount()
    names = {job: backup(keepfs, job) for job in ("full", "parts")}
    here, there = keepfs.path("backups"), keepfs.path("copies", "offsite", "backups")
    for job, name in names.items():
        assert "SHA256SUMS" in os.listdir(there / job)
        assert (there / job / "SHA256SUMS").read_text() == (here / job / "SHA256SUMS").read_text()
        assert os.stat(there / job / "SHA256SUMS").st_size == len((there / job / "SHA256SUMS").read_bytes())
        done = subprocess.run(["sha256sum", "-c", "--strict", "SHA256SUMS"], cwd=there / job, capture_output=True, text=True, check=True)
        assert f"{name}: OK" in done.stdout or f"{name}/SHA256SUMS: OK" in done.stdout
        found, expected = attributes(there / job / name), attributes(here / job / name)
        assert found.pop("store").startswith("offsite") and found.pop("verified_at") >= expected.pop("verified_at")
        assert expected.pop("copies") == "primary:whole, offsite:whole"
        for only_here in ("tier", "hold", "locked_until", "lock_mode"):
            expected.pop(only_here, None)
        assert found == expected and found["state"] == "completed" and found["job"] == job
        with pytest.raises(OSError) as refused:
            os.unlink(there / job / "SHA256SUMS")
        assert refused.value.errno in (errno.EPERM, errno.EROFS)
    subprocess.run(["sha256sum", "-c", "--strict", "SHA256SUMS"], cwd=there / "parts" / names["parts"], check=True, stdout=subprocess.DEVNULL)
    assert attributes(there / "full") == {} and not (there / "SHA256SUMS").exists()
    inode = os.stat(there / "full" / "SHA256SUMS").st_ino
    # What is damaged there says so.
    offsite.put(f"backups/full/{names['full']}", b"no longer what it was")
    keepfs.unmount()
    lose(keepfs.store)
    keepfs.mount()
    assert os.stat(there / "full" / "SHA256SUMS").st_ino == inode
    failed = subprocess.run(["sha256sum", "-c", "SHA256SUMS"], cwd=there / "full", capture_output=True, text=True)
    assert failed.returncode != 0 and f"{names['full']}: FAILED open or read" in failed.stdout
    wait_until(lambda: attributes(there / "full" / names["full"])["state"] == "damaged", lambda: keepfs.text("status", "replicas"))
    # The harness holds the store against its manifests.
    for key in keepfs.store.keys():
        keepfs.store.remove(key)
    keepfs.unmount()


def test_another_manifest_there(copied, offsite):
    """one that fits, and that keepfs has not put there: nobody reads what it names as a backup"""
    keepfs = copied().mount()
    name = backup(keepfs)
    key = f"manifests/backups/full/{name}.json"
    offsite.put(key, offsite.get(key) + b"\n")
    with pytest.raises(OSError) as refused:
        keepfs.path("copies", "offsite", "backups", "full", name).read_bytes()
    assert refused.value.errno == errno.EIO
    assert "is not the manifest any more that keepfs has put there" in keepfs.text("status", "last-error")
    # And is put there again, over the one that was ours.
    wait_until(lambda: offsite.get(key) == keepfs.store.get(key), lambda: keepfs.text("status", "replicas"))
    wait_state(keepfs, name, "whole")


def test_nothing_is_changed_there(copied, offsite):
    keepfs = copied().mount()
    name = backup(keepfs)
    path = keepfs.path("copies", "offsite", "backups", "full", name)
    before = offsite.keys()
    for change in (lambda: os.unlink(path), lambda: open(path, "r+b"), lambda: os.truncate(path, 0), lambda: os.rename(path, f"{path}.old"),
                   lambda: os.rmdir(path.parent), lambda: os.mkdir(path.parent / "more"), lambda: open(path.parent / "new", "xb")):
        with pytest.raises(OSError) as refused:
            change()
        assert refused.value.errno in (errno.EPERM, errno.EACCES, errno.EROFS, errno.ENOTEMPTY)
    with pytest.raises(OSError):
        os.unlink(path)
    assert "keep_… of [store offsite]" in keepfs.text("status", "last-error")
    assert offsite.keys() == before and keepfs.path("backups", "full", name).exists()
    for missing in ("nowhere", "offsite/backups/none", f"offsite/backups/full/{name}.age"):
        assert not keepfs.path("copies", *missing.split("/")).exists()


def test_what_is_wrong_there(copied, offsite):
    """bytes that are not the backup's are never given out: EIO, and the copy is made again; of one that was removed here it is told"""
    keepfs = copied().mount()
    first, second = backup(keepfs), backup(keepfs)
    os.unlink(keepfs.path("backups", "full", first))
    wait_state(keepfs, first, "removed")
    there = keepfs.path("copies", "offsite", "backups", "full")
    for name, state in ((first, "wrong"), (second, "whole")):
        key = f"backups/full/{name}"
        data = bytearray(offsite.get(key))
        data[len(data) // 2] ^= 1
        offsite.put(key, bytes(data))
        with pytest.raises(OSError) as refused:
            (there / name).read_bytes()
        # ESTALE: it was replaced already while it was read.
        assert refused.value.errno in (errno.EIO, errno.ESTALE)
        assert f"copies/offsite/backups/full/{name}" in keepfs.text("status", "last-error")
        # Nobody has to order that, and nobody waits for the day to be over.
        wait_state(keepfs, name, state)
    assert "CRIT" in [line for line in keepfs.text("status", "health").splitlines() if "copies in offsite are wrong" in line][0]
    with pytest.raises(OSError) as refused:
        (there / first).read_bytes()
    assert refused.value.errno == errno.EIO
    assert (there / second).read_bytes() == keepfs.path("backups", "full", second).read_bytes()


def test_written_anew_since_it_was_looked_at(copied):
    """of another length than was shown nobody reads a part: the kernel asks once more, and reads all of it"""
    keepfs = copied().mount()
    name = backup(keepfs)
    path = keepfs.path("copies", "offsite", "backups", "full", name)
    expected = path.read_bytes()
    keepfs.unmount()
    for change in ("- 100", "+ 100"):
        with keepfs.writable_catalog() as catalog:
            catalog.execute(f"UPDATE copy_tree SET size_bytes = size_bytes {change} WHERE name = ?", (name,))
        keepfs.mount()
        assert path.stat().st_size != len(expected)
        assert path.read_bytes() == expected and path.stat().st_size == len(expected)
        assert name not in keepfs.text("status", "last-error")
        keepfs.unmount()
    assert "is opened once more" in (keepfs.state / "keepfs.log").read_text()


def test_the_store_does_not_answer(copied, offsite):
    """listing needs no store; reading says what is wrong"""
    keepfs = copied().mount()
    name = backup(keepfs)
    keepfs.unmount()
    keepfs.sections["store offsite"]["faults"] = "*:1+:eio"
    keepfs.write_conf()
    keepfs.mount()
    there = keepfs.path("copies", "offsite", "backups", "full")
    assert name in os.listdir(there) and os.stat(there / name).st_size > 0
    with pytest.raises(OSError) as refused:
        (there / name).read_bytes()
    assert refused.value.errno == errno.EIO and "offsite" in keepfs.text("status", "last-error")


def test_encrypted(copied, offsite, tmp_path):
    """as everywhere: with an identity the files that they are, without one as they are stored"""
    identity = tmp_path / "identity"
    subprocess.run(["age-keygen", "-o", identity], check=True, stderr=subprocess.DEVNULL)
    recipient = [line.split(": ")[1] for line in identity.read_text().splitlines() if "public key" in line][0]
    keepfs = copied(encrypt_to=recipient, identity_file=identity).mount()
    first, second = backup(keepfs), backup(keepfs)
    expected = keepfs.path("backups", "full", first).read_bytes()
    os.unlink(keepfs.path("backups", "full", first))
    wait_state(keepfs, first, "removed")
    there = keepfs.path("copies", "offsite", "backups", "full")
    assert (there / first).read_bytes() == expected
    keepfs.unmount()
    del keepfs.settings["identity_file"]
    keepfs.write_conf()
    keepfs.mount()
    assert not (there / first).exists()
    stored = (there / f"{first}.age").read_bytes()
    assert stored == offsite.get(f"backups/full/{first}.age")
    assert subprocess.run(["age", "-d", "-i", identity], input=stored, capture_output=True, check=True).stdout == expected
    # The lines are of what is shown.
    done = subprocess.run(["sha256sum", "-c", "--strict", "SHA256SUMS"], cwd=there, capture_output=True, text=True, check=True)
    assert f"{first}.age: OK" in done.stdout
    assert attributes(there / f"{first}.age")["sha256"] == hashlib.sha256(stored).hexdigest()


def test_a_catalog_without_them(copied, offsite):
    """one that was made anew, or by an earlier keepfs, learns what is there by looking"""
    keepfs = copied().mount()
    first, second = backup(keepfs), backup(keepfs)
    os.unlink(keepfs.path("backups", "full", first))
    wait_state(keepfs, first, "removed")
    expected = tree(keepfs.path("copies"))
    keepfs.unmount()
    with keepfs.writable_catalog() as catalog:
        catalog.execute("DELETE FROM copy_tree")
        catalog.execute("UPDATE replica_store SET compared_at_us = 1")
    keepfs.mount()
    wait_until(lambda: tree(keepfs.path("copies")) == expected, lambda: tree(keepfs.path("copies")))
    keepfs.unmount()
    shutil.rmtree(keepfs.state)
    keepfs.run("rebuild", "--no-history")
    keepfs.mount()
    wait_until(lambda: tree(keepfs.path("copies")) == expected, lambda: (tree(keepfs.path("copies")), keepfs.text("status", "replicas")))
