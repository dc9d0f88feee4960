# SPDX-License-Identifier: Apache-2.0
"""wal/NAME/: what archive_command copies there is in the store when cp returns, and comes back as it was; whatever is not what it says is refused."""
import contextlib
import errno
import os
import pathlib
import signal
import sqlite3
import subprocess

import pytest

import daemon
import postgres
import stores
from waling import MIB, SYSTEM_ID, name_of, segment

JOB = "main"


def archive(new_keepfs, **settings):
    return new_keepfs({f"cluster {JOB}": {"wal": "archive", **settings}})


@pytest.fixture
def walfs(new_keepfs):
    return archive(new_keepfs).mount()


def put(keepfs, tmp_path, name, content):
    """as archive_command does; the process that has ended"""
    source = tmp_path / "handed over"
    source.write_bytes(content)
    return subprocess.run(["cp", str(source), str(keepfs.path("wal", JOB, name))], stderr=subprocess.PIPE, text=True)


def wal_path(keepfs, name):
    return keepfs.path("wal", JOB, name)


def objects_of(keepfs):
    return sorted(key for key in keepfs.store.keys() if key.startswith("wal/"))


def last_error(keepfs):
    return keepfs.text("status", "last-error")


def test_what_is_copied_in_comes_back(walfs, tmp_path):
    content = segment(7)
    assert put(walfs, tmp_path, name_of(7), content).returncode == 0
    assert objects_of(walfs) == [f"wal/{JOB}/{SYSTEM_ID}/{name_of(7)}.zst"]
    assert os.listdir(walfs.path("wal")) == [JOB]
    assert os.listdir(walfs.path("wal", JOB)) == [name_of(7)]
    assert os.stat(wal_path(walfs, name_of(7))).st_size == MIB
    subprocess.run(["cp", str(wal_path(walfs, name_of(7))), str(tmp_path / "back")], check=True)
    assert (tmp_path / "back").read_bytes() == content
    walfs.remount()
    assert wal_path(walfs, name_of(7)).read_bytes() == content


def test_the_object_is_a_plain_zstd_file(walfs, tmp_path):
    content = segment(8)
    assert put(walfs, tmp_path, name_of(8), content).returncode == 0
    stored = walfs.store.get(f"wal/{JOB}/{SYSTEM_ID}/{name_of(8)}.zst")
    assert subprocess.run(["zstd", "-d", "-c"], input=stored, stdout=subprocess.PIPE, check=True).stdout == content
    # The flag of a content checksum is a bit of each frame's descriptor, behind the magic number (RFC 8878, 3.1.1.1.1).
    assert stored[4] & 4


def test_the_small_files_come_back_too(walfs, tmp_path):
    history = b"1\t0/3000158\tno recovery target specified\n"
    backup = b"START WAL LOCATION: 0/2000028 (file 000000010000000000000002)\n"
    assert put(walfs, tmp_path, "00000002.history", history).returncode == 0
    assert put(walfs, tmp_path, name_of(2), segment(2)).returncode == 0
    assert put(walfs, tmp_path, f"{name_of(2)}.00000028.backup", backup).returncode == 0
    assert put(walfs, tmp_path, f"{name_of(3)}.partial", segment(3)).returncode == 0
    assert wal_path(walfs, "00000002.history").read_bytes() == history
    assert wal_path(walfs, f"{name_of(2)}.00000028.backup").read_bytes() == backup
    assert wal_path(walfs, f"{name_of(3)}.partial").read_bytes() == segment(3)
    assert sorted(os.listdir(walfs.path("wal", JOB))) == sorted(["00000002.history", name_of(2), f"{name_of(2)}.00000028.backup",
                                                                f"{name_of(3)}.partial"])


def test_the_same_file_twice_is_success(walfs, tmp_path):
    for _ in range(3):
        assert put(walfs, tmp_path, name_of(7), segment(7)).returncode == 0
    assert len(objects_of(walfs)) == 1
    assert wal_path(walfs, name_of(7)).read_bytes() == segment(7)


def test_other_content_of_the_same_name_is_refused(walfs, tmp_path):
    assert put(walfs, tmp_path, name_of(7), segment(7)).returncode == 0
    done = put(walfs, tmp_path, name_of(7), segment(7, seed=1))
    assert done.returncode == 1 and os.strerror(errno.EEXIST) in done.stderr
    assert "two servers write this WAL" in last_error(walfs) and name_of(7) in last_error(walfs)
    assert wal_path(walfs, name_of(7)).read_bytes() == segment(7)
    assert len(objects_of(walfs)) == 1


def test_what_is_removed_while_it_comes_again_is_asked_for_once_more(walfs, tmp_path):
    """it was only to be compared: nobody is told that it is archived when there is nothing to compare it with any more"""
    assert put(walfs, tmp_path, name_of(7), segment(7)).returncode == 0
    fd = os.open(wal_path(walfs, name_of(7)), os.O_WRONLY | os.O_TRUNC)
    os.write(fd, segment(7))
    with contextlib.closing(sqlite3.connect(walfs.state / "catalog.db")) as catalog:
        assert catalog.execute("DELETE FROM wal_segment WHERE name = ?", [name_of(7)]).rowcount == 1
        catalog.commit()
    for key in objects_of(walfs):
        walfs.store.remove(key)
    with pytest.raises(OSError) as refused:
        os.close(fd)
    assert refused.value.errno == errno.EIO
    assert "hand it over again" in last_error(walfs)
    assert put(walfs, tmp_path, name_of(7), segment(7)).returncode == 0
    assert wal_path(walfs, name_of(7)).read_bytes() == segment(7)


@pytest.mark.parametrize("what, name, content, number, words", [
    ("another cluster", name_of(9), segment(9, system_id=SYSTEM_ID + 1), errno.EINVAL, "cluster"),
    ("a recycled file", name_of(9), segment(9, at=3 * MIB), errno.EINVAL, name_of(9)),
    ("a later timeline", name_of(9), segment(9, timeline=2), errno.EINVAL, "timeline"),
    ("other segments", name_of(9, size=2 * MIB), segment(9, size=2 * MIB), errno.EINVAL, "segment"),
    ("no WAL", name_of(9), b"x" * MIB, errno.EINVAL, name_of(9)),
    ("cut off", name_of(9), segment(9)[:MIB - 1], errno.EINVAL, "cut off"),
    ("very short", name_of(9), b"x", errno.EINVAL, "cut off"),
    ("too long", name_of(9), segment(9) + b"\0", errno.EFBIG, "longer"),
    ("a history that is no text", "00000003.history", b"1\t0/3000158\t\0\n", errno.EINVAL, "text"),
    ("a history that is too long", "00000003.history", b"1" * (65 << 10), errno.EFBIG, "longer"),
], ids=lambda value: value.replace(" ", "-") if isinstance(value, str) and len(value) < 30 else "x")
def test_what_is_not_what_it_says_is_refused(walfs, tmp_path, what, name, content, number, words):
    assert put(walfs, tmp_path, name_of(7), segment(7)).returncode == 0
    done = put(walfs, tmp_path, name, content)
    assert done.returncode == 1 and os.strerror(number) in done.stderr, (what, done.stderr)
    assert words in last_error(walfs)
    assert not wal_path(walfs, name).exists()
    assert len(objects_of(walfs)) == 1


def test_another_name_is_refused(walfs, tmp_path):
    done = put(walfs, tmp_path, "RECOVERYXLOG", segment(7))
    assert done.returncode == 1 and os.strerror(errno.EINVAL) in done.stderr
    assert "archive_command" in last_error(walfs)
    assert os.listdir(walfs.path("wal", JOB)) == []


def refused(action, *numbers):
    with pytest.raises(OSError) as caught:
        action()
    assert caught.value.errno in numbers, caught.value


def test_nothing_that_is_archived_can_be_changed(walfs, tmp_path):
    assert put(walfs, tmp_path, name_of(7), segment(7)).returncode == 0
    path = wal_path(walfs, name_of(7))
    refused(path.unlink, errno.EPERM)
    assert "not removed" in last_error(walfs)
    refused(lambda: path.rename(wal_path(walfs, name_of(8))), errno.EPERM)
    assert "not renamed" in last_error(walfs)
    refused(lambda: os.truncate(path, 0), errno.EPERM)
    assert "not truncated" in last_error(walfs)
    refused(lambda: open(path, "r+b"), errno.EPERM)
    refused(lambda: open(path, "ab"), errno.EPERM)
    refused(lambda: os.mkdir(wal_path(walfs, name_of(8))), errno.EPERM)
    assert path.read_bytes() == segment(7)


def test_an_empty_rewrite_changes_nothing(walfs, tmp_path):
    assert put(walfs, tmp_path, name_of(7), segment(7)).returncode == 0
    refused(lambda: open(wal_path(walfs, name_of(7)), "wb").close(), errno.EINVAL)
    assert wal_path(walfs, name_of(7)).read_bytes() == segment(7)


def test_a_cp_that_is_killed_leaves_nothing(walfs, tmp_path):
    source = tmp_path / "slow"
    os.mkfifo(source)
    cp = subprocess.Popen(["cp", "--no-preserve=all", "--copy-contents", "-r", str(source), str(wal_path(walfs, name_of(7)))])
    with open(source, "wb") as out:
        out.write(segment(7)[:MIB // 2])
        out.flush()
        daemon.wait_until(lambda: wal_path(walfs, name_of(7)).exists() and wal_path(walfs, name_of(7)).stat().st_size > 0, "the first bytes")
        cp.send_signal(signal.SIGKILL)
        cp.wait()
    daemon.wait_until(lambda: not wal_path(walfs, name_of(7)).exists(), "the end of what was written")
    assert objects_of(walfs) == []
    assert put(walfs, tmp_path, name_of(7), segment(7)).returncode == 0


def test_what_is_not_there_is_not_there(walfs):
    done = subprocess.run(["cp", str(wal_path(walfs, name_of(7))), "/dev/null"], stderr=subprocess.PIPE, text=True)
    assert done.returncode == 1 and os.strerror(errno.ENOENT) in done.stderr
    assert not walfs.path("wal", "other").exists()


def test_only_clusters_have_a_directory(new_keepfs, tmp_path):
    keepfs = new_keepfs({"files media": {"path": tmp_path}, f"cluster {JOB}": {"wal": "archive"}}).mount()
    assert os.listdir(keepfs.path("wal")) == [JOB]


def test_a_full_store_is_told_as_such(new_keepfs, tmp_path):
    keepfs = archive(new_keepfs)
    keepfs.store_settings["faults"] = "put:1:nospace"
    keepfs.write_conf()
    keepfs.mount()
    done = put(keepfs, tmp_path, name_of(7), segment(7))
    assert done.returncode == 1 and os.strerror(errno.ENOSPC) in done.stderr
    assert name_of(7) in last_error(keepfs)
    assert not wal_path(keepfs, name_of(7)).exists()
    assert put(keepfs, tmp_path, name_of(7), segment(7)).returncode == 0


def test_an_answer_that_was_lost_is_no_other_file(new_keepfs, tmp_path):
    """the store has it, and nobody was told: the same file again is compared with what is there"""
    keepfs = archive(new_keepfs)
    keepfs.store_settings |= {"faults": "put:1:timeout", "retry_deadline": "0s"}
    keepfs.write_conf()
    keepfs.mount()
    assert put(keepfs, tmp_path, name_of(7), segment(7)).returncode == 1
    assert len(objects_of(keepfs)) == 1
    assert put(keepfs, tmp_path, name_of(7), segment(7)).returncode == 0
    assert wal_path(keepfs, name_of(7)).read_bytes() == segment(7)


def test_a_store_that_is_away_ends_no_recovery(new_keepfs, tmp_path):
    """a read waits, and then has the file"""
    keepfs = archive(new_keepfs)
    keepfs.store_settings |= {"faults": "get:1:unavailable,get:2:unavailable", "retry_deadline": "0s"}
    keepfs.write_conf()
    keepfs.mount()
    assert put(keepfs, tmp_path, name_of(7), segment(7)).returncode == 0
    assert wal_path(keepfs, name_of(7)).read_bytes() == segment(7)


def test_a_store_that_stays_away_is_an_error_in_the_end(new_keepfs, tmp_path):
    keepfs = archive(new_keepfs, read_timeout="0s")
    keepfs.store_settings |= {"faults": "get:1+:unavailable", "retry_deadline": "0s"}
    keepfs.write_conf()
    keepfs.mount()
    assert put(keepfs, tmp_path, name_of(7), segment(7)).returncode == 0
    refused(wal_path(keepfs, name_of(7)).read_bytes, errno.EIO)
    assert name_of(7) in last_error(keepfs)


def test_what_waits_for_the_store_can_be_killed(new_keepfs, tmp_path):
    keepfs = archive(new_keepfs)
    keepfs.store_settings |= {"faults": "get:1+:unavailable", "retry_deadline": "0s"}
    keepfs.write_conf()
    keepfs.mount()
    assert put(keepfs, tmp_path, name_of(7), segment(7)).returncode == 0
    cp = subprocess.Popen(["cp", str(wal_path(keepfs, name_of(7))), str(tmp_path / "back")])
    with pytest.raises(subprocess.TimeoutExpired):
        cp.wait(0.5)
    cp.send_signal(signal.SIGKILL)
    cp.wait(daemon.DEADLINE_S)


def test_damage_is_found(walfs, tmp_path):
    assert put(walfs, tmp_path, name_of(7), segment(7)).returncode == 0
    (key,) = objects_of(walfs)
    path = walfs.store.root / key
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.chmod(0o600)
    path.write_bytes(content)
    refused(wal_path(walfs, name_of(7)).read_bytes, errno.EIO)
    assert key in last_error(walfs)


def test_a_rebuild_finds_them_again(walfs, tmp_path):
    history = b"1\t0/3000158\tno recovery target specified\n"
    for number in range(3, 8):
        assert put(walfs, tmp_path, name_of(number), segment(number)).returncode == 0
    assert put(walfs, tmp_path, "00000002.history", history).returncode == 0
    walfs.unmount()
    for file in pathlib.Path(walfs.state).glob("catalog.db*"):
        file.unlink()
    walfs.run("rebuild")
    walfs.mount()
    assert len(os.listdir(walfs.path("wal", JOB))) == 6
    assert wal_path(walfs, "00000002.history").read_bytes() == history
    for number in range(3, 8):
        assert os.stat(wal_path(walfs, name_of(number))).st_size == MIB
        assert wal_path(walfs, name_of(number)).read_bytes() == segment(number)
    # Of which cluster the archive is is known again, too, and what was archived is compared.
    assert put(walfs, tmp_path, name_of(9), segment(9, system_id=SYSTEM_ID + 1)).returncode == 1
    assert put(walfs, tmp_path, name_of(4), segment(4)).returncode == 0
    assert put(walfs, tmp_path, name_of(4), segment(4, seed=1)).returncode == 1


@pytest.mark.parametrize("store", ["ceph"], indirect=True)
def test_in_s3(new_keepfs, tmp_path):
    keepfs = archive(new_keepfs).mount()
    for number in range(3, 6):
        assert put(keepfs, tmp_path, name_of(number), segment(number)).returncode == 0
    assert put(keepfs, tmp_path, name_of(4), segment(4, seed=1)).returncode == 1
    assert [wal_path(keepfs, name_of(n)).read_bytes() == segment(n) for n in range(3, 6)] == [True] * 3


def test_a_reader_sees_what_has_come(new_keepfs, tmp_path, store):
    writer = archive(new_keepfs).mount()
    reader = new_keepfs({f"cluster {JOB}": {"wal": "archive"}}, directory=tmp_path / "reader", role="reader").mount()
    assert put(writer, tmp_path, name_of(7), segment(7)).returncode == 0
    assert wal_path(reader, name_of(7)).read_bytes() == segment(7)
    assert not wal_path(reader, name_of(8)).exists()
    assert put(reader, tmp_path, name_of(8), segment(8)).returncode == 1


def get(keepfs, name, destination):
    return keepfs.run("wal-get", JOB, name, str(destination), check=False)


def test_wal_get_needs_no_mount(walfs, tmp_path):
    assert put(walfs, tmp_path, name_of(7), segment(7)).returncode == 0
    walfs.unmount()
    for file in pathlib.Path(walfs.state).glob("catalog.db*"):
        file.unlink()
    out = tmp_path / "out"
    out.mkdir()
    assert get(walfs, name_of(7), out / "RECOVERYXLOG").returncode == 0
    assert (out / "RECOVERYXLOG").read_bytes() == segment(7)
    for name in (name_of(8), "00000002.history", "no name of WAL"):
        done = get(walfs, name, out / "other")
        assert done.returncode == 1 and name in done.stderr, done.stderr
    assert os.listdir(out) == ["RECOVERYXLOG"]


def change_object(keepfs, key, content):
    path = keepfs.store.root / key
    path.chmod(0o600)
    path.write_bytes(content)


def object_of(keepfs, name):
    return next(key for key in objects_of(keepfs) if f"/{name}." in key)


FRAME = b"\x28\xb5\x2f\xfd"  # each begins with it
HISTORY = "00000002.history"


def put_what_is_damaged_then(keepfs, tmp_path, first=5):
    """names: of an object that ends with one of its several frames, of one that is another segment, and of one that is empty; and of one that is
    right. @first: from which on there are segments"""
    for number in range(first, 8):
        assert put(keepfs, tmp_path, name_of(number, size=4 * MIB), segment(number, size=4 * MIB)).returncode == 0
    assert put(keepfs, tmp_path, HISTORY, b"1\t0/3000158\tno recovery target specified\n").returncode == 0
    keys = [object_of(keepfs, name_of(number, size=4 * MIB)) for number in range(5, 8)]
    content = (keepfs.store.root / keys[0]).read_bytes()
    assert content.count(FRAME) > 1
    keepfs.unmount()
    for file in pathlib.Path(keepfs.state).glob("catalog.db*"):
        file.unlink()
    change_object(keepfs, keys[0], content[:content.index(FRAME, 1)])
    change_object(keepfs, keys[1], (keepfs.store.root / keys[2]).read_bytes())
    change_object(keepfs, object_of(keepfs, HISTORY), b"")
    return [name_of(5, size=4 * MIB), name_of(6, size=4 * MIB), HISTORY], name_of(7, size=4 * MIB)


def test_wal_get_gives_no_file_that_is_short_or_another(walfs, tmp_path):
    wrong, right = put_what_is_damaged_then(walfs, tmp_path)
    for name in wrong:
        done = get(walfs, name, tmp_path / "got")
        assert done.returncode == 126 and f"the object {object_of(walfs, name)}" in done.stderr, (name, done.returncode, done.stderr)
        assert not (tmp_path / "got").exists()
    assert get(walfs, right, tmp_path / "got").returncode == 0


# What the first segment says of their size is taken to be that of all: so the one that is damaged is looked at when it is found, or when it is read.
@pytest.mark.parametrize("first", (4, 5))
def test_a_rebuilt_catalog_gives_no_file_that_is_short_or_another(walfs, tmp_path, first):
    wrong, right = put_what_is_damaged_then(walfs, tmp_path, first)
    walfs.run("rebuild")
    walfs.mount()
    for name in wrong:
        refused(wal_path(walfs, name).read_bytes, errno.EIO)
    assert wal_path(walfs, right).read_bytes() == segment(7, size=4 * MIB)


def test_wal_get_tells_apart_what_cannot_be_told(walfs, tmp_path):
    assert put(walfs, tmp_path, name_of(7), segment(7)).returncode == 0
    assert get(walfs, name_of(7), tmp_path / "no directory" / "x").returncode == 126
    assert walfs.run("wal-get", JOB, check=False).returncode == 126
    assert walfs.run("wal-get", "-c", str(tmp_path / "no configuration"), JOB, name_of(7), str(tmp_path / "x"), check=False, conf=False).returncode == 126
    walfs.jobs[f"cluster {JOB}"]["read_timeout"] = "0s"
    for fault, name in (("list:1+:unavailable", name_of(8)), ("get:1+:unavailable", name_of(7)), ("get:1+:eio", name_of(7))):
        walfs.store_settings |= {"faults": fault, "retry_deadline": "0s"}
        walfs.write_conf()
        assert get(walfs, name, tmp_path / "x").returncode == 126, fault
    assert not [name for name in os.listdir(tmp_path) if name.startswith("x")]
    walfs.store_settings.pop("faults")


def test_encrypted(new_keepfs, tmp_path):
    secret = tmp_path / "identity"
    made = subprocess.run(["age-keygen"], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, check=True).stdout
    secret.write_text(made)
    secret.chmod(0o600)
    recipient = next(line.split(": ")[1] for line in made.splitlines() if "public key" in line)
    keepfs = archive(new_keepfs, encrypt_to=recipient)
    keepfs.settings["identity_file"] = secret
    keepfs.write_conf()
    keepfs.mount()
    assert put(keepfs, tmp_path, name_of(7), segment(7)).returncode == 0
    assert put(keepfs, tmp_path, name_of(7), segment(7)).returncode == 0
    (key,) = objects_of(keepfs)
    assert key.endswith(f"{name_of(7)}.zst.age")
    assert wal_path(keepfs, name_of(7)).read_bytes() == segment(7)
    opened = subprocess.run(["age", "-d", "-i", str(secret)], input=keepfs.store.get(key), stdout=subprocess.PIPE, check=True).stdout
    assert subprocess.run(["zstd", "-d", "-c"], input=opened, stdout=subprocess.PIPE, check=True).stdout == segment(7)
    assert get(keepfs, name_of(7), tmp_path / "out").returncode == 0
    assert (tmp_path / "out").read_bytes() == segment(7)
    # Without the key: it is there, and cannot be read.
    keepfs.unmount()
    for file in pathlib.Path(keepfs.state).glob("catalog.db*"):
        file.unlink()
    del keepfs.settings["identity_file"]
    keepfs.write_conf()
    keepfs.run("rebuild")
    keepfs.mount()
    assert os.listdir(keepfs.path("wal", JOB)) == [name_of(7)]
    refused(wal_path(keepfs, name_of(7)).read_bytes, errno.ENOKEY)
    assert get(keepfs, name_of(7), tmp_path / "out").returncode == 126


def ready(pg_wal, *numbers):
    (pg_wal / "archive_status").mkdir(parents=True, exist_ok=True)
    for number in numbers:
        (pg_wal / name_of(number)).write_bytes(segment(number))
        (pg_wal / "archive_status" / f"{name_of(number)}.ready").touch()


def test_what_is_ready_is_archived_ahead(new_keepfs, tmp_path):
    pg_wal = tmp_path / "pg_wal"
    ready(pg_wal, 6, 7, 8)
    (pg_wal / name_of(9)).write_bytes(segment(9))  # the server still writes it
    keepfs = archive(new_keepfs, pg_wal=pg_wal).mount()
    assert put(keepfs, tmp_path, name_of(5), segment(5)).returncode == 0
    daemon.wait_until(lambda: len(objects_of(keepfs)) == 4, "three segments that nobody has handed over")
    for number in (6, 7, 8):
        assert put(keepfs, tmp_path, name_of(number), segment(number)).returncode == 0
    assert not wal_path(keepfs, name_of(9)).exists()
    assert [wal_path(keepfs, name_of(n)).read_bytes() == segment(n) for n in range(5, 9)] == [True] * 4


def test_what_is_wrong_ahead_is_left_to_the_archiver(new_keepfs, tmp_path):
    pg_wal = tmp_path / "pg_wal"
    ready(pg_wal, 6, 7)
    (pg_wal / name_of(6)).write_bytes(segment(2))  # recycled
    keepfs = archive(new_keepfs, pg_wal=pg_wal).mount()
    assert put(keepfs, tmp_path, name_of(5), segment(5)).returncode == 0
    daemon.wait_until(wal_path(keepfs, name_of(7)).exists, "the one that is right")
    assert not wal_path(keepfs, name_of(6)).exists()
    assert put(keepfs, tmp_path, name_of(6), segment(6)).returncode == 0


def test_those_behind_are_fetched_before_somebody_asks(walfs, tmp_path):
    numbers = range(3, 9)
    for number in numbers:
        assert put(walfs, tmp_path, name_of(number), segment(number)).returncode == 0
    assert wal_path(walfs, name_of(3)).read_bytes() == segment(3)

    def gets():
        return next(int(line.split()[1]) for line in walfs.text("status", "metrics.prom").splitlines()
                    if line.startswith("keepfs_store_calls_total{") and '"get"' in line)

    daemon.wait_until(lambda: gets() >= len(numbers), "all of them to be fetched")
    before = gets()
    assert wal_path(walfs, name_of(4)).read_bytes() == segment(4)
    assert gets() == before


def test_a_hundred_thousand_are_listed_in_pages(walfs, tmp_path):
    assert put(walfs, tmp_path, name_of(1), segment(1)).returncode == 0
    walfs.unmount()
    with sqlite3.connect(walfs.state / "catalog.db") as catalog:
        catalog.executemany("INSERT INTO wal_segment (job, name, key, bytes, stored_bytes, sha256, arrived_us) VALUES (?, ?, ?, ?, 1, '', 1)",
                            ((JOB, name_of(n), f"wal/{JOB}/{SYSTEM_ID}/{name_of(n)}.zst", MIB) for n in range(2, 100001)))
    catalog.close()
    walfs.mount()
    (pid,) = walfs.daemons()

    def resident_kib():
        return next(int(line.split()[1]) for line in pathlib.Path(f"/proc/{pid}/status").read_text().splitlines() if line.startswith("VmRSS"))

    assert len(os.listdir(walfs.path("wal", JOB))) == 100000
    before = resident_kib()
    assert len(os.listdir(walfs.path("wal", JOB))) == 100000
    assert resident_kib() - before < 8 << 10


def test_health_and_metrics_tell_of_the_last_one(walfs, tmp_path):
    assert "nothing has come yet" in walfs.text("status", "health")
    assert put(walfs, tmp_path, name_of(7), segment(7)).returncode == 0
    assert f"{name_of(7)} was archived" in walfs.text("status", "health")
    told = walfs.text("status", "metrics.prom")
    assert f'keepfs_wal_files{{backup_job="{JOB}"}} 1' in told
    assert f'keepfs_wal_last_archived_timestamp_seconds{{backup_job="{JOB}"}}' in told
