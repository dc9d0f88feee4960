# SPDX-License-Identifier: Apache-2.0
"""The export of a tenant out of a stored dump: what a living export said at the moment of the dump, whatever became of the database since."""
import gzip
import json
import os
import pathlib
import shutil
import tempfile

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
    name = f"past_copy_{os.getpid()}"
    app.create(name, template=DATABASE)
    yield name
    app.drop(name)


@pytest.fixture
def drill_dir():
    """the server runs as another user, who must be able to pass"""
    path = pathlib.Path(tempfile.mkdtemp(prefix="keepfs-past-", dir="/var/tmp"))
    os.chmod(path, 0o711)
    yield path
    left = [name for _, directories, files in os.walk(path) for name in directories + files if name not in ("exports", "lock")]
    shutil.rmtree(path)
    assert left == []


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
