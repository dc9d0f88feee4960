# SPDX-License-Identifier: Apache-2.0
"""What is read out of the write-ahead log of a real server is what pg_waldump says of it: each record, and what was committed, named and switched when."""
import calendar
import contextlib
import os
import pathlib
import re
import subprocess
import time

import pytest

import daemon
import postgres

WAL_READ = pathlib.Path(daemon.PROGRAM).parents[1] / "tests/support/wal_read"

MANAGERS = ("XLOG Transaction Storage CLOG Database Tablespace MultiXact RelMap Standby Heap2 Heap Btree Hash Gin Gist Sequence SPGist BRIN "
            "CommitTs ReplicationOrigin Generic LogicalMessage").split()
DUMPED = re.compile(r"rmgr: (\S+)\s+len \(rec/tot\):\s*(\d+)/\s*(\d+), tx:\s*(\d+), lsn: ([0-9A-F]+/[0-9A-F]+), prev ([0-9A-F]+/[0-9A-F]+), desc: (.*)")
SETTINGS = ("wal_level = logical\nfull_page_writes = on\nwal_compression = pglz\nmax_prepared_transactions = 5\nwal_keep_size = 400MB\n"
            "max_wal_size = 2GB\nwal_log_hints = on\n")

# Records of all sizes, images in all encodings, and each kind of record that something is read of.
FILL = """
    CREATE TABLE t (id int PRIMARY KEY, body text);
    INSERT INTO t SELECT g, repeat(md5(g::text), g % 40) FROM generate_series(1, 4000) g;
    CREATE INDEX ON t USING gin (to_tsvector('simple', body));
    CHECKPOINT;
    UPDATE t SET body = body || 'x' WHERE id % 7 = 0;
    SELECT pg_create_restore_point('before the drop');
    SELECT pg_logical_emit_message(false, 'large', repeat('0123456789', 400000));
    SELECT pg_logical_emit_message(true, 'small', 'x');
    SELECT pg_switch_wal();
    BEGIN; CREATE TABLE gone (id int); ROLLBACK;
    BEGIN; INSERT INTO t VALUES (-1, 'a'); SAVEPOINT a; INSERT INTO t VALUES (-2, 'b'); SAVEPOINT b; INSERT INTO t VALUES (-3, 'c');
    CREATE TABLE kept AS SELECT g FROM generate_series(1, 100) g; DROP TABLE t; PREPARE TRANSACTION 'first';
    BEGIN; CREATE TABLE never (id int); SAVEPOINT a; CREATE TABLE neither (id int); PREPARE TRANSACTION 'second';
    COMMIT PREPARED 'first';
    ROLLBACK PREPARED 'second';
    ALTER SYSTEM SET full_page_writes = off; SELECT pg_reload_conf();
"""


class Read:
    """what wal_read says of files"""

    def __init__(self, files, piece=1 << 20):
        done = subprocess.run([str(WAL_READ), str(piece), *map(str, files)], capture_output=True, text=True, check=False)
        self.failure = done.stderr
        lines = [line.split(" ") for line in done.stdout.splitlines()]
        self.files = [(int(words[1]), int(words[2]), " ".join(words[3:])) for words in lines if words[0] == "file"]
        self.records = [words for words in lines if words[0] != "file"]

    def plain(self):
        """of each record what pg_waldump says, too"""
        return [(MANAGERS[int(r[4])], int(r[6]) - int(r[7]), int(r[6]), int(r[8]), r[0], r[2]) for r in self.records]

    def of(self, kind):
        return [r for r in self.records if r[9].rstrip("+") == kind]


def parsed(line):
    return DUMPED.match(line).groups()


def plain_lsn(text):
    """pg_waldump writes the lower half with all of its zeros"""
    return "{:X}/{:X}".format(*(int(half, 16) for half in text.split("/")))


class Dumped:
    """what pg_waldump says of the segments from the first to the last"""

    def __init__(self, server, directory, first, last):
        done = subprocess.run([str(server.bindir / "pg_waldump"), "-p", str(directory), first, last], capture_output=True, text=True,
                              check=False, env={**os.environ, "TZ": "UTC"})
        self.text = done.stdout
        found = [(*m[:4], plain_lsn(m[4]), plain_lsn(m[5]), m[6]) for m in map(parsed, done.stdout.splitlines())]
        self.plain = [(m[0], int(m[1]), int(m[2]), int(m[3]), m[4], m[5]) for m in found]
        self.described = [(m[4], m[0], m[6], int(m[3])) for m in found]
        self.failure = done.stderr

    def of(self, manager, pattern):
        """(lsn, match, xid) of each record that is described like this"""
        every = [(lsn, re.match(pattern, text), xid) for lsn, name, text, xid in self.described if name == manager]
        return [(lsn, match, xid) for lsn, match, xid in every if match]


def microseconds(text):
    """of "2026-11-20 10:00:00.123456 UTC\""""
    seconds, rest = re.match(r"(\d+-\d+-\d+ \d+:\d+:\d+)\.(\d{6})", text).groups()
    return calendar.timegm(time.strptime(seconds, "%Y-%m-%d %H:%M:%S")) * 1000000 + int(rest)


def segments(server, timeline=1):
    return sorted(p for p in (server.data / "pg_wal").iterdir() if re.fullmatch(f"{timeline:08X}[0-9A-F]{{16}}", p.name))


def current(server, timeline=1):
    """those that a server that was shut down has written: the last thing it wrote is a checkpoint"""
    last = re.search(r"REDO WAL file:\s+([0-9A-F]{24})", server.tool("pg_controldata", server.data))[1]
    return [p for p in segments(server, timeline) if p.name <= last]


def fill(server):
    """and shut it down, so that nothing more is written"""
    server.tool("psql", "-X", "-q", "-v", "ON_ERROR_STOP=1", "-d", server.uri("postgres"), input=FILL)
    # The checkpointer logs that it was changed, once it comes to it; a commit that waits has the log written up to there.
    daemon.wait_until(lambda: "FPW_CHANGE" in every_record(server), "full_page_writes to be off", deadline_s=60)
    for method in ("lz4", "zstd"):
        with contextlib.suppress(subprocess.CalledProcessError):  # the server was built without it
            server.sql("postgres", f"ALTER SYSTEM SET wal_compression = {method}")
            server.sql("postgres", "ALTER SYSTEM SET full_page_writes = on")
            server.sql("postgres", "SELECT pg_reload_conf()")
            server.sql("postgres", "CHECKPOINT")
            server.sql("postgres", "UPDATE kept SET g = -g")
    server.sql("postgres", "SELECT pg_create_restore_point('the end')")
    server.stop("fast")


def every_record(server):
    server.tool("psql", "-X", "-q", "-d", server.uri("postgres"), input="SET synchronous_commit = on; INSERT INTO kept VALUES (0);")
    first, last = segments(server)[0].name, server.sql("postgres", "SELECT pg_walfile_name(pg_current_wal_lsn())")
    return Dumped(server, server.data / "pg_wal", first, last).text


@pytest.fixture(scope="module")
def filled():
    server = postgres.Postgres(SETTINGS)
    try:
        fill(server)
        yield server
    finally:
        server.remove()


def compare(read, dumped):
    assert read.failure == ""
    assert read.plain() == dumped.plain
    commits = [(lsn, int(m[1] or xid), microseconds(m[2])) for lsn, m, xid in dumped.of("Transaction", r"COMMIT\S* (?:(\d+): )?(\d{4}-.*)")]
    assert [(r[0], int(r[11]), int(r[10])) for r in read.of("commit")] == commits
    aborts = [(lsn, int(m[1] or xid), microseconds(m[2])) for lsn, m, xid in dumped.of("Transaction", r"ABORT\S* (?:(\d+): )?(\d{4}-.*)")]
    assert [(r[0], int(r[11]), int(r[10])) for r in read.of("abort")] == aborts
    points = [(lsn, m[1]) for lsn, m, _ in dumped.of("XLOG", "RESTORE_POINT (.*)")]
    assert [(r[0], " ".join(r[14:])) for r in read.of("point")] == points
    checkpoints = [(lsn, *m.groups()) for lsn, m, _ in dumped.of("XLOG", r"CHECKPOINT_\w+ redo (\S+); tli (\d+); prev tli (\d+); fpw (\w+)")]
    assert [(r[0], r[12], r[3], r[13], "true" if r[9].endswith("+") else "false") for r in read.of("checkpoint")] == checkpoints
    ends = [(lsn, *m.groups()) for lsn, m, _ in dumped.of("XLOG", r"END_OF_RECOVERY tli (\d+); prev tli (\d+);")]
    assert [(r[0], r[3], r[13]) for r in read.of("recovery_end")] == ends
    changes = [(lsn, m[1]) for lsn, m, _ in dumped.of("XLOG", r"FPW_CHANGE (\w+)")]
    assert [(r[0], "true" if r[9].endswith("+") else "false") for r in read.of("full_pages")] == changes
    assert [r[0] for r in read.of("switch")] == [lsn for lsn, _, _ in dumped.of("XLOG", "SWITCH")]
    assert [(r[0], r[12]) for r in read.of("backup_end")] == [(lsn, m[1]) for lsn, m, _ in dumped.of("XLOG", r"BACKUP_END (\S+)")]


@pytest.mark.parametrize("piece", [1 << 20, 8191, 100])
def test_all_records_are_those_of_pg_waldump(filled, piece):
    files = current(filled)
    read, dumped = Read(files, piece), Dumped(filled, filled.data / "pg_wal", files[0].name, files[-1].name)
    compare(read, dumped)
    assert len(files) > 5 and len(read.records) > 5000
    assert any(int(r[6]) > 3 << 20 for r in read.records), "one that is longer than several segments"
    assert any(0 < int(r[7]) < 4096 for r in read.records), "a compressed image"
    assert [r[9] for r in read.records if r[9] in ("commit+", "abort+")] == ["commit+", "abort+"], "prepared ones"
    assert ["before the drop", "the end"] == [" ".join(r[14:]) for r in read.of("point")]
    assert read.of("full_pages") and read.of("switch")


def test_the_records_end_where_pg_waldump_ends(filled):
    files = current(filled)
    read, dumped = Read(files), Dumped(filled, filled.data / "pg_wal", files[-1].name, files[-1].name)
    at = re.search(r"invalid record length at ([0-9A-F/]+): wanted 24, got 0", dumped.failure)[1]
    assert read.files[-1][1:] == (1, f"at {at} nothing was written")
    assert read.records[-1][1] == at
    # All of those before mean something to their end, but for the one that was switched from.
    whole = [meant == path.stat().st_size for path, (meant, _, _) in zip(files[:-1], read.files[:-1], strict=True)]
    assert whole.count(False) == 1, read.files


def test_each_segment_alone(filled):
    """one in the middle begins with the rest of a record, which is passed over, and ends with a record that is not told"""
    files = current(filled)
    every = {r[0]: r for r in Read(files).records}
    alone = [r for path in files for r in Read([path]).records]
    assert all(every[r[0]] == r for r in alone)
    spanning = [every[lsn] for lsn in set(every) - {r[0] for r in alone}]
    size = files[0].stat().st_size
    assert spanning and all(offset(r[0]) // size != (offset(r[1]) - 1) // size for r in spanning)


def offset(lsn):
    high, low = lsn.split("/")
    return int(high, 16) << 32 | int(low, 16)


def test_another_size_of_segments():
    server = postgres.Postgres(SETTINGS)
    try:
        server.stop("fast")
        server._run("pg_resetwal", "--wal-segsize=16", "-D", server.data)
        server.set("min_wal_size = 64MB\nmax_wal_size = 512MB\n")
        server.start()
        fill(server)
        files = current(server)
        compare(Read(files), Dumped(server, server.data / "pg_wal", files[0].name, files[-1].name))
    finally:
        server.remove()


def test_files_that_were_not_written_yet_are_told(filled):
    """the server renames old segments to use them again"""
    filled.set("wal_keep_size = 0\nmin_wal_size = '400MB'\n")
    filled.start()
    for _ in range(2):
        filled.sql("postgres", "SELECT pg_switch_wal()")
        filled.sql("postgres", "CHECKPOINT")
    filled.stop("fast")
    last = current(filled)[-1].name
    ahead = [p for p in segments(filled) if p.name > last]
    assert ahead
    for path in ahead:
        read = Read([path])
        assert read.records == [] and read.failure.startswith(f"{path.name}: it "), read.failure
        assert "it is not what it is named: it begins with " in read.failure or "it begins with zeros" in read.failure, read.failure


def test_a_promotion():
    """the new timeline leaves the old one in the middle of a segment, whose begin it has, too"""
    primary = postgres.Postgres(SETTINGS)
    try:
        primary.sql("postgres", "CREATE TABLE t AS SELECT g, repeat('x', 100) FROM generate_series(1, 20000) g")
        standby = postgres.Standby(primary)
        try:
            standby.catch_up()
            standby._run("pg_ctl", "-D", standby.data, "-w", "promote")
            standby.sql("postgres", "CREATE TABLE u AS SELECT g, repeat('x', 100) FROM generate_series(1, 20000) g")
            standby.stop("fast")
            old, new = segments(standby), current(standby, 2)
            wal = standby.data / "pg_wal"
            compare(Read(new), Dumped(standby, wal, new[0].name, new[-1].name))
            before = [p for p in old if p.name[8:] < new[0].name[8:]]
            read = Read([*before, *new])
            assert read.failure == "" and [why for _, why, _ in read.files] == [0] * (len(before) + len(new) - 1) + [1]
            assert [read.records[i][2] == read.records[i - 1][0] for i in range(1, len(read.records))] == [True] * (len(read.records) - 1)
            timelines = [r[3] for r in read.records]
            at = timelines.index("2")
            assert timelines == ["1"] * at + ["2"] * (len(timelines) - at)
            assert read.records[at][9].rstrip("+") in ("recovery_end", "checkpoint") and read.records[at][13] == "1"
            history = (wal / "00000002.history").read_text()
            assert history.split("\t")[1] == read.records[at - 1][1]
        finally:
            standby.remove()
    finally:
        primary.remove()
