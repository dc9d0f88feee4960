# SPDX-License-Identifier: Apache-2.0
"""A tenant leaves: what was exported is deleted, and nothing else ever is."""
import os
import re
import subprocess

import pytest

import exporting
from daemon import wait_until
from exporting import document, ended, is_empty, made, rows_of, settings, start

DATABASE = "offboard_app"
OF_OTHERS = """SELECT md5(string_agg(line, '' ORDER BY line)) FROM (
    SELECT o::text FROM orgs o WHERE slug <> 'acme' UNION ALL SELECT c::text FROM countries c UNION ALL SELECT u::text FROM users u WHERE org_id <> 1
    UNION ALL SELECT p::text FROM projects p WHERE org_id <> 1
    UNION ALL SELECT t::text FROM tasks t JOIN projects p ON p.id = project_id WHERE org_id <> 1
    UNION ALL SELECT c::text FROM comments c JOIN tasks t ON t.id = task_id JOIN projects p ON p.id = project_id WHERE org_id <> 1) all_rows (line)"""
LEFT = """SELECT concat_ws(',', (SELECT count(*) FROM orgs WHERE slug = 'acme'), (SELECT count(*) FROM users WHERE org_id = 1), (SELECT count(*) FROM projects WHERE org_id = 1),
    (SELECT count(*) FROM tasks JOIN projects p ON p.id = project_id WHERE org_id = 1),
    (SELECT count(*) FROM comments JOIN tasks t ON t.id = task_id JOIN projects p ON p.id = project_id WHERE org_id = 1))"""
ALL, NOTHING = "1,7,4,20,40", "0,0,0,0,0"
LEAVE = "export acme then-delete=acme"


@pytest.fixture(scope="module")
def app(pg):
    yield from exporting.application(pg, DATABASE)


@pytest.fixture
def copy(app):
    yield from exporting.copied(app, DATABASE)


class Session:
    """psql, statement by statement"""

    def __init__(self, pg, database):
        self.psql = subprocess.Popen([str(pg.bindir / "psql"), "-X", "-q", "-A", "-t", "-d", pg.uri(database)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def do(self, sql):
        self.psql.stdin.write(f"{sql}; SELECT 'done';\n")
        self.psql.stdin.flush()
        assert self.psql.stdout.readline().strip() == "done", sql

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.psql.communicate("")


def waits(pg, database, table):
    return pg.sql(database, f"SELECT pid FROM pg_locks WHERE NOT granted AND relation = '{table}'::regclass")


def log_of(keepfs, run):
    return keepfs.text("jobs", str(run), "log")


def refused_run(keepfs, copy, pg, *words):
    """it fails after the export, and nothing is deleted"""
    run, status = ended(keepfs, LEAVE, "failed")
    assert all(word in status["error"] for word in words), status["error"]
    assert pg.sql(copy, LEFT) == ALL
    return run, status


def test_a_tenant_leaves(new_keepfs, app, copy, store):
    """all of its rows, in one export that is kept; nothing of anybody else"""
    keepfs = start(new_keepfs, settings(app.uri(copy), verify="none", keep_last="1"))
    before = app.sql(copy, OF_OTHERS)
    plain = keepfs.run("export", "acme", "--then-delete", "acme", "--dry-run").stdout
    assert [line.split()[1] for line in plain.splitlines() if line.split()[0:1] and line.split()[0].isdigit()][-2:] == ["public.orgs", "in"]
    assert "          72  in all" in plain and "refused" not in plain
    assert app.sql(copy, LEFT) == ALL and made(keepfs, "acme") == []
    done = keepfs.run("export", "acme", "--then-delete", "acme", "--wait")
    assert done.returncode == 0
    assert app.sql(copy, LEFT) == NOTHING and app.sql(copy, OF_OTHERS) == before
    (name,) = made(keepfs, "acme")
    read = document(keepfs, "acme")
    assert [len(rows_of(read, t)) for t in ("orgs", "users", "projects", "tasks", "comments")] == [1, 7, 4, 20, 40]
    path = keepfs.path("exports", "acme", name)
    assert os.getxattr(path, "user.keepfs.verified_at")
    (line,) = [l for l in keepfs.text("status", "audit.jsonl").splitlines() if "then-delete=acme" in l]
    assert '"trigger"' in line
    history = keepfs.history()[0]
    assert "then-delete=acme" in str(history) and "being deleted" in str(keepfs.run_status(history["run"]))
    # The tenant is not named any more: its exports stay for keep_deleted, and nobody else's are disturbed.
    ended(keepfs, "exports")
    assert made(keepfs, "acme") == [name]


def test_names(new_keepfs, app, copy):
    """the name is typed twice"""
    keepfs = start(new_keepfs, settings(app.uri(copy)))
    assert "is not the name of the tenant" in keepfs.refused("trigger", "export acme then-delete=globex")
    assert "is not the name of the tenant" in keepfs.refused("trigger", "export acme then-delete=Acme")
    assert "names none" in keepfs.refused("trigger", "export acme then-delete=")
    assert "deletes one tenant" in keepfs.refused("trigger", "exports then-delete=acme")
    for arguments in (("acme", "globex", "--then-delete", "acme"), ("--all", "--then-delete", "acme"), ("acme", "--dry-run"),
                      ("acme", "--then-delete", "globex", "--dry-run")):
        assert keepfs.run("export", *arguments, check=False).returncode == 2, arguments
    assert keepfs.history() == [] and app.sql(copy, LEFT) == ALL


def test_circles(new_keepfs, app, copy):
    """tables that refer to each other, and rows that refer to themselves, with keys that nobody can defer"""
    app.sql(copy, "ALTER TABLE orgs ADD owner_id bigint REFERENCES users; UPDATE orgs o SET owner_id = (SELECT min(id) FROM users WHERE org_id = o.id);"
                  "ALTER TABLE orgs ALTER owner_id SET NOT NULL; ALTER TABLE users ADD mentor_id bigint REFERENCES users ON DELETE RESTRICT; UPDATE users SET mentor_id = id")
    before = app.sql(copy, OF_OTHERS)
    keepfs = start(new_keepfs, settings(app.uri(copy)))
    ended(keepfs, LEAVE)
    assert app.sql(copy, LEFT) == NOTHING and app.sql(copy, OF_OTHERS) == before


def test_batches(new_keepfs, app, copy):
    """more rows than a batch has, in partitions too"""
    app.sql(copy, "CREATE TABLE events (id bigint, org_id bigint REFERENCES orgs, n int) PARTITION BY RANGE (n); CREATE TABLE events_low PARTITION OF events FOR VALUES FROM (0) TO (6000);"
                  "CREATE TABLE events_high PARTITION OF events DEFAULT; INSERT INTO events SELECT n, 1 + n % 2, n FROM generate_series(1, 24000) n")
    keepfs = start(new_keepfs, settings(app.uri(copy)))
    run, _ = ended(keepfs, LEAVE)
    assert "deleted 5000 of 12000 rows of public.events" in log_of(keepfs, run) and "deleted 12000 of 12000 rows of public.events" in log_of(keepfs, run)
    assert app.sql(copy, "SELECT count(*), min(org_id), max(org_id) FROM events") == "12000|2|2" and app.sql(copy, LEFT) == NOTHING


def test_cascades(new_keepfs, app, copy):
    """a row that is in no export is not deleted by a foreign key"""
    app.sql(copy, "CREATE TABLE sessions (id int, user_id bigint REFERENCES users ON DELETE CASCADE); INSERT INTO sessions SELECT 1, min(id) FROM users WHERE org_id = 1;"
                  "CREATE TABLE seen (id int, user_id bigint REFERENCES users ON DELETE SET NULL); INSERT INTO seen SELECT 1, min(id) FROM users WHERE org_id = 1")
    keepfs = start(new_keepfs, settings(app.uri(copy), exclude="sessions, seen"))
    shown = keepfs.run("export", "acme", "--then-delete", "acme", "--dry-run").stdout
    assert "It would be refused: rows of public.sessions that are in no export refer to rows of public.users" in shown
    run, _ = refused_run(keepfs, copy, app, "nothing is deleted", "public.sessions", "ON DELETE CASCADE")
    assert app.sql(copy, "SELECT count(*) FROM sessions") == "1" and len(made(keepfs, "acme")) == 1
    # A row of another tenant that refers to one of this tenant.
    app.sql(copy, "DELETE FROM sessions; CREATE TABLE shares (org_id bigint REFERENCES orgs, with_user bigint REFERENCES users ON DELETE CASCADE);"
                  "INSERT INTO shares SELECT 2, min(id) FROM users WHERE org_id = 1")
    refused_run(keepfs, copy, app, "public.shares")
    app.sql(copy, "DELETE FROM shares")
    run, _ = ended(keepfs, LEAVE)
    assert app.sql(copy, LEFT) == NOTHING and app.sql(copy, "SELECT count(*), count(user_id) FROM seen") == "1|0"
    assert "rows of public.seen that refer to rows of public.users lose that reference" in log_of(keepfs, run)


def test_rows_that_come_meanwhile(new_keepfs, app, copy):
    """written after the snapshot of the export, before anything is deleted"""
    app.sql(copy, "CREATE TABLE bulk (id int PRIMARY KEY, org_id bigint NOT NULL REFERENCES orgs, body text); INSERT INTO bulk SELECT n, 1, repeat('plain words ', 80) FROM generate_series(1, 800) n")
    keepfs = start(new_keepfs, settings(app.uri(copy), max_rate="300K"))
    for change, word in (("INSERT INTO comments SELECT min(id), 99, NULL, 'late' FROM tasks", "1 rows of public.comments are the tenant's, and were written after the export"),
                         ("UPDATE bulk SET body = 'newer' WHERE id = 5", "1 rows of public.bulk were changed or deleted after they had been exported"),
                         ("DELETE FROM bulk WHERE id = 7", "1 rows of public.bulk were changed or deleted")):
        run = keepfs.trigger(LEAVE)
        wait_until(lambda: app.sql("postgres", f"SELECT count(*) FROM pg_stat_activity WHERE datname = '{copy}' AND query LIKE 'COPY%bulk%'") != "0", "the copy of the large table")
        app.sql(copy, change)
        status = keepfs.wait_run(run)
        assert status["state"] == "failed" and word in status["error"] and "nothing is deleted" in status["error"], status
    assert app.sql(copy, LEFT) == "1,7,4,20,41" and app.sql(copy, "SELECT count(*) FROM bulk") == "799"
    keepfs.sections["export"].pop("max_rate")
    keepfs.write_conf()
    keepfs.remount()
    ended(keepfs, LEAVE)
    assert app.sql(copy, LEFT) == NOTHING


def test_a_row_that_commits_under_the_deletion(new_keepfs, app, copy):
    """nobody sees it until the last batch waits for it"""
    keepfs = start(new_keepfs, settings(app.uri(copy)))
    with Session(app, copy) as other:
        other.do("BEGIN; INSERT INTO users (org_id, email) VALUES (1, 'late@example.org')")
        run = keepfs.trigger(LEAVE)
        wait_until(lambda: app.sql(copy, "SELECT pid FROM pg_locks WHERE NOT granted AND locktype = 'transactionid'"), "the deletion to wait for the row")
        assert app.sql(copy, LEFT) == "1,0,0,0,0"
        other.do("COMMIT")
    status = keepfs.wait_run(run)
    assert status["state"] == "failed" and "of the tenant only 71 of 72 rows are deleted" in status["error"] and "public.users" in status["error"], status
    assert app.sql(copy, LEFT) == "1,1,0,0,0" and "the others are there" in str(status)
    ended(keepfs, LEAVE)
    assert app.sql(copy, LEFT) == NOTHING
    mails = [row["email"] for name in made(keepfs, "acme") for row in rows_of(document(keepfs, "acme", name), "users")]
    assert len(mails) == 8 and len(set(mails)) == 8


def test_killed_between_batches(new_keepfs, app, copy):
    """what is gone is in the log; the same command goes on; each row is in one of the exports"""
    keepfs = start(new_keepfs, settings(app.uri(copy)))
    before = app.sql(copy, OF_OTHERS)
    with Session(app, copy) as other:
        other.do("BEGIN; LOCK TABLE projects IN EXCLUSIVE MODE")
        run = keepfs.trigger(LEAVE)
        wait_until(lambda: waits(app, copy, "projects"), "the deletion to wait for the projects")
        keepfs.kill()
        other.do("ROLLBACK")
    wait_until(lambda: app.sql("postgres", f"SELECT count(*) FROM pg_stat_activity WHERE datname = '{copy}' AND application_name = 'keepfs export'") == "0", "its sessions to end")
    left = app.sql(copy, LEFT)
    assert left.startswith("1,") and left.split(",")[2:] == ["4", "0", "0"]
    keepfs.remount()
    status = keepfs.run_status(run)
    assert status["state"] == "failed" and "being deleted" in str(status)
    assert "deleted 40 of 40 rows of public.comments" in log_of(keepfs, run) and "rows of public.projects" not in log_of(keepfs, run)
    ended(keepfs, LEAVE)
    assert app.sql(copy, LEFT) == NOTHING and app.sql(copy, OF_OTHERS) == before
    ids = {t: set() for t in ("users", "projects", "tasks")}
    for name in made(keepfs, "acme"):
        for table, found in ids.items():
            found.update(str(row["id"]) for row in rows_of(document(keepfs, "acme", name), table))
    assert [len(found) for found in ids.values()] == [7, 4, 20]


def test_cancelled(new_keepfs, app, copy):
    keepfs = start(new_keepfs, settings(app.uri(copy)))
    with Session(app, copy) as other:
        other.do("BEGIN; LOCK TABLE projects IN EXCLUSIVE MODE")
        run = keepfs.trigger(LEAVE)
        wait_until(lambda: waits(app, copy, "projects"), "the deletion to wait for the projects")
        keepfs.path("jobs", str(run), "cancel").write_text("1")
        status = keepfs.wait_run(run)
        other.do("ROLLBACK")
    assert status["state"] == "cancelled" and "rows are gone" in str(status), status
    ended(keepfs, LEAVE)
    assert app.sql(copy, LEFT) == NOTHING


def test_a_trigger_that_keeps_rows(new_keepfs, app, copy):
    app.sql(copy, "CREATE FUNCTION keep() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END'; CREATE TRIGGER keep BEFORE DELETE ON comments FOR EACH ROW EXECUTE FUNCTION keep()")
    keepfs = start(new_keepfs, settings(app.uri(copy)))
    refused_run(keepfs, copy, app, "40 rows of public.comments were not deleted by the server", "nothing was deleted")


def test_a_commit_that_is_not_answered(new_keepfs, app, copy):
    """nobody says that nothing was deleted when nobody knows"""
    keepfs = start(new_keepfs, settings(app.uri(copy)))
    app.sql(copy, "CREATE FUNCTION break_off() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN PERFORM pg_terminate_backend(pg_backend_pid()); RETURN NULL; END $$;"
                  "CREATE CONSTRAINT TRIGGER break_off AFTER DELETE ON comments DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION break_off()")
    _, status = ended(keepfs, LEAVE, "failed")
    assert "it is not known whether it has" in status["error"] and "and perhaps those of the last step" in status["error"] and "nothing was deleted" not in status["error"], status
    assert app.sql(copy, LEFT) == ALL
    app.sql(copy, "DROP TRIGGER break_off ON comments")
    ended(keepfs, LEAVE)
    assert app.sql(copy, LEFT) == NOTHING


def test_policies_and_rights(new_keepfs, app, copy):
    """a role from which policies hide rows cannot say that all are exported; one that may not delete is refused before"""
    role = f"leaver_{os.getpid()}"
    app.sql(copy, f"CREATE ROLE {role} LOGIN; GRANT SELECT ON ALL TABLES IN SCHEMA public TO {role}; GRANT TEMPORARY ON DATABASE {copy} TO {role}")
    try:
        keepfs = start(new_keepfs, settings(app.uri(copy, user=role)))
        refused_run(keepfs, copy, app, "needs DELETE and UPDATE", "public.comments")
        app.sql(copy, f"GRANT DELETE, UPDATE ON ALL TABLES IN SCHEMA public TO {role}; ALTER TABLE users ENABLE ROW LEVEL SECURITY; CREATE POLICY halves ON users USING (id % 2 = 0)")
        count = len(made(keepfs, "acme"))
        refused_run(keepfs, copy, app, "row-level security")
        assert len(made(keepfs, "acme")) == count
        app.sql(copy, "DROP POLICY halves ON users; ALTER TABLE users DISABLE ROW LEVEL SECURITY")
        ended(keepfs, LEAVE)
        assert app.sql(copy, LEFT) == NOTHING
    finally:
        app.sql(copy, f"DROP OWNED BY {role}; DROP ROLE {role}")


@pytest.mark.parametrize("fault", ["put:1+:eio", "get:1+:corrupt", "get:1+:eio"])
def test_a_store_that_refuses(new_keepfs, app, copy, fault):
    """no export that can be read back, no deletion"""
    keepfs = start(new_keepfs, settings(app.uri(copy)))
    keepfs.unmount()
    keepfs.store_settings["faults"] = fault
    keepfs.write_conf()
    keepfs.mount()
    refused_run(keepfs, copy, app)
    assert made(keepfs, "acme") == []
    keepfs.unmount()
    keepfs.store_settings.pop("faults")
    keepfs.write_conf()
    keepfs.mount()
    ended(keepfs, LEAVE)
    assert app.sql(copy, LEFT) == NOTHING


def test_a_schema(new_keepfs, app):
    """dropped with all that is in it; refused while others need something of it, or a table of it was not exported"""
    name = f"offboard_schemas_{os.getpid()}"
    app.create(name)
    try:
        app.sql(name, "CREATE TABLE tenants (id int, slug text); INSERT INTO tenants VALUES (1, 'red'), (2, 'blue')")
        for slug in ("red", "blue"):
            app.sql(name, f"""CREATE SCHEMA {slug}; CREATE TABLE {slug}.items (id serial PRIMARY KEY, of text); INSERT INTO {slug}.items (of) SELECT '{slug}' FROM generate_series(1, 3) n;
                              CREATE TABLE {slug}.parts (item int REFERENCES {slug}.items, n int); INSERT INTO {slug}.parts VALUES (1, 1); CREATE VIEW {slug}.seen AS SELECT * FROM {slug}.items;
                              CREATE TABLE {slug}.cache (n int); CREATE TYPE {slug}.kind AS ENUM ('a'); CREATE FUNCTION {slug}.one() RETURNS int LANGUAGE sql AS 'SELECT 1'""")
        keepfs = start(new_keepfs, {"database": app.uri(name), "tenancy": "schema", "tenants": "SELECT id, slug FROM tenants", "exclude": "public.tenants, *.cache"})
        leave = "export red then-delete=red"

        def refused(*words):
            _, status = ended(keepfs, leave, "failed")
            assert all(word in status["error"] for word in words) and "nothing was deleted" in status["error"], status["error"]
            assert app.sql(name, "SELECT count(*) FROM red.items") == "3"
        app.sql(name, "INSERT INTO red.cache VALUES (1); CREATE VIEW blue.joined AS SELECT * FROM red.items")
        refused("red.cache have rows that are in no export", "view blue.joined would be dropped, too")
        assert "view blue.joined" in keepfs.run("export", "red", "--then-delete", "red", "--dry-run").stdout
        app.sql(name, "DELETE FROM red.cache; DROP VIEW blue.joined; CREATE TABLE public.notes (item int REFERENCES red.items)")
        refused("notes")
        app.sql(name, "DROP TABLE public.notes; CREATE TABLE public.kinds (k red.kind)")
        refused("kinds")
        app.sql(name, "DROP TABLE public.kinds")
        # Nobody sees it yet, and the drop waits for its transaction.
        with Session(app, name) as other:
            other.do("BEGIN; CREATE TABLE red.late (n int); INSERT INTO red.late VALUES (1)")
            run = keepfs.trigger(leave)
            wait_until(lambda: app.sql(name, "SELECT pid FROM pg_locks WHERE NOT granted AND locktype = 'object'"), "the drop to wait")
            other.do("COMMIT")
        status = keepfs.wait_run(run)
        assert status["state"] == "failed" and "red.late were made meanwhile" in status["error"] and "nothing was deleted" in status["error"], status
        assert app.sql(name, "SELECT (SELECT count(*) FROM red.late) + (SELECT count(*) FROM red.items)") == "4"
        app.sql(name, "DROP TABLE red.late")
        ended(keepfs, leave)
        assert app.sql(name, "SELECT count(*) FROM pg_namespace WHERE nspname = 'red'") == "0" and app.sql(name, "SELECT count(*) FROM blue.items, blue.parts") == "3"
        assert [len(rows_of(document(keepfs, "red"), t, "red")) for t in ("items", "parts")] == [3, 1]
    finally:
        app.drop(name)


def test_a_database(new_keepfs, app):
    """dropped after a last backup of it, once nobody is connected"""
    registry, own, other = (f"offboard_{what}_{os.getpid()}" for what in ("registry", "own", "other"))
    for name in (registry, own, other):
        app.create(name)
    try:
        app.sql(registry, f"CREATE TABLE tenants (id int, slug text); INSERT INTO tenants VALUES (1, '{own}'), (2, '{other}')")
        for name in (own, other):
            app.sql(name, "CREATE TABLE items (id int PRIMARY KEY); INSERT INTO items SELECT generate_series(1, 3); CREATE TABLE cache (n int); INSERT INTO cache VALUES (1)")
        section = {"database": app.uri(registry), "tenancy": "database", "tenants": "SELECT id, slug FROM tenants", "exclude": "cache"}
        keepfs = start(new_keepfs, section)
        leave = f"export {own} then-delete={own}"

        def refused(*words):
            _, status = ended(keepfs, leave, "failed")
            assert all(word in status["error"] for word in words) and "nothing was deleted" in status["error"], status["error"]
            assert app.sql(own, "SELECT count(*) FROM items") == "3"
        refused("no [backup] of the configuration makes whole dumps")
        keepfs.sections["backup all"] = {"database": app.uri(registry), "databases": f"{own}, {other}", "exclude_table_data": "cache"}
        keepfs.write_conf()
        keepfs.remount()
        refused("no [backup] of the configuration makes whole dumps")
        keepfs.sections["backup all"] = {"database": app.uri(registry), "databases": f"{own}, {other}"}
        keepfs.write_conf()
        keepfs.remount()
        with Session(app, own) as session:
            session.do("SELECT FROM items WHERE false")
            refused("others are connected to the database")
        run, _ = ended(keepfs, leave)
        assert app.sql("postgres", f"SELECT datname FROM pg_database WHERE datname IN ('{own}', '{other}')") == other
        (last,) = re.findall(f"the last backup of {own} is (.*)", log_of(keepfs, run))
        assert last.startswith(f"backups/all/{own}/") and os.getxattr(keepfs.path(last), "user.keepfs.verified_at")
        app.tool("pg_restore", "-l", keepfs.path(last))
        assert len(rows_of(document(keepfs, own), "items")) == 3
    finally:
        for name in (registry, own, other):
            if app.sql("postgres", f"SELECT 1 FROM pg_database WHERE datname = '{name}'"):
                app.drop(name)


def test_a_table_that_comes_behind_the_last_backup(new_keepfs, app, tmp_path):
    """its rows are in no backup, so the database stays"""
    registry, own = (f"offboard_{what}_{os.getpid()}" for what in ("registry", "late"))
    for name in (registry, own):
        app.create(name)
    try:
        app.sql(registry, f"CREATE TABLE tenants (id int, slug text); INSERT INTO tenants VALUES (1, '{own}')")
        app.sql(own, "CREATE TABLE items (id int PRIMARY KEY); INSERT INTO items SELECT generate_series(1, 3)")
        program = tmp_path / "pg_dump"
        program.write_text(f"""#!/bin/sh
[ "$1" = --version ] && exec {app.bindir}/pg_dump --version
{app.bindir}/pg_dump "$@" || exit
{app.bindir}/psql -X -q -d '{app.uri(own)}' -c 'CREATE TABLE IF NOT EXISTS late AS SELECT 1 AS n' >&2
""")
        program.chmod(0o755)
        keepfs = start(new_keepfs, {"database": app.uri(registry), "tenancy": "database", "tenants": "SELECT id, slug FROM tenants"})
        keepfs.sections["backup all"] = {"database": app.uri(registry), "databases": own, "pg_bindir": tmp_path, "globals": "no", "jobs": "1"}
        keepfs.write_conf()
        keepfs.remount()
        _, status = ended(keepfs, f"export {own} then-delete={own}", "failed")
        assert "public.late were made after the export" in status["error"] and "nothing was deleted" in status["error"]
        assert app.sql(own, "SELECT (SELECT count(*) FROM late) + (SELECT count(*) FROM items)") == "4"
        # Now the export has it.
        ended(keepfs, f"export {own} then-delete={own}")
        assert len(rows_of(document(keepfs, own), "late")) == 1
    finally:
        for name in (registry, own):
            if app.sql("postgres", f"SELECT 1 FROM pg_database WHERE datname = '{name}'"):
                app.drop(name)
