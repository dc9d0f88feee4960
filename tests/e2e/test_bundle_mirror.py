# SPDX-License-Identifier: Apache-2.0
"""Mirrors as parts of bundles: the directory of a part shows the objects, and packs are shared by all that need them."""
import json
import os
import subprocess

import pytest

import daemon
import test_encrypt
import test_rewrap
from daemon import wait_until
from test_mirror import HOSTILE, KIB, MIB, Bucket, Directory, foreign, packs, unescaped  # noqa: F401
from test_mirror_tree import files_of, inodes, read

DATABASE = "bundle_mirror_shop"


@pytest.fixture(scope="module")
def shop(pg):
    pg.create(DATABASE)
    pg.sql(DATABASE, "CREATE TABLE orders (id int PRIMARY KEY, note text); INSERT INTO orders SELECT g, md5(g::text) FROM generate_series(1, 500) g")
    yield pg
    pg.drop(DATABASE)


@pytest.fixture
def config(tmp_path):
    path = tmp_path / "config"
    path.mkdir()
    (path / "env").write_text("PASSWORD=x\n")
    return path


def jobs_of(shop, config, foreign, parts="database, config, objects", objects=None, **bundle):
    return {"database": {"database": shop.uri(DATABASE)}, "files config": {"path": config},
            "mirror objects": objects or foreign.section(), "bundle site": {"parts": parts, "name": "acme.example.com", **bundle}}


def bundles(keepfs):
    directory = keepfs.path("backups", "site")
    return sorted(os.path.join(directory, name) for name in os.listdir(directory) if name[0].isdigit())


def objects_of(root, part="objects"):
    return {unescaped(name.removesuffix("%=")): read(path) for name, path in files_of(os.path.join(root, part)).items()}


def check_sums(root):
    subprocess.run(["sha256sum", "-c", "--strict", "--quiet", "SHA256SUMS"], cwd=root, check=True)
    with open(os.path.join(root, "SHA256SUMS")) as f:
        listed = [line.rstrip("\n").split("  ", 1)[1] if line[0] != "\\" else line.rstrip("\n").split("  ", 1)[1].replace("\\\\", "\\") for line in f]
    assert sorted(listed) == sorted(files_of(root))


def manifest_of(store, root):
    return json.loads(store.get(f"manifests/backups/site/{os.path.basename(root)}.json"))


@pytest.mark.parametrize("store,foreign", [("dir", "dir"), ("ceph", "ceph")], indirect=True)
def test_a_mirror_is_a_part(new_keepfs, store, foreign, shop, config):
    for i in range(150):
        foreign.put(f"docs/{i % 7}/{i:04}.txt", os.urandom(500 + i))
    foreign.put("large", os.urandom(17 * MIB + 3))
    foreign.put("back\\slash", b"\\")
    if isinstance(foreign, Bucket):
        for key in HOSTILE:
            foreign.put(key, key.encode())
    keepfs = new_keepfs(jobs_of(shop, config, foreign)).mount()
    keepfs.backup("site")
    (root,) = bundles(keepfs)
    assert sorted(os.listdir(root)) == ["MANIFEST.json", "MANIFEST.txt", "SHA256SUMS", "config.tar.zst", "database.dump", "database.globals.sql.gz",
                                        "database.tables.csv", "objects"]
    assert objects_of(root) == foreign.objects
    check_sums(root)
    size = sum(os.lstat(path).st_size for path in files_of(root).values()) + os.stat(os.path.join(root, "SHA256SUMS")).st_size
    assert manifest_of(store, root)["size"] == size
    above = subprocess.run(["ls", "-fia", os.path.join(root, "objects", "docs")], capture_output=True, text=True, check=True).stdout.split()
    assert int(above[above.index("..") - 1]) == os.stat(os.path.join(root, "objects")).st_ino
    above = subprocess.run(["ls", "-fia", os.path.join(root, "objects")], capture_output=True, text=True, check=True).stdout.split()
    assert int(above[above.index("..") - 1]) == os.stat(root).st_ino
    with pytest.raises(PermissionError):
        os.unlink(os.path.join(root, "objects", "large"))
    # Random reads.
    with open(os.path.join(root, "objects", "large"), "rb") as f:
        for offset, length in [(17 * MIB, 100), (5, 10), (9 * MIB - 3, 7)]:
            f.seek(offset)
            assert f.read(length) == foreign.objects["large"][offset:offset + length]
    # What it says of itself.
    count, total = len(foreign.objects), sum(map(len, foreign.objects.values()))
    said = json.loads(read(os.path.join(root, "MANIFEST.json")))
    (part,) = [p for p in said["parts"] if p["name"] == "objects"]
    assert (part["type"], part["job"], part["kind"], part["size"]) == ("directory", "objects", "mirror", total)
    assert part["facts"]["objects"] == count and part["facts"]["content_bytes"] == total
    assert [p["name"] for p in said["parts"]] == ["database.dump", "config.tar.zst", "objects"] and said["missing"] == []
    assert said["parts"][1]["finished_at"] <= part["started_at"] <= part["finished_at"]
    text = read(os.path.join(root, "MANIFEST.txt")).decode()
    assert f"  objects/\n      {count} files, {total} bytes" in text and f"mirror: {foreign.section()['url']}" in text
    # Where what is beside the manifest lies, and who needs the packs.
    name = os.path.basename(root)
    assert sorted(key for key in store.keys() if key.startswith("manifests/backups/")) == [
        f"manifests/backups/site/{name}.{what}" for what in ("contents.objects.index", "contents.objects.zst", "json")]
    (part,) = [p for p in manifest_of(store, root)["parts"] if p["name"] == "objects"]
    manifest = manifest_of(store, root)
    assert [o["role"] for o in manifest["objects"][part["objects"][0]:][:part["objects"][1]]] == ["listing", "listing-index"]
    assert list(manifest["needs"]) and all(key.startswith("packs/objects/") for key in manifest["needs"])
    # Once more, and by itself: the packs are shared.
    before = packs(store)
    foreign.put("docs/new", b"new")
    keepfs.backup("site")
    later = bundles(keepfs)[1]
    assert objects_of(later) == foreign.objects and len(packs(store)) == len(before) + 1
    check_sums(later)
    shared = packs(store)
    keepfs.backup("objects")
    assert packs(store) == shared
    (state,) = [name for name in os.listdir(keepfs.path("backups", "objects")) if name[0].isdigit()]
    assert {unescaped(n.removesuffix("%=")): read(p) for n, p in files_of(keepfs.path("backups", "objects", state)).items()} == foreign.objects
    keepfs.run("verify", f"site/{os.path.basename(later)}")
    numbers, of_first = inodes(later), objects_of(root)
    assert len(set(numbers.values())) == len(numbers)
    # All of it follows from the store.
    keepfs.unmount()
    (keepfs.state / "catalog.db").unlink()
    done = keepfs.run("rebuild")
    assert ", 0 problems" in done.stdout + done.stderr
    keepfs.mount()
    assert objects_of(root) == of_first and objects_of(later) == foreign.objects
    assert daemon.orphans(store) == []
    assert "OK" in keepfs.text("status/health").splitlines()[0], keepfs.text("status/health")


def test_several_mirrors_and_the_names_of_jobs(new_keepfs, store, foreign, shop, config, tmp_path):
    others = {name: Directory(tmp_path / name) for name in ("zst", "my.docs", "index", "nothing")}
    for i, (name, other) in enumerate(others.items()):
        for k in range(i * 3 if name != "nothing" else 0):
            other.put(f"{name}/{k}", os.urandom(100))
    others["zst"].put("a", b"of zst")
    jobs = jobs_of(shop, config, foreign, parts="zst, database, my.docs, index, nothing")
    jobs.pop("mirror objects")
    jobs.update({f"mirror {name}": other.section() for name, other in others.items()})
    keepfs = new_keepfs(jobs).mount()
    for _ in range(2):
        keepfs.backup("site")
        root = bundles(keepfs)[-1]
        assert {name for name in os.listdir(root) if os.path.isdir(os.path.join(root, name))} == {"zst", "my=2Edocs", "index", "nothing"}
        for name, other in others.items():
            assert objects_of(root, name.replace(".", "=2E")) == other.objects
        check_sums(root)
        assert len(set(inodes(root).values())) == len(inodes(root))
    assert len(packs(store)) == 3
    keepfs.unmount()
    keepfs.mount()
    assert objects_of(root, "my=2Edocs") == others["my.docs"].objects


def test_a_mirror_that_is_somebody_elses(new_keepfs, store, foreign, shop, config):
    keepfs = new_keepfs(jobs_of(shop, config, foreign, objects={"url": "none"})).mount()
    run = keepfs.backup("site")
    (root,) = bundles(keepfs)
    assert "objects" not in os.listdir(root)
    said = json.loads(read(os.path.join(root, "MANIFEST.json")))
    assert [m["job"] for m in said["missing"]] == ["objects"] and "somebody else's" in said["missing"][0]["why"]
    assert "NOT IN THIS BUNDLE\n  objects: url = none: " in read(os.path.join(root, "MANIFEST.txt")).decode()
    assert "part objects: nothing is in the bundle: url = none" in keepfs.text("jobs", str(run["run"]), "log")
    check_sums(root)
    assert keepfs.text("status/health").startswith("OK"), keepfs.text("status/health")


def test_packs_go_with_the_last_that_needs_them(new_keepfs, store, foreign, shop, config, clocks):
    keepfs = new_keepfs(jobs_of(shop, config, foreign, parts="config, objects", keep_last=1, keep_within="none"))
    keepfs.env = clocks.environment(keepfs.env)
    keepfs.mount()
    foreign.put("once", os.urandom(50 * KIB))
    foreign.put("twice", os.urandom(50 * KIB))
    keepfs.backup("site")
    (old,) = packs(store)
    clocks.pass_time(60)
    keepfs.backup("objects")
    (state,) = [name for name in os.listdir(keepfs.path("backups", "objects")) if name[0].isdigit()]
    for key in list(foreign.objects):
        foreign.put(key, os.urandom(50 * KIB))
    clocks.pass_time(3600)
    keepfs.backup("site")
    assert len(bundles(keepfs)) == 1
    clocks.pass_time(7200)
    (root,) = bundles(keepfs)
    assert objects_of(root) == foreign.objects
    # The state of the mirror by itself needs it.
    assert old in packs(store)
    keepfs.backup("objects")
    os.rmdir(keepfs.path("backups", "objects", state))
    clocks.pass_time(7200)
    wait_until(lambda: old not in packs(store), "the pack that nothing needs is removed")
    assert objects_of(root) == foreign.objects
    check_sums(root)


def test_a_bundle_in_the_trash_still_has_its_packs(new_keepfs, store, foreign, shop, config):
    foreign.put("file", os.urandom(100 * KIB))
    keepfs = new_keepfs(jobs_of(shop, config, foreign, parts="config, objects"), trash="3d").mount()
    keepfs.backup("site")
    keepfs.backup("site")
    root, _ = bundles(keepfs)
    before = packs(store)
    os.rmdir(root)
    assert len(bundles(keepfs)) == 1
    assert packs(store) == before != []
    keepfs.run("undelete", f"site/{os.path.basename(root)}")
    assert objects_of(root) == foreign.objects
    check_sums(root)


def test_encrypted(new_keepfs, store, foreign, shop, config, tmp_path):
    identity = test_encrypt.Identity(tmp_path / "identity")
    for i in range(30):
        foreign.put(f"dir/name-{i}", test_encrypt.PLANTED + os.urandom(2000))
    keepfs = new_keepfs(jobs_of(shop, config, foreign, encrypt_to=identity.recipient), identity_file=identity.path).mount()
    # By itself nothing is encrypted, but no bundle takes that.
    keepfs.backup("objects")
    plain = packs(store)
    assert not any(key.endswith(".age") for key in plain)
    keepfs.backup("site")
    (root,) = bundles(keepfs)
    assert objects_of(root) == foreign.objects
    check_sums(root)
    sealed = [key for key in packs(store) if key not in plain]
    assert sealed and all(key.endswith(".age") for key in sealed)
    for key in store.keys():
        if key not in plain and "contents" not in key:
            assert test_encrypt.PLANTED not in store.get(key)
    name = os.path.basename(root)
    assert f"manifests/backups/site/{name}.contents.objects.zst.age" in store.keys()
    needed = manifest_of(store, root)["needs"]
    assert all(any(key.startswith(directory + "/") for key in sealed) for directory in needed)
    # What is encrypted is shared, also by the mirror alone.
    keepfs.backup("site")
    keepfs.backup("objects")
    assert [key for key in packs(store) if key not in plain] == sealed
    keepfs.run("verify", f"site/{name}")
    keepfs.unmount()
    (keepfs.state / "catalog.db").unlink()
    keepfs.run("rebuild")
    keepfs.mount()
    assert objects_of(root) == foreign.objects
    # Where nobody has the identity the rest of the bundle is there, as it is stored.
    keepfs.unmount()
    keepfs.settings.pop("identity_file")
    keepfs.write_conf()
    keepfs.mount()
    assert sorted(os.listdir(root)) == sorted(f"{name}.age" for name in (
        "MANIFEST.json", "MANIFEST.txt", "SHA256SUMS", "config.tar.zst", "database.dump", "database.globals.sql.gz", "database.tables.csv"))
    assert read(os.path.join(root, "config.tar.zst.age")).startswith(b"age-encryption.org/v1")


def test_what_a_killed_bundle_packed_is_used(new_keepfs, store, foreign, shop, config):
    for i in range(12):
        foreign.put(f"f{i:02}", os.urandom(8 * MIB))
    jobs = jobs_of(shop, config, foreign, parts="config, objects, database")
    jobs["mirror objects"]["max_rate"] = "40M/s"
    keepfs = new_keepfs(jobs).mount()
    keepfs.trigger("site")
    wait_until(lambda: len([k for k in store.keys() if k.startswith("manifests/packs/") and k.endswith(".json")]) >= 1, "a first pack")
    keepfs.kill()
    there = packs(store)
    keepfs.mount()
    assert not any(key.startswith(("backups/", "manifests/backups/")) for key in store.keys())
    run = keepfs.backup("site")
    (root,) = bundles(keepfs)
    assert objects_of(root) == foreign.objects
    assert there[0] in packs(store)
    assert "packs of a run that broke off: " in keepfs.text("jobs", str(run["run"]), "log")
    check_sums(root)


def test_a_part_that_fails_behind_the_mirror(new_keepfs, store, foreign, shop, config, tmp_path):
    foreign.put("file", os.urandom(MIB))
    jobs = jobs_of(shop, config, foreign, parts="objects, media")
    jobs["files media"] = {"path": tmp_path / "not there"}
    keepfs = new_keepfs(jobs).mount()
    assert keepfs.wait_run(keepfs.trigger("site"))["state"] == "failed"
    assert all(key.startswith(("packs/", "manifests/packs/")) for key in store.keys())
    before = packs(store)
    (tmp_path / "not there").mkdir()
    keepfs.backup("site")
    assert packs(store) == before
    assert objects_of(bundles(keepfs)[0]) == foreign.objects


def test_verify_reads_the_packs(new_keepfs, store, foreign, shop, config):
    foreign.put("one", os.urandom(100 * KIB))
    keepfs = new_keepfs(jobs_of(shop, config, foreign, parts="config, objects")).mount()
    keepfs.backup("site")
    (root,) = bundles(keepfs)
    (pack,) = packs(store)
    data = bytearray(store.get(pack))
    data[20000] ^= 1
    store.put(pack, bytes(data))
    done = keepfs.run("verify", f"site/{os.path.basename(root)}", check=False)
    assert done.returncode != 0 and pack in done.stdout + done.stderr


def test_it_comes_back_by_itself(new_keepfs, store, foreign, shop, config, tmp_path):
    """also when the bundle was encrypted anew, which gives its listing another key"""
    old, new = test_encrypt.Identity(tmp_path / "old"), test_encrypt.Identity(tmp_path / "new")
    both = tmp_path / "both"
    both.write_text(old.path.read_text() + new.path.read_text())
    both.chmod(0o600)
    for i in range(20):
        foreign.put(f"dir/{i}", os.urandom(1000))
    keepfs = new_keepfs(jobs_of(shop, config, foreign, parts="config, objects", encrypt_to=old.recipient), identity_file=both).mount()
    keepfs.backup("site")
    (root,) = bundles(keepfs)
    name = os.path.basename(root)
    (tmp_path / "other").mkdir()
    keepfs.run("restore", f"site/{name}/objects", f"to=dir:{tmp_path / 'other'}")
    assert {str(path.relative_to(tmp_path / "other")): path.read_bytes() for path in (tmp_path / "other").rglob("*") if path.is_file()} == foreign.objects
    keepfs.jobs["bundle site"]["encrypt_to"] = new.recipient
    keepfs.write_conf()
    keepfs.remount()
    test_rewrap.rewrap(keepfs, f"site/{name}")
    assert any(key.endswith(".contents.objects.zst.r2.age") for key in store.keys())
    assert objects_of(root) == foreign.objects
    check_sums(root)
    keepfs.run("restore", f"site/{name}/objects", f"to=dir:{tmp_path / 'other'}")
    keepfs.unmount()
    (keepfs.state / "catalog.db").unlink()
    keepfs.run("rebuild")
    keepfs.mount()
    assert objects_of(root) == foreign.objects
