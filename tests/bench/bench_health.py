# SPDX-License-Identifier: Apache-2.0
"""Health and metrics: what they cost with few artifacts and with many, in one directory and in those of many databases."""
import os
import pathlib
import shutil
import statistics
import subprocess
import tempfile
import time

import daemon
import stores

RUNS = 15
CASES = ((10, 0), (100000, 0), (1000, 100), (100000, 100), (100000, 1000))


def seconds(path):
    start = time.monotonic()
    path.read_bytes()
    return time.monotonic() - start


def figures(directory, count, directories):
    """the median of RUNS readings: the metrics are made anew at each open, and health is gathered for them"""
    store = stores.DirStore(directory / "objects")
    job = {"database": "postgresql:///none", "expected_interval": "1d"}
    if directories:
        job["databases"] = " ".join(f"d{i}" for i in range(directories))
    keepfs = daemon.Keepfs(directory, store, {"full": job}, memory="192M")
    keepfs.state.mkdir()
    (store.root / ".keepfs").mkdir(parents=True)
    subprocess.run([os.environ["FILL_CATALOG"], str(keepfs.state), str(count), str(directories)], check=True)
    keepfs.mount()
    try:
        metrics = [seconds(keepfs.path("status", "metrics.prom")) for _ in range(RUNS)]
    finally:
        keepfs.unmount()
    return statistics.median(metrics)


def main():
    directory = pathlib.Path(tempfile.mkdtemp(prefix="keepfs-bench-"))
    try:
        print(f"{'artifacts':>10} {'databases':>10} {'metrics, ms':>12}   medians of {RUNS}", flush=True)
        for count, directories in CASES:
            own = directory / f"{count}-{directories}"
            own.mkdir()
            metrics = figures(own, count, directories)
            print(f"{count:>10} {directories or 1:>10} {metrics * 1000:>12.1f}", flush=True)
    finally:
        shutil.rmtree(directory, ignore_errors=True)


main()
