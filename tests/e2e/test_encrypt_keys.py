# SPDX-License-Identifier: Apache-2.0
"""Keys that are lost, wrong, or taken away at work, and encrypted objects that are damaged: each is told with words of its own at every place
where somebody meets it; nothing is lost, nothing that is right is called damaged, and nothing is written in plain."""
import contextlib
import errno
import json
import os
import signal
import subprocess

import pytest

from daemon import wait_until
from signing import make_key

DATABASE = "sealed_keys"
PLANTED = b"planted-among-the-keys"


class Identity:
    def __init__(self, path):
        self.path = path
        subprocess.run(["age-keygen", "-o", path], check=True, capture_output=True)
        path.chmod(0o600)
        self.recipient = subprocess.run(["age-keygen", "-y", path], check=True, capture_output=True, text=True).stdout.strip()


@pytest.fixture
def identity(tmp_path):
    return Identity(tmp_path / "identity")


@pytest.fixture(scope="module")
def shop(pg):
    pg.create(DATABASE)
    pg.sql(DATABASE, f"CREATE TABLE orders AS SELECT g AS id, '{PLANTED.decode()}' || md5(g::text) AS note FROM generate_series(1, 6000) g")
    yield pg
    pg.drop(DATABASE)


def manifests(store):
    """of what was not removed, oldest first"""
    found = [json.loads(store.get(key)) for key in store.keys() if key.startswith("manifests/") and key.endswith(".json")]
    return sorted(found, key=lambda m: m["path"])


def last_error(keepfs):
    return keepfs.text("status", "last-error")


def reload(keepfs):
    log = keepfs.state / "keepfs.log"
    before = log.read_text().count("the configuration")
    keepfs.signal(signal.SIGHUP, wait=False)
    wait_until(lambda: log.read_text().count("the configuration") > before, "the reload")
    return log.read_text()


def read_fails(path):
    with pytest.raises(OSError) as caught:
        path.read_bytes()
    return caught.value.errno


def end_of(keepfs, command, words):
    """(state, all that its run says)"""
    run = int(keepfs.ask(command, words).split()[0])
    status = keepfs.wait_run(run)
    return status["state"], f"{status.get('error', '')}\n{keepfs.text('jobs', str(run), 'log')}"


def look_inside(keepfs):
    (dump,) = [n for n in os.listdir(keepfs.path("inside", "full")) if n[0].isdigit()]
    return os.listdir(keepfs.path("inside", "full", dump, "tables"))


def tell_at(keepfs, target, shown="latest.dump"):
    """{place: what is said there} of a backup that cannot be read; @shown: its name on the mount, None where that is what is stored"""
    told = {}
    if shown:
        told["errno"] = read_fails(keepfs.path("backups", "full", shown))
        told["cp"] = last_error(keepfs)
    with contextlib.suppress(OSError):
        look_inside(keepfs)
        told["listed"] = True
    told["inside"] = last_error(keepfs)
    try:
        state, told["restore"] = end_of(keepfs, "restore", f"full into={target}")
        assert state == "failed"
    except OSError:  # it is known by then
        told["restore"] = keepfs.refused("restore", f"full into={target}")
    told["verified"], told["verify"] = end_of(keepfs, "verify", "full")
    told["check"] = keepfs.run("check", check=False).stdout
    return told


def is_well(keepfs, target):
    """whatever was wrong is right again, and has left nothing behind"""
    state, log = end_of(keepfs, "verify", "full")
    assert state == "completed" and "is right: level 1" in log, log
    assert keepfs.path("backups", "full", "latest.dump").read_bytes().startswith(b"PGDMP")
    assert "orders.csv" in " ".join(look_inside(keepfs))
    state, log = end_of(keepfs, "restore", f"full into={target}")
    assert state == "completed", log
    assert "damaged" not in keepfs.text("status", "health")


NO_MARK = {"none", "another", "gone", "open", "passphrase"}
WORDS = {
    "none": ("this host has no identity: set [keepfs] identity_file", 0, "none: this host makes encrypted backups, and cannot read them"),
    "another": ("none of the identities of this host opens it: it is encrypted to age1", errno.ENOKEY, "1 can be used; none of them opens what job full encrypts now"),
    "gone": ("other: it cannot be opened: No such file or directory", errno.EIO, "FAIL identity: [keepfs] identity_file = "),
    "open": ("can be read or written by others", errno.EIO, "FAIL identity: [keepfs] identity_file = "),
    "passphrase": ("with a passphrase, and none that this host has opens it: set that one as [keepfs] identity_passphrase", errno.EKEYREJECTED, "1 can be used"),
    "header": ("its first bytes, which say who can decrypt it, are not those that were sent", errno.EIO, "1 can be used\n"),
    "cut": ("its end is missing", errno.EIO, "1 can be used\n"),
}


# a passphrase costs a second at each place
@pytest.mark.parametrize("trouble", [pytest.param(t, marks=pytest.mark.slow("test_a_passphrase")) if t == "passphrase" else t for t in WORDS])
def test_each_trouble_has_words_of_its_own_at_every_place(new_keepfs, shop, tmp_path, identity, target, trouble):
    words, number, checked = WORDS[trouble]
    settings = {"encrypt_to": identity.recipient}
    if trouble == "passphrase":
        settings = {"encrypt_passphrase": "correct horse"}
    keepfs = new_keepfs({"full": {"database": shop.uri(DATABASE), "globals": "no"}}, **settings)
    other = Identity(tmp_path / "other")
    if trouble not in ("none", "passphrase"):
        keepfs.settings["identity_file"] = other.path
    if trouble in ("header", "cut", "gone", "open"):
        other.path.write_bytes(identity.path.read_bytes())
    keepfs.write_conf()
    keepfs.mount().backup("full")
    key = manifests(keepfs.store)[0]["path"] + ".age"
    good = keepfs.store.get(key)
    if trouble == "gone":
        other.path.rename(tmp_path / "away")
    elif trouble == "open":
        other.path.chmod(0o644)
    elif trouble == "passphrase":
        keepfs.settings["encrypt_passphrase"] = "wrong horse"
        keepfs.write_conf()
        reload(keepfs)
    elif trouble == "header":
        keepfs.store.put(key, good[:50] + bytes([good[50] ^ 1]) + good[51:])
    elif trouble == "cut":
        keepfs.store.put(key, good[:1000])

    told = tell_at(keepfs, target, None if trouble == "none" else "latest.dump")
    assert "listed" not in told
    for place in ("cp", "inside", "restore"):
        assert place not in told or words in told[place], (place, told[place])
    assert checked in told["check"], told["check"]
    assert told.get("errno", 0) == number, told
    # that every byte is what was sent needs no key; one that is configured, and cannot be had, is a failure of this host
    if trouble in ("none", "another", "passphrase"):
        assert told["verified"] == "completed" and "is right: level 0" in told["verify"], told["verify"]
        why = "this host has no identity to look into it" if trouble == "none" else "none of the identities of this host opens it"
        assert why in told["verify"], told["verify"]
    else:
        assert told["verified"] == "failed"
        assert (words if trouble in NO_MARK else "is damaged in the store") in told["verify"], told["verify"]
    with keepfs.catalog() as catalog:
        (marked,) = catalog.execute("SELECT count(*) FROM audit WHERE action = 'damaged'").fetchone()
    assert (marked == 0) == (trouble in NO_MARK)
    assert shop.sql("postgres", f"SELECT count(*) FROM pg_database WHERE datname LIKE '{target}%'") == "0"
    assert not [k for k in keepfs.store.keys() if k.startswith("backups/") and PLANTED in keepfs.store.get(k)]

    keepfs.store.put(key, good)
    if trouble == "passphrase":
        keepfs.settings["identity_passphrase"] = "correct horse"
        keepfs.write_conf()
        reload(keepfs)
    elif trouble != "none":
        other.path.write_bytes(identity.path.read_bytes())
        other.path.chmod(0o600)
        is_well(keepfs, target)
    if trouble == "passphrase":
        is_well(keepfs, target)


def test_keys_that_are_taken_away_at_work(new_keepfs, shop, pg, tmp_path, identity):
    recipients = tmp_path / "recipients"
    recipients.write_text(identity.recipient)
    private, public = make_key(tmp_path, "signing")
    keepfs = new_keepfs({"full": {"database": shop.uri(DATABASE), "globals": "no", "jobs": 1}}, encrypt_to_file=recipients, identity_file=identity.path,
                        signing_key_file=private).mount()
    files = (recipients, private, identity.path)

    def move_away():
        for file in files:
            file.rename(f"{file}.away")

    def move_back():
        for file in files:
            os.rename(f"{file}.away", file)

    # in the middle of a run: it has what it needs from its beginning, and what it has made it can look at
    with pg.lock(DATABASE, "orders") as lock:
        run = keepfs.trigger()
        lock.wait_until_waited_for()
        move_away()
    assert keepfs.wait_run(run)["state"] == "completed"
    (manifest,) = manifests(keepfs.store)
    assert manifest["encrypted_to"] == [identity.recipient] and "verified_at" in manifest
    # the next one has nobody to encrypt for: it makes nothing, rather than something plain
    before = keepfs.store.all_keys()
    run = keepfs.trigger()
    status = keepfs.wait_run(run)
    assert status["state"] == "failed"
    assert "nobody can be found to encrypt the backup for" in status["error"] and str(recipients) in status["error"], status
    assert [k for k in keepfs.store.all_keys() if k not in before and k.startswith(("backups/", "manifests/"))] == []
    # the key that signs is in memory; a reload says that its file is gone, and leaves all as it was
    os.rename(f"{recipients}.away", recipients)
    log = reload(keepfs)
    assert f"signing_key_file = {private}" in log and "that of before stays in force" in log
    keepfs.backup()
    assert all("signature" in m for m in manifests(keepfs.store)) and len(manifests(keepfs.store)) == 2
    recipients.rename(f"{recipients}.away")
    told = keepfs.run("check", check=False).stdout
    for file in files:
        assert any(line.startswith("FAIL") and str(file) in line for line in told.splitlines()), (file, told)
    # a start without it would make what nobody could tell from others' backups
    keepfs.unmount()
    done = keepfs.run("mount", keepfs.mountpoint, check=False)
    assert done.returncode != 0 and f"signing_key_file = {private}" in done.stderr, done
    move_back()
    keepfs.mount().backup()
    assert len(manifests(keepfs.store)) == 3
    assert keepfs.path("backups", "full", "latest.dump").read_bytes().startswith(b"PGDMP")


def test_a_reload_reads_keys_anew(new_keepfs, shop, tmp_path, identity, target):
    keepfs = new_keepfs({"full": {"database": shop.uri(DATABASE), "globals": "no"}}, encrypt_to=identity.recipient).mount()
    keepfs.backup()
    full = keepfs.path("backups", "full")
    stored = keepfs.store.get(manifests(keepfs.store)[0]["path"] + ".age")
    # with an identity what is inside can be read; names stay as long as the mount does, since programs may have them open
    keepfs.settings["identity_file"] = identity.path
    keepfs.write_conf()
    with (full / "latest.dump.age").open("rb") as opened:
        log = reload(keepfs)
        assert "in force: [keepfs] identity_file: " in log, log
        assert "orders.csv" in " ".join(look_inside(keepfs))
        assert opened.read() == stored and (full / "latest.dump.age").read_bytes() == stored
    state, log = end_of(keepfs, "restore", f"full into={target}")
    assert state == "completed", log
    keepfs.remount()
    # without it again: what is open stays, and what is not says what is missing
    with (full / "latest.dump").open("rb") as opened:
        head = opened.read(4096)
        del keepfs.settings["identity_file"]
        keepfs.write_conf()
        reload(keepfs)
        assert read_fails(full / "latest.dump") == errno.ENOKEY
        assert "this host has no identity" in last_error(keepfs)
        assert (head + opened.read()).startswith(b"PGDMP")
    # one that cannot be read is told at once, and is no reason not to make backups
    keepfs.settings["identity_file"] = tmp_path / "nowhere"
    keepfs.write_conf()
    assert "what is encrypted cannot be read: [keepfs] identity_file = " in reload(keepfs)
    keepfs.backup()
    assert read_fails(full / "latest.dump") == errno.EIO
    keepfs.settings["identity_file"] = identity.path
    keepfs.write_conf()
    reload(keepfs)
    assert (full / "latest.dump").read_bytes().startswith(b"PGDMP")


def test_what_is_kept_beside_a_backup_is_verified(new_keepfs, shop, tmp_path, identity):
    keepfs = new_keepfs({"full": {"database": shop.uri(DATABASE), "globals": "no"}}, encrypt_to=identity.recipient).mount()
    keepfs.backup()
    beside = [o["key"] for m in manifests(keepfs.store) for o in m["objects"] if "role" in o]
    assert sorted(key.rsplit(".", 2)[1] for key in beside) == ["facts", "index"]

    def refuse_all():
        for key in beside:
            good = keepfs.store.get(key)
            for wrong in (good[:-1] + bytes([good[-1] ^ 1]), good[:-1], None):
                if wrong is None:
                    keepfs.store.remove(key)
                else:
                    keepfs.store.put(key, wrong)
                state, log = end_of(keepfs, "verify", "full")
                assert state == "failed" and "all files of backups/full/" in log and key in log, log
                keepfs.store.put(key, good)
        state, log = end_of(keepfs, "verify", "full")
        assert state == "completed", log

    refuse_all()
    keepfs.settings["identity_file"] = identity.path
    keepfs.write_conf()
    reload(keepfs)
    refuse_all()
    # a restore needs none of them
    assert "damaged" not in keepfs.text("status", "health")


def test_tables_are_known_when_there_is_a_key_again(new_keepfs, shop, tmp_path, identity):
    keepfs = new_keepfs({"full": {"database": shop.uri(DATABASE), "globals": "no"}}, encrypt_to=identity.recipient).mount()
    keepfs.backup()
    keepfs.unmount()

    def known():
        with keepfs.catalog() as catalog:
            (facts,) = catalog.execute("SELECT facts FROM artifact").fetchone()
        return "orders" in json.loads(facts).get("largest_tables", "")

    assert known()
    for entry in keepfs.state.iterdir():
        if entry.is_file():
            entry.unlink()
    keepfs.run("rebuild", check=False)
    assert not known()
    keepfs.mount()
    other = Identity(tmp_path / "other")
    keepfs.settings["identity_file"] = other.path
    keepfs.write_conf()
    reload(keepfs)
    assert not known()
    keepfs.settings["identity_file"] = identity.path
    keepfs.write_conf()
    reload(keepfs)
    wait_until(known, "the tables are known again")
    assert "orders" in keepfs.text("status", "dashboard.html")


def test_that_it_is_encrypted_and_signed_is_shown(new_keepfs, shop, tmp_path, identity):
    private, _ = make_key(tmp_path, "signing")
    database = {"database": shop.uri(DATABASE), "globals": "no"}
    keepfs = new_keepfs({"full": database, "open": {**database, "encrypt_to": "none"}}, encrypt_to=identity.recipient, signing_key_file=private).mount()
    keepfs.backup("full")
    keepfs.backup("open")
    backups = {b["job"]: b for b in json.loads(keepfs.run("info", "--json").stdout)["backups"]}
    assert backups["full"]["encrypted_to"] == [identity.recipient] and backups["open"]["encrypted_to"] == []
    numbers = {m["job"]: m["chain"]["sequence"] for m in manifests(keepfs.store)}
    assert {job: b["signed"] for job, b in backups.items()} == numbers
    lines = {line.split("/")[1]: line.split() for line in keepfs.run("info").stdout.splitlines() if line.startswith("backups/")}
    assert lines["full"][-2:] == ["encrypted", "signed"] and lines["open"][-1] == "signed" and "encrypted" not in lines["open"]
    page = keepfs.text("status", "dashboard.html")
    assert page.count('<span class="badge">encrypted</span>') == 1 and page.count('<span class="badge">signed</span>') == 2
