# SPDX-License-Identifier: Apache-2.0
"""Base backups, the WAL archive and restoring a cluster, beside pgBackRest, Barman and pg_basebackup, on one server and in one run, as medians and ratios.

BENCH_PHYSICAL_SCALE  pgbench's scale: 16 MB of files each; default 150, which is 2.4 GB
BENCH_PHYSICAL_WAL    segments of 16 MiB that wait when archiving begins, default 40
BENCH_PARTS           of base,restore,archive; default all
BENCH_STORES          of dir,ceph: where keepfs has its backups; the peers have theirs in a directory. Default both
BENCH_ROUNDS          default 5

`base`     each way makes a full one. keepfs reads back every byte that it has stored, and waits until the WAL that the base needs is in its archive; the peers do neither
`restore`  the newest base of each into an empty directory, flushed to the disk
`archive`  the server has so many segments, and is told an archive_command: how long until it has handed them all over, one after the other
pgBackRest and keepfs compress with zstd at level 1, with two processes or as many threads as there are processors; Barman, whose base is that of pg_basebackup, does not compress.
"""
import contextlib
import os
import pathlib
import pwd
import shutil
import statistics
import subprocess
import tempfile
import time

import bench_common
import daemon
import postgres
import stores

SCALE = int(os.environ.get("BENCH_PHYSICAL_SCALE", "150"))
SEGMENTS = int(os.environ.get("BENCH_PHYSICAL_WAL", "40"))
PARTS = bench_common.parts("base,restore,archive")
STORES = os.environ.get("BENCH_STORES", "dir,ceph").split(",")
SEGMENT_MB = (16 << 20) / 1e6
DEADLINE_S = 3600
GOAL_BASE, GOAL_RESTORE, GOAL_SEGMENTS, GOAL_MIB = 1, 1.3, 20, 300


class Primary(postgres.Postgres):
    """with segments of 16 MiB, and archiving that waits for a command"""

    def __init__(self):
        super().__init__("wal_level = replica\nmax_wal_senders = 8\nmax_replication_slots = 8\narchive_mode = on\narchive_command = ''\nfsync = on\nsynchronous_commit = on\n"
                         "full_page_writes = on\nshared_buffers = 256MB\nmax_wal_size = 4GB\ncheckpoint_timeout = 1h\n", directory=tempfile.mkdtemp(prefix="keepfs-bench-pg-", dir="/var/tmp"))

    def _run(self, program, *arguments):
        super()._run(program, *(one for one in arguments if one != "--wal-segsize=1"))

    def archive_by(self, command):
        self.sql("postgres", "ALTER SYSTEM SET archive_command = '" + command.replace("'", "''") + "'")
        self.sql("postgres", "SELECT pg_reload_conf()")

    def archived(self):
        return self.sql("postgres", "SELECT coalesce(max(last_archived_wal), '') FROM pg_stat_archiver")

    def megabytes(self):
        return sum(path.stat().st_size for path in self.data.rglob("*") if path.is_file() and "pg_wal" not in path.parts) / 1e6


def as_owner(*command):
    """as the user of the server, whose files the peers read"""
    return ["runuser", "-u", "postgres", "--", *map(str, command)] if os.geteuid() == 0 else [str(word) for word in command]


def run(*command, **options):
    done = subprocess.run([str(word) for word in command], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, cwd="/", **options)
    if done.returncode:
        raise RuntimeError(f"{command[:6]}: {done.stdout[-2000:]}")
    return done.stdout


def timed(*command, **options):
    before, start = bench_common.children_cpu_s(), time.monotonic()
    run(*command, **options)
    return {"seconds": time.monotonic() - start, "cpu": bench_common.children_cpu_s() - before}


def owned(path):
    """an empty directory that is the server's user's"""
    path.mkdir(parents=True)
    if os.geteuid() == 0:
        shutil.chown(path, "postgres", "postgres")
    return path


class Keepfs:
    def __init__(self, name, directory, server, store):
        self.name, self.server = name, server
        where = directory / name.replace(" ", "-")
        where.mkdir()
        self.keepfs = daemon.Keepfs(where, store, {"cluster main": {"database": server.uri("postgres"), "wal": "archive", "pg_wal": server.data / "pg_wal"}}, memory="256M")
        if os.geteuid() == 0:
            self.keepfs.settings |= {"owner": "postgres", "allow_other": "yes"}
            self.keepfs.write_conf()
        self.keepfs.mount()
        self.command = f"cp %p {self.keepfs.path('wal', 'main')}/%f"

    def base(self):
        self.server.archive_by(self.command)
        (pid,) = self.keepfs.daemons()
        bench_common.forget_peak(pid)
        before, start = bench_common.cpu_s(pid), time.monotonic()
        status = self.keepfs.wait_run(self.keepfs.trigger("main"), deadline_s=DEADLINE_S)
        assert status["state"] == "completed", status
        return {"seconds": time.monotonic() - start, "cpu": bench_common.cpu_s(pid) - before, "mib": bench_common.status_mib(pid, "VmHWM")}

    def restore(self, target):
        owner = ["owner=postgres"] if os.geteuid() == 0 else []
        return timed(daemon.PROGRAM, "restore", "-c", self.keepfs.conf, "main", target, *owner, env=self.keepfs.env)

    def close(self):
        self.keepfs.close()


class PgBackRest:
    name = "pgBackRest"

    def __init__(self, directory, server):
        self.server = server
        where = owned(directory / "pgbackrest")
        self.conf = where / "pgbackrest.conf"
        self.conf.write_text(f"[global]\nrepo1-path={where}/repo\nrepo1-retention-full=1\nprocess-max=2\ncompress-type=zst\ncompress-level=1\nstart-fast=y\narchive-check=n\n"
                             f"log-path={where}\nlog-level-console=warn\nlog-level-file=off\nlock-path={where}/lock\nspool-path={where}/spool\n"
                             f"[main]\npg1-path={server.data}\npg1-port={server.port}\npg1-socket-path={server.directory}\npg1-user=postgres\n")
        self.conf.chmod(0o644)
        self.tool = as_owner("pgbackrest", f"--config={self.conf}", "--stanza=main")
        run(*self.tool, "stanza-create")
        self.command = f"pgbackrest --config={self.conf} --stanza=main archive-push %p"

    def base(self):
        return timed(*self.tool, "--type=full", "backup")

    def restore(self, target):
        owned(target)
        return timed(*self.tool, f"--pg1-path={target}", "restore")

    def close(self):
        pass


class Barman:
    """a base by pg_basebackup, which is Barman's way for a server that it has no shell on"""
    name = "Barman"

    def __init__(self, directory, server):
        where = self.where = owned(directory / "barman")
        self.conf = where / "barman.conf"
        user = "postgres" if os.geteuid() == 0 else pwd.getpwuid(os.geteuid()).pw_name
        self.conf.write_text(f"[barman]\nbarman_user = {user}\nbarman_home = {where}\nlog_file = {where}/barman.log\nlog_level = WARNING\nconfiguration_files_directory = {where}/none\n"
                             f"[main]\ndescription = main\nconninfo = host={server.directory} port={server.port} user=postgres dbname=postgres\n"
                             f"streaming_conninfo = host={server.directory} port={server.port} user=postgres\nbackup_method = postgres\nstreaming_archiver = on\nslot_name = barman\n"
                             f"create_slot = auto\npath_prefix = {server.bindir}\nminimum_redundancy = 0\nimmediate_checkpoint = true\n")
        self.conf.chmod(0o644)
        self.tool = as_owner("barman", "-c", self.conf)
        run(*self.tool, "receive-wal", "--create-slot", "main")
        self.receiver = subprocess.Popen(as_owner("barman", "-c", self.conf, "receive-wal", "main"), stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, cwd="/")
        daemon.wait_until(lambda: server.sql("postgres", "SELECT count(*) FROM pg_stat_replication") != "0", "Barman's receiver")
        # Without a first segment it makes none.
        run(*self.tool, "switch-wal", "--force", "--archive", "main")

    def base(self):
        took = timed(*self.tool, "backup", "--immediate-checkpoint", "main")
        for old in run(*self.tool, "list-backup", "--minimal", "main").split()[1:]:
            run(*self.tool, "delete", "main", old)
        return took

    def restore(self, target):
        owned(target)
        return timed(*self.tool, "recover", "--no-get-wal", "main", "latest", target)

    def close(self):
        run(*self.tool, "receive-wal", "--stop", "main")
        self.receiver.wait()


class PgBasebackup:
    """the server's own, compressed by the client on two threads"""
    name = "pg_basebackup zstd:1"

    def __init__(self, directory, server):
        self.server, self.target = server, directory / "pg_basebackup"

    def base(self):
        shutil.rmtree(self.target, ignore_errors=True)
        return timed(self.server.bindir / "pg_basebackup", "-d", self.server.uri("postgres"), "-D", self.target, "-Ft", "-Z", "client-zstd:level=1,workers=2", "-X", "none", "-c", "fast",
                     "--no-sync")

    def close(self):
        shutil.rmtree(self.target, ignore_errors=True)


class PlainCopy:
    """what handing a file over costs, when it only has to be on the disk"""
    name = "cp and sync"

    def __init__(self, directory):
        where = owned(directory / "plain")
        self.command = f"cp %p {where}/%f && sync {where}/%f"

    def close(self):
        pass


def dropped(path):
    shutil.rmtree(path, ignore_errors=True)
    os.sync()


def measure_base(server, ways):
    found = bench_common.measured({way.name: way.base for way in ways if hasattr(way, "base")})
    megabytes, first = server.megabytes(), ways[0].name
    bench_common.print_table(f"a full base of {megabytes:.0f} MB", ["", "seconds", "MB/s", "of keepfs", "processor s", "resident MiB"], [
        [name, f"{s.median('seconds'):.1f}", f"{megabytes / s.median('seconds'):.0f}", f"{found[first].median('seconds') / s.median('seconds'):.2f}", f"{s.median('cpu'):.1f}",
         f"{s.max('mib'):.0f}" if "mib" in s.figures else None] for name, s in found.items()])
    bench_common.goal(f"resident below {GOAL_MIB} MiB: {found[first].max('mib'):.0f}", found[first].max("mib") < GOAL_MIB)
    if "pgBackRest" in found:
        ratio = statistics.median(a / b for a, b in zip(found["pgBackRest"].figures["seconds"], found[first].figures["seconds"]))
        bench_common.goal(f"at pgBackRest's rate at least: {ratio:.2f}", ratio >= GOAL_BASE)


def measure_restore(directory, server, ways):
    def once(way):
        target = directory / "restored"
        took = way.restore(target)
        assert (target / "global/pg_control").stat().st_size == 8192 and (target / "PG_VERSION").read_text() == (server.data / "PG_VERSION").read_text()
        dropped(target)
        return took

    found = bench_common.measured({way.name: (lambda way=way: once(way)) for way in ways if hasattr(way, "restore")})
    megabytes, first = server.megabytes(), ways[0].name
    bench_common.print_table(f"a base of {megabytes:.0f} MB into a directory", ["", "seconds", "MB/s", "of keepfs", "processor s"], [
        [name, f"{s.median('seconds'):.1f}", f"{megabytes / s.median('seconds'):.0f}", f"{found[first].median('seconds') / s.median('seconds'):.2f}", f"{s.median('cpu'):.1f}"]
        for name, s in found.items()])
    if "pgBackRest" in found:
        ratio = statistics.median(a / b for a, b in zip(found["pgBackRest"].figures["seconds"], found[first].figures["seconds"]))
        bench_common.goal(f"{GOAL_RESTORE} times pgBackRest's rate: {ratio:.2f}", ratio >= GOAL_RESTORE)


def fill_segments(server):
    """WAL of updates all over a table, with images of pages and without, as a server writes it; the name of the last segment"""
    server.archive_by("")
    goal = int(server.sql("postgres", f"SELECT pg_wal_lsn_diff(pg_current_wal_lsn(), '0/0')::bigint + {SEGMENTS} * {16 << 20}"))
    while int(server.sql("postgres", "SELECT pg_wal_lsn_diff(pg_current_wal_lsn(), '0/0')::bigint")) < goal:
        server.sql("postgres", "UPDATE pgbench_accounts SET abalance = abalance + 1 WHERE aid IN (SELECT (random() * 100000 * %d)::int FROM generate_series(1, 50000))" % SCALE)
    return server.sql("postgres", "SELECT pg_walfile_name(pg_switch_wal())")


def measure_archive(server, ways):
    def once(way):
        last = fill_segments(server)
        count = len(list((server.data / "pg_wal/archive_status").glob("*.ready")))
        start = time.monotonic()
        server.archive_by(way.command)
        daemon.wait_until(lambda: server.archived() >= last, f"{last} to be archived by {way.name}", deadline_s=DEADLINE_S)
        seconds = time.monotonic() - start
        server.sql("postgres", "CHECKPOINT")
        return {"seconds": seconds, "segments": count, "rate": count / seconds}

    found = bench_common.measured({way.name: (lambda way=way: once(way)) for way in ways if hasattr(way, "command")})
    bench_common.print_table(f"{SEGMENTS} segments and more that wait to be archived", ["", "segments", "seconds", "segments/s", "MB/s"], [
        [name, f"{s.median('segments'):.0f}", f"{s.median('seconds'):.1f}", f"{s.median('rate'):.1f}", f"{s.median('rate') * SEGMENT_MB:.0f}"] for name, s in found.items()])
    rate = found[ways[0].name].median("rate")
    bench_common.goal(f"{GOAL_SEGMENTS} segments a second: {rate:.1f}", rate >= GOAL_SEGMENTS)


def peers(directory, server):
    found = [PgBasebackup(directory, server), PlainCopy(directory)]
    if bench_common.installed("pgbackrest", "pgbackrest", "pgBackRest"):
        found.append(PgBackRest(directory, server))
    if bench_common.installed("barman", "barman", "Barman"):
        found.append(Barman(directory, server))
    return found


def main():
    directory = pathlib.Path(tempfile.mkdtemp(prefix="keepfs-bench-", dir="/var/tmp"))
    directory.chmod(0o755)
    with contextlib.ExitStack() as ends:
        ends.callback(shutil.rmtree, directory, ignore_errors=True)
        server = Primary()
        ends.callback(server.remove)
        server.tool("pgbench", "-i", "-q", "-s", SCALE, server.uri("postgres"))
        server.sql("postgres", "CHECKPOINT")
        print(f"{server.megabytes():.0f} MB in {sum(1 for _ in server.data.rglob('*'))} files; {os.cpu_count()} cores, PostgreSQL {server.sql('postgres', 'SHOW server_version')}", flush=True)
        ways = []
        if "dir" in STORES:
            ways.append(Keepfs("keepfs", directory, server, stores.DirStore(directory / "store")))
        if "ceph" in STORES and bench_common.installed("radosgw", "radosgw", "keepfs with an object store"):
            ceph = stores.S3Server("ceph")
            ends.callback(ceph.stop)
            ways.append(Keepfs("keepfs, Ceph", directory, server, stores.S3Store(ceph, "bench-physical")))
        ways += peers(directory, server)
        for way in ways:
            ends.callback(way.close)
        if "base" in PARTS or "restore" in PARTS:
            measure_base(server, ways)
        if "restore" in PARTS:
            measure_restore(directory, server, ways)
        if "archive" in PARTS:
            measure_archive(server, ways)


main()
