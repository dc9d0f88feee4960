# SPDX-License-Identifier: Apache-2.0
"""A database of very many things: what is known of them must fit into the memory that is configured, whatever their number."""
import contextlib
import pathlib
import subprocess

import pytest

import postgres
from test_fidelity import beside, dump
from test_read_stress import sanitized

PARTITION = "EXECUTE format('CREATE TABLE part_%s PARTITION OF whole FOR VALUES FROM (%s) TO (%s)', i, i, i + 1)"


class Many:
    """partitions with two indexes each, and large objects, on a server of their own: they need many locks"""

    def __init__(self, partitions, large_objects):
        self.partitions = partitions
        self.pg = postgres.Postgres("max_locks_per_transaction = 4000\nmax_connections = 100\n")
        self.pg.create("many")
        self.pg.sql("many", "CREATE TABLE whole (id int, name text, remark text) PARTITION BY RANGE (id); CREATE INDEX ON whole (name); CREATE INDEX ON whole (remark)")
        for first in range(0, partitions, 1000):  # a transaction has an end of its locks, too
            self.pg.sql("many", f"DO $$ BEGIN FOR i IN {first}..{min(first + 1000, partitions) - 1} LOOP {PARTITION}; END LOOP; END $$")
        self.pg.sql("many", f"INSERT INTO whole SELECT i, 'name ' || i, repeat('x', i % 100) FROM generate_series(0, {partitions - 1}) i")
        self.pg.sql("many", f"SELECT count(lo_from_bytea(0, convert_to('object ' || i, 'UTF8'))) FROM generate_series(1, {large_objects}) i")
        self.digest = self.text_of("pg_dump", "-Fc", "-Z0", "-d", self.pg.uri("many"))

    @contextlib.contextmanager
    def noise(self, mib):
        """a table that compression makes no smaller: all readers have much to hand over"""
        postgres.fill_noise(self.pg, "many", mib)
        yield
        self.pg.sql("many", "DROP TABLE noise")

    def text_of(self, *command):
        """the SQL that an archive from @command's output stands for, but for the lines with a random token"""
        script = r'''bin=$1; shift; "$bin/$@" | "$bin/pg_restore" -f - | grep -a -v -E '^\\(un)?restrict ' | sha256sum'''
        if command[0] != "pg_dump":
            script = r'''bin=$1; "$bin/pg_restore" -f - "$2" | grep -a -v -E '^\\(un)?restrict ' | sha256sum'''
        return subprocess.run(["bash", "-o", "pipefail", "-c", script, "-", str(self.pg.bindir), *map(str, command)], check=True, stdout=subprocess.PIPE).stdout


@pytest.fixture(scope="module")
def many():
    made = Many(partitions=200, large_objects=80000)
    yield made
    made.pg.remove()


def peak_mib(pid):
    (line,) = [line for line in pathlib.Path(f"/proc/{pid}/status").read_text().splitlines() if line.startswith("VmHWM:")]
    return int(line.split()[1]) / 1024


def small(new_keepfs, many):
    """with the least memory that there can be, of which a table of contents had a part once"""
    keepfs = new_keepfs({"full": {"database": many.pg.uri("many"), "verify": "none"}}, memory="70M")
    keepfs.store_settings["part_size"] = "5M"
    keepfs.write_conf()
    return keepfs.mount()


@pytest.mark.parametrize("keys", ["jobs=1", "jobs=auto", "jobs=4"])
def test_an_archive_of_very_many_things(new_keepfs, many, keys):
    keepfs = small(new_keepfs, many)
    path = dump(keepfs, keys)
    (pid,) = keepfs.daemons()
    assert sanitized(pid) or peak_mib(pid) < 48, "the table of contents alone has some 18 MiB"
    assert many.text_of(path) == many.digest
    assert len(beside(path, "tables.csv").read_text().splitlines()) == 1 + many.partitions + 1


def test_it_takes_no_more_memory_than_is_stated(new_keepfs, many):
    """docs/operations.md, Memory: besides `memory` some 20 MB, 3 MB for each connection, half a kB for each table"""
    connections, memory = 64, 128
    with many.noise(mib=96):
        keepfs = new_keepfs({"full": {"database": many.pg.uri("many"), "jobs": connections}}, memory=f"{memory}M").mount()
        path = dump(keepfs, "note=x")
        run = keepfs.history()[-1]["run"]
        assert f"reading over {connections} connections" in keepfs.text("jobs", str(run), "log")
        (pid,) = keepfs.daemons()
        entries = len(beside(path, "tables.csv").read_text().splitlines())
        assert sanitized(pid) or peak_mib(pid) < memory + 20 + 3 * connections + entries / 2048, keepfs.text("jobs", str(run), "log")


def test_a_file_for_each_of_very_many_things(new_keepfs, many):
    """a directory of them, from which pg_restore makes the same; a lost catalog finds them all again"""
    many.pg.sql("many", "SELECT count(lo_unlink(oid)) FROM (SELECT oid FROM pg_largeobject_metadata ORDER BY oid OFFSET 4000) o")
    keepfs = small(new_keepfs, many)
    path = dump(keepfs, "format=directory jobs=4")
    expected = many.text_of("pg_dump", "-Fc", "-Z0", "-d", many.pg.uri("many"))
    assert many.text_of(path) == expected
    assert len(list(path.glob("blob_*.dat.gz"))) == 4000 and len((path / "blobs.toc").read_text().splitlines()) == 4000
    keepfs.unmount()
    for file in keepfs.state.glob("catalog.db*"):
        file.unlink()
    keepfs.run("rebuild")
    keepfs.mount()
    assert many.text_of(path) == expected
