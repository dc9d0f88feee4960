# SPDX-License-Identifier: Apache-2.0
"""keepfs diff: what has changed of many tables, and which rows of one large table, by how much time and memory it takes. The rows that it prints are held
against what was changed. Beside the rows stands what one would do by hand: `pg_restore -a -t` of both local files, sorted (`LC_ALL=C sort`), and `comm -3`.

BENCH_DIFF_TABLES  tables of the first part, default 10000
BENCH_DIFF_ROWS    rows of the table of the second, default 10000000
BENCH_ROUNDS       default 5
BENCH_PARTS        of tables,rows; default both
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

TABLES = int(os.environ.get("BENCH_DIFF_TABLES", "10000"))
ROWS = int(os.environ.get("BENCH_DIFF_ROWS", "10000000"))
PARTS = bench_common.parts("tables,rows")
GOAL_TABLES_S = 0.2
GOAL_ROWS_S = 60
GOAL_MIB = 256
CHANGED = 1000  # one row in so many
DEADLINE_S = 7200


def measured_command(command, output, environment=None):
    """seconds, processor seconds, and the peak of resident memory, of one process"""
    start = time.monotonic()
    with open(output, "wb") as stdout, subprocess.Popen([str(word) for word in command], stdout=stdout, stderr=subprocess.PIPE,
                                                        env=environment) as process:
        said = process.stderr.read()
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    assert process.returncode == 0, (command, said)
    return {"seconds": time.monotonic() - start, "cpu": usage.ru_utime + usage.ru_stime, "mib": usage.ru_maxrss / 1024}


def backup(keepfs):
    status = keepfs.wait_run(keepfs.trigger("full"), deadline_s=DEADLINE_S)
    assert status["state"] == "completed", keepfs.history()
    return keepfs.artifacts()[-1]


def two_backups(server, keepfs, change):
    first = backup(keepfs)
    server.sql("compared", change)
    return first, backup(keepfs)


def table(title, found):
    base = next(iter(found.values()))
    bench_common.print_table(title, ["", "seconds", "least", "most", "cpu", "peak MiB", "x the first"], [
        [name, f"{s.median('seconds'):.2f}", f"{s.min('seconds'):.2f}", f"{s.max('seconds'):.2f}", f"{s.median('cpu'):.2f}", f"{s.max('mib'):.0f}",
         f"{base.median('seconds') / s.median('seconds'):.2f}"] for name, s in found.items()])


def diff_of(keepfs, directory, *arguments):
    return lambda: measured_command([daemon.PROGRAM, "diff", "-c", keepfs.conf, *arguments], directory / "out", keepfs.env)


def measure_tables(server, keepfs, directory):
    # In transactions of some hundred: a server's table of locks has no room for more.
    for first in range(0, TABLES, 500):
        last = min(first + 500, TABLES) - 1
        server.sql("compared", f"DO $$ BEGIN FOR i IN {first}..{last} LOOP EXECUTE format('CREATE TABLE t%s AS SELECT g AS id, md5(g::text) AS code "
                               f"FROM generate_series(1, 3) g', i); END LOOP; END $$")
    a, b = two_backups(server, keepfs, "".join(f"INSERT INTO t{i} VALUES (4, 'new');" for i in range(0, TABLES, max(TABLES // 10, 1))))
    found = bench_common.measured({"keepfs diff": diff_of(keepfs, directory, f"full/{a}", f"full/{b}")})
    text = (directory / "out").read_text()
    changed = len(range(0, TABLES, max(TABLES // 10, 1)))
    assert text.splitlines()[-1] == f"{TABLES - changed} same, {changed} changed", text[-200:]
    table(f"{TABLES} tables, {changed} of them changed", found)
    seconds = found["keepfs diff"].median("seconds")
    bench_common.goal(f"{GOAL_TABLES_S} s: {seconds:.3f}", seconds < GOAL_TABLES_S)


def by_hand(server, directory, local):
    script = " ; ".join([f"{server.bindir}/pg_restore -a -t orders -f - {path} | grep -P '^[0-9]+\\t' | LC_ALL=C sort -S 100M -T {directory} > {path}.rows" for path in local] +
                        [f"LC_ALL=C comm -3 {local[0]}.rows {local[1]}.rows"])

    def once():
        return measured_command(["sh", "-c", script], directory / "by_hand")
    return once


def measure_rows(server, keepfs, directory):
    server.sql("compared", f"CREATE TABLE orders AS SELECT g AS id, g % 50000 AS customer, md5(g::text) AS code, g * 0.01 AS amount, "
                           f"'2026-01-01'::timestamptz + g * interval '1 s' AS placed FROM generate_series(1, {ROWS}) g")
    a, b = two_backups(server, keepfs, f"UPDATE orders SET amount = -amount WHERE id % {2 * CHANGED} = 0; DELETE FROM orders WHERE id % {2 * CHANGED} = 1;")
    local = [directory / "a.dump", directory / "b.dump"]
    for path, name in zip(local, (a, b)):
        shutil.copy(keepfs.path("backups", "full", name), path)
    raw = int(server.sql("compared", "SELECT pg_table_size('orders')"))
    found = bench_common.measured({"pg_restore, sort, comm": by_hand(server, directory, local),
                                   "keepfs diff orders": diff_of(keepfs, directory, f"full/{a}", f"full/{b}", "public.orders")})
    with open(directory / "out", "rb") as lines:
        signs = [line[:1] for line in lines]
    updated, deleted = ROWS // (2 * CHANGED), (ROWS + 2 * CHANGED - 1) // (2 * CHANGED)
    assert (signs.count(b"+"), signs.count(b"-")) == (updated, updated + deleted), (signs.count(b"+"), signs.count(b"-"))
    table(f"{ROWS} rows ({raw / 1e6:.0f} MB in the database), {len(signs)} lines of differences", found)
    series = found["keepfs diff orders"]
    bench_common.goal(f"{GOAL_ROWS_S} s: {series.median('seconds'):.1f}", series.median("seconds") < GOAL_ROWS_S)
    bench_common.goal(f"{GOAL_MIB} MiB: {series.max('mib'):.0f}", series.max("mib") < GOAL_MIB)
    # And when no row has its equal: all goes to the disk.
    server.sql("compared", "UPDATE orders SET customer = -1 - customer")
    b = backup(keepfs)
    found = bench_common.measured({"keepfs diff orders": diff_of(keepfs, directory, f"full/{a}", f"full/{b}", "public.orders")})
    table(f"{ROWS} rows, all of them changed", found)
    bench_common.goal(f"{GOAL_MIB} MiB: {found['keepfs diff orders'].max('mib'):.0f}", found["keepfs diff orders"].max("mib") < GOAL_MIB)


def main():
    directory = pathlib.Path(tempfile.mkdtemp(prefix="keepfs-bench-"))
    server = postgres.Postgres("max_locks_per_transaction = 1024\nmax_wal_size = 4GB\n")
    measure = {"tables": measure_tables, "rows": measure_rows}
    try:
        for part in PARTS:
            (directory / part).mkdir()
            server.create("compared")
            keepfs = daemon.Keepfs(directory / part, stores.DirStore(directory / part / "objects"), {"full": {"database": server.uri("compared")}}).mount()
            try:
                measure[part](server, keepfs, directory / part)
            finally:
                keepfs.close()
                shutil.rmtree(directory / part, ignore_errors=True)
            server.drop("compared")
    finally:
        server.remove()
        shutil.rmtree(directory, ignore_errors=True)


if __name__ == "__main__":
    main()
