# SPDX-License-Identifier: Apache-2.0
"""What inside/ has found out about a dump by reading it is kept: a restart does not read it again."""
import os
import subprocess

import pytest

import daemon
import handmade
from exposition import Metrics

DATABASE = "inside_kept"
NAME = "20261120T020000Z"
ORDERS = f"inside/full/{NAME}/tables/public.orders"
# What keepfs does not make itself: without an index, without counts, without offsets.
OTHERS = {"custom": (["-Fc"], ".dump"), "plain": (["-Fp"], ".sql"), "plain_gzip": (["-Fp", "-Z6"], ".sql.gz")}


@pytest.fixture(scope="module")
def source(pg):
    """{suffix of the file: bytes} of a table, as COPY says"""
    pg.create(DATABASE)
    try:
        pg.sql(DATABASE, "CREATE TABLE orders AS SELECT i, md5(i::text) AS a, repeat(md5((i * 3)::text), 2) AS b FROM generate_series(1, 150000) i;"
                         "CREATE TABLE few AS SELECT 1 AS a;"
                         "SELECT lo_from_bytea(4001, decode(repeat('00ff17', 200000), 'hex'))")
        copied = {suffix: subprocess.run([pg.bindir / "psql", "-Xqd", pg.uri(DATABASE), "-c", f"COPY orders TO STDOUT {how}"], check=True,
                                         stdout=subprocess.PIPE).stdout for suffix, how in (("tsv", ""), ("csv", "(FORMAT csv, HEADER)"))}
        dumps = {kind: subprocess.run([pg.bindir / "pg_dump", *words, pg.uri(DATABASE)], check=True, stdout=subprocess.PIPE).stdout
                 for kind, (words, _) in OTHERS.items()}
        yield copied, dumps
    finally:
        pg.drop(DATABASE)


@pytest.fixture
def foreign(new_keepfs, source, store):
    """a dump of pg_dump's own, mounted"""
    def publish(kind):
        keepfs = new_keepfs()
        handmade.publish(store, f"backups/full/{NAME}{OTHERS[kind][1]}", source[1][kind])
        keepfs.run("rebuild")
        return keepfs.mount()

    return publish


def got(keepfs):
    """bytes that came from the store"""
    return Metrics(keepfs.text("status", "metrics.prom")).get("keepfs_store_bytes_total", call="get")


def last(keepfs, suffix, count=5000):
    return subprocess.run(["tail", "-c", str(count), keepfs.path(f"{ORDERS}.{suffix}")], check=True, stdout=subprocess.PIPE).stdout


def kept(keepfs):
    return [path for path in (keepfs.state / "inside").glob("*/*") if path.is_file()]


@pytest.mark.parametrize("kind, suffix", [("plain", "tsv"), ("plain_gzip", "tsv"), ("custom", "tsv"), ("plain", "csv"), ("custom", "csv")])
def test_a_restart_reads_little(foreign, source, kind, suffix):
    """gzip that pg_dump has made cannot be entered: of that only what is asked for is not read twice"""
    keepfs, whole = foreign(kind), source[0][suffix]
    before = got(keepfs)
    assert last(keepfs, suffix) == whole[-5000:]
    first = got(keepfs) - before
    assert first > len(source[1][kind]) * 0.9
    keepfs.remount()
    before = got(keepfs)
    assert keepfs.path(f"{ORDERS}.{suffix}").stat().st_size == len(whole)
    assert sorted(os.listdir(keepfs.path(f"inside/full/{NAME}/tables"))) == ["public.few.csv", "public.few.tsv", "public.orders.csv", "public.orders.tsv"]
    assert got(keepfs) - before < 1_500_000
    assert last(keepfs, suffix) == whole[-5000:]
    if kind == "plain":
        assert got(keepfs) - before < first / 3
    assert keepfs.path(f"{ORDERS}.{suffix}").read_bytes() == whole


def test_what_keepfs_has_made(new_keepfs, pg, source):
    """a plain dump, which has no index, but can be entered at many places"""
    keepfs = new_keepfs({"full": {"database": pg.uri(DATABASE), "format": "plain", "compression": "gzip"}}).mount()
    keepfs.backup("full")
    (name,) = os.listdir(keepfs.path("inside", "full"))

    def look():
        before = got(keepfs)
        assert os.listdir(keepfs.path("inside", "full", name, "blobs")) == ["4001"]
        with open(keepfs.path("inside", "full", name, "blobs", "4001"), "rb") as blob:
            blob.seek(300_000)
            assert blob.read(3000) == bytes.fromhex("00ff17") * 1000
        for suffix in ("tsv", "csv"):
            file = keepfs.path("inside", "full", name, "tables", f"public.orders.{suffix}")
            assert subprocess.run(["tail", "-c5000", file], check=True, stdout=subprocess.PIPE).stdout == source[0][suffix][-5000:]
        assert b"CREATE TABLE public.orders" in keepfs.path("inside", "full", name, "schema.sql").read_bytes()
        return got(keepfs) - before

    first = look()
    keepfs.remount()
    assert look() < first / 3


def test_what_is_removed_is_forgotten(foreign, source, store):
    handmade.publish(store, "backups/full/20261121T020000Z.dump", source[1]["custom"])  # the newest one stays
    keepfs = foreign("plain")
    last(keepfs, "tsv")
    assert kept(keepfs)
    keepfs.path("backups", "full", f"{NAME}.sql").unlink()
    daemon.wait_until(lambda: not os.listdir(keepfs.state / "inside"), "the files to go")


def test_who_finds_files_of_a_dump_that_is_gone(foreign, store):
    """removed while nobody served"""
    keepfs = foreign("plain")
    last(keepfs, "tsv")
    assert kept(keepfs)
    keepfs.unmount()
    for key in list(store.keys()):
        if NAME in key:
            store.remove(key)
    keepfs.run("rebuild")
    keepfs.mount()
    assert not kept(keepfs)


def test_a_crash_while_it_is_written(foreign, source):
    keepfs = foreign("plain")
    for moment in range(3):
        reader = subprocess.Popen(["tail", "-c", "5000", keepfs.path(f"{ORDERS}.tsv")], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        daemon.wait_until(lambda: moment < 2 or kept(keepfs), "something to be kept", pause_s=0.001)
        if moment == 1:
            daemon.wait_until(lambda: (keepfs.state / "inside").exists(), "it to begin", pause_s=0.0001)
        keepfs.kill()
        reader.wait()
        for directory in (keepfs.state / "inside").glob("*"):
            (directory / "tmp-4711-1").write_bytes(b"half")
        keepfs.mount()
        assert not [path for path in kept(keepfs) if path.name.startswith("tmp-")]
        assert last(keepfs, "tsv") == source[0]["tsv"][-5000:]


@pytest.mark.parametrize("spoil", ["a byte", "the end", "all"])
def test_files_that_are_damaged(foreign, source, spoil):
    keepfs = foreign("plain")
    assert last(keepfs, "csv") == source[0]["csv"][-5000:]
    keepfs.unmount()
    assert kept(keepfs)
    for path in kept(keepfs):
        assert path.stat().st_mode & 0o777 == 0o600
        whole = bytearray(path.read_bytes())
        whole[len(whole) // 2] ^= 4
        path.write_bytes(whole if spoil == "a byte" else whole[:-5] if spoil == "the end" else b"")
    keepfs.mount()
    for suffix in ("tsv", "csv"):
        assert last(keepfs, suffix) == source[0][suffix][-5000:]
        assert keepfs.path(f"{ORDERS}.{suffix}").read_bytes() == source[0][suffix]


def test_nothing_can_be_kept(foreign, source):
    """it is learnt each time then, and the log says so once"""
    keepfs = foreign("plain")
    (keepfs.state / "inside").write_bytes(b"")
    for _ in range(2):
        for suffix in ("tsv", "csv"):
            assert last(keepfs, suffix) == source[0][suffix][-5000:]
        assert (keepfs.state / "keepfs.log").read_text().count("what was learnt about dumps cannot be kept") == 1
        keepfs.unmount()
        (keepfs.state / "keepfs.log").write_bytes(b"")
        keepfs.mount()
