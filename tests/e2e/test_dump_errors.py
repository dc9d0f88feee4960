# SPDX-License-Identifier: Apache-2.0
"""Each way in which a dump fails ends as failed, in the words of pg_dump or the server, and leaves nothing: no object, no part, no name."""
import os
import re
import signal
import subprocess

import pytest

import daemon
import postgres

SLOW = "max_rate=4M/s"  # of 64 MB: whatever is done to it happens in the middle
BOTH = pytest.mark.parametrize("jobs", [1, 4])


def nothing_is_left(keepfs):
    assert keepfs.store.uploads() == [] and keepfs.store.keys() == []
    directory = keepfs.path("backups", "full")
    assert not directory.exists() or set(os.listdir(directory)) <= {"SHA256SUMS"}
    assert keepfs.processes().keys() == set(keepfs.daemons())


def failed(keepfs, run, *words):
    """every word (a regular expression) is in the run's error"""
    status = keepfs.wait_run(run)
    assert status["state"] == "failed", status
    error = keepfs.history(run)["error"]
    for word in words:
        assert re.search(word, error, re.I), error
    assert keepfs.text("status", "health").split()[0] in ("WARN", "CRIT")
    nothing_is_left(keepfs)
    return error


def attempts(keepfs, run):
    """how often pg_dump has told the run's log why it fails"""
    return len(re.findall(r"^\S+ pg_dump: error: ", keepfs.text("jobs", str(run), "log"), re.M))


def sessions(pg, database, condition):
    return pg.sql("postgres", f"SELECT pid FROM pg_stat_activity WHERE datname = '{database}' AND backend_type = 'client backend' AND {condition} "
                              "ORDER BY backend_start").split()


def copying(pg, database, keys="jobs=1"):
    """the sessions that send rows now: pg_dump's; with more jobs than one keepfs's own, for pg_dump is stopped when it begins with its rows"""
    name = "keepfs" if re.search("jobs=[2-9]", keys) else "pg_dump"
    return daemon.wait_until(lambda: sessions(pg, database, f"application_name = '{name}' AND state = 'active' AND query LIKE 'COPY %'"), "rows to be read")


@pytest.fixture
def of_noise(new_keepfs, pg, noise):
    return new_keepfs({"full": {"database": pg.uri(noise)}}).mount()


# in the middle


@pytest.mark.parametrize("keys", ["jobs=1", "format=directory jobs=1", "format=plain"])
def test_pg_dump_is_killed(of_noise, pg, noise, keys):
    run = of_noise.trigger(f"full {keys} {SLOW}")
    copying(pg, noise)
    (pid,) = of_noise.children("pg_dump")
    os.kill(pid, signal.SIGKILL)
    failed(of_noise, run, "pg_dump", "signal 9|killed")


@pytest.mark.parametrize("keys", ["jobs=1", "jobs=4", "format=directory jobs=4", "format=plain"])
def test_a_session_is_terminated(of_noise, pg, noise, keys):
    """that of pg_dump, or one of those that keepfs reads with"""
    run = of_noise.trigger(f"full {keys} {SLOW}")
    pid = copying(pg, noise, keys)[-1]
    assert pg.sql("postgres", f"SELECT pg_terminate_backend({pid})") == "t"
    failed(of_noise, run, "terminating connection|server closed the connection")


def test_the_session_of_the_snapshot_is_terminated(of_noise, pg, noise):
    """it holds the tables: without it somebody could have changed them. It is noticed at the end"""
    run = of_noise.trigger("full jobs=4 max_rate=24M/s")
    copying(pg, noise, "jobs=4")
    pid = sessions(pg, noise, "application_name = 'keepfs'")[0]  # it is there first: the others join its snapshot
    pg.sql("postgres", f"SELECT pg_terminate_backend({pid})")
    failed(of_noise, run, "terminating connection|server closed the connection")


@BOTH
def test_the_server_is_stopped(new_keepfs, own_pg, jobs):
    own_pg.create("long")
    postgres.fill_noise(own_pg, "long", 16)
    keepfs = new_keepfs({"full": {"database": own_pg.uri("long")}}).mount()
    run = keepfs.trigger(f"full jobs={jobs} {SLOW}")
    copying(own_pg, "long", f"jobs={jobs}")
    own_pg.stop()
    failed(keepfs, run, "terminating connection|server closed the connection|connect(ion)? to server")
    own_pg.start()
    assert keepfs.backup(f"full jobs={jobs}")["state"] == "completed"


@pytest.mark.parametrize("keys", ["jobs=1", "jobs=4", "format=directory jobs=4", "format=plain"])
def test_it_is_cancelled(of_noise, pg, noise, keys):
    run = of_noise.trigger(f"full {keys} {SLOW}")
    copying(pg, noise, keys)
    of_noise.path("jobs", str(run), "cancel").write_text("1\n")
    assert of_noise.wait_run(run)["state"] == "cancelled"
    nothing_is_left(of_noise)
    daemon.wait_until(lambda: not sessions(pg, noise, "true"), "the server to notice")


@pytest.fixture
def two_tables(pg):
    """a large table, and one that is read after it"""
    pg.create("two_tables")
    postgres.fill_noise(pg, "two_tables", 12)
    pg.sql("two_tables", "CREATE TABLE public.z_last AS SELECT generate_series(1, 1000) AS id")
    yield "two_tables"
    pg.drop("two_tables")


@BOTH
def test_somebody_waits_for_a_table_of_the_dump(new_keepfs, pg, two_tables, jobs):
    """an ACCESS EXCLUSIVE lock that waits for ours lets nobody past: a second reader that waited behind it would wait for ever"""
    keepfs = new_keepfs({"full": {"database": pg.uri(two_tables)}}).mount()
    run = keepfs.trigger(f"full jobs={jobs} max_rate=6M/s")
    copying(pg, two_tables, f"jobs={jobs}")
    waiter = subprocess.Popen([str(pg.bindir / "psql"), "-X", "-q", "-v", "ON_ERROR_STOP=1", "-d", pg.uri(two_tables), "-c",
                               "ALTER TABLE public.z_last ADD n int"], stdin=subprocess.DEVNULL)
    daemon.wait_until(lambda: sessions(pg, two_tables, "wait_event_type = 'Lock' AND query LIKE 'ALTER TABLE %'"), "the lock to be waited for")
    assert keepfs.wait_run(run)["state"] in ("completed", "failed")
    assert waiter.wait(daemon.DEADLINE_S) == 0
    if keepfs.history(run)["state"] == "failed":
        nothing_is_left(keepfs)
    else:
        path = keepfs.path("backups", "full", "latest.dump")
        assert "z_last" in pg.tool("pg_restore", "-l", path)
        # Of the time before the column came, or, when it was read anew over one connection, of the time after.
        assert pg.tool("pg_restore", "-a", "-t", "z_last", "-f", "-", path).count("\n") > 1000


def test_what_was_begun_over_several_connections_leaves_no_file(new_keepfs, pg, two_tables):
    """what a lock has stopped is read anew over one connection: of what was stored until then nothing is in the directory"""
    pg.sql(two_tables, "CREATE TABLE public.a_first AS SELECT generate_series(1, 1000) AS id; CREATE TABLE public.a_gone (id int)")
    keepfs = new_keepfs({"full": {"database": pg.uri(two_tables), "format": "directory"}}).mount()
    run = keepfs.trigger("full jobs=2 max_rate=4M/s")
    copying(pg, two_tables, "jobs=2")
    # The first one has to wait: the second is read by then, and has other numbers for its neighbours when it is gone.
    waiter = subprocess.Popen([str(pg.bindir / "psql"), "-X", "-q", "-v", "ON_ERROR_STOP=1", "-d", pg.uri(two_tables), "-c",
                               "DROP TABLE public.z_last, public.a_gone"], stdin=subprocess.DEVNULL)
    assert keepfs.wait_run(run)["state"] == "completed"
    assert waiter.wait(daemon.DEADLINE_S) == 0
    assert "reading over one connection: reading public.z_last: cannot lock" in keepfs.text("jobs", str(run), "log")
    path = keepfs.path("backups", "full", "latest")
    listed = re.findall(r"^(\d+); 0 \d+ TABLE DATA", pg.tool("pg_restore", "-l", path), re.M)
    files = {name for name in os.listdir(path) if name.endswith(".dat.gz")}
    assert len(listed) == 2 and files == {f"{number}.dat.gz" for number in listed}
    assert keepfs.store.keys() == [*(f"backups/full/{os.readlink(path)}/{name}" for name in sorted(os.listdir(path))),
                                   *(f"manifests/backups/full/{os.readlink(path)}.{suffix}" for suffix in ("index", "json"))]


def test_partitions_that_are_loaded_through_their_root_are_locked(new_keepfs, pg, two_tables):
    """pg_dump writes COPY to the root when rows may belong to another partition later; what is read is the partition"""
    pg.sql(two_tables, "CREATE TYPE public.color AS ENUM ('red', 'green'); CREATE TABLE public.hashed (c public.color) PARTITION BY HASH (c); "
                       "CREATE TABLE public.z_hashed PARTITION OF public.hashed FOR VALUES WITH (MODULUS 1, REMAINDER 0)")
    keepfs = new_keepfs({"full": {"database": pg.uri(two_tables)}}).mount()
    run = keepfs.trigger("full jobs=2 max_rate=4M/s")
    copying(pg, two_tables, "jobs=2")
    assert "z_hashed" in pg.sql(two_tables, "SELECT l.relation::regclass FROM pg_locks l JOIN pg_stat_activity a USING (pid) "
                                            "WHERE a.state = 'idle in transaction' AND l.locktype = 'relation'").split()
    assert keepfs.wait_run(run)["state"] == "completed"
    assert "load via partition root" in pg.tool("pg_restore", "-f", "-", keepfs.path("backups", "full", "latest.dump"))


# from the start


@pytest.fixture
def few_locks():
    """a server whose lock table is smaller than the database has tables"""
    server = postgres.Postgres("max_locks_per_transaction = 10\nmax_connections = 20\nmax_wal_senders = 2\n")
    try:
        server.create("wide")
        server.sql("wide", "DO $$ BEGIN FOR i IN 1..3000 LOOP EXECUTE format('CREATE TABLE t%s ()', i); IF i % 50 = 0 THEN COMMIT; END IF; "
                           "END LOOP; END $$")
        yield server
    finally:
        server.remove()


@BOTH
def test_out_of_locks(new_keepfs, few_locks, jobs):
    keepfs = new_keepfs({"full": {"database": few_locks.uri("wide")}}).mount()
    failed(keepfs, keepfs.trigger(f"full jobs={jobs}"), "out of shared memory", "max_locks_per_transaction")


def role(pg, name, *grants):
    pg.sql("postgres", f"DO $$ BEGIN CREATE ROLE {name} LOGIN; EXCEPTION WHEN duplicate_object THEN NULL; END $$")
    for database, grant in grants:
        pg.sql(database, grant)
    return name


@pytest.fixture
def three_tables(pg):
    pg.create("three_tables")
    for name in "abc":
        pg.sql("three_tables", f"CREATE TABLE public.{name} AS SELECT generate_series(1, 10) AS id")
    yield "three_tables"
    pg.drop("three_tables")


@BOTH
def test_a_table_under_row_security(new_keepfs, pg, three_tables, jobs):
    """a role that sees some rows only: never a dump of these"""
    limited = role(pg, "limited", (three_tables, "GRANT pg_read_all_data TO limited"), (three_tables, "ALTER TABLE public.b ENABLE ROW LEVEL SECURITY"))
    keepfs = new_keepfs({"full": {"database": pg.uri(three_tables, user=limited)}}).mount()
    failed(keepfs, keepfs.trigger(f"full jobs={jobs}"), "row-level security", r"\bb\b", "BYPASSRLS")


@BOTH
@pytest.mark.parametrize("keys", ["", "format=directory"])
def test_permission_denied_on_one_table(new_keepfs, pg, three_tables, jobs, keys):
    partly = role(pg, "partly", (three_tables, "GRANT SELECT ON public.a, public.c TO partly"))
    keepfs = new_keepfs({"full": {"database": pg.uri(three_tables, user=partly)}}).mount()
    run = keepfs.trigger(f"full jobs={jobs} {keys}")
    failed(keepfs, run, "permission denied", r"\bb\b")
    assert attempts(keepfs, run) == 1
    pg.sql(three_tables, "GRANT SELECT ON public.b TO partly")
    assert keepfs.backup(f"full jobs={jobs} {keys}")["state"] == "completed"


@BOTH
def test_large_objects_of_somebody_else(new_keepfs, pg, three_tables, jobs):
    partly = role(pg, "partly", (three_tables, "GRANT SELECT ON public.a, public.b, public.c TO partly"), (three_tables, "SELECT lo_create(4711)"))
    keepfs = new_keepfs({"full": {"database": pg.uri(three_tables, user=partly)}}).mount()
    failed(keepfs, keepfs.trigger(f"full jobs={jobs}"), "permission denied", "large object")
    done = keepfs.run("check", check=False)
    assert done.returncode == 1 and re.search(r"^FAIL .*large object 4711\b.*ALTER ROLE", done.stdout, re.M), done.stdout
    keepfs.jobs["full"]["tables"] = "public.*"  # which leaves them out
    keepfs.write_conf()
    assert keepfs.run("check").returncode == 0
    del keepfs.jobs["full"]["tables"]
    keepfs.write_conf()
    pg.sql("postgres", "ALTER ROLE partly SET lo_compat_privileges = on")
    try:
        assert keepfs.run("check").returncode == 0
        assert keepfs.backup(f"full jobs={jobs}")["state"] == "completed"
    finally:
        pg.sql("postgres", "ALTER ROLE partly RESET lo_compat_privileges")


def test_a_client_older_than_the_server(new_keepfs, pg, tmp_path):
    old = tmp_path / "old"
    old.mkdir()
    (old / "pg_dump").write_text('#!/bin/sh\n[ "$1" = --version ] && echo "pg_dump (PostgreSQL) 9.6.24" || exit 1\n')
    (old / "pg_dump").chmod(0o755)
    keepfs = new_keepfs({"full": {"database": pg.uri("sample"), "pg_bindir": old}}).mount()
    major = pg.sql("postgres", "SHOW server_version").split(".")[0]
    failed(keepfs, keepfs.trigger(), "pg_dump", r"9\.6\.24", rf"\b{major}\b")


@BOTH
def test_a_program_that_writes_no_archive(new_keepfs, pg, tmp_path, jobs):
    """whatever it writes and however gladly it ends: an archive that is cut off, or none, is never taken for a backup"""
    bin = tmp_path / "bin"
    bin.mkdir()
    cuts = [3000, 200000] if jobs == 1 else [3000]  # in the table of contents, and in the data
    for words in (*(f'"$real" "$@" | head -c {cut}' for cut in cuts), "echo PGDMP", "true"):
        (bin / "pg_dump").write_text(f'#!/bin/sh\nreal={pg.bindir}/pg_dump\n[ "$1" = --version ] && exec "$real" --version\n{words}\n')
        (bin / "pg_dump").chmod(0o755)
        keepfs = new_keepfs({"full": {"database": pg.uri("sample"), "pg_bindir": bin, "globals": "no"}}).mount()
        failed(keepfs, keepfs.trigger(f"full jobs={jobs}"))
        failed(keepfs, keepfs.trigger("full format=plain"))
        keepfs.unmount()


@BOTH
def test_a_lock_is_waited_for_only_so_long(new_keepfs, pg, jobs):
    keepfs = new_keepfs({"full": {"database": pg.uri("sample"), "lock_wait_timeout": "500ms"}}).mount()
    with pg.lock("sample", "sales.orders"):
        run = keepfs.trigger(f"full jobs={jobs}")
        failed(keepfs, run, "timeout", "lock_wait_timeout")
        assert attempts(keepfs, run) == 1
    assert keepfs.backup(f"full jobs={jobs}")["state"] == "completed"


# the store


@pytest.mark.parametrize("keys", ["jobs=1", "jobs=4", "format=directory jobs=4", "format=plain"])
@pytest.mark.parametrize("fault", ["get:1+:corrupt", "get:1+:eio"])
def test_what_was_sent_cannot_be_read_back(new_keepfs, pg, fault, keys):
    keepfs = new_keepfs({"full": {"database": pg.uri("sample")}})
    keepfs.store_settings["faults"] = fault
    keepfs.write_conf()
    keepfs.mount()
    failed(keepfs, keepfs.trigger(f"full {keys}"), "read")
    assert keepfs.backup(f"full {keys} verify=none")["state"] == "completed"


@pytest.mark.parametrize("store", ["dir", "ceph"], indirect=True)
@pytest.mark.parametrize("fault", ["part:2:eio", "complete:1:eio", "begin:1:eio", "put:1:nospace", "put:2:nospace"])
@pytest.mark.parametrize("keys", ["jobs=4", "format=directory jobs=4"])
def test_a_store_that_fails(new_keepfs, pg, noise, fault, keys):
    keepfs = new_keepfs({"full": {"database": pg.uri(noise)}})
    keepfs.store_settings["faults"] = fault
    keepfs.write_conf()
    keepfs.mount()
    failed(keepfs, keepfs.trigger(f"full {keys}"))
