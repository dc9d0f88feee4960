# SPDX-License-Identifier: Apache-2.0
"""keepfs export: a tenant of some size, and many small ones. Beside the large one stands what one would do by hand, `COPY (SELECT row_to_json(t) …)` of each of its
tables through gzip, which knows nothing of proofs, secrets or reading back; and the same COPY without any of it, thrown away: what the server alone takes.

BENCH_EXPORT_MB       of the tenant's rows as COPY writes them, default 300
BENCH_EXPORT_TENANTS  of the second part, default 1000; each has 1,000 rows in 20 tables
BENCH_EXPORT_JOBS     of the key jobs; default auto
BENCH_ROUNDS          default 5
BENCH_PARTS           of large,many; default both
"""
import os
import pathlib
import shutil
import subprocess
import tempfile
import time

import bench_common
import daemon
import postgres
import stores

MEGABYTES = int(os.environ.get("BENCH_EXPORT_MB", "300"))
TENANTS = int(os.environ.get("BENCH_EXPORT_TENANTS", "1000"))
PARTS = bench_common.parts("large,many")
JOBS = os.environ.get("BENCH_EXPORT_JOBS", "auto")
GOAL_RATIO = 4.0
GOAL_OF_NOTHING = 1.2
GOAL_PER_SECOND = 30
GOAL_MIB = 192
ROW_BYTES = 150
DEADLINE_S = 7200
TABLES = """CREATE TABLE orgs (id bigint PRIMARY KEY, slug text);
CREATE TABLE orders (id bigint PRIMARY KEY, org_id bigint NOT NULL REFERENCES orgs, customer int, code text, amount numeric(12,2), placed timestamptz, extra jsonb);
CREATE TABLE items (id bigint PRIMARY KEY, order_id bigint NOT NULL REFERENCES orders, title text, count int, price numeric(12,2), sent boolean);
CREATE INDEX ON orders (org_id); CREATE INDEX ON items (order_id);"""
OF_TENANT = {"orgs": "id = 1", "orders": "org_id = 1", "items": "order_id IN (SELECT id FROM orders WHERE org_id = 1)"}


def fill(server, tenants, orders):
    server.sql("tenants", TABLES)
    server.sql("tenants", f"INSERT INTO orgs SELECT g, 'tenant' || g FROM generate_series(1, {tenants}) g")
    server.sql("tenants", f"INSERT INTO orders SELECT g, 1 + g % {tenants}, g % 5000, 'order ' || g % 1000 || ' of ' || g, g * 0.01, '2026-01-01'::timestamptz + g * "
                          f"interval '1 s', jsonb_build_object('color', 'red', 'size', g % 40) FROM generate_series(1, {orders}) g")
    server.sql("tenants", f"INSERT INTO items SELECT g, 1 + g % {orders}, 'an item of the number ' || g % 777, g % 9, g * 0.03, g % 2 = 0 FROM generate_series(1, {2 * orders}) g")
    server.sql("tenants", "ANALYZE; CHECKPOINT")


OF_ONE = 1000  # rows of each of many tenants
PARENTS, CHILDREN = 12, 7  # tables beside orgs: with the tenant's column, and found through a foreign key


def fill_many(server, tenants):
    server.sql("tenants", "CREATE TABLE orgs (id bigint PRIMARY KEY, slug text)")
    server.sql("tenants", f"INSERT INTO orgs SELECT g, 'tenant' || g FROM generate_series(1, {tenants}) g")
    rows = tenants * ((OF_ONE - 1) // (PARENTS + CHILDREN) + 1)
    for n in range(PARENTS):
        server.sql("tenants", f"CREATE TABLE parent{n} (id bigint PRIMARY KEY, org_id bigint NOT NULL REFERENCES orgs, code text, amount numeric(12,2), placed timestamptz, "
                              f"extra jsonb); INSERT INTO parent{n} SELECT g, 1 + g % {tenants}, 'order ' || g % 1000, g * 0.01, '2026-01-01'::timestamptz + g * interval '1 s', "
                              f"jsonb_build_object('color', 'red', 'size', g % 40) FROM generate_series(1, {rows}) g; CREATE INDEX ON parent{n} (org_id)")
    for n in range(CHILDREN):
        server.sql("tenants", f"CREATE TABLE child{n} (id bigint PRIMARY KEY, parent_id bigint NOT NULL REFERENCES parent{n}, title text, count int, sent boolean); INSERT INTO "
                              f"child{n} SELECT g, g, 'an item of the number ' || g % 777, g % 9, g % 2 = 0 FROM generate_series(1, {rows}) g; CREATE INDEX ON child{n} (parent_id)")
    server.sql("tenants", "ANALYZE; CHECKPOINT")


def backends_cpu_s(server):
    """of the server and all its processes"""
    main = int((server.data / "postmaster.pid").read_text().splitlines()[0])
    children = subprocess.run(["ps", "-o", "pid=", "--ppid", str(main)], stdout=subprocess.PIPE, text=True, check=True).stdout.split()
    return bench_common.cpu_s(main) + sum(bench_common.cpu_s(pid) for pid in children if pathlib.Path(f"/proc/{pid}").exists())


def by_keepfs(keepfs, server):
    def once():
        (pid,) = keepfs.daemons()
        bench_common.forget_peak(pid)
        start, cpu, of_server = time.monotonic(), bench_common.cpu_s(pid), backends_cpu_s(server)
        status = keepfs.wait_run(keepfs.trigger("export tenant1"), deadline_s=DEADLINE_S)
        assert status["state"] == "completed", status
        return {"seconds": time.monotonic() - start, "cpu": bench_common.cpu_s(pid) - cpu, "server": backends_cpu_s(server) - of_server,
                "mib": bench_common.status_mib(pid, "VmHWM")}
    return once


def by_psql(server, directory, select, through):
    statements = " ".join(f"-c \"COPY (SELECT {select} FROM {table} t WHERE {condition}) TO STDOUT\"" for table, condition in OF_TENANT.items())
    script = f"{server.bindir}/psql -X -q -d '{server.uri('tenants')}' {statements} {through}"

    def once():
        start, cpu, of_server = time.monotonic(), bench_common.children_cpu_s(), backends_cpu_s(server)
        subprocess.run(["sh", "-c", script], check=True, cwd=directory)
        return {"seconds": time.monotonic() - start, "cpu": bench_common.children_cpu_s() - cpu, "server": backends_cpu_s(server) - of_server}
    return once


def section(server, **further):
    return {"database": server.uri("tenants"), "tenants": "SELECT id, slug FROM orgs", "tenant_column": "org_id", "jobs": JOBS, **further}


def measure_large(server, keepfs, directory):
    fill(server, 2, MEGABYTES * 2 * 1000000 // (3 * ROW_BYTES))
    conditions = ", ".join(f"(SELECT coalesce(sum(length(row_to_json(t)::text)), 0) FROM {table} t WHERE {condition})" for table, condition in OF_TENANT.items())
    raw = sum(int(n) for n in server.sql("tenants", f"SELECT {conditions}").split("|"))
    found = bench_common.measured({
        "COPY of row_to_json | gzip": by_psql(server, directory, "row_to_json(t)", "| gzip > by_hand.gz"),
        "COPY of row_to_json | gzip -1": by_psql(server, directory, "row_to_json(t)", "| gzip -1 > by_hand.gz"),
        "COPY of row_to_json to /dev/null": by_psql(server, directory, "row_to_json(t)", "> /dev/null"),
        "COPY to /dev/null": by_psql(server, directory, "t.*", "> /dev/null"),
        "keepfs export": by_keepfs(keepfs, server)})
    base = found["COPY of row_to_json | gzip"].median("seconds")
    bench_common.print_table(f"a tenant of {raw / 1e6:.0f} MB as JSON", ["", "seconds", "least", "most", "cpu", "cpu of the server", "x gzip"], [
        [name, f"{s.median('seconds'):.2f}", f"{s.min('seconds'):.2f}", f"{s.max('seconds'):.2f}", f"{s.median('cpu'):.2f}", f"{s.median('server'):.2f}",
         f"{base / s.median('seconds'):.2f}"] for name, s in found.items()])
    own = found["keepfs export"]
    ratio, nothing = base / own.median("seconds"), own.median("seconds") / found["COPY of row_to_json to /dev/null"].median("seconds")
    print(f"  load of the machine: {os.getloadavg()[0]:.1f}; connections: {JOBS}; memory of keepfs: {own.max('mib'):.0f} MiB")
    bench_common.goal(f"{GOAL_RATIO} times as fast as COPY of row_to_json | gzip: {ratio:.2f}", ratio >= GOAL_RATIO)
    bench_common.goal(f"at most {GOAL_OF_NOTHING} times the same COPY to /dev/null: {nothing:.2f}", nothing <= GOAL_OF_NOTHING)
    bench_common.goal(f"less than {GOAL_MIB} MiB: {own.max('mib'):.0f}", own.max("mib") < GOAL_MIB)


def measure_many(server, keepfs, directory):
    fill_many(server, TENANTS)

    def once():
        (pid,) = keepfs.daemons()
        bench_common.forget_peak(pid)
        start, cpu, of_server = time.monotonic(), bench_common.cpu_s(pid), backends_cpu_s(server)
        status = keepfs.wait_run(keepfs.trigger("exports"), deadline_s=DEADLINE_S)
        assert status["state"] == "completed", status
        return {"seconds": time.monotonic() - start, "cpu": bench_common.cpu_s(pid) - cpu, "server": backends_cpu_s(server) - of_server,
                "mib": bench_common.status_mib(pid, "VmHWM")}

    found = bench_common.measured({"keepfs export of all": once})["keepfs export of all"]
    rate, mib = TENANTS / found.median("seconds"), found.max("mib")
    bench_common.print_table(f"{TENANTS} tenants of {OF_ONE} rows in {1 + PARENTS + CHILDREN} tables each", ["", "seconds", "cpu", "cpu of the server", "exports/s"],
                             [["keepfs export", f"{found.median('seconds'):.1f}", f"{found.median('cpu'):.1f}", f"{found.median('server'):.1f}", f"{rate:.1f}"]])
    print(f"  load of the machine: {os.getloadavg()[0]:.1f}; connections: {JOBS}; memory of keepfs: {mib:.0f} MiB")
    bench_common.goal(f"{GOAL_PER_SECOND} exports a second: {rate:.1f}", rate >= GOAL_PER_SECOND)
    bench_common.goal(f"less than {GOAL_MIB} MiB: {mib:.0f}", mib < GOAL_MIB)


def main():
    directory = pathlib.Path(tempfile.mkdtemp(prefix="keepfs-bench-"))
    server = postgres.Postgres("max_wal_size = 4GB\n")
    measure = {"large": measure_large, "many": measure_many}
    try:
        for part in PARTS:
            (directory / part).mkdir()
            server.create("tenants")
            keepfs = daemon.Keepfs(directory / part, stores.DirStore(directory / part / "objects"), {"full": {"database": server.uri("tenants")}})
            keepfs.sections = {"export": section(server)}
            keepfs.write_conf()
            keepfs.mount()
            try:
                measure[part](server, keepfs, directory / part)
            finally:
                keepfs.close()
                shutil.rmtree(directory / part, ignore_errors=True)
            server.drop("tenants")
    finally:
        server.remove()
        shutil.rmtree(directory, ignore_errors=True)


if __name__ == "__main__":
    main()
