# SPDX-License-Identifier: Apache-2.0
"""Exports of tenants: what is in them, and that nothing else is."""
import json
import os
import subprocess

import pytest

import exporting
from daemon import wait_until
from exporting import document, ended, is_empty, made, rows_of, settings, start

DATABASE = "export_app"


@pytest.fixture(scope="module")
def app(pg):
    yield from exporting.application(pg, DATABASE)


@pytest.fixture
def copy(app):
    yield from exporting.copied(app, DATABASE)


def test_one_tenant(new_keepfs, app, store):
    """all of its rows, in an order in which they can be inserted; nothing of others; what is redacted is listed"""
    keepfs = start(new_keepfs, settings(app.uri(DATABASE)))
    run, _ = ended(keepfs, "export acme")
    (name,) = made(keepfs, "acme")
    assert made(keepfs, "globex") == []
    read = document(keepfs, "acme")
    assert read["tenant"] == {"id": "1", "slug": "acme", "name": 'Acme "Ltd"'}
    assert read["source"]["database"] == DATABASE and read["source"]["tenancy"] == "column"
    assert read["redacted"] == [{"schema": "public", "table": "users", "column": "password_hash", "how": "omit", "why": read["redacted"][0]["why"]}]
    # What a plain query says.
    for table, query in {
        "orgs": "SELECT * FROM orgs WHERE id = 1", "countries": "SELECT * FROM countries",
        "users": "SELECT id, org_id, email, country, born, tags, settings FROM users WHERE org_id = 1",
        "tasks": "SELECT t.* FROM tasks t JOIN projects p ON p.id = project_id WHERE org_id = 1",
        "comments": "SELECT c.* FROM comments c JOIN tasks t ON t.id = task_id JOIN projects p ON p.id = project_id WHERE org_id = 1",
    }.items():
        plain = [json.loads(line) for line in app.sql(DATABASE, f"SET intervalstyle = iso_8601; SELECT to_json(q) FROM ({query}) q").splitlines()]
        key = lambda row: json.dumps(row, sort_keys=True)
        assert sorted(rows_of(read, table), key=key) == sorted(plain, key=key), table
    # No digit is lost, and bytes and control characters come through.
    projects = {p["id"]: p for p in rows_of(read, "projects")}
    for line in app.sql(DATABASE, "SELECT id, budget::text, double_budget::text, picture::text, replace(encode(convert_to(title, 'UTF8'), 'base64'), E'\\n', '') "
                                  "FROM projects WHERE org_id = 1").splitlines():
        ident, budget, double, picture, title = line.split("|")
        assert (str(projects[ident]["budget"]), str(projects[ident]["double_budget"]), projects[ident]["picture"]) == (budget, double, picture)
        assert subprocess.run(["base64"], input=projects[ident]["title"].encode(), stdout=subprocess.PIPE, check=True).stdout.decode().replace("\n", "") == title
    # Whom rows refer to comes before them.
    order = [t["table"] for t in read["tables"]]
    assert order.index("orgs") < order.index("projects") < order.index("tasks") < order.index("comments")
    path = keepfs.path("exports", "acme", name)
    attributes = {a.removeprefix("user.keepfs."): os.getxattr(path, a).decode() for a in os.listxattr(path)}
    assert attributes["org"] == "acme" and attributes["tenant_id"] == "1" and attributes["kind"] == "export" and attributes["class"] == "paid"
    assert attributes["rows"] == str(read["row_count"]) and attributes["verified_at"]
    # As somebody without keepfs reads it.
    total = subprocess.run(["sh", "-c", f"gunzip -c '{path}' | jq '[.tables[].rows | length] | add'"], stdout=subprocess.PIPE, check=True).stdout
    assert int(total) == read["row_count"]
    subprocess.run(["gzip", "-t", path], check=True)
    assert name in keepfs.text("exports", "acme", "SHA256SUMS")
    keepfs.remount()
    assert made(keepfs, "acme") == [name]


def test_all_tenants(new_keepfs, app):
    """each row of the application is in just one export, but what is shared"""
    keepfs = start(new_keepfs, settings(app.uri(DATABASE)))
    run, _ = ended(keepfs)
    reads = {slug: document(keepfs, slug) for slug in ("acme", "globex", "initech")}
    for table in ("orgs", "users", "projects", "tasks", "comments"):
        rows = [json.dumps(row, sort_keys=True) for read in reads.values() for row in rows_of(read, table)]
        assert len(set(rows)) == len(rows) == int(app.sql(DATABASE, f"SELECT count(*) FROM {table}"))
    assert reads["initech"]["tenant"]["name"] is None
    assert "tenant acme is new of the class paid" in (keepfs.state / "keepfs.log").read_text()
    # A class alone; one that is not there.
    ended(keepfs, "exports class=demo")
    assert [len(made(keepfs, slug)) for slug in reads] == [1, 2, 2]
    assert "no tenant 'nobody'" in keepfs.refused("trigger", "export nobody")


def test_command(new_keepfs, app):
    """without a mount, and through one; what would be exported; check"""
    keepfs = new_keepfs()
    keepfs.sections = {"export": settings(app.uri(DATABASE))}
    keepfs.write_conf()
    keepfs.run("run", "exports", "tenant=acme")
    keepfs.mount()
    assert len(made(keepfs, "acme")) == 1
    keepfs.run("export", "acme", "--wait")
    assert len(made(keepfs, "acme")) == 2
    keepfs.run("export", "--all", "--wait")
    assert [len(made(keepfs, slug)) for slug in ("acme", "globex")] == [3, 1]
    text = keepfs.run("export", "--explain").stdout
    assert "comments" in text and "password_hash" in text
    text = keepfs.run("export", "--explain", "acme").stdout
    assert f"{7:12}  public.users" in text and f"{3:12}  public.countries" in text
    assert "no tenant 'nobody'" in keepfs.run("export", "--explain", "nobody", check=False).stderr
    assert "export tenants" in keepfs.run("check", check=False).stdout


def test_explain(new_keepfs, app, copy):
    """what no export has is said: rows of nobody, a column that has no key to be hashed with; no mount and no store are needed"""
    app.sql(copy, "ALTER TABLE users ALTER org_id DROP NOT NULL; INSERT INTO users (email) VALUES ('nobody@example.org'); "
                  "COMMENT ON COLUMN users.email IS 'keepfs:redact=hash'")
    keepfs = new_keepfs()
    keepfs.sections = {"export": settings(app.uri(copy))}
    keepfs.write_conf()
    text = keepfs.run("export", "--explain", "acme").stdout
    assert f"{1:12}  of public.users are no tenant's" in text
    assert "public.users.email is to be hashed, and there is no key for that" in text


def test_undecided(new_keepfs, app, copy, store):
    """a table of which nobody can say whose its rows are is not forgotten in silence"""
    app.sql(copy, "CREATE TABLE audit_log (at timestamptz, what text); INSERT INTO audit_log VALUES (now(), 'x')")
    keepfs = start(new_keepfs, settings(app.uri(copy)))
    _, status = ended(keepfs, "export acme", "failed")
    assert "audit_log" in status["error"] and "undecided" in status["error"] and "exclude" in status["error"]
    assert made(keepfs, "acme") == [] and is_empty(store)
    text = keepfs.run("export", "--explain").stdout
    assert "audit_log" in text and "An export fails as it is" in text
    keepfs.sections["export"]["undecided"] = "warn"
    keepfs.write_conf()
    keepfs.remount()
    run, _ = ended(keepfs, "export acme")
    assert "1 undecided tables are left out" in keepfs.text("jobs", str(run), "log")
    read = document(keepfs, "acme")
    assert [t["table"] for t in read["left_out"]] == ["audit_log"]
    keepfs.sections["export"].update({"undecided": "fail", "exclude": "audit_log"})
    keepfs.write_conf()
    keepfs.remount()
    ended(keepfs, "export acme")
    assert [t["table"] for t in document(keepfs, "acme")["left_out"]] == ["audit_log"]


def test_rows_that_are_nobodys(new_keepfs, app, copy):
    """each run says, once, which tables have rows that no export has"""
    app.sql(copy, "ALTER TABLE users ALTER org_id DROP NOT NULL; INSERT INTO users (email) VALUES ('lost@example.org')")
    keepfs = start(new_keepfs, settings(app.uri(copy)))
    run, _ = ended(keepfs)
    log = keepfs.text("jobs", str(run), "log")
    assert log.count("rows of 1 tables are no tenant's, and in no export") == 1 and "counts them): public.users" in log
    app.sql(copy, "DELETE FROM users WHERE org_id IS NULL")
    run, _ = ended(keepfs)
    assert "are no tenant's" not in keepfs.text("jobs", str(run), "log")


def test_a_rule_that_matches_nothing(new_keepfs, app):
    """is told by check, and by each run before anything is published"""
    keepfs = start(new_keepfs, settings(app.uri(DATABASE), redact="password_hash, *_secert"))
    assert "warning: redact names *_secert, which matches no column" in keepfs.run("check", check=False).stdout
    for _ in range(2):
        run, _ = ended(keepfs)
        log = keepfs.text("jobs", str(run), "log")
        assert log.count("redact names *_secert, which matches no column") == 1
        assert log.index("*_secert") < log.index("acme: ")


def test_secrets(new_keepfs, app, copy, store, tmp_path):
    """what looks like a secret, by its name or its values, is not given away; what was redacted is said"""
    app.sql(copy, "ALTER TABLE users ADD api_key text, ADD note text; COMMENT ON COLUMN users.born IS 'keepfs:redact=null'; "
                  "UPDATE users SET api_key = 'k' || id, note = 'plain'")
    keepfs = start(new_keepfs, settings(app.uri(copy)))
    _, status = ended(keepfs, "export acme", "failed")
    assert "public.users.api_key" in status["error"] and "allow_secrets" in status["error"]
    keepfs.sections["export"]["allow_secrets"] = "users.api_key"
    keepfs.write_conf()
    keepfs.remount()
    ended(keepfs, "export acme")
    assert rows_of(document(keepfs, "acme"), "users")[0]["api_key"].startswith("k")
    # Values.
    app.sql(copy, "UPDATE users SET note = 'ghp_' || repeat('aB3dE6fG9h', 4) WHERE id = (SELECT max(id) FROM users WHERE org_id = 1)")
    _, status = ended(keepfs, "export acme", "failed")
    assert "a value of public.users.note looks like a secret" in status["error"] and "aB3dE6" not in status["error"]
    assert len(made(keepfs, "acme")) == 1
    # All ways to redact.
    key = tmp_path / "key"
    key.write_bytes(os.urandom(32))
    key.chmod(0o600)
    keepfs.sections["export"].update({"redact": "password_hash, api_key:mask, note:null, users.email:hash, users.settings->token", "redact_key_file": key})
    del keepfs.sections["export"]["allow_secrets"]
    keepfs.write_conf()
    keepfs.remount()
    ended(keepfs, "export acme")
    read = document(keepfs, "acme")
    rows = rows_of(read, "users")
    assert all(r["api_key"] == "***" and r["note"] is None and r["born"] is None and "password_hash" not in r for r in rows)
    assert all("token" not in r["settings"] and "n" in r["settings"] for r in rows)
    assert len({r["email"] for r in rows}) == 7 and all(r["email"].startswith("hash:") for r in rows)
    hows = {(r["column"], r["how"]) for r in read["redacted"]}
    assert hows == {("password_hash", "omit"), ("api_key", "mask"), ("note", "null"), ("email", "hash"), ("born", "null"), ("settings", "omit")}
    # The same key, the same hashes; a key that others can read is none.
    ended(keepfs, "export acme")
    assert {r["email"] for r in rows_of(document(keepfs, "acme"), "users")} == {r["email"] for r in rows}
    key.chmod(0o644)
    _, status = ended(keepfs, "export acme", "failed")
    assert "chmod 600" in status["error"]


def test_secrets_within_values(new_keepfs, app, copy, store):
    """the elements of arrays, and the strings within json, are looked at like values"""
    secret = "'ghp_' || repeat('aB3dE6fG9h', 4)"
    app.sql(copy, "CREATE TYPE pair AS (a text, b text); ALTER TABLE users ADD both_of pair, ADD bits jsonb[]; UPDATE users SET bits = ARRAY[settings]")
    keepfs = start(new_keepfs, settings(app.uri(copy)))
    ended(keepfs, "export acme")
    for column, value in (("tags", f"ARRAY['x, y', {secret}]"), ("settings", f"jsonb_build_object('deep', jsonb_build_array('a \"', {secret}))"),
                          ("settings", f"jsonb_build_object({secret}, 1)"), ("both_of", f"ROW('a', {secret})::pair"),
                          ("bits", f"ARRAY[jsonb_build_object('a \"', {secret})]")):
        app.sql(copy, f"UPDATE users SET {column} = {value} WHERE id = (SELECT max(id) FROM users WHERE org_id = 1)")
        _, status = ended(keepfs, "export acme", "failed")
        assert f"a value of public.users.{column} looks like a secret" in status["error"] and "aB3dE6" not in status["error"]
        app.sql(copy, f"UPDATE users SET {column} = NULL")
    assert len(made(keepfs, "acme")) == 1


def test_secrets_are_warned_of(new_keepfs, app, copy):
    app.sql(copy, "ALTER TABLE users ADD api_key text, ADD note text; UPDATE users SET note = 'ghp_' || repeat('aB3dE6fG9h', 4)")
    keepfs = start(new_keepfs, settings(app.uri(copy), secrets_unsure="warn"))
    run, _ = ended(keepfs, "export acme")
    log = keepfs.text("jobs", str(run), "log")
    assert "1 columns look like secrets by their names" in log and "values of 1 columns look like secrets" in log and "public.users.note" in log


def test_a_row_of_two_tenants(new_keepfs, app, copy, store):
    """a comment whose task is acme's and whose author is globex's is nobody's to give away"""
    app.sql(copy, "UPDATE comments SET author_id = (SELECT min(id) FROM users WHERE org_id = 2) WHERE ctid = (SELECT min(c.ctid) FROM comments c "
                  "JOIN tasks t ON t.id = task_id JOIN projects p ON p.id = project_id WHERE org_id = 1)")
    keepfs = start(new_keepfs, settings(app.uri(copy)))
    _, status = ended(keepfs, "export acme", "failed")
    assert "public.comments" in status["error"] and "another tenant" in status["error"]
    assert made(keepfs, "acme") == [] and is_empty(store)
    # The others are not held up.
    ended(keepfs, "export initech")


def test_row_security(new_keepfs, app, copy, store):
    """within the application's own role and setting; asserted, and held against what is there without them"""
    app.sql(copy, """
        DO $$ BEGIN CREATE ROLE export_reader; EXCEPTION WHEN duplicate_object THEN NULL; END $$;
        GRANT SELECT ON ALL TABLES IN SCHEMA public TO export_reader;
        ALTER TABLE users ENABLE ROW LEVEL SECURITY;
        CREATE POLICY own ON users USING (org_id = current_setting('app.org_id', true)::bigint)""")
    section = settings(app.uri(copy), role="export_reader", settings="app.org_id={id}")
    keepfs = start(new_keepfs, section)
    ended(keepfs)
    assert len(rows_of(document(keepfs, "globex"), "users")) == 7
    # Other tables of the tenants have none.
    said = keepfs.run("check", check=False).stdout
    assert "role and settings are in force for acme" in said and "these of the tenants have none: " in said and "public.projects" in said
    # A setting that is not the right one shows nothing, which is no export.
    keepfs.sections["export"]["settings"] = "app.org_id=0"
    keepfs.write_conf()
    keepfs.remount()
    _, status = ended(keepfs, "export acme", "failed")
    assert "row security hides rows of public.users" in status["error"]
    assert len(made(keepfs, "acme")) == 1
    # Whoever bypasses row security has no context.
    app.sql(copy, "ALTER ROLE export_reader BYPASSRLS")
    keepfs.sections["export"]["settings"] = "app.org_id={id}"
    keepfs.write_conf()
    keepfs.remount()
    _, status = ended(keepfs, "export acme", "failed")
    assert "BYPASSRLS" in status["error"]
    app.sql(copy, "DROP OWNED BY export_reader; DROP ROLE export_reader")


def test_row_security_that_cannot_be_looked_behind(new_keepfs, app, copy, store):
    """one table that is hidden from the connection, too, does not end the look at the others"""
    app.sql(copy, """
        DO $$ BEGIN CREATE ROLE export_reader; EXCEPTION WHEN duplicate_object THEN NULL; END $$;
        DO $$ BEGIN CREATE ROLE export_plain LOGIN; EXCEPTION WHEN duplicate_object THEN NULL; END $$;
        GRANT export_reader TO export_plain;
        CREATE TABLE a_blind (org_id bigint REFERENCES orgs); CREATE TABLE b_seen (org_id bigint REFERENCES orgs); INSERT INTO b_seen VALUES (1);
        ALTER TABLE a_blind ENABLE ROW LEVEL SECURITY; CREATE POLICY none ON a_blind USING (false);
        ALTER TABLE b_seen ENABLE ROW LEVEL SECURITY; CREATE POLICY none ON b_seen USING (false); ALTER TABLE b_seen OWNER TO export_plain;
        GRANT SELECT ON ALL TABLES IN SCHEMA public TO export_reader, export_plain""")
    keepfs = start(new_keepfs, settings(app.uri(copy, "export_plain"), role="export_reader"))
    run, status = ended(keepfs, "export acme", "failed")
    assert "row security hides rows of public.b_seen" in status["error"], status
    assert "cannot be found out" in keepfs.text("jobs", str(run), "log")
    app.sql(copy, "DROP OWNED BY export_reader, export_plain; DROP ROLE export_reader, export_plain")


def test_row_security_of_the_connection(new_keepfs, app, copy, store):
    """a connection from which rows are hidden is refused, and no export is short of them"""
    app.sql(copy, """
        DO $$ BEGIN CREATE ROLE export_plain LOGIN; EXCEPTION WHEN duplicate_object THEN NULL; END $$;
        GRANT SELECT ON ALL TABLES IN SCHEMA public TO export_plain;
        ALTER TABLE users ENABLE ROW LEVEL SECURITY; CREATE POLICY none ON users USING (false)""")
    keepfs = start(new_keepfs, settings(app.uri(copy, "export_plain")))
    _, status = ended(keepfs, "export acme", "failed")
    assert "row-level security" in status["error"] and "public.users" in status["error"]
    assert is_empty(store)
    app.sql(copy, "DROP OWNED BY export_plain; DROP ROLE export_plain")


def test_tenants_that_make_no_sense(new_keepfs, app, copy):
    """rows of the query that name nobody, or two at once, fail the run; the others are exported"""
    app.sql(copy, "CREATE VIEW named AS SELECT id::text AS id, slug FROM orgs UNION ALL VALUES (NULL, 'noid'), ('7', NULL), ('8', 'twice'), ('9', 'twice'), "
                  "('10', 'first'), ('10', 'second'), ('11', '')")
    keepfs = start(new_keepfs, settings(app.uri(copy), tenants="SELECT * FROM named", tenant_table="orgs.id"))
    _, status = ended(keepfs, "exports", "failed")
    for words in ("the id in row 4 is NULL", "the slug in row 5 (id 7) is NULL", "several rows have the slug twice", "several rows have the id 10", "all others are exported"):
        assert words in status["error"], status["error"]
    assert sorted(os.listdir(keepfs.path("exports"))) == ["acme", "globex", "initech"]
    # Nobody at all is never the truth.
    app.sql(copy, "CREATE OR REPLACE VIEW named AS SELECT id::text AS id, slug FROM orgs WHERE false")
    _, status = ended(keepfs, "exports", "failed")
    assert "names nobody" in status["error"]
    app.sql(copy, "DROP VIEW named")
    _, status = ended(keepfs, "exports", "failed")
    assert "the tenants of job exports could not be asked for" in status["error"]
    assert [len(made(keepfs, slug)) for slug in ("acme", "globex", "initech")] == [1, 1, 1]


def test_wild_slugs(new_keepfs, app, copy):
    wild = ["..", "a/b", 'say "hi"', "it's", "SHA256SUMS", "latest.json.gz", "20261120T020000Z.json.gz", "ünï☃", "-rf", "*", "a=b c"]
    for slug in wild:
        app.sql(copy, f"INSERT INTO orgs (slug) VALUES ('{slug.replace(chr(39), chr(39) * 2)}')")
    keepfs = start(new_keepfs, settings(app.uri(copy), tenants="SELECT id, slug FROM orgs WHERE id > 3"))
    ended(keepfs)
    found = {}
    for directory in os.listdir(keepfs.path("exports")):
        if os.path.isdir(keepfs.path("exports", directory)):
            read = document(keepfs, directory)
            found[read["tenant"]["slug"]] = len(rows_of(read, "orgs"))
    assert found == {slug: 1 for slug in wild}


def test_tenants_come_and_go(new_keepfs, app, copy):
    """one that was deleted between the query and its export fails; one that is not named any more keeps its exports; a lost answer is doubted"""
    app.sql(copy, "INSERT INTO orgs (slug) SELECT 't' || n FROM generate_series(1, 6) n")
    keepfs = start(new_keepfs, settings(app.uri(copy), tenants="SELECT id, slug FROM orgs UNION ALL SELECT 999, 'ghost' WHERE EXISTS (SELECT FROM orgs WHERE name = 'ghost')"))
    ended(keepfs)
    app.sql(copy, "UPDATE orgs SET name = 'ghost' WHERE slug = 't1'")
    _, status = ended(keepfs, "exports", "failed")
    assert "the tenant ghost (id 999) is not in public.orgs" in status["error"]
    assert made(keepfs, "ghost") == [] and len(made(keepfs, "acme")) == 2
    app.sql(copy, "UPDATE orgs SET name = NULL; DELETE FROM orgs WHERE slug = 't1'")
    run, _ = ended(keepfs)
    assert "tenant t1 is not named any more" in keepfs.text("jobs", str(run), "log")
    assert len(made(keepfs, "t1")) == 2
    app.sql(copy, "DELETE FROM orgs WHERE slug LIKE 't%'; ALTER TABLE orgs ADD away boolean; UPDATE orgs SET away = true WHERE slug = 'globex'")
    run, _ = ended(keepfs)
    assert "5 tenants are suddenly not named any more" in keepfs.text("jobs", str(run), "log")


def test_a_new_table_is_noticed_within_a_run(new_keepfs, app, copy):
    """what was decided for the first tenant holds for the next only while the tables are the same"""
    keepfs = start(new_keepfs, settings(app.uri(copy), max_rate="64K", jobs="1"))
    app.sql(copy, "CREATE TABLE notes (id int PRIMARY KEY, org_id bigint NOT NULL REFERENCES orgs, body text); "
                  "INSERT INTO notes SELECT n, 1, repeat('plain words ', 400) FROM generate_series(1, 60) n")
    run = keepfs.trigger("exports")
    wait_until(lambda: app.sql(copy, "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'keepfs export' AND query LIKE 'COPY%notes%'") != "0", "the copy of notes")
    app.sql(copy, "CREATE TABLE later (id int, org_id bigint); INSERT INTO later VALUES (1, 1), (2, 2), (3, 3)")
    assert keepfs.wait_run(run)["state"] == "completed"
    assert "later" not in [t["table"] for t in document(keepfs, "acme")["tables"]]
    assert rows_of(document(keepfs, "initech"), "later") == [{"id": 3, "org_id": 3}]


def big(app, copy):
    """a tenant whose export takes a while at the rate that these tests set"""
    app.sql(copy, "CREATE TABLE bulk (id int PRIMARY KEY, org_id bigint NOT NULL REFERENCES orgs, body text); "
                  "INSERT INTO bulk SELECT n, 1, repeat('plain words ', 80) FROM generate_series(1, 8000) n")


COPYING = "SELECT count(*) FROM pg_stat_activity WHERE datname = '{}' AND application_name = 'keepfs export' AND query LIKE 'COPY%bulk%'"


def begun(app, copy, keepfs):
    run = keepfs.trigger("export acme")
    wait_until(lambda: app.sql("postgres", COPYING.format(copy)) != "0", "the copy of the large table")
    return run


def test_connection_lost(new_keepfs, app, copy, store):
    big(app, copy)
    keepfs = start(new_keepfs, settings(app.uri(copy), max_rate="200K"))
    run = begun(app, copy, keepfs)
    app.sql("postgres", f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{copy}' AND application_name = 'keepfs export'")
    status = keepfs.wait_run(run)
    assert status["state"] == "failed" and "table public.bulk" in status["error"]
    assert made(keepfs, "acme") == [] and is_empty(store)


def test_schemas_that_change_names_meanwhile(new_keepfs, app, copy, store):
    """no lock protects the name of a schema: its tables would be read in the stead of another one's"""
    for schema in ("one", "two"):
        app.sql(copy, f"CREATE SCHEMA {schema}; CREATE TABLE {schema}.items (org_id bigint REFERENCES orgs, of text); INSERT INTO {schema}.items VALUES (1, '{schema}')")
    big(app, copy)
    keepfs = start(new_keepfs, settings(app.uri(copy), max_rate="3M"))
    run = begun(app, copy, keepfs)
    app.sql(copy, "ALTER SCHEMA one RENAME TO three; ALTER SCHEMA two RENAME TO one; ALTER SCHEMA three RENAME TO two")
    status = keepfs.wait_run(run)
    assert status["state"] == "failed" and "items was renamed" in status["error"], status
    assert made(keepfs, "acme") == [] and is_empty(store)


def test_materialized_view_refreshed_meanwhile(new_keepfs, app, copy, store):
    """it cannot be locked, and what it holds then is not of the snapshot"""
    app.sql(copy, "CREATE MATERIALIZED VIEW totals AS SELECT org_id, count(*) AS n FROM users GROUP BY 1")
    big(app, copy)
    keepfs = start(new_keepfs, {**settings(app.uri(copy), max_rate="3M"), "tenant_column": "org_id, totals.org_id"})
    ended(keepfs, "export acme")
    assert rows_of(document(keepfs, "acme"), "totals") == [{"org_id": 1, "n": 7}]
    run = begun(app, copy, keepfs)
    app.sql(copy, "REFRESH MATERIALIZED VIEW totals")
    status = keepfs.wait_run(run)
    assert status["state"] == "failed" and "public.totals was truncated or rewritten" in status["error"], status
    assert len(made(keepfs, "acme")) == 1


def test_cancelled(new_keepfs, app, copy, store):
    big(app, copy)
    keepfs = start(new_keepfs, settings(app.uri(copy), max_rate="200K"))
    run = begun(app, copy, keepfs)
    keepfs.path("jobs", str(run), "cancel").write_text("1\n")
    assert keepfs.wait_run(run)["state"] == "cancelled"
    assert made(keepfs, "acme") == [] and is_empty(store)
    assert app.sql("postgres", COPYING.format(copy)) == "0"


def test_killed(new_keepfs, app, copy, store):
    big(app, copy)
    keepfs = start(new_keepfs, settings(app.uri(copy), max_rate="200K"))
    begun(app, copy, keepfs)
    keepfs.kill()
    subprocess.run(["umount", "-l", str(keepfs.mountpoint)], check=True)
    keepfs.sections["export"]["max_rate"] = "none"
    keepfs.write_conf()
    keepfs.mount()
    assert made(keepfs, "acme") == [] and is_empty(store)
    ended(keepfs, "export acme")
    assert len(rows_of(document(keepfs, "acme"), "bulk")) == 8000


def test_table_dropped_meanwhile(new_keepfs, app, copy, store):
    """it is gone, or another one, before the export has its locks: a failure, and not an export without it"""
    keepfs = start(new_keepfs, settings(app.uri(copy)))
    waiting = "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'keepfs export' AND wait_event_type = 'Lock'"
    # In the order in which the export locks them, so that neither has what the other waits for.
    for locked, statement in (("comments, countries", "DROP TABLE comments"), ("countries, users", "TRUNCATE users")):
        psql = subprocess.Popen([str(app.bindir / "psql"), "-X", "-q", "-d", app.uri(copy)], stdin=subprocess.PIPE, text=True)
        psql.stdin.write(f"BEGIN; LOCK TABLE {locked} IN ACCESS EXCLUSIVE MODE;\n")
        psql.stdin.flush()
        wait_until(lambda: app.sql(copy, "SELECT count(*) FROM pg_locks WHERE mode = 'AccessExclusiveLock' AND granted AND relation = 'countries'::regclass") != "0", "the lock")
        # Who the tenants are is asked of a table that is not locked.
        run = keepfs.trigger("export acme")
        wait_until(lambda: app.sql("postgres", waiting) != "0" or keepfs.run_status(run)["state"] == "failed", "the export to wait for the lock")
        psql.communicate(f"{statement}; COMMIT;\n")
        status = keepfs.wait_run(run)
        assert status["state"] == "failed", (statement, status)
        assert made(keepfs, "acme") == [] and is_empty(store)


def test_partition_detached_meanwhile(new_keepfs, app, copy, store):
    """its rows would be missing in silence: the snapshot shows it as a partition, and the server reads the others only"""
    app.sql(copy, "CREATE TABLE events (org_id bigint REFERENCES orgs, n int) PARTITION BY LIST (n); CREATE TABLE events_1 PARTITION OF events FOR VALUES IN (1); "
                  "CREATE TABLE events_2 PARTITION OF events FOR VALUES IN (2); INSERT INTO events SELECT id, n FROM orgs, generate_series(1, 2) n")
    keepfs = start(new_keepfs, settings(app.uri(copy)))
    waiting = "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'keepfs export' AND wait_event_type = 'Lock'"
    psql = subprocess.Popen([str(app.bindir / "psql"), "-X", "-q", "-d", app.uri(copy)], stdin=subprocess.PIPE, text=True)
    psql.stdin.write("BEGIN; ALTER TABLE events DETACH PARTITION events_1;\n")
    psql.stdin.flush()
    wait_until(lambda: app.sql(copy, "SELECT count(*) FROM pg_locks WHERE mode = 'AccessExclusiveLock' AND granted AND relation = 'events_1'::regclass") != "0", "the lock")
    run = keepfs.trigger("export acme")
    wait_until(lambda: app.sql("postgres", waiting) != "0" or keepfs.run_status(run)["state"] == "failed", "the export to wait for the lock")
    psql.communicate("COMMIT;\n")
    status = keepfs.wait_run(run)
    assert status["state"] == "failed" and "between the snapshot and the locks" in status["error"], status
    assert made(keepfs, "acme") == [] and is_empty(store)
    keepfs.sections["export"]["exclude"] = "events_1"
    keepfs.write_conf()
    keepfs.remount()
    ended(keepfs, "export acme")
    assert rows_of(document(keepfs, "acme"), "events") == [{"org_id": 1, "n": 2}]


def test_a_schema_for_each(new_keepfs, app, pg):
    """nothing of another tenant's schema, and what is shared in each"""
    name = f"export_schemas_{os.getpid()}"
    pg.create(name)
    try:
        pg.sql(name, "CREATE TABLE tenants (id int, slug text); INSERT INTO tenants VALUES (1, 'red'), (2, 'Blue \"b\"'), (3, 'gone')")
        for slug in ("red", 'Blue "b"'):
            quoted = slug.replace('"', '""')
            pg.sql(name, f"""CREATE SCHEMA "{quoted}"; CREATE TABLE "{quoted}".items (id int PRIMARY KEY, of text);
                             INSERT INTO "{quoted}".items SELECT n, '{slug}' FROM generate_series(1, 3) n;
                             CREATE TABLE "{quoted}".parts (item int REFERENCES "{quoted}".items, n int); INSERT INTO "{quoted}".parts VALUES (1, 1)""")
        keepfs = start(new_keepfs, {"database": pg.uri(name), "tenancy": "schema", "tenants": "SELECT id, slug FROM tenants", "exclude": "public.tenants"})
        _, status = ended(keepfs, "exports", "failed")
        assert "the tenant's schema gone has no tables" in status["error"]
        for directory, slug in (("red", "red"), ("Blue=20=22b=22", 'Blue "b"')):
            read = document(keepfs, directory)
            assert {(t["schema"], t["table"]) for t in read["tables"]} == {(slug, "items"), (slug, "parts")}
            assert {r["of"] for r in rows_of(read, "items", slug)} == {slug}
            assert read["source"]["tenancy"] == "schema"
        assert made(keepfs, "gone") == []
    finally:
        pg.drop(name)


def test_schemas_that_are_nobodys(new_keepfs, pg):
    """a slug chooses neither what is everybody's, nor the schema of another tenant"""
    name = f"export_reserved_{os.getpid()}"
    pg.create(name)
    try:
        pg.sql(name, """CREATE SCHEMA registry; CREATE TABLE registry.tenants (id text, slug text); CREATE TABLE public.secrets (id int); INSERT INTO secrets VALUES (1);
                        CREATE SCHEMA red_1; CREATE TABLE red_1.items (id int); INSERT INTO red_1.items VALUES (1);
                        CREATE SCHEMA blue_12; CREATE TABLE blue_12.items (id int); INSERT INTO blue_12.items VALUES (1);
                        CREATE SCHEMA ref; CREATE TABLE ref.countries (code text)""")
        section = {"database": pg.uri(name), "tenancy": "schema", "tenants": "SELECT id, slug FROM registry.tenants", "exclude": "registry.*, public.*", "shared": "ref.countries"}
        pg.sql(name, "INSERT INTO registry.tenants VALUES ('1', 'public'), ('2', 'pg_catalog'), ('3', 'registry'), ('4', 'ref'), ('5', 'information_schema'), ('6', 'red_1')")
        keepfs = start(new_keepfs, section)
        _, status = ended(keepfs, "exports", "failed")
        for words in ("the schema public of public is that of all", "pg_catalog is the system's", "information_schema is the system's",
                      "the schema registry of registry is the one that the query of the tenants reads", "the schema ref of ref has tables that shared names"):
            assert words in status["error"], status["error"]
        assert [slug for slug in sorted(os.listdir(keepfs.path("exports"))) if made(keepfs, slug)] == ["red_1"]
        # Two pairs of slug and id that come to the same name.
        pg.sql(name, "TRUNCATE registry.tenants; INSERT INTO registry.tenants VALUES ('2', 'blue_1'), ('12', 'blue_'), ('1', 'red_')")
        keepfs.sections["export"]["tenant_schema"] = "{slug}{id}"
        keepfs.write_conf()
        keepfs.remount()
        _, status = ended(keepfs, "exports", "failed")
        assert "several rows have the schema blue_12" in status["error"]
        assert len(made(keepfs, "red_")) == 1 and made(keepfs, "blue_1") == [] and made(keepfs, "blue_") == []
    finally:
        pg.drop(name)


def test_a_database_for_each(new_keepfs, pg):
    """the query is asked of one database, and each tenant is read in its own"""
    registry, names = f"export_registry_{os.getpid()}", {slug: f"export_of_{slug}_{os.getpid()}" for slug in ("red", "blue")}
    pg.create(registry)
    try:
        pg.sql(registry, "CREATE TABLE tenants (id int, slug text); INSERT INTO tenants VALUES (1, 'red'), (2, 'blue'), (3, 'gone')")
        for slug, name in names.items():
            pg.create(name)
            pg.sql(name, f"CREATE TABLE items (id int PRIMARY KEY, of text); INSERT INTO items VALUES (1, '{slug}')")
        keepfs = start(new_keepfs, {"database": pg.uri(registry), "tenancy": "database", "tenants": "SELECT id, slug FROM tenants",
                                    "tenant_database": "export_of_{slug}_" + str(os.getpid())})
        _, status = ended(keepfs, "exports", "failed")
        assert f'export_of_gone_{os.getpid()}' in status["error"]
        for slug, name in names.items():
            read = document(keepfs, slug)
            assert rows_of(read, "items") == [{"id": 1, "of": slug}] and read["source"]["database"] == name
            assert [t["table"] for t in read["tables"]] == ["items"]
        assert made(keepfs, "gone") == []
        # What is the server's or the registry's own is nobody's.
        pg.sql(registry, f"INSERT INTO tenants VALUES (4, 'postgres'), (5, '{registry}'), (6, 'template1')")
        del keepfs.sections["export"]["tenant_database"]
        keepfs.write_conf()
        keepfs.remount()
        _, status = ended(keepfs, "exports", "failed")
        for words in ("the database postgres of postgres is the system's", "template1 is the system's", f"the database {registry} of {registry} is the one that is asked for the tenants"):
            assert words in status["error"], status["error"]
        assert made(keepfs, "postgres") == [] and made(keepfs, registry) == []
    finally:
        for name in (registry, *names.values()):
            pg.drop(name)


def test_retention(new_keepfs, app):
    """rules of keeping are those of every job"""
    keepfs = start(new_keepfs, settings(app.uri(DATABASE), keep_last=1, keep_within="none", min_keep=1))
    for _ in range(3):
        ended(keepfs, "export acme")
    wait_until(lambda: len(made(keepfs, "acme")) == 1, "the rules to let the others go")


def test_hostile_names(new_keepfs, pg):
    """tables and columns whose names are not what one expects"""
    name = f"export_names_{os.getpid()}"
    pg.create(name)
    try:
        pg.sql(name, """CREATE SCHEMA "My ""S"; CREATE TABLE "My ""S"."T'a.b" ("Org id" int, "sel""ect" text, "\\" json, "ünï" text[]);
                        INSERT INTO "My ""S"."T'a.b" VALUES (1, E'a\\\\b', '{"a": [1, 2.50, "x\\u0041"]}', ARRAY['☃', NULL]), (2, 'other', NULL, NULL)""")
        keepfs = start(new_keepfs, {"database": pg.uri(name), "tenants": "SELECT 1 AS id, 'one' AS slug", "tenant_column": '"Org id"'})
        ended(keepfs)
        assert rows_of(document(keepfs, "one"), "T'a.b", 'My "S') == [{"Org id": 1, 'sel"ect': "a\\b", "\\": {"a": [1, 2.5, "xA"]}, "ünï": ["☃", None]}]
    finally:
        pg.drop(name)
