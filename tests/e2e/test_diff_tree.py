# SPDX-License-Identifier: Apache-2.0
"""diff/: two backups of one database compared, as files."""
import collections
import csv
import errno
import io
import json
import os
import pathlib
import signal
import subprocess
import tarfile
import tempfile
import threading

import pytest

import daemon
import faulty_s3
import handmade
import stores

DATABASE = "diff_tree"
LONG = "/" * 63  # its files' names are cut
QUOTED, ESCAPED = 'odd."quo\'te"""', 'odd."a.b/c%\n"'
# What a file is called, and what it is of: tables that both backups have.
BOTH = {"public.orders": "orders", "public.twice": "twice", "public.emptied": "emptied", "public.same": "same", "odd.quo'te\"": QUOTED,
        "odd.a%2Eb%2Fc%25%0A": ESCAPED}
DIFFERENT = [name for name in BOTH if name != "public.same"]

BEFORE = f"""
CREATE SCHEMA odd;
CREATE TABLE orders (id int PRIMARY KEY, note text);
INSERT INTO orders SELECT g, repeat(md5(g::text), 1 + g % 20) FROM generate_series(1, 5000) g;
CREATE TABLE twice (v text);
INSERT INTO twice VALUES ('a'), ('a'), ('a'), ('b'), (NULL);
CREATE TABLE emptied AS SELECT 1 AS id;
CREATE TABLE same AS SELECT g AS id FROM generate_series(1, 100) g;
CREATE TABLE gone AS SELECT g AS id FROM generate_series(1, 7) g;
CREATE TABLE columns_changed AS SELECT 1 AS id, 'x'::text AS note;
CREATE TABLE {QUOTED} (v text);
INSERT INTO {QUOTED} VALUES (E'tab\\t, feed\\n, back\\\\slash'), ('stays');
CREATE TABLE {ESCAPED} (id int);
INSERT INTO {ESCAPED} VALUES (1), (2);
CREATE TABLE odd."{LONG}" (id int);
INSERT INTO odd."{LONG}" VALUES (1);
"""
BETWEEN = f"""
INSERT INTO orders SELECT g, 'new' FROM generate_series(5001, 5010) g;
DELETE FROM orders WHERE id BETWEEN 100 AND 119;
UPDATE orders SET note = note || '!' WHERE id IN (1, 2500, 5000);
DELETE FROM twice WHERE ctid = (SELECT min(ctid) FROM twice WHERE v = 'a');
INSERT INTO twice VALUES ('b'), ('b'), (NULL), ('c');
DELETE FROM emptied;
DROP TABLE gone;
CREATE TABLE added AS SELECT g AS id FROM generate_series(1, 5) g;
ALTER TABLE columns_changed RENAME note TO remark;
UPDATE {QUOTED} SET v = E'\\\\N' WHERE v = 'stays';
INSERT INTO {ESCAPED} VALUES (3);
UPDATE odd."{LONG}" SET id = 2;
"""


def run(*command, **options):
    return subprocess.run([str(word) for word in command], check=True, stdout=subprocess.PIPE, **options).stdout


def copied(pg, table, database=DATABASE):
    """its rows in COPY's text format, as a multiset"""
    return lines_of(run(pg.bindir / "psql", "-X", "-q", "-d", pg.uri(database), "-c", f"COPY {table} TO STDOUT"))


def lines_of(text):
    assert not text or text.endswith(b"\n")
    return collections.Counter(text.split(b"\n")[:-1])


def stem(keepfs, backup):
    return keepfs.run_artifact(backup["run"]).split(".")[0]


class Made:
    """three backups: before, after, and after once more"""

    def __init__(self, keepfs, pg, database, job="full"):
        self.keepfs, self.names, self.rows = keepfs, [], []
        for statements in (BEFORE, BETWEEN, "SELECT 1"):
            pg.sql(database, statements)
            self.rows.append({name: copied(pg, table, database) for name, table in BOTH.items()})
            self.names.append(stem(keepfs, keepfs.backup(job)))

    def path(self, a, b, *parts):
        return self.keepfs.path("diff", "full", f"{self.names[a]}..{self.names[b]}", *parts)


@pytest.fixture(scope="module")
def made(pg, tmp_path_factory):
    pg.create(DATABASE)
    keepfs = daemon.Keepfs(tmp_path_factory.mktemp("diff-tree"), stores.DirStore(tmp_path_factory.mktemp("diff-tree-store")),
                           {"full": {"database": pg.uri(DATABASE)}}).mount()
    try:
        yield Made(keepfs, pg, DATABASE)
    finally:
        keepfs.close()
        pg.drop(DATABASE)


@pytest.fixture
def small(new_keepfs, pg):
    """a mount of two backups of a table that changes, and what it may be asked to do to them"""
    database = "diff_tree_small"
    pg.create(database)

    def make(rows=1000, between="UPDATE t SET note = 'other' WHERE id = 5", store=None, backup="full", **settings):
        pg.sql(database, f"CREATE TABLE t AS SELECT g AS id, md5(g::text) AS note FROM generate_series(1, {rows}) g")
        keepfs = new_keepfs({"full": {"database": pg.uri(database)}}, **({"store": store} if store else {}), **settings).mount()
        names = [stem(keepfs, keepfs.backup(backup))]
        pg.sql(database, between)
        names.append(stem(keepfs, keepfs.backup(backup)))
        return keepfs, names, keepfs.path("diff", "full", "..".join(names))

    yield make
    pg.drop(database)


def backup_of(keepfs, name):
    (found,) = [artifact for artifact in keepfs.artifacts() if artifact.split(".")[0] == name]
    return keepfs.path("backups", "full", found)


def summary(directory):
    text = (directory / "summary.csv").read_bytes().decode()
    return {f"{row['schema']}.{row['table']}": row for row in csv.DictReader(io.StringIO(text, newline=""))}


def test_what_is_listed(made):
    """neighbours, and of two of them what differs"""
    keepfs, names = made.keepfs, made.names
    assert os.listdir(keepfs.path("diff")) == ["full"]
    assert os.listdir(keepfs.path("diff", "full")) == [f"{names[0]}..{names[1]}", f"{names[1]}..{names[2]}"]
    expected = {"summary.csv", "schema.diff", "public.added.added.tsv", "public.gone.removed.tsv"}
    expected |= {f"{name}.{side}.tsv" for name in DIFFERENT for side in ("added", "removed")}
    found = set(os.listdir(made.path(0, 1)))
    long = found - expected
    assert expected <= found and len(long) == 2 and all(name.startswith("odd.%2F%2F") for name in long), found
    for name in long:
        assert made.path(0, 1, name).read_bytes() == (b"2\n" if name.endswith(".added.tsv") else b"1\n")
    assert sorted(os.listdir(made.path(1, 2))) == ["schema.diff", "summary.csv"]


@pytest.mark.parametrize("a, b", [(0, 1), (1, 0), (0, 2), (2, 0)])
def test_rows(made, a, b):
    """of any two, in either direction, and of exactly that size"""
    for name in DIFFERENT:
        for side, expected in (("added", made.rows[b][name] - made.rows[a][name]), ("removed", made.rows[a][name] - made.rows[b][name])):
            path = made.path(a, b, f"{name}.{side}.tsv")
            size = os.stat(path).st_size
            content = path.read_bytes()
            assert lines_of(content) == expected and size == len(content), path
    assert not made.path(a, b, "public.same.added.tsv").exists()


def test_tables_that_only_one_has(made):
    one_to_seven, one_to_five = "".join(f"{i}\n" for i in range(1, 8)), "".join(f"{i}\n" for i in range(1, 6))
    assert made.path(0, 1, "public.gone.removed.tsv").read_text() == one_to_seven == made.path(1, 0, "public.gone.added.tsv").read_text()
    assert made.path(0, 1, "public.added.added.tsv").read_text() == one_to_five == made.path(1, 0, "public.added.removed.tsv").read_text()
    for name in ("public.gone.added.tsv", "public.added.removed.tsv"):
        assert not made.path(0, 1, name).exists()
    inside = made.keepfs.path("inside", "full", made.names[1], "tables", "public.added.tsv")
    assert os.path.samefile(inside, made.path(0, 1, "public.added.added.tsv"))


def test_summary(made):
    tables = summary(made.path(0, 1))
    assert {name: table["state"] for name, table in tables.items()} == {
        "public.orders": "changed", "public.twice": "changed", "public.emptied": "changed", "public.same": "same", "public.gone": "gone",
        "public.added": "new", "public.columns_changed": "columns", "odd.quo'te\"": "changed", "odd.a.b/c%\n": "changed", f"odd.{LONG}": "changed"}
    assert (tables["public.orders"]["rows_a"], tables["public.orders"]["rows_b"]) == ("5000", "4990")
    assert (tables["public.gone"]["rows_a"], tables["public.gone"]["rows_b"]) == ("7", "")
    assert "(id, note) before, (id, remark) now" in tables["public.columns_changed"]["reason"]
    shown = {name for table in tables.values() for name in (table["added"], table["removed"]) if name}
    assert shown | {"summary.csv", "schema.diff"} == set(os.listdir(made.path(0, 1)))
    assert {table["state"] for table in summary(made.path(1, 2)).values()} == {"same"} == {table["state"] for table in summary(made.path(1, 1)).values()}
    assert os.stat(made.path(0, 1, "summary.csv")).st_size == len(made.path(0, 1, "summary.csv").read_bytes())


def test_schema(made):
    text = made.path(0, 1, "schema.diff").read_text()
    assert text == made.keepfs.run("diff", "--schema", f"full/{made.names[0]}.dump", f"full/{made.names[1]}.dump").stdout
    assert {line for line in text.splitlines() if line.startswith("@@ ")} == {
        "@@ new TABLE public.added @@", "@@ gone TABLE public.gone @@", "@@ changed TABLE public.columns_changed @@"}
    assert os.stat(made.path(0, 1, "schema.diff")).st_size == len(text.encode())
    assert made.path(1, 2, "schema.diff").read_bytes() == b""


@pytest.mark.parametrize("name", ["nothing", "..", "x..y", "{0}", "{0}..", "..{0}", "{0}...{1}", "{0}..{1}.dump", "{0}..{1}..{1}", "{0}.dump..{1}", "{0}..nothing",
                                  "nothing..{0}", "{0}/{1}"])
def test_names_that_are_none(made, name):
    path = made.keepfs.path("diff", "full") / "sub" / name.format(*made.names)
    path = pathlib.Path(str(path).replace("/sub/", "/"))
    if name == "..":
        assert os.path.samefile(path, made.keepfs.path("diff"))
        return
    with pytest.raises(FileNotFoundError):
        os.stat(path)
    for file in ("public.nothing.added.tsv", "public.orders.tsv", ".added.tsv", "orders.added.tsv", "public.Orders.added.tsv", "public.%6frders.added.tsv",
                 "public.columns_changed.added.tsv", "public.orders.added.csv", "summary.CSV"):
        assert not made.path(0, 1, file).exists(), file


def test_the_tools_of_every_day(made, tmp_path):
    """none is told a wrong size"""
    directory = made.path(0, 1)
    contents = {name: (directory / name).read_bytes() for name in os.listdir(directory)}
    listed = run("ls", "-l", directory).decode()
    assert str(len(contents["public.orders.added.tsv"])) in listed and "?" not in listed.replace("'?'", "")
    found = run("find", directory, "-type", "f", "-print0").decode().split("\0")[:-1]
    assert {os.path.basename(name) for name in found} == set(contents)
    run("cp", "-r", directory, tmp_path / "copied")
    run("rsync", "-a", f"{directory}/", tmp_path / "synced")
    assert run("rsync", "-ani", "--checksum", f"{directory}/", tmp_path / "synced") == b""
    run("tar", "-cf", tmp_path / "all.tar", "-C", directory, ".")
    with tarfile.open(tmp_path / "all.tar") as tar:
        for name, content in contents.items():
            assert (tmp_path / "copied" / name).read_bytes() == content == (tmp_path / "synced" / name).read_bytes()
            assert tar.extractfile(f"./{name}").read() == content
    orders = directory / "public.orders.removed.tsv"
    assert run("grep", "-cP", "^2500\t", orders).strip() == b"1"
    assert int(run("wc", "-l", orders).split()[0]) == 23 and int(run("wc", "-c", orders).split()[0]) == len(contents[orders.name])
    assert run("head", "-n", "2", orders) == b"".join(contents[orders.name].splitlines(True)[:2])
    assert run("tail", "-c", "100", orders) == contents[orders.name][-100:]
    assert run("dd", f"if={orders}", "bs=100", "skip=3", "count=2", "status=none") == contents[orders.name][300:500]
    assert run("sort", orders, env={**os.environ, "LC_ALL": "C"}) == b"".join(sorted(contents[orders.name].splitlines(True)))


def test_it_stays_what_it_is(made):
    """numbers, also after a remount; modes; nothing can be written or removed"""
    directory = made.path(0, 1)
    paths = [directory, directory.parent, directory / "summary.csv", directory / "schema.diff", directory / "public.orders.added.tsv", directory / "public.gone.removed.tsv"]
    before = {path: os.stat(path) for path in paths}
    assert len({st.st_ino for st in before.values()}) == len(paths)
    for entry in os.scandir(directory):
        assert entry.inode() == os.stat(entry.path).st_ino
    for path, st in before.items():
        assert not st.st_mode & 0o222 and st.st_uid == os.getuid()
    newer = os.stat(backup_of(made.keepfs, made.names[1]))
    assert {before[path].st_mtime_ns for path in paths[2:5]} == {newer.st_mtime_ns}
    assert os.path.samefile(directory / "..", directory.parent) and os.path.samefile(directory.parent / "..", made.keepfs.path("diff"))
    for remove in (lambda: os.unlink(directory / "summary.csv"), lambda: os.unlink(directory / "public.orders.added.tsv"), lambda: os.rmdir(directory),
                   lambda: open(directory / "summary.csv", "ab"), lambda: (directory / "new").write_text("x")):
        with pytest.raises(PermissionError):
            remove()
    assert "diff/ only shows what is in the backups: remove them in backups/" in made.keepfs.text("status", "last-error")
    made.keepfs.remount()
    assert {path: os.stat(path).st_ino for path in before} == {path: st.st_ino for path, st in before.items()}


def test_reading_is_reading_both(made):
    """each file that was read is a line of the audit for each of the two"""
    keepfs, path = made.keepfs, made.path(0, 2, "public.orders.added.tsv")
    content = path.read_bytes()
    shown = f"diff/full/{made.names[0]}..{made.names[2]}/public.orders.added.tsv"

    def lines():
        audit = [json.loads(line) for line in keepfs.text("status", "audit.jsonl").splitlines()]
        return [line for line in audit if line["action"] == "read" and shown in line["detail"]]

    daemon.wait_until(lambda: len(lines()) >= 2 and len(lines()) % 2 == 0, "the lines of the audit")
    assert {line["object"] for line in lines()} == {f"backups/full/{made.names[i]}.dump" for i in (0, 2)}
    assert {line["uid"] for line in lines()} == {os.getuid()} and all(f"{len(content)} of {len(content)} bytes" in line["detail"] for line in lines())


@pytest.mark.parametrize("backup", ["full format=directory", "full format=plain", "full jobs=2 compression=none"])
def test_other_formats(small, backup):
    keepfs, names, directory = small(backup=backup)
    assert sorted(os.listdir(directory)) == ["public.t.added.tsv", "public.t.removed.tsv", "schema.diff", "summary.csv"]
    assert (directory / "public.t.added.tsv").read_bytes() == b"5\tother\n"
    assert (directory / "public.t.removed.tsv").read_bytes().startswith(b"5\te4da3b7f")


def test_what_nobody_counted(small):
    """it may differ: the files are there, and reading them tells"""
    keepfs, names, directory = small(between="INSERT INTO t VALUES (0, 'x')")
    keepfs.unmount()
    counted = {key: keepfs.store.get(key) for key in keepfs.store.keys() if key.endswith(".tables.csv")}
    for key in counted:
        keepfs.store.remove(key)
    keepfs.mount()
    (table,) = summary(directory).values()
    assert table["state"] == "unknown" and "nobody has counted" in table["reason"] and table["added"] == "public.t.added.tsv"
    assert (directory / "public.t.added.tsv").read_bytes() == b"0\tx\n" and (directory / "public.t.removed.tsv").read_bytes() == b""
    for key, content in counted.items():
        keepfs.store.put(key, content)


def test_rows_in_several_places(new_keepfs, store):
    """in SQL of other makers: which of them is meant nobody knows, and the rest is compared"""
    rows = "COPY public.t (id) FROM stdin;\n1\n\\.\n\n"
    once, twice = "full/20261120T020000Z.sql", "full/20261121T020000Z.sql"
    handmade.publish(store, f"backups/{once}", (rows + "COPY public.u (id) FROM stdin;\n1\n\\.\n").encode())
    handmade.publish(store, f"backups/{twice}", (rows + "COPY public.u (id) FROM stdin;\n2\n\\.\n" + rows).encode(), run=2)
    keepfs = new_keepfs()
    keepfs.run("rebuild")
    keepfs.mount()
    for a, b, added in (("20261120T020000Z", "20261121T020000Z", b"2\n"), ("20261121T020000Z", "20261120T020000Z", b"1\n")):
        directory = keepfs.path("diff", "full", f"{a}..{b}")
        assert sorted(os.listdir(directory)) == ["public.u.added.tsv", "public.u.removed.tsv", "schema.diff", "summary.csv"]
        assert (directory / "public.u.added.tsv").read_bytes() == added
        text = (directory / "summary.csv").read_text().splitlines()
        assert len(text) == 3 and sum(f"backups/{twice} has the rows of public.t in several places" in line for line in text) == 1


def test_several_databases(new_keepfs, pg):
    databases = ["diff_tree_one", "diff_tree_two"]
    for database in databases:
        pg.create(database)
        pg.sql(database, f"CREATE TABLE here (name text); INSERT INTO here VALUES ('{database}')")
    try:
        keepfs = new_keepfs({"tenants": {"database": pg.uri("postgres"), "databases": ", ".join(databases)}}).mount()
        keepfs.backup("tenants")
        pg.sql(databases[1], "DELETE FROM here")
        keepfs.backup("tenants")
        assert sorted(os.listdir(keepfs.path("diff", "tenants"))) == databases
        for database in databases:
            (pair,) = os.listdir(keepfs.path("diff", "tenants", database))
            directory = keepfs.path("diff", "tenants", database, pair)
            assert ("public.here.removed.tsv" in os.listdir(directory)) == (database == databases[1])
        assert (directory / "public.here.removed.tsv").read_text() == "diff_tree_two\n" and (directory / "public.here.added.tsv").read_text() == ""
        assert os.path.samefile(directory / ".." / "..", keepfs.path("diff", "tenants"))
        # what two databases have is not compared
        first, second = (pair for database in databases for pair in os.listdir(keepfs.path("diff", "tenants", database)))
        assert not keepfs.path("diff", "tenants", f"{first.split('..')[0]}..{second.split('..')[1]}").exists()
    finally:
        for database in databases:
            pg.drop(database)


@pytest.mark.parametrize("which", [0, 1])
def test_one_of_them_is_removed(small, which):
    """under an open file; nothing keeps it from being removed, and nothing is shown of it any more"""
    keepfs, names, directory = small(rows=20000, between="UPDATE t SET note = 'other'")
    keepfs.backup()
    with open(directory / "public.t.added.tsv", "rb", buffering=0) as f:
        assert os.pread(f.fileno(), 8, 0) == b"1\tother\n"
        os.unlink(backup_of(keepfs, names[which]))
        with pytest.raises(OSError) as stale:
            os.pread(f.fileno(), 8, 0)
        assert stale.value.errno == errno.ESTALE
    assert not directory.exists() and not (directory / "summary.csv").exists()
    (pair,) = os.listdir(keepfs.path("diff", "full"))
    assert pair.split("..")[0] == names[1 - which]
    with pytest.raises(FileNotFoundError):
        os.stat(directory)


def test_a_damaged_one(small):
    keepfs, names, directory = small(rows=150000)
    key = f"backups/full/{backup_of(keepfs, names[1]).name}"
    keepfs.unmount()
    data = bytearray(keepfs.store.get(key))
    data[len(data) // 2] ^= 1
    keepfs.store.put(key, bytes(data))
    keepfs.mount()
    assert summary(directory)["public.t"]["state"] == "changed"
    assert "public.t.added.tsv" in os.listdir(directory)
    for name in ("public.t.added.tsv", "public.t.removed.tsv"):
        with pytest.raises(OSError) as failed:
            (directory / name).read_bytes()
        assert failed.value.errno == errno.EIO
    assert f"diff/full/{directory.name}/public.t.added.tsv" in keepfs.text("status", "last-error")
    states = [os.getxattr(backup_of(keepfs, name), "user.keepfs.state") for name in names]
    assert states == [b"completed", b"damaged"]


@pytest.mark.skipif(os.geteuid() != 0, reason="needs a second user")
def test_others_may_what_they_may_of_the_backups(pg, new_keepfs, small, tmp_path):
    def as_nobody(*command):
        return subprocess.run(["runuser", "-u", "nobody", "--", *map(str, command)], capture_output=True, check=False)

    for mode, dir_mode, may in (("0600", "0700", False), ("0640", "0755", False), ("0644", "0755", True)):
        with tempfile.TemporaryDirectory(prefix="keepfs-open-") as place:
            os.chmod(place, 0o755)
            database = pg.uri("diff_tree_small")
            pg.sql("diff_tree_small", "DROP TABLE IF EXISTS t; CREATE TABLE t (id int)")
            store = stores.DirStore(tmp_path / mode)
            keepfs = new_keepfs({"full": {"database": database}}, store=store, directory=place, allow_other="yes", file_mode=mode, dir_mode=dir_mode).mount()
            try:
                keepfs.backup()
                pg.sql("diff_tree_small", "INSERT INTO t VALUES (4711)")
                keepfs.backup()
                (pair,) = os.listdir(keepfs.path("diff", "full"))
                directory = keepfs.path("diff", "full", pair)
                assert (as_nobody("ls", directory).returncode == 0) == (dir_mode == "0755")
                for name in ("public.t.added.tsv", "summary.csv", "schema.diff"):
                    assert (as_nobody("cat", directory / name).returncode == 0) == may, (mode, name)
                assert os.stat(directory / "public.t.added.tsv").st_mode & 0o777 == int(mode, 8) & 0o444
            finally:
                keepfs.close()


def test_more_than_may_be_kept(small):
    """the reason can be read; what fits is there all the same"""
    keepfs, names, directory = small(rows=60000, between="UPDATE t SET note = note || 'x'; CREATE TABLE u (id int)", diff_space="4M")
    with pytest.raises(OSError) as too_much:
        (directory / "public.t.added.tsv").read_bytes()
    assert too_much.value.errno == errno.EFBIG
    told = keepfs.text("status", "last-error")
    assert f"diff/full/{directory.name}/public.t.added.tsv" in told and "half of [keepfs] diff_space" in told
    assert summary(directory)["public.t"]["state"] == "changed" and (directory / "schema.diff").read_text()
    assert not [name for name in os.listdir(keepfs.state) if name.startswith("unlinked-")]


def test_what_is_kept_makes_room(small, pg):
    """more results than fit: the oldest go, and are made anew"""
    tables = [f"t{i}" for i in range(6)]
    between = ";".join(f"CREATE TABLE {table} AS SELECT g AS id, md5(g::text) AS note FROM generate_series(1, 20000) g" for table in tables)
    keepfs, names, directory = small(between=between, diff_space="4M")
    for table in tables:  # half of its rows change: half a MB of results for each
        pg.sql("diff_tree_small", f"UPDATE {table} SET note = 'other' || id WHERE id % 2 = 0")
    third = stem(keepfs, keepfs.backup())
    directory = keepfs.path("diff", "full", f"{names[1]}..{third}")
    for _ in range(2):
        for table in tables:
            assert (directory / f"public.{table}.added.tsv").read_bytes().count(b"\n") == 10000
            assert (directory / f"public.{table}.removed.tsv").read_bytes().count(b"\n") == 10000
    kept = keepfs.text("status", "diffs").splitlines()[-1]
    assert kept.startswith("kept: ") and 1 <= int(kept.split()[1]) <= 3, kept


class Gate:
    """a trouble of the server: it answers when it is opened"""

    def __init__(self):
        self.opened = threading.Event()

    def __call__(self, answer):
        self.opened.wait(daemon.DEADLINE_S)
        return answer.good()


@pytest.fixture
def gated(small):
    """two backups in a store that gives nothing until its gate is opened"""
    server, gate = faulty_s3.FaultyS3(), Gate()
    keepfs, names, directory = small(rows=100000, store=server)
    assert sorted(os.listdir(directory))  # both are open
    server.troubles.append([gate, 1000, 0])
    yield keepfs, directory, gate
    gate.opened.set()
    keepfs.close()
    server.close()


def diffs(keepfs):
    return keepfs.text("status", "diffs").splitlines()


def test_it_is_compared_once_for_all(gated):
    keepfs, directory, gate = gated
    readers = [subprocess.Popen(["cat", str(directory / f"public.t.{side}.tsv")], stdout=subprocess.PIPE) for side in ("added", "removed") for _ in range(6)]
    (line, _) = daemon.wait_until(lambda: diffs(keepfs) if "12 readers" in diffs(keepfs)[0] else None, "all readers to wait for one comparison")
    assert line.startswith("comparing") and f"diff/full/{directory.name}/public.t." in line
    # who wants something else is served: it waits for nobody
    assert summary(directory)["public.t"]["state"] == "changed"
    assert os.listdir(keepfs.path("diff", "full")) == [directory.name]
    gate.opened.set()
    answers = [reader.communicate(timeout=daemon.DEADLINE_S)[0] for reader in readers]
    assert set(answers[:6]) == {b"5\tother\n"} and len(set(answers[6:])) == 1 and answers[6].startswith(b"5\te4da3b7f")
    assert diffs(keepfs)[-1].startswith("kept: 2 of ")  # with the summary


def test_readers_that_leave(gated):
    """each at once; with the last one the comparison ends"""
    keepfs, directory, gate = gated
    readers = [subprocess.Popen(["cat", str(directory / "public.t.added.tsv")], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) for _ in range(4)]
    daemon.wait_until(lambda: "4 readers" in diffs(keepfs)[0], "all readers to wait")
    for reader in readers[:3]:
        reader.send_signal(signal.SIGINT)
    for reader in readers[:3]:
        reader.wait(timeout=daemon.DEADLINE_S)
    daemon.wait_until(lambda: "1 reader:" in diffs(keepfs)[0], "one to be left")
    readers[3].kill()
    readers[3].wait(timeout=daemon.DEADLINE_S)
    daemon.wait_until(lambda: len(diffs(keepfs)) == 1, "the comparison to be given up")
    gate.opened.set()
    assert (directory / "public.t.added.tsv").read_bytes() == b"5\tother\n"
    for reader in readers:
        reader.stdout.close()


def test_the_end_of_the_mount(gated):
    """waits for no comparison"""
    keepfs, directory, gate = gated
    with subprocess.Popen(["cat", str(directory / "public.t.added.tsv")], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as reader:
        daemon.wait_until(lambda: "1 reader:" in diffs(keepfs)[0], "the reader to wait")
        keepfs.signal(signal.SIGTERM)
        assert reader.wait(timeout=daemon.DEADLINE_S) != 0
