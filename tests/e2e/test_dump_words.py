# SPDX-License-Identifier: Apache-2.0
"""What PostgreSQL says, in whatever language, is understood; what pg_dump warns of is told; and a database that changes is backed up."""
import contextlib
import os
import re
import shutil
import threading

import pytest

import postgres

BOTH = pytest.mark.parametrize("jobs", [1, 4])


@pytest.fixture(scope="module")
def german(tmp_path_factory):
    """a server that speaks German; (server, its name for the language)"""
    if not shutil.which("localedef") or not os.path.exists("/usr/share/i18n/locales/de_DE"):
        pytest.skip("locales is not installed (tools/setup test)")
    with postgres.locale_path("de_DE") as path:
        server = postgres.Postgres("lc_messages = 'de_DE.UTF-8'\n", environment={"LOCPATH": path})
        try:
            yield server
        finally:
            server.remove()


@pytest.fixture(params=["english", "german"])
def server(request):
    return request.getfixturevalue({"english": "pg", "german": "german"}[request.param])


@pytest.fixture
def shop(server):
    server.create("shop")
    server.sql("shop", "CREATE TABLE public.a AS SELECT generate_series(1, 10) AS id; CREATE TABLE public.b AS TABLE public.a; "
                       "CREATE SEQUENCE public.s; CREATE SCHEMA closed; CREATE TABLE closed.t ()")
    server.sql("postgres", "DO $$ BEGIN CREATE ROLE clerk LOGIN; EXCEPTION WHEN duplicate_object THEN NULL; END $$")
    yield server
    server.drop("shop")
    server.sql("postgres", "DROP OWNED BY clerk; DROP ROLE clerk")


def failed(keepfs, command, *words):
    run = keepfs.trigger(command)
    status = keepfs.wait_run(run)
    assert status["state"] == "failed", status
    error = keepfs.history(run)["error"]
    for word in words:
        assert word in error, error
    assert keepfs.store.keys() == []
    return keepfs.text("jobs", str(run), "log")


def attempts(log):
    return len(re.findall(r"^\S+ pg_dump: error: ", log, re.M))


def of_clerk(new_keepfs, server, **settings):
    return new_keepfs({"full": {"database": server.uri("shop", user="clerk"), "globals": "no", **settings}}).mount()


ALL = "GRANT pg_read_all_data TO clerk"
REFUSALS = {
    "rows": (f"{ALL}; ALTER TABLE public.b ENABLE ROW LEVEL SECURITY", "BYPASSRLS"),
    "table": ("GRANT USAGE ON SCHEMA closed TO clerk; GRANT SELECT ON public.a, closed.t, public.s TO clerk", "GRANT pg_read_all_data"),
    "schema": ("GRANT SELECT ON ALL TABLES IN SCHEMA public, closed TO clerk; GRANT SELECT ON public.s TO clerk", "GRANT pg_read_all_data"),
    "sequence": ("GRANT USAGE ON SCHEMA closed TO clerk; GRANT SELECT ON public.a, public.b, closed.t TO clerk", "GRANT pg_read_all_data"),
    "large object": (f"{ALL}; SELECT lo_from_bytea(4711, 'x')", "large objects belong to roles"),
}


@BOTH
@pytest.mark.parametrize("what", REFUSALS)
def test_what_a_role_may_not_read(new_keepfs, shop, what, jobs):
    """pg_dump passes on the server's words, and the hint is the same in each language; nothing is tried twice"""
    grants, hint = REFUSALS[what]
    shop.sql("shop", grants)
    log = failed(of_clerk(new_keepfs, shop), f"full jobs={jobs}", hint)
    assert attempts(log) <= 1, log


@BOTH
def test_a_lock_costs_one_timeout(new_keepfs, shop, jobs):
    shop.sql("shop", ALL)
    keepfs = of_clerk(new_keepfs, shop, lock_wait_timeout="500ms")
    with shop.lock("shop", "public.b"):
        log = failed(keepfs, f"full jobs={jobs}", "lock")
    assert attempts(log) == 1, log
    assert keepfs.backup(f"full jobs={jobs}")["state"] == "completed"


@pytest.mark.parametrize("who", ["database", "role", "login", "connect", "closed"])
def test_a_connection_that_is_refused(new_keepfs, shop, who):
    uri, hint = {"database": (shop.uri("nosuch"), "psql -l"), "role": (shop.uri("shop", user="nobody_here"), "\\du"),
                 "login": (shop.uri("shop", user="pg_monitor"), "may it log in"), "connect": (shop.uri("shop", user="clerk"), "GRANT CONNECT"),
                 "closed": (shop.uri("shop"), "takes no connections")}[who]
    shop.sql("postgres", "REVOKE CONNECT ON DATABASE shop FROM public" if who == "connect" else "SELECT 1")
    shop.sql("postgres", f"ALTER DATABASE shop ALLOW_CONNECTIONS {'false' if who == 'closed' else 'true'}")
    keepfs = new_keepfs({"full": {"database": uri}})
    done = keepfs.run("check", check=False)
    assert done.returncode == 1 and hint in done.stdout, done.stdout
    assert not re.search(r"\b(28000|3D000|42501|55000)\b|LOCATION", done.stdout), done.stdout


def test_a_wrong_password(new_keepfs, server):
    keepfs = new_keepfs({"full": {"database": server.uri_tcp("postgres", password="hunter2")}})
    done = keepfs.run("check", check=False)
    assert done.returncode == 1 and "the user name or the password is wrong" in done.stdout and "hunter2" not in done.stdout, done.stdout


def test_databases_that_take_no_connections(new_keepfs, shop):
    """the next ones are looked at all the same: the server does answer"""
    shop.create("broken")
    try:
        shop.sql("postgres", "ALTER DATABASE shop ALLOW_CONNECTIONS false; UPDATE pg_database SET datconnlimit = -2 WHERE datname = 'broken'")
        keepfs = new_keepfs({"full": {"database": shop.uri("postgres"), "databases": "shop, template0, broken, postgres"}})
        lines = {line.split("database full/")[1].split()[0].rstrip(":"): line for line in keepfs.run("check", check=False).stdout.splitlines()
                 if "database full/" in line}
        assert "takes no connections" in lines["shop"] and "takes no connections" in lines["template0"], lines
        assert "DROP DATABASE of it was interrupted" in lines["broken"], lines
        assert lines["postgres"].startswith("ok"), lines
        assert not any("not tried" in line for line in lines.values()), lines
    finally:
        shop.sql("postgres", "UPDATE pg_database SET datconnlimit = -1 WHERE datname = 'broken'")
        shop.drop("broken")


@BOTH
def test_a_role_whose_settings_are_made_for_debugging(new_keepfs, shop, jobs):
    shop.sql("shop", f"{ALL}; ALTER ROLE clerk SET client_min_messages = debug1; ALTER ROLE clerk SET quote_all_identifiers = on; "
                     "ALTER ROLE clerk SET statement_timeout = '20ms'; ALTER ROLE clerk SET idle_in_transaction_session_timeout = '1ms'")
    keepfs = new_keepfs({"full": {"database": shop.uri("shop", user="clerk"), "globals": "no"}})
    done = keepfs.run("check")
    assert "DEBUG" not in done.stdout + done.stderr and done.stderr == "", done.stderr
    keepfs.mount()
    run = keepfs.backup(f"full jobs={jobs}")
    assert "DEBUG" not in keepfs.text("jobs", str(run["run"]), "log")


@pytest.mark.parametrize("keys", ["jobs=1", "jobs=4", "format=directory jobs=1", "format=directory jobs=4", "format=plain"])
def test_what_pg_dump_leaves_out_is_a_warning(new_keepfs, shop, keys):
    shop.sql("shop", ALL)
    shop.sql("shop", "CREATE SUBSCRIPTION news CONNECTION 'dbname=nowhere' PUBLICATION p WITH (connect = false)")
    try:
        keepfs = of_clerk(new_keepfs, shop)
        run = keepfs.backup(f"full {keys}")
        assert re.search(r"pg_dump: .*subscriptions not dumped", run["warning"]), run
        assert keepfs.text("status", "health").startswith("WARN") and "subscriptions not dumped" in keepfs.text("status", "health")
    finally:
        shop.sql("shop", "ALTER SUBSCRIPTION news SET (slot_name = NONE); DROP SUBSCRIPTION news")


@contextlib.contextmanager
def storm(server, database):
    """tables that are made and dropped all the time, each living for a moment; gives how many there were"""
    loop = "DO $$ BEGIN FOR i IN 1..20 LOOP EXECUTE 'CREATE TABLE public.storm_' || i || ' AS SELECT 1'; COMMIT; PERFORM pg_sleep(0.03); " \
           "EXECUTE 'DROP TABLE public.storm_' || i; COMMIT; PERFORM pg_sleep(0.02); END LOOP; END $$"
    over, made = threading.Event(), [0]

    def blow():
        while not over.is_set():
            server.sql(database, loop)
            made[0] += 20

    thread = threading.Thread(target=blow)
    thread.start()
    try:
        yield made
    finally:
        over.set()
        thread.join()


@pytest.mark.parametrize("keys", ["jobs=1", "jobs=4", "format=plain"])
def test_tables_are_made_and_dropped_meanwhile(new_keepfs, shop, keys):
    """a snapshot that shows a table which is gone is given up for another one; each run gets there"""
    keepfs = new_keepfs({"full": {"database": shop.uri("shop"), "globals": "no"}}).mount()
    with storm(shop, "shop"):
        for _ in range(10):
            assert keepfs.backup(f"full {keys}")["state"] == "completed"


def test_tries_have_an_end(new_keepfs, pg, tmp_path):
    """a pg_dump that always finds a table gone: tried 40 times, and the run says so"""
    (tmp_path / "bin").mkdir()
    program = tmp_path / "bin" / "pg_dump"
    program.write_text(f'#!/bin/sh\n[ "$1" = --version ] && exec {pg.bindir}/pg_dump --version\n'
                       "echo 'pg_dump: error: query failed: FEHLER:  Relation »gone« existiert nicht' >&2\n"
                       "echo 'pg_dump: detail: Query was: LOCK TABLE public.gone IN ACCESS SHARE MODE' >&2\nexit 1\n")
    program.chmod(0o755)
    keepfs = new_keepfs({"full": {"database": pg.uri("sample"), "pg_bindir": program.parent, "globals": "no"}}).mount()
    log = failed(keepfs, "full jobs=1", "none of 40 tries", "were dropped while the backup looked at them")
    assert attempts(log) == 40 and "try 39: " in log and "try 40 of at most 40" in log
