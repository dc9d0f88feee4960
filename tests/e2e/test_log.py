# SPDX-License-Identifier: Apache-2.0
"""keepfs log: when has a table changed, over all backups, by what was counted of each; by the mount, and without one."""
import json
import os
import re

import pytest

import daemon


def log(keepfs, *arguments):
    return json.loads(keepfs.run("log", "--json", *arguments).stdout)


def said(keepfs, *arguments, code=2):
    done = keepfs.run("log", *arguments, check=False)
    assert done.returncode == code, done
    assert done.stdout == ""
    return done.stderr


def seen(found):
    return [(v["there"], v.get("rows"), v.get("rows_change"), v["backups"]) for v in found["versions"]]


@pytest.fixture(scope="module")
def logged(pg):
    pg.create("logged")
    yield "logged"
    pg.drop("logged")


@pytest.fixture(params=["custom", "directory"])
def keepfs(request, new_keepfs, pg, logged):
    pg.sql(logged, "DROP TABLE IF EXISTS orders, late; DROP SCHEMA IF EXISTS sales CASCADE;"
                   "CREATE TABLE orders (id int PRIMARY KEY, note text); INSERT INTO orders SELECT g, 'x' FROM generate_series(1, 100) g")
    return new_keepfs({"full": {"database": pg.uri(logged), "format": request.param}}).mount()


def test_versions_of_a_table(keepfs, pg, logged):
    keepfs.backup()
    keepfs.backup()
    pg.sql(logged, "DELETE FROM orders WHERE id <= 3; CREATE TABLE late (id int); INSERT INTO late VALUES (1)")
    keepfs.backup()
    pg.sql(logged, "UPDATE orders SET note = 'y' WHERE id = 4")  # as many rows, as many bytes
    keepfs.backup()
    keepfs.backup("full tables=late")  # of less than the job: it says nothing about other tables
    pg.sql(logged, "DROP TABLE late")
    keepfs.backup()
    found = log(keepfs, "full", "public.orders")
    assert (found["table"], found["job"], found["database"], found["backups"], found["backups_uncounted"]) == ("public.orders", "full", logged, 5, 0)
    assert seen(found) == [(True, 97, 0, 2), (True, 97, -3, 1), (True, 100, None, 2)]
    assert len({v["hash"] for v in found["versions"]}) == 3
    with open(keepfs.path("status", "backups.jsonl")) as lines:
        backups = [json.loads(line) for line in lines]
    assert [v["path"] for v in found["versions"]] == [backups[2]["path"], backups[3]["path"], backups[5]["path"]]
    assert (found["versions"][2]["since"], found["versions"][2]["until"]) == (backups[5]["started"], backups[4]["started"])
    late = log(keepfs, "full/" + logged, "late")
    assert seen(late) == [(False, None, -1, 1), (True, 1, 1, 3), (False, None, None, 2)]
    text = keepfs.run("log", "orders").stdout
    assert re.search(r"\n\S+ +97 +-3 +\S+ B +1 " + re.escape(backups[3]["path"]), text), text
    assert f"public.orders of full, database {logged}: 3 versions in 5 backups" in text
    assert "(the table is not there)" in keepfs.run("log", "public.late").stdout
    keepfs.unmount()
    assert log(keepfs, "full", "public.orders") == found
    assert log(keepfs, "late") == late
    assert keepfs.run("log", "orders").stdout == text


def test_names(keepfs, pg, logged):
    pg.sql(logged, "CREATE SCHEMA sales; CREATE TABLE sales.orders (id int)")
    keepfs.backup()
    assert "is in 2 schemas: write which one you mean: public.orders, sales.orders" in said(keepfs, "orders")
    assert "did you mean public.orders?" in said(keepfs, "public.order")
    assert f"no backup of full/{logged} has a table customers" in said(keepfs, "customers")
    assert "there is no backup of a database of nobody" in said(keepfs, "nobody", "orders")
    assert "there is no backup of a database of nobody" in said(keepfs, "nobody/latest.dump", "orders")
    assert f"full has no database nosuch; it has: {logged}" in said(keepfs, "full/nosuch", "orders")
    assert f"full has no database nosuch; it has: {logged}" in said(keepfs, "full/nosuch/latest.dump", "orders")
    assert f"full has no database 20200101T020000Z.dump; it has: {logged}" in said(keepfs, "full/20200101T020000Z.dump", "orders")
    assert "log takes a table" in said(keepfs)
    assert "log takes a table" in said(keepfs, "a", "b", "c")


def test_what_is_damaged_is_told(keepfs, pg, logged):
    first, second = (keepfs.run_artifact(keepfs.backup()["run"]) for _ in range(2))
    keepfs.unmount()
    (key,) = [k for k in keepfs.store.keys() if k.startswith("backups/") and "tables.csv" in k and first.split(".")[0] in re.split("[./]", k)]
    keepfs.store.put(key, keepfs.store.get(key).replace(b"100", b"101"))
    done = keepfs.run("log", "--json", "orders", check=False)
    found = json.loads(done.stdout)
    assert done.returncode == 1 and "keepfs: " in done.stderr
    assert seen(found) == [(True, 100, None, 1)] and found["backups_uncounted"] == 1
    assert found["versions"][0]["path"].endswith(second)


def test_plain_text_says_nothing(new_keepfs, pg, logged):
    keepfs = new_keepfs({"full": {"database": pg.uri(logged), "format": "plain"}}).mount()
    keepfs.backup()
    assert "dumps of plain SQL have no .tables.csv" in said(keepfs, "orders")


def test_of_several_databases(new_keepfs, pg, logged):
    pg.create("logged_too")
    pg.sql("logged_too", "CREATE TABLE only_here (id int); CREATE TABLE orders (id int)")
    pg.sql(logged, "DROP TABLE IF EXISTS orders; CREATE TABLE orders (id int)")
    keepfs = new_keepfs({"tenants": {"database": pg.uri("postgres"), "databases": f"{logged}, logged_too"}}).mount()
    keepfs.backup("tenants")
    assert log(keepfs, "only_here")["database"] == "logged_too"
    assert log(keepfs, "tenants/logged_too/latest.dump", "orders")["database"] == "logged_too"
    assert "tenants has no database nosuch; it has: logged" in said(keepfs, "tenants/nosuch", "orders")
    assert log(keepfs, "tenants/logged", "public.orders")["database"] == logged
    assert re.search(r"orders is in several databases: name the one that is meant: tenants/logged(_too)?, tenants/logged", said(keepfs, "orders"))
    assert "the newest backups have no table customers" in said(keepfs, "customers")
    pg.drop("logged_too")


def test_a_backup_stands_for_its_directory(keepfs):
    keepfs.backup()
    name = keepfs.run_artifact(keepfs.backup()["run"])
    found = log(keepfs, "full", "public.orders")
    latest = "full/" + next(n for n in os.listdir(keepfs.path("backups", "full")) if n.startswith("latest"))
    words = [latest, f"full/{name}", f"backups/full/{name}", str(keepfs.path("backups", "full", name)), str(keepfs.path("backups", "full")) + "/"]
    assert [log(keepfs, word, "public.orders") for word in words] == [found] * len(words)
    keepfs.unmount()
    assert [log(keepfs, word, "public.orders") for word in words] == [found] * len(words)


def test_several_jobs_of_one_database(new_keepfs, pg, logged):
    """each directory is told, also after the table was dropped; what has no counts is named"""
    pg.sql(logged, "DROP TABLE IF EXISTS orders; CREATE TABLE orders (id int); INSERT INTO orders VALUES (1), (2)")
    job = {"database": pg.uri(logged)}
    keepfs = new_keepfs({"full": job, "nightly": job, "text": {**job, "format": "plain"}, "other": {**job, "exclude_tables": "orders"}}).mount()
    for name in ("full", "nightly", "text", "other"):
        keepfs.backup(name)
    pg.sql(logged, "DELETE FROM orders WHERE id = 2")
    keepfs.backup("full")
    done = keepfs.run("log", "public.orders")
    assert sorted(re.findall(r"^(\S+):$", done.stdout, re.M)) == [f"full/{logged}", f"nightly/{logged}"]
    assert f"public.orders of full, database {logged}: 2 versions in 2 backups" in done.stdout
    assert f"public.orders of nightly, database {logged}: 1 version in 1 backup" in done.stdout
    assert f"plain SQL has no counts): text/{logged}" in done.stderr
    assert f"no backup of other/{logged} has a table public.orders" in done.stderr
    pg.sql(logged, "DROP TABLE orders")
    keepfs.backup("full")
    keepfs.backup("nightly")
    found = several(keepfs.run("log", "--json", "orders").stdout)
    assert {f["job"]: seen(f) for f in found} == {"full": [(False, None, -1, 1), (True, 1, -1, 1), (True, 2, None, 1)], "nightly": [(False, None, -2, 1), (True, 2, None, 1)]}
    assert "no backup of full" in said(keepfs, "customers")
    assert log(keepfs, "nightly", "orders") == next(f for f in found if f["job"] == "nightly")


def several(text):
    """JSON values, one after the other"""
    found = []
    while text := text.lstrip():
        value, end = json.JSONDecoder().raw_decode(text)
        found.append(value)
        text = text[end:]
    return found


def test_only_plain_text_of_several_jobs(new_keepfs, pg, logged):
    job = {"database": pg.uri(logged), "format": "plain"}
    keepfs = new_keepfs({"one": job, "two": job}).mount()
    keepfs.backup("one")
    keepfs.backup("two")
    assert re.search(rf"no counts\): (one/{logged}, two|two/{logged}, one)/{logged}\n.*no backup says which tables it has", said(keepfs, "orders"))
