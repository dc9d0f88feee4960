# SPDX-License-Identifier: Apache-2.0
"""keepfs diff: what has changed between two backups, of tables, rows and schemas; of each format, with a mount and without one."""
import collections
import json
import os
import signal
import subprocess

import pytest

import daemon
import handmade
import stores

FORMATS = {"custom": {}, "text": {"format": "plain", "compression": "none"}, "stored": {"compression": "none"}, "directory": {"format": "directory"},
           "plain": {"format": "plain"}}
TABLES = ["public.orders", "public.same", "public.twice", 'odd."quoted, ""name"', "public.empty_now"]

BEFORE = """
    CREATE SCHEMA odd;
    CREATE TABLE orders (id integer PRIMARY KEY, note text);
    INSERT INTO orders SELECT g, repeat(md5(g::text), 1 + g % 20) FROM generate_series(1, 3000) g;
    CREATE TABLE same AS SELECT g AS id, md5(g::text) AS code FROM generate_series(1, 2000) g;
    CREATE TABLE twice (v text);
    INSERT INTO twice VALUES ('a'), ('a'), ('a'), ('b'), (NULL);
    CREATE TABLE odd."quoted, ""name" (v text);
    INSERT INTO odd."quoted, ""name" VALUES (E'tab\\t, feed\\n, back\\\\slash, grün €'), (E'\\x1b[31mred');
    CREATE TABLE empty_now AS SELECT 1 AS id;
    CREATE TABLE gone AS SELECT g AS id FROM generate_series(1, 7) g;
    CREATE TABLE columns_changed AS SELECT 1 AS id, 'x'::text AS note;
    CREATE TABLE odd.orders (id integer);
    CREATE FUNCTION add(a integer, b integer) RETURNS integer LANGUAGE sql AS 'SELECT a + b';
    """
BETWEEN = """
    INSERT INTO orders SELECT g, 'new' FROM generate_series(3001, 3010) g;
    DELETE FROM orders WHERE id BETWEEN 100 AND 119;
    UPDATE orders SET note = note || '!' WHERE id IN (1, 1500, 3000);
    DELETE FROM twice WHERE ctid = (SELECT min(ctid) FROM twice WHERE v = 'a');
    INSERT INTO twice VALUES ('b'), ('b'), (NULL), ('c');
    INSERT INTO odd."quoted, ""name" VALUES (E'\\\\N'), (E'\\\\.');
    DELETE FROM empty_now;
    DROP TABLE gone;
    CREATE TABLE added AS SELECT g AS id FROM generate_series(1, 5) g;
    ALTER TABLE columns_changed RENAME note TO remark;
    CREATE OR REPLACE FUNCTION add(a integer, b integer) RETURNS integer LANGUAGE sql AS 'SELECT b + a';
    VACUUM FULL same
    """


def copied(pg, table):
    """its rows in COPY's text format, as a multiset"""
    text = pg.tool("psql", "-X", "-q", "-d", pg.uri("compared"), "-c", f"COPY {table} TO STDOUT")
    return collections.Counter(text.split("\n")[:-1])


def rows_of(text):
    """(removed, added) of what diff has printed"""
    lines = text.split("\n")[:-1]
    assert all(line[0] in "+-" for line in lines)
    return tuple(collections.Counter(line[1:] for line in lines if line[0] == sign) for sign in "-+")


@pytest.fixture(scope="module")
def module_store(tmp_path_factory):
    return stores.DirStore(tmp_path_factory.mktemp("diff-store"))


@pytest.fixture(scope="module")
def compared(pg, tmp_path_factory, module_store):
    """two backups in each format, and what the tables held: (keepfs, rows before, rows after, {format: (A, B)})"""
    pg.create("compared")
    pg.sql("compared", BEFORE)
    jobs = {name: {"database": pg.uri("compared"), **settings} for name, settings in FORMATS.items()}
    jobs["files tree"] = {"path": tmp_path_factory.mktemp("tree")}
    keepfs = daemon.Keepfs(tmp_path_factory.mktemp("diff"), module_store, jobs)
    keepfs.mount()
    try:
        found = {name: [] for name in FORMATS}
        before = {table: copied(pg, table) for table in TABLES}
        take_backups(keepfs, found)
        for statement in BETWEEN.split(";\n"):
            pg.sql("compared", statement)
        after = {table: copied(pg, table) for table in TABLES}
        take_backups(keepfs, found)
        keepfs.backup("tree")
        yield keepfs, before, after, found
    finally:
        keepfs.close()
        pg.drop("compared")


def take_backups(keepfs, found):
    for name, paths in found.items():
        keepfs.backup(name)
        paths.append(f"{name}/{keepfs.artifacts(name)[-1]}")


def diff(keepfs, *arguments, **options):
    return keepfs.run("diff", *arguments, **options)


def states(answer):
    return {f"{t['schema']}.{t['table']}": t["state"] for t in answer["tables"]}


@pytest.mark.parametrize("before_format, after_format", [("custom", "custom"), ("custom", "directory"), ("directory", "plain"), ("plain", "text"),
                                                         ("text", "stored"), ("stored", "custom")])
def test_rows_of_all_formats(compared, before_format, after_format):
    keepfs, before, after, found = compared
    a, b = found[before_format][0], found[after_format][1]
    for table in TABLES:
        done = diff(keepfs, a, b, table.replace('"quoted, ""name"', 'quoted, "name'))
        removed, added = rows_of(done.stdout)
        assert removed == before[table] - after[table], table
        assert added == after[table] - before[table], table
        if removed or added:
            assert f"{sum(removed.values())} removed, {sum(added.values())} added" in done.stderr
        else:
            assert "the rows are the same" in done.stderr
    # the other way round
    removed, added = rows_of(diff(keepfs, b, a, "public.orders").stdout)
    assert removed == after["public.orders"] - before["public.orders"] and added == before["public.orders"] - after["public.orders"]


def test_rows_in_several_places(new_keepfs, store):
    """SQL of other makers may have that; which of them is meant, nobody knows"""
    rows = "COPY public.t (id) FROM stdin;\n1\n\\.\n\n"
    once, twice = "full/20261120T020000Z.sql", "full/20261121T020000Z.sql"
    handmade.publish(store, f"backups/{once}", rows.encode())
    handmade.publish(store, f"backups/{twice}", (rows + "COPY public.u (id) FROM stdin;\n\\.\n" + rows).encode(), run=2)
    keepfs = new_keepfs()
    keepfs.run("rebuild")
    for a, b in ((once, twice), (twice, once)):
        for words, said in (((), f"{twice} has the rows of public.t in several places"), (("public.t",), 'more than one table "public"."t"')):
            done = diff(keepfs, a, b, *words, check=False)
            assert done.returncode not in (0, 1) and said in done.stderr and twice in done.stderr, done
    assert diff(keepfs, twice, twice, "public.u").returncode == 0


def test_tables_at_a_glance(compared):
    keepfs, before, after, found = compared
    a, b = found["custom"]
    text = diff(keepfs, a, b).stdout
    lines = text.splitlines()
    assert lines[:3] == [f"A: backups/{a}", f"B: backups/{b}", ""]
    table = {line.split()[0]: line.split()[1:] for line in lines[4:] if line.startswith("public.")}
    assert table["public.orders"][:4] == ["changed", "3000", "2990", "-10"]
    assert table["public.twice"][:4] == ["changed", "5", "8", "+3"]
    assert table["public.added"][:4] == ["new", "-", "5", "+5"] and table["public.gone"][:4] == ["gone", "7", "-", "-7"]
    assert table["public.columns_changed"][0] == "columns" and table["public.empty_now"][:3] == ["changed", "1", "0"]
    assert "public.same" not in table
    assert lines[-1] == "2 same, 4 changed, 1 columns, 1 new, 1 gone"


def test_tables_as_json(compared):
    keepfs, before, after, found = compared
    a, b = found["directory"]
    answer = json.loads(diff(keepfs, "--json", a, b).stdout)
    assert list(answer) == ["a", "b", "counts", "tables"]
    assert (answer["a"], answer["b"]) == (f"backups/{a}", f"backups/{b}")
    assert answer["counts"] == {"same": 2, "changed": 4, "columns": 1, "new": 1, "gone": 1, "unknown": 0}
    assert states(answer) == {"odd.orders": "same", 'odd.quoted, "name': "changed", "public.added": "new", "public.columns_changed": "columns",
                              "public.empty_now": "changed", "public.orders": "changed", "public.same": "same", "public.twice": "changed",
                              "public.gone": "gone"}
    (orders,) = [t for t in answer["tables"] if (t["schema"], t["table"]) == ("public", "orders")]
    size = sum((len(row.encode()) + 1) * times for row, times in before["public.orders"].items())
    assert orders == {"schema": "public", "table": "orders", "state": "changed", "rows_a": 3000, "rows_b": 2990, "bytes_a": size,
                      "bytes_b": orders["bytes_b"], "columns_a": "(id, note)", "columns_b": "(id, note)"}
    (gone,) = [t for t in answer["tables"] if t["table"] == "gone"]
    assert (gone["rows_a"], gone["rows_b"], gone["bytes_b"], gone["columns_b"]) == (7, None, None, None)
    # itself, by two names
    answer = json.loads(diff(keepfs, "--json", b, "directory/latest").stdout)
    assert set(states(answer).values()) == {"same"}


def test_text_is_read_for_its_tables(compared):
    """nobody has counted its rows when it was made"""
    keepfs, before, after, found = compared
    of_archives = json.loads(diff(keepfs, "--json", *found["custom"]).stdout)
    for a, b in (found["plain"], (found["text"][0], found["directory"][1])):
        answer = json.loads(diff(keepfs, "--json", a, b).stdout)
        assert states(answer) == states(of_archives)
        assert {t["table"]: t["rows_a"] for t in answer["tables"]} == {t["table"]: t["rows_a"] for t in of_archives["tables"]}


def test_rows_as_json(compared):
    keepfs, before, after, found = compared
    a, b = found["custom"][0], found["directory"][1]
    answer = json.loads(diff(keepfs, "--json", a, b, "odd.quoted, \"name").stdout)
    assert list(answer) == ["a", "b", "schema", "table", "columns", "encoding", "removed", "added", "rows"]
    assert (answer["schema"], answer["table"], answer["columns"], answer["encoding"]) == ("odd", 'quoted, "name', "(v)", "UTF8")
    assert (answer["removed"], answer["added"]) == (0, 2)
    assert answer["rows"] == [{"change": "added", "row": "\\\\N"}, {"change": "added", "row": "\\\\."}]
    # what has a control character and what is no ASCII
    answer = json.loads(diff(keepfs, "--json", b, a, "gone").stdout)
    assert answer["added"] == 7 and [r["row"] for r in answer["rows"]] == [str(i) for i in range(1, 8)]
    answer = json.loads(diff(keepfs, "--json", a, b, "same").stdout)
    assert (answer["removed"], answer["added"], answer["rows"]) == (0, 0, [])


def test_a_table_that_is_new_or_gone(compared):
    keepfs, before, after, found = compared
    a, b = found["custom"]
    assert diff(keepfs, a, b, "added").stdout == "".join(f"+{i}\n" for i in range(1, 6))
    assert diff(keepfs, a, b, "gone").stdout == "".join(f"-{i}\n" for i in range(1, 8))


def test_rows_that_are_put_back(compared, pg):
    """what the documents tell people to do with them"""
    keepfs, before, after, found = compared
    lost = diff(keepfs, *found["custom"], "public.orders").stdout
    deleted = [line[1:] for line in lost.splitlines() if line[0] == "-" and 100 <= int(line[1:].split("\t")[0]) <= 119]
    assert len(deleted) == 20
    pg.sql("compared", "CREATE TABLE again (LIKE orders)")
    pg.tool("psql", "-X", "-q", "-d", pg.uri("compared"), "-c", "COPY again FROM stdin", input="".join(line + "\n" for line in deleted))
    assert copied(pg, "again") == collections.Counter(deleted)
    pg.sql("compared", "DROP TABLE again")


def test_what_the_schema_says(compared):
    keepfs, before, after, found = compared
    for before_format, after_format in (("custom", "custom"), ("directory", "text"), ("plain", "plain")):
        a, b = found[before_format][0], found[after_format][1]
        lines = diff(keepfs, "--schema", a, b).stdout.splitlines()
        assert lines[:2] == [f"--- backups/{a}", f"+++ backups/{b}"]
        headings = {line for line in lines if line.startswith("@@ ")}
        assert headings == {"@@ changed FUNCTION public.add(integer, integer) @@", "@@ new TABLE public.added @@", "@@ gone TABLE public.gone @@",
                            "@@ changed TABLE public.columns_changed @@"}, headings
        assert "-    note text" in lines and "+    remark text" in lines and "     id integer," in lines
        assert any(line.startswith("-    AS $$SELECT a + b$$;") or line.startswith("-    LANGUAGE sql") for line in lines), lines
        assert "+CREATE TABLE public.added (" in lines and "-CREATE TABLE public.gone (" in lines
    assert diff(keepfs, "--schema", found["custom"][1], found["text"][1]).stdout == ""


def test_what_cannot_be_compared(compared):
    keepfs, before, after, found = compared
    a, b = found["custom"]

    def refused(*arguments, status=2):
        done = diff(keepfs, *arguments, check=False)
        assert done.returncode == status and done.stdout == "", done.stdout + done.stderr
        return done.stderr

    told = refused(a, b, "columns_changed")
    assert "columns of public.columns_changed differ" in told and "(id, note) before, (id, remark) now" in told
    assert "neither backup has rows of a table nothing" in refused(a, b, "nothing")
    assert "orders is in 2 schemas: write which one you mean: " in refused(a, b, "orders")
    assert "custom/20010101T000000Z.dump is no backup" in refused(a, "custom/20010101T000000Z.dump")
    assert "two backups" in refused(a)
    assert "two backups" in refused(a, b, "x", "y")
    assert "--schema" in refused("--schema", a, b, "same") and "--schema" in refused("--schema", "--json", a, b)
    tree = f"tree/{[n for n in os.listdir(keepfs.path('backups', 'tree')) if n.startswith('2')][0]}"
    told = diff(keepfs, a, tree, check=False)
    assert told.returncode != 0 and f"backups/{tree}" in told.stderr and told.stdout == ""


def test_without_a_mount_and_with_paths_of_it(compared):
    keepfs, before, after, found = compared
    a, b = found["directory"]
    mounted = diff(keepfs, f"{keepfs.mountpoint}/backups/{a}", keepfs.path("backups", b), "twice").stdout
    keepfs.unmount()
    try:
        assert diff(keepfs, a, b, "public.twice").stdout == mounted
        assert rows_of(mounted) == (before["public.twice"] - after["public.twice"], after["public.twice"] - before["public.twice"])
    finally:
        keepfs.mount()
    # nothing of a comparison stays
    assert not [n for n in os.listdir(keepfs.state) if n.startswith("unlinked-")]


def test_the_audit_has_who_read_rows(compared):
    keepfs, before, after, found = compared
    a, b = found["custom"]
    diff(keepfs, a, b, "public.same")
    diff(keepfs, a, b, "columns_changed", check=False)
    diff(keepfs, "--schema", a, b)
    with keepfs.catalog() as catalog:
        lines = catalog.execute("SELECT object, result, uid FROM audit WHERE action = 'diff' ORDER BY id DESC LIMIT 3").fetchall()
    paths = f"backups/{a} backups/{b}"
    assert lines == [(f"{paths} --schema", "ok", os.getuid()), (f"{paths} columns_changed", "failed", os.getuid()), (f"{paths} public.same", "ok", os.getuid())]


def test_no_catalog(new_keepfs):
    done = new_keepfs().run("diff", "full/a.dump", "full/b.dump", check=False)
    assert done.returncode == 3 and "keepfs rebuild" in done.stderr


def test_beside_the_mount_of_an_older_one(compared):
    """which would not know the catalog's format if the command changed it"""
    keepfs, before, after, found = compared
    a, b = found["custom"]

    def set_format(number):
        with keepfs.writable_catalog() as catalog:
            was = catalog.execute("PRAGMA user_version").fetchone()[0]
            catalog.execute(f"PRAGMA user_version = {number or was - 1}")
        return was

    newest = set_format(None)
    try:
        done = diff(keepfs, a, b, check=False)
        assert done.returncode != 0 and "is of an older keepfs" in done.stderr and "restart it" in done.stderr, done.stderr
    finally:
        assert set_format(newest) == newest - 1
    assert diff(keepfs, a, b, "public.same").stdout == ""


def test_whoever_stops_reading_ends_it(compared):
    keepfs, before, after, found = compared
    a, b = found["custom"]
    with subprocess.Popen([daemon.PROGRAM, "diff", "-c", str(keepfs.conf), a, b, "public.orders"], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
                          env=keepfs.env) as process:
        assert process.stdout.read(1) == b"-"
        process.stdout.close()
        assert process.wait(timeout=daemon.DEADLINE_S) is not None


def test_a_damaged_one(new_keepfs, pg):
    """is told, and no rows that might be wrong are shown"""
    pg.create("compared_damaged")
    try:
        pg.sql("compared_damaged", "CREATE TABLE t AS SELECT g AS id, md5(g::text) AS code FROM generate_series(1, 150000) g")
        keepfs = new_keepfs({"full": {"database": pg.uri("compared_damaged")}}).mount()
        keepfs.backup()
        pg.sql("compared_damaged", "UPDATE t SET code = 'other' WHERE id = 5")
        keepfs.backup()
        a, b = (f"full/{name}" for name in keepfs.artifacts())
        key = f"backups/{b}"
        data = bytearray(keepfs.store.get(key))
        data[len(data) // 2] ^= 1
        keepfs.store.put(key, bytes(data))
        done = diff(keepfs, a, b, "t", check=False)
        assert done.returncode == 1 and key in done.stderr and done.stdout == "", done.stderr
        # what was counted of it is there
        assert json.loads(diff(keepfs, "--json", a, b).stdout)["counts"]["changed"] == 1
    finally:
        pg.drop("compared_damaged")


def interrupted_while_it_prints(keepfs, a, b):
    """nobody reads what it prints, so it is at work still; it ends cleanly when somebody does"""
    with subprocess.Popen([daemon.PROGRAM, "diff", "-c", str(keepfs.conf), a, b, "t"], stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                          env=keepfs.env) as process:
        assert process.stdout.read(2) == b"-1"
        process.send_signal(signal.SIGINT)
        daemon.wait_until(lambda: "signals" not in daemon.threads_of(process.pid), "the signal to be taken")
        out, err = process.communicate(timeout=daemon.DEADLINE_S)
    assert process.returncode == 1 and b"cancelled" in err, err
    assert b"+" not in out


def test_more_rows_than_may_be_kept(new_keepfs, pg):
    """rows that have no equal go to the disk, up to a limit"""
    pg.create("compared_much")
    try:
        pg.sql("compared_much", "CREATE TABLE t AS SELECT g AS id FROM generate_series(1, 700000) g")
        keepfs = new_keepfs({"full": {"database": pg.uri("compared_much")}}, diff_space="1M")
        keepfs.run("run", "full")
        pg.sql("compared_much", "UPDATE t SET id = -id")
        keepfs.run("run", "full")
        a, b = (f"full/{name}" for name in sorted(p.name for p in (keepfs.store.root / "backups/full").glob("*.dump")))
        done = diff(keepfs, a, b, "t", check=False)
        assert done.returncode == 1 and "raise [keepfs] diff_space" in done.stderr and done.stdout == "", done.stderr
        keepfs.settings["diff_space"] = "100M"
        keepfs.write_conf()
        done = diff(keepfs, a, b, "t")
        assert "700000 removed, 700000 added" in done.stderr
        lines = done.stdout.splitlines()
        assert len(lines) == 1400000 and lines[0] == "-1" and lines[700000:700002] == ["+-1", "+-2"]
        interrupted_while_it_prints(keepfs, a, b)
    finally:
        pg.drop("compared_much")
