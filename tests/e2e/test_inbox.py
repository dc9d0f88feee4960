# SPDX-License-Identifier: Apache-2.0
"""[inbox NAME]: what is written into inbox/NAME/ becomes a backup in backups/NAME/, or the writer is told why not."""
import csv
import errno
import gzip
import io
import json
import os
import pathlib
import shutil
import signal
import subprocess
import tarfile
import time

import pytest

import daemon
import postgres
import stores

MIB = 1 << 20
DATABASE = "inbox_sample"
needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="needs root to mount a tmpfs")


@pytest.fixture(scope="module")
def database(pg):
    pg.create(DATABASE)
    pg.sql(DATABASE, "CREATE TABLE item (id int PRIMARY KEY, note text); "
                     "INSERT INTO item SELECT n, md5(n::text) || E'\\n' FROM generate_series(1, 20000) n; "
                     "CREATE TABLE \"odd, name\" (x text); INSERT INTO \"odd, name\" VALUES ('a'), (NULL); SELECT lo_from_bytea(4711, 'large object')")
    yield DATABASE
    pg.drop(DATABASE)


@pytest.fixture(scope="module")
def dumps(pg, database, tmp_path_factory):
    """a file in each format of pg_dump"""
    directory = tmp_path_factory.mktemp("dumps")
    made = {"custom": ["-Fc"], "custom-none": ["-Fc", "-Z0"], "plain": ["-Fp"], "tar": ["-Ft"], "inserts": ["-Fc", "--inserts"],
            "verbose": ["-Fp", "--verbose"]}
    for name, options in made.items():
        with open(directory / name, "wb") as out:
            subprocess.run([str(pg.bindir / "pg_dump"), *options, "-d", pg.uri(database)], stdout=out, stderr=subprocess.DEVNULL, check=True)
    return directory


@pytest.fixture
def inbox(new_keepfs):
    return new_keepfs({"inbox legacy": {}}).mount()


def artifacts(keepfs, job="legacy"):
    """the files of its directory, without what keepfs makes itself"""
    return sorted(n for n in os.listdir(keepfs.path("backups", job))
                  if not n.startswith(("SHA256SUMS", "latest")) and not n.endswith(".tables.csv"))


def the_artifact(keepfs, job="legacy"):
    (name,) = artifacts(keepfs, job)
    return keepfs.path("backups", job, name)


def fact(path, name):
    return os.getxattr(path, f"user.keepfs.{name}").decode()


def copy_into(keepfs, source, name, job="legacy"):
    return subprocess.run(["cp", str(source), str(keepfs.path("inbox", job, name))], stderr=subprocess.PIPE, text=True)


def wait_for_end(keepfs):
    """until the history says of all that came in how it ended"""
    daemon.wait_until(lambda: not any(r["state"] in ("pending", "running") for r in history(keepfs)), "the end of all runs")
    return history(keepfs)


def history(keepfs):
    return [r for r in (json.loads(line) for line in keepfs.text("status", "history.jsonl").splitlines()) if r["kind"] == "inbox"]


def audit_of(keepfs, name):
    return [line for line in map(json.loads, keepfs.text("status", "audit.jsonl").splitlines())
            if line["action"] == "inbox" and line["object"] == f"inbox/legacy/{name}"]


def nothing_is_kept(keepfs):
    assert artifacts(keepfs) == []
    assert [p for p in pathlib.Path(keepfs.store.root).rglob("*") if p.is_file() and "/backups/" in str(p)] == []


@pytest.mark.parametrize("name", ["custom", "custom-none", "inserts"])
def test_an_archive_of_pg_dump_becomes_a_backup_as_our_own(inbox, pg, dumps, scratch, name):
    before = time.time()
    done = copy_into(inbox, dumps / name, "old.dump")
    assert done.returncode == 0, done.stderr
    path = the_artifact(inbox)
    assert path.read_bytes() == (dumps / name).read_bytes()
    assert path.suffix == ".dump" and fact(path, "original_name") == "old.dump" and fact(path, "kind") == "dump"
    assert fact(path, "database") == DATABASE and fact(path, "dated_by") == "content" and fact(path, "job") == "legacy"
    # The time is that of the dump's header, in the zone of the job; the file is of the moment at which it was taken.
    assert path.name.startswith(time.strftime("%Y", time.localtime(os.stat(dumps / name).st_mtime)))
    assert os.stat(path).st_mtime >= before - 1
    (run,) = wait_for_end(inbox)
    assert run["state"] == "completed" and run["triggered_by"] == f"uid {os.geteuid()} (cp)", run
    (line,) = audit_of(inbox, "old.dump")
    assert line["result"] == "ok" and line["uid"] == os.geteuid() and f"backups/legacy/{path.name}" in line["detail"]
    if name != "inserts":
        counted = {(r["schema"], r["table"]): int(r["rows"]) for r in csv.DictReader(io.StringIO((path.parent / f"{path.stem}.tables.csv").read_text()))}
        assert counted[("public", "item")] == 20000 and counted[("public", "odd, name")] == 2
        assert fact(path, "rows") == str(sum(counted.values()))
    subprocess.run([str(pg.bindir / "pg_restore"), "-d", pg.uri(scratch), str(path)], check=True, stderr=subprocess.DEVNULL)
    assert pg.sql(scratch, "SELECT count(*) FROM item").strip() == "20000"
    verified = inbox.wait_run(int(inbox.ask("verify", "legacy").split()[0]))
    assert verified["state"] == "completed", verified
    assert "public.item.csv" in os.listdir(inbox.path("inside", "legacy", path.stem, "tables")) or name == "inserts"


def test_what_is_text_tar_or_compressed_is_checked_and_named(inbox, dumps, tmp_path):
    (tmp_path / "plain.gz").write_bytes(gzip.compress((dumps / "plain").read_bytes()))
    subprocess.run(["zstd", "-q", str(dumps / "tar"), "-o", str(tmp_path / "tar.zst")], check=True)
    (tmp_path / "notes.xml").write_text("<a/>")
    wanted = {dumps / "plain": ("shop-2024-01-05_0230.sql", "20240105T023000Z.sql", "dump"),
              dumps / "verbose": ("started.sql", None, "dump"),
              tmp_path / "plain.gz": ("shop-20230607.sql.gz", "20230607T000000Z.sql.gz", "dump"),
              dumps / "tar": ("pg.tar", None, "files"),
              tmp_path / "tar.zst": ("same.tar.zst", None, "files"),
              tmp_path / "notes.xml": ("20200202T020202Z.notes.xml", "20200202T020202Z.xml", "inbox")}
    for source, (name, path, kind) in wanted.items():
        before = set(artifacts(inbox))
        done = copy_into(inbox, source, name)
        assert done.returncode == 0, done.stderr + inbox.text("status", "last-error")
        (new,) = set(artifacts(inbox)) - before
        assert path in (None, new)
        assert inbox.path("backups", "legacy", new).read_bytes() == source.read_bytes()
        assert fact(inbox.path("backups", "legacy", new), "kind") == kind
    assert all(r["state"] == "completed" for r in wait_for_end(inbox))
    subprocess.run(["sha256sum", "-c", "--quiet", "SHA256SUMS"], cwd=inbox.path("backups", "legacy"), check=True)
    verified = inbox.wait_run(int(inbox.ask("verify", "legacy").split()[0]))
    assert verified["state"] == "completed", verified
    # The catalog can be lost.
    inbox.unmount()
    inbox.run("rebuild")
    inbox.mount()
    assert len(artifacts(inbox)) == len(wanted)


def test_what_is_cut_off_damaged_or_empty_is_refused_at_close(inbox, dumps, tmp_path):
    for name in ("custom", "custom-none", "plain", "tar"):
        whole = (dumps / name).read_bytes()
        (tmp_path / "cut").write_bytes(whole[:len(whole) * 2 // 3])
        done = copy_into(inbox, tmp_path / "cut", f"cut.{name}")
        assert done.returncode != 0 and "Invalid argument" in done.stderr, (name, done)
        assert f"inbox/legacy/cut.{name}" in inbox.text("status", "last-error")
        (line,) = audit_of(inbox, f"cut.{name}")
        assert line["result"] == "failed"
    for name, data in (("gz", gzip.compress(os.urandom(300000))), ("zst", subprocess.run(["zstd", "-q"], input=os.urandom(300000), stdout=subprocess.PIPE, check=True).stdout)):
        (tmp_path / "cut").write_bytes(data[:-10])
        assert copy_into(inbox, tmp_path / "cut", f"cut.{name}").returncode != 0
    whole = bytearray((dumps / "custom").read_bytes())
    whole[len(whole) // 2] ^= 0xff
    (tmp_path / "bent").write_bytes(whole)
    assert copy_into(inbox, tmp_path / "bent", "bent.dump").returncode != 0
    (tmp_path / "empty").touch()
    done = copy_into(inbox, tmp_path / "empty", "empty.dump")
    assert done.returncode != 0 and "Invalid argument" in done.stderr
    daemon.wait_until(lambda: audit_of(inbox, "empty.dump"), "the line of the empty file")
    assert "empty" in audit_of(inbox, "empty.dump")[0]["detail"]
    assert all(r["state"] == "failed" for r in wait_for_end(inbox))
    assert os.listdir(inbox.path("inbox", "legacy")) == []
    nothing_is_kept(inbox)
    # Nothing stands in the way of the whole one.
    assert copy_into(inbox, dumps / "custom", "cut.custom").returncode == 0


def test_the_same_content_twice_is_one(inbox, dumps):
    assert copy_into(inbox, dumps / "custom", "a.dump").returncode == 0
    assert copy_into(inbox, dumps / "custom", "a.dump").returncode == 0
    assert copy_into(inbox, dumps / "custom", "b.dump").returncode == 0
    path = the_artifact(inbox)
    runs = wait_for_end(inbox)
    assert len(runs) == 3 and all(r["state"] == "completed" for r in runs)
    (line,) = audit_of(inbox, "b.dump")
    assert line["detail"] == f"backups/legacy/{path.name}: it was there already"
    # At once, too.
    copies = [subprocess.Popen(["cp", str(dumps / "plain"), str(inbox.path("inbox", "legacy", f"{n}.sql"))]) for n in range(4)]
    assert [c.wait() for c in copies] == [0] * 4
    assert len(artifacts(inbox)) == 2


def test_rsync_mv_tar_and_redirection(inbox, pg, dumps, tmp_path):
    source = tmp_path / "from"
    source.mkdir()
    for name in ("custom", "plain"):
        shutil.copy(dumps / name, source / f"{name}.file")
        os.utime(source / f"{name}.file", (1_600_000_000, 1_600_000_000))
    for _ in range(2):  # it sees that it has them
        done = subprocess.run(["rsync", "-a", "--itemize-changes", f"{source}/", f"{inbox.path('inbox', 'legacy')}/"], stdout=subprocess.PIPE, text=True, check=True)
    assert ">f" not in done.stdout
    assert len(artifacts(inbox)) == 2 and sorted(os.listdir(inbox.path("inbox", "legacy"))) == ["custom.file", "plain.file"]
    assert {fact(inbox.path("backups", "legacy", n), "original_name") for n in artifacts(inbox)} == {"custom.file", "plain.file"}
    shutil.copy(dumps / "tar", source / "moved.tar")
    subprocess.run(["mv", str(source / "moved.tar"), f"{inbox.path('inbox', 'legacy')}/"], check=True)
    assert not (source / "moved.tar").exists() and len(artifacts(inbox)) == 3
    with tarfile.open(tmp_path / "several.tar", "w") as t:
        t.add(dumps / "inserts", "inserts.dump")
        t.add(dumps / "verbose", "verbose.sql")
    subprocess.run(["tar", "-xf", str(tmp_path / "several.tar"), "-C", str(inbox.path("inbox", "legacy"))], check=True)
    assert len(artifacts(inbox)) == 5
    # pg_dump asks whether it can go back in its output, and does not need to.
    target = inbox.path("inbox", "legacy", "direct.dump")
    for command in (f"{pg.bindir / 'pg_dump'} -Fc -Z1 -d '{pg.uri(DATABASE)}' > {target}", f"{pg.bindir / 'pg_dump'} -Fc -Z2 -d '{pg.uri(DATABASE)}' -f {target}",
                    f"{pg.bindir / 'pg_dump'} -Fc -Z3 -d '{pg.uri(DATABASE)}' | dd of={target} bs=64k status=none"):
        subprocess.run(command, shell=True, check=True)
    assert len(artifacts(inbox)) == 8
    shutil.copy2(dumps / "custom-none", inbox.path("inbox", "legacy", "python.dump"))  # changes modes and times behind the close
    assert len(artifacts(inbox)) == 9
    assert all(r["state"] == "completed" for r in wait_for_end(inbox))


def test_a_temporary_name_waits_for_its_last_one(inbox, dumps, tmp_path):
    inbox_of = inbox.path("inbox", "legacy")
    shutil.copyfile(dumps / "custom", inbox_of / ".old.dump.Ab12Cd")
    shutil.copyfile(dumps / "plain", inbox_of / "other.sql.partial")
    assert artifacts(inbox) == []
    os.rename(inbox_of / ".old.dump.Ab12Cd", inbox_of / "old.dump")
    assert fact(the_artifact(inbox), "original_name") == "old.dump"
    with pytest.raises(OSError) as refused:
        os.rename(inbox_of / "other.sql.partial", inbox.path("backups", "legacy", "x"))
    assert refused.value.errno == errno.EXDEV
    os.unlink(inbox_of / "other.sql.partial")
    states = sorted(r["state"] for r in wait_for_end(inbox))
    assert states == ["completed", "failed"]
    os.unlink(inbox_of / "old.dump")  # the name alone
    assert os.listdir(inbox_of) == [] and len(artifacts(inbox)) == 1


def test_two_writers_of_one_name(inbox, dumps):
    whole = (dumps / "custom-none").read_bytes()
    path = inbox.path("inbox", "legacy", "one.dump")
    with open(path, "wb", buffering=0) as first:
        first.write(whole[:100000])
        assert os.stat(path).st_size == 100000 and artifacts(inbox) == []
        for flags in (os.O_WRONLY | os.O_CREAT | os.O_TRUNC, os.O_WRONLY):
            with pytest.raises(OSError) as refused:
                os.open(path, flags, 0o600)
            assert refused.value.errno == errno.EBUSY
        # Another name is another file.
        assert copy_into(inbox, dumps / "plain", "two.sql").returncode == 0
        with pytest.raises(OSError) as refused:
            os.pwrite(first.fileno(), b"x", 0)
        assert refused.value.errno == errno.ESPIPE
        os.fsync(first.fileno())
        view = memoryview(whole)[100000:]
        while view:
            view = view[first.write(view):]
    assert len(artifacts(inbox)) == 2


def test_a_writer_that_is_killed_leaves_nothing(inbox, tmp_path):
    """also of a file that nothing could tell from a whole one"""
    os.mkfifo(tmp_path / "pipe")
    for number in (signal.SIGKILL, signal.SIGTERM):
        writer = subprocess.Popen(["dd", f"if={tmp_path / 'pipe'}", f"of={inbox.path('inbox', 'legacy', 'half.bin')}", "bs=64k", "status=none"])
        with open(tmp_path / "pipe", "wb", buffering=0) as pipe:
            for _ in range(32):
                pipe.write(os.urandom(65536))
            daemon.wait_until(lambda: os.stat(inbox.path("inbox", "legacy", "half.bin")).st_size >= MIB, "the first half")
            writer.send_signal(number)
            assert writer.wait() == -number
    runs = wait_for_end(inbox)
    assert [r["state"] for r in runs] == ["failed"] * len(runs) and len(runs) >= 2
    assert "was killed" in runs[0]["error"]
    assert os.listdir(inbox.path("inbox", "legacy")) == []
    nothing_is_kept(inbox)


def test_the_daemon_is_killed_in_the_middle(new_keepfs, dumps, tmp_path):
    keepfs = new_keepfs({"inbox legacy": {}}).mount()
    fd = os.open(keepfs.path("inbox", "legacy", "half.bin"), os.O_CREAT | os.O_WRONLY)
    for _ in range(24):
        os.write(fd, os.urandom(MIB))
    keepfs.kill()
    for operation in (lambda: os.write(fd, b"x"), lambda: os.close(fd)):
        with pytest.raises(OSError):
            operation()
    keepfs.mount()
    assert os.listdir(keepfs.path("inbox", "legacy")) == []
    nothing_is_kept(keepfs)
    (run,) = wait_for_end(keepfs)
    assert run["state"] == "failed"
    assert copy_into(keepfs, dumps / "custom", "old.dump").returncode == 0


def test_an_end_of_keepfs_ends_what_is_written(new_keepfs):
    inbox = new_keepfs({"inbox legacy": {}}, stop_grace="1s").mount()
    fd = os.open(inbox.path("inbox", "legacy", "half.bin"), os.O_CREAT | os.O_WRONLY)
    os.write(fd, os.urandom(MIB))
    inbox.signal(signal.SIGTERM)
    with pytest.raises(OSError):
        os.close(fd)
    inbox.mount()
    nothing_is_kept(inbox)


@needs_root
def test_a_store_that_is_full(new_keepfs, tmp_path, dumps):
    keepfs = new_keepfs({"inbox legacy": {}})
    where = pathlib.Path(keepfs.store.root)
    where.mkdir(exist_ok=True)
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=40m,mode=700", "keepfs-small", str(where)], check=True)
    try:
        keepfs.mount()
        (tmp_path / "large").write_bytes(os.urandom(80 * MIB))
        done = copy_into(keepfs, tmp_path / "large", "large.bin")
        assert done.returncode != 0 and "No space left" in done.stderr, done.stderr
        assert "inbox/legacy/large.bin" in keepfs.text("status", "last-error")
        wait_for_end(keepfs)
        assert copy_into(keepfs, dumps / "custom", "small.dump").returncode == 0
        assert len(artifacts(keepfs)) == 1
        keepfs.unmount()
    finally:
        subprocess.run(["umount", "-l", str(where)], check=True)


def test_encrypted_copied_and_in_a_bucket(new_keepfs, s3_servers, dumps, tmp_path):
    """on an S3 server, with a further store, for a key that opens both"""
    first = stores.S3Store(s3_servers("ceph"), f"inbox/{os.getpid()}")
    offsite = stores.DirStore(tmp_path / "offsite")
    identity = tmp_path / "identity"
    subprocess.run(["age-keygen", "-o", str(identity)], stderr=subprocess.DEVNULL, check=True)
    recipient = subprocess.run(["age-keygen", "-y", str(identity)], stdout=subprocess.PIPE, text=True, check=True).stdout.strip()
    keepfs = new_keepfs({"inbox legacy": {"encrypt_to": recipient, "copies": "primary, offsite"}}, store=first, identity_file=str(identity))
    keepfs.sections = {"store offsite": {"url": offsite.settings["url"]}}
    keepfs.write_conf()
    keepfs.mount()
    large = os.urandom(24 * MIB)  # several parts of an upload
    (tmp_path / "large").write_bytes(large)
    for source, name in ((dumps / "custom", "old.dump"), (tmp_path / "large", "large.bin")):
        done = copy_into(keepfs, source, name)
        assert done.returncode == 0, done.stderr + keepfs.text("status", "last-error")
    (tmp_path / "cut").write_bytes((dumps / "custom").read_bytes()[:-2000])
    assert copy_into(keepfs, tmp_path / "cut", "cut.dump").returncode != 0 and "cut.dump" in keepfs.text("status", "last-error")
    writer = os.open(keepfs.path("inbox", "legacy", "half.bin"), os.O_CREAT | os.O_WRONLY)
    os.write(writer, large[:MIB])
    with pytest.raises(OSError) as refused:
        os.open(keepfs.path("inbox", "legacy", "half.bin"), os.O_WRONLY)
    assert refused.value.errno == errno.EBUSY
    os.close(writer)
    found = {fact(keepfs.path("backups", "legacy", n), "original_name"): n for n in artifacts(keepfs)}
    assert sorted(found) == ["half.bin", "large.bin", "old.dump"]
    path = keepfs.path("backups", "legacy", found["old.dump"])
    assert path.read_bytes() == (dumps / "custom").read_bytes() and keepfs.path("backups", "legacy", found["large.bin"]).read_bytes() == large
    # The bucket has files of age alone, which its own program opens; and nothing that names a table.
    stored = [key for key in first.keys() if key.startswith("backups/")]
    assert stored and all(key.endswith(".age") for key in stored)
    opened = subprocess.run(["age", "-d", "-i", str(identity)], input=first.get(f"backups/legacy/{found['old.dump']}.age"), stdout=subprocess.PIPE, check=True).stdout
    assert opened == (dumps / "custom").read_bytes()
    assert not any(b"odd, name" in first.get(key) for key in first.keys() if key.startswith("manifests/"))
    daemon.wait_until(lambda: sorted(k for k in offsite.keys() if k.startswith("backups/")) == sorted(stored), lambda: keepfs.text("status", "replicas"))
    assert keepfs.path("copies", "offsite", "backups", "legacy", found["old.dump"]).read_bytes() == opened
    verified = keepfs.wait_run(int(keepfs.ask("verify", "legacy").split()[0]))
    assert verified["state"] == "completed", verified
    keepfs.unmount()
    first.clear()


def test_a_writer_is_killed_on_a_server(new_keepfs, s3_servers):
    """nothing stays in the bucket, no upload either"""
    first = stores.S3Store(s3_servers("ceph"), f"killed/{os.getpid()}")
    keepfs = new_keepfs({"inbox legacy": {}}, store=first).mount()
    target = keepfs.path("inbox", "legacy", "half.bin")
    writer = subprocess.Popen(["dd", "if=/dev/urandom", f"of={target}", "bs=1M", "status=none"])
    daemon.wait_until(lambda: target.exists() and os.stat(target).st_size >= 20 * MIB, "some parts of an upload")
    writer.kill()
    writer.wait()
    assert [r["state"] for r in wait_for_end(keepfs)] == ["failed"]
    assert artifacts(keepfs) == [] and first.uploads() == [] and [k for k in first.keys() if k.startswith(("backups/", "manifests/"))] == []
    keepfs.unmount()
    first.clear()


def test_rules_of_keeping_and_a_reload(new_keepfs, tmp_path):
    keepfs = new_keepfs({"inbox legacy": {"keep_last": "2"}}).mount()
    assert "OK    job legacy: nothing has come in yet" in keepfs.text("status", "health")
    for number in range(4):
        data = f"{number}\n".encode() * 100
        (tmp_path / "x").write_bytes(data)
        assert copy_into(keepfs, tmp_path / "x", f"2024010{number + 1}.txt").returncode == 0
    # What came in stays for a day whatever the rules say.
    assert artifacts(keepfs) == [f"2024010{n}T000000Z.txt" for n in range(1, 5)]
    keepfs.jobs["inbox further"] = {}
    keepfs.write_conf()
    keepfs.signal(signal.SIGHUP, wait=False)
    daemon.wait_until(lambda: sorted(os.listdir(keepfs.path("inbox"))) == ["further", "legacy"], "the new directory")
    large = os.urandom(40 * MIB)  # several parts of an upload
    inbox_of = keepfs.path("inbox", "further")
    (inbox_of / "large.bin").write_bytes(large)
    (name,) = artifacts(keepfs, "further")
    assert name.endswith(".bin") and keepfs.path("backups", "further", name).read_bytes() == large


def test_the_same_content_as_what_would_have_gone(new_keepfs, tmp_path):
    """who is told that it is there already may remove what he has: it stays as long as any file that comes in"""
    keepfs = new_keepfs({"inbox legacy": {"keep_last": "1"}}).mount()
    for number in range(2):
        (tmp_path / f"{number}").write_bytes(f"{number}\n".encode() * 100)
        assert copy_into(keepfs, tmp_path / f"{number}", f"2024010{number + 1}.txt").returncode == 0
    keepfs.unmount()
    with keepfs.writable_catalog() as catalog:  # a day has passed
        catalog.execute("UPDATE artifact SET keep_until_us = 0")
    keepfs.mount()
    assert copy_into(keepfs, tmp_path / "0", "again.txt").returncode == 0
    wait_for_end(keepfs)
    (line,) = audit_of(keepfs, "again.txt")
    assert line["detail"] == "backups/legacy/20240101T000000Z.txt: it was there already"
    with pytest.raises(PermissionError):
        os.unlink(keepfs.path("backups", "legacy", "20240101T000000Z.txt"))
    (tmp_path / "2").write_bytes(b"2\n" * 100)
    assert copy_into(keepfs, tmp_path / "2", "20240103.txt").returncode == 0
    wait_for_end(keepfs)
    assert keepfs.path("backups", "legacy", "20240101T000000Z.txt").read_bytes() == (tmp_path / "0").read_bytes()
    os.unlink(keepfs.path("backups", "legacy", "20240102T000000Z.txt"))


def test_what_an_inbox_does_not_have(inbox, new_keepfs):
    assert "makes nothing by itself" in inbox.wait_run(inbox.trigger("legacy"))["error"]
    for operation in (lambda: os.mkdir(inbox.path("inbox", "legacy", "d")), lambda: os.mkdir(inbox.path("inbox", "d")),
                      lambda: os.open(inbox.path("inbox", "x"), os.O_CREAT | os.O_WRONLY)):
        with pytest.raises(OSError) as refused:
            operation()
        assert refused.value.errno == errno.EPERM
    with pytest.raises(OSError) as refused:
        os.open(os.fsencode(inbox.path("inbox", "legacy")) + b"/line\nend", os.O_CREAT | os.O_WRONLY)
    assert refused.value.errno == errno.EINVAL
    inbox.jobs["inbox legacy"] = {"schedule": "daily-2am"}
    inbox.write_conf()
    done = inbox.run("check", check=False)
    assert done.returncode != 0 and "inbox has what is written into it" in done.stderr, done.stderr
