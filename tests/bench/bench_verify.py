# SPDX-License-Identifier: Apache-2.0
"""keepfs verify next to what one would do by hand with the same backup, in one run, as medians and ratios: level 0 beside `sha256sum`, level 1
(decompress all of it, count and hash the rows) beside `pg_restore -f /dev/null`; and what reading at the default rate of the scrub costs.

BENCH_VERIFY_MB    size of the database as text, default 1200
BENCH_ROUNDS       default 5
BENCH_PARTS        of several,one_table,scrub; default all
BENCH_FORMATS      of custom,directory; default both
"""
import os
import pathlib
import shutil
import subprocess
import tempfile
import time

import bench_common
import bench_data
import daemon
import postgres
import stores
from bench_common import children_cpu_s, cpu_s

MEGABYTES = int(os.environ.get("BENCH_VERIFY_MB", "1200"))
PARTS = bench_common.parts("several,one_table,scrub")
FORMATS = os.environ.get("BENCH_FORMATS", "custom,directory").split(",")
SCRUB_RATE = 10e6  # scrub_rate's default, as bytes a second
SCRUB_S = 20       # at least so long is read at that rate
GOAL_RATE = 1e9    # bytes of rows in a second, with two processors for it
GOAL_SCRUB = 0.03  # of a processor
DEADLINE_S = 3600


def command(*arguments):
    def once():
        before, start = children_cpu_s(), time.monotonic()
        subprocess.run([str(a) for a in arguments], check=True, stdout=subprocess.DEVNULL)
        return {"seconds": time.monotonic() - start, "cpu": children_cpu_s() - before}
    return once


def verified(keepfs, words):
    """once, by the daemon"""
    def once():
        (pid,) = keepfs.daemons()
        before, start = cpu_s(pid), time.monotonic()
        status = keepfs.wait_run(int(keepfs.ask("verify", words).split()[0]), deadline_s=DEADLINE_S)
        assert status["state"] == "completed", keepfs.history()
        return {"seconds": time.monotonic() - start, "cpu": cpu_s(pid) - before}
    return once


def raw_bytes(keepfs, job):
    """of the rows of all tables, in COPY's text"""
    (counted,) = [p for p in keepfs.path("backups", job).rglob("*tables.csv") if not p.is_symlink() and "latest" not in str(p)]
    lines = counted.read_text().splitlines()
    at = lines[0].split(",").index("bytes")
    return sum(int(line.rsplit(",", len(lines[0].split(",")) - at)[1]) for line in lines[1:])


def stored_bytes(path):
    return sum(p.stat().st_size for p in path.rglob("*") if p.is_file()) if path.is_dir() else path.stat().st_size


def table(title, found, raw):
    base = next(iter(found.values()))
    bench_common.print_table(title, ["", "seconds", "cpu", "MB of rows/s", "MB of rows/cpu s", "x the first", "cpu x the first"], [
        [name, f"{s.median('seconds'):.2f}", f"{s.median('cpu'):.2f}", f"{raw / 1e6 / s.median('seconds'):.0f}", f"{raw / 1e6 / s.median('cpu'):.0f}",
         f"{base.median('seconds') / s.median('seconds'):.2f}", f"{base.median('cpu') / s.median('cpu'):.2f}"] for name, s in found.items()])


def measure(server, keepfs, directory, job, part):
    status = keepfs.wait_run(keepfs.trigger(job), deadline_s=DEADLINE_S)
    assert status["state"] == "completed", keepfs.history()
    (name,) = keepfs.artifacts(job)
    local, raw = directory / "local", raw_bytes(keepfs, job)
    mounted = keepfs.path("backups", job, name)
    (shutil.copytree if mounted.is_dir() else shutil.copy)(mounted, local)
    files = sorted(p for p in local.rglob("*") if p.is_file()) if local.is_dir() else [local]
    print(f"{part}, {job}: {raw / 1e6:.0f} MB of rows, {stored_bytes(local) / 1e6:.0f} MB stored", flush=True)
    table(f"{part}, {job}, every byte", bench_common.measured({
        "sha256sum, local": command("sha256sum", *files), "keepfs verify level=0": verified(keepfs, f"{job} level=0")}), raw)
    found = bench_common.measured({
        "pg_restore -f /dev/null, local": command(server.bindir / "pg_restore", "-f", "/dev/null", local),
        "keepfs verify level=1": verified(keepfs, f"{job} level=1")})
    table(f"{part}, {job}, structure and rows", found, raw)
    rate = raw / found["keepfs verify level=1"].median("seconds")
    bench_common.goal(f"{GOAL_RATE / 1e9:.0f} GB of rows in a second, with two processors: {rate / 1e9:.2f}", rate >= GOAL_RATE)
    (shutil.rmtree if local.is_dir() else pathlib.Path.unlink)(local)


def measure_scrub(keepfs, job):
    """as the scrub reads: level 0, at its rate; the daemon does nothing else"""
    (name,) = keepfs.artifacts(job)
    stored = stored_bytes(keepfs.path("backups", job, name))
    rate = min(SCRUB_RATE, stored / SCRUB_S)
    found = bench_common.measured({"scrub": verified(keepfs, f"{job} level=0 rate={int(rate)}")})["scrub"]
    seconds = stored / SCRUB_RATE  # at its own rate a small backup would be over before anything can be told
    share = found.median("cpu") / seconds
    print(f"\nthe scrub: {stored / 1e6:.0f} MB in {found.median('seconds'):.1f} s, {found.median('cpu'):.2f} s of a processor")
    bench_common.goal(f"{GOAL_SCRUB:.0%} of a processor at {SCRUB_RATE / 1e6:.0f} MB/s: {share:.2%}", share < GOAL_SCRUB)


def mounted(directory, server, part):
    kinds = {"custom": {}, "directory": {"format": "directory"}}
    (directory / part).mkdir()
    jobs = {name: {"database": server.uri(part), **kinds[name]} for name in FORMATS}
    return daemon.Keepfs(directory / part, stores.DirStore(directory / f"objects-{part}"), jobs).mount()


def main():
    directory = pathlib.Path(tempfile.mkdtemp(prefix="keepfs-bench-"))
    server = postgres.Postgres()
    make = {"several": bench_data.several_tables, "one_table": bench_data.one_table}
    try:
        for part in [p for p in PARTS if p != "scrub"] or ["several"]:
            make[part](server, part, MEGABYTES)
            keepfs = mounted(directory, server, part)
            try:
                for job in FORMATS:
                    measure(server, keepfs, directory, job, part)
                if "scrub" in PARTS and part != "one_table":
                    measure_scrub(keepfs, FORMATS[0])
            finally:
                keepfs.close()
                shutil.rmtree(directory / f"objects-{part}", ignore_errors=True)
            server.drop(part)
    finally:
        server.remove()
        shutil.rmtree(directory, ignore_errors=True)


if __name__ == "__main__":
    main()
