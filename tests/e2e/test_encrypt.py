# SPDX-License-Identifier: Apache-2.0
"""Backups that are encrypted: made without a key, opened by age alone, read through a mount that has one, and shown as they are stored
where there is none."""
import contextlib
import errno
import hashlib
import json
import os
import pathlib
import signal
import subprocess

import pytest

import daemon

DATABASE = "sealed"
# bytes of the database that must not be readable in the store
PLANTED = b"planted-in-the-database"


class Identity:
    def __init__(self, path):
        self.path = pathlib.Path(path)
        subprocess.run(["age-keygen", "-o", self.path], check=True, capture_output=True)
        self.path.chmod(0o600)
        self.recipient = subprocess.run(["age-keygen", "-y", self.path], check=True, capture_output=True, text=True).stdout.strip()


@pytest.fixture
def identity(tmp_path):
    return Identity(tmp_path / "identity")


@pytest.fixture(scope="module")
def source(pg):
    pg.create(DATABASE)
    pg.sql(DATABASE, f"""
        CREATE TABLE secret_orders AS SELECT g AS id, '{PLANTED.decode()}' || g AS code, repeat(md5(g::text), 40) AS note
            FROM generate_series(1, 6000) g;
        CREATE TABLE customers AS SELECT g AS id, md5(g::text) AS name FROM generate_series(1, 100) g;
        SELECT lo_from_bytea(0, decode(repeat('ab', 100000), 'hex'));
        """)
    yield pg
    pg.drop(DATABASE)


def jobs_of(source, tmp_path, **more):
    tree = tmp_path / "tree"
    tree.mkdir(exist_ok=True)
    (tree / "one").write_bytes(PLANTED + os.urandom(3 << 20))
    database = {"database": source.uri(DATABASE)}
    return {"full": database, "plain": {**database, "format": "plain"}, "dir": {**database, "format": "directory"},
            "files media": {"path": tree}, **more}


def manifests(store):
    return [json.loads(store.get(key)) for key in store.keys() if key.startswith("manifests/") and key.endswith(".json")]


def age_opens(data, identity):
    return subprocess.run(["age", "-d", "-i", identity.path], input=data, check=True, capture_output=True).stdout


def sha256(data):
    return hashlib.sha256(data).hexdigest()


def with_identity(keepfs, identity):
    keepfs.settings["identity_file"] = identity.path
    keepfs.write_conf()
    return keepfs


def last_error(keepfs):
    return keepfs.text("status", "last-error")


def open_fails(path):
    with pytest.raises(OSError) as caught:
        path.open("rb").close()
    return caught.value.errno


@pytest.mark.parametrize("store", ["dir", "ceph"], indirect=True)
def test_every_object_is_encrypted_and_age_opens_each(new_keepfs, source, tmp_path, identity):
    keepfs = new_keepfs(jobs_of(source, tmp_path), encrypt_to=identity.recipient).mount()
    for job in ("full", "plain", "dir", "media"):
        keepfs.backup(job)
    store = keepfs.store
    seen = 0
    for manifest in manifests(store):
        assert manifest["encrypted_to"] == [identity.recipient]
        assert "secret_orders" not in json.dumps(manifest) and "largest_tables" not in manifest["facts"]
        by_object = {f["object"]: f for f in manifest["files"]}
        for number, described in enumerate(manifest["objects"]):
            stored = store.get(described["key"])
            assert described["key"].endswith(".age") and described["cipher"] == "age"
            assert len(stored) == described["size"] and sha256(stored) == described["sha256"] and PLANTED not in stored
            plain = age_opens(stored, identity)
            if number in by_object:
                assert len(plain) == by_object[number]["size"] and sha256(plain) == by_object[number]["sha256"]
            elif described["role"] == "facts":
                assert "secret_orders" in json.loads(plain)["largest_tables"]
            seen += 1
    assert seen > 8
    assert not [key for key in store.keys() if key.startswith("backups/") and not key.endswith(".age")]


def test_a_mount_without_a_key_shows_what_is_stored(new_keepfs, source, tmp_path, identity):
    keepfs = new_keepfs(jobs_of(source, tmp_path), encrypt_to=identity.recipient).mount()
    for job in ("full", "dir"):
        keepfs.backup(job)
    full = keepfs.path("backups", "full")
    (name,) = [n for n in os.listdir(full) if n.endswith(".dump.age") and n[0].isdigit()]
    key = f"backups/full/{name}"
    assert os.readlink(full / "latest.dump.age") == name and not os.path.lexists(full / "latest.dump")
    assert not (full / name[:-4]).exists()
    stored = keepfs.store.get(key)
    assert (full / name).stat().st_size == len(stored) and (full / name).read_bytes() == stored
    assert os.getxattr(full / name, "user.keepfs.sha256").decode() == sha256(stored)
    assert os.getxattr(full / name, "user.keepfs.encrypted_to").decode() == identity.recipient
    for sums in ("SHA256SUMS", "SHA256SUMS.stored"):
        subprocess.run(["sha256sum", "--quiet", "-c", sums], cwd=full, check=True)
        assert f"  {name}\n" in (full / sums).read_text()
        assert (full / sums).stat().st_size == len((full / sums).read_bytes())
    directory = keepfs.path("backups", "dir")
    subprocess.run(["sha256sum", "--quiet", "-c", "SHA256SUMS.stored"], cwd=directory, check=True)
    tree = directory / os.readlink(directory / "latest")
    assert "toc.dat.age" in os.listdir(tree) and "toc.dat" not in os.listdir(tree)
    assert age_opens((tree / "toc.dat.age").read_bytes(), identity).startswith(b"PGDMP")
    # what needs a key says so, and nothing is called damaged for that
    answer = keepfs.run("restore", "full", "to=nowhere", "-m", keepfs.mountpoint, check=False)
    assert answer.returncode != 0
    (inside,) = [n for n in os.listdir(keepfs.path("inside", "full")) if n[0].isdigit()]
    with pytest.raises(OSError):
        os.listdir(keepfs.path("inside", "full", inside, "tables"))
    assert "this host has no identity: set [keepfs] identity_file" in last_error(keepfs)
    run = int(keepfs.ask("verify", "full").split()[0])
    keepfs.wait_run(run, condition=lambda s: s["state"] == "completed")
    assert "is right: level 0" in keepfs.text("jobs", str(run), "log")
    assert "this host has no identity to look into it" in keepfs.text("jobs", str(run), "log")
    assert "damaged" not in keepfs.text("status", "health")
    # it goes by the name that it is shown under
    keepfs.backup("full")
    (full / name).unlink()
    assert name not in os.listdir(full) and key not in keepfs.store.keys()


@pytest.mark.parametrize("store", ["dir", "ceph"], indirect=True)
def test_a_mount_with_the_key_serves_the_files(new_keepfs, source, tmp_path, identity, scratch):
    keepfs = with_identity(new_keepfs(jobs_of(source, tmp_path), encrypt_to=identity.recipient), identity).mount()
    for job in ("full", "plain", "dir", "media"):
        keepfs.backup(job)
    for manifest in manifests(keepfs.store):
        base = keepfs.path(manifest["path"])
        for file in manifest["files"]:
            path = base / file["name"] if manifest["type"] == "directory" else base.parent / file["name"]
            data = path.read_bytes()
            assert len(data) == path.stat().st_size == file["size"] and sha256(data) == file["sha256"]
    for job in ("full", "plain", "media"):
        subprocess.run(["sha256sum", "--quiet", "-c", "SHA256SUMS"], cwd=keepfs.path("backups", job), check=True)
    # at random, as pg_restore -t reads
    source.tool("pg_restore", "-t", "secret_orders", "-d", source.uri(scratch), keepfs.path("backups", "full", "latest.dump"))
    assert source.sql(scratch, "SELECT count(*) FROM secret_orders").strip() == "6000"
    (dump,) = [n for n in os.listdir(keepfs.path("inside", "full")) if n[0].isdigit()]
    inside = keepfs.path("inside", "full", dump)
    found = {str(p.relative_to(inside)) for p in inside.rglob("*secret_orders*")}
    assert found, list(inside.rglob("*"))
    for level in ("full", "plain", "dir", "media"):
        run = int(keepfs.ask("verify", level).split()[0])
        keepfs.wait_run(run, condition=lambda s: s["state"] == "completed")
        assert "is right: level 1" in keepfs.text("jobs", str(run), "log")
    # what a URL leads to is the object
    links = keepfs.path("links", "backups", "full")
    assert any(n.endswith(".dump.age") for n in os.listdir(links))


def test_keys_that_do_not_fit_are_told_apart(new_keepfs, source, tmp_path, identity):
    other = Identity(tmp_path / "other")
    keepfs = with_identity(new_keepfs({"full": {"database": source.uri(DATABASE)}}, encrypt_to=identity.recipient), other).mount()
    keepfs.backup("full")
    latest = keepfs.path("backups", "full", "latest.dump")
    assert open_fails(latest) == errno.ENOKEY
    assert "none of" in last_error(keepfs)
    os.rename(other.path, tmp_path / "gone")
    assert open_fails(latest) != errno.ENOKEY
    assert str(other.path) in last_error(keepfs)
    # the right one takes its place: nobody need start anything anew
    other.path.write_bytes(identity.path.read_bytes())
    other.path.chmod(0o600)
    assert latest.read_bytes().startswith(b"PGDMP")
    assert "damaged" not in keepfs.text("status", "health")


def test_each_of_two_recipients_opens_it(new_keepfs, source, tmp_path, identity):
    second = Identity(tmp_path / "second")
    recipients = tmp_path / "recipients"
    recipients.write_text(f"# for those who restore\n{second.recipient}\n")
    keepfs = new_keepfs({"full": {"database": source.uri(DATABASE)}}, encrypt_to=identity.recipient, encrypt_to_file=recipients).mount()
    keepfs.backup("full")
    (manifest,) = manifests(keepfs.store)
    assert sorted(manifest["encrypted_to"]) == sorted([identity.recipient, second.recipient])
    stored = keepfs.store.get(manifest["objects"][0]["key"])
    assert age_opens(stored, identity) == age_opens(stored, second)


def test_a_passphrase(new_keepfs, source, tmp_path):
    keepfs = new_keepfs({"full": {"database": source.uri(DATABASE), "globals": "no"}}, encrypt_passphrase="correct horse").mount()
    keepfs.backup("full")
    (manifest,) = manifests(keepfs.store)
    assert manifest["encrypted_to"] == ["passphrase"]
    # who can encrypt with it can decrypt
    assert sha256(keepfs.path("backups", "full", "latest.dump").read_bytes()) == manifest["sha256"]
    keepfs.unmount()
    keepfs.settings["encrypt_passphrase"] = "wrong horse"
    keepfs.write_conf()
    keepfs.mount()
    assert open_fails(keepfs.path("backups", "full", "latest.dump")) == errno.EKEYREJECTED
    assert "passphrase" in last_error(keepfs)


@pytest.mark.parametrize("store", ["dir", "ceph"], indirect=True)
def test_what_is_flipped_is_found_and_never_served(new_keepfs, source, tmp_path, identity):
    keepfs = with_identity(new_keepfs({"full": {"database": source.uri(DATABASE)}}, encrypt_to=identity.recipient), identity).mount()
    keepfs.backup("full")
    (manifest,) = manifests(keepfs.store)
    base = keepfs.path(manifest["path"]).parent
    for number, file in enumerate(manifest["files"]):
        described = manifest["objects"][file["object"]]
        good = keepfs.store.get(described["key"])
        for at in (2, len(good) // 2, len(good) - 1):
            keepfs.store.put(described["key"], good[:at] + bytes([good[at] ^ 1]) + good[at + 1:])
            run = int(keepfs.ask("verify", "full").split()[0])
            assert keepfs.wait_run(run)["state"] == "failed"
            with contextlib.suppress(OSError):
                data = (base / file["name"]).read_bytes()
                assert sha256(data) == file["sha256"]  # from what was read before it was damaged
            keepfs.store.put(described["key"], good)
        # cut off, at the end of a cell or not
        keepfs.store.put(described["key"], good[:-1])
        run = int(keepfs.ask("verify", "full").split()[0])
        assert keepfs.wait_run(run)["state"] == "failed"
        keepfs.store.put(described["key"], good)
    run = int(keepfs.ask("verify", "full").split()[0])
    assert keepfs.wait_run(run)["state"] == "completed"


def test_one_job_in_the_open_and_a_change_for_the_next_backup(new_keepfs, source, tmp_path, identity):
    database = {"database": source.uri(DATABASE)}
    keepfs = new_keepfs({"full": database, "open": {**database, "encrypt_to": "none"}}, encrypt_to=identity.recipient).mount()
    keepfs.backup("full")
    keepfs.backup("open")
    assert (keepfs.path("backups", "open", "latest.dump")).read_bytes().startswith(b"PGDMP")
    assert "SHA256SUMS.stored" not in os.listdir(keepfs.path("backups", "open"))
    keys = keepfs.text("status", "keys")
    assert f"{identity.recipient}: 1 backup, " in keys and "not encrypted: 1 backup, " in keys
    assert "next of open: not encrypted\n" in keys and "next of full: encrypted\n" in keys and "this host has no identity\n" in keys
    del keepfs.settings["encrypt_to"]
    keepfs.write_conf()
    before = (keepfs.state / "keepfs.log").read_text().count("configuration")
    keepfs.signal(signal.SIGHUP, wait=False)
    daemon.wait_until(lambda: (keepfs.state / "keepfs.log").read_text().count("configuration") > before, "the reload")
    keepfs.backup("full")
    names = [n for n in os.listdir(keepfs.path("backups", "full")) if n[0].isdigit() and ".dump" in n]
    assert sorted(n.endswith(".age") for n in names) == [False, True]
    for sums in ("SHA256SUMS", "SHA256SUMS.stored"):
        subprocess.run(["sha256sum", "--quiet", "-c", sums], cwd=keepfs.path("backups", "full"), check=True)


def test_a_rebuild_with_the_key_brings_back_what_one_without_cannot(new_keepfs, source, tmp_path, identity):
    keepfs = new_keepfs({"full": {"database": source.uri(DATABASE)}}, encrypt_to=identity.recipient).mount()
    keepfs.backup("full")
    keepfs.unmount()
    copies = [key for key in keepfs.store.all_keys() if key.startswith("catalog/")]
    assert copies and all(key.endswith(".sqlite.zst.age") for key in copies)
    assert b"SQLite" not in keepfs.store.get(copies[-1])
    for entry in keepfs.state.iterdir():
        if entry.is_file():
            entry.unlink()
    told = keepfs.run("rebuild", check=False)
    assert "this host has no identity" in told.stdout + told.stderr and "copies of 7 later days" in told.stdout + told.stderr
    for entry in keepfs.state.iterdir():
        if entry.is_file():
            entry.unlink()
    with_identity(keepfs, identity)
    keepfs.run("rebuild")
    keepfs.mount()
    assert [run["job"] for run in keepfs.history()] == ["full"]
    assert keepfs.path("backups", "full", "latest.dump").read_bytes().startswith(b"PGDMP")
