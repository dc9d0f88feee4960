# SPDX-License-Identifier: Apache-2.0
"""Encrypted backups get other recipients: the new key opens them and the old one does not, what users read stays as it is, and a crash leaves the old one or the
new one whole."""
import datetime
import json
import os
import shutil
import subprocess

import pytest

import daemon
import test_object_lock
from daemon import wait_until
from signing import kinds, links, make_key, prove
from test_encrypt import Identity, age_opens, manifests, sha256
from test_object_lock import locked  # noqa: F401 a fixture

DATABASE = "rewrapped"


@pytest.fixture(scope="module")
def source(pg):
    pg.create(DATABASE)
    pg.sql(DATABASE, "CREATE TABLE orders AS SELECT g AS id, md5(g::text) || repeat(md5((g * 7)::text), 20) AS note FROM generate_series(1, 8000) g;"
                     "SELECT lo_from_bytea(0, decode(repeat('ab', 100000), 'hex'));")
    yield pg
    pg.drop(DATABASE)


class Keys:
    """the old identity, the new one, and a file with both"""

    def __init__(self, directory):
        self.old, self.new = Identity(directory / "old"), Identity(directory / "new")
        self.both = directory / "both"
        self.both.write_text(self.old.path.read_text() + self.new.path.read_text())
        self.both.chmod(0o600)


@pytest.fixture
def keys(tmp_path):
    return Keys(tmp_path)


def jobs_of(source, tmp_path, **full):
    tree = tmp_path / "tree"
    tree.mkdir(exist_ok=True)
    (tree / "one").write_bytes(os.urandom(12 << 20))
    database = {"database": source.uri(DATABASE), **full}
    return {"full": database, "dir": {**database, "format": "directory"}, "plain": {**database, "format": "plain"}, "files media": {"path": tree}}


def turn_to_new(keepfs, keys):
    """from here on the configuration names the new recipient, and this host has both identities"""
    keepfs.settings.update(encrypt_to=keys.new.recipient, identity_file=keys.both)
    keepfs.write_conf()


def seen(keepfs):
    """{path: all that must stay of a file below backups/}"""
    root = keepfs.path("backups")
    files = [os.path.join(where, name) for where, _, names in os.walk(root) for name in names if not os.path.islink(os.path.join(where, name))
             and name != "SHA256SUMS.stored"]
    return {path: (os.stat(path).st_ino, os.stat(path).st_size, os.stat(path).st_mtime_ns, sha256(open(path, "rb").read())) for path in files}


def payload(stored):
    """nonce and encrypted bytes, behind the header"""
    return stored[stored.index(b"\n", stored.index(b"\n--- ") + 1) + 1:]


def age_refuses(stored, identity):
    return subprocess.run(["age", "-d", "-i", identity.path], input=stored, capture_output=True).returncode != 0


def objects(store):
    """{the key of the manifest's object as of the first generation: (key, bytes)}"""
    found = {}
    for manifest in manifests(store):
        for one in manifest["objects"]:
            stored = store.get(one["key"])
            assert len(stored) == one["size"] and sha256(stored) == one["sha256"], one["key"]
            head, _, mark = one["key"].removesuffix(".age").rpartition(".r")
            found[(head if mark.isdigit() else one["key"].removesuffix(".age")) + ".age"] = (one["key"], stored)
    return found


def rewrap(keepfs, words="all"):
    run = int(keepfs.ask("rewrap", words).split()[0])
    status = keepfs.wait_run(run)
    assert status["state"] == "completed", status
    return keepfs.text("jobs", str(run), "log")


def audits(keepfs, action):
    return [one for one in map(json.loads, keepfs.text("status", "audit.jsonl").splitlines()) if one["action"] == action]


@pytest.mark.parametrize("store", ["dir", "ceph"], indirect=True)
def test_the_new_key_opens_what_the_old_one_opened(new_keepfs, source, tmp_path, keys):
    keepfs = new_keepfs(jobs_of(source, tmp_path), encrypt_to=keys.old.recipient, identity_file=keys.both).mount()
    for job in ("full", "dir", "plain", "media"):
        keepfs.backup(job)
    store = keepfs.store
    before, was = seen(keepfs), objects(store)
    turn_to_new(keepfs, keys)
    keepfs.remount()
    plan = rewrap(keepfs, "all plan=yes")
    assert plan.count("would be encrypted to " + keys.new.recipient) == 4 and objects(store) == was
    log = rewrap(keepfs)
    assert log.count(f"is encrypted to {keys.new.recipient} now") == 4 and "still in the store" not in log, log
    # what is large enough a bucket copies by itself, but for its beginning
    assert log.count("the store has copied its bytes") == (0 if store.settings["url"].startswith("dir:") else 1), log
    now = objects(store)
    assert now.keys() == was.keys() and len(now) > 8
    for name, (key, stored) in now.items():
        old_key, old = was[name]
        assert key == old_key.removesuffix(".age") + ".r2.age" and payload(stored) == payload(old) and stored != old
        assert age_opens(stored, keys.new) == age_opens(old, keys.old)
        assert age_refuses(stored, keys.old)
    assert all(manifest["encrypted_to"] == [keys.new.recipient] for manifest in manifests(store))
    assert daemon.orphans(store) == [] and store.uploads() == []
    # nobody sees a difference, and what is read is read from there
    assert seen(keepfs) == before
    for job in ("full", "plain", "media"):
        subprocess.run(["sha256sum", "--quiet", "-c", "SHA256SUMS"], cwd=keepfs.path("backups", job), check=True)
    text = keepfs.text("status", "keys")
    assert keys.new.recipient in text and keys.old.recipient not in text, text
    done = {one["object"]: one["detail"] for one in audits(keepfs, "rewrap")}
    assert all(keys.new.recipient in done[manifest["path"]] and keys.old.recipient in done[manifest["path"]] for manifest in manifests(store)), done
    run = int(keepfs.ask("verify", "all").split()[0])
    assert keepfs.wait_run(run)["state"] == "completed"
    # again: nothing is left to do; and with the passphrase's word once more
    assert "0 backups (0 B) were rewrapped" in rewrap(keepfs, "full")
    rewrap(keepfs, "full again=yes")
    (name,) = keepfs.artifacts()
    assert f"backups/full/{name}.r3.age" in store.keys() and daemon.orphans(store) == []
    assert seen(keepfs) == before
    # a catalog that is made anew knows it so
    keepfs.unmount()
    (keepfs.state / "catalog.db").unlink()
    keepfs.run("rebuild")
    keepfs.mount()
    assert {path: all_of[0::3] for path, all_of in seen(keepfs).items()} == {path: all_of[0::3] for path, all_of in before.items()}


def test_a_mount_without_a_key_shows_the_new_bytes(new_keepfs, source, tmp_path, keys):
    keepfs = new_keepfs(jobs_of(source, tmp_path), encrypt_to=keys.old.recipient).mount()
    keepfs.backup()
    (name,) = [n for n in os.listdir(keepfs.path("backups", "full")) if n.endswith(".dump.age") and n[0].isdigit()]
    # who cannot open it cannot give it to others
    with pytest.raises(OSError):
        keepfs.write("rewrap", "full")
    assert "this host has no identity" in keepfs.text("control", "rewrap")
    assert "would be encrypted" not in rewrap(keepfs, "full plan=yes")
    keepfs.unmount()
    turn_to_new(keepfs, keys)
    # no mount: the command does it
    said = keepfs.run("rewrap", "--dry-run", "full").stdout
    assert f"would be encrypted to {keys.new.recipient}" in said and keys.old.recipient in said
    assert f"backups/full/{name}" in keepfs.store.keys()
    keepfs.run("rewrap", "full")
    keepfs.settings.pop("identity_file")
    keepfs.write_conf()
    keepfs.mount()
    shown = keepfs.path("backups", "full", name)
    stored = keepfs.store.get(f"backups/full/{name[:-4]}.r2.age")
    assert shown.read_bytes() == stored and shown.stat().st_size == len(stored)
    assert age_opens(stored, keys.new).startswith(b"PGDMP")
    subprocess.run(["sha256sum", "--quiet", "-c", "SHA256SUMS.stored"], cwd=shown.parent, check=True)
    keepfs.unmount()
    # another identity than the right one is no help, and nothing is changed
    keepfs.settings.update(encrypt_to=keys.old.recipient, identity_file=keys.old.path)
    keepfs.write_conf()
    refused = keepfs.run("rewrap", "full", check=False)
    assert refused.returncode == 1 and "add the secret key of one of these" in refused.stdout + refused.stderr
    assert keepfs.store.get(f"backups/full/{name[:-4]}.r2.age") == stored and daemon.orphans(keepfs.store) == []


def test_whoever_reads_reads_on(new_keepfs, source, tmp_path, keys):
    keepfs = new_keepfs(jobs_of(source, tmp_path), encrypt_to=keys.old.recipient, identity_file=keys.both).mount()
    keepfs.backup("media")
    (name,) = [n for n in os.listdir(keepfs.path("backups", "media")) if n.endswith(".tar.zst") and n[0].isdigit()]
    path, old = keepfs.path("backups", "media", name), f"backups/media/{name}.age"
    whole = path.read_bytes()
    turn_to_new(keepfs, keys)
    keepfs.remount()
    with path.open("rb", buffering=0) as f:
        assert f.read(100) == whole[:100]
        assert "somebody reads it" in rewrap(keepfs)
        assert old in keepfs.store.keys() and f"backups/media/{name}.r2.age" in keepfs.store.keys()
        # what the kernel has is not asked for
        os.posix_fadvise(f.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
        with path.open("rb") as second:
            assert second.read() == whole
        assert b"".join(iter(lambda: f.read(1 << 20), b"")) == whole[100:]
    # it goes when nobody reads it any more: in a minute, or with the next start
    keepfs.remount()
    assert old not in keepfs.store.keys()
    assert path.read_bytes() == whole and "damaged" not in keepfs.text("status", "health")
    # what has other objects is removed as any other
    keepfs.backup("media")
    path.unlink()
    stem = name.split(".")[0] + "."
    assert [key for key in keepfs.store.keys() if stem in key] == []


def test_killed_at_any_step(new_keepfs, source, tmp_path, keys):
    keepfs = new_keepfs({"full": {"database": source.uri(DATABASE)}}, encrypt_to=keys.old.recipient, identity_file=keys.both).mount()
    keepfs.backup()
    before = seen(keepfs)
    keepfs.unmount()
    turn_to_new(keepfs, keys)
    places = [keepfs.state, keepfs.store.root]
    for place in places:
        shutil.copytree(place, tmp_path / f"saved-{place.name}")

    def killed_with(faults):
        for place in places:
            shutil.rmtree(place)
            shutil.copytree(tmp_path / f"saved-{place.name}", place)
        keepfs.store_settings["faults"] = faults
        keepfs.write_conf()
        done = keepfs.run("rewrap", "all", check=False)
        keepfs.store_settings.pop("faults")
        keepfs.write_conf()
        return done.returncode != 0

    states = set()
    for operation in ("put", "remove"):
        for number in range(1, 50):
            if not killed_with(f"{operation}:{number}:crash"):
                break
            for manifest in manifests(keepfs.store):
                owner = keys.new if manifest["encrypted_to"] == [keys.new.recipient] else keys.old
                states.add(owner)
                for one in manifest["objects"]:
                    stored = keepfs.store.get(one["key"])
                    assert sha256(stored) == one["sha256"] and age_opens(stored, owner) is not None, (operation, number)
            if number % 3 == 1:
                # the next start clears up, whatever it is for
                keepfs.run("rewrap", "full", "--dry-run")
                assert daemon.orphans(keepfs.store) == [], (operation, number)
                assert keepfs.store.uploads() == []
        assert number > 3, operation
    assert states == {keys.old, keys.new}
    killed_with("put:3:crash")
    keepfs.run("rewrap", "all")
    assert daemon.orphans(keepfs.store) == []
    assert all(manifest["encrypted_to"] == [keys.new.recipient] for manifest in manifests(keepfs.store))
    keepfs.mount()
    assert seen(keepfs) == before


def test_a_store_that_fails_leaves_it_as_it_was(new_keepfs, source, tmp_path, keys):
    keepfs = new_keepfs({"full": {"database": source.uri(DATABASE)}}, encrypt_to=keys.old.recipient, identity_file=keys.both).mount()
    keepfs.backup()
    keepfs.unmount()
    turn_to_new(keepfs, keys)
    was = objects(keepfs.store)
    for faults in ("put:1:denied", "put:2:nospace", "put:3:eio", "get:9:eio", "get:8+:corrupt"):
        keepfs.store_settings["faults"] = faults
        keepfs.write_conf()
        if keepfs.run("rewrap", "all", check=False).returncode == 0:
            continue
        keepfs.store_settings.pop("faults")
        keepfs.write_conf()
        keepfs.run("rewrap", "full", "--dry-run")
        assert daemon.orphans(keepfs.store) == [], faults
        for manifest in manifests(keepfs.store):
            for one in manifest["objects"]:
                assert sha256(keepfs.store.get(one["key"])) == one["sha256"]
        assert was.items() <= objects(keepfs.store).items() or faults.startswith("put:3"), faults


@pytest.mark.parametrize("store", ["dir", "ceph"], indirect=True)
def test_signed_backups_stay_proven(new_keepfs, source, tmp_path, keys):
    private, public = make_key(tmp_path, "signing")
    keepfs = new_keepfs({"full": {"database": source.uri(DATABASE)}}, encrypt_to=keys.old.recipient, identity_file=keys.both,
                        signing_key_file=private).mount()
    keepfs.backup()
    keepfs.backup()
    turn_to_new(keepfs, keys)
    keepfs.remount()
    names = keepfs.artifacts()
    key = f"manifests/backups/full/{names[0]}.json"
    replayed = keepfs.store.get(key)
    rewrap(keepfs)
    chain = links(keepfs.store)
    assert [chain[n]["type"] for n in sorted(chain)][-2:] == ["rewritten", "rewritten"]
    said = prove(keepfs.store, public, arguments=["--objects"], check=0)
    assert said["manifests"] == 2 and said["end"]["sequence"] == 5
    rewrap(keepfs, f"full/{names[0]} again=yes")
    keepfs.backup()
    assert prove(keepfs.store, public, check=0)["end"]["sequence"] == 7
    keepfs.unmount()
    # the manifest from before is put back
    good = keepfs.store.get(key)
    keepfs.store.put(key, replayed)
    said = prove(keepfs.store, public, check=1)
    assert kinds(said) == ["replayed"], said
    keepfs.store.put(key, good)
    # what was rewrapped is removed as any other, and a catalog made anew goes on
    (keepfs.state / "catalog.db").unlink()
    keepfs.run("rebuild")
    keepfs.mount()
    os.unlink(keepfs.path("backups", "full", names[0]))
    keepfs.backup()
    keepfs.unmount()
    assert prove(keepfs.store, public, check=0)["gone"] == 1
    # without the key nothing can be signed again
    keepfs.settings.pop("signing_key_file")
    keepfs.settings.update(encrypt_to=keys.old.recipient, verify_key_file=public)
    keepfs.write_conf()
    refused = keepfs.run("rewrap", "full", check=False)
    assert refused.returncode == 1 and "signing_key_file" in refused.stdout + refused.stderr
    prove(keepfs.store, public, check=0)


def test_killed_while_it_is_signed_again(new_keepfs, source, tmp_path, keys):
    private, public = make_key(tmp_path, "signing")
    keepfs = new_keepfs({"full": {"database": source.uri(DATABASE)}}, encrypt_to=keys.old.recipient, identity_file=keys.both,
                        signing_key_file=private).mount()
    keepfs.backup()
    keepfs.unmount()
    turn_to_new(keepfs, keys)
    for number in range(1, 40):
        keepfs.store_settings["faults"] = f"put:{number}:crash"
        keepfs.write_conf()
        ended = keepfs.run("rewrap", "all", "again=yes", check=False).returncode == 0
        keepfs.store_settings.pop("faults")
        keepfs.write_conf()
        keepfs.run("rewrap", "full", "--dry-run")
        prove(keepfs.store, public, arguments=["--objects"], check=0)
        if ended:
            break
    assert 4 < number < 40


def settle(keepfs):
    """each command that needs the catalog begins with what was left, whatever it is for"""
    keepfs.run("rewrap", "full", "--dry-run")


def test_unsigned_ones_stay_believed(new_keepfs, source, tmp_path, keys):
    """from before the chain, and named by it: rewrapped twice while somebody reads what they had before"""
    keepfs = new_keepfs({"full": {"database": source.uri(DATABASE)}}, encrypt_to=keys.old.recipient, identity_file=keys.both).mount()
    keepfs.backup()
    (name,) = keepfs.artifacts()
    private, public = make_key(tmp_path, "signing")
    keepfs.settings["signing_key_file"] = private
    turn_to_new(keepfs, keys)
    keepfs.remount()
    assert prove(keepfs.store, public, check=0)["before"] == 1
    with keepfs.path("backups", "full", name).open("rb") as f:
        assert f.read(5) == b"PGDMP"
        assert "somebody reads it" in rewrap(keepfs)
        assert "somebody reads it" in rewrap(keepfs, "full again=yes")
    prove(keepfs.store, public, arguments=["--objects"], check=0)
    keepfs.unmount()
    settle(keepfs)
    assert f"backups/full/{name}.r3.age" in keepfs.store.keys() and daemon.orphans(keepfs.store) == []
    # while nothing is signed nobody can say that it has another manifest: it is said later
    keepfs.settings.pop("signing_key_file")
    keepfs.write_conf()
    keepfs.run("rewrap", "full", "again=yes")
    assert kinds(prove(keepfs.store, public, check=1)) == ["changed"]
    keepfs.settings["signing_key_file"] = private
    keepfs.write_conf()
    settle(keepfs)
    prove(keepfs.store, public, arguments=["--objects"], check=0)
    (keepfs.state / "catalog.db").unlink()
    keepfs.run("rebuild")
    keepfs.mount()
    assert keepfs.path("backups", "full", name).read_bytes().startswith(b"PGDMP")


def test_an_older_manifest_is_not_taken_for_the_new_one(new_keepfs, source, tmp_path, keys):
    """whoever can write into the bucket puts back what was there before, while its objects still are"""
    private, public = make_key(tmp_path, "signing")
    keepfs = new_keepfs({"full": {"database": source.uri(DATABASE)}}, encrypt_to=keys.old.recipient, identity_file=keys.both,
                        signing_key_file=private).mount()
    keepfs.backup()
    turn_to_new(keepfs, keys)
    keepfs.remount()
    (name,) = keepfs.artifacts()
    key, new = f"manifests/backups/full/{name}.json", f"backups/full/{name}.r2.age"
    replayed = keepfs.store.get(key)
    with keepfs.path("backups", "full", name).open("rb") as f:
        assert f.read(5) == b"PGDMP"
        assert "somebody reads it" in rewrap(keepfs)
    keepfs.unmount()
    good, before = keepfs.store.get(key), len(links(keepfs.store))
    keepfs.store.put(key, replayed)
    settle(keepfs)
    assert new in keepfs.store.keys() and len(links(keepfs.store)) == before
    assert kinds(prove(keepfs.store, public, check=1)) == ["replayed"]
    keepfs.store.put(key, good)
    settle(keepfs)
    prove(keepfs.store, public, arguments=["--objects"], check=0)
    assert daemon.orphans(keepfs.store) == []


# what the generator of CRC-32C is as bytes: whatever has it in addition has the same checksum
SAME_CRC = (1 | 0x82F63B78 << 1).to_bytes(5, "little")


@pytest.mark.parametrize("store", ["dir", "ceph"], indirect=True)
def test_what_was_exchanged_is_not_vouched_for(new_keepfs, source, tmp_path, keys):
    keepfs = new_keepfs(jobs_of(source, tmp_path), encrypt_to=keys.old.recipient, identity_file=keys.both).mount()
    keepfs.backup("media")
    turn_to_new(keepfs, keys)
    keepfs.remount()
    (manifest,) = manifests(keepfs.store)
    (key,) = (one["key"] for one in manifest["objects"] if ".tar" in one["key"])
    stored = bytearray(keepfs.store.get(key))
    at = len(stored) - 1000
    stored[at:at + 5] = (a ^ b for a, b in zip(stored[at:at + 5], SAME_CRC))
    keepfs.store.put(key, bytes(stored))
    run = int(keepfs.ask("rewrap", "media").split()[0])
    status = keepfs.wait_run(run)
    assert status["state"] == "failed" and f"the SHA-256 of {key}" in status["error"], status
    assert manifests(keepfs.store) == [manifest] and not [one for one in keepfs.store.keys() if ".r2." in one]


def test_copies_follow(new_keepfs, source, tmp_path, keys):
    other = tmp_path / "offsite"
    keepfs = new_keepfs({"full": {"database": source.uri(DATABASE), "copies": "primary, offsite"}}, encrypt_to=keys.old.recipient, identity_file=keys.both)
    keepfs.sections = {"store offsite": {"url": f"dir:{other}"}}
    keepfs.write_conf()
    keepfs.mount()
    keepfs.backup()
    (name,) = keepfs.artifacts()

    def copied():
        return os.getxattr(keepfs.path("backups", "full", name), "user.keepfs.copies").decode() == "primary:whole, offsite:whole"

    def backup_objects(store):
        return {key: store(key) for key in keepfs.store.keys() if key.startswith(("backups/", "manifests/"))}

    wait_until(copied, lambda: keepfs.text("status", "replicas"))
    turn_to_new(keepfs, keys)
    keepfs.remount()
    rewrap(keepfs)
    wait_until(copied, lambda: keepfs.text("status", "replicas"))
    assert backup_objects(keepfs.store.get) == backup_objects(lambda key: (other / key).read_bytes())
    there = {str(path.relative_to(other)) for path in other.rglob("*") if path.is_file() and not path.name.startswith(".")}
    assert {key for key in there if key.startswith(("backups/", "manifests/"))} == set(backup_objects(keepfs.store.get))
    assert age_opens((other / f"backups/full/{name}.r2.age").read_bytes(), keys.new).startswith(b"PGDMP")


def test_what_is_locked_stays_until_then(new_keepfs, source, keys, locked):  # noqa: F811
    """the new objects are locked as long as the old ones, which go when their time is over"""
    store = locked()
    keepfs = new_keepfs(test_object_lock.job(source, keep_daily=2), store=store, encrypt_to=keys.old.recipient, identity_file=keys.both)
    test_object_lock.lock_settings(keepfs, lock_min="1d", delete_versions="yes").mount()
    keepfs.backup()
    (name,) = keepfs.artifacts()
    old, new = f"backups/full/{name}.age", f"backups/full/{name}.r2.age"

    def lock(key):
        return store.lock_of(f"{store.prefix}/{key}")

    until = lock(old)
    assert until[0] == "GOVERNANCE"
    turn_to_new(keepfs, keys)
    keepfs.remount()
    assert f"the store has locked its old objects until {until[1]}Z" in rewrap(keepfs)
    assert old in store.keys() and age_opens(store.get(new), keys.new).startswith(b"PGDMP")
    for key in store.keys():
        if key.startswith("manifests/") or ".r2." in key:
            assert lock(key) == until, key
    assert f"rewrapping of backups/full/{name}: the store has locked its old objects until {until[1]}Z" in keepfs.text("status", "keys")
    assert "damaged" not in keepfs.text("status", "health")
    # when their time is over
    keepfs.unmount()
    ends = datetime.datetime.now(datetime.timezone.utc).replace(microsecond=0) + datetime.timedelta(seconds=3)
    named = {one["key"] for manifest in manifests(store) for one in manifest["objects"]}
    for key, version in store.versions():
        if ".age" in key and key.removeprefix(store.prefix + "/") not in named:
            store.client.lock(key, version, f"{ends:%Y-%m-%dT%H:%M:%SZ}", bypass=True)
    # a catalog that is made anew knows of them by their names
    (keepfs.state / "catalog.db").unlink()
    keepfs.run("rebuild", "--no-history")
    wait_until(lambda: datetime.datetime.now(datetime.timezone.utc) > ends + datetime.timedelta(seconds=1), "the locks have ended")
    keepfs.mount()
    wait_until(lambda: old not in store.keys(), lambda: keepfs.text("status", "keys"))
    assert "rewrapping of" not in keepfs.text("status", "keys") and lock(new) == until
