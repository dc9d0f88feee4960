# SPDX-License-Identifier: Apache-2.0
"""What a job and a trigger may ask of a dump: how much of the database, beside what, how fast, with which commands around it."""
import struct
import zlib
import gzip
import os
import pathlib
import re
import stat
import subprocess
import urllib.parse

import pytest

import daemon
import postgres
import everything
from test_fidelity import beside, dump, restore

ODD = """'archive."odd name, 1"'"""  # as a shell quotes it; to pg_dump a pattern with a quoted name


def entries(pg, path):
    """what an archive holds, as pg_restore lists it"""
    return [line.split(";", 1)[1] for line in pg.tool("pg_restore", "-l", path).splitlines() if not line.startswith(";")]


@pytest.mark.parametrize("format, jobs", [("custom", 1), ("custom", 4), ("directory", 4), ("plain", 1)])
def test_the_schema_then_the_data(keepfs, pg, scratch, format, jobs):
    """two halves make a whole; each says by its name what it lacks"""
    endings = {"custom": ".dump", "directory": "", "plain": ".sql.gz"}
    schema = dump(keepfs, f"format={format} content=schema")
    assert schema.name.endswith(".schema" + endings[format]) and schema.is_dir() == (format == "directory")
    restore(pg, schema, scratch, 1)
    assert everything.plain_digest(pg, scratch, "-s") == everything.plain_digest(pg, "sample", "-s")
    assert pg.sql(scratch, "SELECT count(*) FROM sales.orders") == "0"
    data = dump(keepfs, f"format={format} content=data jobs={jobs}")
    assert data.name.endswith(".data" + endings[format])
    restore(pg, data, scratch, 1)
    assert everything.plain_digest(pg, scratch) == everything.plain_digest(pg, "sample")


@pytest.mark.parametrize("jobs", [1, 4])
@pytest.mark.parametrize("keys, options", [
    ("schemas=sales", ["-n", "sales"]), ("exclude_schemas='arch*, sales'", ["-N", "arch*", "-N", "sales"]), ("tables=public.orgs", ["-t", "public.orgs"]),
    (f"tables={ODD}", ["-t", 'archive."odd name, 1"']), (f"tables='public.*,sales.orders' exclude_tables={ODD}", ["-t", "public.*", "-t", "sales.orders"]),
    ("exclude_tables=sales.orders", ["-T", "sales.orders"]), ("exclude_table_data='sales.*'", ["--exclude-table-data=sales.*"]),
    ("schemas=public content=data", ["-n", "public", "-a"])])
def test_parts_of_a_database(keepfs, pg, tmp_path, keys, options, jobs):
    """exactly what pg_dump dumps by the same options; and nobody takes it for the backup"""
    keepfs.backup()
    (whole,) = keepfs.artifacts()
    part = dump(keepfs, f"{keys} jobs={jobs}")
    pg.tool("pg_dump", "-Fc", *options, "-d", pg.uri("sample"), "-f", tmp_path / "dump")
    assert entries(pg, part) == entries(pg, tmp_path / "dump")
    assert part.name.endswith(".data.dump" if "content" in keys else ".partial.dump")
    assert not beside(part, "globals.sql.gz").exists()
    assert os.readlink(part.with_name("latest.dump")) == whole
    assert os.getxattr(part, "user.keepfs.partial") == b"yes"
    with pytest.raises(PermissionError):
        part.with_name(whole).unlink()
    part.unlink()
    assert keepfs.artifacts() == [whole]


def test_one_run_in_another_format_takes_no_link_away(keepfs):
    """whoever copies latest.dump each night finds it the morning after, too"""
    keepfs.backup()
    (nightly,) = keepfs.artifacts()
    other, tree = dump(keepfs, "format=plain"), dump(keepfs, "format=directory")
    dump(keepfs, "content=schema")
    links = {name: os.readlink(other.with_name(name)) for name in os.listdir(other.parent) if name.startswith("latest")}
    assert links == {"latest.dump": nightly, "latest.sql.gz": other.name, "latest": tree.name}
    links_of_urls = keepfs.path("links", "backups", "full")
    assert links == {name: os.readlink(links_of_urls / name) for name in os.listdir(links_of_urls) if name.startswith("latest")}
    dump(keepfs, "format=plain")  # the newest whole one stays in any case
    os.rmdir(tree)
    assert not os.path.lexists(tree.with_name("latest")) and os.readlink(other.with_name("latest.dump")) == nightly


def test_a_pattern_that_fits_nothing(keepfs):
    run = keepfs.trigger("full tables=nosuch")
    assert keepfs.wait_run(run)["state"] == "failed"
    assert "no matching tables" in keepfs.history(run)["error"]
    assert keepfs.store.keys() == []


def test_globals(keepfs, pg, tmp_path, request):
    """roles with their passwords beside each whole dump, for nobody else to read"""
    request.addfinalizer(lambda: pg.sql("postgres", 'DROP ROLE IF EXISTS "a ""role"""'))
    pg.sql("postgres", "DO $$ BEGIN CREATE ROLE \"a \"\"role\"\"\" PASSWORD 'x'; EXCEPTION WHEN duplicate_object THEN NULL; END $$")
    path = beside(dump(keepfs, "jobs=auto"), "globals.sql.gz")
    text = gzip.decompress(path.read_bytes()).decode()

    def statements(words):
        return [line for line in words.splitlines() if line and not line.startswith(("--", "\\restrict", "\\unrestrict"))]

    assert statements(text) == statements(pg.tool("pg_dumpall", "--globals-only", "-d", pg.uri("postgres")))
    assert 'CREATE ROLE "a ""role""";' in text and "PASSWORD 'SCRAM-SHA-256$" in text
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    for keys in ("globals=no", "content=schema", "exclude_table_data=sales.orders"):
        assert not beside(dump(keepfs, keys), "globals.sql.gz").exists(), keys
    for keys in ("content=schema globals=yes", "exclude_table_data=sales.orders globals=yes"):
        assert beside(dump(keepfs, keys), "globals.sql.gz").exists(), keys
    inside = dump(keepfs, "format=directory") / "globals.sql.gz"
    assert statements(gzip.decompress(inside.read_bytes()).decode()) == statements(text)


def test_a_database_whose_name_looks_like_a_connection_string(new_keepfs, pg, tmp_path):
    name = "host=nowhere 'or' so"
    quoted = urllib.parse.quote(name)
    pg.create(name)
    try:
        pg.sql(quoted, "CREATE TABLE t (id int); INSERT INTO t VALUES (1), (2)")
        keepfs = new_keepfs({"full": {"database": pg.uri(quoted)}}).mount()
        path = dump(keepfs, "jobs=1")
        assert beside(path, "globals.sql.gz").exists()
        assert "COPY public.t" in pg.tool("pg_restore", "-f", "-", str(path))
        assert keepfs.history()[-1]["state"] == "completed" and not keepfs.history()[-1]["warning"]
    finally:
        pg.drop(name)


def test_globals_are_for_the_owner_alone(new_keepfs, pg):
    """whatever others may read: hashes of passwords are not among it"""
    path = dump(new_keepfs({"full": {"database": pg.uri("sample")}}, file_mode="0644").mount(), "jobs=1")
    assert [stat.S_IMODE(p.stat().st_mode) for p in (path, beside(path, "tables.csv"), beside(path, "globals.sql.gz"))] == [0o644, 0o644, 0o600]


@pytest.fixture
def own_database(pg):
    """a database that a role owns which may do nothing else"""
    pg.sql("postgres", "DO $$ BEGIN CREATE ROLE plain_user LOGIN PASSWORD 'hidden'; EXCEPTION WHEN duplicate_object THEN NULL; END $$")
    pg.create("of_a_plain_user")
    pg.sql("of_a_plain_user", "CREATE TABLE t (id int); INSERT INTO t VALUES (1); ALTER TABLE t OWNER TO plain_user")
    yield "of_a_plain_user"
    pg.drop("of_a_plain_user")


def test_globals_without_the_right_to_read_passwords(new_keepfs, pg, own_database):
    keepfs = new_keepfs({"full": {"database": pg.uri(own_database, user="plain_user")}}).mount()
    path = dump(keepfs, "jobs=auto")
    text = gzip.decompress(beside(path, "globals.sql.gz").read_bytes()).decode()
    assert "CREATE ROLE plain_user;" in text and "PASSWORD" not in text
    run = keepfs.history()[-1]["run"]
    assert "passwords" in keepfs.text("jobs", str(run), "log") and "passwords" in keepfs.history(run)["warning"]


def test_a_note(keepfs):
    note = 'before "the" upgrade; ä, \\ and, commas'
    run = keepfs.trigger("full note='" + note + "'")
    assert keepfs.wait_run(run)["state"] == "completed"
    assert keepfs.history(run)["note"] == note
    assert os.getxattr(keepfs.path("backups", "full", "latest.dump"), "user.keepfs.note").decode() == note
    assert keepfs.run_status(run)["note"] == note
    keepfs.unmount()
    for path in keepfs.state.glob("catalog.db*"):
        path.unlink()
    keepfs.run("rebuild")
    keepfs.mount()
    assert os.getxattr(keepfs.path("backups", "full", "latest.dump"), "user.keepfs.note").decode() == note


@pytest.mark.parametrize("keys", ["jobs=1", "jobs=4", "format=plain"])
def test_max_rate(new_keepfs, pg, noise, keys):
    """64 MB as text at 24 MB a second: not in less than two seconds, and not for ever"""
    keepfs = new_keepfs({"full": {"database": pg.uri(noise)}}).mount()
    seconds = keepfs.backup(f"full {keys} max_rate=24M/s verify=none")["seconds"]
    assert 2 <= seconds < 30


HOOK = "env | grep ^KEEPFS_ | sort > {0}/{1}; echo from {1}"


def hooked(new_keepfs, pg, tmp_path, database="sample", **settings):
    for name in ("pre", "post"):
        (tmp_path / f"{name}.sh").write_text(f"#!/bin/sh\n{HOOK.format(tmp_path, name)}\n")
        (tmp_path / f"{name}.sh").chmod(0o755)
    return new_keepfs({"full": {"database": pg.uri(database), "pre_hook": tmp_path / "pre.sh", "post_hook": tmp_path / "post.sh", **settings}}).mount()


def told(path):
    return dict(line.split("=", 1) for line in path.read_text().splitlines())


def test_hooks(new_keepfs, pg, tmp_path):
    keepfs = hooked(new_keepfs, pg, tmp_path)
    history = keepfs.backup("full note='of the hooks'")
    before, after = told(tmp_path / "pre"), told(tmp_path / "post")
    assert before["KEEPFS_JOB"] == "full" and before["KEEPFS_RUN"] == str(history["run"]) and before["KEEPFS_NOTE"] == "of the hooks"
    assert "KEEPFS_STATE" not in before
    assert after["KEEPFS_STATE"] == "completed" and after["KEEPFS_SHA256"] == history["sha256"]
    assert after["KEEPFS_SIZE_BYTES"] == str(history["size_bytes"])
    assert (keepfs.mountpoint / after["KEEPFS_ARTIFACTS"].splitlines()[0]).exists()
    log = keepfs.text("jobs", str(history["run"]), "log")
    assert "from pre" in log and "from post" in log


def test_a_failing_pre_hook_fails_the_run(new_keepfs, pg, tmp_path):
    keepfs = hooked(new_keepfs, pg, tmp_path, pre_hook="echo not today; exit 3")
    run = keepfs.trigger()
    assert keepfs.wait_run(run)["state"] == "failed"
    assert "pre_hook" in keepfs.history(run)["error"] and "3" in keepfs.history(run)["error"]
    assert "not today" in keepfs.text("jobs", str(run), "log")
    assert keepfs.store.keys() == [] and keepfs.artifacts() == []


def test_the_post_hook_is_told_of_a_failure(new_keepfs, pg, tmp_path):
    keepfs = hooked(new_keepfs, pg, tmp_path, database="nosuch")
    assert keepfs.wait_run(keepfs.trigger())["state"] == "failed"
    after = told(tmp_path / "post")
    assert after["KEEPFS_STATE"] == "failed" and "nosuch" in after["KEEPFS_ERROR"]


def test_a_failing_post_hook_is_a_warning(new_keepfs, pg, tmp_path):
    keepfs = hooked(new_keepfs, pg, tmp_path, post_hook="echo no mail; exit 1")
    history = keepfs.backup()
    assert len(keepfs.artifacts()) == 1
    assert "post_hook" in keepfs.text("jobs", str(history["run"]), "log")


def test_a_hook_that_hangs_is_ended(new_keepfs, pg, tmp_path):
    keepfs = hooked(new_keepfs, pg, tmp_path, pre_hook="sleep 1000", hook_timeout="300ms")
    run = keepfs.trigger()
    assert keepfs.wait_run(run)["state"] == "failed"
    assert "pre_hook" in keepfs.history(run)["error"]
    assert keepfs.children("sleep") == []


def test_nice(new_keepfs, pg):
    keepfs = new_keepfs({"full": {"database": pg.uri("sample"), "nice": 7, "ionice": "idle"}}).mount()
    with pg.lock("sample", "sales.orders") as lock:
        run = keepfs.trigger("full jobs=1")
        lock.wait_until_waited_for()
        (pid,) = keepfs.children("pg_dump")
        assert os.getpriority(os.PRIO_PROCESS, pid) == max(7, os.getpriority(os.PRIO_PROCESS, 0))  # nothing becomes more important than it was
        assert subprocess.run(["ionice", "-p", str(pid)], check=True, text=True, stdout=subprocess.PIPE).stdout.strip() == "idle"
        (own,) = keepfs.daemons()
        assert os.getpriority(os.PRIO_PROCESS, own) == os.getpriority(os.PRIO_PROCESS, 0)
    assert keepfs.wait_run(run)["state"] == "completed"


@pytest.mark.parametrize("keys, words", [
    ("format=tar", ["format", "custom", "plain", "directory"]), ("compression=lz4", ["compression", "fast", "small"]),
    ("compression=gzip:10", ["compression", "gzip:9"]), ("format=plain compression=zstd", ["compression", "format = plain", "gzip"]),
    ("format=plain jobs=4", ["jobs", "format = plain"]), ("content=schema jobs=2", ["jobs", "content = schema"]),
    ("content=schema exclude_table_data=x", ["exclude_table_data", "content"]), ("schemas=a tables=b", ["schemas", "tables"]),
    ("globals=yes content=data", ["globals", "content"]), ("globals=yes tables=t", ["globals", "tables"]), ("jobs=0", ["jobs", "auto"]),
    ("jobs=1000", ["jobs", "64"]), ("jobs=1 jobs=2", ["jobs", "twice"]), ("database=other", ["no database", "sample"]),
    ("pre_hook=x", ["pre_hook", "cannot be changed"]), ("max_rate=fast", ["max_rate"]), ("verify=maybe", ["verify", "readback", "none"]),
    ("formt=plain", ["formt", "did you mean format"])])
def test_what_contradicts_is_refused(keepfs, keys, words):
    """in the write, with a reason; nothing is begun"""
    reason = keepfs.refused("trigger", f"full {keys}")
    for word in words:
        assert word in reason, reason
    assert keepfs.history() == []


def test_contradictions_in_the_configuration(new_keepfs, pg):
    keepfs = new_keepfs({"full": {"database": pg.uri("sample"), "format": "plain", "jobs": 4}})
    done = keepfs.run("check", check=False)
    assert done.returncode == 2 and "jobs" in done.stderr and "format" in done.stderr and f"{keepfs.conf}:" in done.stderr


def test_a_job_of_its_own_kind(new_keepfs, pg, scratch):
    """what the configuration asks for is whole: latest shows it, and a trigger may ask for something else"""
    keepfs = new_keepfs({"full": {"database": pg.uri("sample"), "format": "directory", "compression": "none", "jobs": 3}}).mount()
    path = dump(keepfs, "note=x")
    assert path.is_dir() and (path / "toc.dat").exists()
    assert os.getxattr(path, "user.keepfs.partial") == b"no"
    restore(pg, path, scratch, 2)
    assert everything.plain_digest(pg, scratch) == everything.plain_digest(pg, "sample")
    assert dump(keepfs, "format=custom").suffix == ".dump"


def test_the_log_tells_how_it_was_read(keepfs, pg):
    run = keepfs.trigger("full jobs=3")
    assert keepfs.wait_run(run)["state"] == "completed"
    assert re.search(r"\b3 connections\b", keepfs.text("jobs", str(run), "log"))


@pytest.fixture
def crowded_pg():
    """a server with few connections"""
    with postgres.with_sample("max_connections = 8\nsuperuser_reserved_connections = 3\n") as server:
        yield server


def test_fewer_connections_than_asked_for(new_keepfs, crowded_pg, scratch_of):
    """what the server has left is used, and the log says so"""
    keepfs = new_keepfs({"full": {"database": crowded_pg.uri("sample")}}).mount()
    path = dump(keepfs, "jobs=8")
    log = keepfs.text("jobs", str(keepfs.history()[-1]["run"]), "log")
    assert "connection" in log and "8" in log
    target = scratch_of(crowded_pg)
    restore(crowded_pg, path, target, 1)
    assert everything.plain_digest(crowded_pg, target) == everything.plain_digest(crowded_pg, "sample")


@pytest.fixture
def scratch_of():
    def make(server):
        server.create("scratch")
        return "scratch"

    return make


def chunk(archive, at):
    """the compressed bytes of the chunk that begins at @at of a custom archive"""
    with open(archive, "rb") as f:
        f.seek(at)
        length = f.read(5)
        assert length[0] == 0
        return f.read(int.from_bytes(length[1:], "little"))


@pytest.mark.parametrize("jobs", [1, 4])
def test_the_segment_index_leads_into_the_middle(keepfs, scratch, pg, jobs):
    """the data of a table can be entered at each record, and has as many bytes and rows as it says"""
    pg.sql(scratch, "CREATE TABLE counted AS SELECT g AS n, md5(g::text) AS h FROM generate_series(1, 200000) g; CREATE TABLE few AS SELECT 1 AS one")
    keepfs.jobs["full"]["database"] = pg.uri(scratch)
    keepfs.unmount()
    keepfs.write_conf()
    keepfs.mount()
    keepfs.backup(f"full jobs={jobs} compression=gzip")
    (name,) = keepfs.artifacts()
    data = keepfs.store.get(f"manifests/backups/full/{name}.index")
    magic, version, size, count = struct.unpack_from("<8sIIQ", data)
    assert (magic, version, size, len(data)) == (b"keepfs-i", 1, 24, 24 + 24 * count)
    records = list(struct.iter_unpack("<IIQII", data[24:]))
    archive = keepfs.path("backups", "full", name)
    seen = set()
    for entry, oid, offset, raw_bytes, lines in records:
        bytes_ = chunk(archive, offset)
        if entry not in seen:  # the zlib stream begins
            bytes_ = bytes_[2:]
        seen.add(entry)
        raw = zlib.decompressobj(-15).decompress(bytes_)
        assert (len(raw), raw.count(b"\n")) == (raw_bytes, lines)
    rows = sum(int(line.split(",")[2]) for line in keepfs.text("backups", "full", name.replace(".dump", ".tables.csv")).splitlines()[1:])
    assert sum(r[4] for r in records) == rows + 3 * len(seen)
    assert max(sum(1 for r in records if r[0] == e) for e in seen) > 4
