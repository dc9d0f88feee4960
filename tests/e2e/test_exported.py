# SPDX-License-Identifier: Apache-2.0
"""Exports of every format, read again: what `keepfs look` says of a file, and that the values that come back are those that went out."""
import csv
import gzip
import io
import json
import os
import sqlite3
import zipfile

import pytest

import exporting
from exporting import settings
from importing import Imports

APP = "exported_app"
FORMATS = ["json", "ndjson", "csv", "sqlite"]


@pytest.fixture(scope="module")
def app(pg):
    pg.create(APP)
    pg.sql(APP, exporting.TABLES + exporting.ROWS)
    yield pg
    pg.drop(APP)


@pytest.fixture
def imports(new_keepfs, pg, store):
    return Imports(new_keepfs(), pg, store)


def exported(imports, section, name):
    """the path of an export of that format"""
    path = imports.export({**section, "format": name})
    assert name in path.name
    return path


def looked(imports, *paths, check=True):
    done = imports.keepfs.run("look", "--json", *paths, conf=False, check=False)
    assert done.returncode == (0 if check else 1), done.stdout + done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()]


def test_what_a_file_says(imports, app):
    section = settings(app.uri(APP), exclude="comments")
    paths = [exported(imports, section, name) for name in FORMATS]
    said = looked(imports, *paths)
    assert [s["format"] for s in said] == FORMATS and all(s["whole"] and not s["problem"] and not s["remarks"] for s in said)
    for s in said:
        assert s["tenant"] == {"id": "1", "slug": "acme", "name": 'Acme "Ltd"'} and (s["database"], s["tenancy"]) == (APP, "column")
        assert {t["table"]: t["rows"] for t in s["tables"]} == {"orgs": 1, "countries": 3, "users": 7, "projects": 4, "tasks": 20} and s["rows"] == 35
        assert s["redacted"] == [{"schema": "public", "table": "users", "column": "password_hash", "how": "omit"}]
        assert [(t["table"], bool(t["why"])) for t in s["left_out"]] == [("comments", True)]
    text = imports.keepfs.run("look", paths[1], conf=False).stdout
    assert "whole, ndjson" in text and 'Acme "Ltd" (acme, id 1)' in text and "       20 public.tasks" in text and "left out  public.comments" in text
    document = json.loads(gzip.decompress(paths[0].read_bytes()))
    exporting.validate(document)
    users = next(t for t in document["tables"] if t["table"] == "users")
    assert users["way"] == "column" and users["tenant_column"] == "org_id" and users["unique"][0]["columns"] == ["org_id", "id"]
    assert next(t for t in document["tables"] if t["table"] == "tasks")["columns"][0]["sequence"] == "public.tasks_id_seq"


def edit_zip(path, name, edit):
    """another archive, with the file @name as @edit makes it"""
    changed = path.with_name(f"edited-{path.name}")
    with zipfile.ZipFile(path) as before, zipfile.ZipFile(changed, "w", zipfile.ZIP_DEFLATED) as after:
        for entry in before.namelist():
            content = before.read(entry)
            after.writestr(entry, edit(content) if entry == name else content)
    return changed


def through_a_spreadsheet(text):
    """quotes around everything, CR and LF, and a mark at the beginning"""
    out = io.StringIO(newline="")
    csv.writer(out, quoting=csv.QUOTE_ALL, lineterminator="\r\n").writerows(csv.reader(io.StringIO(text.decode(), newline="")))
    return b"\xef\xbb\xbf" + out.getvalue().encode()


def test_files_that_are_not_whole(imports, app):
    section = settings(app.uri(APP))
    for name in FORMATS:
        path = exported(imports, section, name)
        cut = path.with_name(f"cut-{path.name}")
        cut.write_bytes(path.read_bytes()[: path.stat().st_size * 2 // 3])
        (said,) = looked(imports, cut, check=False)
        assert not said["whole"] and cut.name in said["problem"], said
    sheet = exported(imports, section, "csv")
    said = looked(imports, edit_zip(sheet, "public.countries.csv", lambda text: text + b"XX,Nowhere\n"), check=False)[0]["problem"]
    assert "public.countries.csv has 4 rows" in said and "says 3" in said
    (said,) = looked(imports, edit_zip(sheet, "public.countries.csv", through_a_spreadsheet))
    assert said["whole"]
    sql = imports.export({**section, "format": "sql"})
    assert "psql -1 -f" in looked(imports, sql, check=False)[0]["problem"]
    database = exported(imports, section, "sqlite")
    with sqlite3.connect(database) as connection:
        connection.execute("DELETE FROM tasks WHERE id = (SELECT min(id) FROM tasks)")
    connection.close()
    assert "the table tasks has 19 rows" in looked(imports, database, check=False)[0]["problem"]


@pytest.mark.parametrize("name", FORMATS)
def test_values_come_back(imports, app, name):
    """each format brings the same rows into an empty database"""
    target = f"exported_target_{os.getpid()}"
    app.create(target)
    try:
        app.sql(target, exporting.TABLES)
        path = exported(imports, settings(app.uri(APP)), name)
        if name == "csv":
            path = edit_zip(path, "public.projects.csv", through_a_spreadsheet)
        imports.into(target, path, "shared=insert")
        for table, query in (("projects", "SELECT * FROM {} WHERE org_id = 1 ORDER BY id"),
                             ("users", "SELECT id, email, country, born, tags, settings FROM {} WHERE org_id = 1 ORDER BY id"),
                             ("tasks", "SELECT * FROM {} WHERE project_id IN (SELECT id FROM projects WHERE org_id = 1) ORDER BY id")):
            assert app.sql(target, query.format(table)) == app.sql(APP, query.format(table)), table
    finally:
        app.drop(target)
