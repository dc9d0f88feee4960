# SPDX-License-Identifier: Apache-2.0
"""Schedules: when the next run of 10,000 jobs is, and that a daemon at rest does nothing for a minute (BENCH_PARTS of next,rest)."""
import json
import os
import pathlib
import shutil
import subprocess
import tempfile

import bench_common
import daemon
import stores

JOBS = int(os.environ.get("BENCH_JOBS", "10000"))
REST_S = int(os.environ.get("BENCH_REST_S", "60"))
WORDS = {"decide": "the pure decision, for all jobs", "idle": "a look of the timer, nothing has come due",
         "step": "a look after a step of the clock: all decided anew", "first": "the first look: all are new, and written into the catalog",
         "reload": "a look after a reload: the timetable made anew"}


def look_once(directory):
    with tempfile.TemporaryDirectory(dir=directory) as state:
        done = subprocess.run([os.environ["LOOK_TIMETABLE"], state, str(JOBS)], check=True, stdout=subprocess.PIPE, text=True)
    return {name: float(ms) for name, ms in map(str.split, done.stdout.splitlines())}


def next_run(directory):
    figures = bench_common.measured({"next": lambda: look_once(directory)})["next"]
    bench_common.print_table(f"The next run of {JOBS} jobs", ["", "ms of a processor"],
                             [[words, f"{figures.median(name):.2f}"] for name, words in WORDS.items()])
    for name in ("decide", "idle", "step"):
        bench_common.goal(f"{WORDS[name]}: under 10 ms", figures.median(name) < 10)


def calls_of(pid, seconds):
    """what its threads asked of the kernel, without what they were waiting in when strace came"""
    with tempfile.NamedTemporaryFile("r") as trace:
        subprocess.run(["timeout", "-s", "INT", str(seconds), "strace", "-f", "-q", "-e", "signal=none", "-o", trace.name, "-p", str(pid)],
                       stderr=subprocess.DEVNULL)
        lines = trace.read().splitlines()
    begun = {line.split()[0] for line in lines}
    assert len(begun) > 3, "strace may not attach here"
    seen, calls = set(), []
    for line in lines:
        thread = line.split()[0]
        if thread in seen and "detached" not in line:
            calls.append(line)
        seen.add(thread)
    return len(begun), calls


def rest(directory):
    if not bench_common.installed("strace", "strace", "whether anything wakes the daemon"):
        return
    store = stores.DirStore(directory / "objects")
    policy = {"database": "postgresql:///none", "schedule": "0 3 1 1 *", "keep_daily": 7, "keep_weekly": 4}
    keepfs = daemon.Keepfs(directory, store, {"full": policy, "second": {**policy, "timezone": "Asia/Tokyo"}}, memory="192M")
    keepfs.sections = {"webhook chat": {"url": "http://127.0.0.1:9/"}}
    keepfs.write_conf()
    keepfs.mount()
    try:
        (pid,) = keepfs.daemons()
        # The first copy of the catalog is due a minute after the first start.
        daemon.wait_until(lambda: json.loads(keepfs.text("status", "stats.json"))["store"]["catalog_copy"], "a copy of the catalog", 300)
        daemon.wait_until(lambda: not calls_of(pid, 3)[1], "the daemon to come to rest")
        threads, calls = calls_of(pid, REST_S)
        print(f"\n{threads} threads, {REST_S} s at rest: {len(calls)} calls of the kernel", *calls[:20], sep="\n  ")
        bench_common.goal("none", not calls)
    finally:
        keepfs.unmount()


def main():
    directory = pathlib.Path(tempfile.mkdtemp(prefix="keepfs-bench-"))
    try:
        for part in bench_common.parts("next,rest"):
            {"next": next_run, "rest": rest}[part](directory)
    finally:
        shutil.rmtree(directory, ignore_errors=True)


main()
