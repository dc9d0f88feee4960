# SPDX-License-Identifier: Apache-2.0
"""[cluster NAME]: base backups, held to what zstd, tar, pg_verifybackup and a server that starts from them say."""
import contextlib
import json
import os
import pathlib
import shutil
import sqlite3
import subprocess
import tempfile

import pytest

import daemon
import postgres
import test_encrypt
import test_wal_server

JOB = "main"
MIB = 1 << 20
ARCHIVING = "wal_level = replica\nmax_wal_senders = 4\narchive_mode = on\narchive_timeout = 0\n"
identity = test_encrypt.identity


@pytest.fixture
def open_place():
    """where the servers' user may pass"""
    path = pathlib.Path(tempfile.mkdtemp(prefix="keepfs-base-", dir="/var/tmp"))
    path.chmod(0o755)
    yield path
    shutil.rmtree(path)


class Cluster:
    """a server, and a mount that archives its WAL and backs it up"""

    def __init__(self, keepfs, server):
        self.keepfs, self.server = keepfs, server

    def fill(self, database="bench", scale=1):
        self.server.create(database)
        self.server.tool("pgbench", "-q", "-i", "-n", "-s", scale, self.server.uri(database))

    def backup(self, command=JOB):
        run = self.keepfs.trigger(command)
        fields = self.keepfs.wait_run(run)
        assert fields["state"] == "completed", self.keepfs.text("jobs", str(run), "log")
        return run

    def fail(self, command=JOB):
        """how a run failed"""
        run = self.keepfs.trigger(command)
        fields = self.keepfs.wait_run(run)
        assert fields["state"] == "failed", self.keepfs.text("jobs", str(run), "log")
        return self.keepfs.text("jobs", str(run), "log")

    def manifests(self):
        return sorted((self.keepfs.store.root / "manifests" / "backups" / JOB).glob("*.json"))

    def manifest(self):
        return json.loads(self.manifests()[-1].read_text())

    def packs(self):
        return sorted((self.keepfs.store.root / "packs" / JOB).glob("*/*.tar.zst*"))

    def unpack(self, target, opened="cat"):
        """what the manual says: cat, zstd, tar; @opened: what comes in place of cat, for one pack after the other"""
        [(directory, _)] = self.manifest()["needs"].items()
        target.mkdir(mode=0o700)
        subprocess.run(f"for p in {self.keepfs.store.root}/{directory}/*.tar.zst*; do {opened} $p; done | zstd -qdc | tar -x -C {target}", shell=True,
                       check=True)
        return target

    def listing(self):
        """the lines of files and directories, by their names"""
        keys = {one.get("role"): one["key"] for one in self.manifest()["objects"]}
        text = subprocess.run(["zstd", "-qdc", self.keepfs.store.root / keys["listing"]], check=True, stdout=subprocess.PIPE, text=True).stdout
        lines = [json.loads(line) for line in text.splitlines()]
        assert lines[0]["format"] == "keepfs-base" and lines[-1]["count"] == len(lines) - 2
        return {line["name"]: line for line in lines[1:-1]}

    def rows_of_bases(self):
        with contextlib.closing(sqlite3.connect(self.keepfs.state / "catalog.db")) as catalog:
            return catalog.execute("SELECT start_lsn, stop_lsn, timeline FROM base").fetchall()

    def check_nothing_is_left(self):
        """what a killed run leaves is removed while the mount is there already"""
        def left():
            return [*self.manifests(), *self.packs(), *daemon.orphans(self.keepfs.store), *self.keepfs.store.uploads()]
        daemon.wait_until(lambda: not left(), lambda: f"this to be removed: {left()}")

    @contextlib.contextmanager
    def slow_backup(self, rate="2M/s"):
        """a run that has begun to copy, and takes its time"""
        run = self.keepfs.trigger(f"{JOB} max_rate={rate}")
        daemon.wait_until(lambda: "read_bytes=0" not in self.progress(run) and "read_bytes=" in self.progress(run), "the copy to begin")
        yield run

    def wait_for_copy(self, run):
        daemon.wait_until(lambda: "waiting for its WAL" in self.log(run) or "run failed" in self.log(run), "the copy to end")
        assert "run failed" not in self.log(run), self.log(run)

    def progress(self, run):
        return self.keepfs.text("jobs", str(run), "progress")

    def log(self, run):
        return self.keepfs.text("jobs", str(run), "log")

    def ended(self, run, state="failed"):
        assert self.keepfs.wait_run(run)["state"] == state, self.log(run)
        return self.log(run)

    def check_it_starts(self, data):
        """pg_verifybackup is content, and a server that starts there has all rows"""
        self.server.tool("pg_verifybackup", "-n", data)
        rows = self.server.fingerprint("bench")
        recovered = start_from(self, data)
        try:
            recovered.wait_until_promoted()
            assert recovered.fingerprint("bench") == rows
        finally:
            recovered.remove()


@pytest.fixture
def make_cluster(open_place, new_keepfs):
    made = []

    def make(settings="", bindir=None, of_keepfs=None, **keys):
        server = postgres.Postgres(ARCHIVING + settings, bindir=bindir)
        made.append(server)
        keepfs = new_keepfs({f"cluster {JOB}": {"wal": "archive", "database": server.uri("postgres"), **keys}}, directory=open_place)
        if os.geteuid() == 0:
            keepfs.settings |= {"owner": "postgres", "allow_other": "yes"}
        keepfs.settings |= of_keepfs or {}
        keepfs.write_conf()
        keepfs.mount()
        server.set(f"archive_command = 'cp %p {keepfs.path('wal', JOB)}/%f'\n")
        server.sql("postgres", "SELECT pg_reload_conf()")
        return Cluster(keepfs, server)

    yield make
    for server in made:  # before the mount, where its archiver may be
        server.remove()


@pytest.fixture
def cluster(make_cluster):
    return make_cluster()


def start_from(cluster, data):
    """a server that recovers from a directory, by the archive in the mount"""
    return test_wal_server.Recovered(data, f"cp {cluster.keepfs.path('wal', JOB)}/%f %p")


def test_a_base_is_a_tar_that_starts(cluster, tmp_path):
    cluster.fill()
    run = cluster.backup()
    m = cluster.manifest()
    assert (m["kind"], m["type"], m["job"], m["files"]) == ("base", "directory", JOB, [])
    data = cluster.unpack(tmp_path / "data")
    for path, mode in ((data, 0o700), (data / "base", 0o700), (data / "backup_manifest", 0o600), (data / "PG_VERSION", 0o600)):
        assert os.stat(path).st_mode & 0o7777 == mode, path
    facts = m["facts"]
    assert facts["system_identifier"] == cluster.server.sql("postgres", "SELECT system_identifier FROM pg_control_system()")
    assert facts["server_version"] == int(cluster.server.sql("postgres", "SHOW server_version_num"))
    assert facts["segment_bytes"] == MIB and facts["timeline"] == 1
    assert f"LABEL: {facts['label']}" in (data / "backup_label").read_text() and f"START WAL LOCATION: {facts['start_lsn']} " in (data / "backup_label").read_text()
    found = [p for p in data.rglob("*") if p.is_file()]
    assert facts["files"] == len(found) and facts["content_bytes"] == m["size"] == sum(p.stat().st_size for p in found)
    assert len(cluster.rows_of_bases()) == 1
    said = cluster.log(run)
    assert "waiting for its checkpoint (fast)" in said and f"the backup ends at {facts['stop_lsn']}" in said and "its WAL is archived" in said
    cluster.check_it_starts(data)


def test_the_listing_says_where_each_byte_is(cluster, tmp_path):
    """of every file: its runs are its bytes, in packs that are decompressed"""
    cluster.fill()
    postgres.fill_noise(cluster.server, "bench", 70)
    cluster.backup()
    data = cluster.unpack(tmp_path / "data")
    packs = cluster.packs()
    assert len(packs) >= 3
    plain = {f"{p.parent.name}/{p.name.removesuffix('.tar.zst')}": subprocess.run(["zstd", "-qdc", p], check=True, stdout=subprocess.PIPE).stdout for p in packs}
    lines = cluster.listing()
    assert lines["%"] == {"name": "%", "dir": True, "mode": "0700", "modified": lines["%"]["modified"]}
    assert {name for name, line in lines.items() if line.get("dir")} - {"%"} == {str(p.relative_to(data)) for p in data.rglob("*") if p.is_dir()}
    spanning = 0
    for name, line in lines.items():
        if line.get("dir"):
            continue
        spanning += len(line["runs"]) > 1
        assert b"".join(plain[pack][place:place + size] for _, size, pack, place in line["runs"]) == (data / name).read_bytes(), name
        assert oct((data / name).stat().st_mode & 0o7777)[2:].zfill(4) == line["mode"]
    assert spanning
    # those that are large enough begin with a frame, so that a page is in one
    large = [line for line in lines.values() if line.get("size", 0) >= 128 << 10]
    assert large and all(len(p) <= 512 * MIB + (128 << 10) for p in plain.values())


def test_tablespaces_and_names_become_ordinary(make_cluster, open_place, tmp_path):
    """a tablespace is a directory; what has a long name in it keeps that; unlogged tables are empty"""
    cluster = make_cluster()
    where = open_place / "space"
    where.mkdir()
    if os.geteuid() == 0:
        shutil.chown(where, "postgres")
    cluster.fill()
    cluster.server.sql("postgres", f"CREATE TABLESPACE fast LOCATION '{where}'")
    cluster.server.sql("bench", "CREATE TABLE there TABLESPACE fast AS SELECT n FROM generate_series(1, 5000) n")
    cluster.server.sql("bench", "CREATE UNLOGGED TABLE forgotten AS SELECT n FROM generate_series(1, 5000) n")
    [version] = where.iterdir()
    long = version / ("n" * (97 - len(version.name)))
    long.write_bytes(b"x" * 1000)
    if os.geteuid() == 0:
        shutil.chown(long, "postgres")
    oid = cluster.server.sql("postgres", "SELECT oid FROM pg_tablespace WHERE spcname = 'fast'")
    cluster.backup()
    assert cluster.manifest()["facts"]["tablespaces"] == f"{oid} {where}"
    data = cluster.unpack(tmp_path / "data")
    space = data / "pg_tblspc" / oid
    assert space.is_dir() and not space.is_symlink() and (space / version.name / long.name).read_bytes() == b"x" * 1000
    assert len(f"pg_tblspc/{oid}/{version.name}/{long.name}") > 100
    cluster.server.tool("pg_verifybackup", "-n", data)
    shutil.move(space, tmp_path / "moved")  # PostgreSQL wants a link there, and takes a directory only where it is allowed
    target = open_place / "moved"
    shutil.move(tmp_path / "moved", target)
    if os.geteuid() == 0:
        subprocess.run(["chown", "-R", "postgres", target], check=True)
    space.symlink_to(target)
    recovered = start_from(cluster, data)
    try:
        recovered.wait_until_promoted()
        assert recovered.sql("bench", "SELECT count(*) FROM there") == "5000"
        assert recovered.sql("bench", "SELECT count(*) FROM forgotten") == "0"
    finally:
        recovered.remove()


def test_what_changes_meanwhile_is_whole_after_recovery(cluster, tmp_path):
    cluster.fill()
    for name in ("going", "half", "short"):
        cluster.server.sql("bench", f"CREATE TABLE {name} AS SELECT n, md5(n::text) FROM generate_series(1, 20000) n")
    with cluster.slow_backup("8M/s") as run:
        cluster.server.sql("bench", "DROP TABLE going; TRUNCATE short; CREATE TABLE coming AS SELECT n, md5(n::text) FROM generate_series(1, 20000) n")
        cluster.server.sql("bench", "DELETE FROM half WHERE n % 2 = 0")
        cluster.server.sql("bench", "VACUUM FULL half")
        cluster.server.create("fresh", "bench")
        progress = cluster.progress(run)
        assert "phase=copying" in progress and "expected_bytes=0" not in progress
        cluster.ended(run, "completed")
    cluster.check_it_starts(cluster.unpack(tmp_path / "data"))


def test_of_a_standby(make_cluster, tmp_path):
    """what the primary archives is its WAL"""
    cluster = make_cluster("full_page_writes = on\n")  # else a standby refuses it
    cluster.fill()
    standby = postgres.Standby(cluster.server, "archive_mode = off\n")
    try:
        standby.catch_up()
        cluster.keepfs.unmount()
        cluster.keepfs.jobs[f"cluster {JOB}"]["database"] = standby.uri("postgres")
        cluster.keepfs.write_conf()
        cluster.keepfs.mount()
        run = cluster.keepfs.trigger(JOB)
        cluster.wait_for_copy(run)
        test_wal_server.switch(cluster.server)
        cluster.ended(run, "completed")
    finally:
        standby.remove()
    data = cluster.unpack(tmp_path / "data")
    (data / "standby.signal").unlink()
    cluster.server.tool("pg_verifybackup", "-n", "-i", "standby.signal", data)
    recovered = start_from(cluster, data)
    try:
        recovered.wait_until_promoted()
        assert recovered.fingerprint("bench") == cluster.server.fingerprint("bench")
    finally:
        recovered.remove()


def test_an_encrypted_base(make_cluster, identity, tmp_path):
    cluster = make_cluster(encrypt_to=identity.recipient)
    cluster.fill()
    cluster.backup()
    assert cluster.packs() and all(p.name.endswith(".tar.zst.age") for p in cluster.packs())
    data = cluster.unpack(tmp_path / "data", f"age -d -i {identity.path}")
    cluster.server.tool("pg_verifybackup", "-n", data)


def test_wal_that_never_comes(cluster):
    cluster.fill()
    cluster.server.set("archive_command = 'false'\n")
    cluster.server.sql("postgres", "SELECT pg_reload_conf()")
    said = cluster.fail(f"{JOB} wal_timeout=1s")
    assert "the server has not archived 0000" in said and "look at archive_command" in said and "pg_stat_archiver" in said
    cluster.check_nothing_is_left()
    assert cluster.rows_of_bases() == []


def test_wal_that_comes_late_ends_the_wait(cluster):
    cluster.fill()
    waiting = cluster.server.directory / "wait"
    waiting.touch()
    cluster.server.set(f"archive_command = 'test ! -e {waiting} && cp %p {cluster.keepfs.path('wal', JOB)}/%f'\n")
    cluster.server.sql("postgres", "SELECT pg_reload_conf()")
    run = cluster.keepfs.trigger(JOB)
    cluster.wait_for_copy(run)
    assert cluster.manifests() == [] and cluster.rows_of_bases() == []
    waiting.unlink()
    cluster.server.sql("postgres", "SELECT pg_reload_conf()")
    cluster.ended(run, "completed")
    assert len(cluster.rows_of_bases()) == 1


def test_a_connection_that_is_cut(cluster):
    cluster.fill()
    with cluster.slow_backup() as run:
        cluster.server.sql("postgres", "SELECT pg_terminate_backend(pid) FROM pg_stat_replication")
        cluster.ended(run)
    cluster.check_nothing_is_left()


def test_a_run_that_is_cancelled(cluster):
    cluster.fill()
    with cluster.slow_backup() as run:
        cluster.keepfs.path("jobs", str(run), "cancel").write_text("1\n")
        assert cluster.keepfs.wait_run(run)["state"] == "cancelled"
    cluster.check_nothing_is_left()
    assert cluster.server.sql("postgres", "SELECT count(*) FROM pg_stat_replication") == "0"


def test_a_bad_page_fails_the_run_and_is_named(cluster):
    """what has wrong bytes must never become the newest good backup"""
    cluster.fill()
    cluster.server.sql("bench", "CREATE TABLE rotten AS SELECT n, md5(n::text) FROM generate_series(1, 20000) n")
    path = cluster.server.sql("bench", "SELECT pg_relation_filepath('rotten')")
    sums = cluster.server.sql("bench", "SHOW data_checksums")  # from 18 on they are what initdb makes
    cluster.server.stop("fast")
    if sums == "off":
        cluster.server._run("pg_checksums", "--enable", "--no-sync", "-D", cluster.server.data)
    with open(cluster.server.data / path, "r+b") as f:
        f.seek(3 * 8192 + 4000)
        f.write(b"bad page")
    cluster.server.start()
    said = cluster.fail()
    assert "checksum" in said and path in said
    cluster.check_nothing_is_left()


def test_another_cluster_is_refused(cluster, make_cluster):
    cluster.fill()
    cluster.backup()
    other = postgres.Postgres(ARCHIVING)
    try:
        cluster.keepfs.unmount()
        cluster.keepfs.jobs[f"cluster {JOB}"]["database"] = other.uri("postgres")
        cluster.keepfs.write_conf()
        cluster.keepfs.mount()
        said = cluster.fail()
        assert "is another cluster" in said and f"wal/{JOB}" in said
    finally:
        other.remove()
    assert len(cluster.manifests()) == 1


def test_a_server_that_was_set_back_is_refused(cluster):
    """its WAL has the names of what is archived, and is another one: the base would be recovered with that"""
    server = cluster.server
    cluster.fill()
    cluster.backup()
    server.stop("fast")
    snapshot = server.directory / "snapshot"
    shutil.copytree(server.data, snapshot)
    server.start()
    cluster.fill("more")
    cluster.fill("gone")
    test_wal_server.wait_until_archived(server)
    server.stop("fast")
    for name in os.listdir(server.data):
        path = server.data / name
        shutil.rmtree(path) if path.is_dir() else path.unlink()
    subprocess.run(["cp", "-rT", snapshot, server.data], check=True)
    if os.geteuid() == 0:
        subprocess.run(["chown", "-R", "--reference", server.data, server.data], check=True)
    server.start()
    why = cluster.fail()
    assert "it was set back" in why, why
    assert len(cluster.manifests()) == 1


def test_killed_in_the_middle(cluster):
    cluster.fill()
    postgres.fill_noise(cluster.server, "bench", 70)
    with cluster.slow_backup("30M/s"):
        daemon.wait_until(lambda: (cluster.keepfs.store.root / "manifests/packs" / JOB).exists() and cluster.packs(), "a pack to be published")
        cluster.keepfs.kill()
    cluster.keepfs.mount()
    cluster.check_nothing_is_left()
    cluster.backup()
    assert len(cluster.manifests()) == 1


def test_a_rebuild_knows_bases(cluster):
    cluster.fill()
    cluster.backup()
    before = cluster.rows_of_bases()
    cluster.keepfs.unmount()
    for file in cluster.keepfs.state.glob("catalog.db*"):
        file.unlink()
    cluster.keepfs.run("rebuild")
    assert cluster.rows_of_bases() == before != []
    cluster.keepfs.mount()
    cluster.keepfs.verify_store()


def test_one_that_cannot_be_made_by_itself(cluster):
    """without a mount no WAL can come"""
    cluster.keepfs.unmount()
    done = cluster.keepfs.run("run", JOB, check=False)
    assert done.returncode != 0 and "comes through the mount" in done.stderr + done.stdout


def test_info_tells_of_a_base(cluster):
    cluster.backup()
    manifest = cluster.manifest()
    [row] = json.loads(cluster.keepfs.run("info", "--json", JOB).stdout)["backups"]
    told, facts = row["cluster"], manifest["facts"]
    assert {k: told[k] for k in ("server_version", "timeline", "start_lsn", "stop_lsn", "system_identifier", "files")} == \
        {k: facts[k] for k in ("server_version", "timeline", "start_lsn", "stop_lsn", "system_identifier", "files")}
    assert told["tablespaces"] == [] and told["first_wal"] <= told["last_wal"] and told["replay_segments"] >= 1
    name = test_wal_server.wait_until_archived(cluster.server)
    [row] = json.loads(cluster.keepfs.run("info", "--json", JOB).stdout)["backups"]
    assert row["cluster"]["replay_segments"] == int(name[16:], 16) - int(told["first_wal"][16:], 16) + 1
    assert f"segments of WAL ({row['cluster']['replay_segments']}.0 MiB) to now" in cluster.keepfs.run("info", JOB).stdout


def test_what_is_told_beside_bases(cluster):
    cluster.backup()
    name = cluster.manifest()["path"].rsplit("/", 1)[1]
    assert cluster.keepfs.text("backups", JOB, "SHA256SUMS") == f"# {name}: has a CRC-32C for each file: keepfs verify\n"
    plan = json.loads(cluster.keepfs.run("prune", JOB, "--json").stdout)
    [wal] = plan["wal"]
    assert wal["job"] == JOB and wal["files"] >= 2 and wal["due_files"] == 0 and wal["base"].endswith(name) and plan["due"] == 0
