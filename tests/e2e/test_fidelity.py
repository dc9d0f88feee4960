# SPDX-License-Identifier: Apache-2.0
"""Nothing is missing: a database with every type of object, dumped in each way, restored, is the same to pg_dump, byte for byte."""
import csv
import gzip
import os
import pathlib
import re
import subprocess

import pytest

import everything

COPY = re.compile(r'COPY ((?:"(?:[^"]|"")*"|[^\s".]+)\.(?:"(?:[^"]|"")*"|[^\s".]+)) (?:\(.*?\))? FROM stdin;\n', re.S)
DATA = re.compile(r"-- Data for Name: (.*); Type: TABLE DATA; Schema: (.*); Owner: ")


def tables_of(text):
    """{(schema, table): (rows, bytes)} of a plain dump. The names are from pg_dump's comments: those of partitions that are loaded
    through their root are not in the COPY; but names with a line break are whole only there"""
    found, at = {}, 0
    while True:
        copy = COPY.search(text, at)
        if not copy:
            return found
        table, schema = list(DATA.finditer(text, at, copy.start()))[-1].groups()
        names = [name[1:-1].replace('""', '"') if name[0] == '"' else name
                 for name in re.findall(r'"(?:[^"]|"")*"|[^".]+', copy.group(1))]
        if any("\n" in name for name in names):
            schema, table = names
        end = text.index("\\.\n", copy.end() - 1) if text.startswith("\\.\n", copy.end()) else text.index("\n\\.\n", copy.end()) + 1
        data = text[copy.end():end]
        assert (schema, table) not in found
        found[schema, table] = (data.count("\n"), len(data.encode()))
        at = end


@pytest.fixture(scope="session")
def large(pg):
    everything.build_large(pg, "large")
    return everything.Original(pg, "large")


@pytest.fixture
def copy(pg, scratch):
    yield scratch
    everything.empty(pg, scratch)


def restore(pg, path, target, jobs):
    if path.is_dir():
        pg.tool("pg_restore", "-e", "-Fd", f"-j{jobs}", "-d", pg.uri(target), path)
    elif path.suffix == ".dump":
        pg.tool("pg_restore", "-e", *([f"-j{jobs}"] if jobs > 1 else []), "-d", pg.uri(target), path)
    else:
        subprocess.run(["bash", "-e", "-o", "pipefail", "-c", '"$1" "$2" | "$3/psql" -X -q -v ON_ERROR_STOP=1 -d "$4"', "-",
                        "zcat" if path.suffix == ".gz" else "cat", str(path), str(pg.bindir), pg.uri(target)],
                       check=True, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)


def sums_are_right(directory):
    done = subprocess.run(["sha256sum", "--quiet", "-c", "SHA256SUMS"], cwd=directory, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    assert done.returncode == 0, done.stdout


def beside(path, name):
    """a file that belongs to an artifact: in it when it is a directory, else beside it"""
    return path / name if path.is_dir() else path.with_name(f"{path.name.split('.')[0]}.{name}")


def major(pg):
    return int(pg.sql("postgres", "SHOW server_version_num")) // 10000


def dump(keepfs, keys):
    """one run with these keys: the path of its artifact, in the mount"""
    before = set(keepfs.artifacts())
    history = keepfs.backup(f"full {keys}")
    (name,) = set(keepfs.artifacts()) - before
    path = keepfs.path("backups", "full", name)
    assert os.getxattr(path, "user.keepfs.run").decode() == str(history["run"])
    sums_are_right(path.parent)
    if path.is_dir():
        sums_are_right(path)
    return path


def test_the_builder(pg, with_everything, copy, tmp_path):
    """every type of object is in the database, and pg_dump itself gives it back: what the other tests compare with is sound"""
    pg.tool("pg_dump", "-Fc", "-d", pg.uri("everything"), "-f", tmp_path / "dump")
    listed = pg.tool("pg_restore", "-l", tmp_path / "dump")
    missing = [entry for entry in everything.ENTRIES if not re.search(rf"^\d+; \d+ \d+ {entry} ", listed, re.M)]
    assert missing == ([] if major(pg) >= 14 else ["TABLE ATTACH"])
    restore(pg, pathlib.Path(tmp_path / "dump").rename(tmp_path / "x.dump"), copy, 1)
    assert with_everything.differs(copy) == ""


def zstd_is_refused(keepfs, keys):
    """what pg_restore cannot read before PostgreSQL 16 is not written"""
    run = keepfs.trigger(f"full {keys}")
    assert keepfs.wait_run(run)["state"] == "failed"
    error = keepfs.history(run)["error"]
    assert "zstd" in error and "16" in error
    assert keepfs.artifacts() == []


@pytest.mark.parametrize("keys, restore_jobs", [
    ("jobs=1", 1), ("jobs=4", 2), ("jobs=auto compression=small", 2), ("jobs=1 compression=none", 2), ("jobs=4 compression=none", 1),
    ("jobs=4 compression=gzip:1", 1), ("jobs=1 compression=gzip:9", 1), ("jobs=4 compression=zstd:3", 2),
    ("format=plain", 1), ("format=plain compression=gzip:1", 1), ("format=plain compression=none", 1),
    ("format=directory jobs=1", 2), ("format=directory jobs=4 compression=none", 2), ("format=directory jobs=4 compression=gzip:6", 1)])
def test_everything_comes_back(new_keepfs, pg, with_everything, copy, keys, restore_jobs):
    keepfs = new_keepfs({"full": {"database": pg.uri("everything")}}).mount()
    if "zstd" in keys and major(pg) < 16:
        return zstd_is_refused(keepfs, keys)
    path = dump(keepfs, keys)
    restore(pg, path, copy, restore_jobs)
    assert with_everything.differs(copy) == ""
    if "plain" not in keys:
        with_everything.check_tables(beside(path, "tables.csv").read_text())


def test_the_table_of_contents_is_that_of_pg_dump(new_keepfs, pg, with_everything, tmp_path):
    """so that pg_restore -l and -L show and take what they always did"""
    keepfs = new_keepfs({"full": {"database": pg.uri("everything")}}).mount()
    pg.tool("pg_dump", "-Fc", "-d", pg.uri("everything"), "-f", tmp_path / "dump")

    def entries(path):
        return [line for line in pg.tool("pg_restore", "-l", path).splitlines() if not line.startswith(";")]

    own = entries(tmp_path / "dump")
    for keys in ("jobs=1", "jobs=4", "format=directory"):
        assert entries(dump(keepfs, keys)) == own, keys


def test_rows_and_bytes_of_each_table(new_keepfs, pg, with_everything):
    """the list beside the dump names every table that has data, and counts as pg_dump's own text does"""
    keepfs = new_keepfs({"full": {"database": pg.uri("everything")}}).mount()
    text = beside(dump(keepfs, "jobs=4"), "tables.csv").read_bytes().decode()
    rows = list(csv.DictReader(text.splitlines(keepends=True)))
    assert list(rows[0]) == ["schema", "table", "rows", "bytes", "hash"]
    large_objects = [row for row in rows if not row["hash"]]
    assert sum(int(row["rows"]) for row in large_objects) == int(pg.sql("everything", "SELECT count(*) FROM pg_largeobject_metadata"))
    assert sum(int(row["bytes"]) for row in large_objects) == int(pg.sql("everything", "SELECT sum(length(lo_get(oid))) FROM pg_largeobject_metadata"))
    listed = {(row["schema"], row["table"]): (int(row["rows"]), int(row["bytes"])) for row in rows if row["hash"]}
    assert len(listed) + len(large_objects) == len(rows)
    with everything.plain_dump(pg, "everything", "--data-only") as words:
        expected = tables_of(words.stdout.read().decode())
    assert listed == expected
    assert {name for _, name in listed} >= {"no_columns", "empty_table", "line\nbreak,\ttab and\rreturn"}
    hashes = {row["table"]: row["hash"] for row in rows}
    assert hashes["cycle_a"] != hashes["log_of_rules"]


@pytest.mark.parametrize("keys, restore_jobs", [("jobs=1", 1), ("jobs=4", 2), ("format=directory jobs=4", 2)])
def test_large_rows_and_tables_come_back(new_keepfs, pg, large, scratch, keys, restore_jobs):
    """a row of 70 MB, a table of many ranges with holes; in the same memory as ever"""
    keepfs = new_keepfs({"full": {"database": pg.uri("large")}}).mount()
    path = dump(keepfs, keys)
    if "jobs=4" in keys:
        log = keepfs.text("jobs", str(keepfs.history()[-1]["run"]), "log")
        entries, slices = map(int, re.search(r"4 connections .* (\d+) entries with data, (\d+) slices", log).groups())
        if major(pg) >= 14:
            assert slices > entries  # else no table was read in ranges
        else:
            assert slices <= entries and "before PostgreSQL 14" in log
    large.check_tables(beside(path, "tables.csv").read_text())
    restore(pg, path, scratch, restore_jobs)
    assert large.differs(scratch) == ""


def bytes_read(command):
    """(what @command and its children read by read(2), what it said)"""
    done = subprocess.run(["bash", "-e", "-c", f"{command}; grep rchar /proc/$$/io >&2"], check=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    return int(done.stderr.split()[-1]), done.stdout


def rchar(pid):
    return int(pathlib.Path(f"/proc/{pid}/io").read_text().split()[1])


def test_one_small_table_reads_little(new_keepfs, pg, large):
    """by the offsets in the table of contents: of the file that pg_restore reads, and of the store behind it"""
    keepfs = new_keepfs({"full": {"database": pg.uri("large")}}).mount()
    for keys in ("jobs=1 compression=none", "jobs=4 compression=none"):
        path = dump(keepfs, keys)
        keepfs.remount()
        (pid,) = keepfs.daemons()
        size, before = path.stat().st_size, rchar(pid)
        assert size > 150 << 20
        for table in ("a_small", "m_small", "z_small"):
            nothing, _ = bytes_read(f"{pg.bindir}/pg_restore --version")
            count, said = bytes_read(f"{pg.bindir}/pg_restore -a -t {table} -f - {path}")
            assert b"100\tsmall 100\n" in said
            assert count - nothing < size * 0.05, keys
        assert rchar(pid) - before < size * 0.15, keys


def test_plain_is_what_pg_dump_writes(new_keepfs, pg):
    keepfs = new_keepfs({"full": {"database": pg.uri("sample")}}).mount()
    with everything.plain_dump(pg, "sample") as words:
        expected = words.stdout.read()
    for keys in ("format=plain", "format=plain compression=none"):
        path = dump(keepfs, keys)
        text = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
        lines = [line for line in text.splitlines(keepends=True) if not line.startswith((b"\\restrict ", b"\\unrestrict "))]
        assert b"".join(lines) == expected
