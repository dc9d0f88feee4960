# SPDX-License-Identifier: Apache-2.0
"""Importing exports of tenants: into an empty database, and as new tenants into one that lives."""
import os

import pytest

import exporting
from daemon import wait_until
from exporting import settings
from importing import Imports, read, rows

DATABASE = "import_app"
QUERIES = {  # of one tenant, by its short name: all but generated keys
    "orgs": "SELECT name, plan FROM orgs WHERE slug = '{}'",
    "users": "SELECT u.email, u.country, u.born, u.tags, u.settings FROM users u JOIN orgs o ON o.id = org_id WHERE slug = '{}' ORDER BY u.id",
    "projects": "SELECT p.title, p.budget, p.double_budget, p.started, p.picture FROM projects p JOIN orgs o ON o.id = org_id WHERE slug = '{}' ORDER BY budget",
    "tasks": "SELECT p.title, t.title, s.title, t.done, t.took, t.weight FROM tasks t JOIN projects p ON p.id = project_id JOIN orgs o ON o.id = org_id"
             " LEFT JOIN tasks s ON s.id = t.parent_id WHERE slug = '{}' ORDER BY 1, 2",
    "comments": "SELECT p.title, t.title, c.number, u.email, c.body FROM comments c JOIN tasks t ON t.id = task_id JOIN projects p ON p.id = project_id"
                " JOIN orgs o ON o.id = p.org_id JOIN users u ON u.id = c.author_id AND u.org_id = o.id WHERE slug = '{}' ORDER BY 1, 2, 3",
}


@pytest.fixture(scope="module")
def app(pg):
    yield from exporting.application(pg, DATABASE)


@pytest.fixture
def copy(app):
    yield from exporting.copied(app, DATABASE)


@pytest.fixture
def target(app):
    """the same application, without a row"""
    name = f"import_target_{os.getpid()}"
    app.create(name)
    app.sql(name, exporting.TABLES)
    yield name
    app.drop(name)


@pytest.fixture
def imports(new_keepfs, pg, store):
    return Imports(new_keepfs(), pg, store)


def all_of(pg, database, tenant):
    return {table: rows(pg, database, query.format(tenant)) for table, query in QUERIES.items()}


def test_into_an_empty_database(imports, app, target):
    """each row comes as it was, with its keys; sequences go on behind them; the second time there is nothing to do"""
    path = imports.export(settings(app.uri(DATABASE)))
    app.sql(target, "INSERT INTO countries VALUES ('DE', 'Deutschland')")
    assert "shared=insert" in imports.refused(target, path)
    said = imports.into(target, path, "shared=insert")
    count = read(path)["row_count"]
    assert f"{count - 1} rows were inserted" in said and "redacted (omit): public.users.password_hash" in said
    assert all_of(app, target, "acme") == all_of(app, DATABASE, "acme")
    assert rows(app, target, "SELECT * FROM orgs") == rows(app, DATABASE, "SELECT * FROM orgs WHERE id = 1")
    assert rows(app, target, "SELECT * FROM tasks ORDER BY id") == rows(
        app, DATABASE, "SELECT t.* FROM tasks t JOIN projects p ON p.id = project_id WHERE org_id = 1 ORDER BY t.id")
    # New rows get numbers that are free.
    app.sql(target, "INSERT INTO tasks (project_id) SELECT id FROM projects LIMIT 1; INSERT INTO orgs (slug) VALUES ('next'); "
                    "INSERT INTO users (org_id, email) VALUES (1, 'next@example.org')")
    app.sql(target, "DELETE FROM tasks WHERE title IS NULL; DELETE FROM users WHERE email = 'next@example.org'")
    before = app.fingerprint(target)
    assert "already: nothing was changed" in imports.into(target, path, "shared=insert")
    assert app.fingerprint(target) == before
    # Somebody has changed a row since.
    app.sql(target, "UPDATE users SET email = 'new@example.org' WHERE email LIKE '%3@%'")
    said = imports.refused(target, path)
    assert "is in the target already, with other rows" in said and "differ in email" in said


def test_a_new_tenant(imports, app, copy):
    """into a database that lives, beside the one that it was: new keys for all, references follow, nobody else is touched"""
    path = imports.export(settings(app.uri(DATABASE)))
    others = {tenant: all_of(app, copy, tenant) for tenant in ("acme", "globex", "initech")}
    before = app.fingerprint(copy)
    plan = imports.into(copy, path, "--tenant", "acme-copy", "--dry-run")
    assert "rows would be inserted" in plan and "new keys: id" in plan and app.fingerprint(copy) == before
    said = imports.into(copy, path, "--tenant", "acme-copy", "name=Acme again")
    assert "the tenant's id is 4" in said
    assert {tenant: all_of(app, copy, tenant) for tenant in others} == others
    came, was = all_of(app, copy, "acme-copy"), others["acme"]
    assert rows(app, copy, "SELECT name FROM orgs WHERE slug = 'acme-copy'") == ["Acme again"]
    for table in ("users", "projects", "tasks", "comments"):
        assert came[table] == was[table], table
    # No key is shared, and no reference leads from one to the other.
    assert app.sql(copy, "SELECT count(*) FROM tasks t JOIN projects p ON p.id = t.project_id JOIN tasks s ON s.id = t.parent_id"
                         " JOIN projects q ON q.id = s.project_id WHERE p.org_id <> q.org_id") == "0"
    assert app.sql(copy, "SELECT count(*) FROM comments c JOIN tasks t ON t.id = task_id JOIN projects p ON p.id = project_id"
                         " JOIN users u ON u.id = author_id WHERE u.org_id <> p.org_id") == "0"
    # Once more: it is found, whatever its keys are.
    before = app.fingerprint(copy)
    assert "already: nothing was changed" in imports.into(copy, path, "--tenant", "acme-copy", "name=Acme again")
    assert "is in the target already, with other rows" in imports.refused(copy, path, "--tenant", "acme-copy")
    assert app.fingerprint(copy) == before
    app.sql(copy, "INSERT INTO tasks (project_id, title) SELECT id, 'later' FROM projects WHERE org_id = 4 LIMIT 1")
    assert "it has 1 more" in imports.refused(copy, path, "--tenant", "acme-copy", "name=Acme again")


def test_the_same_tenant_is_there(imports, app, copy):
    """the database from which it came has all of it; and is found to have it by its name, when all keys would get new values"""
    path = imports.export(settings(app.uri(DATABASE)))
    assert "nothing was changed" in imports.into(copy, path)
    assert "nothing was changed" in imports.into(copy, path, "--keys", "remap")
    said = imports.refused(copy, path, "--keys", "keep", "--tenant", "other")
    assert "clash" in said or "already, with other rows" in said


def test_an_id_that_is_said(imports, app, copy):
    path = imports.export(settings(app.uri(DATABASE)))
    assert "the tenant's id is 4711" in imports.into(copy, path, "--tenant", "acme-copy", "--tenant-id", "4711")
    assert all_of(app, copy, "acme-copy")["comments"] == all_of(app, copy, "acme")["comments"]


def test_by_the_mount(new_keepfs, app, copy, store):
    """an export is named as the mount shows it; runs, their log, and who may order what"""
    keepfs = exporting.start(new_keepfs, settings(app.uri(copy)))
    exporting.ended(keepfs, "export acme")
    (name,) = exporting.made(keepfs, "acme")
    run = int(keepfs.ask("import", f"exports/acme/{name} tenant=acme-copy").split()[0])
    status = keepfs.wait_run(run)
    assert status["state"] == "completed", keepfs.text("jobs", str(run), "log")
    assert "rows were inserted" in keepfs.text("jobs", str(run), "log")
    assert all_of(app, copy, "acme-copy")["tasks"] == all_of(app, copy, "acme")["tasks"]
    # A path in the mount is the same name; of what was made last, too.
    said = keepfs.run("import", keepfs.path("exports", "acme", name), "--tenant", "acme-copy").stdout
    assert "already: nothing was changed" in said
    assert "already" in keepfs.run("import", "exports/acme/latest.json.gz", "--tenant", "acme-copy").stdout
    assert "already" in keepfs.run("import", "exports/acme", "--tenant", "acme-copy", "--database", copy).stdout
    assert "name one export" in keepfs.refused("import", "a b")
    assert "allowed are" in keepfs.refused("import", "exports/acme colour=red")
    assert "is no backup" in keepfs.refused("import", "exports/nobody")
    assert "password" in keepfs.refused("import", "exports/acme database=postgresql://me:secret@host/db")
    assert "import" in keepfs.text("control", "README")


def test_schemas_and_databases(imports, pg):
    """tenants that have a schema, or a database, of their own"""
    names = [f"import_own_{os.getpid()}_{n}" for n in range(2)]
    tables = "CREATE TABLE t (id int GENERATED ALWAYS AS IDENTITY PRIMARY KEY, next int REFERENCES t, v text); CREATE TABLE log (at timestamptz, v text);"
    values = "INSERT INTO t (next, v) SELECT CASE WHEN n = 1 THEN NULL ELSE n - 1 END, 'v' || n FROM generate_series(1, 20) n; INSERT INTO log SELECT now(), v FROM t, generate_series(1, 2);"
    try:
        for name in names:
            pg.create(name)
        pg.sql(names[0], "CREATE SCHEMA acme; CREATE SCHEMA globex; CREATE TABLE tenants (slug text); INSERT INTO tenants VALUES ('acme'); "
                         f"SET search_path = acme; {tables} {values} SET search_path = globex; {tables}")
        path = imports.export({"database": pg.uri(names[0]), "tenancy": "schema", "tenants": "SELECT slug AS id, slug FROM tenants", "tenant_schema": "{slug}",
                               "exclude": "tenants"})
        pg.sql(names[1], f"CREATE SCHEMA other; SET search_path = other; {tables}")
        assert "no table acme." in imports.refused(names[1], path)
        assert "schema=NAME" in imports.refused(names[1], path, "--tenant", "other")
        imports.into(names[1], path, "schema=other")
        for table in ("t", "log"):
            assert rows(pg, names[1], f"SELECT * FROM other.{table} ORDER BY 1, 2") == rows(pg, names[0], f"SELECT * FROM acme.{table} ORDER BY 1, 2")
        assert "nothing was changed" in imports.into(names[1], path, "schema=other")
        pg.sql(names[1], "DELETE FROM other.log WHERE v = 'v3'")
        assert "clash: other.log has rows already" in imports.refused(names[1], path, "schema=other")
        # What migrations have filled is as it is; an empty table is filled.
        pg.sql(names[1], "TRUNCATE other.log")
        assert "other.t: 20 rows, which are there already" in imports.into(names[1], path, "schema=other")
        assert pg.sql(names[1], "SELECT count(*) FROM other.log") == "40"
    finally:
        for name in names:
            pg.drop(name)


CIRCLES = """
CREATE TABLE orgs (id uuid PRIMARY KEY, slug text UNIQUE NOT NULL, owner uuid NOT NULL);
CREATE TABLE users (id uuid PRIMARY KEY, org_id uuid NOT NULL REFERENCES orgs, boss uuid NOT NULL REFERENCES users);
ALTER TABLE orgs ADD FOREIGN KEY (owner) REFERENCES users;
CREATE TABLE posts (org_id uuid NOT NULL REFERENCES orgs, number int NOT NULL, pinned int NOT NULL, by uuid NOT NULL REFERENCES users, PRIMARY KEY (org_id, number));
CREATE TABLE replies (id int GENERATED BY DEFAULT AS IDENTITY PRIMARY KEY, org_id uuid NOT NULL, post int NOT NULL, FOREIGN KEY (org_id, post) REFERENCES posts, UNIQUE (org_id, id));
ALTER TABLE posts ADD FOREIGN KEY (org_id, pinned) REFERENCES replies (org_id, id) DEFERRABLE INITIALLY DEFERRED;
CREATE TABLE events (id bigserial PRIMARY KEY, org_id uuid NOT NULL, kind text, subject text, payload jsonb, raw json, UNIQUE (id, kind));
CREATE TABLE profiles (user_id uuid PRIMARY KEY REFERENCES users, v text);
CREATE TABLE badges (profile uuid REFERENCES profiles, v text);
"""
FILLED = """
BEGIN; SET CONSTRAINTS ALL DEFERRED;
CREATE FUNCTION u(n int) RETURNS uuid LANGUAGE sql RETURN md5(n::text)::uuid;
ALTER TABLE orgs ALTER owner DROP NOT NULL;
INSERT INTO orgs VALUES (u(1), 'acme', NULL), (u(2), 'globex', NULL);
INSERT INTO users SELECT u(10 * o + n), u(o), u(10 * o + n % 3) FROM generate_series(1, 2) o, generate_series(0, 2) n;
UPDATE orgs SET owner = u(10) WHERE slug = 'acme'; UPDATE orgs SET owner = u(20) WHERE slug = 'globex';
ALTER TABLE orgs ALTER owner SET NOT NULL;
INSERT INTO posts SELECT u(o), n, o * 100 + n, u(10 * o + n) FROM generate_series(1, 2) o, generate_series(0, 2) n;
INSERT INTO replies SELECT o * 100 + n, u(o), n FROM generate_series(1, 2) o, generate_series(0, 2) n;
INSERT INTO profiles SELECT id, 'p' FROM users; INSERT INTO badges SELECT user_id, 'b' FROM profiles;
INSERT INTO events (org_id, kind, subject, payload, raw)
  SELECT u(o), k, CASE k WHEN 'user' THEN u(10 * o + n)::text ELSE (o * 100 + n)::text END,
         jsonb_build_object('reply', o * 100 + n, 'deep', jsonb_build_object('user', u(10 * o + n), 'x', 1.50)), json_build_object('user', u(99))
  FROM generate_series(1, 2) o, generate_series(0, 2) n, unnest(ARRAY['user', 'reply']) k;
COMMIT;
"""
REFERENCES = ("events.subject -> users.id when kind = 'user'", "events.subject -> replies.id when kind = 'reply'",
              "events.payload->>'reply' -> replies.id", "events.payload->'deep'->>'user' -> users.id", "events.raw->>'user' -> users.id")


def test_circles_and_references(imports, pg):
    """rows that refer to each other in circles, and to themselves; composite keys; soft references, also within json"""
    name = f"import_circles_{os.getpid()}"
    try:
        pg.create(name)
        pg.sql(name, CIRCLES)
        pg.sql(name, FILLED)
        path = imports.export({"database": pg.uri(name), "tenants": "SELECT id, slug FROM orgs", "tenant_column": "org_id", "references": "; ".join(REFERENCES)})
        before = pg.fingerprint(name)
        imports.into(name, path, "--tenant", "copy")
        copied = "(SELECT id FROM orgs WHERE slug = 'copy')"
        assert pg.sql(name, f"SELECT count(*) FROM users WHERE org_id = {copied}") == "3"
        assert pg.sql(name, f"SELECT count(*) FROM users u JOIN users b ON b.id = u.boss AND b.org_id = u.org_id WHERE u.org_id = {copied}") == "3"
        assert pg.sql(name, f"SELECT count(*) FROM orgs o JOIN users u ON u.id = o.owner AND u.org_id = o.id WHERE o.slug = 'copy'") == "1"
        assert pg.sql(name, f"SELECT string_agg(number || ':' || post || ':' || (r.id > 202), ',' ORDER BY number) FROM posts p JOIN replies r ON r.id = p.pinned"
                            f" AND r.org_id = p.org_id WHERE p.org_id = {copied}") == "0:0:true,1:1:true,2:2:true"
        # What refers softly follows, also where the key is text, and within json; what led nowhere leads nowhere.
        assert pg.sql(name, f"SELECT count(*) FROM events e JOIN users u ON u.id::text = e.subject AND u.org_id = e.org_id WHERE e.org_id = {copied} AND kind = 'user'") == "3"
        assert pg.sql(name, f"SELECT count(*) FROM events e JOIN replies r ON r.id::text = e.subject AND r.org_id = e.org_id WHERE e.org_id = {copied} AND kind = 'reply'") == "3"
        assert pg.sql(name, f"SELECT count(*) FROM events e JOIN replies r ON r.id = (e.payload->'reply')::int AND r.org_id = e.org_id WHERE e.org_id = {copied}"
                            " AND jsonb_typeof(payload->'reply') = 'number'") == "6"
        assert pg.sql(name, f"SELECT count(*) FROM events e JOIN users u ON u.id::text = e.payload->'deep'->>'user' AND u.org_id = e.org_id WHERE e.org_id = {copied}"
                            " AND payload->'deep'->'x' = '1.50' AND raw->>'user' IS NULL") == "6"
        # Keys that are references themselves have the value of what they refer to, through as many as it takes.
        assert pg.sql(name, f"SELECT count(*) FROM badges b JOIN profiles p ON p.user_id = b.profile JOIN users u ON u.id = p.user_id WHERE u.org_id = {copied}") == "3"
        assert "already: nothing was changed" in imports.into(name, path, "--tenant", "copy")
        pg.sql(name, f"DELETE FROM badges WHERE profile IN (SELECT id FROM users WHERE org_id = {copied}); DELETE FROM profiles WHERE user_id IN (SELECT id FROM users WHERE org_id = {copied})")
        pg.sql(name, f"BEGIN; SET CONSTRAINTS ALL DEFERRED; DELETE FROM events WHERE org_id = {copied}; "
                     f"WITH a AS (DELETE FROM replies WHERE org_id = {copied}), b AS (DELETE FROM posts WHERE org_id = {copied}), c AS (DELETE FROM users WHERE org_id = {copied}) "
                     f"DELETE FROM orgs WHERE slug = 'copy'; COMMIT")
        assert pg.fingerprint(name) == before
    finally:
        pg.drop(name)


def test_cancelled_and_killed(new_keepfs, app, copy):
    """whatever ends it in the middle, the target has nothing of it"""
    keepfs = exporting.start(new_keepfs, settings(app.uri(copy)))
    exporting.ended(keepfs, "export acme")
    before = app.fingerprint(copy)
    with app.lock(copy, "comments") as lock:
        run = int(keepfs.ask("import", "exports/acme tenant=acme-copy").split()[0])
        lock.wait_until_waited_for()
        keepfs.path("jobs", str(run), "cancel").write_text("1\n")
        status = keepfs.wait_run(run)
        assert status["state"] == "cancelled" and "nothing was changed" in status["error"], status
    assert app.fingerprint(copy) == before
    with app.lock(copy, "comments") as lock:
        keepfs.ask("import", "exports/acme tenant=acme-copy")
        lock.wait_until_waited_for()
        keepfs.kill()
    wait_until(lambda: app.sql(copy, "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'keepfs import'") == "0", "the end of the session")
    assert app.fingerprint(copy) == before
    assert [n for n in os.listdir(keepfs.state) if n.startswith("import-")] == []

