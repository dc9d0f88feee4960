# SPDX-License-Identifier: Apache-2.0
"""Exports in each format: all values, exactly, as programs without keepfs read them; and nothing that is redacted."""
import csv
import gzip
import io
import json
import os
import re
import shutil
import sqlite3
import subprocess
import zipfile

import pytest

import exporting
from exporting import ended, settings, start

csv.field_size_limit(1 << 30)
SOURCE = "export_formats"
APP = "export_formats_app"
SUFFIXES = {"json": ".json.gz", "ndjson": ".ndjson.zip", "csv": ".csv.zip", "sql": ".sql.gz", "sqlite": ".sqlite"}
# As keepfs reads rows.
SETTINGS = "SET datestyle = 'ISO, YMD'; SET intervalstyle = iso_8601; SET timezone = 'UTC'; SET extra_float_digits = 3; SET bytea_output = hex; "

TYPES = r"""
CREATE SCHEMA "Odd. schema";
CREATE TYPE mood AS ENUM ('sad', 'it''s "fine"', E'back\\slash', 'très heureux');
CREATE TYPE pair AS (a int, "the B" text);
CREATE TYPE nested AS (p pair, many pair[], m mood);
CREATE DOMAIN positive AS numeric(12,3) CHECK (VALUE > 0);
CREATE DOMAIN codes AS text[];
CREATE TYPE floats AS RANGE (subtype = float8);
CREATE TABLE kinds (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, b bool, i2 int2, i4 int4, i8 int8, n numeric, n92 numeric(30,4), f4 float4, f8 float8,
    t text, v varchar(40), c char(7), by bytea, ts timestamp, tz timestamptz, d date, ti time, tt timetz, iv interval, u uuid, j json, jb jsonb,
    bi bit(5), ip inet, ma macaddr, p point, bo box, ir int4range, tr tstzrange, fr floats, ia int[], ta text[], md int[][], ba bytea[], bx box[],
    e mood, ea mood[], cp pair, cpa pair[], ne nested, po positive, co codes, tv tsvector, o oid, "char" "char", na name);
INSERT INTO kinds (b) VALUES (NULL);
INSERT INTO kinds (b, i2, i4, i8, n, n92, f4, f8, t, v, c, by, ts, tz, d, ti, tt, iv, u, j, jb, bi, ip, ma, p, bo, ir, tr, fr, ia, ta, md, ba, bx, e, ea, cp, cpa, ne, po, co, tv, o, "char", na) VALUES
    (true, 32767, -2147483648, 9223372036854775807, '123456789012345678901234567890.123456789012345678901234567890', 12345678901234567890.1234, 0.1, 0.1,
     E'a "quote", a comma\n a line\r\n, a tab\t, \\ and \\N', 'ünï 漢字 🐘', 'ab', '\x00ff0a5c22', '0044-03-15 12:00:00.000001 BC', '2026-11-20 02:00:00.25+01',
     '0044-03-15 BC', '23:59:59.999999', '12:00:00+05:30', '1 year 2 mons 3 days 04:05:06.7', 'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11',
     E'{"a": 1.10,\n "b": [null, "x\\ty"]}', '{"n": 12345678901234567890, "k": "v\"w"}', B'10101', '10.0.0.0/8', '08:00:2b:01:02:03', '(1.5,-2)', '(1,1),(0,0)', '[1,10)',
     '["2026-01-01 00:00:00+00",)', '[1.5,2.5]', '{1,NULL,3}', E'{a,NULL,"NULL","","with \\"quotes\\" and \\\\","a,b"}', '{{1,2},{3,4}}', ARRAY['\x00'::bytea, NULL],
     '{(1,1),(0,0);(2,2),(1,1)}', 'it''s "fine"', ARRAY['sad', E'back\\slash']::mood[], ROW(1, 'x, "y" \ z'), ARRAY[ROW(1, 'a')::pair, NULL, ROW(NULL, '')::pair],
     ROW(ROW(1, 'in "it"')::pair, ARRAY[ROW(2, E'\\,')::pair], 'très heureux'), 0.001, '{x,"y z"}', 'a fat cat', 4294967295, 'x', 'a name'),
    (false, -32768, 2147483647, -9223372036854775808, 'NaN', -0.0001, 'NaN', 'Infinity', '', '', '', '', 'infinity', '-infinity', '-infinity', '00:00', '00:00+00', '0', '00000000-0000-0000-0000-000000000000',
     'null', 'null', B'00000', '::1', '00:00:00:00:00:00', '(Infinity,NaN)', '(0,0),(0,0)', 'empty', 'empty', '(,)', '{}', '{}', '{}', '{}', '{}', 'sad', '{}', ROW(NULL, NULL), '{}', ROW(NULL, NULL, NULL), 1, '{}', '', 0, '', ''),
    (NULL, 0, 0, 9007199254740993, '-Infinity', 0, '-Infinity', 1e-300, E'\u0001\u001f\u007f\u2028\U0001f418', E'\\.', NULL, NULL, '294276-12-31 23:59:59.999999', '4713-01-01 00:00:00+00 BC', '5874897-12-31', NULL, NULL, '-1 day -00:00:01',
     NULL, '[]', '{}', NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, '[0:1]={1,2}', '[2:3]={a,b}', NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL);
CREATE TABLE "Odd. schema"."A ""table"", with: odd/name%" ("Id" uuid PRIMARY KEY, "a ""column"", of it" text, "id" int UNIQUE);
INSERT INTO "Odd. schema"."A ""table"", with: odd/name%" VALUES ('a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11', 'x', 1);
CREATE TABLE kids (a int, b text, kind_id bigint REFERENCES kinds ON DELETE CASCADE, odd int REFERENCES "Odd. schema"."A ""table"", with: odd/name%" (id), number serial,
    twice int GENERATED ALWAYS AS (a * 2) STORED, said text GENERATED ALWAYS AS (upper(b)) STORED, PRIMARY KEY (a, b));
INSERT INTO kids (a, b, kind_id, odd) SELECT n, 'kid ' || n, 1 + n % 4, CASE WHEN n % 2 = 0 THEN 1 END FROM generate_series(1, 2000) n;
CREATE TABLE "Kids" (up int); INSERT INTO "Kids" VALUES (7);
CREATE TABLE none ();
INSERT INTO none DEFAULT VALUES; INSERT INTO none DEFAULT VALUES;
CREATE TABLE empty (id int PRIMARY KEY, next int REFERENCES empty);
CREATE TABLE large (id int PRIMARY KEY, t text); INSERT INTO large SELECT n, repeat(chr(64 + n % 60) || '"', 300000) FROM generate_series(1, 4) n;
"""


@pytest.fixture(scope="module")
def app(pg):
    """tenants in shared tables"""
    pg.create(APP)
    pg.sql(APP, exporting.TABLES + exporting.ROWS)
    yield pg
    pg.drop(APP)


@pytest.fixture(scope="module")
def source(pg, app):
    """a tenant's own database, with all kinds of values"""
    pg.create(SOURCE)
    pg.sql(SOURCE, TYPES)
    yield pg
    pg.drop(SOURCE)


@pytest.fixture
def copy(app):
    name = f"export_formats_{os.getpid()}"
    app.create(name, template=APP)
    yield name
    app.drop(name)


def of_database(pg, **further):
    return {"database": pg.uri(APP), "tenancy": "database", "tenants": f"SELECT '{SOURCE}' AS id, 'acme' AS slug, E'Acme\\n\\\\! Ltd' AS name",
            "tenant_database": "{id}", "undecided": "fail", **further}


def exported(keepfs, name, tenant="acme"):
    """the path of what an export of that format makes"""
    before = set(os.listdir(keepfs.path("exports", tenant))) if keepfs.path("exports", tenant).exists() else set()
    ended(keepfs, f"export {tenant} format={name}")
    (made,) = [n for n in set(os.listdir(keepfs.path("exports", tenant))) - before if re.match(r"^\d{8}T\d{6}Z(-\d+)?\.", n)]
    assert made.endswith(SUFFIXES[name]) and made.count(".") == SUFFIXES[name].count("."), made
    return keepfs.path("exports", tenant, made)


def tables_of(pg, database=SOURCE):
    """(schema, table), quoted"""
    return [tuple(line.split("\t")) for line in pg.sql(database, "SELECT schemaname || E'\t' || tablename FROM pg_tables "
                                                                 "WHERE schemaname NOT IN ('pg_catalog', 'information_schema') ORDER BY 1").splitlines()]


def quoted(*names):
    return ".".join('"' + n.replace('"', '""') + '"' for n in names)


def as_csv(pg, schema, table, database=SOURCE):
    """what PostgreSQL itself writes; as it is read here, in which no line end is changed"""
    done = subprocess.run([str(pg.bindir / "psql"), "-X", "-q", "-v", "ON_ERROR_STOP=1", "-d", pg.uri(database), "-c",
                           f"{SETTINGS} COPY (SELECT * FROM {quoted(schema, table)}) TO STDOUT (FORMAT csv, HEADER)"], stdout=subprocess.PIPE, check=True)
    return done.stdout


def file_of(schema, table):
    safe = lambda name: re.sub(r"[./%\x00-\x1f\x7f]", lambda m: f"%{ord(m.group()):02X}", name)
    return f"{safe(schema)}.{safe(table)}"


def test_names_everywhere(new_keepfs, app, store):
    """suffix, latest, SHA256SUMS, facts, removal and the catalog made anew: of each format what they are of json"""
    keepfs = start(new_keepfs, settings(app.uri(APP), format="csv"))
    ended(keepfs, "export acme")
    for name in SUFFIXES:
        ended(keepfs, f"exports tenant=acme format={name}")
    directory = keepfs.path("exports", "acme")
    for name, suffix in SUFFIXES.items():
        link = directory / f"latest{suffix}"
        assert re.fullmatch(r"\d{8}T\d{6}Z(-\d+)?" + re.escape(suffix), os.readlink(link))
        path = directory / os.readlink(link)
        facts = {a.removeprefix("user.keepfs."): os.getxattr(path, a).decode() for a in os.listxattr(path)}
        assert facts["format"] == name and facts["verified_at"] and facts["rows"] and facts["redacted"] == "1", facts
    subprocess.run(["sha256sum", "-c", "--quiet", "SHA256SUMS"], cwd=directory, check=True)
    names = sorted(n for n in os.listdir(directory) if n[0] == "2")
    assert len(names) == len(SUFFIXES) + 1 and len([n for n in names if n.endswith(".csv.zip")]) == 2
    keepfs.unmount()
    keepfs.catalog().close()
    (keepfs.directory / "state" / "catalog.db").unlink()
    keepfs.run("rebuild")
    keepfs.mount()
    assert sorted(n for n in os.listdir(directory) if n[0] == "2") == names
    (gone,) = [n for n in names if n.endswith(".csv.zip") and n != os.readlink(directory / "latest.csv.zip")]
    os.unlink(directory / gone)
    assert gone not in os.listdir(directory) and gone not in keepfs.text("exports", "acme", "SHA256SUMS")


def test_command(new_keepfs, app):
    keepfs = start(new_keepfs, settings(app.uri(APP)))
    keepfs.run("export", "acme", "--format=csv", "--wait")
    keepfs.run("export", "globex", "--format", "ndjson", "--wait")
    assert [len([n for n in os.listdir(keepfs.path("exports", slug)) if n.endswith(suffix) and n[0] == "2"])
            for slug, suffix in (("acme", ".csv.zip"), ("globex", ".ndjson.zip"))] == [1, 1]
    assert "allowed" in keepfs.refused("trigger", "export acme format=xls")


def test_csv(new_keepfs, source):
    """byte by byte what PostgreSQL writes"""
    keepfs = start(new_keepfs, of_database(source))
    path = exported(keepfs, "csv")
    subprocess.run(["unzip", "-tq", path], stdout=subprocess.DEVNULL, check=True)
    with zipfile.ZipFile(path) as archive:
        assert archive.testzip() is None
        names = archive.namelist()
        assert names[0] == "README.txt" and names[-1] == "schema.json"
        schema = json.loads(archive.read("schema.json"))
        assert {(t["schema"], t["table"]): t["file"] for t in schema["tables"]} == {t: f"{file_of(*t)}.csv" for t in tables_of(source)}
        assert sorted(names[1:-1]) == sorted(t["file"] for t in schema["tables"])
        for t in schema["tables"]:
            text = archive.read(t["file"])
            assert text == as_csv(source, t["schema"], t["table"]), t["table"]
            assert t["row_count"] == int(source.sql(SOURCE, f"SELECT count(*) FROM {quoted(t['schema'], t['table'])}"))
            if t["columns"] and t["table"] != "Kids":
                rows = list(csv.reader(io.StringIO(text.decode(), newline="")))
                assert rows[0] == [c["name"] for c in t["columns"]] and len(rows) == t["row_count"] + 1
        assert schema["row_count"] == sum(t["row_count"] for t in schema["tables"]) and schema["format"] == "keepfs-export"
        # What it says of itself, in which a name cannot make a line of its own.
        readme = archive.read("README.txt").decode()
        assert "Acme | \\! Ltd" in readme and SOURCE in readme and "RFC 4180" in readme and "uid" in readme
        assert readme.splitlines()[1].startswith("Made by keepfs")


def test_ndjson(new_keepfs, source):
    """the rows of json, a file for each table"""
    keepfs = start(new_keepfs, of_database(source))
    path, plain = exported(keepfs, "ndjson"), exported(keepfs, "json")
    lines = gzip.decompress(plain.read_bytes()).decode().split("\n")
    document = json.loads("\n".join(lines))
    with zipfile.ZipFile(path) as archive:
        assert archive.testzip() is None
        schema = json.loads(archive.read("schema.json"))
        for t, whole in zip(schema["tables"], document["tables"], strict=True):
            text = archive.read(t["file"]).decode()
            rows = [json.loads(line) for line in text.split("\n")[:-1]]
            assert text.endswith("\n") or not rows
            assert rows == whole["rows"] and len(rows) == t["row_count"], t["table"]
            assert {k: v for k, v in t.items() if k != "file"} == {k: v for k, v in whole.items() if k != "rows"}
            # To the byte: each is a line of the document, too.
            assert {line.rstrip(",") for line in text.split("\n")[:-1]} <= {line.rstrip(",") for line in lines}
    assert schema["redacted"] == document["redacted"] == []


@pytest.fixture
def empty(pg):
    name = f"export_formats_empty_{os.getpid()}"
    pg.create(name)
    yield name
    pg.drop(name)


def load(pg, path, database, check=True, data=None):
    """as docs/formats.md says"""
    return subprocess.run([str(pg.bindir / "psql"), "-X", "-q", "-v", "ON_ERROR_STOP=1", "-1", "-d", pg.uri(database), "-f", "-"],
                          input=gzip.decompress(path.read_bytes()) if data is None else data, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=check)


def test_sql(new_keepfs, source, empty):
    """loaded into an empty database, each table is what it was: values, types, keys, sequences, what is generated"""
    keepfs = start(new_keepfs, of_database(source))
    path = exported(keepfs, "sql")
    assert load(source, path, empty).stdout == b""
    assert tables_of(source, empty) == tables_of(source)
    for schema, table in tables_of(source):
        assert as_csv(source, schema, table, empty) == as_csv(source, schema, table), table
    columns = """SELECT string_agg(concat_ws(' ', attrelid::regclass, attname, format_type(atttypid, atttypmod), attnotnull, attidentity, attgenerated), E'\n' ORDER BY
        attrelid::regclass::text, attnum) FROM pg_attribute JOIN pg_class c ON c.oid = attrelid WHERE relkind = 'r' AND relnamespace::regnamespace::text !~ '^(pg_|inform)' AND attnum > 0"""
    # Up to a default that a domain or another constraint may need, all is there; what depends on nothing but PostgreSQL is computed again.
    assert source.sql(empty, columns) == source.sql(SOURCE, columns)
    keys = """SELECT string_agg(concat_ws(' ', conrelid::regclass, contype, convalidated, regexp_replace(pg_get_constraintdef(oid), ' ON DELETE CASCADE', '')), E'\n'
        ORDER BY conrelid::regclass::text, contype, pg_get_constraintdef(oid)) FROM pg_constraint WHERE contype IN ('p', 'f', 'u') AND connamespace <> 'pg_catalog'::regnamespace"""
    assert source.sql(empty, keys) == source.sql(SOURCE, keys)
    assert source.sql(empty, "INSERT INTO kids (a, b) VALUES (-1, 'x') RETURNING number, twice, said").split("\n")[0] == "2001|-2|X"
    assert source.sql(empty, "INSERT INTO kinds (b) VALUES (true) RETURNING id").split("\n")[0] == "5"
    # Beneath tables that are there, too; but not twice.
    source.sql(empty, "TRUNCATE " + ", ".join(quoted(*t) for t in tables_of(source)))
    assert load(source, path, empty).returncode == 0
    done = load(source, path, empty, check=False)
    assert done.returncode != 0 and b"duplicate key" in done.stdout
    assert source.sql(empty, "SELECT count(*) FROM kids") == "2000"


def test_sql_that_was_cut_off(new_keepfs, source, empty):
    """leaves nothing, wherever it ends; and it cannot be loaded without a transaction"""
    keepfs = start(new_keepfs, of_database(source))
    text = gzip.decompress(exported(keepfs, "sql").read_bytes())
    assert re.search(rb"\n-- The end: \d+ rows\.\n$", text)
    # In the definitions, among rows, behind a table, and behind all of them.
    for end in (text.index(b"COPY"), text.index(b"kid 1000"), text.index(b"\n\\.\n\n") + 5, text.rindex(b"INSERT INTO pg_temp")):
        done = load(source, None, empty, check=False, data=text[:end])
        assert done.returncode != 0 and source.sql(empty, "SELECT count(*) FROM pg_tables WHERE schemaname = 'public'") == "0", (end, done.stdout)
    done = subprocess.run([str(source.bindir / "psql"), "-X", "-q", "-d", source.uri(empty)], input=text, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False)
    assert done.returncode != 0 and b"keepfs_export_end" in done.stdout and tables_of(source, empty) == []


def test_sql_of_a_tenant(new_keepfs, app, copy, empty, tmp_path):
    """columns that are redacted or of a type that cannot be made are text; references that lead to what no export has are told"""
    app.sql(copy, """
        CREATE EXTENSION IF NOT EXISTS hstore; CREATE FUNCTION shout(text) RETURNS text LANGUAGE sql IMMUTABLE AS 'SELECT upper($1)';
        CREATE TABLE audit (id int PRIMARY KEY); INSERT INTO audit VALUES (1);
        ALTER TABLE orgs ADD h hstore DEFAULT 'a=>1', ADD cls regclass DEFAULT 'orgs'::regclass, ADD loud text GENERATED ALWAYS AS (shout(slug)) STORED,
            ADD audit_id int REFERENCES audit DEFAULT 1;
        CREATE TABLE parents (id int PRIMARY KEY, org_id bigint REFERENCES orgs); INSERT INTO parents VALUES (1, 1), (2, NULL);
        CREATE TABLE strays (org_id bigint REFERENCES orgs, parent_id int REFERENCES parents); INSERT INTO strays VALUES (1, 1), (1, 2)""")
    key = tmp_path / "key"
    key.write_bytes(b"k" * 32)
    key.chmod(0o600)
    keepfs = start(new_keepfs, settings(app.uri(copy), exclude="audit", redact="password_hash, comments.author_id:hash, tasks.parent_id:null, users.email:mask",
                                        redact_key_file=key))
    path = exported(keepfs, "sql")
    text = gzip.decompress(path.read_bytes()).decode()
    assert "-- redacted: public.comments.author_id (hash)\n" in text and "-- left out: public.audit" in text
    assert "has no key" in text and "that table is left out" in text and "a column of it is redacted" in text
    done = load(app, path, empty)
    assert b"strays: rows that strays_parent_id_fkey leads to are not in the export" in done.stdout
    assert app.sql(empty, "SELECT h, cls, loud, pg_typeof(h), pg_typeof(cls) FROM orgs") == '"a"=>"1"|public.orgs|ACME|text|text'
    assert app.sql(empty, "SELECT DISTINCT pg_typeof(author_id), author_id ~ '^hash:' FROM comments") == "text|t"
    assert app.sql(empty, "SELECT count(*), count(parent_id) FROM tasks") == "20|0"
    assert app.sql(empty, "SELECT count(*) FROM users WHERE email = '***'") == "7"


def read_sqlite(path, sql):
    """the file as it is in the mount, opened by SQLite"""
    db = sqlite3.connect(f"file:{path}?immutable=1", uri=True)
    try:
        db.row_factory = sqlite3.Row
        return [dict(row) for row in db.execute(sql)]
    finally:
        db.close()


def test_sqlite(new_keepfs, source, tmp_path):
    """each value as PostgreSQL writes it, in the class of values that is promised; keys, indexes, and what it says of itself"""
    keepfs = start(new_keepfs, of_database(source))
    path = exported(keepfs, "sqlite")
    assert path.read_bytes()[:16] == b"SQLite format 3\0"
    assert read_sqlite(path, "PRAGMA integrity_check") == [{"integrity_check": "ok"}] and read_sqlite(path, "PRAGMA foreign_key_check") == []
    facts = {row["name"]: row["value"] for row in read_sqlite(path, "SELECT * FROM keepfs_export")}
    schema = json.loads(facts["schema"])
    assert "SQLite 3" in facts["readme"] and "Acme | \\! Ltd" in facts["readme"] and schema["source"]["database"] == SOURCE
    names = {(t["schema"], t["table"]): t["name"] for t in schema["tables"]}
    assert names[("public", "kinds")] == "kinds" and names[("Odd. schema", 'A "table", with: odd/name%')] == 'Odd%2E schema.A "table", with: odd%2Fname%25'
    assert {names[("public", "kids")], names[("public", "Kids")]} in ({"kids", "Kids%2"}, {"kids%2", "Kids"}) and len(names) == len(tables_of(source))
    for t in schema["tables"]:
        columns = [c["name"] for c in read_sqlite(path, f"SELECT name FROM pragma_table_info({literal(t['name'])})")]
        rows = read_sqlite(path, f"SELECT {', '.join(quoted(c) for c in columns)} FROM {quoted(t['name'])}")
        assert len(rows) == t["row_count"]
        if not t["columns"]:
            continue
        plain = list(csv.reader(io.StringIO(as_csv(source, t["schema"], t["table"]).decode(), newline="")))[1:]
        types = {c["name"]: c["type"] for c in t["columns"]}
        for row, expected in zip(rows, sorted(plain, key=lambda p: int(p[0]) if t["primary_key"] == ["id"] else 0), strict=True):
            for (name, value), text, column in zip(row.items(), expected, t["columns"], strict=True):
                assert as_text(value, column["type"]) == text, (t["table"], name)
    (kinds,) = read_sqlite(path, "SELECT typeof(i8) i8, typeof(n) n, typeof(f8) f8, typeof(by) by, hex(by) bytes, typeof(b) b, typeof(tz) tz, typeof(ia) ia FROM kinds WHERE id = 2")
    assert kinds == {"i8": "integer", "n": "text", "f8": "real", "by": "blob", "bytes": "00FF0A5C22", "b": "integer", "tz": "text", "ia": "text"}
    assert [r["v"] for r in read_sqlite(path, "SELECT f8 v FROM kinds WHERE id > 2 ORDER BY id")] == ["Infinity", 1e-300]
    assert [(r["t"], r["v"]) for r in read_sqlite(path, "SELECT t, v FROM kinds WHERE id IN (1, 3) ORDER BY id")] == [(None, None), ("", "")]
    # A query that goes along the keys uses their index; what they lead to is unique.
    kids = names[("public", "kids")]
    plan = read_sqlite(path, f"EXPLAIN QUERY PLAN SELECT * FROM {quoted(kids)} WHERE kind_id = 3")
    assert f"{kids}..1" in plan[0]["detail"] or f"{kids}..2" in plan[0]["detail"], plan
    assert {(k["table"], k["from"], k["to"]) for k in read_sqlite(path, f"SELECT * FROM pragma_foreign_key_list({literal(kids)})")} == {
        ("kinds", "kind_id", "id"), (names[("Odd. schema", 'A "table", with: odd/name%')], "odd", "id%2")}
    assert [n for n in os.listdir(keepfs.directory / "state") if "sqlite" in n] == []
    if shutil.which("sqlite3"):
        shutil.copy(path, tmp_path / "copy.sqlite")
        done = subprocess.run(["sqlite3", "-readonly", tmp_path / "copy.sqlite", "SELECT count(*) FROM kids"], stdout=subprocess.PIPE, check=True)
        assert done.stdout.strip() in (b"2000", b"1")


def literal(text):
    return "'" + text.replace("'", "''") + "'"


def as_text(value, type_name):
    """a value of SQLite as PostgreSQL writes it as text"""
    if value is None:
        return ""
    if isinstance(value, bytes):
        return "\\x" + value.hex()
    if type_name == "boolean":
        return "t" if value else "f"
    if isinstance(value, float):
        return {"real": "0.1", "double precision": "1e-300" if value < 1e-200 else "0.1"}[type_name] if value else "0"
    return str(value)


def test_sqlite_has_its_space(new_keepfs, source, store):
    """an export that would be larger than the configuration allows fails, says so, and leaves nothing"""
    keepfs = start(new_keepfs, of_database(source, space="1M"))
    _, status = ended(keepfs, "export acme format=sqlite", "failed")
    assert "[export] space" in status["error"] and "another format" in status["error"], status
    assert exporting.is_empty(store) and [n for n in os.listdir(keepfs.directory / "state") if "sqlite" in n] == []
    exported(keepfs, "csv")


SECRET = "correct-horse-battery"


def secrets(keepfs, app, copy, tmp_path):
    """a key, and an application in which a secret stands wherever one can"""
    key = tmp_path / "key"
    key.write_bytes(b"0123456789abcdef" * 2)
    key.chmod(0o600)
    app.sql(copy, f"""
        CREATE TYPE login AS (name text, pass text);
        ALTER TABLE users ADD masked text, ADD hashed text, ADD hashed_number bigint, ADD nulled text NOT NULL DEFAULT '{SECRET}', ADD both_of login, ADD list jsonb[], ADD by bytea;
        UPDATE users SET password_hash = '{SECRET}', masked = '{SECRET}', hashed = '{SECRET}', hashed_number = 8675309867530986753, both_of = ROW('x', '{SECRET}'), by = '{SECRET}',
            list = ARRAY[jsonb_build_object('token', '{SECRET}', 'n', 1), NULL, '[{{"token": "{SECRET}"}}]'],
            settings = jsonb_build_object('token', '{SECRET}', 'keep', 'kept', 'deep', jsonb_build_array('{SECRET}', NULL), 'hash', '{SECRET}');
        UPDATE users SET masked = NULL, hashed = NULL WHERE id = (SELECT min(id) FROM users WHERE org_id = 1)""")
    keepfs.sections = {"export": settings(
        app.uri(copy), redact="password_hash, users.masked:mask, users.hashed:hash, users.hashed_number:hash, users.nulled:null, users.both_of:hash, users.by:mask, "
                              "users.settings->token, users.settings->deep->*:mask, users.settings->hash:hash, users.list->token:mask, users.list->*->token:null",
        redact_key_file=key)}
    keepfs.write_conf()
    keepfs.mount()


def contents(path):
    """all that is in a file, unpacked"""
    if path.name.endswith(".gz"):
        return gzip.decompress(path.read_bytes())
    if path.name.endswith(".zip"):
        with zipfile.ZipFile(path) as archive:
            return b"\n".join(archive.read(n) for n in archive.namelist())
    return path.read_bytes()


def users_of(path):
    """the rows of users: values as text, None for NULL"""
    data = contents(path)
    if path.name.endswith(".sql.gz"):
        (copied,) = re.findall(r'^COPY "public"."users" \(([^\n]*)\) FROM stdin;\n(.*?)^\\\.$', data.decode(), re.M | re.S)
        names = [n.strip('"') for n in copied[0].split(", ")]
        return [{n: None if v == "\\N" else v.replace("\\\\", "\\") for n, v in zip(names, line.split("\t"), strict=True)} for line in copied[1].splitlines()]
    if path.name.endswith(".sqlite"):
        return read_sqlite(path, "SELECT * FROM users")
    if path.name.endswith(".json.gz"):
        return exporting.rows_of(json.loads(data), "users")
    with zipfile.ZipFile(path) as archive:
        if path.name.endswith(".ndjson.zip"):
            return [json.loads(line) for line in archive.read("public.users.ndjson").splitlines()]
        return [{k: v or None for k, v in row.items()} for row in csv.DictReader(io.StringIO(archive.read("public.users.csv").decode(), newline=""))]


def test_redaction(new_keepfs, app, copy, tmp_path):
    """is the same in each format, and the secret is in none"""
    keepfs = new_keepfs()
    secrets(keepfs, app, copy, tmp_path)
    hashes = set()
    for name in SUFFIXES:
        path = exported(keepfs, name)
        data = contents(path)
        for planted in (SECRET, SECRET.encode().hex(), "8675309867530986753"):
            assert planted.encode() not in data and planted.encode() not in path.read_bytes(), name
        users = sorted(users_of(path), key=lambda u: int(u["id"]))
        assert len(users) == 7 and all("password_hash" not in u for u in users)
        assert users[0]["masked"] is None and users[0]["hashed"] is None and all(u["nulled"] is None and u["by"] == "***" for u in users)
        assert all(u["masked"] == "***" for u in users[1:])
        first = users[1]
        in_json = first["settings"] if isinstance(first["settings"], dict) else json.loads(first["settings"])
        assert in_json["keep"] == "kept" and "token" not in in_json and in_json["deep"] == ["***", None]
        assert in_json["hash"] == first["hashed"]
        if isinstance(first["list"], str):
            assert re.sub(r'[\\" ]', "", first["list"]) == "{{n:1,token:***},NULL,[{token:null}]}", first["list"]
        else:
            assert first["list"] == [{"n": 1, "token": "***"}, None, [{"token": None}]]
        hashes.add(tuple(first[k] for k in ("hashed", "hashed_number", "both_of")))
    assert len(hashes) == 1 and all(re.fullmatch(r"hash:[0-9a-f]{32}", h) for h in hashes.pop())


def test_secrets_within_values(new_keepfs, app, copy):
    """what looks like a secret within a composite value is seen in formats that have it as text, too"""
    app.sql(copy, "CREATE TYPE pair AS (a text, b text); ALTER TABLE users ADD both_of pair[]")
    app.sql(copy, "UPDATE users SET both_of = ARRAY[ROW('a, b', 'ghp_' || repeat('aB3dE6fG9h', 4))::pair] WHERE org_id = 1")
    keepfs = start(new_keepfs, settings(app.uri(copy)))
    for name in SUFFIXES:
        _, status = ended(keepfs, f"export acme format={name}", "failed")
        assert "a value of public.users.both_of looks like a secret" in status["error"] and "aB3dE6" not in status["error"], name


def test_damage_is_found(new_keepfs, app, store):
    """by verify, of each format"""
    keepfs = start(new_keepfs, settings(app.uri(APP)))
    for name in SUFFIXES:
        path = exported(keepfs, name)
        key = f"exports/acme/{path.name}"
        keepfs.run("verify", key, "-m", keepfs.mountpoint)
        data = bytearray(store.get(key))
        data[len(data) // 2] ^= 1
        store.put(key, bytes(data))
        done = keepfs.run("verify", key, "-m", keepfs.mountpoint, check=False)
        assert done.returncode != 0 and "damaged" in done.stdout + done.stderr, name
