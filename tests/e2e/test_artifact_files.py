# SPDX-License-Identifier: Apache-2.0
"""Backups of several files: those beside a dump, and those that are directories. Made by hand, listed by `keepfs rebuild`."""
import errno
import hashlib
import json
import os
import stat
import subprocess

import pytest

import daemon
import handmade

OLD, DUMP, TREE, SCHEMA = "20261118T020000Z", "20261119T020000Z", "20261120T020000Z", "20261121T020000Z"


def shell(command, cwd="/", check=True):
    done = subprocess.run(["sh", "-c", command], cwd=cwd, text=True, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT)
    assert not check or done.returncode == 0, done.stdout
    return done.stdout


DATA = {OLD: os.urandom(100_000), DUMP: os.urandom(3_000_000)}


def beside(stem):
    return {f"{stem}.tables.csv": b"schema,table,rows\npublic,orgs,20\n", f"{stem}.globals.sql.gz": DATA[stem][:3000]}


@pytest.fixture(scope="session")
def dumped(pg, tmp_path_factory):
    """{name: bytes} of what pg_dump's directory format makes"""
    directory = tmp_path_factory.mktemp("pg_dump") / "d"
    pg.tool("pg_dump", "-Fd", "-f", directory, pg.uri("sample"))
    return {path.name: path.read_bytes() for path in sorted(directory.iterdir())}


@pytest.fixture
def filled(new_keepfs, store, dumped):
    """two dumps with files beside them, a directory that is newer, and a partial one that is newer still"""
    keepfs = new_keepfs()
    for stem, data in DATA.items():
        handmade.publish(store, f"backups/full/{stem}.dump", data, beside(stem))
    handmade.publish(store, f"backups/full/{TREE}", files=dumped, run=2)
    handmade.publish(store, f"backups/full/{SCHEMA}.schema.dump", b"PGDMP", run=3, content="schema", partial=True,
                     note="before the release", sha256=None, stored_sha256=None, verified_at=None)
    keepfs.run("rebuild")
    return keepfs.mount()


def full(keepfs, *parts):
    return keepfs.path("backups", "full", *parts)


def last_error(keepfs):
    return keepfs.text("status", "last-error").splitlines()


def names_of(stem):
    return {f"{stem}.dump", *beside(stem)}


def test_what_is_listed(filled, dumped):
    assert set(os.listdir(full(filled))) == {*names_of(OLD), *names_of(DUMP), TREE, f"{SCHEMA}.schema.dump", "latest",
                                             "latest.dump", "SHA256SUMS"}
    assert set(os.listdir(full(filled, TREE))) == {*dumped, "SHA256SUMS"}
    assert os.readlink(full(filled, "latest")) == TREE
    assert (full(filled, "latest") / "toc.dat").read_bytes() == dumped["toc.dat"]
    assert os.readlink(full(filled, "latest.dump")) == f"{DUMP}.dump"
    listed = shell("ls -R", full(filled))
    assert f"./{TREE}:" in listed and "toc.dat" in listed
    assert shell("find . -type d", full(filled)).split() == [".", f"./{TREE}"]
    assert len(shell("find . -type f", full(filled)).split()) == 6 + 1 + 1 + len(dumped) + 1


def test_attributes(filled, dumped):
    tree, inside, table = full(filled, TREE).stat(), full(filled, TREE, "toc.dat").stat(), \
        full(filled, f"{OLD}.tables.csv").stat()
    assert stat.S_ISDIR(tree.st_mode) and stat.S_IMODE(tree.st_mode) == 0o700 and tree.st_nlink == 2
    assert full(filled).stat().st_nlink == 3
    assert stat.S_IMODE(inside.st_mode) == 0o600 and inside.st_nlink == 1
    assert inside.st_size == len(dumped["toc.dat"]) and inside.st_mtime_ns == tree.st_mtime_ns
    assert table.st_mtime_ns == full(filled, f"{OLD}.dump").stat().st_mtime_ns
    for parts in (), (TREE,):
        sums = full(filled, *parts, "SHA256SUMS")
        assert sums.stat().st_size == len(sums.read_bytes())
    inodes = [os.lstat(os.path.join(where, name)).st_ino for where, dirs, files in os.walk(filled.mountpoint) for name in dirs + files]
    assert len(inodes) == len(set(inodes))


def test_further_files_are_read(filled, dumped, store):
    for name in beside(DUMP):
        assert full(filled, name).read_bytes() == store.get(f"backups/full/{name}")
    for name, data in dumped.items():
        assert full(filled, TREE, name).read_bytes() == data
    assert shell(f"cat {OLD}.tables.csv", full(filled)) == "schema,table,rows\npublic,orgs,20\n"


def test_checksums(filled):
    checked = shell("sha256sum -c SHA256SUMS", full(filled))
    assert checked.count(": OK") == 7 and f"{TREE}/SHA256SUMS: OK" in checked and f"{OLD}.tables.csv: OK" in checked
    assert f"# {SCHEMA}.schema.dump: " in full(filled, "SHA256SUMS").read_text()
    assert "FAILED" not in shell("sha256sum -c SHA256SUMS", full(filled, TREE))


def test_tar_and_rsync(filled, tmp_path):
    shell(f"tar -C {filled.mountpoint} -cf tree.tar backups && mkdir x && tar -C x -xf tree.tar", tmp_path)
    shell("sha256sum -c SHA256SUMS", tmp_path / "x/backups/full")
    shell("sha256sum -c SHA256SUMS", tmp_path / "x/backups/full" / TREE)
    command = f"rsync -a --itemize-changes {filled.mountpoint}/backups/ {tmp_path}/offsite/"
    assert f"full/{TREE}/toc.dat" in shell(command)
    assert shell(command) == ""
    filled.remount()
    assert shell(command) == ""
    shell("sha256sum -c SHA256SUMS", tmp_path / "offsite/full" / TREE)


def test_a_directory_is_restored_from_the_mount(filled, pg, scratch):
    assert "TABLE DATA sales orders" in pg.tool("pg_restore", "-l", full(filled, TREE))
    pg.tool("pg_restore", "-j2", "-d", pg.uri(scratch), full(filled, "latest"))
    assert pg.fingerprint(scratch) == pg.fingerprint("sample")


def test_xattrs(filled, dumped):
    def facts(*parts):
        path = full(filled, *parts)
        return {name[len("user.keepfs."):]: os.getxattr(path, name).decode() for name in os.listxattr(path)}

    dump, table, tree, inside, schema = facts(f"{DUMP}.dump"), facts(f"{DUMP}.tables.csv"), facts(TREE), \
        facts(TREE, "toc.dat"), facts(f"{SCHEMA}.schema.dump")
    assert dump["format"] == "custom" and dump["content"] == "full" and dump["compression"] == "gzip"
    assert dump["verified_at"] == "2026-11-19T02:00:00Z" and dump["partial"] == "no" and "note" not in dump
    assert table["sha256"] == hashlib.sha256(full(filled, f"{DUMP}.tables.csv").read_bytes()).hexdigest()
    assert table["sha256"] != dump["sha256"] and table["run"] == dump["run"]
    assert tree["format"] == "directory" and tree["stored_bytes"] == str(sum(len((full(filled, TREE) / n).read_bytes())
                                                                            for n in os.listdir(full(filled, TREE))))
    assert tree["sha256"] == hashlib.sha256(full(filled, TREE, "SHA256SUMS").read_bytes()).hexdigest()
    assert inside["sha256"] == hashlib.sha256(dumped["toc.dat"]).hexdigest() and inside["run"] == tree["run"] == "2"
    assert schema["partial"] == "yes" and schema["note"] == "before the release"
    assert "sha256" not in schema and "verified_at" not in schema
    assert 'user.keepfs.format="directory"' in shell(f"getfattr -d {TREE}", full(filled))


def test_rm_takes_along_what_lies_beside(filled, store):
    for name in names_of(OLD):
        assert full(filled, name).stat().st_size > 0
    shell(f"rm {OLD}.dump", full(filled))
    # The kernel holds the directory while it removes a name, so it is told of the others right afterwards.
    for name in names_of(OLD):
        daemon.wait_until(lambda: not full(filled, name).exists(), f"{name} goes")
    assert [name for name in os.listdir(full(filled)) if OLD in name] == []
    assert OLD not in full(filled, "SHA256SUMS").read_text()
    assert [key for key in store.keys() if OLD in key] == []
    (entry,) = [e for e in map(json.loads, filled.text("status", "audit.jsonl").splitlines()) if e["action"] == "remove"]
    assert entry["object"] == f"backups/full/{OLD}.dump" and entry["result"] == "ok" and entry["command"] == "rm"
    filled.remount()
    assert [name for name in os.listdir(full(filled)) if OLD in name] == []


def test_a_file_beside_cannot_go_alone(filled):
    assert "not permitted" in shell(f"rm {OLD}.tables.csv", full(filled), check=False)
    assert full(filled, f"{OLD}.tables.csv").read_bytes()
    (why,) = last_error(filled)
    assert f" EPERM backups/full/{OLD}.tables.csv: " in why and why.endswith(f"rm {OLD}.dump")


def test_rmdir_takes_a_directory_whole(filled, store):
    inside = full(filled, TREE, "toc.dat")
    whole = inside.read_bytes()
    filled.backup()  # the newest one stays
    shell(f"rmdir {TREE}", full(filled))
    assert not inside.exists() and not full(filled, TREE).exists()
    assert TREE not in os.listdir(full(filled)) and full(filled).stat().st_nlink == 2
    assert os.path.lexists(full(filled, "latest.dump")) and not os.path.lexists(full(filled, "latest"))
    assert [key for key in store.keys() if TREE in key] == [] and whole
    (entry,) = [e for e in map(json.loads, filled.text("status", "audit.jsonl").splitlines()) if e["action"] == "remove"]
    assert entry["object"] == f"backups/full/{TREE}" and entry["command"] == "rmdir"


def test_what_is_in_it_goes_with_it_alone(filled, dumped):
    assert "not permitted" in shell(f"rm -rf {TREE}/*", full(filled), check=False)
    assert set(os.listdir(full(filled, TREE))) == {*dumped, "SHA256SUMS"}
    (why,) = last_error(filled)
    assert f" EPERM backups/full/{TREE}: " in why and f"remove the directory itself: rm -r {TREE}" in why
    assert f"({len(dumped) + 1} times)" in why


def test_the_last_whole_one_stays(filled):
    for stem in OLD, DUMP:
        full(filled, f"{stem}.dump").unlink()
    with pytest.raises(PermissionError):
        full(filled, TREE).rmdir()
    assert full(filled, TREE, "toc.dat").exists()
    assert f" EPERM backups/full/{TREE} is the last" in last_error(filled)[0]
    full(filled, f"{SCHEMA}.schema.dump").unlink()


@pytest.mark.parametrize("path, error", [("backups/full", errno.EPERM), ("backups", errno.EPERM), ("jobs/1", errno.EPERM),
                                         (f"backups/full/{OLD}.dump", errno.ENOTDIR), ("backups/full/nothing", errno.ENOENT)])
def test_no_other_directory_can_be_removed(filled, path, error):
    with pytest.raises(OSError) as caught:
        os.rmdir(filled.path(path))
    assert caught.value.errno == error
    assert len(last_error(filled)) == (error == errno.EPERM)


def test_nothing_is_made_in_a_directory(filled):
    with pytest.raises(PermissionError):
        full(filled, TREE, "new").write_bytes(b"")
    with pytest.raises(PermissionError):
        full(filled, TREE, "toc.dat").rename(full(filled, TREE, "other"))


def test_a_damaged_file_damages_all(filled, store, dumped):
    largest = max(dumped, key=lambda name: len(dumped[name]))
    store.put(f"backups/full/{TREE}/{largest}", bytes(len(dumped[largest])))
    with pytest.raises(OSError) as caught:
        full(filled, TREE, largest).read_bytes()
    assert caught.value.errno == errno.EIO
    for parts in (TREE,), (TREE, "toc.dat"), (TREE, largest):
        assert os.getxattr(full(filled, *parts), "user.keepfs.state") == b"damaged"
    assert f"backups/full/{TREE}" in filled.text("status", "health")
    assert any(largest in line for line in last_error(filled))


def test_a_directory_of_thousands(new_keepfs, store):
    files = {f"{n}.dat.gz": str(n).encode() for n in range(5000)}
    keepfs = new_keepfs()
    handmade.publish(store, f"backups/full/{TREE}", files=files)
    keepfs.run("rebuild")
    keepfs.mount()
    listed = shell("ls -f", full(keepfs, TREE)).split()
    assert len(listed) == 5003 and set(listed) == {".", "..", "SHA256SUMS", *files}
    assert len(shell("ls -l", full(keepfs, TREE)).splitlines()) == 5002
    assert shell("sha256sum -c SHA256SUMS", full(keepfs, TREE)).count(": OK") == 5000


def test_a_database_called_latest_by_an_earlier_keepfs(new_keepfs, store):
    """which gave it a directory of that name"""
    keepfs = new_keepfs()
    handmade.publish(store, f"backups/full/{TREE}", files={"toc.dat": b"x"})
    handmade.publish(store, f"backups/full/latest/{OLD}.dump", b"y")
    keepfs.run("rebuild")
    keepfs.mount()
    assert sorted(os.listdir(full(keepfs))) == [TREE, "SHA256SUMS", "latest"]
    assert full(keepfs, "latest", f"{OLD}.dump").read_bytes() == b"y"
