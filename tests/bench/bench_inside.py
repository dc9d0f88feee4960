# SPDX-License-Identifier: Apache-2.0
"""inside/: tables of a dump as files, next to what one would do without it, in one run, as medians: the rows of the largest table through the mount beside
`pg_restore -a -t` of a local file of the same dump and beside `cp` of the stored dump; the first byte of its last table; random reads; and
`count(*)` by file_fdw (attach.sql) beside the table itself. Nothing is answered by the kernel's pages of the mount: they are dropped before each read, or
passed by with O_DIRECT.

BENCH_INSIDE_MB       size of the database as text, default 1200
BENCH_ROUNDS          default 5
BENCH_PARTS           of rows,csv,first,random,fdw; default all
BENCH_INSIDE_FORMATS  of gzip,none,directory; default all: two dumps of the custom format, and one of the directory format
BENCH_INSIDE_IOS      random reads in a round, default 200
"""
import mmap
import os
import pathlib
import random
import shutil
import statistics
import subprocess
import tempfile
import time

import bench_common
import bench_data
import daemon
import postgres
import stores
from bench_common import children_cpu_s, cpu_s

MEGABYTES = int(os.environ.get("BENCH_INSIDE_MB", "1200"))
PARTS = bench_common.parts("rows,csv,first,random,fdw")
FORMATS = os.environ.get("BENCH_INSIDE_FORMATS", "gzip,none,directory").split(",")
IOS = int(os.environ.get("BENCH_INSIDE_IOS", "200"))
KINDS = {"gzip": {"format": "custom", "compression": "gzip"}, "none": {"format": "custom", "compression": "none"}, "directory": {"format": "directory"}}
TABLE = "orders"           # the largest of bench_data.several_tables()
READ_BYTES = 64 << 10
SEGMENT_BYTES = 1016 << 10  # of rows, at most, between two entries of the segment index
GOAL_RATIO = 0.9           # of pg_restore's rate
GOAL_RATE = 400e6          # bytes of rows in a second, with two processors
GOAL_FIRST_S = 0.05
GOAL_RANDOM_S = 0.002      # more than the stored bytes of a segment
DEADLINE_S = 3600


def forget(path):
    """the kernel's pages of it"""
    for file in [p for p in path.rglob("*") if p.is_file()] if path.is_dir() else [path]:
        fd = os.open(file, os.O_RDONLY)
        try:
            os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_DONTNEED)
        finally:
            os.close(fd)


class Dump:
    """a backup, what is in it, and a local copy"""

    def __init__(self, keepfs, server, directory, job):
        status = keepfs.wait_run(keepfs.trigger(job), deadline_s=DEADLINE_S)
        assert status["state"] == "completed", keepfs.history()
        (name,) = keepfs.artifacts(job)
        self.keepfs, self.server, self.directory = keepfs, server, directory
        (self.pid,) = keepfs.daemons()
        self.stored, self.local = keepfs.path("backups", job, name), directory / f"local-{job}"
        (shutil.copytree if self.stored.is_dir() else shutil.copy)(self.stored, self.local)
        self.inside = keepfs.path("inside", job, name.split(".")[0])
        self.stored_bytes = sum(p.stat().st_size for p in self.local.rglob("*")) if self.local.is_dir() else self.local.stat().st_size
        self.name = f"{job}, {'directory' if self.stored.is_dir() else 'custom'} format"

    def file(self, kind, table=TABLE):
        return self.inside / "tables" / f"public.{table}.{kind}"

    def last_table(self):
        """that whose rows are the last ones of the archive"""
        listed = subprocess.run([str(self.server.bindir / "pg_restore"), "-l", str(self.local)], check=True, stdout=subprocess.PIPE, text=True).stdout
        return [line.split(" TABLE DATA public ")[1].split()[0] for line in listed.splitlines() if " TABLE DATA public " in line][-1]

    def remove(self):
        (shutil.rmtree if self.local.is_dir() else pathlib.Path.unlink)(self.local)


def command(dump, words, cold=()):
    """once: seconds, processor seconds of the program, and those of the daemon"""
    def once():
        for path in cold:
            forget(path)
        daemon_before, before, start = cpu_s(dump.pid), children_cpu_s(), time.monotonic()
        subprocess.run(words, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, shell=isinstance(words, str))
        return {"seconds": time.monotonic() - start, "cpu": children_cpu_s() - before, "daemon": cpu_s(dump.pid) - daemon_before}
    return once


def restored_rows(dump):
    return command(dump, f"'{dump.server.bindir}/pg_restore' -a -t {TABLE} -f - '{dump.local}' | tail -c 1")


def print_rows(title, found, sizes):
    base = next(iter(found.values()))
    bench_common.print_table(title, ["", "seconds", "min", "max", "MB/s", "cpu", "daemon's", "MB/cpu s", "x the first"], [
        [name, f"{s.median('seconds'):.2f}", f"{s.min('seconds'):.2f}", f"{s.max('seconds'):.2f}", f"{sizes[name] / 1e6 / s.median('seconds'):.0f}", f"{s.median('cpu'):.2f}",
         f"{s.median('daemon'):.2f}", f"{sizes[name] / 1e6 / max(s.median('cpu') + s.median('daemon'), 0.01):.0f}",
         f"{base.median('seconds') / s.median('seconds'):.2f}"] for name, s in found.items()])


def measure_rows(dump):
    tsv = dump.file("tsv")
    rows = tsv.stat().st_size
    ways = {
        "pg_restore -a -t, local": restored_rows(dump),
        "cat .tsv": command(dump, ["cat", str(tsv)], [tsv]),
        "dd .tsv, O_DIRECT": command(dump, ["dd", f"if={tsv}", "of=/dev/null", "bs=1M", "iflag=direct"]),
        "cp of the whole dump": command(dump, f"cp -r '{dump.stored}' '{dump.directory}/copied' && rm -r '{dump.directory}/copied'", [dump.stored]),
    }
    found = bench_common.measured(ways)
    print_rows(f"{dump.name}: {rows / 1e6:.0f} MB of rows; cp by {dump.stored_bytes / 1e6:.0f} MB stored", found,
               {name: dump.stored_bytes if name.startswith("cp") else rows for name in ways})
    peer, own = (found[name].figures["seconds"] for name in ("pg_restore -a -t, local", "cat .tsv"))
    ratio, rate = statistics.median(a / b for a, b in zip(peer, own)), rows / statistics.median(own)
    bench_common.goal(f"{GOAL_RATIO} times as fast as pg_restore: {ratio:.2f} (median of the rounds' ratios)", ratio >= GOAL_RATIO)
    bench_common.goal(f"{GOAL_RATE / 1e6:.0f} MB of rows in a second, with two processors: {rate / 1e6:.0f}", rate >= GOAL_RATE)


def measure_csv(dump):
    csv = dump.file("csv")
    ways = {"pg_restore -a -t, local": restored_rows(dump), "cat .csv": command(dump, ["cat", str(csv)], [csv])}
    print_rows(f"{dump.name}: .csv", bench_common.measured(ways), dict.fromkeys(ways, csv.stat().st_size))


def timed_read(path, flags, length, offset):
    """with the open, which is what somebody waits for who wants the first byte"""
    memory = mmap.mmap(-1, length)  # O_DIRECT wants it aligned
    start = time.monotonic()
    fd = os.open(path, flags)
    try:
        n = os.preadv(fd, [memory], offset)
        return time.monotonic() - start, n
    finally:
        os.close(fd)


def measure_first(dump):
    """the mount is warm: of this dump another table was read"""
    last, table = dump.file("tsv", dump.last_table()), dump.file("tsv")
    size = last.stat().st_size

    def once():
        timed_read(table, os.O_RDONLY | os.O_DIRECT, 4096, 0)
        forget(last)
        seconds, n = timed_read(last, os.O_RDONLY, min(READ_BYTES, size), 0)
        assert n == min(READ_BYTES, size), (last, n)
        return {"seconds": seconds}

    first = bench_common.measured({"first": once})["first"]
    print(f"\n{dump.name}: the first byte of {last.name}, the last table: median {first.median('seconds') * 1e3:.1f} ms, most {first.max('seconds') * 1e3:.1f} (load {bench_common.load()})")
    bench_common.goal(f"{GOAL_FIRST_S * 1e3:.0f} ms: {first.median('seconds') * 1e3:.1f}", first.median("seconds") <= GOAL_FIRST_S)


def random_reads(path, length, chance):
    """at multiples of a page, past the kernel's pages"""
    memory, pages, found = mmap.mmap(-1, length), (path.stat().st_size - length) // 4096, []
    fd = os.open(path, os.O_RDONLY | os.O_DIRECT)
    try:
        for _ in range(IOS):
            offset = chance.randrange(max(pages, 1)) * 4096
            start = time.monotonic()
            n = os.preadv(fd, [memory], offset)
            found.append(time.monotonic() - start)
            assert n > 0, (path, offset)
    finally:
        os.close(fd)
    found.sort()
    return {"p50": found[len(found) // 2], "p99": found[len(found) * 99 // 100]}


def measure_random(dump):
    """beside the bytes of the backup that such a read needs: those of a segment, at random places of the backup"""
    stored = max(dump.stored.rglob("*"), key=lambda p: p.stat().st_size) if dump.stored.is_dir() else dump.stored
    raw = sum(p.stat().st_size for p in (dump.inside / "tables").glob("*.tsv"))
    segment = max(int(SEGMENT_BYTES * min(dump.stored_bytes / raw, 1)), 4096) + 4095 & ~4095
    chance = random.Random(1)
    stored_name, rows_name = f"{segment >> 10} KiB of the backup", f"{READ_BYTES >> 10} KiB of .tsv"
    found = bench_common.measured({stored_name: lambda: random_reads(stored, segment, chance),
                                   rows_name: lambda: random_reads(dump.file("tsv"), READ_BYTES, chance)})
    bench_common.print_table(f"{dump.name}: {IOS} random reads, ms", ["", "p50", "p99"],
                             [[name, f"{s.median('p50') * 1e3:.2f}", f"{s.median('p99') * 1e3:.2f}"] for name, s in found.items()])
    more = found[rows_name].median("p50") - found[stored_name].median("p50")
    bench_common.goal(f"at most {GOAL_RANDOM_S * 1e3:.0f} ms more than the stored bytes of a segment: {more * 1e3:.2f}", more <= GOAL_RANDOM_S)


def measure_fdw(dump):
    """the peer is the table that was backed up, in the same database"""
    server, tsv = dump.server, dump.file("tsv")
    server.tool("psql", "-X", "-q", "-d", server.uri("several"), "-f", dump.inside / "attach.sql")
    schema = server.sql("several", "SELECT n.nspname FROM pg_foreign_table f JOIN pg_class c ON c.oid = ftrelid JOIN pg_namespace n ON n.oid = relnamespace "
                                   f"WHERE relname = '{TABLE}'")
    counts = {}

    def counted(name, table, cold):
        def once():
            for path in cold:
                forget(path)
            before, start = cpu_s(dump.pid), time.monotonic()
            counts[name] = server.sql("several", f"SELECT count(*) FROM {table}")
            return {"seconds": time.monotonic() - start, "daemon": cpu_s(dump.pid) - before}
        return once

    found = bench_common.measured({"the table": counted("table", TABLE, []), "file_fdw": counted("fdw", f'"{schema}".{TABLE}', [tsv]),
                                   "file_fdw, warm": counted("warm", f'"{schema}".{TABLE}', [])})
    assert len(set(counts.values())) == 1, counts
    base = found["the table"].median("seconds")
    bench_common.print_table(f"{dump.name}: SELECT count(*), {counts['table']} rows", ["", "seconds", "daemon's cpu", "x the table's time"],
                             [[name, f"{s.median('seconds'):.2f}", f"{s.median('daemon'):.2f}", f"{s.median('seconds') / base:.1f}"] for name, s in found.items()])
    server.sql("several", f'DROP SCHEMA "{schema}" CASCADE')


def mounted(directory, server):
    """by root also for the server's user, who reads the files of file_fdw"""
    directory.chmod(0o755)
    modes = {"allow_other": "yes", "group": "postgres", "file_mode": "0640", "dir_mode": "0750"} if server.as_user else {}
    jobs = {name: {"database": server.uri("several"), **KINDS[name]} for name in FORMATS}
    return daemon.Keepfs(directory, stores.DirStore(directory / "objects"), jobs, **modes).mount()


def main():
    directory = pathlib.Path(tempfile.mkdtemp(prefix="keepfs-bench-"))
    server = postgres.Postgres()
    measure = {"rows": measure_rows, "csv": measure_csv, "first": measure_first, "random": measure_random, "fdw": measure_fdw}
    try:
        bench_data.several_tables(server, "several", MEGABYTES)
        keepfs = mounted(directory, server)
        try:
            for job in FORMATS:
                dump = Dump(keepfs, server, directory, job)
                for part in PARTS:
                    measure[part](dump)
                dump.remove()
        finally:
            keepfs.close()
    finally:
        server.remove()
        shutil.rmtree(directory, ignore_errors=True)


if __name__ == "__main__":
    main()
