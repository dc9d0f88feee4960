# SPDX-License-Identifier: Apache-2.0
"""Every object of a bucket is damaged, one at a time: verification finds each, and what is wrong is never read, listed or restored as if it were right."""
import base64
import contextlib
import json
import os
import random
import shutil
import subprocess

import pytest

import handmade
from daemon import wait_until
from signing import kinds, make_key, prove, texts

DATABASE = "every_object"


@pytest.fixture(scope="module")
def source(pg):
    pg.create(DATABASE)
    pg.sql(DATABASE, "CREATE TABLE orders AS SELECT g AS id, md5(g::text) AS note FROM generate_series(1, 2000) g;"
                     "CREATE TABLE places AS SELECT g AS id FROM generate_series(1, 10) g;")
    yield pg
    pg.drop(DATABASE)


def put_extents_aside(store, path):
    """the extent table of a backup in an object of its own, as that of a large one is"""
    key = f"manifests/{path}.json"
    manifest = json.loads(store.get(key))
    store.put(f"manifests/{path}.extents", base64.b64decode(manifest["extents"].pop("table")))
    manifest["extents"]["object"] = f"manifests/{path}.extents"
    store.put(key, json.dumps(manifest).encode())


@pytest.fixture
def bucket(new_keepfs, source, tmp_path):
    """(keepfs, the public key): one of each kind of object, and nobody at work"""
    private, public = make_key(tmp_path, "signing")
    identity = tmp_path / "identity"
    subprocess.run(["age-keygen", "-o", identity], check=True, capture_output=True)
    identity.chmod(0o600)
    recipient = subprocess.run(["age-keygen", "-y", identity], check=True, capture_output=True, text=True).stdout.strip()
    tree = tmp_path / "tree"
    tree.mkdir()
    (tree / "one").write_bytes(random.Random(1).randbytes(200000))
    uri = source.uri(DATABASE)
    keepfs = new_keepfs({"full": {"database": uri}, "dir": {"database": uri, "format": "directory"}, "clear": {"database": uri, "encrypt_to": "none"},
                         "files media": {"path": tree}}, signing_key_file=private, encrypt_to=recipient, identity_file=identity,
                        history_keep=1, audit_keep=1)
    old = "backups/clear/20200101T000000Z.dump"
    handmade.publish(keepfs.store, old, (b"PGDMP", b"of before", b"the chain"))
    put_extents_aside(keepfs.store, old)
    keepfs.run("rebuild")
    keepfs.mount()
    for job in ("full", "full", "dir", "clear", "media"):
        keepfs.backup(job)
    os.unlink(keepfs.path("backups", "full", keepfs.artifacts()[0]))
    wait_until(lambda: any(key.startswith("records/audit/") for key in keepfs.store.keys()), "a record of the audit")
    keepfs.unmount()
    keepfs.run("run", "full")
    assert any(key.startswith("checkpoints/") for key in keepfs.store.keys())
    assert any(key.startswith("catalog/") for key in keepfs.store.all_keys())
    return keepfs, public


def objects(store):
    return {key: store.get(key) for key in store.all_keys() if not key.startswith("state/")}


def flipped(data, at):
    changed = bytearray(data)
    changed[at] ^= 1 << at % 8
    return bytes(changed)


def places(data, count):
    """the first byte, the last one, and some between"""
    return sorted({0, len(data) - 1, *(len(data) * n // count for n in range(1, count))})


@contextlib.contextmanager
def replaced(store, key, data):
    whole = store.get(key)
    store.put(key, data)
    yield
    store.put(key, whole)


def verified(keepfs, public, check=None):
    """what reads all: keepfs verify --key … --objects, with the identity of the configuration"""
    done = keepfs.run("verify", "--key", public, "--objects", "--json", check=False)
    said = json.loads(done.stdout)
    assert check is None or done.returncode == check, json.dumps(said, indent=1)
    return said


def others_of(whole, key):
    """objects of the same kind: by their first directory and their ending"""
    def kind(one):
        return one.split("/")[0], one.rsplit(".", 1)[-1]
    return [one for one in whole if one != key and kind(one) == kind(key) and whole[one] != whole[key]]


def damages(whole, key):
    """(what was done, the bytes that lie there now)"""
    data = whole[key]
    for at in places(data, 2):
        yield f"bit of byte {at} of {len(data)}", flipped(data, at)
    yield from [[("cut", data[:-1]), ("empty", b""), ("longer", data + data[-1:])][list(whole).index(key) % 3]]
    for one in others_of(whole, key)[:1]:
        yield f"it is {one}", whole[one]


def test_each_is_verified(bucket):
    keepfs, public = bucket
    whole = objects(keepfs.store)
    assert {key.split("/")[0] for key in whole} == {"backups", "manifests", "chain", "checkpoints", "records", "catalog"}
    said = verified(keepfs, public, check=0)
    assert said["catalog_copies_unread"] == 0 and said["records"] >= 1 and said["checkpoints"] >= 1
    missed = []
    for key in whole:
        for what, data in damages(whole, key):
            with replaced(keepfs.store, key, data):
                if not verified(keepfs, public)["problems"]:
                    missed.append((key, what))
    assert missed == []
    verified(keepfs, public, check=0)


def all_that_is_read(keepfs):
    """{name: bytes, or None where it cannot be read} below backups/"""
    found = {}
    for folder, _, names in os.walk(keepfs.path("backups")):
        for name in names:
            path = os.path.join(folder, name)
            if os.path.islink(path):
                continue
            try:
                with open(path, "rb") as f:
                    found[path] = f.read()
            except OSError:
                found[path] = None
    return found


def wrong_ones(read, right):
    """what was read as if it were right; sums are of what is listed"""
    def is_right(name, data):
        if data is None:
            return True
        if "SHA256SUMS" in name:
            return set(data.splitlines()) <= set(right[name].splitlines())
        return data == right.get(name)
    return [(name, data) for name, data in read.items() if not is_right(name, data)]


def test_what_is_damaged_is_not_served(bucket):
    keepfs, public = bucket
    keepfs.mount()
    right = all_that_is_read(keepfs)
    keepfs.unmount()
    assert len(right) > 20 and None not in right.values()
    whole = objects(keepfs.store)
    damaged = 0
    for number, key in enumerate(whole):
        if not key.startswith(("backups/", "manifests/")):
            continue
        data = whole[key]
        with replaced(keepfs.store, key, flipped(data, len(data) * (number % 7) // 7)):
            keepfs.mount()
            read = all_that_is_read(keepfs)
            keepfs.unmount()
        assert wrong_ones(read, right) == [], key
        damaged += None in read.values()
    assert damaged >= 10


def test_what_is_damaged_is_not_listed_anew(bucket):
    """by a rebuild of a lost catalog"""
    keepfs, public = bucket
    keepfs.mount()
    right = all_that_is_read(keepfs)
    keepfs.unmount()
    whole = objects(keepfs.store)
    for number, key in enumerate(whole):
        if key.startswith("backups/"):
            continue
        data = whole[key]
        for wrong in (flipped(data, len(data) * (number % 7) // 7), *[whole[one] for one in others_of(whole, key)[:1]]):
            shutil.rmtree(keepfs.state)
            with replaced(keepfs.store, key, wrong):
                done = keepfs.run("rebuild", check=False)
                assert done.returncode == 1 or not key.endswith(".json") or key.startswith("checkpoints/"), (key, done.stdout, done.stderr)
                keepfs.mount()
                read = all_that_is_read(keepfs)
                keepfs.unmount()
            assert wrong_ones(read, right) == [], key
