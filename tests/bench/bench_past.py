# SPDX-License-Identifier: Apache-2.0
"""keepfs export TENANT --from: one tenant of a thousand out of a dump of some size. Beside it stands what one would do by hand: the dump restored into a server that is
there and empty (its rows alone: no indexes, no keys), without choosing any of them; and its rows read out of the dump and thrown away, by pg_restore.

BENCH_PAST_MB       of rows that the exported tables have as COPY writes them, default 1000
BENCH_PAST_TENANTS  default 1000
BENCH_ROUNDS        default 5
BENCH_PARTS         of fast,gzip,none: how the dump is compressed; default fast,gzip
"""
import os
import pathlib
import re
import shutil
import subprocess
import tempfile
import time

import bench_common
import daemon
import postgres
import stores

MEGABYTES = int(os.environ.get("BENCH_PAST_MB", "1000"))
TENANTS = int(os.environ.get("BENCH_PAST_TENANTS", "1000"))
PARTS = bench_common.parts("fast,gzip")
GOAL_RATE = 400
ROW_BYTES = 105
DEADLINE_S = 7200
TABLES = """CREATE TABLE orgs (id bigint PRIMARY KEY, slug text);
CREATE TABLE orders (id bigint PRIMARY KEY, org_id bigint NOT NULL REFERENCES orgs, customer int, code text, amount numeric(12,2), placed timestamptz, extra jsonb);
CREATE TABLE items (id bigint PRIMARY KEY, order_id bigint NOT NULL REFERENCES orders, title text, count int, price numeric(12,2), sent boolean);
CREATE TABLE jobs (id bigint, what text);"""
READ = re.compile(r"(\d+) of (\d+) rows were taken, ([\d.]+) (\w+) read in ([\d.]+) s")
UNITS = {"B": 1, "KiB": 1 << 10, "MiB": 1 << 20, "GiB": 1 << 30}


def fill(server, orders):
    server.sql("tenants", TABLES)
    server.sql("tenants", f"INSERT INTO orgs SELECT g, 'tenant' || g FROM generate_series(1, {TENANTS}) g")
    server.sql("tenants", f"INSERT INTO orders SELECT g, 1 + g % {TENANTS}, g % 5000, 'order ' || g % 1000 || ' of ' || md5(g::text), g * 0.01, '2026-01-01'::timestamptz + g * "
                          f"interval '1 s', jsonb_build_object('color', 'red', 'size', g % 40) FROM generate_series(1, {orders}) g")
    server.sql("tenants", f"INSERT INTO items SELECT g, 1 + g % {orders}, 'an item of the number ' || md5(g::text), g % 9, g * 0.03, g % 2 = 0 FROM generate_series(1, {2 * orders}) g")
    # What no export has is not read.
    server.sql("tenants", f"INSERT INTO jobs SELECT g, md5(g::text) || md5((g + 1)::text) FROM generate_series(1, {orders}) g")
    server.sql("tenants", "ANALYZE; CHECKPOINT")


def by_keepfs(keepfs, rates):
    def once():
        (pid,) = keepfs.daemons()
        start, cpu = time.monotonic(), bench_common.cpu_s(pid)
        run = keepfs.trigger("export tenant7 from=full")
        status = keepfs.wait_run(run, deadline_s=DEADLINE_S)
        log = keepfs.text("jobs", str(run), "log")
        assert status["state"] == "completed", log
        found = READ.search(log)
        rates.append(float(found[3]) * UNITS[found[4]] / 1e6 / float(found[5]))
        return {"seconds": time.monotonic() - start, "cpu": bench_common.cpu_s(pid) - cpu}
    return once


def by_pg_restore(server, dump, *arguments):
    def once():
        start, cpu = time.monotonic(), bench_common.children_cpu_s()
        subprocess.run([server.bindir / "pg_restore", *arguments, dump], check=True)
        return {"seconds": time.monotonic() - start, "cpu": bench_common.children_cpu_s() - cpu}
    return once


def by_hand(server, dump):
    restored = by_pg_restore(server, dump, "--section=pre-data", "--section=data", "-d", server.uri("restored"))

    def once():
        server.create("restored")
        try:
            return restored()
        finally:
            server.drop("restored")
    return once


def measure(server, keepfs, compression):
    keepfs.backup()
    dump = keepfs.path("backups", "full", keepfs.artifacts()[0])
    rates = []
    found = bench_common.measured({
        "pg_restore of all rows into a server": by_hand(server, dump),
        "pg_restore of all rows to /dev/null": by_pg_restore(server, dump, "-a", "-f", "/dev/null"),
        "keepfs export --from": by_keepfs(keepfs, rates)})
    base = found["pg_restore of all rows into a server"].median("seconds")
    bench_common.print_table(f"one tenant of {TENANTS} out of a dump, compressed: {compression}", ["", "seconds", "least", "most", "cpu", "x restored"], [
        [name, f"{s.median('seconds'):.2f}", f"{s.min('seconds'):.2f}", f"{s.max('seconds'):.2f}", f"{s.median('cpu'):.2f}", f"{base / s.median('seconds'):.2f}"]
        for name, s in found.items()])
    rate = sorted(rates)[len(rates) // 2]
    bench_common.goal(f"{GOAL_RATE} MB of rows a second: {rate:.0f}", rate >= GOAL_RATE)


def main():
    directory = pathlib.Path(tempfile.mkdtemp(prefix="keepfs-bench-"))
    drills = pathlib.Path(tempfile.mkdtemp(prefix="keepfs-past-", dir="/var/tmp"))
    os.chmod(drills, 0o711)
    server = postgres.Postgres("max_wal_size = 4GB\n")
    try:
        server.create("tenants")
        fill(server, MEGABYTES * 1000000 // (3 * ROW_BYTES))
        for part in PARTS:
            (directory / part).mkdir()
            keepfs = daemon.Keepfs(directory / part, stores.DirStore(directory / part / "objects"),
                                   {"full": {"database": server.uri("tenants"), "compression": part}}, drill_dir=drills)
            keepfs.sections = {"export": {"database": server.uri("tenants"), "tenants": "SELECT id, slug FROM orgs", "tenant_column": "org_id", "exclude": "jobs"}}
            keepfs.write_conf()
            keepfs.mount()
            try:
                measure(server, keepfs, part)
            finally:
                keepfs.close()
                shutil.rmtree(directory / part, ignore_errors=True)
    finally:
        server.remove()
        shutil.rmtree(directory, ignore_errors=True)
        shutil.rmtree(drills, ignore_errors=True)


if __name__ == "__main__":
    main()
