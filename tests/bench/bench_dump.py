# SPDX-License-Identifier: Apache-2.0
"""Dumps through keepfs next to pg_dump, rclone and the AWS client, on one database and in one run, as medians and ratios.

BENCH_DUMP_MB      size of the database as text, default 1200
BENCH_ROUNDS       default 5; a round does each way once, so that whatever else the machine does hits all of them
BENCH_PARTS        of dir,s3,one_table,restore; default all
"""
import os
import pathlib
import shutil
import statistics
import subprocess
import tempfile
import time

import bench_common
import bench_data
import bench_mounts
import daemon
import postgres
import stores
from bench_common import children_cpu_s, cpu_s

MEGABYTES = int(os.environ.get("BENCH_DUMP_MB", "1200"))
PARTS = bench_common.parts("dir,s3,one_table,restore")
DEADLINE_S = 1800


class Way:
    """one manner of making a dump: measure() makes one and leaves nothing that the next would trip over"""

    def __init__(self, name):
        self.name = name
        self.seconds, self.cpu, self.server_cpu, self.peak_mib, self.size = [], [], [], [], 0

    def round(self, server):
        """what the server spends is known when its processes have ended"""
        postmaster = int((server.data / "postmaster.pid").read_text().split()[0])
        before = cpu_s(postmaster, with_itself=False)
        seconds, cpu, peak_mib, self.size = self.measure()
        daemon.wait_until(lambda: server.sql("postgres", "SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'client backend'") == "1",
                          "the server's processes to end")
        self.seconds.append(seconds)
        self.cpu.append(cpu)
        self.server_cpu.append(cpu_s(postmaster, with_itself=False) - before)
        self.peak_mib.append(peak_mib)

    def median(self):
        return statistics.median(self.seconds)


class Command(Way):
    def __init__(self, name, command, environment=None, output=None, after=None):
        super().__init__(name)
        self.command, self.output, self.after = command, output, after
        self.environment = {**daemon.clean_environment(), **(environment or {})}

    def measure(self):
        before, start = children_cpu_s(), time.monotonic()
        subprocess.run(["bash", "-o", "pipefail", "-c", self.command], check=True, env=self.environment, stdin=subprocess.DEVNULL)
        seconds, cpu = time.monotonic() - start, children_cpu_s() - before
        size = 0
        if self.output:
            files = [p for p in self.output.rglob("*") if p.is_file()] if self.output.is_dir() else [self.output]
            size = sum(p.stat().st_size for p in files)
            shutil.rmtree(self.output) if self.output.is_dir() else self.output.unlink()
        if self.after:
            self.after()
        return seconds, cpu, 0, size


class Dump(Way):
    def __init__(self, name, keepfs, keys, after=None):
        super().__init__(name)
        self.keepfs, self.keys, self.after = keepfs, keys, after

    def measure(self):
        (pid,) = self.keepfs.daemons()
        old = self.keepfs.artifacts()
        bench_common.forget_peak(pid)
        before, start = cpu_s(pid), time.monotonic()
        run = self.keepfs.trigger(f"full {self.keys}")
        status = self.keepfs.wait_run(run, deadline_s=DEADLINE_S)
        seconds = time.monotonic() - start
        assert status["state"] == "completed", self.keepfs.history(run)
        figures = seconds, cpu_s(pid) - before, bench_common.status_mib(pid, "VmHWM"), self.keepfs.history(run)["size_bytes"]
        for name in old:
            self.keepfs.path("backups", "full", name).unlink()
        if self.after:
            self.after()
        return figures


def table(title, ways, bases):
    """one line per way; how many times as fast as each of @bases it is, and how large beside the first of these"""
    rows = []
    for way in ways:
        size = [f"{way.size / 1e6:.0f}", f"{way.size / bases[0].size:.2f}"] if way.size else [None, None]
        rows.append([way.name, f"{way.median():.2f}", f"{min(way.seconds):.2f}", f"{max(way.seconds):.2f}", f"{statistics.median(way.cpu):.1f}",
                     f"{statistics.median(way.server_cpu):.1f}", *size, f"{max(way.peak_mib):.0f}" if max(way.peak_mib) else None,
                     *(f"{base.median() / way.median():.2f}" for base in bases)])
    bench_common.print_table(title, ["", "seconds", "min", "max", "cpu", "server", "MB", "size", "peak MiB", *(f"x {base.name}" for base in bases)],
                             rows)


def play(server, ways):
    bench_common.interleaved([lambda way=way: way.round(server) for way in ways])


def mounted(directory, name, store, uri):
    (directory / name).mkdir()
    keepfs = daemon.Keepfs(directory / name, store, {"full": {"database": uri}}, memory="192M")
    return keepfs.mount()


def into_dir(directory, server, database, title):
    uri = server.uri(database)
    bin = server.bindir
    scratch, where = bench_common.scratch_directory(directory, MEGABYTES)
    keepfs = mounted(directory, f"dir-{database}", stores.DirStore(directory / f"objects-{database}"), uri)
    pg_dump = Command("pg_dump -Fc", f"{bin}/pg_dump -Fc -d '{uri}' -f {directory}/x.dump", output=directory / "x.dump")
    limit = Command(f"pg_dump -Fd -j2 -Z0 ({where})", f"{bin}/pg_dump -Fd -j2 -Z0 -d '{uri}' -f {scratch}/x", output=scratch / "x")
    ways = [pg_dump, limit, Dump("keepfs, default (jobs=auto)", keepfs, "jobs=auto"), Dump("keepfs jobs=1", keepfs, "jobs=1"),
            Dump("keepfs jobs=4", keepfs, "jobs=4"), Dump("keepfs jobs=auto verify=none", keepfs, "jobs=auto verify=none")]
    try:
        play(server, ways)
        table(title, ways, [pg_dump, limit])
    finally:
        keepfs.close()
        shutil.rmtree(directory / f"objects-{database}", ignore_errors=True)
        shutil.rmtree(scratch, ignore_errors=True)


def peers(server, s3, uri, directory, collect):
    """what people pipe pg_dump into"""
    f = s3.facts
    pg_dump = f"{server.bindir}/pg_dump -Fc -d '{uri}'"
    found = []
    if bench_common.installed("rclone", "rclone", "rclone rcat"):
        environment = bench_mounts.rclone_environment(f, directory)
        found.append(Command("pg_dump -Fc | rclone rcat", f"{pg_dump} | rclone rcat B:{stores.BUCKET}/peer/rclone.dump", environment, after=collect))
    if bench_common.installed("aws", "awscli", "aws s3 cp"):
        environment = {"AWS_ACCESS_KEY_ID": f["ACCESS_KEY"], "AWS_SECRET_ACCESS_KEY": f["SECRET_KEY"], "AWS_DEFAULT_REGION": f["REGION"],
                       "AWS_CONFIG_FILE": str(directory / "aws.conf"), "AWS_EC2_METADATA_DISABLED": "true"}
        found.append(Command("pg_dump -Fc | aws s3 cp -", f"{pg_dump} | aws s3 cp --only-show-errors --endpoint-url {f['ENDPOINT']} - "
                                                          f"s3://{stores.BUCKET}/peer/aws.dump", environment, after=collect))
    return found


def into_s3(directory, server, database):
    if not shutil.which("radosgw"):
        print("\ninto S3: left out, radosgw is not installed (tools/setup test)")
        return
    uri = server.uri(database)
    s3 = stores.S3Server("ceph")

    def collect():
        """what was deleted or replaced is still held; the server's own clean-up comes after hours"""
        subprocess.run(["radosgw-admin", "-c", f"{s3.directory}/ceph.conf", "gc", "process", "--include-all"], check=True,
                       stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

    keepfs = None
    try:
        keepfs = mounted(directory, "s3", stores.S3Store(s3, "bench"), uri)
        pg_dump = Command("pg_dump -Fc", f"{server.bindir}/pg_dump -Fc -d '{uri}' -f {directory}/x.dump", output=directory / "x.dump")
        others = peers(server, s3, uri, directory, collect)
        ways = [pg_dump, *others, Dump("keepfs, default (jobs=auto)", keepfs, "jobs=auto", collect),
                Dump("keepfs jobs=1", keepfs, "jobs=1", collect),
                Dump("keepfs jobs=auto verify=none", keepfs, "jobs=auto verify=none", collect)]
        play(server, ways)
        table("into S3 (Ceph RGW on this machine)", ways, [pg_dump, *others])
    finally:
        if keepfs:
            keepfs.close()
        s3.stop()


class Restore(Way):
    def __init__(self, name, server, database, path):
        super().__init__(name)
        self.server, self.database, self.path = server, database, path

    def measure(self):
        self.server.drop(self.database)
        self.server.create(self.database)
        self.server.sql("postgres", "CHECKPOINT")
        before, start = children_cpu_s(), time.monotonic()
        self.server.tool("pg_restore", "-j2", "-d", self.server.uri(self.database), self.path)
        return time.monotonic() - start, children_cpu_s() - before, 0, self.path.stat().st_size


def bytes_read(command):
    """by a command and its children, through read(2)"""
    done = subprocess.run(["bash", "-e", "-c", f"{command} >/dev/null; grep rchar /proc/$$/io"], check=True, stdout=subprocess.PIPE)
    return int(done.stdout.split()[-1])


def rchar(pid):
    return int(pathlib.Path(f"/proc/{pid}/io").read_text().split()[1])


def restoring(directory, server, database):
    """from the mount; the page cache holds neither the mount's file nor, for long, the local one: both were just written"""
    keepfs = mounted(directory, "restore", stores.DirStore(directory / "objects-restore"), server.uri(database))
    try:
        Dump("", keepfs, "jobs=auto").measure()
        path = keepfs.path("backups", "full", keepfs.artifacts()[0])
        keepfs.remount()
        (pid,) = keepfs.daemons()
        size, name = path.stat().st_size, f"small_{bench_data.SMALL_TABLES // 2:03}"
        served, start = rchar(pid), time.monotonic()
        count = bytes_read(f"{server.bindir}/pg_restore -a -t {name} -f - {path}") - bytes_read(f"{server.bindir}/pg_restore --version")
        print(f"\npg_restore -t {name} from the mount: read {count / 1e6:.2f} MB, {100 * count / size:.2f} % of the file, keepfs from the store "
              f"{(rchar(pid) - served) / 1e6:.2f} MB, {time.monotonic() - start:.2f} s", flush=True)
        shutil.copy(path, directory / "local.dump")
        local = Restore("pg_restore -j2, local file", server, "restored", directory / "local.dump")
        ways = [local, Restore("pg_restore -j2, from the mount", server, "restored", path)]
        play(server, ways)
        table("restoring", ways, [local])
        server.drop("restored")
    finally:
        keepfs.close()
        (directory / "local.dump").unlink(missing_ok=True)


def main():
    directory = pathlib.Path(tempfile.mkdtemp(prefix="keepfs-bench-"))
    server = postgres.Postgres()
    try:
        start = time.monotonic()
        if {"dir", "s3", "restore"} & set(PARTS):
            bench_data.several_tables(server, "bench", MEGABYTES)
            print(f"a database of {MEGABYTES} MB as text (3 large tables and {bench_data.SMALL_TABLES} small ones), made in "
                  f"{time.monotonic() - start:.0f} s; {os.cpu_count()} cores, PostgreSQL {server.sql('bench', 'SHOW server_version')}", flush=True)
        if "dir" in PARTS:
            into_dir(directory, server, "bench", "into a directory")
        if "s3" in PARTS:
            into_s3(directory, server, "bench")
        if "restore" in PARTS:
            restoring(directory, server, "bench")
        if "one_table" in PARTS:
            server.drop("bench")
            bench_data.one_table(server, "bench_one", MEGABYTES)
            into_dir(directory, server, "bench_one", "a database of one table, into a directory")
    finally:
        server.remove()
        shutil.rmtree(directory, ignore_errors=True)


if __name__ == "__main__":
    main()
