# SPDX-License-Identifier: Apache-2.0
"""Base backups in the mount: a whole data directory, held to what tar, pg_verifybackup, pg_checksums and a server say."""
import os
import pathlib
import random
import shutil
import stat
import subprocess

import pytest

import stores
import test_encrypt
from daemon import wait_until
from test_base import JOB, cluster, make_cluster, open_place, start_from  # noqa: F401: fixtures


def newest(cluster):
    """the directory of the newest base in the mount"""
    mount = cluster.keepfs.path("backups", JOB)
    return mount / max(name for name in os.listdir(mount) if name.startswith("2"))


def tree_of(top):
    """what is in a directory: path → (type and mode, size and mtime in seconds of a file)"""
    found = {}
    for directory, directories, files in os.walk(top):
        for name in directories + files:
            path = pathlib.Path(directory) / name
            st = path.lstat()
            is_file = stat.S_ISREG(st.st_mode)
            found[str(path.relative_to(top))] = (oct(st.st_mode), st.st_size if is_file else None, int(st.st_mtime) if is_file else None)
    return found


def copy_of(base, target):
    subprocess.run(["cp", "-a", str(base), str(target)], check=True)
    return target


def test_the_mount_has_the_data_directory(cluster, tmp_path):
    cluster.fill()
    cluster.backup()
    base, plain = newest(cluster), cluster.unpack(tmp_path / "plain")
    assert stat.S_IMODE(base.stat().st_mode) == 0o700
    assert tree_of(base) == tree_of(plain)
    assert (base / "pg_notify").is_dir() and not os.listdir(base / "pg_notify")
    assert not (base / "SHA256SUMS").exists()
    subprocess.run(["diff", "-r", str(plain), str(base)], check=True)
    assert stat.S_IMODE((base / "PG_VERSION").stat().st_mode) == 0o600
    assert stat.S_IMODE((base / "base").stat().st_mode) == 0o700
    cluster.server.tool("pg_verifybackup", "-n", base)
    cluster.server.tool("pg_controldata", base)
    assert os.listxattr(base / "PG_VERSION") == []
    assert os.getxattr(base / "PG_VERSION", "user.keepfs.state") == b"completed"
    assert len(os.getxattr(base / "PG_VERSION", "user.keepfs.crc32c")) == 8
    assert os.getxattr(base, "user.keepfs.kind") == b"base"
    # The same after a remount, by number and by name.
    numbers = {path: (base / path).stat().st_ino for path in tree_of(base)}
    assert len(set(numbers.values())) == len(numbers)
    cluster.keepfs.remount()
    assert {path: (base / path).stat().st_ino for path in numbers} == numbers


def test_a_copy_starts(cluster, tmp_path):
    cluster.fill()
    cluster.backup()
    rows = cluster.server.fingerprint("bench")
    data = copy_of(newest(cluster), tmp_path / "data")
    recovered = start_from(cluster, data)
    try:
        recovered.wait_until_promoted()
        assert recovered.fingerprint("bench") == rows
    finally:
        recovered.remove()


def test_tools_that_walk_it(cluster, tmp_path):
    cluster.fill()
    cluster.backup()
    base, plain = newest(cluster), cluster.unpack(tmp_path / "plain")
    listed = subprocess.run(["tar", "-C", str(base), "-cf", "-", "."], check=True, capture_output=True).stdout
    (tmp_path / "tarred").mkdir()
    subprocess.run(["tar", "-C", str(tmp_path / "tarred"), "-xf", "-"], check=True, input=listed)
    subprocess.run(["diff", "-r", str(plain), str(tmp_path / "tarred")], check=True)
    if shutil.which("rsync"):
        subprocess.run(["rsync", "-a", f"{base}/", str(tmp_path / "synced/")], check=True)
        assert tree_of(tmp_path / "synced") == tree_of(plain)
    found = subprocess.run(["find", str(base), "-type", "f"], check=True, capture_output=True, text=True).stdout.split("\n")
    assert len(found) - 1 == sum(size is not None for _, size, _ in tree_of(plain).values())
    # Nothing in it can be changed, and it goes as a whole.
    with pytest.raises(OSError):
        (base / "PG_VERSION").unlink()
    with pytest.raises(OSError):
        (base / "PG_VERSION").write_text("1\n")
    assert b"pg_control" in subprocess.run(["ls", str(base / "global")], check=True, capture_output=True).stdout


def test_random_reads(cluster, tmp_path):
    cluster.fill(scale=3)
    cluster.backup()
    base, plain = newest(cluster), cluster.unpack(tmp_path / "plain")
    files = sorted(path for path, (_, size, _) in tree_of(plain).items() if size)
    large = max(files, key=lambda path: (plain / path).stat().st_size)
    chosen = random.Random(7)
    for turn in range(600):
        path = large if turn % 3 else chosen.choice(files)
        size = (plain / path).stat().st_size
        at = chosen.randrange(size)
        count = chosen.choice([1, 512, 8192, 100000, 1 << 20])
        with open(base / path, "rb", buffering=0) as of_mount, open(plain / path, "rb") as of_plain:
            assert os.pread(of_mount.fileno(), count, at) == os.pread(of_plain.fileno(), count, at), (path, at, count)
            if turn % 50 == 0:
                os.posix_fadvise(of_mount.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


@pytest.mark.parametrize("store", ["ceph"], indirect=True)
def test_on_s3(cluster, tmp_path):
    cluster.fill(scale=2)
    cluster.backup()
    base = newest(cluster)
    cluster.server.tool("pg_verifybackup", "-n", base)
    copy = copy_of(base, tmp_path / "copy")
    assert tree_of(copy) == tree_of(base)


def packs_of(keepfs):
    return sorted(path for path in (keepfs.store.root / "packs" / JOB).glob("*/*.tar.zst*") if path.is_file())


def test_a_damaged_pack(cluster):
    cluster.fill()
    cluster.backup()
    keepfs, base = cluster.keepfs, newest(cluster)
    pack = packs_of(keepfs)[0]
    data = bytearray(pack.read_bytes())
    for at in range(1000, len(data) - 5000, 5000):
        data[at] ^= 1
    pack.write_bytes(data)
    keepfs.remount()
    wrong = None
    for path in sorted(tree_of(base)):
        if (base / path).is_file():
            try:
                (base / path).read_bytes()
            except OSError as error:
                assert error.errno == 5, error
                wrong = path
                break
    assert wrong
    trouble = keepfs.text("status", "last-error")
    assert wrong in trouble and "packs/main/" in trouble and ".tar.zst" in trouble
    assert os.getxattr(base / wrong, "user.keepfs.state") == b"damaged"
    # The rest of the tree is there.
    assert (base / "global").is_dir()


def test_many_small_files(cluster, tmp_path):
    """a directory of thousands, of which many lie in one frame"""
    server = cluster.server
    server.create("many")
    server.sql("many", "DO $$ BEGIN FOR i IN 1..1500 LOOP EXECUTE format('CREATE UNLOGGED TABLE t%s (a int)', i); END LOOP; END $$")
    cluster.backup()
    base = newest(cluster)
    copy = copy_of(base, tmp_path / "copy")
    assert tree_of(copy) == tree_of(base)
    server.tool("pg_verifybackup", "-n", copy)


def verify(keepfs, name, right=True):
    """the log of a run that verifies"""
    said = keepfs.run("verify", name, check=right).stdout
    run = next(line.split()[1] for line in said.splitlines() if line.startswith("run "))
    assert right or "state failed" in said, said
    return keepfs.text("jobs", run, "log")


def test_it_is_verified(cluster):
    cluster.fill()
    cluster.backup()
    keepfs = cluster.keepfs
    name = f"{JOB}/{newest(cluster).name}"
    assert f"backups/{name} is right: level 1" in verify(keepfs, name)
    pack = packs_of(keepfs)[0]
    data = pack.read_bytes()
    wrong = bytearray(data)
    wrong[len(wrong) // 3] ^= 1
    pack.write_bytes(wrong)
    said = verify(keepfs, name, right=False)
    assert f"backups/{name} is damaged" in said and ".tar.zst" in said, said
    pack.write_bytes(data)
    assert f"backups/{name} is right: level 1" in verify(keepfs, name)


def with_settings(cluster, sections=None, rebuilt=False, **settings):
    """mounted again with these, @rebuilt: with a catalog that is made anew; the server's archiver may be in the mount just now"""
    keepfs = cluster.keepfs

    def unmounted():
        try:
            keepfs.unmount()
        except subprocess.CalledProcessError:
            return False
        return True

    wait_until(unmounted, "the mount is not busy any more")
    keepfs.settings.update(settings)
    keepfs.sections = sections or {}
    keepfs.write_conf()
    if rebuilt:
        for file in keepfs.state.glob("catalog.db*"):
            file.unlink()
        keepfs.run("rebuild")
    keepfs.mount()
    return keepfs


def test_encrypted(make_cluster, tmp_path):
    identity = test_encrypt.Identity(tmp_path / "identity")
    cluster = make_cluster()
    keepfs = with_settings(cluster, encrypt_to=identity.recipient, identity_file=identity.path)
    cluster.fill()
    cluster.backup()
    base = newest(cluster)
    assert all(pack.name.endswith(".age") for pack in packs_of(keepfs))
    cluster.server.tool("pg_verifybackup", "-n", base)
    assert f"{base.name} is right: level 1" in verify(keepfs, f"{JOB}/{base.name}")
    # Who has no identity sees what is stored of the listing, and nothing that he cannot read.
    del keepfs.settings["identity_file"]
    with_settings(cluster)
    assert sorted(os.listdir(base)) == ["contents.index.age", "contents.zst.age"]


@pytest.mark.parametrize("encrypted", [False, True])
def test_copies_in_a_further_store(make_cluster, tmp_path, encrypted):
    """read from there alone, packs and all"""
    offsite = stores.DirStore(tmp_path / "offsite")
    cluster, settings = make_cluster(), {}
    cluster.keepfs.jobs[f"cluster {JOB}"]["copies"] = "primary, offsite"
    if encrypted:
        identity = test_encrypt.Identity(tmp_path / "identity")
        settings = {"encrypt_to": identity.recipient, "identity_file": identity.path}
    keepfs = with_settings(cluster, {"store offsite": {"url": offsite.settings["url"], "retry_deadline": "1s"}}, **settings)
    cluster.fill()
    cluster.backup()
    base = newest(cluster)
    there = keepfs.path("copies", "offsite", "backups", JOB, base.name)
    wait_until(lambda: there.is_dir() and keepfs.run("replicate", "--list", "--json").stdout.count('"whole"') > len(packs_of(keepfs)), "the copy is whole")
    expected = tree_of(base)
    saved = {pack: pack.read_bytes() for pack in packs_of(keepfs)}
    for pack in saved:
        pack.unlink()
    assert tree_of(there) == expected
    cluster.server.tool("pg_verifybackup", "-n", there)
    # Whoever reads it where it is not there any more is given the bytes of the other store.
    cluster.server.tool("pg_verifybackup", "-n", base)
    for pack, data in saved.items():
        pack.write_bytes(data)
