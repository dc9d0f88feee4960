# SPDX-License-Identifier: Apache-2.0
"""history/: the versions of a table over all backups, as links into inside/."""
import os
import subprocess
import time

import pytest

import daemon

DATABASE = "table_history"


@pytest.fixture(scope="module")
def source(pg):
    pg.create(DATABASE)
    yield DATABASE
    pg.drop(DATABASE)


@pytest.fixture(params=["custom", "directory"])
def keepfs(request, new_keepfs, pg, source):
    pg.sql(source, "DROP SCHEMA IF EXISTS public, odd CASCADE; CREATE SCHEMA public;"
                   "CREATE TABLE orders (id int, note text); INSERT INTO orders SELECT g, 'x' FROM generate_series(4700, 4799) g;"
                   "CREATE TABLE stays (id int); INSERT INTO stays VALUES (1)")
    keepfs = new_keepfs({"full": {"database": pg.uri(source), "format": request.param}}).mount()
    make = keepfs.backup

    def backup(*words):
        """in a second of its own: of two of one second the later has a name that sorts before the other's, in a shell's patterns too"""
        run, second = make(*words), int(time.time())
        daemon.wait_until(lambda: int(time.time()) > second, "the next second")
        return run
    keepfs.backup = backup
    return keepfs


def stem(keepfs, run):
    return keepfs.run_artifact(run["run"]).split(".")[0]


def versions(keepfs, table, directory="full"):
    """the oldest first, as they are listed"""
    return os.listdir(keepfs.path("history", directory, table))


def grep(pattern, directory):
    """names of the versions that have it"""
    done = subprocess.run(f"grep -lw {pattern} {directory}/*", shell=True, check=False, stdout=subprocess.PIPE, text=True)
    assert done.returncode in (0, 1)
    return [os.path.basename(line) for line in done.stdout.splitlines()]


def test_since_when_is_a_row_gone(keepfs, pg, source):
    """a table that changes, stays, and changes back"""
    names = []

    def backup(sql="SELECT 1"):
        pg.sql(source, sql)
        names.append(stem(keepfs, keepfs.backup()) + ".tsv")

    backup()
    backup()
    backup("DELETE FROM orders WHERE id = 4711")
    backup()
    assert sorted(os.listdir(keepfs.path("history", "full"))) == ["public.orders", "public.stays"]
    orders = keepfs.path("history", "full", "public.orders")
    assert versions(keepfs, "public.orders") == [names[0], names[2]]
    assert versions(keepfs, "public.stays") == [names[0]]
    assert grep("4711", orders) == [names[0]]
    assert grep("4712", orders) == [names[0], names[2]]
    assert os.readlink(orders / names[0]) == f"../../../inside/full/{names[0][:-4]}/tables/public.orders.tsv"
    backup("INSERT INTO orders VALUES (4711, 'x')")
    assert versions(keepfs, "public.orders") == [names[0], names[2], names[4]]
    assert grep("4711", orders) == [names[0], names[4]]
    assert (orders / names[4]).read_bytes().count(b"\n") == 100
    # the backup that a link leads to is removed: the next one that has the same takes its place
    numbers = {name: os.lstat(orders / name).st_ino for name in versions(keepfs, "public.orders")}
    os.unlink(keepfs.path("backups", "full", keepfs.artifacts()[0])) if keepfs.artifacts()[0].endswith(".dump") else os.rmdir(keepfs.path("backups", "full", keepfs.artifacts()[0]))
    assert versions(keepfs, "public.orders") == [names[1], names[2], names[4]]
    assert grep("4711", orders) == [names[1], names[4]]
    assert not os.path.lexists(orders / names[0])
    keepfs.remount()
    assert versions(keepfs, "public.orders") == [names[1], names[2], names[4]]
    assert {name: os.lstat(orders / name).st_ino for name in names[2:5:2]} == {name: numbers[name] for name in names[2:5:2]}


def test_a_table_that_is_dropped_and_made_anew(keepfs, pg, source):
    first = stem(keepfs, keepfs.backup())
    pg.sql(source, "DROP TABLE orders")
    keepfs.backup()
    # it is listed no more, and found by its name
    assert os.listdir(keepfs.path("history", "full")) == ["public.stays"]
    assert versions(keepfs, "public.orders") == [f"{first}.tsv"]
    pg.sql(source, "CREATE TABLE orders (id int, note text); INSERT INTO orders SELECT g, 'x' FROM generate_series(4700, 4799) g")
    again = stem(keepfs, keepfs.backup())
    assert versions(keepfs, "public.orders") == [f"{first}.tsv", f"{again}.tsv"]
    assert not keepfs.path("history", "full", "public.nobody").exists()
    assert not keepfs.path("history", "full", "orders").exists()
    assert not keepfs.path("history", "nobody").exists()


def test_names_and_rights(keepfs, pg, source):
    long = "/" * 63
    pg.sql(source, f'CREATE SCHEMA odd; CREATE TABLE odd."a.b/c%\n" (id int); INSERT INTO odd."a.b/c%\n" VALUES (4711); CREATE TABLE odd."{long}" (id int);'
                   'CREATE TABLE odd."Größe" (id int)')
    name = stem(keepfs, keepfs.backup())
    expected = {n[:-4] for n in os.listdir(keepfs.path("inside", "full", name, "tables")) if n.endswith(".tsv")}
    assert set(os.listdir(keepfs.path("history", "full"))) == expected and "odd.a%2Eb%2Fc%25%0A" in expected
    for table in expected:
        (version,) = versions(keepfs, table)
        path = keepfs.path("history", "full", table, version)
        assert path.resolve() == keepfs.path("inside", "full", name, "tables", f"{table}.tsv")
        assert path.read_bytes() == path.resolve().read_bytes()
    found = subprocess.run(["find", str(keepfs.path("history")), "-type", "l"], check=True, stdout=subprocess.PIPE, text=True).stdout
    assert len(found.splitlines()) == len(expected)
    for remove, path in ((os.unlink, ("public.orders", f"{name}.tsv")), (os.rmdir, ("public.orders",)), (os.rmdir, ())):
        with pytest.raises(PermissionError):
            remove(keepfs.path("history", "full", *path))
    assert "history/ only shows what is in the backups: remove them in backups/" in keepfs.text("status", "last-error")


def test_less_than_all_and_what_was_not_counted(keepfs, pg, source):
    """a backup of some tables says nothing of the others, and one of plain SQL nothing at all"""
    first = stem(keepfs, keepfs.backup())
    keepfs.backup("full tables=stays")
    keepfs.backup("full format=plain")
    assert versions(keepfs, "public.orders") == [f"{first}.tsv"]
    assert sorted(os.listdir(keepfs.path("history", "full"))) == ["public.orders", "public.stays"]


def test_to_look_again_asks_the_store_nothing(keepfs):
    first = stem(keepfs, keepfs.backup())
    assert versions(keepfs, "public.orders") == [f"{first}.tsv"]
    keepfs.unmount()
    counts = {key: keepfs.store.get(key) for key in keepfs.store.keys() if key.endswith("tables.csv")}
    assert counts
    for key in counts:
        keepfs.store.remove(key)
    keepfs.mount()
    assert versions(keepfs, "public.orders") == [f"{first}.tsv"]
    for key, content in counts.items():
        keepfs.store.put(key, content)


def test_of_several_databases(new_keepfs, pg, source):
    pg.create("table_history_too")
    pg.sql("table_history_too", "CREATE TABLE here (id int); INSERT INTO here VALUES (4711)")
    pg.sql(source, "DROP TABLE IF EXISTS orders; CREATE TABLE orders (id int)")
    keepfs = new_keepfs({"tenants": {"database": pg.uri("postgres"), "databases": f"{source}, table_history_too"}}).mount()
    keepfs.backup("tenants")
    assert sorted(os.listdir(keepfs.path("history", "tenants"))) == [source, "table_history_too"]
    assert os.listdir(keepfs.path("history", "tenants", "table_history_too")) == ["public.here"]
    directory = keepfs.path("history", "tenants", "table_history_too", "public.here")
    (name,) = versions(keepfs, "public.here", "tenants/table_history_too")
    assert grep("4711", directory) == [name]
    assert os.readlink(directory / name) == f"../../../../inside/tenants/table_history_too/{name[:-4]}/tables/public.here.tsv"
    assert not keepfs.path("history", "tenants", source, "public.here").exists()
    pg.drop("table_history_too")
