# SPDX-License-Identifier: Apache-2.0
"""links/: files that hold a URL, with which somebody who has neither mount nor credentials gets the backup. A9"""
import contextlib
import errno
import hashlib
import json
import os
import pwd
import re
import stat
import subprocess
import tempfile

import pytest

import handmade
from daemon import wait_until

on_s3 = pytest.mark.parametrize("store", ["ceph", "swift"], indirect=True)
on_ceph = pytest.mark.parametrize("store", ["ceph"], indirect=True)
on_each_store = pytest.mark.parametrize("store", ["dir", "ceph", "swift"], indirect=True)

DUMP, TREE, SCHEMA = "20251119T020000Z", "20251120T020000Z", "20251121T020000Z"
BESIDE = {f"{DUMP}.tables.csv": b"schema,table,rows\npublic,orgs,20\n", f"{DUMP}.globals.sql.gz": os.urandom(3000)}
FILES = {"toc.dat": os.urandom(5000), "3456.dat.gz": os.urandom(300_000), "blobs_16400.toc": b""}
DATA = os.urandom(3_000_000)
ODD = "od=20d=2F=25=26=3D=3F=23=C3=A4"


def shell(command, cwd="/", check=True):
    done = subprocess.run(["sh", "-c", command], cwd=cwd, text=True, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT)
    assert not check or done.returncode == 0, done.stdout
    return done.stdout


@pytest.fixture
def filled(new_keepfs, store):
    """a dump with files beside it, a directory, a partial one, and one of a database with an odd name"""
    keepfs = new_keepfs()
    handmade.publish(store, f"backups/full/{DUMP}.dump", DATA, BESIDE)
    handmade.publish(store, f"backups/full/{TREE}", files=FILES, run=2)
    handmade.publish(store, f"backups/full/{SCHEMA}.schema.dump", b"PGDMP", run=3, content="schema", partial=True)
    handmade.publish(store, f"backups/tenants/{ODD}/{DUMP}.dump", b"odd" + DATA[:1000], run=4)
    keepfs.run("rebuild")
    return keepfs.mount()


def curl(url, *options):
    """(status, body) of what a stranger gets"""
    done = subprocess.run(["curl", "-q", "--silent", "--show-error", "--noproxy", "*", "--write-out", "%{stderr}%{http_code}",
                           *options, url],
                          env={"PATH": os.environ["PATH"]}, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert done.returncode == 0, done.stderr
    return int(done.stderr), done.stdout


def link(keepfs, *parts):
    """the URL in a file of links/: one line"""
    (url,) = re.fullmatch(r"(http://\S+)\n", keepfs.text("links", "backups", *parts)).groups()
    return url


def links_made(keepfs):
    lines = [json.loads(line) for line in keepfs.text("status", "audit.jsonl").splitlines()]
    return [entry for entry in lines if entry["action"] == "link"]


def tree_of(top, without=()):
    return sorted(os.path.relpath(os.path.join(where, name), top) for where, dirs, files in os.walk(top) for name in dirs + files
                  if os.path.join(where, name) not in without)


@on_s3
def test_the_link_of_a_new_backup(keepfs):
    """from a trigger to a file that somebody else restores"""
    assert os.listdir(keepfs.path("links")) == ["backups", "exports"] and os.listdir(keepfs.path("links", "backups")) == ["full"]
    assert os.listdir(keepfs.path("links", "backups", "full")) == []
    run = keepfs.backup()
    (name,) = keepfs.artifacts()
    assert set(os.listdir(keepfs.path("links", "backups", "full"))) == set(os.listdir(keepfs.path("backups", "full"))) - {"SHA256SUMS"}
    status, body = curl(link(keepfs, "full", name))
    assert status == 200 and body == keepfs.path("backups", "full", name).read_bytes()
    assert hashlib.sha256(body).hexdigest() == run["sha256"]
    assert link(keepfs, "full", "latest.dump").split("?")[0] == link(keepfs, "full", name).split("?")[0]
    as_documented = f"curl -q -sS --noproxy '*' \"$(cat {keepfs.path('links/backups/full/latest.dump')})\" | sha256sum"
    assert shell(as_documented).split()[0] == run["sha256"]


@on_s3
def test_every_file_has_one(filled):
    for where, _, names in os.walk(filled.path("links", "backups")):
        for name in names:
            inside = os.path.relpath(os.path.join(where, name), filled.path("links", "backups"))
            status, body = curl(link(filled, inside))
            assert (status, body) == (200, filled.path("backups", inside).read_bytes()), inside
    assert curl(link(filled, "tenants", ODD, "latest.dump"))[1] == b"odd" + DATA[:1000]
    assert curl(link(filled, "full", TREE, "SHA256SUMS"))[1] == filled.path("backups", "full", TREE, "SHA256SUMS").read_bytes()


@on_s3
def test_ranges(filled):
    url = link(filled, "full", f"{DUMP}.dump")
    assert curl(url, "--range", "0-0") == (206, DATA[:1])
    assert curl(url, "--range", "1048570-1048590") == (206, DATA[1048570:1048591])
    assert curl(url, "--range", "-100") == (206, DATA[-100:])


@on_s3
def test_it_is_for_reading_only(filled):
    url = link(filled, "full", f"{DUMP}.dump")
    for method in "PUT", "DELETE":
        assert curl(url, "--request", method, "--data", "x")[0] == 403
    assert curl(url.replace(f"{DUMP}.dump", f"{DUMP}.tables.csv"))[0] == 403
    assert 400 <= curl(url.split("?")[0])[0] <= 403, "nobody gets it without the signature"
    assert filled.path("backups", "full", f"{DUMP}.dump").read_bytes() == DATA


@on_ceph
def test_a_database_with_an_odd_name(new_keepfs, pg):
    """a real one: its directory's name is encoded once for the store, and once more for the URL"""
    database = "od d/%&?ä"
    pg.create(database)
    try:
        keepfs = new_keepfs({"tenants": {"database": pg.uri("postgres"), "databases": f'"{database}"'}}).mount()
        keepfs.backup()
        (directory,) = os.listdir(keepfs.path("links", "backups", "tenants"))
        path = f"tenants/{directory}/latest.dump"
        assert "=20" in directory and "%3D20" in link(keepfs, path)
        assert curl(link(keepfs, path)) == (200, keepfs.path("backups", path).read_bytes())
    finally:
        pg.drop(database)


@on_s3
def test_each_open_makes_one(filled):
    path = filled.path("links", "backups", "full", f"{DUMP}.dump")
    with open(path) as first:
        before = first.read()
        # Until the clock of the signature, of whole seconds, has moved.
        after = wait_until(lambda: (new := path.read_text()) != before and new, "a second URL")
        first.seek(0)
        assert first.read() == before, "the text of one open stays"
    for url in before, after:
        assert curl(url.strip())[0] == 200
    assert "&X-Amz-Expires=900&" in before


@on_s3
def test_it_ends(new_keepfs, store):
    keepfs = new_keepfs()
    keepfs.read_settings["link_ttl"] = "1s"
    keepfs.write_conf()
    handmade.publish(store, f"backups/full/{DUMP}.dump", b"PGDMP")
    keepfs.run("rebuild")
    keepfs.mount()
    url = link(keepfs, "full", f"{DUMP}.dump")
    wait_until(lambda: curl(url)[0] == 403, "the URL has ended")
    # A fresh one works; on a slow machine it, too, may have ended before it was used.
    wait_until(lambda: curl(link(keepfs, "full", f"{DUMP}.dump"))[0] == 200, "a new URL is valid")


@on_ceph
def test_who_asked_is_written_down(filled):
    path = filled.path("links", "backups", "full", f"{DUMP}.tables.csv")
    shell(f"ls -lR {filled.path('links')}; find {filled.path('links')}; stat {path}; du -a {filled.path('links')}")
    assert links_made(filled) == [], "looking makes no URL"
    shell(f"cat {path} {path}")
    entries = links_made(filled)
    assert len(entries) == 2
    for entry in entries:
        assert entry["uid"] == os.getuid() and entry["pid"] > 0 and entry["command"] == "cat" and entry["result"] == "ok"
        assert entry["object"] == f"backups/full/{DUMP}.tables.csv"
        assert re.fullmatch(r"valid until \d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", entry["detail"])
    secrets = filled.text("status", "audit.jsonl") + filled.text("status", "last-error")
    assert "X-Amz" not in secrets


def test_a_directory_has_none(filled):
    path = filled.path("links", "backups", "full", f"{DUMP}.dump")
    for one in path, filled.path("links", "backups", "full", TREE, "toc.dat"):
        with pytest.raises(OSError) as caught:
            open(one)
        assert caught.value.errno == errno.ENOTSUP
    done = shell(f"cat {path}", check=False)
    assert "not supported" in done
    (why,) = filled.text("status", "last-error").splitlines()
    assert " links: " in why and "is a directory" in why and "copy the file" in why and why.endswith("(3 times)")
    assert links_made(filled) == []
    assert path.stat().st_size == 0
    filled.run("status")


@on_each_store
def test_the_tree_is_that_of_backups(filled):
    links, backups = filled.path("links", "backups"), filled.path("backups")
    sums = {str(filled.path("backups", d, "SHA256SUMS")) for d in ("full", f"tenants/{ODD}")}
    assert tree_of(links) == tree_of(backups, without=sums)
    assert shell("find . -type d | sort", links) == shell("find . -type d | sort", backups)
    assert shell("find . -type l -printf '%p %l\n' | sort", links) == shell("find . -type l -printf '%p %l\n' | sort", backups)
    inodes = [os.lstat(os.path.join(where, name)).st_ino for where, dirs, files in os.walk(filled.mountpoint) for name in dirs + files]
    assert len(inodes) == len(set(inodes))
    for where, dirs, names in os.walk(links):
        twin = backups / os.path.relpath(where, links)
        own, other = os.stat(where), os.stat(twin)
        assert (own.st_nlink, own.st_mode & ~0o222, own.st_mtime_ns) == (other.st_nlink, other.st_mode & ~0o222, other.st_mtime_ns)
        assert {e.name: e.inode() for e in os.scandir(where)} == {n: os.lstat(os.path.join(where, n)).st_ino for n in dirs + names}
        for name in names:
            own, other = os.stat(os.path.join(where, name)), os.stat(twin / name)
            assert stat.S_IMODE(own.st_mode) == stat.S_IMODE(other.st_mode) & 0o444
            assert (own.st_uid, own.st_gid, own.st_mtime_ns) == (other.st_uid, other.st_gid, other.st_mtime_ns)
    before = {path: os.lstat(links / path).st_ino for path in tree_of(links)}
    filled.remount()
    assert {path: os.lstat(links / path).st_ino for path in tree_of(links)} == before


@on_ceph
def test_standard_tools(filled, tmp_path):
    links = filled.path("links")
    shell(f"tar -C {filled.mountpoint} -cf tree.tar links && mkdir x && tar -C x -xf tree.tar", tmp_path)
    shell(f"rsync -a {links}/ {tmp_path}/rsync/ && cp -r {links} {tmp_path}/cp", tmp_path)
    names = [path for path in tree_of(links) if (links / path).is_file()]
    for top in tmp_path / "x/links", tmp_path / "rsync", tmp_path / "cp":
        assert tree_of(top) == tree_of(links)
        for name in names:
            text = (top / name).read_text()
            assert re.fullmatch(r"http://\S+\n", text) and len(text) == (links / name).stat().st_size
            assert curl(text.strip())[0] == 200
    assert shell(f"head -c 7 {links}/backups/full/{DUMP}.dump") == "http://"
    assert shell(f"dd if={links}/backups/full/{DUMP}.dump bs=1 skip=4 count=3 status=none") == "://"
    assert shell(f"wc -l < {links}/backups/full/{DUMP}.dump").strip() == "1"


@on_each_store
def test_it_goes_with_the_backup(filled):
    """what the kernel knows of it must not outlive it"""
    links = filled.path("links", "backups", "full")
    dump = [f"{DUMP}.dump", *BESIDE]
    for name in [*dump, TREE, f"{TREE}/toc.dat"]:
        os.stat(links / name)
    for call in (lambda: os.unlink(links / f"{DUMP}.dump"), lambda: os.rmdir(links / TREE), lambda: os.unlink(links / TREE / "toc.dat"),
                 lambda: os.rmdir(links), lambda: os.unlink(links / "latest"), lambda: open(links / f"{DUMP}.dump", "a"),
                 lambda: os.rename(links / f"{DUMP}.dump", links / "x"), lambda: os.truncate(links / f"{DUMP}.dump", 0)):
        with pytest.raises(PermissionError):
            call()
    assert "links/ only mirrors backups/" in filled.text("status", "last-error")
    before = links.stat().st_mtime_ns
    os.unlink(filled.path("backups", "full", f"{DUMP}.dump"))
    for name in dump:
        assert not (links / name).exists()
        with pytest.raises(FileNotFoundError):
            open(links / name)
    assert [name for name in os.listdir(links) if DUMP in name] == []
    assert before < links.stat().st_mtime_ns == filled.path("backups", "full").stat().st_mtime_ns
    # The directory is a good backup's only stand-in as long as there is no other: one more, then it may go.
    filled.backup()
    (new,) = set(filled.artifacts()) - {TREE, f"{SCHEMA}.schema.dump"}
    assert (links / new).is_file()
    # Also from under somebody who is in it.
    with contextlib.closing(os.scandir(links / TREE)):
        os.rmdir(filled.path("backups", "full", TREE))
    assert not (links / TREE).exists() and not (links / TREE / "toc.dat").exists()
    assert links.stat().st_nlink == filled.path("backups", "full").stat().st_nlink == 2


@on_ceph
def test_keys_that_are_rotated(filled):
    """URLs are made with the credentials that are in force, without a remount; and none without any"""
    filled.unmount()
    credentials = filled.directory / "credentials"
    for key in "access_key", "secret_key":
        del filled.store_settings[key]
    facts = filled.store.server.facts
    profile = f"[default]\naws_access_key_id = {facts['ACCESS_KEY']}\naws_secret_access_key = {facts['SECRET_KEY']}\n"
    credentials.write_text(profile)
    filled.env["AWS_SHARED_CREDENTIALS_FILE"] = str(credentials)
    filled.write_conf()
    filled.mount()
    assert curl(link(filled, "full", f"{DUMP}.dump"))[0] == 200
    credentials.write_text("[default]\naws_access_key_id = NEW\naws_secret_access_key = new\naws_session_token = to/ken\n")
    path = filled.path("links", "backups", "full", f"{DUMP}.dump")
    text = path.read_text()
    assert "Credential=NEW%2F" in text and "&X-Amz-Security-Token=to%2Fken&" in text and len(text) == path.stat().st_size
    credentials.unlink()
    with pytest.raises(OSError) as caught:
        path.read_text()
    assert caught.value.errno == errno.ENOKEY and path.stat().st_size == 0
    assert f"links/backups/full/{DUMP}.dump" in filled.text("status", "last-error")
    credentials.write_text(profile)
    assert curl(link(filled, "full", f"{DUMP}.dump"))[0] == 200


@on_ceph
def test_what_is_damaged_has_none(filled):
    filled.store.put(f"backups/full/{DUMP}.dump", DATA[:1000] + b"x" + DATA[1001:])
    with pytest.raises(OSError):
        filled.path("backups", "full", f"{DUMP}.dump").read_bytes()
    with pytest.raises(OSError) as caught:
        filled.path("links", "backups", "full", f"{DUMP}.dump").read_text()
    assert caught.value.errno == errno.EIO
    assert f"links/backups/full/{DUMP}.dump: no link, since" in filled.text("status", "last-error")


@on_ceph
def test_a_store_that_is_down(filled):
    """a URL is computed: listing and reading links/ needs no store"""
    names = tree_of(filled.path("links"))
    filled.unmount()
    filled.store_settings["faults"] = "*:1+:unavailable"
    filled.write_conf()
    filled.mount()
    assert tree_of(filled.path("links")) == names
    assert curl(link(filled, "full", f"{DUMP}.dump"))[1] == DATA


@pytest.mark.skipif(os.geteuid() != 0, reason="needs a second user")
@on_ceph
def test_only_readers_of_a_backup_get_its_link(new_keepfs, store):
    nobody = pwd.getpwnam("nobody").pw_uid
    with tempfile.TemporaryDirectory(prefix="keepfs-open-") as directory:
        os.chmod(directory, 0o755)
        keepfs = new_keepfs(directory=directory, allow_other="yes", file_mode="0644", dir_mode="0755")
        handmade.publish(store, f"backups/full/{DUMP}.dump", DATA, BESIDE)
        keepfs.run("rebuild")
        keepfs.mount()
        try:
            def as_nobody(name):
                return subprocess.run(["runuser", "-u", "nobody", "--", "cat", keepfs.path("links", "backups", "full", name)],
                                      stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)

            assert as_nobody(f"{DUMP}.dump").stdout.startswith("http://")
            done = as_nobody(f"{DUMP}.globals.sql.gz")
            assert done.returncode != 0 and "denied" in done.stderr
            assert [(entry["uid"], entry["object"]) for entry in links_made(keepfs)] == [(nobody, f"backups/full/{DUMP}.dump")]
        finally:
            keepfs.close()
