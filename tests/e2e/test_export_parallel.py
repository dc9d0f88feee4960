# SPDX-License-Identifier: Apache-2.0
"""Exports over several connections: a large tenant whose tables are read in parts, and several tenants at once."""
import gzip
import io
import os
import zipfile

import pytest

import exporting
import postgres
from daemon import wait_until
from exporting import ended, is_empty, made, start

DATABASE = "export_parallel"
ROWS = 200000
TENANTS = 12
TABLES = f"""
CREATE TABLE orgs (id bigint PRIMARY KEY, slug text UNIQUE NOT NULL);
CREATE TABLE people (id bigint PRIMARY KEY, org_id bigint NOT NULL REFERENCES orgs, name text);
CREATE TABLE lines (id bigint PRIMARY KEY, org_id bigint NOT NULL REFERENCES orgs, body text, at timestamptz, extra jsonb);
CREATE TABLE marks (id bigint PRIMARY KEY, line_id bigint NOT NULL REFERENCES lines, body text);
CREATE INDEX ON lines (org_id); CREATE INDEX ON marks (line_id);
INSERT INTO orgs SELECT g, 'tenant' || g FROM generate_series(1, {TENANTS}) g;
INSERT INTO people SELECT g, g, 'Somebody' FROM generate_series(1, {TENANTS}) g;
INSERT INTO lines SELECT g, CASE WHEN g % 100 = 0 THEN 2 + g / 100 % {TENANTS - 1} ELSE 1 END, 'line ' || g || repeat(' and more words', 14), '2026-01-01'::timestamptz + g * interval '1 s',
    jsonb_build_object('n', g, 'color', 'red') FROM generate_series(1, {ROWS}) g;
INSERT INTO marks SELECT g, g * 2, repeat('a mark ', 5) || g FROM generate_series(1, {ROWS // 2}) g;
UPDATE lines SET body = body || '.' WHERE id % 50 = 7;
ANALYZE;
"""
COPYING = "SELECT count(*) FROM pg_stat_activity WHERE datname = '{}' AND application_name = 'keepfs export' AND state = 'active' AND query LIKE 'COPY%lines%'"


@pytest.fixture(scope="module")
def app(pg):
    pg.create(DATABASE)
    pg.sql(DATABASE, TABLES)
    yield pg
    pg.drop(DATABASE)


@pytest.fixture
def copy(app):
    yield from exporting.copied(app, DATABASE)


def settings(uri, **further):
    return {"database": uri, "tenants": "SELECT id, slug FROM orgs ORDER BY id", "tenant_column": "org_id", **further}


def log_of(keepfs, run):
    return keepfs.text("jobs", str(run), "log")


def tables_of(keepfs, tenant="tenant1"):
    """all that stands behind the head of the newest document, which says when and by what it was made"""
    text = gzip.decompress(keepfs.path("exports", tenant, made(keepfs, tenant)[-1]).read_bytes())
    return text[text.index(b'\n"tables":['):]


def test_several_connections(new_keepfs, app):
    """read over several connections the rows are the same, in the same order, byte for byte"""
    keepfs = start(new_keepfs, settings(app.uri(DATABASE), jobs="1"))
    run, _ = ended(keepfs, "export tenant1")
    assert "parts are read over" not in log_of(keepfs, run)
    alone = tables_of(keepfs)
    assert alone.count(b"\n{\"id\":") == int(app.sql(DATABASE, "SELECT (SELECT count(*) FROM lines WHERE org_id = 1) + (SELECT count(*) FROM marks m JOIN lines l ON l.id = "
                                                               "line_id WHERE org_id = 1) + 2"))
    for jobs in ("2", "5"):
        keepfs.sections["export"]["jobs"] = jobs
        keepfs.write_conf()
        keepfs.remount()
        run, _ = ended(keepfs, "export tenant1")
        assert "parts are read over" in log_of(keepfs, run)
        assert tables_of(keepfs) == alone


def unpacked(keepfs, suffix):
    """the rows of the newest export, without what says when it was made"""
    directory = keepfs.path("exports", "tenant1")
    content = (directory / sorted(n for n in os.listdir(directory) if n[0].isdigit() and n.endswith(suffix))[-1]).read_bytes()
    if suffix.endswith(".gz"):
        return [line for line in gzip.decompress(content).splitlines() if not line.startswith(b"--")]
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        return {name: archive.read(name) for name in archive.namelist() if name.endswith(("csv", "ndjson"))}


@pytest.mark.parametrize("form, suffix", [("sql", ".sql.gz"), ("csv", ".csv.zip"), ("ndjson", ".ndjson.zip")])
def test_formats_over_several_connections(new_keepfs, app, form, suffix):
    keepfs = start(new_keepfs, settings(app.uri(DATABASE), jobs="1", format=form))
    ended(keepfs, "export tenant1")
    alone = unpacked(keepfs, suffix)
    keepfs.sections["export"]["jobs"] = "4"
    keepfs.write_conf()
    keepfs.remount()
    run, _ = ended(keepfs, "export tenant1")
    assert "parts are read over" in log_of(keepfs, run)
    assert unpacked(keepfs, suffix) == alone and len(alone) > 3


def test_ranges_after_changes(new_keepfs, app, copy):
    """pages that came after the ranges were cut are in none but the last one; of what was deleted nothing is left"""
    app.sql(copy, f"DELETE FROM marks; DELETE FROM lines WHERE id BETWEEN 1000 AND {ROWS // 2} OR id > {ROWS - 1000}")
    keepfs = start(new_keepfs, settings(app.uri(copy), jobs="3"))
    run, _ = ended(keepfs, "export tenant1")
    assert tables_of(keepfs).count(b'"body":"line ') == int(app.sql(copy, "SELECT count(*) FROM lines WHERE org_id = 1"))


def test_others_read_what_the_context_shows(new_keepfs, app, copy):
    """each connection is within the tenant's context, and locks the tables before"""
    app.sql(copy, """
        DO $$ BEGIN CREATE ROLE export_parallel_reader; EXCEPTION WHEN duplicate_object THEN NULL; END $$;
        GRANT SELECT ON ALL TABLES IN SCHEMA public TO export_parallel_reader;
        ALTER TABLE lines ENABLE ROW LEVEL SECURITY;
        CREATE POLICY own ON lines USING (org_id = current_setting('app.org_id', true)::bigint)""")
    keepfs = start(new_keepfs, settings(app.uri(copy), jobs="3", role="export_parallel_reader", settings="app.org_id={id}"))
    run, _ = ended(keepfs, "export tenant1")
    assert "parts are read over 3 connections" in log_of(keepfs, run)
    assert tables_of(keepfs).count(b'"body":"line ') == int(app.sql(copy, "SELECT count(*) FROM lines WHERE org_id = 1"))


def test_no_further_connection(new_keepfs, app, copy):
    """the role may have two connections, which is what an export takes at least: it is made, and the log says once why nobody helped"""
    app.sql(copy, "DO $$ BEGIN CREATE ROLE export_parallel_two LOGIN; EXCEPTION WHEN duplicate_object THEN NULL; END $$; ALTER ROLE export_parallel_two CONNECTION LIMIT 2; "
                  "GRANT SELECT ON ALL TABLES IN SCHEMA public TO export_parallel_two")
    keepfs = start(new_keepfs, settings(app.uri(copy, user="export_parallel_two"), jobs="4"))
    run, _ = ended(keepfs, "export tenant1")
    assert log_of(keepfs, run).count("no further connection could join the snapshot") == 1
    assert tables_of(keepfs).count(b'"body":"line ') == int(app.sql(copy, "SELECT count(*) FROM lines WHERE org_id = 1"))


def test_pooler_without_room(new_keepfs, app, copy):
    """a pooler has two connections to the server: who waits for a third one is not waited for"""
    if not postgres.Pooler.PROGRAM:
        pytest.skip("PgBouncer is not installed")
    pooler = postgres.Pooler(app, "transaction", size=2)
    try:
        keepfs = start(new_keepfs, settings(pooler.uri(copy), jobs="4"))
        ended(keepfs, "export tenant1")
        assert tables_of(keepfs).count(b'"body":"line ') == int(app.sql(copy, "SELECT count(*) FROM lines WHERE org_id = 1"))
    finally:
        keepfs.unmount()
        pooler.remove()


@pytest.mark.parametrize("change, why", [
    ("UPDATE lines SET body = 'ghp_' || '16C7e42F292c6912E7710c838347Ae178B4a' WHERE id = 150001", "public.lines.body looks like a secret"),
    ("ALTER TABLE marks ADD other_id bigint REFERENCES lines; UPDATE marks SET other_id = (SELECT min(id) FROM lines WHERE org_id = 3) WHERE id = 75001",
     "public.marks: a row also leads to another tenant"),
])
def test_bad_row_in_the_middle(new_keepfs, app, copy, store, change, why):
    """one row of a later part: the run fails, and nothing is listed or kept"""
    app.sql(copy, change)
    keepfs = start(new_keepfs, settings(app.uri(copy), jobs="3"))
    _, status = ended(keepfs, "export tenant1", "failed")
    assert why in status["error"]
    assert made(keepfs, "tenant1") == [] and is_empty(store)
    # The connection that failed is not handed on.
    app.sql(copy, "UPDATE lines SET body = 'well' WHERE id = 150001; DELETE FROM marks WHERE id = 75001")
    ended(keepfs, "export tenant1")


def begun(app, copy, keepfs):
    run = keepfs.trigger("export tenant1")
    wait_until(lambda: int(app.sql("postgres", COPYING.format(copy))) >= 2, "two copies of the large table")
    return run


@pytest.mark.parametrize("order", ["", "DESC"])
def test_connection_lost(new_keepfs, app, copy, store, order):
    """that of the export itself, or one that has joined it"""
    keepfs = start(new_keepfs, settings(app.uri(copy), jobs="2", max_rate="2M"))
    run = begun(app, copy, keepfs)
    app.sql("postgres", f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{copy}' AND application_name = 'keepfs export' AND query LIKE 'COPY%lines%' "
                        f"ORDER BY backend_start {order} LIMIT 1")
    status = keepfs.wait_run(run)
    assert status["state"] == "failed" and "table public.lines" in status["error"], status
    assert made(keepfs, "tenant1") == [] and is_empty(store)
    assert app.sql("postgres", COPYING.format(copy)) == "0"


def test_cancelled(new_keepfs, app, copy, store):
    keepfs = start(new_keepfs, settings(app.uri(copy), jobs="3", max_rate="2M"))
    run = begun(app, copy, keepfs)
    keepfs.path("jobs", str(run), "cancel").write_text("1\n")
    assert keepfs.wait_run(run)["state"] == "cancelled"
    assert made(keepfs, "tenant1") == [] and is_empty(store)
    assert app.sql("postgres", COPYING.format(copy)) == "0"


def test_tenants_at_once(new_keepfs, app, copy, store):
    """one that fails holds up no other; the log tells of each by its name, and sums up"""
    app.sql(copy, "UPDATE lines SET body = 'ghp_' || '16C7e42F292c6912E7710c838347Ae178B4a' WHERE id = (SELECT max(id) FROM lines WHERE org_id = 5)")
    keepfs = start(new_keepfs, settings(app.uri(copy), jobs="4"))
    run, status = ended(keepfs, "exports", "failed")
    assert "1 of 12 tenants failed: tenant5: " in status["error"] and "lines.body looks like a secret" in status["error"]
    assert made(keepfs, "tenant5") == []
    for n in range(1, TENANTS + 1):
        if n != 5:
            assert tables_of(keepfs, f"tenant{n}").count(b'"body":"line ') == int(app.sql(copy, f"SELECT count(*) FROM lines WHERE org_id = {n}"))
    log = log_of(keepfs, run)
    assert "11 of 12 tenants were made; failed: tenant5" in log
    assert all(f"tenant{n}: " in log for n in range(1, TENANTS + 1))


def test_connections_of_tenants_at_once(new_keepfs, app, copy):
    """never more that read than the key says"""
    keepfs = start(new_keepfs, settings(app.uri(copy), jobs="2", max_rate="4M"))
    run = keepfs.trigger("exports")
    seen = []

    def look(status):
        seen.append(int(app.sql("postgres", f"SELECT count(*) FROM pg_stat_activity WHERE datname = '{copy}' AND application_name = 'keepfs export' AND state = 'active' "
                                            "AND query LIKE 'COPY%'")))
        return status["state"] != "running" and status["state"] != "pending"
    assert keepfs.wait_run(run, condition=look)["state"] == "completed"
    assert 1 <= max(seen) <= 2, seen
