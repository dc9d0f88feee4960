# SPDX-License-Identifier: Apache-2.0
"""What encryption costs whoever uses keepfs: each way once with and once without it in every round, through one mount, of one database, and the ratio of the two
beside its goal. The store is a directory, in memory where that is large enough, so that nothing hides the cost. benchmark('age') has the same of the format alone.

BENCH_ENCRYPTION_MB   size of the database as text, default 600
BENCH_STORES          of dir,ceph,swift: one after the other; default dir
BENCH_ENCRYPTION_IOS  random reads in a round, default 1000
BENCH_ROUNDS          default 5
BENCH_PARTS           of dump,sequential,random,table,inside; default all
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
from bench_common import cpu_s

MEGABYTES = int(os.environ.get("BENCH_ENCRYPTION_MB", "600"))
IOS = int(os.environ.get("BENCH_ENCRYPTION_IOS", "1000"))
PARTS = bench_common.parts("dump,sequential,random,table,inside")
KINDS = os.environ.get("BENCH_STORES", "dir").split(",")
WAYS = ("plain", "encrypted")
TABLE = "orders"  # the largest
READ_BYTES = 64 << 10
DEADLINE_S = 3600
GOAL_DUMP = 1.10         # times as long, at most
GOAL_SEQUENTIAL = 0.85   # of the rate, at least
GOAL_RANDOM_S = 0.0002   # more, at most


def forget(path):
    """the kernel's pages of it"""
    fd = os.open(path, os.O_RDONLY)
    try:
        os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_DONTNEED)
    finally:
        os.close(fd)


class Backups:
    """the newest one of each way"""

    def __init__(self, keepfs, server):
        self.keepfs, self.server = keepfs, server
        (self.pid,) = keepfs.daemons()

    def dump(self, way):
        """another one, and the one before goes"""
        old = self.keepfs.artifacts(way)
        before, start = cpu_s(self.pid), time.monotonic()
        status = self.keepfs.wait_run(self.keepfs.trigger(way), deadline_s=DEADLINE_S)
        figures = {"seconds": time.monotonic() - start, "cpu": cpu_s(self.pid) - before}
        assert status["state"] == "completed", status
        for name in old:
            self.keepfs.path("backups", way, name).unlink()
        return figures

    def file(self, way):
        (name,) = self.keepfs.artifacts(way)
        return self.keepfs.path("backups", way, name)

    def rows(self, way):
        return self.keepfs.path("inside", way, self.file(way).name.split(".")[0], "tables", f"public.{TABLE}.tsv")

    def timed(self, path, words):
        """a program that reads @path, of which nothing is in the kernel's pages"""
        forget(path)
        before, start = cpu_s(self.pid), time.monotonic()
        subprocess.run([str(word) for word in words], check=True, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
        return {"seconds": time.monotonic() - start, "cpu": cpu_s(self.pid) - before}

    def sequential(self, way):
        return self.timed(self.file(way), ["dd", f"if={self.file(way)}", "of=/dev/null", "bs=1M", "status=none"])

    def table(self, way):
        name = f"small_{bench_data.SMALL_TABLES // 2:03}"
        return self.timed(self.file(way), [self.server.bindir / "pg_restore", "-a", "-t", name, "-f", "/dev/null", self.file(way)])

    def inside(self, way):
        return self.timed(self.rows(way), ["cat", self.rows(way)])

    def random(self, way):
        """at multiples of a page, past the kernel's pages"""
        path, chance, memory, found = self.file(way), random.Random(1), mmap.mmap(-1, READ_BYTES), []
        pages = (path.stat().st_size - READ_BYTES) // 4096
        before = cpu_s(self.pid)
        fd = os.open(path, os.O_RDONLY | os.O_DIRECT)
        try:
            for _ in range(IOS):
                offset = chance.randrange(max(pages, 1)) * 4096
                start = time.monotonic()
                assert os.preadv(fd, [memory], offset) > 0
                found.append(time.monotonic() - start)
        finally:
            os.close(fd)
        return {"seconds": statistics.median(found), "cpu": (cpu_s(self.pid) - before) / IOS}


def compare(title, once, scale=1.0, unit="s"):
    """the medians of both ways, and of the ratios (encrypted by plain) of each round: whatever else the machine does hits both"""
    found = bench_common.measured({way: lambda way=way: once(way) for way in WAYS})
    plain, encrypted = (found[way] for way in WAYS)
    # a processor's time is counted in ticks: of less than a few nothing can be said
    ratios = {key: statistics.median(b / a for a, b in zip(plain.figures[key], encrypted.figures[key])) if min(plain.figures[key]) > 0 else None
              for key in ("seconds", "cpu")}
    bench_common.print_table(title, ["", "plain", "encrypted", "ratio"], [
        [f"{name}, {unit}", f"{plain.median(key) * scale:.3f}", f"{encrypted.median(key) * scale:.3f}", f"{ratios[key]:.2f}" if ratios[key] else "-"]
        for name, key in (("elapsed", "seconds"), ("daemon's processor", "cpu"))])
    return plain, encrypted, ratios["seconds"]


def compare_dump(backups):
    _, _, ratio = compare("a dump, custom format", backups.dump)
    bench_common.goal(f"an encrypted dump takes {ratio:.2f} times as long as a plain one, wanted at most {GOAL_DUMP}", ratio <= GOAL_DUMP)


def compare_sequential(backups):
    _, _, ratio = compare(f"all of it in order ({backups.file('plain').stat().st_size / 1e6:.0f} MB)", backups.sequential)
    bench_common.goal(f"{1 / ratio:.2f} of the rate of a plain one, wanted at least {GOAL_SEQUENTIAL}", 1 / ratio >= GOAL_SEQUENTIAL)


def compare_random(backups):
    plain, encrypted, _ = compare(f"64 KiB at random, p50 of {IOS}", backups.random, 1000, "ms")
    more = statistics.median(b - a for a, b in zip(plain.figures["seconds"], encrypted.figures["seconds"]))
    bench_common.goal(f"p50 is {more * 1000:+.3f} ms, wanted at most +{GOAL_RANDOM_S * 1000:.1f}", more <= GOAL_RANDOM_S)


def compare_table(backups):
    compare("pg_restore -t of a small table", backups.table)


def compare_inside(backups):
    compare(f"inside/: the rows of the largest table ({backups.rows('plain').stat().st_size / 1e6:.0f} MB)", backups.inside)


def mounted(directory, store, server):
    identity = directory / "identity"
    subprocess.run(["age-keygen", "-o", identity], check=True, capture_output=True)
    identity.chmod(0o600)
    recipient = subprocess.run(["age-keygen", "-y", identity], check=True, capture_output=True, text=True).stdout.strip()
    database = {"database": server.uri("sealed")}
    return daemon.Keepfs(directory, store, {"plain": database, "encrypted": {**database, "encrypt_to": recipient}},
                         identity_file=identity, memory="192M").mount()


def measure_store(directory, store, server):
    directory.mkdir()
    keepfs = mounted(directory, store, server)
    try:
        backups = Backups(keepfs, server)
        for way in WAYS:
            backups.dump(way)
        for part in PARTS:
            globals()[f"compare_{part}"](backups)
    finally:
        keepfs.close()


def main():
    if not bench_common.installed("age-keygen", "age", "what encryption costs"):
        return
    directory = pathlib.Path(tempfile.mkdtemp(prefix="keepfs-bench-"))
    scratch, where = bench_common.scratch_directory(directory, 2 * MEGABYTES)
    server, servers = postgres.Postgres(), []
    try:
        bench_data.several_tables(server, "sealed", MEGABYTES)
        for kind in KINDS:
            if kind == "dir":
                store = stores.DirStore(scratch / "objects")
            else:
                servers.append(stores.S3Server(kind))
                store = stores.S3Store(servers[-1], "bench-encryption")
            print(f"\na database of {MEGABYTES} MB as text; the store is {where if kind == 'dir' else kind}; {os.cpu_count()} cores", flush=True)
            measure_store(directory / kind, store, server)
    finally:
        for one in servers:
            one.stop()
        server.remove()
        shutil.rmtree(directory, ignore_errors=True)
        shutil.rmtree(scratch, ignore_errors=True)


if __name__ == "__main__":
    main()
