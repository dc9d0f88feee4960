# SPDX-License-Identifier: Apache-2.0
"""keepfs restore next to `pg_restore -j2` of a local file of the same dump, on one server and in one run, as medians and ratios. After each
restore the rows and hashes of what was restored are held against the backup's.

BENCH_RESTORE_MB   size of the database as text, default 1200
BENCH_ROUNDS       default 5; a round does each way once, so that whatever else the machine does hits all of them
BENCH_PARTS        of several,one_table; default both
BENCH_STORES       of dir,ceph; default both
BENCH_JOBS         connections of each way, default 2
BENCH_SETTINGS     lines for postgresql.conf, separated by ';': default a server that keeps what it was given (fsync, synchronous_commit)
"""
import os
import pathlib
import re
import shutil
import statistics
import tempfile
import time

import bench_common
import bench_data
import daemon
import postgres
import stores
from bench_common import children_cpu_s, cpu_s

MEGABYTES = int(os.environ.get("BENCH_RESTORE_MB", "1200"))
PARTS = bench_common.parts("several,one_table")
STORES = os.environ.get("BENCH_STORES", "dir,ceph").split(",")
JOBS = int(os.environ.get("BENCH_JOBS", "2"))
SETTINGS = os.environ.get("BENCH_SETTINGS", "fsync = on;synchronous_commit = on;full_page_writes = on;shared_buffers = 128MB").replace(";", "\n") + "\n"
GOAL = {"several": 1 / 1.05, "one_table": 1.5}  # times as fast as pg_restore, at least
DEADLINE_S = 3600


class Restore:
    """one way of restoring; once() leaves the database `restored`"""

    def __init__(self, name, server):
        self.name, self.server = name, server

    def measure(self):
        """(seconds, processor seconds without the server's)"""
        raise NotImplementedError

    def once(self):
        server = self.server
        server.drop("restored")
        server.sql("postgres", "CHECKPOINT")
        postmaster = int((server.data / "postmaster.pid").read_text().split()[0])
        before = cpu_s(postmaster, with_itself=False)
        seconds, cpu = self.measure()
        daemon.wait_until(lambda: server.sql("postgres", "SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'client backend'") == "1",
                          "the server's processes to end")
        return {"seconds": seconds, "cpu": cpu, "server": cpu_s(postmaster, with_itself=False) - before}


class PgRestore(Restore):
    def __init__(self, server, dump):
        super().__init__(f"pg_restore -j{JOBS}, local file", server)
        self.dump = dump

    def measure(self):
        self.server.create("restored")
        before, start = children_cpu_s(), time.monotonic()
        self.server.tool("pg_restore", f"-j{JOBS}", "-d", self.server.uri("restored"), self.dump)
        return time.monotonic() - start, children_cpu_s() - before


class KeepfsRestore(Restore):
    def __init__(self, name, server, keepfs, artifact, words):
        super().__init__(name, server)
        self.keepfs, self.artifact, self.words = keepfs, artifact, words

    def measure(self):
        (pid,) = self.keepfs.daemons()
        before, start = cpu_s(pid), time.monotonic()
        run = int(self.keepfs.ask("restore", f"full/{self.artifact} into=restored jobs={JOBS} {self.words}").split()[0])
        status = self.keepfs.wait_run(run, deadline_s=DEADLINE_S)
        seconds = time.monotonic() - start
        self.log = self.keepfs.text("jobs", str(run), "log")
        assert status["state"] == "completed", self.log
        return seconds, cpu_s(pid) - before


def tables_csv(keepfs, directory, run):
    """the counts of the backup that the run has made: a line for each table, in their order"""
    (name,) = [n for n in os.listdir(keepfs.path("backups", directory)) if n.endswith(".tables.csv")
               and os.getxattr(keepfs.path("backups", directory, n.replace(".tables.csv", ".dump")), "user.keepfs.run").decode() == str(run)]
    return sorted(keepfs.text("backups", directory, name).splitlines())


def backed_up(keepfs, job):
    run = keepfs.trigger(job)
    status = keepfs.wait_run(run, deadline_s=DEADLINE_S)
    assert status["state"] == "completed", keepfs.history(run)
    return run


def check_restored(keepfs, expected):
    """what was restored is backed up, and has the rows and the hashes of the first backup"""
    old = keepfs.artifacts("again") if keepfs.path("backups", "again").exists() else []
    run = backed_up(keepfs, "again verify=none")
    assert tables_csv(keepfs, "again", run) == expected, "what was restored is not what was backed up"
    for name in old:
        keepfs.path("backups", "again", name).unlink()


def rows_of(lines):
    return sum(int(line.split(",")[2]) for line in lines if not line.startswith("schema,"))


def phases(log):
    """what each took, as the run's log tells"""
    return ", ".join(line.split(" ", 1)[1].strip() for line in log.splitlines() if re.search(r"Z [a-z ]+: [0-9.]+ s$", line))


def measure(title, server, keepfs, directory, part):
    run = backed_up(keepfs, "full")
    expected = tables_csv(keepfs, "full", run)
    (artifact,) = keepfs.artifacts("full")
    shutil.copy(keepfs.path("backups", "full", artifact), directory / "local.dump")
    peer = PgRestore(server, directory / "local.dump")
    ways = [peer, KeepfsRestore("keepfs restore", server, keepfs, artifact, "analyze=no"),
            KeepfsRestore("keepfs restore, with ANALYZE", server, keepfs, artifact, "")]

    def once(way):
        figures = way.once()
        check_restored(keepfs, expected)
        return figures

    found = bench_common.measured({way.name: (lambda way=way: once(way)) for way in ways})
    rows, base = rows_of(expected), found[peer.name]
    bench_common.print_table(title, ["", "seconds", "min", "max", "cpu", "server", "rows/s", "x pg_restore", "cpu x pg_restore"], [
        [name, f"{s.median('seconds'):.1f}", f"{s.min('seconds'):.1f}", f"{s.max('seconds'):.1f}", f"{s.median('cpu'):.1f}", f"{s.median('server'):.1f}",
         f"{rows / s.median('seconds'):.0f}", f"{base.median('seconds') / s.median('seconds'):.2f}",
         f"{(s.median('cpu') + s.median('server')) / (base.median('cpu') + base.median('server')):.2f}"] for name, s in found.items()])
    ratio = statistics.median(a / b for a, b in zip(base.figures["seconds"], found["keepfs restore"].figures["seconds"]))
    bench_common.goal(f"{GOAL[part]:.2f} times as fast as {peer.name}: {ratio:.2f} (median of the rounds' ratios)", ratio >= GOAL[part])
    print(f"  the last one: {phases(ways[1].log)}", flush=True)
    (directory / "local.dump").unlink()


def mounted(directory, name, store, server, database):
    (directory / name).mkdir()
    jobs = {"full": {"database": server.uri(database)}, "again": {"database": server.uri("restored")}}
    return daemon.Keepfs(directory / name, store, jobs).mount()


def from_dir(directory, server, part):
    keepfs = mounted(directory, f"dir-{part}", stores.DirStore(directory / f"objects-{part}"), server, part)
    try:
        measure(f"{part}, from a directory", server, keepfs, directory, part)
    finally:
        keepfs.close()
        shutil.rmtree(directory / f"objects-{part}", ignore_errors=True)


def from_ceph(directory, server, part):
    if not shutil.which("radosgw"):
        print("\nfrom Ceph: left out, radosgw is not installed (tools/setup test)")
        return
    s3, keepfs = stores.S3Server("ceph"), None
    try:
        keepfs = mounted(directory, f"ceph-{part}", stores.S3Store(s3, f"bench-{part}"), server, part)
        measure(f"{part}, from Ceph RGW on this machine", server, keepfs, directory, part)
    finally:
        if keepfs:
            keepfs.close()
        s3.stop()


def main():
    directory = pathlib.Path(tempfile.mkdtemp(prefix="keepfs-bench-"))
    server = postgres.Postgres(SETTINGS)
    make = {"several": bench_data.several_tables, "one_table": bench_data.one_table}
    try:
        for part in PARTS:
            start = time.monotonic()
            make[part](server, part, MEGABYTES)
            print(f"{part}: a database of {MEGABYTES} MB as text, made in {time.monotonic() - start:.0f} s; {os.cpu_count()} cores, "
                  f"PostgreSQL {server.sql(part, 'SHOW server_version')}", flush=True)
            for store, measure_it in (("dir", from_dir), ("ceph", from_ceph)):
                if store in STORES:
                    measure_it(directory, server, part)
            server.drop(part)
            server.drop("restored")
    finally:
        server.remove()
        shutil.rmtree(directory, ignore_errors=True)


if __name__ == "__main__":
    main()
