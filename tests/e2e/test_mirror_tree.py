# SPDX-License-Identifier: Apache-2.0
"""States of mirrors as trees of files in the mount: what find, cp, rsync, tar and sha256sum make of them."""
import errno
import hashlib
import json
import os
import stat
import subprocess
import tarfile

import pytest

import faulty_s3
import test_encrypt
from daemon import wait_until
from test_mirror import HOSTILE, KIB, MIB, Bucket, Directory, contents, foreign, lines_of, packs, states, unescaped  # noqa: F401

COMPONENT = 200


def state_of(keepfs, number=-1, job="docs"):
    directory = keepfs.path("backups", job)
    return os.path.join(directory, [name for name in sorted(os.listdir(directory)) if name[:2] == "20"][number])


def files_of(top):
    """shown name → path, of all regular files but SHA256SUMS"""
    found = {}
    for directory, _, names in os.walk(os.fsencode(top)):
        for name in names:
            path = os.path.join(directory, name)
            found[os.path.relpath(path, os.fsencode(top)).decode()] = path
    found.pop("SHA256SUMS", None)
    return found


def shown_keys(top):
    return {unescaped(name.removesuffix("%=")): path for name, path in files_of(top).items()}


def read(path):
    with open(path, "rb") as f:
        return f.read()


def inodes(top):
    return {os.path.relpath(os.path.join(d, n), top): os.lstat(os.path.join(d, n)).st_ino
            for d, directories, names in os.walk(top) for n in [*directories, *names]}


@pytest.mark.parametrize("store,foreign", [("dir", "dir"), ("ceph", "ceph")], indirect=True)
def test_what_a_state_shows(new_keepfs, store, foreign, tmp_path):
    for i in range(200):
        foreign.put(f"docs/{i % 7}/{i:04}.txt", os.urandom(500 + i))
    foreign.put("empty", b"")
    foreign.put("large", os.urandom(17 * MIB + 3))
    foreign.put("docs/back\\slash", b"\\")
    keepfs = new_keepfs({"mirror docs": foreign.section()}).mount()
    keepfs.backup("docs")
    state = state_of(keepfs)
    # Every byte, by find and by each program that copies.
    found = shown_keys(state)
    assert set(found) == set(foreign.objects)
    for key, path in found.items():
        assert read(path) == foreign.objects[key], key
    listed = {e["name"]: e for e in lines_of(store, states(store)[0])[1:-1]}
    for key, path in found.items():
        at = os.lstat(path)
        assert stat.S_ISREG(at.st_mode) and at.st_size == len(foreign.objects[key]) and stat.S_IMODE(at.st_mode) == 0o600
    wanted = os.path.join(state, "docs", "3", "0003.txt")
    assert os.getxattr(wanted, "user.keepfs.sha256").decode() == hashlib.sha256(foreign.objects["docs/3/0003.txt"]).hexdigest()
    assert os.getxattr(wanted, "user.keepfs.etag").decode() == listed["docs/3/0003.txt"]["etag"]
    assert os.getxattr(wanted, "user.keepfs.state") == b"completed" and os.getxattr(wanted, "user.keepfs.kind") == b"mirror"
    with pytest.raises(OSError) as caught:
        os.getxattr(wanted, "user.keepfs.nothing")
    assert caught.value.errno == errno.ENODATA
    # Ranges.
    with open(os.path.join(state, "large"), "rb") as f:
        for offset, length in [(0, 10), (MIB - 5, 10), (17 * MIB, 100), (17 * MIB + 3, 10), (5 * MIB, 3 * MIB)]:
            f.seek(offset)
            assert f.read(length) == foreign.objects["large"][offset:offset + length]
    # SHA256SUMS of the job proves that of each state.
    subprocess.run(["sha256sum", "-c", "--quiet", "--strict", "SHA256SUMS"], cwd=os.path.dirname(state), check=True)
    assert f"  {os.path.basename(state)}/SHA256SUMS" in read(os.path.join(os.path.dirname(state), "SHA256SUMS")).decode()
    subprocess.run(["sha256sum", "-c", "--quiet", "--strict", "SHA256SUMS"], cwd=state, check=True)
    assert len(read(os.path.join(state, "SHA256SUMS"))) == os.stat(os.path.join(state, "SHA256SUMS")).st_size
    copied, synced = tmp_path / "copied", tmp_path / "synced"
    subprocess.run(["cp", "-a", state, copied], check=True)
    subprocess.run(["diff", "-r", state, copied], check=True)
    assert os.stat(copied / "large").st_mtime == os.stat(os.path.join(state, "large")).st_mtime
    subprocess.run(["rsync", "-a", state + "/", synced], check=True)
    subprocess.run(["diff", "-r", state, synced], check=True)
    subprocess.run(["tar", "-cf", tmp_path / "all.tar", "-C", state, "."], check=True)
    with tarfile.open(tmp_path / "all.tar") as tar:
        assert {m.name for m in tar if m.isfile()} == {"./" + name for name in [*files_of(state), "SHA256SUMS"]}
    # In links/ there is nothing of it: a URL cannot show a stretch of a pack.
    assert os.listdir(keepfs.path("links", "backups", "docs")) in ([], ["SHA256SUMS"]), os.listdir(keepfs.path("links", "backups", "docs"))
    # It goes as one.
    before = keepfs.text("status", "last-error")
    with pytest.raises(OSError) as caught:
        os.unlink(wanted)
    assert caught.value.errno == errno.EPERM and "rm -r" in keepfs.text("status", "last-error") != before


@pytest.mark.parametrize("foreign", ["ceph"], indirect=True)
def test_any_key_is_a_file(new_keepfs, store, foreign, tmp_path):
    further = ["b", "b!", "b!/1", "b/1", "d" * 199 + "/x", "d" * 205 + "/y", "d" * 205 + "/z", "d" * 198 + "zz", "d" * 198 + "a" * 30,
               "v" * 450, "SHA256SUM", "100%=", "x%2Fy", "\u00e9" * 150]
    for key in [*HOSTILE, *further]:
        foreign.put(key, key.encode(), content_type="text/x-odd", x_amz_meta_owner="somebody", cache_control="no-store")
    keepfs = new_keepfs({"mirror docs": foreign.section()}).mount()
    keepfs.backup("docs")
    state = state_of(keepfs)
    found = shown_keys(state)
    assert set(found) == set(foreign.objects)
    for key, path in found.items():
        assert read(path) == key.encode()
        assert os.getxattr(path, "user.keepfs.content_type") == b"text/x-odd"
        assert os.getxattr(path, "user.keepfs.meta.owner") == b"somebody"
        assert os.getxattr(path, "user.keepfs.cache_control") == b"no-store"
        assert "user.keepfs.meta.owner" in os.listxattr(path)
        assert all(len(part) <= COMPONENT + 2 for part in path.split(b"/"))
    assert os.path.isfile(os.path.join(state, "a%=")) and os.path.isdir(os.path.join(state, "a"))
    assert not os.path.exists(os.path.join(state, "c%=")) and not os.path.exists(os.path.join(state, "%%"))
    subprocess.run(["sha256sum", "-c", "--quiet", "--strict", "SHA256SUMS"], cwd=os.path.dirname(state), check=True)
    subprocess.run(["sha256sum", "-c", "--quiet", "--strict", "SHA256SUMS"], cwd=state, check=True)
    subprocess.run(["cp", "-a", state, tmp_path / "copied"], check=True)
    assert {unescaped(name.removesuffix("%=")) for name in files_of(tmp_path / "copied")} == set(foreign.objects)
    directory = os.path.join(state, "a")
    here = {entry.name: entry.inode() for entry in os.scandir(state)}
    assert here["a"] == os.stat(directory).st_ino
    above = subprocess.run(["ls", "-fia", directory], capture_output=True, text=True, check=True).stdout.split()
    assert int(above[above.index("..") - 1]) == os.stat(state).st_ino


def test_an_object_called_like_the_sums(new_keepfs, store, foreign):
    foreign.put("SHA256SUMS", b"their own")
    foreign.put("file", b"1")
    keepfs = new_keepfs({"mirror docs": foreign.section()}).mount()
    keepfs.backup("docs")
    state = state_of(keepfs)
    assert sorted(os.listdir(state)) == ["SHA256SUMS", "file"] and read(os.path.join(state, "SHA256SUMS")) == b"their own"
    subprocess.run(["sha256sum", "-c", "--quiet", "--strict", "SHA256SUMS"], cwd=os.path.dirname(state), check=True)


def test_many_objects_and_a_remount(new_keepfs, store, foreign, tmp_path):
    for i in range(14000):
        foreign.put(f"flat/{i:06}", b"%d" % i)
    for i in range(6000):
        foreign.put(f"deep/{i % 50}/{i % 600}/{i}", b"%d" % i)
    keepfs = new_keepfs({"mirror docs": foreign.section()}).mount()
    keepfs.backup("docs")
    state = state_of(keepfs)
    assert len(os.listdir(os.path.join(state, "flat"))) == 14000
    found = shown_keys(state)
    assert set(found) == set(foreign.objects)
    before = inodes(state)
    assert len(set(before.values())) == len(before)
    subprocess.run(["sha256sum", "-c", "--quiet", "--strict", "SHA256SUMS"], cwd=state, check=True)
    (fetched,) = [int(line.split()[1]) for line in keepfs.text("status", "metrics.prom").splitlines() if line.startswith("keepfs_read_fetched_bytes_total ")]
    # The packs are read once, not once for each of their members.
    assert fetched < 3 * sum(len(store.get(key)) for key in packs(store))
    # A file is removed, another is new: what stays has other numbers in the next state, and the same bytes.
    foreign.remove("flat/000001")
    foreign.put("flat/a", b"new")
    keepfs.backup("docs")
    later = state_of(keepfs)
    assert set(shown_keys(later)) == set(foreign.objects)
    assert not set(inodes(later).values()) & set(before.values())
    keepfs.unmount()
    keepfs.mount()
    assert inodes(state) == before
    for name in ("flat/013999", "deep/7/7/1207"):
        assert read(os.path.join(state, name)) == name.rsplit("/", 1)[1].lstrip("0").encode()
    os.rmdir(state)
    assert not os.path.exists(state)
    assert set(shown_keys(later)) == set(foreign.objects)


@pytest.mark.parametrize("cached", [False, True])
def test_encrypted(new_keepfs, store, foreign, tmp_path, cached):
    identity = test_encrypt.Identity(tmp_path / "identity")
    for i in range(40):
        foreign.put(f"dir/name-{i}", test_encrypt.PLANTED + os.urandom(3000))
    foreign.put("large", os.urandom(3 * MIB))
    keepfs = new_keepfs({"mirror docs": foreign.section()}, encrypt_to=identity.recipient, identity_file=identity.path)
    keepfs.read_settings = {"cache_dir": tmp_path / "cache", "cache_size": "64M"} if cached else {}
    keepfs.mount()
    keepfs.backup("docs")
    state = state_of(keepfs)
    for key, path in shown_keys(state).items():
        assert read(path) == foreign.objects[key]
    subprocess.run(["sha256sum", "-c", "--quiet", "--strict", "SHA256SUMS"], cwd=state, check=True)


def test_without_an_identity(new_keepfs, store, foreign, tmp_path):
    identity = test_encrypt.Identity(tmp_path / "identity")
    foreign.put("secret-name", b"1")
    keepfs = new_keepfs({"mirror docs": foreign.section()}, encrypt_to=identity.recipient).mount()
    keepfs.backup("docs")
    state = state_of(keepfs)
    assert sorted(os.listdir(state)) == ["contents.index.age", "contents.zst.age"]
    path = os.path.join(state, "contents.zst.age")
    assert os.stat(path).st_size == len(read(path))
    plain = subprocess.run(["age", "-d", "-i", identity.path, path], capture_output=True, check=True).stdout
    lines = subprocess.run(["zstd", "-dcq"], input=plain, capture_output=True, check=True).stdout.splitlines()
    assert [json.loads(line)["name"] for line in lines[1:-1]] == ["secret-name"]
    with pytest.raises(FileNotFoundError):
        os.stat(os.path.join(state, "secret-name"))


def test_a_damaged_pack(new_keepfs, store, foreign):
    foreign.put("one", os.urandom(100 * KIB))
    foreign.put("alone", os.urandom(17 * MIB))
    keepfs = new_keepfs({"mirror docs": foreign.section()}).mount()
    keepfs.backup("docs")
    (path,) = states(store)
    entries = {e["name"]: e for e in lines_of(store, path)[1:-1]}
    pack = f"packs/docs/{entries['one']['pack']}.tar"
    assert entries["alone"]["pack"] != entries["one"]["pack"]
    data = bytearray(store.get(pack))
    data[entries["one"]["at"] + 5000] ^= 1
    store.put(pack, bytes(data))
    state = state_of(keepfs)
    with pytest.raises(OSError) as caught:
        read(os.path.join(state, "one"))
    assert caught.value.errno == errno.EIO
    assert "one" in keepfs.text("status", "last-error")
    wait_until(lambda: os.getxattr(os.path.join(state, "one"), "user.keepfs.state") == b"damaged", "the file is known to be damaged")
    assert os.getxattr(os.path.join(state, "alone"), "user.keepfs.state") == b"completed"
    assert read(os.path.join(state, "alone")) == foreign.objects["alone"]
    damaged = [json.loads(line)["object"] for line in keepfs.text("status", "audit.jsonl").splitlines() if json.loads(line)["action"] == "damaged"]
    assert damaged == [pack]
    # One that is gone.
    lost = f"packs/docs/{entries['alone']['pack']}.tar"
    whole = store.get(lost)
    store.remove(lost)
    keepfs.unmount()
    keepfs.mount()
    with pytest.raises(OSError) as caught:
        read(os.path.join(state, "alone"))
    assert caught.value.errno == errno.EIO and "alone" in keepfs.text("status", "last-error")
    store.put(lost, whole)


@pytest.mark.parametrize("damage", ["other bytes", "gone"])
def test_a_damaged_listing(new_keepfs, store, foreign, damage):
    foreign.put("one", b"1")
    keepfs = new_keepfs({"mirror docs": foreign.section()}).mount()
    keepfs.backup("docs")
    (path,) = states(store)
    key = f"manifests/{path}.contents.zst"
    whole = store.get(key)
    if damage == "gone":
        store.remove(key)
    else:
        data = bytearray(whole)
        data[len(data) // 2] ^= 1
        store.put(key, bytes(data))
    state = state_of(keepfs)
    with pytest.raises(OSError) as caught:
        os.listdir(state)
    assert caught.value.errno == errno.EIO and path in keepfs.text("status", "last-error")
    wait_until(lambda: os.getxattr(state, "user.keepfs.state") == b"damaged", "the state is known to be damaged")
    store.put(key, whole)


def test_an_empty_bucket(new_keepfs, store, foreign):
    keepfs = new_keepfs({"mirror docs": foreign.section()}).mount()
    keepfs.backup("docs")
    state = state_of(keepfs)
    assert os.listdir(state) == ["SHA256SUMS"] and read(os.path.join(state, "SHA256SUMS")) == b""


class Counting(faulty_s3.FaultyS3):
    """a store that knows which stretches of packs it was asked for"""

    def __init__(self):
        super().__init__()
        self.of_packs = []

    def _get(self, answer, key, found):
        if key.startswith("packs/"):
            with self.lock:
                self.of_packs.append((key, answer.first, answer.last))
        return super()._get(answer, key, found)


def test_a_copy_of_a_state_asks_for_each_stretch_once(new_keepfs, foreign):
    """not once for each of the small files in it, whatever copies them"""
    for i in range(1500):
        foreign.put(f"{i % 3}/{i:05}", os.urandom(10000))
    store = Counting()
    try:
        keepfs = new_keepfs({"mirror docs": foreign.section()}, store=store).mount()
        keepfs.backup("docs")
        size = sum(len(store.get(key)) for key in store.keys() if key.startswith("packs/") and key.endswith(".tar"))
        for command in (["tar", "cf", "-", "."], ["find", ".", "-type", "f", "-exec", "cat", "{}", "+"]):
            keepfs.remount()
            store.of_packs.clear()
            done = subprocess.run(command, cwd=state_of(keepfs), stdout=subprocess.PIPE, check=True)
            assert len(done.stdout) >= 1500 * 10000
            asked = list(store.of_packs)
            assert len(asked) <= size // MIB + 5, len(asked)
            assert sum(last - first + 1 for _, first, last in asked) <= size * 1.2
        keepfs.unmount()
    finally:
        store.close()
