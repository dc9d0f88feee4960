# SPDX-License-Identifier: Apache-2.0
"""Servers that are not simply there: behind a pooler, a standby, with few connections, with a pg_dump of another version."""
import os
import re

import pytest

import postgres
from test_dump_errors import SLOW, copying, failed
import everything
from test_fidelity import dump, restore


def log_of(keepfs, run=None):
    return keepfs.text("jobs", str(run or keepfs.history()[-1]["run"]), "log")


def comes_back(pg, source, path, target):
    restore(pg, path, target, 1)
    assert everything.plain_digest(pg, target) == everything.plain_digest(source, "sample")


@pytest.fixture
def pooler(pg):
    """make a pooler before the server"""
    if not postgres.Pooler.PROGRAM:
        pytest.skip("pgbouncer is not installed (tools/setup test)")
    made = []

    def make(*arguments):
        made.append(postgres.Pooler(pg, *arguments))
        return made[-1]

    yield make
    for one in made:
        one.remove()


@pytest.mark.parametrize("jobs, connections", [(4, 4), (1, None)])
def test_a_pooler_of_sessions(new_keepfs, pg, pooler, scratch, jobs, connections):
    keepfs = new_keepfs({"full": {"database": pooler("session").uri("sample")}}).mount()
    path = dump(keepfs, f"jobs={jobs}")
    log = log_of(keepfs)
    assert "pooler" in log
    assert ("reading over 4 connections" in log) == (connections == 4)
    comes_back(pg, pg, path, scratch)


@pytest.mark.parametrize("mode, words", [("transaction", "another session"), ("statement", "statement pooling mode")])
def test_a_pooler_that_mixes_sessions(new_keepfs, pg, pooler, mode, words):
    """never a dump without the settings that pg_dump needs, over however many connections; and nobody else gets them"""
    through = pooler(mode)
    keepfs = new_keepfs({"full": {"database": through.uri("sample")}}).mount()
    for keys in ("jobs=4", "jobs=1", "format=plain"):
        failed(keepfs, keepfs.trigger(f"full {keys}"), words, "pool_mode = session")
    done = keepfs.run("check", check=False)
    assert done.returncode == 1 and re.search(rf"FAIL.*database full/sample: .*{words}", done.stdout)
    ours = [pg.tool("psql", "-X", "-A", "-t", "-d", through.uri("sample"), "-c", f"SHOW {name}").strip()
            for name in ("search_path", "default_transaction_read_only", "statement_timeout")]
    assert ours == ['"$user", public', "off", "0"]


def test_a_pooler_of_one_session(new_keepfs, pooler):
    """what it does with sessions cannot be found out: said, not waited for"""
    keepfs = new_keepfs({"full": {"database": pooler("session", 1, 1).uri("sample")}}).mount()
    failed(keepfs, keepfs.trigger("full jobs=4"), "pooler", "second connection", "pool_size")


@pytest.fixture(scope="module")
def primary():
    server = postgres.Postgres()
    try:
        server.create("sample")
        server.sql("sample", postgres.SAMPLE)
        server.create("long")
        postgres.fill_noise(server, "long", 8)
        yield server
    finally:
        server.remove()


@pytest.fixture(scope="module")
def standby(primary):
    server = postgres.Standby(primary, "hot_standby_feedback = off\nmax_standby_streaming_delay = 0\nmax_standby_archive_delay = 0\n")
    try:
        server.catch_up()
        yield server
    finally:
        server.remove()


@pytest.mark.parametrize("jobs", [4, 1])
def test_a_standby(new_keepfs, pg, standby, scratch, jobs):
    keepfs = new_keepfs({"full": {"database": standby.uri("sample")}}).mount()
    path = dump(keepfs, f"jobs={jobs}")
    assert "standby" in log_of(keepfs)
    assert ("reading over 4 connections" in log_of(keepfs)) == (jobs == 4)
    comes_back(pg, standby, path, scratch)


@pytest.mark.parametrize("jobs", [4, 1])
def test_a_conflict_with_recovery(new_keepfs, primary, standby, jobs):
    """the standby must not wait for us, and the rows of our snapshot go"""
    keepfs = new_keepfs({"full": {"database": standby.uri("long")}}).mount()
    run = keepfs.trigger(f"full jobs={jobs} {SLOW}")
    copying(standby, "long", f"jobs={jobs}")
    primary.sql("long", f"DELETE FROM public.noise WHERE id % 5 = {jobs}")
    primary.sql("long", "VACUUM public.noise")
    failed(keepfs, run, "conflict with recovery", "hot_standby_feedback")
    standby.catch_up()
    assert keepfs.backup(f"full jobs={jobs}")["state"] == "completed"


@pytest.fixture
def limited(pg):
    """a role that may open only so many connections"""
    def make(limit):
        pg.sql("postgres", "DO $$ BEGIN CREATE ROLE with_a_limit LOGIN BYPASSRLS; EXCEPTION WHEN duplicate_object THEN NULL; END $$")
        pg.sql("postgres", f"ALTER ROLE with_a_limit CONNECTION LIMIT {limit}")
        pg.sql("sample", "GRANT USAGE ON SCHEMA sales, archive TO with_a_limit; GRANT SELECT ON ALL TABLES IN SCHEMA public, sales, archive TO with_a_limit; "
                         "GRANT SELECT ON ALL SEQUENCES IN SCHEMA public, sales, archive TO with_a_limit")
        return "with_a_limit"

    yield make
    pg.sql("sample", "DROP OWNED BY with_a_limit")
    pg.sql("postgres", "DROP ROLE with_a_limit")


@pytest.mark.parametrize("limit", [1, 2, 4])
def test_a_role_with_few_connections(new_keepfs, pg, limited, scratch, limit):
    """fewer than asked for are used, or one; the log says so"""
    keepfs = new_keepfs({"full": {"database": pg.uri("sample", user=limited(limit))}}).mount()
    path = dump(keepfs, "jobs=6 tables='public.*,sales.*,archive.*'")
    log = log_of(keepfs)
    free = {1: 0, 2: 1, 4: 3}[limit]
    assert f"{free} more connections are free at the server, of 6 that were wanted" in log
    assert re.search("reading over one connection" if limit < 4 else "reading over [23] connections", log)
    pg.sql(scratch, "CREATE SCHEMA sales; CREATE SCHEMA archive")
    pg.tool("pg_restore", "-e", "-d", pg.uri(scratch), path)
    for table in ("public.orgs", "sales.orders", 'archive."odd name, 1"'):
        assert pg.sql(scratch, f"SELECT count(*) FROM {table}") == pg.sql("sample", f"SELECT count(*) FROM {table}")


def stand_in(pg, tmp_path, words, version="exec \"$real\" --version"):
    """a pg_dump that is a script"""
    bin = tmp_path / "bin"
    bin.mkdir()
    (bin / "pg_dump").write_text(f'#!/bin/bash\nset -o pipefail\nreal={pg.bindir}/pg_dump\n[ "$1" != --version ] || {version}\n{words}\n')
    (bin / "pg_dump").chmod(0o755)
    return {"pg_bindir": bin, "globals": "no"}


@pytest.mark.parametrize("jobs", [4, 1])
def test_an_archive_version_of_the_future(new_keepfs, pg, tmp_path, scratch, jobs):
    """is stored as it is; somebody should look at that"""
    patch = '"$real" "$@" | { dd bs=1 count=6; dd bs=1 count=1 of=/dev/null; printf "\\024"; cat; } 2>/dev/null'
    keepfs = new_keepfs({"full": {"database": pg.uri("sample"), **stand_in(pg, tmp_path, patch)}}).mount()
    history = keepfs.backup(f"full jobs={jobs}")
    assert "1.20" in history["warning"] and "as pg_dump writes it" in history["warning"]
    assert f"warning: {history['warning']}" in log_of(keepfs)
    assert keepfs.text("status", "health").startswith("WARN") and history["warning"] in keepfs.text("status", "health")
    path = keepfs.path("backups", "full", keepfs.run_artifact(history["run"]))
    written = bytearray(path.read_bytes())
    assert written[:7] == b"PGDMP\x01\x14"
    assert os.getxattr(path, "user.keepfs.sha256").decode() == history["sha256"] != ""
    written[6] = 16 if int(pg.sql("postgres", "SHOW server_version_num")) >= 170000 else 15 if int(
        pg.sql("postgres", "SHOW server_version_num")) >= 160000 else 14
    (tmp_path / "patched.dump").write_bytes(written)
    comes_back(pg, pg, tmp_path / "patched.dump", scratch)


@pytest.mark.parametrize("jobs", [4, 1])
def test_a_client_newer_than_the_server(new_keepfs, pg, tmp_path, scratch, jobs):
    settings = stand_in(pg, tmp_path, 'exec "$real" "$@"', "{ echo 'pg_dump (PostgreSQL) 99.1'; exit; }")
    keepfs = new_keepfs({"full": {"database": pg.uri("sample"), **settings}}).mount()
    path = dump(keepfs, f"jobs={jobs}")
    assert "newer than the server: a pg_restore of version 99 or newer" in log_of(keepfs)
    comes_back(pg, pg, path, scratch)
