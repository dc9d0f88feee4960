# SPDX-License-Identifier: Apache-2.0
"""rm -r, find -delete, rmtree of a backup that is a directory: it goes as one, or stays whole; a single file of it never goes."""
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import threading
import time

import pytest

from daemon import PROGRAM, is_mounted, wait_until
from test_mirror import Directory

DATABASE = "remove_tree_shop"
WAYS = {"rm -r": ["rm", "-r"], "rm -rf": ["rm", "-rf"], "find -delete": ["find", "{}", "-delete"], "busybox": ["busybox", "rm", "-r"],
        "rmtree": [sys.executable, "-c", "import shutil, sys; shutil.rmtree(sys.argv[1])"],
        "rm -ri": ["sh", "-c", 'yes | rm -ri "$1"', "sh"]}


@pytest.fixture(scope="module")
def shop(pg):
    pg.create(DATABASE)
    pg.sql(DATABASE, "CREATE TABLE orders (id int PRIMARY KEY, note text); INSERT INTO orders SELECT g, md5(g::text) FROM generate_series(1, 100) g")
    yield pg
    pg.drop(DATABASE)


@pytest.fixture
def objects(tmp_path):
    made = Directory(tmp_path / "foreign")
    for i in range(60):
        made.put(f"flat/{i:03}", b"%d" % i)
    made.put("a/b/c/d/e/f/g/h", b"deep")
    made.put("a/b/c/x", b"x")
    made.put("top", b"top")
    return made


def jobs_of(shop, objects, **bundle):
    return {"database": {"database": shop.uri(DATABASE), "format": "directory"}, "mirror objects": objects.section(),
            "bundle site": {"parts": "database, objects", **bundle}}


@pytest.fixture
def site(new_keepfs, shop, objects):
    """three bundles"""
    keepfs = new_keepfs(jobs_of(shop, objects, min_keep=1)).mount()
    for _ in range(3):
        keepfs.backup("site")
    return keepfs


def backups(keepfs, job="site"):
    directory = keepfs.path("backups", job)
    return sorted(os.path.join(directory, name) for name in os.listdir(directory) if name[0].isdigit())


def read(path):
    with open(path, "rb") as f:
        return f.read()


def content(top):
    return {os.path.relpath(os.path.join(d, n), top): read(os.path.join(d, n)) for d, _, names in os.walk(top) for n in names}


def audit(keepfs, action="remove"):
    return [a for a in map(json.loads, keepfs.text("status", "audit.jsonl").splitlines()) if a["action"] == action]


def last_error(keepfs):
    return keepfs.text("status", "last-error").splitlines()


def remove(path, *command):
    command = [part.replace("{}", str(path)) for part in command] if "{}" in command else [*command, str(path)]
    return subprocess.run(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


@pytest.mark.parametrize("way", WAYS)
def test_it_goes_as_one(site, way):
    if not shutil.which(WAYS[way][0]):
        pytest.skip(f"{way} is not installed")
    first, second, third = backups(site)
    before = content(second)
    done = remove(first, *WAYS[way])
    assert done.returncode == 0, done.stdout
    assert "cannot" not in done.stdout and backups(site) == [second, third] and not os.path.exists(first)
    (entry,) = audit(site)
    assert entry["object"].endswith(os.path.basename(first)) and entry["result"] == "ok" and entry["uid"] == os.getuid()
    wait_until(lambda: not any(re.search(f"backups/site/{os.path.basename(first)}(?!-)", key) for key in site.store.keys()), "its objects are gone")
    assert content(second) == before
    assert last_error(site) == []


@pytest.mark.parametrize("job", ["objects", "database"])
def test_states_and_dumps_go_as_well(site, job):
    site.backup(job)
    site.backup(job)
    first, second = backups(site, job)
    done = remove(first, "rm", "-r")
    assert done.returncode == 0 and backups(site, job) == [second], done.stdout
    assert remove(second, "rm", "-rf").returncode != 0 and backups(site, job) == [second]


def test_single_things_stay(site):
    first, second, third = backups(site)
    before = content(first)
    for command in (["rm", f"{first}/MANIFEST.txt"], ["sh", "-c", f"rm -rf {first}/*"], ["rm", "-r", f"{first}/objects"], ["rm", f"{first}/objects/flat/001"],
                    ["sh", "-c", f"cd {first} && rm *.txt"], ["sh", "-c", f"cd {first}/objects && rm -r ./*"], ["rmdir", f"{first}/objects/flat"],
                    ["find", first, "-type", "f", "-exec", "rm", "{}", ";"], ["sh", "-c", f"find {first} -type f | xargs rm -f"],
                    ["rm", "-r", f"{first}/objects/a/b"]):
        done = subprocess.run(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        assert "not permitted" in done.stdout, (command, done.stdout)
        assert f"remove the directory itself: rm -r {os.path.basename(first)}" in last_error(site)[0]
    # Who has closed the directory is no remover of trees.
    os.listdir(first)
    with pytest.raises(PermissionError):
        os.unlink(os.path.join(first, "MANIFEST.txt"))
    with pytest.raises(PermissionError):
        os.rmdir(os.path.join(first, "objects"))
    # Nor is somebody whose child has it open, or whose parent.
    fd = os.open(first, os.O_RDONLY | os.O_DIRECTORY)
    try:
        assert "not permitted" in subprocess.run(["rm", f"{first}/MANIFEST.txt"], pass_fds=[fd], capture_output=True, text=True).stderr
    finally:
        os.close(fd)
    assert content(first) == before and backups(site) == [first, second, third] and audit(site) == []


def test_rsync_deletes_nothing_of_it(site, tmp_path):
    (tmp_path / "empty").mkdir()
    before = {path: content(path) for path in backups(site)}
    done = subprocess.run(["rsync", "-a", "--delete", f"{tmp_path}/empty/", f"{backups(site)[0]}/"], capture_output=True, text=True)
    assert done.returncode != 0 and "not permitted" in done.stderr
    assert {path: content(path) for path in backups(site)} == before


def test_what_broke_off_has_removed_nothing(site):
    first, second, third = backups(site)
    before = content(first)
    # All but the directory itself; as a process does that is killed before its last step.
    code = """import os, sys
top = sys.argv[1]
for d, directories, names, fd in os.fwalk(top, topdown=False):
    for name in names:
        os.unlink(name, dir_fd=fd)
    for name in directories:
        os.rmdir(name, dir_fd=fd)
os.kill(os.getpid(), 9)
"""
    done = subprocess.run([sys.executable, "-c", f"import os, sys\nhere = os.open(sys.argv[1], os.O_RDONLY)\n{code}", first], capture_output=True, text=True)
    assert done.returncode == -signal.SIGKILL, done.stderr
    assert content(first) == before and backups(site) == [first, second, third] and audit(site) == []
    assert remove(first, "rm", "-r").returncode == 0 and backups(site) == [second, third]
    # Declined by whoever is asked.
    before = content(second)
    done = subprocess.run(["rm", "-ri", second], input="y\ny\nn\n", capture_output=True, text=True)
    assert content(second) == before and backups(site) == [second, third]


def test_what_was_unlinked_is_there_while_it_is_open(site):
    """names come back at once, for the process itself and for others, whatever they have open of it"""
    first = backups(site)[0]
    fd = os.open(first, os.O_RDONLY | os.O_DIRECTORY)
    inner = os.open(os.path.join(first, "objects", "flat"), os.O_RDONLY | os.O_DIRECTORY)
    try:
        with open(os.path.join(first, "objects", "top"), "rb") as file:
            for _ in range(3):
                os.unlink("MANIFEST.txt", dir_fd=fd)
                os.unlink("objects/top", dir_fd=fd)
                os.unlink("001", dir_fd=inner)
                assert os.stat("MANIFEST.txt", dir_fd=fd).st_nlink == 1
                with open(os.path.join(first, "MANIFEST.txt")) as text:
                    assert text.read().startswith("Backup of")
                file.seek(0)
                assert file.read() == b"top" and read(os.path.join(first, "objects", "top")) == b"top" and "001" in os.listdir(inner)
        os.rmdir(os.path.join(first, "objects", "flat"))
    finally:
        os.close(inner)
        os.close(fd)
    wait_until(lambda: os.path.exists(os.path.join(first, "objects", "flat", "001")), "a directory that was removed while it was open is back")
    assert len(os.listdir(os.path.join(first, "objects", "flat"))) == 60 and len(backups(site)) == 3


def test_it_is_refused_at_the_first_file(site):
    """and says once why"""
    first, second, third = backups(site)
    name = os.path.basename(first)
    site.run("hold", f"site/{name}", "on", "reason=audit")
    before = content(first)
    done = remove(first, "rm", "-rf")
    assert done.returncode != 0 and done.stdout.count("not permitted") >= len(before)
    (why,) = last_error(site)
    assert f" EPERM backups/site/{name} is held" in why and "audit" in why, why
    (entry,) = audit(site)
    assert entry["result"] == "denied" and entry["command"] == "rm" and entry["object"].endswith(name)
    assert content(first) == before
    for way in ("find -delete", "rmtree"):
        assert remove(first, *WAYS[way]).returncode != 0 and content(first) == before
    site.run("hold", f"site/{name}", "off")
    assert remove(first, "rm", "-rf").returncode == 0
    assert remove(second, "rm", "-rf").returncode == 0
    # The newest good one.
    done = remove(third, "rm", "-rf")
    assert done.returncode != 0 and f" EPERM {os.path.relpath(third, site.path())} is the last" in last_error(site)[0]
    assert backups(site) == [third] and content(third).keys() == before.keys()


def test_a_whole_job(site):
    done = remove(site.path("backups", "site"), "rm", "-rf")
    assert done.returncode != 0
    assert len(backups(site)) == 1


def test_into_the_trash_and_back(new_keepfs, shop, objects):
    keepfs = new_keepfs(jobs_of(shop, objects), trash="3d").mount()
    keepfs.backup("site")
    keepfs.backup("site")
    first, second = backups(keepfs)
    before = content(first)
    assert remove(first, "rm", "-r").returncode == 0 and backups(keepfs) == [second]
    keepfs.run("undelete", f"site/{os.path.basename(first)}")
    assert content(first) == before


def test_several_threads(site):
    first, second, third = backups(site)
    fd = os.open(first, os.O_RDONLY | os.O_DIRECTORY)
    failed = []

    def unlink(names):
        inner = os.open(os.path.join(first, "objects", "flat"), os.O_RDONLY | os.O_DIRECTORY)
        for name in names:
            try:
                os.unlink(name, dir_fd=inner)
            except OSError as error:
                failed.append(error)
        os.close(inner)

    names = os.listdir(os.path.join(first, "objects", "flat"))
    threads = [threading.Thread(target=unlink, args=(names[i::4],)) for i in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    os.close(fd)
    assert failed == []
    os.rmdir(first)
    assert backups(site) == [second, third] and len(audit(site)) == 1


@pytest.mark.skipif(os.geteuid() != 0, reason="needs another user")
def test_the_owner_of_the_mount_can(new_keepfs, shop, objects):
    """who is not root: the modes let him"""
    directory = objects.root.parent / "open"
    directory.mkdir(mode=0o755)
    for above in directory.parents:
        if above.stat().st_mode & 0o001 == 0 and above.stat().st_uid == os.getuid():
            above.chmod(above.stat().st_mode | 0o011)
    keepfs = new_keepfs(jobs_of(shop, objects), directory=directory, allow_other="yes", owner="65534").mount()
    for _ in range(2):
        keepfs.backup("site")
    first, second = backups(keepfs)
    done = subprocess.run(["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", "rm", "-r", first], capture_output=True, text=True,
                          stdin=subprocess.DEVNULL)
    assert done.returncode == 0 and backups(keepfs) == [second], done.stderr
    assert audit(keepfs)[0]["uid"] == 65534


@pytest.mark.skipif(os.geteuid() != 0 or not shutil.which("unshare"), reason="needs a PID namespace")
def test_a_process_that_cannot_be_seen(new_keepfs, shop, objects):
    """what it has open nobody knows: it is refused as ever, and rmdir works"""
    keepfs = new_keepfs(jobs_of(shop, objects))
    unshare = subprocess.Popen(["unshare", "--pid", "--fork", "--kill-child", PROGRAM, "mount", "-f", "-c", str(keepfs.conf)], env=keepfs.env,
                               stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        wait_until(lambda: is_mounted(keepfs.mountpoint) or unshare.poll() is not None, "the mount")
        for _ in range(2):
            keepfs.backup("site")
        first, second = backups(keepfs)
        done = remove(first, "rm", "-r")
        assert "not permitted" in done.stdout and backups(keepfs) == [first, second]
        os.rmdir(first)
        assert backups(keepfs) == [second]
        keepfs.signal(signal.SIGTERM)
    finally:
        unshare.kill()
        unshare.wait()


def test_many_objects(new_keepfs, tmp_path):
    """what it takes is reading the names"""
    many = Directory(tmp_path / "many")
    (many.root / "d").mkdir()
    for i in range(3000):
        (many.root / "d" / f"{i:06}").write_bytes(b"")
    keepfs = new_keepfs({"mirror objects": many.section()}).mount()
    keepfs.backup("objects")
    keepfs.backup("objects")
    first, second = backups(keepfs, "objects")
    begun = time.monotonic()
    assert remove(first, "rm", "-r").returncode == 0
    print(f"rm -r of 3,000 objects: {time.monotonic() - begun:.1f} s")
    assert backups(keepfs, "objects") == [second] and len(os.listdir(os.path.join(second, "d"))) == 3000
