# SPDX-License-Identifier: Apache-2.0
"""inside/: what is in a dump as files, without restoring it."""
import errno
import json
import os
import random
import shutil
import stat
import subprocess
import tarfile

import pytest

import daemon
import postgres

DATABASE = "inside_tree"
LONG = "a_name_of_sixty_characters_which_is_nearly_as_long_as_can_be"

TABLES = f"""
CREATE SCHEMA "odd.schema";
CREATE TABLE orders (id int PRIMARY KEY, customer text, note text, amount numeric(12, 2), at timestamptz DEFAULT '2026-11-20 02:00:00+00');
INSERT INTO orders SELECT i, CASE WHEN i % 7 = 0 THEN NULL ELSE 'customer ' || i END,
    CASE i % 5 WHEN 0 THEN E'tab\\there, a line\\nbreak and a back\\\\slash' WHEN 1 THEN '' ELSE repeat(md5(i::text), 3) END, i * 1.25
    FROM generate_series(1, 60000) i;
CREATE TABLE empty (a int, b text);
CREATE TABLE nothing ();
INSERT INTO nothing SELECT FROM generate_series(1, 10);
CREATE TABLE "quote "" ' table" (a text);
INSERT INTO "quote "" ' table" VALUES ('q');
CREATE TABLE "slash/and%percent" (a text);
INSERT INTO "slash/and%percent" VALUES ('s');
CREATE TABLE "odd.schema".".dots.in.it" (a text);
INSERT INTO "odd.schema".".dots.in.it" VALUES ('d');
CREATE TABLE "line\nend" (a text);
INSERT INTO "line\nend" VALUES ('l');
CREATE TABLE "Größe der Bäume" ("Höhe" int);
INSERT INTO "Größe der Bäume" VALUES (3);
CREATE TABLE {LONG} (a int);
INSERT INTO {LONG} VALUES (60);
CREATE TABLE generated (a int, twice int GENERATED ALWAYS AS (a * 2) STORED, c text);
INSERT INTO generated (a, c) VALUES (1, 'one'), (2, 'two');
CREATE TABLE parts (id int, region text) PARTITION BY LIST (region);
CREATE TABLE parts_north PARTITION OF parts FOR VALUES IN ('north');
CREATE TABLE parts_south PARTITION OF parts FOR VALUES IN ('south');
INSERT INTO parts SELECT i, CASE WHEN i % 3 = 0 THEN 'north' ELSE 'south' END FROM generate_series(1, 1000) i;
SELECT lo_from_bytea(70001, decode(repeat('00ff0a5c', 300000), 'hex')), lo_from_bytea(70002, ''), lo_from_bytea(4294967295, 'last');
"""

# What a file of tables/ is called, and what it holds.
FILES = {
    "public.orders.tsv": "orders",
    "public.empty.tsv": "empty",
    "public.nothing.tsv": "nothing",
    "public.quote \" ' table.tsv": "\"quote \"\" ' table\"",
    "public.slash%2Fand%25percent.tsv": '"slash/and%percent"',
    "odd%2Eschema.%2Edots%2Ein%2Eit.tsv": '"odd.schema".".dots.in.it"',
    "public.line%0Aend.tsv": '"line\nend"',
    "public.Größe der Bäume.tsv": '"Größe der Bäume"',
    f"public.{LONG}.tsv": LONG,
    "public.generated.tsv": "generated",
    "public.parts_north.tsv": "parts_north",
    "public.parts_south.tsv": "parts_south",
}
KINDS = ["format=custom compression=gzip", "format=custom compression=none", "format=custom jobs=4 compression=fast", "format=directory compression=gzip",
         "format=directory jobs=4 compression=none", "format=plain compression=gzip", "format=plain compression=none"]
BINDIR = postgres.newest_bindir()
if BINDIR and int(subprocess.run([BINDIR / "postgres", "--version"], check=True, stdout=subprocess.PIPE, text=True).stdout.split()[2].split(".")[0]) >= 16:
    KINDS += ["format=custom compression=zstd", "format=directory compression=zstd"]  # an older pg_restore reads none


def run(*command, **options):
    return subprocess.run([str(word) for word in command], check=True, stdout=subprocess.PIPE, **options).stdout


@pytest.fixture(scope="module")
def source(pg):
    """a database, and what COPY says of its tables"""
    pg.create(DATABASE)
    try:
        pg.sql(DATABASE, TABLES)
        copied = {name: run(pg.bindir / "psql", "-X", "-q", "-d", pg.uri(DATABASE), "-c", f"COPY {table} TO STDOUT") for name, table in FILES.items()}
        assert len(copied["public.orders.tsv"]) > 3_000_000 and copied["public.nothing.tsv"] == b"\n" * 10
        yield copied
    finally:
        pg.drop(DATABASE)


@pytest.fixture
def dumped(new_keepfs, pg, source):
    """make a backup and return the directory of what is in it"""
    keepfs = new_keepfs({"full": {"database": pg.uri(DATABASE)}}).mount()

    def dump(keys=KINDS[0]):
        known = set(os.listdir(keepfs.path("inside", "full"))) if keepfs.path("inside", "full").exists() else set()
        keepfs.backup(f"full {keys}")
        (name,) = set(os.listdir(keepfs.path("inside", "full"))) - known
        return keepfs.path("inside", "full", name)

    dump.keepfs = keepfs
    return dump


def backup_of(keepfs, inside):
    (name,) = [name for name in keepfs.artifacts() if name.split(".")[0] == inside.name]
    return name


@pytest.mark.parametrize("keys", KINDS)
def test_every_table_is_what_copy_wrote(dumped, source, keys):
    """byte for byte, in all formats and compressions, and of exactly that size"""
    inside = dumped(keys)
    assert set(os.listdir(inside)) >= {"attach.sql", "blobs", "schema.sql", "tables", "toc.txt"}
    assert {name for name in os.listdir(inside / "tables") if name.endswith(".tsv")} == set(FILES)
    for name, rows in source.items():
        assert os.stat(inside / "tables" / name).st_size == len(rows), name
        assert (inside / "tables" / name).read_bytes() == rows, name
    blobs = {"70001": b"\x00\xff\x0a\x5c" * 300000, "70002": b"", "4294967295": b"last"}
    assert set(os.listdir(inside / "blobs")) == set(blobs)
    for oid, content in blobs.items():
        assert os.stat(inside / "blobs" / oid).st_size == len(content)
        assert (inside / "blobs" / oid).read_bytes() == content


@pytest.mark.parametrize("keys", KINDS)
def test_random_reads(dumped, source, keys):
    """anywhere, of any length, in any order"""
    inside = dumped(keys)
    rows = source["public.orders.tsv"]
    chance = random.Random(4711)
    with open(inside / "tables" / "public.orders.tsv", "rb", buffering=0) as f:
        for _ in range(40):
            offset, length = chance.randrange(len(rows)), chance.choice([1, 100, 4096, 200000])
            assert os.pread(f.fileno(), length, offset) == rows[offset:offset + length], (offset, length)
        assert os.pread(f.fileno(), 100, len(rows)) == b""
    found = run("dd", f"if={inside}/tables/public.orders.tsv", "bs=1000", "skip=2500", "count=7", "status=none")
    assert found == rows[2500000:2507000]
    with open(inside / "blobs" / "70001", "rb", buffering=0) as f:
        assert os.pread(f.fileno(), 6, 1_000_000) == b"\x00\xff\x0a\x5c\x00\xff"


def test_the_tools_of_every_day(dumped, source, tmp_path):
    """find, ls, cp, rsync, tar, grep, wc, head, tail, sort: none is told a wrong size"""
    inside = dumped()
    orders, rows = inside / "tables" / "public.orders.tsv", source["public.orders.tsv"]
    found = set(run("find", inside, "-type", "f", "-print0").decode().split("\0"))
    assert {str(inside / "tables" / name) for name in FILES} | {f"{inside}/toc.txt", f"{inside}/blobs/70001"} <= found
    assert str(len(rows)).encode() in run("ls", "-l", inside / "tables")
    run("cp", "-r", inside / "tables", tmp_path / "copied")
    run("rsync", "-a", f"{inside}/tables/", tmp_path / "synced")
    run("tar", "-cf", tmp_path / "all.tar", "-C", inside, "tables", "blobs", "toc.txt", "schema.sql")
    assert len(os.listdir(tmp_path / "copied")) == 2 * len(FILES)
    for name, content in source.items():
        assert (tmp_path / "copied" / name).read_bytes() == content
        assert (tmp_path / "synced" / name).read_bytes() == content
    with tarfile.open(tmp_path / "all.tar") as tar:
        assert tar.extractfile("tables/public.orders.tsv").read() == rows
        assert tar.extractfile("blobs/4294967295").read() == b"last"
    assert run("grep", "-cw", "customer 4712", orders).strip() == b"1"
    assert int(run("wc", "-l", orders).split()[0]) == rows.count(b"\n")
    assert run("head", "-n", "3", orders) == b"".join(rows.splitlines(True)[:3])
    assert run("tail", "-c", "1000", orders) == rows[-1000:]
    assert run("tail", "-n", "2", orders) == b"".join(rows.splitlines(True)[-2:])
    environment = {**os.environ, "LC_ALL": "C"}
    assert run("sort", orders, env=environment) == b"".join(sorted(rows.splitlines(True)))


def test_tables_as_csv(dumped, source, pg):
    """what COPY writes as CSV, with a line of names; its size is found once, and stays known"""
    keepfs, inside = dumped.keepfs, dumped()
    for name, table in FILES.items():
        path = inside / "tables" / name.replace(".tsv", ".csv")
        want = run(pg.bindir / "psql", "-X", "-q", "-d", pg.uri(DATABASE), "-c", f"COPY {table} TO STDOUT (FORMAT csv, HEADER)")
        assert os.stat(path).st_size == len(want), name
        assert path.read_bytes() == want, name
    orders = inside / "tables" / "public.orders.csv"
    whole, chance = orders.read_bytes(), random.Random(4711)
    with open(orders, "rb", buffering=0) as f:
        os.posix_fadvise(f.fileno(), 0, 0, os.POSIX_FADV_RANDOM)
        for _ in range(30):
            offset, length = chance.randrange(len(whole)), chance.choice([1, 100, 4096, 200000])
            assert os.pread(f.fileno(), length, offset) == whole[offset:offset + length], (offset, length)
    assert run("tail", "-c", "1000", orders) == whole[-1000:]
    sizes = {name: os.stat(inside / "tables" / name).st_size for name in os.listdir(inside / "tables")}
    keepfs.remount()
    assert {name: os.stat(inside / "tables" / name).st_size for name in os.listdir(inside / "tables")} == sizes


def test_rows_go_back_into_a_table(dumped, source, pg, scratch):
    """schema.sql and a file of tables/ are enough"""
    inside = dumped()
    toc, schema = (inside / "toc.txt").read_text(), (inside / "schema.sql").read_text()
    assert "TABLE DATA public orders" in toc and "CREATE TABLE public.orders" in schema and "COPY" not in schema
    assert os.stat(inside / "toc.txt").st_size == len(toc.encode()) and os.stat(inside / "schema.sql").st_size == len(schema.encode())
    assert toc == pg.tool("pg_restore", "-l", dumped.keepfs.path("backups", "full", backup_of(dumped.keepfs, inside)))
    pg.tool("psql", "-X", "-q", "-v", "ON_ERROR_STOP=1", "-d", pg.uri(scratch), "-f", inside / "schema.sql")
    with open(inside / "tables" / "public.orders.tsv", "rb") as rows:
        subprocess.run([str(pg.bindir / "psql"), "-X", "-q", "-d", pg.uri(scratch), "-c", "COPY orders FROM STDIN"], stdin=rows, check=True)
    assert pg.sql(scratch, "SELECT count(*), sum(amount), count(customer) FROM orders") == pg.sql(DATABASE, "SELECT count(*), sum(amount), count(customer) FROM orders")


def test_what_it_is_and_who_may(dumped):
    """modes, owners, times, numbers that stay; nothing can be written or removed"""
    keepfs, inside = dumped.keepfs, dumped()
    orders = inside / "tables" / "public.orders.tsv"
    before = {path: os.stat(path) for path in (inside, inside / "tables", orders, inside / "blobs" / "70001", inside / "toc.txt")}
    backup = os.stat(keepfs.path("backups", "full", backup_of(keepfs, inside)))
    for path, st in before.items():
        assert st.st_mtime_ns == backup.st_mtime_ns and st.st_uid == backup.st_uid
        assert not st.st_mode & 0o222
        if stat.S_ISREG(st.st_mode):
            assert st.st_mode & 0o777 == backup.st_mode & 0o444
    for remove in (lambda: os.unlink(orders), lambda: os.rmdir(inside), lambda: os.unlink(inside / "toc.txt"), lambda: os.rmdir(inside / "tables")):
        with pytest.raises(PermissionError):
            remove()
    assert "inside/ only shows what is in the backups: remove them in backups/" in keepfs.text("status", "last-error")
    with pytest.raises(OSError):
        open(orders, "ab")
    keepfs.remount()
    assert {path: os.stat(path).st_ino for path in before} == {path: st.st_ino for path, st in before.items()}


def audited(keepfs, path):
    lines = [json.loads(line) for line in keepfs.text("status", "audit.jsonl").splitlines()]
    return [line for line in lines if line["action"] == "read" and line["object"].endswith(path)]


def test_reading_is_audited(dumped):
    keepfs, inside = dumped.keepfs, dumped()
    (inside / "tables" / "public.orders.tsv").read_bytes()
    path = f"inside/full/{inside.name}/tables/public.orders.tsv"
    (line,) = daemon.wait_until(lambda: audited(keepfs, path), "the line of the audit")
    assert line["object"] == path and line["uid"] == os.getuid() and "0 failed" in line["detail"]


def test_it_follows_what_is_made_and_removed(dumped):
    keepfs = dumped.keepfs
    first, second = dumped(), dumped("format=directory")
    assert sorted(os.listdir(keepfs.path("inside", "full"))) == sorted([first.name, second.name])
    with open(first / "tables" / "public.orders.tsv", "rb", buffering=0) as f:
        assert len(os.pread(f.fileno(), 10, 0)) == 10
        os.unlink(keepfs.path("backups", "full", backup_of(keepfs, first)))
        with pytest.raises(OSError) as stale:
            os.pread(f.fileno(), 10, 3_000_000)
        assert stale.value.errno == errno.ESTALE
    assert os.listdir(keepfs.path("inside", "full")) == [second.name]
    for path in (first, first / "tables", first / "tables" / "public.orders.tsv", first / "toc.txt"):
        assert not path.exists()
    assert (second / "tables" / "public.orders.tsv").exists()


def test_what_a_crash_has_left(dumped):
    """pg_restore is given a table of contents in a directory of its own: after a SIGKILL it is cleared away at the next start"""
    keepfs = dumped.keepfs
    left, other = keepfs.state / "inside-Ab12xY", keepfs.state / "inside-something else"
    keepfs.unmount()
    for directory in (left, other):
        directory.mkdir()
        (directory / "toc.dump").write_bytes(b"x")
    keepfs.mount()
    assert not left.exists() and (other / "toc.dump").exists()


def test_a_damaged_dump(dumped, source):
    """what is right is served, what is wrong is an error, and the backup is marked"""
    keepfs, inside = dumped.keepfs, dumped("format=directory")
    backup = f"backups/full/{backup_of(keepfs, inside)}"
    keepfs.unmount()
    key = max((key for key in keepfs.store.keys() if key.startswith(f"{backup}/")), key=lambda key: len(keepfs.store.get(key)))
    whole = bytearray(keepfs.store.get(key))
    whole[len(whole) // 2] ^= 1
    keepfs.store.put(key, bytes(whole))
    keepfs.mount()
    orders = inside / "tables" / "public.orders.tsv"
    assert os.stat(orders).st_size == len(source["public.orders.tsv"])
    with pytest.raises(OSError) as failed:
        orders.read_bytes()
    assert failed.value.errno == errno.EIO
    assert (inside / "tables" / "public.parts_north.tsv").read_bytes() == source["public.parts_north.tsv"]
    assert f"inside/full/{inside.name}/tables/public.orders.tsv" in keepfs.text("status", "last-error")
    assert os.getxattr(keepfs.path(backup), "user.keepfs.state") == b"damaged"


def test_a_dump_without_counts(dumped, source):
    """one of an older keepfs, or of another maker: what nobody counted is found out, and remembered"""
    keepfs, inside = dumped.keepfs, dumped()
    orders = inside / "tables" / "public.orders.tsv"
    keepfs.unmount()
    counted = {key: keepfs.store.get(key) for key in keepfs.store.keys() if key.endswith(".tables.csv")}
    assert counted
    for key in counted:
        keepfs.store.remove(key)
    keepfs.mount()
    assert os.stat(orders).st_size == len(source["public.orders.tsv"])
    assert orders.read_bytes() == source["public.orders.tsv"]
    for key, content in counted.items():
        keepfs.store.put(key, content)


def test_jobs_of_several_databases(new_keepfs, pg, source, tmp_path):
    """the directories are those of backups/; archives of files have nothing to look into"""
    (tmp_path / "media").mkdir()
    (tmp_path / "media" / "file").write_text("x")
    keepfs = new_keepfs({"tenants": {"database": pg.uri("postgres"), "databases": DATABASE}, "files media": {"path": tmp_path / "media"}}).mount()
    keepfs.backup("tenants")
    keepfs.backup("media")
    assert sorted(os.listdir(keepfs.path("inside"))) == sorted(os.listdir(keepfs.path("backups")))
    assert os.listdir(keepfs.path("inside", "tenants")) == [DATABASE]
    (name,) = os.listdir(keepfs.path("inside", "tenants", DATABASE))
    assert keepfs.path("inside", "tenants", DATABASE, name, "tables", "public.generated.tsv").read_bytes() == source["public.generated.tsv"]
    assert os.listdir(keepfs.path("inside", "media")) == []
    assert os.path.samefile(keepfs.path("inside", "tenants", DATABASE, name, "tables", "..", "..", ".."), keepfs.path("inside", "tenants"))


def test_a_killed_reader_goes_at_once(dumped):
    """and whoever comes next is served"""
    inside = dumped()
    orders = inside / "tables" / "public.orders.tsv"
    readers = [subprocess.Popen(["md5sum", str(orders)], stdout=subprocess.PIPE) for _ in range(12)]
    for reader in readers:
        reader.kill()
    for reader in readers:
        reader.wait(timeout=daemon.DEADLINE_S)
        reader.stdout.close()
    assert len(orders.read_bytes()) == os.stat(orders).st_size
    assert shutil.disk_usage(dumped.keepfs.mountpoint).total > 0
