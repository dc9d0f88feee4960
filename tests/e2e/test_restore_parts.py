# SPDX-License-Identifier: Apache-2.0
"""A large table is loaded over several connections at once, each of which has a part of its rows: all of them once, and nothing of it is left
to be found where that does not end well."""
import os
import subprocess

import pytest

import daemon

# Ends of lines and what looks like them; of all lengths, and a row that is longer than a segment of the backup.
ROWS = """
    CREATE TABLE public.orders (id int, note text, more text);
    INSERT INTO public.orders SELECT g, md5(g::text) || CASE g % 7 WHEN 0 THEN E'\\n' WHEN 1 THEN E'\\r\\n' WHEN 2 THEN '\\.' WHEN 3 THEN E'\\\\\\n.\\n'
        ELSE md5((g * 3)::text) || md5((g * 5)::text) || md5((g * 7)::text) END, NULLIF(repeat('x', g % 3), '') FROM generate_series(1, 250000) g;
    INSERT INTO public.orders SELECT -1, string_agg(md5(g::text), E'\\n'), 'long' FROM generate_series(1, 100000) g;
    INSERT INTO public.orders SELECT g, md5(g::text), NULL FROM generate_series(1, 50000) g;
    """


def contents(server, database):
    """all rows, in whatever order they are"""
    return [server.sql(database, f"SELECT count(*), sum(pg_catalog.hashtextextended(t::text, 0)::numeric) FROM public.{table} t")
            for table in ("orders", "few", "none")] + [
                server.sql(database, "SELECT count(*) FROM pg_constraint"), server.sql(database, "SELECT indexdef FROM pg_indexes WHERE tablename = 'orders'")]


@pytest.fixture(scope="module")
def large(pg):
    """one table of some 40 MB, a small and an empty one"""
    pg.create("one_large")
    pg.sql("one_large", ROWS + """
        CREATE TABLE public.few AS SELECT generate_series(1, 100) AS id;
        CREATE TABLE public.none (id int);
        ALTER TABLE public.orders ADD COLUMN n bigint GENERATED ALWAYS AS IDENTITY, ADD CHECK (length(note) > 10);
        CREATE INDEX ON public.orders (id)""")
    yield contents(pg, "one_large")
    pg.drop("one_large")


@pytest.fixture
def target(pg):
    name = f"restored_parts_{os.getpid()}"
    yield name
    pg.drop(name)


def restored(keepfs, command, states=("completed",)):
    run = int(keepfs.ask("restore", command).split()[0])
    status = keepfs.wait_run(run)
    log = keepfs.text("jobs", str(run), "log")
    assert status["state"] in states, f"{status}\n{log}"
    return log


KINDS = {"custom": {}, "none": {"compression": "none"}, "directory": {"format": "directory"}, "small": {"compression": "small"},
         "directory_none": {"format": "directory", "compression": "none"}}


@pytest.mark.parametrize("kind", KINDS)
def test_all_rows_come_back_once(new_keepfs, pg, large, target, kind):
    keepfs = new_keepfs({"full": {"database": pg.uri("one_large"), **KINDS[kind]}}).mount()
    keepfs.backup()
    (name,) = keepfs.artifacts()
    log = restored(keepfs, f"full/{name} into={target} jobs=3")
    assert "1 large table was loaded in parts" in log
    assert contents(pg, target) == large, log


def test_one_connection_loads_it_as_a_whole(new_keepfs, pg, large, target):
    keepfs = new_keepfs({"full": {"database": pg.uri("one_large")}}).mount()
    keepfs.backup()
    log = restored(keepfs, f"full/latest.dump into={target} jobs=1")
    assert "in parts" not in log
    assert contents(pg, target) == large, log
    if pg.sql(target, "SELECT current_setting('server_version_num')::int >= 140000 AND EXISTS (SELECT FROM pg_available_extensions WHERE name = 'pg_visibility')") == "t":
        pg.sql(target, "CREATE EXTENSION pg_visibility")
        assert pg.sql(target, "SELECT bool_and(all_frozen) FROM pg_visibility_map('public.orders')") == "t"


def test_data_alone_are_loaded_by_one_connection_a_table(new_keepfs, pg, large, target):
    """the table was there before: should one of several connections fail, what the others have loaded would stay among its rows"""
    keepfs = new_keepfs({"full": {"database": pg.uri("one_large")}}).mount()
    keepfs.backup()
    restored(keepfs, f"full/latest.dump into={target} content=schema")
    log = restored(keepfs, f"full/latest.dump into={target} content=data swap=no confirm={target} jobs=3")
    assert "in parts" not in log
    assert pg.sql(target, "SELECT count(*) FROM public.orders") == "300001"


def test_a_row_that_the_server_refuses(new_keepfs, pg, target):
    """one connection fails, the others have loaded some: the whole has failed, and the database that was made for it is gone"""
    pg.create("refusing")
    try:
        pg.sql("refusing", ROWS + """
            CREATE FUNCTION public.is_good(int) RETURNS bool LANGUAGE sql IMMUTABLE AS 'SELECT true';
            ALTER TABLE public.orders ADD CHECK (public.is_good(id));
            CREATE OR REPLACE FUNCTION public.is_good(int) RETURNS bool LANGUAGE sql IMMUTABLE AS 'SELECT $1 <> 249999'""")
        keepfs = new_keepfs({"full": {"database": pg.uri("refusing")}}).mount()
        keepfs.backup()
        pg.create(target)
        pg.sql(target, "CREATE TABLE public.living AS SELECT 1 AS one")
        log = restored(keepfs, f"full/latest.dump into={target} confirm={target} jobs=3", {"failed"})
        assert "the data of public.orders" in log and "violates check constraint" in log
        assert pg.sql(target, "SELECT one FROM public.living") == "1"
        assert pg.sql("postgres", f"SELECT count(*) FROM pg_database WHERE datname LIKE '{target}%'") == "1"
    finally:
        pg.drop("refusing")


def loading(pg, database):
    return int(pg.sql("postgres", f"SELECT count(*) FROM pg_stat_activity WHERE query LIKE 'COPY public.orders%' AND datname LIKE '{database}%'"))


@pytest.mark.parametrize("how", ["cancel", "kill", "server"])
def test_in_the_middle_of_parts(new_keepfs, own_pg, target, how):
    """while three connections load one table"""
    own_pg.create("big")
    # as long as there is a role of that name, each connection waits at its first row
    own_pg.sql("big", """
        CREATE FUNCTION public.gate(int) RETURNS bool LANGUAGE plpgsql IMMUTABLE AS $$ BEGIN
            WHILE EXISTS (SELECT FROM pg_catalog.pg_roles WHERE rolname = 'gate') LOOP PERFORM pg_catalog.pg_sleep(0.01); END LOOP; RETURN true; END $$;
        CREATE TABLE public.orders (id int CHECK (public.gate(id)), note text);
        INSERT INTO public.orders SELECT g, md5(g::text) || md5((g * 3)::text) || md5((g * 5)::text) FROM generate_series(1, 300000) g; CHECKPOINT""")
    keepfs = new_keepfs({"full": {"database": own_pg.uri("big")}}).mount()
    keepfs.backup()
    own_pg.create(target)
    own_pg.sql(target, "CREATE TABLE public.living AS SELECT 1 AS one; CHECKPOINT")
    own_pg.sql("postgres", "CREATE ROLE gate")
    run = int(keepfs.ask("restore", f"full/latest.dump into={target} confirm={target} jobs=3").split()[0])
    daemon.wait_until(lambda: loading(own_pg, target) == 3, "three connections load it")
    if how == "server":
        own_pg.stop()
        status = keepfs.wait_run(run, {"failed"})
        assert f"{target} is as it was" in status["error"], status
        own_pg.start()
    elif how == "cancel":
        keepfs.path("jobs", str(run), "cancel").write_text("1\n")
        keepfs.wait_run(run, {"cancelled"})
        assert own_pg.sql("postgres", f"SELECT count(*) FROM pg_database WHERE datname LIKE '{target}%'") == "1"
    else:
        keepfs.kill()
        subprocess.run(["umount", "-l", str(keepfs.mountpoint)], check=True)
        keepfs.mount()
        assert f"{target} is as it was" in keepfs.text("status", "health")
    assert own_pg.sql(target, "SELECT one FROM public.living") == "1"
    own_pg.sql("postgres", "DROP ROLE gate")
    if how != "cancel":
        own_pg.sql("postgres", f'DROP DATABASE "{target}_restoring_{run}" WITH (FORCE)')
    log = restored(keepfs, f"full/latest.dump into={target} confirm={target} jobs=3")
    assert "1 large table was loaded in parts" in log
    assert own_pg.sql(target, "SELECT count(*), count(DISTINCT id) FROM public.orders") == "300000|300000"
