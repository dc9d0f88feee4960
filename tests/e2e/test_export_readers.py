# SPDX-License-Identifier: Apache-2.0
"""What others use reads exports: DuckDB, jq, sqlite3 and a spreadsheet see the same rows as psql."""
import csv
import gzip
import json
import os
import pathlib
import shutil
import sqlite3
import subprocess
import zipfile
from decimal import Decimal

import pytest

import exporting

DATABASE = "export_readers"
# The newest one when this was written. It is kept between runs, since it is large.
DUCKDB = "@duckdb/node-api@1.5.6-r.1"
ASK_DUCKDB = """
const { DuckDBInstance } = require('@duckdb/node-api');
(async () => {
  const instance = await DuckDBInstance.create(':memory:');
  const connection = await instance.connect();
  const reader = await connection.runAndReadAll(process.argv[1]);
  process.stdout.write(JSON.stringify(reader.getRowsJson()));
})().catch(error => { console.error(String(error)); process.exit(1); });
"""


@pytest.fixture(scope="module")
def app(pg):
    yield from exporting.application(pg, DATABASE)


@pytest.fixture(scope="module")
def duckdb():
    """ask DuckDB: the rows of an answer"""
    if not shutil.which("npm"):
        pytest.skip("npm is not installed")
    place = pathlib.Path(os.environ.get("XDG_CACHE_HOME") or pathlib.Path.home() / ".cache") / "keepfs-tests" / DUCKDB.replace("/", "-").lstrip("@")
    if not (place / "node_modules").exists():
        place.mkdir(parents=True, exist_ok=True)
        subprocess.run(["npm", "install", "--no-audit", "--no-fund", "--prefix", place, DUCKDB], check=True, stdout=subprocess.DEVNULL)

    def ask(sql):
        done = subprocess.run(["node", "-e", ASK_DUCKDB, sql], cwd=place, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    return ask


@pytest.fixture
def exported(new_keepfs, app):
    keepfs = exporting.start(new_keepfs, exporting.settings(app.uri(DATABASE)))

    def export(name):
        """the path of acme's export in that format"""
        exporting.ended(keepfs, f"export acme format={name}")
        (path,) = keepfs.path("exports", "acme").glob(f"latest.{name}.*" if name != "sqlite" else "latest.sqlite")
        return path

    return export


def of_acme(app, columns, table, order):
    """what psql says"""
    where = "t.id" if table == "orgs" else "t.org_id"
    return app.sql(DATABASE, f"SELECT json_agg(json_build_array({columns}) ORDER BY {order}) FROM {table} t WHERE {where} = 1")


def test_duckdb(exported, app, duckdb, tmp_path):
    expected = json.loads(of_acme(app, "t.id::text, t.title, t.budget::text", "projects", "t.id"))
    path = exported("json")
    tables = duckdb(f"SELECT t.\"table\", t.row_count FROM (SELECT unnest(tables) AS t FROM read_json('{path}', maximum_object_size = 100000000)) ORDER BY 1")
    assert {name: int(count) for name, count in tables} == {"comments": 40, "countries": 3, "orgs": 1, "projects": 4, "tasks": 20, "users": 7}
    for name, reading in (("csv", "read_csv('{}', header = true, all_varchar = true)"),
                          ("ndjson", "read_json('{}', format = 'newline_delimited', columns = {{id: 'VARCHAR', title: 'VARCHAR', budget: 'VARCHAR'}})")):
        with zipfile.ZipFile(exported(name)) as archive:
            file = archive.extract(f"public.projects.{name}", tmp_path)
        rows = duckdb(f"SELECT id, title, budget FROM {reading.format(file)} ORDER BY id")
        assert [(i, t, Decimal(b)) for i, t, b in rows] == [(i, t, Decimal(b)) for i, t, b in expected]


def test_jq_and_sqlite3(exported, app):
    """the commands of docs/formats.md, and of a database without any program of ours"""
    mails = json.loads(of_acme(app, "t.email", "users", "t.id"))
    with gzip.open(exported("json")) as file:
        document = json.load(file)
    assert [[row["email"]] for row in exporting.rows_of(document, "users")] == mails
    query = '.tables[] | select(.schema == "public" and .table == "users") | .rows[] | .email'
    said = subprocess.run(f"zcat '{exported('json')}' | jq -r '{query}'", shell=True, check=True, capture_output=True, text=True).stdout
    assert said.split() == [mail for mail, in mails]
    database = sqlite3.connect(f"file:{exported('sqlite')}?mode=ro&immutable=1", uri=True)
    assert [list(row) for row in database.execute("SELECT email FROM users ORDER BY id")] == mails
    assert database.execute("PRAGMA integrity_check").fetchall() == [("ok",)] and database.execute("PRAGMA foreign_key_check").fetchall() == []
    database.close()


@pytest.mark.slow("test_duckdb")
def test_a_spreadsheet(exported, app, tmp_path):
    """LibreOffice opens the CSV, and what it saves has the same rows"""
    if not shutil.which("soffice"):
        pytest.skip("libreoffice-calc is not installed")
    with zipfile.ZipFile(exported("csv")) as archive:
        file = archive.extract("public.users.csv", tmp_path)
    env = {name: value for name, value in os.environ.items() if name != "LD_PRELOAD"}
    how = "44,34,76,1,,0"  # commas, quotes, UTF-8
    office = ["soffice", f"-env:UserInstallation=file://{tmp_path}/profile", "--headless"]
    into = ["--outdir", tmp_path / "out"]
    subprocess.run([*office, f"--infilter=CSV:{how},true,false", "--convert-to", "ods", *into, file], check=True, capture_output=True, env=env)
    subprocess.run([*office, "--convert-to", f"csv:Text - txt - csv (StarCalc):{how},false,true,false", *into, tmp_path / "out" / "public.users.ods"], check=True, capture_output=True, env=env)
    with open(tmp_path / "out" / "public.users.csv", encoding="utf-8", newline="") as saved, zipfile.ZipFile(exported("csv")) as archive:
        original = list(csv.reader(archive.read("public.users.csv").decode().splitlines()))
        assert list(csv.reader(saved)) == original and len(original) == 8
