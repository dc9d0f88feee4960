# SPDX-License-Identifier: Apache-2.0
"""[files NAME]: directories as archives in backups/, held to what tar and rsync say of them."""
import os
import pathlib
import socket
import stat
import subprocess
import tarfile

import pytest

import daemon

MIB = 1 << 20
SUFFIX = {"gzip": ".tar.gz", "zstd": ".tar.zst", "none": ".tar", "fast": ".tar.zst"}


def make_tree(root):
    """one of each kind of file, and of everything that is known of one"""
    root.mkdir()
    (root / "plain").write_bytes(b"some text\n" * 1000)
    (root / "empty").touch()
    (root / "random").write_bytes(os.urandom(3 * MIB + 17))
    (root / "none").mkdir()
    deep = root
    for _ in range(6):
        deep = deep / ("d" * 200)
        deep.mkdir()
    (deep / ("n" * 255)).write_text("far down")
    os.symlink("plain", root / "link")
    os.symlink("/nowhere/at/all", root / "dangling")
    os.link(root / "plain", root / "none" / "hard link")
    os.mkfifo(root / "fifo", 0o640)
    (root / "set").write_text("x")
    os.chmod(root / "set", 0o6751)
    os.chmod(root / "none", 0o1777)
    with open(os.fsencode(root) + b"/not \xff\xfe utf-8\n\\ -x", "wb") as f:
        f.write(b"a name of bytes")
    (root / "-dash").write_text("y")
    with open(root / "sparse", "wb") as f:
        f.write(b"front")
        f.seek(300 * MIB)
        f.write(b"back")
        f.truncate(400 * MIB)
    os.setxattr(root / "plain", "user.color", b"blue\0green")
    if os.geteuid() == 0:
        os.chown(root / "empty", 12345, 54321)
        os.mknod(root / "null", 0o666 | stat.S_IFCHR, os.makedev(1, 3))
        subprocess.run(["setfacl", "-m", "u:12346:rw,g:12347:r", str(root / "plain")], check=True)
        subprocess.run(["setfacl", "-d", "-m", "u:12346:rx", str(root / "none")], check=True)
    for path, at in ((root / "plain", 1_000_000_000_123_456_789), (root / "none", 1_100_000_000_987_654_321)):
        os.utime(path, ns=(at, at))
    return root


def differences(source, copy):
    done = subprocess.run(["rsync", "-aHAXn", "--checksum", "--delete", "--itemize-changes", "--devices", "--specials", f"{source}/",
                           f"{copy}/"], stdout=subprocess.PIPE, check=True)
    return done.stdout.decode(errors="replace")


def unpack(archive, into):
    into.mkdir()
    subprocess.run(["tar", "--acls", "--xattrs", "--xattrs-include=*", "--numeric-owner", "-xpf", str(archive), "-C", str(into)],
                   check=True)
    return into


def archives(keepfs, job):
    return sorted(n for n in os.listdir(keepfs.path("backups", job)) if n != "SHA256SUMS" and not n.startswith("latest"))


@pytest.mark.parametrize("compression", ["gzip", "zstd", "none", "fast"])
def test_every_byte_and_attribute_comes_back(new_keepfs, tmp_path, compression):
    tree = make_tree(tmp_path / "tree")
    keepfs = new_keepfs({"files media": {"path": tree, "compression": compression}}).mount()
    run = keepfs.backup("media")
    assert run["kind"] == "files"
    (name,) = archives(keepfs, "media")
    assert name.endswith(SUFFIX[compression])
    archive = keepfs.path("backups", "media", name)
    assert os.readlink(keepfs.path("backups", "media", "latest" + SUFFIX[compression])) == name
    subprocess.run(["sha256sum", "-c", "SHA256SUMS"], cwd=archive.parent, check=True, stdout=subprocess.DEVNULL)
    listed = subprocess.run(["tar", "-tf", str(archive)], stdout=subprocess.PIPE, check=True).stdout
    assert b"./plain\n" in listed
    copy = unpack(archive, tmp_path / "copy")
    assert differences(tree, copy) == ""
    assert differences(copy, tree) == ""
    assert (copy / "sparse").stat().st_blocks < 2048
    assert os.path.samefile(copy / "plain", copy / "none" / "hard link")
    assert os.getxattr(archive, "user.keepfs.files") == b"8"
    assert os.getxattr(archive, "user.keepfs.unreadable") == b"0"
    assert keepfs.store.keys() == sorted([f"backups/media/{name}", f"manifests/backups/media/{name}.json"])


@pytest.mark.parametrize("store", ["dir", "ceph"], indirect=True)
def test_it_is_removed_and_rebuilt_like_a_dump(new_keepfs, tmp_path):
    tree = make_tree(tmp_path / "tree")
    keepfs = new_keepfs({"files media": {"path": tree}}).mount()
    keepfs.backup("media")
    keepfs.backup("media")
    second = os.readlink(keepfs.path("backups", "media", "latest.tar.zst"))
    (first,) = set(archives(keepfs, "media")) - {second}
    with pytest.raises(PermissionError):
        os.unlink(keepfs.path("backups", "media", second))
    os.unlink(keepfs.path("backups", "media", first))
    assert archives(keepfs, "media") == [second]
    content = keepfs.path("backups", "media", second).read_bytes()
    keepfs.unmount()
    (keepfs.state / "catalog.db").unlink()
    keepfs.run("rebuild")
    keepfs.mount()
    assert keepfs.path("backups", "media", second).read_bytes() == content


def test_what_is_excluded_is_left_out(new_keepfs, tmp_path):
    tree = tmp_path / "tree"
    (tree / "cache" / "deep").mkdir(parents=True)
    (tree / "keep").mkdir()
    for name in ("cache/x", "cache/deep/y", "keep/a.tmp", "keep/b"):
        (tree / name).write_text(name)
    keepfs = new_keepfs({"files media": {"path": tree, "exclude": "cache/, *.tmp"}}).mount()
    keepfs.backup("media")
    keepfs.backup("media exclude=*.tmp,keep/b")
    partial, whole = sorted(archives(keepfs, "media"), key=lambda n: ".partial.tar" not in n)
    assert ".partial.tar" in partial and ".partial" not in whole
    for name, expected in ((whole, {"keep/b"}), (partial, {"cache/x", "cache/deep/y"})):
        copy = unpack(keepfs.path("backups", "media", name), tmp_path / name)
        assert {str(p.relative_to(copy)) for p in copy.rglob("*") if p.is_file()} == expected


def test_each_subdirectory_is_archived_once(new_keepfs, tmp_path):
    tree = tmp_path / "tree"
    for name in ("2026-10", "2026-11", "a b.c", "latest"):
        (tree / "years" / name).mkdir(parents=True)
        (tree / "years" / name / "file").write_text(name)
    keepfs = new_keepfs({"files media": {"path": tree, "each": "years/*/", "settle": "1s", "compression": "gzip"}}).mount()

    def run():
        return keepfs.run_status(keepfs.backup("media")["run"])

    # Whatever was quiet for a second by then is taken; nothing else is to come, so all of it in the end.
    names = ["2026-10.tar.gz", "2026-11.tar.gz", "=6C=61=74=65=73=74.tar.gz", "a=20b=2Ec.tar.gz"]
    while archives(keepfs, "media") != names:
        run()
    assert {len(line.split()) for line in keepfs.text("backups", "media", "SHA256SUMS").splitlines()} == {2}
    before = {n: os.stat(keepfs.path("backups", "media", n)) for n in names}
    run()
    assert archives(keepfs, "media") == names
    (tree / "years" / "2026-12").mkdir()
    (tree / "years" / "2026-12" / "file").write_text("new")
    while len(archives(keepfs, "media")) < 5:
        run()
    assert archives(keepfs, "media") == sorted([*names, "2026-12.tar.gz"])
    for n in names:
        after = os.stat(keepfs.path("backups", "media", n))
        assert (after.st_ino, after.st_mtime_ns, after.st_size) == (before[n].st_ino, before[n].st_mtime_ns, before[n].st_size)
    assert os.readlink(keepfs.path("backups", "media", "latest.tar.gz")) == "2026-12.tar.gz"
    copy = unpack(keepfs.path("backups", "media", "a=20b=2Ec.tar.gz"), tmp_path / "copy")
    assert (copy / "file").read_text() == "a b.c"
    assert os.getxattr(keepfs.path("backups", "media", "2026-12.tar.gz"), "user.keepfs.target") == b"years/2026-12"
    keepfs.unmount()
    (keepfs.state / "catalog.db").unlink()
    keepfs.run("rebuild")
    keepfs.mount()
    assert archives(keepfs, "media") == sorted([*names, "2026-12.tar.gz"])
    run()
    assert len(archives(keepfs, "media")) == 5


def test_what_is_not_quiet_yet_waits(new_keepfs, tmp_path):
    tree = tmp_path / "tree"
    (tree / "busy").mkdir(parents=True)
    keepfs = new_keepfs({"files media": {"path": tree, "each": "*/", "settle": "1h"}}).mount()
    assert keepfs.backup("media")["state"] == "completed"
    assert archives(keepfs, "media") == []


def test_a_disk_that_is_not_mounted_is_missed(new_keepfs, tmp_path):
    """what it leaves is an empty directory, in which nothing seems to be missing"""
    tree, whole = tmp_path / "tree", tmp_path / "whole"
    (tree / "2026").mkdir(parents=True)
    whole.mkdir()
    keepfs = new_keepfs({"files media": {"path": tree, "each": "*/", "settle": "1s"}, "files whole": {"path": whole}}).mount()
    while not archives(keepfs, "media"):
        keepfs.backup("media")
    (tree / "2026").rmdir()
    status = keepfs.wait_run(keepfs.trigger("media"))
    assert status["state"] == "failed" and "is the disk mounted that belongs there?" in status["error"]
    status = keepfs.wait_run(keepfs.trigger("whole"))
    assert status["state"] == "completed" and "there is nothing in the archive of" in status["warning"]
    health = keepfs.text("status", "health")
    assert "is the disk mounted" in health and "there is nothing in the archive of" in health, health


def test_a_subdirectory_that_is_a_mount_is_not_passed_over(new_keepfs, tmp_path):
    """nobody would miss it: that it is not archived has to be said, until it is excluded, or asked for"""
    tree = tmp_path / "tree"
    (tree / "dataset").mkdir(parents=True)
    if subprocess.run(["mount", "-t", "tmpfs", "none", tree / "dataset"]).returncode:
        pytest.skip("nothing can be mounted here")
    try:
        keepfs = new_keepfs({"files media": {"path": tree, "each": "*/", "settle": "1s"}}).mount()
        status = keepfs.wait_run(keepfs.trigger("media"))
        assert status["state"] == "failed" and "another file system is mounted there: set cross_mounts = yes, or exclude it" in status["error"]
        assert archives(keepfs, "media") == []
        keepfs.unmount()
    finally:
        subprocess.run(["umount", tree / "dataset"], check=True)


def test_what_is_made_once_is_of_one_state(new_keepfs, tmp_path):
    """an archive of what changed while it was read would stay for ever"""
    tree = tmp_path / "tree"
    (tree / "2026").mkdir(parents=True)
    file = tree / "2026" / "file"
    file.write_bytes(os.urandom(6 << 20))
    keepfs = new_keepfs({"files media": {"path": tree, "each": "*/", "settle": "1s", "compression": "none", "max_rate": "2M"}}).mount()
    while True:
        run = keepfs.trigger("media")
        daemon.wait_until(lambda: keepfs.run_status(run)["state"] in daemon.ENDED or "read_bytes=0" not in keepfs.text("jobs", str(run), "progress"), "the first bytes")
        if keepfs.run_status(run)["state"] not in daemon.ENDED:
            break  # else it had not settled yet
    with open(file, "ab") as out:
        out.write(b"more")
    status = keepfs.wait_run(run)
    assert status["state"] == "failed" and "1 files changed and 0 vanished while it was read" in status["error"]
    assert archives(keepfs, "media") == []
    while not archives(keepfs, "media"):
        keepfs.backup("media")
    with tarfile.open(keepfs.path("backups", "media", "2026.tar")) as tar:
        assert tar.getmember("./file").size == (6 << 20) + 4


def test_a_directory_that_is_not_there_fails_and_says_so(new_keepfs, tmp_path):
    keepfs = new_keepfs({"files media": {"path": tmp_path / "nowhere"}}).mount()
    status = keepfs.wait_run(keepfs.trigger("media"))
    assert status["state"] == "failed" and "nowhere" in status["error"]
    assert archives(keepfs, "media") == []
    done = keepfs.run("check", check=False)
    assert done.returncode == 1 and "nowhere cannot be read" in done.stdout


def test_a_run_is_cancelled_and_leaves_nothing(new_keepfs, tmp_path):
    tree = tmp_path / "tree"
    tree.mkdir()
    (tree / "large").write_bytes(os.urandom(40 * MIB))
    keepfs = new_keepfs({"files media": {"path": tree, "max_rate": "1M/s"}}).mount()
    run = keepfs.trigger("media")
    keepfs.wait_run(run, condition=lambda s: "read_bytes=0" not in keepfs.text("jobs", str(run), "progress")
                    and s["state"] == "running")
    keepfs.path("jobs", str(run), "cancel").write_text("1")
    assert keepfs.wait_run(run)["state"] == "cancelled"
    assert keepfs.store.keys() == []


def test_sockets_and_other_mounts_are_left_out(new_keepfs, tmp_path):
    tree = tmp_path / "tree"
    (tree / "mnt").mkdir(parents=True)
    one = socket.socket(socket.AF_UNIX)
    os.chdir(tree)
    one.bind("socket")
    os.chdir("/")
    keepfs = new_keepfs({"files media": {"path": tree}}, directory=None)
    keepfs.settings["mountpoint"] = keepfs.mountpoint = pathlib.Path(tree / "mnt")
    keepfs.write_conf()
    keepfs.mount()  # keepfs itself is mounted within
    keepfs.backup("media")
    (name,) = archives(keepfs, "media")
    copy = unpack(keepfs.path("backups", "media", name), tmp_path / "copy")
    assert sorted(os.listdir(copy)) == ["mnt"] and os.listdir(copy / "mnt") == []
    one.close()
