# SPDX-License-Identifier: Apache-2.0
"""The export of a tenant out of a stored dump: what a living export said at the moment of the dump, whatever became of the database since."""
import gzip
import json
import os

import pytest

import exporting
from exporting import document, ended, made, rows_of, settings

FORMATS = {"custom": {}, "directory": {"format": "directory"}, "plain": {"format": "plain"}}
DATABASE = "past_app"

MORE = """
ALTER TABLE orgs ADD main_user bigint, ADD FOREIGN KEY (id, main_user) REFERENCES users (org_id, id);
UPDATE orgs o SET main_user = (SELECT min(id) FROM users u WHERE u.org_id = o.id);
CREATE TABLE people (code numeric(10,2) PRIMARY KEY, email text NOT NULL);
CREATE TABLE members (org_id bigint NOT NULL REFERENCES orgs, person numeric NOT NULL REFERENCES people, role text, PRIMARY KEY (org_id, person));
INSERT INTO people SELECT n + 0.5, 'person' || n FROM generate_series(1, 30) n;
INSERT INTO members SELECT o.id, n + 0.50, 'role' FROM orgs o, generate_series(1, 30) n WHERE n % 4 IN (0, o.id);
CREATE TABLE notes (id bigserial PRIMARY KEY, subject_type text NOT NULL, subject_id text, body text, at timestamptz DEFAULT '2026-02-03 04:05:06.789+05');
INSERT INTO notes (subject_type, subject_id, body) SELECT 'Project', upper(id::text), 'of ' || title FROM projects;
INSERT INTO notes (subject_type, subject_id, body) SELECT 'Task', '00' || id, NULL FROM tasks;
INSERT INTO notes (subject_type, subject_id, body) SELECT 'Task', id, 'dangling' FROM generate_series(100000, 100003) id;
CREATE TABLE events (id bigserial, user_ref json, payload jsonb, took interval, happened date NOT NULL, PRIMARY KEY (id, happened)) PARTITION BY RANGE (happened);
CREATE TABLE events_old PARTITION OF events FOR VALUES FROM (MINVALUE) TO ('2026-01-01');
CREATE TABLE events_new (happened date NOT NULL, took interval, payload jsonb, user_ref json, id bigint NOT NULL DEFAULT nextval('events_id_seq'));
ALTER TABLE events ATTACH PARTITION events_new FOR VALUES FROM ('2026-01-01') TO (MAXVALUE);
INSERT INTO events (user_ref, payload, took, happened)
    SELECT json_build_object('a"b', 'x', 'who', json_build_object('id', u.id)), jsonb_build_object('user_id', CASE WHEN u.id % 2 = 0 THEN to_jsonb(u.id) ELSE to_jsonb(u.id::text) END, 'deep', '{"user_id": 1}'::jsonb),
           interval '1 month -3 days 04:05:06', CASE WHEN u.id % 3 = 0 THEN date '2025-05-05' ELSE '2026-05-05' END
    FROM users u, generate_series(1, 3);
INSERT INTO events (payload, happened) VALUES ('{}', '2026-06-06'), (NULL, '2026-06-06'), ('{"user_id": null}', '2025-06-06');
CREATE TABLE jobs (id int PRIMARY KEY, payload text);
INSERT INTO jobs SELECT n, 'job' FROM generate_series(1, 1000) n;
CREATE TABLE places (code char(6) PRIMARY KEY, org_id bigint REFERENCES orgs, seen timestamptz, cost money, span int4range, pair users[]);
INSERT INTO places SELECT 'p' || o.id || n, o.id, timestamptz '2026-07-01 00:00:00+02' + n * interval '1 hour', (n * 1.5)::numeric::money, int4range(n, n + 2), ARRAY[(SELECT u FROM users u WHERE u.org_id = o.id ORDER BY id LIMIT 1)]
    FROM orgs o, generate_series(1, 3) n;
CREATE TABLE visits (place varchar(6) REFERENCES places (code), note text, CHECK (note <> 'x'));
INSERT INTO visits SELECT rtrim(code), E'a\\\\b\\tc\\nd' FROM places, generate_series(1, 2);
CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE 'no'; END $$;
CREATE TRIGGER always BEFORE INSERT ON visits FOR EACH ROW EXECUTE FUNCTION refuse();
ALTER TABLE visits ENABLE ALWAYS TRIGGER always;
COMMENT ON COLUMN people.email IS 'keepfs:redact=mask';
"""

RULES = {"shared": "countries", "referred": "people", "exclude": "jobs", "allow_secrets": "*.token*",
         "references": "notes.subject_id -> projects.id when subject_type = 'Project'; notes.subject_id -> tasks.id when subject_type = 'Task'; "
                       "events.payload->>'user_id' -> users.id; events.user_ref->'who'->>'id' -> users.id"}


@pytest.fixture(scope="module")
def app(pg):
    pg.create(DATABASE)
    pg.sql(DATABASE, exporting.TABLES + exporting.ROWS + MORE)
    yield pg
    pg.drop(DATABASE)


@pytest.fixture
def copy(app):
    yield from exporting.copied(app, DATABASE)


def start(new_keepfs, uri, drill_dir, section, **job):
    keepfs = new_keepfs({"full": {"database": uri, **job}}, drill_dir=drill_dir)
    keepfs.sections = {"export": section}
    keepfs.write_conf()
    return keepfs.mount()


def comparable(read):
    """what does not depend on when, or by whom, it was made, nor on the order in which a server finds rows"""
    read = json.loads(json.dumps(read))
    del read["readme"], read["source"]["taken_at"]
    for table in read["tables"]:
        table["rows"].sort(key=lambda row: json.dumps(row, sort_keys=True))
    return read


@pytest.mark.parametrize("form", FORMATS)
def test_as_it_was(new_keepfs, app, copy, drill_dir, form):
    """the same as a living export made at the moment of the dump, in each format, after all of it has changed"""
    keepfs = start(new_keepfs, app.uri(copy), drill_dir, settings(app.uri(copy), **RULES), **FORMATS[form])
    keepfs.backup()
    (dump,) = keepfs.artifacts()
    ended(keepfs)
    living = {slug: comparable(document(keepfs, slug)) for slug in ("acme", "globex", "initech")}
    counts = {t["table"]: t["row_count"] for t in living["acme"]["tables"]}
    assert all(counts[t] > 0 for t in ("orgs", "users", "projects", "tasks", "comments", "people", "members", "notes", "events", "places", "visits")), counts
    app.sql(copy, "DELETE FROM comments; UPDATE users SET email = 'changed'; ALTER TABLE visits DISABLE TRIGGER ALL; DELETE FROM visits; DELETE FROM places WHERE org_id = 1; "
                  "INSERT INTO places (code, org_id) VALUES ('new', 1); ALTER TABLE projects DROP COLUMN picture")
    orders = {"acme": f"export acme from=full/{dump.split('.')[0]}", "globex": "export globex from=full"}
    for slug in ("acme", "globex") if form == "custom" else ("acme",):
        run, _ = ended(keepfs, orders[slug])
        past = document(keepfs, slug)
        assert comparable(past) == living[slug]
        assert len(made(keepfs, slug)) == 2
        log = keepfs.text("jobs", str(run), "log")
        assert f"is exported from backups/full/{dump}" in log, log
    path = keepfs.path("exports", "acme", made(keepfs, "acme")[-1])
    assert os.getxattr(path, "user.keepfs.from").decode() == f"backups/full/{dump}"
    assert past["source"]["server_version"] == living["acme"]["source"]["server_version"]


@pytest.mark.parametrize("form", ["custom", "directory"])
def test_from_a_part_of_a_bundle(new_keepfs, app, copy, drill_dir, tmp_path, form):
    (tmp_path / "config").mkdir()
    (tmp_path / "config" / "env").write_text("A=1")
    keepfs = new_keepfs({"full": {"database": app.uri(copy), **FORMATS[form]}, "files config": {"path": tmp_path / "config"},
                         "bundle site": {"parts": "full, config"}}, drill_dir=drill_dir)
    keepfs.sections = {"export": settings(app.uri(copy), **RULES)}
    keepfs.write_conf()
    keepfs.mount()
    keepfs.backup("site")
    name = [n for n in os.listdir(keepfs.path("backups", "site")) if n[0].isdigit()][0]
    part = {"custom": "full.dump", "directory": "full"}[form]
    ended(keepfs)
    living = comparable(document(keepfs, "acme"))
    app.sql(copy, "DELETE FROM comments; UPDATE users SET email = 'changed'")
    # The part, or the bundle that has one of that database.
    for word in (f"site/latest/{part}", f"site/{name}", "site")[:3 if form == "custom" else 1]:
        run, _ = ended(keepfs, f"export acme from={word}")
        assert comparable(document(keepfs, "acme")) == living
        assert f"is exported from backups/site/{name}/{part}" in keepfs.text("jobs", str(run), "log")
    path = keepfs.path("exports", "acme", made(keepfs, "acme")[-1])
    assert os.getxattr(path, "user.keepfs.from").decode() == f"backups/site/{name}/{part}"
    keepfs.run("export", "acme", "--from", f"site/{name}/{part}", "--wait")
    # An archive has no rows.
    log = log_of(keepfs, f"export acme from=site/{name}/config.tar.zst", "failed")
    assert f"backups/site/{name}/config.tar.zst is no dump of a database" in log


def log_of(keepfs, words, state="completed"):
    run, _ = ended(keepfs, words, state)
    return keepfs.text("jobs", str(run), "log")


def test_who_and_which(new_keepfs, app, copy, drill_dir):
    """a tenant that is gone is known by its last export, or by its id; the newest dump of the right database; what makes no sense is refused"""
    other = f"{copy}_other"
    app.create(other)
    try:
        keepfs = new_keepfs({"full": {"database": app.uri(copy)}, "others": {"database": app.uri(other)}}, drill_dir=drill_dir)
        keepfs.sections = {"export": settings(app.uri(copy), **RULES)}
        keepfs.write_conf()
        keepfs.mount()
        keepfs.backup("full")
        keepfs.backup("others")
        ended(keepfs, "export initech")
        before = comparable(document(keepfs, "initech"))
        app.sql(copy, "SET session_replication_role = replica; DELETE FROM orgs WHERE id > 1")
        # As the command line has it, with the directory of all backups: only one of them is of this database.
        keepfs.run("export", "initech", "--from", "backups", "--wait")
        assert comparable(document(keepfs, "initech")) == before and len(made(keepfs, "initech")) == 2
        log = log_of(keepfs, "export globex from=full", "failed")
        assert "who globex is, nobody knows" in log and "id=" in log
        assert made(keepfs, "globex") == []
        log_of(keepfs, "export globex from=full id=2")
        past = document(keepfs, "globex")
        assert past["tenant"] == {"id": "2", "slug": "globex", "name": None}
        assert {row["org_id"] for row in rows_of(past, "users")} == {2} and len(rows_of(past, "visits")) == 6
        # Acme's rows do not come into another's directory because of an id.
        log = log_of(keepfs, "export globex from=full id=1", "failed")
        assert "that of the tenant acme now" in log and len(made(keepfs, "globex")) == 1, log
        # Nor those of one whose name another has now, who would read them.
        app.sql(copy, "INSERT INTO orgs (id, slug) OVERRIDING SYSTEM VALUE VALUES (9, 'globex')")
        log = log_of(keepfs, "export globex from=full id=2", "failed")
        assert "is the tenant with the id 9 now" in log and len(made(keepfs, "globex")) == 1, log
        # Nobody had that id.
        assert "id 77" in log_of(keepfs, "export hooli from=full id=77", "failed")
        assert "is a dump of the database" in log_of(keepfs, f"export acme from=others/{keepfs.artifacts('others')[0]}", "failed")
        assert "has no dump of the database" in log_of(keepfs, "export acme from=others", "failed")
        assert "is an export of a tenant's data" in log_of(keepfs, f"export acme from=exports/initech/{made(keepfs, 'initech')[0]}", "failed")
        assert made(keepfs, "hooli") == made(keepfs, "acme") == []
        for command, words in {"export acme from=": "names no backup", "export acme globex from=full": "one tenant", "exports from=full": "one tenant",
                               "export acme from=full then-delete=acme": "allowed are", "export acme from=full jobs=2": "allowed are"}.items():
            assert words in keepfs.refused("trigger", command), command
        assert "names of tenants" in keepfs.run("export", "--all", "--from", "full", check=False).stderr
    finally:
        app.drop(other)


def test_isolation_and_damage(new_keepfs, app, copy, store, drill_dir):
    """a row that is also another tenant's fails the export, as it does a living one; so does damage, and a dump that lacks what is needed"""
    keepfs = start(new_keepfs, app.uri(copy), drill_dir, settings(app.uri(copy), **RULES))
    app.sql(copy, "INSERT INTO comments SELECT t.id, 99, u.id, 'of two' FROM tasks t JOIN projects p ON p.id = t.project_id, users u "
                  "WHERE p.org_id = 1 AND u.org_id = 2 LIMIT 1")
    keepfs.backup()
    living = log_of(keepfs, "export acme", "failed")
    past = log_of(keepfs, "export acme from=full", "failed")
    told = [line.split("acme: ", 1)[1] for line in living.splitlines() if "public.comments" in line and "acme: " in line]
    assert told and told[0] in past, (living, past)
    app.sql(copy, "DELETE FROM comments WHERE number = 99")
    keepfs.backup()
    name = keepfs.artifacts()[-1]
    (key,) = [k for k in store.keys() if k == f"backups/full/{name}"]
    data = bytearray(store.get(key))
    for at in range(len(data) // 8, len(data), 997):
        data[at] ^= 0xff
    store.put(key, bytes(data))
    log = log_of(keepfs, f"export acme from=full/{name}", "failed")
    assert "damaged" in log or "CRC" in log, log
    assert made(keepfs, "acme") == []


def test_redacted_since(new_keepfs, app, copy, drill_dir):
    """a comment redacts what older backups have, too; of what is not there any more nothing is said"""
    keepfs = start(new_keepfs, app.uri(copy), drill_dir, settings(app.uri(copy), **RULES))
    keepfs.backup()
    app.sql(copy, "COMMENT ON COLUMN users.email IS 'who''s who; keepfs:redact=mask'; COMMENT ON COLUMN tasks.title IS 'keepfs:redact'; "
                  "CREATE TABLE later (x int); COMMENT ON COLUMN later.x IS 'keepfs:redact'; DROP TABLE visits")
    log_of(keepfs, "export acme from=full")
    past = document(keepfs, "acme")
    assert {row["email"] for row in rows_of(past, "users")} == {"***"} and len(rows_of(past, "visits")) == 6
    assert all("title" not in row and "done" in row for row in rows_of(past, "tasks"))


def test_what_a_dump_lacks(new_keepfs, app, copy, drill_dir):
    """rows that were left out when it was made"""
    keepfs = start(new_keepfs, app.uri(copy), drill_dir, settings(app.uri(copy), **RULES), exclude_table_data="public.visits")
    keepfs.backup()
    log = log_of(keepfs, "export acme from=full", "failed")
    assert "the dump has no rows of public.visits" in log, log
    assert made(keepfs, "acme") == []


def test_schemas(new_keepfs, pg, drill_dir):
    """a schema for each tenant: its own, and what is shared"""
    name = "past_schemas"
    pg.create(name)
    try:
        pg.sql(name, "CREATE SCHEMA registry; CREATE TABLE registry.tenants (id int, slug text); INSERT INTO registry.tenants VALUES (1, 'acme'), (2, 'globex'); "
                     "CREATE SCHEMA ref; CREATE TABLE ref.countries (code text); INSERT INTO ref.countries VALUES ('DE')"
                     + "".join(f"; CREATE SCHEMA {s}; CREATE TABLE {s}.a (id int PRIMARY KEY, t text); INSERT INTO {s}.a SELECT n, '{s}' FROM generate_series(1, 9) n; "
                               f"CREATE TABLE {s}.b (a int REFERENCES {s}.a, PRIMARY KEY (a)); INSERT INTO {s}.b SELECT id FROM {s}.a" for s in ("acme", "globex")))
        section = {"database": pg.uri(name), "tenancy": "schema", "tenants": "SELECT id, slug FROM registry.tenants", "exclude": "registry.*", "shared": "ref.countries"}
        keepfs = start(new_keepfs, pg.uri(name), drill_dir, section)
        keepfs.backup()
        ended(keepfs, "export acme")
        living = comparable(document(keepfs, "acme"))
        pg.sql(name, "DROP SCHEMA acme CASCADE; DELETE FROM registry.tenants WHERE id = 1")
        log = log_of(keepfs, "export acme from=full")
        assert comparable(document(keepfs, "acme")) == living and "19 of 19 rows were taken" in log
        # The name is another's by now, and the schema in the dump was not his.
        pg.sql(name, "INSERT INTO registry.tenants VALUES (9, 'acme'); CREATE SCHEMA acme; CREATE TABLE acme.a (id int PRIMARY KEY)")
        ended(keepfs, "export acme")
        count = len(made(keepfs, "acme"))
        log = log_of(keepfs, "export acme from=full", "failed")
        assert "cannot be told" in log and "the id 1" in log and len(made(keepfs, "acme")) == count, log
    finally:
        pg.drop(name)


def test_databases(new_keepfs, pg, drill_dir):
    """a database for each tenant: a dump of that one"""
    names = ["past_registry", "past_of_acme", "past_of_globex"]
    for name in names:
        pg.create(name)
    try:
        pg.sql("past_registry", "CREATE TABLE tenants (id int, slug text); INSERT INTO tenants VALUES (1, 'acme'), (2, 'globex')")
        for name in names[1:]:
            pg.sql(name, f"CREATE TABLE a (id int PRIMARY KEY, t text); INSERT INTO a SELECT n, '{name}' FROM generate_series(1, 5) n")
        section = {"database": pg.uri("past_registry"), "tenancy": "database", "tenants": "SELECT id, slug FROM tenants", "tenant_database": "past_of_{slug}"}
        keepfs = start(new_keepfs, pg.uri("past_registry"), drill_dir, section, databases="past_of_acme, past_of_globex")
        keepfs.backup()
        ended(keepfs, "export acme")
        living = comparable(document(keepfs, "acme"))
        pg.sql("past_of_acme", "DELETE FROM a")
        log_of(keepfs, "export acme from=full")
        assert comparable(document(keepfs, "acme")) == living
    finally:
        for name in names:
            pg.drop(name)


STAFF = """
CREATE TABLE staff (id int PRIMARY KEY, email text);
INSERT INTO staff SELECT n, 'staff' || n FROM generate_series(1, 5) n;
CREATE TABLE shifts (id int PRIMARY KEY, staff_id int NOT NULL REFERENCES staff ON DELETE CASCADE);
INSERT INTO shifts SELECT n, n FROM generate_series(1, 5) n;
CREATE TABLE replies (id bigserial PRIMARY KEY, org_id bigint NOT NULL REFERENCES orgs, shift_id int NOT NULL REFERENCES shifts, body text);
INSERT INTO replies (org_id, shift_id, body) SELECT o.id, n, 'by staff' || n FROM orgs o, generate_series(1, 5) n;
CREATE TABLE reviews (id bigserial PRIMARY KEY, org_id bigint NOT NULL REFERENCES orgs, user_id bigint NOT NULL REFERENCES users, body text);
INSERT INTO reviews (org_id, user_id, body) SELECT 1, id, email FROM users;
"""


def test_erased_elsewhere(new_keepfs, app, copy, drill_dir):
    """rows of the tenant that went with somebody who is in a table that is not exported, or is another tenant's, do not come back"""
    app.sql(copy, STAFF)
    keepfs = start(new_keepfs, app.uri(copy), drill_dir, settings(app.uri(copy), **{**RULES, "exclude": "jobs, staff, shifts"}))
    key = keepfs.directory / "erasure.key"
    key.write_bytes(os.urandom(32))
    os.chmod(key, 0o600)
    keepfs.unmount()
    keepfs.settings["erasure_key_file"] = key
    keepfs.write_conf()
    keepfs.mount()
    keepfs.backup()
    user = app.sql(copy, "SELECT min(id) FROM users WHERE org_id = 2")
    keepfs.run("erase", "public.staff", "id=2")
    keepfs.run("erase", "public.users", f"id={user}")
    log = log_of(keepfs, "export acme from=full")
    past = document(keepfs, "acme")
    assert sorted(row["shift_id"] for row in rows_of(past, "replies")) == [1, 3, 4, 5], log
    assert len(rows_of(past, "reviews")) == 20 and int(user) not in {row["user_id"] for row in rows_of(past, "reviews")}
    assert len(rows_of(past, "users")) == 7 and {row["org_id"] for row in rows_of(past, "users")} == {1}
    assert {t["table"] for t in past["tables"]}.isdisjoint({"staff", "shifts", "jobs"})


def test_own_store(new_keepfs, app, copy, drill_dir, tmp_path):
    """the exports of a tenant that the query does not name any more stay in the store where they were"""
    keepfs = new_keepfs({"full": {"database": app.uri(copy)}}, drill_dir=drill_dir)
    keepfs.sections = {"export": settings(app.uri(copy), **RULES), "store demos": {"url": f"dir:{tmp_path}/demos"}, "class demo": {"store": "demos"}}
    keepfs.write_conf()
    keepfs.mount()
    keepfs.backup()
    ended(keepfs, "export initech")
    app.sql(copy, "SET session_replication_role = replica; DELETE FROM orgs WHERE id > 1")
    ended(keepfs, "export initech from=full")
    names = made(keepfs, "initech")
    assert len(names) == 2 and all((tmp_path / "demos" / "exports" / "initech" / name).is_file() for name in names)
