# SPDX-License-Identifier: Apache-2.0
"""keepfs restore --to and control/restore to=: archives of files jobs come back into a directory; nothing that is there is replaced unless
that was asked for and told before; whatever ends it, no part of a file has its name."""
import contextlib
import json
import os
import pathlib
import shutil
import stat
import subprocess

import pytest

import daemon
import faulty_s3
from test_files_jobs import differences, make_tree
from restoring import killed, left, restored
from test_restore import on_a_terminal

ROOT = pytest.mark.skipif(os.geteuid() != 0, reason="owners and mounts are root's")
LATEST = "media/latest.tar.zst"


@pytest.fixture
def tree(tmp_path):
    """few files of each kind of difference"""
    tree = tmp_path / "tree"
    (tree / "photos" / "2024").mkdir(parents=True)
    (tree / "photos" / "2025").mkdir()
    for name in ("a", "b", "photos/2024/1.jpg", "photos/2024/2.txt", "photos/2025/3.jpg"):
        (tree / name).write_text(f"this is {name}\n")
    os.symlink("a", tree / "link")
    os.chmod(tree / "photos", 0o750)
    return tree


@pytest.fixture
def media(new_keepfs, tree):
    keepfs = new_keepfs({"files media": {"path": tree}}).mount()
    keepfs.backup("media")
    return keepfs


def seen(directory):
    """all that tells whether something was touched"""
    found = {}
    for path in sorted(pathlib.Path(directory).rglob("*")):
        st = path.lstat()
        found[str(path.relative_to(directory))] = (st.st_ino, st.st_mode, st.st_size, st.st_mtime_ns, st.st_ctime_ns)
    return found


def stages(directory):
    return [str(path) for path in pathlib.Path(directory).rglob(".keepfs-restore-*")]


def failed(keepfs, command):
    """a restore that fails; what it says"""
    run = int(keepfs.ask("restore", command).split()[0])
    status = keepfs.wait_run(run)
    assert status["state"] == "failed", status
    return status["error"]


@pytest.mark.parametrize("mounted", [True, False])
def test_every_byte_and_attribute_comes_back(new_keepfs, tmp_path, mounted):
    tree, out = make_tree(tmp_path / "tree"), tmp_path / "out"
    keepfs = new_keepfs({"files media": {"path": tree}}).mount()
    keepfs.backup("media")
    if not mounted:
        keepfs.unmount()
    done = keepfs.run("restore", LATEST, "--to", out)
    assert "is not there, and is made" in done.stdout, done.stdout
    assert differences(tree, out) == "" and differences(out, tree) == ""
    assert (out / "sparse").stat().st_blocks < 2048
    assert os.path.samefile(out / "plain", out / "none" / "hard link")
    assert stages(out) == []
    # once more: there is nothing to do, and nothing is done
    before = seen(out)
    assert "there is nothing to do" in keepfs.run("restore", LATEST, "--to", out).stdout
    assert seen(out) == before
    if mounted:
        history = keepfs.history()
        assert [(row["job"], row["kind"], row["state"]) for row in history[:2]] == [("restore:media", "restore", "completed")] * 2
        audit = [json.loads(line) for line in keepfs.text("status", "audit.jsonl").splitlines()]
        assert any(a["action"] == "restore" and f"to={out}" in a["object"] for a in audit)
        assert left(keepfs) == []
        assert os.getxattr(keepfs.path("backups", LATEST), "user.keepfs.drilled_level") == b"2"


def test_a_relative_directory_is_that_of_the_caller(media, tmp_path, tree):
    here = tmp_path / "here"
    here.mkdir()
    done = subprocess.run([daemon.PROGRAM, "restore", "-c", str(media.conf), LATEST, "--to", "./below"], cwd=here, env=media.env,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL, text=True)
    assert done.returncode == 0, done.stdout
    assert differences(tree, here / "below") == ""


def test_the_plan_shows_what_differs_and_changes_nothing(media, tree, tmp_path):
    out = tmp_path / "out"
    shutil.copytree(tree, out, symlinks=True)
    (out / "a").write_text("this is A\n")
    os.utime(out / "a", ns=((tree / "a").stat().st_mtime_ns,) * 2)
    (out / "b").write_text("longer than it was\n")
    (out / "photos" / "2025" / "3.jpg").unlink()
    (out / "link").unlink()
    os.symlink("b", out / "link")
    os.chmod(out / "photos", 0o700)
    (out / "mine").mkdir()
    (out / "mine" / "too").touch()
    before = seen(out)
    for command in (f"{LATEST} to={out} plan=yes", f"{LATEST} to={out} dry-run=yes overwrite=yes"):
        log = restored(media, command)
        for line in ("differs: a (content)", "differs: b (size)", "differs: link (link)", "new: photos/2025/3.jpg",
                     "directory that differs: photos (mode)", "only there, stays: mine", "1 files", "2 files are the same, 3 differ",
                     "plan=yes: nothing was done", "it would be refused"):
            assert line in log, (line, log)
        assert seen(out) == before and left(media) == []
    assert f"write overwrite=yes confirm={out}" in restored(media, f"{LATEST} to={out} plan=yes")
    assert f"write confirm={out}" in log
    done = media.run("restore", LATEST, "--to", out, "--dry-run")
    assert "differs: a (content)" in done.stdout and seen(out) == before
    # nothing is made where nothing is
    assert "is not there, and is made" in restored(media, f"{LATEST} to={tmp_path}/new plan=yes")
    assert not (tmp_path / "new").exists()


def test_all_that_is_only_there_is_told(new_keepfs, tmp_path):
    """of an archive of many files, too, what is remembered of their names tells which are not among them"""
    tree, out = tmp_path / "many", tmp_path / "out"
    for top in (tree, out):
        top.mkdir()
    for number in range(60000):
        os.close(os.open(tree / f"f{number}", os.O_CREAT | os.O_WRONLY))
    for number in range(1000):
        os.close(os.open(out / f"mine{number}", os.O_CREAT | os.O_WRONLY))
    keepfs = new_keepfs({"files media": {"path": tree}}).mount()
    keepfs.backup("media")
    log = restored(keepfs, f"{LATEST} to={out} plan=yes")
    assert "1000 " in [line for line in log.splitlines() if "only there" in line][-1], log[-2000:]


def test_nothing_is_replaced_unless_it_was_asked_for(media, tree, tmp_path):
    out = tmp_path / "out"
    shutil.copytree(tree, out, symlinks=True)
    (out / "a").write_text("mine\n")
    (out / "b").unlink()
    (out / "only").write_text("here\n")
    os.chmod(out / "photos", 0o700)
    before = seen(out)
    error = failed(media, f"{LATEST} to={out}")
    assert f"1 files of {out} differ from the backup (a (size))" in error and f"overwrite=yes confirm={out}" in error
    error = failed(media, f"{LATEST} to={out} overwrite=yes")
    assert f"2 files and directories of {out} would become those of the backup: to do that write confirm={out}" in error
    assert "so nothing was done" in media.refused("restore", f"{LATEST} to={out} overwrite=yes confirm={out}x")
    assert seen(out) == before and left(media) == []
    log = restored(media, f"{LATEST} to={out} overwrite=yes confirm={out}")
    assert "1 files differ and are replaced: a (size)" in log and "1 files or directories are only there, and stay: only" in log
    assert (out / "only").read_text() == "here\n"
    # what was the same is the very file
    assert (out / "photos" / "2024" / "1.jpg").stat().st_ino == before["photos/2024/1.jpg"][0]
    (out / "only").unlink()
    assert [line for line in differences(tree, out).splitlines() if not line.endswith(" ./")] == []


def test_what_is_missing_comes_without_asking(media, tree, tmp_path):
    out = tmp_path / "out"
    shutil.copytree(tree, out, symlinks=True)
    shutil.rmtree(out / "photos" / "2024")
    before = seen(out)
    done = media.run("restore", LATEST, "--to", out)
    assert "2 files (" in done.stdout and "1 directories are new" in done.stdout
    assert (out / "photos" / "2024" / "1.jpg").read_text() == "this is photos/2024/1.jpg\n"
    assert (out / "a").stat().st_ino == before["a"][0]


def test_some_of_it(media, tmp_path):
    out = tmp_path / "out"

    def listing():
        return sorted(str(path.relative_to(out)) for path in out.rglob("*"))

    restored(media, f"{LATEST} to={out} paths=photos/2024")
    assert listing() == ["photos", "photos/2024", "photos/2024/1.jpg", "photos/2024/2.txt"]
    assert stat.S_IMODE((out / "photos").stat().st_mode) == 0o750
    shutil.rmtree(out)
    media.run("restore", LATEST, "--to", out, "paths=*.jpg, ./a")
    assert listing() == ["a", "photos", "photos/2024", "photos/2024/1.jpg", "photos/2025", "photos/2025/3.jpg"]
    # What lies elsewhere is not held against it.
    (out / "b").write_text("mine")
    assert "there is nothing to do" in restored(media, f"{LATEST} to={out} paths=a paths=photos/2024/1.jpg")
    shutil.rmtree(out)
    assert "nothing that is chosen by *.png" in failed(media, f"{LATEST} to={out} paths='*.jpg,*.png'")
    assert "nothing that is chosen by photos/2026" in failed(media, f"{LATEST} to={out} paths=photos/2026")
    assert not out.exists()


def test_a_name_with_a_comma(new_keepfs, tmp_path):
    tree, out = tmp_path / "tree", tmp_path / "out"
    tree.mkdir()
    for name in ("a,b", "a", "b"):
        (tree / name).write_text(name)
    keepfs = new_keepfs({"files media": {"path": tree}}).mount()
    keepfs.backup("media")
    restored(keepfs, f"{LATEST} to={out} paths='a\\,b'")
    assert os.listdir(out) == ["a,b"]


@pytest.mark.parametrize("words, said", [
    ("{latest}", "say with to=/DIRECTORY where they are restored to (it is of {tree})"),
    ("{latest} to=out", "to=out: write the directory from the root on"),
    ("{latest} to={out}/not/there", "there is no directory {out}/not that it could be made in"),
    ("{latest} to={tree}/a", "to={tree}/a is no directory"),
    ("{latest} to={mnt}/backups", "where keepfs is mounted"),
    ("{latest} to={state}/x", "where keepfs has its catalog"),
    ("{latest} to={objects}", "where keepfs stores backups"),
    ("{latest} to={link}", "where keepfs stores backups"),
    ("{latest} to={link}/new", "where keepfs stores backups"),
    ("{latest} to=/" + "x" * 300, "a directory's path has at most 255 bytes"),
    ("{latest} to={out} into=shop", "into= is for databases"),
    ("{latest} to={out} tables=public.orders", "tables= is for databases"),
    ("{latest} into=shop", "say with to=/DIRECTORY"),
    ("{latest} overwrite=yes", "overwrite= is for the files of an archive"),
    ("{latest} to={out} overwrite=perhaps", "overwrite=perhaps: allowed are yes and no"),
    ("{latest} to={out} owners=mine", "owners=mine: allowed are names, numbers"),
    ("{latest} to={out} room=much", "room=much: allowed is any"),
    ("{latest} to={out} paths=", "write paths as they are below the archived directory"),
    ("{latest} to={out} paths=../etc", "paths=../etc: write paths as they are"),
    ("{latest} to={out} paths=/etc", "paths=/etc: write paths as they are"),
    ("{latest} to={out} paths='a/../*.jpg'", "cannot match"),
    ("{latest} to={out} paths='[a'", "cannot match"),
    ("{latest} media to={out}", "to= is for one backup"),
    ("run=1 to={out}", "to= is for one backup"),
])
def test_words_that_are_wrong(media, tree, tmp_path, words, said):
    names = {"latest": LATEST, "tree": tree, "out": tmp_path / "out", "mnt": media.mountpoint, "state": media.state,
             "objects": tmp_path / "objects", "link": tmp_path / "link"}
    names["link"].symlink_to(names["objects"])
    assert said.format(**names) in media.refused("restore", words.format(**names))
    assert not (tmp_path / "out").exists()


def test_a_dump_is_not_restored_into_a_directory(new_keepfs, tmp_path):
    keepfs = new_keepfs().mount()
    keepfs.backup()
    assert "a dump goes into a database" in keepfs.refused("restore", f"full/latest.dump to={tmp_path}/out")


@pytest.mark.parametrize("mounted", [True, False])
def test_a_damaged_archive_is_refused(new_keepfs, tree, tmp_path, mounted):
    out, objects = tmp_path / "out", tmp_path / "objects"
    (tree / "noise").write_bytes(os.urandom(300000))
    keepfs = new_keepfs({"files media": {"path": tree}}).mount()
    keepfs.backup("media")
    if not mounted:
        keepfs.unmount()
    (path,) = (path for path in objects.rglob("*.tar.zst") if path.is_file())
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.chmod(0o600)
    path.write_bytes(data)
    done = keepfs.run("restore", LATEST, "--to", out, check=False)
    assert done.returncode == 1
    assert "the backup is damaged, and nothing was changed" in done.stdout + done.stderr
    assert not out.exists()
    if not mounted:
        keepfs.mount()
    assert left(keepfs) == []
    assert os.getxattr(keepfs.path("backups", LATEST), "user.keepfs.state") == b"damaged"


class Gate:
    """a restore waits before it writes, until it is let go"""

    def __init__(self, directory):
        self.fifo = directory / "gate"
        os.mkfifo(self.fifo)
        self.words = f"pre_hook='cat {self.fifo}'"

    def wait_at(self, keepfs, run):
        daemon.wait_until(lambda: "pre_hook: cat" in keepfs.text("jobs", str(run), "log"), "it waits at the gate")

    def open(self):
        with open(self.fifo, "w", encoding="ascii"):
            pass


@pytest.fixture
def stalls(new_keepfs, tmp_path):
    """a restore whose archive stops coming in the middle of the file b, behind a: the store is silent"""
    server = faulty_s3.FaultyS3()
    tree, out, gate = tmp_path / "tree", tmp_path / "out", Gate(tmp_path)
    tree.mkdir()
    (tree / "a").write_text("whole\n")
    (tree / "b").write_bytes(os.urandom(24 << 20))
    keepfs = new_keepfs({"files media": {"path": tree, "compression": "none"}}, store=server)
    keepfs.store_settings.update({"retry_deadline": "10m", "first_byte_timeout": "5m", "stall_timeout": "5m"})
    keepfs.write_conf()
    keepfs.mount()
    keepfs.backup("media")

    def begin(more=""):
        run = int(keepfs.ask("restore", f"media/latest.tar to={out} {gate.words} {more}").split()[0])
        gate.wait_at(keepfs, run)
        server.trouble(faulty_s3.stalled(0.5), from_offset=12 << 20)
        gate.open()

        def is_begun():
            return any(os.path.exists(f"{stage}/f") and os.stat(f"{stage}/f").st_size > 0 for stage in stages(out)) and (out / "a").exists()

        daemon.wait_until(is_begun, "b is begun")
        return run

    yield keepfs, server, tree, out, begin
    server.calm()
    keepfs.close()
    server.close()


def test_killed_in_the_middle(stalls):
    keepfs, server, tree, out, begin = stalls
    run = begin()
    assert keepfs.text("jobs", str(run), "progress")
    killed(keepfs)
    server.calm()
    assert keepfs.run_status(run)["state"] == "failed"
    # the whole file is there, of the other one nothing; and what it was is cleared away
    assert sorted(os.listdir(out)) == ["a"] and (out / "a").read_text() == "whole\n"
    assert left(keepfs)[0][:4] == (str(out), f".keepfs-restore-{run}", 3, 1)
    health = keepfs.text("status", "health")
    assert health.startswith("WARN") and f"restore {out}" in health and "nothing was replaced" in health
    assert f"keepfs restore forget run={run} to={out}" in health
    restored(keepfs, f"media/latest.tar to={out}")
    assert (out / "b").read_bytes() == (tree / "b").read_bytes()
    assert left(keepfs) == [] and f"restore {out}" not in keepfs.text("status", "health")


def test_cancelled_in_the_middle(stalls):
    keepfs, server, tree, out, begin = stalls
    out.mkdir()
    (out / "b").write_text("old\n")
    run = begin(f"overwrite=yes confirm={out}")
    keepfs.path("jobs", str(run), "cancel").write_text("1\n")
    keepfs.wait_run(run, {"cancelled"})
    server.calm()
    assert f"In {out} are 1 files of the backup by now, each of them whole" in keepfs.text("jobs", str(run), "log")
    assert sorted(os.listdir(out)) == ["a", "b"] and (out / "b").read_text() == "old\n"
    health = keepfs.text("status", "health")
    assert health.startswith("CRIT") and "some are those of the backup, and others as they were" in health
    restored(keepfs, f"forget to={out}")
    assert left(keepfs) == [] and f"restore {out}" not in keepfs.text("status", "health")
    restored(keepfs, f"media/latest.tar to={out} overwrite=yes confirm={out}")
    assert (out / "b").read_bytes() == (tree / "b").read_bytes()


def test_cancelled_before_anything_was_written(new_keepfs, tree, tmp_path):
    out, gate = tmp_path / "out", Gate(tmp_path)
    keepfs = new_keepfs({"files media": {"path": tree}}).mount()
    keepfs.backup("media")
    run = int(keepfs.ask("restore", f"{LATEST} to={out} pre_hook='cat {gate.fifo}; exit 1' post_hook='echo $KEEPFS_STATE $KEEPFS_DIRECTORY'").split()[0])
    gate.wait_at(keepfs, run)
    gate.open()
    status = keepfs.wait_run(run, {"failed"})
    assert "pre_hook" in status["error"]
    assert f"hook: failed {out}" in keepfs.text("jobs", str(run), "log")
    assert not out.exists() and left(keepfs) == []


@pytest.fixture
def small_disk(tmp_path):
    """out/ on a disk of 1 MiB"""
    out = tmp_path / "out"
    out.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "none", str(out)], check=True)
    yield out
    subprocess.run(["umount", "-l", str(out)], check=True)


@ROOT
def test_a_disk_that_is_too_small(new_keepfs, tmp_path, small_disk):
    tree, out = tmp_path / "tree", small_disk
    tree.mkdir()
    (tree / "a").write_bytes(os.urandom(500000))
    (tree / "b").write_bytes(os.urandom(3000000))
    keepfs = new_keepfs({"files media": {"path": tree}}).mount()
    keepfs.backup("media")
    assert "its disk has" in restored(keepfs, f"{LATEST} to={out} plan=yes")
    error = failed(keepfs, f"{LATEST} to={out}")
    assert "nothing was changed: about 3.3 MiB are needed" in error and os.listdir(out) == []
    error = failed(keepfs, f"{LATEST} to={out} room=any")
    assert "b of " in error and "No space left on device" in error and f"In {out} are 1 files of the backup" in error
    assert os.listdir(out) == ["a"] and (out / "a").read_bytes() == (tree / "a").read_bytes()
    assert "WARN" in keepfs.text("status", "health").split("\n")[0]
    subprocess.run(["mount", "-o", "remount,size=8m", str(out)], check=True)
    restored(keepfs, f"{LATEST} to={out}")
    assert (out / "b").read_bytes() == (tree / "b").read_bytes() and left(keepfs) == []


@ROOT
def test_without_the_rights_of_root(new_keepfs, tmp_path):
    """by nobody, without a mount: owners cannot be set, and that is said; a directory of others is told of"""
    tree, closed, out = tmp_path / "tree", tmp_path / "closed", tmp_path / "open" / "out"
    tree.mkdir()
    (tree / "a").write_text("text\n")
    os.chmod(tree / "a", 0o4755)
    keepfs = new_keepfs({"files media": {"path": tree}}).mount()
    keepfs.backup("media")
    keepfs.unmount()
    closed.mkdir(mode=0o700)
    out.parent.mkdir()
    paths = [keepfs.state, tmp_path / "objects", out.parent, keepfs.conf]
    with open_to_nobody(tmp_path, paths):
        done = as_nobody(keepfs, LATEST, "--to", str(out))
        assert done.returncode == 0, done.stdout
        assert "keepfs runs as nobody and not as root, so everything that is restored belongs to nobody" in done.stdout
        st = (out / "a").stat()
        assert st.st_uid == 65534 and stat.S_IMODE(st.st_mode) == 0o755
        assert "there is nothing to do" in as_nobody(keepfs, LATEST, "--to", str(out)).stdout
        done = as_nobody(keepfs, LATEST, "--to", str(closed))
        assert done.returncode == 1 and f"{closed} cannot be read: Permission denied. keepfs runs as nobody" in done.stdout
        os.chmod(closed, 0o755)
        done = as_nobody(keepfs, LATEST, "--to", str(closed))
        assert done.returncode == 1 and f"{closed} cannot be written into: Permission denied" in done.stdout
        done = as_nobody(keepfs, LATEST, "--to", str(closed / "new"))
        assert done.returncode == 1 and f"{closed} cannot be written into: Permission denied" in done.stdout


@contextlib.contextmanager
def open_to_nobody(directory, paths):
    """let nobody come as far as these, and own them; afterwards they are root's again"""
    above = [path for path in (directory, *directory.parents) if not path.stat().st_mode & 0o001]
    modes = [(path, path.stat().st_mode) for path in above]
    for path, mode in modes:
        path.chmod(stat.S_IMODE(mode) | 0o011)
    try:
        subprocess.run(["chown", "-R", "65534:65534", *map(str, paths)], check=True)
        yield
    finally:
        subprocess.run(["chown", "-R", "0:0", *map(str, paths)], check=True)
        for path, mode in modes:
            path.chmod(stat.S_IMODE(mode))


def as_nobody(keepfs, *arguments):
    return subprocess.run(["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", daemon.PROGRAM, "restore", "-c", str(keepfs.conf), *arguments],
                          env=keepfs.env, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


def test_on_a_terminal(media, tree, tmp_path):
    """where something is replaced the plan comes first, and the directory has to be typed; else nobody is asked"""
    out = tmp_path / "out"
    status, seen_there = on_a_terminal(media, None, LATEST, "--to", str(out))
    assert status == 0 and "type the name" not in seen_there
    (out / "a").write_text("mine\n")
    status, seen_there = on_a_terminal_for_directory(media, "elsewhere\n", LATEST, "--to", str(out), "--overwrite")
    assert status != 0 and "differs: a (size)" in seen_there and (out / "a").read_text() == "mine\n"
    status, seen_there = on_a_terminal_for_directory(media, f"{out}\n", LATEST, "--to", str(out), "--overwrite")
    assert status == 0, seen_there
    assert (out / "a").read_text() == (tree / "a").read_text()


def on_a_terminal_for_directory(keepfs, typed, *arguments):
    return on_a_terminal(keepfs, typed, *arguments, prompt=b"type the name of the directory: ")
